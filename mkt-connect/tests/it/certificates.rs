//! Peers that speak TLS and are not who they should be: they see no credential, and are not asked again.

use mkt_connect::http::{Client, Policy, Request};
use mkt_connect::{Delivery, ErrorKind, Secret};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A TLS server with a certificate that nobody signed. It counts connections, and bytes that came through TLS.
struct Impostor {
    port: u16,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Impostor {
    /// `names` are what the certificate says; `expired` ends it in 2001.
    async fn start(names: &[&str], expired: bool) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&bytes));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(socket).await {
                        let mut buffer = [0_u8; 4096];
                        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                            seen.fetch_add(n, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        Self { port, connections, bytes }
    }
}

async fn is_refused(names: &[&str], expired: bool) {
    let server = Impostor::start(names, expired).await;
    let client = Client::builder("fake", &format!("https://127.0.0.1:{}", server.port))
        .allow_insecure_host("127.0.0.1")
        .bearer(&Secret::new("canary-token"))
        .build()
        .unwrap();
    let error = client.send_with(&Request::get("x"), &Policy::default(), Ok).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::NotSent), "{error:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "an untrusted peer was asked again");
    assert_eq!(server.bytes.load(Ordering::SeqCst), 0, "an untrusted peer read something");
}

#[tokio::test]
async fn self_signed_certificate_is_rejected_even_for_an_allowed_host() {
    is_refused(&["127.0.0.1"], false).await;
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    is_refused(&["evil.example"], false).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    is_refused(&["127.0.0.1"], true).await;
}
