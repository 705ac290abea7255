//! Reads slices from a source and loads them into a warehouse, each one whole or not at all.
//!
//! The pipeline decides which slices to read, runs several at once, checks that counts add up, and commits the ledger
//! with the rows. It knows no vendor and no engine; what a slice's state is, [`crate::settle`] decides.

mod due_slices;
mod held;
mod policy;
mod progress;
mod site;
mod slice;

pub use due_slices::DueSlices;
pub use policy::Again;
pub use progress::Progress;

use crate::aggregate::{self, Basis};
use crate::due::{self, Known};
use crate::ledger::{self, SliceRow};
use crate::run_report::{RunReport, SliceFailure, StoppedBy, kind_name};
use crate::source::{
    AnalyticsSource, Capabilities, Finality, Grain, Kind, MAX_DAYS, SiteFacts, Stream, Totals, Window,
};
use crate::zone;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use mkt_connect::Stop;
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::{ErrorKind, Result};
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{SliceKey, Warehouse, model};
use policy::Circuit;
use slice::{Job, Outcome, Ready, Step};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Instrument;

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Which days a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// These, in each site's zone.
    Days(Window),
    /// These, with days between them that are left alone.
    Windows(Vec<Window>),
    /// Those that are due when it runs ([`crate::due`]), from this day on.
    Due {
        /// The first day that is wanted.
        since: Option<NaiveDate>,
    },
}

impl From<Window> for Extent {
    fn from(window: Window) -> Self {
        Self::Days(window)
    }
}

/// Loads slices from a source into a warehouse.
///
/// ```
/// use chrono::NaiveDate;
/// use mkt_etl::{Memory, Pipeline, Window};
/// use mkt_warehouse::Sqlite;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// let day: NaiveDate = "2026-03-28".parse().unwrap();
/// let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
/// let pipeline = Pipeline::new(source, Sqlite::in_memory().await?);
/// let report = pipeline.run(Window::days(day, day)).await?;
/// assert_eq!(report.rows["events"], 0);
/// # Ok(())
/// # }
/// ```
///
/// # What holds
/// - A slice is loaded whole or not at all, and its ledger row with it; dropping the future of [`run`](Self::run) at
///   any point leaves whole slices. Memory is bounded by the largest slice times the number of slices at once, and by
///   [`max_rows`](Self::max_rows); pages are dropped as they are taken over.
/// - A final slice (settled, or as complete as the source will ever tell it) is not read again, unless the source tells
///   another version of it, or [`again`](Self::again) says so. Any other slice is read again
///   and replaced if its content changed; the change is kept in `etl_revisions`. A slice that lost a row to another
///   slice is read and loaded again by the next run over it, settled or not.
/// - A slice of which rows were read is not replaced by a zero that the source's control totals contradict: that is a
///   failure of the slice, and its rows stay.
/// - Slices that were read while others were being written are committed together. Where the source is at hand
///   ([`Capabilities::at_hand()`]), all slices of a run are: they are seen when it is over, and a run that is stopped leaves
///   what it loaded.
/// - When nothing changed, nothing is written.
/// - Refused credentials end the run: no further slice is started. So does a source that cannot be reached several
///   times in a row ([`give_up_after`](Self::give_up_after)). Any other failure of a slice is noted in the ledger
///   and the report, and leaves the rows of that slice as they were.
/// - Where a source tells visits and has no stream of daily numbers, `daily_metrics` are counted from its visits
///   ([`aggregate::derive_daily`]).
pub struct Pipeline {
    source: Arc<dyn AnalyticsSource>,
    warehouse: Arc<dyn Warehouse>,
    clock: Arc<dyn Clock>,
    streams: Option<Vec<String>>,
    sites: Option<Vec<String>>,
    concurrency: usize,
    max_rows: u64,
    again: Again,
    error_budget: Option<f64>,
    give_up_after: u32,
    lookback: Option<u32>,
    progress: Option<OnProgress>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("source", &self.source)
            .field("warehouse", &self.warehouse)
            .field("streams", &self.streams)
            .field("sites", &self.sites)
            .field("concurrency", &self.concurrency)
            .field("max_rows", &self.max_rows)
            .field("again", &self.again)
            .field("error_budget", &self.error_budget)
            .field("give_up_after", &self.give_up_after)
            .field("lookback", &self.lookback)
            .finish_non_exhaustive()
    }
}

