//! A source of delimited text files: sessions, events, customers and costs of one site.
//!
//! | stream | file | columns | fills |
//! |---|---|---|---|
//! | `sessions` | sessions.csv | session_id, user_id, start_time, end_time, pages_viewed, converted, channel; may: device, landing_url, referrer | `sessions` |
//! | `events` | events.csv | user_id, event_type, timestamp, channel; may: event_id, revenue, properties (JSON), currency, session_id; any other becomes a property | `events` |
//! | `customers` | customers.csv | user_id; may: lang, consent_marketing, consent_since, signed_up_at, segment, sex, age_band, occupation | `users`, without `email` and `first_name` |
//! | `costs` | costs.csv | day, channel, source, medium, campaign, impressions, clicks, cost, currency | `costs`, `campaigns` |
//!
//! Files are read by [`mkt_connect::table`]: encoding, delimiter and header are found, columns are matched without case,
//! accents, spaces and underscores, and by usual synonyms; other names by [`CsvBuilder::rename`]. Exports of known shape
//! are recognised by their header (RetailRocket, REES46, Olist orders, UCI Online Retail, Shopify orders, GA4 events).
//! **What was found is in [`CsvSource::findings`]**: nothing is guessed without saying so.
//!
//! - Sessions and events are sliced by day in the site's zone; customers and costs are one slice each.
//! - Several exports of one kind stand side by side under keys of their own, see [`CsvBuilder::key`]. A row that stands
//!   already under another key stays there and counts as a duplicate.
//! - Events of a file without event_id are known by all their cells; a record with the same cells as an earlier one is
//!   then a duplicate.
//! - **Times** without an offset are times of [`CsvBuilder::times_in`] (default: UTC). `03/04/2026` needs a date order that
//!   is declared or proven by the file, numbers since 1970 need [`CsvBuilder::epoch`].
//! - **Amounts** need a decimal mark that is declared or proven by the file: what stays ambiguous (`1.234` alone) is
//!   quarantined with the option named. An amount that does not fit `DECIMAL(10,2)` is quarantined. The revenue of a
//!   `refund` is taken off, whether the file writes it with a minus or without.
//! - **Channels**: names of Google Analytics, Matomo and AT Internet, `source / medium`, and usual words are known
//!   ([`crate::channel::of_name`]); [`CsvBuilder::channel`] adds others. An unknown word becomes `other`, is counted in the
//!   findings, and is kept in `channel_detail`.
//! - A record that does not fit is quarantined with line, offset, bytes (addresses replaced) and reason; one whose day does
//!   not read is in the slice of the record before it. A record that repeats an earlier one is a duplicate; another
//!   record with an id that is taken is quarantined, whatever the distance. `read = loaded + quarantined + duplicates`.
//! - Other columns of sessions and costs are kept beside the rows (`etl_extras`) and named (`etl_drift`); those of
//!   customers are named and not kept, since they may be telephone numbers.
//! - A session's campaign, and that of its later events, is the one in the URL of an event that names this session.
//! - **Memory**: a file is read once for an index (a few numbers a day, ids in memory up to a million and in temporary files
//!   beyond, at most a million repeated records), then slice by slice, in pages of 1 000 records. No record may be longer
//!   than 1 MiB. A file in the order of time is read twice in all; one in no order at worst once for each day.
//! - A settled slice is read again when its records have changed, and only then. The control total is the number of
//!   records that the index counted.

mod columns;
mod index;
mod load;
mod preset;
mod repeats;
mod rows;

pub use load::{Load, Loaded};
pub(crate) use rows::fits_amount;

use crate::source::{
    AnalyticsSource, Capabilities, Change, Checked, Drift, Extra, Finality, Grain, Kind, Page, Rejected,
    SiteFacts, Stream, Totals, Window, plan_by_grain,
};
use async_trait::async_trait;
use chrono::NaiveDate;
use chrono_tz::Tz;
use columns::Column;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use index::{Index, Stamp, whole_day};
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch, TimeFormat};
use mkt_connect::table::{Encoding, Found, Quarantined, ReadError, ReadOptions, Record};
use mkt_connect::{Channel, Currency, Error, ErrorKind, Result};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::{Campaign, Cost, Json};
use repeats::Repeat;
use rows::Row;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// The name in the `source` column.
const SERVICE: &str = "csv";

