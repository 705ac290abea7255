//! Late data, days without an archive, order of windows, failures, stopping.

use crate::support::{all, at, day, dump, dump_timeless, late, utc, window};
use mkt_connect::ErrorKind;
use mkt_etl::ledger::{QuarantineRow, RevisionRow, SliceRow};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Finality, Page};
use mkt_etl::{Memory, Pipeline, Rejected, Totals};
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, Session, Site, SliceState, ZoneOffset};
use mkt_warehouse::{SliceKey, Sqlite};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn a_late_visit_raises_revisions_that_can_be_shown() {
    let server = RecordedMatomo::start().await.unwrap();
    server.choose("late_before").unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = |clock| Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(clock);
    let the_day = window("2026-03-27", "2026-03-27");
    let first = pipeline(at("2026-03-28T06:00:00Z")).run(the_day).await.unwrap();
    assert_eq!((first.slices["provisional"], first.revised), (2, 0));
    server.choose_nothing();
    let second = pipeline(at("2026-03-29T06:00:00Z")).run(the_day).await.unwrap();
    assert_eq!((second.slices["provisional"], second.revised), (2, 2));
    let revisions: Vec<RevisionRow> = all(&warehouse).await;
    let seen = |stream: &str, metric: &str| {
        revisions.iter().find(|row| row.stream == stream && row.metric == metric).map(|row| {
            (row.old_value.unwrap().0.to_string(), row.new_value.unwrap().0.to_string(), row.seen_at)
        })
    };
    let at_six = utc("2026-03-29T06:00:00Z");
    // late_before and late_after: 12 → 13 visits, 28 → 29 actions, 0 → 1 bounce, nothing else.
    for (stream, metric, old, new) in [
        ("daily", "visits", "12", "13"),
        ("daily", "actions", "28", "29"),
        ("daily", "bounces", "0", "1"),
        ("visits", "visits", "12", "13"),
    ] {
        let (was, is, when) = seen(stream, metric).unwrap_or_else(|| panic!("{stream} {metric}"));
        let number = |text: &str| text.parse::<rust_decimal::Decimal>().unwrap();
        assert_eq!(
            (number(&was), number(&is), when),
            (number(old), number(new), at_six),
            "{stream} {metric}"
        );
    }
    assert_eq!(seen("daily", "converted_visits"), None);
    assert_eq!(all::<Session>(&warehouse).await.len(), 13);
}

#[tokio::test]
async fn a_day_without_an_archive_is_suspect_and_no_zero_is_loaded() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(late());
    let report = pipeline.run(window("2026-05-04", "2026-05-05")).await.unwrap();
    // 4 May: no visit in Live either, so that zero is zero. 5 May: VisitsSummary has nothing, Live has visit 135.
    let states: Vec<(String, String, SliceState)> = all::<SliceRow>(&warehouse)
        .await
        .into_iter()
        .map(|row| (row.stream, row.window_from.to_string(), row.state))
        .collect();
    let state =
        |stream: &str, day: &str| states.iter().find(|row| row.0 == stream && row.1 == day).map(|row| row.2);
    assert_eq!(state("daily", "2026-05-04"), Some(SliceState::Settled));
    assert_eq!(state("daily", "2026-05-05"), Some(SliceState::SuspectEmpty));
    assert_eq!(state("visits", "2026-05-04"), Some(SliceState::Settled));
    assert_eq!(state("visits", "2026-05-05"), Some(SliceState::Provisional));
    assert_eq!(report.unreconciled["matomo/daily/1 2026-05-05"], "visits 0, control 1");
    let metrics: Vec<DailyMetric> = all(&warehouse).await;
    for row in metrics {
        let suspect = row.day == day("2026-05-05");
        assert_eq!(row.state == SliceState::SuspectEmpty, suspect);
        if row.metric == "visits" {
            assert_eq!(row.value.is_none(), suspect, "an unbelieved zero is no value");
        }
    }
    assert_eq!(all::<Session>(&warehouse).await.len(), 1);
}

#[tokio::test]
async fn the_site_and_the_offsets_of_its_zone_are_recorded() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(late());
    pipeline.run(window("2026-03-27", "2026-03-27")).await.unwrap();
    let sites: Vec<Site> = all(&warehouse).await;
    assert_eq!(sites.len(), 1);
    assert_eq!((sites[0].zone.as_str(), sites[0].record_source.as_str()), ("Europe/Paris", "matomo"));
    assert_eq!(sites[0].conversion_set.0, serde_json::json!(["purchase", "goal"]));
    let offsets: Vec<(i64, i64)> = all::<ZoneOffset>(&warehouse)
        .await
        .iter()
        .map(|row| (row.from_utc.timestamp(), row.offset_s))
        .collect();
    // Last Sundays of October 2025, March and October 2026, 01:00 UTC (Directive 2000/84/EC).
    let changes = ["2025-10-26T01:00:00Z", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]
        .map(|at| utc(at).timestamp());
    assert_eq!(offsets, [(changes[0], 3600), (changes[1], 7200), (changes[2], 3600)]);
}

