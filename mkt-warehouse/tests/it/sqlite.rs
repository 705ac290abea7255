//! What is SQLite's own: files, limits, processes that die.

use super::rows::{at, day, session};
use chrono::Days;
use futures_util::StreamExt;
use mkt_connect::{Channel, ErrorKind};
use mkt_warehouse::model::{self, Load, Session, Site};
use mkt_warehouse::{
    Batch, ColumnType, Migration, Query, Record, SliceKey, Sqlite, SqliteOptions, Warehouse,
};
use std::time::Duration;

fn slice(offset: u64) -> SliceKey {
    SliceKey::day("csv", "visits", "shop", day("2026-10-01") + Days::new(offset))
}

/// A slice of sessions whose content depends on the round.
fn sessions(offset: u64, round: u64, count: u64) -> Batch {
    let row = |n| {
        let mut row =
            session(&format!("s{offset}-{n}"), "u1", "2026-10-25T10:00:00Z", Channel::Email, n % 2 == 0);
        row.pages_viewed = round as i64;
        row
    };
    Batch::new(slice(offset)).replace((0..count).map(row))
}

#[tokio::test]
async fn a_file_keeps_what_was_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let batch = Batch::new(slice(0)).upsert([Site::new("shop", "Europe/Paris", "csv")]);
    let warehouse = Sqlite::open(&path).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    assert_eq!(warehouse.load(&batch, at("2026-11-01T00:00:00Z")).await.unwrap().revision, 1);
    warehouse.close().await;
    let warehouse = Sqlite::open(&path).await.unwrap();
    assert!(warehouse.load(&batch, at("2026-11-02T00:00:00Z")).await.unwrap().replayed);
    let sites = warehouse.query(&Query::table(&Site::SCHEMA)).await.unwrap();
    assert_eq!(Site::read(&sites, 0).unwrap(), Site::new("shop", "Europe/Paris", "csv"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fresh_file_can_be_opened_and_filled_by_many_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let mut openers = tokio::task::JoinSet::new();
        for offset in 0..6 {
            let path = path.clone();
            openers.spawn(async move {
                let warehouse = Sqlite::open(path).await.unwrap();
                warehouse.migrate(&model::SCHEMA).await.unwrap();
                warehouse.load(&sessions(offset, 1, 3), at("2026-11-01T00:00:00Z")).await.unwrap().written
            });
        }
        assert_eq!(openers.join_all().await, [3; 6]);
        let warehouse = Sqlite::open(&path).await.unwrap();
        assert_eq!(warehouse.query(&Query::table(&Session::SCHEMA)).await.unwrap().rows(), 18);
    }
}

#[tokio::test]
async fn open_error_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "this is no database, but long enough to look at: ".repeat(100)).unwrap();
    let before = std::fs::read(&text).unwrap();
    for (path, said) in [
        (text.clone(), "is not a SQLite database"),
        (folder.path().to_owned(), "cannot be opened"),
        (folder.path().join("nowhere").join("w.db"), "cannot be opened"),
    ] {
        let error = Sqlite::open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    assert_eq!(std::fs::read(&text).unwrap(), before, "a file that is no database is left as it was");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let options = SqliteOptions { max_bytes: Some(400 * 1024), ..SqliteOptions::default() };
    let warehouse = Sqlite::open_with(&path, options).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    warehouse.load(&sessions(0, 1, 100), at("2026-11-01T00:00:00Z")).await.unwrap();
    let table = Query::table(&Session::SCHEMA);
    let before = warehouse.query(&table).await.unwrap();
    let error = warehouse.load(&sessions(0, 2, 20_000), at("2026-11-01T00:00:00Z")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(warehouse.query(&table).await.unwrap(), before);
    let receipt = warehouse.load(&sessions(0, 3, 50), at("2026-11-01T00:00:00Z")).await.unwrap();
    assert_eq!((receipt.removed, receipt.revision), (100, 2), "it works again with less");
}

#[tokio::test]
async fn a_query_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Sqlite::open(folder.path().join("w.db")).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    warehouse.load(&sessions(0, 1, 3), at("2026-11-01T00:00:00Z")).await.unwrap();
    assert!(warehouse.query(&Query::new("delete from sessions")).await.is_err());
    assert_eq!(warehouse.query(&Query::table(&Session::SCHEMA)).await.unwrap().rows(), 3);
}

