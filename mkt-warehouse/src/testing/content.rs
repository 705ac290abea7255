//! What goes in comes out, and what cannot go in is named.

use super::probe::{PROBE, Probe, slice};
use super::slices::ready;
use super::{Failure, ensure, equal, instant, rows};
use crate::batch::Batch;
use crate::model::{
    Amount, Campaign, Cost, DailyMetric, DimensionMetric, EmailEvent, EmailEventType, Event, EventType,
    Identity, Json, KeyKind, Measure, MetricKind, MissingReason, Observation, Post, Session, Site,
    SliceState, User, ZoneOffset,
};
use crate::query::Query;
use crate::schema::Record;
use crate::table::{ColumnType, Table, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, NaiveDate};
use futures_util::TryStreamExt;
use mkt_connect::{Channel, Currency, ErrorKind};
use rust_decimal::Decimal;
use serde_json::json;
use std::sync::Arc;

/// Texts that have broken databases before.
const HOSTILE: [&str; 8] = [
    "",
    "'); drop table probe; --",
    "é à ü – 漢字 🛒",
    "line\nbreak\ttab\r\n",
    "\\N \\ \" ' ` % _",
    "NULL",
    ":1 $1 ? @local(x)",
    " spaces ",
];

pub(super) async fn load_then_query_round_trips(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let mut expected: Vec<Probe> = HOSTILE
        .iter()
        .enumerate()
        .map(|(n, text)| Probe {
            text: Some((*text).to_owned()),
            maybe_whole: Some(n as i64),
            float: Some(0.1 + n as f64),
            truth: n % 2 == 0,
            maybe_truth: Some(n % 2 == 1),
            instant: DateTime::from_timestamp_micros(1_761_354_000_123_456 + n as i64),
            day: NaiveDate::from_ymd_opt(2024, 2, 29),
            amount: Some(Amount(Decimal::new(1_990 + n as i64, 2))),
            measure: Some(Measure(Decimal::new(-1_234_567, 6))),
            document: Some(Json(json!({"text": text, "list": [1, 2.5, null, true], "nested": {"a": {}}}))),
            ..Probe::new(format!("{n} {text}"), n as i64)
        })
        .collect();
    expected.push(Probe::new("nulls", 0));
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    warehouse.load(&Batch::new(slice(0)).replace(expected.clone()), instant(0)).await?;
    equal("rows, in the order of their keys' bytes", &rows(&warehouse).await?, &expected)
}

pub(super) async fn limits_of_types_round_trip(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let instant_of = |text: &str| text.parse().ok();
    let expected = vec![
        Probe {
            text: Some("x".repeat(1 << 20)),
            maybe_whole: Some(i64::MAX),
            float: Some(f64::MAX),
            instant: instant_of("9999-12-31T23:59:59.999999Z"),
            day: NaiveDate::from_ymd_opt(9999, 12, 31),
            amount: Some(Amount(Decimal::new(9_999_999_999, 2))),
            measure: Some(Measure(Decimal::new(999_999_999_999_999_999, 6))),
            document: Some(Json(json!({"large": "y".repeat(1 << 20)}))),
            ..Probe::new("largest", i64::MAX)
        },
        Probe {
            maybe_whole: Some(0),
            float: Some(5e-324),
            instant: instant_of("1969-12-31T23:59:59.999999Z"),
            day: NaiveDate::from_ymd_opt(1, 1, 1),
            amount: Some(Amount(Decimal::new(-9_999_999_999, 2))),
            measure: Some(Measure(Decimal::new(-999_999_999_999_999_999, 6))),
            document: Some(Json(json!("\\u0000 as text is harmless"))),
            ..Probe::new("smallest", i64::MIN)
        },
    ];
    warehouse.load(&Batch::new(slice(0)).replace(expected.clone()), instant(0)).await?;
    let found: Vec<Probe> = rows(&warehouse).await?;
    ensure(found == expected, || {
        let short = |probe: &Probe| format!("{:?}", Probe { text: None, document: None, ..probe.clone() });
        format!("found {:?}", found.iter().map(short).collect::<Vec<_>>())
    })?;
    // More digits than the column has are rounded, halves to even, the same everywhere.
    let half = Probe { amount: Some(Amount(Decimal::new(125, 3))), ..Probe::new("half", 0) };
    warehouse.load(&Batch::new(slice(0)).replace([half]), instant(0)).await?;
    let found: Vec<Probe> = rows(&warehouse).await?;
    equal("0.125 as an amount", &found[0].amount, &Some(Amount(Decimal::new(12, 2))))
}

