//! Mailgun, in the US and the EU: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages>.
//!
//! Built from the vendor's documentation as of November 2026 and tested against a fake made from the same
//! documentation ([`FakeMailgun`](crate::testing::FakeMailgun)); no live account was used.

mod error;
mod form;
mod limit;
mod throttle;
mod wire;

use crate::Message;
use crate::provider::{Capabilities, Group, Idempotency, Plan, Settlement};
use crate::vendor;
use crate::{EmailProvider, Outcome};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use error::Said;
use mkt_connect::clock::{Clock, later};
use mkt_connect::http::{Client, Request, path_segment};
use mkt_connect::{ErrorKind, Result, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "mailgun";
/// Events are written late: the vendor advises to read half an hour back (user manual, "Event polling").
const SETTLED_AFTER: Duration = Duration::from_secs(30 * 60);
/// A day is what the smallest plan keeps of the log.
const LOG_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How far the vendor's clock may be from ours: events are looked for from so long before a call to so long after its
/// end.
const SKEW: TimeDelta = TimeDelta::minutes(10);
/// The most items of a page of the log, and the most pages that are read for one call.
const PAGE: usize = 100;
const PAGES: usize = 300;

/// Where an account and its data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Region {
    /// `api.mailgun.net`.
    #[default]
    Us,
    /// `api.eu.mailgun.net`.
    Eu,
}

impl Region {
    fn base_url(self) -> &'static str {
        match self {
            Self::Us => "https://api.mailgun.net",
            Self::Eu => "https://api.eu.mailgun.net",
        }
    }
}

/// Sends through one domain of a Mailgun account. Clones share connections.
///
/// Built from the vendor's documentation as of November 2026; no live account was used.
///
/// | what | how, and where it is documented |
/// |---|---|
/// | several emails in one call | `recipient-variables`, at most 1 000 recipients: <https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/batch-sending>. Every recipient has variables; without them all would see each other |
/// | a lost answer | there is no idempotency key; each email carries its key in the variable `mkt-mail`, which is looked for in the log half an hour later: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/logs/post-v1-analytics-logs> |
/// | throttling | 429, 420, 421 with "try again after …" in the text |
/// | sandbox | `o:testmode`: <https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-test-mode> |
/// | metadata | `v:` variables. **Recipients can read them**, in `X-Mailgun-Variables` |
///
/// # How a campaign becomes few calls
///
/// A call has one body. Emails whose subject, text and HTML are the same share a call, whatever their metadata, headers
/// and unsubscribe links; and so do emails of one vendor template, whatever their parameters
/// ([`VendorTemplate`](crate::message::VendorTemplate)). Emails that were rendered for each person go one to a call. Putting rendered
/// bodies into variables would save calls, but how the vendor escapes variables is not documented.
///
/// A text that holds `%recipient` is refused: the vendor would put something else in its place. It does so with
/// `%unsubscribe_url%`, `%tag_unsubscribe_url%` and `%mailing_list_unsubscribe_url%` too, which are taken for meant.
///
/// ```
/// use mkt_connect::Secret;
/// use mkt_email::{EmailProvider, Mailgun, Region};
/// let provider = Mailgun::builder(Secret::new("key-0123"), "mg.shop.example").region(Region::Eu).build()?;
/// assert_eq!(provider.account(), "mailgun:mg.shop.example");
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Clone)]
pub struct Mailgun {
    client: Client,
    key: Secret,
    domain: Arc<str>,
    account: Arc<str>,
    capabilities: Capabilities,
    log_kept: Duration,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Mailgun {
    /// Starts the settings, with an API key and the sending domain.
    #[must_use]
    pub fn builder(key: Secret, domain: &str) -> MailgunBuilder {
        MailgunBuilder {
            settings: vendor::Settings::new(key),
            domain: domain.trim().to_owned(),
            region: Region::Us,
            max_tags: limit::TAGS,
            horizon: limit::HORIZON,
            log_kept: LOG_KEPT,
        }
    }

    /// The account of the environment variables `MAILGUN_API_KEY`, `MAILGUN_DOMAIN` and, if it is `eu`,
    /// `MAILGUN_REGION`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when one of the first two is not set.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let key = vendor::secret_from_env(SERVICE, "MAILGUN_API_KEY")?;
        let domain = variable("MAILGUN_DOMAIN")
            .ok_or_else(|| vendor::misconfigured(SERVICE, "MAILGUN_DOMAIN is not set"))?;
        let european =
            variable("MAILGUN_REGION").is_some_and(|region| region.trim().eq_ignore_ascii_case("eu"));
        Self::builder(key, &domain).region(if european { Region::Eu } else { Region::Us }).build()
    }

