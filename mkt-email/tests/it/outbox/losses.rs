//! Lost answers: unknown, settled, or sent again by choice.

use super::*;

on_each_engine!(
    answer_that_proves_nothing_leaves_emails_unknown,
    lost_answer_is_settled_by_key,
    call_without_an_answer_is_settled,
    lost_answer_without_idempotency_is_never_resent,
    forgotten_key_is_not_asked_about,
    lost_email_of_a_cancelled_campaign_is_not_resent,
    at_least_once_email_is_resent_after_a_lost_answer,
    marketing_email_is_never_sent_twice,
    suppressed_email_is_not_settled_by_sending,
    email_left_out_of_settling_is_not_asked_about_later,
    paused_account_is_not_asked_about_lost_answers,
    server_error_leaves_one_unknown_and_others_are_sent,
    retry_after_of_a_server_error_is_obeyed,
    three_server_errors_in_a_row_end_the_run,
    lost_answer_is_looked_up_by_a_run_that_may_wait,
);

/// Settles by sending again under the same keys, as Brevo does.
#[derive(Debug)]
struct AsksBySending {
    inner: Memory,
    capabilities: Capabilities,
}

impl AsksBySending {
    fn new() -> Self {
        let inner = Memory::new();
        let mut capabilities = inner.capabilities().clone();
        capabilities.settles_by_sending = true;
        Self { inner, capabilities }
    }
}

#[async_trait]
impl EmailProvider for AsksBySending {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        self.inner.send(group).await
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        Ok(self.inner.send(group).await?.into_iter().map(Settlement::Known).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The call was lost before it arrived: asking sends its emails now, and somebody has left in between.
async fn suppressed_email_is_not_settled_by_sending(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, AsksBySending::new());
    let mut emails: Vec<_> = (0..4).map(|number| transactional("test", &reader(number))).collect();
    emails.extend([transactional("paused", &reader(4)), transactional("cancelled", &reader(5))]);
    emails[2].expires_at = Some(instant("2026-10-26T12:00:30Z"));
    outbox.enqueue(&emails, noon()).await.unwrap();
    // The run itself asks once.
    provider.inner.fail_next_call(ErrorKind::Protocol, Delivery::Answered);
    provider.inner.fail_next_call(ErrorKind::Protocol, Delivery::Answered);
    let clock = clock();
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(counts(&outbox).await.unknown, 6);

    outbox.suppress(&[suppression(&reader(1), SuppressionScope::All)]).await.unwrap();
    outbox.pause("paused", noon()).await.unwrap();
    outbox.cancel("cancelled", noon()).await.unwrap();
    clock.advance(Duration::from_secs(30));
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(reached(&provider.inner), ["reader0@example.org", "reader3@example.org"]);
    assert_eq!(counts(&outbox).await, Counts { recipients: 6, sent: 2, unknown: 4, ..Counts::default() });
}

/// Remembers calls and not emails, as Brevo does: a key that it has seen is "arrived", whatever the call holds.
#[derive(Debug, Default)]
struct KnowsCalls {
    inner: Memory,
    seen: Mutex<Vec<mkt_email::IdempotencyKey>>,
    capabilities: std::sync::OnceLock<Capabilities>,
}

#[async_trait]
impl EmailProvider for KnowsCalls {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        self.capabilities.get_or_init(|| AsksBySending::new().capabilities)
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        if self.seen.lock().unwrap().contains(&group.key()) {
            return Ok(vec![Outcome::Accepted { id: "seen".to_owned() }; group.emails().len()]);
        }
        let outcomes = self.inner.send(group).await?;
        self.seen.lock().unwrap().push(group.key());
        Ok(outcomes)
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        Ok(self.send(group).await?.into_iter().map(Settlement::Known).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn email_left_out_of_settling_is_not_asked_about_later(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, KnowsCalls::default());
    let emails = [transactional("test", &reader(0)), transactional("paused", &reader(1))];
    outbox.enqueue(&emails, noon()).await.unwrap();
    provider.inner.fail_next_call(ErrorKind::Protocol, Delivery::Answered);
    provider.inner.fail_next_call(ErrorKind::Protocol, Delivery::Answered);
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    outbox.pause("paused", noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    outbox.resume("paused").await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(reached(&provider.inner), ["reader0@example.org"]);
    assert_eq!(counts(&outbox).await, Counts { recipients: 2, sent: 1, unknown: 1, ..Counts::default() });
}

async fn paused_account_is_not_asked_about_lost_answers(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(2).await, AsksBySending::new(), clock());
    let mut options = RunOptions::default();
    options.batch = 1;
    provider.inner.script(&reader(0), Script::LoseRequest);
    provider.inner.script(&reader(1), Script::Defer { wait: Duration::from_secs(60), scope: Scope::Account });
    outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((counts(&outbox).await.unknown, provider.inner.calls()), (1, 2));
    outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!(provider.inner.calls(), 2);
    // A run that waits for the pause to end asks then.
    options.wait_up_to = Duration::from_secs(60);
    outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!(provider.inner.delivered().len(), 2);
}

async fn answer_that_proves_nothing_leaves_emails_unknown(engine: Engine) {
    for kind in [ErrorKind::Unavailable, ErrorKind::Protocol, ErrorKind::Other] {
        let (outbox, provider) = (engine.with(3).await, forgetful());
        provider.fail_next_call(kind, Delivery::Answered);
        let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
        assert_eq!((report.unknown, report.accepted), (1, 2), "{kind:?}");
        assert_eq!(report.interruption.unwrap().kind, Some(kind));
        assert_eq!(counts(&outbox).await.unknown, 1, "{kind:?}");
    }
}

async fn lost_answer_is_settled_by_key(engine: Engine) {
    let (outbox, provider) = (engine.with(5).await, Memory::new());
    provider.script(&reader(1), Script::LoseAnswer);
    provider.script(&reader(2), Script::LoseRequest);
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.unknown, report.settled), (5, 2, 2));
    assert_eq!(counts(&outbox).await.sent, 5);
    let mut reached = reached(&provider);
    reached.sort();
    reached.dedup();
    assert_eq!((reached.len(), provider.delivered().len()), (5, 5));
}

