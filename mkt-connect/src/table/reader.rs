//! A table: a header, and records that fit it.

use super::encoding::{self, Encoding};
use super::found::{Decided, Found, How};
use super::header::{self, Header};
use super::quarantine::{Quarantined, Reason};
use super::records::{Fault, Place, Records};
use super::split::Span;
use crate::{Error, ErrorKind};
use encoding_rs::WINDOWS_1252;
use std::borrow::Cow;
use std::io::{self, Read};

/// Bytes looked at to find encoding and delimiter.
const SAMPLE: usize = 1 << 16;
/// The default limit of a record.
const MAX_RECORD: usize = 1 << 20;

/// What becomes of rows with fewer fields than the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShortRows {
    /// They are quarantined. The default: a row may be short because it was cut.
    #[default]
    Quarantine,
    /// The fields that are missing are empty.
    Pad,
}

/// How a table is read. The defaults find out everything.
///
/// ```
/// use mkt_connect::table::ReadOptions;
/// let file = "sep=;\nemail;prenom\nzoe@example.org;Zoé\nmax@example.org;Max;surplus\n";
/// let mut table = ReadOptions::new().open(file.as_bytes())?;
/// let email = table.header().find(&["email", "mail"]).unwrap().unwrap();
/// let row = table.next()?.unwrap().unwrap();
/// assert_eq!((row.line(), row.cell(email), row.cell(1)), (3, "zoe@example.org", "Zoé"));
/// let bad = table.next()?.unwrap().unwrap_err();
/// assert_eq!(bad.to_string(), "line 4: 3 fields, the header has 2");
/// assert!(table.next()?.is_none());
/// # Ok::<(), mkt_connect::table::ReadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReadOptions {
    delimiter: Option<u8>,
    encoding: Option<Encoding>,
    skip_lines: u64,
    max_record: usize,
    short_rows: ShortRows,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            encoding: None,
            skip_lines: 0,
            max_record: MAX_RECORD,
            short_rows: ShortRows::Quarantine,
        }
    }
}

/// Why a table cannot be read at all, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no header: no byte, or empty lines only.
    #[error("the file is empty")]
    Empty,
    /// The first lines hold NUL bytes and are not UTF-16.
    #[error("the file is not text")]
    NotText,
    /// The header's quotation marks do not work out.
    #[error("the header (line {line}) has an unclosed quotation mark, or text after the closing one")]
    HeaderQuote {
        /// The line of the header.
        line: u64,
    },
    /// The first line has no end within the limit of a record.
    #[error("the header (line {line}) is longer than {limit} bytes")]
    HeaderTooLong {
        /// The line of the header.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The header cannot be read for another reason.
    #[error("the header (line {line}) cannot be read: {reason}")]
    Header {
        /// The line of the header.
        line: u64,
        /// What is wrong with it.
        reason: Box<Reason>,
    },
    /// A line has no end within 64 MiB.
    #[error("the line {line} is longer than 64 MiB")]
    EndlessLine {
        /// The line.
        line: u64,
    },
    /// Reading failed.
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
}

impl ReadError {
    /// As an [`Error`] of a connector: [`ErrorKind::Storage`] where reading failed, else [`ErrorKind::Input`].
    #[must_use]
    pub fn into_error(self, service: &'static str, operation: &'static str) -> Error {
        match self {
            Self::Io(cause) => Error::new(ErrorKind::Storage, service, operation)
                .with_detail("the file cannot be read")
                .with_source(cause),
            other => Error::new(ErrorKind::Input, service, operation).with_detail(other.to_string()),
        }
    }
}

