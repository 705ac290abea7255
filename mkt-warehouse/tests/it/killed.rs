//! A loader that is killed at any instant, seen from outside: whole slices, and after a rerun the tables of a clean run.
//!
//! `MKT_TEST_KILLS` (default 8) and `MKT_TEST_SEED` choose how often and when. A killed process loses nothing that it
//! handed to the operating system: this says nothing about a power cut.

use super::engines;
use super::rows::{at, day, event, session};
use chrono::Days;
use mkt_connect::Channel;
use mkt_warehouse::model::{self, EmailEvent, EmailEventType, EventType, SliceState};
use mkt_warehouse::{Batch, ColumnType, Query, SliceKey, Sqlite, Table, Value, Warehouse, open};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Slices of sessions and events.
pub(crate) const SLICES: u64 = 6;
/// Sessions, and events, of each: enough for PostgreSQL's COPY.
const ROWS: u64 = 1_200;
/// Rows of the table that one slice fills alone: enough for SQLite to build its indexes after them.
const MAILS: u64 = 10_000;

/// The content of a slice in a round; the slice after the last fills a table alone.
pub(crate) fn content(slice: u64, round: u64) -> Batch {
    let state = if round.is_multiple_of(2) { SliceState::Settled } else { SliceState::Provisional };
    let on = day("2026-10-01") + Days::new(slice);
    if slice == SLICES {
        let mail = |n: u64| EmailEvent {
            event_id: mkt_warehouse::id::event_id("mail", "shop", &n.to_string()),
            message_id: round.to_string(),
            user_id: None,
            event_type: EmailEventType::Clicked,
            timestamp: at("2026-10-25T10:00:00Z"),
            campaign_id: None,
            url: None,
            detail: None,
            source: "mail".to_owned(),
            site: "shop".to_owned(),
            day: on,
        };
        return Batch::new(SliceKey::whole("mail", "events", "shop"))
            .state(state)
            .replace((0..MAILS).map(mail));
    }
    let sessions = (0..ROWS).map(|n| {
        let mut row = session(
            &format!("s{slice}-{n}"),
            &format!("u{n}"),
            "2026-10-25T10:00:00Z",
            Channel::Email,
            n % 2 == 0,
        );
        row.pages_viewed = round as i64;
        row
    });
    let events = (0..ROWS).map(|n| {
        let mut row = event(&format!("u{n} of {slice}"), EventType::GOAL, "2026-10-25T10:00:00Z");
        row.campaign_id = Some(round.to_string());
        row
    });
    Batch::new(SliceKey::day("csv", "visits", "shop", on)).state(state).replace(sessions).replace(events)
}

/// (what is torn, slices that are there): parts of slices, slices of two rounds, tables of different rounds, rows
/// without a ledger row, a ledger row without rows. In one statement, so of one instant.
pub(crate) async fn torn(warehouse: &dyn Warehouse) -> mkt_connect::Result<(i64, i64)> {
    let query = Query::new(
        "with s as (select load_id, count(*) as n, min(pages_viewed) as low, max(pages_viewed) as high \
                    from sessions group by load_id), \
              e as (select load_id, count(*) as n, min(campaign_id) as low, max(campaign_id) as high \
                    from events group by load_id), \
              m as (select load_id, count(*) as n, min(message_id) as low, max(message_id) as high \
                    from email_events group by load_id), \
              v as (select load_id, row_count, state from loads) \
         select (select count(*) from s where n <> :1 or low <> high) \
              + (select count(*) from e where n <> :1 or low <> high) \
              + (select count(*) from m where n <> :2 or low <> high) \
              + (select count(*) from s left join e on e.load_id = s.load_id and e.low = cast(s.low as varchar(20)) \
                 where e.load_id is null) \
              + (select count(*) from e where load_id not in (select load_id from s)) \
              + (select count(*) from s left join v on v.load_id = s.load_id and v.row_count = 2 * :1 \
                 and (v.state = 'settled') = (s.low % 2 = 0) where v.load_id is null) \
              + (select count(*) from m left join v on v.load_id = m.load_id and v.row_count = :2 \
                 where v.load_id is null) \
              + (select count(*) from v where load_id not in (select load_id from s union all select load_id from m)), \
                (select count(*) from v)",
    )
    .bind(Value::Int(ROWS as i64))
    .bind(Value::Int(MAILS as i64))
    .column("torn", ColumnType::Int)
    .column("slices", ColumnType::Int);
    let row = warehouse.query(&query).await?.row(0);
    match row.as_slice() {
        [Value::Int(torn), Value::Int(slices)] => Ok((*torn, *slices)),
        other => panic!("{other:?}"),
    }
}

