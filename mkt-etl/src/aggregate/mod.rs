//! What numbers of several days add up to: the algebra of metrics.
//!
//! | kind | over several numbers |
//! |---|---|
//! | additive (visits, revenue) | the sum; of an amount, within one currency |
//! | ratio (bounce rate) | the sum of the numerators by the sum of the denominators; never a sum or mean of ratios |
//! | distinct (unique visitors) | refused: who came on two days would count twice |
//!
//! A real Matomo's recorded month has 63 visits, the sum of its days, and 48 unique visitors, where its days have 61
//! together. Only the source can count those of a month: ask it for the period.
//!
//! [`total`] is pure; [`daily_totals`] and [`dimension_totals`] ask a warehouse and answer by day, week, month or period.

mod derive;
mod periods;

pub use derive::{Basis, DERIVED, derive_daily};
pub use periods::{By, PeriodTotal, Question, daily_totals, dimension_totals, periods};

use chrono::NaiveDate;
use mkt_connect::Currency;
use mkt_warehouse::model::{DailyMetric, DimensionMetric, MetricKind, SliceState};
use rust_decimal::Decimal;
use serde::Serialize;

/// One number of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// The day.
    pub day: NaiveDate,
    /// How it adds up.
    pub kind: MetricKind,
    /// The number; none where it is not known, or a ratio's denominator is empty.
    pub value: Option<Decimal>,
    /// Of a ratio.
    pub numerator: Option<Decimal>,
    /// Of a ratio.
    pub denominator: Option<Decimal>,
    /// Of an amount.
    pub currency: Option<Currency>,
    /// Completeness of the day.
    pub state: SliceState,
}

macro_rules! part {
    ($row:ident) => {
        impl<'a> From<&'a $row> for Part<'a> {
            fn from(row: &'a $row) -> Self {
                Self {
                    metric: &row.metric,
                    day: row.day,
                    kind: row.kind,
                    value: row.value.map(|value| value.0),
                    numerator: row.numerator.map(|value| value.0),
                    denominator: row.denominator.map(|value| value.0),
                    currency: row.currency,
                    state: row.state,
                }
            }
        }
    };
}
part!(DailyMetric);
part!(DimensionMetric);

/// What several numbers of a metric add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// The metric's name.
    pub metric: String,
    /// How it added up.
    pub kind: MetricKind,
    /// The number, ratios to six digits; none where nothing is known, or a ratio's denominator is empty.
    pub value: Option<Decimal>,
    /// Of a ratio: the sum.
    pub numerator: Option<Decimal>,
    /// Of a ratio: the sum.
    pub denominator: Option<Decimal>,
    /// Of an amount.
    pub currency: Option<Currency>,
    /// How many numbers are in it.
    pub numbers: u64,
    /// How many were asked for and are not known: days whose zero is not believed, parts that the source left out.
    pub unknown: u64,
    /// The worst state of all of them.
    pub state: SliceState,
}

/// Numbers that do not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// Several numbers of a distinct count.
    #[error(
        "{metric} counts distinct things: its {numbers} numbers cannot be added, only the source can count the period"
    )]
    Distinct {
        /// The metric.
        metric: String,
        /// How many numbers were to be added.
        numbers: u64,
    },
    /// A ratio of which only the result is known.
    #[error("{metric} is a ratio, and of {day} its numerator and denominator are not known")]
    RatioWithoutParts {
        /// The metric.
        metric: String,
        /// The first such day.
        day: NaiveDate,
    },
    /// Two metrics, or one that is told to add up in two ways.
    #[error("{metric} ({kind}) and {other} ({other_kind}) are not the same metric")]
    NotOneMetric {
        /// The first.
        metric: String,
        /// How it adds up.
        kind: MetricKind,
        /// The other.
        other: String,
        /// How that adds up.
        other_kind: MetricKind,
    },
    /// Two currencies.
    #[error("{metric} is told in {one} and in {other}: amounts of two currencies are not added")]
    Currencies {
        /// The metric.
        metric: String,
        /// The first currency.
        one: String,
        /// The other.
        other: String,
    },
    /// More than a decimal of 28 digits holds.
    #[error("the sum of {metric} is too large")]
    TooLarge {
        /// The metric.
        metric: String,
    },
}

