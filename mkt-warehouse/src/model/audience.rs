//! Users, identities, and events of emails. No address is stored here.

use super::field::Json;
use crate::{record, vocabulary};
use chrono::{DateTime, NaiveDate, Utc};

record! {
    /// A person or visitor as one source knows them, with criteria for segments.
    User in "users" sliced, key [source, site, user_id] {
        /// As in `events`.
        user_id: String,
        /// When they signed up, UTC; null for a visitor who did not.
        signed_up_at: Option<DateTime<Utc>>,
        /// ISO 639-1 language.
        language: Option<String>,
        /// As the CRM has it.
        sex: Option<String>,
        /// For example `25-34`.
        age_band: Option<String>,
        /// Socio-professional group.
        occupation: Option<String>,
        /// The CRM's own segment.
        segment: Option<String>,
        /// Everything else.
        attributes: Json,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The day of sign-up in the site's zone, or the first day of the slice.
        day: NaiveDate,
    }
}

impl User {
    /// A user without any criteria, for struct update syntax as in [`Event::new`](super::Event::new).
    #[must_use]
    pub fn new(
        source: impl Into<String>,
        site: impl Into<String>,
        user_id: impl Into<String>,
        day: NaiveDate,
    ) -> Self {
        Self {
            user_id: user_id.into(),
            signed_up_at: None,
            language: None,
            sex: None,
            age_band: None,
            occupation: None,
            segment: None,
            attributes: Json::default(),
            source: source.into(),
            site: site.into(),
            day,
        }
    }
}

vocabulary! {
    /// By which key two ids were found to be one person.
    KeyKind, "a key kind" {
        /// The site's own user id.
        UserId = "user_id",
        /// A keyed hash of the e-mail address.
        EmailHash = "email_hash",
        /// A CRM's contact id.
        CrmId = "crm_id",
        /// An order id.
        OrderId = "order_id",
        /// Stated by hand.
        Manual = "manual",
    }
}

record! {
    /// "This user id belongs to this person." Reports count `coalesce(person_id, user_id)`.
    Identity in "identities" sliced, key [source, site, user_id] {
        /// As in `events`.
        user_id: String,
        /// The person.
        person_id: String,
        /// By which key.
        key_kind: KeyKind,
        /// Since when, UTC.
        since: DateTime<Utc>,
        /// In words.
        reason: String,
        /// Whose user id.
        source: String,
        /// The site.
        site: String,
        /// The day of `since`.
        day: NaiveDate,
    }
}

vocabulary! {
    /// What happened to an email.
    EmailEventType, "an e-mail event type" {
        /// The provider accepted it.
        Accepted = "accepted",
        /// It was delivered to the mailbox.
        Delivered = "delivered",
        /// It bounced.
        Bounced = "bounced",
        /// It was opened.
        Opened = "opened",
        /// A link was followed.
        Clicked = "clicked",
        /// The recipient unsubscribed.
        Unsubscribed = "unsubscribed",
        /// The recipient marked it as spam.
        Complained = "complained",
        /// The provider rejected it.
        Rejected = "rejected",
    }
}

record! {
    /// An event of an email: delivered, opened, clicked, ….
    EmailEvent in "email_events" sliced, key [event_id] {
        /// Stable hash of (source, site, native id).
        event_id: i64,
        /// The message, as our outbox names it.
        message_id: String,
        /// The recipient's user id; never the address.
        user_id: Option<String>,
        /// What happened.
        event_type: EmailEventType,
        /// When, UTC.
        timestamp: DateTime<Utc>,
        /// The campaign.
        campaign_id: Option<String>,
        /// The link of a click.
        url: Option<String>,
        /// The vendor's own text.
        detail: Option<String>,
        /// The source: `brevo`, `mailgun`, ….
        source: String,
        /// The site.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}
