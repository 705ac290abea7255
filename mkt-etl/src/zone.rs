//! Days and offsets of a zone: 23- and 25-hour days included. Pure.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mkt_warehouse::model::ZoneOffset;

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

/// The offsets of a zone for `zone_offsets`, over every year in UTC that a local day of the window touches. Rows begin
/// and end with a year or a clock change, so that neighbouring windows write the same rows.
#[must_use]
pub fn offsets(zone: Tz, first: NaiveDate, last: NaiveDate) -> Vec<ZoneOffset> {
    let year_start = |year: i32| {
        NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN).and_utc()
    };
    let offset =
        |at: DateTime<Utc>| i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc());
    let second = TimeDelta::seconds(1);
    // Local days differ from days in UTC by less than a day on either side.
    let first = first.pred_opt().unwrap_or(first).year();
    let last = last.succ_opt().unwrap_or(last).year();
    let mut rows = Vec::new();
    for year in first..=last {
        let (mut from, end) = (year_start(year), year_start(year + 1));
        while from < end {
            let held = offset(from);
            // Changes are weeks apart: steps of six hours miss none.
            let mut until = from;
            while until < end && offset(until) == held {
                until = (until + TimeDelta::hours(6)).min(end);
            }
            let still_held = until == end && offset(end - second) == held;
            if !still_held {
                let until_probe = if until == end { end - second } else { until };
                until = first_instant(until_probe - TimeDelta::hours(7), until_probe, |at| {
                    at >= from && offset(at) != held
                });
            }
            rows.push(ZoneOffset {
                zone: zone.name().to_owned(),
                from_utc: from,
                until_utc: until,
                offset_s: held,
            });
            from = until;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Europe};

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

    #[test]
    fn the_offsets_of_paris_in_2026_change_at_one_o_clock_utc() {
        let rows = offsets(Europe::Paris, day("2026-03-27"), day("2026-10-26"));
        let seen: Vec<_> = rows.iter().map(|r| (r.from_utc, r.until_utc, r.offset_s)).collect();
        assert_eq!(
            seen,
            [
                (utc("2026-01-01T00:00:00Z"), utc("2026-03-29T01:00:00Z"), 3600),
                (utc("2026-03-29T01:00:00Z"), utc("2026-10-25T01:00:00Z"), 7200),
                (utc("2026-10-25T01:00:00Z"), utc("2027-01-01T00:00:00Z"), 3600),
            ]
        );
    }

    #[test]
    fn a_zone_without_changes_has_one_row_a_year_and_new_year_reaches_into_the_year_before() {
        let rows = offsets(Asia::Kathmandu, day("2026-01-01"), day("2026-01-01"));
        let seen: Vec<_> = rows.iter().map(|r| (r.from_utc.year(), r.offset_s)).collect();
        assert_eq!(seen, [(2025, 20700), (2026, 20700)]);
    }
}