/// The stream of sessions.
pub const SESSIONS: &str = "sessions";
/// The stream of events.
pub const EVENTS: &str = "events";
/// The stream of customers.
pub const CUSTOMERS: &str = "customers";
/// The stream of costs.
pub const COSTS: &str = "costs";

/// Records in a page.
const PAGE: u64 = 1000;
/// The longest key, in characters.
const MAX_KEY: usize = 200;

/// One of the four files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum FileKind {
    Sessions,
    Events,
    Customers,
    Costs,
}

impl FileKind {
    const ALL: [Self; 4] = [Self::Sessions, Self::Events, Self::Customers, Self::Costs];

    fn stream(self) -> &'static str {
        match self {
            Self::Sessions => SESSIONS,
            Self::Events => EVENTS,
            Self::Customers => CUSTOMERS,
            Self::Costs => COSTS,
        }
    }

    /// The day whose slice a row belongs to; one for all where the stream has no days.
    fn place(self, row: &Row<'_>) -> std::result::Result<NaiveDate, mkt_connect::table::Reason> {
        match self {
            Self::Sessions => row.day(Column::StartTime),
            Self::Events => row.day(Column::Timestamp),
            Self::Customers | Self::Costs => Ok(whole_day()),
        }
    }

    /// A hash of what identifies a row in its table; why it is none.
    fn identity(self, row: &Row<'_>) -> std::result::Result<i64, mkt_connect::table::Reason> {
        match self {
            Self::Sessions => rows::session_identity(row),
            Self::Events => rows::event_identity(row),
            Self::Customers => rows::user_identity(row),
            Self::Costs => rows::cost_identity(row),
        }
    }
}

/// What a row needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    site: String,
    zone: Tz,
    times_in: Tz,
    currency: Currency,
    key: Option<String>,
    read: ReadOptions,
    renamed: BTreeMap<String, String>,
    time: TimeFormat,
    date_order: Option<DateOrder>,
    epoch: Option<Epoch>,
    decimal_mark: Option<DecimalMark>,
    channels: BTreeMap<String, Channel>,
}

impl Settings {
    /// The stream of a file: `events`, or `events:key`.
    fn stream(&self, kind: FileKind) -> Cow<'static, str> {
        match &self.key {
            Some(key) => format!("{}:{key}", kind.stream()).into(),
            None => kind.stream().into(),
        }
    }
}

/// CSV files of one site. Start with [`CsvSource::builder`]. Clones share the index.
#[derive(Debug, Clone)]
pub struct CsvSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    files: BTreeMap<FileKind, PathBuf>,
    indexes: Mutex<HashMap<FileKind, Arc<Index>>>,
}

/// Settings of a [`CsvSource`].
#[derive(Debug, Clone)]
pub struct CsvBuilder {
    settings: Settings,
    files: BTreeMap<FileKind, PathBuf>,
    invalid_time_format: Option<String>,
}

/// What was found out about a file, for the answer of whoever loads it. `Display` gives lines of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileFindings {
    /// The file's name.
    pub file: String,
    /// The stream that it fills: `events`, `events:key`.
    pub stream: String,
    /// The known export that the file is, recognised by its header.
    pub export: Option<&'static str>,
    /// Records, without the header.
    pub records: u64,
    /// Encoding, delimiter, columns.
    pub table: Found,
    /// Words for channels that are not known, and in how many records; they are read as `other`.
    pub unknown_channels: BTreeMap<String, u64>,
    /// Words for events that were read as another name (`commande -> purchase`), and in how many records.
    pub renamed_events: BTreeMap<String, u64>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// The first records that do not fit, with line and reason.
    pub first_reasons: Vec<String>,
}

impl fmt::Display for FileFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} records", self.file, self.records)?;
        if let Some(export) = self.export {
            write!(f, ", read as {export}")?;
        }
        writeln!(f)?;
        for line in self.table.to_string().lines() {
            writeln!(f, "  {line}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for (words, records) in &self.renamed_events {
            writeln!(f, "  event {words} ({records} records)")?;
        }
        for (word, records) in &self.unknown_channels {
            writeln!(f, "  unknown channel {word:?}, read as other ({records} records)")?;
        }
        Ok(())
    }
}

