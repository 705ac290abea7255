//! From values to places: ranges, ticks (plotters chooses them) and the linear scale.

use chrono::{Datelike, Days, NaiveDate};
use plotters::coord::{ranged1d::Ranged, types::RangedCoordf64};

use super::format::{Format, Lang};

/// Values beyond this are not drawn: no axis could show them beside others.
const LIMIT: f64 = 1e15;

/// Keeps what can be drawn.
pub(super) fn drawable(value: f64) -> Option<f64> {
    (value.is_finite() && value.abs() <= LIMIT).then_some(value)
}

/// A linear scale from values to pixels, with its ticks.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over `values` and, with `zero`, the origin; rounded outwards to its ticks. `None` without a value.
    pub(super) fn over(
        values: impl IntoIterator<Item = f64>,
        zero: bool,
        count: usize,
        format: Format,
        lang: Lang,
    ) -> Option<Self> {
        let (low, high) =
            values.into_iter().filter_map(drawable).fold(None, |range: Option<(f64, f64)>, value| {
                Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
            })?;
        let (low, high) = if zero { (low.min(0.0), high.max(0.0)) } else { (low, high) };
        let slack = if high - low > high.abs().max(low.abs()) * 1e-9 {
            0.0
        } else {
            high.abs().max(low.abs()).max(1.0) * 0.5
        };
        let (low, high) = (low - if zero && low == 0.0 { 0.0 } else { slack }, high + slack);
        let points = RangedCoordf64::from(low..high).key_points(count);
        let step = match points.as_slice() {
            [first, second, ..] => second - first,
            _ => high - low,
        };
        let (low, high) = ((low / step + 1e-6).floor() * step, (high / step - 1e-6).ceil() * step);
        let format = format.for_step(step);
        let steps = (((high - low) / step).round() as usize).min(50);
        let ticks = (0..=steps)
            .map(|index| {
                let value = low + index as f64 * step;
                let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
                (value, lang.number(value, format))
            })
            .collect();
        Some(Self { low, high, from: 0.0, to: 1.0, ticks })
    }

    /// An axis over exactly `low..=high` without ticks.
    pub(super) fn plain(low: f64, high: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, from: 0.0, to: 1.0, ticks: Vec::new() }
    }

    /// Lays the axis between two pixel places.
    pub(super) fn between(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Characters of the longest tick label.
    pub(super) fn label_width(&self) -> usize {
        self.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0)
    }
}

/// Day of the common era, as a number on an axis.
pub(super) fn day_number(day: NaiveDate) -> f64 {
    f64::from(day.num_days_from_ce())
}

/// Ticks on days, Mondays, months or years, at most about ten of them.
pub(super) fn day_ticks(first: NaiveDate, last: NaiveDate, lang: Lang) -> Vec<(NaiveDate, String)> {
    let span = (last - first).num_days().max(0);
    let day_and_month = |day: NaiveDate| format!("{} {}", day.day(), lang.month(day.month()));
    if span <= 70 {
        let step = if span <= 9 { 1 } else { 7 * ((span / 70).max(1) as u64) };
        let start = match step {
            1 => first,
            _ => first
                .checked_add_days(Days::new(u64::from((7 - first.weekday().num_days_from_monday()) % 7)))
                .unwrap_or(first),
        };
        return std::iter::successors(Some(start), |day| day.checked_add_days(Days::new(step)))
            .take_while(|day| *day <= last)
            .map(|day| (day, day_and_month(day)))
            .collect();
    }
    let months = span / 30 + 1;
    let step = [1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 6000, 12_000]
        .into_iter()
        .find(|step| months / step <= 9)
        .unwrap_or(60_000);
    let start = i64::from(first.year()) * 12 + i64::from(first.month0());
    let end = i64::from(last.year()) * 12 + i64::from(last.month0());
    (start..=end)
        .filter(|month| month.rem_euclid(step) == 0)
        .filter_map(|month| {
            let year = i32::try_from(month.div_euclid(12)).ok()?;
            NaiveDate::from_ymd_opt(year, month.rem_euclid(12) as u32 + 1, 1)
        })
        .filter(|day| *day >= first)
        .map(|day| {
            let label = if step >= 12 {
                day.year().to_string()
            } else if day.month() == 1 {
                format!("{} {}", lang.month(1), day.year())
            } else {
                lang.month(day.month()).to_owned()
            };
            (day, label)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_axis_holds_its_values_and_ends_on_ticks() {
        for values in
            [[0.031, 0.058], [-12.0, 40.0], [3.0, 3.0], [0.0, 0.0], [1e14, 1e14 + 1.0], [-1e15, 1e15]]
        {
            let axis =
                Axis::over(values, false, 6, Format::Decimal(2), Lang::En).unwrap().between(0.0, 100.0);
            assert!(axis.low <= values[0] && axis.high >= values[1], "{axis:?}");
            assert!(axis.ticks.len() >= 2 && axis.ticks.len() <= 51, "{values:?}: {axis:?}");
            assert!((axis.ticks[0].0 - axis.low).abs() <= (axis.high - axis.low) * 1e-9);
        }
    }

    #[test]
    fn values_that_cannot_be_drawn_do_not_stretch_the_axis() {
        let axis = Axis::over([1.0, f64::NAN, f64::INFINITY, 1e300, 2.0], true, 6, Format::Integer, Lang::En)
            .unwrap();
        assert_eq!((axis.low, axis.high), (0.0, 2.0));
        assert!(Axis::over([f64::NAN], true, 6, Format::Integer, Lang::En).is_none());
    }

    #[test]
    fn date_ticks_stay_few_whatever_the_period() {
        let first = day("2025-12-31");
        for span in [0, 1, 9, 10, 70, 71, 400, 3_000, 40_000, 2_000_000] {
            let last = first.checked_add_days(Days::new(span)).unwrap();
            let ticks = day_ticks(first, last, Lang::Fr);
            assert!(ticks.len() <= 12, "{span}: {}", ticks.len());
            assert!(ticks.iter().all(|(day, _)| (first..=last).contains(day)));
        }
        let ticks = day_ticks(day("2026-01-01"), day("2026-06-30"), Lang::Fr);
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["janv. 2026", "févr.", "mars", "avr.", "mai", "juin"]);
    }
}
