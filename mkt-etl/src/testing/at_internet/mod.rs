//! A stand-in of AT Internet / Piano Analytics on loopback: `v3/data/getData`, `getRowCount`, `getTotal`, and the
//! `getData` and `getRowCount` of `data/v2`.
//!
//! Made from the documentation that [`crate::at_internet`] names, **not from recordings of the vendor**: none was found,
//! and no live account was used. The numbers are generated from a seed. It keeps the documented limits (columns, rows of
//! a page and of a query, an order in version 3, calls at once of a user and of the organisation, counted while they are
//! under way), knows which columns the account has, refuses other keys, and misbehaves on request. The texts of its
//! refusals are made up; they repeat what was sent, which a vendor may do.

mod asking;
mod counted;
mod credentials;
mod filter;
mod segment;
mod span;
mod world;

use crate::at_internet::{AtInternet, AtInternetBuilder, DataQuery, Method, QueryError};
use asking::{Asking, Refusal};
use chrono::NaiveDate;
use chrono_tz::Tz;
use credentials::{Caller, Credentials};
use mkt_connect::Secret;
use mkt_connect::testing::{Answer, Received, Server};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use world::{Site, Visit};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtInternetFault {
    /// Nothing: this call is answered, the fault after it is for the next.
    None,
    /// 429 with `Retry-After: 1`.
    TooManyCalls,
    /// 429 without a word about when to come back.
    TooManyCallsBare,
    /// 509, `QuotasExceeded_TooManyRequests`.
    QuotasExceeded,
    /// 200, "Authorised call frequency has been exceeded", 5001.
    CallFrequency,
    /// 401, whatever the key; the message repeats it.
    Unauthorised,
    /// 403 without a body.
    Forbidden,
    /// 200 with an error about the columns.
    ErrorWith200,
    /// 400, and a message that repeats the key and an address.
    EchoedKey,
    /// `DataNotReady`.
    NotReady,
    /// 500, HTML.
    ServerError,
    /// 200, HTML.
    HtmlPage,
    /// 200 with half of the JSON.
    CutAnswer,
    /// 200 with nothing.
    EmptyAnswer,
    /// 204 without a body.
    NoContent,
    /// `CancelledRequest`.
    Cancelled,
    /// The connection is reset after the request.
    Reset,
    /// 302 to another host.
    Redirect,
    /// A count that is one too high.
    WrongCount,
    /// The first page, whichever was asked for.
    RepeatedPage,
    /// A page without its last row.
    ShortPage,
}

/// An organisation with users, sites and generated visits, on loopback.
pub struct FakeAtInternet {
    server: Server,
    state: Arc<Mutex<Vendor>>,
}

struct Vendor {
    seed: u64,
    credentials: Credentials,
    sites: BTreeMap<u64, Site>,
    today: NaiveDate,
    /// Rows of a page, and of a query.
    rows: (u64, u64),
    /// Calls at once of a user, and of the organisation.
    calls: (usize, usize),
    delay: Duration,
    /// A query with more rows takes too long.
    slow_above: Option<usize>,
    /// Whether the vendor says which column it does not know.
    names_columns: bool,
    /// When the calls that are under way end, and whose they are.
    busy: Vec<(Instant, usize)>,
    most_of_user: usize,
    most: usize,
    throttled: usize,
    next: VecDeque<AtInternetFault>,
    every: Option<(NonZeroUsize, AtInternetFault)>,
    seen: usize,
    /// The rows of the last queries: pages of one are asked for one after the other.
    held: VecDeque<(Asking, Arc<Vec<Vec<Value>>>)>,
    /// The visits of days that were asked for.
    visits: HashMap<(u64, NaiveDate), Arc<Vec<Visit>>>,
}

