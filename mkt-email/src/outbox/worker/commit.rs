//! One step of a run: a single commit that records the calls which ended and marks the calls which come next.
//!
//! An email whose call begins at once goes from waiting to `sending` in this one commit. One that must wait for a free
//! call is claimed in it, and is checked again when its turn comes.

use super::due::{DueQuery, find_due};
use crate::EmailProvider;
use crate::id::EmailId;
use crate::message::Feature;
use crate::outbox::account::{self, Budget, Pause, Room};
use crate::outbox::call::{Call, Verdict, group};
use crate::outbox::gate::gate;
use crate::outbox::options::RunOptions;
use crate::outbox::plan::{self, PlanRoom, PutOff};
use crate::outbox::queue::{self, Attachments, QueuedEmail, Stopped};
use crate::outbox::record::record;
use crate::outbox::store::{Access, Rows, Store, Tx, values};
use crate::outbox::{State, damaged, millis};
use crate::provider::{Group, Outgoing, RejectReason};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A call that has ended, and its reservation in the budgets.
#[derive(Debug)]
pub(super) struct EndedCall {
    pub(super) reservation: String,
    pub(super) accepted_nothing: bool,
}

/// One commit of a run: what became of the calls that ended, and which calls come next.
#[derive(Debug)]
pub(super) struct Commit<'a> {
    pub(super) worker: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) lease_until: DateTime<Utc>,
    pub(super) provider: &'a dyn EmailProvider,
    pub(super) options: &'a RunOptions,
    /// The budgets of the options, and those that the run has learnt.
    pub(super) budgets: &'a [Budget],
    /// When emails were put off to by the plan.
    pub(super) put_off: &'a mut PutOff,
    /// Whether to read many due emails, because the last ones were put off.
    pub(super) sift: bool,
    pub(super) verdicts: &'a [Verdict],
    pub(super) ended: &'a [EndedCall],
    pub(super) pause: Option<&'a Pause>,
    /// Numbers the reservations of this run.
    pub(super) first_call: u64,
    /// Claimed emails whose turn has come; no more groups than calls can begin.
    pub(super) groups: Vec<Vec<QueuedEmail>>,
    /// How many calls can begin, if due emails are to be found too.
    pub(super) look_for: Option<usize>,
    /// Size of the messages of calls in progress.
    pub(super) bytes_in_use: u64,
    pub(super) attachments: &'a mut Attachments,
}

/// The calls that come next, and the emails that were stopped instead.
#[derive(Debug, Default)]
pub(super) struct NextCalls {
    pub(super) calls: Vec<Call>,
    /// Emails that were claimed in this commit and wait for a free call.
    pub(super) waiting: Vec<Vec<QueuedEmail>>,
    /// Due emails read, if any were looked for.
    pub(super) seen: Option<usize>,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
    pub(super) rejected: u64,
    pub(super) degraded: BTreeMap<Feature, u64>,
    /// Emails that were put off by the plan.
    pub(super) put_off: u64,
    /// Whether the account is paused or its budgets are spent. Claimed emails may be left that are in no memory.
    pub(super) paused: bool,
}

impl Commit<'_> {
    /// Commits what became of calls, and marks, with their keys, the emails of the next ones. Emails that were
    /// suppressed, paused, cancelled or taken over since they were claimed, or whose time has passed, are left out, and
    /// so are those beyond the account's budgets. None are marked while the account is paused, whichever worker was
    /// asked to pause it.
    pub(super) async fn run(self, store: &Store) -> Result<NextCalls> {
        let mut tx = store.begin("mark as sending", Access::Shared).await?;
        record(&mut tx, self.worker, self.now, self.lease_until, self.verdicts).await?;
        for ended in self.ended {
            account::end_call(&mut tx, &ended.reservation, self.now, ended.accepted_nothing).await?;
            if self.options.plan.is_some() {
                plan::end_call(&mut tx, &ended.reservation, self.now, ended.accepted_nothing).await?;
            }
        }
        let account = self.provider.account();
        if let Some(pause) = self.pause {
            account::pause(&mut tx, account, pause).await?;
        }
        let mut next = NextCalls::default();
        if !self.groups.is_empty() && account::is_paused(&mut tx, account, self.now).await? {
            next.paused = true;
        } else if !self.groups.is_empty() || self.look_for.is_some() {
            self.next_calls(&mut tx, &mut next).await?;
        }
        tx.commit().await?;
        Ok(next)
    }
}

