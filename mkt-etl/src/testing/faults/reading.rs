//! One reading of a slice and what it amounts to; and the same with a pipeline over it.

use super::{Fault, FaultProxy};
use super::{Healthy, Moment, Subject, Verdict, refusal, shown_error, strike};
use crate::content::Content;
use crate::ledger::SliceRow;
use crate::pipeline::Pipeline;
use crate::run_report::RunReport;
use crate::source::{AnalyticsSource, Stream, Totals};
use futures_util::StreamExt;
use mkt_connect::Result;
use mkt_connect::clock::ManualClock;
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Query, SliceKey, Value, Warehouse, model};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A slice, read to its end.
pub(super) struct Reading {
    content: Content,
    control: Option<Totals>,
    /// Everything that was told, as text.
    pub(super) shown: String,
    /// Requests made when the last page had been read.
    pub(super) hits_after_pages: usize,
}

/// Reads a slice and its control totals.
pub(super) async fn read(
    source: &dyn AnalyticsSource,
    stream: &Stream,
    slice: &SliceKey,
    hits: impl Fn() -> usize,
) -> Result<Reading> {
    let mut content = Content::new(slice.clone(), stream.fills);
    let mut shown = String::new();
    let mut pages = source.read(slice);
    while let Some(page) = pages.next().await {
        let page = page?;
        shown.push_str(&format!("{page:?}"));
        // A row of another slice is found by its count.
        let _ = content.add(page);
    }
    let hits_after_pages = hits();
    let control = source.verify(slice).await?;
    Ok(Reading { content, control, shown, hits_after_pages })
}

impl Reading {
    pub(super) fn rows(&self) -> u64 {
        self.content.rows()
    }

    /// What this reading amounts to, beside the one without a fault.
    pub(super) fn against(&self, healthy: &Self) -> Verdict {
        if !self.content.adds_up() {
            return Verdict::Flagged("the counts do not add up".to_owned());
        }
        if self.content.fingerprint() == healthy.content.fingerprint() {
            return Verdict::Right;
        }
        let differences = self.control.as_ref().map(|control| self.content.totals().differences(control));
        if let Some((name, ours, theirs)) = differences.iter().flatten().next() {
            return Verdict::Flagged(format!("{name} is {ours:?}, the control says {theirs}"));
        }
        let (set_aside, before) = (self.content.quarantined_rows(), healthy.content.quarantined_rows());
        if set_aside > before {
            return Verdict::Flagged(format!("{} records are set aside", set_aside - before));
        }
        Verdict::Violated(format!(
            "other data without a word: {} rows instead of {}",
            self.content.rows(),
            healthy.content.rows()
        ))
    }
}

/// The tables that a slice fills, row by row, without what the pipeline writes about their state.
pub(super) type Rows = BTreeMap<&'static str, Vec<String>>;

async fn rows(warehouse: &dyn Warehouse) -> Result<Rows> {
    let mut all = Rows::new();
    for schema in model::TABLES.iter().filter(|schema| schema.is_sliced()) {
        let table = warehouse.query(&Query::table(schema)).await?;
        let lines = (0..table.rows()).map(|row| {
            let cells = table.names().iter().zip(table.row(row)).filter(|(name, _)| *name != "state");
            cells.map(|(_, value): (_, Value)| format!("{value:?} ")).collect()
        });
        all.insert(schema.name, lines.collect());
    }
    Ok(all)
}

async fn ledger_of(warehouse: &dyn Warehouse, slice: &SliceKey) -> Result<Option<SliceRow>> {
    let mut known = crate::ledger::slices(warehouse, &slice.source, &slice.site).await?;
    Ok(known.remove(slice))
}

/// A pipeline for one slice, a few hours after its end: no day is final then, so that it is read again.
fn pipeline(
    subject: &Subject,
    source: Arc<dyn AnalyticsSource>,
    slice: &SliceKey,
    held: impl Warehouse,
) -> Pipeline {
    let soon = slice.until.and_hms_opt(14, 0, 0).unwrap_or_default().and_utc();
    Pipeline::new(source, held)
        .streams([slice.stream.clone()])
        .sites([subject.site.clone()])
        .concurrency(1)
        .clock(ManualClock::new(soon))
}

fn window(slice: &SliceKey) -> crate::Window {
    crate::Window { from: slice.from, until: slice.until }
}

/// What a warehouse holds after a run without a fault.
pub(super) async fn loaded(
    subject: &Subject,
    healthy: &Healthy,
    held: impl Warehouse + Clone,
) -> Result<Rows> {
    let (_proxy, source) = subject.connected().await?;
    pipeline(subject, source, &healthy.slice, held.clone()).run(window(&healthy.slice)).await?;
    rows(&held).await
}

