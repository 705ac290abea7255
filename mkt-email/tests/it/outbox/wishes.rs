//! What recipients wish: consent, suppression, and a change of mind at any moment.

use super::*;

on_each_engine!(
    marketing_mail_needs_consent_and_the_latest_word_counts,
    a_suppression_stops_what_its_scope_covers,
    who_unsubscribes_after_the_mail_was_enqueued_gets_none,
    a_wish_that_comes_in_between_two_calls_of_a_batch_is_heard,
    a_wish_is_heard_before_every_call_of_a_provider_that_knows_keys_too,
);

async fn marketing_mail_needs_consent_and_the_latest_word_counts(engine: Engine) {
    let outbox = engine.outbox().await;
    let later = |text: &str| instant(text);
    let word = |number: usize, granted, at| Consent { granted, at, ..consent(&reader(number)) };
    let records = [
        word(1, true, later("2025-01-15T00:00:00Z")),
        word(2, true, later("2025-01-15T00:00:00Z")),
        word(2, false, later("2025-06-01T00:00:00Z")),
        word(3, false, later("2025-01-15T00:00:00Z")),
        word(3, true, later("2025-06-01T00:00:00Z")),
        // A consent dated after the run has not been given yet.
        word(4, true, later("2027-01-01T00:00:00Z")),
        Consent { scope: ConsentScope::List("news".to_owned()), ..consent(&reader(5)) },
    ];
    assert_eq!(outbox.record_consents(&records).await.unwrap(), 7);
    assert_eq!(outbox.record_consents(&records).await.unwrap(), 0);
    let mails: Vec<_> = (0..6).map(|number| marketing("test", &reader(number))).collect();
    let answers = outbox.enqueue(&mails, noon()).await.unwrap();
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
    let on_list = NewMail {
        purpose: Purpose::Marketing { list: Some("news".to_owned()) },
        ..marketing("list", &reader(5))
    };
    assert!(matches!(outbox.enqueue(&[on_list], noon()).await.unwrap()[0], Enqueued::Enqueued(_)));
    assert_eq!(counts(&outbox).await.suppressed, 4);
    // Asked again, a suppressed mail is reported as such.
    assert!(matches!(outbox.enqueue(&mails[..1], noon()).await.unwrap()[0], Enqueued::Suppressed(..)));
}

async fn a_suppression_stops_what_its_scope_covers(engine: Engine) {
    let outbox = engine.outbox().await;
    for number in 0..4 {
        outbox.record_consents(&[consent(&reader(number))]).await.unwrap();
    }
    let ended = Suppression { expires_at: Some(noon()), ..suppression(&reader(3), SuppressionScope::All) };
    outbox
        .suppress(&[
            suppression(&reader(0), SuppressionScope::All),
            suppression(&address("READER1@example.org"), SuppressionScope::Marketing),
            suppression(&reader(2), SuppressionScope::List("news".to_owned())),
            ended,
        ])
        .await
        .unwrap();
    let on_list = |number| NewMail {
        purpose: Purpose::Marketing { list: Some("news".to_owned()) },
        ..marketing("list", &reader(number))
    };
    let mut sent = Vec::new();
    for number in 0..4 {
        let mails =
            [transactional("receipt", &reader(number)), marketing("promo", &reader(number)), on_list(number)];
        let answers = outbox.enqueue(&mails, noon()).await.unwrap();
        sent.push(answers.map_enqueued());
    }
    assert_eq!(sent, [[false, false, false], [true, false, false], [true, true, false], [true, true, true]]);
    assert!(outbox.lift_suppression(&reader(0), &SuppressionScope::All).await.unwrap());
    assert!(!outbox.lift_suppression(&reader(0), &SuppressionScope::All).await.unwrap());
    let other = transactional("another", &reader(0));
    assert!(matches!(outbox.enqueue(&[other], noon()).await.unwrap()[0], Enqueued::Enqueued(_)));
}

async fn who_unsubscribes_after_the_mail_was_enqueued_gets_none(engine: Engine) {
    let (outbox, provider) = (engine.with(3).await, Memory::new());
    outbox.suppress(&[suppression(&reader(1), SuppressionScope::All)]).await.unwrap();
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.suppressed), (2, 1));
    assert_eq!(reached(&provider), ["reader0@example.org", "reader2@example.org"]);
}

/// The batch was claimed before the wish came in; the gate before the call still sees it. Without the gate in
/// `mark_sending` both tests fail.
async fn a_wish_that_comes_in_between_two_calls_of_a_batch_is_heard(engine: Engine) {
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

async fn a_wish_is_heard_before_every_call_of_a_provider_that_knows_keys_too(engine: Engine) {
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
