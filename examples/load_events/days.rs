//! Which days are to be looked at: those of the file, and those that an earlier file of the same key had.

use chrono::{NaiveDate, TimeDelta};
use mkt_connect::Result;
use mkt_etl::Window;
use mkt_warehouse::{ColumnType, Query, Value, Warehouse};
use std::collections::BTreeSet;

/// A gap of more days than this begins another window: looking at an empty day costs a transaction.
const GAP: i64 = 31;

/// The streams of sessions and events of a key.
pub(crate) fn streams(key: &str) -> [String; 2] {
    [format!("{}:{key}", mkt_etl::csv::SESSIONS), format!("{}:{key}", mkt_etl::csv::EVENTS)]
}

/// The days on which the ledger says that this key holds rows.
pub(crate) async fn held(warehouse: &dyn Warehouse, site: &str, key: &str) -> Result<Vec<NaiveDate>> {
    let [sessions, events] = streams(key);
    let query = Query::new(
        "select distinct window_from from loads \
         where source = 'csv' and site = :1 and stream in (:2, :3) and row_count > 0 order by window_from",
    )
    .bind(Value::Text(site.to_owned()))
    .bind(Value::Text(sessions))
    .bind(Value::Text(events))
    .column("window_from", ColumnType::Date);
    let days = warehouse.query(&query).await?;
    Ok((0..days.rows()).filter_map(|row| days.read(row, "window_from").ok()).collect())
}

/// Runs of days without long gaps, in order.
pub(crate) fn windows(days: impl Iterator<Item = NaiveDate>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for day in days.collect::<BTreeSet<_>>() {
        match windows.last_mut() {
            Some(last) if day - last.until <= TimeDelta::days(GAP) => *last = Window::days(last.from, day),
            _ => windows.push(Window::days(day, day)),
        }
    }
    windows
}
