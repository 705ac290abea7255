//! Email providers: what they can do, what a call carries, and what becomes of each recipient.
//!
//! A provider makes one call and returns one outcome per recipient. It never retries, never waits, and keeps no queue:
//! the outbox does, across crashes.

mod capability;
pub(crate) mod email_provider;
pub(crate) mod outcome;
mod plan;

pub use capability::{Capabilities, Idempotency};
pub(crate) use outcome::Outcome;
pub use outcome::{RejectReason, Scope, Settlement, Stage};
#[cfg(feature = "http")]
pub(crate) use plan::Rules;
pub use plan::{Degrade, Dropped, Plan, Refusal};

use crate::Message;
use crate::id::IdempotencyKey;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// One email of a [`Group`].
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The key of this attempt to send the email; kept until the attempt has a definite answer.
    pub key: IdempotencyKey,
    /// The message.
    pub message: Arc<Message>,
}

/// The emails of one call: one group of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Group {
    key: IdempotencyKey,
    at: DateTime<Utc>,
    emails: Vec<Outgoing>,
}

impl Group {
    /// The emails of one call that begins at `at`, on the caller's clock.
    #[must_use]
    pub fn new(at: DateTime<Utc>, emails: Vec<Outgoing>) -> Self {
        let keys: Vec<_> = emails.iter().map(|email| email.key).collect();
        Self { key: IdempotencyKey::of_group(&keys), at, emails }
    }

    /// The emails of an earlier call whose answers are lost, under that call's key.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only the outbox comes back to a call")
    )]
    pub(crate) fn of_earlier_call(key: IdempotencyKey, at: DateTime<Utc>, emails: Vec<Outgoing>) -> Self {
        Self { key, at, emails }
    }

    /// The key of the call: the same emails in the same order have the same one.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        self.key
    }

    /// When the attempt began. Retry times are computed from it; providers read no clock.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// The emails, in the order of the outcomes to return.
    #[must_use]
    pub fn emails(&self) -> &[Outgoing] {
        &self.emails
    }
}
