//! What crates that keep tables in SQLite or PostgreSQL share: errors by code, opening, migrations, locks.
//!
//! Features `sqlite` and `postgres` bring one driver each (sqlx 0.9); neither compiles the other's. The functions
//! take and return sqlx's types, so this module is for crates that talk to a database themselves.
//!
//! | item | what it does |
//! |---|---|
//! | `sqlite::error`, `postgres::error` | maps a driver's error to [`Error`] by result code or SQLSTATE, which stays in [`Error::code`] |
//! | [`is_unique_violation`], [`is_rolled_back_by_another`] | decisions on codes |
//! | `sqlite::open` | opens a pool and waits while another process switches the file to write-ahead logging |
//! | `sqlite::create_private` | creates a database file that only its owner can read |
//! | `postgres::connect` | opens a pool; a wrong address or password fails at once |
//! | `postgres::begin` | begins a transaction that cannot be left open by a dropped future |
//! | [`migrator`], `sqlite::migrate`, `postgres::migrate` | migrations with a table per crate, in one transaction |
//! | [`FileLock`], `postgres::SessionLock` | locks that end with their process |

mod lock;
mod migration;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use lock::FileLock;
pub use migration::{Step, migrator};

use crate::{Error, ErrorKind};

/// Whether a row with the same unique key exists already: SQLSTATE 23505; SQLite's `SQLITE_CONSTRAINT_PRIMARYKEY`
/// (1555), `SQLITE_CONSTRAINT_UNIQUE` (2067) and `SQLITE_CONSTRAINT_ROWID` (2579).
#[must_use]
pub fn is_unique_violation(error: &Error) -> bool {
    matches!(error.code(), Some("23505" | "1555" | "2067" | "2579"))
}

/// Whether PostgreSQL rolled the transaction back because of a concurrent one: `serialization_failure` (40001) and
/// `deadlock_detected` (40P01). Nothing was changed, and the transaction can be repeated.
#[must_use]
pub fn is_rolled_back_by_another(error: &Error) -> bool {
    matches!(error.code(), Some("40001" | "40P01"))
}

/// The error of a migration table that lists a version which this build does not know.
#[must_use]
pub fn newer(service: &'static str, operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, service, operation)
        .with_detail("the tables were written by a newer version of this library")
}

/// An error of the migrator itself; errors of statements are mapped by the engine.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn unmigrated(service: &'static str, cause: sqlx::migrate::MigrateError) -> Error {
    match cause {
        sqlx::migrate::MigrateError::VersionMissing(_) => newer(service, "migrate"),
        cause => Error::new(ErrorKind::Storage, service, "migrate")
            .with_detail("the tables cannot be brought up to date")
            .with_source(cause),
    }
}
