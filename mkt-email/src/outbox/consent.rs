//! Who agreed to be mailed. Data with a source and a date; the decision is one SQL expression, the outbox's gate.

use super::store::{Access, values};
use super::{Outbox, json, millis, storable};
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
            let rows: Vec<_> = chunk
                .iter()
                .map(|consent| {
                    let (scope, list) = match &consent.scope {
                        ConsentScope::Marketing => ("marketing", String::new()),
                        ConsentScope::List(list) => ("list", storable(list)),
                    };
                    let granted = u8::from(consent.granted);
                    let source = storable(&consent.source);
                    (consent.address.key(), scope, list, granted, millis(consent.at), source)
                })
                .collect();
            added += tx
                .run(
                    "INSERT INTO mail_consents (address_key, scope, list, granted, at, source)
                     SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, CAST(j.value ->> 3 AS BIGINT),
                            CAST(j.value ->> 4 AS BIGINT), j.value ->> 5
                       FROM json_each($1) AS j WHERE true
                     ON CONFLICT DO NOTHING",
                    values![json(&rows)?],
                )
                .await?;
        }
        tx.commit().await?;
        Ok(added)
    }
}