/// What is to be read of a site.
struct SitePlan {
    site: Arc<SiteFacts>,
    jobs: Vec<Job>,
    /// All days of the jobs.
    window: Option<Window>,
}

impl Pipeline {
    /// A pipeline with the system's clock, all streams and sites, four slices at once, at most two million rows in
    /// a slice, and five failures in a row until it gives up.
    #[must_use]
    pub fn new(source: impl AnalyticsSource, warehouse: impl Warehouse) -> Self {
        Self {
            source: Arc::new(source),
            warehouse: Arc::new(warehouse),
            clock: Arc::new(SystemClock::new()),
            streams: None,
            sites: None,
            concurrency: 4,
            max_rows: 2_000_000,
            again: Again::default(),
            error_budget: None,
            give_up_after: 5,
            lookback: None,
            progress: None,
        }
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Only these streams.
    #[must_use]
    pub fn streams<S: Into<String>>(mut self, streams: impl IntoIterator<Item = S>) -> Self {
        self.streams = Some(streams.into_iter().map(Into::into).collect());
        self
    }

    /// Only these sites, by their names in the `site` column.
    #[must_use]
    pub fn sites<S: Into<String>>(mut self, sites: impl IntoIterator<Item = S>) -> Self {
        self.sites = Some(sites.into_iter().map(Into::into).collect());
        self
    }

    /// So many slices at once, and never more than the source allows.
    #[must_use]
    pub fn concurrency(mut self, slices: usize) -> Self {
        self.concurrency = slices.max(1);
        self
    }

    /// The largest slice. One that is larger fails with an error of kind `Input`; nothing of it is loaded.
    #[must_use]
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = rows;
        self
    }

    /// Which final slices are read again. Default: none.
    #[must_use]
    pub fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// The largest share of a slice's records that may be set aside, between 0 and 1: a slice with more of them fails
    /// with an error of kind `Input`, and what was loaded of it before stays. Default: any share.
    #[must_use]
    pub fn error_budget(mut self, share: f64) -> Self {
        self.error_budget = Some(share);
        self
    }

    /// After so many slices in a row that could not be read because the source is unavailable, no further one is tried.
    /// Default: 5; 0 disables.
    #[must_use]
    pub fn give_up_after(mut self, failures: u32) -> Self {
        self.give_up_after = failures;
        self
    }

    /// How many days before today are read again by [`Extent::Due`]. Default: what each stream's finality asks for.
    #[must_use]
    pub fn lookback(mut self, days: u32) -> Self {
        self.lookback = Some(days);
        self
    }

