//! What became of an email. Data, not an error: a rejected recipient is an answer.

use chrono::{DateTime, Utc};
use std::fmt;

/// What became of one email in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has taken responsibility, durably.
    Accepted {
        /// The provider's id of the email.
        id: String,
    },
    /// The provider refuses for good. Repeating the same email is pointless.
    Rejected {
        /// Why, in few words.
        reason: RejectReason,
        /// Why, in the provider's words, without personal data.
        detail: String,
    },
    /// The call as a whole was refused because of what it holds, and provably nothing of it was accepted. Every email of
    /// a group of two or more gets this outcome; the caller sends the group again in halves, so that one bad email does
    /// not spoil the others. A group of one is never refused so: its email is `Rejected`.
    GroupRefused {
        /// Why, in few words.
        reason: RejectReason,
        /// Why, in the provider's words, without personal data.
        detail: String,
    },
    /// The provider has not accepted it and invites to come back. The only outcome that is retried without asking.
    Deferred {
        /// When to come back.
        retry_at: DateTime<Utc>,
        /// What has to wait.
        scope: Scope,
        /// Why, in the provider's words, without personal data.
        detail: String,
    },
    /// The call ended, for the account's sake, before it came to this email, and nothing was said about it: the account
    /// rests, and the email waits as if the call had not been made. It is no attempt.
    NotOffered {
        /// When to come back.
        retry_at: DateTime<Utc>,
        /// Why the call ended, in the provider's words, without personal data.
        detail: String,
    },
    /// Nobody knows whether it was accepted.
    Unknown {
        /// How far the call had come.
        stage: Stage,
    },
}

/// Why an email was refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The address does not exist or is not one.
    InvalidAddress,
    /// The provider blocks this recipient (an earlier bounce, complaint or unsubscription).
    Blocked,
    /// The email is too large.
    TooLarge,
    /// The provider lacks something that the message asks for.
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

/// What a deferral concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// This recipient only (a full mailbox, greylisting).
    Recipient,
    /// Everything sent through the account (a rate limit, an outage): all workers pause.
    Account,
}

/// How far a call had come when its trace was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// While the connection was made.
    Connect,
    /// While recipients were named.
    Envelope,
    /// While the content was written.
    Content,
    /// Everything was written, no answer came.
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
pub enum Settlement {
    /// This is what became of it.
    Known(Outcome),
    /// It did not arrive and will not: it may be sent again.
    NotArrived,
    /// Nobody knows, still.
    StillUnknown,
}
