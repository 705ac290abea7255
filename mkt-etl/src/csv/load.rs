//! Loads files into a warehouse under their key, says what that replaces, and refuses what would be lost unasked.

use super::{CsvSource, FileFindings, FileKind, SERVICE};
use crate::ledger;
use crate::pipeline::{Pipeline, Progress};
use crate::source::Window;
use chrono::{NaiveDate, TimeDelta};
use mkt_connect::{Error, ErrorKind, Result, Stop};
use mkt_warehouse::{Warehouse, model};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A gap of more days than this begins another window: looking at an empty day costs a transaction.
const GAP: i64 = 31;

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// A load of files: the rows of a key become those of the files, day by day.
///
/// ```
/// use mkt_etl::csv::{CsvSource, Load};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("january.csv");
/// # std::fs::write(&path, "user_id,event_type,timestamp,channel\nu1,purchase,2026-01-02 19:10:24,email\n")?;
/// let source = CsvSource::builder("shop", chrono_tz::Europe::Paris).events(path).key("january").build()?;
/// let loaded = Load::new(source, mkt_warehouse::Sqlite::in_memory().await?).run(&mkt_connect::Stop::new()).await?;
/// assert_eq!((loaded.read, loaded.loaded, loaded.removed), (1, 1, 0));
/// # Ok(())
/// # }
/// ```
pub struct Load {
    source: CsvSource,
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

/// What a load did: read = loaded + replayed + quarantined + duplicates.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Loaded {
    /// Records read.
    pub read: u64,
    /// Rows of days of which anything was written now.
    pub loaded: u64,
    /// Records set aside.
    pub quarantined: u64,
    /// Rows that stood there already, unchanged.
    pub replayed: u64,
    /// Records that repeat an earlier one, or that stand already under another key.
    pub duplicates: u64,
    /// Days of which anything was written.
    pub days_changed: u64,
    /// Rows that stood under this key before and do not any more.
    pub removed: u64,
    /// Of them, rows of days that the files do not cover.
    pub removed_of_other_days: u64,
    /// Records that stand already under other keys, by stream.
    pub elsewhere: BTreeMap<String, u64>,
    /// What was found out about each file.
    pub files: Vec<FileFindings>,
    /// Whether the load was stopped.
    #[serde(skip)]
    pub cancelled: bool,
}

impl Loaded {
    /// Whether the files hold records and none of them is in the warehouse.
    #[must_use]
    pub fn is_fruitless(&self) -> bool {
        self.read > 0 && self.loaded + self.replayed + self.duplicates == 0
    }

    /// Words for channels that are not known, over all files, and in how many records.
    #[must_use]
    pub fn unknown_channels(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for (word, records) in self.files.iter().flat_map(|file| &file.unknown_channels) {
            *all.entry(word.as_str()).or_default() += records;
        }
        all
    }
}

impl Load {
    /// A load of these files into this warehouse.
    #[must_use]
    pub fn new(source: CsvSource, warehouse: impl Warehouse) -> Self {
        Self { source, warehouse: Arc::new(warehouse), replace: false, progress: None }
    }

    /// Allows that rows of days that the files do not cover are removed. Default: such a load is refused. Rows of days that
    /// the files cover are replaced in any case, and what that removes is counted.
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
    /// Of the files and of the warehouse; `Input` where rows of days that the files do not cover would be removed, and
    /// where a slice cannot be loaded.
    pub async fn run(&self, stop: &Stop) -> Result<Loaded> {
        let days = self.source.days_with_records().await?;
        let files = self.source.findings().await?;
        self.warehouse.migrate(&model::SCHEMA).await?;
        self.warehouse.migrate(&ledger::SCHEMA).await?;
        let before = self.held().await?;
        let uncovered: BTreeMap<NaiveDate, u64> = {
            let mut uncovered = BTreeMap::new();
            for ((_, day), rows) in before.iter().filter(|((_, day), _)| !days.contains(day)) {
                *uncovered.entry(*day).or_default() += rows;
            }
            uncovered
        };
        let lost: u64 = uncovered.values().sum();
        if lost > 0 && !self.replace {
            return Err(self.refusal(&uncovered, lost));
        }
        let mut loaded = Loaded { files, ..Loaded::default() };
        let all_days: BTreeSet<NaiveDate> = days.iter().chain(uncovered.keys()).copied().collect();
        let mut spans = windows(all_days.into_iter());
        if spans.is_empty() && self.has_whole_files() {
            // Customers and costs have no days.
            let day = super::whole_day();
            spans.push(Window::days(day, day));
        }
        for window in spans {
            self.load(window, stop, &mut loaded).await?;
            if loaded.cancelled {
                return Ok(loaded);
            }
        }
        let after = self.held().await?;
        for (slice, rows) in &before {
            let removed = rows.saturating_sub(after.get(slice).copied().unwrap_or_default());
            loaded.removed += removed;
            if uncovered.contains_key(&slice.1) {
                loaded.removed_of_other_days += removed;
            }
        }
        Ok(loaded)
    }

