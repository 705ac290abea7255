//! Reads a frame from CSV text.
//!
//! The delimiter is found in the header, kinds are inferred from all rows, memory is bounded by the options.
//! Lines that do not fit are errors, never dropped: a model trained on a silently shortened table is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use super::{Column, ColumnKind, Field, Frame, FrameError, Levels, MISSING_CODE, Values, check_names};
use crate::error::shown;

/// How to read CSV.
///
/// Defaults: delimiter found in the header (the most frequent of comma, semicolon and tab outside quotes);
/// kinds inferred (numeric when every present value is a finite number); the empty field, `NA`, `N/A`,
/// `NaN`, `nan`, `null`, `NULL` and `None` are missing; at most 2 GiB, 50 million rows, 4096 columns.
/// With semicolons, a decimal comma is understood (French spreadsheets write both).
#[derive(Debug, Clone)]
pub struct CsvOptions {
    delimiter: Option<u8>,
    kinds: BTreeMap<String, ColumnKind>,
    missing: BTreeSet<String>,
    max_bytes: u64,
    max_rows: usize,
    max_columns: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            kinds: BTreeMap::new(),
            missing: ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"].map(str::to_owned).into(),
            max_bytes: 2 << 30,
            max_rows: 50_000_000,
            max_columns: 4096,
        }
    }
}

impl CsvOptions {
    /// Sets the delimiter instead of looking for it.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// Declares a column's kind instead of inferring it: numeric codes of a browser, say, are categories.
    /// A name that the table does not have is an error at reading.
    pub fn kind(mut self, column: impl Into<String>, kind: ColumnKind) -> Self {
        self.kinds.insert(column.into(), kind);
        self
    }

    /// Declares the kinds of a schema, as [`crate::TrainedModel::schema`] gives it.
    pub fn schema(mut self, fields: &[Field]) -> Self {
        self.kinds.extend(fields.iter().map(|field| (field.name.clone(), field.kind)));
        self
    }

