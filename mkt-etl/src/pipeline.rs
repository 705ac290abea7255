//! Reads slices from a source and loads them into a warehouse, each one whole or not at all.
//!
//! The pipeline decides which slices to read, runs several at once, checks that counts add up, and commits the ledger
//! with the rows. It knows no vendor and no engine; what a slice's state is, [`crate::settle`] decides.

use crate::content::Content;
use crate::ledger::{self, SliceRow};
use crate::report::{RunReport, SliceFailure, kind_name};
use crate::settle::{self, Seen, Verdict};
use crate::source::{AnalyticsSource, Capabilities, SiteFacts, Stream, Totals, Window};
use chrono::{DateTime, Datelike, Utc};
use futures_util::StreamExt;
use futures_util::stream;
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Json, Site, SliceState, ZoneOffset};
use mkt_warehouse::{Batch, Query, Record, SliceKey, Value, Warehouse, model, report};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Instrument;

/// A slice is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// Slices done, this one included.
    pub done: usize,
    /// Slices of the run.
    pub total: usize,
    /// The slice.
    pub slice: SliceKey,
    /// Its state now.
    pub state: SliceState,
    /// Rows it holds.
    pub rows: u64,
    /// Whether anything was written for it.
    pub changed: bool,
}

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// A source, a warehouse, and how to bring one into the other.
///
/// ```
/// use chrono::NaiveDate;
/// use mkt_etl::{MemorySource, Pipeline, Window};
/// use mkt_warehouse::Sqlite;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// let day: NaiveDate = "2026-03-28".parse().unwrap();
/// let source = MemorySource::new("memory", "shop", chrono_tz::Europe::Paris);
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
///   another version of it. Any other slice is read again
///   and replaced if its content changed; the change is kept in `etl_revisions`. A slice that lost a row to another
///   slice is read and loaded again by the next run over it, settled or not.
/// - A slice of which rows were read is not replaced by a zero that the source's control totals contradict: that is a
///   failure of the slice, and its rows stay.
/// - When nothing changed, nothing is written.
/// - Refused credentials end the run: no further slice is started. Any other failure of a slice is noted in the ledger
///   and the report, and leaves the rows of that slice as they were.
pub struct Pipeline {
    source: Arc<dyn AnalyticsSource>,
    warehouse: Arc<dyn Warehouse>,
    clock: Arc<dyn Clock>,
    streams: Option<Vec<String>>,
    sites: Option<Vec<String>>,
    concurrency: usize,
    max_rows: u64,
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
            .finish_non_exhaustive()
    }
}

/// What became of a slice.
enum Outcome {
    /// Final before, not read.
    Kept(SliceRow),
    /// Read; the ledger row as it is now, whether it was written, whether an earlier content was replaced.
    Read { row: SliceRow, written: bool, revised: bool },
    /// Not read, for the reason told.
    Failed { row: SliceRow, error: Error },
    /// Not started, because the run was stopped.
    Skipped,
}

/// What an error ends.
enum Stop {
    /// The slice.
    Slice(Error),
    /// The run.
    Run(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Slice(error)
    }
}

impl Pipeline {
    /// A pipeline with the system's clock, all streams and sites, four slices at once and at most two million rows in
    /// a slice.
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

