//! When runs are due: a cron expression in a zone, and a spread that keeps many sites from asking at the same second.
//! Pure.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt;
use std::time::Duration;

/// A cron expression, read in a zone.
///
/// Five fields (minute, hour, day of month, month, day of week) as in Vixie cron, with names (`MON`, `JAN`), lists,
/// ranges, steps, `L`, `W`, `#`, and the nicknames `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A day matches
/// when the day of the month *or* the day of the week does, if both are restricted.
///
/// **Clock changes.** An expression with a fixed minute and hour is due once a day: at the end of the gap where the clock
/// jumps over it, and the first time where an hour comes twice. One with `*` in minute or hour goes by the clock as it
/// is: hours that do not exist are left out, hours that come twice are due twice.
///
/// ```
/// use mkt_etl::schedule::Schedule;
/// let nightly = Schedule::new("30 2 * * *", chrono_tz::Europe::Paris)?;
/// let after = |text: &str| nightly.next_after(text.parse().unwrap()).unwrap().to_rfc3339();
/// assert_eq!(after("2026-03-27T12:00:00Z"), "2026-03-28T01:30:00+00:00");
/// assert_eq!(after("2026-03-28T12:00:00Z"), "2026-03-29T01:00:00+00:00"); // 03:00 in Paris: there was no 02:30
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Clone)]
pub struct Schedule {
    cron: Cron,
    expression: String,
    zone: Tz,
    jitter: Duration,
    seed: u64,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("expression", &self.expression)
            .field("zone", &self.zone.name())
            .field("jitter", &self.jitter)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.expression, self.zone.name())
    }
}

/// Years beyond are not asked for: chrono's own range ends far later, and cron knows none.
const LAST_YEAR: i32 = 4000;

impl Schedule {
    /// Every full hour.
    pub const HOURLY: &'static str = "0 * * * *";

    /// Reads an expression.
    ///
    /// # Errors
    /// `Input`, with the expression, when it does not read or names a day that never comes (30 February).
    pub fn new(expression: &str, zone: Tz) -> Result<Self> {
        let refuse = |cause: Option<CronError>| {
            let shown: String = expression.chars().take(60).collect();
            let error = Error::new(ErrorKind::Input, "etl", "read a schedule");
            match cause {
                Some(cause) => {
                    error.with_detail(format!("{shown:?} is no cron expression")).with_source(cause)
                }
                None => error.with_detail(format!("{shown:?} names a time that never comes")),
            }
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|cause| refuse(Some(cause)))?;
        let schedule =
            Self { cron, expression: expression.trim().to_owned(), zone, jitter: Duration::ZERO, seed: 0 };
        if schedule.next_after(DateTime::UNIX_EPOCH).is_none() {
            return Err(refuse(None));
        }
        Ok(schedule)
    }

    /// Starts each run up to so much later than it is due, by an amount that follows from the seed and the due time
    /// alone: programs with seeds of their own (from the machine's name, say) do not all ask in the first second of
    /// an hour. It is cut at half the time to the next due time. Default: none.
    #[must_use]
    pub fn jitter(mut self, up_to: Duration, seed: u64) -> Self {
        (self.jitter, self.seed) = (up_to, seed);
        self
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first due time after an instant, in UTC; `None` after the year 4000.
    #[must_use]
    pub fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ask(at, |cron, local| cron.find_next_occurrence(local, false)).filter(|due| *due > at)
    }

    /// The last due time at or before an instant, in UTC.
    #[must_use]
    pub fn last_until(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ask(at, |cron, local| cron.find_previous_occurrence(local, true)).filter(|due| *due <= at)
    }

    fn ask(
        &self,
        at: DateTime<Utc>,
        find: impl Fn(&Cron, &DateTime<Tz>) -> Result<DateTime<Tz>, CronError>,
    ) -> Option<DateTime<Utc>> {
        use chrono::Datelike;
        if !(1900..LAST_YEAR).contains(&at.year()) {
            return None;
        }
        let due = find(&self.cron, &at.with_timezone(&self.zone)).ok()?;
        (1900..=LAST_YEAR).contains(&due.year()).then(|| due.to_utc())
    }

