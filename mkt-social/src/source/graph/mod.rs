//! Facebook pages and Instagram business accounts, by Meta's Graph API.
//!
//! - **One bad metric does not fail a read.** Meta refuses a whole call for one name that it retired. The names are a
//!   catalogue with dates ([`CATALOGUE`]); what it does not know yet is found by halving and remembered by kind of post,
//!   and the number is [`Missing::Deprecated`].
//! - **Few calls.** A page's posts come with their insights, a call for each hundred. Instagram's insights are asked for in
//!   batches of up to 50, each of which counts as a call of its own; only posts of the window are asked about.
//! - **A budget of calls**: 200 an hour unless told, and what the usage headers say: from 75 % on calls are spread, at 90 %
//!   they stop, and the minutes that Meta names are waited. A wait that is longer than the source's patience ends the read
//!   with [`RateLimited`](ErrorKind::RateLimited) and the time to come back; the pages given before stay valid.
//! - **The token stays here**: it travels in a header, with `appsecret_proof` where the app's secret is given. Links to the
//!   next page hold it and are never followed; their cursor is taken out.
//!
//! What Meta does not tell stays missing, with the reason: not yet (48 hours), too few viewers, hidden, no permission,
//! retired. Shares that a page's post does not mention are none, as Meta leaves a 0 out.
//!
//! Facts are those of Meta's pages as of November 2026. Tested against a fake (`testing::graph`, feature `testing`),
//! never against Meta.

mod catalogue;
mod error;
mod insights;
mod item;
mod pages;
mod usage;

pub use catalogue::{CATALOGUE, Entry, Origin, Product, Surface};

use crate::metric::{Metric, Missing};
use crate::source::connection::{Connection, connection_methods};
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

/// Meta's host, and the version that is asked for unless told.
const BASE_URL: &str = "https://graph.facebook.com";
const VERSION: &str = "v25.0";
/// Posts that one call may list.
const LONGEST_LIST: usize = 100;
/// Calls that one batch may hold.
const LARGEST_BATCH: u32 = 50;

/// Settings of a [`GraphSource`].
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

    /// Signs every call (`appsecret_proof`), as apps may require.
    #[must_use]
    pub fn app_secret(mut self, secret: Secret) -> Self {
        self.app_secret = Some(secret);
        self
    }

    /// Another host: `https://graph.instagram.com` for tokens of an Instagram login, a fake.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.connection.base_url = url.into();
        self
    }

    connection_methods!("two minutes unless told.");

    /// Another version of the interface than v25.0.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Calls an hour, at least 1: 200 unless told, which is what Meta grants an app with one user. A page or an account
    /// with many readers may have far more; the headers say.
    #[must_use]
    pub fn calls_per_hour(mut self, calls: u32) -> Self {
        self.calls_per_hour = calls.max(1);
        self
    }

    /// Stops calling at this percentage of the account's use, from 76 to 100: 90 unless told.
    #[must_use]
    pub fn stop_at(mut self, percent: u8) -> Self {
        self.stop_at = u64::from(percent.clamp(76, 100));
        self
    }

    /// Whether Instagram's stories of the last 24 hours are read too: yes, unless told.
    #[must_use]
    pub fn stories(mut self, read: bool) -> Self {
        self.stories = read;
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// `Config`: the account is no id, the version no version, the token empty, the base URL not usable.
    pub fn build(self) -> Result<GraphSource> {
        let service = self.surface.network();
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, service, "build").with_detail(detail);
        if !item::is_id(&self.account) {
            return Err(config("the account is not an id of Meta's"));
        }
        let number = self.version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !number.is_some_and(|(major, minor)| digits(major) && digits(minor)) {
            return Err(config("the version is not written like v25.0"));
        }
        if self.token.is_empty() {
            return Err(config("the access token is missing"));
        }
        let limits = Limits::none().window(self.calls_per_hour, Duration::from_secs(3600));
        let client = self.connection.client(service, &limits).bearer(&self.token);
        let proof = self.app_secret.as_ref().map(|secret| proof(secret, &self.token));
        Ok(GraphSource(Arc::new(Graph {
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

/// HMAC-SHA256 of the token, with the app's secret as its key, in hexadecimal digits.
fn proof(secret: &Secret, token: &Secret) -> Secret {
    // Keys of any length are allowed.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return Secret::new("");
    };
    mac.update(token.expose().as_bytes());
    Secret::new(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A Facebook page or an Instagram account as a source. Clones share its budget and what it learnt about metrics.
#[derive(Clone)]
pub struct GraphSource(Arc<Graph>);

struct Graph {
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

/// What was learnt about metrics while reading.
#[derive(Debug, Default)]
struct Known {
    refused: BTreeMap<(Product, &'static str), Missing>,
    /// Kinds of post of which a whole set was answered.
    agreed: BTreeSet<Product>,
}

impl GraphSource {
    /// The posts of a page, by a page token with `pages_read_engagement` and `read_insights`.
    #[must_use]
    pub fn facebook_page(id: impl Into<String>, token: Secret) -> GraphBuilder {
        GraphBuilder::new(Surface::FacebookPage, id, token)
    }

    /// The media of a business or creator account, by a token with `instagram_basic` and `instagram_manage_insights`.
    #[must_use]
    pub fn instagram(id: impl Into<String>, token: Secret) -> GraphBuilder {
        GraphBuilder::new(Surface::Instagram, id, token)
    }
}

impl fmt::Debug for GraphSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphSource")
            .field("surface", &self.0.surface)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

/// A call that failed, and what Meta meant by it.
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

impl Graph {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, product: Product, native: &'static str) -> Option<Missing> {
        self.known().refused.get(&(product, native)).copied()
    }

    fn refuse(&self, product: Product, native: &'static str) {
        tracing::warn!(network = self.surface.network(), ?product, metric = native, "the metric is refused");
        self.known().refused.insert((product, native), Missing::Deprecated);
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

    /// Sends a call, obeys what the answer says about the account's use, and reads it as JSON.
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
                        // Calling a throttled account makes its rest longer.
                        let wait = usage.pause(self.stop_at).filter(|_| usage.used_up(self.stop_at));
                        error.with_retry_after(wait.or(response.retry_advice()).unwrap_or(usage::WINDOW))
                    }
                    _ => error,
                });
            }
            if let Some(pause) = usage.pause(self.stop_at) {
                tracing::info!(
                    network = self.surface.network(),
                    seconds = pause.as_secs(),
                    "calls are slowed down"
                );
                self.client.rate().pause_for(pause);
            }
            if let Some(version) = response.header("facebook-api-version")
                && version != &*self.version
            {
                tracing::warn!(network = self.surface.network(), version, "Meta answered another version");
            }
            Ok((response.json()?, response))
        });
        answer.await.map_err(|error| Failed { error, meaning })
    }
}

#[async_trait]
impl SocialSource for GraphSource {
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

    /// For a page, a call for each list (reels aside, which have one of their own); for Instagram, one more for each post.
    fn plan(&self, request: &Request) -> Plan {
        let list = u64::try_from(request.page_size.clamp(1, LONGEST_LIST)).unwrap_or(1);
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