impl FakeAtInternet {
    /// The number of the site that is there from the start, in Paris.
    pub const SPACE: u64 = 123_456;
    /// The columns of the account's data model that a visit has, besides `m_…`.
    pub const VISIT_COLUMNS: [&'static str; 3] = ["visit_id", "visitor_id", "visit_time_utc"];

    /// Starts an organisation with one user and one site: [`SPACE`](Self::SPACE), Europe/Paris, 60 visits a day.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::new(Mutex::new(Vendor {
            seed: 42,
            credentials: Credentials::new(),
            sites: BTreeMap::new(),
            today: NaiveDate::from_ymd_opt(2026, 11, 15).unwrap_or_default(),
            rows: (10_000, 200_000),
            calls: (5, 20),
            delay: Duration::ZERO,
            slow_above: None,
            names_columns: true,
            busy: Vec::new(),
            most_of_user: 0,
            most: 0,
            throttled: 0,
            next: VecDeque::new(),
            every: None,
            seen: 0,
            held: VecDeque::new(),
            visits: HashMap::new(),
        }));
        let vendor = Arc::clone(&state);
        let server = Server::start(move |request| {
            vendor.lock().unwrap_or_else(PoisonError::into_inner).answer(request)
        })
        .await?;
        let fake = Self { server, state };
        fake.add_space(Self::SPACE, chrono_tz::Europe::Paris, 60);
        Ok(fake)
    }

    /// Settings of a source that reads this organisation as its first user; sites and reports are for the caller.
    #[must_use]
    pub fn source(&self) -> AtInternetBuilder {
        AtInternet::builder(&self.url()).allow_insecure_host(&self.server.authority()).key(self.key())
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The server itself: its requests, its authority.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The key of the first user. Every part of it holds the word `canary`.
    #[must_use]
    pub fn key(&self) -> Secret {
        self.lock().credentials.first()
    }

    /// Adds a user of the organisation and gives the key.
    #[must_use]
    pub fn add_user(&self) -> Secret {
        self.lock().credentials.add_user()
    }

    /// Adds a restricted key, for the columns, order, filter, segments and sites of this query, and gives it. Of its period
    /// and its page nothing is kept.
    ///
    /// # Errors
    /// A query that version 3 cannot say.
    pub fn add_restricted_key(&self, data_set: &DataQuery) -> Result<Secret, QueryError> {
        let body = data_set.to_v3(Method::Data)?;
        Ok(self.lock().credentials.add_restricted(body))
    }

    /// Adds a site, or replaces it.
    pub fn add_space(&self, id: u64, zone: Tz, visits_a_day: u32) {
        let site =
            Site { zone, visits: visits_a_day, pages: 30, late: BTreeMap::new(), forgotten: Vec::new() };
        self.change(|vendor| drop(vendor.sites.insert(id, site)));
    }

    /// So many different pages on a site.
    pub fn pages(&self, id: u64, pages: u32) {
        self.change(|vendor| {
            if let Some(site) = vendor.sites.get_mut(&id) {
                site.pages = pages;
            }
        });
    }

    /// Adds visits to a day that come late.
    pub fn add_late(&self, id: u64, day: NaiveDate, visits: u32) {
        self.change(|vendor| {
            if let Some(site) = vendor.sites.get_mut(&id) {
                *site.late.entry(day).or_default() += visits;
            }
        });
    }

    /// Forgets everything of a day, or remembers it again.
    pub fn forget(&self, id: u64, day: NaiveDate, forgotten: bool) {
        self.change(|vendor| {
            if let Some(site) = vendor.sites.get_mut(&id) {
                site.forgotten.retain(|other| *other != day);
                site.forgotten.extend(forgotten.then_some(day));
            }
        });
    }

    /// How many visits a day has.
    #[must_use]
    pub fn visits(&self, id: u64, day: NaiveDate) -> u32 {
        self.lock().sites.get(&id).map_or(0, |site| site.count(day))
    }

    /// The day of relative periods. Default: 2026-11-15.
    pub fn today(&self, day: NaiveDate) {
        self.change(|vendor| vendor.today = day);
    }

    /// Rows of a page, and of a query over all of its pages. Default: 10,000 and 200,000.
    pub fn limit_rows(&self, page: u64, query: u64) {
        self.change(|vendor| vendor.rows = (page, query));
    }

    /// Calls at once of a user, and of the organisation. Default: 5 and 20. They count when calls take time.
    pub fn limit_calls(&self, user: usize, organisation: usize) {
        self.change(|vendor| vendor.calls = (user, organisation));
    }

    /// How long a call takes. Default: no time.
    pub fn delay(&self, time: Duration) {
        self.change(|vendor| vendor.delay = time);
    }

    /// A query of more rows than this is ended with `Timeout`, whatever asks for them.
    pub fn time_out_above(&self, rows: usize) {
        self.change(|vendor| vendor.slow_above = Some(rows));
    }

    /// Refuses a column that is not known without its name.
    pub fn keep_column_names(&self) {
        self.change(|vendor| vendor.names_columns = false);
    }

    /// Does this to the next call; several are used one after the other.
    pub fn inject(&self, fault: AtInternetFault) {
        self.change(|vendor| vendor.next.push_back(fault));
    }

    /// Does this to every so many calls.
    pub fn inject_every(&self, calls: NonZeroUsize, fault: AtInternetFault) {
        self.change(|vendor| vendor.every = Some((calls, fault)));
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.lock().seen
    }

    /// Calls that were refused because too many were under way.
    #[must_use]
    pub fn throttled(&self) -> usize {
        self.lock().throttled
    }

    /// The most calls that were under way at once: of one user, and of all.
    #[must_use]
    pub fn most_at_once(&self) -> (usize, usize) {
        let vendor = self.lock();
        (vendor.most_of_user, vendor.most)
    }

    fn change(&self, change: impl FnOnce(&mut Vendor)) {
        let mut vendor = self.lock();
        change(&mut vendor);
        vendor.held.clear();
        vendor.visits.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vendor> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FakeAtInternet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAtInternet").field("server", &self.server).finish_non_exhaustive()
    }
}

