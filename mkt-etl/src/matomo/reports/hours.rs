//! The hours of a day, counted from its visits in the site's zone. Pure.
//!
//! VisitTime.getVisitInformationPerServerTime is not asked: it takes the zone's offset at the start of the day for the
//! whole day (plugins/VisitTime/RecordBuilders/ServerTime.php; matomo-org/matomo issues 9949 and 14504). On the days of
//! clock changes its hours are shifted from the change on, the hour that comes twice is one row, and the hour that does
//! not exist has visits (recorded: 29 March 2026, "02"). On every other day it says what is counted here.

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet, no_others};
use crate::matomo::answer::Row;
use crate::matomo::wire::Visit;
use crate::zone::{self, Zone};
use chrono::{DateTime, NaiveDate, Offset, TimeDelta, Timelike, Utc};
use rust_decimal::Decimal;
use serde_json::Map;
use std::collections::HashMap;

pub(super) static HOURS: Shape = Shape {
    place: "Live.getLastVisitsDetails",
    report: "hours",
    fields: &[
        Field::count("visits", "visits"),
        Field::count("actions", "actions"),
        Field::count("bounces", "bounces"),
        Field::count("seconds_on_site", "seconds_on_site"),
        Field::count("converted_visits", "converted_visits"),
    ],
    ratios: &[
        Ratio("bounce_rate", "bounces", "visits"),
        Ratio("conversion_rate", "converted_visits", "visits"),
        Ratio("actions_per_visit", "actions", "visits"),
        Ratio("time_per_visit", "seconds_on_site", "visits"),
    ],
    known: &[],
    is_known: no_others,
    foreign: &[],
};

/// An hour of a local day: what the clock shows, and how far ahead of UTC it is then. The hour that comes twice differs
/// in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Hour {
    hour: u32,
    offset_s: i32,
}

impl Hour {
    fn of(at: DateTime<Utc>, zone: Zone) -> Self {
        let local = at.with_timezone(&zone);
        Self { hour: local.hour(), offset_s: local.offset().fix().local_minus_utc() }
    }

    fn offset(self) -> String {
        let minutes = self.offset_s.abs() / 60;
        let sign = if self.offset_s < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// A visit as its hour counts it.
#[derive(Debug, Clone, Copy)]
struct Counted {
    start: DateTime<Utc>,
    actions: i64,
    seconds: i64,
    converted: bool,
}

/// The visits of a day by the hour in which they began.
#[derive(Debug)]
pub(super) struct Day {
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    zone: Zone,
    /// By visit: one that goes on while its day is read comes again.
    visits: HashMap<i64, Counted>,
}

impl Day {
    pub(super) fn new(day: NaiveDate, zone: Zone) -> Self {
        let next = day.succ_opt().unwrap_or(NaiveDate::MAX);
        let (begin, end) = (zone::day_start(day, zone), zone::day_start(next, zone));
        Self { begin, end, zone, visits: HashMap::new() }
    }

    /// Adds a visit; why not, for one that cannot be placed.
    pub(super) fn add(&mut self, visit: &Visit) -> Result<(), &'static str> {
        let id = visit.id_visit.ok_or("the visit has no idVisit")?;
        let start = visit.first_action_timestamp.and_then(|at| DateTime::from_timestamp(at, 0));
        let start = start.ok_or("the visit has no first timestamp")?;
        if start >= self.end {
            return Err("the visit began after its day");
        }
        let counted = Counted {
            start,
            actions: visit.actions.unwrap_or_default(),
            seconds: visit.visit_duration.unwrap_or_default(),
            converted: visit.visit_converted == Some(1),
        };
        self.visits.insert(id, counted);
        Ok(())
    }

    /// The hours of the day, in order: 24, or 23, 25 or another number on the day of a clock change.
    fn hours(&self) -> Vec<Hour> {
        let mut hours: Vec<Hour> = Vec::with_capacity(25);
        let mut at = self.begin;
        // Clocks change at multiples of a quarter of an hour.
        while at < self.end {
            let hour = Hour::of(at, self.zone);
            if hours.last() != Some(&hour) {
                hours.push(hour);
            }
            at += TimeDelta::minutes(15);
        }
        hours
    }

    /// The rows: one for every hour of the day, also of hours without visits. A visit over midnight, which Matomo counts
    /// on the day on which it ended, is in the day's first hour, and a note says how many there are.
    pub(super) fn write(&self, sheet: &mut Sheet<'_>) -> Option<String> {
        let mut sums: HashMap<Hour, [i64; 5]> = HashMap::new();
        let mut earlier = 0;
        for visit in self.visits.values() {
            earlier += u64::from(visit.start < self.begin);
            let sum = sums.entry(Hour::of(visit.start.max(self.begin), self.zone)).or_default();
            // Matomo's bounce: at most one action (core/DataAccess/LogAggregator.php).
            let numbers =
                [1, visit.actions, i64::from(visit.actions <= 1), visit.seconds, i64::from(visit.converted)];
            for (sum, number) in sum.iter_mut().zip(numbers) {
                *sum = sum.saturating_add(number);
            }
        }
        for hour in self.hours() {
            let numbers = sums.get(&hour).copied().unwrap_or_default();
            let fields: Map<_, _> = ["visits", "actions", "bounces", "seconds_on_site", "converted_visits"]
                .into_iter()
                .zip(numbers)
                .map(|(name, number)| (name.to_owned(), Decimal::from(number).to_string().into()))
                .collect();
            let dimensions = Dimensions::new()
                .text("hour", Some(&format!("{:02}", hour.hour)))
                .text("utc_offset", Some(&hour.offset()));
            sheet.add_as(&Row(fields), dimensions, false);
        }
        (earlier > 0).then(|| {
            format!("{earlier} visits began on the day before; they are counted in the first hour of the day on which they ended")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Australia, Europe};

    fn hours(day: &str, zone: chrono_tz::Tz) -> Vec<String> {
        let day = Day::new(day.parse().unwrap(), Zone::Named(zone));
        day.hours().iter().map(|hour| format!("{:02}{}", hour.hour, hour.offset())).collect()
    }

    #[test]
    fn days_of_clock_changes_have_23_and_25_hours() {
        let spring = hours("2026-03-29", Europe::Paris);
        assert_eq!((spring.len(), &spring[1..3]), (23, &["01+01:00".to_owned(), "03+02:00".to_owned()][..]));
        let autumn = hours("2026-10-25", Europe::Paris);
        assert_eq!((autumn.len(), &autumn[2..4]), (25, &["02+02:00".to_owned(), "02+01:00".to_owned()][..]));
        assert_eq!(hours("2026-06-01", Europe::Paris).len(), 24);
        // The southern half of the world changes the other way; Nepal is three quarters of an hour off.
        assert_eq!(hours("2026-04-05", Australia::Sydney).len(), 25);
        assert_eq!(hours("2026-06-01", Asia::Kathmandu)[0], "00+05:45");
        assert_eq!(hours("2026-06-01", America::St_Johns)[0], "00-02:30");
        // Lord Howe goes back by half an hour only: the second half of the hour comes twice.
        let howe = hours("2026-04-05", Australia::Lord_Howe);
        assert_eq!(
            (howe.len(), &howe[1..4]),
            (25, &["01+11:00", "01+10:30", "02+10:30"].map(str::to_owned)[..])
        );
    }
}
