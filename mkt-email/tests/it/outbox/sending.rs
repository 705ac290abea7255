//! Sending: every email once, in its turn, whole.

use super::*;

on_each_engine!(
    second_run_sends_nothing,
    same_campaign_contact_and_entity_is_one_email,
    emails_wait_expire_and_are_sent_by_priority,
    email_that_expires_during_a_run_is_not_sent,
    deferred_email_is_sent_when_due,
    run_waits_on_its_clock,
    always_deferred_email_is_rejected_after_the_last_attempt,
    rejected_recipient_does_not_stop_the_others,
    unsupported_email_is_rejected_by_name_and_others_are_sent,
    attachments_are_stored_once_and_sent_whole,
    stopped_run_can_be_continued,
    only_the_given_campaign_is_sent,
    damaged_row_does_not_stop_the_others,
    run_claims_no_more_bytes_than_allowed,
    concurrent_calls_send_each_email_once,
    key_with_nul_is_refused_on_both_engines,
);

async fn second_run_sends_nothing(engine: Engine) {
    let (outbox, provider) = (engine.with(250).await, Memory::new());
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.next_due), (250, None));
    assert_eq!(counts(&outbox).await, Counts { recipients: 250, sent: 250, ..Counts::default() });

    let again = outbox.enqueue(&[transactional("test", &reader(3))], noon()).await.unwrap();
    let id = DedupKey::for_address("test", &reader(3)).id();
    assert_eq!(again, [Enqueued::AlreadyThere(id, State::Accepted)]);
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.delivered().len(), 250);
}

async fn same_campaign_contact_and_entity_is_one_email(engine: Engine) {
    let outbox = engine.outbox().await;
    let to = reader(1);
    let email = |key| NewEmail::transactional(key, message(&to));
    let answers = outbox
        .enqueue(
            &[
                email(DedupKey::new("relaunch", "7").about("cart 1")),
                email(DedupKey::new("relaunch", "7").about("cart 2")),
                email(DedupKey::new("relaunch", "7").about("cart 1")),
                email(DedupKey::new("relaunch-2", "7").about("cart 1")),
                email(DedupKey::for_address("welcome", &address("A@Example.org"))),
                email(DedupKey::for_address("welcome", &address("a@example.org"))),
            ],
            noon(),
        )
        .await
        .unwrap();
    let new: Vec<bool> = answers.iter().map(|answer| matches!(answer, Enqueued::Enqueued(_))).collect();
    assert_eq!(new, [true, true, false, true, true, false]);
    assert_eq!(counts(&outbox).await.recipients, 4);
}

async fn emails_wait_expire_and_are_sent_by_priority(engine: Engine) {
    let (outbox, provider, clock) = (engine.outbox().await, Memory::new(), clock());
    let mut emails: Vec<_> = (0..4).map(|number| transactional("test", &reader(number))).collect();
    emails[1].not_before = Some(instant("2026-10-26T13:00:00Z"));
    emails[2].expires_at = Some(noon());
    emails[3].priority = 5;
    outbox.enqueue(&emails, noon()).await.unwrap();
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.expired), (2, 1));
    assert_eq!(report.next_due, Some(instant("2026-10-26T13:00:00Z")));
    assert_eq!(reached(&provider), ["reader3@example.org", "reader0@example.org"]);
    assert_eq!(
        counts(&outbox).await,
        Counts { recipients: 4, sent: 2, failed: 1, pending: 1, ..Counts::default() }
    );
}

async fn email_that_expires_during_a_run_is_not_sent(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    let until = noon() + chrono::TimeDelta::seconds(3);
    let emails = [0, 1].map(|number| transactional("test", &reader(number)).expires_at(until));
    outbox.enqueue(&emails, noon()).await.unwrap();
    let provider = Meddling::with(forgetful(), &outbox, Act::Nothing, &clock);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.expired, provider.inner.calls()), (1, 1, 1));
}

async fn deferred_email_is_sent_when_due(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(2).await, Memory::new(), clock());
    let wait = Duration::from_secs(600);
    provider.script(&reader(1), Script::Defer { wait, scope: Scope::Recipient });
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.deferred), (1, 1));
    assert_eq!(report.next_due, Some(instant("2026-10-26T12:10:00Z")));
    assert_eq!(counts(&outbox).await.pending, 1);

    clock.advance(Duration::from_secs(599));
    assert_eq!(outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap().accepted, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap().accepted, 1);
    assert_eq!(provider.delivered().len(), 2);
}

