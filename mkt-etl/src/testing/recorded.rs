//! A Matomo on loopback that answers with what a real Matomo 5.0.2 answered.
//!
//! It replays; it does not compute reports. A request is answered with what was recorded for these very parameters
//! (`language=en` and `format_metrics=0` apart). Put together are only: a list of days, of methods that were recorded for
//! lists of days, from recorded days; one day of Live, asked as `period=range&date=D,D`, from the one recording that holds
//! every visit; a page of a recorded table; a bulk request from its parts. Everything else is answered with 404
//! `not recorded`, or with the error that a real Matomo gives, never with an invented body.

use super::bodies::{BODIES, MANIFEST, body};
use super::days::{Days, NO_LISTS, VARIANTS, days, read, table};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Paris;
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::testing::{Answer, Received, Server};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::form_urlencoded;

/// Wrong tokens after which the instance locks (Matomo's default).
const LOCK_AFTER: usize = 20;
/// The visit that was sent late: missing before `late_after` was recorded.
const LATE_VISIT: i64 = 116;

/// A request of the manifest.
#[derive(Debug, Clone, Deserialize)]
struct Recording {
    name: String,
    http_method: String,
    params: BTreeMap<String, Value>,
    status: u16,
    content_type: String,
}

impl Recording {
    fn parameters(&self) -> BTreeMap<String, String> {
        self.params
            .iter()
            .map(|(name, value)| {
                (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect()
    }

    fn reply(&self) -> Option<Reply> {
        let answer = Answer::status(self.status).header("content-type", self.content_type.as_str());
        body(&self.name).map(|bytes| Reply::Recorded(answer.body(bytes), bytes))
    }
}

/// A replay of a real Matomo 5.0.2 on loopback: site 1 (Europe/Paris, with one goal and a shop), both clock changes of
/// 2026, late hits, a day without an archive, errors.
///
/// ```
/// use mkt_etl::AnalyticsSource;
/// use mkt_etl::testing::RecordedMatomo;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// let server = RecordedMatomo::start().await?;
/// let matomo = server.source().build()?;
/// assert_eq!(matomo.check().await?.version.as_deref(), Some("5.0.2"));
/// # Ok(())
/// # }
/// ```
///
/// - VisitsSummary.get by day: 20 to 31 March, 8 to 11 April, 4 and 5 May, 24 to 26 October 2026. Goals.get: 27 to 31
///   March (also by goal, of orders and of abandoned carts), and 8 April. Referrers.getReferrerType and API.get (also
///   with `columns`): 27 to 31 March. Referrers.getAll, Referrers.getCampaigns and Goals.getItemsSku (also of abandoned
///   carts): 28 March. Actions.getPageUrls: 28 March, 8 to 10 April. The bodies keep their numbers as recorded, percent
///   signs included. Of site 2 there is VisitsSummary.get of 24 to 26 October.
/// - Live.getLastVisitsDetails: every day from March to November 2026 as `period=range&date=D,D`, with `minTimestamp`, `filter_limit` (default
///   100), `filter_offset`, `filter_sort_order` and `doNotFetchActions`, and with the segment `referrerType==campaign`.
/// - API.getBulkRequest of anything of this, ten and more calls; if one of them was not recorded, the whole is not.
/// - Everything else that was recorded is found by its parameters; `language=en` and `format_metrics=0` may be added.
/// - Requests that were recorded several times answer with the first recording, and 27 March with its late visit, unless
///   [`choose`](Self::choose) says otherwise.
/// - A wrong token is answered with 401 and HTML; after 20 of them everything is locked, for the right token too.
#[derive(Debug)]
pub struct RecordedMatomo {
    server: Server,
    chosen: Arc<Mutex<BTreeSet<String>>>,
    only: Arc<Mutex<Option<String>>>,
}

impl RecordedMatomo {
    /// The token that it knows.
    pub const TOKEN: &'static str = "0123456789abcdef0123456789abcdef";

    /// Starts it on a free port.
    ///
    /// # Errors
    /// `Unavailable` when no port on loopback can be opened; `Protocol` when the recordings do not read.
    pub async fn start() -> Result<Self> {
        let chosen = Arc::new(Mutex::new(BTreeSet::new()));
        let only = Arc::new(Mutex::new(None));
        let replay = Replay::new(Arc::clone(&chosen), Arc::clone(&only)).map_err(|cause| {
            Error::new(ErrorKind::Protocol, "recorded matomo", "start")
                .with_detail("a recording does not read")
                .with_source(cause)
        })?;
        let server = Server::start(move |request| replay.answer(request)).await.map_err(|cause| {
            Error::new(ErrorKind::Unavailable, "recorded matomo", "start").with_source(cause)
        })?;
        Ok(Self { server, chosen, only })
    }

    /// Settings of a source that reads site 1 from it.
    #[must_use]
    pub fn source(&self) -> crate::matomo::MatomoBuilder {
        crate::matomo::Matomo::builder(&self.url())
            .allow_insecure_host(&self.server.authority())
            .token(self.token())
            .site(1)
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Its token.
    #[must_use]
    pub fn token(&self) -> Secret {
        Secret::new(Self::TOKEN)
    }

    /// The server beneath: what was asked, how often.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Lets this recording answer the request it was recorded for. `late_before` also takes the late visit out of Live.
    ///
    /// # Errors
    /// `Input` when there is no such recording.
    pub fn choose(&self, recording: &str) -> Result<()> {
        if body(recording).is_none() {
            return Err(Error::new(ErrorKind::Input, "recorded matomo", "choose a recording")
                .with_detail(format!("there is no recording {recording:?}")));
        }
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).insert(recording.to_owned());
        Ok(())
    }

    /// Lets this recording answer every request but that for a site, whatever is asked and with whatever token: its
    /// status, its type, its body.
    ///
    /// # Errors
    /// `Input` when there is no such recording.
    pub fn insist(&self, recording: &str) -> Result<()> {
        if body(recording).is_none() {
            return Err(Error::new(ErrorKind::Input, "recorded matomo", "insist on a recording")
                .with_detail(format!("there is no recording {recording:?}")));
        }
        *self.only.lock().unwrap_or_else(PoisonError::into_inner) = Some(recording.to_owned());
        Ok(())
    }

    /// Takes back [`choose`](Self::choose) and [`insist`](Self::insist).
    pub fn choose_nothing(&self) {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.only.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A clock that starts on 15 November 2026, after every recorded day is final, and then runs at normal speed.
    #[must_use]
    pub fn clock(&self) -> ShiftedClock {
        let clock = SystemClock::new();
        let end = DateTime::from_timestamp(1_794_744_000, 0).unwrap_or_default();
        ShiftedClock { by: end - clock.now(), clock }
    }

    /// The names of all recorded bodies.
    pub fn recordings() -> impl Iterator<Item = &'static str> {
        BODIES.iter().map(|(name, _)| *name)
    }
}

/// The system's clock, set to another time by [`RecordedMatomo::clock`]; by default not at all.
#[derive(Debug, Clone, Default)]
pub struct ShiftedClock {
    clock: SystemClock,
    by: TimeDelta,
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.by
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

struct Replay {
    manifest: Vec<Recording>,
    days: Days,
    visits: Vec<Value>,
    refused: AtomicUsize,
    chosen: Arc<Mutex<BTreeSet<String>>>,
    only: Arc<Mutex<Option<String>>>,
}

type Parameters = BTreeMap<String, String>;

/// An answer, or the method that was not recorded.
type Found = std::result::Result<Reply, String>;

/// An answer: recorded, or put together.
enum Reply {
    Recorded(Answer, &'static [u8]),
    Composed(Value),
}

impl Reply {
    fn into_answer(self) -> Answer {
        match self {
            Self::Recorded(answer, _) => answer,
            Self::Composed(value) => Answer::json(value.to_string()),
        }
    }

    /// As an element of a bulk request.
    fn into_value(self) -> Option<Value> {
        match self {
            Self::Recorded(_, body) => serde_json::from_slice(body).ok(),
            Self::Composed(value) => Some(value),
        }
    }
}

impl Replay {
    fn new(
        chosen: Arc<Mutex<BTreeSet<String>>>,
        only: Arc<Mutex<Option<String>>>,
    ) -> serde_json::Result<Self> {
        let manifest: Vec<Recording> = serde_json::from_str(MANIFEST)?;
        let mut visits: Vec<Value> = read("live_over_unlimited")?;
        // Recorded after the rest, without actions: the day that no archive knew.
        visits.extend(read::<Vec<Value>>("cron_live_newday")?);
        visits.sort_by_key(|visit| (ended(visit), visit["idVisit"].as_i64()));
        Ok(Self { manifest, days: days()?, visits, refused: AtomicUsize::new(0), chosen, only })
    }

    fn answer(&self, request: &Received) -> Answer {
        if request.path != "/index.php" {
            return Answer::text("no such page").with_status(404);
        }
        let asked = parameters(request);
        let only = self.only.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(only) = only
            && asked.get("method").map(String::as_str) != Some("SitesManager.getSiteFromId")
        {
            return self.named(&only);
        }
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        match self.reply(&request.method, &asked) {
            Ok(reply) => reply.into_answer(),
            Err(method) => Answer::text(format!("not recorded: {method}")).with_status(404),
        }
    }

    fn reply(&self, http_method: &str, asked: &Parameters) -> Found {
        let recording = self
            .matching(http_method, asked)
            .find(|recording| self.is_chosen(&recording.name))
            .and_then(Recording::reply);
        if let Some(reply) = recording {
            return Ok(reply);
        }
        if let Some(value) = self.composed(asked) {
            return Ok(Reply::Composed(value));
        }
        if let Some(reply) = self.matching(http_method, asked).find_map(Recording::reply) {
            return Ok(reply);
        }
        let method = asked.get("method").cloned().unwrap_or_default();
        if method == "API.getBulkRequest" {
            return self.bulk(asked);
        }
        let of_method = |recording: &Recording| recording.parameters().get("method") == Some(&method);
        let unknown = self.manifest.iter().find(|recording| recording.name == "err_unknown_method");
        match unknown.filter(|_| !method.is_empty() && !self.manifest.iter().any(of_method)) {
            Some(refused) => refused.reply().ok_or(method),
            None => Err(method),
        }
    }

    /// Answers every call of a bulk request, if all of them were recorded.
    fn bulk(&self, asked: &Parameters) -> Found {
        let common: Parameters = asked
            .iter()
            .filter(|(name, _)| !name.starts_with("urls[") && name.as_str() != "method")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut elements = Vec::new();
        while let Some(element) = asked.get(&format!("urls[{}]", elements.len())) {
            let mut call = common.clone();
            // Decoded as a whole, then split and decoded again, as the real one does.
            let whole = element.replace('&', "%26").replace('=', "%3D");
            let whole = form_urlencoded::parse(whole.as_bytes()).next().map(|(text, _)| text.into_owned());
            let whole = whole.unwrap_or_default();
            call.extend(
                form_urlencoded::parse(whole.as_bytes())
                    .map(|(name, value)| (name.into_owned(), value.into_owned())),
            );
            let method = call.get("method").cloned().unwrap_or_default();
            elements.push(self.reply("POST", &call)?.into_value().ok_or(method)?);
        }
        Ok(Reply::Composed(Value::Array(elements)))
    }

    fn refusal(&self, request: &Received) -> Option<Answer> {
        let right = match request.value("token_auth").as_deref() {
            Some(RecordedMatomo::TOKEN) => true,
            Some(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            None => return Some(self.named("err_no_token")),
        };
        match (self.refused.load(Ordering::Relaxed) > LOCK_AFTER, right) {
            (true, _) => Some(self.named("bf_after_valid_token")),
            (false, true) => None,
            (false, false) => Some(self.named("err_bad_token")),
        }
    }

    fn named(&self, name: &str) -> Answer {
        let recording = self.manifest.iter().find(|recording| recording.name == name);
        let reply = recording.and_then(Recording::reply).map(Reply::into_answer);
        reply.unwrap_or_else(|| Answer::text("not recorded").with_status(404))
    }

    fn is_chosen(&self, name: &str) -> bool {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Recordings of a request: first of exactly these parameters, then without those that change nothing of substance.
    fn matching(
        &self,
        http_method: &str,
        asked: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &Recording> {
        let mut plain = asked.clone();
        plain.remove("language");
        plain.remove("format_metrics");
        let of = move |wanted: &BTreeMap<String, String>| {
            let (method, wanted) = (http_method.to_owned(), wanted.clone());
            self.manifest
                .iter()
                .filter(move |recording| recording.http_method == method && recording.parameters() == wanted)
        };
        of(asked).chain(of(&plain)).collect::<Vec<_>>().into_iter()
    }

    /// Answers that are put together from recorded days.
    fn composed(&self, asked: &Parameters) -> Option<Value> {
        let get = |name: &str| asked.get(name).map(String::as_str);
        const KNOWN: &[&str] = &[
            "module",
            "format",
            "method",
            "idSite",
            "period",
            "date",
            "format_metrics",
            "language",
            "minTimestamp",
            "filter_limit",
            "filter_offset",
            "filter_sort_order",
            "doNotFetchActions",
            "columns",
            VARIANTS[0],
            VARIANTS[1],
            VARIANTS[2],
            VARIANTS[3],
            VARIANTS[4],
        ];
        let plain = asked.keys().all(|name| KNOWN.contains(&name.as_str()));
        if !plain || get("format") != Some("JSON") {
            return None;
        }
        let site = get("idSite")?;
        match get("method")? {
            "SitesManager.getSiteFromId" if site != "1" => {
                let sites: Vec<Value> = read("sites_all").ok()?;
                sites.into_iter().find(|held| held["idsite"].as_u64() == site.parse().ok())
            }
            "Live.getLastVisitsDetails" if site == "1" => self.live(asked),
            "Referrers.getAll" if get("date")?.contains(',') && get("period") == Some("day") => {
                serde_json::from_slice(NO_LISTS).ok()
            }
            method if !get("date")?.contains(',') => {
                let day: NaiveDate = get("date")?.parse().ok()?;
                (site == "1" && get("period") == Some("day")).then_some(())?;
                cut(table(&self.report(method, asked), day)?, asked)
            }
            method => {
                let (from, last) = get("date")?.split_once(',')?;
                let (from, last): (NaiveDate, NaiveDate) = (from.parse().ok()?, last.parse().ok()?);
                if get("period") != Some("day") || last < from || (last - from).num_days() > 400 {
                    return None;
                }
                let report = self.report(method, asked);
                let mut days = Map::new();
                for day in from.iter_days().take_while(|day| *day <= last) {
                    days.insert(day.to_string(), cut(self.day(&report, site, day)?.clone(), asked)?);
                }
                Some(Value::Object(days))
            }
        }
    }

    /// A report's name: its method and the parameters that make it another one.
    fn report(&self, method: &str, asked: &Parameters) -> String {
        let variants = VARIANTS.iter().filter_map(|name| Some(format!(" {name}={}", asked.get(*name)?)));
        std::iter::once(method.to_owned()).chain(variants).collect()
    }

    fn day(&self, report: &str, site: &str, day: NaiveDate) -> Option<&Value> {
        let recorded = self.days.get(&(report.to_owned(), site.to_owned(), day))?;
        let chosen = recorded.iter().find(|(name, _)| self.is_chosen(name));
        chosen.or(recorded.first()).map(|(_, value)| value)
    }

    fn live(&self, asked: &BTreeMap<String, String>) -> Option<Value> {
        let number = |name: &str| asked.get(name).map(|text| text.parse::<i64>());
        let (from, last) = asked.get("date")?.split_once(',')?;
        let (from, last): (NaiveDate, NaiveDate) = (from.parse().ok()?, last.parse().ok()?);
        // One day, as a range: `period=day` is another question on the current day, and was recorded for some days only.
        if asked.get("period").map(String::as_str) != Some("range")
            || from != last
            || from < recorded_days().0
            || last > recorded_days().1
        {
            return None;
        }
        let after = number("minTimestamp").transpose().ok()?.unwrap_or(i64::MIN);
        let limit = number("filter_limit").transpose().ok()?.unwrap_or(100);
        let offset = number("filter_offset").transpose().ok()?.unwrap_or(0);
        let without_late = self.is_chosen("late_before");
        let of_segment = match asked.get("segment").map(String::as_str) {
            None => None,
            // The one segment of which another report was recorded.
            Some("referrerType==campaign") => Some("campaign"),
            Some(_) => return None,
        };
        let mut found: Vec<&Value> = self
            .visits
            .iter()
            .filter(|visit| {
                day_of(visit).is_some_and(|day| from <= day && day <= last) && ended(visit) > after
            })
            .filter(|visit| !(without_late && visit["idVisit"] == LATE_VISIT))
            .filter(|visit| of_segment.is_none_or(|kind| visit["referrerType"] == kind))
            .collect();
        // Matomo's own default is descending.
        if asked.get("filter_sort_order").map(String::as_str) != Some("asc") {
            found.reverse();
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = found.into_iter().skip(usize::try_from(offset).ok()?).take(limit).map(|visit| {
            let mut visit = visit.clone();
            if asked.get("doNotFetchActions").map(String::as_str) == Some("1") {
                visit["actionDetails"] = Value::Array(Vec::new());
            }
            visit
        });
        Some(Value::Array(page.collect()))
    }
}

/// A page of a table; some columns of a record.
fn cut(value: Value, asked: &Parameters) -> Option<Value> {
    match value {
        Value::Array(rows) => {
            let number = |name: &str| asked.get(name).map(|text| text.parse::<i64>()).transpose().ok();
            let (limit, offset) =
                (number("filter_limit")?.unwrap_or(100), number("filter_offset")?.unwrap_or(0));
            let rows = rows.into_iter().skip(usize::try_from(offset).ok()?);
            Some(Value::Array(rows.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()))
        }
        Value::Object(mut fields) => {
            if let Some(columns) = asked.get("columns") {
                fields.retain(|name, _| columns.split(',').any(|column| column == name));
            }
            Some(Value::Object(fields))
        }
        other => Some(other),
    }
}

fn recorded_days() -> (NaiveDate, NaiveDate) {
    let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default();
    (day(3, 1), day(11, 30))
}

/// The day of a visit as Matomo counts it: of its last action, in the site's zone.
fn day_of(visit: &Value) -> Option<NaiveDate> {
    DateTime::from_timestamp(ended(visit), 0).map(|at| at.with_timezone(&Paris).date_naive())
}

fn ended(visit: &Value) -> i64 {
    visit["lastActionTimestamp"].as_i64().unwrap_or_default()
}

fn parameters(request: &Received) -> BTreeMap<String, String> {
    [request.query.as_bytes(), &request.body[..]]
        .into_iter()
        .flat_map(form_urlencoded::parse)
        .filter(|(name, _)| name != "token_auth")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
