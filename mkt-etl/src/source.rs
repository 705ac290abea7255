//! The trait of analytics sources and the types it speaks in.
//!
//! A source reads; it never writes, never decides what is settled and keeps no ledger. What differs between vendors
//! (paging, zones, limits, when a number is final) is stated in [`Capabilities`] or hidden behind
//! [`AnalyticsSource::read`].

use crate::zone::Zone;
use async_trait::async_trait;
use chrono::{FixedOffset, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use futures_util::stream::BoxStream;
use mkt_connect::{Currency, Result};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::{
    Campaign, Cost, DailyMetric, DimensionMetric, Event, EventType, Json, Session, User,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// How a stream is cut into slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grain {
    /// One slice for each day of the site's zone.
    Day,
    /// One slice for everything: a list of customers has no days.
    Whole,
}

/// From when on a source does not change a slice any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finality {
    /// As soon as it is read: a file. [`AnalyticsSource::version`] tells when the file became another one.
    Immediate,
    /// So long after the end of the slice's last day, in the site's zone.
    After(TimeDelta),
}

/// A table that a stream fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// `sessions`.
    Sessions,
    /// `events`.
    Events,
    /// `daily_metrics`.
    Metrics,
    /// `dimension_metrics`.
    Dimensions,
    /// `users`.
    Users,
    /// `campaigns`.
    Campaigns,
    /// `costs`.
    Costs,
}

/// A stream of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// Its name in slices: `visits`, `daily`, ….
    pub name: Cow<'static, str>,
    /// How it is cut.
    pub grain: Grain,
    /// The tables it fills. A slice replaces its rows in all of them, also when it has none.
    pub fills: &'static [Kind],
    /// When it stops changing.
    pub finality: Finality,
}

impl Stream {
    /// A stream of this name, cut this way, that fills these tables.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        grain: Grain,
        fills: &'static [Kind],
        finality: Finality,
    ) -> Self {
        Self { name: name.into(), grain, fills, finality }
    }
}

/// The streams of a source and its limits. Known without a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The name in the `source` column: `matomo`, `csv`, ….
    pub source: &'static str,
    /// What it offers.
    pub streams: Vec<Stream>,
    /// How many slices may be read at once.
    pub concurrency: usize,
    /// Whether [`AnalyticsSource::verify`] answers with totals that were counted another way.
    pub control_totals: bool,
    /// Whether several of its streams may hold the same session or event: files under different keys.
    pub shared_ids: bool,
    /// Whether its slices are at hand: files of this machine, not answers of a server.
    pub at_hand: bool,
}

impl Capabilities {
    /// A source of this name with these streams: one slice at a time, no control totals.
    #[must_use]
    pub fn new(source: &'static str, streams: Vec<Stream>) -> Self {
        Self { source, streams, concurrency: 1, control_totals: false, shared_ids: false, at_hand: false }
    }

    /// How many slices may be read at once. Default: 1.
    #[must_use]
    pub fn concurrency(mut self, slices: usize) -> Self {
        self.concurrency = slices;
        self
    }

    /// Whether [`AnalyticsSource::verify`] answers. Default: no.
    #[must_use]
    pub fn control_totals(mut self, yes: bool) -> Self {
        self.control_totals = yes;
        self
    }

    /// Whether its slices are at hand, as files of this machine are. All slices of a run are then loaded in one transaction
    /// where the engine gains from it, which keeps other writers of an embedded warehouse out until the run is over. Default:
    /// no; slices are committed as they come.
    #[must_use]
    pub fn at_hand(mut self, yes: bool) -> Self {
        self.at_hand = yes;
        self
    }

    /// Whether several streams may hold the same session or event, as files under different keys do. A row that stands in
    /// another stream already then stays there, and counts as a duplicate here. Default: no.
    #[must_use]
    pub fn shared_ids(mut self, yes: bool) -> Self {
        self.shared_ids = yes;
        self
    }

