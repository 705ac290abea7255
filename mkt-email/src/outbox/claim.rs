//! Finding mails that are due, and giving back those that a worker had claimed. Each transition is one statement that
//! names the state it starts from; nothing here calls a provider.

use super::solitude::Dead;
use super::store::{Access, Row, Rows, Tx, values};
use super::{Outbox, State, damaged, gate, millis, storable};
use crate::Message;
use crate::id::{EmailId, IdempotencyKey};
use crate::message::{Attachment, FileName};
use crate::outbox::enqueue::StoredAttachment;
use crate::provider::{RejectReason, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// A mail that a worker has taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: EmailId,
    /// Calls made so far, the present one included once it is `sending`.
    pub(super) attempt: u32,
    /// How many of them were refused because of another mail of the call.
    pub(super) splits: u32,
    pub(super) key: Option<IdempotencyKey>,
    /// When the call began that the next one repeats under the same key, if it does.
    pub(super) repeats: Option<DateTime<Utc>>,
    /// About what the message takes in memory.
    pub(super) bytes: u64,
    pub(super) message: Arc<Message>,
}

/// What looking for due mails gave.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Mails that may go. Nothing is written about them yet; on a server their rows are locked.
    pub(super) taken: Vec<Taken>,
    /// Rows looked at, whatever became of them. Nought: nothing is due.
    pub(super) seen: usize,
    /// Mails that must not go.
    pub(super) stopped: Vec<Stopped>,
}

/// A mail that is not sent.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) id: EmailId,
    pub(super) state: State,
    pub(super) reason: Option<String>,
}

/// How many due mails are wanted.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) most: usize,
    /// Of messages, in memory.
    pub(super) bytes: u64,
    /// Whether one mail is taken whatever its size.
    pub(super) any_size: bool,
    pub(super) campaign: Option<&'a str>,
    /// None are due while it rests.
    pub(super) account: &'a str,
}

/// The attachments that are in memory: what many mails carry is there once.
pub(super) type Blobs = HashMap<String, Arc<[u8]>>;

impl Outbox {
    /// Takes over the rows of workers that are dead or late, but for those of the `worker` who asks. Claimed rows wait
    /// again; sending ones become unknown. Returns how many there were.
    pub(super) async fn recover(&self, worker: &str, now: DateTime<Utc>, dead: Dead) -> Result<u64> {
        let (everybody, these) = match dead {
            Dead::Everybody => (true, Vec::new()),
            Dead::These(workers) => (false, workers),
        };
        let mut tx = self.store.begin("recover", Access::Alone).await?;
        let recovered = tx
            .run(
                "UPDATE mail_outbox SET state = CASE state WHEN 'claimed' THEN 'pending' ELSE 'unknown' END,
                        stage = CASE state WHEN 'claimed' THEN stage ELSE $4 END,
                        worker = NULL, lease_until = NULL, updated_at = $1
                  WHERE state IN ('claimed', 'sending') AND coalesce(worker, '') <> $5
                    AND ($2 = 1 OR lease_until <= $1 OR worker IN (SELECT value FROM json_each($3)))",
                values![millis(now), everybody, these, Stage::ProcessDied.as_str(), worker],
            )
            .await?;
        tx.commit().await?;
        Ok(recovered)
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
                    AND (campaign IS NULL OR campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))",
                values![campaign],
            )
            .await?;
        row.maybe_number("due")?.map(super::instant).transpose()
    }
}

