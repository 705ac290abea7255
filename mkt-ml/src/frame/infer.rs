//! What a column of text holds: numbers or categories, and what is missing.

use mkt_connect::table::{
    Decided, How,
    cell::{self, DecimalEvidence, DecimalMark, Missing},
};

use super::{Column, ColumnKind, FrameError, Levels, MISSING_CODE, Values};
use crate::error::shown;

/// Of a hundred present cells of a numeric column, this many are numbers.
const NUMBERS_OF_100: usize = 99;
/// A column of categories is said to be one if one in so many cells is a number.
const WORTH_SAYING: usize = 10;
/// After so many rows, a column of which a tenth are no numbers is coded as categories, which takes less memory.
const PROBE: usize = 4096;

/// What all columns share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) missing: &'a Missing,
    /// Declared, or proven by a column.
    pub(super) mark: Option<DecimalMark>,
    /// Whether a word for missing values is a number, such as -999.
    pub(super) numbers_missing: bool,
}

/// The line of each row: rows mostly follow one another.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rows: usize,
    /// A row whose line is not the one after the row before, and its line.
    jumps: Vec<(usize, u64)>,
}

impl Lines {
    pub(super) fn push(&mut self, line: u64) {
        if self.of(self.rows) != line {
            self.jumps.push((self.rows, line));
        }
        self.rows += 1;
    }

    fn of(&self, row: usize) -> u64 {
        let last = self.jumps.partition_point(|(jump, _)| *jump <= row).checked_sub(1);
        last.and_then(|at| self.jumps.get(at)).map_or(0, |(jump, line)| line + (row - jump) as u64)
    }
}

/// The cells of one column while it is read.
#[derive(Debug, Default)]
pub(super) struct Cells {
    rows: usize,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// As long as the column may be numeric.
    Texts(Texts),
    /// Categories by level. Levels keep their texts, so numbers can still be read from them.
    Codes { levels: Levels, codes: Vec<u32> },
}

impl Default for Held {
    fn default() -> Self {
        Self::Texts(Texts::default())
    }
}

/// A column and what is to be said of it.
#[derive(Debug)]
pub(super) struct Inferred {
    pub(super) column: Column,
    pub(super) mark: Option<Decided<DecimalMark>>,
    pub(super) notes: Vec<String>,
}

impl Cells {
    /// Adds a cell, trimmed.
    pub(super) fn push(&mut self, text: &str, rules: &Rules<'_>) {
        self.rows += 1;
        match &mut self.held {
            Held::Texts(texts) => {
                texts.push(text);
                if self.rows == PROBE && self.strangers(rules) > PROBE / 10 {
                    self.code();
                }
            }
            Held::Codes { levels, codes } => codes.push(levels.code(text)),
        }
    }

    /// Rows that are neither numbers nor missing.
    fn strangers(&self, rules: &Rules<'_>) -> usize {
        let mut strangers = 0;
        self.distinct(|text, count, _| {
            if number(text, DecimalMark::Comma).is_none()
                && number(text, DecimalMark::Point).is_none()
                && !rules.missing.is(text)
            {
                strangers += count;
            }
        });
        strangers
    }

    /// Codes all cells as categories.
    fn code(&mut self) {
        if let Held::Texts(texts) = &self.held {
            let mut levels = Levels::default();
            let codes = texts.iter().map(|text| levels.code(text)).collect();
            self.held = Held::Codes { levels, codes };
        }
    }

    /// Whether the cells are numbers and prove a decimal comma.
    pub(super) fn proves_comma(&self, rules: &Rules<'_>) -> bool {
        self.has_comma()
            && self.is_numeric_with(DecimalMark::Comma, rules)
            && self.evidence().decide(None).is_some_and(|mark| mark.value == DecimalMark::Comma)
    }

    fn has_comma(&self) -> bool {
        match &self.held {
            Held::Texts(texts) => texts.text.contains(','),
            Held::Codes { levels, .. } => levels.names().iter().any(|level| level.contains(',')),
        }
    }

