//! Signed unsubscribe links (RFC 8058): made for every marketing email, verified when one is followed.
//!
//! Everything here is a pure function: no endpoint, no database, no clock. Whoever serves the link keeps three rules:
//!
//! - **Only POST unsubscribes.** A GET shows a page with a button: link scanners and previewers follow every link of a
//!   email with GET, and must not end anybody's subscription.
//! - The POST needs no cookie, no login, and gets no redirect (RFC 8058 §3.2).
//! - The claim of a verified link is acted upon at once (`Outbox::unsubscribe`), whatever became of the campaign since.
//!
//! A link names its reader by the SHA-256 of the address, under which suppressions are kept too
//! ([`EmailAddress::key`]). It shows no address. It is a pseudonym and not an anonym: whoever guesses the address can
//! compute it.

use crate::EmailAddress;
use crate::message::ListUnsubscribe;
use crate::signing::{DIGEST, Keys, MAX_NAME, name, push_name};
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::fmt;
use url::Url;

const SERVICE: &str = "unsubscribe";
/// The name of the query parameter that carries the token.
const PARAMETER: &str = "u";
const VERSION: u8 = 1;
/// The longest token that is looked at: version, person, expiry, two names, signature, in base64.
const MAX_TOKEN: usize = (1 + DIGEST + 8 + 2 * (1 + MAX_NAME) + 1 + DIGEST).div_ceil(3) * 4;

/// What the reader of a link leaves: all marketing email, or one list. Never transactional email.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnsubscribeScope {
    /// Marketing email of every list.
    Marketing,
    /// Marketing email of one list.
    List(String),
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<UnsubscribeScope> for crate::outbox::SuppressionScope {
    fn from(scope: UnsubscribeScope) -> Self {
        match scope {
            UnsubscribeScope::Marketing => Self::Marketing,
            UnsubscribeScope::List(list) => Self::List(list),
        }
    }
}

/// The content of a signed link: who unsubscribes from what, and the campaign of the email.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnsubscribeClaim {
    person: [u8; DIGEST],
    scope: UnsubscribeScope,
    campaign: String,
    expires_at: Option<DateTime<Utc>>,
}

impl UnsubscribeClaim {
    /// Unsubscribes from all marketing email, by an email of this campaign. The link does not expire: readers keep emails for
    /// years, and a dead link leads to complaints.
    #[must_use]
    pub fn marketing(address: &EmailAddress, campaign: impl Into<String>) -> Self {
        let (person, campaign) = (address.digest(), campaign.into());
        Self { person, scope: UnsubscribeScope::Marketing, campaign, expires_at: None }
    }

    /// As [`marketing`](Self::marketing), for one list.
    #[must_use]
    pub fn list(address: &EmailAddress, list: impl Into<String>, campaign: impl Into<String>) -> Self {
        Self { scope: UnsubscribeScope::List(list.into()), ..Self::marketing(address, campaign) }
    }

    /// Sets the expiry of the link, in whole seconds.
    #[must_use]
    pub fn until(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = DateTime::from_timestamp(at.timestamp(), 0);
        self
    }

    /// The recipient: [`EmailAddress::key`] of the address, the key of suppressions and emails.
    #[must_use]
    pub fn address_key(&self) -> String {
        crate::id::hex(&self.person)
    }

    /// Whether the claim is about this address.
    #[must_use]
    pub fn is_about(&self, address: &EmailAddress) -> bool {
        self.person == address.digest()
    }

    /// The scope.
    #[must_use]
    pub fn scope(&self) -> &UnsubscribeScope {
        &self.scope
    }

    /// The campaign of the email with the link.
    #[must_use]
    pub fn campaign(&self) -> &str {
        &self.campaign
    }

    /// The expiry of the link, if any.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }

    fn payload(&self) -> Result<Vec<u8>> {
        let (kind, list) = match &self.scope {
            UnsubscribeScope::Marketing => (b'm', ""),
            UnsubscribeScope::List(list) => (b'l', list.as_str()),
        };
        let mut payload = Vec::with_capacity(128);
        payload.push(VERSION);
        payload.extend(self.person);
        payload.extend(self.expires_at.map_or(i64::MAX, |at| at.timestamp()).to_be_bytes());
        payload.push(kind);
        for name in [list, self.campaign.as_str()] {
            push_name(SERVICE, &mut payload, name)?;
        }
        Ok(payload)
    }

    /// Reads what was signed. Every payload has one claim and every claim one payload.
    fn of_payload(payload: &[u8]) -> Option<Self> {
        let (&version, rest) = payload.split_first()?;
        let (person, rest) = rest.split_first_chunk::<DIGEST>()?;
        let (seconds, rest) = rest.split_first_chunk::<8>()?;
        let (&kind, rest) = rest.split_first()?;
        let (list, rest) = name(rest)?;
        let (campaign, rest) = name(rest)?;
        let expires_at = match i64::from_be_bytes(*seconds) {
            i64::MAX => None,
            seconds => Some(DateTime::from_timestamp(seconds, 0)?),
        };
        let scope = match kind {
            b'm' if list.is_empty() => UnsubscribeScope::Marketing,
            b'l' => UnsubscribeScope::List(list),
            _ => return None,
        };
        (version == VERSION && rest.is_empty()).then_some(Self {
            person: *person,
            scope,
            campaign,
            expires_at,
        })
    }
}

