//! Brevo (formerly Sendinblue), transactional mail: <https://developers.brevo.com/reference/sendtransacemail>.
//!
//! Built from the vendor's documentation as of November 2026 and tested against a fake made from the same
//! documentation ([`FakeBrevo`](crate::testing::FakeBrevo)); no live account was used.

mod error;
mod limit;
mod wire;

use crate::message::Message;
use crate::provider::{
    Capabilities, EmailProvider, Group, Idempotency, Outcome, Plan, RejectReason, Settlement,
};
use crate::vendor;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use error::Said;
use mkt_connect::clock::{Clock, SystemClock, later};
use mkt_connect::http::{Client, RateBudget, Request, Response};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "brevo";
const BASE_URL: &str = "https://api.brevo.com/v3";
/// How long the vendor remembers a key, in its most careful statement.
const KEY_REMEMBERED: Duration = Duration::from_secs(15 * 60);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends through Brevo. Clones share connections and the account's pauses.
///
/// Built from the vendor's documentation as of November 2026; no live account was used.
///
/// | what | how, and where it is documented |
/// |---|---|
/// | several mails in one call | `messageVersions`, one recipient to a version, at most 1 000: <https://developers.brevo.com/docs/batch-send-transactional-emails> |
/// | a lost answer | `idempotencyKey` in the body's `headers`; a repetition is answered `duplicate_parameter` and not processed. That a refused call's key is not remembered is assumed. The guide says for 30 minutes (<https://developers.brevo.com/docs/heterogenous-versions-batch-emails>), the change log of 10 November 2021 says 15: 15 are relied upon |
/// | throttling | `x-sib-ratelimit-*` headers, 429: <https://developers.brevo.com/docs/limit-headers> |
/// | sandbox | `X-Sib-Sandbox: drop`: <https://developers.brevo.com/docs/using-sandbox-mode> |
/// | metadata | the header `X-Mailin-custom`, as JSON. **Recipients can read it**, and tags and headers too |
///
/// In doubt: whether `List-Unsubscribe` in `headers` reaches the recipient ("standard email headers are not
/// supported"); look at a first mail before a campaign. Headers belong to the call, not to the version, by the
/// description: mails with an unsubscribe link of their own go one to a call, unless
/// [`BrevoBuilder::headers_per_version`] is set.
///
/// ```
/// use mkt_connect::Secret;
/// use mkt_email::{Brevo, EmailProvider};
/// let provider = Brevo::builder(Secret::new("xkeysib-0123")).sandbox(true).build()?; // or Brevo::from_env()
/// assert_eq!(provider.capabilities().max_recipients, 1000);
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Clone)]
pub struct Brevo {
    client: Client,
    key: Secret,
    account: Arc<str>,
    capabilities: Capabilities,
    own_headers: bool,
    clock: Arc<dyn Clock>,
}

