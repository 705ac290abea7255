//! What became of mails: by hand, and over random events against plain Rust.

use super::engines;
use super::oracle::Random;
use super::rows::{at, day};
use mkt_warehouse::model::{EmailEvent, EmailEventType as Type};
use mkt_warehouse::report::{self, EmailPerformance, Scope};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use std::collections::{BTreeMap, BTreeSet};

fn mail(id: i64, message: &str, event_type: Type, when: &str, campaign: Option<&str>) -> EmailEvent {
    let timestamp = at(when);
    EmailEvent {
        event_id: id,
        message_id: message.to_owned(),
        user_id: None,
        event_type,
        timestamp,
        campaign_id: campaign.map(str::to_owned),
        url: None,
        detail: None,
        source: "brevo".to_owned(),
        site: "shop".to_owned(),
        day: timestamp.date_naive(),
    }
}

async fn load(engine: &dyn Warehouse, events: &[EmailEvent]) {
    let batch = Batch::new(SliceKey::whole("mail", "events", "shop")).replace(events.to_vec());
    engine.load(&batch, at("2026-11-20T00:00:00Z")).await.unwrap();
}

fn counts(row: &EmailPerformance) -> [i64; 8] {
    [
        row.accepted,
        row.delivered,
        row.bounced,
        row.opened,
        row.clicked,
        row.unsubscribed,
        row.complained,
        row.rejected,
    ]
}

fn rates(row: &EmailPerformance) -> [Option<f64>; 7] {
    [
        row.delivery_rate,
        row.bounce_rate,
        row.open_rate,
        row.click_rate,
        row.click_to_open_rate,
        row.unsubscribe_rate,
        row.complaint_rate,
    ]
}

#[tokio::test]
async fn rates_are_of_the_messages_that_their_names_say() {
    let mut events = Vec::new();
    let mut add = |message: &str, types: &[Type], campaign| {
        for (n, event_type) in types.iter().enumerate() {
            let when = format!("2026-10-10T10:{n:02}:00Z");
            let id = events.len() as i64;
            events.push(mail(id, message, *event_type, &when, campaign));
        }
    };
    let spring = Some("spring");
    // Eight accepted: six delivered, one bounced, one without news. Three opened, one of them thrice; two clicked, one
    // of them without an open; one unsubscribed; one complained.
    add("m1", &[Type::Accepted, Type::Delivered, Type::Opened, Type::Opened, Type::Opened], spring);
    add("m2", &[Type::Accepted, Type::Delivered, Type::Opened, Type::Clicked, Type::Clicked], spring);
    add("m3", &[Type::Accepted, Type::Delivered, Type::Clicked], spring);
    add("m4", &[Type::Accepted, Type::Delivered, Type::Opened, Type::Unsubscribed], spring);
    add("m5", &[Type::Accepted, Type::Delivered, Type::Complained], spring);
    add("m6", &[Type::Accepted, Type::Delivered, Type::Delivered], spring);
    add("m7", &[Type::Accepted, Type::Bounced], spring);
    add("m8", &[Type::Accepted], spring);
    add("m9", &[Type::Rejected], spring);
    // Of no campaign, and through a provider that tells no deliveries.
    add("n1", &[Type::Accepted, Type::Opened], None);
    let october = Scope::days("Europe/Paris", day("2026-10-01"), day("2026-11-01")).unwrap();
    for engine in engines::all().await {
        load(&engine, &events).await;
        let answer = report::email_performance(&engine, &october).await.unwrap();
        assert_eq!(answer.rows.len(), 2);
        let (none, spring) = (&answer.rows[0], &answer.rows[1]);
        assert_eq!((spring.source.as_str(), spring.campaign_id.as_deref()), ("brevo", Some("spring")));
        assert_eq!(counts(spring), [8, 6, 1, 3, 2, 1, 1, 1]);
        assert_eq!(
            rates(spring),
            [
                Some(75.0),
                Some(12.5),
                Some(50.0),
                Some(200.0 / 6.0),
                Some(200.0 / 3.0),
                Some(100.0 / 6.0),
                Some(100.0 / 6.0)
            ]
        );
        assert_eq!(none.campaign_id, None);
        assert_eq!(counts(none), [1, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(rates(none), [Some(0.0), Some(0.0), None, None, Some(0.0), None, None]);
    }
}

#[tokio::test]
async fn a_message_belongs_to_the_period_of_its_first_event() {
    let events = [
        mail(1, "early", Type::Accepted, "2026-09-30T21:59:59Z", None),
        mail(2, "early", Type::Opened, "2026-10-02T10:00:00Z", None),
        mail(3, "late", Type::Accepted, "2026-10-31T22:59:59Z", None),
        mail(4, "late", Type::Opened, "2026-11-05T10:00:00Z", Some("told later")),
        mail(5, "next", Type::Accepted, "2026-10-31T23:00:00Z", None),
    ];
    let october = Scope::days("Europe/Paris", day("2026-10-01"), day("2026-11-01")).unwrap();
    for engine in engines::all().await {
        load(&engine, &events).await;
        let rows = report::email_performance(&engine, &october).await.unwrap().rows;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].campaign_id.as_deref(), Some("told later"));
        assert_eq!(counts(&rows[0]), [1, 0, 0, 1, 0, 0, 0, 0]);
        let elsewhere = report::email_performance(&engine, &october.clone().site("blog")).await.unwrap();
        assert!(elsewhere.rows.is_empty());
        let other = report::email_performance(&engine, &october.clone().source("mailgun")).await.unwrap();
        assert!(other.rows.is_empty());
    }
}

