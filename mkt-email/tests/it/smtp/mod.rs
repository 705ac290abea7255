//! The SMTP provider against a server that keeps state and misbehaves on request, against TLS with certificates made
//! here, and against real servers where they are installed.

mod auth;
mod bodies;
mod faults;
mod kept;
mod real;
mod tls;

use crate::help::{noon, reader};
use mkt_connect::{Error, Secret};
use mkt_email::provider::{Group, Outgoing, RejectReason, Scope, Stage};
use mkt_email::testing::smtp::{Act, Seen, SmtpServer, Step};
use mkt_email::testing::{Fault, Fixture, start};
use mkt_email::{
    EmailAddress, EmailProvider, IdempotencyKey, ManualClock, Message, Outcome, Smtp, SmtpBuilder, Timeouts,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Shorter than a test's patience, longer than loopback needs on a busy machine.
const PATIENCE: Duration = Duration::from_millis(1_500);

fn to(server: &SmtpServer) -> SmtpBuilder {
    Smtp::builder("127.0.0.1").port(server.port()).unencrypted().timeouts(Timeouts::all(PATIENCE))
}

fn good() -> SmtpServer {
    SmtpServer::builder().start().unwrap()
}

/// A server that does this at this step, always.
fn at(step: Step, act: Act) -> SmtpServer {
    SmtpServer::builder().behave(move |seen| (seen.step == step).then(|| act.clone())).start().unwrap()
}

fn message(number: usize) -> Message {
    crate::help::message(&reader(number))
}

fn outgoing(number: usize, message: Message) -> Outgoing {
    Outgoing { key: IdempotencyKey::from_text(&format!("smtp {number}")), message: Arc::new(message) }
}

fn group(numbers: std::ops::Range<usize>) -> Group {
    Group::new(noon(), numbers.map(|number| outgoing(number, message(number))).collect())
}

async fn send_one(smtp: &Smtp, number: usize) -> Result<Outcome, Error> {
    smtp.send(&group(number..number + 1)).await.map(|mut outcomes| outcomes.pop().unwrap())
}

fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

fn addresses(server: &SmtpServer) -> Vec<EmailAddress> {
    server.emails().iter().flat_map(|email| email.to.clone()).map(|to| to.parse().unwrap()).collect()
}

/// What a fault is in this protocol. Throttling and refused credentials concern one email, the others every email until
/// the next fault.
fn disturbance(seen: &Seen, next: &mut Option<Fault>) -> Option<Act> {
    let fault = (*next)?;
    let (step, act) = match fault {
        Fault::LostRequest => (Step::End, Act::Close),
        Fault::LostAnswer => (Step::End, Act::TakeThenClose),
        Fault::CutAnswer => (Step::End, Act::TakeThenRaw(b"250 2.0.0 que".to_vec())),
        Fault::GarbledAnswer => (Step::End, Act::TakeThenRaw(b"queued, canary\r\n".to_vec())),
        Fault::Throttled(0) => (Step::Sender, Act::reply("421 4.7.0 try again after 120 seconds")),
        Fault::Throttled(1) => {
            (Step::Recipient, Act::reply("450 4.2.1 Peak SMTP relay limit exceeded for customer"))
        }
        Fault::Throttled(2) => (Step::Data, Act::reply("451 4.7.28 unusual rate of mail")),
        Fault::Throttled(3) => (Step::End, Act::reply("550 5.4.5 Daily SMTP relay limit exceeded for user")),
        Fault::Unauthorised => (Step::Sender, Act::reply("530 5.7.0 Authentication Required")),
        _ => return None,
    };
    if seen.step != step {
        return None;
    }
    if matches!(fault, Fault::Throttled(_) | Fault::Unauthorised) {
        *next = None;
    }
    Some(act)
}

/// A server that can be disturbed, and that names whom it refuses.
fn fixture(extensions: &[&str], builder: impl Fn(&SmtpServer) -> SmtpBuilder) -> Fixture {
    let (fault, refused) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::<EmailAddress>::new())));
    let (next, bad) = (Arc::clone(&fault), Arc::clone(&refused));
    let server = SmtpServer::builder()
        .extensions(extensions)
        .behave(move |seen| {
            let named = |address: &&EmailAddress| seen.line.contains(&format!("<{}>", address.as_str()));
            match bad.lock().unwrap().iter().find(named).filter(|_| seen.step == Step::Recipient) {
                Some(address) => Some(Act::Reply(format!("550 5.1.1 <{}> is unknown", address.as_str()))),
                None => disturbance(seen, &mut next.lock().unwrap()),
            }
        })
        .start()
        .unwrap();
    let smtp = builder(&server).build().unwrap();
    Fixture::new(smtp, move || addresses(&server))
        .with_clock(ManualClock::new(start()))
        .with_refusals(move |address| refused.lock().unwrap().push(address.clone()))
        .with_faults(move |asked| {
            *fault.lock().unwrap() = Some(asked);
            // A 5yz is a refusal here, and there is no gateway.
            !matches!(asked, Fault::BadGateway | Fault::ServerError | Fault::Throttled(4..))
        })
}