/// Adds the numbers of one metric; `None` when there is none.
///
/// One number alone is itself, whatever its kind. Days whose number is not known are counted in
/// [`unknown`](Total::unknown) and are no zeros.
///
/// ```
/// use mkt_etl::aggregate::{AggregateError, Part, total};
/// use mkt_warehouse::model::{MetricKind, SliceState};
/// let day = |n: u32, visits: i64| Part {
///     metric: "unique_visitors",
///     day: chrono::NaiveDate::from_ymd_opt(2026, 3, n).unwrap(),
///     kind: MetricKind::Distinct,
///     value: Some(visits.into()),
///     numerator: None,
///     denominator: None,
///     currency: None,
///     state: SliceState::Settled,
/// };
/// let refused = total(&[day(28, 17), day(29, 16)]).unwrap_err();
/// assert!(matches!(&refused, AggregateError::Distinct { metric, numbers: 2 } if metric == "unique_visitors"));
/// assert_eq!(total(&[day(28, 17)]).unwrap().unwrap().value, Some(17.into()));
/// ```
///
/// # Errors
/// [`AggregateError`], which names the metric.
pub fn total(parts: &[Part<'_>]) -> Result<Option<Total>, AggregateError> {
    let Some(first) = parts.first() else { return Ok(None) };
    let metric = || first.metric.to_owned();
    for part in parts {
        if (part.metric, part.kind) != (first.metric, first.kind) {
            return Err(AggregateError::NotOneMetric {
                metric: metric(),
                kind: first.kind,
                other: part.metric.to_owned(),
                other_kind: part.kind,
            });
        }
        if part.currency != first.currency {
            let name = |currency: Option<Currency>| currency.map_or("none".to_owned(), |it| it.to_string());
            return Err(AggregateError::Currencies {
                metric: metric(),
                one: name(first.currency),
                other: name(part.currency),
            });
        }
    }
    let state = parts.iter().map(|part| part.state).max_by_key(|state| doubt(*state)).unwrap_or(first.state);
    let mut sum = Total {
        metric: metric(),
        kind: first.kind,
        value: first.value,
        numerator: first.numerator,
        denominator: first.denominator,
        currency: first.currency,
        numbers: u64::from(first.is_known()),
        unknown: u64::from(!first.is_known()),
        state,
    };
    if parts.len() == 1 {
        return Ok(Some(sum));
    }
    let too_large = || AggregateError::TooLarge { metric: metric() };
    match first.kind {
        MetricKind::Distinct => {
            return Err(AggregateError::Distinct { metric: metric(), numbers: parts.len() as u64 });
        }
        MetricKind::Additive => {
            (sum.value, sum.numbers) = added(parts.iter().map(|part| part.value)).ok_or_else(too_large)?;
        }
        MetricKind::Ratio => {
            let without = parts.iter().find(|part| part.value.is_some() && !part.is_known());
            if let Some(part) = without {
                return Err(AggregateError::RatioWithoutParts { metric: metric(), day: part.day });
            }
            let known = || parts.iter().filter(|part| part.is_known());
            (sum.numerator, sum.numbers) = added(known().map(|part| part.numerator)).ok_or_else(too_large)?;
            (sum.denominator, _) = added(known().map(|part| part.denominator)).ok_or_else(too_large)?;
            // Null where the denominator is empty, never zero.
            sum.value = sum
                .numerator
                .zip(sum.denominator)
                .filter(|(_, denominator)| !denominator.is_zero())
                .and_then(|(numerator, denominator)| numerator.checked_div(denominator))
                .map(|value| value.round_dp(6));
        }
    }
    sum.unknown = parts.len() as u64 - sum.numbers;
    Ok(Some(sum))
}

impl Part<'_> {
    /// Whether it can be added.
    fn is_known(&self) -> bool {
        match self.kind {
            MetricKind::Ratio => self.numerator.is_some() && self.denominator.is_some(),
            MetricKind::Additive | MetricKind::Distinct => self.value.is_some(),
        }
    }
}

/// The sum of the known numbers, and how many they are; nothing where it is too large.
fn added(values: impl Iterator<Item = Option<Decimal>>) -> Option<(Option<Decimal>, u64)> {
    let mut sum = None;
    let mut count = 0;
    for value in values.flatten() {
        sum = Some(sum.unwrap_or(Decimal::ZERO).checked_add(value)?);
        count += 1;
    }
    Some((sum, count))
}

