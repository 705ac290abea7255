//! The suite on every engine, and on one that is broken on purpose.

use super::engines;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use mkt_connect::Result;
use mkt_warehouse::model::SliceState;
use mkt_warehouse::testing::{CHECKS, Probe};
use mkt_warehouse::{
    Batch, Dialect, Exclusive, Hold, Query, Receipt, Record, Schema, SliceKey, Sqlite, Table, Warehouse,
};
use std::sync::Arc;

mkt_warehouse::conformance!(sqlite_memory, engines::memory);
mkt_warehouse::conformance!(sqlite_file, engines::file);
#[cfg(feature = "postgres")]
mkt_warehouse::conformance!(postgres, engines::postgres);

/// A way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Rows are added under a new key each time: replays double.
    Appends,
    /// A hundred rows are loaded at a time.
    PieceByPiece,
    /// The last row is lost.
    LosesARow,
    /// Every load pretends to be the first of its slice.
    ForgetsTheLedger,
    /// Errors are swallowed.
    SwallowsErrors,
    /// A scan is one chunk.
    OneChunk,
    /// Every slice is settled.
    KeepsTheState,
    /// A slice that another one took rows from still counts as what was loaded.
    ForgivesRobbery,
    /// Everybody gets every lock.
    LetsEverybodyIn,
}

struct Nothing;

#[async_trait]
impl Hold for Nothing {
    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Broken {
    inner: Sqlite,
    fault: Fault,
    count: std::sync::atomic::AtomicU32,
    seen: std::sync::Mutex<std::collections::HashSet<(SliceKey, String)>>,
}

fn probes(batch: &Batch) -> Vec<Probe> {
    let held = batch.replaced().iter().find(|rows| rows.schema.name == "probe");
    held.map_or_else(Vec::new, |rows| {
        (0..rows.table.rows()).map(|row| Probe::read(&rows.table, row).unwrap()).collect()
    })
}

#[async_trait]
impl Warehouse for Broken {
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
        let count = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = batch.key().clone();
        match self.fault {
            Fault::Appends => {
                let mut rows = probes(batch);
                for row in &mut rows {
                    row.name = format!("{} {count}", row.name);
                }
                let key = SliceKey { stream: format!("{} {count}", key.stream), ..key };
                self.inner.load(&Batch::new(key).replace(rows), at).await
            }
            Fault::PieceByPiece => {
                let mut receipt = self.inner.load(&Batch::new(key.clone()), at).await?;
                for (n, rows) in probes(batch).chunks(100).enumerate() {
                    let key = SliceKey { stream: format!("{} {n}", key.stream), ..key.clone() };
                    receipt = self.inner.load(&Batch::new(key).replace(rows.to_vec()), at).await?;
                }
                Ok(receipt)
            }
            Fault::LosesARow => {
                let mut rows = probes(batch);
                rows.pop();
                self.inner.load(&Batch::new(key).replace(rows), at).await
            }
            Fault::ForgetsTheLedger => {
                self.inner.load(&Batch::new(key.clone()), at).await?;
                self.inner.load(batch, at).await
            }
            Fault::SwallowsErrors => {
                let nothing = Receipt { replayed: false, written: 0, removed: 0, revision: 1 };
                Ok(self.inner.load(batch, at).await.unwrap_or(nothing))
            }
            Fault::KeepsTheState => self.inner.load(&batch.clone().state(SliceState::Settled), at).await,
            Fault::ForgivesRobbery => {
                let receipt = self.inner.load(batch, at).await?;
                let hash = batch.content_hash().to_owned();
                let again = !self.seen.lock().unwrap().insert((batch.key().clone(), hash));
                Ok(Receipt { replayed: receipt.replayed || again, ..receipt })
            }
            Fault::OneChunk | Fault::LetsEverybodyIn => self.inner.load(batch, at).await,
        }
    }
    async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
        match self.fault {
            Fault::LetsEverybodyIn => Ok(Some(Exclusive::new(name, Nothing))),
            _ => self.inner.exclusive(name).await,
        }
    }
    async fn query(&self, query: &Query) -> Result<Table> {
        self.inner.query(query).await
    }
    fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
        self.inner.scan(query, if self.fault == Fault::OneChunk { 1 << 20 } else { chunk })
    }
}

#[tokio::test]
async fn the_suite_finds_every_planted_fault() {
    let faults = [
        (Fault::Appends, "replay_changes_nothing"),
        (Fault::Appends, "changed_content_replaces_the_slice"),
        (Fault::PieceByPiece, "readers_see_before_or_after"),
        (Fault::PieceByPiece, "a_batch_is_all_or_nothing"),
        (Fault::LosesARow, "load_then_query_round_trips"),
        (Fault::LosesARow, "a_large_first_load_is_as_any_other"),
        (Fault::PieceByPiece, "readers_see_nothing_of_a_large_first_load_before_its_end"),
        (Fault::PieceByPiece, "a_large_load_that_is_refused_changes_nothing"),
        (Fault::KeepsTheState, "a_state_changes_only_the_ledger"),
        (Fault::ForgivesRobbery, "keys_that_others_hold_move_to_a_large_load"),
        (Fault::ForgetsTheLedger, "replay_changes_nothing"),
        (Fault::ForgetsTheLedger, "readers_see_before_or_after"),
        (Fault::SwallowsErrors, "a_row_that_does_not_fit_is_named_by_table_and_column"),
        (Fault::SwallowsErrors, "loading_before_migrating_is_an_error"),
        (Fault::LetsEverybodyIn, "a_name_has_one_holder_at_a_time"),
        (Fault::LetsEverybodyIn, "a_lock_is_no_obstacle_to_loads"),
        (Fault::OneChunk, "a_scan_gives_the_rows_of_the_query_in_chunks"),
    ];
    for (fault, name) in faults {
        let inner = Sqlite::in_memory().await.unwrap();
        let warehouse = Arc::new(Broken { inner, fault, count: 0.into(), seen: Default::default() });
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        assert!(check.run(warehouse).await.is_err(), "{name} does not notice {fault:?}");
    }
}
