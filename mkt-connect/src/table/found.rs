//! What was found out about a table, for the answer of whoever reads it.

use super::cell::{DateOrder, DecimalMark};
use super::encoding::Encoding;
use super::header::Header;
use serde::Serialize;
use std::fmt;

/// How something was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum How {
    /// The caller said so.
    Declared,
    /// By the byte order mark.
    ByteOrderMark,
    /// By a line `sep=;` before the header.
    SepLine,
    /// By the header.
    Header,
    /// By what the file holds.
    Content,
    /// Nothing decided it.
    Default,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declared => "declared",
            Self::ByteOrderMark => "byte order mark",
            Self::SepLine => "line sep=",
            Self::Header => "found in the header",
            Self::Content => "found in the file",
            Self::Default => "default",
        })
    }
}

/// A value, and how it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decided<T> {
    /// The value.
    pub value: T,
    /// How it was decided.
    pub how: How,
    /// The line that decided it, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl<T> Decided<T> {
    /// A value decided in this way.
    pub fn new(value: T, how: How) -> Self {
        Self { value, how, line: None }
    }

    /// A value proven by what the file holds on this line.
    pub fn proven(value: T, line: u64) -> Self {
        Self { value, how: How::Content, line: Some(line) }
    }

    /// The same decision about another form of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Decided<U> {
        Decided { value: change(self.value), how: self.how, line: self.line }
    }
}

impl<T: fmt::Display> fmt::Display for Decided<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} ({}, line {line})", self.value, self.how),
            None => write!(f, "{} ({})", self.value, self.how),
        }
    }
}

/// One column of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundColumn {
    /// Its name in the file; `column 4` without one, `name (2)` for the second of a name.
    pub name: String,
    /// What it is read as; `None` where it is not read.
    pub read_as: Option<String>,
    /// Whether another column has the same name, or it has none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub numbered: bool,
    /// The decimal mark, in a column of amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal_mark: Option<Decided<DecimalMark>>,
    /// The order of day and month, in a column of dates or timestamps that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_order: Option<Decided<DateOrder>>,
    /// Anything else that was found out, one clause each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What was found out about a table, and how. `Display` gives lines of text; it serialises for JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// The encoding; `None` where all bytes are ASCII.
    pub encoding: Option<Decided<Encoding>>,
    /// The delimiter.
    pub delimiter: Decided<char>,
    /// Lines skipped before the header because the caller said so.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped_lines: u64,
    /// The line of the header, from 1.
    pub header_line: u64,
    /// The columns.
    pub columns: Vec<FoundColumn>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Found {
    pub(super) fn new(
        encoding: Option<Decided<Encoding>>,
        delimiter: Decided<char>,
        skipped_lines: u64,
        header_line: u64,
    ) -> Self {
        Self { encoding, delimiter, skipped_lines, header_line, columns: Vec::new() }
    }

    pub(super) fn name_columns(&mut self, header: &Header) {
        let column = |index| {
            let name = header.label(index).to_owned();
            let written = header.names().get(index).map_or("", String::as_str);
            let numbered =
                written.is_empty() || header.names().iter().filter(|held| *held == written).count() > 1;
            FoundColumn {
                name,
                read_as: None,
                numbered,
                decimal_mark: None,
                date_order: None,
                notes: Vec::new(),
            }
        };
        self.columns = (0..header.len()).map(column).collect();
    }

    pub(super) fn decide_encoding(&mut self, encoding: Encoding, line: u64) {
        self.encoding = Some(Decided::proven(encoding, line));
    }

    /// Whether the encoding follows from the file's content, and not from a declaration or a mark.
    pub(super) fn encoding_is_found(&self) -> bool {
        self.encoding.is_some_and(|encoding| encoding.how == How::Content)
    }

    /// Says what a column is read as.
    pub fn read_as(&mut self, index: usize, name: impl Into<String>) {
        if let Some(column) = self.columns.get_mut(index) {
            column.read_as = Some(name.into());
        }
    }

    /// The names of the columns that are not read.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.read_as.is_none()).map(|column| column.name.as_str())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.encoding {
            Some(encoding) => writeln!(f, "encoding: {encoding}")?,
            None => writeln!(f, "encoding: ascii")?,
        }
        let delimiter = match self.delimiter.value {
            '\t' => "tab".to_owned(),
            other => other.to_string(),
        };
        writeln!(f, "delimiter: {delimiter} ({})", self.delimiter.how)?;
        if self.skipped_lines > 0 || self.header_line > 1 {
            writeln!(f, "header: line {}", self.header_line)?;
        }
        for column in &self.columns {
            let Some(read_as) = &column.read_as else { continue };
            write!(f, "column {:?}: read as {read_as}", column.name)?;
            if let Some(mark) = &column.decimal_mark {
                write!(f, ", decimal mark {mark}")?;
            }
            if let Some(order) = &column.date_order {
                write!(f, ", dates {order}")?;
            }
            for note in &column.notes {
                write!(f, ", {note}")?;
            }
            writeln!(f)?;
        }
        let ignored: Vec<&str> = self.ignored().collect();
        if !ignored.is_empty() {
            writeln!(f, "columns not read: {}", ignored.join(", "))?;
        }
        let numbered = self.columns.iter().filter(|column| column.numbered);
        let numbered: Vec<&str> = numbered.map(|column| column.name.as_str()).collect();
        if !numbered.is_empty() {
            writeln!(f, "columns without a name of their own: {}", numbered.join(", "))?;
        }
        Ok(())
    }
}
