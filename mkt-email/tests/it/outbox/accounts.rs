//! What the account of a provider asks for: pauses, throttling, an end.

use super::*;

on_each_engine!(
    pause_starts_at_the_answer_and_lasts_at_least_a_second,
    rate_limit_uses_up_no_attempts,
    account_pause_holds_for_every_run,
    rate_limited_call_pauses_the_account,
    unusable_provider_ends_the_run_and_loses_nothing,
    emails_not_offered_use_up_no_attempt,
    unreachable_server_is_reported_before_the_run_waits,
);

async fn pause_starts_at_the_answer_and_lasts_at_least_a_second(engine: Engine) {
    let (outbox, clock) = (engine.with(2).await, clock());
    let provider = Meddling::with(Memory::new(), &outbox, Act::Nothing, &clock);
    provider.inner.fail_next_call(ErrorKind::RateLimited, Delivery::Answered);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(report.next_due, Some(instant("2026-10-26T12:01:06Z")));

    for scope in [Scope::Account, Scope::Recipient] {
        let (outbox, provider) = (engine.with(1).await, Memory::new());
        provider.script(&reader(0), Script::Defer { wait: Duration::ZERO, scope });
        let report = outbox.run(&provider, &self::clock(), &RunOptions::default()).await.unwrap();
        assert_eq!(report.next_due, Some(instant("2026-10-26T12:00:01Z")), "{scope:?}");
    }
}

async fn rate_limit_uses_up_no_attempts(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(1).await, Memory::new(), clock());
    for _ in 0..3 {
        provider.fail_next_call(ErrorKind::RateLimited, Delivery::Answered);
    }
    provider.script(&reader(0), Script::Defer { wait: Duration::from_secs(1), scope: Scope::Recipient });
    let mut options = RunOptions::default();
    options.max_attempts = 2;
    options.wait_up_to = Duration::from_secs(3600);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.deferred, report.accepted, report.rejected), (1, 1, 0));
}

async fn account_pause_holds_for_every_run(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(5).await, forgetful(), clock());
    provider.script(&reader(1), Script::Defer { wait: Duration::from_secs(60), scope: Scope::Account });
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.deferred, provider.calls()), (1, 1, 2));
    assert_eq!(report.next_due, Some(instant("2026-10-26T12:01:00Z")));
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(provider.calls(), 2);
    clock.advance(Duration::from_secs(60));
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(provider.delivered().len(), 5);
}

async fn rate_limited_call_pauses_the_account(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(5).await, Memory::new(), clock());
    provider.fail_next_call(ErrorKind::RateLimited, Delivery::Answered);
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.next_due), (0, Some(instant("2026-10-26T12:01:00Z"))));
    assert_eq!(counts(&outbox).await.pending, 5);
}

async fn unusable_provider_ends_the_run_and_loses_nothing(engine: Engine) {
    let (outbox, provider) = (engine.with(5).await, Memory::new());
    provider.fail_next_call(ErrorKind::Auth, Delivery::Answered);
    let error = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(counts(&outbox).await, Counts { recipients: 5, pending: 5, ..Counts::default() });
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.delivered().len(), 5);
}

/// Puts the first email of its first two calls off, and does not come to the others.
#[derive(Debug)]
struct GivesUpEarly(Memory);

#[async_trait]
impl EmailProvider for GivesUpEarly {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let mut outcomes = self.0.send(group).await?;
        if let Outcome::Deferred { retry_at, detail, .. } = outcomes[0].clone() {
            outcomes[1..].fill(Outcome::NotOffered { retry_at, detail });
        }
        Ok(outcomes)
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn emails_not_offered_use_up_no_attempt(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(3).await, GivesUpEarly(forgetful_groups()), clock());
    for _ in 0..2 {
        provider.0.script(&reader(0), Script::Defer { wait: Duration::from_secs(5), scope: Scope::Account });
    }
    let mut options = RunOptions::default();
    options.max_attempts = 2;
    options.wait_up_to = Duration::from_secs(60);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    // The first email was put off twice, which is once too often; the others were offered once, after the two rests.
    assert_eq!((report.deferred, report.rejected, report.accepted), (1, 1, 2));
    assert_eq!(clock.now(), instant("2026-10-26T12:00:10Z"));
    assert_eq!(counts(&outbox).await, Counts { recipients: 3, sent: 2, failed: 1, ..Counts::default() });
}

/// Takes calls of a hundred emails and remembers no key.
fn forgetful_groups() -> Memory {
    let mut capabilities = Memory::new().capabilities().clone();
    capabilities.idempotency = Idempotency::None;
    Memory::with_capabilities(capabilities)
}

async fn unreachable_server_is_reported_before_the_run_waits(engine: Engine) {
    let (outbox, provider, clock) = (engine.with(2).await, Memory::new(), clock());
    provider.fail_next_call(ErrorKind::Unavailable, Delivery::NotSent);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (writer, at) = (Arc::clone(&seen), clock.clone());
    let mut options = RunOptions::default()
        .on_interruption(move |stop| writer.lock().unwrap().push((at.now(), stop.clone())));
    options.wait_up_to = Duration::from_secs(3600);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let [(when, interruption)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((*when, interruption.kind), (noon(), Some(ErrorKind::Unavailable)));
    assert_eq!(interruption.until, Some(instant("2026-10-26T12:01:00Z")));
    assert!(interruption.reason.contains("scripted failure"), "{interruption:?}");
    assert_eq!((report.accepted, report.interruption.as_ref()), (2, Some(interruption)));

    // A run that begins during the pause reports the recorded reason.
    let (outbox, provider, clock) = (engine.with(2).await, Memory::new(), self::clock());
    provider.fail_next_call(ErrorKind::Unavailable, Delivery::NotSent);
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(report.interruption.map(|stop| stop.reason), Some(interruption.reason.clone()));
}

#[tokio::test]
async fn refused_connection_is_reported_with_its_cause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outbox = crate::help::outbox_with(2).await;
    let smtp = mkt_email::Smtp::builder("127.0.0.1").port(port).unencrypted().build().unwrap();
    let brevo = mkt_email::Brevo::builder(mkt_connect::Secret::new("key"))
        .base_url(&format!("http://127.0.0.1:{port}"))
        .build()
        .unwrap();
    for provider in [&smtp as &dyn EmailProvider, &brevo] {
        let report = outbox.run(provider, &clock(), &RunOptions::default()).await.unwrap();
        let interruption = report.interruption.unwrap();
        assert_eq!(interruption.kind, Some(ErrorKind::Unavailable));
        assert!(interruption.reason.to_lowercase().contains("refused"), "{interruption:?}");
        assert!(!interruption.reason.contains("reader"), "{interruption:?}");
    }
    assert_eq!(counts(&outbox).await.pending, 2);
}
