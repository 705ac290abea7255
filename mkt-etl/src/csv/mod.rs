//! A site whose traffic, customers and costs come as CSV files, in the course's columns.
//!
//! | stream | file | columns | fills |
//! |---|---|---|---|
//! | `sessions` | sessions.csv | session_id, user_id, start_time, end_time, pages_viewed, converted, channel; may: device, landing_url, referrer | `sessions` |
//! | `events` | events.csv | user_id, event_type, timestamp, channel; may: event_id, revenue, properties (JSON), currency, session_id; any other becomes a property | `events` |
//! | `customers` | customers.csv | user_id; may: lang, consent_marketing, consent_since, signed_up_at, segment, sex, age_band, occupation | `users`, without `email` and `first_name` |
//! | `costs` | costs.csv | day, channel, source, medium, campaign, impressions, clicks, cost, currency | `costs`, `campaigns` |
//!
//! - Sessions and events are sliced by day in the site's zone; customers and costs are one slice each.
//! - Several exports of one kind live side by side under keys of their own, see [`CsvBuilder::key`].
//! - Events of a file without event_id are known by the file's key and all their cells; a record with the same cells as
//!   an earlier one is then a duplicate.
//! - Times without an offset are times of [`CsvBuilder::times_in`] (UTC unless told otherwise). Comma, semicolon or tab,
//!   found out from the header; a decimal comma where the comma is not the delimiter. UTF-8, or Windows-1252 record by
//!   record. Other column names by [`CsvBuilder::rename`].
//! - A record that does not fit is set aside with line, offset, bytes (addresses replaced) and reason; one whose day does
//!   not read is set aside with the slice of the record before it. A record that repeats an earlier one is a duplicate;
//!   another record with an id that is taken is set aside. `read = loaded + quarantined + duplicates`.
//! - Other columns of sessions and costs are kept beside the rows (`etl_extras`) and named (`etl_drift`); those of
//!   customers are named and not kept, since they may be telephone numbers.
//! - The revenue of a `refund` is taken off, whether the file writes it with a minus or without.
//! - A session's campaign, and that of its later events, is the one in the URL of an event that names this session in
//!   `properties.session_id`.
//! - Memory: a file is read once for an index (a few numbers a day, the last million ids, at most a million repeated
//!   records: a file with more is refused), then slice by slice, in pages of 1 000 records. No record may be longer than
//!   1 MiB. A file in the order of time is read twice in all; one in no order at worst once for each day.
//! - A settled slice is read again when its records have changed, and only then. The control total is the number of
//!   records that the index counted.

mod index;
mod records;
mod rows;
mod sheet;
mod value;

pub use sheet::Encoding;

use crate::source::{
    AnalyticsSource, Capabilities, Change, Checked, Drift, Extra, Finality, Grain, Kind, Page, Rejected,
    SiteFacts, Stream, Totals, Window, plan_by_grain,
};
use async_trait::async_trait;
use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use index::{FileKind, Index, Mapped, Repeat, Stamp};
use mkt_connect::{Currency, Error, ErrorKind, Result};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::{Campaign, EventType, Json};
use records::Raw;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sheet::{Fields, Row, SERVICE, Sheet, failed};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

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

/// What a row needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    site: String,
    zone: Tz,
    times_in: Tz,
    currency: Currency,
    key: Option<String>,
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
    encoding: Encoding,
    renamed: HashMap<String, String>,
    files: HashMap<FileKind, PathBuf>,
    indexes: Mutex<HashMap<FileKind, Arc<Index>>>,
}

/// Settings of a [`CsvSource`].
#[derive(Debug, Clone)]
pub struct CsvBuilder {
    settings: Settings,
    encoding: Encoding,
    renamed: HashMap<String, String>,
    files: HashMap<FileKind, PathBuf>,
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
            },
            encoding: Encoding::Detect,
            renamed: HashMap::new(),
            files: HashMap::new(),
        }
    }
}

impl CsvSource {
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
    /// `events:key`, and loading replaces what was loaded under this key and nothing else. Default: none.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.settings.key = Some(key.into());
        self
    }

    /// How bytes are read as text. Default: [`Encoding::Detect`].
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Reads the column `theirs` of the files as `ours`: `rename("visitor", "user_id")`. Upper and lower case are the
    /// same.
    #[must_use]
    pub fn rename(mut self, theirs: &str, ours: &str) -> Self {
        self.renamed.insert(theirs.trim().to_lowercase(), ours.to_owned());
        self
    }

    /// Checks the settings. No file is opened: see [`check`](AnalyticsSource::check).
    ///
    /// # Errors
    /// `Config`: no file, no usable name of the site, or a key that is not 1 to 64 letters, digits, `.`, `_` or `-`.
    pub fn build(self) -> Result<CsvSource> {
        let config = |detail: &str| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        if self.files.is_empty() {
            return config("there is no file");
        }
        if self.settings.site.is_empty() || self.settings.site.contains('@') {
            return config("the site has no usable name");
        }
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        let usable = |key: &str| (1..=64).contains(&key.chars().count()) && key.chars().all(plain);
        if self.settings.key.as_deref().is_some_and(|key| !usable(key)) {
            return config("the key is not 1 to 64 letters, digits, '.', '_' or '-'");
        }
        Ok(CsvSource(Arc::new(Inner {
            settings: self.settings,
            encoding: self.encoding,
            renamed: self.renamed,
            files: self.files,
            indexes: Mutex::default(),
        })))
    }
}

impl Inner {
    fn facts(&self) -> SiteFacts {
        SiteFacts {
            site: self.settings.site.clone(),
            native_id: self.settings.site.clone(),
            zone: self.settings.zone,
            currency: Some(self.settings.currency),
            conversion_set: vec![EventType::PURCHASE],
        }
    }

