//! The retry decision, what the other side says about it, and that nothing goes out before its time.

use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::http::retry::{Attempt, Budget, Decision, Policy, Reason, decide, retry_after};
use mkt_connect::http::{Client, Replay, Request, Response};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn attempt(kind: ErrorKind, in_doubt: bool, replay: Replay) -> Attempt {
    Attempt { kind, in_doubt, retry_after: None, number: 1, elapsed: Duration::ZERO, replay }
}

const KEYED: Replay = Replay::Keyed { valid_for: Duration::from_secs(900) };

#[test]
fn the_whole_table_of_who_may_be_repeated() {
    use ErrorKind::{Auth, RateLimited, Unavailable};
    let again = |kind, in_doubt, replay| {
        let decision = decide(&Policy::default(), &attempt(kind, in_doubt, replay), 0.5, true);
        matches!(decision, Decision::Retry { .. })
    };
    for kind in [RateLimited, Unavailable] {
        for replay in [Replay::Idempotent, KEYED, Replay::Never] {
            assert!(again(kind, false, replay), "{kind:?} {replay:?}: it was not acted upon");
        }
        assert!(again(kind, true, Replay::Idempotent) && again(kind, true, KEYED));
        assert!(!again(kind, true, Replay::Never), "{kind:?}");
    }
    for kind in [
        Auth,
        ErrorKind::Config,
        ErrorKind::Input,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::Unsupported,
        ErrorKind::Protocol,
        ErrorKind::Storage,
        ErrorKind::Cancelled,
        ErrorKind::Other,
    ] {
        assert!(!again(kind, false, Replay::Idempotent), "{kind:?}");
    }
}

#[test]
fn a_stop_says_why() {
    let reason = |attempt: &Attempt, budget| match decide(&Policy::default(), attempt, 1.0, budget) {
        Decision::Stop(reason) => Some(reason),
        Decision::Retry { .. } => None,
    };
    let plain = attempt(ErrorKind::Unavailable, true, Replay::Idempotent);
    assert_eq!(reason(&plain, true), None);
    assert_eq!(reason(&plain, false), Some(Reason::BudgetSpent));
    assert_eq!(reason(&Attempt { number: 4, ..plain }, true), Some(Reason::Exhausted));
    assert_eq!(reason(&Attempt { retry_after: Some(seconds(121)), ..plain }, true), Some(Reason::TooLong));
    assert_eq!(reason(&Attempt { elapsed: seconds(600), ..plain }, true), Some(Reason::TooLong));
    assert_eq!(reason(&Attempt { replay: Replay::Never, ..plain }, true), Some(Reason::InDoubt));
    assert_eq!(
        reason(&Attempt { replay: KEYED, elapsed: seconds(900), ..plain }, true),
        Some(Reason::KeyExpired)
    );
    assert_eq!(reason(&Attempt { kind: ErrorKind::Auth, ..plain }, true), Some(Reason::Lasting));
}

#[test]
fn the_jitter_is_full_and_its_bound_doubles_up_to_the_cap() {
    let policy =
        Policy::default().max_attempts(99).backoff(seconds(1), seconds(10)).longest_in_all(Duration::MAX);
    let wait = |number, draw| {
        let attempt = Attempt { number, ..attempt(ErrorKind::Unavailable, false, Replay::Never) };
        match decide(&policy, &attempt, draw, true) {
            Decision::Retry { after } => after.as_millis(),
            Decision::Stop(reason) => panic!("{reason:?}"),
        }
    };
    assert_eq!([1, 2, 3, 4, 5, 60].map(|number| wait(number, 1.0)), [1000, 2000, 4000, 8000, 10_000, 10_000]);
    assert_eq!([1, 2, 3].map(|number| wait(number, 0.25)), [250, 500, 1000]);
    assert_eq!(wait(3, 0.0), 0);
    assert_eq!([f64::NAN, -1.0, 7.0].map(|draw| wait(1, draw)), [0, 0, 1000]);
}

proptest! {
    #[test]
    fn a_wait_is_never_shorter_than_what_was_asked_for(
        asked in 0_u64..100_000, number in 0_u32..50, draw in prop::num::f64::ANY, elapsed in 0_u64..10_000,
    ) {
        let policy = Policy::default().longest_wait(Duration::MAX).longest_in_all(Duration::MAX).max_attempts(100);
        let attempt = Attempt {
            retry_after: Some(seconds(asked)), number, elapsed: seconds(elapsed),
            ..attempt(ErrorKind::RateLimited, false, Replay::Never)
        };
        match decide(&policy, &attempt, draw, true) {
            Decision::Retry { after } => prop_assert!(after >= seconds(asked)),
            Decision::Stop(reason) => prop_assert!(false, "{:?}", reason),
        }
    }

    #[test]
    fn no_retry_after_text_panics(text in "\\PC{0,60}", number in "[0-9.]{0,40}") {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let _ = (retry_after(&text, now), retry_after(&number, now));
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = "1994-11-15T08:12:00Z".parse().unwrap();
    for (value, expected) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("2.0", Some(2)),
        // The three forms of RFC 9110, section 5.6.7, 31 seconds later.
        ("Tue, 15 Nov 1994 08:12:31 GMT", Some(31)),
        ("Tuesday, 15-Nov-94 08:12:31 GMT", Some(31)),
        ("Tue Nov 15 08:12:31 1994", Some(31)),
        // In the past: no wait.
        ("Tue, 15 Nov 1994 08:11:00 GMT", Some(0)),
        // Over 30 days: 30 days.
        ("99999999999999999999999", Some(2_592_000)),
        ("Thu, 31 Dec 2099 23:59:59 GMT", Some(2_592_000)),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("NaN", None),
        ("inf", None),
        ("12 seconds", None),
        ("1.2.3", None),
    ] {
        assert_eq!(retry_after(value, now), expected.map(seconds), "{value:?}");
    }
}

