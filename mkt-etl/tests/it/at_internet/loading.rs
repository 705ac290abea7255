//! Through the pipeline: states, control totals, days that change late or are forgotten.

use super::{report, settings};
use crate::support::{all, at, late, window};
use mkt_etl::at_internet::AtInternet;
use mkt_etl::testing::{AtInternetFault, FakeAtInternet};
use mkt_etl::{Again, Pipeline};
use mkt_warehouse::model::{DailyMetric, DimensionMetric, MetricKind, SliceState};
use mkt_warehouse::{Query, Sqlite, Warehouse};
use rust_decimal::Decimal;

const MARCH: (&str, &str) = ("2026-03-27", "2026-03-30");

fn reports(fake: &FakeAtInternet) -> AtInternet {
    settings(fake)
        .report(report("site", "m_visits,m_unique_visitors,m_page_loads"))
        .report(report("pages", "page,m_page_loads,m_unique_visitors"))
        .visits(super::visits::columns())
        .build()
        .unwrap()
}

#[tokio::test]
async fn days_settle_when_count_and_totals_agree_and_a_second_run_changes_nothing() {
    let fake = FakeAtInternet::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(reports(&fake), warehouse.clone()).clock(late());
    let days = window(MARCH.0, MARCH.1);
    let first = pipeline.run(days).await.unwrap();
    assert!(first.failures.is_empty() && first.unreconciled.is_empty(), "{first:?}");
    assert_eq!(first.slices, [("settled".to_owned(), 12)].into());
    assert_eq!((first.rows["sessions"], first.rows["daily_metrics"]), (4 * 60, 4 * 3));
    let calls = fake.calls();
    let second = pipeline.run(days).await.unwrap();
    assert!(!second.changed);
    // Settled days are not read again: only the check asks.
    assert_eq!(fake.calls(), calls + 1);
    let daily: Vec<DailyMetric> = all(&warehouse).await;
    let visits: Decimal =
        daily.iter().filter(|row| row.metric == "visits").map(|row| row.value.unwrap().0).sum();
    assert_eq!(visits, Decimal::from(4 * 60));
    let by_page: Vec<DimensionMetric> = all(&warehouse).await;
    let loads = |rows: &mut dyn Iterator<Item = Decimal>| rows.sum::<Decimal>();
    assert_eq!(
        loads(
            &mut by_page
                .iter()
                .filter(|row| row.kind == MetricKind::Additive)
                .map(|row| row.value.unwrap().0)
        ),
        loads(&mut daily.iter().filter(|row| row.metric == "page_loads").map(|row| row.value.unwrap().0)),
    );
    assert!(by_page.iter().all(|row| row.state == SliceState::Settled));
}

#[tokio::test]
async fn no_content_is_suspect_and_replaces_no_rows() {
    let fake = FakeAtInternet::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let source = settings(&fake).report(report("pages", "page,m_page_loads")).build().unwrap();
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late()).again(Again::All);
    // One call for the check, then two answers without content for the count.
    let without_content = || {
        for fault in [AtInternetFault::None, AtInternetFault::NoContent, AtInternetFault::NoContent] {
            fake.inject(fault);
        }
    };
    without_content();
    let empty = pipeline.run(window("2026-03-28", "2026-03-28")).await.unwrap();
    assert_eq!(empty.slices, [("suspect_empty".to_owned(), 1)].into(), "{empty:?}");
    let whole = pipeline.run(window("2026-03-28", "2026-03-28")).await.unwrap();
    assert_eq!(whole.slices, [("settled".to_owned(), 1)].into(), "{whole:?}");
    let rows = all::<DimensionMetric>(&warehouse).await.len();
    assert!(rows > 0);
    without_content();
    let again = pipeline.run(window("2026-03-28", "2026-03-28")).await.unwrap();
    assert!(again.failures[0].message.contains("the rows read before stay"), "{again:?}");
    assert_eq!(all::<DimensionMetric>(&warehouse).await.len(), rows);
}

#[tokio::test]
async fn visits_that_come_late_raise_a_revision_and_a_forgotten_day_is_seen() {
    let fake = FakeAtInternet::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let day = "2026-03-28".parse().unwrap();
    let days = window("2026-03-28", "2026-03-28");
    // On the day after, nothing is final yet.
    let early = Pipeline::new(reports(&fake), warehouse.clone()).clock(at("2026-03-29T06:00:00Z"));
    assert_eq!(early.run(days).await.unwrap().slices, [("provisional".to_owned(), 3)].into());
    fake.add_late(FakeAtInternet::SPACE, day, 5);
    let revised = early.run(days).await.unwrap();
    assert_eq!((revised.revised, revised.rows["sessions"]), (3, 65));
    let revisions = warehouse
        .query(&Query::table(mkt_etl::ledger::TABLES.iter().find(|it| it.name == "etl_revisions").unwrap()))
        .await
        .unwrap();
    assert!(revisions.rows() >= 3);
    // The vendor forgets the day: it says so in every way, and is believed only by its count and totals together.
    fake.forget(FakeAtInternet::SPACE, day, true);
    let forgotten = early.run(days).await.unwrap();
    assert_eq!(forgotten.rows["sessions"], 0);
    fake.forget(FakeAtInternet::SPACE, day, false);
    let settled = Pipeline::new(reports(&fake), warehouse.clone()).clock(late()).run(days).await.unwrap();
    assert_eq!((settled.slices.get("settled"), settled.rows["sessions"]), (Some(&3), 65));
}

#[tokio::test]
async fn a_day_that_cannot_be_read_whole_is_truncated_and_says_so() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.limit_rows(10, 20);
    let source = settings(&fake)
        .report(report("ids", "visit_id,m_unique_visitors"))
        .row_limits(10, 20)
        .build()
        .unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let days = window("2026-03-28", "2026-03-28");
    let report = Pipeline::new(source, warehouse.clone()).clock(late()).run(days).await.unwrap();
    assert_eq!(report.slices, [("truncated".to_owned(), 1)].into());
    assert_eq!(report.rows["dimension_metrics"], 20);
    assert!(report.notes.values().any(|note| note.contains("33.3% of its rows")), "{:?}", report.notes);
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    assert!(rows.iter().all(|row| row.state == SliceState::Truncated));
}
