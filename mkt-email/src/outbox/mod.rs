//! The outbox: mails in a SQLite file, one row per recipient, that reach a terminal state once, whatever happens to
//! the process in between.
//!
//! ```text
//! pending ─▶ claimed ─▶ sending ─▶ accepted | rejected | deferred | unknown
//!    ▲          │           │                     │          │
//!    └──────────┴─(dead)    └─(dead)─▶ unknown    └▶ (due)   └▶ settled, if the provider can tell
//! before a call: suppressed | cancelled | expired
//! ```
//!
//! `sending` is committed, with the attempt's key, before the call. A process that dies leaves `claimed` rows, which
//! nobody was told of and which go back to pending, and `sending` rows, of which nobody knows: they become `unknown`
//! and are settled by asking the provider. A provider that cannot tell leaves them `unknown`, and nothing sends them
//! again: at most once. Transitions are made by single SQL statements that name the state they start from, so two
//! workers cannot make the same one.
//!
//! The guarantee is against the death of the process at any instruction. Against loss of power it is as good as the
//! disk's word (WAL, `synchronous = FULL`).

mod claim;
mod consent;
mod count;
mod enqueue;
mod run;
mod send_log;
mod solitude;

pub use consent::{Consent, ConsentScope, Suppression, SuppressionReason, SuppressionScope};
pub use count::Counts;
pub use enqueue::{DedupKey, Enqueued, NewMail, Purpose};
pub use run::{RunOptions, RunReport, Stop};

use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

const SERVICE: &str = "outbox";
/// sqlx's default name would be shared with every other crate that keeps tables in the same file.
const MIGRATIONS: &str = "mail_migrations";

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its time and a worker.
    Pending,
    /// Taken by a worker; nothing was sent.
    Claimed,
    /// The call is being made, or was when the process died.
    Sending,
    /// Taken by the provider.
    Accepted,
    /// Refused for good.
    Rejected,
    /// Refused for now.
    Deferred,
    /// Nobody knows whether it was taken.
    Unknown,
    /// Not sent: the recipient does not want it or has not agreed to it.
    Suppressed,
    /// Not sent: the campaign was cancelled.
    Cancelled,
    /// Not sent: too late.
    Expired,
}

impl State {
    /// The state as stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: [State; 10] = [
            State::Pending,
            State::Claimed,
            State::Sending,
            State::Accepted,
            State::Rejected,
            State::Deferred,
            State::Unknown,
            State::Suppressed,
            State::Cancelled,
            State::Expired,
        ];
        ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| damaged("read a state"))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The durable outbox. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Outbox {
    pool: SqlitePool,
    /// The file under its one true name, where there is one: live workers hold a lock beside it.
    path: Option<PathBuf>,
    /// Runs of this process.
    runs: Arc<AtomicUsize>,
}

impl Outbox {
    /// Opens the file, making it and its tables where they are missing. Other crates may keep tables in it. Runs put an
    /// empty file of the same name with `.workers` added beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the file cannot be opened, made or written, or is not a database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a loss of power too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let opened = connect(&SqlitePoolOptions::new().max_connections(4), &options).await;
        let pool = opened.map_err(|cause| {
            storage("open", cause).with_detail(format!("the file {} cannot be opened", path.display()))
        })?;
        // Whoever opens the file by another name, such as a link, must find the same lock.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self::prepare(pool, Some(path)).await
    }

    /// An outbox that is gone when it is dropped: for tests and for trying things out.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true);
        // One connection, for ever: every other one would be another, empty database.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|cause| storage("open", cause))?;
        Self::prepare(pool, None).await
    }

    async fn prepare(pool: SqlitePool, path: Option<PathBuf>) -> Result<Self> {
        let schema = include_str!("schema.sql").into_sql_str();
        let first = Migration::new(1, "outbox".into(), MigrationType::Simple, schema, false);
        let mut migrator = Migrator::with_migrations(vec![first]);
        migrator.dangerous_set_table_name(MIGRATIONS);
        // Two processes may make the tables at the same moment; who comes second fails, and finds them made when it
        // looks again.
        let mut made = migrator.run(&pool).await;
        for _ in 0..20 {
            if made.is_err() {
                tokio::time::sleep(Duration::from_millis(25)).await;
                made = migrator.run(&pool).await;
            }
        }
        made.map_err(|cause| {
            Error::new(ErrorKind::Storage, SERVICE, "open")
                .with_detail("its tables could not be made")
                .with_source(cause)
        })?;
        Ok(Self { pool, path, runs: Arc::default() })
    }

    /// Closes the connections; the write-ahead log is folded into the file.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// A transaction that has the right to write from its beginning. It must not be dropped in the middle of a
    /// statement, which nothing here does: no statement runs under a timeout or a `select!`.
    async fn begin(&self, operation: &'static str) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|cause| storage(operation, cause))
    }
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
fn storage(operation: &'static str, cause: sqlx::Error) -> Error {
    let error = Error::new(ErrorKind::Storage, SERVICE, operation);
    match cause.as_database_error().map(|database| database.message().to_owned()) {
        Some(message) => error.with_detail(message).with_source(cause),
        None => error.with_source(cause),
    }
}

fn damaged(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation)
        .with_detail("a stored value is not one that was written here")
}

fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

fn instant(millis: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| damaged("read an instant"))
}

/// Why a row of `mail_outbox` must not be mailed at instant `?1`, or null. The one place where suppression and consent
/// are read; enqueueing, claiming and the last gate before the call all use it inside their transaction.
macro_rules! gate {
    () => {
        "COALESCE(
            (SELECT 'suppressed: ' || s.reason FROM mail_suppressions s
              WHERE s.address_key = mail_outbox.address_key
                AND (s.expires_at IS NULL OR s.expires_at > ?1)
                AND (s.scope = 'all'
                     OR (mail_outbox.purpose = 'marketing'
                         AND (s.scope = 'marketing' OR (s.scope = 'list' AND s.list = mail_outbox.list))))
              ORDER BY s.scope LIMIT 1),
            CASE WHEN mail_outbox.purpose = 'marketing' AND COALESCE(
                (SELECT c.granted FROM mail_consents c
                  WHERE c.address_key = mail_outbox.address_key
                    AND c.at <= ?1
                    AND (c.scope = 'marketing' OR (c.scope = 'list' AND c.list = mail_outbox.list))
                  ORDER BY c.at DESC, c.id DESC LIMIT 1), 0) = 0
            THEN 'no consent' END)"
    };
}
use gate;
