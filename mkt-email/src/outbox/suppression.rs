//! Suppressions: who must not be sent what, with reason, source and date. The decision is made in `gate`.

use super::store::{Access, Rows, Store, values};
use super::{millis, storable};
use crate::EmailAddress;
use crate::unsubscribe::UnsubscribeClaim;
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// What a suppression covers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuppressionScope {
    /// Every email.
    All,
    /// Marketing email.
    Marketing,
    /// Marketing email of one list.
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

/// The reason of a suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuppressionReason {
    /// The person unsubscribed.
    Unsubscribed,
    /// The address does not exist.
    HardBounce,
    /// The person reported spam.
    Complaint,
    /// Decided by the sender.
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

/// A record that a person must not be sent certain emails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suppression {
    /// The person's address.
    pub address: EmailAddress,
    /// What it covers.
    pub scope: SuppressionScope,
    /// The reason.
    pub reason: SuppressionReason,
    /// Where the record comes from.
    pub source: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Until when. Default: for ever.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Suppression {
    /// A suppression for ever.
    #[must_use]
    pub fn new(
        address: EmailAddress,
        scope: SuppressionScope,
        reason: SuppressionReason,
        source: impl Into<String>,
        at: DateTime<Utc>,
    ) -> Self {
        Self { address, scope, reason, source: source.into(), at, expires_at: None }
    }

    /// Ends the suppression at a timestamp.
    #[must_use]
    pub fn until(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = Some(at);
        self
    }
}

/// A suppression as stored.
#[derive(Debug, serde::Serialize)]
pub(super) struct StoredSuppression {
    pub(super) address_key: String,
    pub(super) scope: &'static str,
    pub(super) list: String,
    /// None for a person who was erased or followed an unsubscribe link.
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

/// Adds suppressions, all or none; returns how many were new, by person and scope.
pub(super) async fn add(store: &Store, suppressions: &[Suppression]) -> Result<u64> {
    let rows: Vec<StoredSuppression> = suppressions.iter().map(StoredSuppression::from).collect();
    add_stored(store, &rows).await
}

/// Adds the suppression of a verified unsubscribe link. The link holds the key of the address, not the address.
pub(super) async fn unsubscribe(store: &Store, claim: &UnsubscribeClaim, at: DateTime<Utc>) -> Result<()> {
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
    add_stored(store, &[row]).await.map(|_| ())
}

/// As [`add`], for rows as stored.
pub(super) async fn add_stored(store: &Store, rows: &[StoredSuppression]) -> Result<u64> {
    let mut tx = store.begin("suppress", Access::Alone).await?;
    let before = tx.all(COUNT, values![]).await?;
    for chunk in rows.chunks(500) {
        // A statement cannot change a row twice on PostgreSQL: repeated entries are merged.
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
        // The later end wins: a permanent suppression is not shortened by a temporary one.
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

/// Removes a suppression; returns whether there was one.
pub(super) async fn remove(store: &Store, address: &EmailAddress, scope: &SuppressionScope) -> Result<bool> {
    let (scope, list) = scope.columns();
    let mut tx = store.begin("lift a suppression", Access::Shared).await?;
    let removed = tx
        .run(
            "DELETE FROM mail_suppressions WHERE address_key = $1 AND scope = $2 AND list = $3",
            values![address.key(), scope, list],
        )
        .await?;
    tx.commit().await?;
    Ok(removed > 0)
}

const COUNT: &str = "SELECT count(*) AS count FROM mail_suppressions";
