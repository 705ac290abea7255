//! A mailbox is read into an outbox: who is meant, what follows, and what a forged message changes.

use super::fixture;
use crate::engines::{Engine, on_each_engine};
use crate::help::{clock, consent, marketing, noon, reader, transactional};
use mkt_email::bounce::{
    FeedbackReader, FeedbackReport, FeedbackSource, MaildirSource, Mark, MboxSource, RawMessage,
    ReturnPathKeys,
};
use mkt_email::event::EventKind;
use mkt_email::message::ListUnsubscribe;
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{Delivered, Memory, Outbox, RunOptions, Secret, Stop};
use std::collections::BTreeMap;

on_each_engine!(
    bounce_suppresses_the_recipient_of_its_email,
    second_run_records_nothing_again,
    report_that_leads_to_no_email_changes_nothing,
    signed_return_path_leads_to_the_email,
    complaint_suppresses_and_delay_does_not,
    lost_answer_is_found_by_its_attempt,
    signed_email_to_the_mailto_unsubscribes,
    forwarded_email_is_a_bounce_of_its_recipient,
    message_stays_unread_until_it_is_recorded,
);

/// An outbox that has sent an email to each of `count` readers, and the emails as they were sent.
async fn sent(engine: Engine, count: usize) -> (Outbox, Vec<Delivered>) {
    let (outbox, provider) = (engine.with(count).await, Memory::new());
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let mut delivered = provider.delivered();
    delivered.sort_by_key(|email| email.message.to().address.as_str().to_owned());
    (outbox, delivered)
}

fn message_id(email: &Delivered) -> String {
    email.message.message_id(email.key)
}

/// The recorded bounce of a server, as it would be about this email.
fn bounce_of(email: &Delivered, name: &str) -> Vec<u8> {
    let text = String::from_utf8(fixture(name)).unwrap();
    let id = text.lines().rev().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned();
    let recipient = ["unknown1@sink.test", "full1@sink.test", "plain1@sink.test", "spam9@sink.test"];
    let text =
        recipient.iter().fold(text, |text, old| text.replace(old, email.message.to().address.as_str()));
    text.replace(&id, &message_id(email)).into_bytes()
}

fn mbox(messages: &[Vec<u8>]) -> MboxSource {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend(b"From MAILER-DAEMON Mon Nov 30 23:32:21 2026\n");
        bytes.extend(String::from_utf8_lossy(message).replace("\nFrom ", "\n>From ").into_bytes());
        bytes.extend(b"\n\n");
    }
    MboxSource::new(std::io::Cursor::new(bytes))
}

async fn read(outbox: &Outbox, messages: &[Vec<u8>]) -> FeedbackReport {
    read_with(&FeedbackReader::new(), outbox, messages).await
}

async fn read_with(reader: &FeedbackReader, outbox: &Outbox, messages: &[Vec<u8>]) -> FeedbackReport {
    let report = reader.read(outbox, &mut mbox(messages), &clock(), &Stop::new()).await.unwrap();
    assert_eq!(
        report.read,
        report.bounces + report.complaints + report.unsubscribes + report.ignored,
        "{report:?}"
    );
    assert_eq!(report.bounces, report.hard + report.soft, "{report:?}");
    report
}

/// The kinds of the events of each recipient.
async fn events(outbox: &Outbox) -> BTreeMap<String, Vec<EventKind>> {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for stored in outbox.events_after(0, 1_000).await.unwrap().events {
        let who = stored.event.address().map(|address| address.as_str().to_owned()).unwrap_or_default();
        kinds.entry(who).or_default().push(stored.event.kind);
    }
    kinds
}

async fn suppressed(outbox: &Outbox) -> Vec<String> {
    let mut out = Vec::new();
    outbox.export_suppressions(&mut out, noon()).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    (0..20)
        .map(|number| reader(number).as_str().to_owned())
        .filter(|address| text.contains(address))
        .collect()
}

