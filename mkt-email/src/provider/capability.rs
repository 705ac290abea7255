//! Capabilities of a provider, as data: read by planners and by people, before any call.

use crate::message::Feature;
use std::collections::BTreeSet;
use std::time::Duration;

/// How a provider handles a repeated call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idempotency {
    /// It delivers again. A lost answer stays unknown.
    None,
    /// It recognises the key, within the given time after the first call or for ever (`None`), and does nothing.
    Key {
        /// How long the key is remembered.
        within: Option<Duration>,
    },
    /// It does not recognise keys, but can be asked whether an email was accepted, once the given time has passed.
    LookUp {
        /// How long after the call an answer can be relied on.
        after: Duration,
    },
}

/// The features and limits of a provider. New providers start from [`minimal`](Self::minimal) and set the fields that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Supported features.
    pub features: BTreeSet<Feature>,
    /// Maximum emails per call, at least 1.
    pub max_recipients: usize,
    /// Maximum bytes of one message (bodies and attachments). `None`: no limit.
    pub max_message_bytes: Option<usize>,
    /// Maximum tags on one message. `None`: no limit.
    pub max_tags: Option<usize>,
    /// How far ahead an email can be scheduled. `None`: no limit.
    pub schedule_horizon: Option<Duration>,
    /// How it handles a repeated call.
    pub idempotency: Idempotency,
    /// Whether [`settle`](crate::EmailProvider::settle) asks by sending again under the same key: an email that had not
    /// arrived is sent then. An outbox does not ask so about an email that must not be sent any more.
    pub settles_by_sending: bool,
    /// Whether the emails of one call get ids of their own; otherwise they share one.
    pub id_per_recipient: bool,
    /// Whether it is a sandbox: the vendor checks the emails and delivers none.
    pub sandbox: bool,
}

impl Capabilities {
    /// One HTML email per call and no features.
    #[must_use]
    pub fn minimal() -> Self {
        Self {
            features: BTreeSet::new(),
            max_recipients: 1,
            max_message_bytes: None,
            max_tags: None,
            schedule_horizon: None,
            idempotency: Idempotency::None,
            settles_by_sending: false,
            id_per_recipient: true,
            sandbox: false,
        }
    }

    /// Whether a feature is supported.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}