    /// Called after every slice.
    #[must_use]
    pub fn on_progress(mut self, call: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(call));
        self
    }

    /// Loads a window.
    ///
    /// # Errors
    /// Of the source's check (`Auth`, `Config`, `NotFound`, `Unavailable`), of the plan (`Input`), of the warehouse
    /// (`Storage`). Failures of single slices are in the report.
    pub async fn run(&self, window: Window) -> Result<RunReport> {
        self.run_until(window, std::future::pending()).await
    }

    /// Loads a window until `stop` resolves: then slices that are under way are dropped, none is started, and the
    /// report says `cancelled`. What was loaded stays, and the next run goes on from there.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until(
        &self,
        window: Window,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<RunReport> {
        self.bring_in(window.into(), std::future::pending(), stop).await
    }

    /// Loads what the extent names. Asked to stop, it finishes the slices that are under way and starts none; asked
    /// twice, it drops them. The report then says `cancelled`, if anything was left.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_extent(&self, extent: Extent, stop: &Stop) -> Result<RunReport> {
        self.bring_in(extent, stop.requested(), stop.urgent()).await
    }

    async fn bring_in(
        &self,
        extent: Extent,
        polite: impl Future<Output = ()> + Send,
        urgent: impl Future<Output = ()> + Send,
    ) -> Result<RunReport> {
        let span = tracing::info_span!("run", source = self.source.capabilities().source, ?extent);
        // Boxed: the state of a run is large, and callers hold it inside their own.
        Box::pin(self.bring_in_here(extent, polite, urgent)).instrument(span).await
    }

    async fn bring_in_here(
        &self,
        extent: Extent,
        polite: impl Future<Output = ()> + Send,
        urgent: impl Future<Output = ()> + Send,
    ) -> Result<RunReport> {
        let started_at = self.clock.now();
        let began = self.clock.elapsed();
        let capabilities = self.source.capabilities();
        let mut report = RunReport::new(started_at);
        let plans = self.plan(&capabilities, extent, started_at, &mut report).await?;
        let sites: Vec<(Arc<SiteFacts>, Window)> =
            plans.iter().filter_map(|plan| Some((Arc::clone(&plan.site), plan.window?))).collect();
        let jobs: Vec<Job> = plans.into_iter().flat_map(|plan| plan.jobs).collect();
        let total = jobs.len();
        tracing::info!(slices = total, "planned");
        let halted = AtomicBool::new(false);
        let mut left: HashMap<SliceKey, Option<SliceRow>> =
            jobs.iter().map(|job| (job.slice.clone(), job.before.clone())).collect();
        let at_once = self.concurrency.min(capabilities.concurrency.max(1));
        let halt = &halted;
        let mut running = stream::iter(jobs)
            .map(|job| {
                let span = tracing::info_span!("slice", slice = %job.slice);
                Box::pin(self.run_slice(job, halt)).instrument(span)
            })
            .buffer_unordered(at_once);
        let mut polite = std::pin::pin!(polite);
        let mut urgent = std::pin::pin!(urgent);
        let mut circuit = Circuit::new(self.give_up_after);
        let mut asked = false;
        let mut tally = Tally { done: 0, total, written: Vec::new() };
        // What was read waits here while the slices before it are written: one series of loads at a time.
        let (mut ready, mut read_all): (Vec<Ready>, bool) = (Vec::new(), false);
        let mut writing = FuturesUnordered::new();
        let mut series = None;
        let room = if capabilities.at_hand { 1 } else { at_once };
        loop {
            if writing.is_empty() && !ready.is_empty() {
                let next = std::mem::take(&mut ready);
                writing.push(Box::pin(self.write(series.take(), next, capabilities.at_hand)));
            }
            if read_all && writing.is_empty() {
                break;
            }
            let (step, seconds) = tokio::select! {
                biased;
                () = &mut urgent => {
                    report.cancelled = true;
                    break;
                }
                () = &mut polite, if !asked => {
                    asked = true;
                    halted.store(true, Ordering::Release);
                    continue;
                }
                Some(written) = writing.next(), if !writing.is_empty() => {
                    let (open, outcomes) = written?;
                    series = open;
                    for (outcome, seconds) in outcomes {
                        self.enter(outcome, seconds, &mut tally, &mut report, &mut left);
                    }
                    continue;
                }
                next = running.next(), if !read_all && ready.len() < room => match next {
                    Some(read) => read?,
                    None => {
                        read_all = true;
                        continue;
                    }
                },
            };
            if let Some((stopped_by, error)) = stops(&step, &mut circuit) {
                halted.store(true, Ordering::Release);
                report.stop(stopped_by, &error, circuit.failures());
            }
            match step {
                Step::Done(outcome) => self.enter(outcome, seconds, &mut tally, &mut report, &mut left),
                step => ready.push((step, seconds)),
            }
        }
        drop(running);
        if capabilities.at_hand {
            // What was loaded stays, also when the run is stopped.
            while let Some(written) = writing.next().await {
                let (open, outcomes) = written?;
                series = open;
                for (outcome, seconds) in outcomes {
                    self.enter(outcome, seconds, &mut tally, &mut report, &mut left);
                }
            }
        }
        drop(writing);
        if let Some(series) = series.take() {
            series.commit().await?;
        }
        let written = tally.written;
        report.cancelled |= asked && !left.is_empty();
        for before in left.into_values() {
            match before {
                Some(row) => count(&mut report, &row),
                None => *report.slices.entry(SliceState::Planned.to_string()).or_default() += 1,
            }
        }
        if !capabilities.shared_ids {
            self.find_collisions(&capabilities, &sites, &written, &mut report).await?;
        }
        if !report.cancelled {
            self.derive(&capabilities, &sites, &mut report).await?;
        }
        report.seconds = self.clock.elapsed().saturating_sub(began).as_secs_f64();
        tracing::info!(
            slices = total,
            read = report.read,
            quarantined = report.quarantined,
            revised = report.revised,
            replayed = report.replayed,
            failed = report.failures.len(),
            changed = report.changed,
            cancelled = report.cancelled,
            seconds = report.seconds,
            "run over"
        );
        Ok(report)
    }

    /// Enters an outcome into the report and tells the caller.
    fn enter(
        &self,
        outcome: Outcome,
        seconds: f64,
        tally: &mut Tally,
        report: &mut RunReport,
        left: &mut HashMap<SliceKey, Option<SliceRow>>,
    ) {
        if let Outcome::Read { row, written: true, .. } = &outcome {
            tally.written.push(row.key());
        }
        let Some(progress) = take(outcome, seconds, report, left) else { return };
        tally.done += 1;
        if let Some(call) = &self.progress {
            call(&Progress { done: tally.done, total: tally.total, ..progress });
        }
    }

    /// Makes the tables, asks the source who it is, and lists what is to be read.
    async fn plan(
        &self,
        capabilities: &Capabilities,
        extent: Extent,
        now: DateTime<Utc>,
        report: &mut RunReport,
    ) -> Result<Vec<SitePlan>> {
        self.warehouse.migrate(&model::SCHEMA).await?;
        self.warehouse.migrate(&ledger::SCHEMA).await?;
        let checked = self.source.check().await?;
        for failure in self.chosen_failures(&checked) {
            tracing::warn!(site = failure.site, error = failure.message, "a site cannot be read");
            report.add_site_failure(capabilities.source, failure);
        }
        let mut plans = Vec::new();
        for site in self.chosen_sites(capabilities, &checked)? {
            let mut known = ledger::slices(&*self.warehouse, capabilities.source, &site.site).await?;
            let (mut planned, mut span) = (Vec::new(), None::<Window>);
            for stream in self.chosen_streams(capabilities)? {
                for window in self.windows(&extent, &stream, &site, &known, now) {
                    let slices = self.source.plan(&stream.name, &site.site, window)?;
                    planned.extend(slices.into_iter().map(|slice| (stream.clone(), slice)));
                    span = Some(span.map_or(window, |span| Window {
                        from: span.from.min(window.from),
                        until: span.until.max(window.until),
                    }));
                }
            }
            if let Some(window) = span {
                report.changed |= self.record_site(&site, capabilities.source, window, now).await?;
            }
            let lost_rows = ledger::lost_rows(&*self.warehouse, capabilities.source, &site.site).await?;
            let loaded = match capabilities.shared_ids || !lost_rows.is_empty() {
                true => self.other_streams(capabilities.source, &site.site).await?,
                false => Vec::new(),
            };
            let site = Arc::new(site);
            let jobs = planned.into_iter().map(|(stream, slice)| {
                let before = known.remove(&slice);
                let lost = lost_rows.contains(&slice.load_id());
                // Rows lost to another key's files are not a collision within the source.
                let lost_rows = lost && !capabilities.shared_ids;
                let others = others(&slice, &loaded, capabilities.shared_ids, lost);
                Job { slice, stream, site: Arc::clone(&site), before, lost, lost_rows, others }
            });
            let jobs = jobs.collect();
            plans.push(SitePlan { site, jobs, window: span });
        }
        Ok(plans)
    }

    /// The windows of a stream that the extent means.
    fn windows(
        &self,
        extent: &Extent,
        stream: &Stream,
        site: &SiteFacts,
        known: &HashMap<SliceKey, SliceRow>,
        now: DateTime<Utc>,
    ) -> Vec<Window> {
        let since = match extent {
            Extent::Days(window) => return vec![*window],
            Extent::Windows(windows) => return Window::merged(windows.clone()),
            Extent::Due { since } => *since,
        };
        let today = zone::local_day(now, site.days_in());
        if stream.grain == Grain::Whole {
            return vec![Window::days(today, today)];
        }
        // What is final at once, a file, may have become another one: its version is asked for, which is cheap.
        let versioned = stream.finality == Finality::Immediate;
        let held: BTreeMap<NaiveDate, bool> = known
            .iter()
            .filter(|(key, _)| key.stream == stream.name && key.from.succ_opt() == Some(key.until))
            .map(|(key, row)| (key.from, !versioned && !self.again.reads(row, false)))
            .collect();
        let lookback = self.lookback.unwrap_or_else(|| due::lookback(stream.finality));
        due::due(&Known { today, lookback, since, held: &held }).into_iter().flat_map(in_parts).collect()
    }

    /// Slices that were written in this run and lost rows to another slice of it: the source gave an id twice.
    async fn find_collisions(
        &self,
        capabilities: &Capabilities,
        sites: &[(Arc<SiteFacts>, Window)],
        written: &[SliceKey],
        report: &mut RunReport,
    ) -> Result<()> {
        if written.len() < 2 {
            return Ok(());
        }
        for (site, _) in sites {
            let lost = ledger::lost_rows(&*self.warehouse, capabilities.source, &site.site).await?;
            let here = |slice: &&SliceKey| slice.site == site.site && lost.contains(&slice.load_id());
            for slice in written.iter().filter(here) {
                report.failures.push(SliceFailure::new(slice, &slice::collision(slice)));
            }
        }
        report.failures.sort_by(|a, b| a.slice.cmp(&b.slice));
        Ok(())
    }

    /// Counts daily metrics of sources that have none.
    async fn derive(
        &self,
        capabilities: &Capabilities,
        sites: &[(Arc<SiteFacts>, Window)],
        report: &mut RunReport,
    ) -> Result<()> {
        let fills = |kind| capabilities.streams.iter().any(move |stream| stream.fills.contains(&kind));
        let basis = Basis { sessions: fills(Kind::Sessions), events: fills(Kind::Events) };
        if fills(Kind::Metrics) || !basis.sessions {
            return Ok(());
        }
        let streams: Vec<&str> = capabilities
            .streams
            .iter()
            .filter(|stream| stream.fills.iter().any(|kind| matches!(kind, Kind::Sessions | Kind::Events)))
            .map(|stream| stream.name.as_ref())
            .collect();
        for (site, window) in sites {
            let known = ledger::slices(&*self.warehouse, capabilities.source, &site.site).await?;
            let slices: Vec<SliceRow> =
                known.into_values().filter(|row| streams.contains(&row.stream.as_str())).collect();
            let (rows, written) = aggregate::derive_daily(
                &*self.warehouse,
                capabilities.source,
                site,
                basis,
                *window,
                &slices,
                self.clock.now(),
            )
            .await?;
            report.changed |= written;
            if rows > 0 {
                *report.rows.entry("daily_metrics".to_owned()).or_default() += rows;
            }
        }
        Ok(())
    }
}

