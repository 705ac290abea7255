//! Putting rendered mails into the outbox, each once.

use super::{Outbox, State, damaged, gate, millis, storage};
use crate::id::{MailId, sha256_hex};
use crate::{EmailAddress, Message};
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use sqlx::{Row, Sqlite, Transaction};
use std::fmt;

const OPERATION: &str = "enqueue";

/// What makes a mail the same mail: who gets it, within which campaign or step of a journey, about what.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DedupKey {
    campaign: String,
    contact: String,
    entity: String,
}

impl DedupKey {
    /// A mail of a campaign to a contact (an id of the sender's own).
    #[must_use]
    pub fn new(campaign: impl Into<String>, contact: impl Into<String>) -> Self {
        Self { campaign: campaign.into(), contact: contact.into(), entity: String::new() }
    }

    /// A mail of a campaign to whoever has the address, for senders without ids. Spellings that differ by case are one
    /// contact.
    #[must_use]
    pub fn for_address(campaign: impl Into<String>, address: &EmailAddress) -> Self {
        Self::new(campaign, address.normalised())
    }

    /// What the mail is about, such as a cart: the same contact gets one mail for each.
    #[must_use]
    pub fn about(mut self, entity: impl Into<String>) -> Self {
        self.entity = entity.into();
        self
    }

    /// The id of the mail.
    #[must_use]
    pub fn id(&self) -> MailId {
        MailId::of(&self.campaign, &self.contact, &self.entity)
    }
}

impl fmt::Debug for DedupKey {
    /// The contact may be an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupKey({}, {:?})", self.campaign, self.id())
    }
}

/// What a mail is for: decides what its recipient's wishes forbid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Asked for by what the recipient does, such as a receipt. Only a suppression of scope `all` stops it.
    Transactional,
    /// Everything else. It needs consent, and is stopped by suppressions of its list, of marketing and of all.
    Marketing {
        /// The list it belongs to, if any.
        list: Option<String>,
    },
}

/// A mail to enqueue.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// What makes it this mail.
    pub key: DedupKey,
    /// What it is for.
    pub purpose: Purpose,
    /// The rendered message.
    pub message: Message,
    /// Mails of higher priority go first. Usually 0.
    pub priority: i32,
    /// Not to be sent before this instant.
    pub not_before: Option<DateTime<Utc>>,
    /// Not to be sent from this instant on.
    pub expires_at: Option<DateTime<Utc>>,
}

impl NewMail {
    /// A mail that may go at once and at any later time.
    #[must_use]
    pub fn new(key: DedupKey, purpose: Purpose, message: Message) -> Self {
        Self { key, purpose, message, priority: 0, not_before: None, expires_at: None }
    }

    /// Marketing mail of no list.
    #[must_use]
    pub fn marketing(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Marketing { list: None }, message)
    }

    /// Transactional mail.
    #[must_use]
    pub fn transactional(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Transactional, message)
    }
}

/// What became of a mail handed to the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It will be sent.
    Enqueued(MailId),
    /// It was there from before, in this state; nothing was changed.
    AlreadyThere(MailId, State),
    /// It is kept and will not be sent, now or from before; the reason is `no consent` or `suppressed: …`.
    Suppressed(MailId, String),
}

/// How an attachment of a stored mail is written: the bytes are in `mail_blobs`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAttachment {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) media_type: String,
    pub(super) sha256: String,
}

impl Outbox {
    /// Puts mails in, all or none: when this returns, they survive a crash. A mail whose key is there already is left
    /// as it is. One answer per mail, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn enqueue(&self, mails: &[NewMail], now: DateTime<Utc>) -> Result<Vec<Enqueued>> {
        let mut transaction = self.begin(OPERATION).await?;
        let mut answers = Vec::with_capacity(mails.len());
        for mail in mails {
            answers.push(insert(&mut transaction, mail, now).await?);
        }
        transaction.commit().await.map_err(|cause| storage(OPERATION, cause))?;
        Ok(answers)
    }
}

async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    mail: &NewMail,
    now: DateTime<Utc>,
) -> Result<Enqueued> {
    let failed = |cause| storage(OPERATION, cause);
    let unwritable =
        |cause: serde_json::Error| Error::new(ErrorKind::Input, super::SERVICE, OPERATION).with_source(cause);
    let id = mail.key.id();
    let (purpose, list) = match &mail.purpose {
        Purpose::Transactional => ("transactional", None),
        Purpose::Marketing { list } => ("marketing", list.as_deref()),
    };
    let address = &mail.message.to().address;
    let mut attachments = Vec::new();
    for attachment in mail.message.attachments() {
        attachments.push(StoredAttachment {
            name: attachment.name().as_str().to_owned(),
            media_type: attachment.media_type().to_owned(),
            sha256: sha256_hex(attachment.content()),
        });
    }
    let listed = if attachments.is_empty() {
        None
    } else {
        Some(serde_json::to_string(&attachments).map_err(unwritable)?)
    };
    let inserted = sqlx::query(
        "INSERT INTO mail_outbox (id, campaign, contact, entity, purpose, list, address_key, recipient, payload,
                                  attachments, priority, state, not_before, expires_at, enqueued_at, updated_at)
         VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'pending', coalesce(?13, ?1), ?14, ?1, ?1)
         ON CONFLICT DO NOTHING",
    )
    .bind(millis(now))
    .bind(id.to_string())
    .bind(&mail.key.campaign)
    .bind(&mail.key.contact)
    .bind(&mail.key.entity)
    .bind(purpose)
    .bind(list)
    .bind(address.key())
    .bind(address.as_str())
    .bind(serde_json::to_string(&mail.message).map_err(unwritable)?)
    .bind(listed)
    .bind(mail.priority)
    .bind(mail.not_before.map(millis))
    .bind(mail.expires_at.map(millis))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?
    .rows_affected();
    if inserted == 0 {
        let row = sqlx::query("SELECT state, coalesce(reason, '') AS reason FROM mail_outbox WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed)?
            .ok_or_else(|| damaged(OPERATION))?;
        let state: State = row.try_get::<&str, _>("state").map_err(failed)?.parse()?;
        return Ok(match state {
            State::Suppressed => Enqueued::Suppressed(id, row.try_get("reason").map_err(failed)?),
            state => Enqueued::AlreadyThere(id, state),
        });
    }
    for (stored, attachment) in attachments.iter().zip(mail.message.attachments()) {
        sqlx::query("INSERT INTO mail_blobs (sha256, content) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&stored.sha256)
            .bind(attachment.content().as_ref())
            .execute(&mut **transaction)
            .await
            .map_err(failed)?;
    }
    let stopped = sqlx::query(concat!(
        "UPDATE mail_outbox SET state = 'suppressed', reason = ",
        gate!(),
        ", updated_at = ?1 WHERE id = ?2 AND ",
        gate!(),
        " IS NOT NULL RETURNING reason"
    ))
    .bind(millis(now))
    .bind(id.to_string())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed)?;
    match stopped {
        Some(row) => Ok(Enqueued::Suppressed(id, row.try_get("reason").map_err(failed)?)),
        None => Ok(Enqueued::Enqueued(id)),
    }
}
