//! Erasing a person. What they were sent is deleted. That they must not be sent anything stays, under the key of their
//! address, and so does that they were sent an email, under the key of each email: imported again, they are still
//! suppressed, and receive no campaign twice.

use super::enqueue::StoredAttachment;
use super::millis;
use super::store::{Access, Store, values};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::BTreeSet;

/// What an erasure removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// Emails that lost address, contact and content.
    pub emails: u64,
    /// Those of them that were still waiting, and were cancelled.
    pub cancelled: u64,
    /// Suppressions that lost their address and stay in force.
    pub suppressions: u64,
    /// Events that lost address, reason, link and payload.
    pub events: u64,
}

/// Removes a person from every table; see [`Outbox::erase`](crate::Outbox::erase).
pub(super) async fn erase(store: &Store, address: &EmailAddress, now: DateTime<Utc>) -> Result<Erased> {
    let key = address.key();
    let mut tx = store.begin("erase", Access::Alone).await?;
    let cancelled = tx
        .run(
            "UPDATE mail_outbox SET state = 'cancelled', reason = 'erased', worker = NULL, lease_until = NULL,
                    updated_at = $1
              WHERE address_key = $2 AND state IN ('pending', 'claimed', 'deferred')",
            values![millis(now), &key],
        )
        .await?;
    // Recording an outcome looks at the reason.
    tx.run(
        "UPDATE mail_outbox SET reason = 'cancelled', updated_at = $1
          WHERE address_key = $2 AND state IN ('sending', 'unknown')",
        values![millis(now), &key],
    )
    .await?;
    let mut attached = BTreeSet::new();
    for row in tx
        .all(
            "SELECT attachments FROM mail_messages
              WHERE attachments IS NOT NULL
                AND mail_id IN (SELECT o.id FROM mail_outbox AS o WHERE o.address_key = $1)",
            values![&key],
        )
        .await?
    {
        let stored: Vec<StoredAttachment> =
            serde_json::from_str(row.text("attachments")?).unwrap_or_default();
        attached.extend(stored.into_iter().map(|attachment| attachment.sha256));
    }
    tx.run(
        "DELETE FROM mail_messages
          WHERE mail_id IN (SELECT o.id FROM mail_outbox AS o WHERE o.address_key = $1)",
        values![&key],
    )
    .await?;
    let emails = tx
        .run(
            "UPDATE mail_outbox SET recipient = '', contact = id, updated_at = $1
              WHERE address_key = $2 AND recipient <> ''",
            values![millis(now), &key],
        )
        .await?;
    if !attached.is_empty() {
        tx.run(
            "DELETE FROM mail_blobs
              WHERE sha256 IN (SELECT value FROM json_each($1))
                AND NOT EXISTS (SELECT 1 FROM mail_messages AS m
                                 WHERE m.attachments LIKE '%' || mail_blobs.sha256 || '%')",
            values![attached.into_iter().collect::<Vec<_>>()],
        )
        .await?;
    }
    let suppressions = tx
        .run(
            "UPDATE mail_suppressions SET address = NULL WHERE address_key = $1 AND address IS NOT NULL",
            values![&key],
        )
        .await?;
    let events = tx
        .run(
            "UPDATE mail_events SET recipient = NULL, reason = NULL, url = NULL, raw = NULL
              WHERE address_key = $1
                AND (recipient IS NOT NULL OR reason IS NOT NULL OR url IS NOT NULL OR raw IS NOT NULL)",
            values![&key],
        )
        .await?;
    tx.run(
        "INSERT INTO mail_erasures (address_key, at) VALUES ($1, $2)
         ON CONFLICT (address_key) DO UPDATE SET at = excluded.at",
        values![&key, millis(now)],
    )
    .await?;
    #[cfg(feature = "journey")]
    if tx.has_table("mail_journey_contacts").await? {
        crate::journey::engine::erasure::erase(&mut tx, &key, now).await?;
    }
    tx.commit().await?;
    store.scrub().await?;
    Ok(Erased { emails, cancelled, suppressions, events })
}