    /// Every cell with how many rows hold it.
    fn distinct(&self, mut each: impl FnMut(&str, usize, usize)) {
        match &self.held {
            Held::Texts(texts) => texts.iter().enumerate().for_each(|(row, text)| each(text, 1, row)),
            Held::Codes { levels, codes } => {
                let mut counts = vec![(0, usize::MAX); levels.names().len()];
                for (row, code) in codes.iter().enumerate() {
                    if let Some((count, first)) = counts.get_mut(*code as usize) {
                        *count += 1;
                        *first = row.min(*first);
                    }
                }
                levels
                    .names()
                    .iter()
                    .zip(counts)
                    .for_each(|(level, (count, first))| each(level, count, first));
            }
        }
    }

    fn evidence(&self) -> DecimalEvidence {
        let mut evidence = DecimalEvidence::default();
        self.distinct(|text, count, first| {
            for _ in 0..count.min(100) {
                evidence.see(text, first as u64);
            }
        });
        evidence
    }

    fn is_numeric_with(&self, mark: DecimalMark, rules: &Rules<'_>) -> bool {
        let (mut present, mut numbers) = (0, 0);
        self.distinct(|text, count, _| {
            if !rules.missing.is(text) {
                present += count;
                numbers += if number(text, mark).is_some() { count } else { 0 };
            }
        });
        enough(numbers, present)
    }

    /// The column, its decimal mark if a comma or declared, and what to note about it.
    ///
    /// # Errors
    /// A column declared numeric with other cells; numbers with two meanings.
    pub(super) fn finish(
        self,
        name: &str,
        declared: Option<ColumnKind>,
        expected: Option<ColumnKind>,
        declared_mark: Option<DecimalMark>,
        rules: &Rules<'_>,
        lines: &Lines,
    ) -> Result<Inferred, FrameError> {
        if declared.or(expected) == Some(ColumnKind::Categorical) {
            return Ok(self.categories(name, Vec::new(), rules));
        }
        let must = declared.or(expected) == Some(ColumnKind::Numeric);
        let mark = self.mark(name, declared_mark, rules, lines)?;
        let value = mark.map_or(DecimalMark::Point, |mark| mark.value);
        // Every cell that is neither a number nor missing, and the first row of them.
        let (mut present, mut strangers, mut first) = (0, 0, usize::MAX);
        let mut read = |text: &str, count: usize, row: usize| {
            if text.is_empty() {
                return f64::NAN;
            }
            let number = number(text, value);
            // Words for missing values may be numbers, such as -999.
            if (number.is_none() || rules.numbers_missing) && rules.missing.is(text) {
                return f64::NAN;
            }
            present += count;
            number.unwrap_or_else(|| {
                strangers += count;
                first = first.min(row);
                f64::NAN
            })
        };
        let numbers: Vec<f64> = match &self.held {
            Held::Texts(texts) => texts.iter().enumerate().map(|(row, text)| read(text, 1, row)).collect(),
            Held::Codes { codes, .. } => {
                let mut by_code = Vec::new();
                self.distinct(|text, count, row| by_code.push(read(text, count, row)));
                codes.iter().map(|code| by_code.get(*code as usize).copied().unwrap_or(f64::NAN)).collect()
            }
        };
        let line = lines.of(first.min(self.rows.saturating_sub(1)));
        if strangers > 0 && declared == Some(ColumnKind::Numeric) {
            return Err(FrameError::NotANumber { column: shown(name), line });
        }
        if must && strangers * 2 > present {
            return Err(FrameError::NotANumber { column: shown(name), line });
        }
        let mut notes = Vec::new();
        let what = format!("{strangers} of {present} cells are not numbers (first: line {line})");
        if !must && !enough(present - strangers, present) {
            if (present - strangers) * WORTH_SAYING >= present {
                notes.push(format!("{what}, read as categories"));
            }
            return Ok(self.categories(name, notes, rules));
        }
        if strangers > 0 {
            notes.push(format!("{what}, taken as missing"));
        }
        let mark = mark.filter(|mark| mark.value == DecimalMark::Comma || mark.how == How::Declared);
        Ok(Inferred {
            column: Column { name: name.to_owned(), values: Values::Numeric(numbers) },
            mark,
            notes,
        })
    }

