//! Budgets of an account: a maximum number of emails or calls in any period of a given length, over all workers.
//!
//! What was spent is stored in the outbox and reserved in the transaction that marks emails as `sending`, so the limit
//! holds across workers, processes and restarts. A call counts from its reservation until the period has passed **after
//! its end**, so that no period on the provider's clock, wherever it starts, holds more than the budget. A worker that
//! dies in a call leaves the end of its lease as the end of the call.

use crate::outbox::store::{Row, Store, Tx, Value, values};
use crate::outbox::{millis, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::time::Duration;

/// A limit of emails or calls in any period of a given length. It belongs to the provider's account: all runs that use
/// the account must be given the same budgets.
///
/// ```
/// use mkt_email::outbox::Budget;
/// use mkt_email::RunOptions;
/// use std::time::Duration;
/// let mut options = RunOptions::default();
/// // A consumer's Gmail account: 500 recipients in any 24 hours; and at most two per second.
/// options.budgets = vec![Budget::emails(500, Duration::from_hours(24)), Budget::emails(2, Duration::from_secs(1))];
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    unit: Unit,
    most: u32,
    per: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Emails,
    Calls,
}

impl Budget {
    /// At most `most` emails in any period of `per`. A group of a provider that sends many emails per call is cut to what
    /// is left.
    #[must_use]
    pub fn emails(most: u32, per: Duration) -> Self {
        Self { unit: Unit::Emails, most, per }
    }

    /// At most `most` calls in any period of `per`.
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
pub(in crate::outbox) struct Room {
    pub(in crate::outbox) emails: usize,
    pub(in crate::outbox) calls: usize,
    /// When there is room again, if there is none now.
    pub(in crate::outbox) again_at: Option<DateTime<Utc>>,
}

impl Room {
    pub(in crate::outbox) const UNLIMITED: Self =
        Self { emails: usize::MAX, calls: usize::MAX, again_at: None };

    pub(in crate::outbox) fn is_empty(&self) -> bool {
        self.emails == 0 || self.calls == 0
    }
}

const SPENT: &str =
    "SELECT CAST(coalesce(sum(mails), 0) AS BIGINT) AS mails, count(*) AS calls FROM mail_spending
                      WHERE account = $1 AND at > $2";
/// The ends of the earliest calls, of which so many have to leave the period until one more fits.
const ENDS: &str = "SELECT at, mails FROM mail_spending WHERE account = $1 AND at > $2 ORDER BY at LIMIT $3";

/// Reads inside or outside of a transaction.
enum Reader<'a> {
    Tx(&'a mut Tx),
    Store(&'a Store),
}

impl Reader<'_> {
    async fn all(&mut self, statement: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Self::Tx(tx) => tx.all(statement, values).await,
            Self::Store(store) => store.all("look at a budget", statement, values).await,
        }
    }
}

async fn read_room(
    mut reader: Reader<'_>,
    account: &str,
    now: DateTime<Utc>,
    budgets: &[Budget],
) -> Result<Room> {
    let mut room = Room::UNLIMITED;
    for budget in budgets {
        let from = budget.from(now);
        let rows = reader.all(SPENT, values![account, from]).await?;
        let Some(row) = rows.first() else { continue };
        let spent = match budget.unit {
            Unit::Emails => row.number("mails")?,
            Unit::Calls => row.number("calls")?,
        };
        let spent = usize::try_from(spent).unwrap_or(usize::MAX);
        let most = usize::try_from(budget.most).unwrap_or(usize::MAX);
        let left = most.saturating_sub(spent);
        match budget.unit {
            Unit::Emails => room.emails = room.emails.min(left),
            Unit::Calls => room.calls = room.calls.min(left),
        }
        if left == 0 {
            // So many must end first; a budget of 0 never has room.
            let mut excess = i64::try_from(spent.saturating_add(1) - most).unwrap_or(i64::MAX);
            let mut at = None;
            for row in reader.all(ENDS, values![account, from, excess]).await? {
                excess -= if budget.unit == Unit::Emails { row.number("mails")? } else { 1 };
                // A call in progress may end at any moment.
                at = Some(row.number("at")?.min(millis(now)));
                if excess <= 0 {
                    break;
                }
            }
            let at = match at.filter(|_| budget.most > 0) {
                Some(at) => {
                    timestamp(at.saturating_add(budget.per_millis())).unwrap_or(DateTime::<Utc>::MAX_UTC)
                }
                None => DateTime::<Utc>::MAX_UTC,
            };
            room.again_at = room.again_at.max(Some(at));
        }
    }
    Ok(room)
}

