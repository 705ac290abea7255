//! What numbers of several days add up to, against what a real Matomo says of its month, and hand-made tables.

use crate::support::{all, day, late, utc, window};
use chrono_tz::Europe::Paris;
use mkt_connect::Currency;
use mkt_etl::aggregate::{
    AggregateError, By, DERIVED, PeriodTotal, Question, daily_totals, dimension_totals,
};
use mkt_etl::csv::CsvSource;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, Window};
use mkt_warehouse::model::{DailyMetric, DimensionMetric, Json, Load, Measure, MetricKind, SliceState};
use mkt_warehouse::{Batch, ColumnType, Query, SliceKey, Sqlite, Value, Warehouse, model};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const MARCH: (&str, &str) = ("2026-03-27", "2026-03-31");

fn question<'a>(site: &'a str, window: Window, by: By) -> Question<'a> {
    Question { site, source: None, window, by, metrics: &[] }
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn value(totals: &[PeriodTotal], metric: &str) -> Option<Decimal> {
    let found: Vec<_> = totals.iter().filter(|it| it.metric == metric).collect();
    assert_eq!(found.len(), 1, "{metric}");
    found[0].total.as_ref().unwrap().value
}

#[tokio::test]
async fn the_month_of_a_real_matomo_comes_out_and_its_visitors_are_not_added() {
    // Recorded before the late visit; `late_before_month` is VisitsSummary.get with period=month of the same moment:
    // 48 unique visitors, 63 visits, 115 actions, 24 converted, 15 bounces, 10340 s, 24 %, 1.8 actions, 164 s a visit.
    let server = RecordedMatomo::start().await.unwrap();
    server.choose("late_before").unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(server.source().build().unwrap(), warehouse.clone()).clock(late());
    pipeline.streams(["daily"]).run(window(MARCH.0, MARCH.1)).await.unwrap();
    let month = Window { from: day("2026-03-01"), until: day("2026-04-01") };
    let totals = daily_totals(&warehouse, &question("1", month, By::Month)).await.unwrap();
    for (metric, expected) in [
        ("visits", 63),
        ("actions", 115),
        ("converted_visits", 24),
        ("bounces", 15),
        ("seconds_on_site", 10_340),
    ] {
        assert_eq!(value(&totals, metric), Some(expected.into()), "{metric}");
    }
    let rounded = |metric: &str, digits| value(&totals, metric).unwrap().round_dp(digits);
    assert_eq!(rounded("bounce_rate", 2), number("0.24"));
    assert_eq!(rounded("actions_per_visit", 1), number("1.8"));
    assert_eq!(rounded("time_per_visit", 0), number("164"));
    let visitors = totals.iter().find(|it| it.metric == "unique_visitors").unwrap();
    // The days have 12, 17, 16, 1 and 15: 61, where the month has 48.
    assert_eq!(
        visitors.total,
        Err(AggregateError::Distinct { metric: "unique_visitors".to_owned(), numbers: 5 })
    );
    assert_eq!(visitors.missing_days, 26);
    let days = daily_totals(&warehouse, &question("1", month, By::Day)).await.unwrap();
    let visitors: Vec<Option<Decimal>> = days
        .iter()
        .filter(|it| it.metric == "unique_visitors")
        .map(|it| it.total.as_ref().unwrap().value)
        .collect();
    assert_eq!(visitors, [12, 17, 16, 1, 15].map(|n| Some(Decimal::from(n))));
}

fn metric(
    source: &str,
    date: &str,
    name: &str,
    value: Option<i64>,
    currency: Option<Currency>,
) -> DailyMetric {
    DailyMetric {
        metric: name.to_owned(),
        kind: MetricKind::Additive,
        value: value.map(Measure::from),
        numerator: None,
        denominator: None,
        currency,
        state: if value.is_some() { SliceState::Settled } else { SliceState::SuspectEmpty },
        source: source.to_owned(),
        site: "shop".to_owned(),
        day: day(date),
    }
}

