//! No credential, address or name leaves through an error, a `Debug` or a trace, under any fault.

use super::{email, group};
use crate::help::{address, noon};
use mkt_connect::Secret;
use mkt_connect::testing::{Answer, Server};
use mkt_email::testing::Fault;
use mkt_email::testing::{FakeBrevo, FakeMailgun};
use mkt_email::{Brevo, EmailProvider, Mailbox, Mailgun, ManualClock, Message};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In base64 `canary` begins with `Y2FuYXJ5` at the start of a group of three bytes; `api:canary` with what follows.
const CANARIES: [&str; 3] = ["canary", "Y2FuYXJ5", "YXBpOmNhbmFye"];

fn assert_clean(what: &str, text: &str) {
    for canary in CANARIES {
        if let Some(at) = text.find(canary) {
            let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
            panic!("{what} shows a secret: …{}", &text[from..at + canary.len()]);
        }
    }
}

fn secretive(number: usize) -> Message {
    let to = Mailbox::named(address(&format!("canary{number}@example.org")), "canary name").unwrap();
    Message::builder(
        "Shop <canary.of.the.shop@shop.example>".parse().unwrap(),
        to,
        "canary subject".parse().unwrap(),
    )
    .html("<p>canary</p>")
    .metadata("person", "canary-person")
    .header("X-Person".parse().unwrap(), "canary-header".parse().unwrap())
    .build()
    .unwrap()
}

fn answers() -> Vec<Answer> {
    let echo = r#"{"code":"invalid_parameter","message":"email canary0@example.org of canary name is not valid in to, key canary-key, canary-person, canary-header, canary subject, <canary1@example.org>"}"#;
    vec![
        Answer::status(200),
        Answer::json(r#"{"canary":"canary"}"#).with_status(201),
        Answer::json(echo).with_status(400),
        Answer::json(echo).with_status(401),
        Answer::json(echo).with_status(404),
        Answer::json(echo).with_status(429).header("retry-after", "canary"),
        Answer::json(r#"{"message":"canary@example.org try again after canary"}"#).with_status(420),
        Answer::html("<p>canary</p>").with_status(500),
        Answer::html("<p>canary</p>").with_status(400),
        Answer::status(302).header("location", "https://canary.example/?canary"),
        Answer::reset(),
        Answer::never(),
        Answer::text("canary canary").cut_after(70),
        Answer::endless(),
    ]
}

async fn disturb(provider: &dyn EmailProvider, shown: &mut String) {
    shown.push_str(&format!("{provider:?} {provider:#?}"));
    for group in [group(vec![secretive(0)]), group(vec![secretive(0), secretive(1)])] {
        shown.push_str(&format!("{group:?} {group:#?}"));
        let sent = provider.send(&group).await;
        let settled = provider.settle(&group).await;
        let checked = provider.check().await;
        let failures = [sent.as_ref().err(), settled.as_ref().err(), checked.as_ref().err()];
        for error in failures.into_iter().flatten() {
            shown.push_str(&format!("{error}"));
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                shown.push_str(&format!("{error} {error:?}"));
                cause = error.source();
            }
        }
        shown.push_str(&format!("{sent:?} {settled:?} {checked:?}"));
    }
}

/// On a thread of its own, so that the subscriber sees these calls and no others.
#[test]
fn nothing_secret_is_shown_under_any_fault() {
    let captured = Captured::default();
    let writer = captured.clone();
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = runtime.block_on(async {
        let mut shown = String::new();
        let clock = ManualClock::new(noon());
        for answer in answers() {
            let server = Server::start(move |_| answer.clone()).await.unwrap();
            let key = Secret::new("canary-key");
            let limit = Duration::from_millis(300);
            let brevo = Brevo::builder(key.clone()).base_url(&server.url()).timeout(limit);
            let brevo = brevo.clock(Arc::new(clock.clone()));
            shown.push_str(&format!("{brevo:?}"));
            disturb(&brevo.build().unwrap(), &mut shown).await;
            let mailgun = Mailgun::builder(key, "mg.shop.example").base_url(&server.url()).timeout(limit);
            let later = ManualClock::new(noon() + chrono::TimeDelta::minutes(31));
            let mailgun = mailgun.clock(Arc::new(later));
            shown.push_str(&format!("{mailgun:?}"));
            disturb(&mailgun.build().unwrap(), &mut shown).await;
            assert!(server.requests().iter().any(|request| request.header("api-key") == Some("canary-key")));
        }
        // The fakes and what they keep are as discreet.
        let fake = FakeBrevo::start(Arc::new(clock.clone())).await.unwrap();
        fake.refuse(&address("canary0@example.org"));
        disturb(&fake.provider().build().unwrap(), &mut shown).await;
        fake.inject(Fault::LostAnswer);
        disturb(&fake.provider().build().unwrap(), &mut shown).await;
        shown.push_str(
            &format!("{fake:?} {:?} {:?}", fake.delivered(), fake.requests()).replace("FakeBrevo", ""),
        );
        let fake = FakeMailgun::start(Arc::new(clock)).await.unwrap();
        fake.refuse(&address("canary0@example.org"));
        disturb(&fake.provider().build().unwrap(), &mut shown).await;
        shown.push_str(&format!("{fake:?}"));
        for wrong in ["http://canary.example", "https://canary:canary@api.brevo.com", "canary"] {
            let error = Brevo::builder(Secret::new("canary-key")).base_url(wrong).build().unwrap_err();
            shown.push_str(&format!("{error} {error:?}"));
        }
        shown.push_str(&format!("{:?}", Brevo::builder(Secret::new("canary\nkey")).build()));
        shown.push_str(&format!("{:?}", email(1, |builder| builder.html("canary"))));
        shown
    });
    assert_clean("a Debug, a Display or an outcome", &shown);
    let traced = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(traced.contains("TRACE") || traced.contains("DEBUG"), "traces were captured");
    assert!(traced.contains("mkt_connect::http"), "our own traces were captured");
    assert_clean("a trace", &traced);
}
