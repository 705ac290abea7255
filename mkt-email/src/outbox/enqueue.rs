//! Enqueues rendered emails, each once.

use super::gate::gate;
use super::queue::{self, Stopped};
use super::store::{Access, Rows, Store, Tx, values};
use super::{SERVICE, State, damaged, millis};
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
/// Emails per statement, and bytes of their messages: both are in memory at once.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 8 << 20;

/// The identity of an email: its campaign (or step of a journey), its contact, and what it is about. An outbox takes one
/// email per key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DedupKey {
    campaign: String,
    contact: String,
    entity: String,
}

impl DedupKey {
    /// An email of a campaign to a contact (an id chosen by the sender).
    #[must_use]
    pub fn new(campaign: impl Into<String>, contact: impl Into<String>) -> Self {
        Self { campaign: campaign.into(), contact: contact.into(), entity: String::new() }
    }

    /// An email of a campaign to an address, for senders without ids. Spellings that differ by case are one contact.
    #[must_use]
    pub fn for_address(campaign: impl Into<String>, address: &EmailAddress) -> Self {
        Self::new(campaign, address.normalised())
    }

    /// Adds what the email is about, such as a cart: the same contact gets one email for each.
    #[must_use]
    pub fn about(mut self, entity: impl Into<String>) -> Self {
        self.entity = entity.into();
        self
    }

    /// The id of the email.
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

/// The purpose of an email: decides which suppressions and consents apply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Caused by an action of the recipient, such as a receipt. Only a suppression of scope `all` stops it.
    Transactional,
    /// Everything else. Needs consent, and is stopped by suppressions of its list, of marketing and of all.
    Marketing {
        /// The list it belongs to, if any.
        list: Option<String>,
    },
}

/// An email to enqueue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEmail {
    /// Its identity.
    pub key: DedupKey,
    /// Its purpose.
    pub purpose: Purpose,
    /// The rendered message.
    pub message: Message,
    /// Emails of higher priority are sent first. Default 0.
    pub priority: i32,
    /// Not sent before this timestamp. Default: at once.
    pub not_before: Option<DateTime<Utc>>,
    /// Not sent from this timestamp on. Default: never expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// See [`at_least_once`](Self::at_least_once).
    pub at_least_once: bool,
}

impl NewEmail {
    /// An email that may be sent now and at any later time.
    #[must_use]
    pub fn new(key: DedupKey, purpose: Purpose, message: Message) -> Self {
        Self { key, purpose, message, priority: 0, not_before: None, expires_at: None, at_least_once: false }
    }

    /// Marketing email of no list. Its message must have an
    /// [unsubscribe link](crate::MessageBuilder::list_unsubscribe), such as
    /// [`UnsubscribeKeys`](crate::unsubscribe::UnsubscribeKeys) makes: without one the outbox refuses it.
    #[must_use]
    pub fn marketing(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Marketing { list: None }, message)
    }

    /// Transactional email.
    #[must_use]
    pub fn transactional(key: DedupKey, message: Message) -> Self {
        Self::new(key, Purpose::Transactional, message)
    }

    /// Sends the email again, up to the run's `max_attempts`, when it cannot be known whether it arrived. **It may arrive
    /// twice**: right for a password reset, wrong for an offer, and refused for marketing email. Without this, an email
    /// whose answer was lost stays `unknown` and is never sent again.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.at_least_once = true;
        self
    }

    /// Sets the priority: emails of higher priority are sent first.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the timestamp before which it is not sent.
    #[must_use]
    pub fn not_before(mut self, at: DateTime<Utc>) -> Self {
        self.not_before = Some(at);
        self
    }

    /// Sets the timestamp from which on it is not sent any more; it expires then.
    #[must_use]
    pub fn expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = Some(at);
        self
    }
}

/// What enqueueing did with an email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It was added and will be sent.
    Enqueued(EmailId),
    /// An email of the same key was there before, in this state; nothing was changed.
    AlreadyThere(EmailId, State),
    /// It is stored and will not be sent, now or since before; the reason is `no consent` or `suppressed: …`.
    Suppressed(EmailId, String),
}

/// An attachment of a stored message; its bytes are in `mail_blobs`.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAttachment {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) media_type: String,
    pub(super) sha256: String,
}

