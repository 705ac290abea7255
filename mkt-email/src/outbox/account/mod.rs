//! Accounts of providers: pauses that they ask for, and budgets of what may be spent.

mod budget;

pub use budget::Budget;
pub(super) use budget::{Room, end_call, extend_reservations, lock, locked_room, reserve, room};

use super::store::{Store, Tx, values};
use super::{millis, storable, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// A pause of an account, shared by all workers.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    pub(super) until: DateTime<Utc>,
    pub(super) reason: String,
}

const PAUSED: &str =
    "SELECT paused_until, reason FROM mail_accounts WHERE account = $1 AND paused_until > $2";

/// Pauses an account, unless it is paused for longer already.
pub(super) async fn pause(tx: &mut Tx, account: &str, pause: &Pause) -> Result<()> {
    tx.run(
        "INSERT INTO mail_accounts (account, paused_until, reason) VALUES ($1, $2, $3)
         ON CONFLICT (account) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason
          WHERE excluded.paused_until > mail_accounts.paused_until",
        values![account, millis(pause.until), storable(&pause.reason)],
    )
    .await
    .map(|_| ())
}

/// Whether an account is paused, inside a transaction.
pub(super) async fn is_paused(tx: &mut Tx, account: &str, now: DateTime<Utc>) -> Result<bool> {
    let rows = tx.all(PAUSED, values![account, millis(now)]).await?;
    Ok(!rows.is_empty())
}

/// The pause of an account, if it is paused.
pub(super) async fn paused(store: &Store, account: &str, now: DateTime<Utc>) -> Result<Option<Pause>> {
    let rows = store.all("look for a pause", PAUSED, values![account, millis(now)]).await?;
    let read = |row: &super::store::Row| {
        Ok(Pause { until: timestamp(row.number("paused_until")?)?, reason: row.text("reason")?.to_owned() })
    };
    rows.first().map(read).transpose()
}
