//! The worker: takes due mails, hands them to a provider, writes down what became of them.
//!
//! Calls are made side by side, up to [`RunOptions::calls_in_flight`]. Whenever some have ended, one commit writes down
//! what became of them and marks the calls that take their place; they begin at once. So a mail is marked only when its
//! call is next, whatever a call carries and however many run.

use super::claim::{Blobs, Taken};
use super::mark::{Ended, Marked, Step, Wave, halves, lightened};
use super::options::{RunOptions, RunReport};
use super::record::{LOST, Pause, Verdict};
use super::settle::Window;
use super::solitude::Presence;
use super::{Outbox, SERVICE};
use crate::Clock;
use crate::Message;
use crate::provider::{Group, RejectReason, Scope, Settlement};
use crate::{EmailProvider, Outcome};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use mkt_connect::clock::later;
use mkt_connect::{Error, Result};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long an account rests when it asks to slow down and does not say for how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// The shortest rest: whoever asks for none, or for one that is over when the answer arrives, would be called again in a
/// loop that never rests.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// The shortest time between two signs of life, whatever the lease.
const LEAST_BEAT: Duration = Duration::from_millis(20);

/// A run, from its beginning to its end.
struct Run<'a> {
    outbox: &'a Outbox,
    provider: &'a dyn EmailProvider,
    clock: &'a dyn Clock,
    options: &'a RunOptions,
    worker: String,
    presence: Presence,
    report: RunReport,
    /// Calls made so far: their reservations are named by it.
    calls: u64,
    /// How many answers were lost when the provider was last asked about them; none: it must be asked.
    asked: Option<u64>,
    /// When the rows of dead and late workers were last taken over.
    recovered: DateTime<Utc>,
    /// When the leases were last prolonged.
    alive: Instant,
    /// Whether there may be mails that are claimed and in no memory.
    holds: bool,
    /// The attachments of the mails taken last.
    blobs: Blobs,
}

/// Whether the run goes on.
enum Next {
    Go,
    /// The account asked for a pause, or its budgets are spent.
    Rest,
    /// The provider cannot be used.
    Halt(Error),
}

/// What ended calls have come to since the last commit.
struct Answers {
    verdicts: Vec<Verdict>,
    ended: Vec<Ended>,
    pause: Option<Pause>,
    next: Next,
}

impl Outbox {
    /// Sends what is due, until nothing is, and returns. Mails of dead workers are taken over first, and again every
    /// [`lease`](RunOptions::lease) while the run lasts; lost answers are settled where the provider can tell. May be
    /// called again at any time, by several processes at once.
    ///
    /// # Errors
    /// The provider's error when the provider as a whole cannot be used; its mails wait again.
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage) when the outbox cannot be read or written.
    #[tracing::instrument(skip_all, fields(provider = provider.name()))]
    pub async fn run(
        &self,
        provider: &dyn EmailProvider,
        clock: &dyn Clock,
        options: &RunOptions,
    ) -> Result<RunReport> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let (count, begun) = (RUNS.fetch_add(1, Ordering::Relaxed), clock.now());
        // On several machines, processes may have the same number and begin at the same moment.
        let chance = RandomState::new().hash_one(count);
        let worker = format!("{}-{count}-{}-{chance:016x}", std::process::id(), begun.timestamp_millis());
        let presence = Presence::announce(&self.store, &worker).await?;
        let mut run = Run {
            outbox: self,
            provider,
            clock,
            options,
            worker,
            presence,
            report: RunReport::default(),
            calls: 0,
            asked: None,
            recovered: begun,
            alive: Instant::now(),
            holds: false,
            blobs: Blobs::new(),
        };
        run.recover(begun).await?;
        run.presence.share().await;
        run.send_what_is_due().await?;
        tracing::debug!(accepted = run.report.accepted, unknown = run.report.unknown, "run ended");
        Ok(run.report)
    }
}

