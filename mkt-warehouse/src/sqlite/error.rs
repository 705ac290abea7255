//! What SQLite says, in the words of the shared error. <https://www.sqlite.org/rescode.html>, read November 2026.

use mkt_connect::{Error, ErrorKind};

pub(super) const SERVICE: &str = "sqlite";

/// Of a write. SQLite's messages name tables and columns, never values; they may be shown.
pub(super) fn storage(operation: &'static str, cause: sqlx::Error) -> Error {
    let (kind, detail) = match &cause {
        sqlx::Error::Database(database) => {
            let extended = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            told(extended, database.message())
        }
        sqlx::Error::PoolTimedOut => return saturated(operation),
        sqlx::Error::PoolClosed => return closed(operation),
        sqlx::Error::Io(_) => (ErrorKind::Storage, "the file cannot be opened or created".to_owned()),
        _ => (ErrorKind::Storage, "the database did not answer as expected".to_owned()),
    };
    Error::new(kind, SERVICE, operation).with_detail(detail).with_source(cause)
}

/// Of a read.
pub(super) fn refused(operation: &'static str, cause: rusqlite::Error) -> Error {
    let (kind, detail) = match &cause {
        rusqlite::Error::SqliteFailure(code, message) => {
            told(code.extended_code, message.as_deref().unwrap_or("the database refused the query"))
        }
        rusqlite::Error::MultipleStatement => {
            (ErrorKind::Input, "a query is one statement, and these are several".to_owned())
        }
        _ => (ErrorKind::Storage, "the database did not answer as expected".to_owned()),
    };
    Error::new(kind, SERVICE, operation).with_detail(detail).with_source(cause)
}

pub(super) fn saturated(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("other calls hold every connection")
}

pub(super) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("the warehouse was closed")
}

/// What an extended result code means.
fn told(extended: i32, message: &str) -> (ErrorKind, String) {
    match extended & 0xff {
        5 | 6 => (ErrorKind::Storage, "another process holds the database".to_owned()),
        8 => (ErrorKind::Storage, "the database cannot be written".to_owned()),
        10 => (ErrorKind::Storage, "the disk failed to read or write".to_owned()),
        11 => (ErrorKind::Storage, "the database is damaged".to_owned()),
        13 => (ErrorKind::Storage, "the disk is full".to_owned()),
        14 => (ErrorKind::Storage, "the file cannot be opened or created".to_owned()),
        26 => (ErrorKind::Storage, "the file is not a SQLite database".to_owned()),
        1 | 18 | 19 | 20 | 25 => (ErrorKind::Input, message.to_owned()),
        _ => (ErrorKind::Storage, message.to_owned()),
    }
}