/// The order of states by how little a sum with such a part can be trusted.
fn doubt(state: SliceState) -> u8 {
    match state {
        SliceState::Settled => 0,
        SliceState::Provisional => 1,
        SliceState::Sampled => 2,
        SliceState::Truncated => 3,
        SliceState::SuspectEmpty => 4,
        SliceState::Planned => 5,
        SliceState::Failed => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(kind: MetricKind, day: u32, value: Option<i64>, parts: Option<(i64, i64)>) -> Part<'static> {
        Part {
            metric: "m",
            day: NaiveDate::from_ymd_opt(2026, 3, day).unwrap(),
            kind,
            value: value.map(Decimal::from),
            numerator: parts.map(|(numerator, _)| numerator.into()),
            denominator: parts.map(|(_, denominator)| denominator.into()),
            currency: None,
            state: SliceState::Settled,
        }
    }

    #[test]
    fn additive_numbers_are_summed_and_unknown_ones_are_no_zeros() {
        let days = [Some(12), None, Some(0), Some(5)];
        let parts: Vec<_> =
            (1..).zip(days).map(|(day, value)| part(MetricKind::Additive, day, value, None)).collect();
        let sum = total(&parts).unwrap().unwrap();
        assert_eq!((sum.value, sum.numbers, sum.unknown), (Some(17.into()), 3, 1));
        let none = [1, 2].map(|day| part(MetricKind::Additive, day, None, None));
        assert_eq!(total(&none).unwrap().unwrap().value, None);
        assert_eq!(total(&[]), Ok(None));
    }

    #[test]
    fn a_ratio_comes_from_its_summed_parts() {
        // 1 of 2 and 9 of 90: the mean of the ratios is 0.3, the ratio of the sums 10/92.
        let parts =
            [(1, (1, 2)), (2, (9, 90))].map(|(day, it)| part(MetricKind::Ratio, day, Some(0), Some(it)));
        let sum = total(&parts).unwrap().unwrap();
        assert_eq!((sum.numerator, sum.denominator), (Some(10.into()), Some(92.into())));
        assert_eq!(sum.value, Some("0.108696".parse().unwrap()));
    }

    #[test]
    fn a_ratio_over_days_without_visits_is_empty_and_a_day_without_visits_takes_part() {
        let empty = [1, 2].map(|day| part(MetricKind::Ratio, day, None, Some((0, 0))));
        let sum = total(&empty).unwrap().unwrap();
        assert_eq!((sum.value, sum.numbers, sum.unknown), (None, 2, 0));
        let one = [
            part(MetricKind::Ratio, 1, None, Some((0, 0))),
            part(MetricKind::Ratio, 2, Some(1), Some((3, 4))),
        ];
        assert_eq!(total(&one).unwrap().unwrap().value, Some("0.75".parse().unwrap()));
    }

    #[test]
    fn a_ratio_without_parts_is_refused_by_name_and_day() {
        let parts =
            [part(MetricKind::Ratio, 1, Some(1), Some((1, 1))), part(MetricKind::Ratio, 2, Some(1), None)];
        let error = total(&parts).unwrap_err();
        assert_eq!(
            error.to_string(),
            "m is a ratio, and of 2026-03-02 its numerator and denominator are not known"
        );
        // Alone it is itself; where nothing at all is known, it is unknown.
        assert_eq!(total(&parts[1..]).unwrap().unwrap().value, Some(1.into()));
        let unknown = [parts[0], part(MetricKind::Ratio, 2, None, None)];
        assert_eq!(total(&unknown).unwrap().unwrap().unknown, 1);
    }

    #[test]
    fn two_currencies_two_kinds_and_two_names_are_never_mixed() {
        let euro = Part { currency: Some(Currency::EUR), ..part(MetricKind::Additive, 1, Some(1), None) };
        let dollar = Part { currency: Some("USD".parse().unwrap()), ..euro };
        let text = total(&[euro, dollar]).unwrap_err().to_string();
        assert!(text.contains("EUR") && text.contains("USD"), "{text}");
        assert!(matches!(
            total(&[euro, Part { currency: None, ..euro }]),
            Err(AggregateError::Currencies { .. })
        ));
        let other = Part { kind: MetricKind::Distinct, ..euro };
        assert!(matches!(total(&[euro, other]), Err(AggregateError::NotOneMetric { .. })));
        let other = Part { metric: "n", ..euro };
        assert!(matches!(total(&[euro, other]), Err(AggregateError::NotOneMetric { .. })));
    }

    #[test]
    fn a_sum_is_no_better_than_its_worst_part() {
        let with = |state| Part { state, ..part(MetricKind::Additive, 1, Some(1), None) };
        for state in [SliceState::Provisional, SliceState::Truncated, SliceState::SuspectEmpty] {
            assert_eq!(total(&[with(SliceState::Settled), with(state)]).unwrap().unwrap().state, state);
        }
    }

    #[test]
    fn a_sum_beyond_the_decimal_is_an_error() {
        let most = Part { value: Some(Decimal::MAX), ..part(MetricKind::Additive, 1, Some(1), None) };
        assert!(matches!(total(&[most, most]), Err(AggregateError::TooLarge { .. })));
    }

    proptest! {
        /// Adding by week and then by month is adding the days: the algebra is associative.
        #[test]
        fn totals_of_totals_are_totals(
            days in proptest::collection::vec((0_i64..1000, 0_i64..1000), 2..40),
            cut in 1_usize..39,
        ) {
            let cut = cut.min(days.len() - 1);
            for kind in [MetricKind::Additive, MetricKind::Ratio] {
                let parts: Vec<_> = days.iter().map(|(a, b)| part(kind, 1, Some(*a), Some((*a, *b)))).collect();
                let whole = total(&parts).unwrap().unwrap();
                let halves = [&parts[..cut], &parts[cut..]].map(|half| total(half).unwrap().unwrap());
                let again: Vec<Part<'_>> = halves.iter().map(|half| Part {
                    metric: &half.metric,
                    value: half.value,
                    numerator: half.numerator,
                    denominator: half.denominator,
                    ..parts[0]
                }).collect();
                prop_assert_eq!(total(&again).unwrap().unwrap().value, whole.value);
            }
        }
    }
}