#[tokio::test]
async fn mails_are_chosen_by_the_campaign_that_any_of_their_events_names() {
    let events = [
        mail(1, "a", Type::Accepted, "2026-10-02T10:00:00Z", None),
        mail(2, "a", Type::Clicked, "2026-10-02T11:00:00Z", Some("spring")),
        mail(3, "b", Type::Accepted, "2026-10-02T10:00:00Z", Some("autumn")),
        mail(4, "c", Type::Accepted, "2026-10-02T10:00:00Z", None),
    ];
    let scope = Scope::days("Europe/Paris", day("2026-10-01"), day("2026-11-01")).unwrap();
    let scope = scope.campaigns(["spring", "winter"]).unwrap();
    for engine in engines::all().await {
        load(&engine, &events).await;
        let rows = report::email_performance(&engine, &scope).await.unwrap().rows;
        let shown: Vec<_> = rows.iter().map(|row| (row.campaign_id.as_deref(), counts(row))).collect();
        assert_eq!(shown, [(Some("spring"), [1, 0, 0, 0, 1, 0, 0, 0])]);
    }
}

/// `MKT_TEST_SEED` chooses other events, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn email_performance_of_random_events_equals_plain_rust() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 3));
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let random = &mut Random(seed);
        let events: Vec<EmailEvent> = (0..900)
            .map(|id| {
                let message = format!("m{}", random.below(200));
                let types = Type::ALL;
                let event_type = types[random.below(types.len() as u64) as usize];
                let campaigns = [None, Some("spring"), Some("autumn")];
                let campaign = campaigns[random.below(3) as usize];
                let mut event = mail(id, &message, event_type, &random.instant().to_rfc3339(), campaign);
                event.source = ["brevo", "mailgun"][random.below(2) as usize].to_owned();
                event.site = ["shop", "blog"][random.below(2) as usize].to_owned();
                event
            })
            .collect();
        for site in [None, Some("blog")] {
            let mut scope = Scope::days("Europe/Paris", day("2026-08-20"), day("2026-10-26")).unwrap();
            scope = site.into_iter().fold(scope, Scope::site);
            let mut messages: BTreeMap<(&str, &str, &str), Vec<&EmailEvent>> = BTreeMap::new();
            for event in events.iter().filter(|event| site.is_none_or(|site| site == event.site)) {
                messages.entry((&event.source, &event.site, &event.message_id)).or_default().push(event);
            }
            let mut expected: BTreeMap<(&str, Option<&str>), [i64; 8]> = BTreeMap::new();
            for ((source, ..), told) in &messages {
                let first = told.iter().map(|event| event.timestamp).min().unwrap();
                if first >= scope.from() && first < scope.until() {
                    let campaign = told.iter().filter_map(|event| event.campaign_id.as_deref()).max();
                    let types: BTreeSet<Type> = told.iter().map(|event| event.event_type).collect();
                    let row = expected.entry((source, campaign)).or_default();
                    for (count, event_type) in row.iter_mut().zip(Type::ALL) {
                        *count += i64::from(types.contains(event_type));
                    }
                }
            }
            assert!(expected.len() >= 4);
            for engine in engines::all().await {
                load(&engine, &events).await;
                let found = report::email_performance(&engine, &scope).await.unwrap();
                let shown: Vec<_> = found
                    .rows
                    .iter()
                    .map(|row| ((row.source.as_str(), row.campaign_id.as_deref()), counts(row)))
                    .collect();
                assert_eq!(shown, expected.clone().into_iter().collect::<Vec<_>>(), "{}", engine.dialect());
                for row in &found.rows {
                    let [accepted, delivered, bounced, opened, clicked, unsubscribed, complained, _] =
                        counts(row).map(|n| n as f64);
                    let of = |a: f64, b: f64| (b > 0.0).then(|| 100.0 * a / b);
                    assert_eq!(
                        rates(row),
                        [
                            of(delivered, accepted),
                            of(bounced, accepted),
                            of(opened, delivered),
                            of(clicked, delivered),
                            of(clicked, opened),
                            of(unsubscribed, delivered),
                            of(complained, delivered)
                        ]
                    );
                }
            }
        }
    }
}
