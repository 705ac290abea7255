//! Reads a frame from delimited text: CSV and its relatives.
//!
//! [`mkt_connect::table`] finds encoding, delimiter and records; [`super::infer`] decides what each column holds. Records
//! that do not fit are errors, never dropped: a model trained on a silently shortened table is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::Path,
};

use mkt_connect::table::{
    Encoding, Quarantined, ReadError, ReadOptions, Reason, Table,
    cell::{self, DecimalMark, Missing},
};

use super::{
    ColumnKind, Field, Frame, FrameError,
    infer::{Cells, Lines, Rules},
    listed,
};
use crate::error::shown;

/// How to read delimited text into a [`Frame`].
///
/// Found unless declared: encoding (UTF-8, UTF-16, Windows-1252), delimiter (comma, semicolon, tab or bar), and whether a
/// column holds numbers or categories. What was found is in [`Frame::found`] and [`Frame::notes`].
///
/// - **Missing**: the empty cell and the usual words (`NA`, `N/A`, `NaN`, `null`, `None`, `?`, `-`, `\N`, `#N/A` …, without
///   case: [`mkt_connect::table::cell::Missing::usual`]). Where such a word stands in a column of categories, a note says so.
/// - **Numbers**: a column of which at least 99 % of the present cells are numbers is numeric; the others are taken as
///   missing and noted. Below that the column is categorical, and a note says so if a tenth of it are numbers.
/// - **Decimal mark**: the point. A column whose cells prove a decimal comma (`12,50`) is read with it and noted; a column
///   of `1,234` alone has two meanings and is refused until [`CsvOptions::decimal_mark`] declares one. Exponents are
///   numbers.
/// - **Limits**: 2 GiB, 50 million rows, 4096 columns, 1 MiB a record.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    table: ReadOptions,
    kinds: BTreeMap<String, ColumnKind>,
    /// Kinds of columns that need not be there.
    expected: BTreeMap<String, ColumnKind>,
    names: BTreeMap<String, String>,
    missing: Missing,
    /// Words added by the caller, as given.
    words: BTreeSet<String>,
    decimal_mark: Option<DecimalMark>,
    max_bytes: u64,
    max_rows: usize,
    max_columns: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            table: ReadOptions::new(),
            kinds: BTreeMap::new(),
            expected: BTreeMap::new(),
            names: BTreeMap::new(),
            missing: Missing::usual(),
            words: BTreeSet::new(),
            decimal_mark: None,
            max_bytes: 2 << 30,
            max_rows: 50_000_000,
            max_columns: 4096,
        }
    }
}

