//! The rows of a file, page by page.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use csv::{ByteRecord, Reader, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mkt_connect::{Error, ErrorKind, Result};

use super::super::{PostPage, PostPages, Quarantined, Refusal, Request};
use super::cell;
use super::columns::{Columns, Field, separator_of};
use super::{CsvSource, DecimalMark, Input, TextEncoding};
use crate::metric::Metric;
use crate::post::{Observation, Post, Reading};

/// Bytes of a refused row that are kept.
const KEPT: u64 = 4096;
/// Rows looked at for one page at most, so that a page of refused rows also ends.
const ROWS_PER_POST: usize = 4;

pub(super) struct Rows {
    source: CsvSource,
    request: Request,
    columns: Columns,
    natives: Vec<Arc<str>>,
    decimal: DecimalMark,
    /// Not known while all bytes were ASCII.
    encoding: Option<&'static Encoding>,
    reader: Reader<Guarded>,
    start_of_row: Arc<AtomicU64>,
    /// The byte order mark, which the reader does not see.
    skipped: u64,
    operation: &'static str,
    /// By the hash of network and id: the line, and the hash of the row.
    seen: HashMap<u128, (u64, u64)>,
    hashers: [RandomState; 2],
    at_same_time: HashMap<DateTime<Utc>, u32>,
    finished: bool,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("input", &self.source.input)
            .field("request", &self.request)
            .field("rows_seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}

impl Rows {
    /// Opens the file and reads its header.
    pub(super) fn open(source: &CsvSource, operation: &'static str) -> Result<Self> {
        let mut start = Vec::new();
        input(&source.input, 0)
            .and_then(|reader| reader.take(64 * 1024).read_to_end(&mut start))
            .map_err(|cause| unreadable(cause, operation))?;
        let refuse = |detail: &str| Error::new(ErrorKind::Input, "csv", operation).with_detail(detail);
        let (encoding, skipped) = match Encoding::for_bom(&start) {
            Some((encoding, length)) if encoding == UTF_8 => (Some(UTF_8), length),
            Some(_) => return Err(refuse("the file is UTF-16; save it as UTF-8")),
            None => {
                let declared = source.encoding.map(|declared| match declared {
                    TextEncoding::Utf8 => UTF_8,
                    TextEncoding::Latin1 => WINDOWS_1252,
                });
                (declared, 0)
            }
        };
        let header = &start[skipped..];
        if header.iter().all(u8::is_ascii_whitespace) {
            return Err(refuse("the file is empty"));
        }
        if header.contains(&0) {
            return Err(refuse("the file is not text"));
        }
        let separator = source.separator.unwrap_or_else(|| separator_of(header));
        let decimal = source.decimal.unwrap_or(match separator {
            b';' => DecimalMark::Comma,
            _ => DecimalMark::Point,
        });
        let start_of_row = Arc::new(AtomicU64::new(0));
        let guarded = Guarded {
            inner: input(&source.input, skipped as u64).map_err(|cause| unreadable(cause, operation))?,
            read: 0,
            longest: source.longest_row as u64,
            start_of_row: Arc::clone(&start_of_row),
        };
        let mut reader =
            ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(true).from_reader(guarded);
        let names = reader.byte_headers().map_err(|cause| broken(&cause, 1, operation))?.clone();
        let mut rows = Self {
            source: source.clone(),
            request: Request::all(),
            columns: Columns { names: Vec::new(), fields: Vec::new() },
            natives: Vec::new(),
            decimal,
            encoding,
            reader,
            start_of_row,
            skipped: skipped as u64,
            operation,
            seen: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            at_same_time: HashMap::new(),
            finished: false,
        };
        let names = rows.decoded(&names).map_err(|refusal| refuse(&format!("the header {refusal}")))?;
        let names: Vec<String> = names.into_iter().map(Cow::into_owned).collect();
        rows.columns = Columns::read(names, &source.mapping, operation)?;
        rows.natives = rows.columns.names.iter().map(|name| Arc::from(name.trim())).collect();
        Ok(rows)
    }

    pub(super) fn over(mut self, request: &Request) -> Self {
        self.request = request.clone();
        self
    }

    /// The fields as text. The first row that is not ASCII decides the encoding of a file that does not declare it.
    fn decoded<'r>(&mut self, record: &'r ByteRecord) -> Result<Vec<Cow<'r, str>>, Refusal> {
        if self.encoding.is_none() && !record.as_slice().is_ascii() {
            let is_utf8 = record.iter().all(|field| std::str::from_utf8(field).is_ok());
            self.encoding = Some(if is_utf8 { UTF_8 } else { WINDOWS_1252 });
        }
        let encoding = self.encoding.unwrap_or(UTF_8);
        record
            .iter()
            .map(|field| {
                let text = encoding.decode_without_bom_handling_and_without_replacement(field);
                text.ok_or(Refusal::Encoding { encoding: encoding.name() })
            })
            .collect()
    }

