//! The freshness of each stream, from the ledger.
//!
//! `report::etl_status` of mkt-warehouse answers the same question for any loader from `loads`; this one knows what the
//! pipeline knows besides: failures, quarantine, reconciliation, and which days are waited for.

use crate::ledger::{SliceRow, read_rows};
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::Result;
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Query, Record, Warehouse};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A stream of a source for a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// The source.
    pub source: String,
    /// The stream.
    pub stream: String,
    /// The site.
    pub site: String,
    /// Slices by state.
    pub slices: BTreeMap<String, u64>,
    /// The newest day that was read; none where nothing was, or the stream has no days.
    pub newest_day: Option<NaiveDate>,
    /// The last day up to which every day that the ledger knows is final: numbers until here stand.
    pub settled_until: Option<NaiveDate>,
    /// The first day that is not final.
    pub waits_for: Option<NaiveDate>,
    /// When a slice last changed, failures included.
    pub last_change: DateTime<Utc>,
    /// Slices whose last read failed.
    pub failing: u64,
    /// The kind of error of the slice that failed most often.
    pub last_error: Option<String>,
    /// Slices whose control totals disagree.
    pub unreconciled: u64,
    /// Rows that the slices hold.
    pub rows: u64,
    /// Records that were set aside.
    pub quarantined: u64,
}

/// The status of every stream in the ledger, by source, stream and site. Reads; changes nothing.
///
/// # Errors
/// Of the engine; `Input` when the ledger's tables were never made.
pub async fn status(warehouse: &dyn Warehouse) -> Result<Vec<StreamStatus>> {
    let rows: Vec<SliceRow> = read_rows(warehouse, &Query::table(&SliceRow::SCHEMA)).await?;
    Ok(summarise(&rows))
}

/// Sums up ledger rows. Pure.
#[must_use]
pub fn summarise(rows: &[SliceRow]) -> Vec<StreamStatus> {
    let mut streams: BTreeMap<(&str, &str, &str), Vec<&SliceRow>> = BTreeMap::new();
    for row in rows {
        streams.entry((&row.source, &row.stream, &row.site)).or_default().push(row);
    }
    streams.into_values().filter_map(|rows| one(&rows)).collect()
}

fn one(rows: &[&SliceRow]) -> Option<StreamStatus> {
    let first = rows.first()?;
    let mut slices: BTreeMap<String, u64> = BTreeMap::new();
    let mut days: BTreeMap<NaiveDate, bool> = BTreeMap::new();
    let mut newest_day = None;
    for row in rows {
        *slices.entry(row.state.to_string()).or_default() += 1;
        // A stream without days has one slice of all of them.
        if row.window_from.succ_opt() == Some(row.window_until) {
            days.insert(row.window_from, row.is_final && row.failed_attempts == 0);
            if row.fingerprint.is_some() {
                newest_day = newest_day.max(Some(row.window_from));
            }
        }
    }
    let waits_for = days.iter().find(|(_, is_final)| !**is_final).map(|(day, _)| *day);
    let settled_until = days.iter().take_while(|(_, is_final)| **is_final).last().map(|(day, _)| *day);
    let worst = rows.iter().filter(|row| row.failed_attempts > 0).max_by_key(|row| row.failed_attempts);
    let unsigned = |value: i64| u64::try_from(value).unwrap_or_default();
    Some(StreamStatus {
        source: first.source.clone(),
        stream: first.stream.clone(),
        site: first.site.clone(),
        slices,
        newest_day,
        settled_until,
        waits_for,
        last_change: rows.iter().map(|row| row.changed_at).max()?,
        failing: rows.iter().filter(|row| row.failed_attempts > 0).count() as u64,
        last_error: worst.and_then(|row| row.last_error.clone()),
        unreconciled: rows.iter().filter(|row| row.reconciled == Some(false)).count() as u64,
        rows: rows.iter().flat_map(|row| row.rows_by_table().into_values()).sum(),
        quarantined: rows.iter().map(|row| unsigned(row.records_quarantined)).sum(),
    })
}

impl StreamStatus {
    /// Slices in a state.
    #[must_use]
    pub fn in_state(&self, state: SliceState) -> u64 {
        self.slices.get(state.as_str()).copied().unwrap_or_default()
    }
}

impl fmt::Display for StreamStatus {
    /// One line for people: `matomo/visits/1: read until 2026-11-24, final until 2026-11-20, changed 2026-11-24 06:00 UTC; …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}:", self.source, self.stream, self.site)?;
        if let Some(day) = self.newest_day {
            write!(f, " read until {day},")?;
        }
        match self.settled_until {
            Some(day) => write!(f, " final until {day},")?,
            None if self.waits_for.is_some() => write!(f, " nothing final yet,")?,
            None => {}
        }
        write!(f, " changed {}", self.last_change.format("%Y-%m-%d %H:%M UTC"))?;
        let states: Vec<String> = self.slices.iter().map(|(state, n)| format!("{n} {state}")).collect();
        write!(f, "; slices: {}; {} rows", states.join(", "), self.rows)?;
        if self.quarantined > 0 {
            write!(f, "; {} records set aside", self.quarantined)?;
        }
        if self.unreconciled > 0 {
            write!(f, "; {} slices differ from their control totals", self.unreconciled)?;
        }
        match (&self.last_error, self.failing) {
            (Some(error), failing) => write!(f, "; {failing} failing ({error})"),
            (None, _) => Ok(()),
        }
    }
}
