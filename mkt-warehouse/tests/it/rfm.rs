//! Recency, frequency, monetary: by hand, and over random worlds against plain Rust.

use super::engines;
use super::oracle::{Oracle, world};
use super::rows::{World, at, day, sale, same_person};
use mkt_connect::Currency;
use mkt_warehouse::model::EventType;
use mkt_warehouse::report::{self, Buyer, RfmOptions, Scope};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

const EUR: Option<Currency> = Some(Currency::EUR);

fn october() -> Scope {
    Scope::days("Europe/Paris", day("2026-10-01"), day("2026-11-01")).unwrap().site("shop")
}

fn shown(rows: &[Buyer]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let currency = row.currency.map_or(String::new(), |currency| currency.to_string());
            format!(
                "{} {currency} {}d {}x {} {}{}{} {}",
                row.person,
                row.recency_days,
                row.frequency,
                row.monetary.0.normalize(),
                row.recency_score,
                row.frequency_score,
                row.monetary_score,
                row.segment
            )
        })
        .collect()
}

async fn answers(world: &World, scope: &Scope, options: RfmOptions) -> Vec<String> {
    let mut answers = Vec::new();
    for engine in engines::all().await {
        world.load_into(&engine).await;
        answers.push(shown(&report::rfm(&engine, scope, options).await.unwrap().rows));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "engines differ: {answers:?}");
    answers.swap_remove(0)
}

/// Purchases at noon UTC of the days named.
fn bought(user: &str, days: &[u32], amount: &str) -> Vec<mkt_warehouse::model::Event> {
    days.iter().map(|day| sale(user, &format!("2026-10-{day:02}T12:00:00Z"), amount, EUR)).collect()
}

#[tokio::test]
async fn five_buyers_apart_from_each_other_have_the_five_scores() {
    let events = [
        bought("a", &[1, 2, 3, 4, 31], "10"),
        bought("b", &[1, 2, 3, 30], "10"),
        bought("c", &[1, 2, 29], "10"),
        bought("d", &[1, 28], "10"),
        bought("e", &[27], "500"),
    ];
    let world = World { events: events.concat(), ..World::default() };
    assert_eq!(
        answers(&world, &october(), RfmOptions::default()).await,
        [
            "a EUR 0d 5x 50 554 champions",
            "b EUR 1d 4x 40 443 loyal",
            "c EUR 2d 3x 30 332 needs_attention",
            "d EUR 3d 2x 20 221 hibernating",
            "e EUR 4d 1x 500 115 hibernating",
        ]
    );
}

#[tokio::test]
async fn equal_values_have_equal_scores_and_a_tie_takes_the_worst() {
    // Six buyers; four bought once. Frequency: 0 of 6 bought less often than those, 4 of 6 less than e, 5 of 6 less
    // than f: 1 + ⌊5·0⌋, 1 + ⌊5·4/6⌋ = 4, 1 + ⌊5·5/6⌋ = 5. Recency: all but f on the 20th; 5 of 6 stayed away longer
    // than f.
    let events = [
        bought("a", &[20], "10"),
        bought("b", &[20], "10"),
        bought("c", &[20], "10"),
        bought("d", &[20], "10"),
        bought("e", &[1, 20], "5"),
        bought("f", &[1, 2, 31], "5"),
    ];
    let world = World { events: events.concat(), ..World::default() };
    assert_eq!(
        answers(&world, &october(), RfmOptions::default()).await,
        [
            "a EUR 11d 1x 10 111 hibernating",
            "b EUR 11d 1x 10 111 hibernating",
            "c EUR 11d 1x 10 111 hibernating",
            "d EUR 11d 1x 10 111 hibernating",
            "e EUR 11d 2x 10 141 at_risk",
            "f EUR 0d 3x 15 555 champions",
        ]
    );
    // In halves: 2·4/6 and 2·5/6 are 1 and more.
    let halves = answers(&world, &october(), RfmOptions { quantiles: 2 }).await;
    assert_eq!(halves[4], "e EUR 11d 2x 10 121 at_risk");
    assert_eq!(halves[5], "f EUR 0d 3x 15 222 champions");
}

