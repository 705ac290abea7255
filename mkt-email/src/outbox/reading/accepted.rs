//! Reads which emails a provider accepted, in the order in which that was recorded.

use crate::id::EmailId;
use crate::outbox::store::{Access, Store, values};
use crate::outbox::{damaged, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// The most emails of a page.
const MAX_PAGE: usize = 10_000;

/// An email that a provider accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedEmail {
    /// The place of the record: later commits have larger numbers.
    pub seq: i64,
    /// The email.
    pub email: EmailId,
    /// Its campaign.
    pub campaign: String,
    /// The key of the recipient's address.
    pub address_key: String,
    /// The provider.
    pub provider: Option<String>,
    /// When it was accepted.
    pub at: DateTime<Utc>,
}

/// Emails after a place, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedPage {
    /// The emails, in the order in which their acceptance was recorded.
    pub emails: Vec<AcceptedEmail>,
    /// What to ask for next; the same as before when there was none.
    pub next: i64,
}

/// Reads accepted emails; see [`Outbox::accepted_after`](crate::Outbox::sent_after).
pub(in crate::outbox) async fn accepted(store: &Store, after: i64, limit: usize) -> Result<AcceptedPage> {
    const OPERATION: &str = "read sent emails";
    let limit = i64::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1);
    // Numbers are drawn before their transaction commits: alone, there is none under way.
    let mut tx = store.begin(OPERATION, Access::Alone).await?;
    let rows = tx
        .all(
            "SELECT l.seq, l.mail_id, l.at, l.provider, o.campaign, o.address_key
               FROM mail_log AS l JOIN mail_outbox AS o ON o.id = l.mail_id
              WHERE l.seq > $1 AND l.state = 'accepted' ORDER BY l.seq LIMIT $2",
            values![after, limit],
        )
        .await?;
    tx.commit().await?;
    let mut emails = Vec::with_capacity(rows.len());
    for row in &rows {
        emails.push(AcceptedEmail {
            seq: row.number("seq")?,
            email: EmailId::parse(row.text("mail_id")?).ok_or_else(|| damaged(OPERATION))?,
            campaign: row.text("campaign")?.to_owned(),
            address_key: row.text("address_key")?.to_owned(),
            provider: row.maybe_text("provider")?.map(str::to_owned),
            at: timestamp(row.number("at")?)?,
        });
    }
    let next = emails.last().map_or(after, |email| email.seq);
    Ok(AcceptedPage { emails, next })
}