impl Brevo {
    /// Starts the settings, with an API key (`xkeysib-…`).
    #[must_use]
    pub fn builder(key: Secret) -> BrevoBuilder {
        BrevoBuilder {
            key,
            base_url: BASE_URL.to_owned(),
            account: SERVICE.to_owned(),
            sandbox: false,
            own_headers: false,
            timeout: TIMEOUT,
            rate: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The account whose key is in the environment variable `BREVO_API_KEY`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is not set.
    pub fn from_env() -> Result<Self> {
        let key = Secret::from_env("BREVO_API_KEY").ok_or_else(|| {
            Error::new(ErrorKind::Config, SERVICE, "build").with_detail("BREVO_API_KEY is not set")
        })?;
        Self::builder(key).build()
    }

    /// Makes the call and reads the vendor's count of calls from the answer.
    async fn call(&self, request: &Request) -> Result<Response> {
        let response = self.client.send(request).await?;
        if let (Some(remaining), Some(reset)) = (error::remaining(&response), error::reset(&response)) {
            self.client.rate().observe(remaining, reset);
        }
        Ok(response)
    }

    /// Makes the call of a group; what is scheduled for `due` or earlier goes at once.
    async fn submit(&self, group: &Group, due: DateTime<Utc>) -> Result<Vec<Outcome>> {
        let Some(first) = group.mails().first() else { return Ok(Vec::new()) };
        let body = wire::SendEmail::of(group, first, self.own_headers, self.capabilities.sandbox, due);
        let request = Request::post("smtp/email").operation("send").json(&body);
        let response = match self.call(&request).await {
            Ok(response) => response,
            Err(error) => return vendor::lost_or(error, group),
        };
        if response.is_success() {
            let count = group.mails().len();
            let ids = response.json::<wire::Sent>().ok().and_then(|sent| sent.ids(count));
            // A success that cannot be read is settled like an answer that did not come.
            let accepted = |ids: Vec<String>| ids.into_iter().map(|id| Outcome::Accepted { id }).collect();
            return Ok(ids.map_or_else(|| vendor::lost(group), accepted));
        }
        match error::judge(&response, &|words| vendor::clean(words, &self.key, group)) {
            Said::Arrived => Ok(arrived(group)),
            Said::Unclear => Ok(vendor::lost(group)),
            Said::Refused(reason, words) => Ok(vendor::refused(group, reason, &vendor::quote(&words))),
            Said::Failed(error) => Err(error),
        }
    }
}

/// The vendor does not tell the ids again. What is known is the key of the call and the place in it.
fn arrived(group: &Group) -> Vec<Outcome> {
    let id = |place: usize| Outcome::Accepted { id: format!("{}/{place}", group.key()) };
    (0..group.mails().len()).map(id).collect()
}

/// Whether the answer to a repeated call is that to the first one too.
fn says_what_became_of_the_first(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } => true,
        Outcome::Rejected { reason, .. } | Outcome::GroupRefused { reason, .. } => {
            matches!(reason, RejectReason::InvalidAddress | RejectReason::TooLarge)
        }
        _ => false,
    }
}

#[async_trait]
impl EmailProvider for Brevo {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn plan(&self, messages: &[&Message], now: DateTime<Utc>) -> Plan {
        limit::plan(&self.capabilities, self.own_headers, messages, now)
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        self.submit(group, group.at()).await
    }

    /// Sends the call again under its key, while the vendor still remembers it: if the first one was taken, this one
    /// is answered `duplicate_parameter` and does nothing. If it was not, its mails are sent now; those whose time has
    /// come, or comes while the call is made, go at once, since a time that has passed would be refused and not be
    /// compared with the first call. Later than that nothing is sent and nothing known; nor when the call seems to have
    /// begun in the future, since clocks that differ cannot tell how old the key is.
    ///
    /// In which order the vendor looks at the key and at the rest of a call is not documented, so it may refuse the
    /// repetition of a call that it took. A refusal is believed where the bytes of the call decide alone (an address
    /// that is none, too much of something): the first call had the same, and cannot have been taken. Any other, such as
    /// a block that may be new, leaves the mails unknown.
    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let unknown = || vec![Settlement::StillUnknown; group.mails().len()];
        let Idempotency::Key { within: Some(within) } = self.capabilities.idempotency else {
            return Ok(unknown());
        };
        let now = self.clock.now();
        if now < group.at() || now >= later(group.at(), within) {
            return Ok(unknown());
        }
        let a_call = KEY_REMEMBERED.saturating_sub(within);
        match self.submit(group, later(now, a_call)).await {
            Ok(outcomes) => Ok(outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    known if says_what_became_of_the_first(&known) => Settlement::Known(known),
                    _ => Settlement::StillUnknown,
                })
                .collect()),
            // Refused for its rate, or not sent: that says nothing about the first call.
            Err(error) if error.is_retryable() || error.leaves_doubt() => Ok(unknown()),
            Err(error) => Err(error),
        }
    }

    /// Reads the account: `GET /account`.
    async fn check(&self) -> Result<()> {
        // Its count of calls is not that of sending.
        let response = self.client.send(&Request::get("account").operation("check")).await?;
        if response.is_success() {
            return Ok(());
        }
        match error::judge(&response, &str::to_owned) {
            Said::Failed(error) => Err(error),
            Said::Arrived | Said::Unclear | Said::Refused(..) => Err(response.error(ErrorKind::Protocol)),
        }
    }
}

