//! Slices: replaced as a whole, replayed without effect, apart from each other.

use super::probe::{PROBE, Probe, slice};
use super::{Failure, ensure, equal, instant, rows};
use crate::batch::Batch;
use crate::loading::Loading;
use crate::model::{self, Load, Site, SliceState};
use crate::warehouse::Warehouse;
use mkt_connect::ErrorKind;
use std::sync::Arc;

pub(super) async fn ready(warehouse: &dyn Warehouse) -> Result<(), Failure> {
    warehouse.migrate(&model::SCHEMA).await?;
    warehouse.migrate(&PROBE).await?;
    Ok(())
}

pub(super) async fn migrating_twice_changes_nothing(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    warehouse.check().await?;
    ready(&warehouse).await?;
    warehouse.load(&Batch::new(slice(0)).replace([Probe::new("a", 1)]), instant(0)).await?;
    ready(&warehouse).await?;
    warehouse.check().await?;
    equal("rows after a second migration", &rows(&warehouse).await?, &vec![Probe::new("a", 1)])
}

pub(super) async fn replay_changes_nothing(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batch = Batch::new(slice(0)).replace(Probe::many("a", 1, 3));
    let first = warehouse.load(&batch, instant(0)).await?;
    equal("first load: replayed", &first.replayed, &false)?;
    equal(
        "first load: written, removed, revision",
        &(first.written, first.removed, first.revision),
        &(3, 0, 1),
    )?;
    let before: (Vec<Probe>, Vec<Load>) = (rows(&warehouse).await?, rows(&warehouse).await?);
    let second = warehouse.load(&batch, instant(60)).await?;
    equal("second load: replayed", &second.replayed, &true)?;
    equal(
        "second load: written, removed, revision",
        &(second.written, second.removed, second.revision),
        &(0, 0, 1),
    )?;
    let after = (rows(&warehouse).await?, rows(&warehouse).await?);
    equal("rows and ledger after a replay", &after, &before)?;
    let ledger: Vec<_> = after.1.iter().map(|load| (load.row_count, load.revision, load.loaded_at)).collect();
    equal("ledger", &ledger, &vec![(3, 1, instant(0))])?;
    equal("content hash in the ledger", &after.1[0].content_hash.as_str(), &batch.content_hash())
}

pub(super) async fn batches_loaded_together_are_as_one_after_the_other(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let twice = Batch::new(slice(2)).replace([Probe::new("x", 1), Probe::new("x", 2)]);
    let batches = [
        Batch::new(slice(0)).replace(Probe::many("a", 1, 12_000)),
        Batch::new(slice(1)).replace([Probe::new("b", 1)]),
        twice,
        // Takes a row of the first.
        Batch::new(slice(3)).replace([Probe::many("a", 2, 1).remove(0), Probe::new("c", 1)]),
    ];
    let receipts = warehouse.load_all(&batches, instant(0)).await;
    let written: Vec<Option<u64>> =
        receipts.iter().map(|receipt| receipt.as_ref().ok().map(|r| r.written)).collect();
    equal("rows written by each", &written, &vec![Some(12_000), Some(1), None, Some(2)])?;
    let kind = receipts.get(2).and_then(|receipt| receipt.as_ref().err()).map(mkt_connect::Error::kind);
    equal("the batch that does not fit", &kind, &Some(ErrorKind::Input))?;
    equal("rows", &rows::<Probe>(&warehouse).await?.len(), &12_002)?;
    let lost = rows::<Load>(&warehouse).await?.iter().filter(|load| load.content_hash.is_empty()).count();
    equal("slices that lost rows", &lost, &1)?;
    let again = warehouse.load_all(&batches[1..2], instant(60)).await;
    equal("the second again: replayed", &again.iter().all(|r| r.as_ref().is_ok_and(|r| r.replayed)), &true)
}

