//! Matomo 5 (recorded with 5.0.2; 3 and 4 answer in the same forms by their documentation, untested).
//!
//! One request form: `POST {base}/index.php`, everything in the body, the token too. A slice is one day of one stream of
//! one site. [`DAILY`] and [`VISITS`] are read unless [`MatomoBuilder::streams`] chooses others of [`STREAMS`].
//!
//! | stream | asks, for one day | fills | control totals |
//! |---|---|---|---|
//! | `daily` | VisitsSummary.get, Goals.get | `daily_metrics` | visits and converted visits counted in Live |
//! | `visits` | Live.getLastVisitsDetails, page by page | `sessions`, `events` | VisitsSummary.get: visits, converted visits, seconds on site |
//! | `referrers` | Referrers.getReferrerType | reports `referrers`, `referrer_goals`, `referrer_carts` | VisitsSummary.get, Goals.get |
//! | `referrer_names` | Referrers.getAll (of one date: it refuses lists of dates) | report `referrer_names` | Referrers.getReferrerType: all visits but direct ones |
//! | `campaigns` | Referrers.getCampaigns, expanded | report `campaigns` | Referrers.getReferrerType: visits of campaigns |
//! | `pages` | Actions.getPageUrls, flat | report `pages` | API.get: page views |
//! | `hours` | Live.getLastVisitsDetails without actions | report `hours` | VisitsSummary.get: visits, converted visits, seconds on site |
//! | `events` | Events.getCategory, getAction, getName, flat | reports `event_categories`, `event_actions`, `event_names` | Live: events of the visits |
//! | `items` | Goals.getItemsSku, of orders and of abandoned carts | reports `items`, `abandoned_items` | Live: pieces and prices of orders and carts |
//! | `goals` | Goals.getGoals, Referrers.getReferrerType; Goals.get for each goal, orders, carts | reports `goals`, `goal_visitors`, `abandoned_carts` | Referrers.getReferrerType: conversions, revenue, carts |
//!
//! `visits` is read before `daily`, and what both ask is asked once: a day of these two streams takes VisitsSummary.get,
//! Goals.get and the pages of Live.
//!
//! Reports are rows of `dimension_metrics`. Several calls of one slice go into one API.getBulkRequest, ten at most, and
//! so do the descriptions of several sites; an error in its list is that call's error.
//!
//! # What is counted
//! - **The day of a visit** is Matomo's: the day of its last action in the site's zone. That is the slice, and so a slice
//!   has as many sessions as VisitsSummary has visits. The row's own `day` is that of its first event, as everywhere in
//!   the warehouse; the two differ only for visits over midnight, which Matomo splits by default
//!   (`create_new_visit_after_midnight`).
//! - **Metrics know how they add up.** Counts and amounts are additive; visitors and users, and visits of pages, goals,
//!   articles and events (one visit may be in many rows) are distinct and never summed; ratios come from their parts, as
//!   the vendor's are rounded. Maxima and minima are left out: they are none of these.
//! - **Referrers are keyed by type**, not by label, which is localised. Everything is asked in English.
//! - **Hours are counted from Live in the site's zone**, with 23 and 25 of them on the days of clock changes. VisitTime
//!   is wrong on these days, and says the same on the others: it is not asked.
//! - **Where Goals.get cannot answer** (no such report), the daily conversions and revenue are counted from the visits of
//!   Live, and the slice says so in a note.
//! - **Conversions of deleted goals** are under the goal's number where Referrers.getReferrerType names it and Goals.get
//!   still tells it, else in a row of `goals` whose goal is null. Orders and goals are conversions, abandoned carts are
//!   not: they are a report of their own, and their value is no revenue.
//! - **Campaigns without a keyword**: Matomo keeps the keywords of a campaign in a table beneath it, from which visits
//!   without a keyword are missing. What the campaign has and its keywords have not is a row whose keyword is null.
//! - **Segments** ([`MatomoBuilder::segment`]) are populations of their own, in reports of their own.
//!
//! # What is not believed
//! - **Zero is not missing**: on an instance that archives by cron a day without an archive looks like a day without
//!   visits. A report that says zero is believed when Live, which needs no archive, says the same, and Live when
//!   VisitsSummary.get does not contradict it.
//! - **What is in a call's place is not yet its answer**: the elements of a bulk request carry no name. Rows must not
//!   have the fields of another report; the conversions of goals must be those that Referrers.getReferrerType tells of
//!   them, where both tell as many, and never more than those of all goals. Otherwise the slice fails.
//! - **Not all rows are all rows**: Matomo keeps 500 pages and 1000 referrers of a day (by default) and folds the others
//!   into a row "Others", whatever the limit asked for. Those rows are there as `is_rest`, the slice is truncated, and a
//!   note says how much of the table they are. What may not be added up is not told of them.
//! - **Long visits are cut by Matomo**: `Live` gives the first 500 actions of a visit (server setting
//!   `visitor_log_maximum_actions_per_visit`) and counts the others in `truncatedActionsCount`. No parameter of the API
//!   lifts that. The slice is `truncated`, never settled, and a note says how many actions, conversions and how much
//!   revenue are missing compared with Goals.get.
//! - **A report that the instance does not have** (plugin off, method unknown, 404) is an error of kind `Unsupported`, and
//!   no row.
//! - **Fields that were not there when this was written** are named as drift and kept in the extras, never among the
//!   numbers. A lacking field of those that every row has is named, too, and is a metric without a value; so is a number
//!   that does not read. Where that is the number that the report is for, the slice fails. The varying keys of Goals.get
//!   are not drift.
//!
//! # Several sites
//! A site that does not exist, that the token may not view, or whose zone is not known does not stop the others: it is in
//! [`Checked::failed`] with the reason. Offsets such as `UTC+5.5` are read as the zone of the tz database
//! that has had this offset, and no other, since 2005; where there is none (`UTC+3.5`) they are a
//! [fixed offset](crate::source::SiteFacts::offset), whose name in the warehouse is `UTC+03:30`.
//!
//! # Credentials
//! **Refused credentials end it**: after the first refusal this source and its clones make no request any more. Twenty of
//! them lock the instance for everybody behind the same address, so make one source and clone it. Answers that echo the
//! token are cleaned of it before they are looked at.
//!
//! Developer documentation: <https://developer.matomo.org/api-reference/reporting-api> (read in 2026).