async fn store(warehouse: &Sqlite, rows: Vec<DailyMetric>) {
    for (index, row) in rows.into_iter().enumerate() {
        let key = SliceKey::day(row.source.clone(), format!("t{index}"), "shop", row.day);
        warehouse.load(&Batch::new(key).replace([row]), utc("2026-11-01T00:00:00Z")).await.unwrap();
    }
}

#[tokio::test]
async fn only_the_system_of_record_counts_and_currencies_stay_apart() {
    let warehouse = Sqlite::in_memory().await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let dollar: Currency = "USD".parse().unwrap();
    store(
        &warehouse,
        vec![
            metric("matomo", "2026-03-30", "visits", Some(10), None),
            metric("matomo", "2026-03-31", "visits", None, None),
            metric("matomo", "2026-04-01", "visits", Some(7), None),
            metric("log", "2026-03-30", "visits", Some(99), None),
            metric("matomo", "2026-03-30", "revenue", Some(100), Some(Currency::EUR)),
            metric("matomo", "2026-03-31", "revenue", Some(30), Some(dollar)),
        ],
    )
    .await;
    let site = model::Site::new("shop", "Europe/Paris", "matomo");
    let batch = Batch::new(SliceKey::whole("etl", "sites", "shop")).upsert([site]);
    warehouse.load(&batch, utc("2026-11-01T00:00:00Z")).await.unwrap();
    let days = window("2026-03-30", "2026-04-01");
    let ask = async |source: Option<&str>, by| {
        let question = Question { source, ..question("shop", days, by) };
        daily_totals(&warehouse, &question).await.unwrap()
    };
    let record = ask(None, By::Period).await;
    assert_eq!(value(&record, "visits"), Some(17.into()));
    let visits = record.iter().find(|it| it.metric == "visits").unwrap();
    let total = visits.total.as_ref().unwrap();
    assert_eq!((total.numbers, total.unknown, total.state), (2, 1, SliceState::SuspectEmpty));
    let revenue: Vec<(String, Decimal)> = record
        .iter()
        .filter(|it| it.metric == "revenue")
        .map(|it| (it.currency.unwrap().to_string(), it.total.as_ref().unwrap().value.unwrap()))
        .collect();
    assert_eq!(revenue, [("EUR".to_owned(), 100.into()), ("USD".to_owned(), 30.into())]);
    assert_eq!(value(&ask(Some("log"), By::Period).await, "visits"), Some(99.into()));
    // 30 and 31 March are a Monday and a Tuesday; the month ends between them and 1 April.
    let months: Vec<(String, Option<Decimal>)> = ask(None, By::Month)
        .await
        .iter()
        .filter(|it| it.metric == "visits")
        .map(|it| (it.period.from.to_string(), it.total.as_ref().unwrap().value))
        .collect();
    assert_eq!(
        months,
        [("2026-03-30".to_owned(), Some(10.into())), ("2026-04-01".to_owned(), Some(7.into()))]
    );
    assert_eq!(value(&ask(None, By::Week).await, "visits"), Some(17.into()));
    let question = Question { metrics: &["revenue"], ..question("shop", days, By::Day) };
    assert_eq!(daily_totals(&warehouse, &question).await.unwrap().len(), 2);
}