async fn bounce_suppresses_the_recipient_of_its_email(engine: Engine) {
    let (outbox, delivered) = sent(engine, 5).await;
    let names = [
        "postfix-remote-unknown",
        "exim-remote-full",
        "opensmtpd-remote-unknown",
        "exim-product-spam9",
        "postfix-remote-plain",
    ];
    let bounces: Vec<_> = delivered.iter().zip(names).map(|(email, name)| bounce_of(email, name)).collect();
    let report = read(&outbox, &bounces).await;
    assert_eq!((report.read, report.hard, report.soft, report.blocked, report.matched), (5, 3, 2, 1, 5));
    assert_eq!((report.known, report.ignored), (0, 0));
    assert_eq!(
        suppressed(&outbox).await,
        ["reader0@example.org", "reader2@example.org", "reader4@example.org"]
    );
    let kinds = events(&outbox).await;
    assert_eq!(kinds["reader1@example.org"], [EventKind::SoftBounce]);
    assert_eq!(kinds["reader3@example.org"], [EventKind::Blocked]);
    let page = outbox.events_after(0, 1_000).await.unwrap();
    let codes: Vec<_> = page.events.iter().map(|stored| stored.event.code.clone().unwrap()).collect();
    assert_eq!(codes, ["5.1.1", "5.2.2", "5.1.1", "5.7.1", "550"]);
    assert!(page.events.iter().all(|stored| stored.event.campaign.as_deref() == Some("test")));
}

async fn second_run_records_nothing_again(engine: Engine) {
    let (outbox, delivered) = sent(engine, 2).await;
    let bounces: Vec<_> = delivered.iter().map(|email| bounce_of(email, "exim-remote-unknown")).collect();
    read(&outbox, &bounces).await;
    let before = events(&outbox).await;
    let again = read(&outbox, &[bounces.clone(), bounces].concat()).await;
    assert_eq!((again.bounces, again.matched, again.known), (4, 4, 4));
    assert_eq!(events(&outbox).await, before);
}

async fn report_that_leads_to_no_email_changes_nothing(engine: Engine) {
    let (outbox, delivered) = sent(engine, 1).await;
    let bounce = String::from_utf8(bounce_of(&delivered[0], "postfix-remote-unknown")).unwrap();
    let id = message_id(&delivered[0]);
    // Another email's id, the right key at another domain, and none at all: the address alone proves nothing.
    let elsewhere = bounce.replace(&id, &id.replace("@example.com", "@shop.example"));
    let foreign = bounce.replace(&id, "<344ef9e1-9dce-838f-8df6-f6a9229146cb@example.com>");
    let none = bounce.replace("Message-ID: ", "X-Id: ");
    let report = read(&outbox, &[elsewhere, foreign, none].map(String::into_bytes)).await;
    assert_eq!((report.bounces, report.hard, report.matched), (3, 3, 0));
    assert!(suppressed(&outbox).await.is_empty() && events(&outbox).await.is_empty());
    // Nor does a Message-ID where only signatures count.
    let report = read_with(&FeedbackReader::new().signed_only(), &outbox, &[bounce.into_bytes()]).await;
    assert_eq!((report.bounces, report.matched), (1, 0));
}

fn return_paths() -> ReturnPathKeys {
    let secret = Secret::new("a secret of at least 24 bytes");
    ReturnPathKeys::new(&"bounces@shop.example".parse().unwrap(), &secret).unwrap()
}

async fn signed_return_path_leads_to_the_email(engine: Engine) {
    let (outbox, delivered) = sent(engine, 2).await;
    let path = return_paths().path(delivered[1].key);
    // Nothing of the email is returned.
    let bounce = format!(
        "From: MAILER-DAEMON@mx.example\nTo: {path}\nSubject: failure notice\n\n\
         Hi. This is the qmail-send program at mx.example.\n\n<reader1@example.org>:\nno mailbox here. (#5.1.1)\n"
    );
    let forged = bounce.replace("bounces+", "bounces+a");
    let forged = forged.replace(&forged[forged.find("+a").unwrap() + 3..][..1], "");
    let reader = FeedbackReader::new().return_paths(return_paths()).signed_only();
    let report = read_with(&reader, &outbox, &[forged.into_bytes()]).await;
    assert_eq!((report.bounces, report.matched), (1, 0));
    let report = read_with(&reader, &outbox, &[bounce.into_bytes()]).await;
    assert_eq!((report.hard, report.matched), (1, 1));
    assert_eq!(suppressed(&outbox).await, ["reader1@example.org"]);
}