impl CsvOptions {
    /// Declares the delimiter, one ASCII character. `None` (the default) finds it.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Option<u8>>) -> Self {
        self.table = self.table.delimiter(delimiter);
        self
    }

    /// Declares the encoding. `None` (the default) finds it.
    #[must_use]
    pub fn encoding(mut self, encoding: impl Into<Option<Encoding>>) -> Self {
        self.table = self.table.encoding(encoding);
        self
    }

    /// Declares the decimal mark of all columns; the other of point and comma then separates thousands.
    #[must_use]
    pub fn decimal_mark(mut self, mark: impl Into<Option<DecimalMark>>) -> Self {
        self.decimal_mark = mark.into();
        self
    }

    /// Skips lines before the header, such as a title (default 0).
    #[must_use]
    pub fn skip_lines(mut self, lines: u64) -> Self {
        self.table = self.table.skip_lines(lines);
        self
    }

    /// Reads the column that the file calls `theirs` as `ours`. Names are compared as written. A name that the file does
    /// not have is an error when reading.
    #[must_use]
    pub fn rename(mut self, theirs: impl Into<String>, ours: impl Into<String>) -> Self {
        self.names.insert(theirs.into(), ours.into());
        self
    }

    /// Declares a column's kind instead of inferring it: numeric codes of a browser, say, are categories. In a column
    /// declared numeric, a cell that is neither a number nor missing is an error. A name that the table does not have is
    /// an error when reading.
    #[must_use]
    pub fn kind(mut self, column: impl Into<String>, kind: ColumnKind) -> Self {
        self.kinds.insert(column.into(), kind);
        self
    }

    /// Reads columns as a model was fitted with them; the fields are those of [`crate::TrainedModel::schema`]. Unlike
    /// [`CsvOptions::kind`], columns may be absent, and up to half of the cells of a
    /// numeric column that are not numbers are taken as missing and noted.
    #[must_use]
    pub fn schema(mut self, fields: &[Field]) -> Self {
        self.expected.extend(fields.iter().map(|field| (field.name.clone(), field.kind)));
        self
    }

    /// Replaces the words that stand for a missing value, compared without case; the empty cell always does.
    #[must_use]
    pub fn missing<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.words = words.into_iter().map(str::to_owned).collect();
        self.missing = Missing::words(&self.words);
        self
    }

    /// Adds a word that stands for a missing value, such as `unknown` or `-999`.
    #[must_use]
    pub fn missing_word(mut self, word: &str) -> Self {
        self.missing = self.missing.with(word);
        self.words.insert(word.to_owned());
        self
    }

    /// Limits the bytes read.
    #[must_use]
    pub fn max_bytes(mut self, limit: u64) -> Self {
        self.max_bytes = limit;
        self
    }

    /// Limits the rows read.
    #[must_use]
    pub fn max_rows(mut self, limit: usize) -> Self {
        self.max_rows = limit;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FrameError`]: a file that cannot be opened, a record that does not fit, a limit reached, a column that cannot be
    /// read as declared.
    pub fn read_path(&self, path: impl AsRef<Path>) -> Result<Frame, FrameError> {
        let path = path.as_ref();
        let open = |source| FrameError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(std::io::ErrorKind::IsADirectory.into()));
        }
        self.read(file)
    }

    /// Opens a table with the same encoding, delimiter and lines skipped as [`CsvOptions::read`], to go through the rows
    /// again and copy them, say.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub fn open<R: Read>(&self, source: R) -> Result<Table<R>, FrameError> {
        self.table.open(source).map_err(unreadable)
    }

    /// Reads delimited text.
    ///
    /// # Errors
    /// As [`CsvOptions::read_path`].
    pub fn read(&self, source: impl Read) -> Result<Frame, FrameError> {
        // One byte more than allowed, so that reaching the limit is seen rather than taken for the end.
        let opened = self.table.open(source.take(self.max_bytes.saturating_add(1)));
        let mut table = opened.map_err(|cause| match cause {
            ReadError::HeaderTooLong { limit, .. } if limit as u64 >= self.max_bytes => self.too_many_bytes(),
            cause => unreadable(cause),
        })?;
        self.check_bytes(table.offset())?;
        let names = self.names_of(&table)?;
        let numbers_missing = self
            .words
            .iter()
            .any(|word| cell::float(word, self.decimal_mark.unwrap_or(DecimalMark::Point)).is_some());
        let rules = Rules { missing: &self.missing, mark: self.decimal_mark, numbers_missing };
        let mut columns: Vec<Cells> = names.iter().map(|_| Cells::default()).collect();
        let mut lines = Lines::default();
        let mut rows = 0;
        while let Some(record) = table.next().map_err(unreadable)? {
            let (line, end) = match &record {
                Ok(record) => (record.line(), record.end()),
                Err(row) => (row.line, row.offset),
            };
            // Before the record is judged: the limit cuts it short.
            self.check_bytes(end)?;
            let record = match record {
                Ok(record) => record,
                Err(row) if row.offset + row.raw().len() as u64 > self.max_bytes => {
                    return Err(self.too_many_bytes());
                }
                Err(row) => return Err(unfit(row)),
            };
            if rows == self.max_rows {
                return Err(FrameError::TooLarge { what: "rows", limit: self.max_rows as u64 });
            }
            for (at, column) in columns.iter_mut().enumerate() {
                column.push(record.cell(at), &rules);
            }
            lines.push(line);
            rows += 1;
        }

        let mark = match self.decimal_mark {
            // Nothing to look for: a column that proves a comma speaks for those that could mean either.
            None => {
                columns.iter().find_map(|column| column.proves_comma(&rules).then_some(DecimalMark::Comma))
            }
            declared => declared,
        };
        let rules = Rules { mark, ..rules };
        let mut frame = Frame::new();
        for (at, (name, cells)) in names.into_iter().zip(columns).enumerate() {
            let (declared, expected) = (self.kinds.get(&name).copied(), self.expected.get(&name).copied());
            let read = cells.finish(&name, declared, expected, self.decimal_mark, &rules, &lines)?;
            if let Some(column) = table.found_mut().columns.get_mut(at) {
                column.read_as = Some(read.column.kind().to_string());
                column.decimal_mark = read.mark;
                column.notes = read.notes;
            }
            frame = frame.with(read.column)?;
        }
        frame.found = Some(Box::new(table.found().clone()));
        let written = table.header().names();
        let repeated = |name: &&String| written.iter().filter(|held| held == name).count() > 1;
        frame.repeated = written.iter().filter(|name| !name.is_empty()).filter(repeated).cloned().collect();
        frame.missing_words = self.words.iter().cloned().collect();
        Ok(frame)
    }

    /// The columns' names: as written, trimmed, renamed, and numbered where the header repeats one or has none.
    fn names_of<R: Read>(&self, table: &Table<R>) -> Result<Vec<String>, FrameError> {
        let header = table.header();
        if header.len() > self.max_columns {
            return Err(FrameError::TooLarge { what: "columns", limit: self.max_columns as u64 });
        }
        if header.names().iter().all(String::is_empty) {
            return Err(FrameError::Empty);
        }
        let written: Vec<&str> = (0..header.len()).map(|at| header.label(at)).collect();
        let unknown = |name: &str, known: &[&str]| FrameError::UnknownColumn {
            name: shown(name),
            existing: listed(known.iter().copied()),
        };
        if let Some(theirs) = self.names.keys().find(|theirs| !written.contains(&theirs.as_str())) {
            return Err(unknown(theirs, &written));
        }
        let repeated = |name: &&String| header.names().iter().filter(|held| held == name).count() > 1;
        if let Some(name) = self.names.keys().chain(self.kinds.keys()).find(repeated) {
            return Err(FrameError::DuplicateColumn { name: shown(name) });
        }
        let names: Vec<String> = written
            .iter()
            .map(|name| self.names.get(*name).map_or_else(|| (*name).to_owned(), Clone::clone))
            .collect();
        if let Some(name) = self.kinds.keys().find(|name| !names.contains(name)) {
            return Err(unknown(name, &names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Ok(names)
    }

    fn too_many_bytes(&self) -> FrameError {
        FrameError::TooLarge { what: "bytes", limit: self.max_bytes }
    }

    fn check_bytes(&self, read: u64) -> Result<(), FrameError> {
        if read > self.max_bytes { Err(self.too_many_bytes()) } else { Ok(()) }
    }
}

fn unreadable(cause: ReadError) -> FrameError {
    match cause {
        ReadError::Empty => FrameError::Empty,
        cause => FrameError::Read { source: Box::new(cause) },
    }
}

fn unfit(row: Quarantined) -> FrameError {
    match row.reason {
        Reason::Width { expected, found } => FrameError::RaggedLine { line: row.line, expected, found },
        reason => FrameError::Line { line: row.line, source: Box::new(reason) },
    }
}

impl Frame {
    /// Reads delimited text with the default [`CsvOptions`].
    ///
    /// # Errors
    /// As [`CsvOptions::read`].
    pub fn read_csv(source: impl Read) -> Result<Self, FrameError> {
        CsvOptions::default().read(source)
    }

    /// Reads a file with the default [`CsvOptions`].
    ///
    /// # Errors
    /// As [`CsvOptions::read_path`].
    pub fn read_csv_path(path: impl AsRef<Path>) -> Result<Self, FrameError> {
        CsvOptions::default().read_path(path)
    }
}
