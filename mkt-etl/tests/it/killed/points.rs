//! A source and a warehouse around others that end their process at a chosen call: nothing in the product knows of it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use mkt_connect::Result;
use mkt_etl::ledger::{QuarantineRow, RevisionRow, SliceRow};
use mkt_etl::{AnalyticsSource, Capabilities, Checked};
use mkt_etl::{Page, SiteFacts, Totals, Window};
use mkt_warehouse::model::{DailyMetric, Event, Session, User};
use mkt_warehouse::{
    Batch, Dialect, Query, Receipt, Record, Schema, SliceKey, Table, TableSchema, Warehouse,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Where a process can be made to end.
pub(super) const POINTS: [&str; 12] = [
    "in a load",
    "after a load",
    "before a failure is noted",
    "before a load",
    "after a page",
    "after a failure was noted",
    "between slices",
    "before the control totals",
    "in the note of a failure",
    "after the last page",
    "before a page",
    "after the control totals",
];
/// The point of [`Sabotage`]: between the two halves of what should be one load.
pub(super) const HALVES: &str = "between the halves of a load";

/// Counts how often each point is passed, and ends the process at one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Fuse {
    end: Option<(String, u64)>,
    passed: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Fuse {
    /// Ends the process when `point` is passed for the `number`th time, from 1.
    pub(super) fn at(point: &str, number: u64) -> Self {
        Self { end: Some((point.to_owned(), number)), ..Self::default() }
    }

    /// Counts only.
    pub(super) fn counting() -> Self {
        Self::default()
    }

    /// How often each point was passed.
    pub(super) fn passed(&self) -> BTreeMap<&'static str, u64> {
        self.passed.lock().unwrap().clone()
    }

    pub(super) fn pass(&self, point: &'static str) {
        let number = {
            let mut passed = self.passed.lock().unwrap();
            let number = passed.entry(point).or_default();
            *number += 1;
            *number
        };
        if self.end.as_ref().is_some_and(|(end, at)| end == point && *at == number) {
            // No destructor, no flush, no rollback: as with SIGKILL.
            std::process::abort();
        }
    }
}

/// A source that passes points while it is read.
#[derive(Debug)]
pub(super) struct FusedSource<S> {
    pub(super) inner: S,
    pub(super) fuse: Fuse,
}

#[async_trait]
impl<S: AnalyticsSource> AnalyticsSource for FusedSource<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Checked> {
        self.inner.check().await
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        self.inner.discover().await
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        self.inner.plan(stream, site, window)
    }

    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        self.inner.version(slice).await
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let mut pages = self.inner.read(slice);
        futures_util::stream::poll_fn(move |context| {
            self.fuse.pass("before a page");
            let polled = pages.poll_next_unpin(context);
            match &polled {
                Poll::Ready(Some(_)) => self.fuse.pass("after a page"),
                Poll::Ready(None) => self.fuse.pass("after the last page"),
                Poll::Pending => {}
            }
            polled
        })
        .boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        self.fuse.pass("before the control totals");
        let totals = self.inner.verify(slice).await;
        self.fuse.pass("after the control totals");
        totals
    }
}

/// How a load is broken on purpose, to see that the proof would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// The ledger row is committed before the rows.
    LedgerFirst,
    /// The rows are committed before the ledger row.
    RowsFirst,
}

impl Sabotage {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "ledger first" => Self::LedgerFirst,
            "rows first" => Self::RowsFirst,
            other => panic!("{other}"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LedgerFirst => "ledger first",
            Self::RowsFirst => "rows first",
        }
    }
}

/// A warehouse that passes points around and inside of its loads.
#[derive(Debug)]
pub(super) struct FusedWarehouse<W> {
    pub(super) inner: W,
    pub(super) fuse: Fuse,
    pub(super) sabotage: Option<Sabotage>,
}

#[async_trait]
impl<W: Warehouse> Warehouse for FusedWarehouse<W> {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn migrate(&self, schema: &Schema) -> Result<()> {
        self.inner.migrate(schema).await
    }

    async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
        let of_slice = !batch.replaced().is_empty();
        let [before, within, after] = match (of_slice, batch.key().stream.starts_with("failures/")) {
            (true, _) => ["before a load", "in a load", "after a load"],
            (false, true) => {
                ["before a failure is noted", "in the note of a failure", "after a failure was noted"]
            }
            // The site and its zone.
            (false, false) => return self.inner.load(batch, at).await,
        };
        self.fuse.pass(before);
        if let (Some(sabotage), true) = (self.sabotage, of_slice) {
            let [rows, ledger] = halves(batch);
            let first = if sabotage == Sabotage::LedgerFirst { &ledger } else { &rows };
            self.inner.load(first, at).await?;
            self.fuse.pass(HALVES);
        }
        let receipt = Stepped { inner: self.inner.load(batch, at), fuse: &self.fuse, point: within }.await?;
        self.fuse.pass(after);
        Ok(receipt)
    }

    async fn query(&self, query: &Query) -> Result<Table> {
        self.inner.query(query).await
    }

    fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
        self.inner.scan(query, chunk)
    }
}

/// A future that passes a point each time that it is polled again.
struct Stepped<'a, F> {
    inner: F,
    fuse: &'a Fuse,
    point: &'static str,
}

impl<F: Future + Unpin> Future for Stepped<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.inner).poll(context);
        if polled.is_pending() {
            self.fuse.pass(self.point);
        }
        polled
    }
}

/// What should be one load, as two: the rows under the slice's key, and the ledger under a key of its own.
fn halves(batch: &Batch) -> [Batch; 2] {
    let mut rows = Batch::new(batch.key().clone()).state(batch.slice_state());
    for part in batch.replaced() {
        let table = &part.table;
        rows = match part.schema.name {
            "sessions" => rows.replace(typed::<Session>(table)),
            "events" => rows.replace(typed::<Event>(table)),
            "daily_metrics" => rows.replace(typed::<DailyMetric>(table)),
            "users" => rows.replace(typed::<User>(table)),
            "etl_quarantine" => rows.replace(typed::<QuarantineRow>(table)),
            // A table that no stream of the story fills has no rows.
            _ => rows,
        };
    }
    let mut ledger = Batch::new(SliceKey::whole("etl", "broken", &batch.key().site));
    for part in batch.upserted() {
        let is = |schema: TableSchema| schema.name == part.schema.name;
        if is(SliceRow::SCHEMA) {
            ledger = ledger.upsert(typed::<SliceRow>(&part.table));
        } else if is(RevisionRow::SCHEMA) {
            ledger = ledger.upsert(typed::<RevisionRow>(&part.table));
        }
    }
    [rows, ledger]
}

fn typed<R: Record>(table: &Table) -> Vec<R> {
    (0..table.rows()).map(|row| R::read(table, row).unwrap()).collect()
}
