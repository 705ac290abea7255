//! Erases a person from the tables of journeys.

use crate::outbox::millis;
use crate::outbox::store::{Tx, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Removes a person: address, zone, triggers and entities go; running instances end. That there were instances stays,
/// under the key of the address, so that counts stay what they were.
pub(crate) async fn erase(tx: &mut Tx, contact_key: &str, now: DateTime<Utc>) -> Result<()> {
    tx.run(
        "UPDATE mail_journey_contacts SET address = NULL, zone = NULL, zone_at = NULL, due_at = NULL
          WHERE contact_key = $1",
        values![contact_key],
    )
    .await?;
    tx.run("DELETE FROM mail_journey_triggers WHERE contact_key = $1", values![contact_key]).await?;
    tx.run(
        "UPDATE mail_journey_instances
            SET ended_at = $2, reason = 'erased', why = NULL, next_at = NULL
          WHERE contact_key = $1 AND ended_at IS NULL",
        values![contact_key, millis(now)],
    )
    .await?;
    // An entity may be personal; the id is a hash of it.
    tx.run("UPDATE mail_journey_instances SET entity = id WHERE contact_key = $1", values![contact_key])
        .await
        .map(|_| ())
}
