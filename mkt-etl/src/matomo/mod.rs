//! Matomo 5 (recorded with 5.0.2; 3 and 4 answer in the same forms, untested).
//!
//! Two streams, one request form: `POST {base}/index.php`, everything in the body, the token too.
//!
//! | stream | asks | fills | control totals |
//! |---|---|---|---|
//! | `daily` | VisitsSummary.get and Goals.get, one day | `daily_metrics` | visits and converted visits counted in Live |
//! | `visits` | Live.getLastVisitsDetails, one day, page by page | `sessions`, `events` | VisitsSummary.get: visits, converted visits, seconds on site |
//!
//! - **The day of a visit** is Matomo's: the day of its last action in the site's zone. That is the slice, and so a slice
//!   has as many sessions as VisitsSummary has visits. The row's own `day` is that of its first event, as everywhere in
//!   the warehouse; the two differ only for visits over midnight, which Matomo splits by default
//!   (`create_new_visit_after_midnight`).
//! - **Zero is not missing**: on an instance that archives by cron a day without an archive looks like a day without
//!   visits. The control totals come from Live, which needs no archive.
//! - **Where Goals.get cannot answer** (no such report), conversions and revenue are counted from the visits of Live,
//!   and the slice says so in a note.
//! - **Refused credentials end it**: after the first refusal this source makes no request any more. Twenty of them lock
//!   the instance for everybody behind the same address.
//!
//! Developer documentation: <https://developer.matomo.org/api-reference/reporting-api> (read in 2026).

mod daily;
mod error;
mod instants;
mod live;
mod visits;
mod wire;

use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Page, SiteFacts, Stream, Totals, Window,
    plan_by_grain,
};
use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use daily::Conversions;
use error::SERVICE;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use live::Walk;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, ClientBuilder, Replay, Request};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::EventType;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use tokio::sync::OnceCell;

/// The stream of daily numbers.
pub const DAILY: &str = "daily";
/// The stream of visits and what happened in them.
pub const VISITS: &str = "visits";

/// A Matomo instance and the sites to be read from it. Start with [`Matomo::builder`]. Clones share what was learnt.
#[derive(Debug, Clone)]
pub struct Matomo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    token: Secret,
    sites: Vec<(u64, String)>,
    page_size: usize,
    concurrency: usize,
    finality: TimeDelta,
    retry: Policy,
    facts: OnceCell<Vec<SiteFacts>>,
    /// Why the credentials were refused.
    refused: OnceLock<String>,
}

/// Settings of a [`Matomo`].
#[derive(Debug, Clone)]
pub struct MatomoBuilder {
    client: ClientBuilder,
    token: Option<Secret>,
    sites: Vec<(u64, String)>,
    page_size: usize,
    concurrency: usize,
    finality: TimeDelta,
    retry: Policy,
}

impl Matomo {
    /// Settings for the instance at `base_url`, such as `https://stats.example.org`.
    #[must_use]
    pub fn builder(base_url: &str) -> MatomoBuilder {
        MatomoBuilder {
            client: Client::builder(SERVICE, base_url),
            token: None,
            sites: Vec::new(),
            page_size: 500,
            concurrency: 4,
            finality: TimeDelta::days(3),
            retry: Policy::default(),
        }
    }
}

impl MatomoBuilder {
    /// The token of a user who may view the sites (Administration → Personal → Security → Auth tokens).
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A site by its number, named by the number.
    #[must_use]
    pub fn site(self, id: u64) -> Self {
        self.site_named(id, id.to_string())
    }

    /// A site by its number, with the name it gets in the `site` column.
    #[must_use]
    pub fn site_named(mut self, id: u64, name: impl Into<String>) -> Self {
        self.sites.push((id, name.into()));
        self
    }

    /// Lets this one host be reached over plain http and at a private address: a Matomo in the intranet.
    #[must_use]
    pub fn allow_insecure_host(mut self, host: &str) -> Self {
        self.client = self.client.allow_insecure_host(host);
        self
    }

    /// Visits in one request. Default: 500, about 2 MB.
    #[must_use]
    pub fn page_size(mut self, visits: usize) -> Self {
        self.page_size = visits.max(1);
        self
    }

    /// Slices read at once. Default: 4. Every one costs the instance a database query.
    #[must_use]
    pub fn concurrency(mut self, slices: usize) -> Self {
        self.concurrency = slices.max(1);
        self
    }

    /// How long after its end a day may still change: the archiver's delay plus what trackers send late. Default: three
    /// days.
    #[must_use]
    pub fn finality(mut self, after: TimeDelta) -> Self {
        self.finality = after;
        self
    }

    /// How often and how long a request is tried again after throttling or a failing server. Refused credentials are
    /// never tried again.
    #[must_use]
    pub fn retry(mut self, policy: Policy) -> Self {
        self.retry = policy;
        self
    }

