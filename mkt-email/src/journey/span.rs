//! Durations as text, and windows of local time.

use chrono::{DateTime, Datelike, Duration as Delta, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde_json::Value;
use std::time::Duration;

/// The longest duration: ten years.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);

/// How far the next opening of a window is looked for: a week, and a day that a zone skipped.
const HORIZON_DAYS: i64 = 16;

/// Reads a duration such as `90s`, `1h30m`, `24h` or `7d`. A day has 24 hours.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("invalid duration {text:.40?}: expected one such as \"90s\", \"1h30m\" or \"7d\"");
    let (mut total, mut number, mut least) = (0_u64, String::new(), u64::MAX);
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(invalid()),
        };
        // Units from large to small, each once: `30m1h` is a slip of the pen.
        if unit >= least {
            return Err(invalid());
        }
        least = unit;
        let count: u64 = number.parse().map_err(|_| invalid())?;
        total = count.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        number.clear();
    }
    if !number.is_empty() || total == 0 {
        return Err(invalid());
    }
    let duration = Duration::from_secs(total);
    if duration > MAX_DURATION {
        Err(format!("duration {text:.40?} is longer than ten years"))
    } else {
        Ok(duration)
    }
}

/// Writes a duration as [`parse_duration`] reads it; parts of a second are dropped.
pub(super) fn write_duration(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        // `24h` stays hours: a day is written from two days on.
        let count = if unit == 'd' && left < 2 * seconds { 0 } else { left / seconds };
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(unit);
            left -= count * seconds;
        }
    }
    text
}

/// Adds a duration; saturates.
pub(super) fn after(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    mkt_connect::clock::later(at, duration)
}

/// Subtracts a duration; saturates.
pub(super) fn before(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    let by = Delta::from_std(duration).unwrap_or(Delta::MAX);
    at.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// The zone that a payload names, if it is one.
pub(super) fn zone_of(value: &Value) -> Option<Tz> {
    value.as_str()?.parse().ok()
}

/// A window of local time: from a time of the day until another, on all days or some. It may pass midnight; then it
/// belongs to the day on which it begins.
///
/// What counts is the wall clock: on a day of 23 hours a window whose beginning does not exist opens with the change, on
/// one of 25 hours a time that comes twice is in the window twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    from: NaiveTime,
    until: NaiveTime,
    days: Vec<Weekday>,
}

impl Window {
    /// A window on all days. `until` is the first minute that is outside.
    #[must_use]
    pub fn new(from: NaiveTime, until: NaiveTime) -> Self {
        Self { from, until, days: Vec::new() }
    }

    /// Only on these days.
    #[must_use]
    pub fn on(mut self, days: impl IntoIterator<Item = Weekday>) -> Self {
        self.days = days.into_iter().collect();
        self.days.sort_by_key(Weekday::num_days_from_monday);
        self.days.dedup();
        self
    }

    /// When it begins.
    #[must_use]
    pub fn from(&self) -> NaiveTime {
        self.from
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> NaiveTime {
        self.until
    }

    /// Its days; none: all.
    #[must_use]
    pub fn days(&self) -> &[Weekday] {
        &self.days
    }

    /// Whether the window is open at an instant in a zone.
    #[must_use]
    pub fn contains(&self, zone: Tz, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&zone).naive_local();
        let (time, day) = (local.time(), local.weekday());
        let opens_on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        if self.from < self.until {
            (self.from..self.until).contains(&time) && opens_on(day)
        } else {
            (time >= self.from && opens_on(day)) || (time < self.until && opens_on(day.pred()))
        }
    }

    /// The first instant from `at` on at which the window is open; `None` if there is none within 16 days.
    #[must_use]
    pub fn next_open(&self, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.first(zone, at, true)
    }

    /// The first instant from `at` on at which the window is closed; `None` if there is none within 16 days.
    #[must_use]
    pub fn next_closed(&self, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.first(zone, at, false)
    }

