//! Counts, amounts, percentages.

use super::{CellError, CellProblem, trimmed};
use crate::table::found::Decided;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The sign between whole and fraction. The other one of the two separates thousands, as spaces and apostrophes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecimalMark {
    /// `1,234.5`
    Point,
    /// `1.234,5`
    Comma,
}

impl DecimalMark {
    /// The sign.
    #[must_use]
    pub const fn char(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }

    const fn of(byte: u8) -> Self {
        if byte == b',' { Self::Comma } else { Self::Point }
    }

    const fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }
}

impl fmt::Display for DecimalMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Point => "point",
            Self::Comma => "comma",
        })
    }
}

impl std::str::FromStr for DecimalMark {
    type Err = NoDecimalMark;

    /// Parses `point`, `dot`, `.`, `comma` or `,`.
    fn from_str(text: &str) -> Result<Self, NoDecimalMark> {
        match text.to_ascii_lowercase().as_str() {
            "point" | "dot" | "." => Ok(Self::Point),
            "comma" | "," => Ok(Self::Comma),
            _ => Err(NoDecimalMark),
        }
    }
}

impl Serialize for DecimalMark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A decimal mark that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown decimal mark: expected point or comma")]
pub struct NoDecimalMark;

/// A number taken apart: its digits, and the signs between them.
struct Parts<'a> {
    negative: bool,
    /// From the first digit or mark on.
    body: Cow<'a, str>,
    /// Whether thousands were separated by spaces or apostrophes; they are taken out of `body`.
    spaced: bool,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’')
}

/// The parts of a number made of digits, points, commas and one kind of other separator; `None` for anything else.
fn parts(text: &str) -> Option<Parts<'_>> {
    let (negative, body) = match text.chars().next()? {
        '-' | '−' => (true, text.trim_start_matches(['-', '−'])),
        '+' => (false, text.strip_prefix('+')?),
        _ => (false, text),
    };
    if negative && text.chars().count() != body.chars().count() + 1 {
        return None;
    }
    if body.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')) {
        return Some(Parts { negative, body: Cow::Borrowed(body), spaced: false });
    }
    let sign = body.chars().find(|c| is_space(*c))?;
    let whole = body.find(['.', ',']).unwrap_or(body.len());
    let (whole, fraction) = body.split_at(whole);
    if !groups(whole.split(sign)) || !fraction.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','))
    {
        return None;
    }
    let plain: String = whole.chars().filter(|c| *c != sign).chain(fraction.chars()).collect();
    Some(Parts { negative, body: Cow::Owned(plain), spaced: true })
}

/// Whether these are groups of three digits behind one of one to three that does not begin with 0.
fn groups<'a>(mut groups: impl Iterator<Item = &'a str>) -> bool {
    let first = groups.next().unwrap_or_default();
    let is_number = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let mut any = false;
    let rest = groups.all(|group| {
        any = true;
        group.len() == 3 && is_number(group)
    });
    let leads = matches!(first.len(), 1..=3) && is_number(first) && !first.starts_with('0');
    rest && any && leads
}