    /// All accepted emails of the domain around the instant of a call, or nothing when the log cannot be read to its
    /// end.
    async fn look_up(&self, group: &Group) -> Result<Option<Vec<wire::LogItem>>> {
        let shifted = |at: DateTime<Utc>, by: TimeDelta| at.checked_add_signed(by).unwrap_or(at);
        let window = (shifted(group.at(), -SKEW), shifted(later(group.at(), self.timeout), SKEW));
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let query = wire::LogQuery::accepted(&self.domain, window, PAGE, token.as_deref());
            // Reading twice is harmless, but a settlement that fails is tried again by the caller.
            let request = Request::post("v1/analytics/logs").operation("settle").json(&query);
            let response = self.client.send(&request).await?;
            if !response.is_success() {
                return match error::judge(&response, &|words| vendor::clean(words, &self.key, group)) {
                    Said::Failed(error) => Err(error),
                    Said::Refused(..) => Ok(None),
                };
            }
            let Ok(page) = response.json::<wire::LogPage>() else { return Ok(None) };
            let count = page.items.len();
            let accepted = page.items.into_iter().filter(|item| item.event == "accepted");
            found.extend(accepted.map(wire::LogItem::read));
            match page.pagination.next.filter(|next| !next.is_empty()) {
                Some(next) if count > 0 && token.as_deref() != Some(next.as_str()) => token = Some(next),
                // A page that names itself as the next one is the last, unless it is full.
                Some(_) if count >= PAGE => return Ok(None),
                _ => return Ok(Some(found)),
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl EmailProvider for Mailgun {
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
        limit::plan(&self.capabilities, messages, now)
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let Some(first) = group.emails().first() else { return Ok(Vec::new()) };
        let (content_type, body) = wire::form(group, first, self.capabilities.sandbox).encode();
        let path = format!("v3/{}/messages", path_segment(&self.domain));
        let request = Request::post(path).operation("send").body(content_type, body);
        let response = match self.client.send(&request).await {
            Ok(response) => response,
            Err(error) => return vendor::lost_or(error, group),
        };
        let count = group.emails().len();
        if response.status() == 200 {
            if let Some(id) = response.json::<wire::Queued>().ok().and_then(|queued| queued.id()) {
                return Ok(vec![Outcome::Accepted { id }; count]);
            }
            // Only the greeting proves that nothing was done; any other success that cannot be read is an answer lost.
            return match error::judge(&response, &str::to_owned) {
                Said::Failed(error) if !error.leaves_doubt() => Err(error),
                _ => Ok(vendor::lost(group)),
            };
        }
        match error::judge(&response, &|words| vendor::clean(words, &self.key, group)) {
            Said::Refused(reason, words) => Ok(vendor::refused(group, reason, &vendor::quote(&words))),
            Said::Failed(error) => vendor::failed(error, &self.client, group),
        }
    }

    /// Looks for the emails in the vendor's log, by the variable that they carry. Before half an hour has passed an
    /// absence proves nothing, and when the log is no longer kept neither. Nor does it where the log names the recipient
    /// and shows no variables that can be read: it cuts them off after 4 KB. A log that cannot be read is no error: the
    /// vendor has keys that may send and nothing else.
    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let unknown = || Ok(vec![Settlement::StillUnknown; group.emails().len()]);
        let now = self.clock.now();
        if now < later(group.at(), SETTLED_AFTER) || now >= later(group.at(), self.log_kept) {
            return unknown();
        }
        let found = match self.look_up(group).await {
            Ok(Some(found)) => found,
            Ok(None) => return unknown(),
            // Nothing was found out; it can be asked again. A key that may only send must not stop the sending.
            Err(error) => {
                tracing::warn!(%error, "the log could not be read, lost answers stay unknown");
                return unknown();
            }
        };
        let log = wire::Log::of(&found, &group.key().to_string());
        let settled = group.emails().iter().map(|email| match log.find(email) {
            Some(item) => {
                let id = item.message_id().map_or_else(|| email.key.to_string(), str::to_owned);
                Settlement::Known(Outcome::Accepted { id })
            }
            None if log.may_hide(email) => Settlement::StillUnknown,
            None => Settlement::NotArrived,
        });
        Ok(settled.collect())
    }

    /// Reads the domain: `GET /v4/domains/{name}`. A key that may only send fails here.
    async fn check(&self) -> Result<()> {
        let path = format!("v4/domains/{}", path_segment(&self.domain));
        let response = self.client.send(&Request::get(path).operation("check")).await?;
        if response.is_success() {
            let is_domain = |found: wire::DomainAnswer| found.domain.name.eq_ignore_ascii_case(&self.domain);
            if response.json::<wire::DomainAnswer>().is_ok_and(is_domain) {
                return Ok(());
            }
            if !response.text().contains("Magnificent API") {
                let error = response.error(ErrorKind::Protocol);
                return Err(error.with_detail("the answer is not the Mailgun domain"));
            }
        }
        match error::judge(&response, &str::to_owned) {
            Said::Failed(error) => Err(error),
            Said::Refused(..) => Err(response.error(ErrorKind::Protocol)),
        }
    }
}

impl fmt::Debug for Mailgun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailgun")
            .field("host", &self.client.host())
            .field("domain", &self.domain)
            .field("sandbox", &self.capabilities.sandbox)
            .finish_non_exhaustive()
    }
}

