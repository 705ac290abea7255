//! The outbox in front of the vendors: nobody is lost, nobody is mailed twice, and one bad address spoils nothing,
//! however the vendor misbehaves.

use super::{common, rendered};
use crate::help::{noon, reader};
use mkt_connect::ErrorKind;
use mkt_email::testing::{FakeBrevo, FakeEmail, FakeMailgun, Fault};
use mkt_email::{
    Clock as _, Counts, DedupKey, EmailProvider, ManualClock, Message, NewEmail, Outbox, RunOptions,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

async fn outbox(messages: impl Iterator<Item = Message>) -> Outbox {
    let outbox = Outbox::in_memory().await.unwrap();
    let emails: Vec<_> = messages
        .map(|message| NewEmail::transactional(DedupKey::for_address("test", &message.to().address), message))
        .collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    outbox
}

/// Runs until nothing is left to do, as a cron job would: errors end a run, the next one comes five minutes later.
async fn run_until_done(outbox: &Outbox, provider: &dyn EmailProvider, clock: &ManualClock) -> Counts {
    let mut options = RunOptions::default();
    options.batch = 1000;
    for _ in 0..20 {
        let run = outbox.run(provider, clock, &options).await;
        let expected = [ErrorKind::Unavailable, ErrorKind::Protocol];
        assert!(run.as_ref().err().is_none_or(|error| expected.contains(&error.kind())), "{run:?}");
        let counts = outbox.counts(None).await.unwrap();
        if counts.pending + counts.unknown == 0 {
            return counts;
        }
        clock.advance(Duration::from_secs(300));
    }
    outbox.counts(None).await.unwrap()
}

fn by_recipient(emails: &[FakeEmail]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for email in emails {
        *all.entry(email.to.normalised()).or_default() += 1;
    }
    all
}

const COUNT: usize = 300;

/// Everybody but the readers who are refused, once.
fn assert_once(emails: &[FakeEmail], refused: &[usize]) {
    let wanted =
        (0..COUNT).filter(|number| !refused.contains(number)).map(|number| (reader(number).normalised(), 1));
    assert_eq!(by_recipient(emails), wanted.collect::<BTreeMap<_, _>>());
}

fn done(sent: u64, failed: u64) -> Counts {
    Counts { recipients: COUNT as u64, sent, failed, ..Counts::default() }
}

#[tokio::test]
async fn brevo_reaches_everybody_once_through_bad_addresses_lost_answers_and_throttling() {
    let faults = [
        Fault::LostAnswer,
        Fault::LostRequest,
        Fault::CutAnswer,
        Fault::GarbledAnswer,
        Fault::BadGateway,
        Fault::ServerError,
        Fault::Throttled(0),
        Fault::Throttled(1),
    ];
    for fault in faults {
        let clock = ManualClock::new(noon());
        let fake = FakeBrevo::start(Arc::new(clock.clone())).await.unwrap();
        let outbox = outbox((0..COUNT).map(rendered)).await;
        fake.refuse(&reader(7));
        fake.refuse(&reader(260));
        fake.inject(fault);
        fake.inject_every(std::num::NonZeroUsize::new(23).unwrap(), fault);
        let provider = fake.provider().build().unwrap();
        let counts = run_until_done(&outbox, &provider, &clock).await;
        assert_eq!(counts, done(298, 2), "{fault:?}");
        assert_once(&fake.delivered(), &[7, 260]);
        // Two bad ones of 300: about twice log2(300) calls more, and those that were disturbed.
        assert!(fake.calls() < 80, "{fault:?}: {} calls", fake.calls());
    }
}

#[tokio::test]
async fn brevo_is_not_asked_again_once_it_may_have_forgotten() {
    let clock = ManualClock::new(noon());
    let fake = FakeBrevo::start(Arc::new(clock.clone())).await.unwrap();
    let outbox = outbox((0..COUNT).map(rendered)).await;
    let provider = fake.provider().build().unwrap();
    // The run itself asks once.
    fake.inject(Fault::BadGateway);
    fake.inject(Fault::BadGateway);
    let mut options = RunOptions::default();
    options.batch = 1000;
    outbox.run(&provider, &clock, &options).await.unwrap();
    clock.advance(Duration::from_secs(15 * 60));
    outbox.run(&provider, &clock, &options).await.unwrap();
    let counts = outbox.counts(None).await.unwrap();
    assert_eq!((counts.unknown, counts.sent, fake.calls()), (COUNT as u64, 0, 2));
    assert_once(&fake.delivered(), &[]);
}

#[tokio::test]
async fn mailgun_reaches_everybody_once_through_bad_addresses_lost_answers_and_throttling() {
    let faults =
        [Fault::LostAnswer, Fault::LostRequest, Fault::CutAnswer, Fault::BadGateway, Fault::Throttled(1)];
    for fault in faults {
        let clock = ManualClock::new(noon());
        let fake = FakeMailgun::start(Arc::new(clock.clone())).await.unwrap();
        let outbox = outbox((0..COUNT).map(common)).await;
        fake.refuse(&reader(7));
        fake.inject(fault);
        fake.inject_every(std::num::NonZeroUsize::new(23).unwrap(), fault);
        let provider = fake.provider().build().unwrap();
        let counts = run_until_done(&outbox, &provider, &clock).await;
        assert_eq!(counts, done(299, 1), "{fault:?}");
        assert_once(&fake.delivered(), &[7]);
        assert!(fake.delivered().iter().all(|email| email.others_shown == 0));
        assert!(clock.now() > noon() || !matches!(fault, Fault::LostAnswer));
    }
}

/// The call never arrived: asking about it sends it. Whoever has left since is not asked about.
#[tokio::test]
async fn brevo_is_not_asked_about_who_has_left_since() {
    let clock = ManualClock::new(noon());
    let fake = FakeBrevo::start(Arc::new(clock.clone())).await.unwrap();
    let outbox = outbox((0..3).map(rendered)).await;
    // The run itself asks once.
    fake.inject(Fault::LostRequest);
    fake.inject(Fault::LostRequest);
    outbox.run(&fake.provider().build().unwrap(), &clock, &RunOptions::default()).await.unwrap();
    assert_eq!(outbox.counts(None).await.unwrap().unknown, 3);
    let left = mkt_email::outbox::Suppression::new(
        reader(1),
        mkt_email::outbox::SuppressionScope::All,
        mkt_email::outbox::SuppressionReason::Complaint,
        "test",
        noon(),
    );
    outbox.suppress(&[left]).await.unwrap();
    outbox.run(&fake.provider().build().unwrap(), &clock, &RunOptions::default()).await.unwrap();
    let counts = outbox.counts(None).await.unwrap();
    assert_eq!((counts.sent, counts.unknown), (2, 1));
    let reached = by_recipient(&fake.delivered());
    assert_eq!(reached.into_keys().collect::<Vec<_>>(), [reader(0), reader(2)].map(|to| to.normalised()));
}