    /// Replaces the texts that stand for a missing value; the empty field always does.
    pub fn missing<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        self.missing = texts.into_iter().map(str::to_owned).collect();
        self.missing.insert(String::new());
        self
    }

    /// Bounds the bytes read.
    pub fn max_bytes(mut self, limit: u64) -> Self {
        self.max_bytes = limit;
        self
    }

    /// Bounds the rows read.
    pub fn max_rows(mut self, limit: usize) -> Self {
        self.max_rows = limit;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Any [`FrameError`] but those of targets.
    pub fn read_path(&self, path: impl AsRef<Path>) -> Result<Frame, FrameError> {
        let path = path.as_ref();
        let open = |source| FrameError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(std::io::ErrorKind::IsADirectory.into()));
        }
        self.read(file)
    }

    /// Reads CSV text.
    ///
    /// # Errors
    /// Any [`FrameError`] but those of targets.
    pub fn read(&self, source: impl Read) -> Result<Frame, FrameError> {
        // One byte more than allowed, so that reaching the bound is seen rather than taken for the end.
        let mut source = BufReader::with_capacity(1 << 16, source.take(self.max_bytes.saturating_add(1)));
        let start = source.fill_buf().map_err(|cause| FrameError::Read { line: 1, source: cause.into() })?;
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Err(FrameError::Utf16);
        }
        let delimiter = self.delimiter.unwrap_or_else(|| find_delimiter(start));
        // The reader leaves out a byte order mark by itself.
        let mut reader = ::csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Counting { inner: source, read: 0 });

        let mut record = ::csv::ByteRecord::new();
        let failed = |reader: &::csv::Reader<_>, cause: ::csv::Error| FrameError::Read {
            line: reader.position().line(),
            source: Box::new(cause),
        };
        if !reader.read_byte_record(&mut record).map_err(|cause| failed(&reader, cause))? {
            return Err(FrameError::Empty);
        }
        self.check_bytes(reader.get_ref().read)?;
        if record.len() > self.max_columns {
            return Err(FrameError::TooLarge { what: "columns", limit: self.max_columns as u64 });
        }
        let names = record
            .iter()
            .map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| FrameError::Utf8 { line: 1 })?;
        if names.iter().all(String::is_empty) {
            return Err(FrameError::Empty);
        }
        check_names(names.iter().map(String::as_str))?;
        if let Some(unknown) = self.kinds.keys().find(|kind| !names.contains(kind)) {
            return Err(FrameError::UnknownColumn {
                name: shown(unknown),
                existing: names
                    .iter()
                    .take(12)
                    .map(|n| format!("`{}`", shown(n)))
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }

        let mut texts: Vec<Texts> = names.iter().map(|_| Texts::default()).collect();
        let mut lines = Vec::new();
        while reader.read_byte_record(&mut record).map_err(|cause| failed(&reader, cause))? {
            let line = record.position().map_or(0, ::csv::Position::line);
            // Before the fields are counted: the bound cuts a record short.
            self.check_bytes(reader.get_ref().read)?;
            if lines.len() == self.max_rows {
                return Err(FrameError::TooLarge { what: "rows", limit: self.max_rows as u64 });
            }
            if record.len() != names.len() {
                return Err(FrameError::RaggedLine { line, expected: names.len(), found: record.len() });
            }
            for (field, text) in record.iter().zip(&mut texts) {
                let field = std::str::from_utf8(field).map_err(|_| FrameError::Utf8 { line })?;
                text.push(field.trim());
            }
            lines.push(line);
        }

        let decimal_comma = delimiter == b';';
        let mut frame = Frame::new();
        for (name, text) in names.into_iter().zip(texts) {
            let values = self.column(&name, &text, &lines, decimal_comma)?;
            frame = frame.with(Column { name, values })?;
        }
        Ok(frame)
    }

    fn check_bytes(&self, read: u64) -> Result<(), FrameError> {
        if read > self.max_bytes {
            return Err(FrameError::TooLarge { what: "bytes", limit: self.max_bytes });
        }
        Ok(())
    }

    /// Turns the texts of a column into numbers or categories.
    fn column(
        &self,
        name: &str,
        texts: &Texts,
        lines: &[u64],
        decimal_comma: bool,
    ) -> Result<Values, FrameError> {
        let declared = self.kinds.get(name).copied();
        if declared != Some(ColumnKind::Categorical) {
            let mut numbers = Vec::with_capacity(lines.len());
            for (text, &line) in texts.iter().zip(lines) {
                if self.missing.contains(text) {
                    numbers.push(f64::NAN);
                } else if let Some(number) = number(text, decimal_comma) {
                    numbers.push(number);
                } else if declared.is_some() {
                    return Err(FrameError::NotANumber { column: shown(name), line });
                } else {
                    break;
                }
            }
            if numbers.len() == lines.len() {
                return Ok(Values::Numeric(numbers));
            }
        }
        let mut levels = Levels::default();
        let code = |text: &str| if self.missing.contains(text) { MISSING_CODE } else { levels.code(text) };
        let codes = texts.iter().map(code).collect();
        Ok(Values::Categorical { levels: levels.names, codes })
    }
}

impl Frame {
    /// Reads CSV text with the default [`CsvOptions`].
    ///
    /// # Errors
    /// As [`CsvOptions::read`].
    pub fn read_csv(source: impl Read) -> Result<Self, FrameError> {
        CsvOptions::default().read(source)
    }

    /// Reads a CSV file with the default [`CsvOptions`].
    ///
    /// # Errors
    /// As [`CsvOptions::read_path`].
    pub fn read_csv_path(path: impl AsRef<Path>) -> Result<Self, FrameError> {
        CsvOptions::default().read_path(path)
    }
}

/// The number a text stands for. `nan` never does; infinities and numbers too large for an f64 come back
/// as infinities, which the frame refuses by name and row.
fn number(text: &str, decimal_comma: bool) -> Option<f64> {
    let parsed = text.parse::<f64>().ok().or_else(|| {
        (decimal_comma && text.matches(',').count() == 1).then(|| text.replacen(',', ".", 1).parse().ok())?
    })?;
    (!parsed.is_nan()).then_some(parsed)
}

/// The most frequent of the usual delimiters in the first line, outside quotes; a comma when none occurs.
fn find_delimiter(start: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'\t', 0)];
    for &byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => {
                for (delimiter, count) in &mut counts {
                    *count += u32::from(*delimiter == byte);
                }
            }
            _ => {}
        }
    }
    let mut best = (b',', 0);
    for candidate in counts {
        if candidate.1 > best.1 {
            best = candidate;
        }
    }
    best.0
}

/// The texts of one column, end to end: a `String` each would cost three times the memory.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = self.text.get(start..end).unwrap_or_default();
            start = end;
            text
        })
    }
}

/// Counts what passes through it.
#[derive(Debug)]
struct Counting<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}