#[tokio::test]
async fn recency_is_of_local_days_and_amounts_keep_their_currencies() {
    let world = World {
        events: vec![
            // 00:30 of the 31st in Paris.
            sale("a", "2026-10-30T23:30:00Z", "10", EUR),
            sale("a2", "2026-10-05T12:00:00Z", "7", Some(Currency::USD)),
            sale("a", "2026-10-06T12:00:00Z", "-2.50", EUR),
            // A refund alone makes no buyer.
            sale("b", "2026-10-06T12:00:00Z", "-9", EUR),
            // Before the period, and after it.
            sale("c", "2026-09-30T21:59:59Z", "9", EUR),
            sale("c", "2026-10-31T23:00:00Z", "9", EUR),
        ],
        identities: vec![same_person("a2", "a")],
        ..World::default()
    };
    assert_eq!(
        answers(&world, &october(), RfmOptions::default()).await,
        ["a EUR 0d 2x 7.5 111 hibernating", "a USD 0d 2x 7 111 hibernating"]
    );
}

#[tokio::test]
async fn scores_that_make_no_sense_are_refused() {
    let engine = engines::memory().await;
    for quantiles in [0, 1, 101] {
        let error = report::rfm(&engine, &october(), RfmOptions { quantiles }).await.unwrap_err();
        assert!(error.to_string().contains("2 to 100"), "{error}");
    }
}

/// Rows recency 5 to 1, columns frequency 1 to 5, as the documentation draws it.
const SEGMENTS: [[&str; 5]; 5] = [
    ["new", "potential_loyal", "potential_loyal", "champions", "champions"],
    ["promising", "potential_loyal", "potential_loyal", "loyal", "loyal"],
    ["about_to_sleep", "about_to_sleep", "needs_attention", "loyal", "loyal"],
    ["hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"],
    ["hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"],
];

fn expected(oracle: &Oracle, last_day: chrono::NaiveDate, quantiles: usize) -> Vec<String> {
    let mut bought: BTreeMap<String, (i64, usize)> = BTreeMap::new();
    let mut spent: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    for (currency, event) in oracle.sales() {
        let person = oracle.person_of(event);
        if event.event_type == EventType::PURCHASE {
            let days = (last_day - oracle.day(event.timestamp)).num_days();
            let held = bought.entry(person.clone()).or_insert((days, 0));
            *held = (days.min(held.0), held.1 + 1);
        }
        *spent.entry((person, currency)).or_default() += event.revenue.0;
    }
    spent.retain(|(person, _), _| bought.contains_key(person));
    let score = |worse: usize, of: usize, steps: usize| 1 + steps * worse / of;
    let of = bought.len();
    spent
        .iter()
        .map(|((person, currency), amount)| {
            let (days, times) = bought[person];
            let staler = bought.values().filter(|(d, _)| *d > days).count();
            let rarer = bought.values().filter(|(_, t)| *t < times).count();
            let rivals: Vec<_> = spent.iter().filter(|((_, c), _)| c == currency).map(|(_, a)| a).collect();
            let poorer = rivals.iter().filter(|other| **other < amount).count();
            format!(
                "{person} {currency} {days}d {times}x {} {}{}{} {}",
                amount.normalize(),
                score(staler, of, quantiles),
                score(rarer, of, quantiles),
                score(poorer, rivals.len(), quantiles),
                SEGMENTS[5 - score(staler, of, 5)][score(rarer, of, 5) - 1]
            )
        })
        .collect()
}

/// `MKT_TEST_SEED` chooses another first world, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn rfm_of_random_worlds_equals_plain_rust() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 3));
    let mut segments = BTreeSet::new();
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let world = world(seed);
        for engine in engines::all().await {
            world.load_into(&engine).await;
            report::load_zone(&engine, "Asia/Kolkata", 2026, 2026, at("2026-11-01T00:00:00Z")).await.unwrap();
            for (zone, site, source, quantiles) in [
                ("Europe/Paris", None, None, 5),
                ("Asia/Kolkata", Some("shop"), Some("log"), 4),
                ("Asia/Kolkata", Some("blog"), None, 7),
            ] {
                let mut scope = Scope::days(zone, day("2026-08-10"), day("2026-11-11")).unwrap();
                scope = site.into_iter().fold(scope, Scope::site);
                scope = source.into_iter().fold(scope, Scope::source);
                let (from, until) = (scope.from(), scope.until());
                let oracle = Oracle { world: &world, zone: zone.parse().unwrap(), from, until, site, source };
                let expected = expected(&oracle, day("2026-11-10"), quantiles);
                assert!(!expected.is_empty());
                let options = RfmOptions { quantiles: quantiles as u32 };
                let found = report::rfm(&engine, &scope, options).await.unwrap();
                segments.extend(found.rows.iter().map(|row| row.segment));
                assert_eq!(shown(&found.rows), expected, "{} {zone} {site:?} {source:?}", engine.dialect());
            }
        }
    }
    assert!(segments.len() >= 8, "the worlds hold most segments: {segments:?}");
}