    fn read_row(&mut self, record: &ByteRecord, line: u64) -> Result<Row, Refusal> {
        let expected = self.columns.fields.len();
        if record.len() != expected {
            return Err(Refusal::Fields { expected, found: record.len() });
        }
        let cells = self.decoded(record)?;
        let mut post = Post {
            network: self.source.network.clone().unwrap_or_else(|| "unknown".to_owned()),
            id: String::new(),
            published_at: DateTime::UNIX_EPOCH,
            kind: None,
            text: None,
            paid: None,
            url: None,
        };
        let mut readings = Vec::with_capacity(Metric::ALL.len());
        for ((cell, field), native) in cells.iter().zip(&self.columns.fields).zip(&self.natives) {
            let filled = || Some(cell.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
            match field {
                Field::Id => post.id = filled().ok_or(Refusal::Empty { field: "post id" })?,
                Field::Network => {
                    if let Some(network) = filled() {
                        post.network = network.to_lowercase();
                    }
                }
                Field::PublishedAt => {
                    let text = filled().ok_or(Refusal::Empty { field: "time of publication" })?;
                    post.published_at = cell::time(&text, self.source.zone, self.source.date_order)?;
                }
                Field::Kind => post.kind = filled().map(|kind| kind.to_lowercase()),
                Field::Text => post.text = filled(),
                Field::Url => post.url = filled(),
                Field::Paid => post.paid = cell::flag(cell)?,
                Field::Count(metric) => {
                    let value = cell::count(cell, self.decimal, *metric)?;
                    readings.push(Reading { metric: *metric, native: Arc::clone(native), value });
                }
                Field::Ignored => {}
            }
        }
        if !self.columns.fields.contains(&Field::Id) {
            // Without ids, a post is named by its instant; the second of one instant by its place among them.
            let nth = self.at_same_time.entry(post.published_at).and_modify(|n| *n += 1).or_insert(1);
            post.id =
                format!("{}#{nth}", post.published_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        }
        let [first, second] = &self.hashers;
        let fingerprint = first.hash_one(&cells);
        // 128 bits under keys that no file knows: two of a thousand million posts meet once in 10²⁰ files.
        let name = (&post.network, &post.id);
        let name = u128::from(first.hash_one(name)) << 64 | u128::from(second.hash_one(name));
        match self.seen.entry(name) {
            Entry::Occupied(known) if known.get().1 == fingerprint => Ok(Row::Repeated),
            Entry::Occupied(known) => Err(Refusal::Contradiction { line: known.get().0 }),
            Entry::Vacant(place) => {
                place.insert((line, fingerprint));
                let observation = Observation {
                    network: post.network.clone(),
                    post_id: post.id.clone(),
                    observed_at: self.source.read_at,
                    version: None,
                    readings,
                };
                Ok(Row::New(Box::new((post, observation))))
            }
        }
    }

    /// A refused row with the bytes `from..to` of the file, at most [`KEPT`]. Empty lines before it, which the reader
    /// passed over, are not part of it.
    fn set_aside(&self, from: u64, to: u64, line: u64, reason: Refusal) -> Quarantined {
        let mut raw = Vec::new();
        let wanted = to.saturating_sub(from).min(KEPT);
        let read =
            input(&self.source.input, from).and_then(|reader| reader.take(wanted).read_to_end(&mut raw));
        // The row was readable a moment ago; if the file has gone since, its reason is still worth keeping.
        if read.is_err() {
            raw.clear();
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let before: Vec<u8> = raw.iter().copied().take_while(|byte| is_end(byte)).collect();
        raw.drain(..before.len());
        while raw.last().is_some_and(is_end) {
            raw.pop();
        }
        let line = line + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        Quarantined { line, offset: from + before.len() as u64, raw, reason }
    }

    fn page(&mut self) -> Result<Option<PostPage>> {
        let mut page = PostPage::default();
        let mut record = ByteRecord::new();
        let most_rows = self.request.page_size.max(1).saturating_mul(ROWS_PER_POST).max(1_000);
        while page.posts.len() < self.request.page_size.max(1) && (page.tally.read as usize) < most_rows {
            let start = self.reader.position().clone();
            self.start_of_row.store(start.byte(), Ordering::Relaxed);
            let more = self
                .reader
                .read_byte_record(&mut record)
                .map_err(|cause| broken(&cause, start.line(), self.operation))?;
            if !more {
                self.finished = true;
                break;
            }
            let line = start.line();
            page.tally.read += 1;
            match self.read_row(&record, line) {
                Ok(Row::Repeated) => page.tally.duplicates += 1,
                Ok(Row::New(row)) => {
                    let (post, observation) = *row;
                    if self.request.covers(post.published_at) {
                        page.tally.loaded += 1;
                        page.posts.push(post);
                        page.observations.push(observation);
                    } else {
                        page.tally.outside += 1;
                    }
                }
                Err(reason) => {
                    let end = self.reader.position().byte();
                    page.tally.quarantined += 1;
                    page.quarantined.push(self.set_aside(
                        start.byte() + self.skipped,
                        end + self.skipped,
                        line,
                        reason,
                    ));
                }
            }
        }
        Ok((page.tally.read > 0).then_some(page))
    }
}

enum Row {
    Repeated,
    New(Box<(Post, Observation)>),
}

#[async_trait]
impl PostPages for Rows {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        if self.finished {
            return Ok(None);
        }
        let page = self.page();
        if !matches!(page, Ok(Some(_))) {
            self.finished = true;
        }
        page
    }
}

type Bytes = Box<dyn Read + Send + Sync>;

fn input(input: &Input, from: u64) -> io::Result<Bytes> {
    match input {
        Input::Bytes(bytes) => {
            let mut reader = Cursor::new(Arc::clone(bytes));
            reader.set_position(from);
            Ok(Box::new(reader))
        }
        Input::File(path) => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(from))?;
            Ok(Box::new(file))
        }
    }
}

