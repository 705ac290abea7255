//! Forgetting a person. What they were sent and asked for is deleted; that they must not be mailed stays, under the
//! key of their address, and so does that they were mailed, under the key of each mail: imported again, they are still
//! suppressed, and get no campaign twice.

use super::store::{Access, values};
use super::{Outbox, millis};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::BTreeSet;

/// What an erasure removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// Mails that lost address, contact and content.
    pub mails: u64,
    /// Those of them that still waited, and were cancelled.
    pub cancelled: u64,
    /// Suppressions that lost their address and stay in force.
    pub suppressions: u64,
}

impl Outbox {
    /// Removes the address, the contact's id and the content of everything kept about a person from every table. Mails
    /// that wait are cancelled; a call that is being made ends as it ends; a lost answer stays unknown and is not asked
    /// about any more. The keys of mails and of the address stay (see the module), and so do records of consent, which
    /// hold no address. Attachments that no other mail carries are deleted.
    ///
    /// What the disk still holds of earlier states of rows is overwritten in a file, and removed by a `VACUUM` on a
    /// server. Backups, and logs copied by [`write_send_log`](Self::write_send_log), are not reached:
    /// [`erase_from_send_log`](Self::erase_from_send_log) cleans a log.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage). After an error of the last step everything is erased but
    /// what the disk holds of earlier states; erasing again repeats the step.
    pub async fn erase(&self, address: &EmailAddress, now: DateTime<Utc>) -> Result<Erased> {
        let key = address.key();
        let mut tx = self.store.begin("erase", Access::Alone).await?;
        let cancelled = tx
            .run(
                "UPDATE mail_outbox SET state = 'cancelled', reason = 'erased', worker = NULL, lease_until = NULL,
                        updated_at = $1
                  WHERE address_key = $2 AND state IN ('pending', 'claimed', 'deferred')",
                values![millis(now), &key],
            )
            .await?;
        // Whoever writes down what became of these looks at the reason.
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
            let stored: Vec<super::enqueue::StoredAttachment> =
                serde_json::from_str(row.text("attachments")?).unwrap_or_default();
            attached.extend(stored.into_iter().map(|attachment| attachment.sha256));
        }
        tx.run(
            "DELETE FROM mail_messages
              WHERE mail_id IN (SELECT o.id FROM mail_outbox AS o WHERE o.address_key = $1)",
            values![&key],
        )
        .await?;
        let mails = tx
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
        tx.commit().await?;
        self.store.scrub().await?;
        Ok(Erased { mails, cancelled, suppressions })
    }
}
