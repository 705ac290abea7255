//! How calls of Brevo are recognised: <https://developers.brevo.com/docs/secured-webhooks>, and the ranges of
//! <https://help.brevo.com/hc/en-us/articles/15127404548498>, read in November 2026.

use super::secret::Secrets;
use super::{SERVICE, WebhookRefusal};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The ranges that Brevo calls from.
pub const BREVO_RANGES: [&str; 2] = ["1.179.112.0/20", "172.246.240.0/20"];

/// The shortest secret: 128 bits in base64 take 22 characters, in hexadecimal 32.
const MIN_SECRET: usize = 16;

/// A range of addresses: `1.179.112.0/20`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Whether the address is in the range. An IPv4 address written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                (range.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                (range.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            Error::new(ErrorKind::Config, SERVICE, "read a range")
                .with_detail(format!("invalid range {text:?}: expected ADDRESS/BITS"))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| refused())?;
        if prefix > bits {
            return Err(refused());
        }
        Ok(Self { address, prefix })
    }
}

/// How calls of Brevo are recognised: by one of the configured credentials, and from the configured ranges only.
///
/// ```
/// use mkt_connect::Secret;
/// use mkt_email::webhook::{BREVO_RANGES, BrevoWebhook};
/// let ranges = BREVO_RANGES.map(|range| range.parse().unwrap());
/// let webhook = BrevoWebhook::builder().bearer(&Secret::new("a token of at least 16 bytes")).only_from(&ranges).build()?;
/// assert!(BrevoWebhook::builder().build().is_err()); // never without authentication
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Clone)]
pub struct BrevoWebhook {
    bearer: Secrets,
    basic: Secrets,
    headers: Vec<(HeaderName, Secrets)>,
    ranges: Vec<IpRange>,
    proxies: usize,
}

impl BrevoWebhook {
    /// Starts the settings. At least one credential or range is needed.
    #[must_use]
    pub fn builder() -> BrevoWebhookBuilder {
        BrevoWebhookBuilder {
            webhook: Self {
                bearer: Secrets::new(),
                basic: Secrets::new(),
                headers: Vec::new(),
                ranges: Vec::new(),
                proxies: 0,
            },
            refused: None,
        }
    }

    /// Whether a call with these headers, from this address, is one of Brevo's.
    ///
    /// # Errors
    /// [`WebhookRefusal::Network`] for a call from elsewhere, or of which the address is not known;
    /// [`WebhookRefusal::Forged`].
    pub fn verify(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<(), WebhookRefusal> {
        if !self.ranges.is_empty() {
            let from = self.caller(headers, from).ok_or(WebhookRefusal::Network)?;
            if !self.ranges.iter().any(|range| range.contains(from)) {
                return Err(WebhookRefusal::Network);
            }
        }
        if self.bearer.is_empty() && self.basic.is_empty() && self.headers.is_empty() {
            // `build` has seen to it that there are ranges then.
            return if self.ranges.is_empty() { Err(WebhookRefusal::Forged) } else { Ok(()) };
        }
        let (bearer, basic) = match only(headers, &AUTHORIZATION) {
            Some(value) => (after_scheme(value, b"bearer"), after_scheme(value, b"basic")),
            None => (None, None),
        };
        let decoded = basic.and_then(|given| STANDARD.decode(given).ok());
        let mut known = bearer.is_some_and(|given| self.bearer.knows(given));
        known |= decoded.is_some_and(|given| self.basic.knows(&given));
        for (name, secrets) in &self.headers {
            known |= only(headers, name).is_some_and(|given| secrets.knows(given));
        }
        if known { Ok(()) } else { Err(WebhookRefusal::Forged) }
    }

    /// The caller's address: the one that the outermost trusted proxy saw.
    fn caller(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Option<IpAddr> {
        if self.proxies == 0 {
            return from;
        }
        let all = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().ok());
        let list = all.collect::<Option<Vec<_>>>()?.join(",");
        list.rsplit(',').nth(self.proxies - 1)?.trim().parse().ok()
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// What follows the name of a scheme, which may be written in any case (RFC 9110 §11.1).
fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?;
    name.eq_ignore_ascii_case(scheme).then_some(rest)
}

impl fmt::Debug for BrevoWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrevoWebhook")
            .field("bearer", &!self.bearer.is_empty())
            .field("basic", &!self.basic.is_empty())
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("ranges", &self.ranges)
            .finish_non_exhaustive()
    }
}

/// Builder of [`BrevoWebhook`].
#[derive(Debug, Clone)]
pub struct BrevoWebhookBuilder {
    webhook: BrevoWebhook,
    refused: Option<String>,
}

impl BrevoWebhookBuilder {
    fn checked(mut self, secret: &Secret) -> Self {
        if secret.expose().len() < MIN_SECRET {
            self.refused = Some(format!("a credential has fewer than {MIN_SECRET} bytes"));
        }
        self
    }

    /// Accepts a bearer token (`auth: {type: "bearer", token}` of the webhook). Several: any of them, for rotation.
    #[must_use]
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.webhook.bearer.add(token);
        self.checked(token)
    }

    /// Accepts basic credentials, which Brevo takes from the webhook's URL (`https://user:password@…`).
    #[must_use]
    pub fn basic(mut self, user: &str, password: &Secret) -> Self {
        self.webhook.basic.add_bytes(format!("{user}:{}", password.expose()).as_bytes());
        if user.contains(':') {
            self.refused = Some("the user name contains a colon".to_owned());
        }
        self.checked(password)
    }

    /// Accepts a header of one's own (`headers` of the webhook).
    #[must_use]
    pub fn header(mut self, name: &str, value: &Secret) -> Self {
        match name.parse::<HeaderName>() {
            Ok(name) => {
                let known = self.webhook.headers.iter_mut().find(|(known, _)| *known == name);
                match known {
                    Some((_, secrets)) => secrets.add(value),
                    None => {
                        let mut secrets = Secrets::new();
                        secrets.add(value);
                        self.webhook.headers.push((name, secrets));
                    }
                }
            }
            Err(_) => self.refused = Some(format!("invalid header name {name:?}")),
        }
        self.checked(value)
    }

    /// Refuses calls from outside of these ranges; see [`BREVO_RANGES`]. With ranges and no credential, the network is
    /// all that is checked.
    #[must_use]
    pub fn only_from(mut self, ranges: &[IpRange]) -> Self {
        self.webhook.ranges.extend(ranges);
        self
    }

    /// Says how many proxies that you run stand before this server: the caller is the address that the outermost of them
    /// added to `X-Forwarded-For`. Default: 0, the header is ignored.
    #[must_use]
    pub fn behind_proxies(mut self, count: usize) -> Self {
        self.webhook.proxies = count;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] without any authentication, for a credential of fewer than 16 bytes or an invalid header
    /// name.
    pub fn build(self) -> Result<BrevoWebhook> {
        let refused = |detail: &str| Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail);
        let webhook = self.webhook;
        let none = webhook.bearer.is_empty() && webhook.basic.is_empty() && webhook.headers.is_empty();
        if let Some(detail) = self.refused {
            return Err(refused(&detail));
        }
        if none && webhook.ranges.is_empty() {
            return Err(refused(
                "no authentication: give a bearer token, basic credentials, a header or ranges",
            ));
        }
        Ok(webhook)
    }
}
