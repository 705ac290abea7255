//! One event of one email.

use super::{EventId, EventKind};
use crate::unsubscribe::{UnsubscribeClaim, UnsubscribeScope};
use crate::{EmailAddress, EmailId};
use chrono::{DateTime, Utc};
use std::fmt;

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 1_000;
/// The longest other text that is kept, in characters.
const MAX_TEXT: usize = 2_048;

/// One event of one email.
///
/// ```
/// use mkt_email::event::{EmailEvent, EventKind};
/// let at = "2026-10-26T12:00:00Z".parse()?;
/// let event = EmailEvent::new("mailgun", EventKind::HardBounce, at)
///     .native_id("Ase7i2zsRYeDXztHGENqRA")
///     .recipient("jean@example.org".parse()?)
///     .message_id("20130503182626.18666.16540@mg.shop.example")
///     .reason("550 5.1.1 no such user")
///     .code("5.1.1");
/// assert_eq!(event.id(), event.clone().reason("other words").id());
/// assert!(!format!("{event:?}").contains("jean"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmailEvent {
    /// Who reports it: `brevo`, `mailgun`, `bounce`, `link`.
    pub provider: String,
    /// What happened.
    pub kind: EventKind,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The provider's own id of the event, if it has one that is unique for ever.
    pub native_id: Option<String>,
    /// The provider's word for what happened.
    pub vendor_kind: Option<String>,
    /// The email in our outbox, where the report names it. Otherwise it is found by [`message_id`](Self::message_id)
    /// and recipient.
    pub email: Option<EmailId>,
    /// The provider's id of the message, without angle brackets.
    pub message_id: Option<String>,
    /// The campaign that the report names. That of the email in the outbox counts before it.
    pub campaign: Option<String>,
    /// What an [`EventKind::Unsubscribed`] covers. Default: all marketing email.
    pub scope: UnsubscribeScope,
    /// The link that was followed.
    pub url: Option<String>,
    /// Why, in the words of the report. May name the recipient.
    pub reason: Option<String>,
    /// The reply code: `5.1.1`, `550`.
    pub code: Option<String>,
    /// The payload as it arrived. Names the recipient.
    pub raw: Option<String>,
    recipient: Option<EmailAddress>,
    address_key: Option<String>,
    /// The id under which it is stored, for an event that was read from there.
    stored_id: Option<EventId>,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident <= $most:expr;)+) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(mut self, text: impl Into<String>) -> Self {
            self.$name = Some(cut(text.into(), $most)).filter(|text| !text.is_empty());
            self
        })+
    };
}

impl EmailEvent {
    /// An event of which nothing is known yet but what and when.
    #[must_use]
    pub fn new(provider: impl Into<String>, kind: EventKind, at: DateTime<Utc>) -> Self {
        Self {
            provider: provider.into(),
            kind,
            at,
            native_id: None,
            vendor_kind: None,
            email: None,
            message_id: None,
            campaign: None,
            scope: UnsubscribeScope::Marketing,
            url: None,
            reason: None,
            code: None,
            raw: None,
            recipient: None,
            address_key: None,
            stored_id: None,
        }
    }

    /// The unsubscription by a verified link.
    #[must_use]
    pub fn unsubscribed_by_link(claim: &UnsubscribeClaim, at: DateTime<Utc>) -> Self {
        let mut event = Self::new("link", EventKind::Unsubscribed, at).campaign(claim.campaign());
        event.scope = claim.scope().clone();
        event.address_key = Some(claim.address_key());
        event
    }

    texts! {
        /// Sets the provider's own id of the event.
        native_id <= MAX_TEXT;
        /// Sets the provider's word for what happened.
        vendor_kind <= MAX_TEXT;
        /// Sets the campaign.
        campaign <= MAX_TEXT;
        /// Sets the link that was followed.
        url <= MAX_TEXT;
        /// Sets the reason; the first 1 000 characters are kept.
        reason <= MAX_REASON;
        /// Sets the reply code.
        code <= MAX_TEXT;
        /// Sets the payload as it arrived.
        raw <= usize::MAX;
    }

    /// Sets the provider's id of the message; angle brackets are removed.
    #[must_use]
    pub fn message_id(mut self, id: impl AsRef<str>) -> Self {
        let id = id.as_ref().trim().trim_start_matches('<').trim_end_matches('>');
        self.message_id = Some(cut(id.to_owned(), MAX_TEXT)).filter(|id| !id.is_empty());
        self
    }

    /// Sets the recipient.
    #[must_use]
    pub fn recipient(mut self, address: EmailAddress) -> Self {
        self.address_key = Some(address.key());
        self.recipient = Some(address);
        self
    }

    /// Sets the email in our outbox.
    #[must_use]
    pub fn email(mut self, id: EmailId) -> Self {
        self.email = Some(id);
        self
    }

    /// Sets what an unsubscription covers.
    #[must_use]
    pub fn scope(mut self, scope: UnsubscribeScope) -> Self {
        self.scope = scope;
        self
    }

    /// The recipient's address, if it is known and valid.
    #[must_use]
    pub fn address(&self) -> Option<&EmailAddress> {
        self.recipient.as_ref()
    }

    /// The key of the recipient's address ([`EmailAddress::key`]).
    #[must_use]
    pub fn address_key(&self) -> Option<&str> {
        self.address_key.as_deref()
    }

    /// The key of the event: of the provider's id, or else of provider, kind, message, recipient, second and link. Two
    /// clicks of one person on one link in one second are one event then.
    #[must_use]
    pub fn id(&self) -> EventId {
        match (self.stored_id, &self.native_id) {
            (Some(id), _) => id,
            (None, Some(id)) => EventId::native(&self.provider, id),
            (None, None) => {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let (kind, message) = (self.kind.as_str(), text(&self.message_id));
                let kind =
                    if self.kind == EventKind::Unknown { self.vendor_kind.as_deref() } else { Some(kind) };
                let (key, url, campaign) = (text(&self.address_key), text(&self.url), text(&self.campaign));
                // A campaign names an email only where nothing else does: vendors do not report it in every way.
                let campaign = if message.is_empty() { campaign } else { String::new() };
                EventId::derived(
                    &self.provider,
                    &[
                        kind.unwrap_or_default().as_bytes(),
                        message.as_bytes(),
                        key.as_bytes(),
                        &self.at.timestamp().to_be_bytes(),
                        url.as_bytes(),
                        campaign.as_bytes(),
                    ],
                )
            }
        }
    }

    /// Sets what an event that was stored had; nothing if the id is none.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn restore(
        &mut self,
        id: &str,
        recipient: Option<EmailAddress>,
        address_key: Option<String>,
    ) -> Option<()> {
        (self.recipient, self.address_key) = (recipient, address_key);
        self.stored_id = Some(EventId::parse(id)?);
        Some(())
    }
}

/// At most so many characters, without NUL, which no database keeps.
fn cut(text: String, most: usize) -> String {
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

impl fmt::Debug for EmailEvent {
    /// The address is shown as eight digits of its key; reason, link and payload are personal and left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailEvent")
            .field("provider", &self.provider)
            .field("kind", &self.kind)
            .field("at", &self.at)
            .field("id", &self.id())
            .field("person", &self.address_key.as_ref().map(|key| format!("#{key:.8}")))
            .field("message_id", &self.message_id)
            .field("campaign", &self.campaign)
            .finish_non_exhaustive()
    }
}
