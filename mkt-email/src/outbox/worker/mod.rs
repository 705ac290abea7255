//! The worker: sends due emails through a provider and records the outcomes.
//!
//! Calls are made concurrently, up to [`RunOptions::calls_in_flight`]. Whenever some have ended, one commit records
//! their outcomes and marks the calls that take their place, which begin at once. So an email is marked only when its
//! call is next, whatever a call carries and however many are in progress.

mod commit;
mod due;
mod pace;

use super::account::{self, Budget, Pause};
use super::call::{Call, LOST, Verdict, halves, not_before};
use super::options::{Interruption, RunOptions, RunReport};
use super::plan::PutOff;
use super::queue::{Attachments, QueuedEmail};
use super::recovery::{self, Presence};
use super::store::Store;
use crate::provider::Scope;
use crate::{Clock, EmailProvider, Outcome};
use chrono::{DateTime, Utc};
use commit::{Commit, EndedCall, NextCalls};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use mkt_connect::clock::later;
use mkt_connect::{Error, ErrorKind, Result, sentence};
use pace::Pace;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The pause of an account that asks to slow down and does not say for how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// The shortest pause: a provider that asks for none, or for one that has passed when the answer arrives, would be
/// called in a tight loop.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// A pause of an account that is no longer than this is a limit per second.
const SHORT_PAUSE: chrono::TimeDelta = chrono::TimeDelta::milliseconds(1_500);
/// The shortest time between two signs of life, whatever the lease.
const LEAST_BEAT: Duration = Duration::from_millis(20);
/// After so many calls in a row whose answers prove nothing (5xx, broken connections), the run ends with the error:
/// every further call would leave its emails unknown.
const MAX_DOUBTFUL_CALLS: u32 = 3;

/// Sends what is due; see [`Outbox::run`](crate::Outbox::run).
pub(super) async fn run(
    store: &Store,
    provider: &dyn EmailProvider,
    clock: &dyn Clock,
    options: &RunOptions,
) -> Result<RunReport> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let (count, begun) = (RUNS.fetch_add(1, Ordering::Relaxed), clock.now());
    // On several machines, processes may have the same number and begin at the same moment.
    let chance = RandomState::new().hash_one(count);
    let worker = format!("{}-{count}-{}-{chance:016x}", std::process::id(), begun.timestamp_millis());
    let presence = Presence::register(store, &worker).await?;
    let mut run = Run {
        store,
        provider,
        clock,
        options,
        worker,
        presence,
        report: RunReport::default(),
        calls: 0,
        unknown_when_settled: None,
        recovered: begun,
        alive: Instant::now(),
        holds_claimed: false,
        doubtful_calls: 0,
        attachments: Attachments::new(),
        budgets: options.budgets.clone(),
        pace: Pace::default(),
        put_off: PutOff::default(),
        sift: false,
    };
    run.recover(begun).await?;
    run.presence.share().await;
    run.send_all_due().await?;
    tracing::debug!(accepted = run.report.accepted, unknown = run.report.unknown, "run ended");
    Ok(run.report)
}

/// A run, from its beginning to its end.
struct Run<'a> {
    store: &'a Store,
    provider: &'a dyn EmailProvider,
    clock: &'a dyn Clock,
    options: &'a RunOptions,
    worker: String,
    presence: Presence,
    report: RunReport,
    /// Calls made so far: names their reservations.
    calls: u64,
    /// How many answers were lost when the provider was last asked about them; `None`: it must be asked.
    unknown_when_settled: Option<u64>,
    /// When the rows of dead and late workers were last taken over.
    recovered: DateTime<Utc>,
    /// When the leases were last extended.
    alive: Instant,
    /// Whether emails may be claimed that are in no memory.
    holds_claimed: bool,
    /// Calls in a row whose answers prove nothing.
    doubtful_calls: u32,
    /// The attachments of the emails read last.
    attachments: Attachments,
    /// The budgets of the options, and after them the rate that the server has named.
    budgets: Vec<Budget>,
    pace: Pace,
    /// When emails were put off to by the plan.
    put_off: PutOff,
    /// Whether the last emails that were found were put off: many are read then.
    sift: bool,
}

/// Whether the run goes on.
enum Next {
    Go,
    /// The account is paused, or its budgets are spent.
    Pause,
    /// The provider cannot be used.
    Halt(Error),
}

/// A call with its answer.
struct AnsweredCall {
    call: Call,
    answer: Result<Vec<Outcome>>,
}

/// What the calls that ended since the last commit have come to.
struct Answers {
    verdicts: Vec<Verdict>,
    ended: Vec<EndedCall>,
    pause: Option<Pause>,
    next: Next,
}

