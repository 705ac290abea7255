//! What a cell means as a value: counts, amounts, truth values, dates, timestamps. Pure.
//!
//! A meaning is declared, proven by the column, or refused with the option that decides it.

mod number;
mod time;

pub use number::{
    DecimalEvidence, DecimalMark, NoDecimalMark, count, decimal, float, percentage, split_currency,
};
pub use time::{
    DateEvidence, DateOrder, Epoch, NoDateOrder, Stamp, TimeFormat, date, is_zero_date, plain_date,
};

use std::collections::BTreeSet;
use std::fmt;

/// A cell that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{shape}")]
#[non_exhaustive]
pub struct CellError {
    /// What is wrong.
    pub problem: CellProblem,
    /// What the cell looks like: digits are `9`, letters are `a`, so that it holds no personal data.
    pub shape: Shape,
}

impl CellError {
    /// A problem of a cell with this text.
    #[must_use]
    pub fn new(problem: CellProblem, text: &str) -> Self {
        Self { problem, shape: Shape::of(text) }
    }
}

/// What is wrong with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CellProblem {
    /// The cell is empty and must not be.
    #[error("empty")]
    Empty,
    /// Not a whole number from 0 up.
    #[error("not a non-negative whole number")]
    Count,
    /// Not a decimal number.
    #[error("not a decimal number")]
    Decimal,
    /// A number that has two meanings.
    #[error("ambiguous number; declare the decimal mark (point or comma)")]
    DecimalMark,
    /// Beyond what is stored.
    #[error("number out of range")]
    Range,
    /// Neither true nor false.
    #[error("neither true nor false")]
    Boolean,
    /// Not a date.
    #[error("not a date (YYYY-MM-DD)")]
    Date,
    /// A date that has two meanings.
    #[error("ambiguous date; declare the date order (day first or month first)")]
    DateOrder,
    /// Not a timestamp.
    #[error("not a timestamp (YYYY-MM-DD HH:MM:SS)")]
    Timestamp,
    /// A number that may be a Unix timestamp.
    #[error("a number; declare the time format (seconds, milliseconds or microseconds since 1970)")]
    Epoch,
    /// A timestamp without an offset, where no zone is declared.
    #[error("a time without an offset; declare the time zone")]
    Zone,
    /// A local time that the change of the clocks skips.
    #[error("a local time that does not exist in the time zone")]
    Skipped,
}

impl CellProblem {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Count => "count",
            Self::Decimal => "decimal",
            Self::DecimalMark => "decimal_mark",
            Self::Range => "range",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateOrder => "date_order",
            Self::Timestamp => "timestamp",
            Self::Epoch => "epoch",
            Self::Zone => "zone",
            Self::Skipped => "skipped_time",
        }
    }
}

/// What a text looks like, without what it says: ` "9.999,99 a"`. At most 24 characters; nothing for an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(String);

impl Shape {
    /// The shape of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        const MOST: usize = 24;
        let mut shape: String = text
            .chars()
            .take(MOST)
            .map(|c| match c {
                c if c.is_numeric() => '9',
                c if c.is_alphabetic() => 'a',
                c if c.is_whitespace() || c.is_control() => ' ',
                c => c,
            })
            .collect();
        if text.chars().nth(MOST).is_some() {
            shape.push('…');
        }
        Self(shape)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shape {
    /// A space and the shape in quotation marks; nothing for an empty one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (like {:?})", self.0) }
    }
}

/// A text without the blanks around it: white space, no-break spaces, zero-width characters, byte order marks.
#[must_use]
#[inline]
pub fn trimmed(text: &str) -> &str {
    // Nearly every cell begins and ends with a visible ASCII character.
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (None, _) => text,
        (Some(b'!'..=b'~'), Some(b'!'..=b'~')) => text,
        _ => text.trim_matches(is_blank),
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\0')
}

