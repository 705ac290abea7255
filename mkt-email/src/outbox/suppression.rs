//! Who must not be mailed. Data with a source and a date; the decision is one SQL expression, the outbox's gate.

use super::store::{Access, Rows, values};
use super::{Outbox, millis, storable};
use crate::EmailAddress;
use crate::unsubscribe::UnsubscribeClaim;
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// What a person must not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuppressionScope {
    /// Anything.
    All,
    /// Marketing mail.
    Marketing,
    /// Marketing mail of one list.
    List(String),
}

impl SuppressionScope {
    pub(super) fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("all", ""),
            Self::Marketing => ("marketing", ""),
            Self::List(list) => ("list", list),
        }
    }
}

/// Why a person must not be mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuppressionReason {
    /// They asked.
    Unsubscribed,
    /// The address does not exist.
    HardBounce,
    /// They reported spam.
    Complaint,
    /// Somebody decided.
    Manual,
}

impl SuppressionReason {
    /// The reason as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsubscribed => "unsubscribed",
            Self::HardBounce => "hard_bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }
}

impl std::str::FromStr for SuppressionReason {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        const ALL: [SuppressionReason; 4] = [
            SuppressionReason::Unsubscribed,
            SuppressionReason::HardBounce,
            SuppressionReason::Complaint,
            SuppressionReason::Manual,
        ];
        ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(())
    }
}

/// That a person must not be mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Who.
    pub address: EmailAddress,
    /// What they must not be sent.
    pub scope: SuppressionScope,
    /// Why.
    pub reason: SuppressionReason,
    /// Where it comes from.
    pub source: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Until when, if not for ever.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A suppression as it is stored.
#[derive(Debug, serde::Serialize)]
pub(super) struct StoredSuppression {
    pub(super) address_key: String,
    pub(super) scope: &'static str,
    pub(super) list: String,
    /// Not known of somebody who was erased, or who followed a link.
    pub(super) address: Option<String>,
    pub(super) reason: &'static str,
    pub(super) source: String,
    pub(super) at: i64,
    pub(super) expires_at: Option<i64>,
}

impl From<&Suppression> for StoredSuppression {
    fn from(suppression: &Suppression) -> Self {
        let (scope, list) = suppression.scope.columns();
        Self {
            address_key: suppression.address.key(),
            scope,
            list: storable(list),
            address: Some(suppression.address.normalised()),
            reason: suppression.reason.as_str(),
            source: storable(&suppression.source),
            at: millis(suppression.at),
            expires_at: suppression.expires_at.map(millis),
        }
    }
}

impl Outbox {
    /// Forbids mails, all or none. When this returns, no worker claims a forbidden mail any more, and one that was
    /// claimed is not marked for sending, in whatever process. A call that was marked before is being made and ends as
    /// it ends. The first reason for a scope is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn suppress(&self, suppressions: &[Suppression]) -> Result<()> {
        let rows: Vec<StoredSuppression> = suppressions.iter().map(StoredSuppression::from).collect();
        self.store_suppressions(&rows).await.map(|_| ())
    }

    /// Acts upon a link to unsubscribe that [`UnsubscribeKeys`](crate::unsubscribe::UnsubscribeKeys) has verified: as
    /// [`suppress`](Self::suppress), for whoever it is about. The link knows the key of the address and not the address;
    /// the source is the campaign whose mail carried it.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn unsubscribe(&self, claim: &UnsubscribeClaim, at: DateTime<Utc>) -> Result<()> {
        let scope = SuppressionScope::from(claim.scope().clone());
        let (scope, list) = scope.columns();
        let row = StoredSuppression {
            address_key: claim.address_key(),
            scope,
            list: storable(list),
            address: None,
            reason: SuppressionReason::Unsubscribed.as_str(),
            source: storable(&format!("link in a mail of {}", claim.campaign())),
            at: millis(at),
            expires_at: None,
        };
        self.store_suppressions(&[row]).await.map(|_| ())
    }

    /// Returns how many were new, by person and scope.
    pub(super) async fn store_suppressions(&self, rows: &[StoredSuppression]) -> Result<u64> {
        let mut tx = self.store.begin("suppress", Access::Alone).await?;
        let before = tx.all(COUNT, values![]).await?;
        for chunk in rows.chunks(500) {
            // One statement cannot touch a row twice on PostgreSQL: those that the list names again are made one.
            let mut distinct = std::collections::BTreeMap::new();
            for row in chunk {
                distinct
                    .entry((&row.address_key, row.scope, &row.list))
                    .and_modify(|(_, expires_at): &mut (&StoredSuppression, Option<i64>)| {
                        *expires_at = expires_at.zip(row.expires_at).map(|(a, b)| a.max(b));
                    })
                    .or_insert((row, row.expires_at));
            }
            let each = || distinct.values();
            let new = Rows::default()
                .text(each().map(|(row, _)| row.address_key.clone()))
                .text(each().map(|(row, _)| row.scope.to_owned()))
                .text(each().map(|(row, _)| row.list.clone()))
                .maybe_text(each().map(|(row, _)| row.address.clone()))
                .text(each().map(|(row, _)| row.reason.to_owned()))
                .text(each().map(|(row, _)| row.source.clone()))
                .number(each().map(|(row, _)| row.at))
                .maybe_number(each().map(|(_, ends)| *ends));
            // The later end wins: a lasting reason must not be shortened by a passing one.
            tx.run_rows(
                "INSERT INTO mail_suppressions (address_key, scope, list, address, reason, source, at, expires_at)
                 SELECT * FROM ({rows}) AS j WHERE true
                 ON CONFLICT (address_key, scope, list) DO UPDATE SET expires_at =
                    CASE WHEN mail_suppressions.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                         WHEN mail_suppressions.expires_at > excluded.expires_at THEN mail_suppressions.expires_at
                         ELSE excluded.expires_at END",
                values![],
                new,
            )
            .await?;
        }
        let after = tx.all(COUNT, values![]).await?;
        tx.commit().await?;
        let count = |rows: &[super::store::Row]| rows.first().map_or(Ok(0), |row| row.number("count"));
        Ok(u64::try_from(count(&after)? - count(&before)?).unwrap_or(0))
    }

    /// Takes one suppression back. Returns whether there was one. Mails that it stopped stay stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn lift_suppression(&self, address: &EmailAddress, scope: &SuppressionScope) -> Result<bool> {
        let (scope, list) = scope.columns();
        let mut tx = self.store.begin("lift a suppression", Access::Shared).await?;
        let lifted = tx
            .run(
                "DELETE FROM mail_suppressions WHERE address_key = $1 AND scope = $2 AND list = $3",
                values![address.key(), scope, list],
            )
            .await?;
        tx.commit().await?;
        Ok(lifted > 0)
    }
}

const COUNT: &str = "SELECT count(*) AS count FROM mail_suppressions";