pub(super) async fn a_series_of_loads_is_as_one_after_the_other(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let mut series = warehouse.begin(instant(0)).await?;
    let first = Batch::new(slice(0)).replace(Probe::many("a", 1, 12_000));
    equal("the first", &written(&mut *series, &first).await, &Ok(12_000))?;
    let twice = Batch::new(slice(2)).replace([Probe::new("x", 1), Probe::new("x", 2)]);
    equal("the batch that does not fit", &written(&mut *series, &twice).await, &Err(ErrorKind::Input))?;
    // Takes a row of the first.
    let thief = Batch::new(slice(3)).replace([Probe::many("a", 2, 1).remove(0), Probe::new("c", 1)]);
    equal("the batch that takes a row", &written(&mut *series, &thief).await, &Ok(2))?;
    series.commit().await?;
    let held: Vec<Probe> = rows(&warehouse).await?;
    equal("rows", &held.len(), &12_001)?;
    let taken = Probe::many("a", 2, 1).remove(0);
    equal("the later slice's row", &held.iter().filter(|row| **row == taken).count(), &1)?;
    let lost = rows::<Load>(&warehouse).await?.iter().filter(|load| load.content_hash.is_empty()).count();
    equal("slices that lost rows", &lost, &1)?;
    equal("the last again: replayed", &warehouse.load(&thief, instant(60)).await?.replayed, &true)
}

async fn written(series: &mut dyn Loading, batch: &Batch) -> Result<u64, ErrorKind> {
    series.load(batch).await.map(|receipt| receipt.written).map_err(|error| error.kind())
}

pub(super) async fn a_dropped_series_leaves_whole_slices(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batch = |n: u64| Batch::new(slice(n)).replace(Probe::many(&format!("s{n}"), 1, 300));
    let mut series = warehouse.begin(instant(0)).await?;
    for n in 0..3 {
        series.load(&batch(n)).await?;
    }
    drop(series);
    let after = warehouse.load(&batch(9), instant(60)).await?;
    equal("a load after it", &after.written, &300)?;
    let slices = rows::<Load>(&warehouse).await?.len();
    equal("rows of the slices in the ledger", &rows::<Probe>(&warehouse).await?.len(), &(slices * 300))
}

pub(super) async fn a_state_changes_only_the_ledger(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batch = Batch::new(slice(0)).replace(Probe::many("a", 1, 3));
    warehouse.load(&batch.clone().state(SliceState::Provisional), instant(0)).await?;
    let first: Vec<Load> = rows(&warehouse).await?;
    equal("state", &first.iter().map(|load| load.state).collect(), &vec![SliceState::Provisional])?;
    let again = warehouse.load(&batch.clone().state(SliceState::Settled), instant(60)).await?;
    equal("same content in another state: replayed, written", &(again.replayed, again.written), &(true, 0))?;
    let second: Vec<Load> = rows(&warehouse).await?;
    let expected: Vec<Load> =
        first.iter().map(|load| Load { state: SliceState::Settled, ..load.clone() }).collect();
    equal("ledger after the state changed", &second, &expected)?;
    let other = Batch::new(slice(0)).replace(Probe::many("a", 2, 2)).state(SliceState::Truncated);
    let changed = warehouse.load(&other, instant(120)).await?;
    equal("other content in another state: revision", &changed.revision, &2)?;
    let third: Vec<Load> = rows(&warehouse).await?;
    let shown = third.iter().map(|load| (load.state, load.row_count, load.loaded_at)).collect();
    equal("ledger after both changed", &shown, &vec![(SliceState::Truncated, 2, instant(120))])
}

pub(super) async fn changed_content_replaces_the_slice(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    warehouse.load(&Batch::new(slice(0)).replace(Probe::many("a", 1, 5)), instant(0)).await?;
    let now = vec![Probe::new("a0000", 2), Probe::new("new", 2)];
    let receipt = warehouse.load(&Batch::new(slice(0)).replace(now.clone()), instant(60)).await?;
    equal("receipt", &(receipt.written, receipt.removed, receipt.revision), &(2, 5, 2))?;
    equal("rows", &rows::<Probe>(&warehouse).await?, &now)?;
    let ledger: Vec<Load> = rows(&warehouse).await?;
    let shown: Vec<_> = ledger.iter().map(|load| (load.row_count, load.revision, load.loaded_at)).collect();
    equal("ledger", &shown, &vec![(2, 2, instant(60))])
}

