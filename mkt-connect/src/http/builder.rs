//! Builds a client: everything that can be checked without a network is checked here.

use super::address::{self, AllowedHost, PinnedResolver, Reach};
use super::client::{Client, Inner, Jitter};
use super::rate::{Limits, RateBudget};
use super::request::Value;
use super::retry::Budget;
use crate::clock::{Clock, SystemClock};
use crate::{Error, ErrorKind, Result, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const CONNECT: Duration = Duration::from_secs(5);
const READ_IDLE: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(120);
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Short, so that a request is seldom written to a connection which the server is just closing: such a request may
/// have arrived, and one that must not be retried is then lost.
const POOL_IDLE: Duration = Duration::from_secs(10);

/// Settings of a [`Client`]; start with [`Client::builder`].
#[derive(Clone)]
pub struct ClientBuilder {
    service: &'static str,
    base_url: String,
    allowed: Vec<String>,
    headers: Vec<(String, Value)>,
    basic: Option<(String, Secret)>,
    user_agent: String,
    connect: Duration,
    read_idle: Duration,
    total: Duration,
    max_body: usize,
    rate: Option<RateBudget>,
    patience: Duration,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
}

/// Jitter needs no more than that clients differ: the standard library's hash keys are random.
fn random_draw() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let [a, b, c, d, ..] = RandomState::new().hash_one(0_u8).to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

impl Client {
    /// Starts the settings of a client for `service` (the name that errors carry) at `base_url`, such as
    /// `https://api.brevo.com/v3`.
    #[must_use]
    pub fn builder(service: &'static str, base_url: &str) -> ClientBuilder {
        ClientBuilder::new(service, base_url)
    }
}

impl ClientBuilder {
    fn new(service: &'static str, base_url: &str) -> Self {
        Self {
            service,
            base_url: base_url.trim().to_owned(),
            allowed: Vec::new(),
            headers: Vec::new(),
            basic: None,
            user_agent: concat!("mkt-connect/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect: CONNECT,
            read_idle: READ_IDLE,
            total: TOTAL,
            max_body: MAX_BODY,
            rate: None,
            patience: PATIENCE,
            clock: Arc::new(SystemClock::new()),
            jitter: Arc::new(random_draw),
        }
    }

    /// Lets this one host (`host` or `host:port`) be reached over plain http and at a private address: a Matomo in the
    /// intranet, a fake on loopback. Credentials then travel unencrypted if the base URL says `http`. A name so
    /// allowed may still not resolve to a link-local address, where clouds keep their metadata.
    ///
    /// It has no effect when the base URL names another host.
    #[must_use]
    pub fn allow_insecure_host(mut self, host: &str) -> Self {
        self.allowed.push(host.trim().to_owned());
        self
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Value::Plain(value.into())));
        self
    }

    /// Adds a header with a secret value to every request (Brevo's `api-key`).
    #[must_use]
    pub fn secret_header(mut self, name: impl Into<String>, value: &Secret) -> Self {
        self.headers.push((name.into(), Value::Secret(value.clone())));
        self
    }

    /// Sends `Authorization: Bearer …` with every request.
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        let value = Secret::new(format!("Bearer {}", token.expose()));
        self.secret_header("authorization", &value)
    }

    /// Sends `Authorization: Basic …` with every request (Mailgun: user `api`).
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: &Secret) -> Self {
        self.basic = Some((user.into(), password.clone()));
        self
    }

    /// Replaces the user agent `mkt-connect/<version>`.
    #[must_use]
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// How long making a connection may take, name resolution and TLS included. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// The longest silence of the server, before its response starts and between two parts of it. Default: 30 s.
    #[must_use]
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.read_idle = limit;
        self
    }

    /// The longest time for one request and its response. Default: 120 s.
    #[must_use]
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.total = limit;
        self
    }

    /// The largest body that is accepted, in bytes **after** decompression. Default: 16 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, limit: usize) -> Self {
        self.max_body = limit;
        self
    }

    /// Obeys the account's rate budget: each request waits until the limits allow it. Give the same budget to every client of the
    /// account. Without this the client obeys only the pauses that the server asks for.
    #[must_use]
    pub fn rate(mut self, budget: &RateBudget) -> Self {
        self.rate = Some(budget.clone());
        self
    }

    /// How long a request waits for the rate limit. Where it would wait longer, it fails at once as
    /// [`ErrorKind::RateLimited`], not sent. Default: 120 s.
    #[must_use]
    pub fn rate_patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Replaces the clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Replaces the random draw of the jitter (an even number from 0 to 1), for tests and simulations.
    #[must_use]
    pub fn jitter(mut self, draw: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.jitter = Arc::new(draw);
        self
    }

    /// Checks the settings and builds the client. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the base URL is not `https://host[/path]`, names an IP address or this machine, holds
    /// credentials, or a header cannot be written. The text repeats none of them.
    pub fn build(self) -> Result<Client> {
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, self.service, "build").with_detail(detail);
        let base = Url::parse(&self.base_url).map_err(|_| config("the base URL is not a URL"))?;
        let allowed: Vec<AllowedHost> =
            self.allowed.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(config)?;
        let reach = address::check(&base, &allowed).map_err(config)?;
        let transport = self.transport(&base, reach)?;
        let client = Client(Arc::new(Inner {
            service: self.service,
            base,
            transport,
            headers: self.headers,
            basic: self.basic,
            max_body: self.max_body,
            rate: self
                .rate
                .unwrap_or_else(|| RateBudget::with_clock(&Limits::none(), Arc::clone(&self.clock))),
            patience: self.patience,
            clock: self.clock,
            jitter: self.jitter,
            budget: Budget::default(),
        }));
        client.check_headers()?;
        Ok(client)
    }

    fn transport(&self, base: &Url, reach: Reach) -> Result<reqwest::Client> {
        let fail =
            |detail: &'static str| Error::new(ErrorKind::Config, self.service, "build").with_detail(detail);
        let tls = tls(base.scheme() == "https").map_err(|error| {
            fail("the system's trusted certificates could not be read").with_source(error)
        })?;
        let host = base.host_str().unwrap_or_default().to_owned();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(base.scheme() == "https")
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // A proxy taken from the environment would see every host name, and could be set by anybody.
            .no_proxy()
            .dns_resolver(PinnedResolver { host, reach })
            .user_agent(self.user_agent.as_str())
            .connect_timeout(self.connect.min(self.total))
            .read_timeout(self.read_idle)
            .timeout(self.total)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| fail("the HTTP client could not be built").with_source(error.without_url()))
    }
}

/// TLS on ring, verified by the platform's roots, without touching the process-wide default provider. A client of a
/// plain-http host gets a configuration without trusted roots, so that it starts on a machine without certificates too.
fn tls(needed: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    if !needed {
        return Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = rustls_platform_verifier::Verifier::new(provider)?;
    // `dangerous` is rustls' name for any verifier of one's own; this one is the platform's.
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL is left out: it has not been checked for credentials yet.
        f.debug_struct("ClientBuilder")
            .field("service", &self.service)
            .field("allowed", &self.allowed.len())
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
