//! What SQLite says, in the words of the shared error. <https://www.sqlite.org/rescode.html>, read November 2026.

use mkt_connect::{Error, ErrorKind};

pub(super) const SERVICE: &str = "sqlite";

/// SQLite's messages name tables and columns, never values; they may be shown.
pub(super) fn storage(operation: &'static str, cause: sqlx::Error) -> Error {
    let (kind, detail) = match &cause {
        sqlx::Error::Database(database) => {
            let extended: u32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            match extended & 0xff {
                5 | 6 => (ErrorKind::Storage, "another process holds the database".to_owned()),
                8 => (ErrorKind::Storage, "the database cannot be written".to_owned()),
                10 => (ErrorKind::Storage, "the disk failed to read or write".to_owned()),
                11 => (ErrorKind::Storage, "the database is damaged".to_owned()),
                13 => (ErrorKind::Storage, "the disk is full".to_owned()),
                14 => (ErrorKind::Storage, "the file cannot be opened or created".to_owned()),
                26 => (ErrorKind::Storage, "the file is not a SQLite database".to_owned()),
                1 | 18 | 19 | 20 | 25 => (ErrorKind::Input, database.message().to_owned()),
                _ => (ErrorKind::Storage, database.message().to_owned()),
            }
        }
        sqlx::Error::PoolTimedOut => (ErrorKind::Storage, "other calls hold every connection".to_owned()),
        sqlx::Error::PoolClosed => (ErrorKind::Storage, "the warehouse was closed".to_owned()),
        sqlx::Error::Io(_) => (ErrorKind::Storage, "the file cannot be opened or created".to_owned()),
        _ => (ErrorKind::Storage, "the database did not answer as expected".to_owned()),
    };
    Error::new(kind, SERVICE, operation).with_detail(detail).with_source(cause)
}