/// First load under the fault, healed, again under the fault, healed.
pub(super) async fn survives(
    subject: &Subject,
    healthy: &Healthy,
    expected: &Rows,
    held: impl Warehouse + Clone,
    fault: Fault,
    moment: Moment,
) -> Result<Verdict> {
    let (proxy, source) = subject.connected().await?;
    let before = proxy.hits();
    source.check().await?;
    // A run looks at its source before it reads.
    let spared = proxy.hits() - before;
    let pipeline = pipeline(subject, source, &healthy.slice, held.clone());
    let nothing: Rows = expected.keys().map(|table| (*table, Vec::new())).collect();
    let mut worst = Verdict::Right;
    for old in [&nothing, expected] {
        strike(&proxy, fault, moment, spared, healthy.requests);
        let limit = subject.deadline + Duration::from_secs(1);
        let run = tokio::time::timeout(limit, pipeline.run(window(&healthy.slice))).await;
        let Ok(run) = run else {
            return Ok(Verdict::Violated(format!("the run takes longer than {limit:?}")));
        };
        let verdict = after_fault(subject, healthy, fault, run, &held, old, expected).await?;
        if matches!(verdict, Verdict::Violated(_)) {
            return Ok(verdict);
        }
        proxy.heal();
        if let Err(wrong) = recovers(subject, healthy, fault, &proxy, &pipeline, &held, expected).await? {
            return Ok(Verdict::Violated(wrong));
        }
        worst = match (worst, verdict) {
            (worst @ Verdict::Flagged(_), _) => worst,
            (_, verdict @ (Verdict::Flagged(_) | Verdict::Refused(_))) => verdict,
            (worst, _) => worst,
        };
    }
    Ok(worst)
}

/// What a run under a fault left behind.
async fn after_fault(
    subject: &Subject,
    healthy: &Healthy,
    fault: Fault,
    run: Result<RunReport>,
    held: &dyn Warehouse,
    old: &Rows,
    expected: &Rows,
) -> Result<Verdict> {
    let violated = |what: &str| Ok(Verdict::Violated(what.to_owned()));
    let found = rows(held).await?;
    let report = match run {
        // It failed before it read anything.
        Err(error) => {
            if subject.shows_a_secret(&shown_error(&error)) {
                return violated("the run's error shows a secret");
            }
            return Ok(if found == *old {
                refusal(fault, &error)
            } else {
                Verdict::Violated("a run that failed changed rows".to_owned())
            });
        }
        Ok(report) => report,
    };
    let ledger = ledger_of(held, &healthy.slice).await?;
    let json = serde_json::to_string(&report).unwrap_or_default();
    if subject.shows_a_secret(&format!("{report:?} {json} {found:?} {ledger:?}")) {
        return violated("the report, the ledger or a table shows a secret");
    }
    let Some(ledger) = ledger else { return violated("the ledger does not know the slice") };
    if let Some(failure) = report.failures.first() {
        return Ok(if found != *old {
            Verdict::Violated(format!("a slice that failed ({}) changed its rows", failure.message))
        } else if ledger.failed_attempts == 0 || ledger.last_error.as_deref() != Some(failure.kind.as_str()) {
            Verdict::Violated("a failure is not in the ledger".to_owned())
        } else {
            Verdict::Refused(kind(&failure.kind))
        });
    }
    if found == *expected {
        return Ok(Verdict::Right);
    }
    if ledger.state == SliceState::Settled {
        return violated("other rows are called settled");
    }
    if ledger.reconciled == Some(false) || ledger.records_quarantined > 0 {
        return Ok(Verdict::Flagged(format!("{} and not reconciled", ledger.state)));
    }
    violated("other rows were loaded without a word")
}

fn kind(name: &str) -> mkt_connect::ErrorKind {
    use mkt_connect::ErrorKind::{Auth, Protocol, RateLimited, Unavailable};
    [Auth, Protocol, RateLimited, Unavailable]
        .into_iter()
        .find(|kind| crate::run_report::kind_name(*kind) == name)
        .unwrap_or(mkt_connect::ErrorKind::Input)
}

/// Runs after a fault at most: an impatient source on a busy machine may run out of time once more.
const RUNS: usize = 3;

/// Once the fault is over a run gives what it would have given.
async fn recovers(
    subject: &Subject,
    healthy: &Healthy,
    fault: Fault,
    proxy: &FaultProxy,
    pipeline: &Pipeline,
    held: &(impl Warehouse + Clone),
    expected: &Rows,
) -> Result<Result<(), String>> {
    // Who was sent away for a day may stay away; the next process comes back.
    let next = if fault == Fault::ThrottledForADay {
        let source = (subject.make)(&proxy.url(), &proxy.authority())?;
        Some(self::pipeline(subject, source, &healthy.slice, held.clone()))
    } else {
        None
    };
    let pipeline = next.as_ref().unwrap_or(pipeline);
    let mut wrong = String::new();
    for _ in 0..RUNS {
        wrong = match pipeline.run(window(&healthy.slice)).await {
            Err(error) => format!("after the fault the run fails: {error}"),
            Ok(report) => match report.failures.first() {
                Some(failure) => format!("after the fault the slice fails: {}", failure.message),
                None => String::new(),
            },
        };
        if wrong.is_empty() {
            break;
        }
    }
    if !wrong.is_empty() {
        return Ok(Err(wrong));
    }
    let row = ledger_of(held, &healthy.slice).await?;
    if row.is_none_or(|row| row.failed_attempts > 0) {
        return Ok(Err("after the fault the ledger still tells of it".to_owned()));
    }
    Ok(if rows(held).await? == *expected {
        Ok(())
    } else {
        Err("after the fault the tables are not those of a run without it".to_owned())
    })
}
