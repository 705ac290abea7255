//! The same pipeline into every engine.

use crate::support::{all, dump_timeless, late, postgres, window};
use mkt_etl::ledger::RevisionRow;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{CsvSource, Pipeline, RunReport};
use mkt_warehouse::{Sqlite, Warehouse};

/// A late visit, a day without an archive, quarantined records, and everything a second time.
async fn story(warehouse: impl Warehouse + Clone) -> (String, Vec<RunReport>) {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.csv");
    std::fs::write(
        &events,
        "event_id,user_id,event_type,timestamp,channel,revenue,properties\n\
         1,u1,purchase,2026-03-28 10:00:00,email,19.90,\"{\"\"items\"\":[{\"\"sku\"\":\"\"a\"\",\"\"price\"\":19.9}]}\"\n\
         2,jo@example.org,page_view,2026-03-28 10:00:00,email,x,\n",
    )
    .unwrap();
    let csv = CsvSource::builder("shop", chrono_tz::Europe::Paris).events(events).build().unwrap();
    let server = RecordedMatomo::start().await.unwrap();
    let matomo = server.source().build().unwrap();
    let days = window("2026-03-27", "2026-03-29");
    server.choose("late_before").unwrap();
    let early =
        Pipeline::new(matomo.clone(), warehouse.clone()).clock(crate::support::at("2026-03-29T23:00:00Z"));
    let mut reports = vec![early.run(days).await.unwrap()];
    server.choose_nothing();
    for _ in 0..2 {
        let matomo = Pipeline::new(matomo.clone(), warehouse.clone()).clock(late());
        let csv = Pipeline::new(csv.clone(), warehouse.clone()).clock(late());
        reports.push(matomo.run(days).await.unwrap());
        reports.push(matomo.run(window("2026-05-05", "2026-05-05")).await.unwrap());
        reports.push(csv.run(days).await.unwrap());
    }
    assert!(reports.iter().all(|report| report.failures.is_empty()), "{reports:#?}");
    assert_eq!(
        reports.iter().map(|report| report.changed).collect::<Vec<_>>(),
        [true, true, true, true, false, false, false]
    );
    let revised: Vec<RevisionRow> = all(&warehouse).await;
    assert!(revised.iter().any(|row| row.metric == "visits"));
    (dump_timeless(&warehouse).await, reports)
}

#[tokio::test]
async fn postgresql_holds_the_same_tables_as_sqlite() {
    let Some(postgres) = postgres().await else { return };
    let (reference, _) = story(Sqlite::in_memory().await.unwrap()).await;
    let (found, _) = story(postgres).await;
    for (reference, found) in reference.lines().zip(found.lines()) {
        assert_eq!(reference, found);
    }
    assert_eq!(reference.lines().count(), found.lines().count());
}