impl DedupKey {
    /// PostgreSQL cannot store a NUL, and the outbox behaves the same on every engine.
    fn contains_nul(&self) -> bool {
        [&self.campaign, &self.contact, &self.entity].into_iter().any(|part| part.contains('\0'))
    }
}

/// Adds emails, all or none, and returns one answer per email, in order.
pub(super) async fn enqueue(store: &Store, emails: &[NewEmail], now: DateTime<Utc>) -> Result<Vec<Enqueued>> {
    check(emails)?;
    // Erasing removes attachments that no email has; it must not remove one whose email is being added.
    let attached = emails.iter().any(|email| !email.message.attachments().is_empty());
    let access = if attached { Access::Shared } else { Access::Open };
    let mut tx = store.begin(OPERATION, access).await?;
    let answers = enqueue_within(store, &mut tx, access, emails, now).await?;
    tx.commit().await?;
    Ok(answers)
}

/// What the outbox refuses whatever is in it.
pub(crate) fn check(emails: &[NewEmail]) -> Result<()> {
    let refuse = |detail: &str| Error::new(ErrorKind::Input, SERVICE, OPERATION).with_detail(detail);
    for email in emails {
        let list = match &email.purpose {
            Purpose::Marketing { .. } if email.message.list_unsubscribe().is_none() => {
                return Err(refuse(
                    "marketing email without an unsubscribe link: set MessageBuilder::list_unsubscribe",
                ));
            }
            Purpose::Marketing { .. } if email.at_least_once => {
                return Err(refuse(
                    "marketing email with at_least_once: only transactional email may be sent twice",
                ));
            }
            Purpose::Marketing { list } => list.as_deref(),
            Purpose::Transactional => None,
        };
        if email.key.contains_nul() || list.is_some_and(|list| list.contains('\0')) {
            return Err(refuse("NUL in a key or list name"));
        }
    }
    Ok(())
}

/// Adds emails that were [checked](check) within a transaction that was begun with `access`: they are there if it
/// commits.
pub(crate) async fn enqueue_within(
    store: &Store,
    tx: &mut Tx,
    access: Access,
    emails: &[NewEmail],
    now: DateTime<Utc>,
) -> Result<Vec<Enqueued>> {
    // Sorted, so that two calls with the same emails cannot deadlock. The first of equal keys wins.
    let mut sorted: BTreeMap<EmailId, (usize, &NewEmail)> = BTreeMap::new();
    for (position, email) in emails.iter().enumerate() {
        sorted.entry(email.key.id()).or_insert((position, email));
    }
    if access == Access::Shared {
        store_attachments(tx, emails).await?;
    }
    let mut known: HashMap<EmailId, Enqueued> = HashMap::new();
    let mut inserted: Vec<EmailId> = Vec::with_capacity(sorted.len());
    let mut ordered: Vec<_> = sorted.iter().map(|(id, (position, email))| (*id, *position, *email)).collect();
    if store.has_one_writer() {
        // A single writer cannot deadlock: the order given is that of the log and of the disk.
        ordered.sort_by_key(|(_, position, _)| *position);
    }
    let mut ordered = ordered.into_iter();
    let mut chunk = Chunk::next(&mut ordered, now)?;
    while !chunk.ids.is_empty() {
        // The next emails are serialised while the engine stores these.
        let (new, next) = join(chunk.insert(tx, now), async { Chunk::next(&mut ordered, now) }).await;
        inserted.extend(new?);
        chunk = next?;
    }
    if access == Access::Open {
        tx.lock(store, Access::Shared).await?;
    }
    for ids in inserted.chunks(CHUNK) {
        suppress_unwanted(tx, ids, now, &mut known).await?;
    }
    for id in inserted {
        known.entry(id).or_insert(Enqueued::Enqueued(id));
    }
    let there: Vec<EmailId> = sorted.keys().filter(|id| !known.contains_key(id)).copied().collect();
    for ids in there.chunks(CHUNK) {
        look_up(tx, ids, &mut known).await?;
    }
    let mut answers = Vec::with_capacity(emails.len());
    for (position, email) in emails.iter().enumerate() {
        let id = email.key.id();
        let answer = known.get(&id).ok_or_else(|| damaged(OPERATION))?;
        let first = sorted.get(&id).is_some_and(|(first, _)| *first == position);
        answers.push(match answer {
            Enqueued::Enqueued(id) if !first => Enqueued::AlreadyThere(*id, State::Pending),
            answer => answer.clone(),
        });
    }
    Ok(answers)
}

