//! Reads the data set of a restricted key page by page.
//!
//! A restricted key gives one data set: its columns, order, filter, segment and sites were chosen when it was made, and a
//! call names the period and the page only. Nothing counts its rows or adds them up, so that the end is a page that is not
//! full, and there are no control totals. Source: "Restricted API Keys for Secure Data Access" on
//! <https://analytics-docs.piano.io>, and the public client `piano_analytics_export` (both read in November 2026).

use super::api::Api;
use super::query::DataQuery;
use super::report::Report;
use super::slicing::{Limits, NO_CONTENT, Portion};
use super::wire::ColumnFacts;
use crate::source::Coverage;
use mkt_connect::{Error, ErrorKind, Result};

/// A reading of one day.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    api: &'a Api,
    report: &'a Report,
    query: DataQuery,
    limits: Limits,
    read: u64,
    no_content: bool,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(api: &'a Api, report: &'a Report, query: DataQuery, limits: Limits) -> Self {
        Self { api, report, query, limits, read: 0, no_content: false, ended: false }
    }

    /// Whether the vendor said that there is no data, instead of a page.
    pub(super) fn is_without_content(&self) -> bool {
        self.no_content
    }

    /// The next rows; nothing after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Portion>> {
        if self.ended {
            return Ok(None);
        }
        let page = u64::from(self.limits.page);
        self.query.max_results = Some(self.limits.page);
        self.query.page_num = u32::try_from(self.read / page + 1).ok();
        let Some(feed) = self.api.restricted_page(&self.query).await? else {
            self.ended = true;
            // After a full page it is the end.
            self.no_content = self.read == 0;
            let notes = if self.no_content { vec![NO_CONTENT.to_owned()] } else { Vec::new() };
            return Ok(Some(Portion { notes, ..Portion::default() }));
        };
        check_columns(self.report, &feed.columns)?;
        let came = feed.rows.len() as u64;
        self.read += came;
        let mut portion = Portion { rows: feed.rows, columns: feed.columns, ..Portion::default() };
        self.ended = came < page;
        // The next page would end beyond what one query gives.
        if !self.ended && self.read + page > self.limits.rows {
            self.ended = true;
            portion.coverage = Coverage::Truncated;
            portion.notes.push(format!(
                "one query gives {} rows, all of them came, and there may be more: a restricted key cannot be asked for a \
                 part of a day",
                self.read
            ));
        }
        Ok(Some(portion))
    }
}

/// Whether the data set of the key is what the report says: otherwise rows would lack a property, and two would be one.
pub(super) fn check_columns(report: &Report, columns: &[ColumnFacts]) -> Result<()> {
    let named = || report.properties.iter().chain(&report.metrics);
    let missing = named().filter(|name| columns.iter().all(|facts| facts.name != name.as_str()));
    let missing: Vec<&str> = missing.map(super::query::Name::as_str).collect();
    let new = columns.iter().filter(|facts| named().all(|name| name.as_str() != facts.name));
    let new: Vec<&str> = new.map(|facts| facts.name.as_str()).collect();
    if missing.is_empty() && new.is_empty() {
        return Ok(());
    }
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(Error::new(ErrorKind::Input, super::SERVICE, "read rows").with_detail(format!(
        "the columns of report {} are not those of the key's data set: missing there: {}; not in the report: {}",
        report.name,
        list(&missing),
        list(&new)
    )))
}
