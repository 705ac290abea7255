//! The trait of sources, and the types of a read.
//!
//! [`SocialSource`] is the specification; the suite in `testing` (feature `testing`) executes it. A source only reads: it
//! does not store, compute, or wait hours for a quota to reset.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use mkt_connect::table::{Found, Quarantined};
use serde::Serialize;

use crate::metric::Metric;
use crate::post::{Observation, Post, newest};
use crate::sheet::Sheet;

/// The abilities of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Metrics that the source may give. All others are missing in its observations.
    pub metrics: Vec<Metric>,
    /// Whether the source gives the promotion flag.
    pub paid: bool,
    /// Whether calls count against a quota.
    pub metered: bool,
}

impl Capabilities {
    /// A source of these metrics without promotion flag and quota.
    #[must_use]
    pub fn new(metrics: impl IntoIterator<Item = Metric>) -> Self {
        Self { metrics: metrics.into_iter().collect(), paid: false, metered: false }
    }

    /// The source gives the promotion flag.
    #[must_use]
    pub fn with_paid(mut self) -> Self {
        self.paid = true;
        self
    }

    /// Calls count against a quota.
    #[must_use]
    pub fn with_meter(mut self) -> Self {
        self.metered = true;
        self
    }
}

/// The posts to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Posts published at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Posts published before this time.
    pub until: Option<DateTime<Utc>>,
    /// Largest number of posts per page; at least 1. A source may give fewer.
    pub page_size: usize,
}

impl Request {
    /// All posts, 500 per page.
    #[must_use]
    pub fn all() -> Self {
        Self { since: None, until: None, page_size: 500 }
    }

    /// Posts published in `since..until`.
    #[must_use]
    pub fn between(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { since: Some(since), until: Some(until), ..Self::all() }
    }

    /// Sets the earliest time of publication; `None` for no limit.
    #[must_use]
    pub fn since(mut self, since: impl Into<Option<DateTime<Utc>>>) -> Self {
        self.since = since.into();
        self
    }

    /// Sets the end of the time of publication, itself excluded; `None` for no limit.
    #[must_use]
    pub fn until(mut self, until: impl Into<Option<DateTime<Utc>>>) -> Self {
        self.until = until.into();
        self
    }

    /// Sets the page size.
    #[must_use]
    pub fn page_size(mut self, posts: usize) -> Self {
        self.page_size = posts.max(1);
        self
    }

    /// Whether a post published at this time is requested.
    #[must_use]
    pub fn covers(&self, published_at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| since <= published_at)
            && self.until.is_none_or(|until| published_at < until)
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::all()
    }
}

/// The number of calls of a read, known before the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calls {
    /// Exactly this many calls over the network; 0 for a file.
    Exactly(u64),
    /// At most this many calls.
    AtMost(u64),
    /// This many calls per thousand posts; the number of posts is not known beforehand.
    PerThousandPosts(u64),
}

/// The plan of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Calls over the network.
    pub calls: Calls,
}

impl Plan {
    /// A plan of this many calls.
    #[must_use]
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

/// Counts of a read. `read` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// Rows or items read from the source.
    pub read: u64,
    /// Returned as posts.
    pub loaded: u64,
    /// Quarantined with a reason.
    pub quarantined: u64,
    /// Repetitions of an earlier row.
    pub duplicates: u64,
    /// Published outside the requested window.
    pub outside: u64,
}

impl Tally {
    /// Whether `read` equals the sum of the others.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.read == self.loaded + self.quarantined + self.duplicates + self.outside
    }

    /// Adds the counts of another page.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.loaded += other.loaded;
        self.quarantined += other.quarantined;
        self.duplicates += other.duplicates;
        self.outside += other.outside;
    }
}