    /// A stream by name.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}

/// A site, as the source describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SiteFacts {
    /// The name in the `site` column.
    pub site: String,
    /// The source's own id.
    pub native_id: String,
    /// The zone that cuts its days, where it is one of the tz database; UTC where [`offset`](Self::offset) cuts them.
    /// [`days_in`](Self::days_in) is the one of the two that holds.
    #[serde(serialize_with = "zone_name")]
    pub zone: Tz,
    /// The fixed offset from UTC that cuts its days instead, where the site has one that no zone of the tz database keeps
    /// (Matomo offers `UTC+3.5`).
    #[serde(serialize_with = "offset_name", skip_serializing_if = "Option::is_none")]
    pub offset: Option<FixedOffset>,
    /// Its currency, where the source knows one.
    pub currency: Option<Currency>,
    /// The event types that make a session converted.
    pub conversion_set: Vec<EventType>,
}

impl SiteFacts {
    /// A site of this name, whose days are cut in this zone. Its own id is its name, no currency is known, and a purchase
    /// makes a session converted.
    #[must_use]
    pub fn new(site: impl Into<String>, zone: Tz) -> Self {
        let site = site.into();
        Self {
            native_id: site.clone(),
            site,
            zone,
            offset: None,
            currency: None,
            conversion_set: vec![EventType::PURCHASE],
        }
    }

    /// A fixed offset that cuts the site's days, whatever [`zone`](Self::zone) is.
    #[must_use]
    pub fn offset(mut self, offset: FixedOffset) -> Self {
        (self.zone, self.offset) = (Tz::UTC, Some(offset));
        self
    }

    /// What cuts the site's days.
    #[must_use]
    pub fn days_in(&self) -> Zone {
        self.offset.map_or(Zone::Named(self.zone), Zone::Fixed)
    }

    /// The source's own id.
    #[must_use]
    pub fn native_id(mut self, id: impl Into<String>) -> Self {
        self.native_id = id.into();
        self
    }

    /// The site's currency.
    #[must_use]
    pub fn currency(mut self, currency: Option<Currency>) -> Self {
        self.currency = currency;
        self
    }

    /// The event types that make a session converted.
    #[must_use]
    pub fn conversion_set(mut self, events: Vec<EventType>) -> Self {
        self.conversion_set = events;
        self
    }
}

fn zone_name<S: serde::Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}

fn offset_name<S: serde::Serializer>(offset: &Option<FixedOffset>, serializer: S) -> Result<S::Ok, S::Error> {
    match offset {
        Some(offset) => serializer.collect_str(offset),
        None => serializer.serialize_none(),
    }
}

/// The result of [`AnalyticsSource::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// The version of the other side, where it reports one.
    pub version: Option<String>,
    /// The configured sites that can be read.
    pub sites: Vec<SiteFacts>,
    /// The configured sites that cannot be read, each with the reason. The others are read nevertheless.
    pub failed: Vec<SiteFailure>,
}

impl Checked {
    /// These sites can be read.
    #[must_use]
    pub fn new(sites: Vec<SiteFacts>) -> Self {
        Self { version: None, sites, failed: Vec::new() }
    }

    /// The version of the other side.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sites that cannot be read.
    #[must_use]
    pub fn failed(mut self, failed: Vec<SiteFailure>) -> Self {
        self.failed = failed;
        self
    }
}

/// A configured site that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SiteFailure {
    /// The name in the `site` column.
    pub site: String,
    /// The kind of the error, in lower case: `auth`, `not_found`, ….
    pub kind: String,
    /// The error in one clause.
    pub message: String,
}

impl SiteFailure {
    /// A site that failed with an error.
    #[must_use]
    pub fn new(site: impl Into<String>, error: &mkt_connect::Error) -> Self {
        let kind = crate::run_report::kind_name(error.kind()).to_owned();
        Self { site: site.into(), kind, message: error.to_string() }
    }
}

/// A half-open window of days: `from` ≤ day < `until`, in the site's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// First day.
    pub from: NaiveDate,
    /// Day after the last.
    pub until: NaiveDate,
}