async fn run_waits_on_its_clock(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(2).await, Memory::new(), clock());
    provider.script(&reader(1), Script::Defer { wait: Duration::from_secs(600), scope: Scope::Recipient });
    let mut options = RunOptions::default();
    options.wait_up_to = Duration::from_secs(3600);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.accepted, report.deferred), (2, 1));
    assert_eq!(clock.now(), instant("2026-10-26T12:10:00Z"));
}

async fn always_deferred_email_is_rejected_after_the_last_attempt(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(1).await, Memory::new(), clock());
    for _ in 0..10 {
        provider.script(&reader(0), Script::Defer { wait: Duration::from_secs(1), scope: Scope::Recipient });
    }
    let mut options = RunOptions::default();
    options.max_attempts = 3;
    options.wait_up_to = Duration::from_secs(3600);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.deferred, report.rejected, provider.calls()), (2, 1, 3));
    assert_eq!(counts(&outbox).await.failed, 1);
}

async fn rejected_recipient_does_not_stop_the_others(engine: Engine) {
    let (outbox, provider) = (engine.with(5).await, Memory::new());
    provider.script(&reader(2), Script::Reject(RejectReason::InvalidAddress));
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (4, 1));
    assert_eq!(counts(&outbox).await, Counts { recipients: 5, sent: 4, failed: 1, ..Counts::default() });
}

async fn unsupported_email_is_rejected_by_name_and_others_are_sent(engine: Engine) {
    let mut capabilities = forgetful().capabilities().clone();
    capabilities.features.remove(&Feature::Attachments);
    let (outbox, provider) = (engine.with(1).await, Memory::with_capabilities(capabilities));
    let to = reader(9);
    let file = Attachment::new("a.txt".parse().unwrap(), "text/plain", b"a".as_slice()).unwrap();
    let with_file = mkt_email::Message::builder(
        "news@example.com".parse().unwrap(),
        to.clone().into(),
        "Hello".parse().unwrap(),
    )
    .text("Hello")
    .attach(file)
    .build()
    .unwrap();
    let email = NewEmail::transactional(DedupKey::for_address("file", &to), with_file);
    outbox.enqueue(&[email], noon()).await.unwrap();
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (1, 1));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("send.ndjson");
    outbox.write_send_log(&log).await.unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("unsupported: attachments not supported"), "{text}");
}

async fn attachments_are_stored_once_and_sent_whole(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, Memory::new());
    let content: Vec<u8> = (0..=255).collect();
    for number in 0..3 {
        let to = reader(number);
        let file =
            Attachment::new("a.bin".parse().unwrap(), "application/octet-stream", content.clone()).unwrap();
        let email = mkt_email::Message::builder(
            "news@example.com".parse().unwrap(),
            to.clone().into(),
            "Hello".parse().unwrap(),
        )
        .text("Hello")
        .attach(file)
        .build()
        .unwrap();
        outbox
            .enqueue(&[NewEmail::transactional(DedupKey::for_address("file", &to), email)], noon())
            .await
            .unwrap();
    }
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    for email in provider.delivered() {
        assert_eq!(email.message.attachments()[0].content().as_ref(), content.as_slice());
    }
    assert_eq!(provider.delivered().len(), 3);
}

async fn stopped_run_can_be_continued(engine: Engine) {
    let (outbox, provider) = (engine.with(30).await, forgetful());
    let stop = Stop::default();
    let mut options = RunOptions::default();
    options.batch = 10;
    options.stop = stop.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let options = options.on_progress(move |report| {
        told.lock().unwrap().push(report.accepted);
        if report.accepted >= 20 {
            stop.request();
        }
    });
    let report = outbox.run(&provider, &clock(), &options).await.unwrap();
    assert!(report.stopped);
    assert_eq!(*seen.lock().unwrap(), [10, 20]);
    assert_eq!(counts(&outbox).await, Counts { recipients: 30, sent: 20, pending: 10, ..Counts::default() });
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.delivered().len(), 30);
}

