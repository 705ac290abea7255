//! The last gate: the commit after which calls are made, and which writes down the calls that were.
//!
//! A mail whose call comes next at once goes from waiting to being sent in this one commit. One that must wait for a
//! call's place is claimed in it, and passes the gate again when its turn comes.

use super::budget::{self, Room};
use super::claim::{self, Blobs, Stopped, Taken, Wish};
use super::options::RunOptions;
use super::record::{self, Pause, Verdict};
use super::store::{Access, Rows, Tx, values};
use super::{Outbox, State, damaged, gate, millis};
use crate::EmailProvider;
use crate::Message;
use crate::id::EmailId;
use crate::message::Feature;
use crate::provider::{Group, Outgoing, Plan, RejectReason};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A group that is marked as being sent, with its rows.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) group: Group,
    pub(super) rows: Vec<Taken>,
    /// The name under which the call is reserved, where there is a budget.
    pub(super) reservation: Option<String>,
}

impl Marked {
    /// About what its messages take in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.bytes).sum()
    }
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reservation: String,
    pub(super) took_nothing: bool,
}

/// One commit of a run: what became of the calls that ended, and which calls come next.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) worker: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) lease_until: DateTime<Utc>,
    pub(super) provider: &'a dyn EmailProvider,
    pub(super) options: &'a RunOptions,
    pub(super) verdicts: &'a [Verdict],
    pub(super) ended: &'a [Ended],
    pub(super) pause: Option<&'a Pause>,
    /// Numbers the reservations of this run.
    pub(super) first_call: u64,
    /// Claimed mails whose turn has come; no more groups than calls can begin.
    pub(super) groups: Vec<Vec<Taken>>,
    /// How many calls can begin, if this looks for due mails too.
    pub(super) look_for: Option<usize>,
    /// What the messages of calls that are under way take in memory.
    pub(super) bytes_in_use: u64,
    pub(super) blobs: &'a mut Blobs,
}

/// What the last gate let through.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) marked: Vec<Marked>,
    /// Mails that were claimed just now and have to wait for a call's place.
    pub(super) waiting: Vec<Vec<Taken>>,
    /// Due mails looked at, where this looked for some.
    pub(super) seen: Option<usize>,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
    pub(super) rejected: u64,
    pub(super) degraded: BTreeMap<Feature, u64>,
    /// Whether the account rests, or its budgets are spent. Claimed mails may be left that are in no memory.
    pub(super) rest: bool,
}

impl Outbox {
    /// Commits what became of calls, and, with their keys, that the mails of the next ones are about to be handed
    /// over. Mails that were suppressed, paused, cancelled or taken over since they were claimed, or whose time has
    /// passed, are left out, and so are those beyond the account's budgets. None are handed over while the account
    /// rests, whoever was told so.
    pub(super) async fn step(&self, step: Step<'_>) -> Result<Wave> {
        let mut tx = self.store.begin("mark as sending", Access::Shared).await?;
        record::record(&mut tx, step.worker, step.now, step.lease_until, step.verdicts).await?;
        for ended in step.ended {
            budget::ended(&mut tx, &ended.reservation, step.now, ended.took_nothing).await?;
        }
        let account = step.provider.account();
        if let Some(pause) = step.pause {
            record::pause(&mut tx, account, pause).await?;
        }
        let mut wave = Wave::default();
        if !step.groups.is_empty() && record::rests(&mut tx, account, step.now).await? {
            wave.rest = true;
        } else if !step.groups.is_empty() || step.look_for.is_some() {
            step.next_calls(&mut tx, &mut wave).await?;
        }
        tx.commit().await?;
        Ok(wave)
    }
}

