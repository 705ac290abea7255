//! The report of a pipeline run and its exit code.

use crate::job::Turn;
use crate::source::SiteFailure;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::SliceState;
use serde::Serialize;
use std::collections::BTreeMap;

/// A slice that could not be read or loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SliceFailure {
    /// The slice: `matomo/visits/1 2026-03-27`.
    pub slice: String,
    /// The kind of the error, in lower case: `auth`, `unavailable`, ….
    pub kind: String,
    /// The error in one clause.
    pub message: String,
}

impl SliceFailure {
    pub(crate) fn new(slice: &SliceKey, error: &Error) -> Self {
        Self {
            slice: slice.to_string(),
            kind: kind_name(error.kind()).to_owned(),
            message: error.to_string(),
        }
    }
}

/// Why a run stopped before its last slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoppedBy {
    /// The credentials were refused. Further attempts could lock the account.
    Refusal,
    /// The source could not be reached several times in a row.
    Outage,
}

/// The result of a run.
///
/// As JSON: `slices` {state: n}, `rows` {table: n}, `read`, `quarantined`, `duplicates`, `revised`, `replayed`,
/// `changed`, `unreconciled`, `failures`, `notes`, `drift`, `elsewhere`, `cancelled`, `stopped`, `stopped_by`, `started_at`, `seconds`. The
/// names are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// Slices of the window by state, after the run.
    pub slices: BTreeMap<String, u64>,
    /// Rows that these slices hold, by table, whether written now or before.
    pub rows: BTreeMap<String, u64>,
    /// Records read in these slices; read = loaded + quarantined + duplicates.
    pub read: u64,
    /// Records set aside.
    pub quarantined: u64,
    /// Records that repeat another one.
    pub duplicates: u64,
    /// Slices whose content changed since they were first loaded.
    pub revised: u64,
    /// Slices that were settled, or read again with the same result: nothing was written for them.
    pub replayed: u64,
    /// Whether anything was written.
    pub changed: bool,
    /// Slices whose control totals disagree, with the difference.
    pub unreconciled: BTreeMap<String, String>,
    /// Slices that failed, and sites that cannot be read (as `SOURCE/SITE`).
    pub failures: Vec<SliceFailure>,
    /// What a reader of the numbers should know, by slice.
    pub notes: BTreeMap<String, String>,
    /// What differs in form from what the source's connector knows, and in how many of the slices that were read now:
    /// `events.csv: "coupon" is new`.
    pub drift: BTreeMap<String, u64>,
    /// Rows of the slices that were read now that stand already in other streams of the source, by stream: they are not
    /// loaded again and count as duplicates.
    pub elsewhere: BTreeMap<String, u64>,
    /// Whether the run was stopped from outside.
    pub cancelled: bool,
    /// Why no further slice was started, in a sentence.
    pub stopped: Option<String>,
    /// Why no further slice was started.
    pub stopped_by: Option<StoppedBy>,
    /// When it began, UTC.
    pub started_at: DateTime<Utc>,
    /// How long it took, by the pipeline's clock.
    pub seconds: f64,
    /// How many of the failures are sites and not slices.
    #[serde(skip)]
    failed_sites: u64,
}

impl RunReport {
    pub(crate) fn new(started_at: DateTime<Utc>) -> Self {
        Self {
            slices: BTreeMap::new(),
            rows: BTreeMap::new(),
            read: 0,
            quarantined: 0,
            duplicates: 0,
            revised: 0,
            replayed: 0,
            changed: false,
            unreconciled: BTreeMap::new(),
            failures: Vec::new(),
            notes: BTreeMap::new(),
            drift: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            cancelled: false,
            stopped: None,
            stopped_by: None,
            started_at,
            seconds: 0.0,
            failed_sites: 0,
        }
    }

    /// Enters a site that cannot be read among the failures, as `SOURCE/SITE`.
    pub(crate) fn add_site_failure(&mut self, source: &str, failure: &SiteFailure) {
        self.failed_sites += 1;
        self.failures.push(SliceFailure {
            slice: format!("{source}/{}", failure.site),
            kind: failure.kind.clone(),
            message: failure.message.clone(),
        });
    }