async fn only_the_given_campaign_is_sent(engine: Engine) {
    let (outbox, provider) = (engine.with(2).await, Memory::new());
    outbox.enqueue(&[transactional("other", &reader(9))], noon()).await.unwrap();
    let mut options = RunOptions::default();
    options.campaign = Some("other".to_owned());
    outbox.run(&provider, &clock(), &options).await.unwrap();
    assert_eq!(reached(&provider), ["reader9@example.org"]);
    assert_eq!(outbox.counts(Some("other")).await.unwrap().sent, 1);
    assert_eq!(outbox.counts(Some("test")).await.unwrap().pending, 2);
}

/// A row that cannot be read is set aside; the others go.
async fn damaged_row_does_not_stop_the_others(engine: Engine) {
    let place = engine.place().await;
    let outbox = place.open().await;
    let emails: Vec<_> = (0..3).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    place
        .execute(
            r#"UPDATE mail_messages SET payload = '{"from":{"address":"a@b.org","name":"Eve\nBcc: x"},
                "to":{"address":"a@b.org","name":null},"subject":"x","text":"x"}'
              WHERE mail_id IN (SELECT id FROM mail_outbox WHERE recipient = 'reader1@example.org')"#,
        )
        .await;
    let provider = Memory::new();
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (2, 1));
    assert_eq!(counts(&outbox).await.failed, 1);
}

#[tokio::test]
async fn shared_attachments_count_once_against_the_byte_limit() {
    let (outbox, provider) = (Engine::Sqlite.outbox().await, Memory::new());
    let emails: Vec<_> = (0..10)
        .map(|number| {
            let to = reader(number);
            let content = vec![7; 1000];
            let file =
                Attachment::new("a.bin".parse().unwrap(), "application/octet-stream", content).unwrap();
            let builder = mkt_email::Message::builder(
                "news@example.com".parse().unwrap(),
                to.clone().into(),
                "Hello".parse().unwrap(),
            );
            let message = builder.text("Hello").attach(file).build().unwrap();
            NewEmail::transactional(DedupKey::for_address("file", &to), message)
        })
        .collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let mut options = RunOptions::default();
    // Two emails of some 1100 bytes fit, three do not.
    options.bytes = 3000;
    outbox.run(&provider, &clock(), &options).await.unwrap();
    assert_eq!(provider.calls(), 5);
    // Within a claim the content is in memory once, whoever carries it.
    let delivered = provider.delivered();
    let content = |at: usize| Arc::as_ptr(delivered[at].message.attachments()[0].content());
    assert_eq!(content(0), content(1));
}

async fn run_claims_no_more_bytes_than_allowed(engine: Engine) {
    let (outbox, provider) = (engine.with(20).await, Memory::new());
    let mut options = RunOptions::default();
    options.bytes = 1;
    outbox.run(&provider, &clock(), &options).await.unwrap();
    assert_eq!((provider.calls(), provider.delivered().len()), (20, 20));
}

/// Ends its calls in groups of four only: whoever makes them one after the other waits for ever.
#[derive(Debug)]
struct Crowd(Memory, tokio::sync::Barrier);

#[async_trait]
impl EmailProvider for Crowd {
    fn name(&self) -> &'static str {
        "crowd"
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let answer = self.0.send(group).await;
        self.1.wait().await;
        answer
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn concurrent_calls_send_each_email_once(engine: Engine) {
    let outbox = engine.with(40).await;
    let provider = Crowd(forgetful(), tokio::sync::Barrier::new(4));
    let mut options = RunOptions::default();
    options.calls_in_flight = 4;
    let (clock, limit) = (clock(), Duration::from_secs(30));
    let run = tokio::time::timeout(limit, outbox.run(&provider, &clock, &options));
    assert_eq!(run.await.expect("calls are made one after the other").unwrap().accepted, 40);
    let mut reached = reached(&provider.0);
    reached.sort();
    reached.dedup();
    assert_eq!((reached.len(), provider.0.delivered().len()), (40, 40));
}

async fn key_with_nul_is_refused_on_both_engines(engine: Engine) {
    let outbox = engine.outbox().await;
    let email = NewEmail::transactional(DedupKey::new("a\0b", "7"), message(&reader(1)));
    assert_eq!(outbox.enqueue(&[email], noon()).await.unwrap_err().kind(), ErrorKind::Input);
    // A provider's words are stored whatever they are.
    let provider = Memory::new();
    fill(&outbox, 1).await;
    provider.script(&reader(0), Script::Reject(RejectReason::Other));
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(counts(&outbox).await.failed, 1);
}
