//! Putting rendered mails into the outbox, each once.

use super::claim::Stopped;
use super::store::{Access, Rows, Tx, values};
use super::{Outbox, State, damaged, gate, millis};
use crate::id::{EmailId, sha256_hex};
use crate::message::Attachment;
use crate::{EmailAddress, Message};
use chrono::{DateTime, Utc};
use futures_util::future::join;
use mkt_connect::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

const OPERATION: &str = "enqueue";
/// Mails to a statement, and bytes of their messages: both are in memory at once.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 8 << 20;

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
    pub fn id(&self) -> EmailId {
        EmailId::of(&self.campaign, &self.contact, &self.entity)
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
pub struct NewEmail {
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
    /// See [`at_least_once`](Self::at_least_once).
    pub at_least_once: bool,
}

impl NewEmail {
    /// A mail that may go at once and at any later time.
    #[must_use]
    pub fn new(key: DedupKey, purpose: Purpose, message: Message) -> Self {
        Self { key, purpose, message, priority: 0, not_before: None, expires_at: None, at_least_once: false }
    }

    /// Marketing mail of no list. Its message must have a [link to unsubscribe](crate::MessageBuilder::list_unsubscribe),
    /// such as [`UnsubscribeKeys`](crate::unsubscribe::UnsubscribeKeys) makes: without one the outbox refuses it.
    #[must_use]
    pub fn marketing(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Marketing { list: None }, message)
    }

    /// Transactional mail.
    #[must_use]
    pub fn transactional(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Transactional, message)
    }

    /// Sends the mail again, up to the run's `max_attempts`, when nobody can tell whether it arrived. **It may arrive
    /// twice**: right for a password reset, wrong for an offer, and refused for marketing mail. Without this, a mail of
    /// which nobody knows stays `unknown` and is never sent again.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.at_least_once = true;
        self
    }
}

/// What became of a mail handed to the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It will be sent.
    Enqueued(EmailId),
    /// It was there from before, in this state; nothing was changed.
    AlreadyThere(EmailId, State),
    /// It is kept and will not be sent, now or from before; the reason is `no consent` or `suppressed: …`.
    Suppressed(EmailId, String),
}

/// How an attachment of a stored mail is written: the bytes are in `mail_blobs`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAttachment {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) media_type: String,
    pub(super) sha256: String,
}

impl DedupKey {
    /// PostgreSQL has no way to store a NUL, and an outbox must not depend on its engine.
    fn holds_nul(&self) -> bool {
        [&self.campaign, &self.contact, &self.entity].into_iter().any(|part| part.contains('\0'))
    }
}

