//! What is left of a plan's limits, as it is stored: one row per call and scope, counted like the budgets of an account.

use super::forecast::{Sent, Spent};
use super::{Scope, SendingPlan};
use crate::Message;
use crate::outbox::store::{Store, Tx, values};
use crate::outbox::{millis, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, VecDeque};

/// The ends of calls in a window, oldest first.
const SPENT: &str =
    "SELECT at, mails FROM mail_rates WHERE account = $1 AND scope = $2 AND at > $3 ORDER BY at";

/// What is left of a plan within one commit. The account's row is locked until its transaction ends.
#[derive(Debug)]
pub(in crate::outbox) struct PlanRoom<'a> {
    plan: &'a SendingPlan,
    account: &'a str,
    now: DateTime<Utc>,
    /// The emails of the longest window: when the call ended or can still end, and how many.
    spent: BTreeMap<Scope, Vec<(i64, u64)>>,
    /// Emails of this commit that were given room, and those that were put off.
    taken: BTreeMap<Scope, u64>,
    put_off: &'a mut PutOff,
}

/// When a run has put emails off to, by scope: each is put off to a moment of its own.
#[derive(Debug, Default)]
pub(in crate::outbox) struct PutOff(BTreeMap<Scope, VecDeque<i64>>);

impl PutOff {
    fn count(&self, scope: &Scope) -> u64 {
        self.0.get(scope).map_or(0, |times| times.len() as u64)
    }

    fn add(&mut self, scope: Scope, until: i64) {
        self.0.entry(scope).or_default().push_back(until);
    }

    /// Forgets those whose time has come.
    fn forget(&mut self, now: i64) {
        for times in self.0.values_mut() {
            while times.front().is_some_and(|until| *until <= now) {
                times.pop_front();
            }
        }
    }
}

impl<'a> PlanRoom<'a> {
    /// Forgets what no window holds any more; what is left is read when it is needed.
    pub(in crate::outbox) async fn begin(
        tx: &mut Tx,
        plan: &'a SendingPlan,
        account: &'a str,
        now: DateTime<Utc>,
        put_off: &'a mut PutOff,
    ) -> Result<Self> {
        put_off.forget(millis(now));
        // An hour more than is counted: clocks of machines differ.
        let oldest = millis(now).saturating_sub(plan.longest()).saturating_sub(3_600_000);
        tx.run("DELETE FROM mail_rates WHERE account = $1 AND at < $2", values![account, oldest]).await?;
        Ok(Self { plan, account, now, spent: BTreeMap::new(), taken: BTreeMap::new(), put_off })
    }

    /// Takes room for an email; when there is none, returns when there will be.
    pub(in crate::outbox) async fn take(
        &mut self,
        tx: &mut Tx,
        message: &Message,
    ) -> Result<Option<DateTime<Utc>>> {
        let scopes = self.plan.scopes_of(message);
        let (mut until, mut longest): (Option<DateTime<Utc>>, Option<Scope>) = (None, None);
        for scope in &scopes {
            if !self.spent.contains_key(scope) {
                let from = millis(self.now).saturating_sub(self.plan.longest());
                let rows = tx.all(SPENT, values![self.account, self.plan.stored(scope), from]).await?;
                let rows = rows
                    .iter()
                    .map(|row| Ok((row.number("at")?, u64::try_from(row.number("mails")?).unwrap_or(0))));
                self.spent.insert(scope.clone(), rows.collect::<Result<Vec<_>>>()?);
            }
            let held = self.held_until(scope);
            if held > until {
                (until, longest) = (held, Some(scope.clone()));
            }
        }
        match (until, longest) {
            // It stands in the line of the limit that holds it up longest, and in no other.
            (Some(until), Some(scope)) => self.put_off.add(scope, millis(until)),
            _ => scopes.into_iter().for_each(|scope| *self.taken.entry(scope).or_default() += 1),
        }
        Ok(until)
    }

