//! Counts of emails by state: one SQL query, so that the sum holds at every instant.

use crate::outbox::store::{Store, values};
use mkt_connect::Result;

/// Emails by state. `sent + failed + suppressed + cancelled + unknown + pending = recipients`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the outbox.
    pub recipients: u64,
    /// Accepted by a provider.
    pub sent: u64,
    /// Rejected or expired.
    pub failed: u64,
    /// Not sent: suppressed, or no consent.
    pub suppressed: u64,
    /// Not sent: cancelled.
    pub cancelled: u64,
    /// The answer was lost.
    pub unknown: u64,
    /// Still to come: pending, claimed, sending or deferred.
    pub pending: u64,
}

impl Counts {
    /// Whether the parts make up the whole.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.sent + self.failed + self.suppressed + self.cancelled + self.unknown + self.pending
            == self.recipients
    }
}

/// Counts the emails of all campaigns, or of one.
pub(in crate::outbox) async fn counts(store: &Store, campaign: Option<&str>) -> Result<Counts> {
    let row = store
        .one(
            "count",
            "SELECT count(*)                                                   AS recipients,
                    count(*) FILTER (WHERE state = 'accepted')                 AS sent,
                    count(*) FILTER (WHERE state IN ('rejected', 'expired'))   AS failed,
                    count(*) FILTER (WHERE state = 'suppressed')               AS suppressed,
                    count(*) FILTER (WHERE state = 'cancelled')                AS cancelled,
                    count(*) FILTER (WHERE state = 'unknown')                  AS unknown,
                    count(*) FILTER (WHERE state IN ('pending', 'claimed', 'sending', 'deferred')) AS pending
               FROM mail_outbox WHERE $1 IS NULL OR campaign = $1",
            values![campaign],
        )
        .await?;
    let count = |name: &str| row.number(name).map(|value| u64::try_from(value).unwrap_or(0));
    Ok(Counts {
        recipients: count("recipients")?,
        sent: count("sent")?,
        failed: count("failed")?,
        suppressed: count("suppressed")?,
        cancelled: count("cancelled")?,
        unknown: count("unknown")?,
        pending: count("pending")?,
    })
}
