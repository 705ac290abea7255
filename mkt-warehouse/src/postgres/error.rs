//! Errors of this engine: the shared mapping under this engine's name.

use mkt_connect::Error;
use mkt_connect::sql::postgres;

pub(super) const SERVICE: &str = "postgres";

/// Of any statement.
pub(super) fn storage(operation: &'static str, cause: &sqlx::Error) -> Error {
    postgres::error(SERVICE, operation, cause)
}
