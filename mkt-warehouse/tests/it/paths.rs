//! Paths and combinations of channels of a small world, with numbers computed by hand.

use super::engines;
use super::rows::{World, day, sale, same_person, session};
use mkt_connect::{Channel, Currency, ErrorKind};
use mkt_warehouse::Warehouse;
use mkt_warehouse::model::Event;
use mkt_warehouse::report::{self, ChannelSetOptions, PathOptions, Repeats, Scope};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn named(session: &str, sale: Event) -> Event {
    Event { session_id: Some(session.to_owned()), ..sale }
}

/// October 2026, in UTC to keep the arithmetic plain.
fn october() -> Scope {
    Scope::days("UTC", day("2026-10-01"), day("2026-11-01")).unwrap().site("shop")
}

fn world() -> World {
    use Channel::{Direct, Email, Organic, Paid, Social};
    let eur = Some(Currency::EUR);
    let mut robot = session("robot", "ben", "2026-10-03T00:00:00Z", Paid, true);
    robot.bot = Some("crawler".to_owned());
    World {
        sessions: vec![
            // Anna on two devices. September counts where October's conversion looks back to it.
            session("a1", "anna", "2026-09-30T12:00:00Z", Organic, false),
            session("a2", "anna-phone", "2026-10-01T12:00:00Z", Email, false),
            session("a3", "anna", "2026-10-02T12:00:00Z", Email, true),
            session("a4", "anna", "2026-10-03T12:00:00Z", Direct, true),
            session("a5", "anna", "2026-10-04T12:00:00Z", Email, false),
            session("a6", "anna", "2026-10-04T13:00:00Z", Email, false),
            // Ben: eleven days between, and the same path as Anna's last.
            session("b1", "ben", "2026-10-02T00:00:00Z", Email, false),
            session("b2", "ben", "2026-10-02T01:00:00Z", Email, false),
            session("b3", "ben", "2026-10-13T00:00:00Z", Paid, true),
            robot,
            // Cleo's conversion is September's; nothing before it is October's.
            session("c1", "cleo", "2026-09-20T00:00:00Z", Social, false),
            session("c2", "cleo", "2026-09-25T00:00:00Z", Social, true),
            session("c3", "cleo", "2026-10-25T00:00:00Z", Direct, false),
        ],
        events: vec![
            named("a3", sale("anna", "2026-10-02T12:01:00Z", "100", eur)),
            named("a3", sale("anna", "2026-10-02T12:02:00Z", "7", Some(Currency::USD))),
            // No session, so Anna's conversion of the 3rd; and money back in a session that did not convert.
            sale("anna-phone", "2026-10-03T12:30:00Z", "50.50", eur),
            named("a5", sale("anna", "2026-10-04T12:05:00Z", "-20.25", eur)),
            // The site's currency; a session that nobody has.
            named("nowhere", sale("ben", "2026-10-13T00:00:00Z", "9", None)),
            // Before any conversion, after September's, and the robot's: in no path.
            sale("ben", "2026-10-12T00:00:00Z", "1000", eur),
            sale("cleo", "2026-10-26T00:00:00Z", "1000", eur),
            named("robot", sale("ben", "2026-10-14T00:00:00Z", "1000", eur)),
        ],
        identities: vec![same_person("anna", "p"), same_person("anna-phone", "p")],
        ..World::default()
    }
}

async fn filled() -> Vec<Arc<dyn Warehouse>> {
    let engines = engines::all().await;
    for engine in &engines {
        world().load_into(engine).await;
    }
    engines
}

async fn asked(engine: &dyn Warehouse, options: PathOptions) -> Vec<String> {
    let answer = report::paths(engine, &october(), options).await.unwrap();
    let row = |r: &report::PathCount| {
        let currency = r.currency.map_or("-".to_owned(), |currency| currency.to_string());
        format!("{}: {} {} {} {currency} {}", r.path, r.length, r.converted, r.not_converted, r.value.0)
    };
    answer.rows.iter().map(row).collect()
}

#[tokio::test]
async fn a_path_ends_with_a_conversion_and_begins_after_the_one_before() {
    let ten_days = PathOptions { look_back: 10 * DAY, ..PathOptions::default() };
    for engine in filled().await {
        assert_eq!(
            asked(&engine, ten_days).await,
            [
                "direct: 1 1 1 EUR 30.25",
                "organic > email > email: 3 1 0 EUR 100.00",
                "organic > email > email: 3 1 0 USD 7.00",
                "paid: 1 1 0 EUR 9.00",
                // Anna after her last conversion, and Ben's that were too old for his.
                "email > email: 2 0 2 - 0.00",
            ]
        );
    }
}