impl Window {
    /// The days `from` to `last`, both included.
    #[must_use]
    pub fn days(from: NaiveDate, last: NaiveDate) -> Self {
        Self { from, until: last.succ_opt().unwrap_or(NaiveDate::MAX) }
    }

    /// The same days in as few windows as they take, in order.
    #[must_use]
    pub fn merged(mut windows: Vec<Self>) -> Vec<Self> {
        windows.retain(|window| window.from < window.until);
        windows.sort_by_key(|window| window.from);
        let mut merged: Vec<Self> = Vec::with_capacity(windows.len());
        for window in windows {
            match merged.last_mut() {
                Some(last) if window.from <= last.until => last.until = last.until.max(window.until),
                _ => merged.push(window),
            }
        }
        merged
    }

    /// Whether a day lies inside.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from <= day && day < self.until
    }

    /// The days, in order.
    pub fn iter(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let until = self.until;
        self.from.iter_days().take_while(move |day| *day < until)
    }
}

/// Something that was read and does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it was read: a file name or an endpoint.
    pub place: String,
    /// The one-based line of a file.
    pub line: Option<u64>,
    /// The byte offset in a file.
    pub byte_offset: Option<u64>,
    /// What was read. [`Rejected::new`] has replaced every address and cut it at 4 096 characters.
    pub raw: String,
    /// Why it does not fit: one clause, without the value of any other cell.
    pub reason: String,
}

impl Rejected {
    /// The longest `raw`, in characters.
    pub const MAX_RAW: usize = 4096;

    /// A rejected record. Addresses in the bytes and in the reason are replaced; bytes that are no UTF-8 are shown as
    /// `\xHH`, so that they can be restored by hand.
    #[must_use]
    pub fn new(place: impl Into<String>, raw: &[u8], reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            line: None,
            byte_offset: None,
            raw: crate::clean::raw_text(raw, Self::MAX_RAW),
            reason: crate::clean::without_addresses(&reason.into()).into_owned(),
        }
    }

    /// Adds the place in a file.
    #[must_use]
    pub fn at(mut self, line: u64, byte_offset: u64) -> Self {
        self.line = Some(line);
        self.byte_offset = Some(byte_offset);
        self
    }
}

/// Fields of a record that the model has no column for: a newer version of the source, or the owner of a file, has added
/// them. They are kept beside the rows, in `etl_extras`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Extra {
    /// The record that they belong to, as the source names it: `visit 123`, `2026-03-27`.
    pub record: String,
    /// The fields, as an object.
    pub fields: Json,
}

impl Extra {
    /// The fields of a record.
    #[must_use]
    pub fn new(record: impl Into<String>, fields: Json) -> Self {
        Self { record: record.into(), fields }
    }
}

/// How the form of a source's answers differs from the form that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A field that is not known.
    New,
    /// A field that should be there, and is not.
    Missing,
    /// A field whose values are of another type than is known.
    OtherType,
}

impl Change {
    /// The name in `etl_drift`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Missing => "missing",
            Self::OtherType => "other_type",
        }
    }
}

/// A difference in form, seen while a slice was read. It is reported and kept (`etl_drift`); the slice does not fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// Where: a file name or an endpoint.
    pub place: String,
    /// The field or column, never a value.
    pub field: String,
    /// What is different.
    pub change: Change,
}

impl Drift {
    /// A field of an answer or a file that is not as it is known.
    #[must_use]
    pub fn new(place: impl Into<String>, field: impl Into<String>, change: Change) -> Self {
        Self { place: place.into(), field: field.into(), change }
    }
}

/// How much of what happened a source reports. A slice has the worst value of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Coverage {
    /// All of it.
    #[default]
    Whole,
    /// Rows beyond a limit of the source are folded together, or left out.
    Truncated,
    /// Counted on a sample.
    Sampled,
}