/// What a source found out about its input and decided, for the answer of whoever reads it.
///
/// Sources of an API have none; [`csv`](mod@crate::csv) fills it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Findings {
    /// The known export whose header the file has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<&'static str>,
    /// The columns that are counted as interactions.
    pub interactions: Vec<String>,
    /// The columns that look like interactions and are not counted.
    pub not_counted: Vec<String>,
    /// The columns of metrics that are empty in the whole file: not supported, not missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<String>,
    /// Cells with abbreviated, and therefore rounded, numbers (`1.8K`).
    #[serde(skip_serializing_if = "is_zero")]
    pub abbreviated: u64,
    /// Rows whose id was rounded by a spreadsheet (`1.78946E+16`), and is replaced by time and content.
    #[serde(skip_serializing_if = "is_zero")]
    pub rounded_ids: u64,
    /// Whether the file has no column of ids: posts are identified by time and content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_ids: bool,
    /// Whether times of publication are days: hours cannot be compared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_time_of_day: bool,
    /// Whether the name of the column of times says that they are UTC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub times_in_utc: bool,
    /// Encoding, delimiter, header, and the meaning of each column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Found>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A page of posts with their observations, and the quarantined items.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct PostPage {
    /// Posts in the source's order; each once per read.
    pub posts: Vec<Post>,
    /// One observation for each post of this page.
    pub observations: Vec<Observation>,
    /// Quarantined rows or items.
    pub quarantined: Vec<Quarantined>,
    /// Metrics that the network refused for single posts, and reads that it cut short: what the caller should know and is no
    /// error.
    pub notes: Vec<String>,
    /// Counts of this page.
    pub tally: Tally,
}

/// A read in progress. Dropping it ends the read; its position cannot be stored.
#[async_trait]
pub trait PostPages: fmt::Debug + Send {
    /// Returns the next page, `None` after the last one and after an error. A page may be empty.
    ///
    /// # Errors
    ///
    /// If the source fails. Pages returned before stay valid.
    async fn next_page(&mut self) -> Result<Option<PostPage>>;

    /// Reads the next page into columns; `false` after the last one. Sources of very many posts implement it without
    /// creating a [`Post`] of each; the result is that of `next_page`.
    ///
    /// # Errors
    ///
    /// As for `next_page`.
    async fn next_into(&mut self, all: &mut ReadSheet) -> Result<bool> {
        let page = self.next_page().await?;
        Ok(page.map(|page| all.add(page)).is_some())
    }

    /// What the source found out about its input so far; complete after the last page. Default: nothing.
    fn findings(&self) -> Findings {
        Findings::default()
    }
}

/// A source of posts and their metrics.
///
/// The conformance suite (`testing`) checks the contract:
/// - A read returns every post of the window exactly once, whatever the page size, with one observation; the window is
///   half-open (`since <= published_at < until`).
/// - A number that the source did not give is [`Value::Missing`](crate::Value::Missing) with its reason; a 0 that it
///   gave stays 0. Metrics outside [`Capabilities::metrics`] are missing.
/// - Unusable items are quarantined, not dropped: the counts of every page add up.
/// - Two reads of an unchanged source are equal.
/// - `plan` makes no call.
///
/// Implementations need the attribute `#[async_trait]` of the crate async-trait 0.1, which this crate re-exports as
/// [`async_trait`](macro@crate::async_trait).
#[async_trait]
pub trait SocialSource: fmt::Debug + Send + Sync + 'static {
    /// The source's name in errors and stored rows: `csv`, `facebook`, …
    fn name(&self) -> &'static str;

    /// The abilities of the source.
    fn capabilities(&self) -> Capabilities;

    /// Checks that the source can be reached and read, with as few calls as possible.
    ///
    /// # Errors
    ///
    /// `Auth`, `NotFound`, `Unavailable`, `Input` … as a read would return them.
    async fn check(&self) -> Result<()>;

    /// The number of calls of a read. Makes no call.
    fn plan(&self, request: &Request) -> Plan;

    /// Starts a read.
    ///
    /// # Errors
    ///
    /// If the source cannot be opened, or its header is not understood.
    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: SocialSource + ?Sized> SocialSource for $pointer<S> {
            fn name(&self) -> &'static str {
                (**self).name()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn check(&self) -> Result<()> {
                (**self).check().await
            }

            fn plan(&self, request: &Request) -> Plan {
                (**self).plan(request)
            }

            async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
                (**self).open(request).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);