impl Outbox {
    /// Puts mails in, all or none: when this returns, they survive a crash. A mail whose key is there already is left
    /// as it is. One answer per mail, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a key or list with a NUL in it, for marketing mail that asks to be sent at least once or
    /// has no [link to unsubscribe](crate::MessageBuilder::list_unsubscribe); [`ErrorKind::Storage`].
    pub async fn enqueue(&self, mails: &[NewEmail], now: DateTime<Utc>) -> Result<Vec<Enqueued>> {
        let refuse =
            |detail: &str| Error::new(ErrorKind::Input, super::SERVICE, OPERATION).with_detail(detail);
        for mail in mails {
            let list = match &mail.purpose {
                Purpose::Marketing { .. } if mail.message.list_unsubscribe().is_none() => {
                    return Err(refuse(
                        "marketing mail needs a link to unsubscribe: MessageBuilder::list_unsubscribe",
                    ));
                }
                Purpose::Marketing { .. } if mail.at_least_once => {
                    return Err(refuse(
                        "marketing mail is never sent twice: at_least_once is for transactional mail",
                    ));
                }
                Purpose::Marketing { list } => list.as_deref(),
                Purpose::Transactional => None,
            };
            if mail.key.holds_nul() || list.is_some_and(|list| list.contains('\0')) {
                return Err(refuse("a key or list holds a NUL"));
            }
        }
        // Two calls that put in the same mails, each in one order, cannot wait for each other. The first of equals wins.
        let mut sorted: BTreeMap<EmailId, (usize, &NewEmail)> = BTreeMap::new();
        for (position, mail) in mails.iter().enumerate() {
            sorted.entry(mail.key.id()).or_insert((position, mail));
        }
        let attached = mails.iter().any(|mail| !mail.message.attachments().is_empty());
        // Erasing removes attachments that no mail carries; it must not meet one whose mail is about to come.
        let access = if attached { Access::Shared } else { Access::Open };
        let mut tx = self.store.begin(OPERATION, access).await?;
        if attached {
            store_attachments(&mut tx, mails).await?;
        }
        let mut known: HashMap<EmailId, Enqueued> = HashMap::new();
        let mut inserted: Vec<EmailId> = Vec::with_capacity(sorted.len());
        let mut in_turn: Vec<_> =
            sorted.iter().map(|(id, (position, mail))| (*id, *position, *mail)).collect();
        if self.store.has_one_writer() {
            // Nobody to wait for: in the order given, which is that of the log and of the disk.
            in_turn.sort_by_key(|(_, position, _)| *position);
        }
        let mut in_turn = in_turn.into_iter();
        let mut chunk = Chunk::next(&mut in_turn, now)?;
        while !chunk.ids.is_empty() {
            // The next mails are written as text while the engine stores these.
            let (new, next) =
                join(chunk.insert(&mut tx, now), async { Chunk::next(&mut in_turn, now) }).await;
            inserted.extend(new?);
            chunk = next?;
        }
        if access == Access::Open {
            tx.lock(&self.store, Access::Shared).await?;
        }
        for ids in inserted.chunks(CHUNK) {
            suppress_unwanted(&mut tx, ids, now, &mut known).await?;
        }
        for id in inserted {
            known.entry(id).or_insert(Enqueued::Enqueued(id));
        }
        let there: Vec<EmailId> = sorted.keys().filter(|id| !known.contains_key(id)).copied().collect();
        for ids in there.chunks(CHUNK) {
            look_up(&mut tx, ids, &mut known).await?;
        }
        tx.commit().await?;
        let mut answers = Vec::with_capacity(mails.len());
        for (position, mail) in mails.iter().enumerate() {
            let id = mail.key.id();
            let answer = known.get(&id).ok_or_else(|| damaged(OPERATION))?;
            let first = sorted.get(&id).is_some_and(|(first, _)| *first == position);
            answers.push(match answer {
                Enqueued::Enqueued(id) if !first => Enqueued::AlreadyThere(*id, State::Pending),
                answer => answer.clone(),
            });
        }
        Ok(answers)
    }
}

/// Mails for one statement, as rows of values.
#[derive(Default)]
struct Chunk {
    ids: Vec<EmailId>,
    rows: Rows,
    /// Payloads and lists of attachments.
    messages: Vec<(String, Option<String>)>,
}

impl Chunk {
    /// The next mails: as many as a statement holds.
    fn next<'a>(
        mails: &mut impl Iterator<Item = (EmailId, usize, &'a NewEmail)>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let mut chunk = Self::default();
        let mut bytes = 0;
        let mut rows: Vec<NewRow> = Vec::new();
        while rows.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some((id, position, mail)) = mails.next() else { break };
            let unwritable = |cause: serde_json::Error| {
                Error::new(ErrorKind::Input, super::SERVICE, OPERATION).with_source(cause)
            };
            let payload = serde_json::to_string(&mail.message).map_err(unwritable)?;
            let stored: Vec<StoredAttachment> =
                mail.message.attachments().iter().map(StoredAttachment::of).collect();
            let attachments = match stored.is_empty() {
                true => None,
                false => Some(serde_json::to_string(&stored).map_err(unwritable)?),
            };
            let attached: usize = mail.message.attachments().iter().map(|file| file.content().len()).sum();
            bytes += payload.len();
            rows.push(NewRow { mail, position, bytes: payload.len() + attached });
            chunk.ids.push(id);
            chunk.messages.push((payload, attachments));
        }
        let each = || rows.iter();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        chunk.rows = Rows::default()
            .text(chunk.ids.iter().map(EmailId::to_string))
            .text(each().map(|row| row.mail.key.campaign.clone()))
            .text(each().map(|row| row.mail.key.contact.clone()))
            .text(each().map(|row| row.mail.key.entity.clone()))
            .text(each().map(|row| row.mail.purpose.as_str().to_owned()))
            .maybe_text(each().map(|row| row.mail.purpose.list().map(str::to_owned)))
            .number(each().map(|row| i64::from(row.mail.at_least_once)))
            .text(each().map(|row| row.mail.message.to().address.key()))
            .text(each().map(|row| row.mail.message.to().address.as_str().to_owned()))
            .number(each().map(|row| number(row.bytes)))
            .number(each().map(|row| i64::from(row.mail.priority)))
            .number(each().map(|row| number(row.position)))
            .number(each().map(|row| millis(row.mail.not_before.unwrap_or(now))))
            .maybe_number(each().map(|row| row.mail.expires_at.map(millis)));
        Ok(chunk)
    }

    /// Returns the ids of those that were not there.
    async fn insert(self, tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<EmailId>> {
        let rows = tx
            .all_rows(
                "INSERT INTO mail_outbox (id, campaign, contact, entity, purpose, list, at_least_once, address_key,
                                          recipient, bytes, priority, position, not_before, expires_at, state,
                                          enqueued_at, updated_at)
                 SELECT j.*, 'pending', $1, $1 FROM ({rows}) AS j WHERE true
                 ON CONFLICT DO NOTHING RETURNING id",
                values![millis(now)],
                self.rows,
            )
            .await?;
        let inserted = rows.iter().map(super::claim::parsed).collect::<Result<Vec<_>>>()?;
        let new: HashSet<EmailId> = inserted.iter().copied().collect();
        let (mut ids, mut payloads, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (payload, attachments)) in self.ids.iter().zip(self.messages) {
            if new.contains(id) {
                ids.push(id.to_string());
                payloads.push(payload);
                lists.push(attachments);
            }
        }
        tx.run_rows(
            "INSERT INTO mail_messages (mail_id, payload, attachments)
             SELECT * FROM ({rows}) AS j WHERE true ON CONFLICT DO NOTHING",
            values![],
            Rows::default().text(ids).text(payloads).maybe_text(lists),
        )
        .await?;
        Ok(inserted)
    }
}