/// A page of a slice: typed rows, and an account of what did not become one.
///
/// `read` counts source records in units of rows: every unit is a row, or rejected, or a duplicate. Rows that no record
/// of their own stands behind (a campaign, known from its costs) are counted as `derived`:
/// read + derived = rows + rejected + duplicates. What comes beside the rows (`extras`, `drift`, `notes`) is not counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Records read.
    pub read: u64,
    /// Rows without a record of their own.
    pub derived: u64,
    /// Records that repeat another one exactly.
    pub duplicates: u64,
    /// Visits.
    pub sessions: Vec<Session>,
    /// Events.
    pub events: Vec<Event>,
    /// Numbers of the day. Their `state` is set by the pipeline.
    pub metrics: Vec<DailyMetric>,
    /// Numbers of the day by dimensions. Their `state` is set by the pipeline.
    pub dimensions: Vec<DimensionMetric>,
    /// People.
    pub users: Vec<User>,
    /// Campaigns.
    pub campaigns: Vec<Campaign>,
    /// Costs.
    pub costs: Vec<Cost>,
    /// What does not fit.
    pub rejected: Vec<Rejected>,
    /// What a reader of the numbers should know: "conversions counted from visits". Kept in the ledger.
    pub notes: Vec<String>,
    /// What records tell beyond the model.
    pub extras: Vec<Extra>,
    /// How the form differs from what is known.
    pub drift: Vec<Drift>,
    /// Whether the source reports everything.
    pub coverage: Coverage,
}

impl Page {
    /// Rows of all kinds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.sessions.len()
            + self.events.len()
            + self.metrics.len()
            + self.dimensions.len()
            + self.users.len()
            + self.campaigns.len()
            + self.costs.len()
    }
}

/// Totals of a slice by name: `visits`, `converted_visits`, `seconds_on_site`, `events`, `records`, the name of a daily
/// metric, or `report.metric` for an additive metric summed over the rows of a report, the rest included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(BTreeMap<String, Decimal>);