impl CsvSource {
    /// Settings for a site of this name, whose days are cut in this zone.
    #[must_use]
    pub fn builder(site: impl Into<String>, zone: Tz) -> CsvBuilder {
        CsvBuilder {
            settings: Settings {
                site: site.into(),
                zone,
                times_in: Tz::UTC,
                currency: Currency::EUR,
                key: None,
                read: ReadOptions::new(),
                renamed: BTreeMap::new(),
                time: TimeFormat::new(),
                date_order: None,
                epoch: None,
                decimal_mark: None,
                channels: BTreeMap::new(),
            },
            files: BTreeMap::new(),
            invalid_time_format: None,
        }
    }

    /// The days of which sessions or events are in the files: from the first to the last, in the site's zone; `None`
    /// when there are none. Reads the files, unless they were read before.
    ///
    /// # Errors
    /// As [`check`](AnalyticsSource::check).
    pub async fn days(&self) -> Result<Option<Window>> {
        let days = self.days_with_records().await?;
        Ok(days.first().zip(days.last()).map(|(first, last)| Window::days(*first, *last)))
    }

    /// Every day of which sessions or events are in the files, in the site's zone. Reads the files, unless they were
    /// read before.
    ///
    /// # Errors
    /// As [`check`](AnalyticsSource::check).
    pub async fn days_with_records(&self) -> Result<BTreeSet<NaiveDate>> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut days = BTreeSet::new();
            for kind in [FileKind::Sessions, FileKind::Events] {
                if let Some(index) = inner.index(kind)? {
                    days.extend(index.days.keys());
                }
            }
            Ok(days)
        })
        .await
    }

    /// What was found out about each file. Reads the files, unless they were read before.
    ///
    /// # Errors
    /// As [`check`](AnalyticsSource::check).
    pub async fn findings(&self) -> Result<Vec<FileFindings>> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut all = Vec::new();
            for kind in FileKind::ALL {
                if let Some(index) = inner.index(kind)? {
                    all.push(inner.findings(kind, &index));
                }
            }
            Ok(all)
        })
        .await
    }
}

/// The key under which a file is kept unless another is given: its path as given, in which characters other than letters,
/// digits, `.`, `_`, `-` and `/` become `_`. A path that this changes, or that is long, also gets a hash of itself, so
/// that no two paths share a key.
#[must_use]
pub fn key_of(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let key: String = text.chars().map(|c| if is_key(c) { c } else { '_' }).collect();
    if key == text && (1..=MAX_KEY).contains(&key.chars().count()) {
        return key;
    }
    let hash = mkt_warehouse::id::stable_hash(&["key", &text]);
    let tail: String = key.chars().rev().take(MAX_KEY - 17).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{tail}-{hash:016x}")
}

fn is_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

impl CsvBuilder {
    fn file(mut self, kind: FileKind, path: impl Into<PathBuf>) -> Self {
        self.files.insert(kind, path.into());
        self
    }

