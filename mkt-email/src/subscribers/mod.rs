//! Subscribers from a CSV file, row by row: memory does not grow with the file, except for some thirty bytes per address
//! to recognise duplicates.
//!
//! Rows that cannot be used are returned as [`Quarantined`](mkt_connect::table::Quarantined) with line, offset, bytes and
//! reason, never skipped silently: rows read = subscribers + quarantined + duplicates. Nothing here writes or sends.

pub(crate) mod reader;

pub use reader::{Options, Row, RowCounts};
