//! What PostgreSQL says, in the words of the shared error.
//! <https://www.postgresql.org/docs/15/errcodes-appendix.html>, read November 2026.

use mkt_connect::{Delivery, Error, ErrorKind};
use sqlx::postgres::PgDatabaseError;

pub(super) const SERVICE: &str = "postgres";

/// The server's own words are left out where they quote values (classes 22 and 23), and its error is never a cause:
/// its `detail` quotes whole rows.
pub(super) fn storage(operation: &'static str, cause: &sqlx::Error) -> Error {
    let (kind, delivery, detail) = match cause {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let named = database.try_downcast_ref::<PgDatabaseError>();
            let place = match named.map(|error| (error.table(), error.column())) {
                Some((Some(table), Some(column))) => format!(" (table {table}, column {column})"),
                Some((Some(table), None)) => format!(" (table {table})"),
                _ => String::new(),
            };
            let (kind, clause) = match code.get(..2).unwrap_or_default() {
                "28" => (ErrorKind::Auth, "the server refused the user".to_owned()),
                "3D" => (ErrorKind::Config, "the database does not exist".to_owned()),
                "22" | "23" => (ErrorKind::Input, format!("a value does not fit its column{place}")),
                "42" | "0A" => (ErrorKind::Input, database.message().to_owned()),
                "53" if code == "53100" => (ErrorKind::Storage, "the server's disk is full".to_owned()),
                "53" => (ErrorKind::Storage, "the server has no room for another connection".to_owned()),
                "40" => (ErrorKind::Storage, "another load was in the way".to_owned()),
                "57" => (ErrorKind::Storage, "the server is going down or cancelled the call".to_owned()),
                _ => (ErrorKind::Storage, "the server failed".to_owned()),
            };
            (kind, Delivery::Answered, format!("{clause}, SQLSTATE {code}"))
        }
        sqlx::Error::PoolTimedOut => {
            (ErrorKind::Storage, Delivery::NotSent, "other calls hold every connection".to_owned())
        }
        sqlx::Error::PoolClosed => {
            (ErrorKind::Storage, Delivery::NotSent, "the warehouse was closed".to_owned())
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => (
            ErrorKind::Config,
            Delivery::NotSent,
            "the connection cannot be set up as the URL says".to_owned(),
        ),
        sqlx::Error::Io(cause) => (
            ErrorKind::Storage,
            if operation == "connect" { Delivery::NotSent } else { Delivery::Unknown },
            format!("the server cannot be reached ({})", cause.kind()),
        ),
        _ => (ErrorKind::Storage, Delivery::Unknown, "the server did not answer as expected".to_owned()),
    };
    Error::new(kind, SERVICE, operation).delivered(delivery).with_detail(detail)
}

/// What is wrong with a commit. The server's word that it was rolled back is an answer; anything else (a connection
/// lost, a backend that ended) leaves it open whether it was done.
pub(super) fn of_commit(cause: &sqlx::Error) -> Error {
    let error = storage("load", cause);
    let code = match cause {
        sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    };
    match code.get(..2) {
        Some("23" | "40") => error,
        _ => error.delivered(Delivery::Unknown),
    }
}

/// Whether the server said this SQLSTATE.
pub(super) fn is_code(cause: &Error, code: &str) -> bool {
    cause
        .detail()
        .and_then(|detail| detail.strip_suffix(code))
        .is_some_and(|rest| rest.ends_with("SQLSTATE "))
}

/// Whether the server gave up one of two transactions that stood in each other's way.
pub(super) fn is_collision(cause: &Error) -> bool {
    is_code(cause, "40P01") || is_code(cause, "40001")
}