const EXTENSIONS: [&str; 3] = ["PIPELINING", "8BITMIME", "SIZE 10485760"];

mkt_email::provider_conformance!(contract, || fixture(&EXTENSIONS, to));
mkt_email::provider_conformance!(contract_with_several_mails_to_the_call, || {
    fixture(&EXTENSIONS, |server| to(server).mails_per_call(20).labels_in_headers())
});
mkt_email::provider_conformance!(contract_without_extensions, || fixture(&[], to));

#[tokio::test]
async fn what_arrives_is_what_was_built_with_the_envelope_it_belongs_to() {
    let server = good();
    let smtp = to(&server).bounces_to("bounces@shop.example".parse().unwrap()).build().unwrap();
    let outcome = send_one(&smtp, 1).await.unwrap();
    let key = IdempotencyKey::from_text("smtp 1");
    assert_eq!(outcome, Outcome::Accepted { id: message(1).message_id(key) });
    let emails = server.emails();
    assert_eq!(emails.len(), 1);
    assert_eq!(
        (emails[0].from.as_str(), emails[0].to.as_slice()),
        ("bounces@shop.example", &["reader1@example.org".to_owned()][..])
    );
    assert_eq!(emails[0].bytes, message(1).to_mime(key, noon()).unwrap());
    assert_eq!(emails[0].parameters, format!("SIZE={}", emails[0].bytes.len()));
}

#[tokio::test]
async fn without_a_bounce_address_the_sender_gets_the_bounces() {
    let server = good();
    send_one(&to(&server).build().unwrap(), 1).await.unwrap();
    assert_eq!(server.emails()[0].from, "news@example.com");
}

#[tokio::test]
async fn a_mail_is_two_round_trips_where_the_server_takes_commands_at_once() {
    let server = good();
    let smtp = to(&server).build().unwrap();
    send_one(&smtp, 1).await.unwrap();
    assert_eq!(server.lines().len(), 4, "{:?}", server.lines());
    assert!(server.lines()[1].starts_with("MAIL FROM:<") && server.lines()[3] == "DATA");
}

#[tokio::test]
async fn labels_are_refused_unless_recipients_may_see_them() {
    let labelled = |number| {
        Message::builder("news@example.com".parse().unwrap(), reader(number).into(), "Hello".parse().unwrap())
            .text("Hello")
            .tag("welcome".parse().unwrap())
            .metadata("person", "7")
            .build()
            .unwrap()
    };
    let server = good();
    let smtp = to(&server).build().unwrap();
    assert_eq!(smtp.plan(&[&labelled(1)], noon()).refused[0].to_string(), "tags not supported");
    let smtp = to(&server).labels_in_headers().build().unwrap();
    assert!(smtp.plan(&[&labelled(1)], noon()).refused.is_empty());
    smtp.send(&Group::new(noon(), vec![outgoing(1, labelled(1))])).await.unwrap();
    let email = mail_parser::MessageParser::default().parse(&server.emails()[0].bytes).unwrap().into_owned();
    assert_eq!(email.header("X-Mkt-Tag").unwrap().as_text(), Some("welcome"));
    assert_eq!(email.header("X-Mkt-Meta-person").unwrap().as_text(), Some("7"));
}

#[tokio::test]
async fn a_mail_beyond_the_servers_size_is_refused_without_a_word_to_it() {
    let server = SmtpServer::builder().extensions(&["PIPELINING", "SIZE 400"]).start().unwrap();
    let outcome = send_one(&to(&server).build().unwrap(), 1).await.unwrap();
    assert!(matches!(outcome, Outcome::Rejected { reason: RejectReason::TooLarge, .. }), "{outcome:?}");
    assert_eq!(server.lines().len(), 1, "{:?}", server.lines());
}

