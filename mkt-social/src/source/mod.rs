//! What a place to read posts from must do.
//!
//! [`SocialSource`] is the specification; the suite in `testing` (feature `testing`) executes it. A source reads; it
//! does not store, compute or wait for a quota to return.
//!
//! A new source is one folder here: a type, its builder, its wire structs, its error table; then one line in the
//! conformance tests.

#[cfg(feature = "http")]
pub mod bluesky;
#[cfg(feature = "http")]
mod connection;
pub mod csv;
#[cfg(feature = "http")]
mod feed;
#[cfg(feature = "http")]
pub mod graph;
#[cfg(feature = "http")]
pub mod mastodon;
mod memory;

pub use memory::MemorySource;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde::Serialize;

use crate::metric::Metric;
use crate::post::{Observation, Post, newest};
use crate::sheet::Sheet;

/// What a source can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Metrics that the source may give. Any other is never known in its observations.
    pub metrics: Vec<Metric>,
    /// Whether posts say if they were promoted.
    pub paid: bool,
    /// Whether calls count against a quota, so that [`SocialSource::plan`] matters.
    pub metered: bool,
}

impl Capabilities {
    /// A source of these metrics, without promotion flag and without quota.
    #[must_use]
    pub fn new(metrics: impl IntoIterator<Item = Metric>) -> Self {
        Self { metrics: metrics.into_iter().collect(), paid: false, metered: false }
    }

    /// The source says which posts were promoted.
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

/// Which posts to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Posts published at this instant or later.
    pub since: Option<DateTime<Utc>>,
    /// Posts published before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Posts per page at most; at least 1. A source may give fewer.
    pub page_size: usize,
}

impl Request {
    /// Everything, 500 posts a page.
    #[must_use]
    pub fn all() -> Self {
        Self { since: None, until: None, page_size: 500 }
    }

    /// Only posts published in `since..until`.
    #[must_use]
    pub fn between(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { since: Some(since), until: Some(until), ..Self::all() }
    }

    /// Another size of page.
    #[must_use]
    pub fn page_size(mut self, posts: usize) -> Self {
        self.page_size = posts.max(1);
        self
    }

    /// Whether a post of this instant is asked for.
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

/// What a read will cost, known before the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calls {
    /// Exactly so many calls over the network; 0 for a file.
    Exactly(u64),
    /// So many calls at most.
    AtMost(u64),
    /// So many calls for every thousand posts; how many posts there are is not known beforehand.
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
    /// A plan of so many calls.
    #[must_use]
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

/// Where every row or item went. `read` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Rows or items that the source gave.
    pub read: u64,
    /// Handed over as posts.
    pub loaded: u64,
    /// Set aside with a reason.
    pub quarantined: u64,
    /// Said again what an earlier row had said.
    pub duplicates: u64,
    /// Published outside the window asked for.
    pub outside: u64,
}

impl Tally {
    /// Whether every row is accounted for.
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

/// A row or item that cannot be used, kept so that somebody can mend it.
#[derive(Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The line on which it begins, from 1; 0 where there are no lines.
    pub line: u64,
    /// The byte at which it begins, from 0.
    pub offset: u64,
    /// Its bytes as found, the first 4096 of them.
    pub raw: Vec<u8>,
    /// Why.
    pub reason: Refusal,
}

/// Without the raw bytes: they may name people.
impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("line", &self.line)
            .field("offset", &self.offset)
            .field("raw_bytes", &self.raw.len())
            .field("reason", &self.reason)
            .finish()
    }
}

/// Why a row or item cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too few or too many fields.
    #[error("has {found} fields where the header has {expected}")]
    Fields {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// Bytes that are no text in the encoding of the file.
    #[error("is not {encoding} text")]
    Encoding {
        /// The encoding of the file.
        encoding: &'static str,
    },
    /// A field that must be there is empty.
    #[error("has no {field}")]
    Empty {
        /// What is missing.
        field: &'static str,
    },
    /// A time that cannot be read.
    #[error("has a time that cannot be read")]
    Time,
    /// A time without zone, and none was declared.
    #[error("has a time without zone; declare the zone of the file")]
    Zone,
    /// A local time that the clock jumped over.
    #[error("has a local time that did not exist in {zone}")]
    Skipped {
        /// The declared zone.
        zone: chrono_tz::Tz,
    },
    /// A count that is no whole number from 0 up.
    #[error("has a {metric} that is not a whole number")]
    Number {
        /// Which count.
        metric: Metric,
    },
    /// A promotion flag that is neither yes nor no.
    #[error("has a paid flag that is neither yes nor no")]
    Flag,
    /// After more posts than can be told apart.
    #[error("comes after 4 294 967 296 posts, which is as many as are told apart")]
    TooMany,
    /// The id was seen before with other values.
    #[error("says something else about the post of line {line}")]
    Contradiction {
        /// The earlier line.
        line: u64,
    },
}

/// Some posts, what was observed of them, and what became of the rest.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct PostPage {
    /// Posts in the source's order, each once per read.
    pub posts: Vec<Post>,
    /// One observation for each post of this page.
    pub observations: Vec<Observation>,
    /// Rows that cannot be used.
    pub quarantined: Vec<Quarantined>,
    /// Counts of this page.
    pub tally: Tally,
}