/// A count: a whole number from 0 up. A count has no fraction, so points or commas before groups of three digits separate
/// thousands, whatever the decimal mark of other columns: `1.234` is 1234. Where `mark` is declared, that sign never
/// separates thousands. A fraction of zeros is allowed (`12.0`, `12,00`), but never one of three zeros. Exponents,
/// underscores and signs are refused.
///
/// ```
/// use mkt_connect::table::cell::{DecimalMark, count};
/// for text in ["1234", "1,234", "1.234", "1 234", "1'234", "1234.0"] {
///     assert_eq!(count(text, None), Ok(1234));
/// }
/// for text in ["1.5", "0.123", "1.2K", "1e3", "1_000", "-1", "1234.000"] {
///     assert!(count(text, None).is_err(), "{text}");
/// }
/// assert!(count("1.000", Some(DecimalMark::Point)).is_err());
/// ```
///
/// # Errors
/// [`CellProblem::Count`], [`CellProblem::Empty`].
#[inline]
pub fn count(text: &str, mark: Option<DecimalMark>) -> Result<u64, CellError> {
    // Nearly every cell holds a few digits.
    let bytes = text.as_bytes();
    if (1..=18).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit) {
        return Ok(bytes.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    long_count(trimmed(text), mark)
}

fn long_count(text: &str, mark: Option<DecimalMark>) -> Result<u64, CellError> {
    let wrong =
        || CellError::new(if text.is_empty() { CellProblem::Empty } else { CellProblem::Count }, text);
    if text.starts_with(['-', '−', '+']) {
        return Err(wrong());
    }
    let parts = parts(text).ok_or_else(wrong)?;
    let body = &*parts.body;
    // A last sign with zeros behind it, but not three, is a fraction of zero.
    let (whole, fraction) = match body.rfind(['.', ',']) {
        Some(at) => {
            let fraction = body.get(at + 1..).unwrap_or_default();
            let is_zero = !fraction.is_empty() && fraction.len() != 3 && fraction.bytes().all(|b| b == b'0');
            if is_zero { (body.get(..at).unwrap_or_default(), body.get(at..at + 1)) } else { (body, None) }
        }
        None => (body, None),
    };
    if fraction.is_some_and(|sign| mark.is_some_and(|mark| !sign.starts_with(mark.char()))) {
        return Err(wrong());
    }
    let plain: Cow<'_, str> = match whole.chars().find(|c| !c.is_ascii_digit()) {
        None => Cow::Borrowed(whole),
        Some(sign) => {
            let is_mark =
                mark.is_some_and(|mark| mark.char() == sign) || fraction.is_some_and(|f| f.starts_with(sign));
            if parts.spaced || is_mark || !groups(whole.split(sign)) {
                return Err(wrong());
            }
            Cow::Owned(whole.chars().filter(|c| *c != sign).collect())
        }
    };
    plain.parse().map_err(|_| wrong())
}

/// A decimal number with this decimal mark; the other sign, spaces and apostrophes may separate thousands. With `None`,
/// numbers that read the same with either mark only: the others are [`CellProblem::DecimalMark`]. [`DecimalEvidence`] finds the mark of a column.
/// Exponents, underscores and a mark without digits behind it are refused, as are more than 28 digits.
///
/// ```
/// use mkt_connect::table::cell::{CellProblem, DecimalMark::{Comma, Point}, decimal};
/// assert_eq!(decimal("1 234,50", Some(Comma)).unwrap().to_string(), "1234.50");
/// assert_eq!(decimal("1.234", Some(Comma)).unwrap().to_string(), "1234");
/// assert_eq!(decimal("1.234", Some(Point)).unwrap().to_string(), "1.234");
/// assert_eq!(decimal("1.234", None).unwrap_err().problem, CellProblem::DecimalMark);
/// assert!(decimal("1e3", Some(Point)).is_err() && decimal("12,50", Some(Point)).is_err());
/// ```
///
/// # Errors
/// [`CellProblem::Decimal`], [`CellProblem::DecimalMark`], [`CellProblem::Empty`].
#[inline]
pub fn decimal(text: &str, mark: Option<DecimalMark>) -> Result<Decimal, CellError> {
    if let Some(number) = short_decimal(text.as_bytes(), mark) {
        return Ok(number);
    }
    long_decimal(trimmed(text), mark)
}

/// The usual form: up to 17 digits, a minus, one mark that is known with digits on both sides.
#[inline]
fn short_decimal(bytes: &[u8], mark: Option<DecimalMark>) -> Option<Decimal> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 17 || !digits.first()?.is_ascii_digit() {
        return None;
    }
    let sign = mark.map(|mark| mark.char() as u8);
    let (mut number, mut scale) = (0_i64, None);
    for &byte in digits {
        if byte.is_ascii_digit() {
            number = number * 10 + i64::from(byte - b'0');
            scale = scale.map(|scale: u32| scale + 1);
        } else if Some(byte) == sign && scale.is_none() {
            scale = Some(0);
        } else {
            return None;
        }
    }
    if scale == Some(0) {
        return None;
    }
    Some(Decimal::new(if negative { -number } else { number }, scale.unwrap_or(0)))
}

fn long_decimal(text: &str, mark: Option<DecimalMark>) -> Result<Decimal, CellError> {
    let error = |problem| CellError::new(problem, text);
    if text.is_empty() {
        return Err(error(CellProblem::Empty));
    }
    let parts = parts(text).ok_or_else(|| error(CellProblem::Decimal))?;
    let body = &*parts.body;
    let Some(mark) = mark else {
        // Without a mark, only whole numbers, and thousands that no mark could be.
        if body.contains(['.', ',']) {
            return Err(error(CellProblem::DecimalMark));
        }
        return plain_decimal(parts.negative, body, "").ok_or_else(|| error(CellProblem::Decimal));
    };
    let (whole, fraction) = match body.split_once(mark.char()) {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(error(CellProblem::Decimal)),
        None => (body, ""),
    };
    let thousands = mark.other().char();
    let grouped = whole.contains(thousands);
    if grouped && (parts.spaced || !groups(whole.split(thousands))) {
        return Err(error(CellProblem::Decimal));
    }
    let whole: String = whole.chars().filter(|c| *c != thousands).collect();
    plain_decimal(parts.negative, &whole, fraction).ok_or_else(|| error(CellProblem::Decimal))
}

