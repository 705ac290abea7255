//! Rows of the queue: reading queued emails with their messages, and stopping those that must not be sent.

use super::enqueue::StoredAttachment;
use super::store::{Row, Rows, Tx, values};
use super::{State, damaged, millis, storable, timestamp};
use crate::id::{EmailId, IdempotencyKey};
use crate::message::{Attachment, FileName, Message};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// An email that a worker holds.
#[derive(Debug, Clone)]
pub(super) struct QueuedEmail {
    pub(super) id: EmailId,
    /// Calls made so far, including the current one once the row is `sending`.
    pub(super) attempt: u32,
    /// How many of them were refused because of another email of the call.
    pub(super) splits: u32,
    pub(super) key: Option<IdempotencyKey>,
    /// When the call began that the next one repeats under the same key, if it does.
    pub(super) repeats: Option<DateTime<Utc>>,
    /// Approximate size of the message in memory.
    pub(super) bytes: u64,
    pub(super) message: Arc<Message>,
}

impl QueuedEmail {
    pub(super) fn of(row: &Row, message: Message) -> Result<Self> {
        let small = |number: i64| u32::try_from(number).map_err(|_| damaged("read an email"));
        let key = row.maybe_text("idempotency_key")?.and_then(IdempotencyKey::parse);
        let attempted_at = row.maybe_number("attempted_at")?.map(timestamp).transpose()?;
        Ok(Self {
            id: email_id(row)?,
            attempt: small(row.number("attempt")?)?,
            splits: small(row.number("splits")?)?,
            key,
            repeats: attempted_at.filter(|_| key.is_some()),
            bytes: u64::try_from(row.number("bytes")?).unwrap_or(0),
            message: Arc::new(message),
        })
    }

    /// Attempts that say something about this email: those refused because of another email are not counted.
    pub(super) fn counted_attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.splits)
    }

    /// The email after its call was refused as a group and will be split.
    pub(super) fn after_split(self) -> Self {
        Self { key: None, repeats: None, splits: self.splits.saturating_add(1), ..self }
    }
}

pub(super) fn email_id(row: &Row) -> Result<EmailId> {
    EmailId::parse(row.text("id")?).ok_or_else(|| damaged("read an email"))
}

/// The attachments in memory by their SHA-256: an attachment of many emails is loaded once.
pub(super) type Attachments = HashMap<String, Arc<[u8]>>;

/// A message as stored: JSON, with its attachments elsewhere.
#[derive(Debug)]
pub(super) struct StoredMessage {
    payload: String,
    attachments: Option<String>,
}

/// The stored messages of some emails, by email id.
pub(super) async fn read_messages(tx: &mut Tx, ids: Vec<String>) -> Result<HashMap<String, StoredMessage>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx
        .all(
            "SELECT mail_id, payload, attachments FROM mail_messages
              WHERE mail_id IN (SELECT value FROM json_each($1))",
            values![ids],
        )
        .await?;
    let mut messages = HashMap::with_capacity(rows.len());
    for row in rows {
        let attachments = row.maybe_text("attachments")?.map(str::to_owned);
        let stored = StoredMessage { payload: row.text("payload")?.to_owned(), attachments };
        messages.insert(row.text("mail_id")?.to_owned(), stored);
    }
    Ok(messages)
}

/// Parses the message of one row of [`read_messages`]; none if it is missing or damaged.
pub(super) async fn take_message(
    messages: &mut HashMap<String, StoredMessage>,
    id: &str,
    tx: &mut Tx,
    loaded: &mut Attachments,
) -> Result<Option<Message>> {
    match messages.remove(id) {
        Some(stored) => stored.message(tx, loaded).await,
        None => Ok(None),
    }
}

impl StoredMessage {
    /// The message, or none if it is damaged. Loads the attachments that are not in `loaded` yet.
    async fn message(self, tx: &mut Tx, loaded: &mut Attachments) -> Result<Option<Message>> {
        let Ok(mut message) = serde_json::from_str::<Message>(&self.payload) else { return Ok(None) };
        let Some(listed) = self.attachments else { return Ok(Some(message)) };
        let Ok(stored) = serde_json::from_str::<Vec<StoredAttachment>>(&listed) else { return Ok(None) };
        let mut attachments = Vec::with_capacity(stored.len());
        for attachment in stored {
            let content = match loaded.get(&attachment.sha256) {
                Some(content) => Arc::clone(content),
                None => {
                    let rows = tx
                        .all("SELECT content FROM mail_blobs WHERE sha256 = $1", values![&attachment.sha256])
                        .await?;
                    let Some(row) = rows.first() else { return Ok(None) };
                    let content: Arc<[u8]> = row.bytes("content")?.into();
                    loaded.insert(attachment.sha256, Arc::clone(&content));
                    content
                }
            };
            let whole = FileName::parse(&attachment.name)
                .ok()
                .and_then(|name| Attachment::new(name, &attachment.media_type, content).ok());
            let Some(whole) = whole else { return Ok(None) };
            attachments.push(whole);
        }
        message.set_attachments(attachments);
        Ok(Some(message))
    }
}

/// An email that is not sent, and the state it gets.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) id: EmailId,
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
}

/// Why an email must not be sent, if so. Reads the columns `late` (its time has passed) and `forbidden` (the gate).
pub(super) fn why_stopped(row: &Row) -> Result<Option<(State, Option<String>)>> {
    if row.number("late")? != 0 {
        return Ok(Some((State::Expired, Some("too late".to_owned()))));
    }
    let forbidden = row.maybe_text("forbidden")?;
    Ok(forbidden.map(|reason| (State::Suppressed, Some(reason.to_owned()))))
}

/// Puts emails off, which wait or are claimed: they were not handed to the provider, and no attempt is counted.
pub(super) async fn put_off(
    tx: &mut Tx,
    now: DateTime<Utc>,
    late: &[(EmailId, DateTime<Utc>)],
) -> Result<()> {
    let rows = Rows::default()
        .text(late.iter().map(|(id, _)| id.to_string()))
        .number(late.iter().map(|(_, until)| millis(*until)));
    tx.run_rows(
        "WITH j(id, not_before) AS ({rows})
         UPDATE mail_outbox SET not_before = j.not_before, worker = NULL, lease_until = NULL, updated_at = $1,
                state = CASE mail_outbox.state WHEN 'claimed' THEN 'pending' ELSE mail_outbox.state END
           FROM j
          WHERE mail_outbox.id = j.id AND mail_outbox.state IN ('pending', 'deferred', 'claimed')
                /*postgres: AND mail_outbox.id = ANY ({first}) */",
        values![millis(now)],
        rows,
    )
    .await
    .map(|_| ())
}

/// Records that emails which wait, or are claimed, are not sent.
pub(crate) async fn stop(tx: &mut Tx, now: DateTime<Utc>, stopped: &[Stopped]) -> Result<()> {
    let rows = Rows::default()
        .text(stopped.iter().map(|email| email.id.to_string()))
        .text(stopped.iter().map(|email| email.state.as_str().to_owned()))
        .maybe_text(stopped.iter().map(|email| email.reason.as_deref().map(storable)));
    tx.run_rows(
        "WITH j(id, state, reason) AS ({rows})
         UPDATE mail_outbox SET state = j.state, reason = j.reason, worker = NULL, lease_until = NULL, updated_at = $1
           FROM j
          WHERE mail_outbox.id = j.id AND mail_outbox.state IN ('pending', 'deferred', 'claimed')
                /*postgres: AND mail_outbox.id = ANY ({first}) */",
        values![millis(now)],
        rows,
    )
    .await
    .map(|_| ())
}
