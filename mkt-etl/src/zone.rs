//! Days of a zone: 23- and 25-hour days included. Pure.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// The calendar day of an instant in a zone.
#[must_use]
pub fn local_day(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first instant of a day in a zone. Where midnight does not exist (some zones change their clocks then), the
/// first instant after the gap.
#[must_use]
pub fn day_start(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        chrono::LocalResult::Single(at) | chrono::LocalResult::Ambiguous(at, _) => at.to_utc(),
        chrono::LocalResult::None => {
            // No gap of the tz database is longer than a day; the day starts within it.
            let before = midnight.and_utc() - TimeDelta::hours(26);
            let after = midnight.and_utc() + TimeDelta::hours(26);
            first_instant(before, after, |at| local_day(at, zone) >= day)
        }
    }
}

/// The first second in (`low`, `high`] at which `reached` holds; it must hold at `high` and never cease to.
fn first_instant(
    low: DateTime<Utc>,
    high: DateTime<Utc>,
    reached: impl Fn(DateTime<Utc>) -> bool,
) -> DateTime<Utc> {
    let (mut low, mut high) = (low.timestamp(), high.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if DateTime::from_timestamp(middle, 0).is_some_and(&reached) { high = middle } else { low = middle }
    }
    DateTime::from_timestamp(high, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Europe};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn days_of_clock_changes_have_23_and_25_hours() {
        for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
            let start = day_start(day(date), Europe::Paris);
            let end = day_start(day(date).succ_opt().unwrap(), Europe::Paris);
            assert_eq!((end - start).num_hours(), hours, "{date}");
        }
    }

    #[test]
    fn a_day_without_midnight_starts_after_the_gap() {
        // Brazil's clocks went from 00:00 to 01:00 on 2018-11-04 (tz database): the day starts at 03:00 UTC.
        assert_eq!(day_start(day("2018-11-04"), America::Sao_Paulo), utc("2018-11-04T03:00:00Z"));
    }
}
