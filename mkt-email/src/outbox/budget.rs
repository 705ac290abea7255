//! What an account may spend: so many mails or calls in any stretch of time, whoever sends them.
//!
//! What was spent is stored in the outbox and reserved in the transaction that marks mails as being sent, so the limit
//! holds across workers, processes and restarts. It is counted as the other side counts: a call counts from the moment
//! it is reserved until the window has passed **after its end**, so that no window on the other side's clock, however
//! it is laid, holds more than the budget. A worker that dies in a call leaves the time its lease ran to as the end.

use super::store::{Store, Tx, values};
use super::{Outbox, instant, millis};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::time::Duration;

/// At most so many mails, or calls, in any stretch of time of a length. The limit belongs to the provider's account:
/// all runs that use the account must be given it.
///
/// ```
/// use mkt_email::outbox::Budget;
/// use mkt_email::RunOptions;
/// use std::time::Duration;
/// let mut options = RunOptions::default();
/// // A consumer's Gmail account: 500 recipients in any 24 hours. And no more than two in a second.
/// options.budgets = vec![Budget::mails(500, Duration::from_hours(24)), Budget::mails(2, Duration::from_secs(1))];
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    unit: Unit,
    most: u32,
    per: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Mails,
    Calls,
}

impl Budget {
    /// At most `most` mails in any stretch of `per`. A group of a provider that sends many mails in a call is cut to
    /// what is left.
    #[must_use]
    pub fn mails(most: u32, per: Duration) -> Self {
        Self { unit: Unit::Mails, most, per }
    }

    /// At most `most` calls in any stretch of `per`.
    #[must_use]
    pub fn calls(most: u32, per: Duration) -> Self {
        Self { unit: Unit::Calls, most, per }
    }

    fn from(self, now: DateTime<Utc>) -> i64 {
        millis(now).saturating_sub(i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX))
    }

    fn per_millis(self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX)
    }
}

/// What is left of all budgets of an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) mails: usize,
    pub(super) calls: usize,
    /// When there is some again, where there is none.
    pub(super) again_at: Option<DateTime<Utc>>,
}

impl Room {
    pub(super) const UNLIMITED: Self = Self { mails: usize::MAX, calls: usize::MAX, again_at: None };

    pub(super) fn is_empty(&self) -> bool {
        self.mails == 0 || self.calls == 0
    }
}

const SPENT: &str =
    "SELECT CAST(coalesce(sum(mails), 0) AS BIGINT) AS mails, count(*) AS calls FROM mail_spending
                      WHERE account = $1 AND at > $2";
/// The end of the earliest calls that have to leave the window until one more fits.
const ENDS: &str = "SELECT at, mails FROM mail_spending WHERE account = $1 AND at > $2 ORDER BY at LIMIT $3";

/// A question to the outbox, inside or outside of a transaction.
enum Asked<'a> {
    Tx(&'a mut Tx),
    Store(&'a Store),
}

impl Asked<'_> {
    async fn all(
        &mut self,
        statement: &'static str,
        values: Vec<super::store::Value>,
    ) -> Result<Vec<super::store::Row>> {
        match self {
            Self::Tx(tx) => tx.all(statement, values).await,
            Self::Store(store) => store.all("look at a budget", statement, values).await,
        }
    }
}

async fn room(mut asked: Asked<'_>, account: &str, now: DateTime<Utc>, budgets: &[Budget]) -> Result<Room> {
    let mut room = Room::UNLIMITED;
    for budget in budgets {
        let from = budget.from(now);
        let rows = asked.all(SPENT, values![account, from]).await?;
        let Some(row) = rows.first() else { continue };
        let spent = match budget.unit {
            Unit::Mails => row.number("mails")?,
            Unit::Calls => row.number("calls")?,
        };
        let spent = usize::try_from(spent).unwrap_or(usize::MAX);
        let most = usize::try_from(budget.most).unwrap_or(usize::MAX);
        let left = most.saturating_sub(spent);
        match budget.unit {
            Unit::Mails => room.mails = room.mails.min(left),
            Unit::Calls => room.calls = room.calls.min(left),
        }
        if left == 0 {
            // So much must end first; a budget of nought never has room.
            let mut excess = i64::try_from(spent.saturating_add(1) - most).unwrap_or(i64::MAX);
            let mut at = None;
            for row in asked.all(ENDS, values![account, from, excess]).await? {
                excess -= if budget.unit == Unit::Mails { row.number("mails")? } else { 1 };
                // A call that is under way may end at any moment.
                at = Some(row.number("at")?.min(millis(now)));
                if excess <= 0 {
                    break;
                }
            }
            let at = match at.filter(|_| budget.most > 0) {
                Some(at) => {
                    instant(at.saturating_add(budget.per_millis())).unwrap_or(DateTime::<Utc>::MAX_UTC)
                }
                None => DateTime::<Utc>::MAX_UTC,
            };
            room.again_at = room.again_at.max(Some(at));
        }
    }
    Ok(room)
}

impl Outbox {
    /// What is left of the budgets of an account, as far as can be seen without a lock.
    pub(super) async fn room(&self, account: &str, now: DateTime<Utc>, budgets: &[Budget]) -> Result<Room> {
        if budgets.is_empty() {
            return Ok(Room::UNLIMITED);
        }
        room(Asked::Store(&self.store), account, now, budgets).await
    }
}

/// What is left of the budgets, with the account locked until the transaction ends.
pub(super) async fn locked_room(
    tx: &mut Tx,
    account: &str,
    now: DateTime<Utc>,
    budgets: &[Budget],
) -> Result<Room> {
    if budgets.is_empty() {
        return Ok(Room::UNLIMITED);
    }
    // Writing to the row is what locks it: two workers must not see the same room.
    tx.run(
        "INSERT INTO mail_accounts (account, paused_until, reason) VALUES ($1, 0, '')
         ON CONFLICT (account) DO UPDATE SET reason = mail_accounts.reason",
        values![account],
    )
    .await?;
    let oldest = budgets.iter().map(|budget| budget.from(now)).min().unwrap_or(i64::MIN);
    // An hour more than is counted: clocks of machines differ.
    tx.run(
        "DELETE FROM mail_spending WHERE account = $1 AND at < $2",
        values![account, oldest.saturating_sub(3_600_000)],
    )
    .await?;
    room(Asked::Tx(tx), account, now, budgets).await
}

/// Reserves one call.
pub(super) async fn reserve(
    tx: &mut Tx,
    call: &str,
    account: &str,
    latest_end: DateTime<Utc>,
    mails: usize,
) -> Result<()> {
    tx.run(
        "INSERT INTO mail_spending (call, account, at, mails) VALUES ($1, $2, $3, $4)
         ON CONFLICT (call) DO UPDATE SET at = excluded.at, mails = mail_spending.mails + excluded.mails",
        values![call, account, millis(latest_end), i64::try_from(mails).unwrap_or(i64::MAX)],
    )
    .await
    .map(|_| ())
}

/// A reserved call has ended. One that provably took nothing costs no mails, but was a call.
pub(super) async fn ended(tx: &mut Tx, call: &str, at: DateTime<Utc>, took_nothing: bool) -> Result<()> {
    tx.run(
        "UPDATE mail_spending SET at = $2, mails = CASE WHEN $3 = 1 THEN 0 ELSE mails END WHERE call = $1",
        values![call, millis(at), took_nothing],
    )
    .await
    .map(|_| ())
}
