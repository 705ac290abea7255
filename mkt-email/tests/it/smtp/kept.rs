//! Connections that are kept: how many, how long, and what happens when the server closed one in the meantime.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn send_many(smtp: &Smtp, numbers: std::ops::Range<usize>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for number in numbers {
        outcomes.push(send_one(smtp, number).await.unwrap());
    }
    outcomes
}

#[tokio::test]
async fn a_connection_carries_mail_after_mail_without_a_question_between() {
    let server = good();
    let smtp = to(&server).build().unwrap();
    assert!(send_many(&smtp, 0..20).await.iter().all(is_accepted));
    assert_eq!((server.connections(), server.emails().len(), smtp.resting_connections()), (1, 20, 1));
    assert_eq!(server.lines().len(), 1 + 20 * 3, "something else was said between two mails");
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = SmtpServer::builder()
        .behave(|seen| {
            match seen.step {
                Step::Data => MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst),
                Step::End => NOW.fetch_sub(1, Ordering::SeqCst),
                _ => 0,
            };
            None
        })
        .start()
        .unwrap();
    let smtp = to(&server).connections(3).build().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..60 {
        let smtp = smtp.clone();
        calls.spawn(async move { send_one(&smtp, number).await.unwrap() });
    }
    while let Some(outcome) = calls.join_next().await {
        assert!(is_accepted(&outcome.unwrap()));
    }
    assert_eq!(server.emails().len(), 60);
    assert!(server.connections() <= 3 && MOST.load(Ordering::SeqCst) <= 3, "{}", server.connections());
    assert!(smtp.resting_connections() <= 3);
}

#[tokio::test]
async fn a_connection_is_replaced_when_it_is_old_idle_or_has_carried_enough() {
    let short = Duration::from_millis(30);
    let long = Duration::from_secs(60);
    for (builder, connections) in [
        (to(&good()).mails_per_connection(1), 3),
        (to(&good()).mails_per_connection(2), 2),
        (to(&good()).keep_connections(short, long), 3),
        (to(&good()).keep_connections(long, short), 3),
        (to(&good()).keep_connections(long, long), 1),
    ] {
        let server = good();
        let smtp = builder.port(server.port()).build().unwrap();
        for number in 0..3 {
            assert!(is_accepted(&send_one(&smtp, number).await.unwrap()));
            tokio::time::sleep(short * 2).await;
        }
        assert_eq!((server.connections(), server.emails().len()), (connections, 3));
        let farewells = server.lines().iter().filter(|line| *line == "QUIT").count();
        assert!(farewells >= connections - 1, "{farewells} farewells");
    }
}

