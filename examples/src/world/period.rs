//! The days that a world lasts, and the shop's clock: days and hours are those of Europe/Paris, instants are
//! Unix seconds in UTC. No instant of a world lies outside its UTC days.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::{Europe::Paris, Tz};

/// The shop's time zone.
pub(crate) const ZONE: Tz = Paris;

/// Nothing starts later than this on the last day, so that everything ends inside the period.
const LAST_START: i64 = 22 * 3600 - 1;

/// First and last day, both included.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub(crate) start: NaiveDate,
    pub(crate) end: NaiveDate,
}

impl Period {
    /// A period of the years 2000 to 2099, at most three years long.
    ///
    /// # Errors
    /// One clause that says what is wrong with it.
    pub fn new(start: NaiveDate, end: NaiveDate) -> Result<Self, String> {
        if start > end {
            return Err(format!("the period is empty: it starts on {start} and ends on {end}"));
        }
        if start.year() < 2000 || end.year() > 2099 {
            return Err(format!("the period {start} to {end} leaves the years 2000 to 2099"));
        }
        if (end - start).num_days() >= 3 * 366 {
            return Err(format!("the period {start} to {end} is longer than three years"));
        }
        Ok(Self { start, end })
    }

    /// 00:00:00 UTC of the first day.
    pub(crate) fn origin(&self) -> i64 {
        midnight_utc(self.start)
    }

    /// 00:00:00 UTC after the last day.
    pub(crate) fn close(&self) -> i64 {
        midnight_utc(self.end) + 86_400
    }

    /// Number of days.
    pub(crate) fn len(&self) -> u64 {
        (self.end - self.start).num_days() as u64 + 1
    }

    /// The day number `index`, the first being 0.
    pub(crate) fn day(&self, index: u64) -> NaiveDate {
        self.start + Days::new(index)
    }

    pub(crate) fn days(&self) -> impl Iterator<Item = NaiveDate> {
        let period = *self;
        (0..period.len()).map(move |index| period.day(index))
    }

    /// Calendar months between the first month and the month of `date`.
    pub(crate) fn month_of(&self, date: NaiveDate) -> u32 {
        ((date.year() - self.start.year()) * 12 + date.month() as i32 - self.start.month() as i32).max(0)
            as u32
    }

    /// The part of calendar month number `index` that lies in the period.
    pub(crate) fn month(&self, index: u32) -> (NaiveDate, NaiveDate) {
        let first = self.start.with_day(1).unwrap_or(self.start) + Months::new(index);
        let last = first + Months::new(1) - Days::new(1);
        (first.max(self.start), last.min(self.end))
    }

    /// The instant of a second of a local day. In the hour that spring skips the clock is one hour further;
    /// in the hour that autumn repeats, `second_pass` chooses.
    pub(crate) fn instant(&self, date: NaiveDate, second_of_day: i64, second_pass: bool) -> i64 {
        let second = if date == self.end { second_of_day.min(LAST_START) } else { second_of_day };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second.clamp(0, 86_399) as u32, 0);
        let local = date.and_time(time.unwrap_or_default());
        let found = ZONE.from_local_datetime(&local);
        let instant = if second_pass { found.latest() } else { found.earliest() }
            .or_else(|| ZONE.from_local_datetime(&(local + chrono::Duration::hours(1))).earliest())
            .map_or_else(|| local.and_utc().timestamp(), |t| t.timestamp());
        // Paris is ahead of UTC: the first local hours of the first day belong to the UTC day before.
        if instant < self.origin() { instant + 3 * 3600 } else { instant }
    }

    /// Instants inside the period at which the local clock changes, with the seconds it moves by.
    pub(crate) fn clock_changes(&self) -> Vec<(i64, i32)> {
        let hours = (self.close() - self.origin()) / 3600;
        (1..hours)
            .map(|hour| self.origin() + hour * 3600)
            .filter_map(|t| {
                let step = offset(t) - offset(t - 1);
                (step != 0).then_some((t, step))
            })
            .collect()
    }
}

fn midnight_utc(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp()
}

fn offset(instant: i64) -> i32 {
    use chrono::Offset as _;
    local(instant).offset().fix().local_minus_utc()
}

/// The shop's clock at an instant.
pub(crate) fn local(instant: i64) -> DateTime<Tz> {
    utc(instant).and_utc().with_timezone(&ZONE)
}

pub(crate) fn local_day(instant: i64) -> NaiveDate {
    local(instant).date_naive()
}

pub(crate) fn local_hour(instant: i64) -> usize {
    local(instant).hour() as usize
}

/// The UTC clock at an instant; its Display is the files' form, `2026-05-03 16:12:00`.
pub(crate) fn utc(instant: i64) -> NaiveDateTime {
    DateTime::from_timestamp(instant, 0).unwrap_or_default().naive_utc()
}
