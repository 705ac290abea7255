//! AT Internet, now Piano Analytics: Data Query over REST, version 3 and version 2.
//!
//! **Tested against our own stand-in only** ([`FakeAtInternet`](crate::testing::FakeAtInternet), feature `testing`), made
//! from the documentation below: no public recording of a real answer was found, and no account was at hand.
//!
//! | stream | asks | fills | control totals |
//! |---|---|---|---|
//! | a report by its name, with properties, a filter or a segment | getRowCount, getData, page by page | `dimension_metrics` | getRowCount: `records`; getTotal: `<report>.<metric>` of additive metrics (version 3) |
//! | a report of metrics alone | the same | `daily_metrics` | getRowCount: `records`; getTotal: `<metric>` of additive metrics (version 3) |
//! | `visits`, where the account has columns of single visits ([`VisitColumns`]) | the same | `sessions` | getRowCount: `records`; getTotal: `visits` (version 3) |
//!
//! | | version 3 | version 2 |
//! |---|---|---|
//! | asks | `POST {base}/v3/data/getData`, JSON | `GET {base}/data/v2/json/getData?columns={…}` |
//! | credentials | `x-api-key: access_secret`, restricted keys too ([`AtInternetBuilder::restricted_key`]) | HTTP Basic, or `x-api-key`; `apikey=` is never written, since URLs end up in logs |
//! | columns of a query | 50 | 30 |
//! | rows of a page, of a query | 10,000, 200,000 | 10,000 (the same is kept to) |
//! | calls at once | 5 of a user, 20 of an organisation ([`CallBudget`]) | 5 of a user |
//!
//! Documentation, read in November 2026: <https://developers.atinternet-solutions.com/piano-analytics/data-api> ("How it
//! works" for the limits, "Terms & conditions" for the calls) and, for version 2, "Rest API" of 2017 to 2019, archived at
//! <https://github.com/at-internet/smarttag-documentation-archive/wiki>.
//!
//! - **A day with too many rows is split**, by hours and by values, and where that does not help the slice is
//!   `truncated` and says how much of it is missing. As many rows are read as were counted, or the slice fails.
//! - **Nothing is guessed to be additive**: see [`Report::kind`].
//! - **Days are the site's.** The API does not tell its zone; it is configured. The hour of a report is that of the
//!   site's clock: on the day of the autumn change the label 2 holds both hours, on that of spring it is missing.
//! - **A value that is none is null, never 0**: a metric that is null, `"-"`, `"N/A"` or empty. Any other text in the place
//!   of a number is set aside, and so is a row whose `date` is not the slice's day or whose hour is none of 0 to 23.
//! - **Properties are kept as they are**, `"N/A"` and names of months (`date_month`) included: two words are never made
//!   one. Where an address was taken out of a row, a field more (`redacted_row`, a hash) keeps two such rows apart.
//! - **A ratio whose parts are in the report is computed from them** (`m_bounce_rate` beside `m_bounces` and `m_visits`):
//!   whether the vendor tells a share or a percentage is not documented. Without its parts it stays as told.
//! - **Read days that are over**: on a day that goes on, rows shift between two pages, and then the slice fails rather than
//!   miss one. The next run reads it again.
//! - **"No content" (204) instead of a count** is asked for again: it may be a lost answer. Told twice, the day has no rows and
//!   is `suspect_empty`; rows that were read before stay.
//! - **A restricted key gives one data set** and counts nothing: see [`AtInternetBuilder::restricted_key`].
//! - **Refused credentials end it**: after the first 401 this source makes no request any more. A 403 is of a site: the
//!   check names it ([`Checked::failed`]), and the others are read.
//!
//! Analysts' URLs are read and written by [`PastedUrl`] and [`DataQuery`], and translated by [`DataQuery::translated`].
//!
//! # Untested against a live account
//! All of it; above all: the names in `ErrorCode`, whether a status or a body carries them, the rows of getTotal in
//! version 2 (not used), restricted keys, HTTP Basic, `$empty` of an hour that is "N/A", the properties of single visits, whether the
//! numbers of a day change after three days (the default of [`finality`](AtInternetBuilder::finality)).

mod api;
mod braces;
mod budget;
mod builder;
mod catalogue;
mod error;
mod filter;
mod json;
mod pasted;
mod period;
mod query;
mod report;
mod restricted;
mod rows;
mod slicing;
mod translate;
mod url;
mod visits;
mod wire;
mod written;