/// Stops a row that does not end. The csv reader would take the rest of the file for one field.
struct Guarded {
    inner: Bytes,
    read: u64,
    longest: u64,
    start_of_row: Arc<AtomicU64>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pending = self.read - self.start_of_row.load(Ordering::Relaxed).min(self.read);
        // The reader fills its buffer before it looks for rows: that much may be pending in good order.
        if pending > self.longest + buffer.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong { longest: self.longest }));
        }
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("longer than {longest} bytes")]
struct TooLong {
    longest: u64,
}

fn unreadable(cause: io::Error, operation: &'static str) -> Error {
    let (kind, detail) = match cause.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "the file does not exist"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Storage, "the file may not be read"),
        io::ErrorKind::IsADirectory => (ErrorKind::Input, "this is a directory, not a file"),
        _ => (ErrorKind::Storage, "the file cannot be read"),
    };
    Error::new(kind, "csv", operation).with_detail(detail).with_source(cause)
}

fn broken(cause: &csv::Error, line: u64, operation: &'static str) -> Error {
    if let csv::ErrorKind::Io(cause) = cause.kind()
        && let Some(TooLong { longest }) = cause.get_ref().and_then(|inner| inner.downcast_ref())
    {
        return Error::new(ErrorKind::Input, "csv", operation).with_detail(format!(
            "the row that begins on line {line} is longer than {longest} bytes; perhaps a quotation mark never ends"
        ));
    }
    Error::new(ErrorKind::Storage, "csv", operation)
        .with_detail(format!("reading stopped on line {line}"))
        .with_source(io::Error::other(cause.to_string()))
}
