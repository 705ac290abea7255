//! The recorded Matomo, over HTTP, into SQLite. Expected numbers are those of the recorded VisitsSummary.get,
//! Goals.get and Live bodies, read by hand.

use crate::support::{all, dump, late, utc, window};
use chrono::{DateTime, Timelike, Utc};
use mkt_connect::Channel;
use mkt_etl::ledger::SliceRow;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, RunReport};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::{DailyMetric, Event, EventType, MetricKind, Session, SliceState};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Day, visits, converted visits, seconds on site, unique visitors: VisitsSummary.get as recorded.
const SUMMARY: [(&str, i64, i64, i64, i64); 8] = [
    ("2026-03-27", 13, 6, 2420, 13),
    ("2026-03-28", 17, 6, 2180, 17),
    ("2026-03-29", 18, 6, 3560, 16),
    ("2026-03-30", 1, 0, 121, 1),
    ("2026-03-31", 15, 6, 2059, 15),
    ("2026-10-24", 15, 6, 2059, 15),
    ("2026-10-25", 19, 6, 2301, 18),
    ("2026-10-26", 16, 6, 2180, 16),
];

async fn run(server: &RecordedMatomo, warehouse: &Sqlite) -> Vec<RunReport> {
    let pipeline =
        Pipeline::new(server.source().page_size(4).build().unwrap(), warehouse.clone()).clock(late());
    vec![
        pipeline.run(window("2026-03-27", "2026-03-31")).await.unwrap(),
        pipeline.run(window("2026-10-24", "2026-10-26")).await.unwrap(),
    ]
}

fn metric(rows: &[DailyMetric], day: &str, name: &str) -> Decimal {
    let found = rows.iter().find(|row| row.day.to_string() == day && row.metric == name);
    found.unwrap_or_else(|| panic!("{name} of {day}")).value.unwrap().0
}

#[tokio::test]
async fn every_day_has_the_totals_that_matomo_reports() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let reports = run(&server, &warehouse).await;
    for report in &reports {
        assert!(report.is_complete() && report.unreconciled.is_empty(), "{report:#?}");
        assert_eq!(report.in_state(SliceState::Settled), report.slices.values().sum::<u64>());
        assert_eq!((report.quarantined, report.duplicates, report.revised), (0, 0, 0));
    }
    assert_eq!(reports[0].slices["settled"] + reports[1].slices["settled"], 16);
    let metrics: Vec<DailyMetric> = all(&warehouse).await;
    let sessions: Vec<Session> = all(&warehouse).await;
    for (day, visits, converted, seconds, unique) in SUMMARY {
        for (name, expected) in [
            ("visits", visits),
            ("converted_visits", converted),
            ("seconds_on_site", seconds),
            ("unique_visitors", unique),
        ] {
            assert_eq!(metric(&metrics, day, name), Decimal::from(expected), "{name} of {day}");
        }
        // No recorded visit goes over midnight, so that the day of the first event is Matomo's day.
        let of_day: Vec<&Session> =
            sessions.iter().filter(|session| session.day.to_string() == day).collect();
        assert_eq!(of_day.len() as i64, visits, "{day}");
        assert_eq!(of_day.iter().filter(|session| session.converted).count() as i64, converted, "{day}");
        assert_eq!(of_day.iter().filter_map(|session| session.time_on_site).sum::<i64>(), seconds, "{day}");
    }
    assert_eq!(sessions.len(), 114);
}

#[tokio::test]
async fn conversions_and_revenue_come_from_goals_get_or_from_the_visits_and_say_so() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let reports = run(&server, &warehouse).await;
    let metrics: Vec<DailyMetric> = all(&warehouse).await;
    for (day, _, converted, _, _) in SUMMARY {
        // Goals.get of March: 6 conversions and 119.8 EUR, or none. In October it was not recorded; the visits of each
        // day hold 4 goals and 2 orders of 59.90 EUR.
        let (count, revenue) = if converted == 0 { ("0", "0") } else { ("6", "119.8") };
        assert_eq!(metric(&metrics, day, "conversions"), count.parse().unwrap(), "{day}");
        assert_eq!(metric(&metrics, day, "revenue"), revenue.parse().unwrap(), "{day}");
    }
    assert!(reports[0].notes.is_empty());
    let noted: Vec<&str> = reports[1].notes.keys().map(String::as_str).collect();
    assert_eq!(
        noted,
        ["matomo/daily/1 2026-10-24", "matomo/daily/1 2026-10-25", "matomo/daily/1 2026-10-26"]
    );
    assert!(reports[1].notes.values().all(|note| note.contains("counted from the visits of Live")));
}

