//! Pausing, resuming and cancelling campaigns.

use super::millis;
use super::store::{Access, Store, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Pauses a campaign; returns whether it was not paused before.
pub(super) async fn pause(store: &Store, campaign: &str, now: DateTime<Utc>) -> Result<bool> {
    let mut tx = store.begin("pause", Access::Alone).await?;
    let paused = tx
        .run(
            "INSERT INTO mail_campaigns (campaign, paused_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            values![campaign, millis(now)],
        )
        .await?;
    tx.commit().await?;
    Ok(paused > 0)
}

/// Resumes a campaign; returns whether it was paused.
pub(super) async fn resume(store: &Store, campaign: &str) -> Result<bool> {
    let mut tx = store.begin("resume", Access::Alone).await?;
    let resumed = tx.run("DELETE FROM mail_campaigns WHERE campaign = $1", values![campaign]).await?;
    tx.commit().await?;
    Ok(resumed > 0)
}

/// The paused campaigns, by name.
pub(super) async fn paused(store: &Store) -> Result<Vec<String>> {
    let rows =
        store.all("list pauses", "SELECT campaign FROM mail_campaigns ORDER BY campaign", values![]).await?;
    rows.iter().map(|row| row.text("campaign").map(str::to_owned)).collect()
}

/// Cancels what a campaign has not sent yet; returns how many emails were cancelled at once.
pub(super) async fn cancel(store: &Store, campaign: &str, now: DateTime<Utc>) -> Result<u64> {
    let mut tx = store.begin("cancel", Access::Alone).await?;
    let cancelled = tx
        .run(
            "UPDATE mail_outbox SET state = 'cancelled', worker = NULL, lease_until = NULL, updated_at = $1
              WHERE campaign = $2 AND state IN ('pending', 'claimed', 'deferred')",
            values![millis(now), campaign],
        )
        .await?;
    // Recording an outcome looks at the reason.
    tx.run(
        "UPDATE mail_outbox SET reason = 'cancelled', updated_at = $1
          WHERE campaign = $2 AND state IN ('sending', 'unknown')",
        values![millis(now), campaign],
    )
    .await?;
    tx.commit().await?;
    Ok(cancelled)
}
