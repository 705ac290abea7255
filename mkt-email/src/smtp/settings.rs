//! The settings of a built provider: host, credentials, time limits.

use super::SERVICE;
use super::auth::Credentials;
use crate::EmailAddress;
use crate::bounce::ReturnPathKeys;
pub(super) use crate::tls::is_loopback;
use mkt_connect::Result;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;

/// Time limits. The defaults are those of RFC 5321 §4.5.3.2, and 30 s to connect.
///
/// The limit of a reply is for the whole reply: single bytes do not extend it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// TCP connection, including the look-up of the host (30 s).
    pub connect: Duration,
    /// The greeting, and the TLS handshake (5 minutes).
    pub greeting: Duration,
    /// The reply to any other command (5 minutes).
    pub command: Duration,
    /// The reply to `DATA` (2 minutes).
    pub data_start: Duration,
    /// Writing 64 KiB of content (3 minutes).
    pub data_block: Duration,
    /// The reply to the end of the content (10 minutes). With a shorter limit more outcomes are unknown.
    pub data_end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            data_start: Duration::from_mins(2),
            data_block: Duration::from_mins(3),
            data_end: Duration::from_mins(10),
        }
    }
}

impl Timeouts {
    /// One limit for everything.
    #[must_use]
    pub fn all(time: Duration) -> Self {
        Self {
            connect: time,
            greeting: time,
            command: time,
            data_start: time,
            data_block: time,
            data_end: time,
        }
    }
}

/// The encryption of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS by STARTTLS, or nothing (RFC 3207).
    StartTls,
    /// None.
    Unencrypted,
}

/// A provider's settings.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// `None` if unencrypted.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello_name: Option<String>,
    pub(super) bounces_to: Option<EmailAddress>,
    pub(super) return_paths: Option<ReturnPathKeys>,
    pub(super) labels_in_headers: bool,
    pub(super) timeouts: Timeouts,
}

/// TLS on ring, with the platform's trusted roots, or only the given ones.
pub(super) fn tls(trusted: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    crate::tls::client(SERVICE, trusted)
}
