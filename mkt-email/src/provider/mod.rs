//! Whoever carries emails away: one trait for vendors, servers and directories.
//!
//! A provider makes one call and says what became of each recipient. It never retries, never waits, and keeps no
//! queue: that is the outbox's work, which can do it across crashes.

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
    /// The name of this attempt to send this email. Kept until the attempt has a definite answer.
    pub key: IdempotencyKey,
    /// What is said, to whom.
    pub message: Arc<Message>,
}

/// What one call carries: the emails of one group of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Group {
    key: IdempotencyKey,
    at: DateTime<Utc>,
    emails: Vec<Outgoing>,
}

impl Group {
    /// Emails that go out in one call, at an instant of the caller's clock.
    #[must_use]
    pub fn new(at: DateTime<Utc>, emails: Vec<Outgoing>) -> Self {
        let keys: Vec<_> = emails.iter().map(|email| email.key).collect();
        Self { key: IdempotencyKey::of_group(&keys), at, emails }
    }

    /// The emails of an earlier call whose answers are lost, under that call's name.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only the outbox comes back to a call")
    )]
    pub(crate) fn of_earlier_call(key: IdempotencyKey, at: DateTime<Utc>, emails: Vec<Outgoing>) -> Self {
        Self { key, at, emails }
    }

    /// The name of the call: the same emails in the same order have the same one.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        self.key
    }

    /// When the attempt began. Retry times are computed from it; a provider reads no clock.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// The emails, in the order in which outcomes are expected.
    #[must_use]
    pub fn emails(&self) -> &[Outgoing] {
        &self.emails
    }
}