    /// When the run of a due time starts: the due time and its share of the [`jitter`](Self::jitter).
    #[must_use]
    pub fn start_of(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        let gap = self.next_after(due).map_or(TimeDelta::zero(), |next| next - due);
        let most = TimeDelta::from_std(self.jitter).unwrap_or(TimeDelta::MAX).min(gap / 2).num_milliseconds();
        let share = mixed(self.seed ^ due.timestamp().cast_unsigned()) % most.max(1).unsigned_abs();
        due + TimeDelta::milliseconds(i64::try_from(share).unwrap_or(0))
    }
}

/// SplitMix64's output function (Steele, Lea, Flood, OOPSLA 2014): neighbouring inputs give unrelated outputs.
pub(super) fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate, Timelike};
    use chrono_tz::{America, Asia, Australia, Europe};
    use std::collections::BTreeMap;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Due times in a window, `[from, until)`.
    fn due(expression: &str, zone: Tz, from: &str, until: &str) -> Vec<DateTime<Utc>> {
        let schedule = Schedule::new(expression, zone).unwrap();
        let mut at = utc(from) - TimeDelta::seconds(1);
        let mut found = Vec::new();
        while let Some(next) = schedule.next_after(at).filter(|next| *next < utc(until)) {
            found.push(next);
            at = next;
        }
        found
    }

    fn texts(found: &[DateTime<Utc>]) -> Vec<String> {
        found.iter().map(|at| at.format("%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn every_hour_is_every_hour_on_days_of_23_and_25_hours() {
        // 29 March and 25 October 2026 in Paris, midnight to midnight.
        let spring = due("0 * * * *", Europe::Paris, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        let autumn = due("0 * * * *", Europe::Paris, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        assert_eq!((spring.len(), autumn.len()), (23, 25));
        for hours in [spring, autumn] {
            assert!(hours.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)));
        }
    }

    #[test]
    fn a_fixed_time_that_the_clock_jumps_over_is_due_at_the_end_of_the_gap() {
        // Paris has no 02:30 on 29 March 2026; 03:00 there is 01:00 UTC.
        let found = due("30 2 * * *", Europe::Paris, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(texts(&found), ["28T01:30", "29T01:00", "30T00:30"]);
    }

    #[test]
    fn a_fixed_time_that_comes_twice_is_due_the_first_time() {
        // 02:30 in Paris is 00:30 and 01:30 UTC on 25 October 2026.
        let found = due("30 2 * * *", Europe::Paris, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
        assert_eq!(texts(&found), ["24T00:30", "25T00:30", "26T01:30"]);
    }

    #[test]
    fn asked_in_the_second_half_of_a_doubled_hour_nothing_is_due_before_the_question() {
        let hourly = Schedule::new("*/20 * * * *", Europe::Paris).unwrap();
        assert_eq!(hourly.next_after(utc("2026-10-25T01:10:00Z")), Some(utc("2026-10-25T01:20:00Z")));
        assert_eq!(hourly.last_until(utc("2026-10-25T01:10:00Z")), Some(utc("2026-10-25T01:00:00Z")));
    }

    #[test]
    fn by_the_clock_means_every_minute_whose_local_time_matches() {
        // An independent reading: walk every minute of the days around each change, and look at the local clock.
        type Matches = fn(DateTime<Tz>) -> bool;
        let expressions: [(&str, Matches); 4] = [
            ("15 * * * *", |at| at.minute() == 15),
            ("*/20 * * * *", |at| at.minute() % 20 == 0),
            ("* 2 * * *", |at| at.hour() == 2),
            ("0 */3 * * MON-FRI", |at| {
                at.minute() == 0 && at.hour() % 3 == 0 && at.weekday().num_days_from_monday() < 5
            }),
        ];
        let days = [
            (Europe::Paris, "2026-03-28"),
            (Europe::Paris, "2026-10-24"),
            (America::New_York, "2026-03-07"),
            (America::New_York, "2026-10-31"),
            (Australia::Lord_Howe, "2026-04-04"), // half an hour
            (Australia::Lord_Howe, "2026-10-03"),
            (Asia::Kathmandu, "2026-05-01"),    // +05:45
            (America::Sao_Paulo, "2018-11-03"), // no midnight
        ];
        for (expression, matches) in expressions {
            for (zone, day) in days {
                let from = day.parse::<NaiveDate>().unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
                let until = from + TimeDelta::days(3);
                let expected: Vec<DateTime<Utc>> = (0..3 * 24 * 60)
                    .map(|minute| from + TimeDelta::minutes(minute))
                    .filter(|at| matches(at.with_timezone(&zone)))
                    .collect();
                let found = due(expression, zone, &from.to_rfc3339(), &until.to_rfc3339());
                assert_eq!(found, expected, "{expression} {zone} {day}");
            }
        }
    }

    #[test]
    fn a_fixed_time_is_due_exactly_once_on_every_day_of_ten_years() {
        for (zone, hour, minute) in [
            (Europe::Paris, 2, 30),
            (America::New_York, 2, 0),
            (America::Sao_Paulo, 0, 0),
            (Australia::Lord_Howe, 2, 15),
            (chrono_tz::Antarctica::Troll, 1, 30), // two hours
        ] {
            let found =
                due(&format!("{minute} {hour} * * *"), zone, "2014-01-02T12:00:00Z", "2024-01-02T12:00:00Z");
            let mut days: BTreeMap<NaiveDate, u32> = BTreeMap::new();
            for at in &found {
                *days.entry(at.with_timezone(&zone).date_naive()).or_default() += 1;
            }
            // 365 * 10 + 2 leap days (2016, 2020).
            assert_eq!((found.len(), days.len()), (3652, 3652), "{zone}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_its_text() {
        for text in
            ["", "* * * *", "* * * * * *", "61 * * * *", "0 25 * * *", "every hour", "0 0 30 2 *", "@reboot"]
        {
            let error = Schedule::new(text, Tz::UTC).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{text}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn nicknames_and_both_kinds_of_days_are_read_as_by_cron() {
        let daily = due("@daily", Tz::UTC, "2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z");
        assert_eq!(texts(&daily), ["01T00:00", "02T00:00", "03T00:00"]);
        // 2 November 2026 is a Monday: the 1st *or* a Monday.
        let either = due("0 6 1 * MON", Tz::UTC, "2026-11-01T00:00:00Z", "2026-11-10T00:00:00Z");
        assert_eq!(texts(&either), ["01T06:00", "02T06:00", "09T06:00"]);
    }

    #[test]
    fn jitter_follows_from_the_seed_and_stays_before_the_next_run() {
        let plain = Schedule::new("*/10 * * * *", Tz::UTC).unwrap();
        let at = |seed: u64, up_to: u64, due: DateTime<Utc>| {
            plain.clone().jitter(Duration::from_secs(up_to), seed).start_of(due) - due
        };
        let first = utc("2026-11-01T00:00:00Z");
        assert_eq!(plain.start_of(first), first);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..100 {
            let due = first + TimeDelta::minutes(10 * n);
            let wait = at(7, 120, due);
            assert!(wait >= TimeDelta::zero() && wait < TimeDelta::seconds(120), "{wait}");
            assert_eq!(wait, at(7, 120, due), "the same seed, the same start");
            // An hour of jitter on ten minutes is cut at five.
            assert!(at(7, 3600, due) < TimeDelta::minutes(5));
            seen.insert((at(7, 120, due), at(8, 120, due)));
        }
        assert!(seen.len() > 95, "{} different starts", seen.len());
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        let hourly = Schedule::new("0 * * * *", Europe::Paris).unwrap();
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert_eq!((hourly.next_after(at), hourly.last_until(at)), (None, None));
        }
    }
}
