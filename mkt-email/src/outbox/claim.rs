//! Taking mails that are due, and giving them back. Each transition is one statement that names the state it starts
//! from; nothing here calls a provider.

use super::solitude::Dead;
use super::store::{Access, Row, Tx, values};
use super::{Outbox, damaged, gate, json, millis};
use crate::id::{IdempotencyKey, MailId};
use crate::message::{Attachment, FileName, Message};
use crate::outbox::enqueue::StoredAttachment;
use crate::provider::{RejectReason, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// A mail that a worker has taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: MailId,
    /// Calls made so far, the present one included once it is `sending`.
    pub(super) attempt: u32,
    /// How many of them were refused because of another mail of the call.
    pub(super) splits: u32,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) message: Arc<Message>,
}

/// What looking for due mails gave.
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) taken: Vec<Taken>,
    /// Rows looked at, whatever became of them. Nought: nothing is due.
    pub(super) seen: usize,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
    pub(super) damaged: u64,
}

/// Who claims, when, and how much.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) worker: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) lease_until: DateTime<Utc>,
    pub(super) most: usize,
    /// Of messages, in memory. One mail is taken whatever its size.
    pub(super) bytes: u64,
    pub(super) campaign: Option<&'a str>,
}

/// The attachments of the mails of one claim: what many mails carry is in memory once.
type Blobs = HashMap<String, Arc<[u8]>>;

impl Outbox {
    /// Takes over the rows of workers that are dead or late. Claimed rows wait again; sending ones become unknown.
    pub(super) async fn recover(&self, now: DateTime<Utc>, dead: &Dead) -> Result<()> {
        let (everybody, these) = match dead {
            Dead::Everybody => (true, Vec::new()),
            Dead::These(workers) => (false, workers.iter().map(|worker| [worker]).collect()),
        };
        let mut tx = self.store.begin("recover", Access::Alone).await?;
        tx.run(
            "UPDATE mail_outbox SET state = CASE state WHEN 'claimed' THEN 'pending' ELSE 'unknown' END,
                    stage = CASE state WHEN 'claimed' THEN stage ELSE $4 END,
                    worker = NULL, lease_until = NULL, updated_at = $1
              WHERE state IN ('claimed', 'sending')
                AND ($2 = 1 OR lease_until <= $1 OR worker IN (SELECT j.value ->> 0 FROM json_each($3) AS j))",
            values![millis(now), everybody, json(&these)?, Stage::ProcessDied.as_str()],
        )
        .await?;
        tx.commit().await
    }

