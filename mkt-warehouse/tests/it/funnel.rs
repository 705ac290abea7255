//! Funnels of small worlds, with numbers computed by hand.

use super::engines;
use super::rows::{World, day, event, sale, same_person, session};
use mkt_connect::{Channel, ErrorKind};
use mkt_warehouse::Warehouse;
use mkt_warehouse::model::{Event, EventType};
use mkt_warehouse::report::{self, FunnelOptions, Scope};
use std::time::Duration;

const VIEW: EventType = EventType::PRODUCT_VIEW;
const CART: EventType = EventType::ADD_TO_CART;
const BUY: EventType = EventType::PURCHASE;

/// October 2026 in Paris ends on the 31st at 23:00 UTC.
fn october() -> Scope {
    Scope::days("Europe/Paris", day("2026-10-01"), day("2026-11-01")).unwrap().site("shop")
}

fn numbered(mut events: Vec<Event>) -> World {
    for (n, event) in events.iter_mut().enumerate() {
        event.event_id = n as i64;
    }
    World { events, ..World::default() }
}

/// Per step: people, percent of the entries, percent of the step before, seconds.
type Shown = (i64, Option<f64>, Option<f64>, Option<f64>);

async fn asked(engine: &dyn Warehouse, scope: &Scope, options: &FunnelOptions) -> Vec<Shown> {
    let answer = report::funnel(engine, scope, options).await.unwrap();
    assert!(answer.rows.iter().map(|row| row.step).eq(1..=options.steps.len() as i64));
    assert!(answer.rows.iter().map(|row| &row.event_type).eq(&options.steps));
    let row = |row: &report::FunnelStep| {
        (row.users, row.rate_from_first, row.rate_from_previous, row.seconds_from_first)
    };
    answer.rows.iter().map(row).collect()
}

#[tokio::test]
async fn everybody_counts_once_with_the_entry_that_leads_furthest() {
    let world = World {
        identities: vec![same_person("phone", "p"), same_person("laptop", "p")],
        ..numbered(vec![
            // One person on two devices: view, cart 60 s later, purchase 90 s after the view.
            event("phone", VIEW, "2026-10-05T10:00:00Z"),
            event("laptop", CART, "2026-10-05T10:01:00Z"),
            event("phone", BUY, "2026-10-05T10:01:30Z"),
            // The first view is too old for the cart, the second is not; and again, slower.
            event("u2", VIEW, "2026-10-01T10:00:00Z"),
            event("u2", VIEW, "2026-10-20T10:00:00Z"),
            event("u2", CART, "2026-10-20T10:00:30Z"),
            event("u2", VIEW, "2026-10-22T10:00:00Z"),
            event("u2", CART, "2026-10-22T10:10:00Z"),
            // A purchase before the cart.
            event("u3", VIEW, "2026-10-05T10:00:00Z"),
            event("u3", BUY, "2026-10-05T10:00:01Z"),
            event("u3", CART, "2026-10-05T10:00:02Z"),
            // No view, no entry.
            event("u4", CART, "2026-10-05T10:00:00Z"),
            event("u4", BUY, "2026-10-05T10:00:01Z"),
            event("u5", VIEW, "2026-10-05T10:00:00Z"),
        ])
    };
    for engine in engines::all().await {
        world.load_into(&engine).await;
        // Fastest to the cart: 60 s, 30 s, 2 s.
        assert_eq!(
            asked(&engine, &october(), &FunnelOptions::default()).await,
            [
                (4, Some(100.0), None, Some(0.0)),
                (3, Some(75.0), Some(75.0), Some(92.0 / 3.0)),
                (1, Some(25.0), Some(100.0 / 3.0), Some(90.0)),
            ]
        );
    }
}

#[tokio::test]
async fn equal_timestamps_and_seq_are_ordered_by_event_id() {
    let world = numbered(vec![
        event("u1", CART, "2026-10-05T10:00:00Z"),
        event("u1", VIEW, "2026-10-05T10:00:00Z"),
        event("u2", VIEW, "2026-10-05T10:00:00Z"),
        event("u2", CART, "2026-10-05T10:00:00Z"),
    ]);
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let options = FunnelOptions { steps: vec![VIEW, CART], ..FunnelOptions::default() };
        let rows = asked(&engine, &october(), &options).await;
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [2, 1]);
    }
}

#[tokio::test]
async fn one_event_is_one_step() {
    let world = numbered(vec![
        event("u1", BUY, "2026-10-05T10:00:00Z"),
        event("u2", BUY, "2026-10-05T10:00:00Z"),
        event("u2", BUY, "2026-10-06T10:00:00Z"),
        event("u3", BUY, "2026-10-05T10:00:00Z"),
        event("u3", BUY, "2026-10-05T10:00:00Z"),
        event("u3", BUY, "2026-10-05T10:00:00Z"),
    ]);
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let options = FunnelOptions { steps: vec![BUY, BUY, BUY], ..FunnelOptions::default() };
        let rows = asked(&engine, &october(), &options).await;
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [3, 2, 1]);
    }
}