#[tokio::test]
async fn numbers_by_dimension_are_added_over_days_for_each_dimension() {
    let warehouse = Sqlite::in_memory().await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let row = |date: &str, channel: &str, visits: i64| {
        let dimensions = Json(serde_json::json!({"channel": channel}));
        DimensionMetric {
            report: "referrers".to_owned(),
            dimension_key: DimensionMetric::key_of(&dimensions),
            dimensions,
            metric: "visits".to_owned(),
            kind: MetricKind::Additive,
            value: Some(visits.into()),
            numerator: None,
            denominator: None,
            currency: None,
            is_rest: channel == "Others",
            state: SliceState::Settled,
            source: "matomo".to_owned(),
            site: "shop".to_owned(),
            day: day(date),
        }
    };
    let rows = [
        row("2026-03-30", "email", 3),
        row("2026-03-30", "Others", 1),
        row("2026-03-31", "email", 4),
        row("2026-03-31", "search", 5),
    ];
    let batch = Batch::new(SliceKey::whole("matomo", "referrers", "shop")).replace(rows);
    warehouse.load(&batch, utc("2026-11-01T00:00:00Z")).await.unwrap();
    let question = question("shop", window("2026-03-30", "2026-03-31"), By::Period);
    let totals = dimension_totals(&warehouse, "referrers", &question).await.unwrap();
    let found: BTreeMap<String, (Option<Decimal>, u64)> = totals
        .iter()
        .map(|it| {
            let channel = it.dimensions.as_ref().unwrap()["channel"].as_str().unwrap().to_owned();
            (channel, (it.total.as_ref().unwrap().value, it.missing_days))
        })
        .collect();
    let expected = [("Others", 1, 1), ("email", 7, 0), ("search", 5, 1)];
    let expected = expected.map(|(name, visits, missing)| (name.to_owned(), (Some(visits.into()), missing)));
    assert_eq!(found, BTreeMap::from(expected));
    assert!(dimension_totals(&warehouse, "pages", &question).await.unwrap().is_empty());
}

const SESSIONS: &str = "\
session_id,user_id,start_time,end_time,pages_viewed,converted,channel
s1,anna,2026-03-28 10:00:00,2026-03-28 10:05:00,4,true,email
s2,ben,2026-03-28 11:00:00,2026-03-28 11:00:00,1,false,organic
s3,anna,2026-03-28 20:00:00,2026-03-28 20:10:00,3,false,direct
s4,cleo,2026-03-29 23:30:00,2026-03-29 23:40:00,2,true,email
";
const EVENTS: &str = "\
event_id,user_id,event_type,timestamp,channel,revenue,currency
1,anna,purchase,2026-03-28 10:04:00,email,19.90,EUR
2,anna,page_view,2026-03-28 10:01:00,email,0,EUR
3,cleo,purchase,2026-03-29 23:35:00,email,30.00,EUR
4,cleo,purchase,2026-03-29 23:36:00,email,12.00,USD
";