impl Run<'_> {
    async fn send_what_is_due(&mut self) -> Result<()> {
        let deadline = later(self.clock.now(), self.options.wait_up_to);
        loop {
            if self.options.stop.is_requested() {
                self.report.stopped = true;
                return Ok(());
            }
            self.recover_now_and_then().await?;
            let now = self.clock.now();
            let mut due = self.outbox.paused_until(self.provider.account(), now).await?;
            // Asking is a call too: not while the account rests.
            if due.is_none() && self.asked.is_none() {
                self.asked = Some(self.report.unknown);
                self.settle().await?;
            }
            let room = self.outbox.room(self.provider.account(), now, &self.options.budgets).await?;
            if due.is_none() && !room.is_empty() {
                let sent = self.send().await;
                // Whatever is still claimed was told to nobody.
                let released = match std::mem::take(&mut self.holds) || sent.is_err() {
                    true => self.outbox.release(self.clock.now(), &self.worker).await,
                    false => Ok(()),
                };
                match sent? {
                    (_, Next::Halt(error)) => return Err(error),
                    (seen, Next::Go | Next::Rest) => {
                        released?;
                        if seen > 0 {
                            continue;
                        }
                    }
                }
                if self.asked != Some(self.report.unknown) {
                    self.asked = Some(self.report.unknown);
                    self.settle().await?;
                    continue;
                }
            }
            if due.is_none() {
                due = self.outbox.next_due(self.options.campaign.as_deref()).await?;
                // Without mails there is nothing to spend.
                due = due.map(|due| room.again_at.map_or(due, |at| due.max(at)));
            }
            self.report.next_due = due;
            let now = self.clock.now();
            match due.filter(|at| *at <= deadline).map(|at| (at - now).to_std().unwrap_or_default()) {
                Some(wait) => {
                    let wait = wait.min(self.options.lease).max(Duration::from_millis(1));
                    tokio::select! {
                        () = self.clock.sleep(wait) => {}
                        () = self.options.stop.requested() => {}
                    }
                }
                None => return Ok(()),
            }
        }
    }

    /// Takes over what dead and late workers hold.
    async fn recover(&mut self, now: DateTime<Utc>) -> Result<()> {
        self.recovered = now;
        let dead = self.presence.dead(&self.outbox.store, &self.worker).await?;
        if self.outbox.recover(&self.worker, now, dead).await? > 0 {
            self.asked = None;
        }
        Ok(())
    }

    async fn recover_now_and_then(&mut self) -> Result<()> {
        let now = self.clock.now();
        if now >= later(self.recovered, self.options.lease) {
            self.recover(now).await?;
        }
        Ok(())
    }

    /// Sends due mails, as many calls side by side as may be, until none are left. Returns how many it looked at.
    async fn send(&mut self) -> Result<(usize, Next)> {
        let mut waiting: VecDeque<Vec<Taken>> = VecDeque::new();
        let mut calls: FuturesUnordered<BoxFuture<'_, Called>> = FuturesUnordered::new();
        let mut answers = Answers { verdicts: Vec::new(), ended: Vec::new(), pause: None, next: Next::Go };
        let beat = (self.options.lease / 3).max(LEAST_BEAT);
        // Mails looked at in all, and answered since that was told; what is in memory for calls under way.
        let (mut seen, mut untold, mut in_use) = (0, 0, 0_u64);
        let mut all = false;
        loop {
            let open = matches!(answers.next, Next::Go) && !self.options.stop.is_requested();
            let free = match open {
                true => self.options.calls_in_flight.max(1).saturating_sub(calls.len()),
                false => 0,
            };
            // Whoever listens is told before the next calls begin, and may stop the run.
            let told = self.options.progress.is_none()
                || untold + answers.verdicts.len() < self.options.batch.max(1);
            let free = if told { free } else { 0 };
            let groups: Vec<_> = waiting.drain(..free.min(waiting.len())).collect();
            let look_for = Some(free).filter(|free| *free > groups.len() && !all);
            if look_for.is_some() {
                self.recover_now_and_then().await?;
            }
            if !groups.is_empty() || look_for.is_some() || !answers.verdicts.is_empty() {
                untold += answers.verdicts.len();
                let wave = self.step(&mut answers, groups, look_for, in_use).await?;
                if let Some(looked_at) = wave.seen {
                    all = looked_at == 0;
                    seen += looked_at;
                }
                waiting.extend(wave.waiting);
                for marked in wave.marked {
                    in_use += marked.bytes();
                    let provider = self.provider;
                    calls.push(
                        async move {
                            let answer = provider.send(&marked.group).await;
                            Called { marked, answer }
                        }
                        .boxed(),
                    );
                }
            }
            if !told {
                untold = 0;
                self.tell();
                continue;
            }
            let called = loop {
                if self.alive.elapsed() >= beat {
                    self.hold_on().await;
                }
                tokio::select! {
                    biased;
                    called = calls.next() => break called,
                    () = tokio::time::sleep_until(self.alive + beat) => {}
                }
            };
            let still_open = matches!(answers.next, Next::Go) && !self.options.stop.is_requested();
            match called {
                Some(called) => self.take(called, &mut answers, &mut waiting, &mut in_use),
                None if still_open && (!waiting.is_empty() || !all) => {}
                None => {
                    self.holds |= !waiting.is_empty();
                    if untold > 0 {
                        self.tell();
                    }
                    return Ok((seen, answers.next));
                }
            }
            while let Some(Some(called)) = calls.next().now_or_never() {
                self.take(called, &mut answers, &mut waiting, &mut in_use);
            }
        }
    }

    fn tell(&self) {
        if let Some(tell) = &self.options.progress {
            tell(&self.report);
        }
    }

    /// A call may take longer than a lease; while it is waited for, the lease goes on. Should that not be possible, the
    /// next commit tells why.
    async fn hold_on(&mut self) {
        self.alive = Instant::now();
        let (account, now) = (self.provider.account(), self.clock.now());
        let until = later(now, self.options.lease);
        if let Err(error) = self.outbox.hold_on(&self.worker, account, now, until).await {
            tracing::warn!(%error, "the lease could not be prolonged");
        }
    }

    /// One commit: what became of the calls that ended, and which come next.
    async fn step(
        &mut self,
        answers: &mut Answers,
        groups: Vec<Vec<Taken>>,
        look_for: Option<usize>,
        bytes_in_use: u64,
    ) -> Result<Wave> {
        let now = self.clock.now();
        let claimed = !groups.is_empty();
        let step = Step {
            worker: &self.worker,
            now,
            lease_until: later(now, self.options.lease),
            provider: self.provider,
            options: self.options,
            verdicts: &answers.verdicts,
            ended: &answers.ended,
            pause: answers.pause.as_ref(),
            first_call: self.calls,
            groups,
            look_for,
            bytes_in_use,
            blobs: &mut self.blobs,
        };
        let wave = self.outbox.step(step).await?;
        self.calls += wave.marked.len() as u64;
        for verdict in answers.verdicts.drain(..) {
            self.report.add(&verdict);
        }
        answers.ended.clear();
        answers.pause = None;
        self.report.suppressed += wave.suppressed;
        self.report.expired += wave.expired;
        self.report.rejected += wave.rejected;
        for (feature, count) in &wave.degraded {
            *self.report.degraded.entry(*feature).or_default() += count;
        }
        if wave.rest {
            self.holds |= claimed;
            if matches!(answers.next, Next::Go) {
                answers.next = Next::Rest;
            }
        }
        Ok(wave)
    }

    /// What an answered call means for its mails. What was refused as a group is put last in the queue, in
    /// halves: the good halves of all groups go before any is searched to its end, so that a run which is cut short
    /// over and over gets on all the same.
    fn take(
        &mut self,
        called: Called,
        answers: &mut Answers,
        waiting: &mut VecDeque<Vec<Taken>>,
        in_use: &mut u64,
    ) {
        *in_use = in_use.saturating_sub(called.marked.bytes());
        let Called { marked: Marked { rows, reservation, .. }, answer } = called;
        let max_attempts = self.options.max_attempts;
        let mut took_nothing = false;
        match answer {
            Ok(outcomes) => {
                // An outcome that is missing is an answer that is lost.
                let outcomes = outcomes.into_iter().chain(std::iter::repeat(LOST));
                let least = later(self.clock.now(), LEAST_PAUSE);
                let alone = rows.len() == 1;
                let mut refused = Vec::new();
                for (row, outcome) in rows.into_iter().zip(outcomes) {
                    match not_before(outcome, least) {
                        Outcome::GroupRefused { .. } if !alone => {
                            answers.verdicts.push(Verdict::split(&row));
                            refused.push(row.after_split());
                        }
                        outcome => {
                            if let Outcome::Deferred { retry_at, scope: Scope::Account, detail }
                            | Outcome::NotOffered { retry_at, detail } = &outcome
                            {
                                answers.rest(Pause { until: *retry_at, reason: detail.clone() });
                            }
                            answers.verdicts.push(Verdict::of(&row, outcome, max_attempts));
                        }
                    }
                }
                if !refused.is_empty() {
                    took_nothing = true;
                    self.report.split += 1;
                    waiting.extend(halves(refused));
                }
            }
            Err(error) if error.leaves_doubt() => {
                answers.verdicts.extend(rows.iter().map(|row| Verdict::of(row, LOST, max_attempts)));
                answers.next = Next::Halt(error);
            }
            Err(error) => {
                // The account's trouble; it does not count against the mails.
                took_nothing = true;
                answers.verdicts.extend(rows.iter().map(Verdict::not_called));
                if error.is_retryable() {
                    let wait = error.retry_after().unwrap_or(DEFAULT_PAUSE).max(LEAST_PAUSE);
                    let until = later(self.clock.now(), wait);
                    answers.rest(Pause { until, reason: error.to_string() });
                } else {
                    answers.next = Next::Halt(error);
                }
            }
        }
        answers.ended.extend(reservation.map(|reservation| Ended { reservation, took_nothing }));
    }

    /// Asks the provider about lost answers, call by call. What was enqueued at least once and stays unknown is put
    /// back.
    async fn settle(&mut self) -> Result<()> {
        let (provider, now) = (self.provider, self.clock.now());
        let window = Window::of(provider.capabilities(), now);
        let mut after = String::new();
        while let Some(window) = window {
            if self.options.stop.is_requested() {
                return Ok(());
            }
            let (account, now) = (provider.account(), self.clock.now());
            let Some(lost) = self.outbox.unsettled(account, now, window, &after).await? else { break };
            after = lost.group.key().to_string();
            let lost = self.as_it_was_sent(lost);
            if lost.rows.is_empty() {
                continue;
            }
            let settlements = provider.settle(&lost.group).await?;
            let alone = lost.rows.len() == 1;
            let mut verdicts = Vec::new();
            for (row, settlement) in lost.rows.iter().zip(settlements) {
                let verdict = match settlement {
                    Settlement::StillUnknown | Settlement::Known(Outcome::Unknown { .. }) => continue,
                    Settlement::Known(Outcome::GroupRefused { .. }) if !alone => Verdict::split_later(row),
                    Settlement::Known(outcome) => {
                        let least = later(self.clock.now(), LEAST_PAUSE);
                        Verdict::of(row, not_before(outcome, least), self.options.max_attempts)
                    }
                    Settlement::NotArrived if row.calls_that_count() >= self.options.max_attempts => {
                        let calls = row.calls_that_count();
                        let detail = format!("lost {calls} times on the way to {SERVICE}'s provider");
                        Verdict::of(row, Outcome::Rejected { reason: RejectReason::GaveUp, detail }, 0)
                    }
                    Settlement::NotArrived => Verdict::back_to_pending(row),
                };
                self.report.settled += 1;
                self.report.add(&verdict);
                verdicts.push(verdict);
            }
            self.outbox.record(&self.worker, self.clock.now(), &verdicts).await?;
        }
        let now = self.clock.now();
        self.report.repeated += self
            .outbox
            .repeat_unknown(provider.account(), now, window, LEAST_PAUSE, self.options.max_attempts)
            .await?;
        Ok(())
    }

    /// What was left out of a mail when it was sent is left out when the provider is asked about it.
    fn as_it_was_sent(&self, lost: Marked) -> Marked {
        let messages: Vec<&Message> = lost.rows.iter().map(|row| row.message.as_ref()).collect();
        let plan = self.provider.plan_with(&messages, lost.group.at(), &self.options.degrade);
        if plan.dropped.is_empty() {
            return lost;
        }
        let rows = lightened(lost.rows, &plan);
        let mails = rows.iter().zip(lost.group.mails());
        let mails = mails
            .map(|(row, mail)| crate::provider::Outgoing { key: mail.key, message: Arc::clone(&row.message) })
            .collect();
        Marked { group: Group::of_earlier_call(lost.group.key(), lost.group.at(), mails), rows, ..lost }
    }
}

/// A call that was made.
struct Called {
    marked: Marked,
    answer: Result<Vec<Outcome>>,
}

impl Answers {
    /// The account rests; the longest pause holds.
    fn rest(&mut self, pause: Pause) {
        if matches!(self.next, Next::Go) {
            self.next = Next::Rest;
        }
        if self.pause.as_ref().is_none_or(|known| known.until < pause.until) {
            self.pause = Some(pause);
        }
    }
}

/// A deferral that asks to come back at once is put off a little.
fn not_before(outcome: Outcome, least: DateTime<Utc>) -> Outcome {
    match outcome {
        Outcome::Deferred { retry_at, scope, detail } => {
            Outcome::Deferred { retry_at: retry_at.max(least), scope, detail }
        }
        Outcome::NotOffered { retry_at, detail } => {
            Outcome::NotOffered { retry_at: retry_at.max(least), detail }
        }
        other => other,
    }
}
