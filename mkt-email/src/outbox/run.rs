//! The worker: takes due mails, hands them to a provider, writes down what became of them.

use super::claim::{Marked, Taken, Verdict};
use super::solitude::Presence;
use super::{Outbox, SERVICE};
use crate::Clock;
use crate::id::MailId;
use crate::message::Message;
use crate::provider::{EmailProvider, Idempotency, Outcome, RejectReason, Scope, Settlement, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::clock::later;
use mkt_connect::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long an account rests when it asks to slow down and does not say for how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// The shortest rest: whoever asks for none, or for one that is over when the answer arrives, would be called again in a
/// loop that never rests.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// For how long mails may be marked as sending before their call begins. A mark shuts out an unsubscription or a
/// cancellation that comes later, and a lease runs behind it: both ask for a time that people do not notice.
const WAVE: Duration = Duration::from_secs(5);

/// Ends a run from outside, between two calls: no call is cut off. Clones stop the same runs.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(AtomicBool, Notify)>);

impl Stop {
    /// Asks the run to end.
    pub fn stop(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
        self.0.1.notify_one();
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    async fn stopped(&self) {
        if !self.is_stopped() {
            self.0.1.notified().await;
        }
    }
}

type Progress = Arc<dyn Fn(&RunReport) + Send + Sync>;

/// How a run works.
#[derive(Clone)]
#[non_exhaustive]
pub struct RunOptions {
    /// Mails claimed at a time (100).
    pub batch: usize,
    /// After how long a worker that says nothing is taken for dead by workers on other machines (5 minutes). Workers
    /// on this machine are known to be dead at once.
    pub lease: Duration,
    /// Calls for one mail after which a deferral becomes a rejection (8). Calls that failed as a whole without taking
    /// anything do not count.
    pub max_attempts: u32,
    /// How long the run may wait, in all, for mails that are due later (not at all).
    pub wait_up_to: Duration,
    /// Only mails of this campaign.
    pub campaign: Option<String>,
    /// Ends the run.
    pub stop: Stop,
    progress: Option<Progress>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            batch: 100,
            lease: Duration::from_secs(300),
            max_attempts: 8,
            wait_up_to: Duration::ZERO,
            campaign: None,
            stop: Stop::default(),
            progress: None,
        }
    }
}

impl RunOptions {
    /// Calls `tell` after every batch.
    #[must_use]
    pub fn on_progress(mut self, tell: impl Fn(&RunReport) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("batch", &self.batch)
            .field("lease", &self.lease)
            .field("max_attempts", &self.max_attempts)
            .field("wait_up_to", &self.wait_up_to)
            .field("campaign", &self.campaign)
            .finish_non_exhaustive()
    }
}

/// What one run did. How all mails stand is told by [`Outbox::counts`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// Mails accepted.
    pub accepted: u64,
    /// Mails rejected.
    pub rejected: u64,
    /// Deferrals.
    pub deferred: u64,
    /// Answers lost.
    pub unknown: u64,
    /// Mails stopped because they are not wanted.
    pub suppressed: u64,
    /// Mails stopped because it was too late.
    pub expired: u64,
    /// Lost answers, of this run or an earlier one, that were found again.
    pub settled: u64,
    /// When the next waiting mail is due, or the account's pause ends.
    pub next_due: Option<DateTime<Utc>>,
    /// Whether the run was ended from outside.
    pub stopped: bool,
}

impl RunReport {
    fn add(&mut self, verdict: &Verdict) {
        match verdict.state() {
            "accepted" => self.accepted += 1,
            "rejected" => self.rejected += 1,
            "deferred" => self.deferred += 1,
            "unknown" => self.unknown += 1,
            _ => {}
        }
    }
}

/// Everything that stays the same during a run.
struct Run<'a> {
    outbox: &'a Outbox,
    provider: &'a dyn EmailProvider,
    clock: &'a dyn Clock,
    options: &'a RunOptions,
    worker: String,
    report: RunReport,
}

/// Whether the run goes on after a wave.
enum Next {
    Go,
    /// The account asked for a pause.
    Rest,
    /// The provider cannot be used.
    Halt(Error),
}