    /// Until when a scope has no room for one email more, if it has none now. Emails that this run has put off come
    /// first, so that each is put off to a moment of its own.
    fn held_until(&self, scope: &Scope) -> Option<DateTime<Utc>> {
        let taken = self.taken.get(scope).copied().unwrap_or(0);
        let before = self.put_off.count(scope);
        let now = millis(self.now);
        let spent = self.spent.get(scope).map(Vec::as_slice).unwrap_or_default();
        let mut until = None;
        for limit in self.plan.limits(scope, self.now) {
            let from = now.saturating_sub(limit.per);
            let within: Vec<_> = spent.iter().filter(|(at, _)| *at > from).collect();
            let held = within.iter().map(|(_, emails)| emails).sum::<u64>() + taken;
            if held < limit.most {
                continue;
            }
            let free = if limit.most == 0 {
                None
            } else {
                // So many must leave the window first; after as many as the limit holds, the window begins anew.
                let wanted = held - limit.most + 1 + before;
                let (rounds, mut excess) = ((wanted - 1) / limit.most, (wanted - 1) % limit.most + 1);
                let mut leaves = now;
                for (at, emails) in &within {
                    // A call in progress may end at any moment.
                    leaves = (*at).min(now);
                    excess = excess.saturating_sub(*emails);
                    if excess == 0 {
                        break;
                    }
                }
                if excess > 0 {
                    // Those of this commit.
                    leaves = now;
                }
                let rounds = i64::try_from(rounds).unwrap_or(i64::MAX).saturating_add(1);
                timestamp(leaves.saturating_add(limit.per.saturating_mul(rounds))).ok()
            };
            let changes = limit.changes_at.filter(|at| *at > self.now);
            let free = match (free, changes) {
                (Some(free), Some(changes)) => free.min(changes),
                (free, changes) => free.or(changes).unwrap_or(DateTime::<Utc>::MAX_UTC),
            };
            // At least a moment later, so that a run does not look again at once.
            until = until.max(Some(free.max(self.now + chrono::TimeDelta::milliseconds(1))));
        }
        until
    }
}

/// Reserves the emails of a call in every scope that they count for.
pub(in crate::outbox) async fn reserve(
    tx: &mut Tx,
    plan: &SendingPlan,
    account: &str,
    call: &str,
    latest_end: DateTime<Utc>,
    messages: impl Iterator<Item = &Message>,
) -> Result<()> {
    let mut counts: BTreeMap<Scope, i64> = BTreeMap::new();
    for message in messages {
        for scope in plan.scopes_of(message) {
            *counts.entry(scope).or_default() += 1;
        }
    }
    for (scope, emails) in counts {
        tx.run(
            "INSERT INTO mail_rates (call, scope, account, at, mails) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (call, scope) DO UPDATE SET at = excluded.at, mails = mail_rates.mails + excluded.mails",
            values![call, plan.stored(&scope), account, millis(latest_end), emails],
        )
        .await?;
    }
    Ok(())
}

/// Records the end of a reserved call, as for a budget.
pub(in crate::outbox) async fn end_call(
    tx: &mut Tx,
    call: &str,
    at: DateTime<Utc>,
    accepted_nothing: bool,
) -> Result<()> {
    tx.run(
        "UPDATE mail_rates SET at = $2, mails = CASE WHEN $3 = 1 THEN 0 ELSE mails END WHERE call = $1",
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
        "UPDATE mail_rates SET at = $1 WHERE account = $2 AND at > $3 AND call LIKE $4",
        values![millis(until), account, millis(now), format!("{worker} %")],
    )
    .await
    .map(|_| ())
}

/// What was spent in each of these scopes.
pub(super) async fn spent(
    store: &Store,
    plan: &SendingPlan,
    account: &str,
    scopes: impl Iterator<Item = Scope>,
    now: DateTime<Utc>,
) -> Result<Spent> {
    let from = millis(now).saturating_sub(plan.longest());
    let mut spent = Spent::new();
    for scope in scopes {
        let mut sent = Sent::default();
        for row in store.all("forecast", SPENT, values![account, plan.stored(&scope), from]).await? {
            // What is under way may end at any moment.
            sent.add(row.number("at")?.min(millis(now)), u64::try_from(row.number("mails")?).unwrap_or(0));
        }
        spent.insert(scope, sent);
    }
    Ok(spent)
}
