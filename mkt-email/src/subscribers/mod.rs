//! Subscribers from a CSV file, one row at a time: memory does not grow with the file, except for some thirty bytes
//! per address to recognise duplicates.
//!
//! Rows that do not fit are handed out as [`RowError`]s with their line, offset and bytes, never skipped in silence:
//! rows read = subscribers + quarantined + duplicates. Nothing here writes or sends.

pub(crate) mod reader;
pub(crate) mod records;

pub use reader::{Columns, Row, RowCounts, RowError, RowProblem};
