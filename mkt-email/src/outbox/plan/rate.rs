//! Rates and warm-ups.

use super::Limit;
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use std::time::Duration;

pub(super) const DAY: i64 = 24 * 3_600_000;

/// At most so many emails in any period of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub(super) most: u32,
    per: Duration,
}

impl Rate {
    /// At most `most` emails in any period of `per`, of at least a millisecond.
    #[must_use]
    pub fn new(most: u32, per: Duration) -> Self {
        Self { most, per: per.max(Duration::from_millis(1)) }
    }

    /// At most so many in any second.
    #[must_use]
    pub fn per_second(most: u32) -> Self {
        Self::new(most, Duration::from_secs(1))
    }

    /// At most so many in any minute.
    #[must_use]
    pub fn per_minute(most: u32) -> Self {
        Self::new(most, Duration::from_mins(1))
    }

    /// At most so many in any hour.
    #[must_use]
    pub fn per_hour(most: u32) -> Self {
        Self::new(most, Duration::from_hours(1))
    }

    /// At most so many in any 24 hours.
    #[must_use]
    pub fn per_day(most: u32) -> Self {
        Self::new(most, Duration::from_hours(24))
    }

    pub(super) fn millis(self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.millis() {
            1_000 => "second".to_owned(),
            60_000 => "minute".to_owned(),
            3_600_000 => "hour".to_owned(),
            DAY => "24 hours".to_owned(),
            other if other % 1_000 == 0 => format!("{} seconds", other / 1_000),
            other => format!("{other} milliseconds"),
        };
        write!(f, "{} per {unit}", self.most)
    }
}

/// A warm-up: a new address or domain that sends much at once is taken for a spammer, so what may be sent in any 24 hours
/// grows from day to day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    start: DateTime<Utc>,
    days: Vec<u32>,
}

impl WarmUp {
    /// So many emails on the first day (24 hours from `start`), on the second, and so on; no limit after the last, and none
    /// sent before `start`.
    #[must_use]
    pub fn new(start: DateTime<Utc>, days: impl Into<Vec<u32>>) -> Self {
        Self { start, days: days.into() }
    }

    /// `first` emails on the first day, twice as many on each day after it, as long as that is at most `last`.
    #[must_use]
    pub fn doubling(start: DateTime<Utc>, first: u32, last: u32) -> Self {
        let days = std::iter::successors(Some(first.max(1)), |day| day.checked_mul(2));
        Self::new(start, days.take_while(|day| *day <= last).collect::<Vec<_>>())
    }

    /// The limits, day by day.
    #[must_use]
    pub fn days(&self) -> &[u32] {
        &self.days
    }

    /// The limit at an instant; none after the last day.
    pub(super) fn limit(&self, at: DateTime<Utc>) -> Option<Limit> {
        if self.days.is_empty() {
            return None;
        }
        if at < self.start {
            let name = "warm-up: not begun".to_owned();
            return Some(Limit { most: 0, per: DAY, name, changes_at: Some(self.start) });
        }
        let day = usize::try_from((at - self.start).num_days()).ok()?;
        let most = u64::from(*self.days.get(day)?);
        let changes_at = i64::try_from(day + 1)
            .ok()
            .and_then(|days| self.start.checked_add_signed(TimeDelta::try_days(days)?));
        Some(Limit {
            most,
            per: DAY,
            name: format!("warm-up, day {}: {most} per 24 hours", day + 1),
            changes_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_doubles_until_the_last() {
        let start: DateTime<Utc> = "2026-10-26T08:00:00Z".parse().unwrap();
        let warm_up = WarmUp::doubling(start, 50, 1_000);
        assert_eq!(warm_up.days(), [50, 100, 200, 400, 800]);
        let most = |hours| warm_up.limit(start + TimeDelta::hours(hours)).map(|limit| limit.most);
        assert_eq!(
            (most(-1), most(0), most(23), most(24), most(119)),
            (Some(0), Some(50), Some(50), Some(100), Some(800))
        );
        assert_eq!(most(120), None);
        assert_eq!(warm_up.limit(start).unwrap().changes_at, Some(start + TimeDelta::hours(24)));
    }

    #[test]
    fn rate_reads_as_a_sentence() {
        assert_eq!(Rate::per_hour(500).to_string(), "500 per hour");
        assert_eq!(Rate::new(2, Duration::from_secs(90)).to_string(), "2 per 90 seconds");
        assert_eq!(Rate::new(2, Duration::ZERO).millis(), 1);
    }
}
