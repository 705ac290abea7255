//! TLS with certificates made here: who is trusted, and that nobody else reads a byte of a credential or an email.

use super::*;
use base64::Engine as _;
use mkt_connect::ErrorKind;
use mkt_email::testing::smtp::SmtpServerBuilder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority of our own, as PEM, and a certificate that it signed.
pub(super) struct Signed {
    pub(super) authority: String,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: Vec<u8>,
}

pub(super) fn pem(what: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

pub(super) fn signed(name: &str, expired: bool) -> Signed {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let authority = pem("CERTIFICATE", authority.der());
    Signed { authority, chain: vec![certificate.der().to_vec()], key: key.serialize_der() }
}

fn secured(signed: &Signed, implicit: bool) -> SmtpServerBuilder {
    let server = SmtpServer::builder().user("canary", "canary-password");
    let (chain, key) = (signed.chain.clone(), signed.key.clone());
    if implicit { server.implicit_tls(chain, key).unwrap() } else { server.start_tls(chain, key).unwrap() }
}

/// A provider that trusts this authority only.
fn trusting(server: &SmtpServer, signed: &Signed, implicit: bool) -> Smtp {
    let builder = Smtp::builder("127.0.0.1")
        .port(server.port())
        .timeouts(Timeouts::all(PATIENCE * 4))
        .trust_only(signed.authority.clone())
        .login("canary", Secret::new("canary-password"));
    if implicit { builder.implicit_tls() } else { builder }.build().unwrap()
}

#[tokio::test]
async fn mails_go_through_tls_from_the_first_byte_or_after_starttls() {
    let signed = signed("127.0.0.1", false);
    for implicit in [true, false] {
        let server = secured(&signed, implicit).start().unwrap();
        let smtp = trusting(&server, &signed, implicit);
        smtp.check().await.unwrap();
        let outcomes = smtp.send(&group(0..1)).await.unwrap();
        assert!(is_accepted(&outcomes[0]), "{outcomes:?}");
        assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
        let emails = server.emails();
        assert!(emails.len() == 2 && emails.iter().all(|email| email.encrypted));
        assert_eq!(emails[1].bytes, message(1).to_mime(IdempotencyKey::from_text("smtp 1"), noon()).unwrap());
        assert_eq!(server.connections(), 2, "one to check, one for both mails");
        let open: Vec<_> = server.lines().into_iter().filter(|line| !line.starts_with('*')).collect();
        // Before TLS only a greeting and the wish for TLS; and the greeting is repeated under TLS.
        let expected: &[&str] = if implicit { &[] } else { &["EHLO [127.0.0.1]", "STARTTLS"].repeat(2) };
        assert_eq!(open, expected);
        assert_eq!(server.lines().iter().filter(|line| line.starts_with("*EHLO")).count(), 2);
        smtp.close().await;
        assert_eq!(server.lines().last().map(String::as_str), Some("*QUIT"));
    }
}

#[tokio::test]
async fn large_mails_pass_through_tls_whole() {
    let signed = signed("127.0.0.1", false);
    let server = secured(&signed, true).start().unwrap();
    let text: String = (0..60_000).map(|line| format!(".line {line}\n")).collect();
    let message =
        Message::builder("news@example.com".parse().unwrap(), reader(1).into(), "Hello".parse().unwrap())
            .text(text)
            .build()
            .unwrap();
    let group = Group::new(noon(), vec![outgoing(1, message)]);
    let outcomes = trusting(&server, &signed, true).send(&group).await.unwrap();
    assert!(is_accepted(&outcomes[0]), "{outcomes:?}");
    let email = &group.emails()[0];
    assert_eq!(server.emails()[0].bytes, email.message.to_mime(email.key, noon()).unwrap());
}

/// Nothing but the wish for TLS is seen by a server that is not the right one.
async fn is_refused(server: SmtpServer, smtp: &Smtp, kind: ErrorKind) {
    for error in [send_one(smtp, 1).await.unwrap_err(), smtp.check().await.unwrap_err()] {
        assert_eq!(
            (error.kind(), error.leaves_doubt(), error.is_retryable()),
            (kind, false, false),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    let seen = server.lines().join("\n");
    assert!(!seen.contains("AUTH") && !seen.contains("MAIL") && !seen.contains("Y2FuYXJ5"), "{seen}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_certificate_of_another_authority_host_or_century_is_refused() {
    let trusted = signed("127.0.0.1", false);
    let of_another_authority = signed("127.0.0.1", false);
    for implicit in [true, false] {
        let server = secured(&of_another_authority, implicit).start().unwrap();
        let smtp = trusting(&server, &trusted, implicit);
        is_refused(server, &smtp, ErrorKind::Protocol).await;
        for wrong in [signed("mail.example.org", false), signed("127.0.0.1", true)] {
            let server = secured(&wrong, implicit).start().unwrap();
            let smtp = trusting(&server, &wrong, implicit);
            is_refused(server, &smtp, ErrorKind::Protocol).await;
        }
    }
}

#[tokio::test]
async fn the_platforms_roots_do_not_know_our_authority() {
    let signed = signed("127.0.0.1", false);
    let server = secured(&signed, true).start().unwrap();
    let builder = Smtp::builder("127.0.0.1").port(server.port()).implicit_tls();
    // A machine without any certificate refuses earlier.
    if let Ok(smtp) = builder.login("canary", Secret::new("canary-password")).build() {
        is_refused(server, &smtp, ErrorKind::Protocol).await;
    }
}

#[tokio::test]
async fn starttls_that_was_cut_out_ends_the_dialogue() {
    let signed = signed("127.0.0.1", false);
    let server = secured(&signed, false)
        .behave(|seen| {
            (seen.step == Step::Hello).then(|| Act::reply("250-fake\r\n250 AUTH PLAIN LOGIN XOAUTH2"))
        })
        .start()
        .unwrap();
    let smtp = trusting(&server, &signed, false);
    is_refused(server, &smtp, ErrorKind::Unsupported).await;
}

#[tokio::test]
async fn a_server_that_refuses_starttls_gets_nothing() {
    let signed = signed("127.0.0.1", false);
    for (line, kind, retryable) in
        [("454 4.7.0 TLS not available", ErrorKind::Unavailable, true), ("501 no", ErrorKind::Other, false)]
    {
        let server = secured(&signed, false)
            .behave(move |seen| (seen.step == Step::StartTls).then(|| Act::reply(line)))
            .start()
            .unwrap();
        let error = send_one(&trusting(&server, &signed, false), 1).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable(), error.leaves_doubt()),
            (kind, retryable, false),
            "{error:?}"
        );
        assert_eq!(server.lines(), ["EHLO [127.0.0.1]", "STARTTLS"]);
    }
}

/// CVE-2011-0411 and its kin: answers put before the handshake by somebody on the way, to be read after it.
#[tokio::test]
async fn answers_injected_before_the_handshake_are_not_believed() {
    let signed = signed("127.0.0.1", false);
    let server = secured(&signed, false)
        .behave(|seen| {
            let injected = b"220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n".to_vec();
            (seen.step == Step::StartTls).then_some(Act::Raw(injected))
        })
        .start()
        .unwrap();
    let smtp = trusting(&server, &signed, false);
    is_refused(server, &smtp, ErrorKind::Protocol).await;
}

/// AUTH and PIPELINING that were offered in the clear count for nothing.
#[tokio::test]
async fn what_was_offered_before_tls_is_forgotten() {
    let signed = signed("127.0.0.1", false);
    let hellos = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = secured(&signed, false)
        .behave(move |seen| {
            let first = hellos
                .fetch_add(usize::from(seen.step == Step::Hello), std::sync::atomic::Ordering::SeqCst)
                == 0;
            (seen.step == Step::Hello).then(|| match first {
                true => Act::reply("250-fake\r\n250-STARTTLS\r\n250-SIZE 1\r\n250 AUTH LOGIN"),
                false => Act::reply("250-fake\r\n250 AUTH PLAIN"),
            })
        })
        .start()
        .unwrap();
    assert!(is_accepted(&send_one(&trusting(&server, &signed, false), 1).await.unwrap()));
    let lines = server.lines();
    assert!(lines.iter().any(|line| line.starts_with("*AUTH PLAIN ")), "{lines:?}");
}

#[tokio::test]
async fn the_stage_of_a_lost_connection_is_the_same_under_tls() {
    let signed = signed("127.0.0.1", false);
    for (step, act, unknown) in [
        (Step::Sender, Act::Close, false),
        (Step::Data, Act::Close, false),
        (Step::End, Act::TakeThenClose, true),
        (Step::End, Act::Silence, true),
    ] {
        let server = secured(&signed, true)
            .behave(move |seen| (seen.step == step).then(|| act.clone()))
            .start()
            .unwrap();
        let outcome = send_one(&trusting(&server, &signed, true), 1).await.unwrap();
        let fits = match outcome {
            Outcome::Unknown { stage } => unknown && stage == Stage::AwaitingAnswer,
            Outcome::Deferred { .. } => !unknown,
            _ => false,
        };
        assert!(fits, "{step:?}: {outcome:?}");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_refused_before_anything_is_sent() {
    for pem in ["", "canary", "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n"] {
        let error = Smtp::builder("127.0.0.1").trust_only(pem).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{pem}");
    }
}
