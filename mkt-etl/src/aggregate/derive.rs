//! Daily metrics for sources that tell visits and no daily numbers: a file of sessions.

use crate::ledger::SliceRow;
use crate::source::{SiteFacts, Window};
use chrono::{DateTime, Days, NaiveDate, Utc};
use mkt_connect::{Currency, Error, ErrorKind, Result};
use mkt_warehouse::model::{DailyMetric, EventType, Measure, MetricKind, SliceState};
use mkt_warehouse::{
    Batch, ColumnType, LOAD_ID, Query, Record, SliceKey, Table, TableError, Value, Warehouse,
};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The stream of derived metrics in slices.
pub const DERIVED: &str = "derived_daily";

/// From what metrics are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The source's sessions.
    pub sessions: bool,
    /// The source's events.
    pub events: bool,
}

/// Sums of one day.
#[derive(Debug, Clone, Default, PartialEq)]
struct Day {
    visits: i64,
    actions: i64,
    bounces: i64,
    /// None where no session says how long it was.
    seconds: Option<i64>,
    converted: i64,
    visitors: i64,
    conversions: i64,
    /// By currency.
    revenue: BTreeMap<Option<String>, Decimal>,
}

/// Counts the days of a window from the sessions and events that the warehouse holds of a source and site, and stores
/// them as `daily_metrics` of the same source, one slice of the stream [`DERIVED`] for each day; days that are stored
/// already as counted are not written. Gives the number of rows that the window's days have now, and whether anything
/// was written.
///
/// Only days that the ledger knows of (`slices`, the ledger of the source's sessions and events) have metrics: a day
/// without a visit has zeros, a day that was not read has nothing. Robots' sessions do not count. The state of a day is
/// the worst of its slices.
///
/// | metric | is |
/// |---|---|
/// | `visits`, `converted_visits`, `bounces` | sessions; those with a conversion; those of one page at most |
/// | `actions`, `seconds_on_site` | pages viewed; seconds, where sessions tell them |
/// | `unique_visitors` | different `user_id`s (distinct) |
/// | `bounce_rate`, `conversion_rate`, `actions_per_visit`, `time_per_visit` | ratios with their parts |
/// | `conversions`, `revenue` | with events: events of the site's conversion set; their revenue. Several currencies of a day have a metric each: `revenue_eur`, `revenue_usd` |
///
/// Days of which the source told daily metrics itself are left to it. The pipeline calls this for sources without a
/// stream of daily metrics.
///
/// # Errors
/// Of the warehouse.
pub async fn derive_daily(
    warehouse: &dyn Warehouse,
    source: &str,
    site: &SiteFacts,
    basis: Basis,
    window: Window,
    slices: &[SliceRow],
    at: DateTime<Utc>,
) -> Result<(u64, bool)> {
    // A visit over midnight is read with one day and belongs to the day before.
    let from = window.from.pred_opt().unwrap_or(window.from);
    let until = window.until.checked_add_days(Days::new(1)).unwrap_or(window.until);
    let states = covered(slices, Window { from, until });
    let mut days: BTreeMap<NaiveDate, Day> = states.keys().map(|day| (*day, Day::default())).collect();
    if days.is_empty() || !basis.sessions {
        return Ok((0, false));
    }
    let scope = Scope { source, site: &site.site, from, until };
    count_sessions(warehouse, &scope, &mut days).await?;
    if basis.events {
        let set: Vec<&str> = site.conversion_set.iter().map(EventType::as_str).collect();
        count_events(warehouse, &scope, &set, &mut days).await?;
    }
    let mut stored: BTreeMap<NaiveDate, Vec<(DailyMetric, i64)>> = BTreeMap::new();
    for row in scope.stored(warehouse).await? {
        stored.entry(row.0.day).or_default().push(row);
    }
    let (mut rows, mut written) = (0, false);
    let mut series = None;
    for (day, sums) in days {
        let state = states.get(&day).copied().unwrap_or(SliceState::Provisional);
        let key = SliceKey::day(source, DERIVED, &site.site, day);
        let held = stored.remove(&day).unwrap_or_default();
        // What the source told itself stands; what was counted before it did goes.
        let told = held.iter().any(|(_, load_id)| *load_id != key.load_id());
        let metrics = if told { Vec::new() } else { metrics(&sums, basis.events, source, site, day, state) };
        rows += if window.contains(day) { metrics.len() as u64 } else { 0 };
        let counted = held.into_iter().filter(|(_, load_id)| *load_id == key.load_id()).map(|(row, _)| row);
        if same(&counted.collect::<Vec<_>>(), &metrics) {
            continue;
        }
        let series = match &mut series {
            Some(series) => series,
            none => none.insert(warehouse.begin(at).await?),
        };
        series.load(&Batch::new(key).state(state).replace(metrics)).await?;
        written = true;
    }
    if let Some(series) = series {
        series.commit().await?;
    }
    Ok((rows, written))
}

