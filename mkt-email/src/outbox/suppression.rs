//! Suppressions: who must not be sent what, with reason, source and date. The decision is made in `gate`.

use super::store::{Access, Rows, Store, Tx, values};
use super::{millis, storable};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, HashSet};

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
    /// Emails to the address kept coming back, more often than the policy allows.
    SoftBounce,
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
            Self::SoftBounce => "soft_bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }
}

impl std::str::FromStr for SuppressionReason {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        const ALL: [SuppressionReason; 5] = [
            SuppressionReason::Unsubscribed,
            SuppressionReason::HardBounce,
            SuppressionReason::SoftBounce,
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
#[derive(Debug, Clone)]
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

/// As [`add`], for rows as stored.
pub(super) async fn add_stored(store: &Store, rows: &[StoredSuppression]) -> Result<u64> {
    let mut tx = store.begin("suppress", Access::Alone).await?;
    let before = tx.all(COUNT, values![]).await?;
    insert(&mut tx, rows).await?;
    let after = tx.all(COUNT, values![]).await?;
    tx.commit().await?;
    let count = |rows: &[super::store::Row]| rows.first().map_or(Ok(0), |row| row.number("count"));
    Ok(u64::try_from(count(&after)? - count(&before)?).unwrap_or(0))
}

/// Which of these keys of addresses belong to people who were erased and are in no email since.
pub(super) async fn erased(tx: &mut Tx, keys: Vec<String>) -> Result<HashSet<String>> {
    let mut erased = HashSet::new();
    for keys in keys.chunks(500) {
        let rows = tx
            .all(
                "SELECT g.address_key FROM mail_erasures AS g
                  WHERE g.address_key IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM mail_outbox AS o
                                     WHERE o.address_key = g.address_key AND o.recipient <> '')",
                values![keys.to_vec()],
            )
            .await?;
        for row in &rows {
            erased.insert(row.text("address_key")?.to_owned());
        }
    }
    Ok(erased)
}

impl StoredSuppression {
    /// Combines two records of one person and scope. What is combined does not depend on the order: a reason other than
    /// an unsubscription counts before one, of two unsubscriptions the later, of two others the earlier. The later end
    /// wins: a permanent suppression is not shortened by a temporary one.
    fn combine(&mut self, other: &Self) {
        let unsubscribed = SuppressionReason::Unsubscribed.as_str();
        let replaced = match (self.reason == unsubscribed, other.reason == unsubscribed) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => other.at > self.at || (other.at == self.at && other.source < self.source),
            (false, false) => (other.at, other.reason, &other.source) < (self.at, self.reason, &self.source),
        };
        let expires_at = self.expires_at.zip(other.expires_at).map(|(a, b)| a.max(b));
        let address = self.address.take().or_else(|| other.address.clone());
        if replaced {
            (self.reason, self.at) = (other.reason, other.at);
            self.source.clone_from(&other.source);
        }
        (self.expires_at, self.address) = (expires_at, address);
    }
}

/// Inserts suppressions, or combines them with those that are there.
pub(super) async fn insert(tx: &mut Tx, rows: &[StoredSuppression]) -> Result<()> {
    // `combine` in SQL.
    macro_rules! replaced {
        ($column:literal) => {
            concat!(
                $column,
                " = CASE WHEN CASE
                    WHEN (mail_suppressions.reason = 'unsubscribed') <> (excluded.reason = 'unsubscribed')
                        THEN mail_suppressions.reason = 'unsubscribed'
                    WHEN excluded.reason = 'unsubscribed'
                        THEN excluded.at > mail_suppressions.at
                             OR (excluded.at = mail_suppressions.at AND excluded.source < mail_suppressions.source)
                    ELSE (excluded.at, excluded.reason, excluded.source)
                         < (mail_suppressions.at, mail_suppressions.reason, mail_suppressions.source)
                    END THEN excluded.",
                $column,
                " ELSE mail_suppressions.",
                $column,
                " END, "
            )
        };
    }
    // A statement cannot change a row twice on PostgreSQL: repeated entries are combined first.
    let mut distinct: BTreeMap<(&str, &str, &str), StoredSuppression> = BTreeMap::new();
    for row in rows {
        distinct
            .entry((&row.address_key, row.scope, &row.list))
            .and_modify(|known| known.combine(row))
            .or_insert_with(|| row.clone());
    }
    let erased = erased(tx, distinct.keys().map(|(key, _, _)| (*key).to_owned()).collect()).await?;
    let distinct: Vec<StoredSuppression> = distinct.into_values().collect();
    for chunk in distinct.chunks(500) {
        let each = || chunk.iter();
        let new = Rows::default()
            .text(each().map(|row| row.address_key.clone()))
            .text(each().map(|row| row.scope.to_owned()))
            .text(each().map(|row| row.list.clone()))
            .maybe_text(each().map(|row| row.address.clone().filter(|_| !erased.contains(&row.address_key))))
            .text(each().map(|row| row.reason.to_owned()))
            .text(each().map(|row| row.source.clone()))
            .number(each().map(|row| row.at))
            .maybe_number(each().map(|row| row.expires_at));
        tx.run_rows(
            concat!(
                "INSERT INTO mail_suppressions (address_key, scope, list, address, reason, source, at, expires_at)
                 SELECT * FROM ({rows}) AS j WHERE true
                 ON CONFLICT (address_key, scope, list) DO UPDATE SET ",
                replaced!("reason"),
                replaced!("at"),
                replaced!("source"),
                "address = coalesce(mail_suppressions.address, excluded.address),
                 expires_at = CASE WHEN mail_suppressions.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                     WHEN mail_suppressions.expires_at > excluded.expires_at THEN mail_suppressions.expires_at
                     ELSE excluded.expires_at END"
            ),
            values![],
            new,
        )
        .await?;
    }
    Ok(())
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