#[tokio::test]
async fn one_bad_recipient_does_not_sink_the_others_of_a_call() {
    for extensions in [&["PIPELINING"][..], &[]] {
        let server = SmtpServer::builder()
            .extensions(extensions)
            .behave(|seen| {
                let bad = seen.step == Step::Recipient && seen.line.contains("reader1@");
                bad.then(|| Act::reply("550 5.1.1 <reader1@example.org>: no such user"))
            })
            .start()
            .unwrap();
        let outcomes = to(&server).mails_per_call(3).build().unwrap().send(&group(0..3)).await.unwrap();
        let detail = "550 5.1.1 … no such user".to_owned();
        assert_eq!(outcomes[1], Outcome::Rejected { reason: RejectReason::InvalidAddress, detail });
        assert!(is_accepted(&outcomes[0]) && is_accepted(&outcomes[2]), "{outcomes:?}");
        assert_eq!(addresses(&server), [reader(0), reader(2)]);
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_check_logs_in_and_sends_nothing() {
    let server = SmtpServer::builder().user("shop", "canary-password").start().unwrap();
    let login = |password| {
        to(&server).login("shop", Secret::new(password)).credentials_in_the_clear().build().unwrap()
    };
    login("canary-password").check().await.unwrap();
    let verbs: Vec<_> = server.lines().iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(verbs, ["EHLO", "AUTH", "NOOP", "QUIT"]);
    let error = login("wrong").check().await.unwrap_err();
    assert_eq!(error.kind(), mkt_connect::ErrorKind::Auth);
}

#[tokio::test]
async fn settling_knows_nothing() {
    let smtp = to(&good()).build().unwrap();
    assert_eq!(
        smtp.settle(&group(0..2)).await.unwrap(),
        vec![mkt_email::provider::Settlement::StillUnknown; 2]
    );
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent_and_the_call_may_be_repeated() {
    let server = good();
    let builder = to(&server);
    drop(server);
    // The listener closes when its task has ended.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = send_one(&builder.build().unwrap(), 1).await.unwrap_err();
    assert!(error.is_retryable() && !error.leaves_doubt(), "{error:?}");
}

#[test]
fn urls_say_where_and_how() {
    let built = |url: &str| Smtp::from_url(&Secret::new(url)).and_then(SmtpBuilder::build);
    for (url, account, security) in [
        ("smtps://mail.example.com", "smtp:mail.example.com:465", "Implicit"),
        ("smtps://u%40x:p%3A@mail.example.com:4650/", "smtp:mail.example.com:4650#", "Implicit"),
        ("smtp://Mail.Example.com", "smtp:mail.example.com:587", "StartTls"),
        ("smtp://mail.example.com:25?tls=required", "smtp:mail.example.com:25", "StartTls"),
        ("smtp://mail.example.com?tls=none", "smtp:mail.example.com:25", "Unencrypted"),
        ("smtp://[::1]:2525?tls=none", "smtp:::1:2525", "Unencrypted"),
        ("smtp://u:p@localhost?tls=none", "smtp:localhost:25#", "Unencrypted"),
        ("smtp://u:p@127.0.0.1?tls=none", "smtp:127.0.0.1:25#", "Unencrypted"),
    ] {
        let smtp = built(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(smtp.account().starts_with(account), "{url}: {}", smtp.account());
        assert!(format!("{smtp:?}").contains(security), "{url}: {smtp:?}");
    }
    for url in [
        "",
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtps:///x",
        "smtp://h/path",
        "smtp://canary@h",
        "smtp://:canary@h",
        "smtp://h?tls=maybe",
        "smtps://h?tls=none",
        "smtp://h?canary=1",
        "smtp://u:canary@mail.example.com?tls=none",
        "smtp://u:can%0Aary@h",
        "smtp://u:can%00ary@h",
        "smtp://u:canary%ff@h",
        "smtp://u:canary@10.0.0.1?tls=none",
        "smtp://canary h/",
        "smtp://u:canary@h:99999",
    ] {
        let error = built(url).unwrap_err();
        assert_eq!(error.kind(), mkt_connect::ErrorKind::Config, "{url}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn provider_debug_shows_no_person() {
    let builder = Smtp::gmail("canary@gmail.com", Secret::new("canary canary"));
    let smtp = builder.clone().build().unwrap();
    let other = Smtp::gmail("other@gmail.com", Secret::new("canary canary")).build().unwrap();
    let shown = format!("{builder:?} {smtp:?} {:#?} {}", smtp, smtp.account());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(smtp.account() != other.account() && smtp.account().starts_with("smtp:smtp.gmail.com:465#"));
}

#[test]
fn a_name_for_ehlo_that_would_forge_a_command_is_refused() {
    for name in ["", "a b", "a\r\nMAIL FROM:<>", "é"] {
        assert!(Smtp::builder("h").unencrypted().hello_name(name).build().is_err(), "{name}");
    }
    for host in ["", "a b", "h\r\n"] {
        assert!(Smtp::builder(host).unencrypted().build().is_err(), "{host}");
    }
}

/// What the outbox makes of it: nobody is lost, nobody is mailed twice, and a lost answer stays unknown.
#[tokio::test]
async fn an_outbox_sends_everybody_one_mail_over_smtp() {
    let server = SmtpServer::builder()
        .behave(|seen| match (seen.step, seen.email) {
            (Step::End, 7) => Some(Act::TakeThenClose),
            (Step::Recipient, _) if seen.line.contains("reader3@") => Some(Act::reply("550 5.1.1 unknown")),
            _ => None,
        })
        .start()
        .unwrap();
    let smtp = to(&server).build().unwrap();
    let outbox = crate::help::outbox_with(20).await;
    let report = outbox.run(&smtp, &crate::help::clock(), &mkt_email::RunOptions::default()).await.unwrap();
    let counts = outbox.counts(None).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (counts.sent, 1));
    // Emails 7 and 14 of the two connections were taken without an answer.
    assert_eq!((counts.recipients, counts.sent, counts.failed, counts.unknown), (20, 17, 1, 2), "{counts:?}");
    let mut reached = addresses(&server);
    assert_eq!(reached.len(), 19);
    reached.sort_by_key(|address| address.as_str().to_owned());
    reached.dedup();
    assert_eq!(reached.len(), 19, "somebody was mailed twice");
}
