//! Who agreed to be mailed, and who must not be. Data with a source and a date; the decision is one SQL expression.

use super::{Outbox, millis, storage};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// What a person agrees to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsentScope {
    /// Marketing mail of every list.
    Marketing,
    /// Marketing mail of one list.
    List(String),
}

/// That a person agreed, or took it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Who.
    pub address: EmailAddress,
    /// To what.
    pub scope: ConsentScope,
    /// Agreed (`true`) or withdrawn.
    pub granted: bool,
    /// When. The latest record that covers a mail decides; one dated in the future does not count yet.
    pub at: DateTime<Utc>,
    /// Where it comes from, such as `inscrits.csv`.
    pub source: String,
}

impl Consent {
    /// That a person agreed to marketing mail.
    #[must_use]
    pub fn granted(address: EmailAddress, at: DateTime<Utc>, source: impl Into<String>) -> Self {
        Self { address, scope: ConsentScope::Marketing, granted: true, at, source: source.into() }
    }
}

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
    fn columns(&self) -> (&'static str, &str) {
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

impl Outbox {
    /// Adds records of consent, all or none. A record that is there already is not added again. Returns how many were
    /// new.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn record_consents(&self, consents: &[Consent]) -> Result<u64> {
        const OPERATION: &str = "record consent";
        let mut transaction = self.begin(OPERATION).await?;
        let mut added = 0;
        for consent in consents {
            let (scope, list) = match &consent.scope {
                ConsentScope::Marketing => ("marketing", ""),
                ConsentScope::List(list) => ("list", list.as_str()),
            };
            let done = sqlx::query(
                "INSERT INTO mail_consents (address_key, scope, list, granted, at, source)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(consent.address.key())
            .bind(scope)
            .bind(list)
            .bind(consent.granted)
            .bind(millis(consent.at))
            .bind(&consent.source)
            .execute(&mut *transaction)
            .await
            .map_err(|cause| storage(OPERATION, cause))?;
            added += done.rows_affected();
        }
        transaction.commit().await.map_err(|cause| storage(OPERATION, cause))?;
        Ok(added)
    }

    /// Forbids mails, all or none. When this returns, no worker claims a forbidden mail any more, and one that was
    /// claimed is not marked for sending. What was marked before, for calls that begin within 5 s (where the provider
    /// cannot recognise a repetition: for the one call that is next), may still go. The first reason for a scope is
    /// kept.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn suppress(&self, suppressions: &[Suppression]) -> Result<()> {
        const OPERATION: &str = "suppress";
        let mut transaction = self.begin(OPERATION).await?;
        for suppression in suppressions {
            let (scope, list) = suppression.scope.columns();
            // The later end wins: a lasting reason must not be shortened by a passing one.
            sqlx::query(
                "INSERT INTO mail_suppressions (address_key, scope, list, address, reason, source, at, expires_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (address_key, scope, list) DO UPDATE SET expires_at =
                    CASE WHEN expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                         ELSE max(expires_at, excluded.expires_at) END",
            )
            .bind(suppression.address.key())
            .bind(scope)
            .bind(list)
            .bind(suppression.address.normalised())
            .bind(suppression.reason.as_str())
            .bind(&suppression.source)
            .bind(millis(suppression.at))
            .bind(suppression.expires_at.map(millis))
            .execute(&mut *transaction)
            .await
            .map_err(|cause| storage(OPERATION, cause))?;
        }
        transaction.commit().await.map_err(|cause| storage(OPERATION, cause))
    }

    /// Takes one suppression back. Returns whether there was one. Mails that it stopped stay stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn lift_suppression(&self, address: &EmailAddress, scope: &SuppressionScope) -> Result<bool> {
        let (scope, list) = scope.columns();
        sqlx::query("DELETE FROM mail_suppressions WHERE address_key = ? AND scope = ? AND list = ?")
            .bind(address.key())
            .bind(scope)
            .bind(list)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(|cause| storage("lift a suppression", cause))
    }
}