impl Taken {
    pub(super) fn of(row: &Row, message: Message) -> Result<Self> {
        let small = |number: i64| u32::try_from(number).map_err(|_| damaged("read a mail"));
        let key = row.maybe_text("idempotency_key")?.and_then(IdempotencyKey::parse);
        let attempted_at = row.maybe_number("attempted_at")?.map(super::instant).transpose()?;
        Ok(Self {
            id: parsed(row)?,
            attempt: small(row.number("attempt")?)?,
            splits: small(row.number("splits")?)?,
            key,
            repeats: attempted_at.filter(|_| key.is_some()),
            bytes: u64::try_from(row.number("bytes")?).unwrap_or(0),
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
pub(super) async fn read_messages(tx: &mut Tx, ids: Vec<String>) -> Result<HashMap<String, Stored>> {
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

/// Looks for due mails. Those of a paused campaign are not looked at, and none while the account rests.
///
/// `NOT IN`, since PostgreSQL hashes that list and goes on reading the queue in its order. It turns `NOT EXISTS` into a join,
/// which loses the order: a queue that was filled a moment ago would be sorted whole for every claim.
pub(super) async fn take_due(tx: &mut Tx, wish: &Wish<'_>, blobs: &mut Blobs) -> Result<Due> {
    let rows = tx
        .all(
            concat!(
                "SELECT id, bytes, attempt, splits, idempotency_key, attempted_at,
                        CAST(CASE WHEN expires_at <= $1 THEN 1 ELSE 0 END AS BIGINT) AS late, ",
                gate!(),
                " AS forbidden
                   FROM mail_outbox
                  WHERE state IN ('pending', 'deferred') AND not_before <= $1 AND ($3 IS NULL OR campaign = $3)
                    AND (campaign IS NULL OR campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))
                    AND NOT EXISTS (SELECT 1 FROM mail_accounts AS a WHERE a.account = $4 AND a.paused_until > $1)
                  ORDER BY priority DESC, not_before, position LIMIT $2
                  /*postgres: FOR UPDATE OF mail_outbox SKIP LOCKED */"
            ),
            values![millis(wish.now), i64::try_from(wish.most).unwrap_or(i64::MAX), wish.campaign, wish.account],
        )
        .await?;
    let mut due = Due { seen: rows.len(), ..Due::default() };
    let (mut go, mut bytes) = (Vec::with_capacity(rows.len()), 0_u64);
    for row in &rows {
        let id = parsed(row)?;
        match fate(row)? {
            Some((state, reason)) => due.stopped.push(Stopped { id, state, reason }),
            None => {
                bytes = bytes.saturating_add(u64::try_from(row.number("bytes")?).unwrap_or(0));
                if bytes > wish.bytes && !(go.is_empty() && wish.any_size) {
                    break;
                }
                go.push((id, row));
            }
        }
    }
    let ids = go.iter().map(|(id, _)| id.to_string()).collect();
    let mut messages = read_messages(tx, ids).await?;
    for (id, row) in go {
        let message = match messages.remove(row.text("id")?) {
            Some(stored) => stored.message(tx, blobs).await?,
            None => None,
        };
        match message {
            Some(message) => due.taken.push(Taken::of(row, message)?),
            // A row that cannot be understood must not stop the others.
            None => {
                let reason = Some(format!("{}: the stored message is damaged", RejectReason::Other));
                due.stopped.push(Stopped { id, state: State::Rejected, reason });
            }
        }
    }
    Ok(due)
}

/// Why a mail that a statement looked at is not sent, if it is not: `late` tells that its time has passed, `forbidden`
/// is the gate.
pub(super) fn fate(row: &Row) -> Result<Option<(State, Option<String>)>> {
    if row.number("late")? != 0 {
        return Ok(Some((State::Expired, Some("too late".to_owned()))));
    }
    let forbidden = row.maybe_text("forbidden")?;
    Ok(forbidden.map(|reason| (State::Suppressed, Some(reason.to_owned()))))
}

pub(super) fn parsed(row: &Row) -> Result<EmailId> {
    EmailId::parse(row.text("id")?).ok_or_else(|| damaged("read a mail"))
}

/// Writes down that mails which wait, or are claimed, are not sent.
pub(super) async fn stop(tx: &mut Tx, now: DateTime<Utc>, stopped: &[Stopped]) -> Result<()> {
    let rows = Rows::default()
        .text(stopped.iter().map(|mail| mail.id.to_string()))
        .text(stopped.iter().map(|mail| mail.state.as_str().to_owned()))
        .maybe_text(stopped.iter().map(|mail| mail.reason.as_deref().map(storable)));
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