pub(super) async fn every_table_of_the_model_round_trips(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let (at, day) = (instant(0), instant(0).date_naive());
    let text = |text: &str| text.to_owned();
    let some = |text: &str| Some(text.to_owned());
    let event = Event {
        event_id: i64::MAX,
        user_id: text("u1"),
        event_type: EventType::PURCHASE,
        timestamp: at,
        channel: Channel::Email,
        revenue: Amount(Decimal::new(1_990, 2)),
        properties: Json(json!({"order_id": "o1"})),
        session_id: some("s1"),
        campaign_id: some("c1"),
        currency: Some(Currency::EUR),
        channel_detail: None,
        seq: 0,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let session = Session {
        session_id: text("s1"),
        user_id: text("u1"),
        start_time: at,
        end_time: instant(61),
        pages_viewed: 3,
        converted: true,
        channel: Channel::Organic,
        channel_detail: some("Search"),
        campaign_id: None,
        device: some("mobile"),
        landing_url: some("https://shop.example/"),
        referrer: None,
        time_on_site: Some(61),
        bot: None,
        seq: 0,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let metric = DailyMetric {
        metric: text("bounce_rate"),
        kind: MetricKind::Ratio,
        value: Some(Measure(Decimal::new(333_333, 6))),
        numerator: Some(Measure::from(1)),
        denominator: Some(Measure::from(3)),
        currency: None,
        state: SliceState::Provisional,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let user = User {
        user_id: text("u1"),
        signed_up_at: Some(at),
        language: some("fr"),
        sex: None,
        age_band: some("25-34"),
        occupation: None,
        segment: some("vip"),
        attributes: Json(json!({"shop": 3})),
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let identity = Identity {
        user_id: text("u1"),
        person_id: text("p1"),
        key_kind: KeyKind::EmailHash,
        since: at,
        reason: text("same hash"),
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let campaign = Campaign {
        campaign_id: text("c1"),
        tag_source: text("brevo"),
        tag_medium: text("email"),
        name: text("Été"),
        channel: Channel::Email,
        declared_by: text("auto"),
        first_seen: at,
        vendor_ref: None,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let cost = Cost {
        campaign_id: text("c1"),
        channel: Channel::Paid,
        impressions: Some(1_000),
        clicks: Some(10),
        post_view_conversions: None,
        cost: Amount(Decimal::new(12_345, 2)),
        currency: Currency::USD,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let post = Post {
        post_id: text("9007199254740993"),
        network: text("bluesky"),
        account: None,
        published_at: at,
        post_type: text("photo"),
        text: some("🛒"),
        url: None,
        paid: Some(false),
        campaign_id: None,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let observation = Observation {
        post_id: text("9007199254740993"),
        metric: text("reach"),
        value: None,
        missing: Some(MissingReason::NotYet),
        native_metric: some("post_impressions_unique"),
        observed_at: at,
        api_version: None,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let mail = EmailEvent {
        event_id: 7,
        message_id: text("m1"),
        user_id: some("u1"),
        event_type: EmailEventType::Clicked,
        timestamp: at,
        campaign_id: some("c1"),
        url: some("https://shop.example/"),
        detail: None,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let dimensions = Json(json!({"page_url": "https://shop.example/"}));
    let page = DimensionMetric {
        report: text("pages"),
        dimension_key: DimensionMetric::key_of(&dimensions),
        dimensions,
        metric: text("visits"),
        kind: MetricKind::Additive,
        value: Some(Measure::from(3)),
        numerator: None,
        denominator: None,
        currency: None,
        is_rest: true,
        state: SliceState::Truncated,
        source: text("suite"),
        site: text("shop"),
        day,
    };
    let site = Site::new("shop", "Europe/Paris", "suite");
    let offset = ZoneOffset { zone: text("UTC"), from_utc: at, until_utc: instant(1), offset_s: 0 };
    let batch = Batch::new(slice(0))
        .replace([event.clone()])
        .replace([session.clone()])
        .replace([metric.clone()])
        .replace([page.clone()])
        .replace([user.clone()])
        .replace([identity.clone()])
        .replace([campaign.clone()])
        .replace([cost.clone()])
        .replace([post.clone()])
        .replace([observation.clone()])
        .replace([mail.clone()])
        .upsert([site.clone()])
        .upsert([offset.clone()]);
    let receipt = warehouse.load(&batch, at).await?;
    equal("written", &receipt.written, &11)?;
    equal("events", &rows(&warehouse).await?, &vec![event])?;
    equal("sessions", &rows(&warehouse).await?, &vec![session])?;
    equal("daily_metrics", &rows(&warehouse).await?, &vec![metric])?;
    equal("dimension_metrics", &rows(&warehouse).await?, &vec![page])?;
    equal("users", &rows(&warehouse).await?, &vec![user])?;
    equal("identities", &rows(&warehouse).await?, &vec![identity])?;
    equal("campaigns", &rows(&warehouse).await?, &vec![campaign])?;
    equal("costs", &rows(&warehouse).await?, &vec![cost])?;
    equal("posts", &rows(&warehouse).await?, &vec![post])?;
    equal("observations", &rows(&warehouse).await?, &vec![observation])?;
    equal("email_events", &rows(&warehouse).await?, &vec![mail])?;
    equal("sites", &rows(&warehouse).await?, &vec![site])?;
    equal("zone_offsets", &rows(&warehouse).await?, &vec![offset])
}

pub(super) async fn a_row_that_does_not_fit_is_named_by_table_and_column(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let good = Probe::new("a", 1);
    warehouse.load(&Batch::new(slice(0)).replace([good.clone()]), instant(0)).await?;
    let long = Decimal::new(10_000_000_000, 2);
    let bad = [
        ("text", vec![Probe { text: Some("a\0b".to_owned()), ..good.clone() }]),
        ("name", vec![Probe::new("a\0", 1)]),
        ("float", vec![Probe { float: Some(f64::NAN), ..good.clone() }]),
        ("float", vec![Probe { float: Some(f64::INFINITY), ..good.clone() }]),
        ("amount", vec![Probe { amount: Some(Amount(long)), ..good.clone() }]),
        ("amount", vec![Probe { amount: Some(Amount(Decimal::MAX)), ..good.clone() }]),
        ("measure", vec![Probe { measure: Some(Measure(Decimal::MIN)), ..good.clone() }]),
        ("instant", vec![Probe { instant: Some(DateTime::<chrono::Utc>::MAX_UTC), ..good.clone() }]),
        ("instant", vec![Probe { instant: Some(DateTime::<chrono::Utc>::MIN_UTC), ..good.clone() }]),
        ("day", vec![Probe { day: Some(NaiveDate::MAX), ..good.clone() }]),
        ("document", vec![Probe { document: Some(Json(json!({"a": ["\0"]}))), ..good.clone() }]),
        // Two rows of one key: which is meant?
        ("name", vec![Probe::new("twice", 1), Probe::new("b", 1), Probe::new("twice", 2)]),
    ];
    for (column, rows) in bad {
        let Err(error) = warehouse.load(&Batch::new(slice(0)).replace(rows), instant(60)).await else {
            return Err(Failure(format!("a bad value in {column} was accepted")));
        };
        equal("kind of the error", &error.kind(), &ErrorKind::Input)?;
        let said = error.to_string();
        ensure(said.contains("probe") && said.contains(column), || {
            format!("the error names not both table and column ({column}): {said}")
        })?;
    }
    equal("rows after refusals", &rows(&warehouse).await?, &vec![good])
}

pub(super) async fn values_are_bound_and_never_become_text(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let held: Vec<Probe> = HOSTILE
        .iter()
        .enumerate()
        .map(|(n, text)| Probe { text: Some((*text).to_owned()), ..Probe::new(format!("{n}"), n as i64) })
        .collect();
    warehouse.load(&Batch::new(slice(0)).replace(held), instant(0)).await?;
    for (n, text) in HOSTILE.iter().enumerate() {
        let query = Query::new("select whole from probe where text = :2 and whole >= :1 and text = :2")
            .bind(Value::Int(0))
            .bind(Value::Text((*text).to_owned()))
            .column("whole", ColumnType::Int);
        let found = warehouse.query(&query).await?;
        let numbers: Vec<Value> = (0..found.rows()).map(|row| found.value(row, "whole")).collect();
        equal("rows found by a hostile text", &numbers, &vec![Value::Int(n as i64)])?;
    }
    let typed = Query::new("select count(*) from probe where day is null and instant is null and :1 = 'é'")
        .bind(Value::Text("é".to_owned()))
        .column("rows", ColumnType::Int);
    equal("count", &warehouse.query(&typed).await?.value(0, "rows"), &Value::Int(HOSTILE.len() as i64))
}

pub(super) async fn a_query_that_cannot_be_answered_is_an_error_of_the_input(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    warehouse.load(&Batch::new(slice(0)).replace([Probe::new("a", 1)]), instant(0)).await?;
    let queries = [
        ("a table that is not there", Query::new("select x from nowhere").column("x", ColumnType::Int)),
        ("no SQL", Query::new("sell everything").column("x", ColumnType::Int)),
        (
            "a parameter without a value",
            Query::new("select whole + :1 from probe").column("x", ColumnType::Int),
        ),
        ("too few columns", Query::new("select whole, name from probe").column("whole", ColumnType::Int)),
    ];
    for (what, query) in queries {
        match warehouse.query(&query).await {
            Ok(_) => return Err(Failure(format!("{what} was answered"))),
            Err(error) => equal(what, &error.kind(), &ErrorKind::Input)?,
        }
        let scanned: Result<Vec<Table>, _> = warehouse.scan(&query, 10).try_collect().await;
        ensure(scanned.is_err(), || format!("{what} was answered by a scan"))?;
    }
    let wrong = Query::new("select name from probe").column("name", ColumnType::Timestamp);
    ensure(warehouse.query(&wrong).await.is_err(), || "a text was read as an instant".to_owned())?;
    equal("the warehouse still answers", &rows::<Probe>(&warehouse).await?.len(), &1)
}

pub(super) async fn a_scan_gives_the_rows_of_the_query_in_chunks(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let query = Query::table(&Probe::SCHEMA);
    let none: Vec<Table> = warehouse.scan(&query, 10).try_collect().await?;
    equal("chunks of an empty answer", &none.iter().map(Table::rows).sum::<usize>(), &0)?;
    warehouse.load(&Batch::new(slice(0)).replace(Probe::many("a", 1, 250)), instant(0)).await?;
    let whole = warehouse.query(&query).await?;
    for (chunk, sizes) in [(100, vec![100, 100, 50]), (250, vec![250]), (1_000, vec![250])] {
        let tables: Vec<Table> = warehouse.scan(&query, chunk).try_collect().await?;
        equal("sizes of the chunks", &tables.iter().map(Table::rows).collect(), &sizes)?;
        let mut joined = Probe::SCHEMA.empty();
        for table in &tables {
            joined.append(table)?;
        }
        ensure(joined == whole, || format!("chunks of {chunk} differ from the query"))?;
    }
    let ones: Vec<Table> = warehouse.scan(&query, 0).try_collect().await?;
    equal("a chunk of nothing is a chunk of one", &ones.len(), &250)
}

pub(super) async fn a_scan_may_be_dropped(warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let batch = |n| Batch::new(slice(0)).replace(Probe::many("a", n, 2_000));
    warehouse.load(&batch(0), instant(0)).await?;
    let query = Query::table(&Probe::SCHEMA);
    // More scans than any pool has connections, each left after its first chunk; the last stays open during a load.
    for _ in 0..20 {
        let first = warehouse.scan(&query, 10).try_next().await?;
        equal("rows of the first chunk", &first.map(|table| table.rows()), &Some(10))?;
    }
    let mut open = warehouse.scan(&query, 10);
    open.try_next().await?;
    warehouse.load(&batch(1), instant(60)).await?;
    let mut sum = 10;
    while let Some(table) = open.try_next().await? {
        sum += table.rows();
        let old = (0..table.rows()).all(|row| table.value(row, "whole") == Value::Int(0));
        ensure(old, || "a scan that began before a load saw rows of the load".to_owned())?;
    }
    equal("rows of the scan", &sum, &2_000)?;
    warehouse.migrate(&PROBE).await?;
    Ok(())
}
