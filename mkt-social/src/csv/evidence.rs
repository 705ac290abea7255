//! The first look at a file: what its columns prove before any cell is read.

use std::io::Read;

use mkt_connect::table::cell::{DateEvidence, DateOrder, Missing};
use mkt_connect::table::{Decided, ReadError, Table};

use super::columns::{Columns, Field};

/// Rows that are always looked at. More are read only while a question is open that later rows can answer.
const SAMPLE: u64 = 1_000;

/// What the columns prove.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The order of day and month; `None` if no cell proves it.
    pub(super) date_order: Option<Decided<DateOrder>>,
    /// Whether no time of publication has a time of day.
    pub(super) day_only: bool,
    /// Names of metrics columns without any value, by their place in [`Columns::read`].
    pub(super) empty: Vec<usize>,
}

/// Looks at the rows of a table: a thousand, or all of them while the date order is open or a column is empty so far.
pub(super) fn gather<R: Read>(
    table: &mut Table<R>,
    columns: &Columns,
    missing: &Missing,
    declared: Option<DateOrder>,
) -> Result<Evidence, ReadError> {
    let mut empty: Vec<usize> =
        (0..columns.read.len()).filter(|place| matches!(columns.read[*place].1, Field::Count(_))).collect();
    let mut dates = DateEvidence::default();
    let (mut rows, mut with_time, mut without_time) = (0_u64, 0_u64, 0_u64);
    while rows < SAMPLE
        || !empty.is_empty()
        || (declared.is_none() && dates.ambiguous().is_some() && dates.decide(None).is_none())
    {
        let Some(row) = table.next()? else { break };
        let Ok(record) = row else { continue };
        rows += 1;
        let time = record.cell(columns.published_at);
        if !missing.is(time) {
            dates.see(time, record.line());
            // Numbers since 1970 are refused or declared, not days.
            if time.contains(':') || time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                with_time += 1;
            } else {
                without_time += 1;
            }
        }
        empty.retain(|place| missing.is(record.cell(columns.read[*place].0)));
    }
    let empty = if rows == 0 { Vec::new() } else { empty };
    Ok(Evidence { date_order: dates.decide(declared), day_only: with_time == 0 && without_time > 0, empty })
}
