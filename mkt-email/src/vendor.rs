//! What vendors behind HTTP have in common: settings, lost answers, and what may be quoted of an answer.

use crate::Outcome;
use crate::provider::{Group, RejectReason, Stage};
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::http::{Client, ClientBuilder, RateBudget};
use mkt_connect::{Delivery, Error, ErrorKind, Result, Secret};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Maximum characters of a vendor's text that are quoted.
const QUOTED: usize = 160;
/// The default time limit of a call.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The settings that every vendor's builder has.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) key: Secret,
    pub(crate) base_url: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) sandbox: bool,
    pub(crate) timeout: Duration,
    pub(crate) rate: Option<RateBudget>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Settings {
    /// The defaults with an API key.
    pub(crate) fn new(key: Secret) -> Self {
        Self {
            key,
            base_url: None,
            account: None,
            sandbox: false,
            timeout: TIMEOUT,
            rate: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The name of the account, `default` unless one was set.
    pub(crate) fn account_name(&self, service: &'static str, default: String) -> Result<Arc<str>> {
        let account = self.account.clone().unwrap_or(default);
        if account.trim().is_empty() {
            return Err(misconfigured(service, "empty account name"));
        }
        Ok(account.into())
    }

    /// The client's builder: a total time limit for each call, and an error at once when a rate budget is used up,
    /// because the outbox waits and not a call. What is left to add is the vendor's way to authenticate.
    pub(crate) fn client(&self, service: &'static str, default_base_url: &str) -> Result<ClientBuilder> {
        if self.key.is_empty() {
            return Err(misconfigured(service, "empty API key"));
        }
        let base_url = self.base_url.as_deref().unwrap_or(default_base_url);
        let mut builder = Client::builder(service, base_url)
            .read_timeout(self.timeout)
            .total_timeout(self.timeout)
            .rate_patience(Duration::ZERO)
            .clock(Arc::clone(&self.clock));
        if let Some(budget) = &self.rate {
            builder = builder.rate(budget);
        }
        Ok(allow_loopback(builder, base_url))
    }
}

/// A [`ErrorKind::Config`] error of a builder.
pub(crate) fn misconfigured(service: &'static str, detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, service, "build").with_detail(detail)
}

/// The value of an environment variable that a vendor needs.
pub(crate) fn secret_from_env(service: &'static str, name: &str) -> Result<Secret> {
    Secret::from_env(name).ok_or_else(|| misconfigured(service, format!("{name} is not set")))
}

/// The setters that every vendor's builder has; the builder holds its [`Settings`] in `settings`.
macro_rules! common_setters {
    () => {
        /// Enables the vendor's sandbox: calls are checked and nothing is delivered. Default: off.
        #[must_use]
        pub fn sandbox(mut self, on: bool) -> Self {
            self.settings.sandbox = on;
            self
        }

        /// Sets the base URL. It must be `https`, except on loopback (a fake). Default: the vendor's.
        #[must_use]
        pub fn base_url(mut self, url: &str) -> Self {
            self.settings.base_url = Some(url.to_owned());
            self
        }

        /// Sets the budget of the account, to be shared by all that use it. A call beyond it fails at once with the
        /// time to wait. Default: none.
        #[must_use]
        pub fn rate(mut self, budget: &mkt_connect::http::RateBudget) -> Self {
            self.settings.rate = Some(budget.clone());
            self
        }

        /// Replaces the clock, for tests.
        #[must_use]
        pub fn clock(mut self, clock: std::sync::Arc<dyn mkt_connect::clock::Clock>) -> Self {
            self.settings.clock = clock;
            self
        }
    };
}
pub(crate) use common_setters;

/// Allows plain http for a base URL on loopback, for fakes; all others must be https.
fn allow_loopback(builder: ClientBuilder, base_url: &str) -> ClientBuilder {
    let Ok(url) = Url::parse(base_url.trim()) else { return builder };
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match (here, url.host(), url.port_or_known_default()) {
        (true, Some(host), Some(port)) => builder.allow_insecure_host(&format!("{host}:{port}")),
        _ => builder,
    }
}

/// The outcomes of a call whose answer never came or cannot be read. A call that was provably not sent, or was answered,
/// keeps its error.
pub(crate) fn lost_or(error: Error, group: &Group) -> Result<Vec<Outcome>> {
    if error.delivery() == Delivery::Unknown { Ok(lost(group)) } else { Err(error) }
}

/// The outcomes of a call that the vendor answered with a failure of its own. A 5xx may come after the emails were taken,
/// from the vendor or a gateway: it is a lost answer. The time that the vendor asks to wait pauses all calls of the client.
/// Other failures keep their error.
pub(crate) fn failed(error: Error, client: &Client, group: &Group) -> Result<Vec<Outcome>> {
    if error.kind() != ErrorKind::Unavailable || !error.leaves_doubt() {
        return Err(error);
    }
    if let Some(wait) = error.retry_after() {
        client.rate().pause_for(wait);
    }
    tracing::warn!(%error, "the outcome of the call is unknown");
    Ok(lost(group))
}

/// All outcomes unknown.
pub(crate) fn lost(group: &Group) -> Vec<Outcome> {
    vec![Outcome::Unknown { stage: Stage::AwaitingAnswer }; group.emails().len()]
}

/// The outcomes of a call that was refused because of its content.
pub(crate) fn refused(group: &Group, reason: RejectReason, detail: &str) -> Vec<Outcome> {
    let detail = detail.to_owned();
    match group.emails().len() {
        0 | 1 => vec![Outcome::Rejected { reason, detail }; group.emails().len()],
        count => vec![Outcome::GroupRefused { reason, detail }; count],
    }
}

/// A vendor's text without the API key, addresses, and personal data of the group's emails. What an answer means is read
/// from this text, so that a recipient's name cannot decide it.
pub(crate) fn clean(words: &str, secret: &Secret, group: &Group) -> String {
    let mut words = secret.redact(words);
    for email in group.emails() {
        let message = &email.message;
        let named = [message.from(), message.to()].into_iter().chain(message.reply_to());
        let names = named.flat_map(|mailbox| {
            let local = mailbox.address.as_str().split('@').next();
            [
                Some(mailbox.address.as_str()),
                local,
                mailbox.name.as_ref().map(crate::message::DisplayName::as_str),
            ]
        });
        let said = message.template().into_iter().flat_map(|template| template.params().values());
        let said = said.chain(message.metadata().values()).map(|value| Some(value.as_str()));
        let headers = message.headers().iter().map(|(_, value)| Some(value.as_str()));
        let values = names.chain(said).chain(headers).chain([Some(message.subject().as_str())]).flatten();
        for value in values.filter(|value| value.chars().count() > 2) {
            if words.contains(value) {
                words = words.replace(value, "…");
            }
        }
    }
    let address = |word: &str| word.contains('@') || word.contains("%40");
    let plain = words.split_whitespace().map(|word| if address(word) { "…" } else { word });
    plain.collect::<Vec<_>>().join(" ")
}

/// Clean text, shortened.
pub(crate) fn quote(clean: &str) -> String {
    clean.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Outgoing;
    use crate::{IdempotencyKey, Mailbox, Message};
    use std::sync::Arc;

    #[test]
    fn personal_data_in_vendor_text_is_removed() {
        let to = Mailbox::named("jean.dupont@example.org".parse().unwrap(), "Jean Dupont").unwrap();
        let message =
            Message::builder("news@shop.example".parse().unwrap(), to, "Bonjour Jean".parse().unwrap())
                .text("x")
                .metadata("person", "secret-7")
                .build()
                .unwrap();
        let email = Outgoing { key: IdempotencyKey::from_text("quote"), message: Arc::new(message) };
        let group = Group::new(chrono::Utc::now(), vec![email]);
        let words = "to Jean Dupont <jean.dupont@example.org> eve@else.example key-0123 secret-7 \u{7}Bonjour Jean is bad";
        let quoted = quote(&clean(words, &Secret::new("key-0123"), &group));
        assert_eq!(quoted, "to … <…> … … … … is bad");
        assert_eq!(clean("see /u?a=eve%40else.example now", &Secret::new("key"), &group), "see … now");
        assert_eq!(quote(&"é".repeat(500)).chars().count(), QUOTED);
    }
}