#[test]
fn rejected_and_unsent_requests_had_no_effect() {
    let doubt = |kind, delivery| Error::new(kind, "fake", "send").delivered(delivery).leaves_doubt();
    assert!(!doubt(ErrorKind::Unavailable, Delivery::NotSent));
    assert!(!doubt(ErrorKind::RateLimited, Delivery::Answered));
    assert!(!doubt(ErrorKind::Auth, Delivery::Answered));
    assert!(doubt(ErrorKind::Unavailable, Delivery::Answered), "a gateway's 502");
    assert!(doubt(ErrorKind::Protocol, Delivery::Answered), "a success that cannot be read");
    assert!(doubt(ErrorKind::RateLimited, Delivery::Unknown));
}

#[allow(clippy::needless_pass_by_value)] // The signature that `send_with` asks for.
fn status(response: Response) -> Result<u16> {
    match response.status() {
        429 => Err(response.error(ErrorKind::RateLimited)),
        500.. => Err(response.error(ErrorKind::Unavailable)),
        status => Ok(status),
    }
}

fn on(server: &Server, clock: &ManualClock) -> Client {
    Client::builder("fake", &server.url())
        .allow_insecure_host(&server.authority())
        .clock(Arc::new(clock.clone()))
        .jitter(|| 0.0)
        .build()
        .unwrap()
}

#[tokio::test]
async fn no_client_of_the_account_sends_during_retry_after() {
    for (header, wait) in [("60", 60_u64), ("Sun, 01 Mar 2026 12:00:45 GMT", 45)] {
        let server = Server::scripted([
            Answer::status(429).header("retry-after", header),
            Answer::status(200),
            Answer::status(200),
        ])
        .await
        .unwrap();
        let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
        let client = on(&server, &clock);
        let repeated = tokio::spawn({
            let client = client.clone();
            async move { client.send_with(&Request::post("send"), &Policy::default(), status).await }
        });
        for _ in 0..400 {
            if client.rate().paused_for().is_zero() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(client.rate().paused_for(), seconds(wait), "the whole account rests");
        // Somebody else on the same account, with a plain request.
        let other = tokio::spawn({
            let client = client.clone();
            async move { client.send(&Request::get("other")).await.map(|response| response.status()) }
        });
        for _ in 0..wait - 1 {
            clock.advance(seconds(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.hits(), 1, "{header}");
        clock.advance(seconds(1));
        assert_eq!(repeated.await.unwrap().unwrap(), 200);
        assert_eq!(other.await.unwrap().unwrap(), 200);
        assert_eq!(server.hits(), 3);
    }
}

#[tokio::test]
async fn too_long_wait_is_returned_and_pauses_the_account() {
    let server =
        Server::start(|_| Answer::status(429).header("retry-after", "Mon, 02 Mar 2026 12:00:00 GMT"))
            .await
            .unwrap();
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
    let client = on(&server, &clock);
    let error = client.send_with(&Request::post("send"), &Policy::default(), status).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(seconds(86_400))));
    let error = client.send(&Request::post("send")).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::RateLimited, Delivery::NotSent));
    assert_eq!((error.retry_after(), server.hits()), (Some(seconds(86_400)), 1));
}

#[tokio::test]
async fn exhausted_retries_return_kind_status_and_wait() {
    let server = Server::start(|_| Answer::status(503).header("retry-after", "7")).await.unwrap();
    let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap());
    let request = Request::get("visits").operation("read visits");
    let error = on(&server, &clock).send_with(&request, &Policy::default(), status).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(503)));
    assert_eq!((error.retry_after(), error.operation()), (Some(seconds(7)), "read visits"));
    assert_eq!(server.hits(), 4);
    assert_eq!(clock.elapsed(), seconds(21));
}

#[tokio::test]
async fn retries_are_a_tenth_of_requests_when_all_fail() {
    let server = Server::start(|_| Answer::status(503)).await.unwrap();
    let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap());
    let client = on(&server, &clock);
    for _ in 0..300 {
        let outcome = client.send_with(&Request::get("x"), &Policy::default(), status).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    // 300 requests, a tenth of them again, and the ten that every client starts with.
    assert_eq!(server.hits(), 300 + 30 + 10);
}

#[test]
fn a_budget_saves_up_only_so_much() {
    let budget = Budget::new(0.1, 2);
    for _ in 0..100_000 {
        budget.deposit();
    }
    let granted = std::iter::repeat_with(|| budget.withdraw()).take_while(|granted| *granted).count();
    assert_eq!(granted, 20);
    assert!(!budget.has_left());
}