pub mod answer;
mod builder;
mod call;
mod count;
mod daily;
mod drift;
mod error;
mod instants;
mod live;
mod reports;
mod segment;
mod shared;
mod site;
mod streams;
mod verify;
mod visits;
mod wire;

pub use answer::{Answer, Row};
pub use builder::MatomoBuilder;
pub use site::Instance;
pub use streams::{
    CAMPAIGNS, DAILY, DEFAULT_STREAMS, EVENTS, GOALS, HOURS, ITEMS, PAGES, REFERRER_NAMES, REFERRERS,
    STREAMS, VISITS,
};

use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Page, SiteFacts, Stream, Totals, Window,
    plan_by_grain,
};
use async_trait::async_trait;
use call::Ask;
use chrono::TimeDelta;
use error::SERVICE;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use live::Walk;
use mkt_connect::http::Client;
use mkt_connect::http::retry::Policy;
use mkt_connect::{Error, ErrorKind, Result, Secret};
use mkt_warehouse::SliceKey;
use reports::{Tables, Target};
use rust_decimal::Decimal;
use segment::Segment;
use shared::Shared;
use site::{Site, unknown_site};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use streams::Name;
use tokio::sync::OnceCell;
use visits::Tally;

/// A Matomo instance and the sites to be read from it. Start with [`Matomo::builder`]. Clones share what was learnt.
#[derive(Debug, Clone)]
pub struct Matomo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    token: Secret,
    sites: Vec<(u64, String)>,
    streams: Vec<Name>,
    segments: Vec<Segment>,
    page_size: usize,
    table_rows: usize,
    concurrency: usize,
    finality: TimeDelta,
    retry: Policy,
    sites_told: OnceCell<Vec<Site>>,
    /// Whether the instance knows no bulk requests.
    without_bulk: AtomicBool,
    /// Why the credentials were refused.
    refused: OnceLock<String>,
    /// What two streams of a day ask alike.
    shared: Shared,
}