async fn call_without_an_answer_is_settled(engine: Engine) {
    let (outbox, provider) = (engine.with(5).await, Memory::new());
    provider.fail_next_call(ErrorKind::Unavailable, Delivery::Unknown);
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.settled, provider.delivered().len()), (5, 5));
    assert_eq!(counts(&outbox).await.sent, 5);
}

async fn lost_answer_without_idempotency_is_never_resent(engine: Engine) {
    let (outbox, provider) = (engine.with(3).await, forgetful());
    provider.script(&reader(1), Script::LoseAnswer);
    for _ in 0..3 {
        outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    }
    assert_eq!(counts(&outbox).await, Counts { recipients: 3, sent: 2, unknown: 1, ..Counts::default() });
    assert_eq!(provider.delivered().len(), 3);
}

async fn forgotten_key_is_not_asked_about(engine: Engine) {
    let mut capabilities = Memory::new().capabilities().clone();
    capabilities.idempotency = Idempotency::Key { within: Some(Duration::from_secs(5)) };
    let (outbox, clock) = (engine.with(1).await, clock());
    // Every call takes six seconds.
    let provider = Meddling::with(Memory::with_capabilities(capabilities), &outbox, Act::Nothing, &clock);
    provider.inner.fail_next_call(ErrorKind::Unavailable, Delivery::Unknown);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.settled, provider.inner.calls()), (0, 1));
    assert_eq!(counts(&outbox).await.unknown, 1);
}

async fn lost_email_of_a_cancelled_campaign_is_not_resent(engine: Engine) {
    let (outbox, clock) = (engine.with(2).await, clock());
    let provider = Meddling::with(Memory::new(), &outbox, Act::Cancel, &clock);
    provider.inner.fail_next_call(ErrorKind::Protocol, Delivery::Answered);
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(counts(&outbox).await, Counts { recipients: 2, cancelled: 2, ..Counts::default() });
    assert_eq!(provider.inner.delivered().len(), 0);
}

/// Answers calls with prepared errors, then as the in-memory provider does; one email per call.
#[derive(Debug)]
struct Failing {
    inner: Memory,
    errors: Mutex<Vec<mkt_connect::Error>>,
    clock: ManualClock,
    called_at: Mutex<Vec<chrono::DateTime<chrono::Utc>>>,
}

impl Failing {
    fn with(inner: Memory, clock: &ManualClock, errors: Vec<mkt_connect::Error>) -> Self {
        Self { inner, errors: Mutex::new(errors), clock: clock.clone(), called_at: Mutex::default() }
    }
}

fn server_error() -> mkt_connect::Error {
    mkt_connect::Error::new(ErrorKind::Unavailable, "vendor", "send")
        .delivered(Delivery::Answered)
        .with_status(500)
        .with_detail("HTTP 500")
}

