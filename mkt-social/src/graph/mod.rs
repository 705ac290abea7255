//! Facebook pages and Instagram business accounts, by Meta's Graph API.
//!
//! - **One invalid metric does not fail a read.** Meta refuses a whole call for one retired metric. The metrics are a
//!   catalogue with dates ([`CATALOGUE`]). A metric that is refused all the same is found by bisection: if one post refuses
//!   it, it is missing for that post ([`Missing::Blank`]); if three posts of a product refuse it and none answers it, it is
//!   retired for that product ([`Missing::Deprecated`]). Both are reported in `PostPage::notes`.
//! - **One failing post does not fail a read.** If Meta does not answer for the insights of a post in three tries, with
//!   pauses, they are missing for that post, with a note; three such posts in a row end the read as `Unavailable`.
//! - **Few calls.** The posts of a page come with their insights, a hundred per call. Instagram's insights are requested in
//!   batches of up to 50 calls; only posts of the window are requested.
//! - **Rate limits**: 200 calls per hour by default, and Meta's usage headers: from 75 % on calls are spread, at 90 % they
//!   stop, and the wait that Meta names is obeyed. A wait beyond the source's patience ends the read with
//!   [`RateLimited`](ErrorKind::RateLimited) and the time to retry after; the pages returned before stay valid.
//! - **The token** is sent in a header, with `appsecret_proof` if the app's secret is set. Links to the next page contain
//!   the token and are never followed; only their cursor is used.
//!
//! A metric without a value is missing with its reason: not yet (48 hours), too few viewers, hidden, no permission, retired.
//! A post of a page without `shares` has 0 shares: Meta leaves out a 0.
//!
//! From Meta's pages of November 2026; the default version v26.0 is that of Meta's own clients (facebook-business 26.0.3 for
//! Python). Tested with a fake (`testing::graph`, feature `testing`), never with Meta.

mod catalogue;
mod error;
mod insights;
mod item;
mod pages;
mod usage;

pub use catalogue::{CATALOGUE, Entry, Origin, Product, Surface};

use crate::connection::{Connection, connection_methods};
use crate::metric::{Metric, Missing};
use crate::source::{Calls, Capabilities, Plan, PostPages, Request, SocialSource};
use async_trait::async_trait;
use error::{Meaning, Refusal};
use hmac::{Hmac, Mac};
use mkt_connect::clock::Clock;
use mkt_connect::http::rate::Limits;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use usage::Usage;

/// Meta's host, and the default version.
const BASE_URL: &str = "https://graph.facebook.com";
const VERSION: &str = "v26.0";
/// Largest number of posts per call.
const MAX_PAGE_SIZE: usize = 100;
/// Largest number of calls per batch.
const LARGEST_BATCH: u32 = 50;

/// Settings of a [`Graph`].
#[derive(Clone)]
pub struct GraphBuilder {
    surface: Surface,
    account: String,
    token: Secret,
    app_secret: Option<Secret>,
    connection: Connection,
    version: String,
    calls_per_hour: u32,
    stop_at: u64,
    stories: bool,
}

impl GraphBuilder {
    fn new(surface: Surface, account: impl Into<String>, token: Secret) -> Self {
        Self {
            surface,
            account: account.into(),
            token,
            app_secret: None,
            connection: Connection::new(BASE_URL, Duration::from_secs(120)),
            version: VERSION.to_owned(),
            calls_per_hour: 200,
            stop_at: 90,
            stories: true,
        }
    }

    /// Signs every call (`appsecret_proof`), which apps may require.
    #[must_use]
    pub fn app_secret(mut self, secret: Secret) -> Self {
        self.app_secret = Some(secret);
        self
    }