pub use budget::CallBudget;
pub use builder::AtInternetBuilder;
pub use filter::{Condition, Filter, Operand, Operator, Scalar};
pub use pasted::PastedReport;
pub use period::{Granularity, Moment, Period};
pub use query::{
    Column, DataQuery, Evolution, MAX_COLUMNS_V2, MAX_COLUMNS_V3, MAX_PAGE, MAX_ROWS, MAX_SEGMENTS, Name,
    Options, Place, Presentation, QueryError, Segment, Sort, Space, Top,
};
pub use report::Report;
pub use translate::{NameMap, Translated};
pub use url::{Format, Method, PastedUrl, Style, Version};
pub use visits::{Start, VisitColumns};

use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Page, SiteFacts, SiteFailure, Stream,
    Totals, Window, plan_by_grain,
};
use api::Api;
use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::MetricKind;
use restricted::Pages;
use slicing::{Limits, Portion, Reading};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) const SERVICE: &str = "at_internet";

/// The stream of single visits.
pub const VISITS: &str = "visits";

/// An account of AT Internet or Piano Analytics, the sites and the reports to be read. Start with
/// [`AtInternet::builder`]. Clones share their budget and what was learnt.
#[derive(Debug, Clone)]
pub struct AtInternet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    sites: Vec<(u64, SiteFacts)>,
    reports: Vec<Report>,
    visits: Option<VisitColumns>,
    /// Whether the key gives one data set.
    restricted: bool,
    limits: Limits,
    concurrency: usize,
    finality: TimeDelta,
    /// Slices whose rows the vendor could not count in time.
    uncounted: Mutex<HashSet<String>>,
    /// Slices of which the vendor said that there is no data, and counted nothing.
    without_content: Mutex<HashSet<String>>,
}

