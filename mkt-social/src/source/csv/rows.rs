//! The rows of a file, page by page.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use csv::StringRecord;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use foldhash::quality::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use mkt_connect::{Error, ErrorKind, Result};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::super::{PostPage, PostPages, Quarantined, Refusal, Request, Tabulation, Tally};
use super::cell;
use super::columns::{Columns, Field, separator_of};
use super::records::{Record, Records, Splitter, input, length, unreadable};
use super::{CsvSource, DecimalMark, TextEncoding};
use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, Reading};
use crate::sheet::{self, Values};

/// Bytes of a refused row that are kept.
const KEPT: u64 = 4096;
/// Bytes of a file from which on a second thread splits it into records.
const LONG: u64 = 1 << 20;
/// Rows looked at for one page at most, so that a page of refused rows also ends.
const ROWS_PER_POST: u64 = 4;

pub(super) struct Rows {
    layout: Layout,
    request: Request,
    records: Records,
    /// The byte order mark, which the reader does not see.
    skipped: u64,
    seen: Seen,
    at_same_time: HashMap<DateTime<Utc>, u32>,
    finished: bool,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("input", &self.layout.source.input)
            .field("request", &self.request)
            .field("rows_seen", &self.seen.rows.len())
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
        let (splitter, names) = Splitter::open(
            &source.input,
            skipped as u64,
            separator,
            source.longest_row,
            encoding,
            operation,
        )?;
        let names = names.map_err(|refusal| refuse(&format!("the header {refusal}")))?;
        let names: Vec<String> = names.iter().map(str::to_owned).collect();
        let columns = Columns::read(names, &source.mapping, operation)?;
        let natives = columns.names.iter().map(|name| Arc::from(name.trim())).collect();
        Ok(Self {
            layout: Layout { source: source.clone(), columns, natives, decimal },
            request: Request::all(),
            records: Records::here(splitter),
            skipped: skipped as u64,
            seen: Seen::new(),
            at_same_time: HashMap::new(),
            finished: false,
        })
    }

    pub(super) fn over(mut self, request: &Request) -> Self {
        self.request = request.clone();
        if length(&self.layout.source.input) >= LONG {
            self.records = self.records.beside();
        }
        self
    }

    /// A refused row with the bytes `from..to` of the file, at most [`KEPT`]. Empty lines before it, which the reader
    /// passed over, are not part of it.
    fn set_aside(&self, from: u64, to: u64, line: u64, reason: Refusal) -> Quarantined {
        let mut raw = Vec::new();
        let wanted = to.saturating_sub(from).min(KEPT);
        let read = input(&self.layout.source.input, from)
            .and_then(|reader| reader.take(wanted).read_to_end(&mut raw));
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

    /// Reads the rows of one page; each that is a post asked for is given to `take`.
    fn rows(&mut self, take: &mut dyn FnMut(&Layout, &Parsed<'_>)) -> Result<(Tally, Vec<Quarantined>)> {
        let (mut tally, mut quarantined) = (Tally::default(), Vec::new());
        let most_posts = self.request.page_size.max(1) as u64;
        let most_rows = most_posts.saturating_mul(ROWS_PER_POST).max(1_000);
        while tally.loaded < most_posts && tally.read < most_rows {
            let Some(Record { text, start, end, line }) = self.records.next()? else {
                self.finished = true;
                break;
            };
            tally.read += 1;
            let met = text.and_then(|record| {
                let met = self.row(&record, line, take);
                self.records.reuse(record);
                met
            });
            match met {
                Ok(Met::Repeated) => tally.duplicates += 1,
                Ok(Met::Outside) => tally.outside += 1,
                Ok(Met::New) => tally.loaded += 1,
                Err(reason) => {
                    tally.quarantined += 1;
                    quarantined.push(self.set_aside(start + self.skipped, end + self.skipped, line, reason));
                }
            }
        }
        Ok((tally, quarantined))
    }

    fn row(
        &mut self,
        record: &StringRecord,
        line: u64,
        take: &mut dyn FnMut(&Layout, &Parsed<'_>),
    ) -> Result<Met, Refusal> {
        let mut row = self.layout.parse(record)?;
        if row.id.is_empty() {
            // Without ids, a post is named by its instant; the second of one instant by its place among them.
            let nth = self.at_same_time.entry(row.published_at).and_modify(|n| *n += 1).or_insert(1);
            let at = row.published_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            row.id = Cow::Owned(format!("{at}#{nth}"));
        }
        match self.seen.meet(&row, record, line)? {
            Met::New if !self.request.covers(row.published_at) => Ok(Met::Outside),
            Met::New => {
                take(&self.layout, &row);
                Ok(Met::New)
            }
            met => Ok(met),
        }
    }

    /// Runs one page, and stays at its end after the last one and after an error.
    fn page(
        &mut self,
        take: &mut dyn FnMut(&Layout, &Parsed<'_>),
    ) -> Result<Option<(Tally, Vec<Quarantined>)>> {
        if self.finished {
            return Ok(None);
        }
        let page = self.rows(take);
        let any = page.as_ref().is_ok_and(|(tally, _)| tally.read > 0);
        if !any {
            self.finished = true;
        }
        page.map(|page| any.then_some(page))
    }
}

/// What the cells of a row are.
pub(super) struct Layout {
    source: CsvSource,
    columns: Columns,
    natives: Vec<Arc<str>>,
    decimal: DecimalMark,
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
}

fn lower_case(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

impl Layout {
    /// Reads the cells; the id is empty if the file has none.
    fn parse<'r>(&'r self, record: &'r StringRecord) -> Result<Parsed<'r>, Refusal> {
        let mut row = Parsed {
            network: Cow::Borrowed(self.source.network.as_deref().unwrap_or("unknown")),
            id: Cow::Borrowed(""),
            published_at: DateTime::UNIX_EPOCH,
            kind: None,
            text: None,
            url: None,
            paid: None,
            values: [Value::Missing(Missing::NotSupported); Metric::ALL.len()],
        };
        for (cell, field) in record.iter().zip(&self.columns.fields) {
            let filled = || Some(cell.trim()).filter(|text| !text.is_empty());
            match field {
                Field::Id => row.id = Cow::Borrowed(filled().ok_or(Refusal::Empty { field: "post id" })?),
                Field::Network => {
                    if let Some(network) = filled() {
                        row.network = lower_case(network);
                    }
                }
                Field::PublishedAt => {
                    let text = filled().ok_or(Refusal::Empty { field: "time of publication" })?;
                    row.published_at = cell::time(text, self.source.zone, self.source.date_order)?;
                }
                Field::Kind => row.kind = filled().map(lower_case),
                Field::Text => row.text = filled(),
                Field::Url => row.url = filled(),
                Field::Paid => row.paid = cell::flag(cell)?,
                Field::Count(metric) => {
                    row.values[*metric as usize] = cell::count(cell, self.decimal, *metric)?;
                }
                Field::Ignored => {}
            }
        }
        Ok(row)
    }

    fn entry<'a>(&self, row: &'a Parsed<'_>) -> sheet::Entry<'a> {
        sheet::Entry {
            network: &row.network,
            kind: row.kind.as_deref(),
            paid: row.paid,
            published_at: row.published_at,
            observed_at: self.source.read_at,
            values: row.values,
            id: &row.id,
            text: row.text,
            url: row.url,
        }
    }

    fn post(&self, row: &Parsed<'_>) -> (Post, Observation) {
        let reading = |(field, native): (&Field, &Arc<str>)| match field {
            Field::Count(metric) => {
                let value = row.values[*metric as usize];
                Some(Reading { metric: *metric, native: Arc::clone(native), value })
            }
            _ => None,
        };
        let post = Post {
            network: row.network.as_ref().to_owned(),
            id: row.id.as_ref().to_owned(),
            published_at: row.published_at,
            kind: row.kind.as_deref().map(str::to_owned),
            text: row.text.map(str::to_owned),
            paid: row.paid,
            url: row.url.map(str::to_owned),
        };
        let observation = Observation {
            network: post.network.clone(),
            post_id: post.id.clone(),
            observed_at: self.source.read_at,
            version: None,
            readings: self.columns.fields.iter().zip(&self.natives).filter_map(reading).collect(),
        };
        (post, observation)
    }
}

/// What became of a row that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    New,
    Repeated,
    Outside,
}

/// The posts that were read: 24 bytes for each in their order, and a small table that finds them. The table is what is
/// looked into at random, so it holds no more than numbers.
struct Seen {
    rows: Vec<Row>,
    by_name: HashTable<u32>,
    names: SipHasher13,
    whole: RandomState,
}

/// 96 bits of the hash of network and id, under a key that no file knows: of a thousand million posts, two have the same
/// name in one of 10¹¹ files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name([u32; 3]);

impl Name {
    fn hash(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

/// The line (in two halves, which need no alignment to 8 bytes) and 32 bits of the hash of the row.
struct Row {
    name: Name,
    line: [u32; 2],
    fingerprint: u32,
}

impl Seen {
    fn new() -> Self {
        let whole = RandomState::default();
        let names = SipHasher13::new_with_keys(whole.hash_one(1), whole.hash_one(2));
        Self { rows: Vec::new(), by_name: HashTable::new(), names, whole }
    }

    fn meet(&mut self, row: &Parsed<'_>, record: &StringRecord, line: u64) -> Result<Met, Refusal> {
        let mut hasher = self.names;
        (&*row.network, &*row.id).hash(&mut hasher);
        let name = hasher.finish128().as_u128();
        let name = Name([name as u32, (name >> 32) as u32, (name >> 64) as u32]);
        let mut hasher = self.whole.build_hasher();
        hasher.write(record.as_slice().as_bytes());
        for cell in 0..record.len() {
            hasher.write_u32(record.range(cell).map_or(0, |range| range.end as u32));
        }
        let fingerprint = hasher.finish() as u32;
        let named = |number: &u32| self.rows.get(*number as usize).map(|row| row.name);
        let hash = |number: &u32| named(number).map_or(0, Name::hash);
        match self.by_name.entry(name.hash(), |number| named(number) == Some(name), hash) {
            Entry::Vacant(place) => {
                let number = u32::try_from(self.rows.len()).map_err(|_| Refusal::TooMany)?;
                place.insert(number);
                self.rows.push(Row { name, line: [(line >> 32) as u32, line as u32], fingerprint });
                Ok(Met::New)
            }
            Entry::Occupied(known) => match self.rows.get(*known.get() as usize) {
                Some(known) if known.fingerprint != fingerprint => {
                    let [high, low] = known.line;
                    Err(Refusal::Contradiction { line: u64::from(high) << 32 | u64::from(low) })
                }
                _ => Ok(Met::Repeated),
            },
        }
    }
}

#[async_trait]
impl PostPages for Rows {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        let mut page = PostPage::default();
        let told = self.page(&mut |layout, row| {
            let (post, observation) = layout.post(row);
            page.posts.push(post);
            page.observations.push(observation);
        })?;
        Ok(told.map(|(tally, quarantined)| {
            (page.tally, page.quarantined) = (tally, quarantined);
            page
        }))
    }

    async fn next_into(&mut self, all: &mut Tabulation) -> Result<bool> {
        let sheet = &mut all.sheet;
        let told = self.page(&mut |layout, row| sheet.push(&layout.entry(row)))?;
        Ok(told
            .map(|(tally, quarantined)| {
                all.quarantined.extend(quarantined);
                all.tally.add(&tally);
            })
            .is_some())
    }
}
