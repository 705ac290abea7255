//! Named locks. Engines that have none pass: they say so.

use super::probe::{Probe, slice};
use super::slices::ready;
use super::{Failure, ensure, equal, instant, rows};
use crate::batch::Batch;
use crate::exclusive::Exclusive;
use crate::warehouse::Warehouse;
use futures_util::future::{join_all, poll_fn};
use mkt_connect::ErrorKind;
use std::sync::Arc;
use std::task::Poll;

/// The answer; nothing for an engine without locks.
async fn ask(warehouse: &dyn Warehouse, name: &str) -> Result<Option<Option<Exclusive>>, Failure> {
    match warehouse.exclusive(name).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn a_name_has_one_holder_at_a_time(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    let Some(first) = ask(&*warehouse, "etl é/1").await? else { return Ok(()) };
    let first = first.ok_or_else(|| Failure("nobody held the lock, and it was refused".to_owned()))?;
    equal("name", &first.name(), &"etl é/1")?;
    for turn in 0..3 {
        let second = warehouse.exclusive("etl é/1").await?;
        ensure(second.is_none(), || format!("a second holder at turn {turn}"))?;
    }
    let other = warehouse.exclusive("etl é/2").await?;
    ensure(other.is_some(), || "a lock of another name is refused".to_owned())?;
    first.release().await?;
    let again = warehouse.exclusive("etl é/1").await?;
    ensure(again.is_some(), || "a lock that was released is refused".to_owned())?;
    drop(again);
    // A server may need a moment to see that a connection was closed.
    let mut tries = 0;
    while warehouse.exclusive("etl é/1").await?.is_none() {
        tries += 1;
        ensure(tries < 5_000, || "a lock that was dropped is still held".to_owned())?;
        turn_over().await;
    }
    // Of many who come at once, exactly one gets it.
    let all = join_all((0..6).map(|_| warehouse.exclusive("crowd"))).await;
    let all: Vec<Option<Exclusive>> = all.into_iter().collect::<Result<_, _>>()?;
    equal("holders out of six", &all.iter().flatten().count(), &1)
}

pub(super) async fn a_lock_is_no_obstacle_to_loads(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    let Some(held) = ask(&*warehouse, "etl").await? else { return Ok(()) };
    ready(&warehouse).await?;
    warehouse.load(&Batch::new(slice(0)).replace([Probe::new("a", 1)]), instant(0)).await?;
    equal("rows", &rows::<Probe>(&warehouse).await?.len(), &1)?;
    let second = warehouse.exclusive("etl").await?;
    ensure(second.is_none(), || "a load gave the lock away".to_owned())?;
    drop(held);
    Ok(())
}

/// Lets other tasks have a turn.
async fn turn_over() {
    let mut turned = false;
    poll_fn(|context| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
