//! What an outcome means for a row: its next state, and whether the attempt counts.

use crate::Outcome;
use crate::id::{EmailId, IdempotencyKey};
use crate::outbox::queue::QueuedEmail;
use crate::outbox::{millis, storable};
use crate::provider::{RejectReason, Stage};
use chrono::{DateTime, Utc};

/// Characters kept of a provider's text: it ends up in the log.
const MAX_REASON: usize = 500;

/// The outcome of a call whose process is gone or whose answer never came.
pub(in crate::outbox) const LOST: Outcome = Outcome::Unknown { stage: Stage::AwaitingAnswer };

/// What is recorded about one row after a call.
#[derive(Debug)]
pub(in crate::outbox) struct Verdict {
    pub(in crate::outbox) id: EmailId,
    pub(in crate::outbox) key: Option<IdempotencyKey>,
    pub(in crate::outbox) attempt: u32,
    pub(in crate::outbox) state: &'static str,
    pub(in crate::outbox) message_id: Option<String>,
    pub(in crate::outbox) reason: Option<String>,
    pub(in crate::outbox) stage: Option<&'static str>,
    pub(in crate::outbox) not_before: Option<i64>,
    /// A definite answer ends the attempt: the next one gets a key of its own.
    pub(in crate::outbox) ends_attempt: bool,
    /// The attempt is not counted. The key stays with the row, so the next attempt, which gets the same number, has it
    /// too; a number whose key was given up is never used again.
    pub(in crate::outbox) uncounted: bool,
    /// The attempt was refused because of another email of the call: it is not counted, and its key is given up.
    pub(in crate::outbox) split: bool,
}

impl Verdict {
    fn new(email: &QueuedEmail, state: &'static str) -> Self {
        Self {
            id: email.id,
            key: email.key,
            attempt: email.attempt,
            state,
            message_id: None,
            reason: None,
            stage: None,
            not_before: None,
            ends_attempt: false,
            uncounted: false,
            split: false,
        }
    }

    /// The verdict of an outcome. Too many deferrals become a rejection; so does the refusal of a group that cannot be
    /// split further.
    pub(in crate::outbox) fn of(email: &QueuedEmail, outcome: Outcome, max_attempts: u32) -> Self {
        let mut verdict = Self::new(email, "unknown");
        let short = |text: &str| Some(storable(text).chars().take(MAX_REASON).collect());
        match outcome {
            Outcome::Accepted { id } => {
                verdict.state = "accepted";
                verdict.message_id = short(&id);
            }
            Outcome::Rejected { reason, detail } | Outcome::GroupRefused { reason, detail } => {
                verdict.state = "rejected";
                verdict.reason = short(&format!("{reason}: {detail}"));
            }
            Outcome::Deferred { detail, .. } if email.counted_attempts() >= max_attempts => {
                let (gave_up, calls) = (RejectReason::GaveUp, email.counted_attempts());
                verdict.state = "rejected";
                verdict.reason = short(&format!("{gave_up} after {calls} attempts: {detail}"));
            }
            Outcome::Deferred { retry_at, detail, .. } => {
                verdict.state = "deferred";
                verdict.reason = short(&detail);
                verdict.not_before = Some(millis(retry_at));
                verdict.ends_attempt = true;
            }
            Outcome::NotOffered { .. } => verdict = Self::not_called(email),
            Outcome::Unknown { stage } => verdict.stage = Some(stage.as_str()),
        }
        verdict
    }

    /// Nothing was sent: the row waits again, with the same key.
    pub(in crate::outbox) fn back_to_pending(email: &QueuedEmail) -> Self {
        Self::new(email, "pending")
    }

    /// As [`back_to_pending`](Self::back_to_pending), for an email whose call failed as a whole without accepting
    /// anything, or ended before this email: the attempt is not counted.
    pub(in crate::outbox) fn not_called(email: &QueuedEmail) -> Self {
        Self { uncounted: true, ..Self::back_to_pending(email) }
    }

    /// The call was refused because of its content: the worker keeps the row, for a smaller call.
    pub(in crate::outbox) fn split(email: &QueuedEmail) -> Self {
        Self { split: true, ends_attempt: true, ..Self::new(email, "claimed") }
    }

    /// As [`split`](Self::split), for a row that no worker holds.
    pub(in crate::outbox) fn split_later(email: &QueuedEmail) -> Self {
        Self { split: true, ends_attempt: true, ..Self::new(email, "pending") }
    }

    pub(in crate::outbox) fn state(&self) -> &'static str {
        self.state
    }
}

/// Moves a retry that is due at once to `least`, so that a provider is not called in a tight loop.
pub(in crate::outbox) fn not_before(outcome: Outcome, least: DateTime<Utc>) -> Outcome {
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