impl Step<'_> {
    /// Marks the next calls.
    async fn next_calls(mut self, tx: &mut Tx, wave: &mut Wave) -> Result<()> {
        let mut groups = self.still_wanted(tx, wave).await?;
        let free = self.look_for.map_or(0, |free| free.saturating_sub(groups.len()));
        let mut room = match groups.is_empty() && free == 0 {
            true => Room::UNLIMITED,
            false => {
                budget::locked_room(tx, self.provider.account(), self.now, &self.options.budgets).await?
            }
        };
        let claimed = groups.len();
        if free > 0 && room.is_empty() {
            wave.rest = true;
        } else if free > 0 {
            groups.extend(self.due(tx, wave, free.min(room.calls), room.mails).await?);
        }
        let calls = claimed + free;
        let mut entries = Vec::new();
        let mut waiting: Vec<Vec<Taken>> = Vec::new();
        for (place, mut rows) in groups.into_iter().enumerate() {
            if place >= calls {
                waiting.push(rows);
                continue;
            }
            // What was claimed stays so until it is given back, what was not still waits.
            if room.is_empty() {
                wave.rest = true;
                continue;
            }
            if rows.len() > room.mails {
                rows.truncate(room.mails);
                wave.rest = true;
            }
            let mut mails = Vec::with_capacity(rows.len());
            for row in &mut rows {
                row.attempt = row.attempt.saturating_add(1);
                let key = *row.key.get_or_insert_with(|| row.id.attempt(row.attempt));
                mails.push(Outgoing { key, message: Arc::clone(&row.message) });
            }
            // A repetition begins after the call that it repeats, whatever the clock says: by that they are told apart.
            let before = rows.iter().filter_map(|row| row.repeats).max();
            let at = before.map_or(self.now, |before| self.now.max(before + TimeDelta::milliseconds(1)));
            let group = Group::new(at, mails);
            let mut reservation = None;
            if !self.options.budgets.is_empty() {
                let call = format!("{} {}", self.worker, self.first_call + place as u64);
                budget::reserve(tx, &call, self.provider.account(), self.lease_until, rows.len()).await?;
                room.calls = room.calls.saturating_sub(1);
                room.mails = room.mails.saturating_sub(rows.len());
                reservation = Some(call);
            }
            let name = group.key().to_string();
            entries.extend(rows.iter().zip(0_i64..).map(|(row, position)| {
                let key = row.key.map(|key| key.to_string());
                (row.id, key, name.clone(), position, i64::from(row.attempt), millis(at))
            }));
            wave.marked.push(Marked { group, rows, reservation });
        }
        if !wave.rest {
            self.claim(tx, &waiting).await?;
            wave.waiting = waiting;
        }
        self.mark(tx, entries).await
    }

    /// The claimed mails that may still be sent; the others are stopped, or wait again where their campaign rests.
    async fn still_wanted(&mut self, tx: &mut Tx, wave: &mut Wave) -> Result<Vec<Vec<Taken>>> {
        let groups = std::mem::take(&mut self.groups);
        if groups.is_empty() {
            return Ok(groups);
        }
        let ids: Vec<String> = groups.iter().flatten().map(|row| row.id.to_string()).collect();
        let rows = tx
            .all(
                concat!(
                    "SELECT id, CAST(CASE WHEN expires_at <= $1 THEN 1 ELSE 0 END AS BIGINT) AS late,
                            (SELECT p.campaign FROM mail_campaigns AS p
                              WHERE p.campaign = mail_outbox.campaign) AS paused, ",
                    gate!(),
                    " AS forbidden
                       FROM mail_outbox
                      WHERE id IN (SELECT value FROM json_each($2))
                        AND state = 'claimed' AND worker = $3 /*postgres: FOR UPDATE OF mail_outbox */"
                ),
                values![millis(self.now), ids, self.worker],
            )
            .await?;
        let (mut stopped, mut go) = (Vec::new(), BTreeSet::new());
        for row in &rows {
            let id = claim::parsed(row)?;
            match claim::fate(row)? {
                Some((state, reason)) => stopped.push(Stopped { id, state, reason }),
                None if row.maybe_text("paused")?.is_some() => {
                    stopped.push(Stopped { id, state: State::Pending, reason: None });
                }
                None => drop(go.insert(id)),
            }
        }
        self.stop(tx, wave, &stopped).await?;
        let wanted = groups.into_iter().map(|mut group| {
            group.retain(|row| go.contains(&row.id));
            group
        });
        Ok(wanted.filter(|group| !group.is_empty()).collect())
    }

    /// Mails that are due, as the provider groups them.
    async fn due(
        &mut self,
        tx: &mut Tx,
        wave: &mut Wave,
        calls: usize,
        room: usize,
    ) -> Result<Vec<Vec<Taken>>> {
        let most = calls.saturating_mul(self.provider.capabilities().max_recipients.max(1));
        let wish = Wish {
            now: self.now,
            most: most.min(self.options.batch.max(1)).min(room),
            bytes: self.options.bytes.saturating_sub(self.bytes_in_use),
            any_size: self.bytes_in_use == 0,
            campaign: self.options.campaign.as_deref(),
            account: self.provider.account(),
        };
        let due = claim::take_due(tx, &wish, self.blobs).await?;
        // What no mail in memory carries goes.
        self.blobs.retain(|_, content| Arc::strong_count(content) > 1);
        wave.seen = Some(due.seen);
        let mut stopped = due.stopped;
        let planned = plan(self.provider, self.options, self.now, due.taken);
        for (feature, count) in planned.degraded {
            *wave.degraded.entry(feature).or_default() += count;
        }
        stopped.extend(planned.refused.into_iter().map(|(id, why)| {
            let reason = Some(format!("{}: {why}", RejectReason::Unsupported));
            Stopped { id, state: State::Rejected, reason }
        }));
        self.stop(tx, wave, &stopped).await?;
        Ok(planned.groups)
    }

    async fn stop(&self, tx: &mut Tx, wave: &mut Wave, stopped: &[Stopped]) -> Result<()> {
        for mail in stopped {
            match mail.state {
                State::Suppressed => wave.suppressed += 1,
                State::Expired => wave.expired += 1,
                State::Rejected => wave.rejected += 1,
                _ => {}
            }
        }
        claim::stop(tx, self.now, stopped).await
    }

    async fn claim(&self, tx: &mut Tx, waiting: &[Vec<Taken>]) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = waiting.iter().flatten().map(|row| row.id.to_string()).collect();
        tx.run(
            "UPDATE mail_outbox SET state = 'claimed', worker = $2, lease_until = $3, reason = NULL, updated_at = $1
              WHERE id IN (SELECT value FROM json_each($4)) AND state IN ('pending', 'deferred')",
            values![millis(self.now), self.worker, millis(self.lease_until), ids],
        )
        .await
        .map(|_| ())
    }

    /// All or none: a mail that were not marked, and sent all the same, could be sent again.
    async fn mark(&self, tx: &mut Tx, mut entries: Vec<Entry>) -> Result<()> {
        // In the order in which `record` locks rows.
        entries.sort_unstable_by_key(|(id, ..)| *id);
        let each = || entries.iter();
        let rows = Rows::default()
            .text(each().map(|(id, ..)| id.to_string()))
            .maybe_text(each().map(|(_, key, ..)| key.clone()))
            .text(each().map(|(_, _, group, ..)| group.clone()))
            .number(each().map(|(_, _, _, position, ..)| *position))
            .number(each().map(|(.., attempt, _)| *attempt))
            .number(each().map(|(.., at)| *at));
        let marked = tx
            .run_rows(
                "WITH j(id, attempt_key, group_key, group_position, attempt, attempted_at) AS ({rows})
                 UPDATE mail_outbox SET state = 'sending', idempotency_key = j.attempt_key, group_key = j.group_key,
                        group_position = j.group_position, attempt = j.attempt, attempted_at = j.attempted_at, worker = $2,
                        lease_until = $3, provider = $4, account = $5, reason = NULL, stage = NULL, updated_at = $1
                   FROM j
                  WHERE mail_outbox.id = j.id
                    AND (mail_outbox.state IN ('pending', 'deferred')
                         OR (mail_outbox.state = 'claimed' AND mail_outbox.worker = $2))
                    /*postgres: AND mail_outbox.id = ANY ({first}) */",
                values![
                    millis(self.now),
                    self.worker,
                    millis(self.lease_until),
                    self.provider.name(),
                    self.provider.account()
                ],
                rows,
            )
            .await?;
        if marked == entries.len() as u64 { Ok(()) } else { Err(damaged("mark as sending")) }
    }
}

