//! Consents and suppressions, also while a run is in progress.

use super::*;

on_each_engine!(
    marketing_email_needs_consent_and_the_latest_counts,
    suppression_stops_its_scope,
    unsubscribed_after_enqueueing_is_not_sent_to,
    suppression_between_two_calls_of_a_batch_applies,
    suppression_applies_before_every_call_with_keys_too,
    unsubscribe_link_stops_further_emails,
    unsubscribed_before_marking_is_not_sent_to,
);

/// Two workers race with people who leave. What is not marked when `suppress` has returned is never sent.
async fn unsubscribed_before_marking_is_not_sent_to(engine: Engine) {
    const COUNT: usize = 300;
    let place = engine.place().await;
    let (outbox, provider) = (place.open().await, forgetful());
    fill(&outbox, COUNT).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (outbox, provider) = (place.open().await, Slow(provider.clone(), Duration::from_millis(5)));
        workers.spawn(async move {
            let mut options = RunOptions::default();
            (options.batch, options.calls_in_flight) = (40, 3);
            outbox.run(&provider, &SystemClock::new(), &options).await.unwrap();
        });
    }
    let mut random = SplitMix64::seed_from_u64(5);
    let mut stopped = Vec::new();
    for _ in 0..COUNT / 2 {
        let who = reader(random.random_range(0..COUNT));
        outbox.suppress(&[suppression(&who, SuppressionScope::All)]).await.unwrap();
        let there = outbox.enqueue(&[transactional("test", &who)], noon()).await.unwrap();
        if matches!(
            there[0],
            Enqueued::Suppressed(..) | Enqueued::AlreadyThere(_, State::Pending | State::Claimed)
        ) {
            stopped.push(who.as_str().to_owned());
        }
    }
    workers.join_all().await;
    assert!(stopped.len() > 10, "{}: nobody left in time", stopped.len());
    let reached = reached(&provider);
    let wronged: Vec<_> = stopped.iter().filter(|who| reached.contains(who)).collect();
    assert!(wronged.is_empty(), "{wronged:?}");
}

async fn unsubscribe_link_stops_further_emails(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, Memory::new());
    let keys = UnsubscribeKeys::new(&mkt_connect::Secret::new("24 bytes or more from a key store")).unwrap();
    let base = "https://shop.example/leave".parse().unwrap();
    outbox.record_consents(&[consent(&reader(0)), consent(&reader(1)), consent(&reader(2))]).await.unwrap();
    for claim in [
        UnsubscribeClaim::marketing(&reader(0), "spring"),
        UnsubscribeClaim::list(&reader(1), "news", "spring"),
    ] {
        let link = keys.link(&base, &claim).unwrap();
        let claim = keys.verify_link(link.link(), noon()).unwrap();
        outbox.unsubscribe(&claim, noon()).await.unwrap();
        outbox.unsubscribe(&claim, noon()).await.unwrap();
    }
    let list = |number: usize, list: &str| {
        let purpose = Purpose::Marketing { list: Some(list.to_owned()) };
        let mut email = marketing(list, &reader(number));
        email.purpose = purpose;
        email
    };
    let emails = [0, 1, 2].map(|number| [list(number, "news"), list(number, "offers")]).concat();
    outbox.enqueue(&emails, noon()).await.unwrap();
    outbox.enqueue(&[transactional("receipt", &reader(0))], noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let mut reached = reached(&provider);
    reached.sort();
    assert_eq!(reached, [0, 1, 2, 2].map(|number| reader(number).as_str().to_owned()));
    // The list that goes out names them by their key, and comes in again.
    let (mut out, other) = (Vec::new(), engine.outbox().await);
    assert_eq!(outbox.export_suppressions(&mut out, noon()).await.unwrap(), 2);
    let file = mkt_email::outbox::Suppressions::read(out.as_slice(), "export.csv", noon()).unwrap();
    assert_eq!(other.import_suppressions(file).await.unwrap().added, 2);
}