    /// The file of sessions.
    #[must_use]
    pub fn sessions(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Sessions, path)
    }

    /// The file of events.
    #[must_use]
    pub fn events(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Events, path)
    }

    /// The file of customers.
    #[must_use]
    pub fn customers(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Customers, path)
    }

    /// The file of costs.
    #[must_use]
    pub fn costs(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Costs, path)
    }

    /// The zone of times that are written without an offset. Default: UTC.
    #[must_use]
    pub fn times_in(mut self, zone: Tz) -> Self {
        self.settings.times_in = zone;
        self
    }

    /// The currency of events and costs that name none. Default: the euro.
    #[must_use]
    pub fn currency(mut self, currency: Currency) -> Self {
        self.settings.currency = currency;
        self
    }

    /// A name for these files, so that they stand beside others of the same site: the streams are then called
    /// `events:key`, and loading replaces what was loaded under this key and nothing else. Default: none. See [`key_of`].
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.settings.key = Some(key.into());
        self
    }

    /// Declares the encoding. Default: found out.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.settings.read = self.settings.read.encoding(encoding);
        self
    }

    /// Declares the delimiter. Default: found out.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.settings.read = self.settings.read.delimiter(delimiter);
        self
    }

    /// Skips so many lines before the header. Default: 0.
    #[must_use]
    pub fn skip_lines(mut self, lines: u64) -> Self {
        self.settings.read = self.settings.read.skip_lines(lines);
        self
    }

    /// Reads the column `theirs` of the files as `ours`: `rename("visitor", "user_id")`. Names are compared without case,
    /// accents, spaces and underscores. A name that is none of ours is what the property is called.
    #[must_use]
    pub fn rename(mut self, theirs: &str, ours: &str) -> Self {
        self.settings.renamed.insert(columns::folded(theirs), ours.trim().to_lowercase());
        self
    }

    /// Declares how timestamps are written, as a command's option names it: `epoch-s`, `epoch-ms`, `epoch-us`, `day-first`,
    /// `month-first`, or a pattern of [`chrono::format::strftime`] such as `%d.%m.%Y %H:%M`. Anything else is an error of
    /// [`build`](Self::build).
    #[must_use]
    pub fn time_format(mut self, format: &str) -> Self {
        match format.trim() {
            "epoch-s" => self.epoch(Epoch::Seconds),
            "epoch-ms" => self.epoch(Epoch::Milliseconds),
            "epoch-us" => self.epoch(Epoch::Microseconds),
            pattern if pattern.contains('%') => self.time_pattern(pattern),
            order => match order.parse() {
                Ok(order) => self.date_order(order),
                Err(_) => {
                    self.invalid_time_format = Some(format.to_owned());
                    self
                }
            },
        }
    }

    /// Declares a pattern of timestamps, as in [`chrono::format::strftime`]. Default: the usual forms.
    #[must_use]
    pub fn time_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.settings.time = self.settings.time.pattern(pattern.into());
        self
    }

    /// Declares that timestamps are numbers since 1970. Default: only in exports of known shape.
    #[must_use]
    pub fn epoch(mut self, epoch: Epoch) -> Self {
        self.settings.epoch = Some(epoch);
        self
    }

    /// Declares the order of day and month. Default: proven by the file.
    #[must_use]
    pub fn date_order(mut self, order: DateOrder) -> Self {
        self.settings.date_order = Some(order);
        self
    }

    /// Declares the decimal mark of amounts. Default: proven by the file.
    #[must_use]
    pub fn decimal_mark(mut self, mark: DecimalMark) -> Self {
        self.settings.decimal_mark = Some(mark);
        self
    }

    /// Reads a word of the column `channel` (or `source / medium`) as this channel. Default: the usual words, see
    /// [`crate::channel::of_name`].
    #[must_use]
    pub fn channel(mut self, word: &str, channel: Channel) -> Self {
        self.settings.channels.insert(crate::channel::folded(word), channel);
        self
    }

    /// Checks the settings. No file is opened: see [`check`](AnalyticsSource::check).
    ///
    /// # Errors
    /// `Config`: no file, an invalid name of the site, an invalid time format, or a key that is not 1 to 200 letters, digits, `.`, `_`, `-` or `/`.
    pub fn build(self) -> Result<CsvSource> {
        let config = |detail: &str| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        if let Some(format) = &self.invalid_time_format {
            let format: String = format.chars().take(40).collect();
            return config(&format!(
                "invalid time format {format:?}: expected epoch-s, epoch-ms, epoch-us, day-first, month-first or a pattern \
                 with %"
            ));
        }
        if self.files.is_empty() {
            return config("missing file; call `.events()`, `.sessions()`, `.customers()` or `.costs()`");
        }
        if self.settings.site.is_empty() || self.settings.site.contains('@') {
            return config("invalid name of the site: expected a text without @");
        }
        let usable = |key: &str| (1..=MAX_KEY).contains(&key.chars().count()) && key.chars().all(is_key);
        if self.settings.key.as_deref().is_some_and(|key| !usable(key)) {
            return config("invalid key: expected 1 to 200 letters, digits, '.', '_', '-' or '/'");
        }
        Ok(CsvSource(Arc::new(Inner {
            settings: self.settings,
            files: self.files,
            indexes: Mutex::default(),
        })))
    }
}

/// An error of kind `Input`.
fn failed_input(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "read a file").with_detail(detail)
}

/// An error of the file system, with the file it speaks of.
fn failed(path: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, SERVICE, "read a file").with_detail(path.display().to_string()).with_source(cause)
}

/// An error of the reader, with the file it speaks of.
fn unreadable(path: &Path, cause: ReadError) -> Error {
    match cause {
        ReadError::Io(cause) => failed(path, cause),
        other => failed_input(format!("{}: {other}", path.display())),
    }
}

