//! Large files whose records are in no order of time.

use crate::support::{all, late};
use mkt_etl::Pipeline;
use mkt_etl::csv::CsvSource;
use mkt_etl::ledger::QuarantineRow;
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::Event;

const DAYS: usize = 20;
const RECORDS: usize = 12_000;
/// A record that does not split: what follows it in the file decides how.
const BROKEN: &str = "\"never closed,x\n";

/// A record; some are followed by a line that does not split or does not fit.
fn record(n: usize) -> String {
    let (day, url) = (n % DAYS + 1, "x".repeat(600));
    let line = format!(
        "e{n},u{},page_view,2026-03-{day:02} 12:00:{:02},email,0,\"{{\"\"url\"\": \"\"https://shop.example/{url}\"\"}}\"\n",
        n % 97,
        n / DAYS % 60
    );
    match n {
        n if n % 1_000 == 3 => line + BROKEN,
        n if n % 1_000 == 8 => line + "too,few\n",
        _ => line,
    }
}

/// A file of these records, with every hundredth once more at the end.
fn file(order: impl Iterator<Item = usize> + Clone) -> String {
    let head = "event_id,user_id,event_type,timestamp,channel,revenue,properties\n".to_owned();
    let again = order.clone().filter(|n| n % 100 == 50).map(record);
    order.map(record).chain(again).fold(head, |file, record| file + &record)
}

async fn loaded(text: &str) -> (Vec<Event>, Vec<QuarantineRow>, [u64; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    std::fs::write(&path, text).unwrap();
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(path).build().unwrap();
    let warehouse = Sqlite::open(folder.path().join("w.db")).await.unwrap();
    let window = source.days().await.unwrap().unwrap();
    let report = Pipeline::new(source, warehouse.clone()).clock(late()).run(window).await.unwrap();
    assert!(report.is_complete() && report.unreconciled.is_empty(), "{report:#?}");
    let mut events: Vec<Event> = all(&warehouse).await;
    events.sort_by_key(|event| event.event_id);
    let mut quarantine: Vec<QuarantineRow> = all(&warehouse).await;
    quarantine.sort_by_key(|row| row.line);
    (events, quarantine, [report.read, report.quarantined, report.duplicates])
}

#[tokio::test]
async fn large_file_in_no_order_loads_as_one_in_the_order_of_time() {
    let scattered = file(0..RECORDS);
    let ordered = file((0..DAYS).flat_map(|day| (day..RECORDS).step_by(DAYS)));
    let (expected, spoiled, counts) = loaded(&ordered).await;
    let (events, quarantine, found) = loaded(&scattered).await;
    // 12 of each kind of spoiled line; 120 records come twice.
    assert_eq!((expected.len(), spoiled.len(), counts), (RECORDS, 24, [12_144, 24, 120]));
    assert_eq!(found, counts);
    assert!(events == expected, "rows, their order within a day included");
    let lines: Vec<&str> = scattered.lines().collect();
    for row in &quarantine {
        let line = usize::try_from(row.line.unwrap()).unwrap();
        assert_eq!(lines[line - 1], row.raw, "the place in the file");
        let offset = usize::try_from(row.byte_offset.unwrap()).unwrap();
        assert!(scattered[offset..].starts_with(&row.raw));
    }
}