#[tokio::test]
async fn a_lock_out_stops_everything_of_the_instance() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let source = server.source().concurrency(1).build().unwrap();
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late());
    // The check passes; then somebody else behind the same address tries tokens until the instance locks.
    let locked = Arc::new(Mutex::new(false));
    let report = {
        let intruder = mkt_etl::matomo::Matomo::builder(&server.url())
            .allow_insecure_host(&server.server().authority())
            .token("ffffffffffffffffffffffffffffffff")
            .site(1);
        for _ in 0..21 {
            use mkt_etl::AnalyticsSource;
            let error = intruder.clone().build().unwrap().check().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Auth);
        }
        *locked.lock().unwrap() = true;
        pipeline.run(window("2026-03-27", "2026-03-31")).await
    };
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.to_string().contains("locked"), "{error}");
    let hits = server.server().hits();
    assert_eq!(pipeline.run(window("2026-03-27", "2026-03-31")).await.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(server.server().hits(), hits, "no further request was made");
}

#[tokio::test]
async fn refused_credentials_in_the_middle_start_no_further_slice() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    source.fail(source.slice(day("2026-03-03")), Some(ErrorKind::Auth));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late()).concurrency(1);
    let report = pipeline.run(window("2026-03-01", "2026-03-05")).await.unwrap();
    assert!(report.stopped.as_deref().unwrap().contains("rejected the credentials"));
    assert_eq!((report.slices["planned"], report.slices["failed"]), (2, 1));
    assert_eq!(source.reads(), 3);
    assert!(!report.is_complete());
}

/// A page with one number of a day.
fn visits(day_text: &str, value: i64) -> Page {
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
        day: day(day_text),
    };
    Page { read: 1, metrics: vec![row], ..Page::default() }
}

#[tokio::test]
async fn a_failed_slice_keeps_its_rows_and_is_read_again() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC)
        .finality(Finality::After(chrono::TimeDelta::days(9999)));
    let slice = source.slice(day("2026-03-01"));
    source.put(slice.clone(), vec![visits("2026-03-01", 5)]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    let the_day = window("2026-03-01", "2026-03-01");
    pipeline.run(the_day).await.unwrap();
    source.fail(slice.clone(), Some(ErrorKind::Unavailable));
    for attempt in 1..=2 {
        let report = pipeline.run(the_day).await.unwrap();
        assert_eq!(report.failures[0].kind, "unavailable");
        let rows: Vec<SliceRow> = all(&warehouse).await;
        assert_eq!((rows[0].failed_attempts, rows[0].last_error.as_deref()), (attempt, Some("unavailable")));
        assert_eq!(rows[0].state, SliceState::Provisional);
        assert_eq!(all::<DailyMetric>(&warehouse).await.len(), 1, "the rows of the slice stay");
    }
    source.fail(slice, None);
    let report = pipeline.run(the_day).await.unwrap();
    assert!(report.is_complete());
    let rows: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!((rows[0].failed_attempts, rows[0].last_error.as_deref()), (0, None));
}

#[tokio::test]
async fn a_contradicted_zero_does_not_replace_what_was_read() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC)
        .finality(Finality::After(chrono::TimeDelta::days(9999)));
    let slice = source.slice(day("2026-03-01"));
    source.put(slice.clone(), vec![visits("2026-03-01", 5)]);
    source.put_control(slice.clone(), Totals::new().with("visits", 5));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    let the_day = window("2026-03-01", "2026-03-01");
    pipeline.run(the_day).await.unwrap();
    for empty in [vec![visits("2026-03-01", 0)], vec![]] {
        source.put(slice.clone(), empty);
        let report = pipeline.run(the_day).await.unwrap();
        assert_eq!(report.failures[0].kind, "protocol");
        let rows: Vec<DailyMetric> = all(&warehouse).await;
        assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [Some(Measure::from(5))]);
    }
    // A zero that the control totals share is believed.
    source.put_control(slice.clone(), Totals::new().with("visits", 0));
    source.put(slice, vec![visits("2026-03-01", 0)]);
    assert!(pipeline.run(the_day).await.unwrap().is_complete());
    assert_eq!(all::<DailyMetric>(&warehouse).await[0].value, Some(Measure::from(0)));
}