/// Column names as an error may show them: short, on one line, without addresses.
fn shown(names: &str) -> String {
    let names = names.replace(char::is_control, " ");
    crate::clean::raw_text(names.as_bytes(), 200)
}

impl Inner {
    fn facts(&self) -> SiteFacts {
        SiteFacts::new(&self.settings.site, self.settings.zone).currency(Some(self.settings.currency))
    }

    fn findings(&self, kind: FileKind, index: &Index) -> FileFindings {
        let preset = index.columns.preset;
        let note = preset.map(|preset| preset.note.to_owned()).filter(|note| !note.is_empty());
        let reasons = index.reasons.iter().map(|(line, reason)| format!("line {line}: {reason}"));
        FileFindings {
            file: index.name(),
            stream: self.settings.stream(kind).into_owned(),
            export: preset.map(|preset| preset.name),
            records: index.records,
            table: index.found.clone(),
            unknown_channels: index.unknown_channels.clone(),
            renamed_events: index
                .renamed_events
                .iter()
                .map(|((theirs, ours), records)| (format!("{theirs} -> {ours}"), *records))
                .collect(),
            notes: note.into_iter().collect(),
            first_reasons: reasons.collect(),
        }
    }

    /// The index of a file as it is now; read again when the file has changed. Blocks.
    fn index(&self, kind: FileKind) -> Result<Option<Arc<Index>>> {
        let Some(path) = self.files.get(&kind) else { return Ok(None) };
        let stamp = Stamp::of(path)?;
        // Held while the file is read: whoever else needs this index would read it too.
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(&kind).filter(|index| index.stamp == stamp) {
            return Ok(Some(Arc::clone(index)));
        }
        let index = Arc::new(Index::build(path, kind, &self.settings)?);
        indexes.insert(kind, Arc::clone(&index));
        Ok(Some(index))
    }

    fn needed_index(&self, kind: FileKind) -> Result<Arc<Index>> {
        self.index(kind)?.ok_or_else(|| {
            Error::new(ErrorKind::Input, SERVICE, "read a slice")
                .with_detail(format!("unknown stream {:?}", kind.stream()))
        })
    }

    fn version(&self, kind: FileKind, day: NaiveDate) -> Result<String> {
        let index = self.needed_index(kind)?;
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {:?}", self.settings, self.files.contains_key(&FileKind::Events)));
        hash.update(index.hash_of(day));
        hash.update(index.meaning());
        // Campaigns come from the events of the day, and of the days beside it for sessions over midnight.
        if matches!(kind, FileKind::Sessions | FileKind::Events)
            && let Some(events) = self.index(FileKind::Events)?
        {
            for day in [day.pred_opt().unwrap_or(day), day, day.succ_opt().unwrap_or(day)] {
                hash.update(events.tags_of(day));
            }
        }
        Ok(index::hex(hash))
    }

    /// Reads a slice and hands out its pages until nobody takes them. Blocks.
    fn pages(&self, kind: FileKind, day: NaiveDate, out: &mpsc::Sender<Result<Page>>) -> Result<()> {
        let index = self.needed_index(kind)?;
        let campaigns = match kind {
            FileKind::Sessions | FileKind::Events => self.index(FileKind::Events)?,
            _ => None,
        };
        let Some(found) = index.days.get(&day) else { return Ok(()) };
        let mut reading = Reading {
            inner: self,
            kind,
            index: &index,
            campaigns: campaigns.as_deref(),
            declared: BTreeMap::new(),
            page: Page::default(),
            seq: 0,
        };
        reading.name_unknown();
        let mut read = 0;
        for extent in &found.extents {
            let path = index.path();
            let mut file = File::open(path).map_err(|cause| failed(path, cause))?;
            file.seek(SeekFrom::Start(extent.offset)).map_err(|cause| failed(path, cause))?;
            let resumed = index.layout.resume(file, extent.line, extent.offset);
            let mut table = resumed.map_err(|cause| unreadable(path, cause))?;
            let mut today = day;
            while let Some(next) = table.next().map_err(|cause| unreadable(path, cause))? {
                let offset = match &next {
                    Ok(record) => record.offset(),
                    Err(row) => row.offset,
                };
                if offset >= extent.end {
                    break;
                }
                if !reading.add(&next, day, &mut today) {
                    continue;
                }
                read += 1;
                if reading.page.read >= PAGE
                    && out.blocking_send(Ok(std::mem::take(&mut reading.page))).is_err()
                {
                    // Nobody reads any more.
                    return Ok(());
                }
            }
        }
        if read != found.records {
            return Err(Error::new(ErrorKind::Unavailable, SERVICE, "read a slice")
                .with_detail(format!("{} changed while it was being read", index.path().display())));
        }
        let mut last = reading.page;
        last.derived = reading.declared.len() as u64;
        last.campaigns = reading.declared.into_values().collect();
        // A receiver that is gone has no use for it.
        let _ = out.blocking_send(Ok(last));
        Ok(())
    }