impl Outbox {
    /// Sends what is due, until nothing is, and returns. Mails of dead workers are taken over first, and lost answers
    /// are settled where the provider can tell. May be called again at any time, by several processes at once.
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
        let worker = format!("{}-{count}-{}", std::process::id(), begun.timestamp_millis());
        let mut run = Run { outbox: self, provider, clock, options, worker, report: RunReport::default() };
        let mut presence = Presence::announce(self.path.as_deref(), &self.runs).await;
        self.recover(begun, presence.is_alone()).await?;
        presence.share().await;
        run.settle().await?;
        run.send_what_is_due().await?;
        tracing::debug!(accepted = run.report.accepted, unknown = run.report.unknown, "run ended");
        Ok(run.report)
    }
}

impl Run<'_> {
    async fn send_what_is_due(&mut self) -> Result<()> {
        let deadline = later(self.clock.now(), self.options.wait_up_to);
        let mut lost = 0;
        loop {
            if self.options.stop.is_stopped() {
                self.report.stopped = true;
                return Ok(());
            }
            let now = self.clock.now();
            let campaign = self.options.campaign.as_deref();
            let mut due = self.outbox.paused_until(self.provider.account(), now).await?;
            if due.is_none() {
                let lease = later(now, self.options.lease);
                let claim =
                    self.outbox.claim(&self.worker, now, lease, self.options.batch.max(1), campaign).await?;
                self.report.suppressed += claim.suppressed;
                self.report.expired += claim.expired;
                self.report.rejected += claim.damaged;
                if claim.seen > 0 {
                    let next = self.send_batch(claim.taken).await;
                    // Whatever is still claimed was told to nobody.
                    let released = self.outbox.release(self.clock.now(), &self.worker).await;
                    if let Some(tell) = &self.options.progress {
                        tell(&self.report);
                    }
                    match next? {
                        Next::Halt(error) => return Err(error),
                        Next::Go | Next::Rest => released?,
                    }
                    continue;
                }
                if self.report.unknown > lost {
                    lost = self.report.unknown;
                    self.settle().await?;
                    continue;
                }
                due = self.outbox.next_due(campaign).await?;
            }
            self.report.next_due = due;
            let now = self.clock.now();
            match due.filter(|at| *at <= deadline).map(|at| (at - now).to_std().unwrap_or_default()) {
                Some(wait) => tokio::select! {
                    () = self.clock.sleep(wait.max(Duration::from_millis(1))) => {}
                    () = self.options.stop.stopped() => {}
                },
                None => return Ok(()),
            }
        }
    }

    async fn send_batch(&mut self, taken: Vec<Taken>) -> Result<Next> {
        let groups = self.plan(&taken).await?;
        // Where a repetition would be delivered twice, a mail is marked as sending only when its call is next, so
        // that a death leaves no more unknown than one call. Elsewhere the whole batch shares one commit.
        let wave = match self.provider.capabilities().idempotency {
            Idempotency::None => 1,
            _ => groups.len().max(1),
        };
        let mut groups = groups.into_iter();
        loop {
            let wave: Vec<Vec<Taken>> = groups.by_ref().take(wave).collect();
            if wave.is_empty() || self.options.stop.is_stopped() {
                return Ok(Next::Go);
            }
            match self.send_wave(wave).await? {
                Next::Go => {}
                end => return Ok(end),
            }
        }
    }

    /// Cuts claimed mails into groups and refuses those that the provider cannot send.
    async fn plan(&mut self, taken: &[Taken]) -> Result<Vec<Vec<Taken>>> {
        let now = self.clock.now();
        let messages: Vec<&Message> = taken.iter().map(|row| row.message.as_ref()).collect();
        let plan = self.provider.plan(&messages, now);
        let mut refused: Vec<(MailId, String)> = Vec::new();
        for refusal in &plan.refused {
            refused.extend(taken.get(refusal.position).map(|row| (row.id, refusal.to_string())));
        }
        let mut left: BTreeSet<usize> = (0..taken.len()).collect();
        for refusal in &plan.refused {
            left.remove(&refusal.position);
        }
        let mut groups = Vec::with_capacity(plan.groups.len());
        for group in &plan.groups {
            let rows: Vec<Taken> =
                group.iter().filter(|at| left.remove(at)).filter_map(|at| taken.get(*at).cloned()).collect();
            if !rows.is_empty() {
                groups.push(rows);
            }
        }
        // A plan that leaves mails out breaks its contract; they must not come round for ever.
        for at in left {
            refused.extend(taken.get(at).map(|row| (row.id, "left out of the provider's plan".to_owned())));
        }
        if !refused.is_empty() {
            self.outbox.refuse(now, &self.worker, &refused).await?;
            self.report.rejected += refused.len() as u64;
        }
        Ok(groups)
    }

    async fn send_wave(&mut self, wave: Vec<Vec<Taken>>) -> Result<Next> {
        let now = self.clock.now();
        let lease = later(now, self.options.lease);
        let names = (self.provider.name(), self.provider.account());
        let wave = self.outbox.mark_sending(&self.worker, now, lease, names, wave).await?;
        self.report.suppressed += wave.suppressed;
        self.report.expired += wave.expired;
        let marked_at = self.clock.elapsed();
        let mut verdicts = Vec::new();
        let mut next = Next::Go;
        let mut pause: Option<(DateTime<Utc>, String)> = None;
        for (position, Marked { group, rows }) in wave.marked.into_iter().enumerate() {
            // The first call is made whatever the time, so that every wave gets something done.
            let late = position > 0 && self.clock.elapsed().saturating_sub(marked_at) > WAVE;
            if late || !matches!(next, Next::Go) || self.options.stop.is_stopped() {
                verdicts.extend(rows.iter().map(Verdict::not_called));
                continue;
            }
            match self.provider.send(&group).await {
                Ok(outcomes) => {
                    // An outcome that is missing is an answer that is lost.
                    let missing = std::iter::repeat(Outcome::Unknown { stage: Stage::AwaitingAnswer });
                    let least = later(self.clock.now(), LEAST_PAUSE);
                    for (row, outcome) in rows.iter().zip(outcomes.into_iter().chain(missing)) {
                        let outcome = not_before(outcome, least);
                        if let Outcome::Deferred { retry_at, scope: Scope::Account, detail } = &outcome {
                            pause = pause.max(Some((*retry_at, detail.clone())));
                            next = Next::Rest;
                        }
                        verdicts.push(Verdict::of(row, outcome, self.options.max_attempts));
                    }
                }
                Err(error) if error.leaves_doubt() => {
                    let lost = || Outcome::Unknown { stage: Stage::AwaitingAnswer };
                    verdicts
                        .extend(rows.iter().map(|row| Verdict::of(row, lost(), self.options.max_attempts)));
                    next = Next::Halt(error);
                }
                Err(error) => {
                    // The account's trouble; it does not count against the mails.
                    verdicts.extend(rows.iter().map(Verdict::not_called));
                    if error.is_retryable() {
                        let wait = error.retry_after().unwrap_or(DEFAULT_PAUSE).max(LEAST_PAUSE);
                        pause = Some((later(self.clock.now(), wait), error.to_string()));
                        next = Next::Rest;
                    } else {
                        next = Next::Halt(error);
                    }
                }
            }
        }
        for verdict in &verdicts {
            self.report.add(verdict);
        }
        let pause = pause.as_ref().map(|(until, reason)| (self.provider.account(), *until, reason.as_str()));
        self.outbox.record(&self.worker, self.clock.now(), &verdicts, pause).await?;
        Ok(next)
    }

    /// Asks the provider about lost answers.
    async fn settle(&mut self) -> Result<()> {
        let (provider, now) = (self.provider, self.clock.now());
        let lost =
            self.outbox.unsettled(provider.account(), now, provider.capabilities().idempotency).await?;
        for Marked { group, rows } in lost {
            let settlements = provider.settle(&group).await?;
            let mut verdicts = Vec::new();
            for (row, settlement) in rows.iter().zip(settlements) {
                let verdict = match settlement {
                    Settlement::StillUnknown | Settlement::Known(Outcome::Unknown { .. }) => continue,
                    Settlement::Known(outcome) => {
                        let least = later(self.clock.now(), LEAST_PAUSE);
                        Verdict::of(row, not_before(outcome, least), self.options.max_attempts)
                    }
                    Settlement::NotArrived if row.attempt >= self.options.max_attempts => {
                        let detail = format!("lost {} times on the way to {SERVICE}'s provider", row.attempt);
                        Verdict::of(row, Outcome::Rejected { reason: RejectReason::GaveUp, detail }, 0)
                    }
                    Settlement::NotArrived => Verdict::back_to_pending(row),
                };
                self.report.settled += 1;
                self.report.add(&verdict);
                verdicts.push(verdict);
            }
            self.outbox.record(&self.worker, self.clock.now(), &verdicts, None).await?;
        }
        Ok(())
    }
}

/// A deferral that asks to come back at once is put off a little.
fn not_before(outcome: Outcome, least: DateTime<Utc>) -> Outcome {
    match outcome {
        Outcome::Deferred { retry_at, scope, detail } => {
            Outcome::Deferred { retry_at: retry_at.max(least), scope, detail }
        }
        other => other,
    }
}