/// Emails for one statement, as rows of values.
#[derive(Default)]
struct Chunk {
    ids: Vec<EmailId>,
    rows: Rows,
    /// Payloads and lists of attachments.
    messages: Vec<(String, Option<String>)>,
}

impl Chunk {
    /// The next emails: as many as a statement holds.
    fn next<'a>(
        emails: &mut impl Iterator<Item = (EmailId, usize, &'a NewEmail)>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let mut chunk = Self::default();
        let mut bytes = 0;
        let mut rows: Vec<NewRow> = Vec::new();
        while rows.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some((id, position, email)) = emails.next() else { break };
            let unwritable = |cause: serde_json::Error| {
                Error::new(ErrorKind::Input, SERVICE, OPERATION).with_source(cause)
            };
            let payload = serde_json::to_string(&email.message).map_err(unwritable)?;
            let stored: Vec<StoredAttachment> =
                email.message.attachments().iter().map(StoredAttachment::of).collect();
            let attachments = match stored.is_empty() {
                true => None,
                false => Some(serde_json::to_string(&stored).map_err(unwritable)?),
            };
            let attached: usize = email.message.attachments().iter().map(|file| file.content().len()).sum();
            bytes += payload.len();
            rows.push(NewRow { email, position, bytes: payload.len() + attached });
            chunk.ids.push(id);
            chunk.messages.push((payload, attachments));
        }
        let each = || rows.iter();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        chunk.rows = Rows::default()
            .text(chunk.ids.iter().map(EmailId::to_string))
            .text(each().map(|row| row.email.key.campaign.clone()))
            .text(each().map(|row| row.email.key.contact.clone()))
            .text(each().map(|row| row.email.key.entity.clone()))
            .text(each().map(|row| row.email.purpose.as_str().to_owned()))
            .maybe_text(each().map(|row| row.email.purpose.list().map(str::to_owned)))
            .number(each().map(|row| i64::from(row.email.at_least_once)))
            .text(each().map(|row| row.email.message.to().address.key()))
            .text(each().map(|row| row.email.message.to().address.as_str().to_owned()))
            .number(each().map(|row| number(row.bytes)))
            .number(each().map(|row| i64::from(row.email.priority)))
            .number(each().map(|row| number(row.position)))
            .number(each().map(|row| millis(row.email.not_before.unwrap_or(now))))
            .maybe_number(each().map(|row| row.email.expires_at.map(millis)));
        Ok(chunk)
    }

    /// Inserts the emails and returns the ids of those that were not there.
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
        let inserted = rows.iter().map(queue::email_id).collect::<Result<Vec<_>>>()?;
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

/// An email that is added.
struct NewRow<'a> {
    email: &'a NewEmail,
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

/// Stores the attachments, each content once, in one order.
async fn store_attachments(tx: &mut Tx, emails: &[NewEmail]) -> Result<()> {
    let mut contents = BTreeMap::new();
    // Emails of a campaign share the bytes: hashed once.
    let mut seen = HashSet::new();
    for attachment in emails.iter().flat_map(|email| email.message.attachments()) {
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

/// Suppresses new emails that must not be sent.
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
        let (id, reason) = (queue::email_id(row)?, row.text("forbidden")?.to_owned());
        known.insert(id, Enqueued::Suppressed(id, reason.clone()));
        stopped.push(Stopped { id, state: State::Suppressed, reason: Some(reason) });
    }
    queue::stop(tx, now, &stopped).await
}

/// Looks up emails that were there before.
async fn look_up(tx: &mut Tx, ids: &[EmailId], known: &mut HashMap<EmailId, Enqueued>) -> Result<()> {
    let rows = tx
        .all(
            "SELECT id, state, coalesce(reason, '') AS reason FROM mail_outbox
              WHERE id IN (SELECT value FROM json_each($1))",
            values![texts(ids)],
        )
        .await?;
    for row in &rows {
        let id = queue::email_id(row)?;
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