#[tokio::test]
async fn metrics_know_how_they_add_up() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    run(&server, &warehouse).await;
    let metrics: Vec<DailyMetric> = all(&warehouse).await;
    let kind = |name: &str| {
        let kinds: BTreeSet<MetricKind> =
            metrics.iter().filter(|row| row.metric == name).map(|row| row.kind).collect();
        assert_eq!(kinds.len(), 1, "{name}");
        kinds.into_iter().next()
    };
    assert_eq!(kind("visits"), Some(MetricKind::Additive));
    assert_eq!(kind("unique_visitors"), Some(MetricKind::Distinct));
    assert_eq!(kind("bounce_rate"), Some(MetricKind::Ratio));
    // 25 October: 6 bounces in 19 visits; Matomo writes "32%".
    let bounce = metrics
        .iter()
        .find(|row| row.metric == "bounce_rate" && row.day.to_string() == "2026-10-25")
        .unwrap();
    assert_eq!(bounce.value.unwrap().0, "0.315789".parse().unwrap());
    assert_eq!((bounce.numerator.unwrap().0, bounce.denominator.unwrap().0), (6.into(), 19.into()));
}

#[tokio::test]
async fn events_are_mapped_and_the_conversion_set_is_matomos() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    run(&server, &warehouse).await;
    let events: Vec<Event> = all(&warehouse).await;
    let sessions: Vec<Session> = all(&warehouse).await;
    let count = |of: EventType| events.iter().filter(|event| event.event_type == of).count();
    // Seven days with 2 orders, 4 goals and 2 abandoned carts; nb_actions of the eight days adds up to 198, all pages.
    assert_eq!(
        (count(EventType::PURCHASE), count(EventType::GOAL), count(EventType::CART_ABANDONED)),
        (14, 28, 14)
    );
    assert_eq!(count(EventType::PAGE_VIEW), 29 + 29 + 30 + 2 + 26 + 26 + 32 + 28);
    assert_eq!(events.len(), 14 + 28 + 14 + 202);
    assert_eq!(sessions.iter().map(|session| session.pages_viewed).sum::<i64>(), 202);
    let converting: BTreeSet<&str> = events
        .iter()
        .filter(|event| [EventType::PURCHASE, EventType::GOAL].contains(&event.event_type))
        .filter_map(|event| event.session_id.as_deref())
        .collect();
    let converted: BTreeSet<&str> = sessions
        .iter()
        .filter(|session| session.converted)
        .map(|session| session.session_id.as_str())
        .collect();
    assert_eq!(converting, converted);
    let purchase = events.iter().find(|event| event.properties.0["order_id"] == "O80").unwrap();
    assert_eq!(purchase.revenue.0, "59.90".parse().unwrap());
    assert_eq!(purchase.currency.unwrap().as_str(), "EUR");
    // Live: "Oct 26, 2026 15:16:00" in Paris, on winter time.
    assert_eq!(purchase.timestamp, utc("2026-10-26T14:16:00Z"));
    for cart in events.iter().filter(|event| event.event_type == EventType::CART_ABANDONED) {
        let item = &cart.properties.0["items"][0];
        assert_eq!(
            (item["sku"].as_str(), item["price"].as_f64(), item["quantity"].as_i64()),
            (Some("SKU1"), Some(59.9), Some(1))
        );
        assert_eq!(cart.properties.0["cart_id"].as_str().map(str::len), Some(16));
        assert!(cart.revenue.0.is_zero());
    }
    let carts: BTreeSet<&str> =
        events.iter().filter_map(|event| event.properties.0["cart_id"].as_str()).collect();
    assert_eq!(carts.len(), 14);
}

/// Hours in UTC of the page views of a local day.
async fn hours(warehouse: &Sqlite, day: &str) -> BTreeMap<u32, usize> {
    let events: Vec<Event> = all(warehouse).await;
    let mut hours = BTreeMap::new();
    for event in
        events.iter().filter(|event| event.day.to_string() == day && event.event_type == EventType::PAGE_VIEW)
    {
        *hours.entry(event.timestamp.hour()).or_default() += 1;
    }
    hours
}

#[tokio::test]
async fn hours_are_right_on_both_days_of_clock_changes() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    run(&server, &warehouse).await;
    // From the visits' own epochs in Live, page by page. Spring: 23:05 and 23:30 UTC of the 28th belong to the 29th;
    // 00:10, 00:12, 00:13, 00:30, then 01:30 after the change, then pairs every other hour.
    let spring = hours(&warehouse, "2026-03-29").await;
    assert_eq!(
        spring.into_iter().collect::<Vec<_>>(),
        [
            (0, 4),
            (1, 1),
            (2, 2),
            (4, 2),
            (6, 3),
            (8, 2),
            (10, 2),
            (12, 3),
            (14, 2),
            (16, 2),
            (18, 3),
            (20, 2),
            (23, 2)
        ]
    );
    // Autumn: 22:10 and 22:12 UTC of the 24th and of the 25th both belong to the 25th (25 hours); 00:10, 00:12, 00:13
    // and 00:30 in the first pass of the repeated hour, 01:30 in the second.
    let autumn = hours(&warehouse, "2026-10-25").await;
    assert_eq!(
        autumn.into_iter().collect::<Vec<_>>(),
        [
            (0, 4),
            (1, 1),
            (2, 2),
            (4, 2),
            (6, 3),
            (8, 2),
            (10, 2),
            (12, 3),
            (14, 2),
            (16, 2),
            (18, 3),
            (20, 2),
            (22, 4)
        ]
    );
    let sessions: Vec<Session> = all(&warehouse).await;
    let starts: BTreeSet<DateTime<Utc>> = sessions.iter().map(|session| session.start_time).collect();
    for twice in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
        assert!(starts.contains(&utc(twice)), "02:30 in Paris happened at {twice}");
    }
}

