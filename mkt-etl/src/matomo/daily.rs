//! VisitsSummary.get and Goals.get of one day, as daily metrics that know how they add up. Pure.

use super::error::SERVICE;
use super::wire::{Goals, Summary};
use crate::source::SiteFacts;
use chrono::NaiveDate;
use mkt_connect::Currency;
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, SliceState};
use rust_decimal::Decimal;

/// Conversions of a day and what they brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Conversions {
    pub(super) count: Decimal,
    pub(super) revenue: Decimal,
}

impl From<Goals> for Conversions {
    fn from(goals: Goals) -> Self {
        Self { count: goals.nb_conversions.unwrap_or_default(), revenue: goals.revenue.unwrap_or_default() }
    }
}

/// The metrics of a day. Ratios come from their parts: the vendor's own are rounded to two digits.
pub(super) fn metrics(
    summary: &Summary,
    conversions: Conversions,
    day: NaiveDate,
    site: &SiteFacts,
) -> Vec<DailyMetric> {
    let whole = |value: Option<Decimal>| value.unwrap_or_default();
    let visits = whole(summary.nb_visits);
    let actions = whole(summary.nb_actions);
    let converted = whole(summary.nb_visits_converted);
    let bounces = whole(summary.bounce_count);
    let seconds = whole(summary.sum_visit_length);
    let metric =
        |name: &str, kind, value: Option<Decimal>, parts: Option<(Decimal, Decimal)>, currency| DailyMetric {
            metric: name.to_owned(),
            kind,
            value: value.map(measure),
            numerator: parts.map(|(numerator, _)| measure(numerator)),
            denominator: parts.map(|(_, denominator)| measure(denominator)),
            currency,
            state: SliceState::Planned,
            source: SERVICE.to_owned(),
            site: site.site.clone(),
            day,
        };
    let none: Option<Currency> = None;
    let additive = |name, value| metric(name, MetricKind::Additive, Some(value), None, none);
    let distinct =
        |name, value: Option<Decimal>| metric(name, MetricKind::Distinct, Some(whole(value)), None, none);
    let ratio = |name, numerator: Decimal, denominator: Decimal| {
        metric(
            name,
            MetricKind::Ratio,
            numerator.checked_div(denominator),
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
        metric("revenue", MetricKind::Additive, Some(conversions.revenue), None, site.currency),
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
        let rows = metrics(&summary, Conversions::default(), day(), &site());
        assert_eq!(rows.len(), METRICS);
        let bounce = rows.iter().find(|row| row.metric == "bounce_rate").unwrap();
        assert_eq!(bounce.kind, MetricKind::Ratio);
        assert_eq!(bounce.value, Some(Measure(Decimal::new(294_118, 6))));
        assert_eq!((bounce.numerator, bounce.denominator), (Some(5.into()), Some(17.into())));
    }

    #[test]
    fn an_empty_day_has_no_ratios() {
        let rows = metrics(&Summary::default(), Conversions::default(), day(), &site());
        for row in rows {
            assert_eq!(row.value.is_none(), row.kind == MetricKind::Ratio, "{}", row.metric);
        }
    }
}
