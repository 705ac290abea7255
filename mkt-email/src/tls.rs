//! TLS for clients: rustls on ring, passed explicitly.

use mkt_connect::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::sync::Arc;

/// Whether the host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// TLS on ring, with the platform's trusted roots, or only the given ones.
pub(crate) fn client(service: &'static str, trusted: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let fail = |detail: &'static str| Error::new(ErrorKind::Config, service, "build").with_detail(detail);
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