/// Builder of [`Mailgun`].
#[derive(Clone)]
pub struct MailgunBuilder {
    settings: vendor::Settings,
    domain: String,
    region: Region,
    max_tags: usize,
    horizon: Duration,
    log_kept: Duration,
}

impl MailgunBuilder {
    vendor::common_setters!();

    /// Sets the region of the domain. A domain of the other region is "not found". Default: US.
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Sets the name of the account whose pauses are shared. Give several domains of one account the same name: limits
    /// are the account's. Not a secret. Default: `mailgun:DOMAIN`.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        self.settings.account = Some(name.to_owned());
        self
    }

    /// Sets the most tags on an email. Default: 3; newer documentation of the vendor says 10.
    #[must_use]
    pub fn max_tags(mut self, count: usize) -> Self {
        self.max_tags = count;
        self
    }

    /// Sets how far ahead an email can be scheduled, which depends on the plan. Default: 3 days.
    #[must_use]
    pub fn schedule_horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// Sets how long the plan keeps the log. Default: one day. Older calls are not settled.
    #[must_use]
    pub fn log_kept(mut self, time: Duration) -> Self {
        self.log_kept = time;
        self
    }

    /// Sets the time limit of a call. Default: 60 s.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = limit;
        self
    }

    /// Checks the settings. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the key is empty or cannot be a header, the domain is invalid, the URL is not `https`,
    /// the account has no name.
    pub fn build(self) -> Result<Mailgun> {
        let Self { settings, domain, region, max_tags, horizon, log_kept } = self;
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if domain.is_empty() || !domain.bytes().all(letters) {
            return Err(vendor::misconfigured(SERVICE, "invalid domain"));
        }
        let account = settings.account_name(SERVICE, format!("{SERVICE}:{domain}"))?;
        let client = settings.client(SERVICE, region.base_url())?.basic_auth("api", &settings.key).build()?;
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(limit::features());
        capabilities.max_recipients = limit::RECIPIENTS;
        capabilities.max_message_bytes = Some(limit::MESSAGE_BYTES);
        capabilities.max_tags = Some(max_tags);
        capabilities.schedule_horizon = Some(horizon);
        capabilities.idempotency = Idempotency::LookUp { after: SETTLED_AFTER };
        capabilities.id_per_recipient = false;
        capabilities.sandbox = settings.sandbox;
        Ok(Mailgun {
            client,
            key: settings.key,
            domain: domain.into(),
            account,
            capabilities,
            log_kept,
            timeout: settings.timeout,
            clock: settings.clock,
        })
    }
}

impl fmt::Debug for MailgunBuilder {
    /// The base URL is left out: it has not been checked for credentials yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailgunBuilder")
            .field("domain", &self.domain)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
