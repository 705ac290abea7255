//! The outbox in a SQLite file.

use super::{MIGRATIONS, SERVICE};
use mkt_connect::sql::{Step, migrator, sqlite};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

const STEPS: [Step; 5] = [
    Step { version: 1, description: "outbox", sql: include_str!("../schema/sqlite_1.sql") },
    Step { version: 2, description: "messages apart", sql: include_str!("../schema/sqlite_2.sql") },
    Step { version: 3, description: "events", sql: include_str!("../schema/sqlite_3.sql") },
    Step { version: 4, description: "sent emails", sql: include_str!("../schema/sqlite_4.sql") },
    Step { version: 5, description: "sending plans", sql: include_str!("../schema/sqlite_5.sql") },
];

/// A database file, or one in memory.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(super) pool: SqlitePool,
    /// The canonical path of the file, if there is one: live workers hold a lock beside it.
    pub(in crate::outbox) path: Option<PathBuf>,
    /// Runs of this process.
    pub(in crate::outbox) runs: Arc<AtomicUsize>,
}

impl File {
    pub(in crate::outbox) async fn open(path: &Path) -> Result<Self> {
        if path == Path::new(":memory:") {
            return Self::in_memory().await;
        }
        // It holds people's data. What is wrong with the path, SQLite reports below.
        let _ = sqlite::create_private(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a loss of power too.
            .synchronous(SqliteSynchronous::Full)
            // Erased data is overwritten with zeros.
            .pragma("secure_delete", "ON")
            // With the default of 2 MiB every batch reads its index pages again.
            .pragma("cache_size", "-65536")
            // Statements over many emails are prepared in a few sizes each.
            .statement_cache_capacity(256)
            .busy_timeout(Duration::from_secs(30));
        let opened = sqlite::open(&SqlitePoolOptions::new().max_connections(4), &options).await;
        let pool = opened.map_err(|cause| {
            failed("open", cause).with_detail(format!("the file {} cannot be opened", path.display()))
        })?;
        // A process that opens the file by another name, such as a link, must find the same lock.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { pool, path: Some(path), runs: Arc::default() }.migrated().await
    }

    pub(in crate::outbox) async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true);
        // A single connection that never closes: any other would be another, empty database.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|cause| failed("open", cause))?;
        Self { pool, path: None, runs: Arc::default() }.migrated().await
    }

    async fn migrated(self) -> Result<Self> {
        sqlite::migrate(SERVICE, &self.pool, &migrator(MIGRATIONS, STEPS)).await?;
        Ok(self)
    }

    /// Begins a transaction that can write from its beginning. It must not be dropped in the middle of a statement, which
    /// nothing here does: no statement runs under a timeout or a `select!`.
    pub(super) async fn begin(
        &self,
        operation: &'static str,
    ) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|cause| failed(operation, cause))
    }

    /// Merges the write-ahead log, which holds earlier versions of pages, into the file, and truncates it. Waits a few
    /// seconds for readers.
    pub(super) async fn scrub(&self) -> Result<()> {
        let broken = |cause| failed("scrub", cause);
        let mut connection = self.pool.acquire().await.map_err(broken)?;
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut *connection).await.map_err(broken)?;
        let busy = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        sqlx::query("PRAGMA busy_timeout = 30000").execute(&mut *connection).await.map_err(broken)?;
        match busy.map_err(broken)? {
            0_i64 => Ok(()),
            _ => Err(Error::new(ErrorKind::Storage, SERVICE, "scrub")
                .with_detail("the write-ahead log cannot be truncated while another connection reads")),
        }
    }
}

pub(super) fn failed(operation: &'static str, cause: sqlx::Error) -> Error {
    sqlite::error(SERVICE, operation, cause)
}
