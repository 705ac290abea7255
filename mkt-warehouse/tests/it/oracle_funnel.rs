//! Funnels over random worlds against plain Rust, which tries every entry of every person.

use super::engines;
use super::oracle::{Oracle, percent};
use super::oracle_journeys::busy;
use super::rows::day;
use chrono::TimeDelta;
use mkt_warehouse::Warehouse;
use mkt_warehouse::model::{Event, EventType};
use mkt_warehouse::report::{self, FunnelOptions, Scope};
use std::collections::BTreeMap;
use std::time::Duration;

/// Per step: people, and the sum of the seconds of their fastest ways.
fn funnel(oracle: &Oracle, steps: &[EventType], window: TimeDelta) -> Vec<(usize, i64)> {
    let mut people: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in oracle.events() {
        people.entry(oracle.person_of(event)).or_default().push(event);
    }
    let mut reached: Vec<BTreeMap<&str, TimeDelta>> = vec![BTreeMap::new(); steps.len()];
    for (person, events) in &mut people {
        events.sort_by_key(|event| (event.timestamp, event.seq, event.event_id));
        for (index, entry) in events.iter().enumerate() {
            if entry.event_type != steps[0] || entry.timestamp >= oracle.until {
                continue;
            }
            // From one entry the earliest next step is never worse than a later one.
            let mut rest = events[index..].iter();
            for (step, wanted) in reached.iter_mut().zip(steps) {
                let Some(next) = rest.by_ref().find(|event| event.event_type == *wanted) else { break };
                let took = next.timestamp - entry.timestamp;
                if took > window {
                    break;
                }
                let best = step.entry(person).or_insert(took);
                *best = took.min(*best);
            }
        }
    }
    reached.iter().map(|step| (step.len(), step.values().map(TimeDelta::num_seconds).sum())).collect()
}

async fn compare(
    engine: &dyn Warehouse,
    scope: &Scope,
    oracle: &Oracle<'_>,
    steps: &[EventType],
    window: Duration,
) {
    let counts = funnel(oracle, steps, TimeDelta::from_std(window).unwrap());
    let expected: Vec<String> = counts
        .iter()
        .enumerate()
        .map(|(index, (users, seconds))| {
            let rate = |of: Option<usize>| of.filter(|of| *of > 0).map(|of| percent(*users, of));
            let before = index.checked_sub(1).map(|before| counts[before].0);
            let mean = (*users > 0).then(|| *seconds as f64 / *users as f64);
            let (first, before) = (rate(Some(counts[0].0)), rate(before));
            format!("{} {} {users} {first:?} {before:?} {mean:?}", index + 1, steps[index])
        })
        .collect();
    let options = FunnelOptions { steps: steps.to_vec(), window };
    let found = report::funnel(engine, scope, &options).await.unwrap();
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let text = |rate: Option<f64>| rate.map(|rate| format!("{rate:?}"));
            let (first, before) = (text(r.rate_from_first), text(r.rate_from_previous));
            format!("{} {} {} {first:?} {before:?} {:?}", r.step, r.event_type, r.users, r.seconds_from_first)
        })
        .collect();
    let context = format!("{} {} {:?} {window:?}", engine.dialect(), oracle.zone, oracle.site);
    assert_eq!(shown, expected, "{context}");
}

/// `MKT_TEST_SEED` chooses another first world, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn funnels_of_random_worlds_equal_plain_rust() {
    use EventType as E;
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 3));
    let shop = [E::PRODUCT_VIEW, E::ADD_TO_CART, E::PURCHASE];
    let again = [E::PURCHASE, E::PURCHASE, E::SEARCH, E::PURCHASE];
    let long = [
        E::SEARCH,
        E::PRODUCT_VIEW,
        E::ADD_TO_CART,
        E::PURCHASE,
        E::PRODUCT_VIEW,
        E::PURCHASE,
        E::SEARCH,
        E::REFUND,
    ];
    let day_long = Duration::from_secs(86_400);
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let busy = busy(seed);
        for engine in engines::all().await {
            busy.load_into(&engine).await;
            for (zone, site, source, window) in [
                ("Europe/Paris", None, None, 7 * day_long),
                ("America/New_York", Some("shop"), None, day_long),
                ("Asia/Kolkata", Some("blog"), None, 60 * day_long),
                ("Pacific/Apia", Some("shop"), Some("log"), 30 * day_long),
                // Only events of one instant.
                ("Europe/Paris", Some("shop"), None, Duration::from_secs(1)),
            ] {
                let mut scope = Scope::days(zone, day("2026-09-05"), day("2026-10-26")).unwrap();
                if let Some(site) = site {
                    scope = scope.site(site);
                }
                if let Some(source) = source {
                    scope = scope.source(source);
                }
                let (world, zone) = (&busy.world, zone.parse().unwrap());
                let oracle = Oracle { world, zone, from: scope.from(), until: scope.until(), site, source };
                for steps in [&shop[..], &again, &long, &shop[..2]] {
                    compare(&engine, &scope, &oracle, steps, window).await;
                }
            }
        }
    }
}