    /// Sets another host: `https://graph.instagram.com` for tokens of an Instagram login, a fake.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.connection.base_url = url.into();
        self
    }

    connection_methods!("two minutes.");

    /// Sets the version of the API. Default v26.0.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets the calls per hour, at least 1. Default 200, which Meta grants an app with one user; a page or an account with
    /// many readers may have far more.
    #[must_use]
    pub fn calls_per_hour(mut self, calls: u32) -> Self {
        self.calls_per_hour = calls.max(1);
        self
    }

    /// Sets the percentage of the account's usage at which calls stop, from 76 to 100. Default 90.
    #[must_use]
    pub fn stop_at(mut self, percent: u8) -> Self {
        self.stop_at = u64::from(percent.clamp(76, 100));
        self
    }

    /// Sets whether Instagram's stories of the last 24 hours are read. Default true.
    #[must_use]
    pub fn stories(mut self, read: bool) -> Self {
        self.stories = read;
        self
    }

    /// Validates the settings. Makes no call.
    ///
    /// # Errors
    /// `Config`: invalid account id, version or base URL; empty token.
    pub fn build(self) -> Result<Graph> {
        let service = self.surface.network();
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, service, "build").with_detail(detail);
        if !item::is_id(&self.account) {
            return Err(config("invalid account: expected an id of the Graph API"));
        }
        let number = self.version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !number.is_some_and(|(major, minor)| digits(major) && digits(minor)) {
            return Err(config("invalid version: expected the form v26.0"));
        }
        if self.token.is_empty() {
            return Err(config("missing access token"));
        }
        let limits = Limits::none().window(self.calls_per_hour, Duration::from_secs(3600));
        let client = self.connection.client(service, &limits).bearer(&self.token);
        let proof = self.app_secret.as_ref().map(|secret| proof(secret, &self.token));
        Ok(Graph(Arc::new(GraphApi {
            client: client.build()?,
            surface: self.surface,
            account: self.account,
            version: Arc::from(self.version),
            proof,
            batch: self.calls_per_hour.min(LARGEST_BATCH),
            stop_at: self.stop_at,
            patience: self.connection.patience,
            policy: self.connection.policy,
            stories: self.stories && self.surface == Surface::Instagram,
            clock: self.connection.clock,
            known: Mutex::default(),
        })))
    }
}

impl fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphBuilder").field("surface", &self.surface).finish_non_exhaustive()
    }
}

