//! Outcomes of emails. They are data, not errors: a rejected recipient is an answer.

use chrono::{DateTime, Utc};
use std::fmt;

/// The outcome of one email in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The provider has durably taken responsibility.
    Accepted {
        /// The provider's id of the email.
        id: String,
    },
    /// The provider rejects it permanently. Repeating the same email is pointless.
    Rejected {
        /// The kind of reason.
        reason: RejectReason,
        /// The provider's text, without personal data.
        detail: String,
    },
    /// The call as a whole was refused because of its content, and provably no email of it was accepted. Every email of a
    /// group of two or more gets this outcome; the caller sends the group again in halves, so that one bad email does not
    /// affect the others. A group of one is never refused like this: its email is `Rejected`.
    GroupRefused {
        /// The kind of reason.
        reason: RejectReason,
        /// The provider's text, without personal data.
        detail: String,
    },
    /// The provider has not accepted it and invites a retry. The only outcome that is retried without asking.
    Deferred {
        /// When to retry.
        retry_at: DateTime<Utc>,
        /// What has to wait.
        scope: Scope,
        /// The provider's text, without personal data.
        detail: String,
    },
    /// The call ended, because of the account, before this email, and nothing is known against it: the account is paused,
    /// and the email waits as if the call had not been made. It does not count as an attempt.
    NotOffered {
        /// When to retry.
        retry_at: DateTime<Utc>,
        /// Why the call ended: the provider's text, without personal data.
        detail: String,
    },
    /// It is not known whether it was accepted.
    Unknown {
        /// How far the call had come.
        stage: Stage,
    },
}

/// The kind of reason for which an email was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The address is invalid or does not exist.
    InvalidAddress,
    /// The provider blocks this recipient (an earlier bounce, complaint or unsubscription).
    Blocked,
    /// The email is too large.
    TooLarge,
    /// The provider lacks a feature of the message.
    Unsupported,
    /// The content or the sender is not accepted.
    Policy,
    /// It was deferred too often.
    GaveUp,
    /// None of the above.
    Other,
}

impl RejectReason {
    /// The reason as stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid_address",
            Self::Blocked => "blocked",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Policy => "policy",
            Self::GaveUp => "gave_up",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The scope of a deferral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// This recipient only (a full mailbox, greylisting).
    Recipient,
    /// Everything sent through the account (a rate limit, an outage): all workers pause.
    Account,
}

/// How far a call had come when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Connecting.
    Connect,
    /// Sending the recipients.
    Envelope,
    /// Sending the content.
    Content,
    /// Everything was sent, no answer came.
    AwaitingAnswer,
    /// The sending process ended.
    ProcessDied,
}

impl Stage {
    /// The stage as stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Envelope => "envelope",
            Self::Content => "content",
            Self::AwaitingAnswer => "awaiting_answer",
            Self::ProcessDied => "process_died",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was found out about an email whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Its outcome.
    Known(Outcome),
    /// It did not arrive and will not: it may be sent again.
    NotArrived,
    /// Still not known.
    StillUnknown,
}