#[tokio::test]
async fn events_lie_inside_of_their_sessions() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    run(&server, &warehouse).await;
    let sessions: BTreeMap<String, Session> = all::<Session>(&warehouse)
        .await
        .into_iter()
        .map(|session| (session.session_id.clone(), session))
        .collect();
    let mut bounds: BTreeMap<&str, (DateTime<Utc>, DateTime<Utc>)> = BTreeMap::new();
    let events: Vec<Event> = all(&warehouse).await;
    for event in &events {
        let entry =
            bounds.entry(event.session_id.as_deref().unwrap()).or_insert((event.timestamp, event.timestamp));
        *entry = (entry.0.min(event.timestamp), entry.1.max(event.timestamp));
    }
    assert_eq!(bounds.len(), sessions.len());
    for (id, (first, last)) in bounds {
        assert_eq!((first, last), (sessions[id].start_time, sessions[id].end_time), "{id}");
    }
}

#[tokio::test]
async fn visitors_have_channels_and_no_address() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    run(&server, &warehouse).await;
    let sessions: Vec<Session> = all(&warehouse).await;
    let mut channels: BTreeMap<(Channel, String), usize> = BTreeMap::new();
    for session in &sessions {
        *channels.entry((session.channel, session.channel_detail.clone().unwrap())).or_default() += 1;
    }
    let count =
        |channel, detail: &str| channels.get(&(channel, detail.to_owned())).copied().unwrap_or_default();
    // Live as recorded: Google 3+3+2+1+2+2+4+3 times over the eight days, Facebook twice (a search engine to Matomo 5.0,
    // a social network to us), one partner site and three visits of the campaign "spring" on each of seven days; its
    // landing URLs say mtm_source=newsletter and mtm_medium=email.
    assert_eq!(count(Channel::Organic, "search: Google"), 20);
    assert_eq!(count(Channel::Social, "search: Facebook"), 14);
    assert_eq!(count(Channel::Referral, "website: partner.example.net"), 7);
    assert_eq!(count(Channel::Email, "campaign: spring"), 21);
    assert_eq!(count(Channel::Direct, "direct"), 52);
    let campaigns: BTreeSet<&str> =
        sessions.iter().filter_map(|session| session.campaign_id.as_deref()).collect();
    assert_eq!(campaigns.into_iter().collect::<Vec<_>>(), ["newsletter_email_spring"]);
    // `userId` looks like an address in the recordings: four people, hashed.
    let people: BTreeSet<&str> = sessions
        .iter()
        .map(|session| session.user_id.as_str())
        .filter(|user| user.starts_with("u:"))
        .collect();
    assert_eq!(people.len(), 4);
    let everything = dump(&warehouse).await;
    assert!(!everything.contains("@example.org"), "an address is stored");
    assert!(!everything.contains(RecordedMatomo::TOKEN), "the token is stored");
}

#[tokio::test]
async fn a_second_run_reads_nothing_and_changes_nothing() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let first = run(&server, &warehouse).await;
    let before = dump(&warehouse).await;
    let hits = server.server().hits();
    let second = run(&server, &warehouse).await;
    assert_eq!(dump(&warehouse).await, before);
    // Two windows ask for the version, the first for the site; no slice is read.
    assert_eq!(server.server().hits() - hits, 3);
    for (first, second) in first.iter().zip(&second) {
        assert!(first.changed && !second.changed);
        assert_eq!((first.replayed, second.replayed), (0, first.slices["settled"]));
        assert_eq!((&first.rows, &first.slices, first.read), (&second.rows, &second.slices, second.read));
    }
}

#[tokio::test]
async fn provisional_slices_are_read_again_and_equal_content_writes_nothing() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = |clock| Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(clock);
    // An hour after the last of these days ended in Paris.
    let soon = || crate::support::at("2026-03-31T23:00:00Z");
    let report = pipeline(soon()).run(window("2026-03-30", "2026-03-31")).await.unwrap();
    assert_eq!(report.slices, BTreeMap::from([("provisional".to_owned(), 4)]));
    let before = dump(&warehouse).await;
    let hits = server.server().hits();
    let report = pipeline(soon()).run(window("2026-03-30", "2026-03-31")).await.unwrap();
    assert!(server.server().hits() - hits > 2, "the slices are read again");
    assert!(!report.changed);
    assert_eq!(dump(&warehouse).await, before);
    // Three days later they are final: the state changes, the rows do not.
    let report = pipeline(crate::support::at("2026-04-03T22:00:00Z"))
        .run(window("2026-03-30", "2026-03-31"))
        .await
        .unwrap();
    assert_eq!(report.slices, BTreeMap::from([("settled".to_owned(), 4)]));
    assert_eq!((report.changed, report.revised), (true, 0));
    let rows: Vec<SliceRow> = all(&warehouse).await;
    assert!(rows.iter().all(|row| row.reconciled == Some(true)));
}
