//! Stretches of a site's time: periods, absolute or counted back from today, and the steps of an evolution.

use super::asking::Refusal;
use crate::at_internet::Period;
use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Weekday};
use serde_json::Value;
use std::collections::BTreeSet;

/// The most days of a period, and the most steps of an evolution.
const MOST: usize = 1500;

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Semester,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
}

impl Unit {
    pub(super) fn named(text: &str) -> Option<Self> {
        Some(match text {
            "Y" => Self::Year,
            "S" => Self::Semester,
            "Q" => Self::Quarter,
            "M" => Self::Month,
            "W" => Self::Week,
            "D" => Self::Day,
            "H" => Self::Hour,
            _ => return None,
        })
    }

    fn months(self) -> Option<u32> {
        match self {
            Self::Year => Some(12),
            Self::Semester => Some(6),
            Self::Quarter => Some(3),
            Self::Month => Some(1),
            Self::Week | Self::Day | Self::Hour => None,
        }
    }

    /// The beginning of the unit in which a time lies; weeks begin on Monday.
    fn begin(self, time: NaiveDateTime) -> NaiveDateTime {
        let day = time.date();
        let begin = match (self, self.months()) {
            (_, Some(months)) => {
                let first = day.month0() / months * months + 1;
                NaiveDate::from_ymd_opt(day.year(), first, 1).unwrap_or(day)
            }
            (Self::Week, _) => day.week(Weekday::Mon).first_day(),
            (Self::Hour, _) => return day.and_hms_opt(time.hour(), 0, 0).unwrap_or(time),
            _ => day,
        };
        begin.and_time(NaiveTime::MIN)
    }

    /// So many units later.
    fn later(self, begin: NaiveDateTime, count: i64) -> Option<NaiveDateTime> {
        let steps = count.unsigned_abs();
        match (self, self.months()) {
            (_, Some(months)) => {
                let months = Months::new(u32::try_from(steps).ok()?.checked_mul(months)?);
                if count < 0 { begin.checked_sub_months(months) } else { begin.checked_add_months(months) }
            }
            (Self::Hour, _) => begin.checked_add_signed(TimeDelta::try_hours(count)?),
            _ => {
                let days = Days::new(if self == Self::Week { steps.checked_mul(7)? } else { steps });
                if count < 0 { begin.checked_sub_days(days) } else { begin.checked_add_days(days) }
            }
        }
    }
}

/// A stretch of the site's time: from a second to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: NaiveDateTime,
    last: NaiveDateTime,
}

const SECOND: TimeDelta = TimeDelta::seconds(1);

impl Span {
    pub(super) fn contains(&self, time: NaiveDateTime) -> bool {
        self.first <= time && time <= self.last
    }

    /// The units that it touches: where each begins, and what of it lies in the span.
    pub(super) fn steps(&self, unit: Unit) -> Vec<(NaiveDateTime, Self)> {
        let begins = std::iter::successors(Some(unit.begin(self.first)), |begin| unit.later(*begin, 1));
        let begins = begins.take_while(|begin| *begin <= self.last).take(MOST);
        begins
            .filter_map(|begin| {
                let last = unit.later(begin, 1)? - SECOND;
                Some((begin, Self { first: self.first.max(begin), last: self.last.min(last) }))
            })
            .collect()
    }
}

/// The days that spans touch, each once.
pub(super) fn days(spans: &[Span]) -> BTreeSet<NaiveDate> {
    let days = spans.iter().flat_map(|span| {
        let last = span.last.date();
        span.first.date().iter_days().take_while(move |day| *day <= last).take(MOST)
    });
    days.collect()
}

/// So many units from the current one; nothing after today.
fn relative(today: NaiveDate, unit: &str, start: i64, end: i64) -> Option<Span> {
    if start > end || start.abs().max(end.abs()) > 2000 {
        return None;
    }
    let unit = Unit::named(unit)?;
    let now = today.and_hms_opt(23, 59, 59)?;
    let current = unit.begin(now);
    let last = unit.later(current, end.checked_add(1)?)? - SECOND;
    Some(Span { first: unit.later(current, start)?, last: last.min(now) })
}

/// `D` with `2019-10-24` or `2019-10-24T08:00:00`, `H` with `2019-10-24T08`, `M` with `2019-10`, `Q` with `2019-04`, `W` with
/// `2019-42`, `Y` with `2019`.
fn absolute(unit: &str, start: &str, end: &str) -> Option<Span> {
    let unit = Unit::named(unit)?;
    let bounds = |text: &str| {
        if let (Unit::Day, Ok(time)) = (unit, NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S")) {
            return Some((time, time));
        }
        let parts = || text.split_once('-');
        let begin = match (unit, unit.months()) {
            (Unit::Year, _) => NaiveDate::from_ymd_opt(text.parse().ok()?, 1, 1)?.and_time(NaiveTime::MIN),
            (_, Some(months)) => {
                let (year, part) = parts()?;
                let month = part.parse::<u32>().ok()?.checked_sub(1)?.checked_mul(months)? + 1;
                NaiveDate::from_ymd_opt(year.parse().ok()?, month, 1)?.and_time(NaiveTime::MIN)
            }
            (Unit::Week, _) => {
                let (year, week) = parts()?;
                let day = NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, Weekday::Mon);
                day?.and_time(NaiveTime::MIN)
            }
            (Unit::Hour, _) => {
                let (day, hour) = text.split_once('T')?;
                day.parse::<NaiveDate>().ok()?.and_hms_opt(hour.parse().ok()?, 0, 0)?
            }
            _ => text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN),
        };
        Some((begin, unit.later(begin, 1)? - SECOND))
    };
    let (first, last) = (bounds(start)?.0, bounds(end)?.1);
    (first <= last).then_some(Span { first, last })
}

/// A period of version 3: a list of spans, which count together.
pub(super) fn of_json(period: Option<&Value>, today: NaiveDate) -> Result<Vec<Span>, Refusal> {
    let wrong = || (400, "InvalidPeriod".to_owned(), "the period does not read".to_owned());
    let list = period.and_then(Value::as_array).filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    let span = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        match text("type")? {
            "R" => {
                let number = |name: &str| value.get(name).and_then(Value::as_i64);
                let start = number("offset").or_else(|| number("startOffset"))?;
                let end = number("offset").or_else(|| number("endOffset"))?;
                relative(today, text("granularity")?, start, end)
            }
            unit => absolute(unit, text("start")?, text("end")?),
        }
    };
    list.iter().map(|value| span(value).ok_or_else(wrong)).collect()
}

/// A period of version 2; nothing where one of its units is not known here.
pub(super) fn of_query(spans: &[Period], today: NaiveDate) -> Option<Vec<Span>> {
    let span = |span: &Period| match span {
        Period::Absolute { granularity, start, end } => {
            absolute(granularity.as_str(), &start.to_string(), &end.to_string())
        }
        Period::Relative { granularity, start, end } => {
            relative(today, granularity.as_str(), (*start).into(), (*end).into())
        }
    };
    spans.iter().map(span).collect()
}
