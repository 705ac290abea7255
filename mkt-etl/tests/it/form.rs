//! What a source tells beyond the model, and how much of it: dimensions, extras, drift, coverage.

use crate::support::{all, at, day, dump, late, window};
use mkt_etl::ledger::{self, DriftRow, ExtraRow, SliceRow};
use mkt_etl::{Change, Coverage, Drift, Extra, Finality, Page};
use mkt_etl::{Memory, Pipeline, Totals};
use mkt_warehouse::model::{DimensionMetric, Json, Measure, MetricKind, SliceState};
use mkt_warehouse::{Migration, Schema, Sqlite, Warehouse, model};
use serde_json::json;

const DAY: &str = "2026-03-28";

fn number(page: &str, metric: &str, kind: MetricKind, value: i64, is_rest: bool) -> DimensionMetric {
    let dimensions = Json(json!({"page_url": page}));
    DimensionMetric {
        report: "pages".to_owned(),
        dimension_key: DimensionMetric::key_of(&dimensions),
        dimensions,
        metric: metric.to_owned(),
        kind,
        value: Some(Measure::from(value)),
        numerator: None,
        denominator: None,
        currency: None,
        is_rest,
        state: SliceState::Planned,
        source: "memory".to_owned(),
        site: "shop".to_owned(),
        day: day(DAY),
    }
}

fn pages(rows: Vec<DimensionMetric>) -> Page {
    Page { read: rows.len() as u64, dimensions: rows, ..Page::default() }
}

fn source() -> Memory {
    Memory::new("memory", "shop", chrono_tz::UTC)
}

#[tokio::test]
async fn additive_numbers_add_up_over_a_report_and_distinct_ones_never() {
    let source = source();
    let visits = |page, value, rest| number(page, "visits", MetricKind::Additive, value, rest);
    let page = pages(vec![
        visits("/a", 3, false),
        visits("/b", 4, false),
        visits("", 5, true),
        number("/a", "unique_visitors", MetricKind::Distinct, 2, false),
    ]);
    source.put(source.slice(day(DAY)), vec![page]);
    source.put_control(source.slice(day(DAY)), Totals::new().with("pages.visits", 12));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = Pipeline::new(source, warehouse.clone()).clock(late()).run(window(DAY, DAY)).await.unwrap();
    assert_eq!((report.rows["dimension_metrics"], report.in_state(SliceState::Settled)), (4, 1));
    let slices: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!(slices[0].totals().get("pages.visits"), Some(12.into()));
    assert_eq!(slices[0].totals().get("pages.unique_visitors"), None);
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    assert!(rows.iter().all(|row| row.state == SliceState::Settled));
    assert_eq!(rows.iter().filter(|row| row.is_rest).count(), 1);
}

#[tokio::test]
async fn a_zero_by_dimensions_that_is_contradicted_is_no_value() {
    let source = source();
    let rows = vec![number("/a", "visits", MetricKind::Additive, 0, false)];
    source.put(source.slice(day(DAY)), vec![pages(rows)]);
    source.put_control(source.slice(day(DAY)), Totals::new().with("pages.visits", 12));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = Pipeline::new(source, warehouse.clone()).clock(late()).run(window(DAY, DAY)).await.unwrap();
    assert_eq!(report.in_state(SliceState::SuspectEmpty), 1);
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    assert_eq!((rows[0].value, rows[0].state), (None, SliceState::SuspectEmpty));
}