    /// The decimal mark; `None` for a point that nothing speaks against.
    fn mark(
        &self,
        name: &str,
        declared: Option<DecimalMark>,
        rules: &Rules<'_>,
        lines: &Lines,
    ) -> Result<Option<Decided<DecimalMark>>, FrameError> {
        if let Some(mark) = declared {
            return Ok(Some(Decided::new(mark, How::Declared)));
        }
        let numeric = |mark| self.is_numeric_with(mark, rules);
        let refused = |evidence: &DecimalEvidence| {
            let row = evidence.ambiguous().map_or(0, |(_, row)| row as usize);
            FrameError::DecimalMark { column: shown(name), line: lines.of(row) }
        };
        if rules.mark == Some(DecimalMark::Comma) && !self.has_comma() {
            // Another column has proven the comma: numbers such as 1.234 may be thousands here, others may not.
            let evidence = self.evidence();
            let unclear = evidence.decide(None).is_none() && evidence.ambiguous().is_some();
            return if unclear && numeric(DecimalMark::Point) { Err(refused(&evidence)) } else { Ok(None) };
        }
        if !self.has_comma() || !(numeric(DecimalMark::Comma) || numeric(DecimalMark::Point)) {
            return Ok(None);
        }
        let evidence = self.evidence();
        let proven = evidence.decide(None).map(|mut mark| {
            mark.line = mark.line.map(|row| lines.of(row as usize));
            mark
        });
        // Another column has proven the comma.
        let shared = rules.mark.map(|mark| Decided::new(mark, How::Content));
        match proven.or(shared) {
            Some(mark) => Ok(Some(mark)),
            None => Err(refused(&evidence)),
        }
    }

    fn categories(mut self, name: &str, mut notes: Vec<String>, rules: &Rules<'_>) -> Inferred {
        self.code();
        let (levels, codes) = match self.held {
            Held::Codes { levels, codes } => (levels, codes),
            Held::Texts(_) => (Levels::default(), Vec::new()),
        };
        let mut counts = vec![0_usize; levels.names().len()];
        for code in &codes {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        // The codes of levels that stay, in the order in which they were met.
        let (mut kept, mut place, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for (level, count) in levels.into_names().into_iter().zip(counts) {
            if rules.missing.is(&level) {
                place.push(MISSING_CODE);
                if !level.is_empty() {
                    words.push(format!("`{}` ({count})", shown(&level)));
                }
            } else {
                place.push(kept.len() as u32);
                kept.push(level);
            }
        }
        let codes =
            codes.iter().map(|code| place.get(*code as usize).copied().unwrap_or(MISSING_CODE)).collect();
        if !words.is_empty() {
            notes.push(format!("words taken as missing: {}", words.join(", ")));
        }
        let values = Values::Categorical { levels: kept, codes };
        Inferred { column: Column { name: name.to_owned(), values }, mark: None, notes }
    }
}

/// Whether the numbers among the present cells make a column numeric; a column without a present cell is.
fn enough(numbers: usize, present: usize) -> bool {
    numbers as u128 * 100 >= present as u128 * NUMBERS_OF_100 as u128
}

/// A number with this decimal mark, thousands separated by the other sign, spaces or apostrophes. Infinite where it is
/// beyond the range of an f64, which the frame refuses by name and row.
fn number(text: &str, mark: DecimalMark) -> Option<f64> {
    if let Some(number) = cell::float(text, mark) {
        return Some(number);
    }
    match text.trim_start_matches(['+', '-']) {
        "inf" | "Inf" | "INF" | "infinity" | "Infinity" => return Some(f64::INFINITY),
        _ => {}
    }
    cell::decimal(text, Some(mark)).ok()?.to_string().parse().ok()
}

/// The texts of one column, end to end: a `String` each would cost three times the memory.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    /// The length of each; [`LONG`] for those that are in `long`.
    lengths: Vec<u8>,
    /// The lengths of longer texts, in order.
    long: Vec<u32>,
}

/// A length that does not fit a byte.
const LONG: u8 = u8::MAX;

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        match u8::try_from(text.len()) {
            Ok(length) if length < LONG => self.lengths.push(length),
            _ => {
                self.lengths.push(LONG);
                self.long.push(text.len() as u32);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let (mut start, mut long) = (0, self.long.iter());
        self.lengths.iter().map(move |&length| {
            let length = match length {
                LONG => long.next().map_or(0, |length| *length as usize),
                length => usize::from(length),
            };
            let text = self.text.get(start..start + length).unwrap_or_default();
            start += length;
            text
        })
    }
}