/// A read under way. Dropping it ends it; its place is never to be stored.
#[async_trait]
pub trait PostPages: fmt::Debug + Send {
    /// The next page, or `None` when there is no more. A page may be empty. After `None` or an error it stays `None`.
    ///
    /// # Errors
    ///
    /// When the source fails in the middle. Pages given before stay valid.
    async fn next_page(&mut self) -> Result<Option<PostPage>>;

    /// Reads the next page into columns; `false` when there was no more. For sources of very many posts, which can do it
    /// without making a [`Post`] of each; a source that implements it gives what `next_page` would have given.
    ///
    /// # Errors
    ///
    /// As for `next_page`.
    async fn next_into(&mut self, all: &mut Tabulation) -> Result<bool> {
        let page = self.next_page().await?;
        Ok(page.map(|page| all.add(page)).is_some())
    }
}

/// A place to read posts and their reception from.
///
/// Implementations promise what follows, and the conformance suite checks it.
/// - A read gives every post of the window exactly once, whatever the size of the pages, with one observation beside
///   it; the window is half-open (`since <= published_at < until`).
/// - A number that the source did not give is [`Value::Missing`](crate::Value::Missing) with its reason; a 0 that it
///   did give stays 0. Metrics outside [`Capabilities::metrics`] are never known.
/// - What cannot be used is quarantined, not dropped: the counts of every page add up.
/// - Two reads of an unchanged source are equal.
/// - `plan` makes no call.
#[async_trait]
pub trait SocialSource: fmt::Debug + Send + Sync + 'static {
    /// The source's name, as used in errors and stored with rows: `csv`, `facebook`, …
    fn name(&self) -> &'static str;

    /// What the source can tell.
    fn capabilities(&self) -> Capabilities;

    /// Whether the source can be reached and understood, with as little reading as possible.
    ///
    /// # Errors
    ///
    /// `Auth`, `NotFound`, `Unavailable`, `Input` … as a read would meet them.
    async fn check(&self) -> Result<()>;

    /// What a read will cost. Pure: no call is made.
    fn plan(&self, request: &Request) -> Plan;

    /// Begins a read.
    ///
    /// # Errors
    ///
    /// When the source cannot be opened or its header is not understood.
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

/// Everything that one read gave.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Reception {
    /// The posts.
    pub posts: Vec<Post>,
    /// What was observed of them.
    pub observations: Vec<Observation>,
    /// What could not be used.
    pub quarantined: Vec<Quarantined>,
    /// Counts of the whole read.
    pub tally: Tally,
}

impl Reception {
    /// Adds a page.
    pub fn add(&mut self, page: PostPage) {
        self.posts.extend(page.posts);
        self.observations.extend(page.observations);
        self.quarantined.extend(page.quarantined);
        self.tally.add(&page.tally);
    }

    /// Each post beside its newest observation, in the order of the posts. Posts without any are left out.
    #[must_use]
    pub fn newest(&self) -> Vec<(&Post, &Observation)> {
        newest(&self.posts, &self.observations)
    }

    /// Each post with its newest observation in columns, for the measures.
    #[must_use]
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new();
        sheet.add(&self.posts, &self.observations);
        sheet
    }
}

/// Everything that one read gave, the posts in columns: a fraction of the memory of a [`Reception`], and no less to measure.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tabulation {
    /// The posts, each with its observation.
    pub sheet: Sheet,
    /// What could not be used.
    pub quarantined: Vec<Quarantined>,
    /// Counts of the whole read.
    pub tally: Tally,
}

impl Tabulation {
    /// Nothing yet, to be read into this sheet: [`Sheet::new`], or [`Sheet::without_details`].
    #[must_use]
    pub fn new(sheet: Sheet) -> Self {
        Self { sheet, quarantined: Vec::new(), tally: Tally::default() }
    }

    /// Adds a page.
    pub fn add(&mut self, page: PostPage) {
        self.sheet.add(&page.posts, &page.observations);
        self.quarantined.extend(page.quarantined);
        self.tally.add(&page.tally);
    }
}

/// What every source can do because of what it must do.
#[async_trait]
pub trait SocialSourceExt: SocialSource {
    /// Reads all pages into memory.
    ///
    /// # Errors
    ///
    /// The first failure; what was read before is dropped.
    async fn read_all(&self, request: &Request) -> Result<Reception> {
        let mut pages = self.open(request).await?;
        let mut all = Reception::default();
        while let Some(page) = pages.next_page().await? {
            all.add(page);
        }
        Ok(all)
    }

    /// Reads all pages into columns, with ids, texts and addresses.
    ///
    /// # Errors
    ///
    /// As for `read_all`.
    async fn read_sheet(&self, request: &Request) -> Result<Tabulation> {
        self.read_into(request, Sheet::new()).await
    }

    /// Reads all pages into the columns of a sheet.
    ///
    /// # Errors
    ///
    /// As for `read_all`; the sheet is dropped.
    async fn read_into(&self, request: &Request, sheet: Sheet) -> Result<Tabulation> {
        let mut pages = self.open(request).await?;
        let mut all = Tabulation::new(sheet);
        while pages.next_into(&mut all).await? {}
        Ok(all)
    }
}

impl<S: SocialSource + ?Sized> SocialSourceExt for S {}
