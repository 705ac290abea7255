//! What is PostgreSQL's own: connections that are cancelled, servers that refuse.

use super::engines::postgres_url;
use super::rows::{at, day, event};
use mkt_connect::ErrorKind;
use mkt_warehouse::model::{self, Event, EventType};
use mkt_warehouse::{Batch, ColumnType, Postgres, Query, Record, SliceKey, Value, Warehouse};
use std::time::Duration;

fn slice() -> SliceKey {
    SliceKey::day("csv", "events", "shop", day("2026-10-25"))
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_storage_error_without_the_password() {
    // Port 9 of loopback: nobody listens.
    let error = Postgres::connect("postgres://user:hunter2@127.0.0.1:9/db").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_error_quotes_no_value() {
    let Some(url) = postgres_url().await else { return };
    let warehouse = Postgres::connect(&url).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let query = Query::new("select cast(:1 as bigint)")
        .bind(Value::Text("eve@example.org".to_owned()))
        .column("x", ColumnType::Int);
    let error = warehouse.query(&query).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("eve@"), "{error:?}");
}

/// transact-rs/sqlx#4385: a `begin` that is dropped leaves its transaction open on the pooled connection, and what
/// follows runs inside it and may be lost.
#[tokio::test]
async fn loads_dropped_at_any_moment_leave_no_transaction_behind() {
    let Some(url) = postgres_url().await else { return };
    let name = url.rsplit('=').next().unwrap().to_owned();
    let warehouse = Postgres::connect(&format!("{url}&application_name={name}")).await.unwrap();
    let other = Postgres::connect(&url).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let now = at("2026-11-01T00:00:00Z");
    let idle = Query::new(
        "select count(*) from pg_stat_activity where application_name = :1 and state like 'idle in transaction%'",
    )
    .bind(Value::Text(name))
    .column("sessions", ColumnType::Int);
    for turns in (0..12).cycle().take(120) {
        let batch = Batch::new(slice()).replace([event("u1", EventType::GOAL, "2026-10-25T10:00:00Z")]);
        {
            let mut load = std::pin::pin!(warehouse.load(&batch, now));
            for _ in 0..turns {
                if futures_util::FutureExt::now_or_never(load.as_mut()).is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        }
        // A rollback on its way may take a moment; a forgotten transaction stays.
        let mut left = other.query(&idle).await.unwrap().value(0, "sessions");
        for _ in 0..40 {
            if left == Value::Int(0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            left = other.query(&idle).await.unwrap().value(0, "sessions");
        }
        assert_eq!(left, Value::Int(0), "dropped after {turns} turns");
    }
    let two = [
        event("u1", EventType::GOAL, "2026-10-25T10:00:00Z"),
        event("u2", EventType::GOAL, "2026-10-25T10:00:00Z"),
    ];
    warehouse.load(&Batch::new(slice()).replace(two), now).await.unwrap();
    assert_eq!(other.query(&Query::table(&Event::SCHEMA)).await.unwrap().rows(), 2);
}

#[tokio::test]
async fn slices_that_exchange_rows_at_once_do_not_lock_each_other_out() {
    let Some(url) = postgres_url().await else { return };
    let warehouse = Postgres::connect(&url).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let now = at("2026-11-01T00:00:00Z");
    let users: Vec<String> = (0..300).map(|n| format!("u{n}")).collect();
    let rows = |reverse: bool| {
        let mut rows: Vec<Event> =
            users.iter().map(|user| event(user, EventType::GOAL, "2026-10-25T10:00:00Z")).collect();
        if reverse {
            rows.reverse();
        }
        rows
    };
    for _ in 0..5 {
        let loads = (0..4).map(|n| {
            let key = SliceKey { stream: format!("stream {n}"), ..slice() };
            let batch = Batch::new(key).replace(rows(n % 2 == 0));
            let warehouse = warehouse.clone();
            async move { warehouse.load(&batch, now).await }
        });
        for receipt in futures_util::future::join_all(loads).await {
            receipt.unwrap();
        }
        assert_eq!(warehouse.query(&Query::table(&Event::SCHEMA)).await.unwrap().rows(), 300);
    }
}
