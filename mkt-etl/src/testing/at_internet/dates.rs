//! The days of a period, absolute or counted back from today.

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

/// Both included, at most some years.
pub(super) fn between(first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
    first.iter_days().take_while(|day| *day <= last).take(1500).collect()
}

/// Months of a unit.
fn months(unit: &str) -> Option<i32> {
    match unit {
        "M" => Some(1),
        "Q" => Some(3),
        "S" => Some(6),
        "Y" => Some(12),
        _ => None,
    }
}

/// The first day of a month that is counted from the year 0.
fn first_of(month: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(month.div_euclid(12), u32::try_from(month.rem_euclid(12)).ok()? + 1, 1)
}

/// So many units from the current one: weeks from Monday, nothing after today.
pub(super) fn relative(today: NaiveDate, unit: &str, start: i64, end: i64) -> Option<Vec<NaiveDate>> {
    if start > end || start.abs().max(end.abs()) > 2000 {
        return None;
    }
    let (first, last) = match unit {
        "D" => (today + TimeDelta::days(start), today + TimeDelta::days(end)),
        "W" => {
            let monday = today.week(Weekday::Mon).first_day();
            (monday + TimeDelta::days(7 * start), monday + TimeDelta::days(7 * end + 6))
        }
        _ => {
            let length = months(unit)?;
            let current = today.year() * 12 + i32::try_from(today.month0()).ok()?;
            let current = current - current.rem_euclid(length);
            let of = |offset: i64| first_of(current + i32::try_from(offset).ok()? * length);
            (of(start)?, of(end + 1)?.pred_opt()?)
        }
    };
    Some(between(first, last.min(today)))
}

/// `D` with `2019-10-24`, `M` with `2019-10`, `Q` with `2019-04`, `W` with `2019-42`, `Y` with `2019`.
pub(super) fn absolute(unit: &str, start: &str, end: &str) -> Option<Vec<NaiveDate>> {
    let bounds = |text: &str| match unit {
        "D" => text.parse::<NaiveDate>().ok().map(|day| (day, day)),
        "W" => {
            let (year, week) = text.split_once('-')?;
            let day = |day| NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, day);
            Some((day(Weekday::Mon)?, day(Weekday::Sun)?))
        }
        _ => {
            let length = months(unit)?;
            let (year, part) = match unit {
                "Y" => (text.parse::<i32>().ok()?, 1),
                _ => text
                    .split_once('-')
                    .map(|(year, part)| Some((year.parse().ok()?, part.parse().ok()?)))??,
            };
            if !(1..=12 / length).contains(&part) {
                return None;
            }
            let month = year.checked_mul(12)? + (part - 1) * length;
            Some((first_of(month)?, first_of(month + length)?.pred_opt()?))
        }
    };
    let (first, last) = (bounds(start)?.0, bounds(end)?.1);
    (first <= last).then(|| between(first, last))
}