impl ReadOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the delimiter. Default: a line `sep=;` before the header decides, else the header.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Option<u8>>) -> Self {
        self.delimiter = delimiter.into();
        self
    }

    /// Declares the encoding. A byte order mark of another one in the file wins, and [`Found`] says so.
    #[must_use]
    pub fn encoding(mut self, encoding: impl Into<Option<Encoding>>) -> Self {
        self.encoding = encoding.into();
        self
    }

    /// Skips so many lines before the header: a title, a description. Default 0. Empty lines before the header are
    /// skipped in any case.
    #[must_use]
    pub fn skip_lines(mut self, lines: u64) -> Self {
        self.skip_lines = lines;
        self
    }

    /// The longest record in bytes, 16 MiB at most. Default 1 MiB. A longer one is quarantined.
    #[must_use]
    pub fn max_record(mut self, bytes: usize) -> Self {
        self.max_record = bytes.clamp(16, 16 << 20);
        self
    }

    /// What becomes of rows with fewer fields than the header. Default: they are quarantined. Rows with more fields are
    /// quarantined unless the surplus is blank.
    #[must_use]
    pub fn short_rows(mut self, policy: ShortRows) -> Self {
        self.short_rows = policy;
        self
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`ReadError`] for a file without a readable header, and where reading fails.
    pub fn open<R: Read>(&self, reader: R) -> Result<Table<R>, ReadError> {
        let mut records = Records::new(reader, self.max_record, 1, 0);
        let failed = |cause| unread(cause, 1);
        records.fill_to(SAMPLE).map_err(failed)?;
        let mut encoding = self.encoding.map(|declared| Decided::new(declared, How::Declared));
        if let Some((marked, length)) = encoding::mark(records.held()) {
            encoding = Some(Decided::new(marked, How::ByteOrderMark));
            records.skip(length);
        } else if encoding.is_none() {
            encoding =
                encoding::unmarked_utf16(records.held()).map(|found| Decided::new(found, How::Content));
        }
        if let Some(utf16) = encoding.as_ref().map(|found| found.value).filter(|found| found.is_utf16()) {
            records.decode(utf16).map_err(failed)?;
            records.fill_to(SAMPLE).map_err(failed)?;
        }
        for _ in 0..self.skip_lines {
            if !records.skip_line().map_err(failed)? {
                return Err(ReadError::Empty);
            }
        }
        records.skip_empty_lines().map_err(failed)?;
        records.fill_to(SAMPLE).map_err(failed)?;
        if encoding.is_none() {
            encoding = encoding::of_sample(records.held(), records.at_end())
                .map(|found| Decided::new(found, How::Content));
        }
        let mut delimiter = self.delimiter.map(|declared| Decided::new(declared, How::Declared));
        if let Some(named) = separator_line(records.held()) {
            records.skip_line().map_err(failed)?;
            records.skip_empty_lines().map_err(failed)?;
            delimiter.get_or_insert(Decided::new(named, How::SepLine));
        }
        let delimiter = delimiter.unwrap_or_else(|| match header::delimiter(records.held()) {
            Some((found, false)) => Decided::new(found, How::Header),
            Some((found, true)) => Decided::new(found, How::Content),
            None => Decided::new(b',', How::Default),
        });
        records.delimiter = delimiter.value;
        let line = records.line;
        let place = records.next().map_err(failed)?.ok_or(ReadError::Empty)?;
        match place.fault {
            None if place.nul => return Err(ReadError::NotText),
            None => {}
            Some(_) if records.bytes().contains(&0) => return Err(ReadError::NotText),
            Some(Fault::Quote) => return Err(ReadError::HeaderQuote { line }),
            Some(Fault::TooLong) => return Err(ReadError::HeaderTooLong { line, limit: self.max_record }),
        }
        let mut table = Table {
            layout: Layout {
                options: self.clone(),
                encoding: encoding.as_ref().map(|found| found.value),
                delimiter: delimiter.value,
                width: 0..=usize::MAX,
                header: Header::new([""; 0]),
            },
            found: Found::new(encoding, delimiter.map(char::from), self.skip_lines, place.line),
            records,
            scratch: String::new(),
            decoded: Vec::new(),
        };
        let names: Vec<String> = match table.text_of(&place, true) {
            Ok(record) => record.iter().map(str::to_owned).collect(),
            Err(row) => return Err(ReadError::Header { line: row.line, reason: Box::new(row.reason) }),
        };
        if names.iter().all(|name| name.trim().is_empty()) {
            return Err(ReadError::Empty);
        }
        table.layout.header = Header::new(names);
        table.found.name_columns(&table.layout.header);
        let least = match self.short_rows {
            ShortRows::Pad => 1,
            ShortRows::Quarantine => table.layout.header.named(),
        };
        table.layout.width = least..=table.layout.header.len();
        Ok(table)
    }
}

/// The delimiter that a line `sep=;` names, as Excel writes it: with a quotation mark around, or delimiters after it,
/// where another program wrote it again.
fn separator_line(held: &[u8]) -> Option<u8> {
    let line = held.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (word, rest) = line.split_at_checked(4)?;
    if !word.eq_ignore_ascii_case(b"sep=") {
        return None;
    }
    let (&delimiter, rest) = rest.split_first()?;
    let usual = delimiter == b'\t' || (delimiter.is_ascii_punctuation() && delimiter != b'"');
    let nothing_else = rest.iter().all(|byte| *byte == delimiter || matches!(byte, b'"' | b' '));
    (usual && nothing_else).then_some(delimiter)
}

