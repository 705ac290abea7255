//! The states of an email.

use super::damaged;
use mkt_connect::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The state of an email in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Waiting until it is due and a worker takes it.
    Pending,
    /// Held by a worker; not sent yet.
    Claimed,
    /// The call is in progress, or was when the process died.
    Sending,
    /// Accepted by the provider.
    Accepted,
    /// Rejected permanently.
    Rejected,
    /// Deferred; will be retried.
    Deferred,
    /// The answer was lost: it may or may not have been accepted.
    Unknown,
    /// Not sent: the recipient unsubscribed, is suppressed, or has not consented.
    Suppressed,
    /// Not sent: the campaign was cancelled.
    Cancelled,
    /// Not sent: its time had passed.
    Expired,
}

impl State {
    /// The state as stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: [State; 10] = [
            State::Pending,
            State::Claimed,
            State::Sending,
            State::Accepted,
            State::Rejected,
            State::Deferred,
            State::Unknown,
            State::Suppressed,
            State::Cancelled,
            State::Expired,
        ];
        ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| damaged("read a state"))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