/// A truth value, in English and French, without case: `true t yes y 1 1.0 on`, `oui o vrai`; `false f no n 0 0.0 off`,
/// `non faux`.
///
/// # Errors
/// [`CellProblem::Boolean`], [`CellProblem::Empty`].
pub fn boolean(text: &str) -> Result<bool, CellError> {
    const TRUE: [&str; 10] = ["true", "1", "yes", "y", "t", "oui", "o", "vrai", "1.0", "on"];
    const FALSE: [&str; 9] = ["false", "0", "no", "n", "f", "non", "faux", "0.0", "off"];
    let text = trimmed(text);
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&FALSE) {
        Ok(false)
    } else if is(&TRUE) {
        Ok(true)
    } else if text.is_empty() {
        Err(CellError::new(CellProblem::Empty, text))
    } else {
        Err(CellError::new(CellProblem::Boolean, text))
    }
}

/// The words that stand for a missing value. The empty cell always does.
///
/// ```
/// use mkt_connect::table::cell::Missing;
/// let missing = Missing::usual();
/// assert!(missing.is(" N/A ") && missing.is("#N/A") && missing.is("") && !missing.is("0"));
/// assert!(Missing::words(["unknown"]).is("UNKNOWN"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// In lower case.
    words: BTreeSet<String>,
    longest: usize,
    /// The first bytes of the words in either case, a bit each.
    first: [u64; 4],
}

impl Default for Missing {
    fn default() -> Self {
        Self::usual()
    }
}

impl Missing {
    /// What spreadsheets, databases and statistics programs write where there is no value, without case: `NA`, `N/A`,
    /// `N.A.`, `#N/A`, `NaN`, `null`, `(null)`, `nil`, `none`, `\N`, `?`, `-`, `--`, `–`, `—`, `.`, `missing`,
    /// `(not set)`, `#NULL!`, `<NA>`, `#VALUE!`, `#DIV/0!`, `#REF!`, `n/d`, `nd`.
    #[must_use]
    pub fn usual() -> Self {
        Self::words([
            "na",
            "n/a",
            "n.a.",
            "n.a",
            "#n/a",
            "#n/a n/a",
            "#na",
            "nan",
            "-nan",
            "null",
            "(null)",
            "nil",
            "none",
            "\\n",
            "?",
            "-",
            "--",
            "---",
            "–",
            "—",
            ".",
            "missing",
            "(not set)",
            "(none)",
            "#null!",
            "<na>",
            "#value!",
            "#div/0!",
            "#ref!",
            "#name?",
            "#num!",
            "n/d",
            "n.d.",
            "nd",
        ])
    }

    /// These words, without case, and the empty cell.
    pub fn words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let words: BTreeSet<String> =
            words.into_iter().map(|word| trimmed(word.as_ref()).to_lowercase()).collect();
        let mut missing = Self { words: BTreeSet::new(), longest: 0, first: [0; 4] };
        words.into_iter().for_each(|word| missing.add(word));
        missing
    }

    fn add(&mut self, word: String) {
        self.longest = self.longest.max(word.len());
        for text in [word.as_str(), word.to_uppercase().as_str()] {
            if let Some(&first) = text.as_bytes().first()
                && let Some(bits) = self.first.get_mut(usize::from(first / 64))
            {
                *bits |= 1 << (first % 64);
            }
        }
        self.words.insert(word);
    }

    /// Adds a word.
    #[must_use]
    pub fn with(mut self, word: &str) -> Self {
        self.add(trimmed(word).to_lowercase());
        self
    }

    /// Whether a text stands for a missing value, trimmed and without case.
    #[must_use]
    #[inline]
    pub fn is(&self, text: &str) -> bool {
        let text = trimmed(text);
        // Most cells begin with a character that begins none of the words.
        match text.as_bytes().first() {
            None => true,
            Some(first) => self.begins(*first) && self.is_word(text),
        }
    }

    fn begins(&self, first: u8) -> bool {
        self.first.get(usize::from(first / 64)).is_some_and(|bits| bits >> (first % 64) & 1 == 1)
    }

    fn is_word(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.words.iter().any(|word| word.eq_ignore_ascii_case(text));
        }
        // Lower case is at most three times as long.
        text.len() <= self.longest * 3 && self.words.contains(text.to_lowercase().as_str())
    }
}
