//! Lengths of time that know their unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// A twelfth of a year: 30.4375 days.
    Month,
    /// 365.25 days.
    Year,
}

impl Unit {
    /// How many days it has.
    #[must_use]
    pub fn days(self) -> f64 {
        match self {
            Self::Day => 1.0,
            Self::Week => 7.0,
            Self::Month => 365.25 / 12.0,
            Self::Year => 365.25,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}

/// A length of time, fractions allowed.
///
/// ```
/// use mkt_ml::lifetime::{Span, Unit};
///
/// assert_eq!(Span::weeks(2.0), Span::days(14.0));
/// assert_eq!(Span::days(14.0).in_unit(Unit::Week), 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
pub struct Span {
    days: f64,
}

impl Span {
    /// So many days.
    #[must_use]
    pub const fn days(days: f64) -> Self {
        Self { days }
    }

    /// So many weeks of seven days.
    #[must_use]
    pub const fn weeks(weeks: f64) -> Self {
        Self { days: weeks * 7.0 }
    }

    /// So many of `unit`.
    #[must_use]
    pub fn new(length: f64, unit: Unit) -> Self {
        Self { days: length * unit.days() }
    }

    /// The length in `unit`.
    #[must_use]
    pub fn in_unit(self, unit: Unit) -> f64 {
        self.days / unit.days()
    }
}

impl fmt::Display for Span {
    /// In days: `14 days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} days", self.days)
    }
}
