//! How a metric adds up. Nothing is guessed to be additive. Pure.
//!
//! | metric | in a report without properties, or by visits' properties | by other properties |
//! |---|---|---|
//! | `m_page_loads`, `m_events`: counts of events | additive | additive |
//! | `m_visits`, `m_bounces`: counts of visits | additive | **distinct**: a visit sees several pages, and is in several rows |
//! | `m_unique_visitors`, `m_visitors`, `m_vu`, `m_users` | distinct | distinct |
//! | `…_rate`, `…_per_…` | ratio | ratio |
//! | any other, where version 2 says `Summable` and its type is a whole number | additive | additive |
//! | any other | distinct | distinct |
//!
//! A visit has one value of a property that begins with `visit_`, and of the date. Version 2's `Summable` is not believed
//! by itself: the vendor's own page shows a bounce rate with `Summable="True"`. Whoever knows better says so for the
//! report ([`Report::kind`](super::Report::kind)).

use super::query::Name;
use super::wire::ColumnFacts;
use mkt_warehouse::model::MetricKind;

const EVENTS: &[&str] = &["m_page_loads", "m_events"];
const VISITS: &[&str] = &["m_visits", "m_bounces"];
const DISTINCT: &[&str] = &["m_unique_visitors", "m_visitors", "m_vu", "m_users"];

/// Ratios whose parts are known: the ratio, its numerator, its denominator.
const PARTS: &[(&str, &str, &str)] =
    &[("m_bounce_rate", "m_bounces", "m_visits"), ("m_page_loads_per_visits", "m_page_loads", "m_visits")];

/// Properties of the hour, in both versions.
pub(super) const HOURS: &[&str] = &["visit_hour", "event_hour", "d_time_hour_visit", "d_time_hour_event"];

/// How a metric adds up over the days and rows of a report with these properties.
pub(super) fn kind(metric: &Name, properties: &[Name], facts: Option<&ColumnFacts>) -> MetricKind {
    let name = metric.as_str();
    if EVENTS.contains(&name) {
        MetricKind::Additive
    } else if VISITS.contains(&name) {
        match properties.iter().all(is_of_visits) {
            true => MetricKind::Additive,
            false => MetricKind::Distinct,
        }
    } else if DISTINCT.contains(&name) {
        MetricKind::Distinct
    } else if is_ratio(name) || facts.is_some_and(|facts| facts.customer_type.as_deref() == Some("Percent")) {
        MetricKind::Ratio
    } else if facts.is_some_and(|facts| facts.summable == Some(true) && facts.is_whole_number()) {
        MetricKind::Additive
    } else {
        MetricKind::Distinct
    }
}

fn is_ratio(name: &str) -> bool {
    name.ends_with("_rate") || name.contains("_per_")
}

/// Whether all of a visit lies in one row by this property.
fn is_of_visits(property: &Name) -> bool {
    let name = property.as_str();
    name.starts_with("visit_") || name == "date" || ["d_time_date", "d_time_hour_visit"].contains(&name)
}

/// Whether the rows of the hours of visits add up to the rows of the day: so for counts of visits and of events.
pub(super) fn adds_up_over_hours(metric: &Name) -> bool {
    EVENTS.contains(&metric.as_str()) || VISITS.contains(&metric.as_str())
}

/// Numerator and denominator of a ratio, where they are known.
pub(super) fn parts(metric: &Name) -> Option<(&'static str, &'static str)> {
    PARTS.iter().find(|(name, ..)| *name == metric.as_str()).map(|(_, over, under)| (*over, *under))
}

/// The name in the warehouse: that of the vendor without `m_`.
pub(super) fn stored_name(metric: &Name) -> String {
    metric.as_str().strip_prefix("m_").unwrap_or(metric.as_str()).replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn visits_do_not_add_up_over_pages_and_uniques_over_nothing() {
        use MetricKind::{Additive, Distinct, Ratio};
        let (none, device, page) =
            (vec![], vec![name("visit_device_type"), name("date")], vec![name("visit_hour"), name("page")]);
        for (metric, alone, by_device, by_page) in [
            ("m_visits", Additive, Additive, Distinct),
            ("m_page_loads", Additive, Additive, Additive),
            ("m_unique_visitors", Distinct, Distinct, Distinct),
            ("m_bounce_rate", Ratio, Ratio, Ratio),
            ("m_anything_else", Distinct, Distinct, Distinct),
        ] {
            let seen = [&none, &device, &page].map(|properties| kind(&name(metric), properties, None));
            assert_eq!(seen, [alone, by_device, by_page], "{metric}");
        }
    }

    #[test]
    fn the_vendors_summable_counts_for_whole_numbers_only() {
        let facts = |kind: &str, customer: &str| ColumnFacts {
            name: "m_x".to_owned(),
            kind: Some(kind.to_owned()),
            customer_type: Some(customer.to_owned()),
            summable: Some(true),
        };
        // The vendor's own example: Type="Decimal" CustomerType="Percent" Summable="True".
        assert_eq!(kind(&name("m_x"), &[], Some(&facts("Decimal", "Percent"))), MetricKind::Ratio);
        assert_eq!(kind(&name("m_x"), &[], Some(&facts("Decimal", "Numeric"))), MetricKind::Distinct);
        assert_eq!(kind(&name("m_x"), &[], Some(&facts("Integer", "Integer"))), MetricKind::Additive);
        assert_eq!(kind(&name("m_vu"), &[], Some(&facts("Integer", "Integer"))), MetricKind::Distinct);
    }
}
