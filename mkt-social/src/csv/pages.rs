//! The rows of a file, page by page.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use mkt_connect::table::cell::{CellError, CellProblem, Missing as MissingWords, TimeFormat, boolean};
use mkt_connect::table::{Ahead, Found, Quarantined, ReadError, Reason, Record, Table};
use mkt_connect::{Error, ErrorKind, Result};

use super::columns::{Columns, Field, HeaderError, is_total};
use super::evidence::{self, Evidence};
use super::identity::{Met, Seen, id_of, is_rounded};
use super::write::unguarded;
use super::{Csv, Input, count};
use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, Reading};
use crate::sheet::{self, Values};
use crate::source::{Findings, PostPage, PostPages, ReadSheet, Request, Tally};

/// Bytes of a file from which a second thread splits it into records.
const LONG: u64 = 1 << 20;
/// Rows per requested post that are read for one page at most, so that a page of quarantined rows ends too.
const ROWS_PER_POST: u64 = 4;
/// Lines before the header that are tried, unless the number was declared: titles and descriptions.
const LINES_BEFORE_HEADER: u64 = 10;

type Bytes = Box<dyn Read + Send>;

fn bytes(input: &Input) -> io::Result<Bytes> {
    Ok(match input {
        Input::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        Input::File(path) => Box::new(File::open(path)?),
    })
}

/// Length of the input in bytes; 0 if unknown.
fn length(input: &Input) -> u64 {
    match input {
        Input::Bytes(bytes) => bytes.len() as u64,
        Input::File(path) => fs::metadata(path).map_or(0, |file| file.len()),
    }
}

fn unreadable(cause: io::Error, operation: &'static str) -> Error {
    let (kind, detail) = match cause.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "the file does not exist"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Storage, "no permission to read the file"),
        io::ErrorKind::IsADirectory => (ErrorKind::Input, "the path is a directory, not a file"),
        _ => (ErrorKind::Storage, "the file cannot be read"),
    };
    Error::new(kind, "csv", operation).with_detail(detail).with_source(cause)
}

/// Records in the order of the file.
enum Records {
    Here(Box<Table<Bytes>>),
    /// Split by a thread of its own.
    Beside(Ahead),
}

impl Records {
    fn next(
        &mut self,
    ) -> std::result::Result<Option<std::result::Result<Record<'_>, Quarantined>>, ReadError> {
        match self {
            Self::Here(table) => table.next(),
            Self::Beside(ahead) => ahead.next(),
        }
    }
}

/// A read in progress.
pub(super) struct CsvPages {
    layout: Layout,
    request: Request,
    records: Option<Records>,
    seen: Seen,
    at_same_time: HashMap<DateTime<Utc>, u32>,
    findings: Findings,
    found: Found,
}

impl fmt::Debug for CsvPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvPages")
            .field("request", &self.request)
            .field("rows", &self.seen.len())
            .finish_non_exhaustive()
    }
}

impl CsvPages {
    /// Opens the file, reads its header, and looks at its first rows.
    pub(super) fn open(source: &Csv, operation: &'static str) -> Result<Self> {
        let (mut table, columns) = with_header(source, operation)?;
        let missing = MissingWords::usual();
        let read_error = |error: ReadError| match error {
            ReadError::Io(cause) => unreadable(cause, operation),
            other => other.into_error("csv", operation),
        };
        let evidence =
            evidence::gather(&mut table, &columns, &missing, source.date_order).map_err(read_error)?;
        // The rows that were looked at are read again from the start: a file may be a million rows long.
        let (table, _) = with_header(source, operation)?;
        let mut found = table.found().clone();
        for (index, field, _) in &columns.read {
            found.read_as(*index, field.as_str());
        }
        if let Some(column) = found.columns.get_mut(columns.published_at) {
            column.date_order.clone_from(&evidence.date_order);
        }
        if let Some(column) = columns.time_of_day.filter(|_| evidence.day_only) {
            found.read_as(column, Field::TimeOfDay.as_str());
        }
        let layout = Layout::new(source, columns, &evidence, missing);
        let names = |places: &[usize]| -> Vec<String> {
            places.iter().map(|place| layout.columns.read[*place].2.clone()).collect()
        };
        let findings = Findings {
            shape: layout.columns.shape.map(|shape| shape.name),
            interactions: layout.columns.interactions().map(str::to_owned).collect(),
            not_counted: layout.columns.not_counted.clone(),
            empty: names(&evidence.empty),
            without_time_of_day: layout.day_only,
            times_in_utc: layout.columns.is_utc,
            without_ids: !layout.has_ids,
            ..Findings::default()
        };
        Ok(Self {
            layout,
            request: Request::all(),
            records: Some(Records::Here(Box::new(table))),
            seen: Seen::new(),
            at_same_time: HashMap::new(),
            findings,
            found,
        })
    }