fn refusal((status, code, message): Refusal) -> Answer {
    let code = code.parse::<u64>().map_or_else(|_| json!(code), |number| json!(number));
    Answer::json(json!({"ErrorCode": code, "ErrorMessage": message, "ErrorType": "ApiException"}).to_string())
        .with_status(status)
}

fn throttled() -> Answer {
    refusal((429, "QuotasExceeded_TooManyRequests".to_owned(), "Too many simultaneous calls".to_owned()))
}

impl Vendor {
    fn answer(&mut self, request: &Received) -> Answer {
        self.seen += 1;
        let every =
            self.every.filter(|(calls, _)| self.seen.is_multiple_of(calls.get())).map(|(_, fault)| fault);
        let fault = self.next.pop_front().or(every);
        let Some(Caller { user, data_set }) = self.credentials.caller(request) else {
            return refusal((
                401,
                "BadAuthentication_UnknownKey".to_owned(),
                "the key is not known".to_owned(),
            ));
        };
        if let Some(answer) = fault.and_then(|fault| self.early(fault)) {
            return answer;
        }
        let now = Instant::now();
        self.busy.retain(|(end, _)| *end > now);
        let of_user = self.busy.iter().filter(|(_, other)| *other == user).count();
        if of_user >= self.calls.0 || self.busy.len() >= self.calls.1 {
            self.throttled += 1;
            return throttled();
        }
        if !self.delay.is_zero() {
            self.busy.push((now + self.delay, user));
        }
        self.most_of_user = self.most_of_user.max(of_user + 1);
        self.most = self.most.max(self.busy.len());
        match self.route(request, data_set.as_ref(), fault) {
            Err(refused) => refusal(refused).delay(self.delay),
            Ok(value) => {
                let mut text = value.to_string();
                if fault == Some(AtInternetFault::CutAnswer) {
                    text = text.chars().take(text.chars().count() / 2).collect();
                }
                Answer::json(text).delay(self.delay)
            }
        }
    }

