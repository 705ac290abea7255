//! Campaigns that are paused, resumed and tried out.

use super::*;
use mkt_email::outbox::Budget;

on_each_engine!(
    paused_campaign_waits_in_every_process,
    pause_between_two_calls_of_a_batch_applies,
    paused_campaign_can_be_cancelled,
    dry_run_predicts_the_run_and_changes_nothing,
);

async fn paused_campaign_waits_in_every_process(engine: Engine) {
    let place = engine.place().await;
    let (outbox, other, provider) = (place.open().await, place.open().await, Memory::new());
    fill(&outbox, 3).await;
    outbox.enqueue(&[transactional("other", &reader(9))], noon()).await.unwrap();
    assert!(outbox.pause("test", noon()).await.unwrap());
    assert!(!outbox.pause("test", noon()).await.unwrap());
    assert_eq!(other.paused().await.unwrap(), ["test"]);
    let report = other.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.next_due), (1, None));
    assert_eq!(reached(&provider), ["reader9@example.org"]);
    assert_eq!(counts(&outbox).await, Counts { recipients: 4, sent: 1, pending: 3, ..Counts::default() });
    assert!(other.resume("test").await.unwrap());
    assert!(!outbox.resume("test").await.unwrap());
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.delivered().len(), 4);
}

async fn pause_between_two_calls_of_a_batch_applies(engine: Engine) {
    let outbox = engine.with(4).await;
    let provider = Meddling::with(forgetful(), &outbox, Act::Pause, &clock());
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(counts(&outbox).await, Counts { recipients: 4, sent: 1, pending: 3, ..Counts::default() });
    outbox.resume("test").await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.inner.delivered().len(), 4);
}

async fn paused_campaign_can_be_cancelled(engine: Engine) {
    let (outbox, provider) = (engine.with(3).await, Memory::new());
    outbox.pause("test", noon()).await.unwrap();
    assert_eq!(outbox.cancel("test", noon()).await.unwrap(), 3);
    outbox.resume("test").await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((provider.calls(), counts(&outbox).await.cancelled), (0, 3));
}

async fn dry_run_predicts_the_run_and_changes_nothing(engine: Engine) {
    let outbox = engine.outbox().await;
    let mut capabilities = Memory::new().capabilities().clone();
    capabilities.features.remove(&Feature::Tags);
    capabilities.features.remove(&Feature::Attachments);
    capabilities.max_recipients = 4;
    let provider = Memory::with_capabilities(capabilities);
    let mut emails: Vec<_> = (0..10).map(|number| transactional("test", &reader(number))).collect();
    emails[0].expires_at = Some(noon());
    emails[1].not_before = Some(instant("2026-10-26T13:00:00Z"));
    emails.push(marketing("test", &reader(10)));
    emails.push(transactional("paused", &reader(11)));
    let built = |number: usize, tag: bool| {
        let builder = mkt_email::Message::builder(
            "Shop <news@example.com>".parse().unwrap(),
            reader(number).into(),
            "Hello".parse().unwrap(),
        )
        .text("Hello")
        .html("<p>Hello</p>");
        let file = Attachment::new("a.txt".parse().unwrap(), "text/plain", b"a".as_slice()).unwrap();
        let builder = if tag { builder.tag("t".parse().unwrap()) } else { builder.attach(file) };
        let key = DedupKey::for_address("test", &reader(number));
        NewEmail::transactional(key, builder.build().unwrap())
    };
    emails.extend([built(12, true), built(13, false)]);
    outbox.record_consents(&[consent(&reader(10))]).await.unwrap();
    outbox.enqueue(&emails, noon()).await.unwrap();
    // The marketing email was welcome when it was enqueued.
    outbox.suppress(&[suppression(&reader(10), SuppressionScope::Marketing)]).await.unwrap();
    outbox.pause("paused", noon()).await.unwrap();
    let mut options = RunOptions::default();
    options.degrade = mkt_email::provider::Degrade::of([Feature::Tags]);
    options.budgets = vec![Budget::emails(100, Duration::from_hours(24))];
    let before = counts(&outbox).await;
    let told = outbox.dry_run(&provider, noon(), &options).await.unwrap();
    assert_eq!((told.sent, told.calls, told.expired, told.later, told.paused), (9, 3, 1, 1, 1));
    assert_eq!(
        told.suppressed.clone().into_iter().collect::<Vec<_>>(),
        [("suppressed: unsubscribed".to_owned(), 1)]
    );
    assert_eq!(
        told.refused.clone().into_iter().collect::<Vec<_>>(),
        [("attachments not supported".to_owned(), 1)]
    );
    assert_eq!(told.degraded.clone().into_iter().collect::<Vec<_>>(), [(Feature::Tags, 1)]);
    assert_eq!((told.damaged, told.unknown, told.room, told.not_before), (0, 0, Some(100), None));
    assert_eq!((provider.calls(), counts(&outbox).await), (0, before));
    assert_eq!(outbox.dry_run(&provider, noon(), &options).await.unwrap(), told);

    let report = outbox.run(&provider, &clock(), &options).await.unwrap();
    assert_eq!((report.accepted, report.expired, report.suppressed, report.rejected), (9, 1, 1, 1));
    assert_eq!(report.degraded.into_iter().collect::<Vec<_>>(), [(Feature::Tags, 1)]);
    let tagged =
        provider.delivered().into_iter().find(|email| email.message.to().address == reader(12)).unwrap();
    assert!(tagged.message.tags().is_empty());
    assert_eq!(provider.calls(), 3);
}
