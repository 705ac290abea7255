//! What happened to an email.

/// Who opened an email, as far as the vendor can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpenedBy {
    /// A person, by the vendor's classification.
    Human,
    /// A proxy that loads images in advance, such as Apple Mail Privacy Protection, or a scanner.
    Proxy,
    /// The vendor does not tell.
    Unknown,
}

/// What happened to an email.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// The provider took it and has not sent it yet.
    Queued,
    /// The provider sent it.
    Sent,
    /// The recipient's server took it.
    Delivered,
    /// The recipient's server asked to come back later; the provider tries again.
    Deferred,
    /// It was not delivered, and a later email may be: mailbox full, server down, too late.
    SoftBounce,
    /// It was not delivered and no email will be: the address does not exist.
    HardBounce,
    /// It was refused because of its sender, its content or a policy, or the provider did not send it because the
    /// address is on its own suppression list. It says nothing about the address.
    Blocked,
    /// The provider did not take it, or failed to send it.
    Failed,
    /// The recipient reported spam.
    Complained,
    /// It was opened.
    Opened(OpenedBy),
    /// A link was followed. Scanners follow links too.
    Clicked,
    /// The recipient unsubscribed.
    Unsubscribed,
    /// The recipient subscribed, or was added to a list of the provider.
    Subscribed,
    /// The recipient's server or program answered by itself.
    AutoReplied,
    /// A type of the vendor's that is not in this list: [`EmailEvent::vendor_kind`](super::EmailEvent::vendor_kind)
    /// names it.
    Unknown,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Queued,
        Self::Sent,
        Self::Delivered,
        Self::Deferred,
        Self::SoftBounce,
        Self::HardBounce,
        Self::Blocked,
        Self::Failed,
        Self::Complained,
        Self::Opened(OpenedBy::Human),
        Self::Opened(OpenedBy::Proxy),
        Self::Opened(OpenedBy::Unknown),
        Self::Clicked,
        Self::Unsubscribed,
        Self::Subscribed,
        Self::AutoReplied,
        Self::Unknown,
    ];

    /// The kind as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::SoftBounce => "soft_bounce",
            Self::HardBounce => "hard_bounce",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Complained => "complained",
            Self::Opened(OpenedBy::Human) => "opened_human",
            Self::Opened(OpenedBy::Proxy) => "opened_proxy",
            Self::Opened(OpenedBy::Unknown) => "opened_unknown",
            Self::Clicked => "clicked",
            Self::Unsubscribed => "unsubscribed",
            Self::Subscribed => "subscribed",
            Self::AutoReplied => "auto_replied",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the email was not delivered, for good.
    #[must_use]
    pub fn is_bounce(self) -> bool {
        matches!(self, Self::SoftBounce | Self::HardBounce | Self::Blocked)
    }
}

impl std::str::FromStr for EventKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("opened".parse::<EventKind>(), Err(()));
    }
}
