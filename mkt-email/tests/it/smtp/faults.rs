//! Every fault at every step: the right outcome, in time, with nothing taken for accepted that was not, and nothing
//! taken for lost that may have been accepted.

use super::*;
use mkt_connect::{Delivery, ErrorKind};
use std::time::Instant;

/// The steps before the content, in order.
const BEFORE: [Step; 5] = [Step::Connect, Step::Hello, Step::Sender, Step::Recipient, Step::Data];

/// What became of one email, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Accepted.
    Yes,
    /// Rejected for good.
    No,
    /// Deferred, the recipient or the account.
    Later(Scope),
    /// Unknown.
    Doubt(Stage),
    /// The call failed and nothing was accepted.
    Failed(ErrorKind),
}

async fn verdict(server: &SmtpServer) -> Verdict {
    let begun = Instant::now();
    let result = send_one(&to(server).build().unwrap(), 1).await;
    // One deadline after another at the most; a server that could hold the line would do so for minutes.
    assert!(begun.elapsed() < PATIENCE * 12, "it took {:?}", begun.elapsed());
    let shown = format!("{result:?}");
    assert!(!shown.contains("reader1") && !shown.contains("canary"), "{shown}");
    match result {
        Ok(Outcome::Accepted { .. }) => Verdict::Yes,
        Ok(Outcome::Rejected { .. }) => Verdict::No,
        Ok(Outcome::Deferred { scope, retry_at, .. }) => {
            assert!(retry_at > noon());
            Verdict::Later(scope)
        }
        Ok(Outcome::Unknown { stage }) => Verdict::Doubt(stage),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert!(!error.leaves_doubt(), "before the end of a mail there is no doubt: {error:?}");
            Verdict::Failed(error.kind())
        }
    }
}