/// The result of a read.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ReadPosts {
    /// The posts.
    pub posts: Vec<Post>,
    /// Their observations.
    pub observations: Vec<Observation>,
    /// Quarantined rows or items.
    pub quarantined: Vec<Quarantined>,
    /// See [`PostPage::notes`]; each note once.
    pub notes: Vec<String>,
    /// What the source found out about its input.
    pub findings: Findings,
    /// Counts of the whole read.
    pub tally: Tally,
}

impl ReadPosts {
    /// Adds a page.
    pub fn add(&mut self, page: PostPage) {
        self.posts.extend(page.posts);
        self.observations.extend(page.observations);
        self.quarantined.extend(page.quarantined);
        add_notes(&mut self.notes, page.notes);
        self.tally.add(&page.tally);
    }

    /// Each post beside its newest observation, in the order of the posts. Posts without any are left out.
    #[must_use]
    pub fn newest(&self) -> Vec<(&Post, &Observation)> {
        newest(&self.posts, &self.observations)
    }

    /// The posts with their newest observations, in columns.
    #[must_use]
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new();
        sheet.add(&self.posts, &self.observations);
        sheet
    }
}

/// The result of a read, the posts in columns: a fraction of the memory of [`ReadPosts`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReadSheet {
    /// The posts with their observations.
    pub sheet: Sheet,
    /// Quarantined rows or items.
    pub quarantined: Vec<Quarantined>,
    /// See [`PostPage::notes`]; each note once.
    pub notes: Vec<String>,
    /// What the source found out about its input.
    pub findings: Findings,
    /// Counts of the whole read.
    pub tally: Tally,
}

impl ReadSheet {
    /// An empty result into this sheet: [`Sheet::new`], or [`Sheet::without_details`].
    #[must_use]
    pub fn new(sheet: Sheet) -> Self {
        Self { sheet, ..Self::default() }
    }

    /// Adds a page.
    pub fn add(&mut self, page: PostPage) {
        self.sheet.add(&page.posts, &page.observations);
        self.quarantined.extend(page.quarantined);
        add_notes(&mut self.notes, page.notes);
        self.tally.add(&page.tally);
    }
}

/// Convenience methods of every source.
#[async_trait]
pub trait SocialSourceExt: SocialSource {
    /// Reads all pages into memory.
    ///
    /// # Errors
    ///
    /// The first error; the pages before it are dropped.
    async fn read_all(&self, request: &Request) -> Result<ReadPosts> {
        let mut pages = self.open(request).await?;
        let mut all = ReadPosts::default();
        while let Some(page) = pages.next_page().await? {
            all.add(page);
        }
        all.findings = pages.findings();
        Ok(all)
    }

    /// Reads all pages into columns, with ids, texts and URLs.
    ///
    /// # Errors
    ///
    /// As for `read_all`.
    async fn read_sheet(&self, request: &Request) -> Result<ReadSheet> {
        self.read_into(request, Sheet::new()).await
    }

    /// Reads all pages into the columns of a sheet.
    ///
    /// # Errors
    ///
    /// As for `read_all`; the sheet is dropped.
    async fn read_into(&self, request: &Request, sheet: Sheet) -> Result<ReadSheet> {
        let mut pages = self.open(request).await?;
        let mut all = ReadSheet::new(sheet);
        while pages.next_into(&mut all).await? {}
        all.findings = pages.findings();
        Ok(all)
    }
}

impl<S: SocialSource + ?Sized> SocialSourceExt for S {}

/// Adds notes that are not there yet.
pub(crate) fn add_notes(notes: &mut Vec<String>, more: Vec<String>) {
    for note in more {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}
