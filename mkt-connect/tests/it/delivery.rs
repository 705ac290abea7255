//! Whether a request may have arrived, and that one which may have is not repeated.

use crate::server::client;
use mkt_connect::clock::ManualClock;
use mkt_connect::http::{Client, Policy, Replay, Request, Response};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What every connector does with a status, in short.
#[allow(clippy::needless_pass_by_value)] // The signature that `send_with` asks for.
fn status(response: Response) -> Result<u16> {
    match response.status() {
        429 => Err(response.error(ErrorKind::RateLimited)),
        401 => Err(response.error(ErrorKind::Auth)),
        500.. => Err(response.error(ErrorKind::Unavailable)),
        status => Ok(status),
    }
}

fn quick() -> Policy {
    Policy::default().backoff(Duration::from_millis(1), Duration::from_millis(1))
}

fn post() -> Request {
    Request::post("send").operation("send").form([("to", "somebody")])
}

/// Everything that leaves a POST in doubt.
fn doubtful() -> [(&'static str, Answer); 8] {
    [
        ("502 after the body", Answer::status(502)),
        ("502 with a page after the body", Answer::html("<h1>Bad gateway</h1>").with_status(502)),
        ("timeout after the body", Answer::never()),
        ("reset after the body", Answer::reset()),
        ("reset before the body", Answer::reset_before_body()),
        ("closed without an answer", Answer::status(200).cut_after(0)),
        ("half a status line", Answer::status(200).cut_after(7)),
        ("half a body", Answer::json(r#"{"messageId":"1"}"#).cut_after(80)),
    ]
}

#[tokio::test]
async fn post_that_may_have_arrived_is_not_retried() {
    for (name, answer) in doubtful() {
        let server = Server::scripted([answer, Answer::status(201), Answer::status(201)]).await.unwrap();
        let error = client(&server).send_with(&post(), &quick(), status).await.unwrap_err();
        assert_eq!(server.hits(), 1, "{name}");
        assert_ne!(error.delivery(), Delivery::NotSent, "{name}");
        assert!(!error.is_retryable(), "{name}");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
    }
}

#[tokio::test]
async fn idempotent_request_is_retried_after_the_same_failures() {
    for (name, answer) in doubtful() {
        let server = Server::scripted([answer, Answer::status(201)]).await.unwrap();
        let request = post().replay(Replay::Idempotent);
        assert_eq!(client(&server).send_with(&request, &quick(), status).await.unwrap(), 201, "{name}");
        assert_eq!(server.hits(), 2, "{name}");
    }
}

#[tokio::test]
async fn post_on_a_reused_connection_is_not_retried() {
    // HTTP libraries like to repeat a request when a connection from their pool breaks.
    let server = Server::scripted([Answer::status(200), Answer::reset(), Answer::status(200)]).await.unwrap();
    let client = client(&server);
    client.send(&post()).await.unwrap();
    let error = client.send_with(&post(), &quick(), status).await.unwrap_err();
    assert_eq!((error.delivery(), server.hits()), (Delivery::Unknown, 2));
}

#[tokio::test]
async fn rate_limited_post_is_retried() {
    let server = Server::scripted([Answer::status(429), Answer::status(201)]).await.unwrap();
    assert_eq!(client(&server).send_with(&post(), &quick(), status).await.unwrap(), 201);
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn wrong_credentials_are_asked_once() {
    let server = Server::start(|_| Answer::status(401)).await.unwrap();
    let request = Request::get("visits").operation("read visits");
    let error = client(&server).send_with(&request, &quick(), status).await.unwrap_err();
    assert_eq!((error.kind(), error.status(), server.hits()), (ErrorKind::Auth, Some(401), 1));
}

/// A port on loopback where nobody listens.
async fn deaf_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn refused_connection_is_not_sent_and_always_retried() {
    let port = deaf_port().await;
    let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap());
    let client = Client::builder("fake", &format!("http://127.0.0.1:{port}"))
        .allow_insecure_host("127.0.0.1")
        .clock(Arc::new(clock.clone()))
        .jitter(|| 0.5)
        .build()
        .unwrap();
    let policy = Policy::default().backoff(Duration::from_secs(2), Duration::from_secs(30));
    let error = client.send_with(&post(), &policy, status).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Unavailable, Delivery::NotSent));
    // Half of 2 s, 4 s and 8 s.
    assert_eq!(clock.sleeps(), [1, 2, 4].map(Duration::from_secs));
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_not_sent() {
    let client = Client::builder("fake", "https://nowhere.invalid").build().unwrap();
    let error = client.send(&post()).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Unavailable, Delivery::NotSent), "{error}");
}