/// What a server does to a connection that rested too long.
async fn survives(act: Act, step: Step) {
    let shown = format!("{act:?} at {step:?}");
    for extensions in [&["PIPELINING"][..], &[]] {
        let act = act.clone();
        let server = SmtpServer::builder()
            .extensions(extensions)
            .behave(move |seen| {
                ((seen.connection, seen.email, seen.step) == (1, 2, step)).then(|| act.clone())
            })
            .start()
            .unwrap();
        let smtp = to(&server).build().unwrap();
        assert!(send_many(&smtp, 0..3).await.iter().all(is_accepted), "{shown}");
        assert_eq!((server.connections(), server.emails().len()), (2, 3), "{shown}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_is_done_with_is_replaced_unseen() {
    survives(Act::Close, Step::Sender).await;
    survives(Act::RawThenClose(b"42".to_vec()), Step::Sender).await;
    survives(Act::ReplyThenClose("421 4.4.2 too many mails on this connection".to_owned()), Step::Sender)
        .await;
    survives(Act::reply("421 4.7.0 too many mails on this connection"), Step::Sender).await;
}

/// After a refused recipient the next email begins with RSET; a server that will not have it is left alone.
#[tokio::test]
async fn a_mail_that_cannot_be_reset_costs_the_connection_and_not_the_next_mail() {
    for extensions in [&["PIPELINING"][..], &[]] {
        for reset in ["250 ok", "502 5.5.1 not implemented", "421 4.4.2 timeout"] {
            let server = SmtpServer::builder()
                .extensions(extensions)
                .behave(move |seen| match seen.step {
                    Step::Recipient if seen.line.contains("reader0@") => {
                        Some(Act::reply("550 5.1.1 unknown"))
                    }
                    Step::Reset => Some(Act::reply(reset)),
                    _ => None,
                })
                .start()
                .unwrap();
            let outcomes = send_many(&to(&server).build().unwrap(), 0..3).await;
            assert!(matches!(outcomes[0], Outcome::Rejected { .. }), "{outcomes:?}");
            assert!(outcomes[1..].iter().all(is_accepted), "{reset} {outcomes:?}");
            let connections = if reset.starts_with('2') { 1 } else { 2 };
            assert_eq!((server.connections(), server.emails().len()), (connections, 2), "{reset}");
        }
    }
}

#[tokio::test]
async fn a_connection_whose_end_was_announced_is_not_kept() {
    for step in [Step::Sender, Step::Recipient, Step::Data, Step::End] {
        let server = at(step, Act::reply("421 4.3.2 going down"));
        let smtp = to(&server).build().unwrap();
        let outcome = send_one(&smtp, 0).await.unwrap();
        assert!(matches!(outcome, Outcome::Deferred { scope: Scope::Account, .. }), "{step:?} {outcome:?}");
        assert_eq!(smtp.resting_connections(), 0, "{step:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_it_rested_is_noticed_before_it_is_used() {
    for farewell in [&b""[..], b"421 4.4.2 timeout\r\n"] {
        let server = SmtpServer::builder()
            .behave(move |seen| {
                let first = (seen.connection, seen.step) == (1, Step::End);
                let mut bytes = b"250 2.0.0 queued\r\n".to_vec();
                bytes.extend_from_slice(farewell);
                first.then_some(Act::TakeThenRaw(bytes))
            })
            .start()
            .unwrap();
        let smtp = to(&server).build().unwrap();
        assert!(is_accepted(&send_one(&smtp, 0).await.unwrap()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
        let first_lines = server.lines().iter().filter(|line| line.starts_with("MAIL")).count();
        assert_eq!((server.connections(), first_lines), (2, 2), "the dead connection was written to");
    }
}

/// Once only: a server that hangs up on every connection is not hammered.
#[tokio::test]
async fn a_new_connection_that_is_closed_too_is_the_last_one() {
    let server = SmtpServer::builder()
        .behave(|seen| {
            let hangs_up = seen.step == Step::Sender && (seen.connection, seen.email) != (1, 1);
            hangs_up.then_some(Act::Close)
        })
        .start()
        .unwrap();
    let smtp = to(&server).build().unwrap();
    assert!(is_accepted(&send_one(&smtp, 0).await.unwrap()));
    let outcome = send_one(&smtp, 1).await.unwrap();
    assert!(matches!(outcome, Outcome::Deferred { scope: Scope::Recipient, .. }), "{outcome:?}");
    assert_eq!((server.connections(), server.emails().len()), (2, 1));
}

/// Later than the sender the server has seen the email, and a silence is no sign of a stale connection.
#[tokio::test]
async fn what_fails_later_is_not_tried_again() {
    for (act, step) in [(Act::Close, Step::Recipient), (Act::Close, Step::Data), (Act::Silence, Step::Sender)]
    {
        let server = SmtpServer::builder()
            .behave(move |seen| ((seen.email, seen.step) == (2, step)).then(|| act.clone()))
            .start()
            .unwrap();
        let smtp = to(&server).build().unwrap();
        let outcomes = send_many(&smtp, 0..2).await;
        assert!(matches!(outcomes[1], Outcome::Deferred { .. }), "{outcomes:?}");
        assert_eq!((server.connections(), smtp.resting_connections()), (1, 0), "a broken connection is kept");
    }
}

#[tokio::test]
async fn a_lost_answer_on_a_kept_connection_is_not_repeated() {
    let server = SmtpServer::builder()
        .behave(|seen| ((seen.email, seen.step) == (2, Step::End)).then_some(Act::TakeThenClose))
        .start()
        .unwrap();
    let smtp = to(&server).build().unwrap();
    let outcomes = send_many(&smtp, 0..3).await;
    assert_eq!(outcomes[1], Outcome::Unknown { stage: Stage::AwaitingAnswer });
    assert!(is_accepted(&outcomes[0]) && is_accepted(&outcomes[2]));
    assert_eq!(server.emails().len(), 3, "a mail was sent twice");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_connection_in_the_middle_of_a_mail() {
    let server = SmtpServer::builder()
        .behave(|seen| ((seen.connection, seen.step) == (1, Step::End)).then_some(Act::Silence))
        .start()
        .unwrap();
    let smtp = to(&server).connections(1).build().unwrap();
    let cut = tokio::time::timeout(Duration::from_millis(200), send_one(&smtp, 0)).await;
    assert!(cut.is_err());
    assert_eq!(smtp.resting_connections(), 0);
    assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn closing_says_goodbye_and_waits_for_nobody() {
    let server = good();
    let smtp = to(&server).build().unwrap();
    send_one(&smtp, 0).await.unwrap();
    smtp.close().await;
    assert_eq!(server.lines().last().map(String::as_str), Some("QUIT"));
    assert_eq!(smtp.resting_connections(), 0);
    let error = send_one(&smtp, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.leaves_doubt()), (mkt_connect::ErrorKind::Cancelled, false));

    let server = at(Step::Quit, Act::Silence);
    let smtp = to(&server).build().unwrap();
    send_one(&smtp, 0).await.unwrap();
    let begun = std::time::Instant::now();
    smtp.close().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_check_does_not_make_a_connection_too_many() {
    let server = good();
    let smtp = to(&server).connections(1).build().unwrap();
    send_one(&smtp, 0).await.unwrap();
    assert_eq!(smtp.resting_connections(), 1);
    smtp.check().await.unwrap();
    assert_eq!(
        (server.connections(), smtp.resting_connections()),
        (2, 0),
        "one rested while another was made"
    );
    assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
}

/// OpenSMTPD: 100 emails on a connection, then 452 to the sender; a new connection is served at once.
#[tokio::test]
async fn limit_of_emails_per_connection_costs_one_reconnect_and_no_email() {
    let server = SmtpServer::builder()
        .behave(|seen: &Seen| {
            let over = seen.step == Step::Sender && seen.email > 10;
            over.then(|| Act::reply("452 4.5.3 Too many recipients: Too many messages sent"))
        })
        .start()
        .unwrap();
    let smtp = to(&server).connections(1).build().unwrap();
    let outcomes = send_many(&smtp, 0..35).await;
    assert!(outcomes.iter().all(is_accepted), "{outcomes:?}");
    assert_eq!((server.emails().len(), server.connections()), (35, 4));
}

/// The same reply on a new connection is about the account, and is not retried.
#[tokio::test]
async fn refused_sender_on_a_new_connection_is_not_retried() {
    let server = at(Step::Sender, Act::reply("452 4.5.3 Too many recipients: Too many messages sent"));
    let smtp = to(&server).build().unwrap();
    let outcome = send_one(&smtp, 0).await.unwrap();
    assert!(matches!(outcome, Outcome::Deferred { scope: Scope::Account, .. }), "{outcome:?}");
    assert_eq!(server.connections(), 1);
}

/// Postfix delays answers after 10 errors of a session and ends it at 20.
#[tokio::test]
async fn connection_is_replaced_before_postfix_slows_it_down() {
    let errors = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashMap::<usize, usize>::new()));
    let counted = std::sync::Arc::clone(&errors);
    let server = SmtpServer::builder()
        .behave(move |seen: &Seen| {
            if seen.step == Step::Recipient || seen.step == Step::Data {
                *counted.lock().unwrap().entry(seen.connection).or_default() += 1;
            }
            match seen.step {
                Step::Recipient => Some(Act::reply("550 5.1.1 unknown user")),
                Step::Data => Some(Act::reply("554 5.5.1 Error: no valid recipients")),
                _ => None,
            }
        })
        .start()
        .unwrap();
    let smtp = to(&server).connections(1).build().unwrap();
    let outcomes = send_many(&smtp, 0..60).await;
    assert!(outcomes.iter().all(|one| matches!(one, Outcome::Rejected { .. })), "{outcomes:?}");
    let errors = errors.lock().unwrap();
    assert!(errors.values().all(|count| *count <= 10), "{errors:?}");
    assert!(errors.len() >= 6, "{errors:?}");
}
