//! VisitsSummary.get and Goals.get of one day, as daily metrics that know how they add up.

use super::Inner;
use super::answer::{Answer, Row};
use super::drift;
use super::error::SERVICE;
use super::reports::{Target, goals};
use super::wire::{Goals, Summary};
use crate::source::{Page, SiteFacts};
use chrono::NaiveDate;
use mkt_connect::{Currency, ErrorKind, Result};
use mkt_warehouse::model::{DailyMetric, DimensionMetric, Json, Measure, MetricKind, SliceState};
use rust_decimal::Decimal;
use serde_json::Value;

const SUMMARY: &str = "VisitsSummary.get";
const GOALS: &str = "Goals.get";

/// What VisitsSummary.get is known to have beside what is read.
const KNOWN: &[&str] = &[
    "avg_time_on_site",
    "bounce_count",
    "bounce_rate",
    "max_actions",
    "nb_actions",
    "nb_actions_per_visit",
    "nb_uniq_visitors",
    "nb_users",
    "nb_visits",
    "nb_visits_converted",
    "sum_daily_nb_uniq_visitors",
    "sum_daily_nb_users",
    "sum_visit_length",
];

impl Inner {
    /// The record of a report for one day; `None` for a day without anything.
    async fn record(
        &self,
        operation: &'static str,
        method: &str,
        target: &Target<'_>,
    ) -> Result<Option<Row>> {
        match target.part(operation, self.ask(operation, &target.ask(method)).await?)? {
            Answer::Row(row) => Ok(Some(row)),
            Answer::Table(rows) if rows.is_empty() => Ok(None),
            _ => Err(Self::protocol(operation, "the day's answer is no record")),
        }
    }

    /// VisitsSummary.get of a day.
    pub(super) async fn summary(&self, target: &Target<'_>) -> Result<Summary> {
        self.summary_into(target, &mut Page::default()).await
    }

    async fn summary_into(&self, target: &Target<'_>, page: &mut Page) -> Result<Summary> {
        const OPERATION: &str = "read the summary of a day";
        let record = match self.shared.take_summary(target) {
            Some(record) => record,
            None => self.record(OPERATION, SUMMARY, target).await?,
        };
        Self::read_summary(OPERATION, record, page)
    }

    /// VisitsSummary.get of a day, asked now and kept for the daily numbers of the same day.
    pub(super) async fn shared_summary(&self, target: &Target<'_>) -> Result<Summary> {
        const OPERATION: &str = "read the summary of a day";
        let record = self.record(OPERATION, SUMMARY, target).await?;
        let summary = Self::read_summary(OPERATION, record.clone(), &mut Page::default())?;
        self.shared.put_summary(target, record);
        Ok(summary)
    }

    fn read_summary(operation: &'static str, record: Option<Row>, page: &mut Page) -> Result<Summary> {
        let Some(row) = record else { return Ok(Summary::zero()) };
        drift::of_record(SUMMARY, &row, |name| KNOWN.contains(&name), page);
        // A missing number is not a zero.
        Some(Self::object::<Summary>(operation, Value::Object(row.0))?)
            .filter(|summary| summary.nb_visits.is_some())
            .ok_or_else(|| Self::protocol(operation, "the day has no nb_visits"))
    }

    /// Conversions and revenue of a day as Goals.get has them; `None` where it has no such report.
    pub(super) async fn goals_of(&self, target: &Target<'_>) -> Result<Option<Conversions>> {
        const OPERATION: &str = "read the goals of a day";
        match self.record(OPERATION, GOALS, target).await {
            Ok(None) => Ok(Some(Conversions::NONE)),
            Ok(Some(row)) => Ok(Some(Self::object::<Goals>(OPERATION, Value::Object(row.0))?.into())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The numbers of a day. Where Goals.get is not known, conversions are counted in Live, and a note says so.
    pub(super) async fn daily_page(&self, target: &Target<'_>) -> Result<Page> {
        const OPERATION: &str = "read the goals of a day";
        let mut page = Page::default();
        let summary = self.summary_into(target, &mut page).await?;
        let conversions = match self.record(OPERATION, GOALS, target).await {
            Ok(None) => Conversions::NONE,
            Ok(Some(row)) => {
                drift::of_record(GOALS, &row, goals::is_known, &mut page);
                Some(Self::object::<Goals>(OPERATION, Value::Object(row.0))?)
                    .filter(|goals| goals.nb_conversions.is_some())
                    .ok_or_else(|| Self::protocol(OPERATION, "the day has no nb_conversions"))?
                    .into()
            }
            // Known to this instance or not: the visits know it too.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                page.notes.push(
                    "conversions and revenue are counted from the visits of Live: Goals.get has no such report"
                        .to_owned(),
                );
                let (count, revenue) = self.counts_in_live(target, true).await?.conversions();
                Conversions { count: Some(count.into()), revenue: Some(revenue) }
            }
            Err(error) => return Err(error),
        };
        let metrics = metrics(&summary, conversions, target.day, target.site);
        page.read = metrics.len() as u64;
        match target.segment {
            None => page.metrics = metrics,
            Some(segment) => {
                let report = segment.of("daily");
                page.dimensions = metrics.into_iter().map(|metric| of_segment(&report, metric)).collect();
            }
        }
        Ok(page)
    }
}

/// A daily number of some of the visits: never among those of all visits.
fn of_segment(report: &str, metric: DailyMetric) -> DimensionMetric {
    let dimensions = Json::default();
    DimensionMetric {
        report: report.to_owned(),
        dimension_key: DimensionMetric::key_of(&dimensions),
        dimensions,
        metric: metric.metric,
        kind: metric.kind,
        value: metric.value,
        numerator: metric.numerator,
        denominator: metric.denominator,
        currency: metric.currency,
        is_rest: false,
        state: metric.state,
        source: metric.source,
        site: metric.site,
        day: metric.day,
    }
}

/// Conversions of a day and what they brought, where the source tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conversions {
    pub(super) count: Option<Decimal>,
    pub(super) revenue: Option<Decimal>,
}

