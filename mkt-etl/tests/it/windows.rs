//! Windows in any order, split, doubled, overlapping: the same tables; and late data meanwhile: exactly the revisions
//! that a table of who saw what predicts. `MKT_TEST_WORLDS` (default 6) chooses how many cases.

use crate::support::{all, day, dump_timeless, late};
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use mkt_connect::Stop;
use mkt_connect::clock::ManualClock;
use mkt_etl::Finality;
use mkt_etl::csv::CsvSource;
use mkt_etl::ledger::{RevisionRow, SliceRow};
use mkt_etl::{Extent, Memory, Page, Pipeline, Totals, Window};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, Site, SliceState, ZoneOffset};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn cases() -> ProptestConfig {
    let cases = std::env::var("MKT_TEST_WORLDS").map_or(6, |text| text.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

const DAYS: u64 = 10;

fn first() -> NaiveDate {
    // The clocks of Paris change on the 29th.
    day("2026-03-24")
}

fn window(from: u64, length: u64) -> Window {
    let from = first() + Days::new(from);
    Window { from, until: from + Days::new(length) }
}

fn windows() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let one = (0..DAYS).prop_flat_map(|from| (Just(from), 1..=DAYS - from));
    proptest::collection::vec(one, 0..5)
}

/// Files with repeated and unreadable records, several days of each kind, a day without any.
fn files(folder: &std::path::Path) -> CsvSource {
    let mut events = "event_id,user_id,event_type,timestamp,channel,revenue,properties\n".to_owned();
    let mut costs = "day,channel,source,medium,campaign,impressions,clicks,cost,currency\n".to_owned();
    for n in 0..400_u64 {
        let date = first() + Days::new(n * 7 % DAYS);
        if n * 7 % DAYS == 6 {
            continue;
        }
        let hour = n % 24;
        // Every 40th record comes twice, every 50th has no time.
        let line = match n % 50 {
            13 => format!("{n},u{},purchase,{date} {hour}h,email,9.90,\n", n % 11),
            _ => format!("{n},u{},purchase,{date} {hour:02}:30:00,email,9.90,\n", n % 11),
        };
        events.push_str(&line);
        if n % 40 == 0 {
            events.push_str(&line);
        }
        if n < DAYS {
            costs.push_str(&format!("{date},paid,google,cpc,spring,100,{n},1.5,EUR\n"));
        }
    }
    let put = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    CsvSource::builder("shop", chrono_tz::Europe::Paris)
        .events(put("events.csv", &events))
        .costs(put("costs.csv", &costs))
        .build()
        .unwrap()
}

async fn load(source: &CsvSource, windows: &[(u64, u64)]) -> String {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    for (from, length) in windows {
        let report = pipeline.run(window(*from, *length)).await.unwrap();
        assert!(report.failures.is_empty(), "{report:?}");
    }
    dump_timeless(&warehouse).await
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn windows_of_files_in_any_order_split_and_doubled_give_the_same_tables(
        extra in windows(),
        cut in 1..DAYS,
        swapped in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let source = files(folder.path());
        // Two halves in either order cover everything, with other windows before them.
        let mut halves = vec![(0, cut), (cut, DAYS - cut)];
        if swapped {
            halves.reverse();
        }
        let shuffled: Vec<(u64, u64)> = extra.into_iter().chain(halves).collect();
        let (reference, found) = runtime().block_on(async {
            // Twice: a day without records settles at the second look, if at all.
            (load(&source, &[(0, DAYS), (0, DAYS)]).await, load(&source, &[shuffled, vec![(0, DAYS)]].concat()).await)
        });
        prop_assert!(reference.contains("2026-03-24") && reference.contains("etl_quarantine"));
        for (reference, found) in reference.lines().zip(found.lines()) {
            prop_assert_eq!(reference, found);
        }
        prop_assert_eq!(reference.lines().count(), found.lines().count());
    }
}

/// What happens in an hour: somebody's visit arrives late, and a window is read.
#[derive(Debug, Clone)]
struct Hour {
    /// How many hours after the hour before.
    later: i64,
    /// A day, and the visits it has from now on.
    arrives: Option<(u64, i64)>,
    reads: (u64, u64),
}

fn hours() -> impl Strategy<Value = Vec<Hour>> {
    let hour = (
        1..20_i64,
        proptest::option::of((0..DAYS, 1..9_i64)),
        (0..DAYS).prop_flat_map(|from| (Just(from), 1..=DAYS - from)),
    );
    let hour = hour.prop_map(|(later, arrives, reads)| Hour { later, arrives, reads });
    proptest::collection::vec(hour, 1..8)
}

fn visits(date: NaiveDate, value: i64) -> Page {
    let row = DailyMetric {
        metric: "visits".to_owned(),
        kind: MetricKind::Additive,
        value: Some(Measure::from(value)),
        numerator: None,
        denominator: None,
        currency: None,
        state: SliceState::Planned,
        source: "memory".to_owned(),
        site: "shop".to_owned(),
        day: date,
    };
    Page { read: 1, metrics: vec![row], ..Page::default() }
}

fn tell(source: &Memory, date: NaiveDate, value: i64) {
    source.put(source.slice(date), vec![visits(date, value)]);
    source.put_control(source.slice(date), Totals::new().with("visits", value));
}

/// Days are final two days after their end.
const FINAL_AFTER: i64 = 2;

fn final_from(date: NaiveDate) -> DateTime<Utc> {
    (date + Days::new(1 + FINAL_AFTER as u64)).and_hms_opt(0, 0, 0).unwrap().and_utc()
}

fn source() -> Memory {
    Memory::new("memory", "shop", chrono_tz::UTC).finality(Finality::After(TimeDelta::days(FINAL_AFTER)))
}

/// The rows and the ledger, without the revisions: who never looked before saw no change.
async fn tables(warehouse: &Sqlite) -> String {
    let dump = dump_timeless(warehouse).await;
    dump.split("== etl_revisions").next().unwrap().to_owned()
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn late_data_under_windows_in_any_order_raise_exactly_the_revisions_that_were_seen(hours in hours()) {
        let (held, expected_revisions, found, reference) = runtime().block_on(async {
            let source = source();
            let warehouse = Sqlite::in_memory().await.unwrap();
            // Who saw what: of each day the visits now, those at the last look, and whether that look was the last.
            let mut now: BTreeMap<NaiveDate, i64> = (0..DAYS).map(|n| (first() + Days::new(n), 3)).collect();
            let mut seen: BTreeMap<NaiveDate, (i64, bool)> = BTreeMap::new();
            let mut revisions: Vec<(NaiveDate, i64, i64)> = Vec::new();
            now.iter().for_each(|(date, value)| tell(&source, *date, *value));
            let mut at = first().and_hms_opt(12, 0, 0).unwrap().and_utc();
            let last = final_from(first() + Days::new(DAYS));
            let end = Hour { later: 0, arrives: None, reads: (0, DAYS) };
            for (index, hour) in hours.iter().chain([&end]).enumerate() {
                at = if index == hours.len() { last.max(at) } else { at + TimeDelta::hours(hour.later * 6) };
                if let Some((n, value)) = hour.arrives {
                    let date = first() + Days::new(n);
                    // What a source has declared final it does not change.
                    if at < final_from(date) {
                        now.insert(date, value);
                        tell(&source, date, value);
                    }
                }
                let window = window(hour.reads.0, hour.reads.1);
                for date in window.iter() {
                    match seen.get(&date) {
                        Some((_, true)) => continue,
                        Some((before, false)) if *before != now[&date] => revisions.push((date, *before, now[&date])),
                        _ => {}
                    }
                    seen.insert(date, (now[&date], at >= final_from(date)));
                }
                let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(ManualClock::new(at));
                pipeline.run(window).await.unwrap();
            }
            let mut held: Vec<RevisionRow> = all(&warehouse).await;
            held.sort_by_key(|row| (row.seen_at, row.window_from));
            let slices: Vec<SliceRow> = all(&warehouse).await;
            assert!(slices.iter().all(|row| row.state == SliceState::Settled));
            let fresh = Sqlite::in_memory().await.unwrap();
            Pipeline::new(source, fresh.clone()).clock(ManualClock::new(last.max(at))).run(window(0, DAYS)).await.unwrap();
            (held, revisions, tables(&warehouse).await, tables(&fresh).await)
        });
        let held: Vec<(NaiveDate, i64, i64)> = held
            .into_iter()
            .map(|row| {
                let value = |measure: Option<Measure>| i64::try_from(measure.unwrap().0).unwrap();
                assert_eq!(row.metric, "visits");
                (row.window_from, value(row.old_value), value(row.new_value))
            })
            .collect();
        prop_assert_eq!(held, expected_revisions);
        prop_assert_eq!(found, reference);
    }
}

#[tokio::test]
async fn days_of_a_site_at_a_fixed_offset_are_cut_by_it_and_its_zone_is_recorded() {
    let offset = chrono::FixedOffset::east_opt(3 * 3600 + 1800).unwrap();
    let source = Memory::new("memory", "teheran", chrono_tz::UTC).offset(offset);
    let warehouse = Sqlite::in_memory().await.unwrap();
    // At 20:30 UTC the next day begins there. Twice: nothing is written again.
    for (now, last) in [
        ("2026-03-26T20:29:59Z", "2026-03-26"),
        ("2026-03-26T20:30:00Z", "2026-03-27"),
        ("2026-03-26T20:30:00Z", "2026-03-27"),
    ] {
        let clock = ManualClock::new(now.parse().unwrap());
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(clock);
        let report =
            pipeline.run_extent(Extent::Due { since: Some(day("2026-03-25")) }, &Stop::new()).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        let slices: Vec<SliceRow> = all(&warehouse).await;
        assert_eq!(slices.iter().map(|slice| slice.window_from).max(), Some(day(last)), "{now}");
    }
    let sites: Vec<Site> = all(&warehouse).await;
    assert_eq!((sites.len(), sites[0].zone.as_str()), (1, "UTC+03:30"));
    let offsets: Vec<ZoneOffset> = all(&warehouse).await;
    assert_eq!(offsets.len(), 1);
    assert_eq!((offsets[0].zone.as_str(), offsets[0].offset_s), ("UTC+03:30", 12_600));
    assert_eq!((offsets[0].from_utc.year(), offsets[0].until_utc.year()), (1, 9999));
}
