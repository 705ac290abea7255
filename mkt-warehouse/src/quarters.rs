//! The sums of `session_quarters`, which both SQL engines keep in the transaction of a slice's sessions.
//!
//! A row belongs to one slice, like the sessions that it counts. So the sums of a slice are written anew whenever its
//! sessions change: when it is loaded, and when another slice takes sessions from it. Nothing is added to or subtracted
//! from a sum that stands there; replaying and replacing cannot drift.

use crate::dialect::Dialect;

/// The table of the sums.
pub(crate) const TABLE: &str = "session_quarters";

/// The table that they are taken from.
pub(crate) const OF: &str = "sessions";

/// What brings the sums of a slice up to date, in order; the one parameter is its `load_id`.
pub(crate) fn statements(dialect: Dialect) -> [String; 2] {
    let slice = if dialect == Dialect::Sqlite { "?1" } else { "$1" };
    let sums = dialect
        .render("@quarter(start_time), count(*), @whole(sum(@int(converted))), source, site, day, load_id");
    [
        format!("delete from {TABLE} where load_id = {slice}"),
        format!(
            "insert into {TABLE} (quarter, sessions, converted_sessions, source, site, day, load_id) \
             select {sums} from {OF} where load_id = {slice} and bot is null group by 1, source, site, day, load_id"
        ),
    ]
}