impl Matomo {
    /// Settings for the instance at `base_url`, such as `https://stats.example.org`.
    #[must_use]
    pub fn builder(base_url: &str) -> MatomoBuilder {
        MatomoBuilder::new(base_url)
    }

    /// What the instance tells about itself.
    ///
    /// # Errors
    /// As [`check`](AnalyticsSource::check).
    pub async fn instance(&self) -> Result<Instance> {
        self.0.instance().await
    }

    /// Any method of the reporting API that reads, for what no stream reads. `language=en` and `format_metrics=0` are
    /// set unless the parameters say otherwise; the token is added.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), mkt_connect::Error> {
    /// # let server = mkt_etl::testing::RecordedMatomo::start().await?;
    /// let matomo = server.source().build()?;
    /// let march = [("idSite", "1"), ("period", "month"), ("date", "2026-03-01,2026-04-30")];
    /// let answer = matomo.report("VisitsSummary.get", march).await?;
    /// let march = answer.part("2026-03").and_then(|month| month.row()).expect("a month");
    /// assert_eq!(march.number("nb_visits"), Some(63.into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the instance refuses, by kind: `Auth`, `NotFound` (an unknown site), `Unsupported` (an unknown method, a plugin
    /// that is off), `Input` (a bad period, date or segment), `Protocol` (an answer of no documented form),
    /// `Unavailable`, `RateLimited`.
    pub async fn report<'a>(
        &self,
        method: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Answer> {
        let ask = parameters.into_iter().fold(Ask::new(method), |ask, (name, value)| ask.with(name, value));
        self.0.ask("read a report", &ask).await
    }

    /// Several [`report`](Self::report)s, ten in one request, each with an answer or an error of its own, in order.
    ///
    /// # Errors
    /// What ends all of them: `Auth`, `Unavailable`, `RateLimited`, `Protocol`.
    pub async fn reports<'a, P: IntoIterator<Item = (&'a str, &'a str)>>(
        &self,
        calls: impl IntoIterator<Item = (&'a str, P)>,
    ) -> Result<Vec<Result<Answer>>> {
        let asks: Vec<Ask> = calls
            .into_iter()
            .map(|(method, parameters)| {
                parameters.into_iter().fold(Ask::new(method), |ask, (name, value)| ask.with(name, value))
            })
            .collect();
        self.0.ask_all("read several reports", &asks).await
    }
}

impl Inner {
    fn walk(&self) -> Walk {
        Walk::new(self.page_size, 10_000.max(self.page_size))
    }

    /// What a slice is of.
    async fn target<'a>(&'a self, slice: &SliceKey) -> Result<Target<'a>> {
        let refuse = || {
            Error::new(ErrorKind::Input, SERVICE, "read a slice")
                .with_detail(format!("{slice} is no slice of this source"))
        };
        let (stream, segment) = segment::split(&slice.stream);
        let one_day = slice.from.succ_opt() == Some(slice.until);
        let name = Name::parse(stream)
            .filter(|name| slice.source == SERVICE && one_day && self.streams.contains(name))
            .ok_or_else(refuse)?;
        let segment = match segment {
            None => None,
            Some(wanted) => {
                let found = self.segments.iter().find(|segment| segment.name() == wanted);
                Some(found.filter(|_| name.has_segments()).ok_or_else(refuse)?)
            }
        };
        Ok(Target { name, site: self.site(&slice.site).await?, day: slice.from, segment })
    }
}

