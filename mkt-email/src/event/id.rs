//! The key of an event.

use crate::id::digest;
use std::fmt;

/// The key of an event: 32 hexadecimal digits, a hash of the provider and of the provider's id of the event or, where
/// it has none, of what the event says. Events with one id are one event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(u128);

impl EventId {
    pub(super) fn native(provider: &str, id: &str) -> Self {
        Self(digest("mkt-email event", &[provider.as_bytes(), id.as_bytes()]))
    }

    pub(super) fn derived(provider: &str, parts: &[&[u8]]) -> Self {
        let mut all = vec![provider.as_bytes()];
        all.extend(parts);
        Self(digest("mkt-email derived event", &all))
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}