/// Each step, with and without PIPELINING.
async fn check(step: Step, act: Act, expected: Verdict) {
    for extensions in [&["PIPELINING"][..], &[]] {
        let act = act.clone();
        let server = SmtpServer::builder()
            .extensions(extensions)
            .behave(move |seen| (seen.step == step).then(|| act.clone()))
            .start()
            .unwrap();
        assert_eq!(verdict(&server).await, expected, "{step:?} {extensions:?}");
        let taken = server.emails().len();
        let possible = match expected {
            Verdict::Yes => taken == 1,
            Verdict::Doubt(_) => true,
            _ => taken == 0,
        };
        assert!(possible, "{step:?} {extensions:?}: {expected:?}, and {taken} mails were taken");
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_mail_does_leaves_no_doubt() {
    for step in BEFORE {
        let expected = match step {
            Step::Connect | Step::Hello => Verdict::Failed(ErrorKind::Unavailable),
            _ => Verdict::Later(Scope::Recipient),
        };
        check(step, Act::Close, expected).await;
        // The beginning of an answer is none.
        check(step, Act::RawThenClose(b"25".to_vec()), expected).await;
        check(step, Act::RawThenClose(b"250-canary\r\n250-cana".to_vec()), expected).await;
    }
}

#[tokio::test]
async fn silence_before_the_end_of_the_mail_leaves_no_doubt() {
    let mut checks = tokio::task::JoinSet::new();
    for step in BEFORE {
        let expected = match step {
            Step::Connect | Step::Hello => Verdict::Failed(ErrorKind::Unavailable),
            _ => Verdict::Later(Scope::Recipient),
        };
        checks.spawn(check(step, Act::Silence, expected));
        let slow = Act::Drip("250 2.0.0 a byte now and then".to_owned(), Duration::from_millis(400));
        checks.spawn(check(step, slow, expected));
    }
    checks.join_all().await;
}

#[tokio::test]
async fn nonsense_before_the_end_of_the_mail_stops_the_sender() {
    let garbage = [
        Act::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Act::Raw(b"\r\n".to_vec()),
        Act::Raw(vec![0xff; 60].into_iter().chain(*b"\r\n").collect()),
        Act::Raw(b"250-canary\r\n251 canary\r\n".to_vec()),
        Act::Endless(b"250-canary\r\n".to_vec()),
        Act::Endless(vec![b'2'; 4096]),
    ];
    for step in BEFORE {
        for act in &garbage {
            check(step, act.clone(), Verdict::Failed(ErrorKind::Protocol)).await;
        }
    }
    // Right form, wrong moment.
    for (step, line) in [
        (Step::Connect, "354 canary"),
        (Step::Sender, "354 go on"),
        (Step::Recipient, "334 "),
        (Step::Data, "250 ok"),
    ] {
        check(step, Act::reply(line), Verdict::Failed(ErrorKind::Protocol)).await;
    }
}

#[tokio::test]
async fn a_refusal_before_the_mail_is_the_servers_and_not_the_mails() {
    check(Step::Connect, Act::reply("421 4.3.2 busy"), Verdict::Failed(ErrorKind::Unavailable)).await;
    check(Step::Connect, Act::reply("554 5.3.2 no"), Verdict::Failed(ErrorKind::Other)).await;
    check(Step::Hello, Act::reply("451 4.3.0 no"), Verdict::Failed(ErrorKind::Unavailable)).await;
    check(Step::Hello, Act::reply("550 5.7.1 no"), Verdict::Failed(ErrorKind::Other)).await;
    let server = at(Step::Connect, Act::reply("421 4.7.0 try again after 90 seconds"));
    let error = send_one(&to(&server).build().unwrap(), 1).await.unwrap_err();
    assert_eq!((error.retry_after(), error.is_retryable()), (Some(Duration::from_secs(90)), true));
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[tokio::test]
async fn refusals_of_a_mail_are_told_apart_at_every_step() {
    for step in [Step::Sender, Step::Recipient, Step::Data, Step::End] {
        check(step, Act::reply("550 5.7.1 no"), Verdict::No).await;
        check(step, Act::reply("451 4.4.0 later"), Verdict::Later(Scope::Recipient)).await;
        check(step, Act::reply("421 4.3.2 going down"), Verdict::Later(Scope::Account)).await;
        check(step, Act::ReplyThenClose("421 4.3.2 going down".to_owned()), Verdict::Later(Scope::Account))
            .await;
        check(step, Act::ReplyThenClose("550 5.7.1 no".to_owned()), Verdict::No).await;
        check(step, Act::reply("550 5.4.5 Daily limit exceeded"), Verdict::Later(Scope::Account)).await;
        check(step, Act::reply("503 5.5.1 bad sequence"), Verdict::Failed(ErrorKind::Protocol)).await;
        check(step, Act::reply("530 5.7.0 Authentication required"), Verdict::Failed(ErrorKind::Auth)).await;
        check(step, Act::reply("550-5.1.1 canary@example.org\r\n550 5.1.1 reader1@example.org"), Verdict::No)
            .await;
    }
}

#[tokio::test]
async fn after_the_end_of_the_mail_only_an_answer_ends_the_doubt() {
    let doubt = Verdict::Doubt(Stage::AwaitingAnswer);
    for act in [
        Act::TakeThenClose,
        Act::TakeThenRaw(b"2".to_vec()),
        Act::TakeThenRaw(b"250 2.0.0 queued".to_vec()), // no end of line: more may have been to come
        Act::TakeThenRaw(b"250-queued\r\n250-and".to_vec()),
        Act::TakeThenRaw(b"garbage\r\n".to_vec()),
        Act::TakeThenRaw(b"354 go on\r\n".to_vec()),
        Act::Close,
        Act::Silence,
        Act::Drip("250 2.0.0 a byte now and then".to_owned(), Duration::from_millis(400)),
        Act::Endless(b"250-canary\r\n".to_vec()),
    ] {
        check(Step::End, act, doubt).await;
    }
    // A small email is on its way as a whole before the server can hang up.
    check(Step::Content, Act::Close, doubt).await;
    check(Step::End, Act::reply("250"), Verdict::Yes).await;
    check(Step::End, Act::reply("250-2.0.0 queued\r\n250 as 7"), Verdict::Yes).await;
}

fn large() -> Group {
    let file = mkt_email::message::Attachment::new(
        "a.bin".parse().unwrap(),
        "application/octet-stream",
        vec![7; 6_000_000],
    );
    let message =
        Message::builder("news@example.com".parse().unwrap(), reader(1).into(), "Hello".parse().unwrap())
            .text("Hello")
            .attach(file.unwrap())
            .build()
            .unwrap();
    Group::new(noon(), vec![outgoing(1, message)])
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_the_content_leaves_no_doubt() {
    let server = at(Step::Content, Act::ReadThenClose(100_000));
    let outcomes = to(&server).build().unwrap().send(&large()).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Deferred { scope: Scope::Recipient, .. }), "{outcomes:?}");
    assert!(server.emails().is_empty());
}

#[tokio::test]
async fn a_server_that_stops_reading_is_not_waited_for() {
    let server = at(Step::Content, Act::Silence);
    let (smtp, group) = (to(&server).build().unwrap(), large());
    let outcomes = tokio::time::timeout(PATIENCE * 20, smtp.send(&group)).await.expect("it waits").unwrap();
    assert!(matches!(outcomes[0], Outcome::Deferred { .. }), "{outcomes:?}");
}

#[tokio::test]
async fn what_a_server_says_before_it_hangs_up_in_the_middle_of_the_content_is_heard() {
    let server = at(Step::Content, Act::ReadThenReply(100_000, "552 5.3.4 too large".to_owned()));
    let outcomes = to(&server).build().unwrap().send(&large()).await.unwrap();
    // A reset may swallow the words; then the email waits and is refused the next time.
    let fits = match &outcomes[0] {
        Outcome::Rejected { reason, .. } => *reason == RejectReason::TooLarge,
        Outcome::Deferred { .. } => true,
        _ => false,
    };
    assert!(fits, "{outcomes:?}");
}

#[tokio::test]
async fn a_large_mail_arrives_whole() {
    let server = good();
    let group = large();
    let patient = Timeouts::all(PATIENCE * 20);
    let outcomes = to(&server).timeouts(patient).build().unwrap().send(&group).await.unwrap();
    assert!(is_accepted(&outcomes[0]), "{outcomes:?}");
    let email = &group.emails()[0];
    assert_eq!(server.emails()[0].bytes, email.message.to_mime(email.key, noon()).unwrap());
}

/// Emails of a call that were accepted stay accepted when the server fails for the ones after them.
#[tokio::test]
async fn failure_within_a_call_keeps_accepted_outcomes() {
    let server = SmtpServer::builder()
        .behave(|seen| match (seen.step, seen.connection, seen.email) {
            (Step::End, 1, 2) => Some(Act::TakeThenClose),
            (Step::Connect, 2, _) => Some(Act::reply("421 4.3.2 busy, try again in 2 minutes")),
            _ => None,
        })
        .start()
        .unwrap();
    let outcomes = to(&server).mails_per_call(5).build().unwrap().send(&group(0..5)).await.unwrap();
    assert!(is_accepted(&outcomes[0]), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Unknown { stage: Stage::AwaitingAnswer });
    for outcome in &outcomes[2..] {
        let Outcome::NotOffered { retry_at, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((*retry_at - noon()).num_seconds(), 120);
    }
    assert_eq!(server.emails().len(), 2);
}

/// A server that refuses everybody and asks for the content all the same must not get an empty email.
#[tokio::test]
async fn content_that_is_asked_for_without_a_recipient_is_not_given() {
    let server = SmtpServer::builder()
        .behave(|seen| match seen.step {
            Step::Recipient => Some(Act::reply("550 5.1.1 no")),
            Step::Data => Some(Act::reply("354 go on")),
            _ => None,
        })
        .start()
        .unwrap();
    let outcomes = to(&server).mails_per_call(2).build().unwrap().send(&group(0..2)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected { .. })), "{outcomes:?}");
    assert!(server.emails().is_empty());
    assert_eq!(server.connections(), 2, "a connection that waits for content was used again");
}

/// Who is told to slow down does not go on with the rest of the call.
#[tokio::test]
async fn an_account_that_is_told_to_wait_sends_no_more_of_the_call() {
    for line in ["450 4.2.1 Peak SMTP relay limit exceeded for customer", "421 4.7.0 try again in 2 minutes"]
    {
        let server = SmtpServer::builder()
            .behave(move |seen| {
                let second = seen.step == Step::Recipient && seen.line.contains("reader1@");
                second.then(|| Act::reply(line))
            })
            .start()
            .unwrap();
        let outcomes = to(&server).mails_per_call(5).build().unwrap().send(&group(0..5)).await.unwrap();
        assert!(is_accepted(&outcomes[0]), "{outcomes:?}");
        assert!(matches!(outcomes[1], Outcome::Deferred { scope: Scope::Account, .. }), "{outcomes:?}");
        for outcome in &outcomes[2..] {
            assert!(matches!(outcome, Outcome::NotOffered { .. }), "{outcomes:?}");
        }
        let named = server.lines().iter().filter(|line| line.starts_with("RCPT")).count();
        assert_eq!((outcomes.len(), named, server.emails().len()), (5, 2, 1), "{line}");
    }
}
