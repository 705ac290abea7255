//! The outbox in a file.

use super::{SERVICE, migrator, unmade};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

const STEPS: [(&str, &str); 2] = [
    ("outbox", include_str!("../schema/sqlite_1.sql")),
    ("messages apart", include_str!("../schema/sqlite_2.sql")),
];

/// A database file, or one in memory.
#[derive(Debug, Clone)]
pub(in crate::outbox) struct File {
    pub(super) pool: SqlitePool,
    /// The file under its one true name, where there is one: live workers hold a lock beside it.
    pub(in crate::outbox) path: Option<PathBuf>,
    /// Runs of this process.
    pub(in crate::outbox) runs: Arc<AtomicUsize>,
}

impl File {
    pub(in crate::outbox) async fn open(path: &Path) -> Result<Self> {
        if path == Path::new(":memory:") {
            return Self::in_memory().await;
        }
        make_private(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a loss of power too.
            .synchronous(SqliteSynchronous::Full)
            // What is erased is overwritten with noughts.
            .pragma("secure_delete", "ON")
            // The default of 2 MiB makes every batch read its pages of the index again.
            .pragma("cache_size", "-65536")
            // Statements about many mails are prepared in a few sizes each.
            .statement_cache_capacity(256)
            .busy_timeout(Duration::from_secs(30));
        let opened = connect(&SqlitePoolOptions::new().max_connections(4), &options).await;
        let pool = opened.map_err(|cause| {
            failed("open", cause).with_detail(format!("the file {} cannot be opened", path.display()))
        })?;
        // Whoever opens the file by another name, such as a link, must find the same lock.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { pool, path: Some(path), runs: Arc::default() }.prepared().await
    }

    pub(in crate::outbox) async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true);
        // One connection, for ever: every other one would be another, empty database.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|cause| failed("open", cause))?;
        Self { pool, path: None, runs: Arc::default() }.prepared().await
    }

    async fn prepared(self) -> Result<Self> {
        let migrator = migrator(&STEPS);
        // Two processes may make the tables at the same moment; who comes second fails, and finds them made when it
        // looks again.
        let mut made = migrator.run(&self.pool).await;
        for _ in 0..20 {
            if made.is_err() {
                tokio::time::sleep(Duration::from_millis(25)).await;
                made = migrator.run(&self.pool).await;
            }
        }
        made.map_err(unmade)?;
        Ok(self)
    }

    /// A transaction that has the right to write from its beginning. It must not be dropped in the middle of a
    /// statement, which nothing here does: no statement runs under a timeout or a `select!`.
    pub(super) async fn begin(
        &self,
        operation: &'static str,
    ) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|cause| failed(operation, cause))
    }

    /// Folds the write-ahead log, which holds earlier states of pages, into the file, and empties it. Waits a few
    /// seconds for whoever reads.
    pub(super) async fn scrub(&self) -> Result<()> {
        let broken = |cause| failed("scrub", cause);
        let mut connection = self.pool.acquire().await.map_err(broken)?;
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut *connection).await.map_err(broken)?;
        let busy = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        sqlx::query("PRAGMA busy_timeout = 30000").execute(&mut *connection).await.map_err(broken)?;
        match busy.map_err(broken)? {
            0_i64 => Ok(()),
            _ => Err(Error::new(ErrorKind::Storage, SERVICE, "scrub")
                .with_detail("another connection reads, and the write-ahead log cannot be emptied")),
        }
    }
}

/// Makes a missing file for its owner only, since it names people. SQLite gives the files beside it the same mode. What
/// is wrong with the path SQLite will say.
fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Connects. Turning a fresh file to write-ahead logging takes it alone, and SQLite does not wait its busy timeout for
/// that: whoever comes at the same moment is told "locked" and asks again here, for a few seconds at most.
async fn connect(pool: &SqlitePoolOptions, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let mut tries = 0;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("5") && tries < 200 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            opened => return opened,
        }
    }
}

/// SQLite's messages name tables and columns, never values; they may be shown.
pub(super) fn failed(operation: &'static str, cause: sqlx::Error) -> Error {
    let error = Error::new(ErrorKind::Storage, SERVICE, operation);
    match cause.as_database_error().map(|database| database.message().to_owned()) {
        Some(message) => error.with_detail(message).with_source(cause),
        None => error.with_source(cause),
    }
}