/// The slices that may hold rows of a slice.
fn others(slice: &SliceKey, loaded: &[SliceKey], shared_ids: bool, lost: bool) -> held::Others {
    let near = |other: &SliceKey| {
        let day = chrono::TimeDelta::days(1);
        other.from < slice.until + day && slice.from < other.until + day
    };
    let kind = |stream: &str| stream.split(':').next().unwrap_or_default().to_owned();
    loaded
        .iter()
        .filter(|other| match shared_ids {
            true => other.stream != slice.stream && kind(&other.stream) == kind(&slice.stream) && near(other),
            false => lost && other.stream == slice.stream && *other != slice,
        })
        .map(|other| (other.load_id(), other.stream.clone()))
        .collect()
}

/// A window in pieces of at most as many days as a source plans at once.
fn in_parts(window: Window) -> impl Iterator<Item = Window> {
    let mut from = window.from;
    std::iter::from_fn(move || {
        if from >= window.until {
            return None;
        }
        let most = from.checked_add_days(Days::new(MAX_DAYS.unsigned_abs())).unwrap_or(NaiveDate::MAX);
        let part = Window { from, until: most.min(window.until) };
        from = part.until;
        Some(part)
    })
}

/// How far a run is.
struct Tally {
    done: usize,
    total: usize,
    written: Vec<SliceKey>,
}