    /// Faults that do not look at the query.
    fn early(&self, fault: AtInternetFault) -> Option<Answer> {
        let key = self.credentials.first();
        let key = key.expose();
        let html = "<html><body><h1>Something went wrong</h1></body></html>";
        Some(match fault {
            AtInternetFault::TooManyCalls => throttled().header("retry-after", "1"),
            AtInternetFault::TooManyCallsBare => Answer::status(429),
            AtInternetFault::QuotasExceeded => throttled().with_status(509),
            AtInternetFault::CallFrequency => {
                refusal((200, "5001".to_owned(), "Authorised call frequency has been exceeded".to_owned()))
            }
            AtInternetFault::Unauthorised => {
                refusal((401, "BadAuthentication_Expired".to_owned(), format!("the key {key} has expired")))
            }
            AtInternetFault::Forbidden => Answer::status(403),
            AtInternetFault::ErrorWith200 => {
                refusal((200, "InvalidColumns_Unknown".to_owned(), "a column is not known".to_owned()))
            }
            AtInternetFault::EchoedKey => refusal((
                400,
                "InvalidJSON".to_owned(),
                format!("bad request: x-api-key={key}, asked by jo@example.org"),
            )),
            AtInternetFault::NotReady => {
                refusal((400, "DataNotReady".to_owned(), "the data of this period are not ready".to_owned()))
            }
            AtInternetFault::ServerError => Answer::html(html).with_status(500),
            AtInternetFault::HtmlPage => Answer::html(html),
            AtInternetFault::EmptyAnswer => Answer::json(""),
            AtInternetFault::NoContent => Answer::status(204),
            AtInternetFault::Cancelled => {
                refusal((400, "CancelledRequest".to_owned(), "the query was ended".to_owned()))
            }
            AtInternetFault::Reset => Answer::reset(),
            AtInternetFault::Redirect => Answer::status(302).header("location", "https://elsewhere.example/"),
            AtInternetFault::None
            | AtInternetFault::WrongCount
            | AtInternetFault::RepeatedPage
            | AtInternetFault::ShortPage
            | AtInternetFault::CutAnswer => return None,
        })
    }

    fn route(
        &mut self,
        request: &Received,
        data_set: Option<&Value>,
        fault: Option<AtInternetFault>,
    ) -> Result<Value, Refusal> {
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let (old, method, asking) = match (request.method.as_str(), path.as_slice()) {
            ("POST", ["v3", "data", "getData"]) if data_set.is_some() => {
                let body = credentials::whole_body(&request.body, data_set)?;
                (false, "getData", Asking::of_json(&body, self.today)?)
            }
            _ if data_set.is_some() => {
                return Err((403, "Forbidden".to_owned(), "a restricted key reads its data set".to_owned()));
            }
            ("POST", ["v3", "data", method]) => (false, *method, Asking::of_json(&request.body, self.today)?),
            ("GET", ["v3", "data", method]) => {
                let param = request.query_value("param").unwrap_or_default();
                (false, *method, Asking::of_json(param.as_bytes(), self.today)?)
            }
            ("GET", ["data", "v2", "json", method] | ["data", "v2", method]) => {
                (true, *method, Asking::of_url(&request.path, &request.query, self.today)?)
            }
            _ => return Err((404, "NotFound".to_owned(), "there is nothing here".to_owned())),
        };
        asking.check(if old { 30 } else { 50 }).map_err(|(status, code, message)| {
            let named = self.names_columns || code != "InvalidColumns_Unknown";
            (status, code, if named { message } else { "a column is not known".to_owned() })
        })?;
        match method {
            "getRowCount" => {
                let count =
                    self.rows(&asking)?.len() as u64 + u64::from(fault == Some(AtInternetFault::WrongCount));
                Ok(json!({"RowCounts": [{"RowCount": count}]}))
            }
            "getTotal" if !old => self.totals(&asking),
            "getData" | "GetData" => self.data(&asking, old, fault),
            _ => Err((404, "NotFound".to_owned(), "there is no such method".to_owned())),
        }
    }