fn unread(cause: io::Error, line: u64) -> ReadError {
    match cause.kind() {
        io::ErrorKind::FileTooLarge => ReadError::EndlessLine { line },
        _ => ReadError::Io(cause),
    }
}

/// What is known of a table: enough to read on from any record of the file.
#[derive(Debug, Clone)]
pub struct Layout {
    options: ReadOptions,
    encoding: Option<Encoding>,
    delimiter: u8,
    width: std::ops::RangeInclusive<usize>,
    header: Header,
}

impl Layout {
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The delimiter.
    #[must_use]
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The encoding, unless all bytes so far were ASCII.
    #[must_use]
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// The records of a reader that stands at byte `offset` of the file, where a record begins on `line`: both as
    /// [`Record::offset`] and [`Record::line`], or [`Record::end`] and [`Table::line`] after it, gave them.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn resume<R: Read>(&self, reader: R, line: u64, offset: u64) -> Result<Table<R>, ReadError> {
        let mut records = Records::new(reader, self.options.max_record, line, offset);
        records.delimiter = self.delimiter;
        if let Some(utf16) = self.encoding.filter(|encoding| encoding.is_utf16()) {
            records.decode(utf16).map_err(|cause| unread(cause, line))?;
        }
        // What was found stays found: a record that contradicts it is quarantined here too.
        let how = if self.options.encoding.is_some() { How::Declared } else { How::Content };
        let encoding = self.encoding.map(|encoding| Decided::new(encoding, how));
        let delimiter = Decided::new(char::from(self.delimiter), How::Declared);
        Ok(Table {
            layout: self.clone(),
            found: Found::new(encoding, delimiter, self.options.skip_lines, 0),
            records,
            scratch: String::new(),
            decoded: Vec::new(),
        })
    }
}

/// A table that is read record by record, in memory that does not grow with the file. See [`ReadOptions`].
#[derive(Debug)]
pub struct Table<R> {
    layout: Layout,
    found: Found,
    records: Records<R>,
    /// Text that does not stand in the file as it is: decoded, or with doubled quotation marks made single.
    scratch: String,
    decoded: Vec<Span>,
}

impl<R: Read> Table<R> {
    /// Reads with the default [`ReadOptions`].
    ///
    /// # Errors
    /// As [`ReadOptions::open`].
    pub fn open(reader: R) -> Result<Self, ReadError> {
        ReadOptions::new().open(reader)
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.layout.header
    }

    /// What is needed to read on from another place of the file.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was found out, so far.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// What was found out, to be completed by the reader of the cells.
    pub fn found_mut(&mut self) -> &mut Found {
        &mut self.found
    }

