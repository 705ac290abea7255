//! An analytics source whose pages are held in memory, for documentation, tests and the conformance suite.

use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Page, SiteFacts, Stream, Totals, Window,
    plan_by_grain,
};
use async_trait::async_trait;
use chrono::FixedOffset;
use chrono_tz::Tz;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::SliceKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Held {
    pages: BTreeMap<SliceKey, Vec<Page>>,
    control: BTreeMap<SliceKey, Totals>,
    failures: BTreeMap<SliceKey, ErrorKind>,
    reads: u64,
}

/// A source with one site and one stream, [`Memory::STREAM`], that fills sessions, events, daily metrics and metrics by
/// dimensions. Clones share their pages.
#[derive(Debug, Clone)]
pub struct Memory {
    name: &'static str,
    site: SiteFacts,
    finality: Finality,
    held: Arc<Mutex<Held>>,
}

impl Memory {
    /// Its one stream.
    pub const STREAM: &'static str = "traffic";

    /// An empty source of this name with one site.
    #[must_use]
    pub fn new(name: &'static str, site: &str, zone: Tz) -> Self {
        let site = SiteFacts::new(site, zone);
        Self { name, site, finality: Finality::Immediate, held: Arc::default() }
    }

    /// A fixed offset from UTC that cuts the site's days instead of its zone.
    #[must_use]
    pub fn offset(mut self, offset: FixedOffset) -> Self {
        self.site = self.site.offset(offset);
        self
    }

    /// When its slices stop changing. Default: at once.
    #[must_use]
    pub fn finality(mut self, finality: Finality) -> Self {
        self.finality = finality;
        self
    }

    /// The slice of a day.
    #[must_use]
    pub fn slice(&self, day: chrono::NaiveDate) -> SliceKey {
        SliceKey::day(self.name, Self::STREAM, &self.site.site, day)
    }

    /// Sets the pages of a slice.
    pub fn put(&self, slice: SliceKey, pages: Vec<Page>) {
        self.held().pages.insert(slice, pages);
    }

    /// Sets what [`verify`](AnalyticsSource::verify) answers for a slice.
    pub fn put_control(&self, slice: SliceKey, totals: Totals) {
        self.held().control.insert(slice, totals);
    }

    /// Injects a failure after the pages of a slice, or removes it.
    pub fn fail(&self, slice: SliceKey, kind: Option<ErrorKind>) {
        let mut held = self.held();
        match kind {
            Some(kind) => held.failures.insert(slice, kind),
            None => held.failures.remove(&slice),
        };
    }

    /// How many slices were read so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.held().reads
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A test that panicked while holding the lock left whole entries.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self, slice: &SliceKey) -> Result<()> {
        if slice.source == self.name && slice.stream == Self::STREAM && slice.site == self.site.site {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Input, self.name, "read a slice")
            .with_detail(format!("{slice} is no slice of this source")))
    }
}

#[async_trait]
impl AnalyticsSource for Memory {
    fn capabilities(&self) -> Capabilities {
        let fills: &'static [Kind] = &[Kind::Sessions, Kind::Events, Kind::Metrics, Kind::Dimensions];
        let stream = Stream::new(Self::STREAM, Grain::Day, fills, self.finality);
        Capabilities::new(self.name, vec![stream]).concurrency(8).control_totals(true)
    }

    async fn check(&self) -> Result<Checked> {
        Ok(Checked::new(vec![self.site.clone()]))
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(vec![self.site.clone()])
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        if site != self.site.site {
            return Err(Error::new(ErrorKind::Input, self.name, "plan")
                .with_detail(format!("there is no site {site:?}")));
        }
        plan_by_grain(&self.capabilities(), stream, site, window)
    }

    async fn version(&self, _slice: &SliceKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        if let Err(error) = self.own(slice) {
            return stream::iter([Err(error)]).boxed();
        }
        let (pages, failure) = {
            let mut held = self.held();
            held.reads += 1;
            (held.pages.get(slice).cloned().unwrap_or_default(), held.failures.get(slice).copied())
        };
        let failure = failure
            .map(|kind| Err(Error::new(kind, self.name, "read a slice").with_detail("injected failure")));
        stream::iter(pages.into_iter().map(Ok).chain(failure)).boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        self.own(slice)?;
        Ok(self.held().control.get(slice).cloned())
    }
}
