//! Numbers of a warehouse by day, week, month or period.

use super::{AggregateError, Part, Total, total};
use crate::ledger::read_rows;
use crate::source::Window;
use chrono::{Datelike, Days, Months, NaiveDate};
use mkt_connect::{Currency, Result};
use mkt_warehouse::model::{DailyMetric, DimensionMetric};
use mkt_warehouse::{Query, Record, Value, Warehouse};
use std::collections::BTreeMap;

/// How a window is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Each day.
    Day,
    /// Weeks from Monday on (ISO 8601).
    Week,
    /// Calendar months.
    Month,
    /// The whole window.
    #[default]
    Period,
}

/// Cuts a window; the first and last period end where the window does. Pure.
#[must_use]
pub fn periods(window: Window, by: By) -> Vec<Window> {
    let mut found = Vec::new();
    let mut from = window.from;
    while from < window.until {
        let next = match by {
            By::Day => from.succ_opt(),
            By::Week => {
                from.checked_add_days(Days::new(7 - u64::from(from.weekday().num_days_from_monday())))
            }
            By::Month => from.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
            By::Period => Some(window.until),
        };
        let until = next.map_or(window.until, |next| next.min(window.until));
        found.push(Window { from, until });
        from = until;
    }
    found
}

/// Which numbers are asked for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The site.
    pub site: &'a str,
    /// The source; its system of record unless named, so that nothing is counted twice.
    pub source: Option<&'a str>,
    /// The days, in the site's zone.
    pub window: Window,
    /// How they are cut.
    pub by: By,
    /// Only these metrics; all of them when empty.
    pub metrics: &'a [&'a str],
}

/// A metric of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodTotal {
    /// The period, cut at the ends of the window.
    pub period: Window,
    /// The source that told the numbers.
    pub source: String,
    /// The report, for numbers by dimension.
    pub report: Option<String>,
    /// The dimensions, for numbers by dimension, as JSON.
    pub dimensions: Option<serde_json::Value>,
    /// The metric.
    pub metric: String,
    /// The currency, of an amount: each has a total of its own.
    pub currency: Option<Currency>,
    /// What its numbers add up to, or why they do not.
    pub total: std::result::Result<Total, AggregateError>,
    /// Days of the period without any number of the metric.
    pub missing_days: u64,
}

/// Numbers of `daily_metrics`.
///
/// A metric that does not add up over a period is answered with the reason; the others with their totals.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn daily_totals(warehouse: &dyn Warehouse, question: &Question<'_>) -> Result<Vec<PeriodTotal>> {
    let rows: Vec<DailyMetric> = read(warehouse, question, &[]).await?;
    let numbers = rows.iter().map(|row| Number {
        source: &row.source,
        report: None,
        key: 0,
        dimensions: None,
        part: Part::from(row),
    });
    Ok(totals(question, numbers))
}

/// Numbers of `dimension_metrics` of one report, for each combination of dimensions.
///
/// They are added over days, never over dimensions: a visitor of two channels would count twice, a visit of two pages
/// too.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn dimension_totals(
    warehouse: &dyn Warehouse,
    report: &str,
    question: &Question<'_>,
) -> Result<Vec<PeriodTotal>> {
    let rows: Vec<DimensionMetric> = read(warehouse, question, &[("report", report)]).await?;
    let numbers = rows.iter().map(|row| Number {
        source: &row.source,
        report: Some(&row.report),
        key: row.dimension_key,
        dimensions: Some(&row.dimensions.0),
        part: Part::from(row),
    });
    Ok(totals(question, numbers))
}

/// A stored number and where it belongs.
struct Number<'a> {
    source: &'a str,
    report: Option<&'a str>,
    key: i64,
    dimensions: Option<&'a serde_json::Value>,
    part: Part<'a>,
}