#[tokio::test]
async fn a_slice_that_lost_a_row_is_loaded_again_settled_or_not() {
    for finality in [Finality::Immediate, Finality::After(chrono::TimeDelta::days(9999))] {
        let source = Memory::new("memory", "shop", chrono_tz::UTC).finality(finality);
        // Both days claim the metric of the first.
        for date in ["2026-03-01", "2026-03-02"] {
            source.put(source.slice(day(date)), vec![visits("2026-03-01", 5)]);
            source.put_control(source.slice(day(date)), Totals::new().with("visits", 5));
        }
        let warehouse = Sqlite::in_memory().await.unwrap();
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late()).concurrency(1);
        pipeline.run(window("2026-03-01", "2026-03-02")).await.unwrap();
        assert_eq!(all::<DailyMetric>(&warehouse).await.len(), 1);
        // The second day lets go of it: the first takes it back although nothing changed there.
        source.put(source.slice(day("2026-03-02")), vec![visits("2026-03-02", 5)]);
        let own = Memory::slice(&source, day("2026-03-02"));
        mkt_warehouse::Warehouse::load(
            &warehouse,
            &mkt_warehouse::Batch::new(own),
            utc("2026-11-15T12:00:00Z"),
        )
        .await
        .unwrap();
        assert!(all::<DailyMetric>(&warehouse).await.is_empty());
        let report = pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
        assert_eq!((report.replayed, report.revised), (0, 0));
        assert_eq!(all::<DailyMetric>(&warehouse).await[0].day, day("2026-03-01"));
        let report = pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
        assert_eq!((report.replayed, report.changed), (1, false));
    }
}

#[tokio::test]
async fn without_control_totals_two_equal_reads_settle_a_slice() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    source.put(source.slice(day("2026-03-01")), vec![visits("2026-03-01", 5)]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    for (expected, reads) in [("provisional", 1), ("settled", 2), ("settled", 2)] {
        let report = pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
        assert_eq!(report.slices.keys().collect::<Vec<_>>(), [expected]);
        assert_eq!(source.reads(), reads);
    }
}

#[tokio::test]
async fn counts_that_do_not_add_up_fail_the_slice() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let page = Page { read: 2, ..visits("2026-03-01", 5) };
    source.put(source.slice(day("2026-03-01")), vec![page]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late());
    let report = pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
    assert_eq!(report.failures[0].kind, "protocol");
    assert!(report.failures[0].message.contains("2 read, 1 rows, 0 quarantined, 0 duplicates"));
    assert!(all::<DailyMetric>(&warehouse).await.is_empty());
}

#[tokio::test]
async fn rows_of_another_site_fail_the_slice() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let mut page = visits("2026-03-01", 5);
    page.metrics[0].site = "elsewhere".to_owned();
    source.put(source.slice(day("2026-03-01")), vec![page]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report =
        Pipeline::new(source, warehouse).clock(late()).run(window("2026-03-01", "2026-03-01")).await.unwrap();
    assert_eq!(report.failures[0].kind, "protocol");
}

#[tokio::test]
async fn a_slice_beyond_the_limit_fails_before_anything_is_loaded() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let mut second = visits("2026-03-01", 5);
    second.metrics[0].metric = "actions".to_owned();
    source.put(source.slice(day("2026-03-01")), vec![visits("2026-03-01", 5), second]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = Pipeline::new(source, warehouse.clone())
        .clock(late())
        .max_rows(1)
        .run(window("2026-03-01", "2026-03-01"))
        .await
        .unwrap();
    assert_eq!(report.failures[0].kind, "input");
    assert!(all::<DailyMetric>(&warehouse).await.is_empty());
}

#[tokio::test]
async fn quarantined_records_are_kept_without_addresses_and_leave_when_repaired() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC)
        .finality(Finality::After(chrono::TimeDelta::days(9999)));
    let slice = source.slice(day("2026-03-01"));
    let rejected =
        Rejected::new("events.csv", b"7,jo@example.org,\xff", "the timestamp is no time").at(12, 345);
    source.put(slice.clone(), vec![Page { read: 2, rejected: vec![rejected], ..visits("2026-03-01", 5) }]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    let report = pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
    assert_eq!((report.read, report.quarantined, report.rows["daily_metrics"]), (2, 1, 1));
    let rows: Vec<QuarantineRow> = all(&warehouse).await;
    assert_eq!(
        (rows[0].raw.as_str(), rows[0].line, rows[0].byte_offset),
        ("7,[address],\\xff", Some(12), Some(345))
    );
    source.put(slice, vec![visits("2026-03-01", 6)]);
    pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
    assert!(all::<QuarantineRow>(&warehouse).await.is_empty());
}

