//! A source whose ids are not unique over its days is refused, and a row that moves from one day to another is not.

use crate::support::{all, day, late, window};
use mkt_etl::{Memory, Page, Pipeline, RunReport};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::{Event, EventType};

fn event(native_id: &str, date: &str) -> Page {
    let at = format!("{date}T10:00:00Z").parse().unwrap();
    let event = Event::new("memory", "shop", native_id, "u1", EventType::PAGE_VIEW, at);
    Page { read: 1, events: vec![event], ..Page::default() }
}

fn source(pages: &[(&str, &str)]) -> Memory {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    for (date, id) in pages {
        source.put(source.slice(day(date)), vec![event(id, date)]);
    }
    source
}

async fn run(source: &Memory, warehouse: &Sqlite) -> RunReport {
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late()).concurrency(1);
    pipeline.run(window("2026-03-28", "2026-03-29")).await.unwrap()
}

#[tokio::test]
async fn ids_that_repeat_on_another_day_fail_both_slices() {
    // The number of the row within its day is no id.
    let source = source(&[("2026-03-28", "1"), ("2026-03-29", "1")]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let first = run(&source, &warehouse).await;
    assert_eq!(first.failures.len(), 1, "{first:#?}");
    let failure = &first.failures[0];
    assert_eq!(
        (failure.slice.as_str(), failure.kind.as_str()),
        ("memory/traffic/shop 2026-03-28", "protocol")
    );
    assert!(failure.message.contains("unique over all days"), "{}", failure.message);
    assert_eq!(first.exit_code(), 3);
    // Run again, the slice that lost its row is refused and takes nothing back.
    let held: Vec<Event> = all(&warehouse).await;
    let again = run(&source, &warehouse).await;
    assert!(again.failures.iter().any(|failure| failure.kind == "protocol"), "{again:#?}");
    let still: Vec<Event> = all(&warehouse).await;
    assert_eq!(still, held);
}

#[tokio::test]
async fn a_row_that_moves_to_the_next_day_is_no_collision() {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = run(&source(&[("2026-03-28", "1")]), &warehouse).await;
    assert!(report.failures.is_empty());
    // A visit that went on over midnight: it is of the 29th now.
    let report = run(&source(&[("2026-03-29", "1")]), &warehouse).await;
    assert!(report.failures.is_empty(), "{report:#?}");
    let held: Vec<Event> = all(&warehouse).await;
    assert_eq!(held.iter().map(|event| event.day).collect::<Vec<_>>(), [day("2026-03-29")]);
}