/// What a stream reads.
#[derive(Debug, Clone, Copy)]
enum Asked<'a> {
    Report(&'a Report),
    Visits(&'a VisitColumns),
}

/// The rows of a slice.
#[derive(Debug)]
enum Rows<'a> {
    /// Counted first, and split where they are too many.
    Counted(Box<Reading<'a>>),
    /// Those that a restricted key gives.
    OfKey(Box<Pages<'a>>),
}

impl Rows<'_> {
    async fn next(&mut self) -> Result<Option<Portion>> {
        match self {
            Self::Counted(reading) => reading.next().await,
            Self::OfKey(pages) => pages.next().await,
        }
    }

    fn is_uncounted(&self) -> bool {
        matches!(self, Self::Counted(reading) if reading.is_uncounted())
    }

    fn is_without_content(&self) -> bool {
        match self {
            Self::Counted(reading) => reading.is_without_content(),
            Self::OfKey(pages) => pages.is_without_content(),
        }
    }
}

impl AtInternet {
    /// Settings for the API at `base_url`: `https://api.atinternet.io` for version 3,
    /// `https://apirest.atinternet-solutions.com` for version 2.
    #[must_use]
    pub fn builder(base_url: &str) -> AtInternetBuilder {
        AtInternetBuilder::new(base_url)
    }
}

impl Inner {
    fn uncounted(&self) -> MutexGuard<'_, HashSet<String>> {
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn without_content(&self) -> MutexGuard<'_, HashSet<String>> {
        self.without_content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn site(&self, name: &str) -> Result<&(u64, SiteFacts)> {
        self.sites.iter().find(|(_, site)| site.site == name).ok_or_else(|| {
            Error::new(ErrorKind::Input, SERVICE, "choose a site")
                .with_detail(format!("unknown site {name:?}"))
        })
    }

    fn asked(&self, slice: &SliceKey) -> Result<Asked<'_>> {
        let one_day = slice.from.succ_opt() == Some(slice.until);
        let found = match &self.visits {
            Some(visits) if slice.stream == VISITS => Some(Asked::Visits(visits)),
            _ => self.reports.iter().find(|report| report.name == slice.stream).map(Asked::Report),
        };
        found.filter(|_| slice.source == SERVICE && one_day).ok_or_else(|| {
            Error::new(ErrorKind::Input, SERVICE, "read a slice")
                .with_detail(format!("{slice} is no slice of this source"))
        })
    }

    /// The query of a day, in an order in which pages do not overlap: by every property, which together tell rows apart.
    fn query(&self, asked: Asked<'_>, site: u64, day: NaiveDate) -> DataQuery {
        let columns = match asked {
            Asked::Report(report) => report.columns(),
            Asked::Visits(visits) => visits.columns(),
        };
        let mut query = DataQuery::new(columns, Space::Sites(vec![site]), Period::day(day));
        let by = |metrics: bool| query.columns.iter().filter(move |column| column.is_metric() == metrics);
        let properties: Vec<Sort> =
            by(false).map(|column| Sort { descending: false, column: column.clone() }).collect();
        let metrics = by(true).take(1).map(|column| Sort { descending: true, column: column.clone() });
        query.sort = if properties.is_empty() { metrics.collect() } else { properties };
        if let Asked::Report(report) = asked {
            query.filter.clone_from(&report.filter);
            query.segments.clone_from(&report.segments);
            query.options = report.options;
        }
        query
    }

    fn page(
        asked: Asked<'_>,
        portion: Portion,
        site: &SiteFacts,
        day: NaiveDate,
        seen: &mut HashSet<i64>,
    ) -> Result<Page> {
        let Portion { rows, columns, notes, coverage } = portion;
        let mut page = Page { notes, coverage, ..Page::default() };
        match asked {
            Asked::Visits(visits) => {
                rows.iter().for_each(|row| visits::add(row, visits, site, day, seen, &mut page));
            }
            Asked::Report(report) => {
                if !rows.is_empty() {
                    page.drift = rows::drift(report, &columns);
                }
                let context = rows::Context { report, site, day, columns: &columns };
                if !rows.iter().all(|row| rows::add(row, &context, seen, &mut page)) {
                    return Err(error::protocol(
                        "read rows",
                        "a row came twice: the data changed while it was read",
                    ));
                }
            }
        }
        Ok(page)
    }

    /// Asks for a day, to see whether it may be asked for.
    async fn ask(&self, asked: Asked<'_>, query: &DataQuery) -> Result<()> {
        match asked {
            Asked::Report(report) if self.restricted => {
                let query = DataQuery { max_results: Some(1), ..query.clone() };
                let feed = self.api.restricted_page(&query).await?;
                feed.map_or(Ok(()), |feed| restricted::check_columns(report, &feed.columns))
            }
            _ => self.api.count(query).await.map(|_| ()),
        }
    }

    /// The same error with the columns that the vendor does not know, each asked for by itself.
    async fn with_unknown_columns(&self, query: &DataQuery, error: Error) -> Error {
        if self.restricted || !error::is_of_columns(&error) {
            return error;
        }
        let Ok(visits) = Name::new("m_visits").map(Column::from) else { return error };
        let mut unknown = Vec::new();
        for column in &query.columns {
            let mut alone = DataQuery { filter: None, segments: Vec::new(), ..query.clone() };
            alone.columns = vec![column.clone()];
            alone.columns.extend((!column.is_metric()).then(|| visits.clone()));
            alone.sort = vec![Sort { descending: false, column: column.clone() }];
            match self.api.count(&alone).await {
                Err(error) if error::is_of_columns(&error) => unknown.push(column.to_string()),
                _ => {}
            }
        }
        let told = error.detail().unwrap_or_default().to_owned();
        match unknown.is_empty() {
            true => error,
            false => error.with_detail(format!("{told}; unknown columns: {}", unknown.join(", "))),
        }
    }

    async fn control(&self, slice: &SliceKey) -> Result<Totals> {
        let (id, _) = self.site(&slice.site)?;
        let asked = self.asked(slice)?;
        let query = self.query(asked, *id, slice.from);
        let rows = self.api.count(&query).await?;
        let (records, columns) = match asked {
            Asked::Report(report) => (rows * report.metrics.len() as u64, Vec::new()),
            Asked::Visits(_) => (rows, vec![Column::from(Name::new("m_visits")?)]),
        };
        let mut control = Totals::new().with("records", records);
        // Of nothing the vendor has no totals, or zeros; the count has said it.
        if rows == 0 {
            return Ok(control);
        }
        let query = if columns.is_empty() { query } else { DataQuery { columns, ..query } };
        let Some(told) = self.api.totals(&query).await? else { return Ok(control) };
        for column in query.metrics() {
            let wire::Cell::Number(total) =
                told.get(column.name.as_str()).map_or(wire::Cell::Nothing, wire::number)
            else {
                // "-": this metric has no total.
                continue;
            };
            match asked {
                Asked::Visits(_) => control.set("visits", total),
                Asked::Report(report) if report.kind_of(&column.name) == MetricKind::Additive => {
                    let name = catalogue::stored_name(&column.name);
                    let name = if report.is_of_the_site() { name } else { format!("{}.{name}", report.name) };
                    control.set(name, total);
                }
                Asked::Report(_) => {}
            }
        }
        Ok(control)
    }
}

