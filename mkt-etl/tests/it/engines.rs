//! The same pipeline into every engine.

use crate::support::{all, dump_timeless, late, postgres, window};
use mkt_etl::csv::CsvSource;
use mkt_etl::ledger::RevisionRow;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, RunReport, aggregate, history, status};
use mkt_warehouse::model::DailyMetric;
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
    // Sessions too: daily metrics are counted from them, by the engine's own sums.
    let sessions = folder.path().join("sessions.csv");
    std::fs::write(
        &sessions,
        "session_id,user_id,start_time,end_time,pages_viewed,converted,channel\n\
         s1,u1,2026-03-28 10:00:00,2026-03-28 10:05:00,4,true,email\n\
         s2,u2,2026-03-28 11:00:00,2026-03-28 11:00:00,1,false,organic\n",
    )
    .unwrap();
    let csv = CsvSource::builder("shop", chrono_tz::Europe::Paris)
        .events(events)
        .sessions(sessions)
        .build()
        .unwrap();
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
    let counted: Vec<DailyMetric> = all(&warehouse).await;
    let counted = counted.iter().filter(|row| row.source == "csv" && row.metric == "visits");
    assert_eq!(counted.map(|row| row.value.unwrap().0).sum::<rust_decimal::Decimal>(), 2.into());
    let visits = |source: &'static str| aggregate::Question {
        site: if source == "csv" { "shop" } else { "1" },
        source: None,
        window: days,
        by: aggregate::By::Period,
        metrics: &["visits"],
    };
    for (source, expected) in [("csv", 2), ("matomo", 13 + 17 + 18)] {
        let totals = aggregate::daily_totals(&warehouse, &visits(source)).await.unwrap();
        assert_eq!(totals[0].total.as_ref().unwrap().value, Some(expected.into()), "{source}");
    }
    let set_aside = history::quarantine(&warehouse, &history::Part::default(), 10).await.unwrap();
    assert_eq!(set_aside.iter().map(|row| row.line).collect::<Vec<_>>(), [Some(3)]);
    assert!(
        !history::revisions(&warehouse, &history::Part::default(), Some("visits")).await.unwrap().is_empty()
    );
    assert!(history::drift(&warehouse, &history::Part::default()).await.unwrap().is_empty());
    assert_eq!(status::status(&warehouse).await.unwrap().len(), 4);
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
