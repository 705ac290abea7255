//! Errors of this engine: the shared mapping under this engine's name.

use mkt_connect::sql::sqlite;
use mkt_connect::{Error, ErrorKind};

pub(super) const SERVICE: &str = "sqlite";

/// Of a write, through sqlx.
pub(super) fn storage(operation: &'static str, cause: sqlx::Error) -> Error {
    sqlite::error(SERVICE, operation, cause)
}

/// Of a read, through rusqlite.
pub(super) fn refused(operation: &'static str, cause: rusqlite::Error) -> Error {
    let error = match &cause {
        rusqlite::Error::SqliteFailure(code, message) => sqlite::from_code(
            SERVICE,
            operation,
            code.extended_code,
            message.as_deref().unwrap_or("the database rejected the query"),
        ),
        rusqlite::Error::MultipleStatement => {
            Error::new(ErrorKind::Input, SERVICE, operation).with_detail("a query must be one statement")
        }
        _ => Error::new(ErrorKind::Storage, SERVICE, operation)
            .with_detail("unexpected answer from the database"),
    };
    error.with_source(cause)
}

pub(super) fn saturated(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("timed out waiting for a free connection")
}

pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("the database was closed")
}
