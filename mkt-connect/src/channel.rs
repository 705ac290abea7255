//! Marketing channels: one closed vocabulary, so that reports of different sources are comparable.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A marketing channel. Stored and printed as its lower-case name.
///
/// The first four are the course's; a source's own grouping is kept beside it (`channel_detail`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Unpaid results of search engines.
    Organic,
    /// Paid search and paid social.
    Paid,
    /// Links in emails.
    Email,
    /// Unpaid posts on social networks.
    Social,
    /// Typed or bookmarked addresses.
    Direct,
    /// Links on other sites.
    Referral,
    /// Affiliates who earn by the sale.
    Affiliate,
    /// Banners.
    Display,
    /// Push notifications.
    Push,
    /// Text messages.
    Sms,
    /// Video platforms.
    Video,
    /// Assistants that answer with links.
    Ai,
    /// None of the others, or unknown.
    Other,
}

impl Channel {
    /// All channels, in the order in which they are listed.
    pub const ALL: [Self; 13] = [
        Self::Organic,
        Self::Paid,
        Self::Email,
        Self::Social,
        Self::Direct,
        Self::Referral,
        Self::Affiliate,
        Self::Display,
        Self::Push,
        Self::Sms,
        Self::Video,
        Self::Ai,
        Self::Other,
    ];

    /// The lower-case name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organic => "organic",
            Self::Paid => "paid",
            Self::Email => "email",
            Self::Social => "social",
            Self::Direct => "direct",
            Self::Referral => "referral",
            Self::Affiliate => "affiliate",
            Self::Display => "display",
            Self::Push => "push",
            Self::Sms => "sms",
            Self::Video => "video",
            Self::Ai => "ai",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An unknown channel name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a channel (one of organic, paid, email, social, direct, referral, affiliate, display, push, sms, video, ai, other)"
)]
pub struct UnknownChannel(pub String);

impl FromStr for Channel {
    type Err = UnknownChannel;

    /// Parses the stored name, ignoring case and surrounding white space.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownChannel(wanted.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_reads_back_what_it_prints() {
        for channel in Channel::ALL {
            assert_eq!(channel.to_string().parse::<Channel>(), Ok(channel));
            assert_eq!(serde_json::to_string(&channel).unwrap(), format!("\"{channel}\""));
        }
    }

    #[test]
    fn a_channel_is_read_whatever_its_case() {
        assert_eq!(" Email ".parse::<Channel>(), Ok(Channel::Email));
    }

    #[test]
    fn an_unknown_channel_is_named_in_the_error() {
        let error = "telepathy".parse::<Channel>().unwrap_err();
        assert!(error.to_string().starts_with("\"telepathy\" is not a channel"));
    }
}