/// Every row of the tables that the slices fill, and of the ledger what does not tell how often it was loaded.
pub(crate) async fn whole(warehouse: &dyn Warehouse) -> Vec<Table> {
    let mut tables = Vec::new();
    for schema in model::TABLES.iter().filter(|schema| schema.name != "loads") {
        tables.push(warehouse.query(&Query::table(schema)).await.unwrap());
    }
    let ledger = Query::new("select load_id, content_hash, row_count, state from loads order by load_id")
        .column("load_id", ColumnType::Int)
        .column("content_hash", ColumnType::Text)
        .column("row_count", ColumnType::Int)
        .column("state", ColumnType::Text);
    tables.push(warehouse.query(&ledger).await.unwrap());
    tables
}

/// The tables of a clean run that loads every slice of a round once.
pub(crate) async fn clean(round: u64) -> Vec<Table> {
    let warehouse = Sqlite::in_memory().await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    load_all(&warehouse, round).await;
    whole(&warehouse).await
}

pub(crate) async fn load_all(warehouse: &dyn Warehouse, round: u64) {
    for slice in 0..=SLICES {
        warehouse.load(&content(slice, round), at("2026-11-01T00:00:00Z")).await.unwrap();
    }
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The 64-bit generator of Knuth's MMIX: the next state's upper bits, below a bound.
pub(crate) fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// What the child process does: load the slices again and again, until it is killed.
#[test]
fn child_that_loads_until_it_is_killed() {
    let Ok(url) = std::env::var("MKT_TEST_KILL_URL") else { return };
    let start = number("MKT_TEST_KILL_ROUND", 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let warehouse = open(&url).await.unwrap();
        for round in start.. {
            load_all(&warehouse, round).await;
        }
    });
}

/// A process that is killed, whatever becomes of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often slices changed so far.
async fn changes(warehouse: &dyn Warehouse) -> Value {
    let query = Query::new("select cast(coalesce(sum(revision), 0) as bigint) from loads")
        .column("changes", ColumnType::Int);
    warehouse.query(&query).await.unwrap().value(0, "changes")
}

/// Starts the child, reads while it loads, and kills it some time after its first load, or at the latest a minute after
/// its start. Gives the number of reads.
async fn killed_after(url: &str, warehouse: &dyn Warehouse, round: u64, wait: Duration) -> u64 {
    let before = changes(warehouse).await;
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child_that_loads_until_it_is_killed", "--nocapture"])
        .env("MKT_TEST_KILL_URL", url)
        .env("MKT_TEST_KILL_ROUND", round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let (mut end, mut loads, mut reads) = (Instant::now() + Duration::from_secs(60), false, 0);
    while Instant::now() < end {
        assert_eq!(torn(warehouse).await.unwrap().0, 0, "a reader saw a part of a load, round {round}");
        reads += 1;
        if !loads && changes(warehouse).await != before {
            (end, loads) = (Instant::now() + wait, true);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(loads, "the child loaded nothing in a minute");
    assert!(child.0.try_wait().unwrap().is_none(), "the child ended before it was killed");
    reads
}

async fn a_killed_loader(url: String) {
    let (kills, mut seed) = (number("MKT_TEST_KILLS", 8), number("MKT_TEST_SEED", 7));
    let warehouse: Arc<dyn Warehouse> = open(&url).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let mut reads = 0;
    for kill in 0..kills {
        let wait = Duration::from_millis(random(&mut seed, 600));
        reads += killed_after(&url, &*warehouse, kill * 1_000, wait).await;
        assert_eq!(torn(&*warehouse).await.unwrap().0, 0, "kill {kill}");
    }
    let loads = changes(&*warehouse).await;
    let last = 2 * kills * 1_000;
    load_all(&*warehouse, last).await;
    let (held, expected) = (whole(&*warehouse).await, clean(last).await);
    for (held, expected) in held.iter().zip(&expected) {
        assert!(held == expected, "a table of {} rows is not that of a clean run", held.rows());
    }
    println!("{kills} kills in {loads} loads, {reads} reads while loading, 0 torn");
}

#[tokio::test]
async fn a_killed_loader_leaves_whole_slices_in_sqlite_and_a_rerun_equals_a_clean_run() {
    let folder = tempfile::tempdir().unwrap();
    a_killed_loader(format!("sqlite:{}", folder.path().join("w.db").display())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_killed_loader_leaves_whole_slices_in_postgres_and_a_rerun_equals_a_clean_run() {
    let Some(url) = engines::postgres_url().await else { return };
    a_killed_loader(url).await;
}