fn plain_decimal(negative: bool, whole: &str, fraction: &str) -> Option<Decimal> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // `from_str_exact` refuses what it would have to round.
    let number =
        Decimal::from_str_exact(&format!("{}.{fraction}0", if whole.is_empty() { "0" } else { whole }))
            .ok()?;
    let mut number = if negative { -number } else { number };
    number.rescale(fraction.len() as u32);
    Some(number)
}

/// A percentage with its sign, as a ratio: `12,5 %` is 0.125.
///
/// # Errors
/// As [`decimal`]; [`CellProblem::Decimal`] without a percent sign.
pub fn percentage(text: &str, mark: Option<DecimalMark>) -> Result<Decimal, CellError> {
    let text = trimmed(text);
    let number = text.strip_suffix('%').ok_or_else(|| CellError::new(CellProblem::Decimal, text))?;
    Ok((decimal(trimmed(number), mark)? / Decimal::ONE_HUNDRED).normalize())
}

/// A floating-point number with this decimal mark. Exponents are numbers (`1e-3`); thousands separators, underscores,
/// infinities and NaN are not. `None` for anything else.
#[must_use]
#[inline]
pub fn float(text: &str, mark: DecimalMark) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let text = trimmed(text);
    let sign = mark.char() as u8;
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Up to 15 digits are exact, and so is their quotient by a power of ten (Clinger 1990), as the standard library reads.
    if digits.len() <= 16 && digits.first().is_some_and(u8::is_ascii_digit) {
        let (mut number, mut count, mut point) = (0_u64, 0, None);
        for &byte in digits {
            if byte.is_ascii_digit() {
                number = number * 10 + u64::from(byte - b'0');
                count += 1;
            } else if byte == sign && point.is_none() {
                point = Some(count);
            } else {
                return slow_float(text, mark);
            }
        }
        if count <= 15 {
            let power = POWERS.get(count - point.unwrap_or(count)).copied().unwrap_or(1.0);
            let number = number as f64 / power;
            return Some(if negative { -number } else { number });
        }
    }
    slow_float(text, mark)
}

fn slow_float(text: &str, mark: DecimalMark) -> Option<f64> {
    let allowed = |byte: u8| {
        byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'e' | b'E') || byte == mark.char() as u8
    };
    if !text.bytes().all(allowed) {
        return None;
    }
    match mark {
        DecimalMark::Point => text.parse().ok(),
        DecimalMark::Comma => text.replace(',', ".").parse().ok(),
    }
}

/// A number without the currency that stands before or after it, and that currency: a sign (`€ $ £ ¥`) or three capital
/// letters. `12,50 €` gives `12,50` and `€`.
#[must_use]
pub fn split_currency(text: &str) -> (&str, Option<&str>) {
    let text = trimmed(text);
    let is_sign = |c: char| matches!(c, '€' | '$' | '£' | '¥');
    let is_code = |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let digit = |c: char| c.is_ascii_digit();
    let (Some(first), Some(last)) = (text.find(digit), text.rfind(digit)) else { return (text, None) };
    let (head, tail) = (text.get(..first).unwrap_or_default(), text.get(last + 1..).unwrap_or_default());
    let is_currency = |part: &str| is_code(part) || (part.chars().count() == 1 && part.chars().all(is_sign));
    if is_currency(trimmed(tail)) {
        return (trimmed(text.get(..last + 1).unwrap_or_default()), Some(trimmed(tail)));
    }
    let minus = head.trim_start_matches(|c: char| is_sign(c) || c.is_ascii_uppercase() || is_space(c));
    let part = head.strip_suffix(minus).map_or(head, trimmed);
    if is_currency(part) && (minus.is_empty() || minus == "-" || minus == ".") {
        let start = first - minus.len();
        return (text.get(start..).unwrap_or_default(), Some(part));
    }
    (text, None)
}

