//! The state of loads: by hand, and over random ledgers against plain Rust.

use super::engines;
use super::oracle::Random;
use super::rows::{at, day};
use chrono::{Days, NaiveDate, TimeDelta};
use mkt_warehouse::model::{EmailEvent, EmailEventType, SliceState};
use mkt_warehouse::report::{self, EtlOptions, Scope, StreamStatus};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use std::collections::{BTreeMap, BTreeSet};

/// So many rows that no other slice holds.
fn rows(first_id: i64, count: u64, on: NaiveDate) -> Vec<EmailEvent> {
    let timestamp = on.and_hms_opt(12, 0, 0).unwrap().and_utc();
    (0..count as i64)
        .map(|n| EmailEvent {
            event_id: first_id + n,
            message_id: "m".to_owned(),
            user_id: None,
            event_type: EmailEventType::Accepted,
            timestamp,
            campaign_id: None,
            url: None,
            detail: None,
            source: "brevo".to_owned(),
            site: "shop".to_owned(),
            day: on,
        })
        .collect()
}

fn states(row: &StreamStatus) -> [i64; 7] {
    [row.planned, row.provisional, row.settled, row.suspect_empty, row.truncated, row.sampled, row.failed]
}

fn year() -> Scope {
    Scope::days("Europe/Paris", day("2026-01-01"), day("2027-01-01")).unwrap()
}

async fn status(engine: &dyn Warehouse, scope: &Scope, now: &str) -> Vec<StreamStatus> {
    report::etl_status(engine, scope, EtlOptions { now: Some(at(now)) }).await.unwrap().rows
}

#[tokio::test]
async fn days_that_no_slice_holds_are_missing_and_days_loaded_twice_count_once() {
    for engine in engines::all().await {
        let key = |from: &str, until: &str| SliceKey {
            from: day(from),
            until: day(until),
            ..SliceKey::whole("matomo", "visits", "shop")
        };
        let slices = [
            // 1 to 5 October in one slice, the 3rd again, the 8th empty, the 10th: the 6th, 7th and 9th are missing.
            (key("2026-10-01", "2026-10-06"), SliceState::Settled, 4, "2026-10-10T02:00:00Z"),
            (key("2026-10-03", "2026-10-04"), SliceState::Sampled, 1, "2026-10-10T02:10:00Z"),
            (key("2026-10-08", "2026-10-09"), SliceState::SuspectEmpty, 0, "2026-10-10T02:20:00Z"),
            (key("2026-10-10", "2026-10-11"), SliceState::Provisional, 2, "2026-10-11T02:30:00Z"),
            (SliceKey::whole("matomo", "goals", "shop"), SliceState::Settled, 3, "2026-10-01T00:00:00Z"),
        ];
        for (n, (key, state, count, loaded)) in slices.iter().enumerate() {
            let batch = Batch::new(key.clone()).state(*state).replace(rows(n as i64 * 100, *count, key.from));
            engine.load(&batch, at(loaded)).await.unwrap();
        }
        // The last day again, with more rows.
        let again = Batch::new(slices[3].0.clone()).replace(rows(300, 5, day("2026-10-10")));
        engine.load(&again, at("2026-10-11T14:30:00Z")).await.unwrap();

        let found = status(&engine, &year(), "2026-10-12T02:00:00Z").await;
        assert_eq!(found.len(), 2);
        let (goals, visits) = (&found[0], &found[1]);
        assert_eq!((visits.stream.as_str(), visits.slices), ("visits", 4));
        assert_eq!((visits.first_day, visits.last_day), (Some(day("2026-10-01")), Some(day("2026-10-10"))));
        assert_eq!(visits.missing_days, 3);
        assert_eq!((visits.last_load, visits.hours_since), (at("2026-10-11T14:30:00Z"), 11.5));
        assert_eq!((visits.row_count, visits.revisions), (10, 1));
        assert_eq!(states(visits), [0, 0, 2, 1, 0, 1, 0], "the last day is settled now");
        assert_eq!((goals.stream.as_str(), goals.first_day, goals.last_day), ("goals", None, None));
        assert_eq!((goals.slices, goals.missing_days, goals.row_count, goals.revisions), (1, 0, 3, 0));

        // The instant of asking lies before the last load; the period touches the first two slices.
        let early = Scope::days("Europe/Paris", day("2026-10-03"), day("2026-10-07")).unwrap();
        let found = status(&engine, &early, "2026-10-10T02:09:59Z").await;
        assert_eq!((found[1].slices, found[1].hours_since, found[1].missing_days), (2, 0.0, 0));
        assert!(status(&engine, &early.clone().site("blog"), "2026-10-12T02:00:00Z").await.is_empty());
        assert!(status(&engine, &early.source("csv"), "2026-10-12T02:00:00Z").await.is_empty());
    }
}

