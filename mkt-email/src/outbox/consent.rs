//! Consents: who agreed to marketing email, with source and date. The decision is made in `gate`.

use super::store::{Access, Rows, Store, values};
use super::{millis, storable};
use crate::EmailAddress;
use crate::confirm::ConfirmClaim;
use crate::unsubscribe::UnsubscribeScope;
use chrono::{DateTime, SecondsFormat, Utc};
use mkt_connect::Result;

/// What a consent covers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsentScope {
    /// Marketing email of every list.
    Marketing,
    /// Marketing email of one list.
    List(String),
}

/// A record that a person gave or withdrew consent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consent {
    /// The person's address.
    pub address: EmailAddress,
    /// What it covers.
    pub scope: ConsentScope,
    /// Given (`true`) or withdrawn.
    pub granted: bool,
    /// When. The latest record that covers an email decides; one dated in the future does not count yet.
    pub at: DateTime<Utc>,
    /// Where the record comes from, such as `inscrits.csv`.
    pub source: String,
}

impl Consent {
    /// Consent to marketing email.
    #[must_use]
    pub fn granted(address: EmailAddress, at: DateTime<Utc>, source: impl Into<String>) -> Self {
        Self { address, scope: ConsentScope::Marketing, granted: true, at, source: source.into() }
    }

    /// Withdrawal of consent to marketing email.
    #[must_use]
    pub fn withdrawn(address: EmailAddress, at: DateTime<Utc>, source: impl Into<String>) -> Self {
        Self { granted: false, ..Self::granted(address, at, source) }
    }

    /// Limits the record to one list.
    #[must_use]
    pub fn for_list(mut self, list: impl Into<String>) -> Self {
        self.scope = ConsentScope::List(list.into());
        self
    }
}

/// Records the consent that a person gave by a verified link; returns whether it was new. A link counts once: after a
/// later unsubscription its repetition changes nothing.
pub(super) async fn confirm(store: &Store, claim: &ConfirmClaim, at: DateTime<Utc>) -> Result<bool> {
    let (scope, list) = match claim.scope() {
        UnsubscribeScope::Marketing => ("marketing", String::new()),
        UnsubscribeScope::List(list) => ("list", storable(list)),
    };
    let requested = claim.requested_at().to_rfc3339_opts(SecondsFormat::Secs, true);
    let source = storable(&format!("double opt-in, asked for through {} at {requested}", claim.source()));
    let mut tx = store.begin("record consent", Access::Alone).await?;
    let added = tx
        .run(
            "INSERT INTO mail_consents (address_key, scope, list, granted, at, source, confirmed)
             SELECT $1, $2, $3, 1, $4, $5, 1
              WHERE NOT EXISTS (SELECT 1 FROM mail_consents AS c
                                 WHERE c.address_key = $1 AND c.scope = $2 AND c.list = $3 AND c.confirmed = 1
                                   AND c.source = $5)",
            values![claim.address_key(), scope, list, millis(at), source],
        )
        .await?;
    tx.commit().await?;
    Ok(added > 0)
}

/// Adds records of consent, all or none; returns how many were new.
pub(super) async fn record(store: &Store, consents: &[Consent]) -> Result<u64> {
    let mut tx = store.begin("record consent", Access::Alone).await?;
    let mut added = 0;
    for chunk in consents.chunks(500) {
        let scoped = || {
            chunk.iter().map(|consent| match &consent.scope {
                ConsentScope::Marketing => ("marketing", String::new()),
                ConsentScope::List(list) => ("list", storable(list)),
            })
        };
        let rows = Rows::default()
            .text(chunk.iter().map(|consent| consent.address.key()))
            .text(scoped().map(|(scope, _)| scope.to_owned()))
            .text(scoped().map(|(_, list)| list))
            .number(chunk.iter().map(|consent| i64::from(consent.granted)))
            .number(chunk.iter().map(|consent| millis(consent.at)))
            .text(chunk.iter().map(|consent| storable(&consent.source)));
        added += tx
            .run_rows(
                "INSERT INTO mail_consents (address_key, scope, list, granted, at, source)
                 SELECT * FROM ({rows}) AS j WHERE true
                 ON CONFLICT DO NOTHING",
                values![],
                rows,
            )
            .await?;
    }
    tx.commit().await?;
    Ok(added)
}