/// Evidence of the decimal mark of a column of amounts. A sign with other than three digits behind it, or a zero or
/// more than three digits before it, is the mark; a sign that stands twice, or before the other one, separates thousands.
/// `1.234` proves nothing.
///
/// ```
/// use mkt_connect::table::cell::{DecimalEvidence, DecimalMark, decimal};
/// let mut evidence = DecimalEvidence::default();
/// for (line, cell) in [(2, "1.234"), (3, "12,50"), (4, "7")] {
///     evidence.see(cell, line);
/// }
/// let mark = evidence.decide(None).unwrap();
/// assert_eq!((mark.value, mark.line), (DecimalMark::Comma, Some(3)));
/// assert_eq!(decimal("1.234", Some(mark.value)).unwrap().to_string(), "1234");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecimalEvidence {
    point: Proof,
    comma: Proof,
    /// Cells that have two meanings, and the line of the first.
    ambiguous: Proof,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Proof {
    cells: u64,
    line: u64,
}

impl Proof {
    fn add(&mut self, line: u64) {
        if self.cells == 0 {
            self.line = line;
        }
        self.cells += 1;
    }
}

/// What one number says about the decimal mark.
enum Says {
    Nothing,
    Ambiguous,
    Mark(DecimalMark),
}

fn says(text: &str) -> Says {
    if !text.bytes().any(|byte| matches!(byte, b'.' | b',')) {
        return Says::Nothing;
    }
    let Some(parts) = parts(text) else { return Says::Nothing };
    let body = &*parts.body;
    let Some(last) = body.rfind(['.', ',']) else { return Says::Nothing };
    let (whole, fraction) = (body.get(..last).unwrap_or_default(), body.get(last + 1..).unwrap_or_default());
    let sign = DecimalMark::of(body.as_bytes().get(last).copied().unwrap_or_default());
    let (same, other) = (whole.matches(sign.char()).count(), whole.matches(sign.other().char()).count());
    if fraction.is_empty() || (same > 0 && other > 0) {
        return Says::Nothing;
    }
    if other > 0 {
        return if groups(whole.split(sign.other().char())) { Says::Mark(sign) } else { Says::Nothing };
    }
    if same > 0 {
        return if groups(body.split(sign.char())) { Says::Mark(sign.other()) } else { Says::Nothing };
    }
    if parts.spaced || fraction.len() != 3 || whole.is_empty() || whole.len() > 3 || whole.starts_with('0') {
        return Says::Mark(sign);
    }
    Says::Ambiguous
}

impl DecimalEvidence {
    /// Looks at one cell. Currency signs around the number are allowed.
    #[inline]
    pub fn see(&mut self, text: &str, line: u64) {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        match says(split_currency(text).0) {
            Says::Nothing => {}
            Says::Ambiguous => self.ambiguous.add(line),
            Says::Mark(DecimalMark::Point) => self.point.add(line),
            Says::Mark(DecimalMark::Comma) => self.comma.add(line),
        }
    }

    /// Adds what another part of the same column proved.
    pub fn merge(&mut self, later: &Self) {
        for (own, later) in [
            (&mut self.point, &later.point),
            (&mut self.comma, &later.comma),
            (&mut self.ambiguous, &later.ambiguous),
        ] {
            if own.cells == 0 {
                own.line = later.line;
            }
            own.cells += later.cells;
        }
    }

    /// The mark: the declared one; else the one that the column proves, by ten times as many cells as the other where both
    /// were proven; else `None`, with which [`decimal`] refuses what is ambiguous. Where no cell has a sign at all, the
    /// point by default.
    #[must_use]
    pub fn decide(&self, declared: Option<DecimalMark>) -> Option<Decided<DecimalMark>> {
        use super::super::found::How;
        if let Some(mark) = declared {
            return Some(Decided::new(mark, How::Declared));
        }
        let (point, comma) = (self.point, self.comma);
        if point.cells > 0 && point.cells >= comma.cells.saturating_mul(10) {
            Some(Decided::proven(DecimalMark::Point, point.line))
        } else if comma.cells > 0 && comma.cells >= point.cells.saturating_mul(10) {
            Some(Decided::proven(DecimalMark::Comma, comma.line))
        } else if point.cells + comma.cells + self.ambiguous.cells == 0 {
            Some(Decided::new(DecimalMark::Point, How::Default))
        } else {
            None
        }
    }

    /// Cells with two meanings, and the line of the first of them.
    #[must_use]
    pub fn ambiguous(&self) -> Option<(u64, u64)> {
        (self.ambiguous.cells > 0).then_some((self.ambiguous.cells, self.ambiguous.line))
    }
}