pub(super) async fn an_empty_batch_empties_the_slice(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    warehouse.load(&Batch::new(slice(0)).replace(Probe::many("a", 1, 5)), instant(0)).await?;
    let receipt = warehouse.load(&Batch::new(slice(0)), instant(60)).await?;
    equal("removed", &receipt.removed, &5)?;
    equal("rows", &rows::<Probe>(&warehouse).await?, &Vec::new())?;
    let ledger: Vec<Load> = rows(&warehouse).await?;
    equal("ledger keeps the empty slice", &ledger.iter().map(|load| load.row_count).collect(), &vec![0])
}

pub(super) async fn a_batch_is_all_or_nothing(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let good =
        Batch::new(slice(0)).replace(Probe::many("a", 1, 3)).upsert([Site::new("shop", "UTC", "suite")]);
    warehouse.load(&good, instant(0)).await?;
    let before: (Vec<Probe>, Vec<Load>, Vec<Site>) =
        (rows(&warehouse).await?, rows(&warehouse).await?, rows(&warehouse).await?);
    // Enough rows for several statements before the one that the table itself refuses.
    let mut bad = Probe::many("b", 2, 12_000);
    bad.push(Probe::new("refused", -1));
    let batch = Batch::new(slice(0)).replace(bad).upsert([Site::new("shop", "Europe/Paris", "suite")]);
    let Err(error) = warehouse.load(&batch, instant(60)).await else {
        return Err(Failure("a row that the table refuses was accepted".to_owned()));
    };
    equal("kind of the error", &error.kind(), &ErrorKind::Input)?;
    let after = (rows(&warehouse).await?, rows(&warehouse).await?, rows(&warehouse).await?);
    ensure(after == before, || {
        format!("a refused batch left {} rows where there were {}", after.0.len(), before.0.len())
    })?;
    // And the warehouse still works.
    warehouse.load(&Batch::new(slice(0)), instant(120)).await?;
    Ok(())
}

/// Rows of a load for which engines change their ways.
const LARGE: usize = 12_000;

pub(super) async fn a_large_first_load_is_as_any_other(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let first = Batch::new(slice(0)).replace(Probe::many("a", 1, LARGE));
    let receipt = warehouse.load(&first, instant(0)).await?;
    equal("written, revision", &(receipt.written, receipt.revision), &(LARGE as u64, 1))?;
    equal("the same again: replayed", &warehouse.load(&first, instant(1)).await?.replayed, &true)?;
    let second = Probe::many("b", 2, LARGE + 1);
    let receipt = warehouse.load(&Batch::new(slice(0)).replace(second.clone()), instant(2)).await?;
    equal("removed, written", &(receipt.removed, receipt.written), &(LARGE as u64, LARGE as u64 + 1))?;
    // One more slice, now that the table is not empty, and a key that is held.
    let third = Probe::many("c", 3, LARGE);
    warehouse.load(&Batch::new(slice(1)).replace(third.clone()), instant(3)).await?;
    warehouse.load(&Batch::new(slice(2)).replace([Probe::new("b0007", 4)]), instant(4)).await?;
    let mut expected: Vec<Probe> = second.into_iter().chain(third).collect();
    expected.iter_mut().filter(|row| row.name == "b0007").for_each(|row| row.whole = 4);
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    let found = rows::<Probe>(&warehouse).await?;
    ensure(found == expected, || format!("{} rows, expected {}", found.len(), expected.len()))
}

pub(super) async fn a_large_load_that_is_refused_changes_nothing(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let mut bad = Probe::many("a", 1, LARGE);
    bad.push(Probe::new("refused", -1));
    let refused = warehouse.load(&Batch::new(slice(0)).replace(bad.clone()), instant(0)).await;
    let Err(error) = refused else {
        return Err(Failure("a row that the table refuses was accepted".to_owned()));
    };
    equal("kind of the error", &error.kind(), &ErrorKind::Input)?;
    equal("rows", &rows::<Probe>(&warehouse).await?.len(), &0)?;
    equal("ledger rows", &rows::<Load>(&warehouse).await?.len(), &0)?;
    bad.pop();
    equal("mended", &warehouse.load(&Batch::new(slice(0)).replace(bad), instant(1)).await?.revision, &1)
}