    fn has_whole_files(&self) -> bool {
        let files = &self.source.0.files;
        files.contains_key(&FileKind::Customers) || files.contains_key(&FileKind::Costs)
    }

    fn refusal(&self, uncovered: &BTreeMap<NaiveDate, u64>, rows: u64) -> Error {
        let key = self.source.0.settings.key.as_deref().unwrap_or("none");
        let (first, last) = (uncovered.keys().next(), uncovered.keys().next_back());
        let shown = |day: Option<&NaiveDate>| day.map(ToString::to_string).unwrap_or_default();
        Error::new(ErrorKind::Input, SERVICE, "load files").with_detail(format!(
            "the key {key:?} holds {rows} rows of {} days ({} to {}) that these files do not cover: loading would remove \
             them; allow that (replace), or load the files under another key",
            uncovered.len(),
            shown(first),
            shown(last)
        ))
    }

    /// Rows that this key holds, by stream and day.
    async fn held(&self) -> Result<BTreeMap<(String, NaiveDate), u64>> {
        let settings = &self.source.0.settings;
        let slices = ledger::slices(&*self.warehouse, SERVICE, &settings.site).await?;
        // Of streams that this load does not touch, nothing is removed.
        let touched: Vec<String> = [FileKind::Sessions, FileKind::Events]
            .iter()
            .filter(|kind| self.source.0.files.contains_key(kind))
            .map(|kind| settings.stream(*kind).into_owned())
            .collect();
        Ok(slices
            .into_iter()
            .filter(|(key, row)| touched.contains(&key.stream) && row.records_loaded > 0)
            .map(|(key, row)| ((key.stream, key.from), u64::try_from(row.records_loaded).unwrap_or_default()))
            .collect())
    }

    async fn load(&self, window: Window, stop: &Stop, loaded: &mut Loaded) -> Result<()> {
        let counts: Arc<[AtomicU64; 3]> = Arc::default();
        let pipeline = Pipeline::new(self.source.clone(), Arc::clone(&self.warehouse)).on_progress({
            let (counts, progress) = (Arc::clone(&counts), self.progress.clone());
            move |slice| {
                let [written, kept, changed] = &*counts;
                let rows = if slice.changed { written } else { kept };
                // Rows that follow from others, such as the campaigns of costs, are no records of the file.
                let records = slice.rows.min(slice.read.saturating_sub(slice.quarantined));
                rows.fetch_add(records, Ordering::Relaxed);
                changed.fetch_add(u64::from(slice.changed), Ordering::Relaxed);
                if let Some(call) = &progress {
                    call(slice);
                }
            }
        });
        let report = pipeline.run_until(window, stop.requested()).await?;
        if let Some(failure) = report.failures.first() {
            return Err(Error::new(ErrorKind::Input, SERVICE, "load files")
                .with_detail(format!("{}: {}", failure.slice, failure.message)));
        }
        let [written, kept, changed] = &*counts;
        loaded.read += report.read;
        loaded.quarantined += report.quarantined;
        loaded.duplicates += report.duplicates;
        loaded.loaded += written.load(Ordering::Relaxed);
        loaded.replayed += kept.load(Ordering::Relaxed);
        loaded.days_changed += changed.load(Ordering::Relaxed);
        loaded.cancelled = report.cancelled;
        for (stream, rows) in report.elsewhere {
            *loaded.elsewhere.entry(stream).or_default() += rows;
        }
        Ok(())
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