async fn complaint_suppresses_and_delay_does_not(engine: Engine) {
    let (outbox, delivered) = sent(engine, 3).await;
    let complaint = format!(
        "From: abuse@isp.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
         --b\n\nAbuse.\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n\
         --b\nContent-Type: text/rfc822-headers\n\nMessage-ID: {}\n--b--\n",
        message_id(&delivered[0])
    );
    let delay = String::from_utf8(bounce_of(&delivered[1], "postfix-remote-full")).unwrap();
    let delay = delay.replace("Action: failed", "Action: delayed");
    let reply = format!(
        "From: reader2@example.org\nSubject: Automatic reply: Hello\nIn-Reply-To: {}\n\nAway.\n",
        message_id(&delivered[2])
    );
    let letter = "From: reader2@example.org\nSubject: Hello\n\nHello\n".to_owned();
    let report = read(&outbox, &[complaint, delay, reply, letter].map(String::into_bytes)).await;
    assert_eq!((report.complaints, report.ignored, report.delayed, report.auto_replies), (1, 3, 1, 1));
    assert_eq!((report.bounces, report.matched), (0, 1));
    assert_eq!(suppressed(&outbox).await, ["reader0@example.org"]);
    let kinds = events(&outbox).await;
    assert_eq!(kinds["reader1@example.org"], [EventKind::Deferred]);
    assert_eq!(kinds["reader2@example.org"], [EventKind::AutoReplied]);
}

async fn lost_answer_is_found_by_its_attempt(engine: Engine) {
    let place = engine.place().await;
    let outbox = place.open().await;
    outbox.enqueue(&[transactional("test", &reader(0))], noon()).await.unwrap();
    let provider = Memory::new();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let email = provider.delivered().remove(0);
    // The process died before the answer was recorded.
    let key = email.key.to_string();
    place.execute("UPDATE mail_outbox SET state = 'unknown', provider_message_id = NULL").await;
    if engine == Engine::Sqlite {
        let pool = sqlx::SqlitePool::connect(&place.url).await.unwrap();
        sqlx::query("UPDATE mail_outbox SET idempotency_key = $1").bind(key).execute(&pool).await.unwrap();
        pool.close().await;
    } else {
        #[cfg(feature = "postgres")]
        {
            let pool = sqlx::PgPool::connect(&place.url).await.unwrap();
            sqlx::query("UPDATE mail_outbox SET idempotency_key = $1")
                .bind(key)
                .execute(&pool)
                .await
                .unwrap();
            pool.close().await;
        }
    }
    let report = read(&outbox, &[bounce_of(&email, "postfix-remote-unknown")]).await;
    assert_eq!((report.hard, report.matched), (1, 1));
    assert_eq!(suppressed(&outbox).await, ["reader0@example.org"]);
}

async fn signed_email_to_the_mailto_unsubscribes(engine: Engine) {
    let outbox = engine.outbox().await;
    let keys = UnsubscribeKeys::new(&Secret::new("a secret of at least 24 bytes")).unwrap();
    let claim = UnsubscribeClaim::list(&reader(0), "tea", "spring");
    let link = ListUnsubscribe::one_click("https://shop.example/leave?u=x".parse().unwrap()).unwrap();
    let header =
        keys.with_mailto(link, "leave@shop.example".parse().unwrap(), &claim).unwrap().header_value();
    let mailto = header.split("<mailto:").nth(1).unwrap().trim_end_matches('>');
    let (to, subject) = mailto.split_once("?subject=").unwrap();
    assert_eq!(to, "leave@shop.example");
    // Folded, as a mail program may do. The sender's address is somebody else's.
    let subject = subject.replace("%20", "\n ");
    let email =
        |subject: &str| format!("From: eve@example.org\nTo: {to}\nSubject: {subject}\n\n").into_bytes();
    let altered = subject.replacen(&subject[40..41], if &subject[40..41] == "A" { "B" } else { "A" }, 1);
    let reader_with_keys = FeedbackReader::new().unsubscribe_keys(keys);
    let report = read_with(&reader_with_keys, &outbox, &[email(&altered), email("unsubscribe")]).await;
    assert_eq!((report.unsubscribes, report.matched), (2, 0));
    let report = read_with(&reader_with_keys, &outbox, &[email(&subject)]).await;
    assert_eq!((report.unsubscribes, report.matched), (1, 1));
    outbox.record_consents(&[consent(&reader(0))]).await.unwrap();
    let mut email = marketing("summer", &reader(0));
    email.purpose = mkt_email::outbox::Purpose::Marketing { list: Some("tea".to_owned()) };
    let state = outbox.enqueue(&[email], noon()).await.unwrap();
    assert!(format!("{state:?}").contains("Suppressed"), "{state:?}");
}