    /// Called after every slice.
    #[must_use]
    pub fn on_progress(mut self, call: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(call));
        self
    }

    /// Brings a window in.
    ///
    /// # Errors
    /// Of the source's check (`Auth`, `Config`, `NotFound`, `Unavailable`), of the plan (`Input`), of the warehouse
    /// (`Storage`). Failures of single slices are in the report.
    pub async fn run(&self, window: Window) -> Result<RunReport> {
        self.run_until(window, std::future::pending()).await
    }

    /// Brings a window in until `stop` resolves: then slices that are under way are dropped, none is started, and the
    /// report says `cancelled`. What was loaded stays, and the next run goes on from there.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until(
        &self,
        window: Window,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<RunReport> {
        let started_at = self.clock.now();
        let began = self.clock.elapsed();
        let capabilities = self.source.capabilities();
        let mut report = RunReport::new(started_at);
        self.warehouse.migrate(&model::SCHEMA).await?;
        self.warehouse.migrate(&ledger::SCHEMA).await?;
        let checked = self.source.check().await?;
        let mut jobs = Vec::new();
        for site in self.chosen_sites(&capabilities, checked.sites)? {
            let mut planned = Vec::new();
            for stream in self.chosen_streams(&capabilities)? {
                let slices = self.source.plan(&stream.name, &site.site, window)?;
                planned.extend(slices.into_iter().map(|slice| (stream.clone(), slice)));
            }
            report.changed |= self.record_site(&site, capabilities.source, window, started_at).await?;
            let mut known = ledger::slices(&*self.warehouse, capabilities.source, &site.site).await?;
            let robbed = ledger::robbed(&*self.warehouse, capabilities.source, &site.site).await?;
            let site = Arc::new(site);
            jobs.extend(planned.into_iter().map(|(stream, slice)| {
                let before = known.remove(&slice);
                let robbed = robbed.contains(&slice.load_id());
                Job { slice, stream, site: Arc::clone(&site), before, robbed }
            }));
        }
        let total = jobs.len();
        let halted = AtomicBool::new(false);
        let mut left: HashMap<SliceKey, Option<SliceRow>> =
            jobs.iter().map(|job| (job.slice.clone(), job.before.clone())).collect();
        let at_once = self.concurrency.min(capabilities.concurrency.max(1));
        let halted = &halted;
        let mut running = stream::iter(jobs)
            .map(|job| {
                let span = tracing::info_span!("slice", slice = %job.slice);
                Box::pin(self.run_slice(job, halted)).instrument(span)
            })
            .buffer_unordered(at_once);
        let mut stop = std::pin::pin!(stop);
        let mut done = 0;
        loop {
            let outcome = tokio::select! {
                biased;
                () = &mut stop => {
                    report.cancelled = true;
                    break;
                }
                next = running.next() => match next {
                    Some(outcome) => outcome?,
                    None => break,
                },
            };
            done += 1;
            let progress = self.take(outcome, &mut report, &mut left);
            if let (Some(progress), Some(call)) = (progress, &self.progress) {
                call(&Progress { done, total, ..progress });
            }
        }
        drop(running);
        for before in left.into_values() {
            match before {
                Some(row) => count(&mut report, &row),
                None => *report.slices.entry(SliceState::Planned.to_string()).or_default() += 1,
            }
        }
        report.seconds = self.clock.elapsed().saturating_sub(began).as_secs_f64();
        Ok(report)
    }

    /// Enters an outcome into the report.
    fn take(
        &self,
        outcome: Outcome,
        report: &mut RunReport,
        left: &mut HashMap<SliceKey, Option<SliceRow>>,
    ) -> Option<Progress> {
        let (row, changed) = match outcome {
            Outcome::Kept(row) => {
                report.replayed += 1;
                (row, false)
            }
            Outcome::Read { row, written, revised } => {
                report.replayed += u64::from(!written);
                report.revised += u64::from(revised);
                (row, written)
            }
            Outcome::Failed { row, error } => {
                tracing::warn!(slice = %row.key(), error = %error, "a slice failed");
                if error.kind() == ErrorKind::Auth {
                    report.stopped.get_or_insert_with(|| error.to_string());
                }
                report.failures.push(SliceFailure::new(&row.key(), &error));
                report.failures.sort_by(|a, b| a.slice.cmp(&b.slice));
                (row, true)
            }
            // Stays among those that are left.
            Outcome::Skipped => return None,
        };
        let slice = row.key();
        left.remove(&slice);
        report.changed |= changed;
        count(report, &row);
        let rows = row.rows_by_table().values().sum();
        Some(Progress { done: 0, total: 0, slice, state: row.state, rows, changed })
    }

    fn chosen_sites(&self, capabilities: &Capabilities, known: Vec<SiteFacts>) -> Result<Vec<SiteFacts>> {
        let Some(wanted) = &self.sites else { return Ok(known) };
        wanted
            .iter()
            .map(|name| {
                known.iter().find(|site| site.site == *name).cloned().ok_or_else(|| {
                    Error::new(ErrorKind::Input, capabilities.source, "choose sites")
                        .with_detail(format!("there is no site {name:?}"))
                })
            })
            .collect()
    }

    fn chosen_streams(&self, capabilities: &Capabilities) -> Result<Vec<Stream>> {
        let Some(wanted) = &self.streams else { return Ok(capabilities.streams.clone()) };
        wanted
            .iter()
            .map(|name| {
                capabilities.stream(name).cloned().ok_or_else(|| {
                    Error::new(ErrorKind::Input, capabilities.source, "choose streams")
                        .with_detail(format!("there is no stream {name:?}"))
                })
            })
            .collect()
    }

    /// Writes the site and the offsets of its zone where they are not yet known. A site that another source records
    /// keeps its row: it has one system of record.
    async fn record_site(
        &self,
        facts: &SiteFacts,
        source: &str,
        window: Window,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let mut wanted = Site::new(&facts.site, facts.zone.name(), source);
        wanted.currency = facts.currency;
        wanted.conversion_set =
            Json(facts.conversion_set.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        let held: Vec<Site> = self.rows_where("site", &facts.site).await?;
        let site_changed = match held.first() {
            Some(row) => row.record_source == source && *row != wanted,
            None => true,
        };
        let zone_name = match held.first() {
            Some(row) if !site_changed => row.zone.clone(),
            _ => wanted.zone.clone(),
        };
        // Local days reach into the years beside theirs.
        let first = window.from.pred_opt().unwrap_or(window.from).year();
        let offsets = report::zone_offsets(&zone_name, first, window.until.year())?;
        let held_offsets: Vec<ZoneOffset> = self.rows_where("zone", &zone_name).await?;
        let missing: Vec<ZoneOffset> =
            offsets.into_iter().filter(|row| !held_offsets.contains(row)).collect();
        if !site_changed && missing.is_empty() {
            return Ok(false);
        }
        let batch = Batch::new(SliceKey::whole("etl", "sites", &facts.site))
            .upsert(site_changed.then_some(wanted))
            .upsert(missing);
        self.warehouse.load(&batch, at).await?;
        Ok(true)
    }

    async fn rows_where<R: Record>(&self, key: &str, value: &str) -> Result<Vec<R>> {
        let schema = R::SCHEMA;
        let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let sql = format!("select {} from \"{}\" where \"{key}\" = :1", names.join(", "), schema.name);
        let mut query = Query::new(sql).bind(Value::Text(value.to_owned()));
        for column in schema.columns {
            query = query.column(column.name, column.ty);
        }
        ledger::read_rows(&*self.warehouse, &query).await
    }

    async fn run_slice(&self, job: Job, halted: &AtomicBool) -> Result<Outcome> {
        if halted.load(Ordering::Acquire) {
            return Ok(Outcome::Skipped);
        }
        match self.read_and_load(&job).await {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Run(error)) => Err(error),
            Err(Stop::Slice(error)) => {
                if error.kind() == ErrorKind::Auth {
                    halted.store(true, Ordering::Release);
                }
                let row = self.note_failure(&job, &error).await?;
                Ok(Outcome::Failed { row, error })
            }
        }
    }

    async fn read_and_load(&self, job: &Job) -> Result<Outcome, Stop> {
        let version = self.source.version(&job.slice).await?;
        let is_final = |row: &&SliceRow| row.is_final && row.failed_attempts == 0 && !job.robbed;
        if let Some(before) = job.before.as_ref().filter(is_final).filter(|row| row.version == version) {
            return Ok(Outcome::Kept(before.clone()));
        }
        let content = self.read(job).await?;
        let control = self.source.verify(&job.slice).await?;
        let now = self.clock.now();
        let totals = content.totals();
        let fingerprint = content.fingerprint();
        let old_fingerprint = job.before.as_ref().and_then(|row| row.fingerprint.as_ref());
        let seen = Seen {
            empty: content.is_empty(),
            totals: &totals,
            control: control.as_ref(),
            read_before: old_fingerprint == Some(&fingerprint),
            final_by_age: now >= settle::final_from(&job.slice, job.stream.finality, job.site.zone),
            coverage: content.coverage(),
        };
        let Verdict { state, is_final } = settle::judge(&seen);
        let had_content =
            |row: &SliceRow| row.totals().iter().any(|(name, value)| name != "records" && !value.is_zero());
        if state == SliceState::SuspectEmpty && job.before.as_ref().is_some_and(had_content) {
            // A zero that the source itself contradicts is no reason to let go of what it said before.
            return Err(Stop::Slice(Error::new(ErrorKind::Protocol, "etl", "read a slice").with_detail(
                format!(
                    "the source says zero for {}, its control totals do not: the rows read before stay",
                    job.slice
                ),
            )));
        }
        let row = SliceRow {
            state,
            is_final,
            records_read: signed(content.read()),
            records_loaded: signed(content.rows() - content.derived().min(content.rows())),
            records_quarantined: signed(content.quarantined_rows()),
            records_duplicate: signed(content.duplicates()),
            table_rows: json(&content.rows_by_table()),
            totals: json(&totals),
            reconciled: control.as_ref().map(|control| totals.differences(control).is_empty()),
            control_totals: control.as_ref().map(json),
            note: (!content.notes().is_empty()).then(|| content.notes().join("; ")),
            version,
            fingerprint: Some(fingerprint.clone()),
            ..SliceRow::planned(&job.slice, now)
        };
        if let Some(before) = job.before.as_ref().filter(|before| !job.robbed && before.says_the_same(&row)) {
            return Ok(Outcome::Read { row: before.clone(), written: false, revised: false });
        }
        let revised = old_fingerprint.is_some_and(|old| *old != fingerprint);
        let mut batch = content.batch(Some(row.state)).upsert([row.clone()]);
        if let Some(before) = job.before.as_ref().filter(|_| revised) {
            batch = batch.upsert(ledger::revisions(&job.slice, &before.totals(), &totals, now));
        }
        let receipt = self.warehouse.load(&batch, now).await.map_err(|error| match error.kind() {
            // Rows that the warehouse cannot hold are the slice's affair.
            ErrorKind::Input => Stop::Slice(error),
            // The warehouse is gone: nothing can be noted, and the other slices will fare no better.
            _ => Stop::Run(error),
        })?;
        for drift in content.drift() {
            tracing::warn!(slice = %job.slice, place = drift.place, field = drift.field, change = drift.change, "drift");
        }
        tracing::debug!(written = receipt.written, removed = receipt.removed, state = %row.state, "loaded");
        Ok(Outcome::Read { row, written: true, revised })
    }

    async fn read(&self, job: &Job) -> Result<Content> {
        let refuse =
            |kind: ErrorKind, detail: String| Error::new(kind, "etl", "read a slice").with_detail(detail);
        let mut content = Content::new(job.slice.clone(), job.stream.fills);
        let mut pages = self.source.read(&job.slice);
        while let Some(page) = pages.next().await {
            content.add(page?).map_err(|what| {
                refuse(
                    ErrorKind::Protocol,
                    format!("the source gave {what} that is not of the slice {}", job.slice),
                )
            })?;
            if content.rows() + content.quarantined_rows() > self.max_rows {
                return Err(refuse(
                    ErrorKind::Input,
                    format!("the slice {} holds more than {} rows", job.slice, self.max_rows),
                ));
            }
        }
        if !content.adds_up() {
            return Err(refuse(
                ErrorKind::Protocol,
                format!(
                    "the counts of {} do not add up: {} read, {} rows, {} quarantined, {} duplicates",
                    job.slice,
                    content.read(),
                    content.rows(),
                    content.quarantined_rows(),
                    content.duplicates()
                ),
            ));
        }
        Ok(content)
    }

    /// Notes a failure beside the slice, whose rows stay as they are.
    async fn note_failure(&self, job: &Job, error: &Error) -> Result<SliceRow> {
        let now = self.clock.now();
        let mut row = job.before.clone().unwrap_or_else(|| SliceRow::planned(&job.slice, now));
        if row.fingerprint.is_none() {
            row.state = SliceState::Failed;
        }
        row.failed_attempts += 1;
        row.last_error = Some(kind_name(error.kind()).to_owned());
        row.changed_at = now;
        // A key of its own: an empty batch under the slice's key would empty the slice.
        let key = SliceKey::whole("etl", format!("failures/{}", job.slice.stream), &job.slice.site);
        self.warehouse.load(&Batch::new(key).upsert([row.clone()]), now).await?;
        Ok(row)
    }
}

/// A slice to be read.
struct Job {
    slice: SliceKey,
    stream: Stream,
    site: Arc<SiteFacts>,
    before: Option<SliceRow>,
    /// Whether another slice took a row of it.
    robbed: bool,
}

fn count(report: &mut RunReport, row: &SliceRow) {
    *report.slices.entry(row.state.to_string()).or_default() += 1;
    for (table, rows) in row.rows_by_table() {
        *report.rows.entry(table).or_default() += rows;
    }
    let unsigned = |value: i64| u64::try_from(value).unwrap_or_default();
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn json<T: serde::Serialize>(value: &T) -> Json {
    // Maps with text keys of numbers always serialise.
    Json(serde_json::to_value(value).unwrap_or_default())
}
