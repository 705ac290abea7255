//! Numbers and dates as a French or an English reader writes them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

/// Language of labels, numbers and dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English: `1,234.5`, `12.3%`, `24 Oct 2026`.
    #[default]
    En,
    /// French: `1 234,5`, `12,3 %` (narrow no-break spaces), `24 oct. 2026`.
    Fr,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// Rounded to a whole number.
    Integer,
    /// With this many decimals (at most 12).
    Decimal(u8),
    /// A ratio, written as a percentage with this many decimals: 0.123 is `12.3%` with one.
    Percent(u8),
}

impl Format {
    /// The same kind of number with as many decimals as two ticks `step` apart need to differ.
    pub(super) fn for_step(self, step: f64) -> Self {
        let decimals = |step: f64| (0_u8..12).find(|d| has_decimals(step, *d)).unwrap_or(12);
        match self {
            Self::Percent(_) => Self::Percent(decimals(step * 100.0)),
            Self::Integer | Self::Decimal(_) => Self::Decimal(decimals(step)),
        }
    }
}

fn has_decimals(step: f64, decimals: u8) -> bool {
    let scaled = step * 10_f64.powi(i32::from(decimals));
    scaled.round() >= 1.0 && (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
}

impl Lang {
    /// `en` or `fr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.pick("en", "fr")
    }

    /// One of two texts.
    #[must_use]
    pub fn pick<T>(self, english: T, french: T) -> T {
        match self {
            Self::En => english,
            Self::Fr => french,
        }
    }

    /// A value as text; a value that is not finite is a dash.
    ///
    /// ```
    /// use mkt_connect::chart::{Format, Lang};
    ///
    /// assert_eq!(Lang::En.number(1234.5, Format::Decimal(1)), "1,234.5");
    /// assert_eq!(Lang::Fr.number(0.0456, Format::Percent(1)), "4,6\u{202f}%");
    /// ```
    #[must_use]
    pub fn number(self, value: f64, format: Format) -> String {
        let (value, decimals) = match format {
            Format::Integer => (value, 0),
            Format::Decimal(decimals) => (value, usize::from(decimals.min(12))),
            Format::Percent(decimals) => (value * 100.0, usize::from(decimals.min(12))),
        };
        if !value.is_finite() {
            return "–".to_owned();
        }
        let plain = format!("{:.decimals$}", value.abs());
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let mut text = String::with_capacity(plain.len() + 8);
        if value < 0.0 && plain.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
            text.push('−');
        }
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                text.push(self.pick(',', '\u{202f}'));
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(self.pick('.', ','));
            text.push_str(fraction);
        }
        if matches!(format, Format::Percent(_)) {
            text.push_str(self.pick("%", "\u{202f}%"));
        }
        text
    }

    /// A day as text.
    #[must_use]
    pub fn day(self, day: NaiveDate) -> String {
        format!("{} {} {}", day.day(), self.month(day.month()), day.year())
    }

    /// The short name of a month (1 to 12).
    pub(super) fn month(self, month: u32) -> &'static str {
        const EN: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const FR: [&str; 12] = [
            "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.",
        ];
        let names = self.pick(EN, FR);
        names.get((month as usize).wrapping_sub(1)).copied().unwrap_or("")
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An unknown language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a language of the report (fr or en)")]
pub struct UnknownLang(pub String);

impl FromStr for Lang {
    type Err = UnknownLang;

    /// Parses `fr` or `en`, ignoring case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "en" => Ok(Self::En),
            "fr" => Ok(Self::Fr),
            _ => Err(UnknownLang(text.trim().chars().take(20).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_language() {
        let cases = [
            (0.0, Format::Integer, "0", "0"),
            (-0.001, Format::Decimal(2), "0.00", "0,00"),
            (-1234.5, Format::Decimal(1), "−1,234.5", "−1\u{202f}234,5"),
            (1_234_567.0, Format::Integer, "1,234,567", "1\u{202f}234\u{202f}567"),
            (0.1234, Format::Percent(1), "12.3%", "12,3\u{202f}%"),
            (f64::NAN, Format::Percent(1), "–", "–"),
            (f64::INFINITY, Format::Integer, "–", "–"),
        ];
        for (value, format, english, french) in cases {
            assert_eq!(Lang::En.number(value, format), english, "{value}");
            assert_eq!(Lang::Fr.number(value, format), french, "{value}");
        }
    }

    #[test]
    fn ticks_get_just_the_decimals_that_tell_them_apart() {
        assert_eq!(Format::Percent(1).for_step(0.005), Format::Percent(1));
        assert_eq!(Format::Percent(1).for_step(0.01), Format::Percent(0));
        assert_eq!(Format::Integer.for_step(0.25), Format::Decimal(2));
        assert_eq!(Format::Decimal(3).for_step(500.0), Format::Decimal(0));
    }

    #[test]
    fn days_are_written_in_words() {
        let day = NaiveDate::from_ymd_opt(2026, 8, 1).unwrap();
        assert_eq!(Lang::En.day(day), "1 Aug 2026");
        assert_eq!(Lang::Fr.day(day), "1 août 2026");
    }

    #[test]
    fn a_language_is_read_whatever_its_case_and_refused_by_name() {
        assert_eq!(" FR ".parse(), Ok(Lang::Fr));
        assert_eq!(
            "de".parse::<Lang>().unwrap_err().to_string(),
            "\"de\" is not a language of the report (fr or en)"
        );
    }
}
