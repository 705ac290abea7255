//! Double opt-in: signed links by which a person confirms that they want marketing email.
//!
//! A form on a page proves nothing about who filled it in. The address that it names is sent one transactional email
//! ([`Template::confirmation`](crate::Template::confirmation)) with a link; who follows it and presses the button has
//! the mailbox. `Outbox::confirm` then records the consent, as confirmed: it also ends an earlier unsubscription of the
//! same scope, which no import of a list does.
//!
//! As with unsubscribe links, only POST confirms: scanners follow every link of an email with GET.

use crate::EmailAddress;
use crate::signing::{DIGEST, Keys, MAX_NAME, name, push_name};
use crate::unsubscribe::UnsubscribeScope;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::fmt;
use url::Url;

const SERVICE: &str = "confirm";
const VERSION: u8 = 1;
/// How long a link is valid unless it says otherwise.
const DEFAULT_DAYS: i64 = 7;
/// Version, person, request, expiry, two names, signature, in base64.
const MAX_TOKEN: usize = (1 + DIGEST + 8 + 8 + 2 * (1 + MAX_NAME) + 1 + DIGEST).div_ceil(3) * 4;

/// The content of a confirmation link: who asked for what, when and where.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConfirmClaim {
    person: [u8; DIGEST],
    scope: UnsubscribeScope,
    source: String,
    requested_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl ConfirmClaim {
    /// A request for all marketing email, made at `requested_at` through `source` (such as `footer form`). The link is
    /// valid for seven days.
    #[must_use]
    pub fn marketing(address: &EmailAddress, source: impl Into<String>, requested_at: DateTime<Utc>) -> Self {
        let seconds = |at: DateTime<Utc>| DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
        let requested_at = seconds(requested_at);
        let expires_at = requested_at
            .checked_add_signed(TimeDelta::days(DEFAULT_DAYS))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self {
            person: address.digest(),
            scope: UnsubscribeScope::Marketing,
            source: source.into(),
            requested_at,
            expires_at: seconds(expires_at),
        }
    }

    /// As [`marketing`](Self::marketing), for one list.
    #[must_use]
    pub fn list(
        address: &EmailAddress,
        list: impl Into<String>,
        source: impl Into<String>,
        requested_at: DateTime<Utc>,
    ) -> Self {
        Self { scope: UnsubscribeScope::List(list.into()), ..Self::marketing(address, source, requested_at) }
    }

    /// Sets the expiry of the link, in whole seconds.
    #[must_use]
    pub fn until(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
        self
    }

    /// The person: [`EmailAddress::key`] of the address.
    #[must_use]
    pub fn address_key(&self) -> String {
        crate::id::hex(&self.person)
    }

    /// What is asked for.
    #[must_use]
    pub fn scope(&self) -> &UnsubscribeScope {
        &self.scope
    }

    /// Where it was asked for.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When it was asked for.
    #[must_use]
    pub fn requested_at(&self) -> DateTime<Utc> {
        self.requested_at
    }

    fn payload(&self) -> Result<Vec<u8>> {
        let (kind, list) = match &self.scope {
            UnsubscribeScope::Marketing => (b'm', ""),
            UnsubscribeScope::List(list) => (b'l', list.as_str()),
        };
        let mut payload = Vec::with_capacity(128);
        payload.push(VERSION);
        payload.extend(self.person);
        payload.extend(self.requested_at.timestamp().to_be_bytes());
        payload.extend(self.expires_at.timestamp().to_be_bytes());
        payload.push(kind);
        push_name(SERVICE, &mut payload, list)?;
        push_name(SERVICE, &mut payload, &self.source)?;
        Ok(payload)
    }

    fn of_payload(payload: &[u8]) -> Option<Self> {
        let (&version, rest) = payload.split_first()?;
        let (person, rest) = rest.split_first_chunk::<DIGEST>()?;
        let (requested, rest) = rest.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (&kind, rest) = rest.split_first()?;
        let (list, rest) = name(rest)?;
        let (source, rest) = name(rest)?;
        let scope = match kind {
            b'm' if list.is_empty() => UnsubscribeScope::Marketing,
            b'l' => UnsubscribeScope::List(list),
            _ => return None,
        };
        (version == VERSION && rest.is_empty()).then_some(Self {
            person: *person,
            scope,
            source,
            requested_at: DateTime::from_timestamp(i64::from_be_bytes(*requested), 0)?,
            expires_at: DateTime::from_timestamp(i64::from_be_bytes(*expires), 0)?,
        })
    }
}

