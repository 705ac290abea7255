//! A stateful fake of Meta's Graph API: accounts and posts, metrics with a retirement day, rate limits, every kind of error.
//! Written from Meta's documentation, not recorded.
//!
//! ```
//! use mkt_connect::clock::ManualClock;
//! use mkt_social::graph::Graph;
//! use mkt_social::testing::{graph::FakeGraph, world};
//! use mkt_social::{Request, SocialSourceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::skipping("2026-11-26T12:00:00Z".parse()?);
//! let fake = FakeGraph::start(&clock, "token").await?;
//! fake.page("17", &world());
//! let source = Graph::facebook_page("17", mkt_connect::Secret::new("token"))
//!     .base_url(fake.url())
//!     .allow_insecure_host(fake.authority())
//!     .clock(std::sync::Arc::new(clock))
//!     .build()?;
//! assert_eq!(source.read_all(&Request::all()).await?.posts.len(), 23);
//! assert_eq!(fake.calls(), 1);
//! # Ok(())
//! # }
//! ```

use crate::metric::{Metric, Value};
use crate::post::{Observation, Post};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::testing::{Answer, Received, Server};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest number of calls per batch.
const LARGEST_BATCH: usize = 50;
/// Calls are counted over an hour.
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// Insights metrics by kind of post, with their retirement day.
const METRICS: [(&str, &[&str], Option<&str>); 12] = [
    ("post_media_view", &["page"], None),
    ("post_total_media_view_unique", &["page"], None),
    ("post_impressions", &["page"], Some("2025-11-15")),
    ("post_impressions_unique", &["page"], Some("2026-06-15")),
    ("blue_reels_play_count", &["page reel"], None),
    ("views", &["feed", "reel", "story"], None),
    ("reach", &["feed", "reel", "story"], None),
    ("saved", &["feed", "reel"], None),
    ("shares", &["feed", "reel", "story"], None),
    ("replies", &["story"], None),
    ("impressions", &["feed", "story"], Some("2025-04-21")),
    ("plays", &["reel"], Some("2025-04-21")),
];

struct Held {
    post: Post,
    observation: Observation,
    /// An error in place of its insights.
    insights: Option<(i64, i64, String)>,
    /// Metrics that are refused for this post only.
    refused: BTreeSet<String>,
}

#[derive(Default)]
struct Account {
    instagram: bool,
    posts: Vec<Held>,
    stories: Vec<Held>,
}

struct State {
    clock: ManualClock,
    token: String,
    app_secret: Option<String>,
    accounts: BTreeMap<String, Account>,
    /// Metrics retired without notice, for all kinds of posts or one.
    refused: BTreeSet<(Option<String>, String)>,
    empty_pages: bool,
    largest_list: Option<usize>,
    next_link: Option<String>,
    circle: bool,
    time_paging: bool,
    skipped_parts: usize,
    planned: VecDeque<Answer>,
    calls_per_hour: Option<usize>,
    used: VecDeque<DateTime<Utc>>,
    blocked_until: Option<DateTime<Utc>>,
    calls: usize,
    while_blocked: usize,
    requested: Vec<String>,
}

/// The fake. Clones share it.
#[derive(Clone)]
pub struct FakeGraph {
    server: Arc<Server>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for FakeGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGraph").finish_non_exhaustive()
    }
}