    /// Notes why no further slice is started; the first reason stands.
    pub(crate) fn stop(&mut self, by: StoppedBy, error: &str, failures: u32) {
        if self.stopped_by.is_some() {
            return;
        }
        self.stopped_by = Some(by);
        self.stopped = Some(match by {
            StoppedBy::Refusal => error.to_owned(),
            StoppedBy::Outage => {
                format!("{failures} slices in a row could not be read, the last one: {error}")
            }
        });
    }

    /// Slices in a state.
    #[must_use]
    pub fn in_state(&self, state: SliceState) -> u64 {
        self.slices.get(state.as_str()).copied().unwrap_or_default()
    }

    /// Whether every slice of the window was read and loaded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && !self.cancelled && self.stopped.is_none()
    }

    /// Whether it was stopped because the credentials were refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.stopped_by == Some(StoppedBy::Refusal)
    }

    /// Whether it achieved nothing: it was stopped early by the source, or every slice failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        let slices: u64 = self.slices.values().sum();
        self.stopped_by.is_some() || (slices > 0 && self.failures.len() as u64 - self.failed_sites == slices)
    }

    /// The exit code of a program that ran this and nothing else, for cron, systemd and monitoring.
    ///
    /// | code | means | what to do |
    /// |---|---|---|
    /// | 0 | every slice was read and loaded, or stood there already | nothing |
    /// | 3 | some slices failed, all others are loaded | the next run tries them again; look if it stays |
    /// | 4 | the credentials were refused, nothing further was tried | mend them; do not run again before |
    /// | 5 | the source could not be reached several times in a row, and the run gave up | run again later |
    /// | 130 | it was stopped from outside | run again to go on |
    ///
    /// 1 is for what never came to a report (see [`exit_code`]), 2 for options that do not read.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.stopped_by {
            Some(StoppedBy::Refusal) => 4,
            Some(StoppedBy::Outage) => 5,
            None if self.cancelled => 130,
            None if !self.failures.is_empty() => 3,
            None => 0,
        }
    }
}

/// The exit code of a turn: of its report, 0 when another process held the lock, and for an error 4 (credentials refused),
/// 5 (the source cannot be reached, or wants to be left alone), 130 (cancelled) or 1.
#[must_use]
pub fn exit_code(outcome: &Result<Turn, Error>) -> u8 {
    match outcome {
        Ok(Turn::Ran(report)) => report.exit_code(),
        Ok(Turn::AlreadyRunning) => 0,
        Err(error) => exit_code_of(error),
    }
}

/// The exit code of an error, see [`exit_code`].
#[must_use]
pub fn exit_code_of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Auth => 4,
        ErrorKind::Unavailable | ErrorKind::RateLimited => 5,
        ErrorKind::Cancelled => 130,
        _ => 1,
    }
}

/// Failures, differences, notes and drift of a run as lines of text, at most five of each kind: the ledger has all.
pub(crate) fn remarks(report: &RunReport) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = Vec::new();
    let mut add = |what: &str, found: Vec<String>| {
        let more = found.len().saturating_sub(SHOWN);
        lines.extend(found.into_iter().take(SHOWN).map(|line| format!("{what}: {line}")));
        if more > 0 {
            lines.push(format!("{what}: {more} more"));
        }
    };
    let pairs = |map: &BTreeMap<String, String>| -> Vec<String> {
        map.iter().map(|(slice, text)| format!("{slice}: {text}")).collect()
    };
    add("failed", report.failures.iter().map(|it| format!("{}: {}", it.slice, it.message)).collect());
    add("differs from its control totals", pairs(&report.unreconciled));
    add("note", pairs(&report.notes));
    add("form", report.drift.iter().map(|(change, n)| format!("{change} ({n} slices)")).collect());
    lines.extend(report.stopped.iter().map(|why| format!("stopped early: {why}")));
    lines
}

/// The name of an error kind in the ledger and in reports.
pub(crate) fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "config",
        ErrorKind::Input => "input",
        ErrorKind::Auth => "auth",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Conflict => "conflict",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Storage => "storage",
        ErrorKind::Cancelled => "cancelled",
        _ => "other",
    }
}