impl Commit<'_> {
    /// Finds and marks the next calls.
    async fn next_calls(mut self, tx: &mut Tx, next: &mut NextCalls) -> Result<()> {
        let mut groups = self.still_allowed(tx, next).await?;
        let free = self.look_for.map_or(0, |free| free.saturating_sub(groups.len()));
        let mut room = match groups.is_empty() && free == 0 {
            true => Room::UNLIMITED,
            false => account::locked_room(tx, self.provider.account(), self.now, self.budgets).await?,
        };
        if self.options.plan.is_some() {
            account::lock(tx, self.provider.account()).await?;
        }
        let claimed = groups.len();
        if free > 0 && room.is_empty() {
            next.paused = true;
        } else if free > 0 {
            groups.extend(self.due(tx, next, free.min(room.calls), room.emails).await?);
        }
        let calls = claimed + free;
        let groups = self.within_plan(tx, next, groups, calls).await?;
        let mut entries = Vec::new();
        let mut waiting: Vec<Vec<QueuedEmail>> = Vec::new();
        for (place, mut emails) in groups.into_iter().enumerate() {
            if place >= calls {
                waiting.push(emails);
                continue;
            }
            // Claimed emails stay claimed until they are released; the others still wait.
            if room.is_empty() {
                next.paused = true;
                continue;
            }
            if emails.len() > room.emails {
                emails.truncate(room.emails);
                next.paused = true;
            }
            let mut outgoing = Vec::with_capacity(emails.len());
            for email in &mut emails {
                email.attempt = email.attempt.saturating_add(1);
                let key = *email.key.get_or_insert_with(|| email.id.attempt(email.attempt));
                outgoing.push(Outgoing { key, message: Arc::clone(&email.message) });
            }
            // A repeated call begins after the call that it repeats, whatever the clock says: that tells them apart.
            let before = emails.iter().filter_map(|email| email.repeats).max();
            let at = before.map_or(self.now, |before| self.now.max(before + TimeDelta::milliseconds(1)));
            let group = Group::new(at, outgoing);
            let mut reservation = None;
            if !self.budgets.is_empty() || self.options.plan.is_some() {
                let call = format!("{} {}", self.worker, self.first_call + place as u64);
                let account = self.provider.account();
                if !self.budgets.is_empty() {
                    account::reserve(tx, &call, account, self.lease_until, emails.len()).await?;
                    room.calls = room.calls.saturating_sub(1);
                    room.emails = room.emails.saturating_sub(emails.len());
                }
                if let Some(plan) = &self.options.plan {
                    let messages = emails.iter().map(|email| &*email.message);
                    plan::reserve(tx, plan, account, &call, self.lease_until, messages).await?;
                }
                reservation = Some(call);
            }
            let name = group.key().to_string();
            entries.extend(emails.iter().zip(0_i64..).map(|(email, position)| {
                let key = email.key.map(|key| key.to_string());
                (email.id, key, name.clone(), position, i64::from(email.attempt), millis(at))
            }));
            next.calls.push(Call { group, emails, reservation });
        }
        if !next.paused {
            self.claim(tx, &waiting).await?;
            next.waiting = waiting;
        }
        self.mark(tx, entries).await
    }

    /// The emails that the plan has room for now, in the groups whose calls come next; the others are put off to when there
    /// will be room for them. Groups that wait for a free call are looked at when their turn comes.
    async fn within_plan(
        &mut self,
        tx: &mut Tx,
        next: &mut NextCalls,
        groups: Vec<Vec<QueuedEmail>>,
        calls: usize,
    ) -> Result<Vec<Vec<QueuedEmail>>> {
        let Some(plan) = &self.options.plan else { return Ok(groups) };
        let mut room = PlanRoom::begin(tx, plan, self.provider.account(), self.now, self.put_off).await?;
        let (mut within, mut late) = (Vec::with_capacity(groups.len()), Vec::new());
        for emails in groups {
            // Found only to be put off: without a free call they go on waiting.
            let has_call = within.len() < calls;
            let mut kept = Vec::with_capacity(emails.len());
            for email in emails {
                if !has_call && !self.sift {
                    kept.push(email);
                } else if has_call {
                    match room.take(tx, &email.message).await? {
                        None => kept.push(email),
                        Some(until) => late.push((email.id, until)),
                    }
                }
            }
            if !kept.is_empty() {
                within.push(kept);
            }
        }
        next.put_off += late.len() as u64;
        queue::put_off(tx, self.now, &late).await?;
        Ok(within)
    }

    /// The claimed emails that may still be sent; the others are stopped, or wait again if their campaign is paused.
    async fn still_allowed(&mut self, tx: &mut Tx, next: &mut NextCalls) -> Result<Vec<Vec<QueuedEmail>>> {
        let groups = std::mem::take(&mut self.groups);
        if groups.is_empty() {
            return Ok(groups);
        }
        let ids: Vec<String> = groups.iter().flatten().map(|email| email.id.to_string()).collect();
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
        let (mut stopped, mut allowed) = (Vec::new(), BTreeSet::new());
        for row in &rows {
            let id = queue::email_id(row)?;
            match queue::why_stopped(row)? {
                Some((state, reason)) => stopped.push(Stopped { id, state, reason }),
                None if row.maybe_text("paused")?.is_some() => {
                    stopped.push(Stopped { id, state: State::Pending, reason: None });
                }
                None => drop(allowed.insert(id)),
            }
        }
        self.stop(tx, next, &stopped).await?;
        let groups = groups.into_iter().map(|mut group| {
            group.retain(|email| allowed.contains(&email.id));
            group
        });
        Ok(groups.filter(|group| !group.is_empty()).collect())
    }

    /// Due emails, as the provider groups them.
    async fn due(
        &mut self,
        tx: &mut Tx,
        next: &mut NextCalls,
        calls: usize,
        room: usize,
    ) -> Result<Vec<Vec<QueuedEmail>>> {
        let most = match self.sift {
            true => self.options.batch,
            false => calls.saturating_mul(self.provider.capabilities().max_recipients.max(1)),
        };
        let query = DueQuery {
            now: self.now,
            most: most.min(self.options.batch.max(1)).min(room),
            bytes: self.options.bytes.saturating_sub(self.bytes_in_use),
            any_size: self.bytes_in_use == 0,
            campaign: self.options.campaign.as_deref(),
            account: self.provider.account(),
        };
        let due = find_due(tx, &query, self.attachments).await?;
        // Attachments that no email in memory has are dropped.
        self.attachments.retain(|_, content| Arc::strong_count(content) > 1);
        next.seen = Some(due.seen);
        let mut stopped = due.stopped;
        let grouped = group(self.provider, &self.options.degrade, self.now, due.ready);
        for (feature, count) in grouped.degraded {
            *next.degraded.entry(feature).or_default() += count;
        }
        stopped.extend(grouped.refused.into_iter().map(|(id, why)| {
            let reason = Some(format!("{}: {why}", RejectReason::Unsupported));
            Stopped { id, state: State::Rejected, reason }
        }));
        self.stop(tx, next, &stopped).await?;
        Ok(grouped.groups)
    }

    async fn stop(&self, tx: &mut Tx, next: &mut NextCalls, stopped: &[Stopped]) -> Result<()> {
        for email in stopped {
            match email.state {
                State::Suppressed => next.suppressed += 1,
                State::Expired => next.expired += 1,
                State::Rejected => next.rejected += 1,
                _ => {}
            }
        }
        queue::stop(tx, self.now, stopped).await
    }

    async fn claim(&self, tx: &mut Tx, waiting: &[Vec<QueuedEmail>]) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = waiting.iter().flatten().map(|email| email.id.to_string()).collect();
        tx.run(
            "UPDATE mail_outbox SET state = 'claimed', worker = $2, lease_until = $3, reason = NULL, updated_at = $1
              WHERE id IN (SELECT value FROM json_each($4)) AND state IN ('pending', 'deferred')",
            values![millis(self.now), self.worker, millis(self.lease_until), ids],
        )
        .await
        .map(|_| ())
    }

    /// Marks all or none: an email that was sent without being marked could be sent again.
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

/// What is stored about an email that is being sent: its id, the key of the attempt, the key of the call, its position in
/// the call, the attempt number, when the call begins.
type Entry = (EmailId, Option<String>, String, i64, i64, i64);
