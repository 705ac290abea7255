//! Dates and timestamps.

use super::{CellError, CellProblem, trimmed};
use crate::table::found::{Decided, How};
use chrono::{DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use serde::{Serialize, Serializer};
use std::fmt;

/// The order of a date such as 03/04/2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateOrder {
    /// 3 April.
    DayFirst,
    /// March 4.
    MonthFirst,
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DayFirst => "day first",
            Self::MonthFirst => "month first",
        })
    }
}

impl Serialize for DateOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::DayFirst => "day_first",
            Self::MonthFirst => "month_first",
        })
    }
}

/// A date order that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown date order: expected day-first or month-first")]
pub struct NoDateOrder;

impl std::str::FromStr for DateOrder {
    type Err = NoDateOrder;

    /// Parses `day-first`, `day_first`, `dmy`, `month-first`, `month_first` or `mdy`.
    fn from_str(text: &str) -> Result<Self, NoDateOrder> {
        match text.to_ascii_lowercase().as_str() {
            "day-first" | "day_first" | "dmy" => Ok(Self::DayFirst),
            "month-first" | "month_first" | "mdy" => Ok(Self::MonthFirst),
            _ => Err(NoDateOrder),
        }
    }
}

/// The unit of timestamps that are numbers since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epoch {
    /// Seconds; a fraction is allowed.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

/// A timestamp as a file writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// With an offset, or a number since 1970.
    Instant(DateTime<Utc>),
    /// Without: a local time of a zone that must be declared.
    Local(NaiveDateTime),
}

impl Stamp {
    /// The instant; a local time is one of `zone`. Of an hour that comes twice in autumn, the first.
    ///
    /// # Errors
    /// [`CellProblem::Zone`] for a local time without a zone, [`CellProblem::Skipped`] for one that the change of the
    /// clocks skips.
    pub fn in_zone<Z: TimeZone>(self, zone: Option<&Z>) -> Result<DateTime<Utc>, CellError> {
        let local = match self {
            Self::Instant(at) => return Ok(at),
            Self::Local(local) => local,
        };
        let zone = zone.ok_or_else(|| CellError::new(CellProblem::Zone, ""))?;
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.to_utc()),
            LocalResult::None => Err(CellError::new(CellProblem::Skipped, "")),
        }
    }
}

/// How timestamps are written. What is not declared is read where it has one meaning only:
///
/// - `2026-05-02 19:10:24`, with `T`, `/` or `.` for the separators, without seconds, with a fraction (point or comma),
///   one digit where one is enough, `AM` or `PM` behind; `20260502T191024`;
/// - behind it `Z`, `UTC`, `GMT`, `+02`, `+0200`, `+02:00`, with or without a space;
/// - `03/04/2026 19:10`, with `.` or `-`, where the date order is declared or proven by [`DateEvidence`];
/// - months in words, in English and French: `Aug 3, 2026 4:02 PM`, `Mon, 03 Aug 2026 04:02:00 +0000` (RFC 2822),
///   `3 août 2026 16:02`.
///
/// Numbers since 1970 need [`epoch`](Self::epoch), other forms a [`pattern`](Self::pattern). A date without a time is no
/// timestamp. 24:00:00 and a 60th second are refused.
///
/// ```
/// use mkt_connect::table::cell::{DateOrder, Epoch, TimeFormat};
/// let format = TimeFormat::new();
/// let utc = |text| format.parse(text).unwrap().in_zone(None::<&chrono::Utc>).unwrap().to_rfc3339();
/// for text in ["2026-05-02T17:10:24Z", "2026-05-02 19:10:24 +0200", "2026-05-02 17:10:24 UTC", "2026-05-02 07:10:24 PM+02"] {
///     assert_eq!(utc(text), "2026-05-02T17:10:24+00:00", "{text}");
/// }
/// let error = format.parse("02/05/2026 19:10").unwrap_err();
/// assert_eq!(error.to_string(), "ambiguous date; declare the date order (day first or month first) (like \"99/99/9999 99:99\")");
/// assert!(format.clone().date_order(DateOrder::DayFirst).parse("02/05/2026 19:10").is_ok());
/// assert!(format.parse("1777741824").is_err());
/// assert!(format.epoch(Epoch::Seconds).parse("1777741824").is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeFormat {
    order: Option<DateOrder>,
    epoch: Option<Epoch>,
    pattern: Option<String>,
}