    /// Settings of the HTTP client: time-outs, the largest body.
    #[must_use]
    pub fn http(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = change(self.client);
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// `Config`: no token, no site, two sites of one number or name, a base URL that cannot be used.
    pub fn build(self) -> Result<Matomo> {
        let config =
            |detail: String| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        let Some(token) = self.token.filter(|token| !token.is_empty()) else {
            return config("there is no token".to_owned());
        };
        if self.sites.is_empty() {
            return config("there is no site".to_owned());
        }
        for (index, (id, name)) in self.sites.iter().enumerate() {
            if self.sites[..index].iter().any(|(other, other_name)| other == id || other_name == name) {
                return config(format!("the site {id} ({name}) is there twice"));
            }
            if name.is_empty() || name.contains('@') {
                return config(format!("the site {id} has no usable name"));
            }
        }
        let client = self.client.build()?;
        Ok(Matomo(Arc::new(Inner {
            client,
            token,
            sites: self.sites,
            page_size: self.page_size,
            concurrency: self.concurrency,
            finality: self.finality,
            retry: self.retry,
            facts: OnceCell::new(),
            refused: OnceLock::new(),
        })))
    }
}

impl Inner {
    /// One call of the reporting API. All of them only read, so that repeating one is harmless.
    async fn call(
        &self,
        operation: &'static str,
        method: &str,
        parameters: &[(&str, String)],
    ) -> Result<Value> {
        if let Some(why) = self.refused.get() {
            return Err(Error::new(ErrorKind::Auth, SERVICE, operation)
                .with_detail(format!("no request is made since the credentials were refused ({why})")));
        }
        let request = Request::post("index.php")
            .operation(operation)
            .replay(Replay::Idempotent)
            // `language=en`: labels and messages are localised otherwise.
            .form([
                ("module", "API"),
                ("format", "JSON"),
                ("format_metrics", "0"),
                ("language", "en"),
                ("method", method),
            ])
            .form(parameters.iter().map(|(name, value)| (*name, value.clone())))
            .secret_form_field("token_auth", &self.token);
        let read = |response| error::classify(operation, &response, &self.token);
        self.client.send_with(&request, &self.retry, read).await.inspect_err(|error| {
            if error.kind() == ErrorKind::Auth {
                let _ = self.refused.set(error.detail().unwrap_or("refused").to_owned());
            }
        })
    }

    fn protocol(operation: &'static str, detail: &'static str) -> Error {
        Error::new(ErrorKind::Protocol, SERVICE, operation)
            .delivered(mkt_connect::Delivery::Answered)
            .with_detail(detail)
    }

    /// Reads an object; serde's message would quote values, so that only its place is kept.
    fn object<T: DeserializeOwned>(operation: &'static str, value: Value) -> Result<T> {
        serde_json::from_value(value)
            .map_err(|_| Self::protocol(operation, "the answer has another form than documented"))
    }

    async fn facts(&self) -> Result<&[SiteFacts]> {
        let facts = self
            .facts
            .get_or_try_init(|| async {
                let mut all = Vec::with_capacity(self.sites.len());
                for (id, name) in &self.sites {
                    all.push(self.site_facts(*id, name).await?);
                }
                Ok::<_, Error>(all)
            })
            .await?;
        Ok(facts)
    }

    async fn site_facts(&self, id: u64, name: &str) -> Result<SiteFacts> {
        const OPERATION: &str = "read the site";
        let answer =
            self.call(OPERATION, "SitesManager.getSiteFromId", &[("idSite", id.to_string())]).await?;
        // Versions differ: an object, or a list of one.
        let answer = match answer {
            Value::Array(mut list) if list.len() == 1 => list.swap_remove(0),
            other => other,
        };
        let site: wire::Site = Self::object(OPERATION, answer)?;
        if site.idsite != i64::try_from(id).ok() {
            return Err(Self::protocol(OPERATION, "another site was described than the one asked for"));
        }
        Self::described(OPERATION, &site, name.to_owned())
    }

    fn described(operation: &'static str, site: &wire::Site, name: String) -> Result<SiteFacts> {
        let zone = site.timezone.as_deref().and_then(parse_zone).ok_or_else(|| {
            Self::protocol(operation, "the site has no time zone that the tz database knows")
        })?;
        Ok(SiteFacts {
            site: name,
            native_id: site.idsite.unwrap_or_default().to_string(),
            zone,
            currency: site.currency.as_ref().and_then(|code| code.parse().ok()),
            conversion_set: vec![EventType::PURCHASE, EventType::GOAL],
        })
    }