    /// The file and the day of a slice.
    fn parts(&self, slice: &SliceKey) -> Result<(FileKind, NaiveDate)> {
        let kind = FileKind::ALL
            .into_iter()
            .find(|kind| self.settings.stream(*kind) == slice.stream && self.files.contains_key(kind));
        match kind {
            Some(kind) if slice.source == SERVICE && slice.site == self.settings.site => {
                Ok((kind, slice.from))
            }
            _ => Err(Error::new(ErrorKind::Input, SERVICE, "read a slice")
                .with_detail(format!("{slice} is no slice of this source"))),
        }
    }
}

/// A slice that is being read.
struct Reading<'a> {
    inner: &'a Inner,
    kind: FileKind,
    index: &'a Index,
    campaigns: Option<&'a Index>,
    declared: BTreeMap<String, Campaign>,
    page: Page,
    /// Records of the slice so far.
    seq: i64,
}

impl Reading<'_> {
    /// Names the columns that the model does not know. Of events they become properties, so that nothing differs.
    fn name_unknown(&mut self) {
        if self.kind == FileKind::Events {
            return;
        }
        let place = self.index.name();
        let others = self.index.columns.others().iter();
        self.page
            .drift
            .extend(others.map(|(_, column)| Drift::new(place.clone(), column.clone(), Change::New)));
    }

    /// Keeps the cells that the model does not know, beside the row that they came with. Not of customers: a column that
    /// nobody knows there may be a telephone number.
    fn keep_unknown(&mut self, row: &Row<'_>, record: impl FnOnce() -> String) {
        let fields: serde_json::Map<String, Value> =
            row.others().map(|(column, cell)| (column.to_owned(), Value::from(cell))).collect();
        if !fields.is_empty() {
            self.page.extras.push(Extra::new(record(), Json(Value::Object(fields))));
        }
    }

    /// Adds a record; false if it belongs to another day.
    fn add(
        &mut self,
        next: &std::result::Result<Record<'_>, Quarantined>,
        day: NaiveDate,
        today: &mut NaiveDate,
    ) -> bool {
        let index = self.index;
        let row = next.as_ref().ok().map(|record| Row {
            record: *record,
            columns: &index.columns,
            formats: &index.formats,
            settings: &self.inner.settings,
            // The order within the slice: other days of the file do not change it.
            seq: self.seq + 1,
        });
        // As the index placed it: by its own day, else by that of the record before.
        *today = row.as_ref().and_then(|row| self.kind.place(row).ok()).unwrap_or(*today);
        if *today != day {
            return false;
        }
        self.page.read += 1;
        self.seq += 1;
        if row.as_ref().is_some_and(Row::is_further_line) {
            self.page.duplicates += 1;
            return true;
        }
        let set_aside = match (next, row) {
            (Ok(record), Some(row)) => match index.repeats.get(&record.offset()) {
                Some(Repeat::Same) => {
                    self.page.duplicates += 1;
                    return true;
                }
                Some(Repeat::Other) => Some(record.quarantine(mkt_connect::table::Reason::rule(
                    "id_taken",
                    "its id belongs to an earlier record, which differs",
                ))),
                None => self.map(&row).err().map(|reason| record.quarantine(reason)),
            },
            (Err(row), _) => Some(row.clone()),
            (Ok(_), None) => None,
        };
        if let Some(row) = set_aside {
            let rejected = Rejected::new(index.name(), row.raw(), row.reason.to_string());
            self.page.rejected.push(rejected.at(row.line, row.offset));
        }
        true
    }

    /// Makes a row of the warehouse.
    fn map(&mut self, row: &Row<'_>) -> std::result::Result<(), mkt_connect::table::Reason> {
        let campaign =
            |session: Option<&str>| self.campaigns.zip(session).and_then(|(index, id)| index.campaign_of(id));
        match self.kind {
            FileKind::Sessions => {
                let session = rows::session(row, campaign(row.get(Column::SessionId)))?;
                self.keep_unknown(row, || session.session_id.clone());
                self.page.sessions.push(session);
            }
            FileKind::Events => {
                let session = self.campaigns.and_then(|_| rows::session_and_campaign(row).0);
                let event = rows::event(row, campaign(session.as_deref()))?;
                self.page.events.push(event);
            }
            FileKind::Customers => self.page.users.push(rows::user(row, whole_day())?),
            FileKind::Costs => {
                let (cost, names) = rows::cost(row)?;
                self.keep_unknown(row, || format!("{} {} {}", cost.day, cost.channel, cost.campaign_id));
                let campaign = declared(&cost, &names, &self.inner.settings);
                self.declared
                    .entry(cost.campaign_id.clone())
                    .and_modify(|held| {
                        if campaign.first_seen < held.first_seen {
                            *held = campaign.clone();
                        }
                    })
                    .or_insert(campaign);
                self.page.costs.push(cost);
            }
        }
        Ok(())
    }
}

