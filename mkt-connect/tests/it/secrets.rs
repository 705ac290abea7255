//! No secret leaves through an error, a `Debug` or a trace, at any level and under any fault.

use mkt_connect::Secret;
use mkt_connect::clock::ManualClock;
use mkt_connect::http::{Client, Policy, Replay, Request};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{ErrorKind, Result};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// What stands for everything that must not be seen; in base64, `canary` starts with `Y2FuYXJ5`.
const CANARIES: [&str; 2] = ["canary", "Y2FuYXJ5"];

fn assert_clean(what: &str, text: &str) {
    for canary in CANARIES {
        if let Some(at) = text.find(canary) {
            let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
            panic!("{what} shows a secret: …{}", &text[from..at + canary.len()]);
        }
    }
}

fn faults() -> Vec<Answer> {
    vec![
        Answer::status(200),
        Answer::json(r#"{"canary":"canary"}"#),
        Answer::html("<p>canary</p>").with_status(401),
        Answer::status(302).header("location", "https://canary.example/?canary"),
        Answer::text("canary").with_status(500),
        Answer::text("canary").with_status(429).header("retry-after", "canary"),
        Answer::reset(),
        Answer::reset_before_body(),
        Answer::never(),
        Answer::text("canary canary").cut_after(70),
        Answer::text("canary").claiming_length(500),
        Answer::status(200).header("content-encoding", "gzip").body("canary"),
        Answer::endless(),
    ]
}

fn request(replay: Replay) -> Request {
    Request::post("canary-path/canary%40mail.example")
        .operation("send")
        .replay(replay)
        .query("email", "canary@mail.example")
        .header("x-recipient", "canary-recipient")
        .secret_header("x-token", &Secret::new("canary-token"))
        .form([("to", "canary@mail.example")])
        .secret_form_field("token_auth", &Secret::new("canary-form"))
}

#[tokio::test]
async fn nothing_secret_is_shown_under_any_fault() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let mut shown = String::new();
    for answer in faults() {
        let server = Server::scripted([answer.clone(), answer]).await.unwrap();
        let builder = Client::builder("fake", &format!("{}/canary-base", server.url()))
            .allow_insecure_host(&server.authority())
            .basic_auth("canary-user", &Secret::new("canary-password"))
            .secret_header("api-key", &Secret::new("canary-key"))
            .max_body_bytes(100_000)
            .clock(Arc::new(ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap())))
            .total_timeout(Duration::from_millis(300));
        shown.push_str(&format!("{builder:?} {builder:#?}"));
        let client = builder.build().unwrap();
        let request = request(Replay::Idempotent);
        shown.push_str(&format!("{client:?} {client:#?} {request:?} {request:#?}"));
        let outcome: Result<serde_json::Value> = client
            .send_with(&request, &Policy::default().max_attempts(2), |response| {
                shown.push_str(&format!("{response:?} {response:#?}"));
                match response.status() {
                    200 => response.json(),
                    401 => Err(response.error(ErrorKind::Auth)),
                    429 => Err(response.error(ErrorKind::RateLimited)),
                    _ => Err(response.error(ErrorKind::Unavailable)),
                }
            })
            .await;
        if let Err(error) = outcome {
            shown.push_str(&format!("{error} {error:?} {error:#?}"));
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                shown.push_str(&format!("{error} {error:?} {error:#?}"));
                cause = error.source();
            }
        }
        shown.push_str(&format!("{server:?} {:?}", server.requests()));
        // It did arrive, or there was nothing to look for.
        assert_eq!(server.requests()[0].header("api-key"), Some("canary-key"));
    }
    // Hosts that are not there.
    for base in ["http://127.0.0.1:1/canary", "https://canary-host.invalid/canary"] {
        let client = Client::builder("fake", base).allow_insecure_host("127.0.0.1").build().unwrap();
        let error = client.send(&request(Replay::Never)).await.unwrap_err();
        // The name of the host is no secret, but errors do without it all the same.
        shown.push_str(&format!("{error} {error:?}"));
    }
    assert_clean("a Debug or a Display", &shown);

    let traced = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(traced.contains("mkt_connect::http"), "our own traces were captured");
    assert!(traced.contains("reqwest::connect"), "those of the HTTP library too");
    assert_clean("a trace", &traced.replace("canary-host.invalid", ""));
}
