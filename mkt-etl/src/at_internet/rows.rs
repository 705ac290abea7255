//! From a row of an answer to rows of the warehouse, one for each metric. Pure.
//!
//! - A metric that is null, `"-"`, `"N/A"` or empty has no value: null, never 0. Any other text is set aside.
//! - A property is kept as it is, `"N/A"` and names of months (`date_month`) included: it may be the vendor's or the
//!   site's own word, and two of them are never made one. Addresses are taken out; such a row gets one field more
//!   (`redacted_row`, a hash of what it was), so that two of them stay two.
//! - `date` must be the slice's day, an hour 0 to 23 or nothing: a row that says otherwise is set aside.
//! - A ratio whose parts are in the row is computed from them: whether the vendor's is a share or a percentage is not
//!   documented. Without its parts it stays as told.

use super::catalogue::{self, HOURS};
use super::query::Name;
use super::report::Report;
use super::wire::{self, Cell, ColumnFacts, Row};
use crate::clean;
use crate::source::{Change, Drift, Page, Rejected, SiteFacts};
use chrono::NaiveDate;
use mkt_warehouse::id;
use mkt_warehouse::model::{DailyMetric, DimensionMetric, Json, Measure, MetricKind, SliceState};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// What the rows of a slice have in common.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) report: &'a Report,
    pub(super) site: &'a SiteFacts,
    pub(super) day: NaiveDate,
    pub(super) columns: &'a [ColumnFacts],
}

/// NUMERIC(18,6).
fn measure(number: Decimal) -> Option<Measure> {
    (number.abs() < Decimal::from(1_000_000_000_000_i64)).then(|| Measure(number.round_dp(6).normalize()))
}

/// Adds a row to a page. Gives false when the row was there before: pages that overlap.
pub(super) fn add(row: &Row, context: &Context<'_>, seen: &mut HashSet<i64>, page: &mut Page) -> bool {
    let report = context.report;
    // One record for each metric: each is a row, or set aside.
    page.read += report.metrics.len() as u64;
    let place = |metric: &Name| format!("getData/{}/{metric}", report.name);
    let raw = || Value::Object(row.clone()).to_string();
    let dimensions = match dimensions(row, context) {
        Ok(dimensions) => dimensions,
        Err(reason) => {
            page.rejected.extend(
                report.metrics.iter().map(|metric| Rejected::new(place(metric), raw().as_bytes(), reason)),
            );
            return true;
        }
    };
    let dimensions = Json(Value::Object(dimensions));
    let key = DimensionMetric::key_of(&dimensions);
    if !seen.insert(key) {
        return false;
    }
    for metric in &report.metrics {
        let kind = report.kinds.get(metric).copied();
        let facts = context.columns.iter().find(|facts| facts.name == metric.as_str());
        let kind = kind.unwrap_or_else(|| catalogue::kind(metric, &report.properties, facts));
        let (value, numerator, denominator) = match numbers(row, metric, kind) {
            Ok(numbers) => numbers,
            Err(reason) => {
                page.rejected.push(Rejected::new(place(metric), raw().as_bytes(), reason));
                continue;
            }
        };
        let currency = if report.amounts.contains(metric) { context.site.currency } else { None };
        let (source, site, day) = (super::SERVICE.to_owned(), context.site.site.clone(), context.day);
        let (metric, state) = (catalogue::stored_name(metric), SliceState::Planned);
        if report.is_of_the_site() {
            page.metrics.push(DailyMetric {
                metric,
                kind,
                value,
                numerator,
                denominator,
                currency,
                state,
                source,
                site,
                day,
            });
        } else {
            page.dimensions.push(DimensionMetric {
                report: report.name.clone(),
                dimension_key: key,
                dimensions: dimensions.clone(),
                metric,
                kind,
                value,
                numerator,
                denominator,
                currency,
                is_rest: false,
                state,
                source,
                site,
                day,
            });
        }
    }
    true
}

fn dimensions(row: &Row, context: &Context<'_>) -> Result<Map<String, Value>, &'static str> {
    let mut fields = Map::new();
    let mut changed = false;
    for property in &context.report.properties {
        let Some(value) = row.get(property.as_str()) else {
            return Err("a property that was asked for is not in the row");
        };
        if matches!(property.as_str(), "date" | "d_time_date") {
            let told = value.as_str().and_then(|text| text.get(..10)?.parse::<NaiveDate>().ok());
            if told != Some(context.day) {
                return Err("the row is of another day than was asked for, or of none");
            }
        }
        if HOURS.contains(&property.as_str()) && !is_hour(value) {
            return Err("the hour is none");
        }
        let value = match value {
            Value::String(text) => {
                let clean = clean::storable(text);
                changed |= clean != *text;
                Value::String(clean)
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain.clone(),
            _ => return Err("a property is neither a text nor a number"),
        };
        fields.insert(property.as_str().replace('.', "_"), value);
    }
    if changed {
        let told: Vec<String> = context
            .report
            .properties
            .iter()
            .filter_map(|name| row.get(name.as_str()))
            .map(Value::to_string)
            .collect();
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        fields.insert("redacted_row".to_owned(), Value::String(id::stable_hash(&told).to_string()));
    }
    Ok(fields)
}

/// 0 to 23, as a number or a text, or nothing.
fn is_hour(value: &Value) -> bool {
    match wire::number(value) {
        Cell::Nothing => true,
        Cell::Number(hour) => hour.is_integer() && hour >= Decimal::ZERO && hour < Decimal::from(24),
        Cell::Other => false,
    }
}

type Numbers = (Option<Measure>, Option<Measure>, Option<Measure>);

fn numbers(row: &Row, metric: &Name, kind: MetricKind) -> Result<Numbers, &'static str> {
    let read = |name: &str| match row.get(name).map_or(Cell::Nothing, wire::number) {
        Cell::Nothing => Ok(None),
        Cell::Number(number) => measure(number).map(Some).ok_or("the number does not fit in NUMERIC(18,6)"),
        Cell::Other => Err("the value is no number"),
    };
    let told = read(metric.as_str())?;
    if kind == MetricKind::Ratio
        && let Some((over, under)) = catalogue::parts(metric)
        && let (Some(over), Some(under)) = (read(over)?, read(under)?)
    {
        let value = over.0.checked_div(under.0).and_then(measure);
        return Ok((value, Some(over), Some(under)));
    }
    Ok((told, None, None))
}

/// What columns are missing or new in an answer.
pub(super) fn drift(report: &Report, columns: &[ColumnFacts]) -> Vec<Drift> {
    let place = format!("getData/{}", report.name);
    let asked = || report.properties.iter().chain(&report.metrics);
    let missing = asked().filter(|name| !columns.iter().any(|facts| facts.name == name.as_str()));
    let missing = missing.map(|name| (name.as_str().to_owned(), Change::Missing));
    let new = columns.iter().filter(|facts| !asked().any(|name| name.as_str() == facts.name));
    // A name of the vendor's may be anything: it is kept if it reads as one.
    let new =
        new.filter(|facts| Name::new(&facts.name).is_ok()).map(|facts| (facts.name.clone(), Change::New));
    missing.chain(new).map(|(field, change)| Drift { place: place.clone(), field, change }).collect()
}