impl FakeGraph {
    /// Starts the fake on loopback: one token, no account, no limit.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(clock: &ManualClock, token: &str) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            clock: clock.clone(),
            token: token.to_owned(),
            app_secret: None,
            accounts: BTreeMap::new(),
            refused: BTreeSet::new(),
            empty_pages: false,
            largest_list: None,
            next_link: None,
            circle: false,
            time_paging: false,
            skipped_parts: 0,
            planned: VecDeque::new(),
            calls_per_hour: None,
            used: VecDeque::new(),
            blocked_until: None,
            calls: 0,
            while_blocked: 0,
            requested: Vec::new(),
        }));
        let of_server = Arc::clone(&state);
        let server = Server::start(move |request| {
            of_server.lock().unwrap_or_else(PoisonError::into_inner).answer(request)
        })
        .await?;
        Ok(Self { server: Arc::new(server), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Its host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    fn account(&self, id: &str, instagram: bool, rows: &[(Post, Observation)]) {
        let mut account = Account { instagram, ..Account::default() };
        for (post, observation) in rows {
            let held = Held {
                post: post.clone(),
                observation: observation.clone(),
                insights: None,
                refused: BTreeSet::new(),
            };
            if instagram && post.kind.as_deref() == Some("story") {
                account.stories.push(held);
            } else {
                account.posts.push(held);
            }
        }
        self.state().accounts.insert(id.to_owned(), account);
    }

    /// Adds a page with these posts, listed in this order; those of the type `reel` are reels.
    pub fn page(&self, id: &str, rows: &[(Post, Observation)]) {
        self.account(id, false, rows);
    }

    /// Adds an Instagram account with these posts; `reel` and `story` are types of their own.
    pub fn instagram(&self, id: &str, rows: &[(Post, Observation)]) {
        self.account(id, true, rows);
    }

    /// Requires `appsecret_proof` by this secret.
    pub fn require_proof(&self, app_secret: &str) {
        self.state().app_secret = Some(app_secret.to_owned());
    }

    /// Retires a metric without notice for one kind of post (`page`, `page reel`, `feed`, `reel`, `story`), or for all.
    pub fn refuse(&self, kind: Option<&str>, metric: &str) {
        self.state().refused.insert((kind.map(str::to_owned), metric.to_owned()));
    }

    /// Refuses a metric for one post.
    pub fn refuse_for_post(&self, post: &str, metric: &str) {
        for account in self.state().accounts.values_mut() {
            for held in
                account.posts.iter_mut().chain(&mut account.stories).filter(|held| held.post.id == post)
            {
                held.refused.insert(metric.to_owned());
            }
        }
    }

    /// Answers the insights of a post with an error.
    pub fn refuse_insights(&self, post: &str, code: i64, subcode: i64, message: &str) {
        for account in self.state().accounts.values_mut() {
            for held in
                account.posts.iter_mut().chain(&mut account.stories).filter(|held| held.post.id == post)
            {
                held.insights = Some((code, subcode, message.to_owned()));
            }
        }
    }

    /// Inserts an empty page before every page.
    pub fn empty_pages(&self) {
        self.state().empty_pages = true;
    }

    /// Answers "reduce the amount of data" to larger lists.
    pub fn largest_list(&self, posts: usize) {
        self.state().largest_list = Some(posts);
    }

    /// Sets the base of the links to the next page.
    pub fn next_link(&self, url: &str) {
        self.state().next_link = Some(url.to_owned());
    }

    /// Leaves the cursors out: the position is in the link alone.
    pub fn time_paging(&self) {
        self.state().time_paging = true;
    }

    /// Lets every page link to the first.
    pub fn circle(&self) {
        self.state().circle = true;
    }

    /// Leaves the first part of this many batches unanswered.
    pub fn skip_parts(&self, batches: usize) {
        self.state().skipped_parts = batches;
    }

    /// Plans the answer of the next call.
    pub fn plan(&self, answer: Answer) {
        self.state().planned.push_back(answer);
    }

    /// Plans an error of the next call.
    pub fn fail(&self, status: u16, code: i64, subcode: i64, message: &str) {
        self.plan(error(status, code, subcode, message));
    }

    /// Limits the calls per hour: reports usage in the headers, and blocks the account at the limit.
    pub fn calls_per_hour(&self, calls: usize) {
        self.state().calls_per_hour = Some(calls);
    }

    /// The number of calls; each part of a batch is one.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// The number of calls while the account was blocked.
    #[must_use]
    pub fn calls_while_blocked(&self) -> usize {
        self.state().while_blocked
    }

    /// The requested paths with their fields or metrics.
    #[must_use]
    pub fn requested(&self) -> Vec<String> {
        self.state().requested.clone()
    }
}

/// An error in Meta's envelope.
#[must_use]
pub fn error(status: u16, code: i64, subcode: i64, message: &str) -> Answer {
    Answer::json(error_body(code, subcode, message).to_string()).with_status(status)
}

fn error_body(code: i64, subcode: i64, message: &str) -> Json {
    json!({"error": {
        "message": message, "type": "OAuthException", "code": code, "error_subcode": subcode,
        "fbtrace_id": "AbCdEfGhIjKlMnOp",
    }})
}

fn invalid_metric(name: &str) -> (u16, Json) {
    (400, error_body(100, 0, &format!("(#100) The value must be a valid insights metric: {name}")))
}

impl State {
    fn answer(&mut self, request: &Received) -> Answer {
        let batch: Option<Vec<Json>> =
            request.form_value("batch").and_then(|text| serde_json::from_str(&text).ok());
        let cost = batch.as_ref().map_or(1, Vec::len);
        self.calls += cost;
        let now = self.clock.now();
        if self.blocked_until.is_some_and(|until| now < until) {
            self.while_blocked += 1;
            return self.throttled();
        }
        if let Some(limit) = self.calls_per_hour {
            while self.used.front().is_some_and(|at| now - *at >= WINDOW) {
                self.used.pop_front();
            }
            if let Some(too_many) = (self.used.len() + cost).checked_sub(limit + 1) {
                // Until as many calls are older than an hour as there are too many.
                let oldest = self.used.get(too_many).or(self.used.back()).copied().unwrap_or(now);
                self.blocked_until = Some(oldest + WINDOW);
                return self.throttled();
            }
            self.used.extend(std::iter::repeat_n(now, cost));
        }
        if let Some(planned) = self.planned.pop_front() {
            return planned;
        }
        let (status, body) = self.routed(request, batch);
        // Meta answers in the version of the request.
        let version = request.path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let version = if version.starts_with('v') { version } else { "v26.0" };
        let answer =
            Answer::json(body.to_string()).with_status(status).header("facebook-api-version", version);
        match self.calls_per_hour {
            Some(limit) => {
                let percent = self.used.len() * 100 / limit;
                answer.header(
                    "x-app-usage",
                    json!({"call_count": percent, "total_cputime": 3, "total_time": 4}).to_string(),
                )
            }
            None => answer,
        }
    }

    fn throttled(&self) -> Answer {
        let left = self.blocked_until.map_or(TimeDelta::zero(), |until| until - self.clock.now());
        let minutes = (left.num_seconds() + 59) / 60;
        let usage = json!({"17": [{
            "type": "pages", "call_count": 100, "total_cputime": 25, "total_time": 25,
            "estimated_time_to_regain_access": minutes,
        }]});
        error(400, 80_001, 0, "(#80001) There have been too many calls to this Page account.")
            .header("x-business-use-case-usage", usage.to_string())
    }

    fn routed(&mut self, request: &Received, batch: Option<Vec<Json>>) -> (u16, Json) {
        if request.header("authorization") != Some(&format!("Bearer {}", self.token)) {
            return (401, error_body(190, 0, "Invalid OAuth access token - Cannot parse access token"));
        }
        if let Some(secret) = &self.app_secret
            && request.value("appsecret_proof") != Some(proof(secret, &self.token))
        {
            return (400, error_body(100, 0, "Invalid appsecret_proof provided in the API argument"));
        }
        let Some(batch) = batch else {
            let pairs: BTreeMap<String, String> =
                url::form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
            return self.object(&request.path, &pairs);
        };
        if batch.len() > LARGEST_BATCH {
            return (400, error_body(100, 0, "Too many requests in batch message. Maximum batch size is 50"));
        }
        let mut parts = Vec::new();
        for (index, call) in batch.iter().enumerate() {
            if index == 0 && self.skipped_parts > 0 {
                self.skipped_parts -= 1;
                parts.push(Json::Null);
                continue;
            }
            let relative = call.get("relative_url").and_then(Json::as_str).unwrap_or_default();
            let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
            let pairs: BTreeMap<String, String> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let (code, body) = self.object(path, &pairs);
            parts.push(json!({"code": code, "headers": [], "body": body.to_string()}));
        }
        (200, Json::Array(parts))
    }

    fn object(&mut self, path: &str, pairs: &BTreeMap<String, String>) -> (u16, Json) {
        let what = pairs.get("fields").or(pairs.get("metric")).map_or("", String::as_str);
        self.requested.push(format!("{path}?{what}"));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let not_found = (400, error_body(100, 33, "Unsupported get request. Object does not exist"));
        match segments[..] {
            [version, account] if version.starts_with('v') && self.accounts.contains_key(account) => {
                (200, json!({"id": account}))
            }
            [_, account, edge @ ("published_posts" | "media" | "stories")] => {
                match self.accounts.get(account) {
                    Some(held) => self.list(held, path, edge == "stories", pairs),
                    None => not_found,
                }
            }
            [_, post, edge @ ("insights" | "video_insights")] => {
                self.insights(post, edge, what).unwrap_or(not_found)
            }
            _ => not_found,
        }
    }

    fn list(
        &self,
        account: &Account,
        path: &str,
        stories: bool,
        pairs: &BTreeMap<String, String>,
    ) -> (u16, Json) {
        let fields = pairs.get("fields").map_or("id", String::as_str);
        let limit: usize = pairs.get("limit").and_then(|text| text.parse().ok()).unwrap_or(25);
        if self.largest_list.is_some_and(|largest| limit > largest) {
            let words = "Please reduce the amount of data you're asking for, then retry your request";
            return (500, error_body(1, 99, words));
        }
        let metrics: Vec<&str> = fields
            .split_once("insights.metric(")
            .and_then(|(_, rest)| Some(rest.split_once(')')?.0.split(',').collect()))
            .unwrap_or_default();
        if let Some(unknown) = metrics.iter().find(|metric| !self.is_current(metric, "page")) {
            return invalid_metric(unknown);
        }
        let posts = if stories { &account.stories } else { &account.posts };
        let after = pairs.get("after").or(pairs.get("__paging_token")).map_or("p0", String::as_str);
        let from: usize = after[1..].parse().unwrap_or(0);
        let to = (from + limit).min(posts.len());
        let begun = after.starts_with('e') || !self.empty_pages;
        let shown = if begun { &posts[from..to] } else { &[] };
        let data: Vec<Json> = shown
            .iter()
            .map(|held| if account.instagram { media(held, stories) } else { page_post(held, &metrics) })
            .collect();
        let next = if begun { format!("p{to}") } else { format!("e{from}") };
        let next = if self.circle { "p0".to_owned() } else { next };
        let mut paging = json!({"cursors": {"before": after, "after": next}});
        if !begun || to < posts.len() {
            let host = self.next_link.clone().unwrap_or_else(|| "https://graph.facebook.com".to_owned());
            let name = if self.time_paging { "__paging_token" } else { "after" };
            paging["next"] =
                json!(format!("{host}{path}?access_token={}&limit={limit}&{name}={next}", self.token));
            if self.time_paging {
                paging["cursors"] = Json::Null;
            }
        }
        (200, json!({"data": data, "paging": paging}))
    }

    fn insights(&self, post: &str, edge: &str, metrics: &str) -> Option<(u16, Json)> {
        let held = self
            .accounts
            .values()
            .flat_map(|account| {
                account.posts.iter().chain(&account.stories).map(|held| (account.instagram, held))
            })
            .find(|(_, held)| held.post.id == post);
        let (instagram, held) = held?;
        if let Some((code, subcode, message)) = &held.insights {
            return Some((400, error_body(*code, *subcode, message)));
        }
        let kind = match (instagram, held.post.kind.as_deref()) {
            (false, _) if edge == "video_insights" => "page reel",
            // Reels of a page have no insights of a post.
            (false, Some("reel")) => return None,
            (false, _) => "page",
            (true, Some("reel")) => "reel",
            (true, Some("story")) => "story",
            (true, _) => "feed",
        };
        let metrics: Vec<&str> = metrics.split(',').collect();
        let refused = |metric: &&&str| !self.is_current(metric, kind) || held.refused.contains(**metric);
        if let Some(unknown) = metrics.iter().find(refused) {
            return Some(invalid_metric(unknown));
        }
        Some((200, insight_values(held, &metrics)))
    }

    fn is_current(&self, metric: &str, kind: &str) -> bool {
        let today = self.clock.now().date_naive();
        let current = |until: Option<&str>| {
            until.and_then(|day| day.parse::<NaiveDate>().ok()).is_none_or(|until| today < until)
        };
        METRICS.iter().any(|(name, kinds, until)| *name == metric && kinds.contains(&kind) && current(*until))
            && !self.refused.contains(&(None, metric.to_owned()))
            && !self.refused.contains(&(Some(kind.to_owned()), metric.to_owned()))
    }
}

fn insight_values(held: &Held, metrics: &[&str]) -> Json {
    let data = metrics.iter().filter_map(|native| {
        let metric = match *native {
            "post_media_view" | "blue_reels_play_count" | "views" | "plays" => Metric::Views,
            "post_total_media_view_unique" | "post_impressions_unique" | "reach" => Metric::Reach,
            "post_impressions" | "impressions" => Metric::Impressions,
            "saved" => Metric::Saves,
            "shares" => Metric::Shares,
            _ => Metric::Comments,
        };
        // Missing values are left out, which is not 0.
        let number = held.observation.value(metric).known()?;
        Some(json!({
            "name": native, "period": "lifetime", "values": [{"value": number}],
            "id": format!("{}/insights/{native}/lifetime", held.post.id),
        }))
    });
    json!({"data": data.collect::<Vec<_>>()})
}

fn time(post: &Post) -> String {
    post.published_at.format("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

fn page_post(held: &Held, metrics: &[&str]) -> Json {
    let Held { post, observation, .. } = held;
    let reel = post.kind.as_deref() == Some("reel");
    let place = if reel { "reel" } else { "posts" };
    let mut item = json!({
        "id": post.id, "created_time": time(post),
        "permalink_url": format!("https://www.facebook.com/{place}/{}", post.id),
    });
    if let Some(text) = &post.text {
        item["message"] = json!(text);
    }
    for (name, metric) in [("reactions", Metric::Likes), ("comments", Metric::Comments)] {
        if let Value::Known(count) = observation.value(metric) {
            item[name] = json!({"data": [], "summary": {"total_count": count}});
        }
    }
    // Meta leaves out a 0.
    if let Some(count @ 1..) = observation.value(Metric::Shares).known() {
        item["shares"] = json!({"count": count});
    }
    if let Some(kind) = &post.kind {
        let media = if reel { "video" } else { kind };
        item["attachments"] = json!({"data": [{"media_type": media, "target": {"id": post.id}}]});
    }
    if !metrics.is_empty() && !reel {
        item["insights"] = insight_values(held, metrics);
    }
    item
}

fn media(held: &Held, story: bool) -> Json {
    let Held { post, observation, .. } = held;
    let mut item = json!({
        "id": post.id, "timestamp": time(post), "permalink": format!("https://www.instagram.com/p/{}/", post.id),
    });
    if let Some(text) = &post.text {
        item["caption"] = json!(text);
    }
    let (media_type, product) = match post.kind.as_deref() {
        Some("photo") => (Some("IMAGE"), "FEED"),
        Some("album") => (Some("CAROUSEL_ALBUM"), "FEED"),
        Some("reel") => (Some("VIDEO"), "REELS"),
        Some("story") => (Some("IMAGE"), "STORY"),
        Some(_) => (Some("VIDEO"), "FEED"),
        None => (None, "FEED"),
    };
    if let Some(media_type) = media_type {
        item["media_type"] = json!(media_type);
    }
    item["media_product_type"] = json!(product);
    if !story {
        for (name, metric) in [("like_count", Metric::Likes), ("comments_count", Metric::Comments)] {
            if let Value::Known(count) = observation.value(metric) {
                item[name] = json!(count);
            }
        }
    }
    item
}

fn proof(secret: &str, token: &str) -> String {
    use hmac::{Hmac, Mac};
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(token.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