impl Totals {
    /// No totals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a total.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Decimal>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a total.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Decimal>) {
        self.0.insert(name.into(), value.into().normalize());
    }

    /// A total by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Decimal> {
        self.0.get(name).copied()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Decimal)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names whose values differ from `control`, with ours and theirs; a total that we lack counts as differing,
    /// except that the sum over the rows of a report (`report.metric`) is zero where there are no rows.
    #[must_use]
    pub fn differences(&self, control: &Self) -> Vec<(String, Option<Decimal>, Decimal)> {
        control
            .0
            .iter()
            .filter(|(name, theirs)| {
                let no_rows = || name.contains('.').then_some(Decimal::ZERO);
                self.get(name).or_else(no_rows) != Some(**theirs)
            })
            .map(|(name, theirs)| (name.clone(), self.get(name), *theirs))
            .collect()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name} {value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A source of traffic: a vendor's API, a log, a file.
///
/// Implementors annotate the `impl` with `#[async_trait]`.
///
/// # Contract
/// - [`capabilities`](Self::capabilities) and [`plan`](Self::plan) make no request and answer the same every time.
/// - [`plan`](Self::plan) covers the window: every day of it in exactly one slice of each asked stream of grain
///   [`Grain::Day`], in order of days; one slice for a stream of grain [`Grain::Whole`].
/// - [`read`](Self::read) gives the whole slice, in pages of bounded size, and then ends. Every row carries the slice's
///   source and site. An empty slice gives no row and no error. For a stream of visits the slice is the day on which
///   the source counts the visit; the row's own `day` is the day of its first event, which is the day before for a
///   visit over midnight.
/// - Reading a slice again gives the same rows, unless the source has changed meanwhile.
/// - **Ids are unique over all days.** A session's `session_id`, an event's `event_id`, a user's `user_id` and a campaign's
///   `campaign_id` are in one slice of the source only; number of the row within the day is not an id. The warehouse
///   holds a row once, so that a second slice with the same id would take the row from the first. The pipeline
///   refuses such a source: both slices fail with an error of kind `Protocol`.
/// - **When a slice settles** follows from [`Stream::finality`] and from the totals: it is final once the source does not
///   change it any more ([`Finality`]) and its control totals agree or, where there are none, two reads in a row gave
///   the same content that was not empty. See [`crate::settle`].
/// - In the sum over the pages, `read` + `derived` = rows + rejected + duplicates.
/// - Dropping the stream of pages stops the reading.
/// - [`verify`](Self::verify) answers with totals that were counted another way than by reading the slice; `None` where
///   the source has no second way. They carry the names of [`Totals`].
/// - An unknown site or stream is an error of kind `Input` or `NotFound`, before any row.
/// - Credentials that are refused are an error of kind `Auth`; from then on the source makes no further request.
/// - No secret and no email address is in any row, note, reason, error or `Debug`.
///
/// The conformance suite (feature `testing`) executes this text.
#[async_trait]
pub trait AnalyticsSource: Debug + Send + Sync + 'static {
    /// Its streams and limits.
    fn capabilities(&self) -> Capabilities;

    /// Verifies the credentials, the version and the configured sites. Sites that cannot be read are in
    /// [`Checked::failed`] where others can.
    ///
    /// # Errors
    /// What keeps every site from being read.
    async fn check(&self) -> Result<Checked>;

    /// The sites that can be read with these credentials.
    async fn discover(&self) -> Result<Vec<SiteFacts>>;

    /// Cuts a window of a stream into slices. Pure.
    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>>;

    /// A text that changes when the slice's content changed, from something cheaper than reading it; `None` where the
    /// source has no such thing.
    async fn version(&self, slice: &SliceKey) -> Result<Option<String>>;

    /// Reads a slice, page by page.
    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>>;

    /// Control totals of a slice, counted another way.
    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: AnalyticsSource + ?Sized> AnalyticsSource for $pointer<S> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            async fn check(&self) -> Result<Checked> {
                (**self).check().await
            }
            async fn discover(&self) -> Result<Vec<SiteFacts>> {
                (**self).discover().await
            }
            fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
                (**self).plan(stream, site, window)
            }
            async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
                (**self).version(slice).await
            }
            fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
                (**self).read(slice)
            }
            async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
                (**self).verify(slice).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);

/// Plans by grain: what most sources do.
pub(crate) fn plan_by_grain(
    capabilities: &Capabilities,
    stream: &str,
    site: &str,
    window: Window,
) -> Result<Vec<SliceKey>> {
    let refuse = |detail: String| {
        Err(mkt_connect::Error::new(mkt_connect::ErrorKind::Input, capabilities.source, "plan")
            .with_detail(detail))
    };
    let Some(found) = capabilities.stream(stream) else {
        return refuse(format!("there is no stream {stream:?}"));
    };
    if window.from >= window.until {
        return refuse(format!("the window {} to {} holds no day", window.from, window.until));
    }
    // Ten years of days: a typing error in a year should not plan a million requests.
    if found.grain == Grain::Day && (window.until - window.from).num_days() > MAX_DAYS {
        return refuse(format!("the window holds more than {MAX_DAYS} days"));
    }
    let source = capabilities.source;
    Ok(match found.grain {
        Grain::Day => window.iter().map(|day| SliceKey::day(source, stream, site, day)).collect(),
        Grain::Whole => vec![SliceKey::whole(source, stream, site)],
    })
}

/// The longest window of a stream of days.
pub(crate) const MAX_DAYS: i64 = 3660;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lacking_total_differs_and_the_sum_over_no_rows_of_a_report_is_zero() {
        let ours = Totals::new().with("visits", 3);
        let control = Totals::new().with("visits", 3).with("conversions", 0).with("pages.page_views", 0);
        assert_eq!(ours.differences(&control), [("conversions".to_owned(), None, 0.into())]);
        let control = Totals::new().with("pages.page_views", 2);
        assert_eq!(ours.differences(&control), [("pages.page_views".to_owned(), None, 2.into())]);
    }
}
