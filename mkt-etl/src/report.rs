//! What a run did, for people and for machines.

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

/// The result of a run.
///
/// As JSON: `slices` {state: n}, `rows` {table: n}, `read`, `quarantined`, `duplicates`, `revised`, `replayed`,
/// `changed`, `unreconciled`, `failures`, `notes`, `cancelled`, `stopped`, `seconds`. The names are stable.
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
    /// Slices that failed.
    pub failures: Vec<SliceFailure>,
    /// What a reader of the numbers should know, by slice.
    pub notes: BTreeMap<String, String>,
    /// Whether the run was stopped from outside.
    pub cancelled: bool,
    /// Why no further slice was started: credentials were refused.
    pub stopped: Option<String>,
    /// When it began, UTC.
    pub started_at: DateTime<Utc>,
    /// How long it took, by the clock that was handed in.
    pub seconds: f64,
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
            cancelled: false,
            stopped: None,
            started_at,
            seconds: 0.0,
        }
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