    pub(super) fn over(mut self, request: &Request) -> Self {
        self.request = request.clone();
        if length(&self.layout.source.input) >= LONG
            && let Some(Records::Here(table)) = self.records.take()
        {
            self.records = Some(match table.ahead() {
                Ok(ahead) => Records::Beside(ahead),
                Err(table) => Records::Here(table),
            });
        }
        self
    }

    /// Reads the rows of one page; each requested post is passed to `take`. `None` after the last page and after an error.
    fn page(
        &mut self,
        take: &mut dyn FnMut(&Layout, &Parsed<'_>),
    ) -> Result<Option<(Tally, Vec<Quarantined>)>> {
        let Some(mut records) = self.records.take() else { return Ok(None) };
        let (mut tally, mut quarantined) = (Tally::default(), Vec::new());
        let most_posts = self.request.page_size.max(1) as u64;
        let most_rows = most_posts.saturating_mul(ROWS_PER_POST).max(1_000);
        let mut is_end = false;
        while tally.loaded < most_posts && tally.read < most_rows {
            let row = records.next().map_err(|error| error.into_error("csv", "read posts"))?;
            let Some(row) = row else {
                is_end = true;
                break;
            };
            tally.read += 1;
            let met =
                row.and_then(|record| self.row(&record, take).map_err(|reason| record.quarantine(reason)));
            match met {
                Ok(Met::Repeated) => tally.duplicates += 1,
                Ok(Met::Outside) => tally.outside += 1,
                Ok(Met::New) => tally.loaded += 1,
                Err(row) => {
                    tally.quarantined += 1;
                    quarantined.push(row);
                }
            }
        }
        if !is_end {
            self.records = Some(records);
        }
        Ok((tally.read > 0).then_some((tally, quarantined)))
    }

    fn row(
        &mut self,
        record: &Record<'_>,
        take: &mut dyn FnMut(&Layout, &Parsed<'_>),
    ) -> std::result::Result<Met, Reason> {
        let mut row = self.layout.parse(record)?;
        self.findings.abbreviated += row.abbreviated;
        if !row.id.is_empty() && is_rounded(&row.id) {
            self.findings.rounded_ids += 1;
            row.id = Cow::Borrowed("");
        }
        if row.id.is_empty() {
            let at = row.published_at;
            let nth = || *self.at_same_time.entry(at).and_modify(|nth| *nth += 1).or_insert(1);
            row.id = Cow::Owned(id_of(at, &[row.text, row.url], nth));
        }
        match self.seen.meet(&row.network, &row.id, record.raw(), record.line())? {
            Met::New if !self.request.covers(row.published_at) => Ok(Met::Outside),
            Met::New => {
                take(&self.layout, &row);
                Ok(Met::New)
            }
            met => Ok(met),
        }
    }
}

/// Opens the table at its header. If the first line is not one, and no number of lines was declared, the lines after it are
/// tried: exports begin with a title or a description. A line with an email address is neither, but a row that would be lost.
fn with_header(source: &Csv, operation: &'static str) -> Result<(Table<Bytes>, Columns)> {
    let refuse = |detail: String| Error::new(ErrorKind::Input, "csv", operation).with_detail(detail);
    let open = |skipped: u64| -> Result<(Table<Bytes>, std::result::Result<Columns, HeaderError>)> {
        let reader = bytes(&source.input).map_err(|cause| unreadable(cause, operation))?;
        let table = source.options.clone().skip_lines(skipped).open(reader).map_err(|error| match error {
            ReadError::Io(cause) => unreadable(cause, operation),
            other => other.into_error("csv", operation),
        })?;
        let columns = Columns::of(table.header(), &source.mapping);
        Ok((table, columns))
    };
    let (table, columns) = open(source.skip_lines.unwrap_or(0))?;
    let error = match columns {
        Ok(columns) => return Ok((table, columns)),
        Err(error) => error,
    };
    if error.is_no_header && source.skip_lines.is_none() {
        for skipped in 1..=LINES_BEFORE_HEADER {
            match open(skipped) {
                Ok((table, Ok(columns))) => return Ok((table, columns)),
                Ok((_, Err(later))) if later.is_no_header => {}
                Ok((_, Err(later))) => return Err(refuse(later.text)),
                Err(_) => break,
            }
        }
    }
    Err(refuse(error.text))
}

/// The meaning of the cells of a row.
pub(super) struct Layout {
    source: Csv,
    columns: Columns,
    natives: Vec<Arc<str>>,
    missing: MissingWords,
    /// By place in `columns.read`: the metric of a wholly empty column is not supported, not missing.
    absent: Vec<Missing>,
    format: TimeFormat,
    day_only: bool,
    time_of_day: Option<usize>,
    has_ids: bool,
    network: String,
}

/// A row that is a post, borrowed from the record.
pub(super) struct Parsed<'r> {
    network: Cow<'r, str>,
    id: Cow<'r, str>,
    published_at: DateTime<Utc>,
    kind: Option<Cow<'r, str>>,
    text: Option<&'r str>,
    url: Option<&'r str>,
    paid: Option<bool>,
    values: Values,
    abbreviated: u64,
}

fn lower_case(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

impl Layout {
    fn new(source: &Csv, columns: Columns, evidence: &Evidence, missing: MissingWords) -> Self {
        let absent = (0..columns.read.len()).map(|place| match evidence.empty.contains(&place) {
            true => Missing::NotSupported,
            false => Missing::Blank,
        });
        let order = evidence.date_order.as_ref().map(|decided| decided.value);
        let format =
            TimeFormat::new().date_order(order).epoch(source.epoch).pattern(source.time_pattern.clone());
        let is_apart = columns.time_of_day.is_some() && evidence.day_only;
        let of_shape = columns.shape.and_then(|shape| shape.network);
        Self {
            natives: columns.read.iter().map(|(.., name)| Arc::from(name.as_str())).collect(),
            absent: absent.collect(),
            format,
            day_only: evidence.day_only && !is_apart && source.time_pattern.is_none(),
            time_of_day: columns.time_of_day.filter(|_| is_apart),
            has_ids: columns.read.iter().any(|(_, field, _)| *field == Field::Id),
            network: source.network.clone().unwrap_or_else(|| of_shape.unwrap_or("unknown").to_owned()),
            source: source.clone(),
            columns,
            missing,
        }
    }

    /// Parses the cells; the id is empty if the file has none.
    fn parse<'r>(&'r self, record: &Record<'r>) -> std::result::Result<Parsed<'r>, Reason> {
        let mut row = Parsed {
            network: Cow::Borrowed(&self.network),
            id: Cow::Borrowed(""),
            published_at: self.time(record)?,
            kind: None,
            text: None,
            url: None,
            paid: None,
            values: [Value::Missing(Missing::NotSupported); Metric::ALL.len()],
            abbreviated: 0,
        };
        for (place, (index, field, name)) in self.columns.read.iter().enumerate() {
            let cell = record.cell(*index);
            let filled = || Some(cell).filter(|text| !text.is_empty());
            let failed = |error: CellError| Reason::cell(name.clone(), error);
            match field {
                Field::Id => {
                    row.id = Cow::Borrowed(filled().ok_or_else(|| failed(empty()))?);
                }
                Field::Network => {
                    if let Some(network) = filled() {
                        row.network = lower_case(network);
                    }
                }
                Field::Kind => row.kind = filled().map(lower_case),
                Field::Text => row.text = filled().map(unguarded),
                Field::Url => row.url = filled().map(|url| url.strip_prefix('\'').unwrap_or(url)),
                Field::Paid => row.paid = paid(cell, &self.missing).map_err(failed)?,
                Field::Count(metric) => {
                    let value = if self.missing.is(cell) {
                        Value::Missing(self.absent.get(place).copied().unwrap_or(Missing::Blank))
                    } else {
                        let (number, abbreviated) =
                            count::read(cell, self.source.decimal_mark).map_err(failed)?;
                        row.abbreviated += u64::from(abbreviated);
                        Value::Known(number)
                    };
                    row.values[*metric as usize] = value;
                }
                Field::PublishedAt | Field::TimeOfDay | Field::Ignored => {}
            }
        }
        Ok(row)
    }

    fn time(&self, record: &Record<'_>) -> std::result::Result<DateTime<Utc>, Reason> {
        let text = record.cell(self.columns.published_at);
        let failed = |error: CellError| {
            let name = self.columns.read.iter().find(|(_, field, _)| *field == Field::PublishedAt);
            Reason::cell(name.map_or("published_at".to_owned(), |(.., name)| name.clone()), error)
        };
        if self.missing.is(text) {
            return Err(match record.iter().take(3).any(is_total) {
                true => Reason::rule("total_row", "a row of totals, not a post"),
                false => failed(empty()),
            });
        }
        let stamp = match self.time_of_day {
            Some(column) => self.format.parse_apart(text, record.cell(column)),
            // Noon, so that the day is the same in most zones.
            None if self.day_only => self.format.parse_apart(text, "12:00:00"),
            None => self.format.parse(text),
        };
        let zone = if self.columns.is_utc { Some(&Tz::UTC) } else { self.source.zone.as_ref() };
        let time = stamp.and_then(|stamp| stamp.in_zone(zone)).map_err(failed)?;
        // No network is older, and a misread year would stretch every axis.
        match time.year() {
            1990..=2199 => Ok(time),
            _ => Err(Reason::rule("year", "a time of publication outside of the years 1990 to 2199")),
        }
    }

    fn entry<'a>(&self, row: &'a Parsed<'_>) -> sheet::Entry<'a> {
        sheet::Entry {
            network: &row.network,
            kind: row.kind.as_deref(),
            paid: row.paid,
            published_at: row.published_at,
            observed_at: self.source.exported_at,
            values: row.values,
            id: &row.id,
            text: row.text,
            url: row.url,
        }
    }

    fn post(&self, row: &Parsed<'_>) -> (Post, Observation) {
        let post = Post {
            kind: row.kind.as_deref().map(str::to_owned),
            text: row.text.map(str::to_owned),
            paid: row.paid,
            url: row.url.map(str::to_owned),
            ..Post::new(row.network.as_ref(), row.id.as_ref(), row.published_at)
        };
        let reading = |((_, field, _), native): (&(usize, Field, String), &Arc<str>)| match field {
            Field::Count(metric) => {
                Some(Reading::new(*metric, Arc::clone(native), row.values[*metric as usize]))
            }
            _ => None,
        };
        let readings = self.columns.read.iter().zip(&self.natives).filter_map(reading);
        let observation = Observation::of(&post, self.source.exported_at).readings(readings);
        (post, observation)
    }
}

fn empty() -> CellError {
    CellError::new(CellProblem::Empty, "")
}

fn paid(text: &str, missing: &MissingWords) -> std::result::Result<Option<bool>, CellError> {
    if missing.is(text) {
        return Ok(None);
    }
    match text {
        _ if text.eq_ignore_ascii_case("paid") => Ok(Some(true)),
        _ if text.eq_ignore_ascii_case("organic") => Ok(Some(false)),
        _ => boolean(text).map(Some),
    }
}

#[async_trait]
impl PostPages for CsvPages {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        let mut page = PostPage::default();
        let read = self.page(&mut |layout, row| {
            let (post, observation) = layout.post(row);
            page.posts.push(post);
            page.observations.push(observation);
        })?;
        Ok(read.map(|(tally, quarantined)| {
            (page.tally, page.quarantined) = (tally, quarantined);
            page
        }))
    }

    async fn next_into(&mut self, all: &mut ReadSheet) -> Result<bool> {
        let sheet = &mut all.sheet;
        let read = self.page(&mut |layout, row| sheet.push(&layout.entry(row)))?;
        Ok(read
            .map(|(tally, quarantined)| {
                all.quarantined.extend(quarantined);
                all.tally.add(&tally);
            })
            .is_some())
    }

    fn findings(&self) -> Findings {
        Findings { table: Some(self.found.clone()), ..self.findings.clone() }
    }
}