    /// The line on which the next record is looked for, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.records.line
    }

    /// The byte of the file at which the next record is looked for, from 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.records.offset
    }

    /// The next record that is not an empty line, or why it is set aside; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError::Io`] and [`ReadError::EndlessLine`]; nothing can be read after either.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "lends from the reader, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<Result<Record<'_>, Quarantined>>, ReadError> {
        let line = self.records.line;
        match self.records.next().map_err(|cause| unread(cause, line))? {
            Some(place) => Ok(Some(self.text_of(&place, false))),
            None => Ok(None),
        }
    }

    /// The record that was read last, as text.
    #[inline]
    fn text_of(&mut self, place: &Place, is_header: bool) -> Result<Record<'_>, Quarantined> {
        let raw = self.records.bytes();
        let set_aside = |reason| Err(Quarantined::new(place.line, place.offset, raw, reason));
        match place.fault {
            None => {}
            Some(Fault::Quote) => return set_aside(Reason::Quote),
            Some(Fault::TooLong) => {
                return set_aside(Reason::TooLong { limit: self.layout.options.max_record });
            }
        }
        let mut is_latin = false;
        let text = match (std::str::from_utf8(raw), self.layout.encoding) {
            (Ok(text), Some(Encoding::Windows1252)) => {
                if !text.is_ascii() {
                    // Two characters of Windows-1252 that are one of UTF-8 by chance are very rare.
                    if self.found.encoding_is_found() {
                        return set_aside(Reason::Encoding { encoding: Encoding::Windows1252 });
                    }
                    is_latin = true;
                }
                text
            }
            (Ok(text), Some(_)) => text,
            (Ok(text), None) => {
                if !text.is_ascii() {
                    self.layout.encoding = Some(Encoding::Utf8);
                    self.found.decide_encoding(Encoding::Utf8, place.line);
                }
                text
            }
            (Err(_), None) => {
                self.layout.encoding = Some(Encoding::Windows1252);
                self.found.decide_encoding(Encoding::Windows1252, place.line);
                is_latin = true;
                ""
            }
            (Err(_), Some(Encoding::Windows1252)) => {
                is_latin = true;
                ""
            }
            (Err(_), Some(encoding)) => return set_aside(Reason::Encoding { encoding }),
        };
        if place.nul && !is_header {
            return set_aside(Reason::Nul);
        }
        let spans = &self.records.spans;
        if !self.layout.width.contains(&spans.len()) {
            let expected = self.layout.header.len();
            let surplus = spans.get(expected..).unwrap_or_default();
            let blank = |span: &Span| {
                let bytes = raw.get(span.start as usize..span.end as usize).unwrap_or_default();
                bytes.iter().all(u8::is_ascii_whitespace)
            };
            if surplus.is_empty() || !surplus.iter().all(blank) {
                return set_aside(Reason::Width { expected, found: spans.len() });
            }
        }
        let (text, spans) = if is_latin || place.doubled {
            self.scratch.clear();
            self.decoded.clear();
            for span in spans {
                let start = self.scratch.len() as u32;
                let range = span.start as usize..span.end as usize;
                let bytes = raw.get(range.clone()).unwrap_or_default();
                let field = match is_latin {
                    true => WINDOWS_1252.decode_without_bom_handling(bytes).0,
                    false => Cow::Borrowed(text.get(range).unwrap_or_default()),
                };
                // Only a field between quotation marks has one right before it.
                let quoted = span.start > 0 && raw.get(span.start as usize - 1) == Some(&b'"');
                if quoted {
                    push_single(&mut self.scratch, &field);
                } else {
                    self.scratch.push_str(&field);
                }
                self.decoded.push(Span { start, end: self.scratch.len() as u32 });
            }
            (self.scratch.as_str(), &self.decoded)
        } else {
            (text, spans)
        };
        let end = self.records.offset;
        Ok(Record::new(raw, text, spans, place.line, place.offset, end))
    }
}

/// Appends a field, doubled quotation marks made single.
fn push_single(text: &mut String, field: &str) {
    let mut rest = field;
    while let Some(at) = rest.find("\"\"") {
        let (head, tail) = rest.split_at(at + 1);
        text.push_str(head);
        rest = tail.get(1..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// A record that fits the header. Its text is borrowed from the reader.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    raw: &'a [u8],
    text: &'a str,
    spans: &'a [Span],
    line: u64,
    offset: u64,
    end: u64,
}

impl std::fmt::Debug for Record<'_> {
    /// Without content: it may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("line", &self.line)
            .field("offset", &self.offset)
            .field("fields", &self.spans.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(
        raw: &'a [u8],
        text: &'a str,
        spans: &'a [Span],
        line: u64,
        offset: u64,
        end: u64,
    ) -> Self {
        Self { raw, text, spans, line, offset, end }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// Whether the text is the bytes of the file.
    pub(super) fn is_verbatim(&self) -> bool {
        std::ptr::eq(self.raw.as_ptr(), self.text.as_ptr())
    }

    /// The line on which it begins, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The byte of the file at which it begins, from 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The byte of the file after it and its line end.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The record as it stands in the file, without its line end; of a UTF-16 file, the same text in UTF-8.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// How many fields it has: with [`ShortRows::Pad`] maybe fewer than the header, with blank surplus fields more.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it has no fields; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// A field, untrimmed; empty beyond the last one.
    #[must_use]
    #[inline]
    pub fn field(&self, index: usize) -> &'a str {
        match self.spans.get(index) {
            Some(span) => self.text.get(span.start as usize..span.end as usize).unwrap_or_default(),
            None => "",
        }
    }

    /// A field without blanks, no-break spaces and invisible characters around it.
    #[must_use]
    #[inline]
    pub fn cell(&self, index: usize) -> &'a str {
        super::cell::trimmed(self.field(index))
    }

    /// The fields, untrimmed.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.text;
        self.spans
            .iter()
            .map(move |span| text.get(span.start as usize..span.end as usize).unwrap_or_default())
    }

    /// Whether all its fields are blank.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.iter().all(|field| super::cell::trimmed(field).is_empty())
    }

    /// Sets the record aside.
    #[must_use]
    pub fn quarantine(&self, reason: impl Into<Reason>) -> Quarantined {
        Quarantined::new(self.line, self.offset, self.raw, reason)
    }
}
