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
//! - **Missing**: a session without a number of pages or without `converted` is quarantined, never read as zero or no.
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
//!   than 1 MiB. A file in the order of time is read twice in all; the records of another are put together by day in a
//!   temporary file, which takes as much space as it and is gone with the source.
//! - A settled slice is read again when its records have changed, and only then. The control total is the number of
//!   records that the index counted.

mod builder;
mod columns;
mod findings;
mod help;
mod index;
mod load;
mod preset;
mod regroup;
mod repeats;
mod rows;
mod slice;

pub use builder::{CsvBuilder, key_of};
pub use findings::FileFindings;
pub use load::{Load, Loaded};
pub(crate) use rows::fits_amount;

use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Page, SiteFacts, Stream, Totals, Window,
    plan_by_grain,
};
use async_trait::async_trait;
use chrono::NaiveDate;
use chrono_tz::Tz;
use columns::Column;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use index::{Index, Stamp, whole_day};
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch, TimeFormat};
use mkt_connect::table::{ReadError, ReadOptions};
use mkt_connect::{Channel, Currency, Error, ErrorKind, Result};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::EventType;
use rows::Row;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    event_type: Option<EventType>,
    default_channel: Option<Channel>,
    only: BTreeMap<String, Vec<String>>,
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
        Capabilities::new(SERVICE, streams.collect())
            .concurrency(2)
            .control_totals(true)
            .shared_ids(true)
            .at_hand(true)
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
