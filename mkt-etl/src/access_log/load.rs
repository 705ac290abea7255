//! Loads access logs into a warehouse, and refuses what would lose page views that were loaded before.

use super::index::key_of;
use super::slice::{Equal, event_id};
use super::visits::Viewed;
use super::{AccessLog, FileFindings, REQUESTS, SERVICE, blocking};
use crate::ledger;
use crate::pipeline::{Pipeline, Progress};
use crate::source::{AnalyticsSource, Window};
use chrono::{NaiveDate, TimeDelta};
use mkt_connect::{Error, ErrorKind, Result, Stop};
use mkt_warehouse::{ColumnType, Query, SliceKey, Value, Warehouse, model};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A gap of more days than this begins another window: looking at an empty day costs a transaction.
const GAP: i64 = 31;

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// A load of access logs: the days of the files are replaced, each whole or not at all; other days stay.
///
/// A day may grow, as a log does. It is refused where page views that were loaded before are not in the files (a log was
/// rotated, and only its younger half was given), unless [`replace`](Self::replace) allows it.
///
/// ```
/// use mkt_connect::{Secret, Stop};
/// use mkt_etl::access_log::{AccessLog, Load};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("access.log");
/// # std::fs::write(&path, "192.0.2.1 - - [02/May/2026:19:10:24 +0200] \"GET / HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0 (X11)\"\n")?;
/// let log = AccessLog::builder("shop", chrono_tz::Europe::Paris, Secret::new("random")).file(path).build()?;
/// let loaded = Load::new(log, mkt_warehouse::Sqlite::in_memory().await?).run(&Stop::new()).await?;
/// assert_eq!((loaded.read, loaded.loaded, loaded.bots, loaded.quarantined, loaded.sessions), (1, 1, 0, 0, 1));
/// # Ok(())
/// # }
/// ```
pub struct Load {
    source: AccessLog,
    warehouse: Arc<dyn Warehouse>,
    replace: bool,
    progress: Option<OnProgress>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("source", &self.source)
            .field("replace", &self.replace)
            .finish_non_exhaustive()
    }
}

/// What a load did: read = loaded + bots + quarantined.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Loaded {
    /// Lines read, without blank ones and directives.
    pub read: u64,
    /// Lines of people: events, and numbers of the report `requests`.
    pub loaded: u64,
    /// Lines of robots: numbers of the report `bots`, by the rule that fired.
    pub bots: u64,
    /// Lines set aside.
    pub quarantined: u64,
    /// Page views and downloads.
    pub events: u64,
    /// Visits.
    pub sessions: u64,
    /// Whether anything was written now.
    pub changed: bool,
    /// The host that was taken for the site's own.
    pub found_host: Option<String>,
    /// What was found out about each file.
    pub files: Vec<FileFindings>,
    /// Whether the load was stopped.
    #[serde(skip)]
    pub cancelled: bool,
}

impl Load {
    /// A load of these logs into this warehouse.
    #[must_use]
    pub fn new(source: AccessLog, warehouse: impl Warehouse) -> Self {
        Self { source, warehouse: Arc::new(warehouse), replace: false, progress: None }
    }

    /// Allows that page views of the files' days that are not in the files are removed. Default: such a load is refused.
    #[must_use]
    pub fn replace(mut self, yes: bool) -> Self {
        self.replace = yes;
        self
    }