async fn marketing_email_needs_consent_and_the_latest_counts(engine: Engine) {
    let outbox = engine.outbox().await;
    let later = |text: &str| instant(text);
    let word = |number: usize, granted, at| match granted {
        true => Consent::granted(reader(number), at, "inscrits.csv"),
        false => Consent::withdrawn(reader(number), at, "inscrits.csv"),
    };
    let records = [
        word(1, true, later("2025-01-15T00:00:00Z")),
        word(2, true, later("2025-01-15T00:00:00Z")),
        word(2, false, later("2025-06-01T00:00:00Z")),
        word(3, false, later("2025-01-15T00:00:00Z")),
        word(3, true, later("2025-06-01T00:00:00Z")),
        // A consent dated after the run has not been given yet.
        word(4, true, later("2027-01-01T00:00:00Z")),
        consent(&reader(5)).for_list("news"),
    ];
    assert_eq!(outbox.record_consents(&records).await.unwrap(), 7);
    assert_eq!(outbox.record_consents(&records).await.unwrap(), 0);
    let emails: Vec<_> = (0..6).map(|number| marketing("test", &reader(number))).collect();
    let answers = outbox.enqueue(&emails, noon()).await.unwrap();
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Enqueued::Enqueued(_) => assert!([1, 3].contains(&number), "{number}"),
            Enqueued::Suppressed(_, reason) => {
                assert!([0, 2, 4, 5].contains(&number), "{number}");
                assert_eq!(reason, "no consent");
            }
            Enqueued::AlreadyThere(..) => panic!("{number}"),
        }
    }
    let on_list = on_news_list(marketing("list", &reader(5)));
    assert!(matches!(outbox.enqueue(&[on_list], noon()).await.unwrap()[0], Enqueued::Enqueued(_)));
    assert_eq!(counts(&outbox).await.suppressed, 4);
    // Asked again, a suppressed email is reported as such.
    assert!(matches!(outbox.enqueue(&emails[..1], noon()).await.unwrap()[0], Enqueued::Suppressed(..)));
}

async fn suppression_stops_its_scope(engine: Engine) {
    let outbox = engine.outbox().await;
    for number in 0..4 {
        outbox.record_consents(&[consent(&reader(number))]).await.unwrap();
    }
    let ended = suppression(&reader(3), SuppressionScope::All).until(noon());
    outbox
        .suppress(&[
            suppression(&reader(0), SuppressionScope::All),
            suppression(&address("READER1@example.org"), SuppressionScope::Marketing),
            suppression(&reader(2), SuppressionScope::List("news".to_owned())),
            ended,
        ])
        .await
        .unwrap();
    let on_list = |number| on_news_list(marketing("list", &reader(number)));
    let mut sent = Vec::new();
    for number in 0..4 {
        let emails =
            [transactional("receipt", &reader(number)), marketing("promo", &reader(number)), on_list(number)];
        let answers = outbox.enqueue(&emails, noon()).await.unwrap();
        sent.push(answers.map_enqueued());
    }
    assert_eq!(sent, [[false, false, false], [true, false, false], [true, true, false], [true, true, true]]);
    assert!(outbox.lift_suppression(&reader(0), &SuppressionScope::All).await.unwrap());
    assert!(!outbox.lift_suppression(&reader(0), &SuppressionScope::All).await.unwrap());
    let other = transactional("another", &reader(0));
    assert!(matches!(outbox.enqueue(&[other], noon()).await.unwrap()[0], Enqueued::Enqueued(_)));
}

async fn unsubscribed_after_enqueueing_is_not_sent_to(engine: Engine) {
    let (outbox, provider) = (engine.with(3).await, Memory::new());
    outbox.suppress(&[suppression(&reader(1), SuppressionScope::All)]).await.unwrap();
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.suppressed), (2, 1));
    assert_eq!(reached(&provider), ["reader0@example.org", "reader2@example.org"]);
}

/// The batch was claimed before the wish came in; the gate before the call still sees it. Without the gate in
/// `mark_sending` both tests fail.
async fn suppression_between_two_calls_of_a_batch_applies(engine: Engine) {
    for (act, expected) in [
        (Act::Suppress, Counts { recipients: 4, sent: 3, suppressed: 1, ..Counts::default() }),
        (Act::Cancel, Counts { recipients: 4, sent: 1, cancelled: 3, ..Counts::default() }),
    ] {
        let outbox = engine.with(4).await;
        let provider = Meddling::with(forgetful(), &outbox, act, &clock());
        outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
        assert_eq!(counts(&outbox).await, expected, "{act:?}");
        assert_eq!(provider.inner.delivered().len() as u64, expected.sent, "{act:?}");
    }
}

async fn suppression_applies_before_every_call_with_keys_too(engine: Engine) {
    for (act, expected) in [
        (Act::Suppress, Counts { recipients: 4, sent: 3, suppressed: 1, ..Counts::default() }),
        (Act::Cancel, Counts { recipients: 4, sent: 1, cancelled: 3, ..Counts::default() }),
    ] {
        let (outbox, clock) = (engine.with(4).await, clock());
        let provider = Meddling::with(one_by_one(), &outbox, act, &clock);
        outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
        assert_eq!(counts(&outbox).await, expected, "{act:?}");
        assert_eq!(provider.inner.delivered().len() as u64, expected.sent, "{act:?}");
    }
}

trait MapEnqueued {
    fn map_enqueued(&self) -> [bool; 3];
}

impl MapEnqueued for Vec<Enqueued> {
    fn map_enqueued(&self) -> [bool; 3] {
        [0, 1, 2].map(|at| matches!(self[at], Enqueued::Enqueued(_)))
    }
}

fn on_news_list(mut email: NewEmail) -> NewEmail {
    email.purpose = Purpose::Marketing { list: Some("news".to_owned()) };
    email
}
