//! How a run works, and what it tells.

use super::budget::Budget;
use super::record::Verdict;
use crate::message::Feature;
use crate::provider::Degrade;
use chrono::{DateTime, Utc};
use mkt_connect::Stop;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) type Progress = Arc<dyn Fn(&RunReport) + Send + Sync>;

/// How a run works.
#[derive(Clone)]
#[non_exhaustive]
pub struct RunOptions {
    /// The most mails taken at a time (500); no more are taken than calls can begin, as far as the provider's size of a
    /// group tells.
    pub batch: usize,
    /// The most bytes of messages and attachments in memory, in all calls under way (64 MiB). One mail is taken whatever
    /// its size.
    pub bytes: u64,
    /// Calls under way at a time (1). More of them share the commits before and after a call, and a death leaves the
    /// answers of so many calls unknown. For SMTP, as many as there are connections.
    pub calls_in_flight: usize,
    /// What the provider's account may spend. All runs on the account must be given the same.
    pub budgets: Vec<Budget>,
    /// What may be left out of mails when the provider lacks it (nothing).
    pub degrade: Degrade,
    /// After how long a worker that says nothing is taken for dead though it lives (5 minutes). A worker that waits for
    /// a call, however long, prolongs it. Workers that are dead are known to be at once: in a file those of this
    /// machine, once no other is alive; on a server those of any machine, whose clocks must agree to well within this.
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
    pub(super) progress: Option<Progress>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            bytes: 64 << 20,
            calls_in_flight: 1,
            budgets: Vec::new(),
            degrade: Degrade::none(),
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
    /// Calls `tell` after every [`batch`](Self::batch) of answers, when they are written down and before the next calls
    /// begin.
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
            .field("bytes", &self.bytes)
            .field("calls_in_flight", &self.calls_in_flight)
            .field("budgets", &self.budgets)
            .field("degrade", &self.degrade)
            .field("lease", &self.lease)
            .field("max_attempts", &self.max_attempts)
            .field("wait_up_to", &self.wait_up_to)
            .field("campaign", &self.campaign)
            .finish_non_exhaustive()
    }
}

/// What one run did. How all mails stand is told by [`Outbox::counts`](super::Outbox::counts).
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
    /// Calls that were refused as a whole and made again in halves.
    pub split: u64,
    /// Mails of which nobody knew and that were put back to be sent again, because they were enqueued at least once.
    pub repeated: u64,
    /// Mails sent without something, by what was left out.
    pub degraded: BTreeMap<Feature, u64>,
    /// When the next waiting mail is due, the account's pause ends, or its budgets have room again.
    pub next_due: Option<DateTime<Utc>>,
    /// Whether the run was ended from outside.
    pub stopped: bool,
}

impl RunReport {
    pub(super) fn add(&mut self, verdict: &Verdict) {
        match verdict.state() {
            "accepted" => self.accepted += 1,
            "rejected" => self.rejected += 1,
            "deferred" => self.deferred += 1,
            "unknown" => self.unknown += 1,
            _ => {}
        }
    }
}