/// What is left of the budgets of an account, read without a lock.
pub(in crate::outbox) async fn room(
    store: &Store,
    account: &str,
    now: DateTime<Utc>,
    budgets: &[Budget],
) -> Result<Room> {
    if budgets.is_empty() {
        return Ok(Room::UNLIMITED);
    }
    read_room(Reader::Store(store), account, now, budgets).await
}

/// What is left of the budgets, with the account locked until the transaction ends.
pub(in crate::outbox) async fn locked_room(
    tx: &mut Tx,
    account: &str,
    now: DateTime<Utc>,
    budgets: &[Budget],
) -> Result<Room> {
    if budgets.is_empty() {
        return Ok(Room::UNLIMITED);
    }
    lock(tx, account).await?;
    let oldest = budgets.iter().map(|budget| budget.from(now)).min().unwrap_or(i64::MIN);
    // An hour more than is counted: clocks of machines differ.
    tx.run(
        "DELETE FROM mail_spending WHERE account = $1 AND at < $2",
        values![account, oldest.saturating_sub(3_600_000)],
    )
    .await?;
    read_room(Reader::Tx(tx), account, now, budgets).await
}

/// Locks an account until the transaction ends, by writing its row: two workers must not see the same room.
pub(in crate::outbox) async fn lock(tx: &mut Tx, account: &str) -> Result<()> {
    tx.run(
        "INSERT INTO mail_accounts (account, paused_until, reason) VALUES ($1, 0, '')
         ON CONFLICT (account) DO UPDATE SET reason = mail_accounts.reason",
        values![account],
    )
    .await
    .map(|_| ())
}

/// Reserves one call.
pub(in crate::outbox) async fn reserve(
    tx: &mut Tx,
    call: &str,
    account: &str,
    latest_end: DateTime<Utc>,
    emails: usize,
) -> Result<()> {
    tx.run(
        "INSERT INTO mail_spending (call, account, at, mails) VALUES ($1, $2, $3, $4)
         ON CONFLICT (call) DO UPDATE SET at = excluded.at, mails = mail_spending.mails + excluded.mails",
        values![call, account, millis(latest_end), i64::try_from(emails).unwrap_or(i64::MAX)],
    )
    .await
    .map(|_| ())
}

/// Records the end of a reserved call. One that provably accepted nothing costs no emails, but was a call.
pub(in crate::outbox) async fn end_call(
    tx: &mut Tx,
    call: &str,
    at: DateTime<Utc>,
    accepted_nothing: bool,
) -> Result<()> {
    tx.run(
        "UPDATE mail_spending SET at = $2, mails = CASE WHEN $3 = 1 THEN 0 ELSE mails END WHERE call = $1",
        values![call, millis(at), accepted_nothing],
    )
    .await
    .map(|_| ())
}

/// Moves the latest end of a worker's calls in progress.
pub(in crate::outbox) async fn extend_reservations(
    tx: &mut Tx,
    worker: &str,
    account: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<()> {
    tx.run(
        "UPDATE mail_spending SET at = $1 WHERE account = $2 AND at > $3 AND call LIKE $4",
        values![millis(until), account, millis(now), format!("{worker} %")],
    )
    .await
    .map(|_| ())
}