/// `MKT_TEST_SEED` chooses another ledger, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn random_ledgers_give_the_status_of_plain_rust() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 1));
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let random = &mut Random(seed);
        // The ledger by key: state, rows, revision, last change.
        let mut ledger = BTreeMap::new();
        let mut loads = Vec::new();
        for n in 0..40_u64 {
            let from = day("2026-10-01") + Days::new(random.below(40));
            let key = SliceKey {
                source: ["matomo", "csv"][random.below(2) as usize].to_owned(),
                stream: ["visits", "costs"][random.below(2) as usize].to_owned(),
                site: "shop".to_owned(),
                from,
                until: from + Days::new(1 + random.below(3)),
            };
            let state = SliceState::ALL[random.below(7) as usize];
            let (count, loaded) =
                (random.below(4), at("2026-11-20T00:00:00Z") + TimeDelta::minutes(n as i64 * 7));
            loads.push((key.clone(), state, n as i64 * 10, count, loaded));
            // Two empty contents are the same content: only the state changes.
            let held = ledger.entry(key).or_insert((state, count, 0, loaded));
            let same = held.2 > 0 && held.1 == 0 && count == 0;
            *held = (state, count, held.2 + i64::from(!same), if same { held.3 } else { loaded });
        }
        for engine in engines::all().await {
            for (key, state, id, count, loaded) in &loads {
                let batch = Batch::new(key.clone()).state(*state).replace(rows(*id, *count, key.from));
                engine.load(&batch, *loaded).await.unwrap();
            }
            let october = Scope::days("Europe/Paris", day("2026-10-05"), day("2026-11-01")).unwrap();
            let now = "2026-11-21T00:00:00Z";
            let found = status(&engine, &october, now).await;
            let mut expected = BTreeMap::new();
            for (key, held) in &ledger {
                if key.from < day("2026-11-01") && key.until > day("2026-10-05") {
                    let stream = (key.source.clone(), key.stream.clone(), key.site.clone());
                    expected.entry(stream).or_insert_with(Vec::new).push((key, held));
                }
            }
            assert_eq!(found.len(), expected.len());
            for (row, ((source, stream, site), slices)) in found.iter().zip(expected) {
                assert_eq!((&row.source, &row.stream, &row.site), (&source, &stream, &site));
                let held: BTreeSet<NaiveDate> = slices
                    .iter()
                    .flat_map(|(key, _)| key.from.iter_days().take_while(|day| *day < key.until))
                    .collect();
                let (first, last) = (*held.first().unwrap(), *held.last().unwrap());
                let span = (last - first).num_days() + 1;
                let changed = slices.iter().map(|(_, held)| held.3).max().unwrap();
                assert_eq!((row.first_day, row.last_day), (Some(first), Some(last)));
                assert_eq!(row.missing_days, span - held.len() as i64, "{source} {stream}");
                assert_eq!(row.slices, slices.len() as i64);
                assert_eq!(row.row_count, slices.iter().map(|(_, held)| held.1 as i64).sum::<i64>());
                assert_eq!(row.revisions, slices.iter().map(|(_, held)| held.2 - 1).sum::<i64>());
                assert_eq!(row.last_load, changed);
                assert_eq!(row.hours_since, (at(now) - changed).num_seconds() as f64 / 3600.0);
                let count = |state: &SliceState| slices.iter().filter(|(_, held)| held.0 == *state).count();
                let of_state: Vec<i64> = SliceState::ALL.iter().map(|state| count(state) as i64).collect();
                assert_eq!(states(row), of_state[..]);
            }
        }
    }
}
