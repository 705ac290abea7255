//! Events: kept once each, with the suppressions that follow, whatever the order and repetition.

use super::*;
use chrono::TimeDelta;
use mkt_email::event::{EmailEvent, EventKind, OpenedBy};
use mkt_email::outbox::{Recorded, SuppressionPolicy};
use mkt_email::unsubscribe::UnsubscribeScope;
use rand::seq::SliceRandom;

on_each_engine!(
    event_is_recorded_once,
    hard_bounce_and_complaint_suppress_at_once,
    vendor_unsubscription_stops_its_scope_only,
    soft_bounces_suppress_by_policy,
    any_order_and_repetition_gives_the_same_state,
    event_names_the_email_and_campaign_of_the_outbox,
    erasure_reaches_events_and_those_that_come_later,
    events_are_read_in_pages_without_gaps,
    campaign_report_counts_emails_once,
);

fn event(kind: EventKind, number: usize, minutes: i64) -> EmailEvent {
    EmailEvent::new("brevo", kind, noon() + TimeDelta::minutes(minutes))
        .recipient(reader(number))
        .message_id(format!("<m{number}@relay.example>"))
}

async fn suppressions(outbox: &Outbox) -> String {
    let mut out = Vec::new();
    outbox.export_suppressions(&mut out, noon()).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn event_is_recorded_once(engine: Engine) {
    let outbox = engine.outbox().await;
    let opened = event(EventKind::Opened(OpenedBy::Human), 0, 1);
    let events = [opened.clone(), opened.clone(), event(EventKind::Opened(OpenedBy::Proxy), 0, 1)];
    let recorded = outbox.record_events(&events, noon()).await.unwrap();
    assert_eq!(recorded, [Recorded::New, Recorded::Known, Recorded::New]);
    let again = outbox.record_events(&[opened], noon() + TimeDelta::hours(1)).await.unwrap();
    assert_eq!(again, [Recorded::Known]);
    // The provider's id decides where there is one: the same event in other words.
    let native = |reason: &str| event(EventKind::Deferred, 1, 2).native_id("e-1").reason(reason);
    let recorded = outbox.record_events(&[native("busy"), native("later")], noon()).await.unwrap();
    assert_eq!(recorded, [Recorded::New, Recorded::Known]);
    let page = outbox.events_after(0, 100).await.unwrap();
    assert_eq!(page.events.len(), 3);
    assert_eq!(page.events[2].event.reason.as_deref(), Some("busy"));
    assert_eq!(page.events[2].event.id(), native("").id());
    assert!(outbox.record_events(&[], noon()).await.unwrap().is_empty());
}

async fn hard_bounce_and_complaint_suppress_at_once(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, Memory::new());
    let emails: Vec<_> = (0..4).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let events = [
        event(EventKind::HardBounce, 0, 0),
        event(EventKind::Complained, 1, 0),
        event(EventKind::Blocked, 2, 0),
        event(EventKind::Clicked, 3, 0),
    ];
    outbox.record_events(&events, noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let mut reached = reached(&provider);
    reached.sort();
    assert_eq!(reached, [2, 3].map(|number| reader(number).as_str().to_owned()));
    let next = [0, 1].map(|number| transactional("next", &reader(number)));
    let there = outbox.enqueue(&next, noon()).await.unwrap();
    assert!(
        matches!(&there[0], Enqueued::Suppressed(_, why) if why == "suppressed: hard_bounce"),
        "{there:?}"
    );
    assert!(matches!(&there[1], Enqueued::Suppressed(_, why) if why == "suppressed: complaint"), "{there:?}");
}

async fn vendor_unsubscription_stops_its_scope_only(engine: Engine) {
    let outbox = engine.outbox().await;
    outbox.record_consents(&[consent(&reader(0)), consent(&reader(1))]).await.unwrap();
    let news = event(EventKind::Unsubscribed, 1, 0).scope(UnsubscribeScope::List("news".to_owned()));
    outbox.record_events(&[event(EventKind::Unsubscribed, 0, 0), news], noon()).await.unwrap();
    let list = |campaign: &str, number: usize| {
        let mut email = marketing(campaign, &reader(number));
        email.purpose = Purpose::Marketing { list: Some(campaign.to_owned()) };
        email
    };
    let emails = [list("news", 0), list("news", 1), list("offers", 1), transactional("receipt", &reader(0))];
    let there = outbox.enqueue(&emails, noon()).await.unwrap();
    let stopped: Vec<bool> = there.iter().map(|one| matches!(one, Enqueued::Suppressed(..))).collect();
    assert_eq!(stopped, [true, true, false, false]);
}

async fn soft_bounces_suppress_by_policy(engine: Engine) {
    let outbox = engine.outbox().await;
    const DAY: i64 = 24 * 60;
    // Three within fourteen days: only the third person. Others have too few, or too far apart.
    let bounces = [(0, 0), (0, 1), (1, 0), (1, 7 * DAY), (1, 15 * DAY), (2, 0), (2, 7 * DAY), (2, 14 * DAY)];
    for (number, minutes) in bounces {
        outbox.record_events(&[event(EventKind::SoftBounce, number, minutes)], noon()).await.unwrap();
    }
    let there = suppressions(&outbox).await;
    assert_eq!(there.lines().count(), 2, "{there}");
    assert!(there.contains(
        r#""reader2@example.org","all","","soft_bounce","3 soft bounces","2026-11-09T12:00:00.000Z""#
    ));
    // A known event changes nothing, whatever the policy.
    let policy = SuppressionPolicy::default().soft_bounces(1, TimeDelta::zero());
    let known = [event(EventKind::SoftBounce, 0, 0)];
    outbox.record_events_with(&known, noon(), &policy).await.unwrap();
    assert_eq!(suppressions(&outbox).await, there);
    outbox.record_events_with(&[event(EventKind::SoftBounce, 0, 2)], noon(), &policy).await.unwrap();
    assert!(suppressions(&outbox).await.contains("reader0@example.org"));
    let never = SuppressionPolicy::default().soft_bounces(0, TimeDelta::MAX);
    outbox.record_events_with(&[event(EventKind::SoftBounce, 1, 1)], noon(), &never).await.unwrap();
    assert!(!suppressions(&outbox).await.contains("reader1@example.org"));
}

/// The state is what suppresses whom, and the events that are kept.
async fn any_order_and_repetition_gives_the_same_state(engine: Engine) {
    let seed: u64 = std::env::var("MKT_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(22);
    let mut random = SplitMix64::seed_from_u64(seed);
    for world in 0..4 {
        let kinds = [
            EventKind::SoftBounce,
            EventKind::SoftBounce,
            EventKind::HardBounce,
            EventKind::Complained,
            EventKind::Unsubscribed,
            EventKind::Delivered,
            EventKind::Opened(OpenedBy::Proxy),
            EventKind::Unknown,
        ];
        let mut events: Vec<EmailEvent> = (0..60)
            .map(|_| {
                let kind = kinds[random.random_range(0..kinds.len())];
                let mut event = event(kind, random.random_range(0..6), random.random_range(0..40 * 24 * 60));
                if random.random_bool(0.3) {
                    event = event.scope(UnsubscribeScope::List("news".to_owned()));
                }
                if random.random_bool(0.3) {
                    event = event.campaign(["a", "b"][random.random_range(0..2)]);
                }
                event
            })
            .collect();
        let mut first: Option<(String, Vec<String>)> = None;
        for _ in 0..4 {
            let outbox = engine.outbox().await;
            events.shuffle(&mut random);
            let mut left: &[EmailEvent] = &events;
            while !left.is_empty() {
                let (some, rest) = left.split_at(random.random_range(1..=left.len().min(20)));
                outbox.record_events(some, noon()).await.unwrap();
                if random.random_bool(0.5) {
                    outbox.record_events(some, noon()).await.unwrap();
                }
                left = rest;
            }
            let page = outbox.events_after(0, 1000).await.unwrap();
            let mut ids: Vec<String> = page.events.iter().map(|one| one.event.id().to_string()).collect();
            ids.sort();
            let state = (suppressions(&outbox).await, ids);
            match &first {
                None => first = Some(state),
                Some(first) => assert_eq!(&state, first, "world {world}, seed {seed}"),
            }
        }
        let (suppressed, ids) = first.unwrap();
        assert!(suppressed.lines().count() > 4 && ids.len() > 40, "world {world}: too little happens");
    }
}

async fn event_names_the_email_and_campaign_of_the_outbox(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, Memory::new());
    // The report may come before the answer to the call is committed: the email is found when events are read.
    outbox
        .enqueue(&[transactional("spring", &reader(0)), transactional("spring", &reader(1))], noon())
        .await
        .unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let id = |number: usize| {
        let sent = provider.delivered();
        let one = sent.iter().find(|one| one.message.to().address == reader(number)).unwrap();
        one.message.message_id(one.key)
    };
    let opened = EmailEvent::new("memory", EventKind::Delivered, noon())
        .message_id(id(0))
        .recipient(address("READER0@example.org"))
        .campaign("as the vendor says");
    // The message id of one with the address of another is neither.
    let crossed =
        EmailEvent::new("memory", EventKind::Delivered, noon()).message_id(id(0)).recipient(reader(1));
    outbox.record_events(&[opened, crossed], noon()).await.unwrap();
    let page = outbox.events_after(0, 10).await.unwrap();
    let read: Vec<_> =
        page.events.iter().map(|one| (one.event.email, one.event.campaign.as_deref())).collect();
    let there = outbox.enqueue(&[transactional("spring", &reader(0))], noon()).await.unwrap();
    let Enqueued::AlreadyThere(email, _) = there[0] else { panic!("{there:?}") };
    assert_eq!(read, [(Some(email), Some("spring")), (None, None)]);
}

async fn erasure_reaches_events_and_those_that_come_later(engine: Engine) {
    let outbox = engine.outbox().await;
    let told = |minutes: i64| {
        event(EventKind::HardBounce, 0, minutes)
            .reason("no reader0@example.org here")
            .url("https://shop.example/?who=reader0")
            .raw(r#"{"email":"reader0@example.org"}"#)
    };
    outbox.record_events(&[told(0), event(EventKind::HardBounce, 1, 0)], noon()).await.unwrap();
    assert_eq!(outbox.erase(&reader(0), noon()).await.unwrap().events, 1);
    let recorded = outbox.record_events(&[told(0), told(5)], noon()).await.unwrap();
    assert_eq!(recorded, [Recorded::Known, Recorded::New]);
    // An import of a vendor's list does not bring the address back either.
    let listed =
        Suppression::new(reader(0), SuppressionScope::All, SuppressionReason::HardBounce, "list", noon());
    outbox.suppress(&[listed]).await.unwrap();
    let page = outbox.events_after(0, 10).await.unwrap();
    let named = |text: &str| text.contains("reader0");
    for stored in &page.events {
        let event = &stored.event;
        assert!(!event.address().is_some_and(|address| named(address.as_str())));
        assert!(![&event.reason, &event.url, &event.raw].into_iter().flatten().any(|text| named(text)));
    }
    assert!(page.events[1].event.address().is_some());
    let there = suppressions(&outbox).await;
    assert!(!named(&there) && there.contains(&reader(0).key()), "{there}");
    let there = outbox.enqueue(&[transactional("again", &reader(0))], noon()).await.unwrap();
    assert!(matches!(there[0], Enqueued::Suppressed(..)), "{there:?}");
}

async fn events_are_read_in_pages_without_gaps(engine: Engine) {
    let outbox = engine.outbox().await;
    let events: Vec<_> = (0..25).map(|number| event(EventKind::Delivered, number, 0)).collect();
    for some in events.chunks(4) {
        outbox.record_events(some, noon()).await.unwrap();
    }
    let (mut place, mut read) = (0, Vec::new());
    loop {
        let page = outbox.events_after(place, 7).await.unwrap();
        if page.events.is_empty() {
            assert_eq!(page.next, place);
            break;
        }
        place = page.next;
        read.extend(page.events.into_iter().map(|one| one.event));
    }
    let ids = |events: &[EmailEvent]| events.iter().map(EmailEvent::id).collect::<Vec<_>>();
    assert_eq!(ids(&read), ids(&events));
}

/// The numbers are counted by hand.
async fn campaign_report_counts_emails_once(engine: Engine) {
    let (outbox, provider) = (engine.outbox().await, Memory::new());
    let emails: Vec<_> = (0..4).map(|number| transactional("spring", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let of = |kind: EventKind, number: usize, minutes: i64| {
        let sent = provider.delivered();
        let one = sent.iter().find(|one| one.message.to().address == reader(number)).unwrap();
        EmailEvent::new("memory", kind, noon() + TimeDelta::minutes(minutes))
            .recipient(reader(number))
            .message_id(one.message.message_id(one.key))
    };
    let (human, proxy) = (EventKind::Opened(OpenedBy::Human), EventKind::Opened(OpenedBy::Proxy));
    // 0 opens five times, twice as a person; 1 clicks, and nobody reported its delivery; 2 bounces hard; 3: nothing.
    let mut events =
        vec![of(EventKind::Delivered, 0, 0), of(EventKind::Clicked, 1, 3), of(EventKind::HardBounce, 2, 0)];
    events.extend([1, 2].map(|minute| of(human, 0, minute)));
    events.extend([3, 4, 5].map(|minute| of(proxy, 0, minute)));
    // Of an email that another program sent, and of nobody knows what.
    let other = |kind| {
        EmailEvent::new("brevo", kind, noon()).message_id("other@x").recipient(reader(9)).campaign("autumn")
    };
    events.extend([
        other(EventKind::Delivered),
        other(EventKind::Complained),
        other(EventKind::Unsubscribed),
    ]);
    events.push(EmailEvent::new("brevo", EventKind::Unknown, noon()).native_id("?"));
    outbox.record_events(&events, noon()).await.unwrap();
    let keys = UnsubscribeKeys::new(&mkt_connect::Secret::new("24 bytes or more from a key store")).unwrap();
    let token = keys.token(&UnsubscribeClaim::marketing(&reader(0), "spring")).unwrap();
    let claim = keys.verify(&token, noon()).unwrap();
    for minute in [6, 7] {
        outbox.unsubscribe(&claim, noon() + TimeDelta::minutes(minute)).await.unwrap();
    }
    let report = outbox.campaign_report().await.unwrap();
    let names: Vec<_> = report.iter().map(|one| one.campaign.as_deref()).collect();
    assert_eq!(names, [None, Some("autumn"), Some("spring")]);
    let spring = &report[2];
    let counts = [spring.sent, spring.delivered, spring.bounced, spring.hard_bounced, spring.soft_bounced];
    assert_eq!(counts, [4, 2, 1, 1, 0]);
    let counts =
        [spring.opened, spring.opened_human, spring.opened_proxy, spring.clicked, spring.unsubscribed];
    assert_eq!(counts, [1, 1, 1, 1, 1]);
    assert_eq!(spring.rates.delivered_of_sent, Some(0.5));
    assert_eq!(spring.rates.bounced_of_sent, Some(0.25));
    assert_eq!(spring.rates.complained_of_delivered, Some(0.0));
    assert_eq!(spring.events["opened_proxy"], 3);
    assert_eq!(spring.events["unsubscribed"], 2);
    let autumn = &report[1];
    assert_eq!([autumn.sent, autumn.delivered, autumn.complained, autumn.unsubscribed], [1, 1, 1, 1]);
    assert_eq!((report[0].sent, report[0].rates.delivered_of_sent), (0, None));
    let all: u64 = report.iter().flat_map(|one| one.events.values()).sum();
    assert_eq!(all as usize, outbox.events_after(0, 100).await.unwrap().events.len());
}
