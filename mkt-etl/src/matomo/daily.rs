//! VisitsSummary.get and Goals.get of one day, as daily metrics that know how they add up. Pure.

use super::error::SERVICE;
use super::wire::{Goals, Summary};
use crate::source::SiteFacts;
use chrono::NaiveDate;
use mkt_connect::Currency;
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, SliceState};
use rust_decimal::Decimal;

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