impl fmt::Debug for Brevo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brevo")
            .field("host", &self.client.host())
            .field("account", &self.account)
            .field("sandbox", &self.capabilities.sandbox)
            .finish_non_exhaustive()
    }
}

/// Settings of [`Brevo`].
#[derive(Clone)]
pub struct BrevoBuilder {
    key: Secret,
    base_url: String,
    account: String,
    sandbox: bool,
    own_headers: bool,
    timeout: Duration,
    rate: Option<RateBudget>,
    clock: Arc<dyn Clock>,
}

impl BrevoBuilder {
    /// Only pretends: the vendor checks the calls, delivers nothing and keeps no log. Default: off.
    #[must_use]
    pub fn sandbox(mut self, on: bool) -> Self {
        self.sandbox = on;
        self
    }

    /// Another address than `https://api.brevo.com/v3`. It must be `https`, except on this machine (a fake).
    #[must_use]
    pub fn base_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.base_url);
        self
    }

    /// The name of the account whose pauses are shared; needed where one program uses several accounts. Not a secret.
    /// Default: `brevo`.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        name.clone_into(&mut self.account);
        self
    }

    /// Lets mails of one call have headers of their own (an unsubscribe link each, say), up to 1 000 mails to the call.
    /// The vendor's description does not know `headers` in a version; django-anymail sends them and finds them taken.
    /// Default: off.
    #[must_use]
    pub fn headers_per_version(mut self, on: bool) -> Self {
        self.own_headers = on;
        self
    }

    /// How long a call may take. Default: 60 s. Keys are relied upon for 15 minutes less this.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit.min(KEY_REMEMBERED);
        self
    }

    /// The budget of the account, to be shared by all that use it. Whoever is over it is told to come back, not kept
    /// waiting. Default: the vendor's own count only, as its headers give it.
    #[must_use]
    pub fn rate(mut self, budget: &RateBudget) -> Self {
        self.rate = Some(budget.clone());
        self
    }

    /// Replaces the clock that tells whether a key is still remembered, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the key is empty or cannot be a header, the address is not `https`, the account has no
    /// name.
    pub fn build(self) -> Result<Brevo> {
        let config = |detail: &str| Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail);
        if self.key.is_empty() {
            return Err(config("the API key is empty"));
        }
        if self.account.trim().is_empty() {
            return Err(config("the account has no name"));
        }
        let client = vendor::client(
            SERVICE,
            &self.base_url,
            self.timeout,
            Arc::clone(&self.clock),
            self.rate.as_ref(),
        )
        .secret_header("api-key", &self.key)
        .header("accept", "application/json")
        .build()?;
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(limit::features());
        capabilities.max_recipients = limit::VERSIONS;
        capabilities.max_message_bytes = Some(limit::MESSAGE_BYTES);
        capabilities.schedule_horizon = Some(limit::HORIZON);
        capabilities.idempotency = Idempotency::Key { within: Some(KEY_REMEMBERED - self.timeout) };
        capabilities.settles_by_sending = true;
        capabilities.sandbox = self.sandbox;
        Ok(Brevo {
            client,
            key: self.key,
            account: self.account.into(),
            capabilities,
            own_headers: self.own_headers,
            clock: self.clock,
        })
    }
}

impl fmt::Debug for BrevoBuilder {
    /// The base URL is left out: it has not been checked for credentials yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrevoBuilder").field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}