/// More of them than there are connections for reading: each gives its own back.
#[tokio::test]
async fn dropped_query_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Sqlite::open(folder.path().join("w.db")).await.unwrap();
    let numbers = |last: u64| {
        Query::new(format!(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < {last}) select i from n"
        ))
        .column("i", ColumnType::Int)
    };
    // Hours, if it were left alone.
    let endless = Query::new(numbers(100_000_000_000).sql().replace("select i from", "select count(*) from"))
        .column("count", ColumnType::Int);
    for _ in 0..6 {
        let asked = warehouse.query(&endless);
        assert!(tokio::time::timeout(Duration::from_millis(30), asked).await.is_err());
    }
    let long = numbers(100_000_000_000);
    for _ in 0..6 {
        let mut tables = warehouse.scan(&long, 10);
        assert_eq!(tables.next().await.unwrap().unwrap().rows(), 10);
    }
    let all = futures_util::future::join_all((0..12).map(|_| async { warehouse.query(&numbers(5)).await }));
    for answer in tokio::time::timeout(Duration::from_secs(20), all).await.unwrap() {
        assert_eq!(answer.unwrap().rows(), 5);
    }
    warehouse.close().await;
    let error = warehouse.query(&numbers(5)).await.unwrap_err();
    assert!(error.to_string().contains("the database was closed"), "{error}");
}

#[tokio::test]
async fn two_openings_of_one_file_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let (first, second) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap());
    for done in
        futures_util::future::join_all([first.migrate(&model::SCHEMA), second.migrate(&model::SCHEMA)]).await
    {
        done.unwrap();
    }
    let now = at("2026-11-01T00:00:00Z");
    let loads = (0..20).map(|n| {
        let warehouse = if n % 2 == 0 { first.clone() } else { second.clone() };
        async move { warehouse.load(&sessions(n, 1, 200), now).await }
    });
    for receipt in futures_util::future::join_all(loads).await {
        assert_eq!(receipt.unwrap().written, 200);
    }
    assert_eq!(first.query(&Query::table(&Session::SCHEMA)).await.unwrap().rows(), 4_000);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    use mkt_warehouse::Schema;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let next = Migration {
        version: 1_000,
        description: "from the future",
        sqlite: "create table future (x integer)",
        postgres: "create table future (x integer)",
    };
    let steps: &'static [Migration] = Box::leak(vec![model::SCHEMA.migrations[0], next].into_boxed_slice());
    let warehouse = Sqlite::open(&path).await.unwrap();
    warehouse.migrate(&Schema { migrations: steps, ..model::SCHEMA }).await.unwrap();
    for error in [warehouse.migrate(&model::SCHEMA).await.unwrap_err(), warehouse.check().await.unwrap_err()]
    {
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}