async fn keyed(answers: Vec<Answer>, valid_for: Duration, wait: Duration) -> (Result<u16>, usize) {
    let server = Server::scripted(answers).await.unwrap();
    let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap());
    let client = Client::builder("fake", &server.url())
        .allow_insecure_host(&server.authority())
        .clock(Arc::new(clock))
        .jitter(|| 1.0)
        .build()
        .unwrap();
    let policy = Policy::default().backoff(wait, wait).longest_wait(wait);
    let outcome = client.send_with(&post().replay(Replay::Keyed { valid_for }), &policy, status).await;
    (outcome, server.hits())
}

#[tokio::test]
async fn keyed_request_is_retried_only_while_the_key_is_valid() {
    let minute = Duration::from_secs(60);
    let answers = || vec![Answer::status(502), Answer::status(502), Answer::status(201)];
    let (outcome, hits) = keyed(answers(), 15 * minute, minute).await;
    assert_eq!((outcome.unwrap(), hits), (201, 3));
    // The second repeat would leave at 2 minutes, when the key is forgotten.
    let (outcome, hits) = keyed(answers(), 2 * minute, minute).await;
    assert_eq!((outcome.unwrap_err().kind(), hits), (ErrorKind::Unavailable, 2));
}

#[tokio::test]
async fn unknown_effect_of_an_early_attempt_stays_unknown() {
    // The mail of the first attempt may be on its way: the refusal of the second says nothing about it.
    let answers = vec![Answer::reset(), Answer::status(401)];
    let (outcome, hits) = keyed(answers, Duration::from_secs(900), Duration::from_secs(1)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.delivery(), hits), (ErrorKind::Auth, Delivery::Unknown, 2));
}

#[tokio::test]
async fn truncated_response_is_unknown_never_a_value() {
    let whole = Answer::json(r#"{"id":"0123456789"}"#);
    // 17 bytes of status line, 32 and 20 of headers, 2 of empty line: 71; then 19 of body.
    for cut in [0, 1, 9, 16, 17, 30, 60, 70, 71, 72, 80, 89] {
        let server = Server::scripted([whole.clone().cut_after(cut)]).await.unwrap();
        let error = client(&server).send(&post()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::Unavailable, Delivery::Unknown),
            "{cut}: {error}"
        );
    }
}

#[tokio::test]
async fn a_content_length_that_is_too_long_is_unknown() {
    let server = Server::scripted([Answer::text("short").claiming_length(5000)]).await.unwrap();
    let error = client(&server).send(&Request::get("x")).await.unwrap_err();
    assert_eq!((error.delivery(), error.status()), (Delivery::Unknown, Some(200)));
}

async fn refused_quickly(answer: Answer) -> (Error, Duration) {
    let server = Server::scripted([answer]).await.unwrap();
    let client = Client::builder("fake", &server.url())
        .allow_insecure_host(&server.authority())
        .max_body_bytes(1 << 20)
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.send(&Request::get("x")).await.unwrap_err();
    (error, started.elapsed())
}

/// 64 MiB of zeros, packed into some 300 KB.
fn bomb() -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..64 {
        packer.write_all(&zeros).unwrap();
    }
    packer.finish().unwrap()
}