impl TimeFormat {
    /// Nothing declared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the order of day and month.
    #[must_use]
    pub fn date_order(mut self, order: impl Into<Option<DateOrder>>) -> Self {
        self.order = order.into();
        self
    }

    /// Declares that timestamps are numbers since 1970.
    #[must_use]
    pub fn epoch(mut self, epoch: impl Into<Option<Epoch>>) -> Self {
        self.epoch = epoch.into();
        self
    }

    /// Declares a pattern of [`chrono::format::strftime`]; timestamps of other forms are refused then. A pattern of a date
    /// alone, such as `%m/%d/%y`, gives the noon of the day.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<Option<String>>) -> Self {
        self.pattern = pattern.into();
        self
    }

    /// Parses a timestamp.
    ///
    /// # Errors
    /// [`CellProblem::Timestamp`], [`CellProblem::DateOrder`], [`CellProblem::Epoch`], [`CellProblem::Empty`].
    #[inline]
    pub fn parse(&self, text: &str) -> Result<Stamp, CellError> {
        if self.epoch.is_none()
            && self.pattern.is_none()
            && let Some(stamp) = usual(text.as_bytes())
        {
            return Ok(stamp);
        }
        self.parse_any(trimmed(text))
    }

    /// Parses a date and a time of day that stand in two columns.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_apart(&self, date: &str, time: &str) -> Result<Stamp, CellError> {
        self.parse(&format!("{} {}", trimmed(date), trimmed(time)))
    }

    fn parse_any(&self, text: &str) -> Result<Stamp, CellError> {
        let error = |problem| CellError::new(problem, text);
        if text.is_empty() {
            return Err(error(CellProblem::Empty));
        }
        if text.len() > 64 {
            return Err(error(CellProblem::Timestamp));
        }
        if let Some(pattern) = &self.pattern {
            let instant = DateTime::parse_from_str(text, pattern).map(|at| Stamp::Instant(at.to_utc()));
            let local = || NaiveDateTime::parse_from_str(text, pattern).map(Stamp::Local);
            // A pattern of a date alone is a declaration too: noon, so that the day is the same in most zones.
            let day =
                || NaiveDate::parse_from_str(text, pattern).ok()?.and_hms_opt(12, 0, 0).map(Stamp::Local);
            return instant
                .or_else(|_| local())
                .ok()
                .or_else(day)
                .ok_or_else(|| error(CellProblem::Timestamp));
        }
        if let Some(epoch) = self.epoch {
            return since_1970(text, epoch).map(Stamp::Instant).ok_or_else(|| error(CellProblem::Timestamp));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() >= 9 {
            return Err(error(CellProblem::Epoch));
        }
        let (date, rest) = leading_date(text, self.order).map_err(error)?;
        let rest = rest.strip_prefix(['T', 't', ',']).unwrap_or(rest);
        let rest = rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
        let rest = rest.strip_prefix("at ").or_else(|| rest.strip_prefix("à ")).unwrap_or(rest);
        let (time, offset) = time_and_offset(rest).ok_or_else(|| error(CellProblem::Timestamp))?;
        let local = date.and_time(time);
        Ok(match offset {
            None => Stamp::Local(local),
            Some(offset) => {
                let at = offset.from_local_datetime(&local).single();
                Stamp::Instant(at.ok_or_else(|| error(CellProblem::Timestamp))?.to_utc())
            }
        })
    }
}