/// A mail that is put in.
struct NewRow<'a> {
    mail: &'a NewEmail,
    position: usize,
    bytes: usize,
}

impl Purpose {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::Marketing { .. } => "marketing",
        }
    }

    fn list(&self) -> Option<&str> {
        match self {
            Self::Transactional => None,
            Self::Marketing { list } => list.as_deref(),
        }
    }
}

impl StoredAttachment {
    fn of(attachment: &Attachment) -> Self {
        Self {
            name: attachment.name().as_str().to_owned(),
            media_type: attachment.media_type().to_owned(),
            sha256: sha256_hex(attachment.content()),
        }
    }
}

/// Stores what is attached, each content once, in one order.
async fn store_attachments(tx: &mut Tx, mails: &[NewEmail]) -> Result<()> {
    let mut contents = BTreeMap::new();
    // Mails of a campaign share the bytes themselves: hashed once.
    let mut seen = HashSet::new();
    for attachment in mails.iter().flat_map(|mail| mail.message.attachments()) {
        if seen.insert((attachment.content().as_ptr().addr(), attachment.content().len())) {
            contents.entry(sha256_hex(attachment.content())).or_insert(attachment.content());
        }
    }
    for (sha256, content) in contents {
        tx.run(
            "INSERT INTO mail_blobs (sha256, content) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            values![sha256, content.to_vec()],
        )
        .await?;
    }
    Ok(())
}

/// Stops new mails that nobody wants.
async fn suppress_unwanted(
    tx: &mut Tx,
    ids: &[EmailId],
    now: DateTime<Utc>,
    known: &mut HashMap<EmailId, Enqueued>,
) -> Result<()> {
    let rows = tx
        .all(
            concat!(
                "SELECT id, ",
                gate!(),
                " AS forbidden FROM mail_outbox WHERE id IN (SELECT value FROM json_each($2)) AND ",
                gate!(),
                " IS NOT NULL"
            ),
            values![millis(now), texts(ids)],
        )
        .await?;
    let mut stopped = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, reason) = (super::claim::parsed(row)?, row.text("forbidden")?.to_owned());
        known.insert(id, Enqueued::Suppressed(id, reason.clone()));
        stopped.push(Stopped { id, state: State::Suppressed, reason: Some(reason) });
    }
    super::claim::stop(tx, now, &stopped).await
}

/// What became of mails that were there before.
async fn look_up(tx: &mut Tx, ids: &[EmailId], known: &mut HashMap<EmailId, Enqueued>) -> Result<()> {
    let rows = tx
        .all(
            "SELECT id, state, coalesce(reason, '') AS reason FROM mail_outbox
              WHERE id IN (SELECT value FROM json_each($1))",
            values![texts(ids)],
        )
        .await?;
    for row in &rows {
        let id = super::claim::parsed(row)?;
        let answer = match row.text("state")?.parse()? {
            State::Suppressed => Enqueued::Suppressed(id, row.text("reason")?.to_owned()),
            state => Enqueued::AlreadyThere(id, state),
        };
        known.insert(id, answer);
    }
    Ok(())
}

fn texts(ids: &[EmailId]) -> Vec<String> {
    ids.iter().map(EmailId::to_string).collect()
}