impl Inner {
    /// What is missing from the visits that were read: actions that Matomo left out, with the conversions and the revenue
    /// that are missing compared with Goals.get; visits of another day.
    async fn notes_of_visits(&self, target: &Target<'_>, walk: &Walk, tally: &Tally) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        if walk.foreign > 0 {
            notes.push(format!("{} visits of another day were in the answer and are left out", walk.foreign));
        }
        if tally.actions == 0 {
            return Ok(notes);
        }
        let missing = match self.goals_of(target).await? {
            Some(goals) => {
                let conversions = goals.count.unwrap_or_default() - Decimal::from(tally.conversions);
                let revenue = goals.revenue.unwrap_or_default().saturating_sub(tally.revenue);
                format!(
                    "compared with Goals.get {} conversions and {} of revenue are missing",
                    conversions.normalize(),
                    revenue.normalize()
                )
            }
            None => "Goals.get does not tell which conversions are missing".to_owned(),
        };
        notes.push(format!(
            "Matomo left out the last {} actions of {} visits (its setting visitor_log_maximum_actions_per_visit; the API \
             has no parameter for it): {missing}",
            tally.actions, tally.visits
        ));
        Ok(notes)
    }
}

/// How far a reading has come.
enum Reading<'a> {
    Start,
    Visits(Target<'a>, Walk, Tally),
    Tables(Tables<'a>),
    End,
}

impl Inner {
    async fn next<'a>(
        &'a self,
        slice: &SliceKey,
        reading: Reading<'a>,
    ) -> Result<Option<(Page, Reading<'a>)>> {
        let reading = match reading {
            Reading::Start => {
                let target = self.target(slice).await?;
                match target.name {
                    Name::Daily => return Ok(Some((self.daily_page(&target).await?, Reading::End))),
                    Name::Hours => return Ok(Some((self.hours_page(&target).await?, Reading::End))),
                    Name::Goals => return Ok(Some((self.goals_page(&target).await?, Reading::End))),
                    Name::Visits => Reading::Visits(target, self.walk(), Tally::default()),
                    _ => Reading::Tables(Tables::new(target, self.table_rows)),
                }
            }
            other => other,
        };
        match reading {
            Reading::Visits(target, mut walk, mut tally) => {
                let mut page = Page::default();
                let Some(visits) = self.live(&target, &mut walk, true).await? else {
                    page.notes = self.notes_of_visits(&target, &walk, &tally).await?;
                    self.shared.put_count(&target, tally.counted());
                    return Ok((!page.notes.is_empty()).then_some((page, Reading::End)));
                };
                visits.iter().for_each(|visit| visits::add(visit, target.site, &mut page, &mut tally));
                Ok(Some((page, Reading::Visits(target, walk, tally))))
            }
            Reading::Tables(mut tables) => {
                let page = self.next_of_tables(&mut tables).await?;
                Ok(page.map(|page| (page, Reading::Tables(tables))))
            }
            Reading::Start | Reading::End => Ok(None),
        }
    }
}

#[async_trait]
impl AnalyticsSource for Matomo {
    fn capabilities(&self) -> Capabilities {
        let finality = Finality::After(self.0.finality);
        // Visits first: their control total and their count serve the daily numbers.
        let (first, others): (Vec<Name>, Vec<Name>) =
            self.0.streams.iter().copied().partition(|name| *name == Name::Visits);
        let whole = first.into_iter().chain(others).map(|name| Stream {
            name: name.as_str().into(),
            grain: Grain::Day,
            fills: name.fills(false),
            finality,
        });
        let parts = self.0.segments.iter().flat_map(|segment| {
            let streams = self.0.streams.iter().filter(|name| name.has_segments());
            streams.map(move |name| Stream {
                name: segment.of(name.as_str()).into(),
                grain: Grain::Day,
                fills: name.fills(true),
                finality,
            })
        });
        let streams = whole.chain(parts).collect();
        Capabilities::new(SERVICE, streams).concurrency(self.0.concurrency).control_totals(true)
    }

    async fn check(&self) -> Result<Checked> {
        self.0.shared.clear();
        let version = self.0.version().await?;
        Ok(Checked::new(self.0.facts().await?).version(version).failed(self.0.failed_sites().await?))
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        self.0.all_sites().await
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        if !self.0.sites.iter().any(|(_, name)| name == site) {
            return Err(unknown_site(site));
        }
        plan_by_grain(&self.capabilities(), stream, site, window)
    }

    async fn version(&self, _slice: &SliceKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        stream::try_unfold(Reading::Start, move |reading| self.0.next(slice, reading)).boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        let target = self.0.target(slice).await?;
        self.0.control(&target).await
    }
}