/// Digits as a number.
#[inline]
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// The form in which most files write a time: `2026-05-01T11:50:00` or with a space, and nothing, `Z` or ` UTC` behind.
/// Read here because it takes a tenth of the time that the general way takes.
#[inline]
fn usual(text: &[u8]) -> Option<Stamp> {
    let (time, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T' | b' ', h1, h2, b':', mi1, mi2, b':', s1, s2] =
        *time
    else {
        return None;
    };
    let two = |a: u8, b: u8| {
        let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
        (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let date = NaiveDate::from_ymd_opt(year as i32, two(mo1, mo2)?, two(d1, d2)?)?;
    let local = date.and_hms_opt(two(h1, h2)?, two(mi1, mi2)?, two(s1, s2)?)?;
    match rest {
        b"" => Some(Stamp::Local(local)),
        b"Z" | b" UTC" => Some(Stamp::Instant(local.and_utc())),
        _ => None,
    }
}

fn since_1970(text: &str, epoch: Epoch) -> Option<DateTime<Utc>> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if epoch == Epoch::Seconds => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !is_number(digits) || !is_number(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    match epoch {
        Epoch::Seconds => {
            let nanos = nanoseconds(fraction)?;
            if number < 0 && nanos > 0 { None } else { DateTime::from_timestamp(number, nanos) }
        }
        Epoch::Milliseconds => DateTime::from_timestamp_millis(number),
        Epoch::Microseconds => DateTime::from_timestamp_micros(number),
    }
}

/// Digits of a fraction of a second; beyond nine they are cut.
fn nanoseconds(digits: &str) -> Option<u32> {
    let kept = digits.get(..digits.len().min(9))?;
    Some(number(kept.as_bytes())? * 10_u32.pow(9 - kept.len() as u32))
}

/// Three numbers between the same separators, and what follows them.
fn three(text: &str) -> Option<([&str; 3], char, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (a, rest) = text.split_at_checked(digits(text))?;
    let separator = rest.chars().next().filter(|c| matches!(c, '/' | '-' | '.'))?;
    let rest = rest.strip_prefix(separator)?;
    let (b, rest) = rest.split_at_checked(digits(rest))?;
    let rest = rest.strip_prefix(separator)?;
    let (c, rest) = rest.split_at_checked(digits(rest))?;
    (!a.is_empty() && !b.is_empty() && !c.is_empty()).then_some(([a, b, c], separator, rest))
}

/// The date at the beginning of a text, and what follows it.
fn leading_date(text: &str, order: Option<DateOrder>) -> Result<(NaiveDate, &str), CellProblem> {
    let wrong = CellProblem::Timestamp;
    if let Some(([a, b, c], _, rest)) = three(text) {
        let day_of = |year: &str, month: &str, day: &str| {
            let short = |text: &str| text.len() <= 2;
            let fits = year.len() == 4 && short(month) && short(day);
            let [year, month, day] = [year, month, day].map(|digits| number(digits.as_bytes()));
            fits.then(|| NaiveDate::from_ymd_opt(year? as i32, month?, day?)).flatten().ok_or(wrong)
        };
        let date = if a.len() == 4 {
            day_of(a, b, c)
        } else {
            match (order, number(a.as_bytes()), number(b.as_bytes())) {
                (Some(DateOrder::DayFirst), ..) => day_of(c, b, a),
                (Some(DateOrder::MonthFirst), ..) => day_of(c, a, b),
                (None, Some(1..=31), Some(1..=31)) if c.len() == 4 => Err(CellProblem::DateOrder),
                _ => Err(wrong),
            }
        };
        return date.map(|date| (date, rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 8 {
        let (date, rest) = text.split_at(8);
        return NaiveDate::parse_from_str(date, "%Y%m%d").map(|date| (date, rest)).map_err(|_| wrong);
    }
    date_in_words(text).ok_or(wrong)
}

/// `Mon, Aug 3, 2026`, `3 août 2026`, `03-Aug-2026`.
fn date_in_words(text: &str) -> Option<(NaiveDate, &str)> {
    let is_between = |c: char| matches!(c, ' ' | ',' | '.' | '-' | '\u{a0}');
    let (mut year, mut month, mut day) = (None, None, None);
    let mut rest = text;
    let mut words = 0;
    while year.is_none() || month.is_none() || day.is_none() {
        words += 1;
        let length = rest.find(is_between).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if words > 4 || word.is_empty() {
            return None;
        }
        match word.len() {
            4 if word.bytes().all(|byte| byte.is_ascii_digit()) => year = Some(number(word.as_bytes())?),
            1 | 2 if word.bytes().all(|byte| byte.is_ascii_digit()) && day.is_none() => {
                day = Some(number(word.as_bytes())?);
            }
            _ if month.is_none() && month_of(word).is_some() => month = month_of(word),
            // A weekday, only at the beginning.
            _ if words == 1 && word.chars().all(char::is_alphabetic) => {}
            _ => return None,
        }
        let done = year.is_some() && month.is_some() && day.is_some();
        rest = if done { after } else { after.trim_start_matches(is_between) };
    }
    Some((NaiveDate::from_ymd_opt(year? as i32, month?, day?)?, rest))
}

fn month_of(word: &str) -> Option<u32> {
    const MONTHS: [&[&str]; 12] = [
        &["jan", "january", "janv", "janvier"],
        &["feb", "february", "févr", "fevr", "fév", "février", "fevrier"],
        &["mar", "march", "mars"],
        &["apr", "april", "avr", "avril"],
        &["may", "mai"],
        &["jun", "june", "juin"],
        &["jul", "july", "juil", "juillet"],
        &["aug", "august", "août", "aout"],
        &["sep", "sept", "september", "septembre"],
        &["oct", "october", "octobre"],
        &["nov", "november", "novembre"],
        &["dec", "december", "déc", "décembre", "decembre"],
    ];
    let word = word.to_lowercase();
    MONTHS.iter().position(|names| names.contains(&word.as_str())).map(|index| index as u32 + 1)
}

/// A time of day, and the offset behind it.
fn time_and_offset(text: &str) -> Option<(NaiveTime, Option<FixedOffset>)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (hour, rest) = text.split_at_checked(digits(text))?;
    let (hour, minute, second, rest) = if hour.len() == 6 {
        let (hour, after) = hour.split_at(2);
        let (minute, second) = after.split_at(2);
        (hour, minute, second, rest)
    } else {
        let rest = rest.strip_prefix(':')?;
        let (minute, rest) = rest.split_at_checked(digits(rest))?;
        match rest.strip_prefix(':') {
            Some(rest) => {
                let (second, rest) = rest.split_at_checked(digits(rest))?;
                (hour, minute, second, rest)
            }
            None => (hour, minute, "00", rest),
        }
    };
    if !matches!(hour.len(), 1 | 2) || minute.len() != 2 || second.len() != 2 {
        return None;
    }
    let (nanos, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) if !second.is_empty() => {
            let (fraction, rest) = rest.split_at_checked(digits(rest))?;
            (if fraction.is_empty() { return None } else { nanoseconds(fraction)? }, rest)
        }
        _ => (0, rest),
    };
    let (half, rest) = half_of_day(rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']));
    let mut hour = number(hour.as_bytes())?;
    match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(is_pm) => hour = hour % 12 + 12 * u32::from(is_pm),
        None => {}
    }
    let time =
        NaiveTime::from_hms_nano_opt(hour, number(minute.as_bytes())?, number(second.as_bytes())?, nanos)?;
    let rest = rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
    if rest.is_empty() {
        return Some((time, None));
    }
    offset_of(rest).map(|offset| (time, Some(offset)))
}

/// `AM` or `PM` at the beginning, in any case, with or without points: whether it is the afternoon.
fn half_of_day(text: &str) -> (Option<bool>, &str) {
    for (word, is_pm) in [("am", false), ("pm", true), ("a.m.", false), ("p.m.", true)] {
        if let Some((head, rest)) = text.split_at_checked(word.len())
            && head.eq_ignore_ascii_case(word)
        {
            return (Some(is_pm), rest);
        }
    }
    (None, text)
}

fn offset_of(text: &str) -> Option<FixedOffset> {
    if ["z", "utc", "gmt"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return FixedOffset::east_opt(0);
    }
    // `GMT+2` and `UTC+02:00` are written too.
    let text = ["utc", "gmt"]
        .iter()
        .find_map(|word| text.split_at_checked(3).filter(|(head, _)| head.eq_ignore_ascii_case(word)))
        .map_or(text, |(_, rest)| rest);
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h] => (number(&[*h])?, 0),
        [h1, h2] => (number(&[*h1, *h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        _ => return None,
    };
    if minutes > 59 || hours > 18 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60) as i32)
}

/// A date without a time: `2026-05-02`, `2026/05/02`, `20260502`, months in words; `02/05/2026` in a declared or proven
/// order.
///
/// # Errors
/// [`CellProblem::Date`], [`CellProblem::DateOrder`], [`CellProblem::Empty`].
pub fn date(text: &str, order: Option<DateOrder>) -> Result<NaiveDate, CellError> {
    if let Some(date) = plain_date(text) {
        return Ok(date);
    }
    let text = trimmed(text);
    let error = |problem| CellError::new(problem, text);
    if text.is_empty() {
        return Err(error(CellProblem::Empty));
    }
    if text.len() > 64 {
        return Err(error(CellProblem::Date));
    }
    match leading_date(text, order) {
        Ok((date, "")) => Ok(date),
        Err(CellProblem::DateOrder) => Err(error(CellProblem::DateOrder)),
        _ => Err(error(CellProblem::Date)),
    }
}

/// A date of exactly the form `2026-05-02`.
#[must_use]
#[inline]
pub fn plain_date(text: &str) -> Option<NaiveDate> {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    if y.len() != 4 {
        return None;
    }
    NaiveDate::from_ymd_opt(number(y)? as i32, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
}

/// Whether a text is a date of zeros, as databases write where there is none: `0000-00-00`, with or without a time of
/// zeros.
#[must_use]
pub fn is_zero_date(text: &str) -> bool {
    let text = trimmed(text);
    text.starts_with("0000-00-00") && !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Evidence of the date order of a column: a first number above 12 is a day, and so is a second one.
///
/// ```
/// use mkt_connect::table::cell::{DateEvidence, DateOrder};
/// let mut evidence = DateEvidence::default();
/// evidence.see("08/03/2026 12:21 AM", 2);
/// assert!(evidence.decide(None).is_none());
/// evidence.see("08/13/2026 12:21 AM", 3);
/// assert_eq!(evidence.decide(None).unwrap().value, DateOrder::MonthFirst);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DateEvidence {
    day_first: (u64, u64),
    month_first: (u64, u64),
    ambiguous: (u64, u64),
}

impl DateEvidence {
    /// Looks at one cell: a date, or one with a time behind it.
    #[inline]
    pub fn see(&mut self, text: &str, line: u64) {
        let text = trimmed(text);
        // The year first: nothing to find out.
        if text.len() >= 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let Some(([a, b, c], ..)) = three(text) else { return };
        if c.len() != 4 || a.len() > 2 || b.len() > 2 {
            return;
        }
        let proof = match (number(a.as_bytes()), number(b.as_bytes())) {
            (Some(13..=31), Some(1..=12)) => &mut self.day_first,
            (Some(1..=12), Some(13..=31)) => &mut self.month_first,
            // The same day in either order.
            (Some(a @ 1..=12), Some(b @ 1..=12)) if a != b => &mut self.ambiguous,
            _ => return,
        };
        if proof.0 == 0 {
            proof.1 = line;
        }
        proof.0 += 1;
    }

    /// Adds what another part of the same column proved.
    pub fn merge(&mut self, later: &Self) {
        for (own, later) in [
            (&mut self.day_first, later.day_first),
            (&mut self.month_first, later.month_first),
            (&mut self.ambiguous, later.ambiguous),
        ] {
            *own = (own.0 + later.0, if own.0 == 0 { later.1 } else { own.1 });
        }
    }

    /// The order: the declared one; else the one that the column proves, by ten times as many cells as the other where
    /// both were proven; else `None`, with which dates of this form are refused.
    #[must_use]
    pub fn decide(&self, declared: Option<DateOrder>) -> Option<Decided<DateOrder>> {
        if let Some(order) = declared {
            return Some(Decided::new(order, How::Declared));
        }
        let (day, month) = (self.day_first, self.month_first);
        if day.0 > 0 && day.0 >= month.0.saturating_mul(10) {
            Some(Decided::proven(DateOrder::DayFirst, day.1))
        } else if month.0 > 0 && month.0 >= day.0.saturating_mul(10) {
            Some(Decided::proven(DateOrder::MonthFirst, month.1))
        } else {
            None
        }
    }

    /// Cells with two meanings, and the line of the first of them.
    #[must_use]
    pub fn ambiguous(&self) -> Option<(u64, u64)> {
        (self.ambiguous.0 > 0).then_some(self.ambiguous)
    }
}