/// Pure: groups by period and by everything that must not be mixed.
fn totals<'a>(question: &Question<'_>, numbers: impl Iterator<Item = Number<'a>>) -> Vec<PeriodTotal> {
    type Group<'a> = (NaiveDate, &'a str, Option<&'a str>, i64, &'a str, Option<String>);
    let cut = periods(question.window, question.by);
    let mut groups: BTreeMap<Group<'a>, (Window, Number<'a>, Vec<Part<'a>>)> = BTreeMap::new();
    for number in numbers {
        let part = number.part;
        if !question.metrics.is_empty() && !question.metrics.contains(&part.metric) {
            continue;
        }
        let at = cut.partition_point(|period| period.until <= part.day);
        let Some(period) = cut.get(at).filter(|period| period.contains(part.day)) else { continue };
        let currency = part.currency.map(|it| it.to_string());
        let group = (period.from, number.source, number.report, number.key, part.metric, currency);
        groups.entry(group).or_insert_with(|| (*period, number, Vec::new())).2.push(part);
    }
    groups
        .into_values()
        .filter_map(|(period, number, parts)| {
            let days: std::collections::BTreeSet<NaiveDate> = parts.iter().map(|part| part.day).collect();
            let total = total(&parts).transpose()?;
            Some(PeriodTotal {
                period,
                source: number.source.to_owned(),
                report: number.report.map(str::to_owned),
                dimensions: number.dimensions.cloned(),
                metric: number.part.metric.to_owned(),
                currency: number.part.currency,
                total,
                missing_days: (period.until - period.from).num_days().unsigned_abs() - days.len() as u64,
            })
        })
        .collect()
}

/// Rows of a table of daily numbers, of a window and a source.
async fn read<R: Record>(
    warehouse: &dyn Warehouse,
    question: &Question<'_>,
    equal: &[(&str, &str)],
) -> Result<Vec<R>> {
    let schema = R::SCHEMA;
    let names: Vec<String> = schema.columns.iter().map(|column| format!("m.\"{}\"", column.name)).collect();
    let mut sql = format!(
        "select {} from \"{}\" m left join sites s on s.site = m.site \
         where m.site = :1 and m.day >= :2 and m.day < :3",
        names.join(", "),
        schema.name
    );
    let mut values = vec![
        Value::Text(question.site.to_owned()),
        Value::Date(question.window.from),
        Value::Date(question.window.until),
    ];
    match question.source {
        Some(source) => {
            values.push(Value::Text(source.to_owned()));
            sql.push_str(&format!(" and m.source = :{}", values.len()));
        }
        None => sql.push_str(" and m.source = coalesce(s.record_source, m.source)"),
    }
    for (column, value) in equal {
        values.push(Value::Text((*value).to_owned()));
        sql.push_str(&format!(" and m.\"{column}\" = :{}", values.len()));
    }
    sql.push_str(" order by m.day");
    let mut query = values.into_iter().fold(Query::new(sql), Query::bind);
    for column in schema.columns {
        query = query.column(column.name, column.ty);
    }
    read_rows(warehouse, &query).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, until: &str) -> Window {
        Window { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn shown(by: By, from: &str, until: &str) -> Vec<String> {
        let text =
            |period: &Window| format!("{}..{}", period.from.format("%m-%d"), period.until.format("%m-%d"));
        periods(window(from, until), by).iter().map(text).collect()
    }

    #[test]
    fn weeks_begin_on_monday_and_periods_end_with_the_window() {
        // 27 March 2026 is a Friday.
        assert_eq!(
            shown(By::Week, "2026-03-27", "2026-04-07"),
            ["03-27..03-30", "03-30..04-06", "04-06..04-07"]
        );
        assert_eq!(
            shown(By::Month, "2026-01-31", "2026-03-02"),
            ["01-31..02-01", "02-01..03-01", "03-01..03-02"]
        );
        assert_eq!(shown(By::Day, "2026-12-31", "2027-01-02"), ["12-31..01-01", "01-01..01-02"]);
        assert_eq!(shown(By::Period, "2026-03-27", "2026-04-07"), ["03-27..04-07"]);
        assert!(shown(By::Week, "2026-03-27", "2026-03-27").is_empty());
    }

    #[test]
    fn periods_cover_every_day_once() {
        for by in [By::Day, By::Week, By::Month, By::Period] {
            let whole = window("2023-11-15", "2026-03-02");
            let days: Vec<NaiveDate> = periods(whole, by).iter().flat_map(Window::iter).collect();
            assert_eq!(days, whole.iter().collect::<Vec<_>>(), "{by:?}");
        }
    }
}