#[tokio::test]
async fn the_window_includes_its_last_instant_and_runs_past_the_periods_end() {
    let world = numbered(vec![
        // The last instant of October, and seven days later to the microsecond: a purchase, and a cart.
        event("u1", VIEW, "2026-10-31T22:59:59.999999Z"),
        event("u1", CART, "2026-11-01T22:59:59.999999Z"),
        event("u1", BUY, "2026-11-07T22:59:59.999999Z"),
        event("u2", VIEW, "2026-10-31T22:59:59.999999Z"),
        event("u2", CART, "2026-11-07T22:59:59.999999Z"),
        // One microsecond too late.
        event("u5", VIEW, "2026-10-10T10:00:00Z"),
        event("u5", CART, "2026-10-17T10:00:00.000001Z"),
        event("u6", VIEW, "2026-10-10T10:00:00Z"),
        event("u6", CART, "2026-10-11T10:00:00Z"),
        event("u6", BUY, "2026-10-17T10:00:00.000001Z"),
        // Entries of November and of September are none.
        event("u3", VIEW, "2026-10-31T23:00:00Z"),
        event("u3", CART, "2026-11-01T10:00:00Z"),
        event("u4", VIEW, "2026-09-30T21:59:59.999999Z"),
        event("u4", CART, "2026-10-01T10:00:00Z"),
    ]);
    for engine in engines::all().await {
        world.load_into(&engine).await;
        // To the cart: one day, seven days, one day.
        assert_eq!(
            asked(&engine, &october(), &FunnelOptions::default()).await,
            [
                (4, Some(100.0), None, Some(0.0)),
                (3, Some(75.0), Some(75.0), Some(259_200.0)),
                (1, Some(25.0), Some(100.0 / 3.0), Some(604_800.0)),
            ]
        );
    }
}

#[tokio::test]
async fn steps_that_nobody_reached_have_a_row_without_rates() {
    for engine in engines::all().await {
        World::default().load_into(&engine).await;
        let nobody = (0, None, None, None);
        assert_eq!(asked(&engine, &october(), &FunnelOptions::default()).await, [nobody; 3]);
        let empty = Scope::days("Europe/Paris", day("2026-10-05"), day("2026-10-05")).unwrap();
        let steps = vec![VIEW; 8];
        let options = FunnelOptions { steps, window: Duration::from_secs(366 * 86_400) };
        assert_eq!(asked(&engine, &empty, &options).await, [nobody; 8]);
        // Somebody entered and nobody went on: 0 of 1 is known, 0 of 0 is not.
        numbered(vec![event("u1", VIEW, "2026-10-05T10:00:00Z")]).load_into(&engine).await;
        assert_eq!(
            asked(&engine, &october(), &FunnelOptions::default()).await,
            [(1, Some(100.0), None, Some(0.0)), (0, Some(0.0), Some(0.0), None), (0, Some(0.0), None, None)]
        );
    }
}

#[tokio::test]
async fn invalid_funnel_options_are_refused() {
    let engine = engines::memory().await;
    engine.migrate(&mkt_warehouse::model::SCHEMA).await.unwrap();
    let week = Duration::from_secs(604_800);
    for (steps, window, because) in [
        (vec![], week, "a funnel has 2 to 8 steps, not 0"),
        (vec![VIEW], week, "a funnel has 2 to 8 steps, not 1"),
        (vec![VIEW; 9], week, "a funnel has 2 to 8 steps, not 9"),
        (vec![VIEW, BUY], Duration::ZERO, "the window of a funnel is zero"),
        (vec![VIEW, BUY], Duration::from_millis(1_500), "whole seconds"),
        (vec![VIEW, BUY], Duration::MAX, "at most 366 days"),
    ] {
        let refused =
            report::funnel(&engine, &october(), &FunnelOptions { steps, window }).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input);
        assert!(refused.to_string().contains(because), "{refused}");
    }
}

/// As a file of dates without times has them: three lines a visitor, all of one timestamp. The ids are hashes, so their
/// order is another.
#[tokio::test]
async fn equal_timestamps_are_ordered_as_in_the_source() {
    let mut events = Vec::new();
    for user in 0..600 {
        for (seq, event_type) in [VIEW, CART, BUY].into_iter().enumerate() {
            let event = event(&format!("u{user}"), event_type, "2026-10-05T10:00:00Z");
            events.push(Event { seq: 3 * user + seq as i64, ..event });
        }
    }
    let world = World { events, ..World::default() };
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let found = asked(&engine, &october(), &FunnelOptions::default()).await;
        assert_eq!(
            found.iter().map(|row| row.0).collect::<Vec<_>>(),
            [600, 600, 600],
            "{}",
            engine.dialect()
        );
    }
}

/// Anonymous up to the cart, then a customer, in one session.
#[tokio::test]
async fn user_id_that_changes_in_a_session_is_one_person_in_every_report() {
    let within = |user: &str, event_type, when: &str| Event {
        session_id: Some("s1".to_owned()),
        ..event(user, event_type, when)
    };
    let bought = sale("cust9", "2026-10-05T10:02:00Z", "50", None);
    let world = World {
        sessions: vec![session("s1", "anon1", "2026-10-05T10:00:00Z", Channel::Paid, true)],
        events: vec![
            within("anon1", VIEW, "2026-10-05T10:00:00Z"),
            within("anon1", CART, "2026-10-05T10:01:00Z"),
            Event { session_id: Some("s1".to_owned()), ..bought },
        ],
        ..World::default()
    };
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let scope = october();
        let steps = asked(&engine, &scope, &FunnelOptions::default()).await;
        assert_eq!(steps.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 1, 1], "{}", engine.dialect());
        let buyers = report::rfm(&engine, &scope, report::RfmOptions::default()).await.unwrap();
        assert_eq!(buyers.rows.iter().map(|row| row.person.as_str()).collect::<Vec<_>>(), ["anon1"]);
        let paths = report::paths(&engine, &scope, report::PathOptions::default()).await.unwrap();
        assert_eq!(paths.rows[0].value.0.to_string(), "50.00");
        let options = report::CartOptions::default();
        assert!(report::abandoned_carts(&engine, &scope, options).await.unwrap().rows.is_empty());
    }
}