async fn forwarded_email_is_a_bounce_of_its_recipient(engine: Engine) {
    let (outbox, delivered) = sent(engine, 2).await;
    let forwarded = String::from_utf8(fixture("postfix-remote-unknown")).unwrap();
    let id = "<fact-1796081539.9346058@mkt.test>";
    let one = forwarded.replace(id, &message_id(&delivered[0]));
    // A list with several members: that one of them is gone says nothing about the list.
    let group = "\nFinal-Recipient: rfc822; other@sink.test\nAction: failed\nStatus: 5.1.1\n";
    let several = forwarded.replace(id, &message_id(&delivered[1]));
    let several = several.replacen(
        "\n--E40403E1.1796081539/mx.mkt.test\nContent-Description: Undelivered Message Headers",
        group,
        1,
    );
    let several =
        several.replacen("    5.1.1 see https://sink.example/help\n", &format!("    5.1.1\n{group}"), 1);
    let report = read(&outbox, &[one, several].map(String::into_bytes)).await;
    assert_eq!((report.hard, report.soft, report.matched), (1, 1, 2));
    assert_eq!(suppressed(&outbox).await, ["reader0@example.org"]);
}

/// Fails to mark, as if the process had died before.
#[derive(Debug)]
struct Dies(MaildirSource);

#[async_trait::async_trait]
impl FeedbackSource for Dies {
    async fn read(&mut self, most: usize) -> mkt_email::Result<Vec<RawMessage>> {
        self.0.read(most).await
    }

    async fn mark(&mut self, _: &[(String, Mark)]) -> mkt_email::Result<()> {
        Err(mkt_email::Error::new(mkt_email::ErrorKind::Cancelled, "test", "die"))
    }
}

async fn message_stays_unread_until_it_is_recorded(engine: Engine) {
    let (outbox, delivered) = sent(engine, 1).await;
    let directory = tempfile::tempdir().unwrap();
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir(directory.path().join(folder)).unwrap();
    }
    let bounce = bounce_of(&delivered[0], "postfix-remote-unknown");
    std::fs::write(directory.path().join("new/1.a"), bounce).unwrap();
    std::fs::write(directory.path().join("new/2.a"), fixture("exim-nowhere")).unwrap();
    let open = || MaildirSource::open(directory.path()).unwrap();
    let (reader, clock, stop) = (FeedbackReader::new(), clock(), Stop::new());
    // A closed outbox records nothing, and marks nothing.
    let closed = engine.outbox().await;
    closed.clone().close().await;
    assert!(reader.read(&closed, &mut open(), &clock, &stop).await.is_err());
    assert!(directory.path().join("new/1.a").exists());
    assert!(reader.read(&outbox, &mut Dies(open()), &clock, &stop).await.is_err());
    let report = reader.read(&outbox, &mut open(), &clock, &stop).await.unwrap();
    assert_eq!((report.read, report.matched, report.known), (2, 1, 1));
    // What leads to no email of ours is flagged for a person.
    assert!(directory.path().join("cur/1.a:2,S").exists() && directory.path().join("cur/2.a:2,FS").exists());
    assert_eq!(reader.read(&outbox, &mut open(), &clock, &stop).await.unwrap(), FeedbackReport::default());
    assert_eq!(events(&outbox).await["reader0@example.org"], [EventKind::HardBounce]);
}