/// The days that were read, with the worst state of their slices.
fn covered(slices: &[SliceRow], window: Window) -> BTreeMap<NaiveDate, SliceState> {
    let mut days = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.fingerprint.is_some()) {
        let read =
            Window { from: slice.window_from.max(window.from), until: slice.window_until.min(window.until) };
        for day in read.iter() {
            let state = days.entry(day).or_insert(slice.state);
            if super::doubt(slice.state) > super::doubt(*state) {
                *state = slice.state;
            }
        }
    }
    days
}

/// Whether two sets of rows of a day say the same, in any order.
fn same(held: &[DailyMetric], counted: &[DailyMetric]) -> bool {
    held.len() == counted.len() && counted.iter().all(|row| held.contains(row))
}

struct Scope<'a> {
    source: &'a str,
    site: &'a str,
    from: NaiveDate,
    until: NaiveDate,
}

impl Scope<'_> {
    /// A query whose first four parameters are the scope.
    fn query(&self, sql: impl Into<String>) -> Query {
        Query::new(sql)
            .bind(Value::Text(self.source.to_owned()))
            .bind(Value::Text(self.site.to_owned()))
            .bind(Value::Date(self.from))
            .bind(Value::Date(self.until))
    }

    /// What is stored, with the slices that hold it.
    async fn stored(&self, warehouse: &dyn Warehouse) -> Result<Vec<(DailyMetric, i64)>> {
        let schema = DailyMetric::SCHEMA;
        let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let mut query = self.query(format!(
            "select {}, load_id from daily_metrics where source = :1 and site = :2 and day >= :3 and day < :4",
            names.join(", ")
        ));
        for column in schema.columns {
            query = query.column(column.name, column.ty);
        }
        let table = warehouse.query(&query.column(LOAD_ID, ColumnType::Int)).await?;
        (0..table.rows())
            .map(|row| Ok((DailyMetric::read(&table, row)?, table.read(row, LOAD_ID)?)))
            .collect::<std::result::Result<_, TableError>>()
            .map_err(|cause| {
                Error::new(ErrorKind::Storage, "etl", "count daily metrics")
                    .with_detail("a row does not read")
                    .with_source(cause)
            })
    }
}

async fn count_sessions(
    warehouse: &dyn Warehouse,
    scope: &Scope<'_>,
    days: &mut BTreeMap<NaiveDate, Day>,
) -> Result<()> {
    let query = scope
        .query(
            "select day, count(*), cast(sum(pages_viewed) as bigint), \
             sum(case when pages_viewed <= 1 then 1 else 0 end), cast(sum(time_on_site) as bigint), \
             sum(case when converted then 1 else 0 end), count(distinct user_id) \
             from sessions where source = :1 and site = :2 and day >= :3 and day < :4 and bot is null group by day",
        )
        .column("day", ColumnType::Date)
        .column("visits", ColumnType::Int)
        .column("actions", ColumnType::Int)
        .column("bounces", ColumnType::Int)
        .column("seconds", ColumnType::Int)
        .column("converted", ColumnType::Int)
        .column("visitors", ColumnType::Int);
    let table = warehouse.query(&query).await?;
    for row in 0..table.rows() {
        let Some(day) = date(&table, row).and_then(|day| days.get_mut(&day)) else { continue };
        day.visits = int(&table, row, "visits").unwrap_or(0);
        day.actions = int(&table, row, "actions").unwrap_or(0);
        day.bounces = int(&table, row, "bounces").unwrap_or(0);
        day.seconds = int(&table, row, "seconds");
        day.converted = int(&table, row, "converted").unwrap_or(0);
        day.visitors = int(&table, row, "visitors").unwrap_or(0);
    }
    Ok(())
}