#[tokio::test]
async fn a_gzip_bomb_is_refused_quickly() {
    let answer = Answer::status(200).header("content-encoding", "gzip").body(bomb());
    let (error, took) = refused_quickly(answer).await;
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn an_endless_answer_is_refused_quickly() {
    let (error, took) = refused_quickly(Answer::endless()).await;
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn body_at_the_limit_is_accepted_one_byte_more_is_not() {
    for (bytes, fits) in [(1000, true), (1001, false)] {
        let server = Server::scripted([Answer::text(vec![b'a'; bytes])]).await.unwrap();
        let client = Client::builder("fake", &server.url())
            .allow_insecure_host(&server.authority())
            .max_body_bytes(1000)
            .build()
            .unwrap();
        assert_eq!(client.send(&Request::get("x")).await.is_ok(), fits, "{bytes}");
    }
}

#[tokio::test]
async fn compressed_body_is_decompressed_and_a_corrupt_one_fails() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all("bonjour à tous".as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let gzip = |body: Vec<u8>| Answer::status(200).header("content-encoding", "gzip").body(body);
    let broken = b"this is not gzip at all".to_vec();
    let server = Server::scripted([gzip(packed), gzip(broken)]).await.unwrap();
    let client = client(&server);
    assert_eq!(client.send(&Request::get("x")).await.unwrap().text(), "bonjour à tous");
    let error = client.send(&Request::get("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn slow_body_ends_with_the_total_timeout() {
    let server =
        Server::scripted([Answer::text(vec![b'a'; 1000]).drip(Duration::from_millis(100))]).await.unwrap();
    let client = Client::builder("fake", &server.url())
        .allow_insecure_host(&server.authority())
        .total_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let started = Instant::now();
    let error = client.send(&Request::get("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Unavailable, Delivery::Unknown));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_silent_body_ends_with_the_idle_time() {
    let server = Server::scripted([Answer::text("ab").drip(Duration::from_secs(60))]).await.unwrap();
    let started = Instant::now();
    let error = client(&server).send(&Request::get("x")).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_may_have_its_own_total_time() {
    let server = Server::start(|_| Answer::text("late").delay(Duration::from_millis(250))).await.unwrap();
    let client = client(&server);
    assert!(client.send(&Request::get("x")).await.is_ok());
    let hasty = Request::get("x").timeout(Duration::from_millis(50));
    assert_eq!(client.send(&hasty).await.unwrap_err().delivery(), Delivery::Unknown);
}

#[tokio::test]
async fn request_invalid_in_http_is_not_sent() {
    let server = Server::start(|_| Answer::status(200)).await.unwrap();
    let client = client(&server);
    let unserialisable: std::collections::HashMap<(u8, u8), u8> = [((1, 2), 3)].into();
    for request in [
        Request::get("x").header("bad name", "v"),
        Request::get("x").header("x-injected", "a\r\nx-evil: 1"),
        Request::post("x").json(&unserialisable),
        Request::post("x").body("text/plain\r\nx: y", "b"),
    ] {
        let error = client.send(&request).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Input, Delivery::NotSent), "{request:?}");
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn invalid_json_error_has_the_place_and_no_content() {
    #[derive(Debug, serde::Deserialize)]
    struct Visits {
        #[allow(dead_code)]
        nb_visits: u32,
    }
    let cases = [
        ("<html>canary</html>", "is not JSON"),
        (r#"{"nb_visits": 1"#, "ends in the middle"),
        (r#"{"canary": 1}"#, "missing field `nb_visits`"),
        (r#"{"nb_visits": "canary"}"#, "expected u32"),
        (r#"{"nb_visits": 123456789012345}"#, "expected u32"),
    ];
    for (body, expected) in cases {
        let server = Server::scripted([Answer::json(body)]).await.unwrap();
        let response = client(&server).send(&Request::get("x")).await.unwrap();
        let error = response.json::<Visits>().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered));
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("canary") && !text.contains("123456789012345"), "{text}");
    }
    let server = Server::scripted([Answer::json("\u{feff}{\"nb_visits\": 7}")]).await.unwrap();
    let response = client(&server).send(&Request::get("x")).await.unwrap();
    assert_eq!(response.json::<Visits>().unwrap().nb_visits, 7);
}