#[tokio::test]
async fn new_fields_are_kept_and_named_and_missing_ones_are_named() {
    let source = source().finality(Finality::After(chrono::TimeDelta::days(3)));
    let slice = source.slice(day(DAY));
    let drift = |field: &str, change| Drift::new("Live", field, change);
    let extra =
        |record: &str| Extra::new(record, Json(json!({"aiAssistant": "x", "mail": "jo@example.org"})));
    let page = |fields: &[(&str, Change)]| Page {
        extras: vec![extra("visit 7")],
        drift: fields.iter().map(|(field, change)| drift(field, *change)).collect(),
        ..pages(vec![number("/a", "visits", MetricKind::Additive, 1, false)])
    };
    // The same difference on several pages is one.
    let both = [("aiAssistant", Change::New), ("serverDate", Change::Missing)];
    source.put(slice.clone(), vec![page(&both), Page { read: 0, dimensions: Vec::new(), ..page(&both) }]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = |clock| Pipeline::new(source.clone(), warehouse.clone()).clock(clock);
    let early = at("2026-03-29T06:00:00Z");
    let report = pipeline(early.clone()).run(window(DAY, DAY)).await.unwrap();
    // Nothing of it is a row or a failure.
    assert_eq!((report.read, report.rows["dimension_metrics"], report.is_complete()), (1, 1, true));
    let told = |rows: &[DriftRow]| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.field.clone(), row.change.clone())).collect()
    };
    let mut held = told(&all::<DriftRow>(&warehouse).await);
    held.sort();
    let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(held, [text("aiAssistant", "new"), text("serverDate", "missing")]);
    let extras: Vec<ExtraRow> = all(&warehouse).await;
    assert_eq!((extras.len(), extras[0].record.as_str()), (1, "visit 7"));
    assert_eq!(extras[0].fields.0, json!({"aiAssistant": "x", "mail": "[address]"}));

    let before = dump(&warehouse).await;
    assert!(!pipeline(early.clone()).run(window(DAY, DAY)).await.unwrap().changed);
    assert_eq!(dump(&warehouse).await, before, "the same form writes nothing");

    // The field is back: the slice is another one, and its drift with it.
    source.put(slice, vec![page(&both[..1])]);
    let report = pipeline(early).run(window(DAY, DAY)).await.unwrap();
    assert_eq!((report.changed, report.revised), (true, 1));
    assert_eq!(told(&all::<DriftRow>(&warehouse).await), [text("aiAssistant", "new")]);
}

#[tokio::test]
async fn a_truncated_slice_says_so_and_is_read_until_it_is_final() {
    let source = source().finality(Finality::After(chrono::TimeDelta::days(3)));
    let slice = source.slice(day(DAY));
    let rows = vec![number("/a", "visits", MetricKind::Additive, 3, false)];
    source.put(slice.clone(), vec![Page { coverage: Coverage::Truncated, ..pages(rows) }, Page::default()]);
    source.put_control(slice, Totals::new().with("pages.visits", 4));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let run = async |clock: &str| {
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(at(clock));
        let report = pipeline.run(window(DAY, DAY)).await.unwrap();
        (report.in_state(SliceState::Truncated), report.changed, source.reads())
    };
    assert_eq!(run("2026-03-29T06:00:00Z").await, (1, true, 1));
    assert_eq!(run("2026-03-30T06:00:00Z").await, (1, false, 2));
    // Old enough, and the second reading of the same: final. It is not asked for again.
    assert_eq!(run("2026-04-02T06:00:00Z").await, (1, true, 3));
    assert_eq!(run("2026-04-03T06:00:00Z").await, (1, false, 3));
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    assert_eq!(rows[0].state, SliceState::Truncated);
}

#[tokio::test]
async fn a_ledger_of_the_first_version_keeps_its_settled_slices() {
    let warehouse = Sqlite::in_memory().await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let first: &'static [Migration] = Box::leak(Box::new([ledger::SCHEMA.migrations[0]]));
    warehouse.migrate(&Schema { migrations: first, ..ledger::SCHEMA }).await.unwrap();
    // As version 1 wrote it: by hand, since this library writes the newest version only.
    let rows = "insert into etl_slices values \
        ('memory', 'traffic', 'shop', '2026-03-27', '2026-03-28', 'settled', 1, 1, 0, 0, '{}', '{}', null, null, 0, null, null, null, 'f', 0), \
        ('memory', 'traffic', 'shop', '2026-03-28', '2026-03-29', 'provisional', 1, 1, 0, 0, '{}', '{}', null, null, 0, null, null, null, 'f', 0)";
    let fill: &'static [Migration] =
        Box::leak(Box::new([Migration { version: 1, description: "rows", sqlite: rows, postgres: "" }]));
    warehouse.migrate(&Schema { owner: "fill", tables: &[], migrations: fill }).await.unwrap();
    warehouse.migrate(&ledger::SCHEMA).await.unwrap();
    let mut slices: Vec<SliceRow> = all(&warehouse).await;
    slices.sort_by_key(|row| row.window_from);
    let is_final: Vec<bool> = slices.iter().map(|row| row.is_final).collect();
    assert_eq!(is_final, [true, false]);
}
