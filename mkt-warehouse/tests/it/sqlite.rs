//! What is SQLite's own: files, limits, power.

use chrono::{DateTime, NaiveDate, Utc};
use mkt_warehouse::model::{self, Site};
use mkt_warehouse::{Batch, Query, Record, SliceKey, Sqlite, Warehouse};

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

#[tokio::test]
async fn a_file_keeps_what_was_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let key = SliceKey::day("csv", "visits", "shop", NaiveDate::from_ymd_opt(2026, 10, 25).unwrap());
    let batch = Batch::new(key).upsert([Site::new("shop", "Europe/Paris", "csv")]);
    let warehouse = Sqlite::open(&path).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    assert_eq!(warehouse.load(&batch, at()).await.unwrap().revision, 1);
    assert!(warehouse.load(&batch, at()).await.unwrap().replayed);
    warehouse.close().await;
    let warehouse = Sqlite::open(&path).await.unwrap();
    let sites = warehouse.query(&Query::table(&Site::SCHEMA)).await.unwrap();
    assert_eq!(Site::read(&sites, 0).unwrap(), Site::new("shop", "Europe/Paris", "csv"));
}