impl fmt::Debug for UnsubscribeClaim {
    /// Eight digits of the pseudonym, as [`EmailAddress`] shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnsubscribeClaim(#{:.8}, {:?}, {})", self.address_key(), self.scope, self.campaign)
    }
}

/// The reason for refusing a link. It does not contain the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnsubscribeRefusal {
    /// No token, or none that these keys have signed: forged, altered, cut off by an email program, or signed with a
    /// retired key.
    #[error("the unsubscribe link is not one of ours, or not whole")]
    Forged,
    /// Signed, but expired.
    #[error("the unsubscribe link has ended")]
    Expired,
}

/// Signs and verifies unsubscribe links.
///
/// The first key signs; links signed with the others are still accepted, so that a key can be rotated while old links keep
/// working. Retire a key some years after the last email signed with it.
///
/// ```
/// use mkt_email::EmailAddress;
/// use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
/// use mkt_connect::Secret;
/// let keys = UnsubscribeKeys::new(&Secret::new("a secret of at least 24 bytes, from a key store"))?;
/// let (jean, now) = ("jean@example.org".parse::<EmailAddress>()?, "2026-10-26T12:00:00Z".parse()?);
///
/// let link = keys.link(&"https://shop.example/leave".parse()?, &UnsubscribeClaim::marketing(&jean, "spring"))?;
/// assert!(!link.header_value().contains("jean")); // goes into `MessageBuilder::list_unsubscribe`
///
/// // In the handler of POST, never of GET:
/// let claim = keys.verify_link(link.link(), now)?;
/// assert!(claim.is_about(&jean) && claim.campaign() == "spring");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct UnsubscribeKeys(Keys);

impl fmt::Debug for UnsubscribeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnsubscribeKeys({})", self.0.len())
    }
}

impl UnsubscribeKeys {
    /// One key that signs and verifies.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes.
    pub fn new(secret: &Secret) -> Result<Self> {
        // Nothing else that is ever signed with the same secret can be taken for a link.
        Ok(Self(Keys::new(SERVICE, b"mkt-email unsubscribe\0").accepting(secret)?))
    }

    /// Accepts links signed with an earlier key too.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes, or a ninth key.
    pub fn accepting(self, former: &Secret) -> Result<Self> {
        Ok(Self(self.0.accepting(former)?))
    }

    /// The token for a claim: URL-safe base64. The same claim has the same token.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the name of the list or the campaign is longer than 150 bytes.
    pub fn token(&self, claim: &UnsubscribeClaim) -> Result<String> {
        self.0.token(claim.payload()?)
    }

    /// The link for a claim, ready for [`MessageBuilder::list_unsubscribe`](crate::MessageBuilder::list_unsubscribe):
    /// `base` with the token as query parameter `u`. Other parameters of `base` stay.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if `base` is not an `https` link without credentials, or has a parameter `u`, if the whole is
    /// longer than 900 bytes, or as [`token`](Self::token).
    pub fn link(&self, base: &Url, claim: &UnsubscribeClaim) -> Result<ListUnsubscribe> {
        if base.query_pairs().any(|(name, _)| name == PARAMETER) {
            // `verify_link` wants exactly one.
            return Err(Error::new(ErrorKind::Input, SERVICE, "make a link")
                .with_detail(format!("the base URL already has the query parameter {PARAMETER}")));
        }
        let mut link = base.clone();
        link.query_pairs_mut().append_pair(PARAMETER, &self.token(claim)?);
        ListUnsubscribe::one_click(link).map_err(|cause| {
            Error::new(ErrorKind::Input, SERVICE, "make a link")
                .with_detail(cause.to_string())
                .with_source(cause)
        })
    }

    /// Adds the `mailto:` form to a link: an email to `address` whose subject is `unsubscribe` and the signed token of the
    /// claim. [`FeedbackReader`](crate::bounce) acts upon it; the sender's address proves nothing and is not looked at.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn with_mailto(
        &self,
        link: ListUnsubscribe,
        address: EmailAddress,
        claim: &UnsubscribeClaim,
    ) -> Result<ListUnsubscribe> {
        Ok(link.with_mailto_subject(address, format!("unsubscribe {}", self.token(claim)?)))
    }

    /// What a token claims, if one of the keys has signed it. The comparison takes the same time wherever the first
    /// difference is; nothing of an unsigned token is interpreted.
    ///
    /// # Errors
    /// [`UnsubscribeRefusal`].
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<UnsubscribeClaim, UnsubscribeRefusal> {
        let payload = self.0.payload(token, MAX_TOKEN).ok_or(UnsubscribeRefusal::Forged)?;
        let claim = UnsubscribeClaim::of_payload(&payload).ok_or(UnsubscribeRefusal::Forged)?;
        match claim.expires_at {
            Some(end) if end <= now => Err(UnsubscribeRefusal::Expired),
            _ => Ok(claim),
        }
    }

    /// What a link claims, as it came in: the token is its query parameter `u`, and there must be one.
    ///
    /// # Errors
    /// [`UnsubscribeRefusal`].
    pub fn verify_link(
        &self,
        link: &Url,
        now: DateTime<Utc>,
    ) -> Result<UnsubscribeClaim, UnsubscribeRefusal> {
        let mut tokens = link.query_pairs().filter(|(name, _)| name == PARAMETER).map(|(_, value)| value);
        match (tokens.next(), tokens.next()) {
            (Some(token), None) => self.verify(&token, now),
            _ => Err(UnsubscribeRefusal::Forged),
        }
    }
}