    /// Every site that the token may view, under its configured name, else its number.
    async fn all_sites(&self) -> Result<Vec<SiteFacts>> {
        const OPERATION: &str = "list the sites";
        let answer = match self.call(OPERATION, "SitesManager.getSitesWithAtLeastViewAccess", &[]).await {
            // Older and trimmed instances know only the list of all sites.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.call(OPERATION, "SitesManager.getAllSites", &[]).await?
            }
            answer => answer?,
        };
        let sites: Vec<wire::Site> = Self::object(OPERATION, answer)?;
        sites
            .iter()
            .filter_map(|site| Some((u64::try_from(site.idsite?).ok()?, site)))
            .map(|(id, site)| {
                let named = self.sites.iter().find(|(held, _)| *held == id).map(|(_, name)| name.clone());
                Self::described(OPERATION, site, named.unwrap_or_else(|| id.to_string()))
            })
            .collect()
    }

    async fn site(&self, name: &str) -> Result<&SiteFacts> {
        self.facts().await?.iter().find(|site| site.site == name).ok_or_else(|| unknown_site(name))
    }

    /// The answer of a report for one day, asked as `day,day`: the only form whose answer always has the same shape.
    /// `[]` stands for a day without anything.
    async fn day_of(
        &self,
        operation: &'static str,
        method: &str,
        site: &SiteFacts,
        day: NaiveDate,
    ) -> Result<Option<Value>> {
        let answer = self
            .call(
                operation,
                method,
                &[
                    ("idSite", site.native_id.clone()),
                    ("period", "day".to_owned()),
                    ("date", format!("{day},{day}")),
                ],
            )
            .await?;
        match answer {
            Value::Object(mut days) => match days.remove(&day.to_string()) {
                Some(Value::Array(list)) if list.is_empty() => Ok(None),
                Some(value @ Value::Object(_)) => Ok(Some(value)),
                _ => Err(Self::protocol(operation, "the day that was asked for is not in the answer")),
            },
            Value::Array(list) if list.is_empty() => Ok(None),
            _ => Err(Self::protocol(operation, "the answer has another form than documented")),
        }
    }

    async fn summary(&self, site: &SiteFacts, day: NaiveDate) -> Result<wire::Summary> {
        const OPERATION: &str = "read the summary of a day";
        match self.day_of(OPERATION, "VisitsSummary.get", site, day).await? {
            None => Ok(wire::Summary::zero()),
            // A missing number is not a zero.
            Some(value) => Some(Self::object::<wire::Summary>(OPERATION, value)?)
                .filter(|summary| summary.nb_visits.is_some())
                .ok_or_else(|| Self::protocol(OPERATION, "the day has no nb_visits")),
        }
    }

    /// A page of Live.
    async fn live(
        &self,
        site: &SiteFacts,
        day: NaiveDate,
        walk: &mut Walk,
        details: bool,
    ) -> Result<Option<Vec<Value>>> {
        const OPERATION: &str = "read visits";
        let Some(ask) = walk.next() else { return Ok(None) };
        let mut parameters = vec![
            ("idSite", site.native_id.clone()),
            ("period", "day".to_owned()),
            ("date", day.to_string()),
            ("filter_sort_order", "asc".to_owned()),
            ("filter_limit", ask.limit.to_string()),
        ];
        if let Some(min) = ask.min_timestamp {
            parameters.push(("minTimestamp", min.to_string()));
        }
        if !details {
            parameters.push(("doNotFetchActions", "1".to_owned()));
        }
        let Value::Array(visits) = self.call(OPERATION, "Live.getLastVisitsDetails", &parameters).await?
        else {
            return Err(Self::protocol(OPERATION, "the answer is no list of visits"));
        };
        walk.take(visits).map(Some).map_err(|detail| Self::protocol(OPERATION, detail))
    }

    fn walk(&self) -> Walk {
        Walk::new(self.page_size, 10_000.max(self.page_size))
    }

