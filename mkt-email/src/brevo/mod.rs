//! Brevo (formerly Sendinblue), transactional email: <https://developers.brevo.com/reference/sendtransacemail>.
//!
//! Built from the vendor's documentation as of November 2026 and tested against a fake made from the same
//! documentation ([`FakeBrevo`](crate::testing::FakeBrevo)); no live account was used.

mod error;
mod limit;
mod wire;

use crate::Message;
use crate::provider::{Capabilities, Group, Idempotency, Plan, RejectReason, Settlement};
use crate::vendor;
use crate::{EmailProvider, Outcome};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use error::Said;
use mkt_connect::clock::{Clock, later};
use mkt_connect::http::{Client, Request, Response};
use mkt_connect::{ErrorKind, Result, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "brevo";
const BASE_URL: &str = "https://api.brevo.com/v3";
/// How long the vendor remembers a key, in its most careful statement.
const KEY_REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Sends through Brevo. Clones share connections and the account's pauses.
///
/// Built from the vendor's documentation as of November 2026; no live account was used.
///
/// | what | how, and where it is documented |
/// |---|---|
/// | several emails in one call | `messageVersions`, one recipient to a version, at most 1 000: <https://developers.brevo.com/docs/batch-send-transactional-emails> |
/// | a lost answer | `idempotencyKey` in the body's `headers`; a repetition is answered `duplicate_parameter` and not processed. That a refused call's key is not remembered is assumed. The guide says for 30 minutes (<https://developers.brevo.com/docs/heterogenous-versions-batch-emails>), the change log of 10 November 2021 says 15: 15 are relied upon |
/// | throttling | `x-sib-ratelimit-*` headers, 429: <https://developers.brevo.com/docs/limit-headers> |
/// | sandbox | `X-Sib-Sandbox: drop`: <https://developers.brevo.com/docs/using-sandbox-mode> |
/// | metadata | the header `X-Mailin-custom`, as JSON in UTF-8; of each version where the emails of a call differ, as django-anymail 15 writes it. **Recipients can read it**, and tags and headers too |
///
/// In doubt: whether `List-Unsubscribe` in `headers` reaches the recipient ("standard email headers are not
/// supported"); look at a first email before a campaign. Headers belong to the call, not to the version, by the
/// description: emails with an unsubscribe link of their own go one to a call, unless
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
        BrevoBuilder { settings: vendor::Settings::new(key), own_headers: false }
    }

    /// The account whose key is in the environment variable `BREVO_API_KEY`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is not set.
    pub fn from_env() -> Result<Self> {
        Self::builder(vendor::secret_from_env(SERVICE, "BREVO_API_KEY")?).build()
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
        let Some(first) = group.emails().first() else { return Ok(Vec::new()) };
        let body = wire::SendEmail::of(group, first, self.own_headers, self.capabilities.sandbox, due);
        let request = Request::post("smtp/email").operation("send").json(&body);
        let response = match self.call(&request).await {
            Ok(response) => response,
            Err(error) => return vendor::lost_or(error, group),
        };
        if response.is_success() {
            let count = group.emails().len();
            let ids = response.json::<wire::Sent>().ok().and_then(|sent| sent.ids(count));
            // A success that cannot be read is settled like an answer that did not come.
            let accepted = |ids: Vec<String>| ids.into_iter().map(|id| Outcome::Accepted { id }).collect();
            return Ok(ids.map_or_else(|| vendor::lost(group), accepted));
        }
        match error::judge(&response, &|words| vendor::clean(words, &self.key, group)) {
            Said::Arrived => Ok(arrived(group)),
            Said::Unclear => Ok(vendor::lost(group)),
            Said::Refused(reason, words) => Ok(vendor::refused(group, reason, &vendor::quote(&words))),
            Said::Failed(error) => vendor::failed(error, &self.client, group),
        }
    }
}

/// The vendor does not tell the ids again. What is known is the key of the call and the place in it.
fn arrived(group: &Group) -> Vec<Outcome> {
    let id = |place: usize| Outcome::Accepted { id: format!("{}/{place}", group.key()) };
    (0..group.emails().len()).map(id).collect()
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
    /// is answered `duplicate_parameter` and does nothing. If it was not, its emails are sent now; those whose time has
    /// come, or comes while the call is made, go at once, since a time that has passed would be refused and not be
    /// compared with the first call. Later than that nothing is sent and nothing known; nor when the call seems to have
    /// begun in the future, since clocks that differ cannot tell how old the key is.
    ///
    /// In which order the vendor looks at the key and at the rest of a call is not documented, so it may refuse the
    /// repetition of a call that it took. A refusal is believed where the bytes of the call decide alone (an address
    /// that is none, too much of something): the first call had the same, and cannot have been taken. Any other, such as
    /// a block that may be new, leaves the emails unknown.
    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let unknown = || vec![Settlement::StillUnknown; group.emails().len()];
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
            // A proxy's page, or another service at this address, is a success too.
            let is_account =
                response.json::<wire::Account>().is_ok_and(|account| account.email.contains('@'));
            let other =
                || response.error(ErrorKind::Protocol).with_detail("the answer is not a Brevo account");
            return if is_account { Ok(()) } else { Err(other()) };
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

/// Builder of [`Brevo`].
#[derive(Clone)]
pub struct BrevoBuilder {
    settings: vendor::Settings,
    own_headers: bool,
}

impl BrevoBuilder {
    vendor::common_setters!();

    /// Sets the name of the account whose pauses are shared; needed where one program uses several accounts. Not a
    /// secret. Default: `brevo`.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        self.settings.account = Some(name.to_owned());
        self
    }

    /// Lets the emails of one call have headers of their own (an unsubscribe link each, say), up to 1 000 emails per
    /// call. The vendor's description does not list `headers` in a version; django-anymail sends them and finds them
    /// accepted. Default: off.
    #[must_use]
    pub fn headers_per_version(mut self, on: bool) -> Self {
        self.own_headers = on;
        self
    }

    /// Sets the time limit of a call. Default: 60 s. Keys are relied upon for 15 minutes less this.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = limit.min(KEY_REMEMBERED);
        self
    }

    /// Checks the settings. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the key is empty or cannot be a header, the URL is not `https`, the account has no name.
    pub fn build(self) -> Result<Brevo> {
        let Self { settings, own_headers } = self;
        let account = settings.account_name(SERVICE, SERVICE.to_owned())?;
        let client = settings
            .client(SERVICE, BASE_URL)?
            .secret_header("api-key", &settings.key)
            .header("accept", "application/json")
            .build()?;
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(limit::features());
        capabilities.max_recipients = limit::VERSIONS;
        capabilities.max_message_bytes = Some(limit::MESSAGE_BYTES);
        capabilities.schedule_horizon = Some(limit::HORIZON);
        capabilities.idempotency = Idempotency::Key { within: Some(KEY_REMEMBERED - settings.timeout) };
        capabilities.settles_by_sending = true;
        capabilities.sandbox = settings.sandbox;
        Ok(Brevo { client, key: settings.key, account, capabilities, own_headers, clock: settings.clock })
    }
}

impl fmt::Debug for BrevoBuilder {
    /// The base URL is left out: it has not been checked for credentials yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrevoBuilder").field("sandbox", &self.settings.sandbox).finish_non_exhaustive()
    }
}
