//! Options of a run, and its report.

use super::account::Budget;
use super::call::Verdict;
use super::plan::SendingPlan;
use crate::message::Feature;
use crate::provider::Degrade;
use chrono::{DateTime, Utc};
use mkt_connect::{ErrorKind, Stop};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) type Progress = Arc<dyn Fn(&RunReport) + Send + Sync>;
pub(super) type Interrupted = Arc<dyn Fn(&Interruption) + Send + Sync>;

/// Options of a run.
#[derive(Clone)]
#[non_exhaustive]
pub struct RunOptions {
    /// The most emails read at a time, at most as many as the next calls can carry. Default: 500.
    pub batch: usize,
    /// The most bytes of messages and attachments in memory, in all calls in progress. A single larger email is sent all
    /// the same. Default: 64 MiB.
    pub bytes: u64,
    /// Concurrent calls. More of them share the commits before and after a call; if the process dies, the answers of
    /// that many calls are unknown. For SMTP, the number of connections. Default: 1.
    pub calls_in_flight: usize,
    /// The budgets of the provider's account. All runs that use the account must be given the same. Default: none.
    pub budgets: Vec<Budget>,
    /// Rates by account, sender and recipients' domains, and a warm-up. All runs that use the account must be given the same.
    /// Default: none.
    pub plan: Option<SendingPlan>,
    /// Features that may be dropped from emails when the provider lacks them. Default: none.
    pub degrade: Degrade,
    /// How long a worker without a sign of life keeps its emails. A worker that waits for a call, however long, extends
    /// its lease. Workers that are known to be dead lose theirs at once: in a file those of this machine, once no other
    /// is alive; on a server those of any machine, whose clocks must agree to well within this. Default: 5 minutes.
    pub lease: Duration,
    /// Attempts for one email after which a deferral becomes a rejection. Calls that failed as a whole without accepting
    /// anything are not counted. Default: 8.
    pub max_attempts: u32,
    /// How long the run may wait, in total, for emails that are due later. Default: 0.
    pub wait_up_to: Duration,
    /// Only emails of this campaign. Default: all.
    pub campaign: Option<String>,
    /// Stops the run.
    pub stop: Stop,
    pub(super) progress: Option<Progress>,
    pub(super) interrupted: Option<Interrupted>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            bytes: 64 << 20,
            calls_in_flight: 1,
            budgets: Vec::new(),
            plan: None,
            degrade: Degrade::none(),
            lease: Duration::from_secs(300),
            max_attempts: 8,
            wait_up_to: Duration::ZERO,
            campaign: None,
            stop: Stop::default(),
            progress: None,
            interrupted: None,
        }
    }
}

impl RunOptions {
    /// Calls `report` after every [`batch`](Self::batch) of answers, when they are recorded and before the next calls
    /// begin.
    #[must_use]
    pub fn on_progress(mut self, report: impl Fn(&RunReport) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(report));
        self
    }

    /// Calls `report` as soon as the provider fails as a whole or asks for a pause, before the run waits: an unreachable
    /// server is known at once and not when the run ends.
    #[must_use]
    pub fn on_interruption(mut self, report: impl Fn(&Interruption) + Send + Sync + 'static) -> Self {
        self.interrupted = Some(Arc::new(report));
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
            .field("plan", &self.plan)
            .field("degrade", &self.degrade)
            .field("lease", &self.lease)
            .field("max_attempts", &self.max_attempts)
            .field("wait_up_to", &self.wait_up_to)
            .field("campaign", &self.campaign)
            .finish_non_exhaustive()
    }
}

/// What one run did. [`Outbox::counts`](crate::Outbox::counts) counts all emails by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// Emails accepted.
    pub accepted: u64,
    /// Emails rejected.
    pub rejected: u64,
    /// Deferrals.
    pub deferred: u64,
    /// Lost answers.
    pub unknown: u64,
    /// Emails not sent because they are suppressed or lack consent.
    pub suppressed: u64,
    /// Emails not sent because their time had passed.
    pub expired: u64,
    /// Lost answers, of this run or an earlier one, that were settled.
    pub settled: u64,
    /// Calls that were refused as a whole and repeated in halves.
    pub split: u64,
    /// Emails with a lost answer that will be sent again because they were enqueued at least once.
    pub repeated: u64,
    /// Emails sent without a feature, by feature.
    pub degraded: BTreeMap<Feature, u64>,
    /// How often an email was put off because a limit of the plan had no room for it.
    pub put_off: u64,
    /// A rate that the server has named by refusing more, in emails per second: the run keeps to it.
    pub learnt_rate: Option<u32>,
    /// When the next waiting email is due, the account's pause ends, its budgets have room again, or a lost answer can be
    /// looked up, whichever applies first.
    pub next_due: Option<DateTime<Utc>>,
    /// Whether the run was stopped by [`RunOptions::stop`].
    pub stopped: bool,
    /// Why the provider could not be used, most recently: a failed call, or a pause of the account (of this run or an
    /// earlier one that still lasts).
    pub interruption: Option<Interruption>,
}

/// The provider failed as a whole, or its account is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interruption {
    /// What failed; `None` for a pause that an earlier run recorded.
    pub kind: Option<ErrorKind>,
    /// The cause in one clause, such as a refused connection, a timeout or an unknown host name. Without personal data.
    pub reason: String,
    /// Until when the account is paused, if it is.
    pub until: Option<DateTime<Utc>>,
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