    /// A window opens and closes only at its times, at midnight, and when the zone changes its offset.
    fn first(&self, zone: Tz, at: DateTime<Utc>, open: bool) -> Option<DateTime<Utc>> {
        let wanted = |instant: &DateTime<Utc>| self.contains(zone, *instant) == open;
        if wanted(&at) {
            return Some(at);
        }
        let today = at.with_timezone(&zone).date_naive();
        let mut candidates = Vec::new();
        for ahead in -2..HORIZON_DAYS {
            let Some(day) = today.checked_add_signed(Delta::days(ahead)) else { continue };
            for time in [NaiveTime::MIN, self.from, self.until] {
                let local = zone.from_local_datetime(&day.and_time(time));
                candidates
                    .extend([local.earliest(), local.latest()].into_iter().flatten().map(|it| it.to_utc()));
            }
            candidates.extend(change_of_offset(zone, day.and_time(NaiveTime::MIN).and_utc()));
        }
        candidates.retain(|instant| *instant > at);
        candidates.sort_unstable();
        candidates.into_iter().find(wanted)
    }
}

/// The instant within a day from `begin` on at which the offset changes, if it differs at its ends.
fn change_of_offset(zone: Tz, begin: DateTime<Utc>) -> Option<DateTime<Utc>> {
    use chrono::Offset;
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let (mut low, mut high) = (begin.timestamp(), begin.checked_add_signed(Delta::days(1))?.timestamp());
    let instant = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    let first = offset(instant(low)?);
    if offset(instant(high)?) == first {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if offset(instant(middle)?) == first { low = middle } else { high = middle }
    }
    instant(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn time(hour: u32, minute: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
    }

    #[test]
    fn duration_is_read_and_written() {
        for (text, seconds) in
            [("90s", 90), ("1h30m", 5_400), ("24h", 86_400), ("7d", 604_800), ("2d1s", 172_801)]
        {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
            assert_eq!(
                parse_duration(&write_duration(Duration::from_secs(seconds))).unwrap().as_secs(),
                seconds
            );
        }
        for text in
            ["", "1", "h", "1w", "-1h", "1.5h", "0s", "1m1h", "1h1h", "99999999999999999999d", "4000d"]
        {
            parse_duration(text).unwrap_err();
        }
        assert_eq!(write_duration(Duration::from_secs(86_400)), "24h");
    }

    #[test]
    fn quiet_hours_end_at_the_wall_clock_on_days_of_23_and_25_hours() {
        let (paris, quiet) = (chrono_tz::Europe::Paris, Window::new(time(21, 0), time(8, 0)));
        // UTC+1 in winter, UTC+2 in summer; the nights of 2026-03-29 and 2026-10-25 change between them.
        for (from, until) in [
            ("2026-03-27T22:00:00Z", "2026-03-28T07:00:00Z"),
            ("2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"),
            ("2026-10-24T20:00:00Z", "2026-10-25T07:00:00Z"),
        ] {
            assert_eq!(quiet.next_closed(paris, instant(from)), Some(instant(until)), "{from}");
        }
        assert_eq!(
            quiet.next_closed(paris, instant("2026-06-01T10:00:00Z")),
            Some(instant("2026-06-01T10:00:00Z"))
        );
    }

    #[test]
    fn window_that_begins_in_the_missing_hour_opens_with_the_change() {
        let window = Window::new(time(2, 30), time(4, 0));
        let opened = window.next_open(chrono_tz::Europe::Paris, instant("2026-03-28T23:30:00Z"));
        assert_eq!(opened, Some(instant("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn instants_agree_with_a_walk_by_minutes() {
        let zones = [
            chrono_tz::Europe::Paris,
            chrono_tz::America::New_York,
            chrono_tz::Australia::Lord_Howe,
            chrono_tz::Asia::Kolkata,
            chrono_tz::Africa::Casablanca,
            chrono_tz::Pacific::Apia,
        ];
        let windows = [
            Window::new(time(21, 0), time(8, 0)),
            Window::new(time(1, 45), time(2, 15)),
            Window::new(time(9, 0), time(17, 30)).on([Weekday::Mon, Weekday::Sat]),
            Window::new(time(23, 0), time(2, 30)).on([Weekday::Sat]),
        ];
        let starts =
            ["2026-03-07T00:00:00Z", "2026-04-03T12:00:00Z", "2026-10-23T06:00:00Z", "2011-12-29T03:00:00Z"];
        for zone in zones {
            for window in &windows {
                for start in starts {
                    for hours in (0..96).step_by(7) {
                        let at = instant(start) + Delta::hours(hours);
                        for open in [true, false] {
                            let walked = (0..16 * 24 * 60)
                                .map(|minutes| at + Delta::minutes(minutes))
                                .find(|it| window.contains(zone, *it) == open);
                            assert_eq!(window.first(zone, at, open), walked, "{zone} {window:?} {at} {open}");
                        }
                    }
                }
            }
        }
    }
}