    fn sheet(&self, kind: FileKind) -> Result<Option<Sheet>> {
        let Some(path) = self.files.get(&kind) else { return Ok(None) };
        Sheet::open(path, self.encoding, &self.renamed, kind.needs()).map(Some)
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
        let Some(sheet) = self.sheet(kind)? else { return Ok(None) };
        let index = Arc::new(Index::build(sheet, kind, &self.settings)?);
        indexes.insert(kind, Arc::clone(&index));
        Ok(Some(index))
    }

    fn needed_index(&self, kind: FileKind) -> Result<Arc<Index>> {
        self.index(kind)?.ok_or_else(|| {
            Error::new(ErrorKind::Input, SERVICE, "read a slice")
                .with_detail(format!("there is no stream {:?}", kind.stream()))
        })
    }

    fn version(&self, kind: FileKind, day: NaiveDate) -> Result<String> {
        let index = self.needed_index(kind)?;
        let mut hash = Sha256::new();
        hash.update(format!(
            "{:?} {:?} {:?}",
            self.settings,
            self.encoding,
            self.files.contains_key(&FileKind::Events)
        ));
        hash.update(index.hash_of(day));
        // What the cells mean.
        for column in index.sheet.columns() {
            hash.update((column.len() as u64).to_be_bytes());
            hash.update(column);
        }
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
            fields: index.sheet.fields(),
            page: Page::default(),
        };
        reading.name_unknown();
        let mut read = 0;
        for extent in &found.extents {
            let mut records = index.sheet.records_from(extent.offset, extent.line)?;
            let mut today = day;
            while let Some(raw) = records.next().map_err(|cause| failed(index.sheet.path(), cause))? {
                if raw.offset >= extent.end {
                    break;
                }
                if !reading.add(&raw, day, &mut today) {
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
                .with_detail(format!("{} changed while it was being read", index.sheet.path().display())));
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
    fields: Fields,
    page: Page,
}

impl Reading<'_> {
    /// Names the columns that the model does not know. Of events they become properties, so that nothing differs.
    fn name_unknown(&mut self) {
        if self.kind == FileKind::Events {
            return;
        }
        let uses = self.kind.uses();
        let place = self.index.sheet.name();
        self.page.drift.extend(self.index.sheet.others(&uses).map(|column| Drift {
            place: place.clone(),
            field: column.to_owned(),
            change: Change::New,
        }));
    }

    /// Keeps the cells that the model does not know, beside the row that they came with. Not of customers: a column that
    /// nobody knows there may be a telephone number.
    fn keep_unknown(&mut self, row: &Row<'_>, mapped: &Mapped) {
        let record = match mapped {
            Mapped::Session(session) => session.session_id.clone(),
            Mapped::Cost(cost, _) => format!("{} {} {}", cost.day, cost.channel, cost.campaign_id),
            Mapped::Event(_) | Mapped::User(_) => return,
        };
        let fields: serde_json::Map<String, Value> = row
            .others(&self.kind.uses())
            .map(|(column, cell)| (column.to_owned(), Value::from(cell)))
            .collect();
        if !fields.is_empty() {
            self.page.extras.push(Extra { record, fields: Json(Value::Object(fields)) });
        }
    }

    /// Adds a record; false if it belongs to another day.
    fn add(&mut self, raw: &Raw, day: NaiveDate, today: &mut NaiveDate) -> bool {
        let settings = &self.inner.settings;
        let sheet = &self.index.sheet;
        let row = sheet.row(raw, &mut self.fields);
        // As the index placed it: by its own day, else by that of the record before.
        *today = row.as_ref().ok().and_then(|row| self.kind.place(row, settings).ok()).unwrap_or(*today);
        if *today != day {
            return false;
        }
        self.page.read += 1;
        let mapped = match self.index.repeats.get(&raw.offset) {
            Some(Repeat::Same) => {
                self.page.duplicates += 1;
                return true;
            }
            Some(Repeat::Other) => Err("its id belongs to an earlier record, which differs".to_owned()),
            None => row.and_then(|row| {
                let session = match self.kind {
                    FileKind::Sessions => row.get("session_id").map(str::to_owned),
                    FileKind::Events => rows::session_and_campaign(&row).0,
                    _ => None,
                };
                let campaign =
                    self.campaigns.zip(session).and_then(|(index, session)| index.campaign_of(&session));
                let mapped = Mapped::of(self.kind, &row, settings, sheet.delimiter() != b',', campaign)?;
                self.keep_unknown(&row, &mapped);
                Ok(mapped)
            }),
        };
        match mapped {
            Ok(Mapped::Session(session)) => self.page.sessions.push(session),
            Ok(Mapped::Event(event)) => self.page.events.push(event),
            Ok(Mapped::User(user)) => self.page.users.push(user),
            Ok(Mapped::Cost(cost, names)) => {
                let campaign = index::campaign(&cost, &names, cost.channel, settings);
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
            Err(reason) => {
                self.page
                    .rejected
                    .push(Rejected::new(sheet.name(), &raw.bytes, reason).at(raw.line, raw.offset));
            }
        }
        true
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
            Stream { name: self.0.settings.stream(kind), grain, fills, finality: Finality::Immediate }
        };
        Capabilities {
            source: SERVICE,
            streams: FileKind::ALL
                .into_iter()
                .filter(|kind| self.0.files.contains_key(kind))
                .map(stream)
                .collect(),
            concurrency: 4,
            control_totals: true,
        }
    }

    /// Opens every file and reads its header.
    async fn check(&self) -> Result<Checked> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            for kind in FileKind::ALL {
                inner.sheet(kind)?;
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
            return Err(Error::new(ErrorKind::Input, SERVICE, "plan")
                .with_detail(format!("there is no site {site:?}")));
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
