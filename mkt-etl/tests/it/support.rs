//! What several tests need.

use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::clock::ManualClock;
use mkt_etl::{Window, ledger};
#[cfg(feature = "postgres")]
use mkt_warehouse::Postgres;
use mkt_warehouse::{Query, Record, Value, Warehouse, model};

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn window(from: &str, last: &str) -> Window {
    Window::days(day(from), day(last))
}

pub(crate) fn at(text: &str) -> ManualClock {
    ManualClock::new(utc(text))
}

/// A clock after everything that was recorded is final.
pub(crate) fn late() -> ManualClock {
    at("2026-11-15T12:00:00Z")
}

/// Every row of a table.
pub(crate) async fn all<R: Record>(warehouse: &impl Warehouse) -> Vec<R> {
    let table = warehouse.query(&Query::table(&R::SCHEMA)).await.unwrap();
    (0..table.rows()).map(|row| R::read(&table, row).unwrap()).collect()
}

/// Every table of the warehouse and of the ledger as text.
pub(crate) async fn dump(warehouse: &impl Warehouse) -> String {
    let mut text = String::new();
    for schema in model::TABLES.iter().chain(ledger::TABLES) {
        let table = warehouse.query(&Query::table(schema)).await.unwrap();
        text.push_str(&format!(
            "== {} ({} rows)\n{}\n",
            schema.name,
            table.rows(),
            serde_json::to_string(&table).unwrap()
        ));
    }
    text
}

/// [`dump`] without the columns that say when something was written.
pub(crate) async fn dump_timeless(warehouse: &impl Warehouse) -> String {
    let mut text = String::new();
    for schema in model::TABLES.iter().chain(ledger::TABLES) {
        let table = warehouse.query(&Query::table(schema)).await.unwrap();
        text.push_str(&format!("== {}\n", schema.name));
        for row in 0..table.rows() {
            let cells: Vec<(&String, Value)> = table
                .names()
                .iter()
                .zip(table.row(row))
                .filter(|(name, _)| {
                    !["loaded_at", "changed_at", "seen_at", "revision"].contains(&name.as_str())
                })
                .collect();
            text.push_str(&format!("{cells:?}\n"));
        }
    }
    text
}

/// The URL of an empty schema of its own on the server that `MKT_TEST_POSTGRES` names.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres_url() -> Option<String> {
    let Ok(url) = std::env::var("MKT_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "MKT_TEST_POSTGRES is not set, and this is CI");
        println!("skipped: MKT_TEST_POSTGRES is not set");
        return None;
    };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let schema = format!("etl{}_{nanos}", std::process::id());
    let admin = Postgres::connect(&url).await.unwrap();
    admin.query(&Query::new(format!("create schema {schema}"))).await.unwrap();
    admin.close().await;
    let mark = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{mark}options[search_path]={schema}"))
}

/// An empty schema of its own on the server that `MKT_TEST_POSTGRES` names.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Postgres> {
    Some(Postgres::connect(&postgres_url().await?).await.unwrap())
}