/// HMAC-SHA256 of the token, with the app's secret as key, in hexadecimal.
fn proof(secret: &Secret, token: &Secret) -> Secret {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return Secret::new("");
    };
    mac.update(token.expose().as_bytes());
    Secret::new(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A Facebook page or an Instagram account as a source. Clones share the rate limit and the refused metrics.
#[derive(Clone)]
pub struct Graph(Arc<GraphApi>);

struct GraphApi {
    client: Client,
    surface: Surface,
    account: String,
    version: Arc<str>,
    proof: Option<Secret>,
    batch: u32,
    stop_at: u64,
    patience: Duration,
    policy: Policy,
    stories: bool,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

/// Posts of a product that must refuse a metric, with none that answers it, before it counts as retired.
const REFUSALS: u32 = 3;

/// What reads have shown about the metrics.
#[derive(Debug, Default)]
struct Known {
    /// Retired metrics.
    retired: BTreeSet<(Product, &'static str)>,
    /// Metrics with at least one answer.
    answered: BTreeSet<(Product, &'static str)>,
    /// Number of posts that refused a metric without any answer so far.
    refusals: BTreeMap<(Product, &'static str), u32>,
    /// Products of which a whole set of metrics was answered.
    agreed: BTreeSet<Product>,
}

impl Known {
    /// Whether a metric was refused and neither answered nor retired yet.
    fn is_suspect(&self, product: Product, native: &'static str) -> bool {
        let key = (product, native);
        self.refusals.contains_key(&key) && !self.retired.contains(&key)
    }

    fn answer(&mut self, product: Product, native: &'static str) {
        self.answered.insert((product, native));
        self.refusals.remove(&(product, native));
    }

    /// Counts the refusal of a metric by one post; true once the metric counts as retired.
    fn refuse(&mut self, product: Product, native: &'static str) -> bool {
        let key = (product, native);
        if self.answered.contains(&key) {
            return false;
        }
        let refusals = self.refusals.entry(key).or_default();
        *refusals += 1;
        if *refusals >= REFUSALS {
            self.retired.insert(key);
        }
        *refusals >= REFUSALS
    }
}

impl Graph {
    /// The posts of a page; the page token needs `pages_read_engagement` and `read_insights`.
    #[must_use]
    pub fn facebook_page(id: impl Into<String>, token: Secret) -> GraphBuilder {
        GraphBuilder::new(Surface::FacebookPage, id, token)
    }

    /// The media of a business or creator account; the token needs `instagram_basic` and `instagram_manage_insights`.
    #[must_use]
    pub fn instagram(id: impl Into<String>, token: Secret) -> GraphBuilder {
        GraphBuilder::new(Surface::Instagram, id, token)
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("surface", &self.0.surface)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

/// A failed call, and the meaning of Meta's error.
struct Failed {
    error: Error,
    meaning: Option<Meaning>,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, meaning: None }
    }
}

impl GraphApi {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self, product: Product, native: &'static str) -> Option<Missing> {
        self.known().retired.contains(&(product, native)).then_some(Missing::Deprecated)
    }

    /// Marks a metric as retired, and returns the note about it.
    fn retire(&self, product: Product, native: &'static str) -> String {
        self.known().retired.insert((product, native));
        self.retired_note(product, native)
    }

    fn retired_note(&self, product: Product, native: &'static str) -> String {
        let network = self.surface.network();
        tracing::warn!(network, ?product, metric = native, "metric retired");
        format!("{network} refuses the metric {native} of every {}; its values are missing", product.as_str())
    }

    fn error(&self, kind: ErrorKind, operation: &'static str) -> Error {
        Error::new(kind, self.surface.network(), operation).delivered(mkt_connect::Delivery::Answered)
    }

    fn path(&self, edge: &str) -> String {
        format!("{}/{edge}", self.version)
    }

    fn get(&self, operation: &'static str, edge: &str) -> http::Request {
        let request = http::Request::get(self.path(edge)).operation(operation);
        match &self.proof {
            Some(proof) => request.query("appsecret_proof", proof.expose()),
            None => request,
        }
    }

    /// Sends a call, obeys the usage headers, and parses the answer as JSON.
    async fn call(&self, request: &http::Request) -> Result<(serde_json::Value, Response), Failed> {
        let mut meaning = None;
        let answer = self.client.send_with(request, &self.policy, |response| {
            let mut usage = Usage::default();
            for (name, value) in response.headers() {
                if usage::HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)) {
                    usage.read(value);
                }
            }
            let refusal = Refusal::in_body(response.status(), response.body());
            meaning = refusal.map(|refusal| refusal.meaning);
            if let Some(refusal) = refusal {
                let error = refusal.error(|kind| response.error(kind));
                return Err(match refusal.meaning {
                    Meaning::Throttled => {
                        // Calls to a throttled account extend the block.
                        let wait = usage.pause(self.stop_at).filter(|_| usage.used_up(self.stop_at));
                        error.with_retry_after(wait.or(response.retry_advice()).unwrap_or(usage::WINDOW))
                    }
                    _ => error,
                });
            }
            if let Some(pause) = usage.pause(self.stop_at) {
                tracing::info!(network = self.surface.network(), seconds = pause.as_secs(), "pausing calls");
                self.client.rate().pause_for(pause);
            }
            if let Some(version) = response.header("facebook-api-version")
                && version != &*self.version
            {
                tracing::warn!(network = self.surface.network(), version, "answer of another API version");
            }
            Ok((response.json()?, response))
        });
        answer.await.map_err(|error| Failed { error, meaning })
    }
}

#[async_trait]
impl SocialSource for Graph {
    fn name(&self) -> &'static str {
        self.0.surface.network()
    }

    fn capabilities(&self) -> Capabilities {
        let mut metrics = vec![Metric::Likes, Metric::Comments, Metric::Shares, Metric::Reach, Metric::Views];
        if self.0.surface == Surface::Instagram {
            metrics.push(Metric::Saves);
        }
        Capabilities::new(metrics).with_meter()
    }

    async fn check(&self) -> Result<()> {
        let request = self.0.get("check", &self.0.account).query("fields", "id");
        self.0.call(&request).await.map(|_| ()).map_err(Error::from)
    }

    /// For a page, one call per list (plus one per reel); for Instagram, one more per post.
    fn plan(&self, request: &Request) -> Plan {
        let list = u64::try_from(request.page_size.clamp(1, MAX_PAGE_SIZE)).unwrap_or(1);
        let lists = 1_000_u64.div_ceil(list);
        let calls = match self.0.surface {
            Surface::FacebookPage => lists,
            Surface::Instagram => lists + 1_000,
        };
        Plan::new(Calls::PerThousandPosts(calls))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(pages::GraphPages::new(Arc::clone(&self.0), request.clone())))
    }
}
