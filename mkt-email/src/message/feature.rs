//! Features of messages.

use std::fmt;

/// A feature of a message that a provider may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// A message without an HTML body.
    TextOnly,
    /// Attached files.
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
    /// The sender's own keys and values.
    Metadata,
    /// Sending at a later time.
    Schedule,
    /// A template stored and rendered by the vendor.
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