#[async_trait]
impl AnalyticsSource for AtInternet {
    fn capabilities(&self) -> Capabilities {
        let finality = Finality::After(self.0.finality);
        let stream = |name: &str, fills| Stream::new(name.to_owned(), Grain::Day, fills, finality);
        let reports = self.0.reports.iter().map(|report| {
            let fills: &'static [Kind] =
                if report.is_of_the_site() { &[Kind::Metrics] } else { &[Kind::Dimensions] };
            stream(&report.name, fills)
        });
        let visits = self.0.visits.iter().map(|_| stream(VISITS, &[Kind::Sessions]));
        let streams = reports.chain(visits).collect();
        Capabilities::new(SERVICE, streams).concurrency(self.0.concurrency).control_totals(!self.0.restricted)
    }

    /// The API has no call that only looks: the rows of the first stream are counted, one day, for every site. Of a
    /// restricted key, one row is read.
    async fn check(&self) -> Result<Checked> {
        let asked = match (self.0.reports.first(), &self.0.visits) {
            (Some(report), _) => Asked::Report(report),
            (None, Some(visits)) => Asked::Visits(visits),
            (None, None) => {
                return Err(Error::new(ErrorKind::Config, SERVICE, "check")
                    .with_detail("missing report; call `.report()`"));
            }
        };
        let (mut sites, mut failed, mut first) = (Vec::new(), Vec::new(), None);
        for (id, site) in &self.0.sites {
            let mut query = self.0.query(asked, *id, NaiveDate::default());
            query.periods = vec![vec![Period::relative(Granularity::Day, -1)]];
            match self.0.ask(asked, &query).await {
                Ok(()) => sites.push(site.clone()),
                // The query is in order; yesterday is not there yet, which older days do not depend on.
                Err(error) if error::is_not_ready(&error) => sites.push(site.clone()),
                // Of this site: it does not exist, or the key may not read it.
                Err(error) if error.kind() == ErrorKind::NotFound || error.status() == Some(403) => {
                    failed.push(SiteFailure::new(site.site.clone(), &error));
                    first.get_or_insert(error);
                }
                Err(error) => return Err(self.0.with_unknown_columns(&query, error).await),
            }
        }
        if let (true, Some(error)) = (sites.is_empty(), first) {
            // No site can be read with this key: it is the key.
            if error.kind() == ErrorKind::Auth {
                self.0.api.refuse(&error);
            }
            return Err(error);
        }
        let version = match self.0.api.version {
            Version::V2 => "2",
            Version::V3 => "3",
        };
        Ok(Checked::new(sites).version(version).failed(failed))
    }

    /// The API has no list of sites: the configured ones.
    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(self.0.sites.iter().map(|(_, site)| site.clone()).collect())
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        self.0.site(site)?;
        plan_by_grain(&self.capabilities(), stream, site, window)
    }

    async fn version(&self, _slice: &SliceKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let begin = move || {
            let asked = self.0.asked(slice)?;
            let (id, site) = self.0.site(&slice.site)?;
            let query = self.0.query(asked, *id, slice.from);
            self.0.without_content().remove(&slice.to_string());
            let reading = match asked {
                Asked::Report(report) if self.0.restricted => {
                    Rows::OfKey(Box::new(Pages::new(&self.0.api, report, query, self.0.limits)))
                }
                _ => Rows::Counted(Box::new(Reading::new(&self.0.api, query, self.0.limits))),
            };
            Ok::<_, Error>((asked, site, reading, HashSet::new()))
        };
        match begin() {
            Err(error) => stream::once(async move { Err(error) }).boxed(),
            Ok(state) => stream::try_unfold(state, move |(asked, site, mut reading, mut seen)| async move {
                let Some(portion) = reading.next().await? else { return Ok(None) };
                if reading.is_uncounted() {
                    self.0.uncounted().insert(slice.to_string());
                }
                if reading.is_without_content() {
                    self.0.without_content().insert(slice.to_string());
                }
                let page = Inner::page(asked, portion, site, slice.from, &mut seen)?;
                Ok(Some((page, (asked, site, reading, seen))))
            })
            .boxed(),
        }
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        if self.0.without_content().contains(&slice.to_string()) {
            // It contradicts the rows, of which there are none: the zero is not believed.
            return Ok(Some(Totals::new().with("answers_without_content", 1)));
        }
        if self.0.restricted {
            return Ok(None);
        }
        match self.0.control(slice).await {
            // The reading said so.
            Err(error) if error::is_too_long(&error) && self.0.uncounted().contains(&slice.to_string()) => {
                Ok(None)
            }
            told => told.map(Some),
        }
    }
}
