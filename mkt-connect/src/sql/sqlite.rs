//! SQLite: errors by result code, opening, migrations.

use super::unmigrated;
use crate::{Error, ErrorKind, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often and how long [`open`] waits: five seconds in all.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// Maps an error of sqlx. SQLite's extended result code is in [`Error::code`], as a decimal number (`2067`); its
/// messages name tables and columns, never values, and are shown. Delivery is `NotSent`: a statement that failed has
/// changed nothing.
#[must_use]
pub fn error(service: &'static str, operation: &'static str, cause: sqlx::Error) -> Error {
    if let sqlx::Error::Database(database) = &cause {
        let code = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
        return from_code(service, operation, code, database.message()).with_source(cause);
    }
    let detail = match &cause {
        sqlx::Error::PoolTimedOut => "timed out waiting for a free connection",
        sqlx::Error::PoolClosed => "the database was closed",
        sqlx::Error::Io(_) => "the file cannot be opened or created",
        _ => "unexpected answer from the database",
    };
    Error::new(ErrorKind::Storage, service, operation).with_detail(detail).with_source(cause)
}

/// The error of an extended result code, for drivers other than sqlx. `message` is SQLite's own, and is used where the
/// code says too little.
///
/// Source: <https://www.sqlite.org/rescode.html>, read November 2026.
#[must_use]
pub fn from_code(service: &'static str, operation: &'static str, extended: i32, message: &str) -> Error {
    let (kind, detail) = match extended & 0xff {
        5 | 6 => (ErrorKind::Storage, "another process holds the database"),
        8 => (ErrorKind::Storage, "the database is read-only"),
        10 => (ErrorKind::Storage, "the disk failed to read or write"),
        11 => (ErrorKind::Storage, "the database file is damaged"),
        13 => (ErrorKind::Storage, "the disk is full"),
        14 => (ErrorKind::Storage, "the file cannot be opened or created"),
        26 => (ErrorKind::Storage, "the file is not a SQLite database"),
        1 | 18 | 19 | 20 | 25 => (ErrorKind::Input, message),
        _ => (ErrorKind::Storage, message),
    };
    Error::new(kind, service, operation).with_detail(detail).with_code(extended.to_string())
}

/// Opens a pool, and waits up to five seconds while another connection holds the file.
///
/// Switching a fresh file to write-ahead logging needs the file alone, and SQLite does not apply its busy timeout to
/// that: a process that comes at the same moment gets `SQLITE_BUSY` at once.
///
/// # Errors
/// sqlx's own; map them by [`error`].
pub async fn open(pool: &SqlitePoolOptions, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let mut tries = 0;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("5") && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Creates a missing database file that only its owner can read and write (mode 0600). SQLite gives the files beside it
/// (`-wal`, `-shm`, `-journal`) the same mode. A file that exists keeps its mode; on systems without Unix modes this
/// does nothing.
///
/// # Errors
/// When the file cannot be created.
pub fn create_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
            _ => {}
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Runs the migrations that are missing, all in one immediate transaction: processes that come at the same moment run
/// them once, and a process that dies leaves the tables as they were.
///
/// # Errors
/// `Storage` for tables of a newer version and when the file cannot be written; `Input` for a statement that SQLite
/// refuses.
pub async fn migrate(service: &'static str, pool: &SqlitePool, migrator: &Migrator) -> Result<()> {
    let failed = |cause| error(service, "migrate", cause);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    migrator.run_direct(None, &mut *transaction, false).await.map_err(|cause| match cause {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => failed(cause),
        cause => unmigrated(service, cause),
    })?;
    transaction.commit().await.map_err(failed)
}
