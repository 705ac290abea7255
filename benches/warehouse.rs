//! Loading sessions and events into SQLite, and asking the reports of them: `cargo bench --bench warehouse`.
//!
//! One site, one seed, an in-memory database: what is compared is the code and its SQL, not the disk.

use std::{hint::black_box, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::{
    Batch, SliceKey, Sqlite, Warehouse,
    model::{Amount, Event, EventType, Json, Session, Site},
    report::{self, HourOptions, Scope},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rust_decimal::Decimal;
use tokio::runtime::Runtime;

const SIZES: [usize; 2] = [10_000, 100_000];
const CHANNELS: [Channel; 4] = [Channel::Organic, Channel::Paid, Channel::Email, Channel::Social];

fn day(ordinal: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 5, 1).unwrap_or_default() + TimeDelta::days(ordinal)
}

/// As many sessions as events, over 150 days and a quarter as many users; one in twenty converts.
fn world(rows: usize) -> Batch {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    let (mut sessions, mut events) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        let day = day(rng.random_range(0..150));
        let start = day
            .and_hms_opt(rng.random_range(0..24), rng.random_range(0..60), 0)
            .unwrap_or_default()
            .and_utc();
        let user_id = format!("u{:06}", rng.random_range(0..rows / 4));
        let channel = CHANNELS[rng.random_range(0..CHANNELS.len())];
        let converted = rng.random_range(0..20) == 0;
        let session_id = format!("s{row:08}");
        events.push(Event {
            event_id: i64::try_from(row).unwrap_or_default(),
            user_id: user_id.clone(),
            event_type: if converted { EventType::PURCHASE } else { EventType::PAGE_VIEW },
            timestamp: start + TimeDelta::seconds(30),
            channel,
            revenue: Amount(if converted {
                Decimal::new(rng.random_range(500..9000), 2)
            } else {
                Decimal::ZERO
            }),
            properties: Json::default(),
            session_id: Some(session_id.clone()),
            campaign_id: None,
            currency: Some(Currency::EUR),
            channel_detail: None,
            seq: 0,
            source: "bench".to_owned(),
            site: "shop".to_owned(),
            day,
        });
        sessions.push(Session {
            session_id,
            user_id,
            start_time: start,
            end_time: start + TimeDelta::minutes(5),
            pages_viewed: 3,
            converted,
            channel,
            channel_detail: None,
            campaign_id: None,
            device: None,
            landing_url: None,
            referrer: None,
            time_on_site: Some(300),
            bot: None,
            seq: 0,
            source: "bench".to_owned(),
            site: "shop".to_owned(),
            day,
        });
    }
    Batch::new(SliceKey::whole("bench", "visits", "shop"))
        .replace(sessions)
        .replace(events)
        .upsert([Site::new("shop", "Europe/Paris", "bench")])
}

async fn filled(batch: &Batch) -> mkt_connect::Result<Sqlite> {
    let warehouse = Sqlite::in_memory().await?;
    warehouse.migrate(&mkt_warehouse::model::SCHEMA).await?;
    report::load_zone(&warehouse, "Europe/Paris", 2026, 2026, now()).await?;
    warehouse.load(batch, now()).await?;
    Ok(warehouse)
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn load(c: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let mut group = c.benchmark_group("load/sqlite");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for rows in SIZES {
        let batch = world(rows);
        group.throughput(Throughput::Elements(2 * rows as u64));
        group.bench_with_input(BenchmarkId::new("sessions+events", rows), &batch, |b, batch| {
            b.iter(|| runtime.block_on(filled(black_box(batch))).is_ok());
        });
    }
    group.finish();
}

fn reports(c: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let mut group = c.benchmark_group("report/sqlite");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for rows in SIZES {
        let Ok(warehouse) = runtime.block_on(filled(&world(rows))) else { return };
        let Ok(scope) = Scope::days("Europe/Paris", day(0), day(150)) else { return };
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("conversion_by_channel", rows), |b| {
            b.iter(|| runtime.block_on(report::conversion_by_channel(&warehouse, &scope)));
        });
        group.bench_function(BenchmarkId::new("arpu", rows), |b| {
            b.iter(|| runtime.block_on(report::arpu(&warehouse, &scope)));
        });
        group.bench_function(BenchmarkId::new("top_hours", rows), |b| {
            b.iter(|| runtime.block_on(report::top_hours(&warehouse, &scope, HourOptions::default())));
        });
        group.bench_function(BenchmarkId::new("cohort_retention", rows), |b| {
            b.iter(|| runtime.block_on(report::cohort_retention(&warehouse, &scope)));
        });
    }
    group.finish();
}

criterion_group!(benches, load, reports);
criterion_main!(benches);
