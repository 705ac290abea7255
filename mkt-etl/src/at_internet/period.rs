//! When: periods in the site's zone, fixed or relative to now.

use chrono::{NaiveDate, NaiveDateTime};
use std::fmt;

macro_rules! granularities {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A unit of time. Only version 2 knows all of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Granularity { $($(#[$doc])* $variant,)* }

        impl Granularity {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written: `D`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            pub(super) fn named(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    // The vendor's pages write minutes both ways.
                    "Mn" => Some(Self::Minute),
                    "Mne" => Some(Self::EventMinute),
                    _ => None,
                }
            }
        }
    };
}

granularities! {
    /// Years.
    Year = "Y",
    /// Half years.
    Semester = "S",
    /// Quarters.
    Quarter = "Q",
    /// Months.
    Month = "M",
    /// Weeks, from the day that the account's profile begins them with.
    Week = "W",
    /// Days.
    Day = "D",
    /// Hours in which visits began.
    Hour = "H",
    /// Hours in which events happened.
    EventHour = "He",
    /// Minutes in which visits began.
    Minute = "MN",
    /// Minutes in which events happened.
    EventMinute = "MNe",
}

/// A year, a part of one, a day, or a part of a day, in the site's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// `2018`.
    Year(u16),
    /// `2018-02`: the second half year, quarter, month or week, by the granularity beside it.
    Part(u16, u8),
    /// `2018-02-21`.
    Day(NaiveDate),
    /// `2018-02-21T08`.
    Hour(NaiveDate, u8),
    /// `2018-02-21T08:29`.
    Minute(NaiveDate, u8, u8),
    /// `2018-02-21T08:29:59`, beside days: how clients of version 3 ask for a part of a day.
    Second(NaiveDateTime),
}

const SECONDS: &str = "%Y-%m-%dT%H:%M:%S";

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Year(year) => write!(f, "{year:04}"),
            Self::Part(year, part) => write!(f, "{year:04}-{part:02}"),
            Self::Day(day) => write!(f, "{day}"),
            Self::Hour(day, hour) => write!(f, "{day}T{hour:02}"),
            Self::Minute(day, hour, minute) => write!(f, "{day}T{hour:02}:{minute:02}"),
            Self::Second(time) => write!(f, "{}", time.format(SECONDS)),
        }
    }
}

impl Moment {
    /// Reads the text that goes with a granularity; nothing for any other.
    #[must_use]
    pub fn read(granularity: Granularity, text: &str) -> Option<Self> {
        let digits = |text: &str, count: usize| {
            (text.len() == count && text.bytes().all(|b| b.is_ascii_digit()))
                .then_some(text)?
                .parse::<u16>()
                .ok()
        };
        let day = |text: &str| {
            let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
            let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
            NaiveDate::from_ymd_opt(i32::from(year), month.into(), day.into())
        };
        let small = |text: &str, limit: u16| {
            digits(text, 2).filter(|value| *value < limit).and_then(|value| u8::try_from(value).ok())
        };
        match granularity {
            Granularity::Year => digits(text, 4).map(Self::Year),
            Granularity::Semester | Granularity::Quarter | Granularity::Month | Granularity::Week => {
                let (year, part) = text.split_once('-')?;
                let most = match granularity {
                    Granularity::Semester => 2,
                    Granularity::Quarter => 4,
                    Granularity::Month => 12,
                    _ => 53,
                };
                let part = small(part, most + 1).filter(|part| *part > 0)?;
                Some(Self::Part(digits(year, 4)?, part))
            }
            Granularity::Day => match text.len() {
                10 => day(text).map(Self::Day),
                19 => NaiveDateTime::parse_from_str(text, SECONDS).ok().map(Self::Second),
                _ => None,
            },
            Granularity::Hour | Granularity::EventHour => {
                let (date, hour) = text.split_once('T')?;
                Some(Self::Hour(day(date)?, small(hour, 24)?))
            }
            Granularity::Minute | Granularity::EventMinute => {
                let (date, time) = text.split_once('T')?;
                let (hour, minute) = time.split_once(':')?;
                Some(Self::Minute(day(date)?, small(hour, 24)?, small(minute, 60)?))
            }
        }
    }
}

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From the beginning of `start` to the end of `end`.
    Absolute {
        /// The unit.
        granularity: Granularity,
        /// First.
        start: Moment,
        /// Last, included.
        end: Moment,
    },
    /// So many units from the current one, which is 0: `-1` is the one before.
    Relative {
        /// The unit.
        granularity: Granularity,
        /// First.
        start: i32,
        /// Last, included.
        end: i32,
    },
}

impl Period {
    /// One day.
    #[must_use]
    pub fn day(day: NaiveDate) -> Self {
        Self::days(day, day)
    }

    /// The days `first` to `last`, both included.
    #[must_use]
    pub fn days(first: NaiveDate, last: NaiveDate) -> Self {
        Self::Absolute { granularity: Granularity::Day, start: Moment::Day(first), end: Moment::Day(last) }
    }

    /// One unit, relative to the current one.
    #[must_use]
    pub fn relative(granularity: Granularity, offset: i32) -> Self {
        Self::Relative { granularity, start: offset, end: offset }
    }
}