/// What is written about a mail that is being sent: its id, the attempt's key, the call's key, its place in the call,
/// the attempt, when it begins.
type Entry = (EmailId, Option<String>, String, i64, i64, i64);

/// Mails cut into calls.
#[derive(Debug, Default)]
struct Planned {
    groups: Vec<Vec<Taken>>,
    refused: Vec<(EmailId, String)>,
    degraded: BTreeMap<Feature, u64>,
}

/// Cuts mails into groups and tells which the provider cannot send.
fn plan(
    provider: &dyn EmailProvider,
    options: &RunOptions,
    now: DateTime<Utc>,
    taken: Vec<Taken>,
) -> Planned {
    let mut planned = Planned::default();
    if taken.is_empty() {
        return planned;
    }
    let messages: Vec<&Message> = taken.iter().map(|row| row.message.as_ref()).collect();
    let plan = provider.plan_with(&messages, now, &options.degrade);
    for refusal in &plan.refused {
        planned.refused.extend(taken.get(refusal.position).map(|row| (row.id, refusal.to_string())));
    }
    let mut rows: Vec<Option<Taken>> = lightened(taken, &plan).into_iter().map(Some).collect();
    for dropped in &plan.dropped {
        for feature in &dropped.features {
            *planned.degraded.entry(*feature).or_default() += 1;
        }
    }
    let mut left: BTreeSet<usize> = (0..rows.len()).collect();
    for refusal in &plan.refused {
        left.remove(&refusal.position);
    }
    for group in plan.groups {
        let mails: Vec<Taken> = group
            .into_iter()
            .filter(|at| left.remove(at))
            .filter_map(|at| rows.get_mut(at).and_then(Option::take))
            .collect();
        // What was refused together before is not tried together again.
        match mails.len() > 1 && mails.iter().all(|row| row.splits > 0) {
            true => planned.groups.extend(halves(mails)),
            false if mails.is_empty() => {}
            false => planned.groups.push(mails),
        }
    }
    // A plan that leaves mails out breaks its contract; they must not come round for ever.
    for at in left {
        let row = rows.get(at).and_then(Option::as_ref);
        planned.refused.extend(row.map(|row| (row.id, "left out of the provider's plan".to_owned())));
    }
    planned
}

/// Two halves, or what there is.
pub(super) fn halves(mut rows: Vec<Taken>) -> impl Iterator<Item = Vec<Taken>> {
    let second = rows.split_off(rows.len().div_ceil(2));
    [rows, second].into_iter().filter(|half| !half.is_empty())
}

/// Mails without what the plan leaves out of them.
pub(super) fn lightened(mut rows: Vec<Taken>, plan: &Plan) -> Vec<Taken> {
    for dropped in &plan.dropped {
        if let Some(row) = rows.get_mut(dropped.position) {
            row.message = Arc::new(row.message.without(&dropped.features));
        }
    }
    rows
}
