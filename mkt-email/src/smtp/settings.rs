//! The settings of a built provider: host, credentials, time limits.

use super::SERVICE;
use super::auth::Credentials;
use crate::EmailAddress;
use mkt_connect::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
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
    pub(super) labels_in_headers: bool,
    pub(super) timeouts: Timeouts,
}

/// Whether the host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// TLS on ring, with the platform's trusted roots, or only the given ones.
pub(super) fn tls(trusted: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let fail = |detail: &'static str| Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| fail("TLS cannot be used").with_source(cause))?;
    let Some(pem) = trusted else {
        let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(|cause| {
            fail("the system's trusted certificates could not be read").with_source(cause)
        })?;
        // `dangerous` is rustls' name for any verifier of one's own; this one is the platform's.
        return Ok(Arc::new(
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        ));
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.ok().map(|certificate| roots.add(certificate));
        if !matches!(added, Some(Ok(()))) {
            return Err(fail("a trusted certificate cannot be read"));
        }
    }
    if roots.is_empty() {
        return Err(fail("there is no certificate in what is to be trusted"));
    }
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