async fn count_events(
    warehouse: &dyn Warehouse,
    scope: &Scope<'_>,
    conversion_set: &[&str],
    days: &mut BTreeMap<NaiveDate, Day>,
) -> Result<()> {
    if conversion_set.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (0..conversion_set.len()).map(|n| format!(":{}", n + 5)).collect();
    let query = scope.query(format!(
        "select day, currency, count(*), sum(revenue) from events \
         where source = :1 and site = :2 and day >= :3 and day < :4 and event_type in ({}) group by day, currency",
        places.join(", ")
    ));
    let query = conversion_set
        .iter()
        .fold(query, |query, kind| query.bind(Value::Text((*kind).to_owned())))
        .column("day", ColumnType::Date)
        .column("currency", ColumnType::Text)
        .column("conversions", ColumnType::Int)
        .column("revenue", ColumnType::Decimal { scale: 2 });
    let table = warehouse.query(&query).await?;
    for row in 0..table.rows() {
        let Some(day) = date(&table, row).and_then(|day| days.get_mut(&day)) else { continue };
        day.conversions += int(&table, row, "conversions").unwrap_or(0);
        let currency: Option<String> = table.read(row, "currency").ok();
        // A goal without an amount is no revenue in an unknown currency.
        if let Value::Decimal(revenue) = table.value(row, "revenue")
            && !revenue.is_zero()
        {
            *day.revenue.entry(currency).or_default() += revenue;
        }
    }
    Ok(())
}

fn date(table: &Table, row: usize) -> Option<NaiveDate> {
    table.read(row, "day").ok()
}

fn int(table: &Table, row: usize, column: &str) -> Option<i64> {
    table.read(row, column).ok()
}

/// The rows of a day. Pure.
fn metrics(
    day: &Day,
    events: bool,
    source: &str,
    site: &SiteFacts,
    on: NaiveDate,
    state: SliceState,
) -> Vec<DailyMetric> {
    let row = |metric: &str, kind, value: Option<Decimal>, parts: Option<(Decimal, Decimal)>, currency| {
        DailyMetric {
            metric: metric.to_owned(),
            kind,
            value: value.map(|value| Measure(value.round_dp(6))),
            numerator: parts.map(|(numerator, _)| Measure(numerator)),
            denominator: parts.map(|(_, denominator)| Measure(denominator)),
            currency,
            state,
            source: source.to_owned(),
            site: site.site.clone(),
            day: on,
        }
    };
    let additive = |name, value: i64| row(name, MetricKind::Additive, Some(value.into()), None, None);
    let ratio = |name, numerator: i64, denominator: i64| {
        let parts = (Decimal::from(numerator), Decimal::from(denominator));
        row(name, MetricKind::Ratio, parts.0.checked_div(parts.1), Some(parts), None)
    };
    let mut rows = vec![
        additive("visits", day.visits),
        additive("actions", day.actions),
        additive("bounces", day.bounces),
        additive("converted_visits", day.converted),
        row("unique_visitors", MetricKind::Distinct, Some(day.visitors.into()), None, None),
        ratio("bounce_rate", day.bounces, day.visits),
        ratio("conversion_rate", day.converted, day.visits),
        ratio("actions_per_visit", day.actions, day.visits),
    ];
    if let Some(seconds) = day.seconds {
        rows.push(additive("seconds_on_site", seconds));
        rows.push(ratio("time_per_visit", seconds, day.visits));
    }
    if events {
        rows.push(additive("conversions", day.conversions));
        let zero = BTreeMap::from([(site.currency.map(|code| code.to_string()), Decimal::ZERO)]);
        let revenue = if day.revenue.is_empty() { &zero } else { &day.revenue };
        for (code, amount) in revenue {
            let currency: Option<Currency> = code.as_ref().and_then(|code| code.parse().ok());
            let name = match code {
                Some(code) if revenue.len() > 1 => format!("revenue_{}", code.to_lowercase()),
                _ => "revenue".to_owned(),
            };
            rows.push(row(&name, MetricKind::Additive, Some(*amount), None, currency));
        }
    }
    rows
}