    /// Takes due mails. Those that nobody may be sent any more are stopped on the way; those of a paused campaign
    /// are not looked at.
    pub(super) async fn claim(&self, wish: &Wish<'_>) -> Result<Claim> {
        let now = millis(wish.now);
        let mut tx = self.store.begin("claim", Access::Shared).await?;
        let due = tx
            .all(
                "SELECT id, bytes FROM mail_outbox
                  WHERE state IN ('pending', 'deferred') AND not_before <= $1 AND ($3 IS NULL OR campaign = $3)
                    AND NOT EXISTS (SELECT 1 FROM mail_campaigns AS p WHERE p.campaign = mail_outbox.campaign)
                  ORDER BY priority DESC, not_before, position LIMIT $2
                  /*postgres: FOR UPDATE OF mail_outbox SKIP LOCKED */",
                values![now, i64::try_from(wish.most).unwrap_or(i64::MAX), wish.campaign],
            )
            .await?;
        let (mut ids, mut bytes) = (Vec::with_capacity(due.len()), 0_u64);
        for row in &due {
            bytes = bytes.saturating_add(u64::try_from(row.number("bytes")?).unwrap_or(0));
            if bytes > wish.bytes && !ids.is_empty() {
                break;
            }
            ids.push([row.text("id")?]);
        }
        let mut claim = Claim { seen: ids.len(), ..Claim::default() };
        if ids.is_empty() {
            return Ok(claim);
        }
        let rows = tx
            .all(
                concat!(
                    "UPDATE mail_outbox SET
                            state = CASE WHEN expires_at <= $1 THEN 'expired' WHEN ",
                    gate!(),
                    " IS NOT NULL THEN 'suppressed' ELSE 'claimed' END,
                            reason = CASE WHEN expires_at <= $1 THEN 'too late' ELSE ",
                    gate!(),
                    " END, worker = $3, lease_until = $4, updated_at = $1
                      WHERE id IN (SELECT j.value ->> 0 FROM json_each($2) AS j) AND state IN ('pending', 'deferred')
                      RETURNING id, state, attempt, splits, idempotency_key"
                ),
                values![now, json(&ids)?, wish.worker, millis(wish.lease_until)],
            )
            .await?;
        let mut claimed: HashMap<&str, &Row> = HashMap::with_capacity(rows.len());
        for row in &rows {
            match row.text("state")? {
                "suppressed" => claim.suppressed += 1,
                "expired" => claim.expired += 1,
                _ => drop(claimed.insert(row.text("id")?, row)),
            }
        }
        let mut messages = read_messages(&mut tx, &ids).await?;
        let mut blobs = Blobs::new();
        for [id] in &ids {
            let Some(row) = claimed.get(id) else { continue };
            let message = match messages.remove(*id) {
                Some(stored) => stored.message(&mut tx, &mut blobs).await?,
                None => None,
            };
            match message {
                Some(message) => claim.taken.push(Taken::of(row, message)?),
                None => {
                    claim.damaged += 1;
                    set_aside(&mut tx, id, wish.now).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(claim)
    }

    /// Refuses claimed mails that the provider cannot send.
    pub(super) async fn refuse(
        &self,
        now: DateTime<Utc>,
        worker: &str,
        refused: &[(MailId, String)],
    ) -> Result<()> {
        let entry = |(id, reason): &(MailId, String)| {
            [id.to_string(), super::storable(&format!("{}: {reason}", RejectReason::Unsupported))]
        };
        let refused: Vec<[String; 2]> = refused.iter().map(entry).collect();
        let mut tx = self.store.begin("refuse", Access::Shared).await?;
        tx.run(
            "UPDATE mail_outbox SET state = 'rejected', reason = j.value ->> 1, worker = NULL, lease_until = NULL,
                    updated_at = $1
               FROM json_each($2) AS j
              WHERE mail_outbox.id = j.value ->> 0 AND mail_outbox.state = 'claimed' AND mail_outbox.worker = $3
                    /*postgres: AND mail_outbox.id IN (SELECT j.value ->> 0 FROM json_each($2) AS j) */",
            values![millis(now), json(&refused)?, worker],
        )
        .await?;
        tx.commit().await
    }

    /// Gives claimed mails back: nobody was told of them.
    pub(super) async fn release(&self, now: DateTime<Utc>, worker: &str) -> Result<()> {
        let mut tx = self.store.begin("release", Access::Shared).await?;
        tx.run(
            "UPDATE mail_outbox SET state = 'pending', worker = NULL, lease_until = NULL, updated_at = $1
              WHERE state = 'claimed' AND worker = $2",
            values![millis(now), worker],
        )
        .await?;
        tx.commit().await
    }

    /// When the next waiting mail is due.
    pub(super) async fn next_due(&self, campaign: Option<&str>) -> Result<Option<DateTime<Utc>>> {
        let row = self
            .store
            .one(
                "look for the next mail",
                "SELECT min(not_before) AS due FROM mail_outbox
                  WHERE state IN ('pending', 'deferred') AND ($1 IS NULL OR campaign = $1)
                    AND NOT EXISTS (SELECT 1 FROM mail_campaigns AS p WHERE p.campaign = mail_outbox.campaign)",
                values![campaign],
            )
            .await?;
        row.maybe_number("due")?.map(super::instant).transpose()
    }
}

impl Taken {
    pub(super) fn of(row: &Row, message: Message) -> Result<Self> {
        let small = |number: i64| u32::try_from(number).map_err(|_| damaged("read a mail"));
        Ok(Self {
            id: MailId::parse(row.text("id")?).ok_or_else(|| damaged("read a mail"))?,
            attempt: small(row.number("attempt")?)?,
            splits: small(row.number("splits")?)?,
            key: row.maybe_text("idempotency_key")?.and_then(IdempotencyKey::parse),
            message: Arc::new(message),
        })
    }
}

/// A message as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    payload: String,
    attachments: Option<String>,
}

/// The stored messages of some mails, by their ids.
pub(super) async fn read_messages(tx: &mut Tx, ids: &[[&str; 1]]) -> Result<HashMap<String, Stored>> {
    let rows = tx
        .all(
            "SELECT mail_id, payload, attachments FROM mail_messages
              WHERE mail_id IN (SELECT j.value ->> 0 FROM json_each($1) AS j)",
            values![json(&ids)?],
        )
        .await?;
    let mut messages = HashMap::with_capacity(rows.len());
    for row in rows {
        let attachments = row.maybe_text("attachments")?.map(str::to_owned);
        let stored = Stored { payload: row.text("payload")?.to_owned(), attachments };
        messages.insert(row.text("mail_id")?.to_owned(), stored);
    }
    Ok(messages)
}

impl Stored {
    /// The message, or nothing when it cannot be understood. Attachments are taken from `blobs` where they are there.
    pub(super) async fn message(self, tx: &mut Tx, blobs: &mut Blobs) -> Result<Option<Message>> {
        let Ok(mut message) = serde_json::from_str::<Message>(&self.payload) else { return Ok(None) };
        let Some(listed) = self.attachments else { return Ok(Some(message)) };
        let Ok(stored) = serde_json::from_str::<Vec<StoredAttachment>>(&listed) else { return Ok(None) };
        let mut attachments = Vec::with_capacity(stored.len());
        for attachment in stored {
            let content = match blobs.get(&attachment.sha256) {
                Some(content) => Arc::clone(content),
                None => {
                    let rows = tx
                        .all("SELECT content FROM mail_blobs WHERE sha256 = $1", values![&attachment.sha256])
                        .await?;
                    let Some(row) = rows.first() else { return Ok(None) };
                    let content: Arc<[u8]> = row.bytes("content")?.into();
                    blobs.insert(attachment.sha256, Arc::clone(&content));
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

/// A claimed row that cannot be understood must not stop the others.
async fn set_aside(tx: &mut Tx, id: &str, now: DateTime<Utc>) -> Result<()> {
    tx.run(
        "UPDATE mail_outbox SET state = 'rejected', reason = 'other: the stored message is damaged', worker = NULL,
                lease_until = NULL, updated_at = $1 WHERE id = $2",
        values![millis(now), id],
    )
    .await
    .map(|_| ())
}
