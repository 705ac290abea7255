//! Pausing, resuming and cancelling what belongs together.

use super::store::{Access, values};
use super::{Outbox, millis};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

impl Outbox {
    /// Lets a campaign rest: when this returns, none of its mails is marked for sending any more, in whatever process,
    /// until [`resume`](Self::resume). Calls that are being made end as they end. Mails may still be enqueued; they
    /// wait too, and expire when their time passes. Returns whether it was not paused before.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn pause(&self, campaign: &str, now: DateTime<Utc>) -> Result<bool> {
        let mut tx = self.store.begin("pause", Access::Alone).await?;
        let paused = tx
            .run(
                "INSERT INTO mail_campaigns (campaign, paused_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                values![campaign, millis(now)],
            )
            .await?;
        tx.commit().await?;
        Ok(paused > 0)
    }

    /// Lets a paused campaign go on with the next run. Returns whether it was paused.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn resume(&self, campaign: &str) -> Result<bool> {
        let mut tx = self.store.begin("resume", Access::Alone).await?;
        let resumed = tx.run("DELETE FROM mail_campaigns WHERE campaign = $1", values![campaign]).await?;
        tx.commit().await?;
        Ok(resumed > 0)
    }

    /// The campaigns that are paused, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn paused(&self) -> Result<Vec<String>> {
        let rows = self
            .store
            .all("list pauses", "SELECT campaign FROM mail_campaigns ORDER BY campaign", values![])
            .await?;
        rows.iter().map(|row| row.text("campaign").map(str::to_owned)).collect()
    }

    /// Cancels what a campaign has not handed over yet: mails that wait, and claimed ones. A call that is being made
    /// is not stopped, but a mail that comes back from it, or that turns out not to have arrived, is cancelled then.
    /// Mails enqueued later are new ones. Returns how many mails were cancelled at once.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn cancel(&self, campaign: &str, now: DateTime<Utc>) -> Result<u64> {
        let mut tx = self.store.begin("cancel", Access::Alone).await?;
        let cancelled = tx
            .run(
                "UPDATE mail_outbox SET state = 'cancelled', worker = NULL, lease_until = NULL, updated_at = $1
                  WHERE campaign = $2 AND state IN ('pending', 'claimed', 'deferred')",
                values![millis(now), campaign],
            )
            .await?;
        // Whoever writes down what became of these looks at the reason.
        tx.run(
            "UPDATE mail_outbox SET reason = 'cancelled', updated_at = $1
              WHERE campaign = $2 AND state IN ('sending', 'unknown')",
            values![millis(now), campaign],
        )
        .await?;
        tx.commit().await?;
        Ok(cancelled)
    }
}
