//! Recovery: emails of dead workers, and calls whose answers were lost.

mod liveness;
mod settle;

pub(super) use liveness::Presence;
pub(super) use settle::{next_look_up, settle};

use super::account::extend_reservations;
use super::millis;
use super::plan;
use super::store::{Access, Store, values};
use crate::provider::Stage;
use chrono::{DateTime, Utc};
use liveness::DeadWorkers;
use mkt_connect::Result;

/// Takes over the rows of workers that are dead or whose lease has expired, except those of `worker` itself. Claimed
/// rows wait again; sending ones become unknown. Returns how many there were.
pub(super) async fn take_over(
    store: &Store,
    presence: &mut Presence,
    worker: &str,
    now: DateTime<Utc>,
) -> Result<u64> {
    let (all, named) = match presence.dead_workers(store, worker).await? {
        DeadWorkers::AllOthers => (true, Vec::new()),
        DeadWorkers::Named(workers) => (false, workers),
    };
    let mut tx = store.begin("recover", Access::Alone).await?;
    let recovered = tx
        .run(
            "UPDATE mail_outbox SET state = CASE state WHEN 'claimed' THEN 'pending' ELSE 'unknown' END,
                    stage = CASE state WHEN 'claimed' THEN stage ELSE $4 END,
                    worker = NULL, lease_until = NULL, updated_at = $1
              WHERE state IN ('claimed', 'sending') AND coalesce(worker, '') <> $5
                AND ($2 = 1 OR lease_until <= $1 OR worker IN (SELECT value FROM json_each($3)))",
            values![millis(now), all, named, Stage::ProcessDied.as_str(), worker],
        )
        .await?;
    tx.commit().await?;
    Ok(recovered)
}

/// A sign of life: extends the leases of a worker, and the latest end of its calls in progress.
pub(super) async fn extend_leases(
    store: &Store,
    worker: &str,
    account: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<()> {
    let mut tx = store.begin("extend leases", Access::Shared).await?;
    tx.run(
        "UPDATE mail_outbox SET lease_until = $1 WHERE state IN ('claimed', 'sending') AND worker = $2",
        values![millis(until), worker],
    )
    .await?;
    extend_reservations(&mut tx, worker, account, now, until).await?;
    plan::extend_reservations(&mut tx, worker, account, now, until).await?;
    tx.commit().await
}