#[tokio::test]
async fn a_stopped_run_leaves_whole_slices_and_the_next_goes_on() {
    let days = window("2026-03-01", "2026-03-20");
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    for date in days.iter() {
        source.put(source.slice(date), vec![visits(&date.to_string(), 3)]);
        source.put_control(source.slice(date), Totals::new().with("visits", 3));
    }
    let warehouse = Sqlite::in_memory().await.unwrap();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let tell = Mutex::new(Some(tell));
    let pipeline =
        Pipeline::new(source, warehouse.clone()).clock(late()).concurrency(1).on_progress(move |progress| {
            if progress.done == 5 {
                drop(tell.lock().unwrap().take());
            }
        });
    let report = pipeline.run_until(days, async { drop(told.await) }).await.unwrap();
    assert!(report.cancelled);
    assert_eq!((report.slices["settled"], report.slices["planned"]), (5, 15));
    assert_eq!(all::<DailyMetric>(&warehouse).await.len(), 5);
    let report = pipeline.run(days).await.unwrap();
    assert_eq!((report.slices["settled"], report.replayed), (20, 5));
}

#[tokio::test]
async fn a_run_may_be_a_task_of_its_own_and_aborting_it_leaves_whole_slices() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let days = window("2026-03-27", "2026-03-31");
    let pipeline = |seen: Option<tokio::sync::mpsc::UnboundedSender<SliceKey>>| {
        let source = server.source().page_size(2).build().unwrap();
        Pipeline::new(source, warehouse.clone()).clock(late()).on_progress(move |progress| {
            if let Some(seen) = &seen {
                let _ = seen.send(progress.slice.clone());
            }
        })
    };
    let (send, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let running = pipeline(Some(send));
    let task = tokio::spawn(async move { running.run(days).await });
    for _ in 0..3 {
        seen.recv().await.unwrap();
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // What the ledger calls loaded is there, and nothing else.
    let ledger: Vec<SliceRow> = all(&warehouse).await;
    let sessions: i64 =
        ledger.iter().filter_map(|row| row.rows_by_table().get("sessions").map(|n| *n as i64)).sum();
    assert_eq!(all::<Session>(&warehouse).await.len() as i64, sessions);
    assert!(ledger.len() < 10, "the run was over before it was aborted");
    pipeline(None).run(days).await.unwrap();
    let clean = Sqlite::in_memory().await.unwrap();
    Pipeline::new(server.source().build().unwrap(), clean.clone()).clock(late()).run(days).await.unwrap();
    assert_eq!(dump_timeless(&warehouse).await, dump_timeless(&clean).await);
}

/// What every order of windows must give.
async fn loaded(windows: &[(u64, u64)]) -> String {
    let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
    let first = day("2026-03-20");
    for offset in 0..14 {
        let date = first + chrono::Days::new(offset);
        // Some days are empty, some have something that does not fit.
        let mut page = visits(&date.to_string(), 3 + offset as i64 % 4);
        if offset % 3 == 0 {
            page.rejected.push(Rejected::new("live", format!("visit of {date}").as_bytes(), "no id"));
            page.read += 1;
        }
        if offset % 5 != 0 {
            source.put(source.slice(date), vec![page]);
        }
        source.put_control(source.slice(date), Totals::new());
    }
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late());
    for (from, length) in windows {
        let from = first + chrono::Days::new(*from);
        pipeline.run(mkt_etl::Window { from, until: from + chrono::Days::new(*length) }).await.unwrap();
    }
    dump_timeless(&warehouse).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn windows_in_any_order_and_overlap_give_the_same_tables(
        mut windows in proptest::collection::vec((0_u64..14).prop_flat_map(|from| (Just(from), 1..=14 - from)), 0..5),
        place in any::<prop::sample::Index>(),
    ) {
        // Together they cover everything: the whole window is one of them, anywhere.
        windows.insert(place.index(windows.len() + 1), (0, 14));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (reference, shuffled) = runtime.block_on(async { (loaded(&[(0, 14)]).await, loaded(&windows).await) });
        prop_assert_eq!(reference, shuffled);
    }
}

#[tokio::test]
async fn replaying_leaves_the_database_as_it_was_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Sqlite::open(folder.path().join("warehouse.db")).await.unwrap();
    let server = RecordedMatomo::start().await.unwrap();
    let pipeline = Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(late());
    pipeline.run(window("2026-03-27", "2026-03-28")).await.unwrap();
    let before = dump(&warehouse).await;
    assert!(before.contains("== etl_slices (4 rows)"), "{before}");
    for _ in 0..2 {
        assert!(!pipeline.run(window("2026-03-27", "2026-03-28")).await.unwrap().changed);
    }
    assert_eq!(dump(&warehouse).await, before);
    let key = SliceKey::day("matomo", "visits", "1", day("2026-03-27"));
    assert!(mkt_etl::ledger::slices(&warehouse, "matomo", "1").await.unwrap().contains_key(&key));
}