impl Answers {
    /// Pauses the account; the longest pause counts.
    fn pause(&mut self, pause: Pause) {
        if matches!(self.next, Next::Go) {
            self.next = Next::Pause;
        }
        if self.pause.as_ref().is_none_or(|known| known.until < pause.until) {
            self.pause = Some(pause);
        }
    }
}

impl Run<'_> {
    async fn send_all_due(&mut self) -> Result<()> {
        let deadline = later(self.clock.now(), self.options.wait_up_to);
        loop {
            if self.options.stop.is_requested() {
                self.report.stopped = true;
                return Ok(());
            }
            self.recover_periodically().await?;
            let now = self.clock.now();
            let mut due = self.account_paused_until(now).await?;
            // Settling is a call too: not while the account is paused.
            if due.is_none() && self.unknown_when_settled.is_none() {
                self.settle().await?;
            }
            let room = account::room(self.store, self.provider.account(), now, &self.budgets).await?;
            if due.is_none() && !room.is_empty() {
                let sent = self.send().await;
                // Emails that are still claimed were never handed to the provider.
                let released = match std::mem::take(&mut self.holds_claimed) || sent.is_err() {
                    true => due::release(self.store, self.clock.now(), &self.worker).await,
                    false => Ok(()),
                };
                match sent? {
                    (_, Next::Halt(error)) => return Err(error),
                    (seen, Next::Go | Next::Pause) => {
                        released?;
                        if seen > 0 {
                            continue;
                        }
                    }
                }
                if self.unknown_when_settled != Some(self.report.unknown) {
                    self.settle().await?;
                    continue;
                }
            }
            let mut look_up = None;
            if due.is_none() {
                due = due::next_due(self.store, self.options.campaign.as_deref()).await?;
                // Without emails there is nothing to spend.
                due = due.map(|due| room.again_at.map_or(due, |at| due.max(at)));
                look_up = recovery::next_look_up(self.store, self.provider, now).await?;
                due = [due, look_up].into_iter().flatten().min();
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
                    if look_up.is_some_and(|at| at <= self.clock.now()) {
                        self.unknown_when_settled = None;
                    }
                }
                None => return Ok(()),
            }
        }
    }

    /// Until when the account is paused. A pause of an earlier run is reported like one of this run.
    async fn account_paused_until(&mut self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let Some(pause) = account::paused(self.store, self.provider.account(), now).await? else {
            return Ok(None);
        };
        let until = Some(pause.until);
        if self.report.interruption.as_ref().is_none_or(|known| known.until != until) {
            self.interrupted(Interruption { kind: None, reason: pause.reason, until });
        }
        Ok(until)
    }

    /// Reports why the provider cannot be used, at once.
    fn interrupted(&mut self, interruption: Interruption) {
        tracing::warn!(reason = %interruption.reason, "sending was interrupted");
        if let Some(report) = &self.options.interrupted {
            report(&interruption);
        }
        self.report.interruption = Some(interruption);
    }

    /// Takes over the emails of dead and late workers.
    async fn recover(&mut self, now: DateTime<Utc>) -> Result<()> {
        self.recovered = now;
        if recovery::take_over(self.store, &mut self.presence, &self.worker, now).await? > 0 {
            self.unknown_when_settled = None;
        }
        Ok(())
    }

    async fn recover_periodically(&mut self) -> Result<()> {
        let now = self.clock.now();
        if now >= later(self.recovered, self.options.lease) {
            self.recover(now).await?;
        }
        Ok(())
    }

    /// Asks the provider about lost answers.
    async fn settle(&mut self) -> Result<()> {
        self.unknown_when_settled = Some(self.report.unknown);
        let (store, provider, clock) = (self.store, self.provider, self.clock);
        let (options, report) = (self.options, &mut self.report);
        recovery::settle(store, provider, clock, options, &self.worker, LEAST_PAUSE, report).await
    }

    /// Sends due emails, with as many concurrent calls as allowed, until none are left. Returns how many it read.
    async fn send(&mut self) -> Result<(usize, Next)> {
        let mut waiting: VecDeque<Vec<QueuedEmail>> = VecDeque::new();
        let mut calls: FuturesUnordered<BoxFuture<'_, AnsweredCall>> = FuturesUnordered::new();
        let mut answers = Answers { verdicts: Vec::new(), ended: Vec::new(), pause: None, next: Next::Go };
        let beat = (self.options.lease / 3).max(LEAST_BEAT);
        // Emails read in all, answers since the last report of progress, bytes of the calls in progress.
        let (mut seen, mut unreported, mut in_use) = (0, 0, 0_u64);
        let mut all = false;
        loop {
            let open = matches!(answers.next, Next::Go) && !self.options.stop.is_requested();
            let free = match open {
                true => self.options.calls_in_flight.max(1).saturating_sub(calls.len()),
                false => 0,
            };
            // Progress is reported before the next calls begin, because the caller may stop the run then.
            let reported = self.options.progress.is_none()
                || unreported + answers.verdicts.len() < self.options.batch.max(1);
            let free = if reported { free } else { 0 };
            let groups: Vec<_> = waiting.drain(..free.min(waiting.len())).collect();
            let look_for = Some(free).filter(|free| *free > groups.len() && !all);
            if look_for.is_some() {
                self.recover_periodically().await?;
            }
            if !groups.is_empty() || look_for.is_some() || !answers.verdicts.is_empty() {
                unreported += answers.verdicts.len();
                let next = self.commit(&mut answers, groups, look_for, in_use).await?;
                if let Some(read) = next.seen {
                    all = read == 0;
                    seen += read;
                }
                waiting.extend(next.waiting);
                for call in next.calls {
                    in_use += call.bytes();
                    let provider = self.provider;
                    calls.push(
                        async move {
                            let answer = provider.send(&call.group).await;
                            AnsweredCall { call, answer }
                        }
                        .boxed(),
                    );
                }
            }
            if !reported {
                unreported = 0;
                self.report_progress();
                continue;
            }
            let answered = loop {
                if self.alive.elapsed() >= beat {
                    self.extend_leases().await;
                }
                tokio::select! {
                    biased;
                    answered = calls.next() => break answered,
                    () = tokio::time::sleep_until(self.alive + beat) => {}
                }
            };
            let still_open = matches!(answers.next, Next::Go) && !self.options.stop.is_requested();
            match answered {
                Some(answered) => self.take(answered, &mut answers, &mut waiting, &mut in_use),
                None if still_open && (!waiting.is_empty() || !all) => {}
                None => {
                    self.holds_claimed |= !waiting.is_empty();
                    if unreported > 0 {
                        self.report_progress();
                    }
                    return Ok((seen, answers.next));
                }
            }
            while let Some(Some(answered)) = calls.next().now_or_never() {
                self.take(answered, &mut answers, &mut waiting, &mut in_use);
            }
        }
    }

    fn report_progress(&self) {
        if let Some(report) = &self.options.progress {
            report(&self.report);
        }
    }

    /// A call may take longer than a lease; while it is waited for, the lease is extended. Should that fail, the next
    /// commit returns the error.
    async fn extend_leases(&mut self) {
        self.alive = Instant::now();
        let (account, now) = (self.provider.account(), self.clock.now());
        let until = later(now, self.options.lease);
        if let Err(error) = recovery::extend_leases(self.store, &self.worker, account, now, until).await {
            tracing::warn!(%error, "the lease could not be extended");
        }
    }

    /// One commit: what became of the calls that ended, and which come next.
    async fn commit(
        &mut self,
        answers: &mut Answers,
        groups: Vec<Vec<QueuedEmail>>,
        look_for: Option<usize>,
        bytes_in_use: u64,
    ) -> Result<NextCalls> {
        let now = self.clock.now();
        let claimed = !groups.is_empty();
        let commit = Commit {
            worker: &self.worker,
            now,
            lease_until: later(now, self.options.lease),
            provider: self.provider,
            options: self.options,
            budgets: &self.budgets,
            put_off: &mut self.put_off,
            sift: self.sift,
            verdicts: &answers.verdicts,
            ended: &answers.ended,
            pause: answers.pause.as_ref(),
            first_call: self.calls,
            groups,
            look_for,
            bytes_in_use,
            attachments: &mut self.attachments,
        };
        let next = commit.run(self.store).await?;
        self.calls += next.calls.len() as u64;
        for verdict in answers.verdicts.drain(..) {
            self.report.add(&verdict);
        }
        answers.ended.clear();
        answers.pause = None;
        self.sift = next.put_off > 0;
        self.report.put_off += next.put_off;
        self.report.suppressed += next.suppressed;
        self.report.expired += next.expired;
        self.report.rejected += next.rejected;
        for (feature, count) in &next.degraded {
            *self.report.degraded.entry(*feature).or_default() += count;
        }
        if next.paused {
            self.holds_claimed |= claimed;
            if matches!(answers.next, Next::Go) {
                answers.next = Next::Pause;
            }
        }
        Ok(next)
    }

    /// Decides what an answer means for the emails of its call. A group that was refused goes to the end of the queue,
    /// in halves: the good halves of all groups are sent before any is split further, so that a run that is cut short
    /// again and again still makes progress.
    fn take(
        &mut self,
        answered: AnsweredCall,
        answers: &mut Answers,
        waiting: &mut VecDeque<Vec<QueuedEmail>>,
        in_use: &mut u64,
    ) {
        let AnsweredCall { call, answer } = answered;
        *in_use = in_use.saturating_sub(call.bytes());
        let Call { emails, reservation, .. } = call;
        let max_attempts = self.options.max_attempts;
        let mut accepted_nothing = false;
        match answer {
            Ok(outcomes) => {
                self.doubtful_calls = 0;
                // A missing outcome is a lost answer.
                let outcomes = outcomes.into_iter().chain(std::iter::repeat(LOST));
                let least = later(self.clock.now(), LEAST_PAUSE);
                let (alone, count) = (emails.len() == 1, emails.len());
                let mut refused = Vec::new();
                let mut paused: Option<Pause> = None;
                for (email, outcome) in emails.into_iter().zip(outcomes) {
                    match not_before(outcome, least) {
                        Outcome::GroupRefused { .. } if !alone => {
                            answers.verdicts.push(Verdict::split(&email));
                            refused.push(email.after_split());
                        }
                        outcome => {
                            if let Outcome::Deferred { retry_at, scope: Scope::Account, detail }
                            | Outcome::NotOffered { retry_at, detail } = &outcome
                            {
                                paused = Some(Pause { until: *retry_at, reason: detail.clone() });
                            }
                            answers.verdicts.push(Verdict::of(&email, outcome, max_attempts));
                        }
                    }
                }
                let accepted =
                    answers.verdicts.iter().rev().take(count).filter(|verdict| verdict.state() == "accepted");
                self.pace.accepted(self.clock.now(), accepted.count() as u32);
                if let Some(pause) = &paused {
                    self.learn(pause);
                }
                if let Some(pause) = paused {
                    self.pause(answers, ErrorKind::RateLimited, pause);
                }
                if !refused.is_empty() {
                    accepted_nothing = true;
                    self.report.split += 1;
                    waiting.extend(halves(refused));
                }
            }
            Err(error) if error.leaves_doubt() => {
                answers.verdicts.extend(emails.iter().map(|email| Verdict::of(email, LOST, max_attempts)));
                self.doubtful_calls += 1;
                let interruption =
                    Interruption { kind: Some(error.kind()), reason: sentence(&error), until: None };
                if self.doubtful_calls >= MAX_DOUBTFUL_CALLS {
                    self.interrupted(interruption);
                    answers.next = Next::Halt(error);
                } else if let Some(wait) = error.retry_after() {
                    let until = later(self.clock.now(), wait.max(LEAST_PAUSE));
                    self.pause(answers, error.kind(), Pause { until, reason: interruption.reason });
                } else {
                    self.interrupted(interruption);
                }
            }
            Err(error) => {
                // The failure of the account, not of the emails: the attempt is not counted.
                accepted_nothing = true;
                answers.verdicts.extend(emails.iter().map(Verdict::not_called));
                if error.is_retryable() {
                    let wait = error.retry_after().unwrap_or(DEFAULT_PAUSE).max(LEAST_PAUSE);
                    let until = later(self.clock.now(), wait);
                    self.pause(answers, error.kind(), Pause { until, reason: sentence(&error) });
                } else {
                    let (kind, reason) = (Some(error.kind()), sentence(&error));
                    self.interrupted(Interruption { kind, reason, until: None });
                    answers.next = Next::Halt(error);
                }
            }
        }
        answers.ended.extend(reservation.map(|reservation| EndedCall { reservation, accepted_nothing }));
    }

    /// Learns a rate that the server names by refusing more for a second, such as Amazon SES: `454 Throttling failure:
    /// Maximum sending rate exceeded`. The run keeps to what was accepted within the last second, over all its calls.
    fn learn(&mut self, pause: &Pause) {
        let now = self.clock.now();
        if pause.until - now > SHORT_PAUSE {
            return;
        }
        let Some(rate) = self.pace.learn(now) else { return };
        self.budgets.truncate(self.options.budgets.len());
        self.budgets.push(Budget::emails(rate, Duration::from_secs(1)));
        self.report.learnt_rate = Some(rate);
        tracing::info!(rate, "the server limits emails per second; the run keeps to it");
    }

    /// Pauses the account and reports it.
    fn pause(&mut self, answers: &mut Answers, kind: ErrorKind, pause: Pause) {
        self.interrupted(Interruption {
            kind: Some(kind),
            reason: pause.reason.clone(),
            until: Some(pause.until),
        });
        answers.pause(pause);
    }
}