/// A campaign as costs know it, to be declared.
fn declared(cost: &Cost, names: &[String; 3], settings: &Settings) -> Campaign {
    let [tag_source, tag_medium, name] = names.clone();
    Campaign {
        campaign_id: cost.campaign_id.clone(),
        tag_source,
        tag_medium,
        name,
        channel: cost.channel,
        declared_by: "auto".to_owned(),
        first_seen: crate::zone::day_start(cost.day, settings.zone),
        vendor_ref: None,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: cost.day,
    }
}

/// Runs file work on a thread where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::new(ErrorKind::Other, SERVICE, "read a file").with_source(cause))?
}

#[async_trait]
impl AnalyticsSource for CsvSource {
    fn capabilities(&self) -> Capabilities {
        let stream = |kind: FileKind| {
            let (grain, fills): (_, &'static [Kind]) = match kind {
                FileKind::Sessions => (Grain::Day, &[Kind::Sessions]),
                FileKind::Events => (Grain::Day, &[Kind::Events]),
                FileKind::Customers => (Grain::Whole, &[Kind::Users]),
                FileKind::Costs => (Grain::Whole, &[Kind::Costs, Kind::Campaigns]),
            };
            Stream::new(self.0.settings.stream(kind), grain, fills, Finality::Immediate)
        };
        let streams = FileKind::ALL.into_iter().filter(|kind| self.0.files.contains_key(kind)).map(stream);
        Capabilities::new(SERVICE, streams.collect()).concurrency(4).control_totals(true).shared_ids(true)
    }

    /// Opens every file and reads its header.
    async fn check(&self) -> Result<Checked> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            for (kind, path) in &inner.files {
                index::open(path, *kind, &inner.settings)?;
            }
            Ok(Checked::new(vec![inner.facts()]))
        })
        .await
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(vec![self.0.facts()])
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        if site != self.0.settings.site {
            return Err(
                Error::new(ErrorKind::Input, SERVICE, "plan").with_detail(format!("unknown site {site:?}"))
            );
        }
        plan_by_grain(&self.capabilities(), stream, site, window)
    }

    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        let (kind, day) = self.0.parts(slice)?;
        let inner = Arc::clone(&self.0);
        blocking(move || inner.version(kind, day).map(Some)).await
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let (kind, day) = match self.0.parts(slice) {
            Ok(parts) => parts,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let inner = Arc::clone(&self.0);
        // Two pages ahead, no more: a slow reader slows the file down.
        let (send, receive) = mpsc::channel(2);
        let start = async move {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = inner.pages(kind, day, &send) {
                    let _ = send.blocking_send(Err(error));
                }
            });
            receive
        };
        stream::once(start)
            .flat_map(|receive| {
                stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) })
            })
            .boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        let (kind, day) = self.0.parts(slice)?;
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let index = inner.needed_index(kind)?;
            let records = index.days.get(&day).map_or(0, |day| day.records);
            Ok(Some(Totals::new().with("records", records)))
        })
        .await
    }
}