impl Conversions {
    /// Of a day without any.
    pub(super) const NONE: Self = Self { count: Some(Decimal::ZERO), revenue: Some(Decimal::ZERO) };
}

impl From<Goals> for Conversions {
    fn from(goals: Goals) -> Self {
        Self { count: goals.nb_conversions, revenue: goals.revenue }
    }
}

/// The metrics of a day. Ratios come from their parts: the vendor's own are rounded to two digits. A number that is
/// missing gives a metric without a value, and so does a ratio of which a part is missing.
pub(super) fn metrics(
    summary: &Summary,
    conversions: Conversions,
    day: NaiveDate,
    site: &SiteFacts,
) -> Vec<DailyMetric> {
    type Number = Option<Decimal>;
    let visits = summary.nb_visits;
    let actions = summary.nb_actions;
    let converted = summary.nb_visits_converted;
    let bounces = summary.bounce_count;
    let seconds = summary.sum_visit_length;
    let metric = |name: &str, kind, value: Number, parts: Option<(Number, Number)>, currency| DailyMetric {
        metric: name.to_owned(),
        kind,
        value: value.map(measure),
        numerator: parts.and_then(|(numerator, _)| numerator).map(measure),
        denominator: parts.and_then(|(_, denominator)| denominator).map(measure),
        currency,
        state: SliceState::Planned,
        source: SERVICE.to_owned(),
        site: site.site.clone(),
        day,
    };
    let none: Option<Currency> = None;
    let additive = |name, value| metric(name, MetricKind::Additive, value, None, none);
    let distinct = |name, value| metric(name, MetricKind::Distinct, value, None, none);
    let ratio = |name, numerator: Number, denominator: Number| {
        metric(
            name,
            MetricKind::Ratio,
            numerator
                .zip(denominator)
                .and_then(|(numerator, denominator)| numerator.checked_div(denominator)),
            Some((numerator, denominator)),
            none,
        )
    };
    vec![
        additive("visits", visits),
        additive("actions", actions),
        additive("bounces", bounces),
        additive("seconds_on_site", seconds),
        additive("converted_visits", converted),
        additive("conversions", conversions.count),
        metric("revenue", MetricKind::Additive, conversions.revenue, None, site.currency),
        distinct("unique_visitors", summary.nb_uniq_visitors),
        distinct("known_users", summary.nb_users),
        ratio("bounce_rate", bounces, visits),
        ratio("conversion_rate", converted, visits),
        ratio("actions_per_visit", actions, visits),
        ratio("time_per_visit", seconds, visits),
    ]
}

/// To the six digits that the column holds.
fn measure(value: Decimal) -> Measure {
    Measure(value.round_dp(6))
}

/// How many metrics a day has.
#[cfg(test)]
pub(super) const METRICS: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> SiteFacts {
        SiteFacts {
            site: "1".to_owned(),
            native_id: "1".to_owned(),
            zone: chrono_tz::Europe::Paris,
            offset: None,
            currency: Some(Currency::EUR),
            conversion_set: Vec::new(),
        }
    }

    fn day() -> NaiveDate {
        "2026-03-28".parse().unwrap()
    }

    #[test]
    fn ratios_are_computed_from_their_parts() {
        // VisitsSummary.get of 2026-03-28: 5 bounces in 17 visits. Matomo says 0.29; 5/17 is 0.294118.
        let summary: Summary =
            serde_json::from_str(r#"{"nb_visits":17,"bounce_count":"5","bounce_rate":0.29}"#).unwrap();
        let rows = metrics(&summary, Conversions::NONE, day(), &site());
        assert_eq!(rows.len(), METRICS);
        let bounce = rows.iter().find(|row| row.metric == "bounce_rate").unwrap();
        assert_eq!(bounce.kind, MetricKind::Ratio);
        assert_eq!(bounce.value, Some(Measure(Decimal::new(294_118, 6))));
        assert_eq!((bounce.numerator, bounce.denominator), (Some(5.into()), Some(17.into())));
    }

    #[test]
    fn a_missing_number_is_no_zero() {
        let summary: Summary = serde_json::from_str(r#"{"nb_visits":17,"nb_actions":34}"#).unwrap();
        let conversions = Conversions { count: Some(1.into()), revenue: None };
        let rows = metrics(&summary, conversions, day(), &site());
        let told: Vec<&str> =
            rows.iter().filter(|row| row.value.is_some()).map(|row| row.metric.as_str()).collect();
        assert_eq!(told, ["visits", "actions", "conversions", "actions_per_visit"]);
        let bounce = rows.iter().find(|row| row.metric == "bounce_rate").unwrap();
        assert_eq!((bounce.numerator, bounce.denominator), (None, Some(17.into())));
    }

    #[test]
    fn an_empty_day_has_no_ratios() {
        let rows = metrics(&Summary::zero(), Conversions::NONE, day(), &site());
        for row in rows {
            assert_eq!(row.value.is_none(), row.kind == MetricKind::Ratio, "{}", row.metric);
        }
    }
}
