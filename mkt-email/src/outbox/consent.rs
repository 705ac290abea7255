//! Who agreed to be mailed. Data with a source and a date; the decision is one SQL expression, the outbox's gate.

use super::store::{Access, Rows, values};
use super::{Outbox, millis, storable};
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

impl Outbox {
    /// Adds records of consent, all or none. A record that is there already is not added again. Returns how many were
    /// new. What a withdrawal forbids is not marked for sending any more when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn record_consents(&self, consents: &[Consent]) -> Result<u64> {
        let mut tx = self.store.begin("record consent", Access::Alone).await?;
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
}
