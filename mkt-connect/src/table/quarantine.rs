//! A row that was set aside.

use super::cell::CellError;
use super::encoding::Encoding;
use std::borrow::Cow;
use std::fmt;

/// Bytes of a quarantined row that are kept.
pub const MAX_RAW: usize = 4096;

/// A row that was set aside: where it is, what it is, and why it was not read.
///
/// `Debug` and `Display` show no content of the row: it may hold personal data.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct Quarantined {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The byte of the file at which the row begins, from 0, byte order mark included.
    pub offset: u64,
    /// Why it was set aside.
    pub reason: Reason,
    raw: Box<[u8]>,
}

impl Quarantined {
    /// A row set aside. Of `raw`, the first [`MAX_RAW`] bytes are kept.
    #[must_use]
    pub fn new(line: u64, offset: u64, raw: &[u8], reason: impl Into<Reason>) -> Self {
        let raw = raw.get(..MAX_RAW).unwrap_or(raw).into();
        Self { line, offset, reason: reason.into(), raw }
    }

    /// The row as it stands in the file, without its line end, at most [`MAX_RAW`] bytes; of a UTF-16 file, the same
    /// text in UTF-8. Of a row with a broken quotation mark, its first line. May hold personal data.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("line", &self.line)
            .field("offset", &self.offset)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Why a row was set aside. The text holds no content of the row beyond the shape of one cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A quotation mark is opened and not closed, or text follows the closing one.
    #[error("unclosed quotation mark, or text after the closing one")]
    Quote,
    /// The record has no end within the limit.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The row contradicts the encoding of the file.
    #[error("not {encoding}, the encoding of the file; declare the encoding if that is wrong")]
    Encoding {
        /// The encoding of the file.
        encoding: Encoding,
    },
    /// The row holds a NUL character, which no database stores in text.
    #[error("holds a NUL character")]
    Nul,
    /// The row has too few or too many fields.
    #[error("{found} fields, the header has {expected}")]
    Width {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A cell cannot be read.
    #[error("column {column:?}: {error}")]
    Cell {
        /// The column, as the reader or the file names it.
        column: Cow<'static, str>,
        /// What is wrong with the cell.
        error: CellError,
    },
    /// A rule of the reading crate.
    #[error("{text}")]
    Rule {
        /// A stable word for programs.
        code: &'static str,
        /// One clause without content of the row.
        text: Cow<'static, str>,
    },
}

impl Reason {
    /// A rule of the reading crate: a stable word for programs, and one clause without content of the row.
    #[must_use]
    pub fn rule(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Rule { code, text: text.into() }
    }

    /// A cell of `column` that cannot be read.
    #[must_use]
    pub fn cell(column: impl Into<Cow<'static, str>>, error: CellError) -> Self {
        Self::Cell { column: column.into(), error }
    }

    /// A stable word for programs: `quote`, `too_long`, `encoding`, `nul`, `width`, the [code](super::cell::CellProblem::code)
    /// of a cell's problem, or that of a rule.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::TooLong { .. } => "too_long",
            Self::Encoding { .. } => "encoding",
            Self::Nul => "nul",
            Self::Width { .. } => "width",
            Self::Cell { error, .. } => error.problem.code(),
            Self::Rule { code, .. } => code,
        }
    }
}