    /// Called after every slice.
    #[must_use]
    pub fn on_progress(mut self, call: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(call));
        self
    }

    /// Loads. Stopped, it leaves whole days, loaded or not.
    ///
    /// # Errors
    /// Of the files and of the warehouse; `Input` where page views would be lost, and where a slice cannot be loaded.
    pub async fn run(&self, stop: &Stop) -> Result<Loaded> {
        let files = self.source.findings().await?;
        let days = self.source.days().await?;
        let mut loaded =
            Loaded { found_host: self.source.found_host().await?.map(|(host, _)| host), ..Loaded::default() };
        for file in &files {
            loaded.read += file.read;
            loaded.loaded += file.loaded;
            loaded.bots += file.bots;
            loaded.quarantined += file.quarantined;
        }
        loaded.files = files;
        self.warehouse.migrate(&model::SCHEMA).await?;
        self.warehouse.migrate(&ledger::SCHEMA).await?;
        if !self.replace {
            self.refuse_losses(days.iter().copied()).await?;
        }
        for window in windows(days.into_iter()) {
            let pipeline = Pipeline::new(self.source.clone(), Arc::clone(&self.warehouse)).concurrency(1);
            let pipeline = match self.progress.clone() {
                Some(call) => pipeline.on_progress(move |slice| call(slice)),
                None => pipeline,
            };
            let report = pipeline.run_until(window, stop.requested()).await?;
            if let Some(failure) = report.failures.first() {
                return Err(Error::new(ErrorKind::Input, SERVICE, "load a log")
                    .with_detail(format!("{}: {}", failure.slice, failure.message)));
            }
            let rows = |table: &str| report.rows.get(table).copied().unwrap_or_default();
            loaded.events += rows("events");
            loaded.sessions += rows("sessions");
            loaded.changed |= report.changed;
            loaded.cancelled = report.cancelled;
            if loaded.cancelled {
                break;
            }
        }
        Ok(loaded)
    }

    /// Refuses days of which the warehouse holds page views that the files do not.
    async fn refuse_losses(&self, days: impl Iterator<Item = NaiveDate>) -> Result<()> {
        let site = self.source.0.settings.site.clone();
        let known: BTreeMap<SliceKey, Option<String>> = ledger::slices(&*self.warehouse, SERVICE, &site)
            .await?
            .into_iter()
            .filter(|(key, row)| key.stream == REQUESTS && row.records_loaded > 0)
            .map(|(key, row)| (key, row.version))
            .collect();
        let mut lost: Vec<(NaiveDate, usize, usize)> = Vec::new();
        for day in days {
            let slice = SliceKey::day(SERVICE, REQUESTS, &site, day);
            let Some(version) = known.get(&slice) else { continue };
            if *version == self.source.version(&slice).await? {
                continue;
            }
            let held = self.held(&slice).await?;
            let inner = Arc::clone(&self.source.0);
            let missing = blocking(move || {
                let disk =
                    |cause| Error::new(ErrorKind::Storage, SERVICE, "read kept records").with_source(cause);
                let index = inner.index()?;
                let mut ids = HashSet::new();
                let mut events = index.events.read(key_of(day)).map_err(disk)?;
                let mut equal = Equal::default();
                while let Some(viewed) = Viewed::take(&mut events).map_err(disk)? {
                    ids.insert(event_id(&inner.settings.site, viewed.line, equal.before(viewed.line)));
                }
                let missing = held.iter().filter(|id| !ids.contains(id)).count();
                Ok((missing, held.len()))
            })
            .await?;
            if missing.0 > 0 {
                lost.push((day, missing.0, missing.1));
            }
        }
        let Some((day, missing, held)) = lost.first() else { return Ok(()) };
        let more = if lost.len() > 1 { format!(", and {} more days", lost.len() - 1) } else { String::new() };
        Err(Error::new(ErrorKind::Input, SERVICE, "load a log").with_detail(format!(
            "{missing} of {held} page views that are loaded of {day} are not in these files{more}: give all files that hold \
             lines of these days, with the secret of that load, or allow that they are removed (replace)"
        )))
    }

    /// The ids of the events that a slice holds.
    async fn held(&self, slice: &SliceKey) -> Result<Vec<i64>> {
        let query = Query::new("select event_id from events where load_id = :1")
            .bind(Value::Int(slice.load_id()))
            .column("event_id", ColumnType::Int);
        let table = self.warehouse.query(&query).await?;
        Ok((0..table.rows())
            .filter_map(|row| match table.value(row, "event_id") {
                Value::Int(id) => Some(id),
                _ => None,
            })
            .collect())
    }
}

/// Runs of days without long gaps, in order.
fn windows(days: impl Iterator<Item = NaiveDate>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for day in days {
        match windows.last_mut() {
            Some(last) if day - last.until <= TimeDelta::days(GAP) => *last = Window::days(last.from, day),
            _ => windows.push(Window::days(day, day)),
        }
    }
    windows
}