    fn data(&mut self, asking: &Asking, old: bool, fault: Option<AtInternetFault>) -> Result<Value, Refusal> {
        if !old && asking.sort.is_empty() && asking.evo.is_none() {
            return asking::refuse("InvalidSort", "sort is mandatory");
        }
        let (page, most) = self.rows;
        let size = if asking.max_results == u64::MAX { 50.min(page) } else { asking.max_results };
        if size == 0 || size > page {
            return asking::refuse("InvalidMaxResults", format!("max-results is 1 to {page}"));
        }
        if asking.page_num == 0 || size.saturating_mul(asking.page_num) > most {
            return asking::refuse("InvalidPageNum", format!("a query gives {most} rows"));
        }
        let number = if fault == Some(AtInternetFault::RepeatedPage) { 1 } else { asking.page_num };
        let rows = self.rows(&asking.of_top())?;
        let begin = usize::try_from((number - 1) * size).unwrap_or(usize::MAX);
        let chosen = rows.iter().skip(begin).take(usize::try_from(size).unwrap_or(usize::MAX));
        let mut of_page: Vec<Value> = match asking.evo {
            None => chosen.map(|row| asking.told_row(row)).collect(),
            Some(_) => self.evolution(asking, chosen)?,
        };
        if fault == Some(AtInternetFault::ShortPage) {
            of_page.pop();
        }
        let feed = json!({"Columns": asking.told_columns(old), "Rows": of_page, "Context": {}});
        let feed = if old { json!([feed]) } else { feed };
        Ok(json!({"DataFeed": feed}))
    }

    /// Rows with rows of time within them, as public clients read them: `{"Rows": {"page": …, "Rows": [{"d_evo_day": …}]}}`.
    fn evolution<'a>(
        &mut self,
        asking: &Asking,
        chosen: impl Iterator<Item = &'a Vec<Value>>,
    ) -> Result<Vec<Value>, Refusal> {
        let steps = asking.steps().into_iter();
        let steps = steps.map(|(name, text, step)| Ok((name, text, self.rows(&step)?)));
        let steps = steps.collect::<Result<Vec<_>, Refusal>>()?;
        let told = chosen.map(|row| {
            let of_steps = steps.iter().filter_map(|(name, text, rows)| {
                let same = rows.iter().find(|other| asking.is_same(row, other))?;
                let mut told = asking.told_metrics(same);
                told.insert((*name).to_owned(), json!(text));
                Some(Value::Object(told))
            });
            let mut told = asking.told_row(row);
            told["Rows"] = of_steps.collect();
            json!({"Rows": told})
        });
        Ok(told.collect())
    }

    fn totals(&mut self, asking: &Asking) -> Result<Value, Refusal> {
        let of_all = asking.of_totals();
        let rows = self.rows(&of_all)?;
        let mut row = match rows.first() {
            Some(row) => of_all.told_row(row),
            None => Value::Object(of_all.told.iter().map(|name| (name.clone(), json!("-"))).collect()),
        };
        // A metric without a total.
        if let Some(rate) = row.get_mut("m_bounce_rate") {
            *rate = json!("-");
        }
        Ok(json!({"DataFeed": {"Columns": of_all.told_columns(false), "Rows": [row], "Context": {}}}))
    }

    fn rows(&mut self, asking: &Asking) -> Result<Arc<Vec<Vec<Value>>>, Refusal> {
        let mut plain = asking.clone();
        (plain.max_results, plain.page_num) = (0, 0);
        if let Some((_, rows)) = self.held.iter().find(|(held, _)| *held == plain) {
            return Ok(Arc::clone(rows));
        }
        let Self { seed, sites, visits, .. } = self;
        let rows = plain.rows(|id, day| {
            let site = sites.get(&id)?;
            Some(Arc::clone(
                visits.entry((id, day)).or_insert_with(|| Arc::new(site.visits_of(*seed, id, day))),
            ))
        })?;
        if self.slow_above.is_some_and(|most| rows.len() > most) {
            return refuse_slow();
        }
        let rows = Arc::new(rows);
        if self.held.len() >= 4 {
            self.held.pop_front();
        }
        self.held.push_back((plain, Arc::clone(&rows)));
        Ok(rows)
    }
}

fn refuse_slow<T>() -> Result<T, Refusal> {
    Err((504, "Timeout".to_owned(), "the query took too long".to_owned()))
}
