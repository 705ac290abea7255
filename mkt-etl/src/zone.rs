//! Days of a zone: 23- and 25-hour days included. Pure.

use chrono::{
    DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

/// A zone of the tz database, or a fixed offset from UTC. `Display` gives its name: `Europe/Paris`, `UTC+03:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// A zone of the tz database.
    Named(Tz),
    /// An offset that never changes, where the tz database may have no zone of it.
    Fixed(FixedOffset),
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Fixed(offset) => write!(f, "UTC{offset}"),
        }
    }
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        Self::Named(zone)
    }
}

impl From<FixedOffset> for Zone {
    fn from(offset: FixedOffset) -> Self {
        Self::Fixed(offset)
    }
}

/// Not the name of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone: expected a name such as Europe/Paris, or an offset such as UTC+03:30")]
pub struct InvalidZone;

impl FromStr for Zone {
    type Err = InvalidZone;

    /// Reads a name of the tz database, or an offset in the form of `Display`.
    fn from_str(text: &str) -> Result<Self, InvalidZone> {
        if let Ok(zone) = text.parse() {
            return Ok(Self::Named(zone));
        }
        let offset = text.strip_prefix("UTC").and_then(|offset| offset.parse().ok());
        offset.map(Self::Fixed).ok_or(InvalidZone)
    }
}

impl TimeZone for Zone {
    type Offset = FixedOffset;

    fn from_offset(offset: &FixedOffset) -> Self {
        Self::Fixed(*offset)
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<FixedOffset> {
        match self {
            Self::Named(zone) => zone.offset_from_local_date(local).map(|offset| offset.fix()),
            Self::Fixed(offset) => LocalResult::Single(*offset),
        }
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<FixedOffset> {
        match self {
            Self::Named(zone) => zone.offset_from_local_datetime(local).map(|offset| offset.fix()),
            Self::Fixed(offset) => LocalResult::Single(*offset),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_date(utc).fix(),
            Self::Fixed(offset) => *offset,
        }
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix(),
            Self::Fixed(offset) => *offset,
        }
    }
}

/// The calendar day of an instant in a zone.
#[must_use]
pub fn local_day(at: DateTime<Utc>, zone: impl Into<Zone>) -> NaiveDate {
    at.with_timezone(&zone.into()).date_naive()
}

/// The first instant of a day in a zone. Where midnight does not exist (some zones change their clocks then), the
/// first instant after the gap.
#[must_use]
pub fn day_start(day: NaiveDate, zone: impl Into<Zone>) -> DateTime<Utc> {
    let zone = zone.into();
    let midnight = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => {
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
    fn days_of_a_fixed_offset_have_24_hours_and_its_name_is_read_again() {
        for (text, start) in [
            ("UTC+03:30", "2026-03-28T20:30:00Z"),
            ("UTC-03:30", "2026-03-29T03:30:00Z"),
            ("UTC+12:45", "2026-03-28T11:15:00Z"),
        ] {
            let zone: Zone = text.parse().unwrap();
            assert!(matches!(zone, Zone::Fixed(_)));
            assert_eq!(zone.to_string(), text);
            let (begin, end) = (day_start(day("2026-03-29"), zone), day_start(day("2026-03-30"), zone));
            assert_eq!((begin, (end - begin).num_hours()), (utc(start), 24), "{text}");
            assert_eq!(local_day(begin, zone), day("2026-03-29"));
            assert_eq!(local_day(begin - TimeDelta::seconds(1), zone), day("2026-03-28"));
        }
        assert_eq!("Europe/Paris".parse(), Ok(Zone::Named(Europe::Paris)));
        assert_eq!("UTC+3.5".parse::<Zone>(), Err(InvalidZone));
        // As the zone of the tz database that it is.
        let paris = Zone::Named(Europe::Paris);
        assert_eq!(day_start(day("2026-10-25"), paris), day_start(day("2026-10-25"), Europe::Paris));
        let gap = Zone::Named(America::Sao_Paulo);
        assert_eq!(day_start(day("2018-11-04"), gap), utc("2018-11-04T03:00:00Z"));
    }

    #[test]
    fn a_day_without_midnight_starts_after_the_gap() {
        // Brazil's clocks went from 00:00 to 01:00 on 2018-11-04 (tz database): the day starts at 03:00 UTC.
        assert_eq!(day_start(day("2018-11-04"), America::Sao_Paulo), utc("2018-11-04T03:00:00Z"));
    }
}