/// Version 1 kept `event_id` as the rowid, and the ledger had no states.
#[tokio::test]
async fn a_file_of_version_1_is_upgraded_and_answers_the_same() {
    use mkt_warehouse::Schema;
    use mkt_warehouse::model::{Event, EventType, SliceState};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let first: &'static [Migration] = Box::leak(Box::new([model::SCHEMA.migrations[0]]));
    let warehouse = Sqlite::open(&path).await.unwrap();
    warehouse.migrate(&Schema { migrations: first, ..model::SCHEMA }).await.unwrap();
    // As version 1 wrote it: by hand, since this library writes the newest version only.
    let events: Vec<Event> = (0..500)
        .map(|n| {
            super::rows::event(
                &format!("u{}", n % 37),
                EventType::GOAL,
                &format!("2026-10-25T{:02}:00:{:02}Z", n % 24, n % 60),
            )
        })
        .collect();
    let key = slice(0);
    let mut sql = String::new();
    for event in &events {
        sql.push_str(&format!(
            "insert or replace into events values ({}, '{}', '{}', {}, 'organic', 0, '{{}}', null, null, null, 'csv', \
             'shop', '{}', {});",
            event.event_id, event.user_id, event.event_type, event.timestamp.timestamp_micros(), event.day, key.load_id()
        ));
    }
    sql.push_str(&format!(
        "insert into loads values ({}, 'csv', 'visits', 'shop', '2026-10-01', '2026-10-02', 'abc', 500, 3, 1000000)",
        key.load_id()
    ));
    let fill = Migration { version: 1, description: "rows", sqlite: sql.leak(), postgres: "" };
    let fill: &'static [Migration] = Box::leak(Box::new([fill]));
    warehouse.migrate(&Schema { owner: "fill", tables: &[], migrations: fill }).await.unwrap();
    warehouse.close().await;

    let warehouse = Sqlite::open(&path).await.unwrap();
    let table = Query::table(&Event::SCHEMA);
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let mut expected: Vec<Event> = events.clone();
    expected.sort_by_key(|event| event.event_id);
    expected.dedup_by_key(|event| event.event_id);
    let after = warehouse.query(&table).await.unwrap();
    let held: Vec<Event> = (0..after.rows()).map(|row| Event::read(&after, row).unwrap()).collect();
    assert_eq!(held, expected);
    let ledger = warehouse.query(&Query::table(&Load::SCHEMA)).await.unwrap();
    assert_eq!((ledger.rows(), Load::read(&ledger, 0).unwrap().state), (1, SliceState::Settled));
    let now = at("2026-11-01T00:00:00Z");
    let receipt = warehouse.load(&Batch::new(key).replace(events[..7].to_vec()), now).await.unwrap();
    assert_eq!((receipt.removed, receipt.written, receipt.revision), (expected.len() as u64, 7, 4));
    // The key is still a key.
    let other = Batch::new(slice(1)).replace([events[0].clone()]);
    warehouse.load(&other, now).await.unwrap();
    assert_eq!(warehouse.query(&table).await.unwrap().rows(), 7);
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    use mkt_warehouse::Schema;
    let warehouse = Sqlite::in_memory().await.unwrap();
    let schema = |sqlite| Schema {
        owner: "other",
        tables: &[],
        migrations: Box::leak(Box::new([
            Migration {
                version: 1,
                description: "one",
                sqlite: "create table one (x integer)",
                postgres: "",
            },
            Migration { version: 2, description: "two", sqlite, postgres: "" },
        ])),
    };
    let broken = schema("create table two (x integer); create table one (x integer)");
    assert!(warehouse.migrate(&broken).await.is_err());
    // Nothing is left of the broken try: the same first step and a mended second one run.
    warehouse.migrate(&schema("create table two (x integer)")).await.unwrap();
}

/// The texts of every index and table.
async fn layout(warehouse: &Sqlite) -> mkt_warehouse::Table {
    let query = Query::new("select type, name, sql from sqlite_master order by type, name")
        .column("type", ColumnType::Text)
        .column("name", ColumnType::Text)
        .column("sql", ColumnType::Text);
    warehouse.query(&query).await.unwrap()
}

#[tokio::test]
async fn a_large_load_leaves_every_index_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let warehouse = Sqlite::open(&path).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    // Somebody's own: on an expression, partial, with a quoted name, and one that the rows of the second load break.
    let own = Migration {
        version: 1,
        description: "own indexes",
        sqlite: "create index \"own \"\" index\" on Sessions (lower(user_id) desc) where converted = 1; \
                 create unique index own_key on sessions (session_id, pages_viewed); \
                 create unique index own_rule on sessions (time_on_site) where time_on_site > 0;",
        postgres: "",
    };
    let own: &'static [Migration] = Box::leak(Box::new([own]));
    warehouse.migrate(&mkt_warehouse::Schema { owner: "own", tables: &[], migrations: own }).await.unwrap();
    let before = layout(&warehouse).await;
    let now = at("2026-11-01T00:00:00Z");
    let mut rows: Vec<Session> = (0..10_000)
        .map(|n| session(&format!("s{n}"), "u1", "2026-10-25T10:00:00Z", Channel::Email, true))
        .collect();
    rows[3].time_on_site = Some(7);
    rows[9_999].time_on_site = Some(7);
    let error = warehouse.load(&Batch::new(slice(0)).replace(rows.clone()), now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("sessions"), "{error}");
    assert_eq!(layout(&warehouse).await, before, "a refused load");
    rows[3].time_on_site = None;
    assert_eq!(warehouse.load(&Batch::new(slice(0)).replace(rows), now).await.unwrap().written, 10_000);
    assert_eq!(layout(&warehouse).await, before, "a load");
    let check =
        Query::new("select integrity_check from pragma_integrity_check").column("answer", ColumnType::Text);
    assert_eq!(warehouse.query(&check).await.unwrap().row(0), [mkt_warehouse::Value::Text("ok".to_owned())]);
}
