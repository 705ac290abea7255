//! What a provider can do, as data: read by planners and by people, before any call.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Something that a message may ask for and a provider may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// A message without an HTML body.
    TextOnly,
    /// Files.
    Attachments,
    /// A reply address.
    ReplyTo,
    /// Custom headers of printable ASCII.
    CustomHeaders,
    /// Custom headers beyond ASCII.
    UnicodeHeaders,
    /// The one-click unsubscribe headers.
    ListUnsubscribe,
    /// Labels for statistics.
    Tags,
    /// Keys and values of the sender's own.
    Metadata,
    /// Sending at a later time.
    Schedule,
    /// A template that the vendor keeps, filled in by the vendor.
    VendorTemplate,
}

impl Feature {
    /// All features.
    pub const ALL: [Self; 10] = [
        Self::TextOnly,
        Self::Attachments,
        Self::ReplyTo,
        Self::CustomHeaders,
        Self::UnicodeHeaders,
        Self::ListUnsubscribe,
        Self::Tags,
        Self::Metadata,
        Self::Schedule,
        Self::VendorTemplate,
    ];
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextOnly => "mail without HTML",
            Self::Attachments => "attachments",
            Self::ReplyTo => "a reply address",
            Self::CustomHeaders => "custom headers",
            Self::UnicodeHeaders => "custom headers beyond ASCII",
            Self::ListUnsubscribe => "one-click unsubscribe headers",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
            Self::Schedule => "scheduled sending",
            Self::VendorTemplate => "templates kept by the vendor",
        })
    }
}

/// What a provider does with a call that it has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idempotency {
    /// It delivers again. A lost answer stays unknown.
    None,
    /// It recognises the key, within the given time after the first call or for ever (`None`), and does nothing again.
    Key {
        /// How long the key is remembered.
        within: Option<Duration>,
    },
    /// It does not recognise keys, but can be asked whether a mail was accepted, once the given time has passed.
    LookUp {
        /// How long after the call an answer can be relied on.
        after: Duration,
    },
}

/// What a provider can do. New providers start from [`minimal`](Self::minimal) and set the fields that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What it supports.
    pub features: BTreeSet<Feature>,
    /// The most mails in one call, at least 1.
    pub max_recipients: usize,
    /// The most bytes of one message (bodies and attachments), where there is a limit.
    pub max_message_bytes: Option<usize>,
    /// The most tags on one message, where there is a limit.
    pub max_tags: Option<usize>,
    /// How far ahead a mail can be scheduled, where there is a limit.
    pub schedule_horizon: Option<Duration>,
    /// What it does with a repeated call.
    pub idempotency: Idempotency,
    /// Whether [`settle`](crate::EmailProvider::settle) asks by sending again under the same key: a mail that had not
    /// arrived is sent then. An outbox does not ask so about a mail that must not be sent any more.
    pub settles_by_sending: bool,
    /// Whether the mails of one call get ids of their own; otherwise they share one.
    pub id_per_recipient: bool,
    /// Whether it only pretends: the vendor checks the mails and delivers none.
    pub sandbox: bool,
}

impl Capabilities {
    /// One plain HTML mail per call and nothing else.
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

    /// Whether a feature is there.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}