#[tokio::test]
async fn the_look_back_includes_its_last_instant() {
    for engine in filled().await {
        // Ben's conversion is eleven days after his first session, to the second.
        let shown = asked(&engine, PathOptions { look_back: 11 * DAY, ..PathOptions::default() }).await;
        assert!(shown.contains(&"email > email > paid: 3 1 0 EUR 9.00".to_owned()), "{shown:?}");
        let less = PathOptions { look_back: 11 * DAY - Duration::from_secs(1), ..PathOptions::default() };
        let shown = asked(&engine, less).await;
        assert!(shown.contains(&"email > paid: 2 1 0 EUR 9.00".to_owned()), "{shown:?}");
        assert!(shown.contains(&"email: 1 0 1 - 0.00".to_owned()), "{shown:?}");
    }
}

#[tokio::test]
async fn without_look_back_a_conversion_stands_alone() {
    for engine in filled().await {
        let none = PathOptions { look_back: Duration::ZERO, ..PathOptions::default() };
        assert_eq!(
            asked(&engine, none).await,
            [
                "direct: 1 1 1 EUR 30.25",
                "email: 1 1 1 EUR 100.00",
                "email: 1 1 1 USD 7.00",
                "paid: 1 1 0 EUR 9.00",
                "email > email: 2 0 2 - 0.00",
            ]
        );
    }
}

#[tokio::test]
async fn repeats_may_be_one_step_and_paths_may_be_few() {
    for engine in filled().await {
        let options =
            PathOptions { look_back: 10 * DAY, repeats: Repeats::Collapse, ..PathOptions::default() };
        assert_eq!(
            asked(&engine, options).await,
            [
                "direct: 1 1 1 EUR 30.25",
                "organic > email: 2 1 0 EUR 100.00",
                "organic > email: 2 1 0 USD 7.00",
                "paid: 1 1 0 EUR 9.00",
                "email: 1 0 2 - 0.00",
            ]
        );
        // Paths are counted, not rows.
        let two = PathOptions { limit: Some(2), ..options };
        assert_eq!(asked(&engine, two).await.len(), 3);
        assert_eq!(asked(&engine, PathOptions { limit: Some(0), ..options }).await.len(), 0);
    }
}

#[tokio::test]
async fn every_path_is_given_once_with_its_channels() {
    for engine in filled().await {
        let options = PathOptions { look_back: 10 * DAY, ..PathOptions::default() };
        let answer = report::paths(&engine, &october(), options).await.unwrap();
        let paths: Vec<_> = report::path_counts(&answer.rows)
            .map(|r| (r.path.0.as_slice(), r.converted, r.not_converted))
            .collect();
        use Channel::{Direct, Email, Organic, Paid};
        assert_eq!(
            paths,
            [
                (&[Direct][..], 1, 1),
                (&[Organic, Email, Email], 1, 0),
                (&[Paid], 1, 0),
                (&[Email, Email], 0, 2)
            ]
        );
    }
}

#[tokio::test]
async fn a_combination_counts_whatever_the_order_and_the_repeats() {
    for engine in filled().await {
        let options = ChannelSetOptions { look_back: 10 * DAY };
        let answer = report::channel_sets(&engine, &october(), options).await.unwrap();
        let row = |r: &report::ChannelSetCount| {
            let currency = r.currency.map_or("-".to_owned(), |currency| currency.to_string());
            let rate = r.conversion_rate.unwrap();
            format!("{}: {} {} {} {rate} {currency} {}", r.channels, r.size, r.paths, r.converted, r.value.0)
        };
        let rows: Vec<String> = answer.rows.iter().map(row).collect();
        assert_eq!(
            rows,
            [
                "direct: 1 2 1 50 EUR 30.25",
                "email + organic: 2 1 1 100 EUR 100.00",
                "email + organic: 2 1 1 100 USD 7.00",
                "paid: 1 1 1 100 EUR 9.00",
                "email: 1 2 0 0 - 0.00",
            ]
        );
        assert_eq!(answer.rows[1].channels.0, [Channel::Email, Channel::Organic]);
    }
}

#[tokio::test]
async fn an_empty_period_has_no_path_and_an_odd_look_back_is_refused() {
    for engine in filled().await {
        let empty = Scope::days("UTC", day("2026-10-05"), day("2026-10-05")).unwrap();
        assert!(report::paths(&engine, &empty, PathOptions::default()).await.unwrap().rows.is_empty());
        let sets = report::channel_sets(&engine, &empty, ChannelSetOptions::default()).await.unwrap();
        assert!(sets.rows.is_empty());
        for look_back in [Duration::from_millis(1), Duration::MAX, 367 * DAY] {
            let options = PathOptions { look_back, ..PathOptions::default() };
            let refused = report::paths(&engine, &october(), options).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Input);
            assert!(refused.to_string().contains("the look-back is a number of whole seconds"), "{refused}");
        }
    }
}