#[async_trait]
impl EmailProvider for Failing {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        self.called_at.lock().unwrap().push(self.clock.now());
        let error = self.errors.lock().unwrap().pop();
        match error {
            Some(error) => Err(error),
            None => self.inner.send(group).await,
        }
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        self.inner.settle(group).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn server_error_leaves_one_unknown_and_others_are_sent(engine: Engine) {
    // Without idempotency: the email of the failed call stays unknown.
    let (outbox, clock) = (engine.with(3).await, clock());
    let provider = Failing::with(forgetful(), &clock, vec![server_error()]);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.unknown, report.settled), (2, 1, 0));
    assert_eq!(provider.called_at.lock().unwrap().len(), 3);

    // With keys: it is settled in the same run.
    let (outbox, clock) = (engine.with(3).await, self::clock());
    let provider = Failing::with(one_by_one(), &clock, vec![server_error()]);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.unknown, report.settled), (3, 1, 1));
    assert_eq!(counts(&outbox).await.sent, 3);
}

async fn retry_after_of_a_server_error_is_obeyed(engine: Engine) {
    let wait = Duration::from_secs(40);
    for (patience, calls) in [(Duration::ZERO, 1), (Duration::from_secs(60), 3)] {
        let (outbox, clock) = (engine.with(3).await, clock());
        let provider = Failing::with(forgetful(), &clock, vec![server_error().with_retry_after(wait)]);
        let mut options = RunOptions::default();
        options.wait_up_to = patience;
        let report = outbox.run(&provider, &clock, &options).await.unwrap();
        let called_at = provider.called_at.lock().unwrap().clone();
        assert_eq!(called_at.len(), calls, "{patience:?}");
        assert!(called_at[1..].iter().all(|at| *at >= noon() + wait), "{called_at:?}");
        if calls == 1 {
            assert_eq!(report.next_due, Some(noon() + wait));
            assert_eq!(counts(&outbox).await.pending, 2);
        }
    }
}

async fn three_server_errors_in_a_row_end_the_run(engine: Engine) {
    let (outbox, clock) = (engine.with(5).await, clock());
    let provider = Failing::with(forgetful(), &clock, (0..9).map(|_| server_error()).collect());
    let error = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap_err();
    assert_eq!((error.status(), provider.called_at.lock().unwrap().len()), (Some(500), 3));
    assert_eq!(counts(&outbox).await, Counts { recipients: 5, unknown: 3, pending: 2, ..Counts::default() });
}

async fn lost_answer_is_looked_up_by_a_run_that_may_wait(engine: Engine) {
    let mut capabilities = one_by_one().capabilities().clone();
    capabilities.idempotency = Idempotency::LookUp { after: Duration::from_secs(1800) };
    let half_an_hour = Some(instant("2026-10-26T12:30:00Z"));

    let (outbox, clock) = (engine.with(3).await, clock());
    let memory = Memory::with_capabilities(capabilities);
    let provider = Failing::with(memory, &clock, vec![server_error()]);
    let mut options = RunOptions::default();
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.accepted, report.unknown, report.next_due), (2, 1, half_an_hour));

    options.wait_up_to = Duration::from_secs(3600);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.settled, report.accepted, report.next_due), (1, 1, None));
    assert_eq!((counts(&outbox).await.sent, Some(clock.now())), (3, half_an_hour));
}

async fn at_least_once_email_is_resent_after_a_lost_answer(engine: Engine) {
    let (outbox, provider, clock) = (engine.outbox().await, forgetful(), clock());
    let emails = [transactional("test", &reader(0)).at_least_once(), transactional("test", &reader(1))];
    outbox.enqueue(&emails, noon()).await.unwrap();
    for number in 0..2 {
        provider.script(&reader(number), Script::LoseAnswer);
    }
    let mut options = RunOptions::default();
    options.wait_up_to = Duration::from_secs(60);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.repeated, report.unknown), (1, 2));
    assert_eq!(counts(&outbox).await, Counts { recipients: 2, sent: 1, unknown: 1, ..Counts::default() });
    // It arrived twice, as its sender chose; under one key, so that a provider which knows keys would have noticed.
    let keys: Vec<_> = provider
        .delivered()
        .iter()
        .filter(|email| email.message.to().address == reader(0))
        .map(|email| email.key)
        .collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");

    // Not for ever.
    let (outbox, provider) = (engine.outbox().await, forgetful());
    outbox.enqueue(&emails[..1], noon()).await.unwrap();
    for _ in 0..20 {
        provider.script(&reader(0), Script::LoseAnswer);
    }
    options.max_attempts = 3;
    outbox.run(&provider, &self::clock(), &options).await.unwrap();
    assert_eq!((provider.calls(), counts(&outbox).await.unknown), (3, 1));
}

async fn marketing_email_is_never_sent_twice(engine: Engine) {
    let outbox = engine.outbox().await;
    outbox.record_consents(&[consent(&reader(0))]).await.unwrap();
    let email = marketing("test", &reader(0)).at_least_once();
    assert_eq!(outbox.enqueue(&[email], noon()).await.unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(counts(&outbox).await.recipients, 0);
}