pub(super) async fn keys_that_others_hold_move_to_a_large_load(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let first = Batch::new(slice(0)).replace(Probe::many("a", 1, 40));
    warehouse.load(&first, instant(0)).await?;
    // Ten of the forty move, from the middle of a large load.
    let mut taken = Probe::many("b", 2, LARGE);
    taken.splice(6_000..6_000, Probe::many("a", 2, 10));
    let receipt = warehouse.load(&Batch::new(slice(1)).replace(taken.clone()), instant(1)).await?;
    equal("written", &receipt.written, &(LARGE as u64 + 10))?;
    let found = rows::<Probe>(&warehouse).await?;
    let moved = found.iter().filter(|row| row.name.starts_with('a') && row.whole == 2).count();
    equal("rows, of which moved", &(found.len(), moved), &(LARGE + 40, 10))?;
    let again = warehouse.load(&first, instant(2)).await?;
    equal(
        "the slice that lost rows again: replayed, removed, written",
        &(again.replayed, again.removed, again.written),
        &(false, 30, 40),
    )?;
    // What was taken back is missing from the second, which is then no replay either.
    equal(
        "the second again: replayed",
        &warehouse.load(&Batch::new(slice(1)).replace(taken), instant(3)).await?.replayed,
        &false,
    )
}

pub(super) async fn slices_do_not_touch_each_other(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    for day in 0..3 {
        let batch = Batch::new(slice(day)).replace([Probe::new(format!("day {day}"), 1)]);
        warehouse.load(&batch, instant(0)).await?;
    }
    warehouse.load(&Batch::new(slice(1)).replace([Probe::new("day 1 again", 2)]), instant(60)).await?;
    equal(
        "rows",
        &rows::<Probe>(&warehouse).await?,
        &vec![Probe::new("day 0", 1), Probe::new("day 1 again", 2), Probe::new("day 2", 1)],
    )
}

pub(super) async fn a_row_moves_between_slices(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let first = Batch::new(slice(0)).replace([Probe::new("both", 1), Probe::new("first", 1)]);
    let second = Batch::new(slice(1)).replace([Probe::new("both", 2), Probe::new("second", 2)]);
    warehouse.load(&first, instant(0)).await?;
    warehouse.load(&second, instant(60)).await?;
    equal(
        "rows after the move",
        &rows(&warehouse).await?,
        &vec![Probe::new("both", 2), Probe::new("first", 1), Probe::new("second", 2)],
    )?;
    // The row is the second slice's now: emptying the second removes it.
    let third = warehouse.load(&Batch::new(slice(1)), instant(120)).await?;
    equal("rows removed with the second slice", &third.removed, &2)?;
    // And the first slice is no longer what its hash said: loading it again is no replay.
    let again = warehouse.load(&first, instant(180)).await?;
    equal("loading the slice that lost rows again: replayed", &again.replayed, &false)?;
    equal("rows at the end", &rows(&warehouse).await?, &vec![Probe::new("both", 1), Probe::new("first", 1)])
}

pub(super) async fn upserts_outlive_the_slice(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let old = Site::new("shop", "UTC", "suite");
    let new = Site::new("shop", "Europe/Paris", "suite");
    let content = [Probe::new("a", 1)];
    warehouse.load(&Batch::new(slice(0)).replace(content.clone()).upsert([old]), instant(0)).await?;
    let receipt =
        warehouse.load(&Batch::new(slice(0)).replace(content).upsert([new.clone()]), instant(60)).await?;
    equal("a new upsert beside old content: replayed", &receipt.replayed, &true)?;
    equal("the upsert is written with a replay", &rows(&warehouse).await?, &vec![new.clone()])?;
    warehouse.load(&Batch::new(slice(0)), instant(120)).await?;
    equal("the upsert outlives the slice", &rows(&warehouse).await?, &vec![new])
}

pub(super) async fn loading_before_migrating_is_an_error(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    let refused = warehouse.load(&Batch::new(slice(0)).replace([Probe::new("a", 1)]), instant(0)).await;
    ensure(refused.is_err(), || "rows were accepted without tables".to_owned())?;
    warehouse.check().await?;
    ready(&warehouse).await
}