/// Whether what was read of a slice ends the run, and the error that does.
fn stops(step: &Step, circuit: &mut Circuit) -> Option<(StoppedBy, String)> {
    match step {
        Step::Note { error, .. } if error.kind() == ErrorKind::Auth => {
            Some((StoppedBy::Refusal, error.to_string()))
        }
        Step::Note { error, .. } => {
            circuit.opens(Some(error.kind())).then(|| (StoppedBy::Outage, error.to_string()))
        }
        // It was read, whatever becomes of its rows.
        Step::Load { .. } | Step::Done(Outcome::Read { .. }) => {
            circuit.opens(None);
            None
        }
        // Nothing was asked.
        Step::Done(_) => None,
    }
}

/// Enters an outcome into the report.
fn take(
    outcome: Outcome,
    seconds: f64,
    report: &mut RunReport,
    left: &mut HashMap<SliceKey, Option<SliceRow>>,
) -> Option<Progress> {
    let (mut changed, mut replaced, mut failed) = (false, false, None);
    let row = match outcome {
        Outcome::Kept(row) => {
            report.replayed += 1;
            row
        }
        Outcome::Read { row, written, revised, drift, elsewhere } => {
            for (stream, rows) in elsewhere {
                *report.elsewhere.entry(stream).or_default() += rows;
            }
            report.replayed += u64::from(!written);
            report.revised += u64::from(revised);
            for change in drift {
                *report.drift.entry(change).or_default() += 1;
            }
            (changed, replaced) = (written, revised);
            row
        }
        Outcome::Failed { row, error } => {
            tracing::warn!(slice = %row.key(), error = %error, "a slice failed");
            report.failures.push(SliceFailure::new(&row.key(), &error));
            report.failures.sort_by(|a, b| a.slice.cmp(&b.slice));
            (changed, failed) = (true, Some(kind_name(error.kind())));
            row
        }
        // Stays among those that are left.
        Outcome::Skipped => return None,
    };
    let slice = row.key();
    left.remove(&slice);
    report.changed |= changed;
    count(report, &row);
    let progress = Progress {
        done: 0,
        total: 0,
        slice,
        state: row.state,
        rows: row.rows_by_table().values().sum(),
        read: unsigned(row.records_read),
        quarantined: unsigned(row.records_quarantined),
        changed,
        revised: replaced,
        seconds,
        error: failed,
    };
    tracing::info!(
        slice = %progress.slice,
        state = %progress.state,
        rows = progress.rows,
        quarantined = progress.quarantined,
        changed,
        revised = replaced,
        seconds,
        "slice done"
    );
    Some(progress)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn count(report: &mut RunReport, row: &SliceRow) {
    *report.slices.entry(row.state.to_string()).or_default() += 1;
    for (table, rows) in row.rows_by_table() {
        *report.rows.entry(table).or_default() += rows;
    }
    report.read += unsigned(row.records_read);
    report.quarantined += unsigned(row.records_quarantined);
    report.duplicates += unsigned(row.records_duplicate);
    if let Some(note) = &row.note {
        report.notes.insert(row.key().to_string(), note.clone());
    }
    if let Some(control) = &row.control_totals {
        let control: Totals = serde_json::from_value(control.0.clone()).unwrap_or_default();
        let differences = row.totals().differences(&control);
        if !differences.is_empty() {
            let text: Vec<String> = differences
                .into_iter()
                .map(|(name, ours, theirs)| match ours {
                    Some(ours) => format!("{name} {ours}, control {theirs}"),
                    None => format!("{name} missing, control {theirs}"),
                })
                .collect();
            report.unreconciled.insert(row.key().to_string(), text.join("; "));
        }
    }
}
