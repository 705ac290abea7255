//! An id that stands twice in a file, far apart and on two days. With `MKT_TEST_REPEATS=1100000` the two are more than a
//! million records apart, which is more ids than are kept in memory.

use crate::support::all;
use mkt_connect::Stop;
use mkt_etl::csv::{CsvSource, Load, Loaded};
use mkt_etl::ledger::QuarantineRow;
use mkt_warehouse::model::Event;
use mkt_warehouse::{ColumnType, Query, Sqlite, Warehouse};
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// Records between the two.
fn between() -> u32 {
    std::env::var("MKT_TEST_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// Two ids at the begin of one day, and again at the end of the next: one the same record, one another record.
fn write(path: &Path) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let count = between();
    let mut record = String::from("event_id,user_id,event_type,timestamp,channel,revenue\n");
    for number in 0..count {
        let (day, second) = (1 + number / (count / 2 + 1), number % (count / 2 + 1) % 80_000);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        writeln!(
            record,
            "e{number},u{},page_view,2026-03-0{day} {hour:02}:{minute:02}:{second:02},email,",
            number % 500
        )
        .unwrap();
        file.write_all(record.as_bytes()).unwrap();
        record.clear();
    }
    file.write_all(b"e1,u9,purchase,2026-03-02 23:00:00,email,10\n").unwrap();
    file.write_all(b"e0,u0,page_view,2026-03-01 00:00:00,email,\n").unwrap();
}

async fn load(path: &Path, warehouse: &Sqlite) -> Loaded {
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(path).key("file").build().unwrap();
    Load::new(source, warehouse.clone()).run(&Stop::new()).await.unwrap()
}

/// The most memory that this process has had, in MiB (Linux).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

#[tokio::test]
async fn an_id_twice_far_apart_is_loaded_once_and_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    write(&path);
    let warehouse = Sqlite::open(folder.path().join("shop.db")).await.unwrap();
    let first = load(&path, &warehouse).await;
    let count = u64::from(between());
    assert_eq!((first.read, first.loaded), (count + 2, count));
    assert_eq!((first.quarantined, first.duplicates), (1, 1));
    let state = || async {
        let sums = "select count(*) as rows, sum(event_id % 1000003) as ids, sum(seq) as seqs, \
                    count(distinct event_id) as distinct_ids from events";
        let whole = |query: Query, name| query.column(name, ColumnType::Int);
        let names = ["rows", "ids", "seqs", "distinct_ids"];
        let sums = warehouse.query(&names.into_iter().fold(Query::new(sums), whole)).await.unwrap();
        let loads = "select load_id, stream, window_from, content_hash from loads order by load_id";
        let loads = Query::new(loads).column("load_id", ColumnType::Int).column("stream", ColumnType::Text);
        let loads = loads.column("window_from", ColumnType::Date).column("content_hash", ColumnType::Text);
        let loads = warehouse.query(&loads).await.unwrap();
        serde_json::to_string(&(sums, loads)).unwrap()
    };
    let before = state().await;
    for _ in 0..2 {
        let again = load(&path, &warehouse).await;
        assert_eq!((again.replayed, again.loaded, again.days_changed, again.removed), (count, 0, 0, 0));
        assert_eq!(state().await, before);
    }
    // The first of the file is kept, and the other is set aside with its line.
    let quarantine: Vec<QuarantineRow> = all(&warehouse).await;
    assert_eq!(quarantine.iter().map(|row| row.line).collect::<Vec<_>>(), [Some(i64::from(between()) + 2)]);
    let purchases = Query::new("select user_id from events where event_type = 'purchase'");
    let purchases = warehouse.query(&purchases.column("user_id", ColumnType::Text)).await;
    assert_eq!(purchases.unwrap().rows(), 0);
    if count < 100_000 {
        let events: Vec<Event> = all(&warehouse).await;
        assert_eq!(events.len() as u64, count);
    } else if let Some(peak) = peak() {
        println!("{count} records between: at most {peak} MiB");
        assert!(peak < 400, "{peak} MiB");
    }
}
