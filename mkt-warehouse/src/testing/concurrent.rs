//! Several at once, and one that is given up.

use super::probe::{Probe, slice};
use super::slices::ready;
use super::{Failure, ensure, equal, instant, rows};
use crate::batch::Batch;
use crate::model::Load;
use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use futures_util::future::{join, join_all, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

pub(super) async fn migrating_at_once_is_harmless(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    for done in join_all((0..4).map(|_| ready(&warehouse))).await {
        done?;
    }
    warehouse.load(&Batch::new(slice(0)).replace([Probe::new("a", 1)]), instant(0)).await?;
    Ok(())
}

pub(super) async fn loads_of_one_key_at_once_leave_one_of_them(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batches: Vec<Batch> =
        (0..4).map(|n| Batch::new(slice(0)).replace(Probe::many("a", n, 20 + n as usize))).collect();
    for receipt in join_all(batches.iter().map(|batch| warehouse.load(batch, instant(0)))).await {
        receipt?;
    }
    let held: Vec<Probe> = rows(&warehouse).await?;
    let winner = held.first().map_or(-1, |row| row.whole);
    equal("rows of one of the four", &held, &Probe::many("a", winner, 20 + winner.unsigned_abs() as usize))?;
    let ledger: Vec<Load> = rows(&warehouse).await?;
    let shown: Vec<_> = ledger.iter().map(|load| (load.row_count, load.revision)).collect();
    equal("ledger", &shown, &vec![(20 + winner, 4)])
}

pub(super) async fn loads_of_many_keys_at_once_are_all_there(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batches: Vec<Batch> =
        (0..8).map(|n| Batch::new(slice(n)).replace(Probe::many(&format!("{n}-"), 1, 200))).collect();
    for receipt in join_all(batches.iter().map(|batch| warehouse.load(batch, instant(0)))).await {
        equal("replayed", &receipt?.replayed, &false)?;
    }
    equal("rows", &rows::<Probe>(&warehouse).await?.len(), &1_600)?;
    equal("ledger rows", &rows::<Load>(&warehouse).await?.len(), &8)
}

pub(super) async fn large_loads_of_different_keys_at_once_fill_an_empty_table(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    const LARGE: usize = 12_000;
    ready(&warehouse).await?;
    // Three sets of rows, and a fourth that shares its keys with the first: one of the two ends up with them.
    let batches: Vec<Batch> = ["a", "b", "c", "a"]
        .iter()
        .zip(0..)
        .map(|(prefix, n)| Batch::new(slice(n)).replace(Probe::many(prefix, n as i64, LARGE)))
        .collect();
    for receipt in join_all(batches.iter().map(|batch| warehouse.load(batch, instant(0)))).await {
        equal("written", &receipt?.written, &(LARGE as u64))?;
    }
    let found = rows::<Probe>(&warehouse).await?;
    let of = |whole| found.iter().filter(|row| row.whole == whole).count();
    equal("rows of b and c", &(of(1), of(2)), &(LARGE, LARGE))?;
    ensure([(LARGE, 0), (0, LARGE)].contains(&(of(0), of(3))), || {
        format!("keys of two slices are held by {} and {} of them", of(0), of(3))
    })?;
    let lost_rows =
        rows::<Load>(&warehouse).await?.iter().filter(|load| load.content_hash.is_empty()).count();
    equal("slices that lost their rows", &lost_rows, &1)
}

pub(super) async fn readers_see_nothing_of_a_large_first_load_before_its_end(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    const LARGE: i64 = 12_000;
    ready(&warehouse).await?;
    let query = Query::new("select (select count(*) from probe), (select count(*) from loads)")
        .column("rows", ColumnType::Int)
        .column("ledger", ColumnType::Int);
    let done = AtomicBool::new(false);
    let writer = async {
        let loaded = warehouse
            .load(&Batch::new(slice(0)).replace(Probe::many("a", 1, LARGE as usize)), instant(0))
            .await;
        done.store(true, Ordering::Release);
        loaded.map(|_| ()).map_err(Failure::from)
    };
    let reader = async {
        while !done.load(Ordering::Acquire) {
            let seen = warehouse.query(&query).await?.row(0);
            ensure(seen == [0, 0].map(Value::Int) || seen == [LARGE, 1].map(Value::Int), || {
                format!("a reader saw a part of a load: rows, ledger rows = {seen:?}")
            })?;
        }
        Ok::<(), Failure>(())
    };
    let (written, read) = join(writer, reader).await;
    written.and(read)
}

pub(super) async fn readers_see_before_or_after(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    // Odd revisions have 300 ones, even ones 500 twos.
    let odd = Batch::new(slice(0)).replace(Probe::many("a", 1, 300));
    let even = Batch::new(slice(0)).replace(Probe::many("a", 2, 500));
    warehouse.load(&odd, instant(0)).await?;
    let writer = async {
        for round in 0..6 {
            warehouse.load(&even, instant(round)).await?;
            warehouse.load(&odd, instant(round)).await?;
        }
        Ok::<(), Failure>(())
    };
    let query = Query::new(
        "select count(*), min(p.whole), max(p.whole), max(l.row_count) from probe p \
         join loads l on l.load_id = p.load_id",
    )
    .column("rows", ColumnType::Int)
    .column("least", ColumnType::Int)
    .column("most", ColumnType::Int)
    .column("ledger", ColumnType::Int);
    let reader = async {
        for _ in 0..60 {
            let seen = warehouse.query(&query).await?.row(0);
            let whole = [[300, 1, 1, 300], [500, 2, 2, 500]];
            ensure(whole.iter().any(|state| seen == state.map(Value::Int)), || {
                format!("a reader saw a mixture: rows, least, most, ledger = {seen:?}")
            })?;
        }
        Ok::<(), Failure>(())
    };
    let (written, read) = join(writer, reader).await;
    written.and(read)
}

pub(super) async fn a_dropped_load_leaves_before_or_after(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let state = Query::new(
        "select count(*), min(p.whole), max(p.whole), max(l.row_count) from probe p \
         join loads l on l.load_id = p.load_id",
    )
    .column("rows", ColumnType::Int)
    .column("least", ColumnType::Int)
    .column("most", ColumnType::Int)
    .column("ledger", ColumnType::Int);
    const ROWS: i64 = 3_000;
    let content = |number| Batch::new(slice(0)).replace(Probe::many("a", number, ROWS as usize));
    warehouse.load(&content(1_000), instant(0)).await?;
    // A commit that was on its way when its load was dropped may arrive later; until another is seen, both are right.
    let mut possible = vec![1_000];
    for polls in 0..30 {
        let batch = content(polls);
        let finished = {
            let mut load = pin!(warehouse.load(&batch, instant(polls)));
            let mut left = polls;
            // Gives the load a few turns, then drops it in the middle.
            poll_fn(|context| match load.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
        };
        possible.push(polls);
        let seen = warehouse.query(&state).await?.row(0);
        let held =
            possible.iter().copied().find(|number| seen == [ROWS, *number, *number, ROWS].map(Value::Int));
        let Some(held) = held else {
            return Err(Failure(format!(
                "after {polls} turns a dropped load left rows, least, most, ledger = {seen:?}, neither old nor new"
            )));
        };
        match finished {
            Some(done) => {
                done?;
                equal("what a finished load left", &held, &polls)?;
                possible = vec![polls];
            }
            None if held == polls => possible = vec![polls],
            None => possible = vec![held, polls],
        }
    }
    Ok(())
}