    async fn daily_page(&self, slice: &SliceKey) -> Result<Page> {
        let site = self.site(&slice.site).await?;
        let day = slice.from;
        let summary = self.summary(site, day).await?;
        let mut page = Page::default();
        let conversions = match self.day_of("read the goals of a day", "Goals.get", site, day).await {
            Ok(None) => Conversions::NONE,
            Ok(Some(value)) => Some(Self::object::<wire::Goals>("read the goals of a day", value)?)
                .filter(|goals| goals.nb_conversions.is_some())
                .ok_or_else(|| Self::protocol("read the goals of a day", "the day has no nb_conversions"))?
                .into(),
            // Known to this instance or not: the visits know it too.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                page.notes.push(
                    "conversions and revenue are counted from the visits of Live: Goals.get has no such report".to_owned(),
                );
                self.conversions_in_live(site, day).await?
            }
            Err(error) => return Err(error),
        };
        page.metrics = daily::metrics(&summary, conversions, day, site);
        page.read = page.metrics.len() as u64;
        Ok(page)
    }

    async fn conversions_in_live(&self, site: &SiteFacts, day: NaiveDate) -> Result<Conversions> {
        let mut walk = self.walk();
        let (mut count, mut sum) = (0_u64, Decimal::ZERO);
        while let Some(visits) = self.live(site, day, &mut walk, true).await? {
            for visit in &visits {
                let Ok(visit) = serde_json::from_value::<wire::Visit>(visit.clone()) else { continue };
                for action in &visit.action_details {
                    let Ok(action) = serde_json::from_value::<wire::Action>(action.clone()) else { continue };
                    if matches!(action.kind.as_deref(), Some("goal" | "ecommerceOrder")) {
                        count += 1;
                        // An amount that no table holds is set aside where the visits are read.
                        let fits = |revenue: &Decimal| revenue.abs() < Decimal::from(100_000_000);
                        sum = sum.saturating_add(action.revenue.filter(fits).unwrap_or_default());
                    }
                }
            }
        }
        Ok(Conversions { count: Some(count.into()), revenue: Some(sum) })
    }

    /// Visits and converted visits of a day as Live has them, without their actions.
    async fn counts_in_live(&self, site: &SiteFacts, day: NaiveDate) -> Result<Totals> {
        let mut walk = self.walk();
        // A visit that goes on meanwhile comes again with a later end.
        let mut visits = std::collections::HashMap::new();
        while let Some(page) = self.live(site, day, &mut walk, false).await? {
            for visit in page {
                if let Ok(visit) = serde_json::from_value::<wire::Visit>(visit) {
                    visits.insert(visit.id_visit, visit.visit_converted == Some(1));
                }
            }
        }
        let converted = visits.values().filter(|converted| **converted).count() as u64;
        Ok(Totals::new().with("visits", visits.len() as u64).with("converted_visits", converted))
    }
}

/// Matomo's zones are names of the tz database, or `UTC+5.5` for offsets, of which the whole hours are known there.
fn parse_zone(name: &str) -> Option<chrono_tz::Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let hours: i32 = name.strip_prefix("UTC")?.parse().ok()?;
    // The tz database counts them westward.
    format!("Etc/GMT{:+}", hours.checked_neg()?).parse().ok()
}

fn unknown_site(name: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "choose a site").with_detail(format!("there is no site {name:?}"))
}

fn check_slice(slice: &SliceKey) -> Result<()> {
    let one_day = slice.from.succ_opt() == Some(slice.until);
    if slice.source == SERVICE && one_day && [DAILY, VISITS].contains(&slice.stream.as_str()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Input, SERVICE, "read a slice")
        .with_detail(format!("{slice} is no slice of this source")))
}

#[async_trait]
impl AnalyticsSource for Matomo {
    fn capabilities(&self) -> Capabilities {
        let finality = Finality::After(self.0.finality);
        let stream =
            |name: &'static str, fills| Stream { name: name.into(), grain: Grain::Day, fills, finality };
        Capabilities {
            source: SERVICE,
            streams: vec![stream(DAILY, &[Kind::Metrics]), stream(VISITS, &[Kind::Sessions, Kind::Events])],
            concurrency: self.0.concurrency,
            control_totals: true,
        }
    }

    async fn check(&self) -> Result<Checked> {
        const OPERATION: &str = "read the version";
        let version: wire::Version =
            Inner::object(OPERATION, self.0.call(OPERATION, "API.getMatomoVersion", &[]).await?)?;
        Ok(Checked { version: Some(version.value), sites: self.0.facts().await?.to_vec() })
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
        if slice.stream == DAILY {
            return stream::once(async move {
                check_slice(slice)?;
                self.0.daily_page(slice).await
            })
            .boxed();
        }
        stream::try_unfold(self.0.walk(), move |mut walk| async move {
            check_slice(slice)?;
            let site = self.0.site(&slice.site).await?;
            let Some(visits) = self.0.live(site, slice.from, &mut walk, true).await? else { return Ok(None) };
            let mut page = Page::default();
            visits.iter().for_each(|visit| visits::add(visit, site, &mut page));
            Ok(Some((page, walk)))
        })
        .boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        check_slice(slice)?;
        let site = self.0.site(&slice.site).await?;
        if slice.stream == DAILY {
            return match self.0.counts_in_live(site, slice.from).await {
                Ok(totals) => Ok(Some(totals)),
                // No visits log, by the privacy settings: nothing to count another way.
                Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
                Err(error) => Err(error),
            };
        }
        let summary = self.0.summary(site, slice.from).await?;
        let mut control = Totals::new();
        for (name, value) in [
            ("visits", summary.nb_visits),
            ("converted_visits", summary.nb_visits_converted),
            ("seconds_on_site", summary.sum_visit_length),
        ] {
            if let Some(value) = value {
                control.set(name, value);
            }
        }
        Ok(Some(control))
    }
}