impl fmt::Debug for ConfirmClaim {
    /// Eight digits of the pseudonym, as [`EmailAddress`] shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfirmClaim(#{:.8}, {:?}, {})", self.address_key(), self.scope, self.source)
    }
}

/// The reason for refusing a confirmation link. It does not contain the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmRefusal {
    /// No token, or none that these keys have signed.
    #[error("the confirmation link is not one of ours, or not whole")]
    Forged,
    /// Signed, but expired: the person must ask again.
    #[error("the confirmation link has ended")]
    Expired,
}

/// Signs and verifies confirmation links. The secret may be that of
/// [`UnsubscribeKeys`](crate::unsubscribe::UnsubscribeKeys): a link of one is none of the other.
///
/// ```
/// use mkt_connect::Secret;
/// use mkt_email::confirm::{ConfirmClaim, ConfirmKeys};
/// let keys = ConfirmKeys::new(&Secret::new("a secret of at least 24 bytes, from a key store"))?;
/// let (jean, now) = ("jean@example.org".parse()?, "2026-10-26T12:00:00Z".parse()?);
/// let link = keys.link(&"https://shop.example/confirm".parse()?, &ConfirmClaim::marketing(&jean, "footer form", now))?;
/// let token = link.path_segments().and_then(|mut parts| parts.next_back()).unwrap();
/// assert_eq!(keys.verify(token, now)?.source(), "footer form");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ConfirmKeys(Keys);

impl fmt::Debug for ConfirmKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfirmKeys({})", self.0.len())
    }
}

impl ConfirmKeys {
    /// One key that signs and verifies.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes.
    pub fn new(secret: &Secret) -> Result<Self> {
        Ok(Self(Keys::new(SERVICE, b"mkt-email confirm\0").accepting(secret)?))
    }

    /// Accepts links signed with an earlier key too.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes, or a ninth key.
    pub fn accepting(self, former: &Secret) -> Result<Self> {
        Ok(Self(self.0.accepting(former)?))
    }

    /// The token for a claim: URL-safe base64.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the name of the list or the source is longer than 150 bytes.
    pub fn token(&self, claim: &ConfirmClaim) -> Result<String> {
        self.0.token(claim.payload()?)
    }

    /// The link for a claim: `base` with the token as one more part of its path.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if `base` is not an `https` link (or on loopback), or as [`token`](Self::token).
    pub fn link(&self, base: &Url, claim: &ConfirmClaim) -> Result<Url> {
        let here = matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let refused = || {
            Error::new(ErrorKind::Input, SERVICE, "make a link")
                .with_detail("invalid base of the links: expected an https URL without credentials")
        };
        let open = base.username().is_empty() && base.password().is_none();
        if !(base.scheme() == "https" || (here && base.scheme() == "http")) || !open {
            return Err(refused());
        }
        let mut link = base.clone();
        link.path_segments_mut().map_err(|()| refused())?.pop_if_empty().push(&self.token(claim)?);
        Ok(link)
    }

    /// What a token claims, if one of the keys has signed it. Nothing of an unsigned token is interpreted.
    ///
    /// # Errors
    /// [`ConfirmRefusal`].
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<ConfirmClaim, ConfirmRefusal> {
        let payload = self.0.payload(token, MAX_TOKEN).ok_or(ConfirmRefusal::Forged)?;
        let claim = ConfirmClaim::of_payload(&payload).ok_or(ConfirmRefusal::Forged)?;
        if claim.expires_at <= now { Err(ConfirmRefusal::Expired) } else { Ok(claim) }
    }
}
