//! One slice: read and judged, then loaded or noted as failed.

use super::held::Others;
use super::{Pipeline, policy};
use crate::content::Content;
use crate::ledger::{self, DriftRow, SliceRow};
use crate::run_report::kind_name;
use crate::settle::{self, Seen, Verdict};
use crate::source::{SiteFacts, Stream};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Json, SliceState};
use mkt_warehouse::{Batch, Loading, SliceKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A slice to be read.
pub(super) struct Job {
    pub(super) slice: SliceKey,
    pub(super) stream: Stream,
    pub(super) site: Arc<SiteFacts>,
    pub(super) before: Option<SliceRow>,
    /// Whether another slice took a row of it.
    pub(super) lost: bool,
    /// Whether a slice of the same source took it without sharing ids: its own rows must then not be there again.
    pub(super) lost_rows: bool,
    /// Slices that may hold its rows: of other streams, where the source's streams share ids; else, after it lost a
    /// row, the other slices of its stream.
    pub(super) others: Others,
}

/// What became of a slice.
pub(super) enum Outcome {
    /// Final before, not read.
    Kept(SliceRow),
    /// Read; the ledger row as it is now, whether it was written, whether an earlier content was replaced, what differs
    /// in form.
    Read {
        row: SliceRow,
        written: bool,
        revised: bool,
        drift: Vec<String>,
        /// Rows that stand already in other streams.
        elsewhere: BTreeMap<String, u64>,
    },
    /// Not read, for the reason told.
    Failed { row: SliceRow, error: Error },
    /// Not started, because the run was stopped.
    Skipped,
}

/// A slice as far as it comes without writing. What is to be written goes through the run's one series of loads: a slice
/// that wrote by itself would wait for a connection that the series holds.
pub(super) enum Step {
    /// Nothing is to be written.
    Done(Outcome),
    /// Rows are to be loaded; the outcome when they are.
    Load { job: Box<Job>, batch: Box<Batch>, outcome: Outcome },
    /// A failure is to be noted.
    Note { job: Box<Job>, error: Error },
}

/// A slice that is to be written, and the seconds that it took so far.
pub(super) type Ready = (Step, f64);

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
    /// Reads a slice; gives what is to be done with it and the seconds that it took.
    pub(super) async fn run_slice(&self, job: Job, halted: &AtomicBool) -> Result<Ready> {
        if halted.load(Ordering::Acquire) {
            return Ok((Step::Done(Outcome::Skipped), 0.0));
        }
        let began = self.clock.elapsed();
        let step = match self.read_and_judge(&job).await {
            Ok((outcome, None)) => Step::Done(outcome),
            Ok((outcome, Some(batch))) => Step::Load { job: Box::new(job), batch: Box::new(batch), outcome },
            Err(Stop::Run(error)) => return Err(error),
            Err(Stop::Slice(error)) => {
                if error.kind() == ErrorKind::Auth {
                    halted.store(true, Ordering::Release);
                }
                Step::Note { job: Box::new(job), error }
            }
        };
        Ok((step, self.clock.elapsed().saturating_sub(began).as_secs_f64()))
    }

    /// Writes slices in one series of loads; gives the series back where it is to stay open.
    pub(super) async fn write<'a>(
        &'a self,
        series: Option<Box<dyn Loading + 'a>>,
        ready: Vec<Ready>,
        stays_open: bool,
    ) -> Result<(Option<Box<dyn Loading + 'a>>, Vec<(Outcome, f64)>)> {
        let mut series = match series {
            Some(series) => series,
            None => self.warehouse.begin(self.clock.now()).await?,
        };
        let mut outcomes = Vec::with_capacity(ready.len());
        for (step, seconds) in ready {
            let began = self.clock.elapsed();
            let outcome = match step {
                Step::Done(outcome) => outcome,
                Step::Note { job, error } => {
                    note_failure(&mut *series, &job, error, self.clock.now()).await?
                }
                Step::Load { job, batch, outcome } => match series.load(&batch).await {
                    Ok(receipt) => {
                        tracing::debug!(slice = %job.slice, written = receipt.written, removed = receipt.removed, "loaded");
                        outcome
                    }
                    // Rows that the warehouse cannot hold are the slice's affair.
                    Err(error) if error.kind() == ErrorKind::Input => {
                        note_failure(&mut *series, &job, error, self.clock.now()).await?
                    }
                    // The warehouse is gone: nothing can be noted, and the other slices will fare no better.
                    Err(error) => return Err(error),
                },
            };
            outcomes.push((outcome, seconds + self.clock.elapsed().saturating_sub(began).as_secs_f64()));
        }
        if stays_open {
            return Ok((Some(series), outcomes));
        }
        series.commit().await?;
        Ok((None, outcomes))
    }

    /// What became of a slice, and the rows that are to be loaded first.
    async fn read_and_judge(&self, job: &Job) -> Result<(Outcome, Option<Batch>), Stop> {
        let version = self.source.version(&job.slice).await?;
        let kept = |row: &&SliceRow| !self.again.reads(row, job.lost) && row.version == version;
        if let Some(before) = job.before.as_ref().filter(kept) {
            return Ok((Outcome::Kept(before.clone()), None));
        }
        let mut content = self.read(job).await?;
        let mut elsewhere = BTreeMap::new();
        if !job.others.is_empty() {
            let held = self.held_by(&job.others, &content).await.map_err(Stop::Run)?;
            if job.lost_rows && !held.is_empty() {
                return Err(Stop::Slice(collision(&job.slice)));
            }
            for (stream, rows) in held.by_stream() {
                elsewhere.insert(stream.to_owned(), rows);
                content.add_note(format!("{rows} rows stand already in {stream} and are not loaded again"));
            }
            content.leave_out(held.events.keys(), held.sessions.keys());
        }
        let name = job.slice.to_string();
        policy::within_budget(content.read(), content.quarantined_rows(), self.error_budget, &name)?;
        let control = self.source.verify(&job.slice).await?;
        let now = self.clock.now();
        let totals = content.totals();
        let (empty, coverage) = (content.is_empty(), content.coverage());
        let counted = SliceRow {
            records_read: signed(content.read()),
            records_loaded: signed(content.rows() - content.derived().min(content.rows())),
            records_quarantined: signed(content.quarantined_rows()),
            records_duplicate: signed(content.duplicates()),
            table_rows: json(&content.rows_by_table()),
            totals: json(&totals),
            note: (!content.notes().is_empty()).then(|| content.notes().join("; ")),
            ..SliceRow::planned(&job.slice, now)
        };
        let drifted: Vec<DriftRow> = content.drift().cloned().collect();
        let content = content.finish();
        let fingerprint = content.fingerprint().to_owned();
        let old_fingerprint = job.before.as_ref().and_then(|row| row.fingerprint.as_ref());
        let same = job.before.as_ref().filter(|before| {
            before.fingerprint.as_ref() == Some(&fingerprint)
                && before.control_totals == control.as_ref().map(json)
        });
        let seen = Seen {
            unchanged_for: same.map(|before| now - before.changed_at),
            empty,
            totals: &totals,
            control: control.as_ref(),
            read_before: old_fingerprint == Some(&fingerprint),
            final_by_age: now >= settle::final_from(&job.slice, job.stream.finality, job.site.days_in()),
            coverage,
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
            reconciled: control.as_ref().map(|control| totals.differences(control).is_empty()),
            control_totals: control.as_ref().map(json),
            version,
            fingerprint: Some(fingerprint.clone()),
            ..counted
        };
        let drift: Vec<String> =
            drifted.iter().map(|row| format!("{}: {:?} is {}", row.place, row.field, row.change)).collect();
        if let Some(before) = job.before.as_ref().filter(|before| !job.lost && before.says_the_same(&row)) {
            let row = before.clone();
            return Ok((Outcome::Read { row, written: false, revised: false, drift, elsewhere }, None));
        }
        let revised = old_fingerprint.is_some_and(|old| *old != fingerprint);
        let mut batch = content.batch(row.state).upsert([row.clone()]);
        if let Some(before) = job.before.as_ref().filter(|_| revised) {
            batch = batch.upsert(ledger::revisions(&job.slice, &before.totals(), &totals, now));
        }
        for drift in &drifted {
            tracing::warn!(slice = %job.slice, place = drift.place, field = drift.field, change = drift.change, "drift");
        }
        Ok((Outcome::Read { row, written: true, revised, drift, elsewhere }, Some(batch)))
    }

    async fn read(&self, job: &Job) -> Result<Content> {
        let refuse =
            |kind: ErrorKind, detail: String| Error::new(kind, "etl", "read a slice").with_detail(detail);
        let mut content = Content::new(job.slice.clone(), job.stream.fills);
        let mut pages = self.source.read(&job.slice);
        let mut number = 0_u64;
        while let Some(page) = pages.next().await {
            let page = page?;
            number += 1;
            tracing::debug!(
                page = number,
                records = page.read,
                rows = page.rows(),
                rejected = page.rejected.len(),
                duplicates = page.duplicates,
                "page"
            );
            content.add(page).map_err(|what| {
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
}

/// Notes a failure beside the slice, whose rows stay as they are.
async fn note_failure(
    series: &mut dyn Loading,
    job: &Job,
    error: Error,
    now: DateTime<Utc>,
) -> Result<Outcome> {
    let mut row = job.before.clone().unwrap_or_else(|| SliceRow::planned(&job.slice, now));
    if row.fingerprint.is_none() {
        row.state = SliceState::Failed;
    }
    row.failed_attempts += 1;
    row.last_error = Some(kind_name(error.kind()).to_owned());
    row.changed_at = now;
    // A key of its own: an empty batch under the slice's key would empty the slice.
    let key = SliceKey::whole("etl", format!("failures/{}", job.slice.stream), &job.slice.site);
    series.load(&Batch::new(key).upsert([row.clone()])).await?;
    Ok(Outcome::Failed { row, error })
}

/// The source gives one id in two slices: the warehouse holds a row once, and each load would take it from the other.
pub(super) fn collision(slice: &SliceKey) -> Error {
    Error::new(ErrorKind::Protocol, "etl", "read a slice").with_detail(format!(
        "ids of {slice} are in another slice of the same stream too: a source's ids must be unique over all days"
    ))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn json<T: serde::Serialize>(value: &T) -> Json {
    // Maps with text keys of numbers always serialise.
    Json(serde_json::to_value(value).unwrap_or_default())
}
