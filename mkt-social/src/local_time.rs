//! Conversion of many UTC timestamps to one time zone.

use chrono::{DateTime, NaiveDate, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

const DAY: i64 = 86_400;
/// Cached days: eleven years of posts in any order.
const SLOTS: usize = 4_096;

/// Converts timestamps to one zone. The offset is looked up once per UTC day without a clock change, instead of once
/// per post.
pub(crate) struct LocalClock {
    zone: Tz,
    /// By the day modulo [`SLOTS`]: the day, and the offset if it holds all day long.
    days: Vec<(i64, Option<i64>)>,
}

/// A local day and hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    /// Days since 1 January 1970.
    pub(crate) day: i64,
    /// 0 to 23.
    pub(crate) hour: usize,
}

impl Local {
    pub(crate) fn date(self) -> NaiveDate {
        let days = TimeDelta::try_days(self.day).unwrap_or_default();
        NaiveDate::default().checked_add_signed(days).unwrap_or_default()
    }

    /// 0 (Monday) to 6.
    pub(crate) fn weekday(self) -> usize {
        // 1 January 1970 was a Thursday.
        (self.day + 3).rem_euclid(7) as usize
    }
}

impl LocalClock {
    pub(crate) fn new(zone: Tz) -> Self {
        Self { zone, days: vec![(i64::MIN, None); SLOTS] }
    }

    /// The local time of a timestamp in seconds since 1970.
    pub(crate) fn local(&mut self, seconds: i64) -> Local {
        let day = seconds.div_euclid(DAY);
        let slot = day.rem_euclid(SLOTS as i64) as usize;
        let (_, offset) = match self.days.get(slot) {
            Some(known) if known.0 == day => *known,
            _ => {
                let (start, end) = (self.offset(day * DAY), self.offset((day + 1) * DAY));
                let looked_up = (day, (start == end).then_some(start));
                if let Some(place) = self.days.get_mut(slot) {
                    *place = looked_up;
                }
                looked_up
            }
        };
        let local = seconds + offset.unwrap_or_else(|| self.offset(seconds));
        Local { day: local.div_euclid(DAY), hour: (local.rem_euclid(DAY) / 3_600) as usize }
    }

    fn offset(&self, seconds: i64) -> i64 {
        let at = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
        i64::from(self.zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, Timelike};

    #[test]
    fn local_time_agrees_with_chrono_tz_over_clock_changes() {
        // Every 17 minutes of two years: clock changes of an hour, of half an hour, and at midnight.
        for zone in [chrono_tz::Europe::Paris, chrono_tz::Australia::Lord_Howe, chrono_tz::America::Santiago]
        {
            let mut clock = LocalClock::new(zone);
            for seconds in (1_735_689_600..1_735_689_600 + 2 * 365 * DAY).step_by(17 * 60) {
                let expected = DateTime::from_timestamp(seconds, 0).unwrap().with_timezone(&zone);
                let local = clock.local(seconds);
                assert_eq!(
                    (local.date(), local.hour),
                    (expected.date_naive(), expected.hour() as usize),
                    "{expected}"
                );
                assert_eq!(local.weekday(), expected.weekday().num_days_from_monday() as usize, "{expected}");
            }
        }
    }

    #[test]
    fn timestamp_before_1970_has_its_local_hour() {
        let mut clock = LocalClock::new(Tz::UTC);
        assert_eq!(clock.local(-1), Local { day: -1, hour: 23 });
        assert_eq!(clock.local(-1).weekday(), 2, "31 December 1969 was a Wednesday");
    }
}