#[tokio::test]
async fn files_of_sessions_have_daily_numbers_and_the_view_of_the_course_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let (sessions, events) = (folder.path().join("s.csv"), folder.path().join("e.csv"));
    std::fs::write(&sessions, SESSIONS).unwrap();
    std::fs::write(&events, EVENTS).unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let run = async |sessions: &std::path::Path| {
        let source = CsvSource::builder("shop", Paris)
            .times_in(Paris)
            .sessions(sessions)
            .events(&events)
            .currency(Currency::EUR)
            .build()
            .unwrap();
        let pipeline = Pipeline::new(source, warehouse.clone()).clock(late());
        pipeline.run(window("2026-03-28", "2026-03-30")).await.unwrap()
    };
    let first = run(&sessions).await;
    let rows: Vec<DailyMetric> = all(&warehouse).await;
    let of = |date: &str| -> BTreeMap<String, Option<String>> {
        rows.iter()
            .filter(|row| row.day == day(date))
            .map(|row| (row.metric.clone(), row.value.map(|value| value.0.normalize().to_string())))
            .collect()
    };
    // Counted by hand from the table above.
    let expected = |pairs: &[(&str, Option<&str>)]| -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    };
    let mut saturday = of("2026-03-28");
    saturday.remove("seconds_on_site");
    saturday.remove("time_per_visit");
    assert_eq!(
        saturday,
        expected(&[
            ("actions", Some("8")),
            ("actions_per_visit", Some("2.666667")),
            ("bounce_rate", Some("0.333333")),
            ("bounces", Some("1")),
            ("conversion_rate", Some("0.333333")),
            ("conversions", Some("1")),
            ("converted_visits", Some("1")),
            ("revenue", Some("19.9")),
            ("unique_visitors", Some("2")),
            ("visits", Some("3")),
        ])
    );
    let sunday = of("2026-03-29");
    assert_eq!(sunday["visits"].as_deref(), Some("1"));
    assert_eq!(sunday["conversions"].as_deref(), Some("2"));
    assert_eq!(
        (sunday["revenue_eur"].as_deref(), sunday["revenue_usd"].as_deref()),
        (Some("30"), Some("12"))
    );
    assert!(!sunday.contains_key("revenue"), "two currencies are no one sum");
    // A day that was read and is empty has zeros, and ratios without a value.
    let monday = of("2026-03-30");
    assert_eq!((monday["visits"].as_deref(), monday["bounce_rate"].as_deref()), (Some("0"), None));
    assert_eq!(first.rows["daily_metrics"], rows.len() as u64);
    let view = Query::new("select date, visits, conversions from daily_metrics_by_date order by date")
        .column("date", ColumnType::Date)
        .column("visits", ColumnType::Int)
        .column("conversions", ColumnType::Int);
    let shown = warehouse.query(&view).await.unwrap();
    let shown: Vec<Vec<Value>> = (0..shown.rows()).map(|row| shown.row(row)).collect();
    let line = |date: &str, visits, conversions| {
        vec![Value::Date(day(date)), Value::Int(visits), Value::Int(conversions)]
    };
    assert_eq!(shown, [line("2026-03-28", 3, 1), line("2026-03-29", 1, 2), line("2026-03-30", 0, 0)]);

    // Two runs settle a file's days; from then on nothing is written.
    run(&sessions).await;
    assert!(!run(&sessions).await.changed);
    let derived = async || -> Vec<(i64, i64)> {
        let loads: Vec<Load> = all(&warehouse).await;
        loads.iter().filter(|row| row.stream == DERIVED).map(|row| (row.row_count, row.revision)).collect()
    };
    let before = derived().await;
    // Another file: one day changes, and only its numbers are written again.
    std::fs::write(&sessions, SESSIONS.replace("s2,ben", "s2,anna")).unwrap();
    assert!(run(&sessions).await.changed);
    let again: Vec<DailyMetric> = all(&warehouse).await;
    let visitors: Vec<_> =
        again.iter().filter(|row| row.metric == "unique_visitors").map(|row| row.value).collect();
    assert_eq!(visitors, [1, 1, 0].map(|n| Some(Measure::from(n))));
    let changed = derived().await.iter().zip(&before).filter(|(now, was)| now.1 != was.1).count();
    assert_eq!((before.len(), changed), (3, 1));
}

#[tokio::test]
async fn a_source_with_numbers_of_its_own_is_not_counted_a_second_time() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let run = async |offered: &[&str], read: &[&str]| {
        let source = server.source().streams(offered.iter().copied()).build().unwrap();
        let pipeline = Pipeline::new(source, warehouse.clone()).clock(late()).streams(read.iter().copied());
        pipeline.run(window(MARCH.0, MARCH.1)).await.unwrap();
        let days = Window { from: day("2026-03-27"), until: day("2026-04-01") };
        let totals = daily_totals(&warehouse, &question("1", days, By::Period)).await.unwrap();
        let rows: Vec<DailyMetric> = all(&warehouse).await;
        let visits = totals.iter().find(|it| it.metric == "visits").map(|it| it.total.clone().unwrap().value);
        (rows.len(), visits.flatten())
    };
    let visits = Some(Decimal::from(64));
    assert_eq!(
        run(&["daily", "visits"], &["visits"]).await,
        (0, None),
        "Matomo tells its numbers when it is asked"
    );
    // A reader of visits only has numbers all the same: eight, two of time, two of conversions, five days.
    assert_eq!(run(&["visits"], &["visits"]).await, (5 * 12, visits));
    // Thirteen a day from Matomo take their place, and stay whoever runs afterwards.
    assert_eq!(run(&["daily", "visits"], &["daily", "visits"]).await.1, visits);
    for _ in 0..2 {
        assert_eq!(run(&["visits"], &["visits"]).await, (5 * 13, visits));
    }
}
