//! Records what calls of webhooks brought, many calls in one transaction.

use super::policy::SuppressionPolicy;
use super::record::record_in;
use crate::event::EmailEvent;
use crate::outbox::millis;
use crate::outbox::store::{Access, Rows, Store, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, HashMap};

/// A token that is valid once.
#[derive(Debug, Clone)]
pub(crate) struct UsedToken {
    /// Its hash.
    pub(crate) token: String,
    /// The hash of the body that came with it.
    pub(crate) body: String,
}

/// What one call brought.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) token: Option<UsedToken>,
    pub(crate) events: Vec<EmailEvent>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Its events are there, now or since before.
    Stored,
    /// Its token was used with another body: nothing was recorded.
    Replayed,
}

/// Records deliveries, all or none; tokens used before `clean` are forgotten.
pub(in crate::outbox) async fn receive(
    store: &Store,
    deliveries: &[Delivery],
    now: DateTime<Utc>,
    policy: &SuppressionPolicy,
    clean: Option<DateTime<Utc>>,
) -> Result<Vec<Received>> {
    let mut tx = store.begin("record events", Access::Alone).await?;
    if let Some(before) = clean {
        tx.run("DELETE FROM mail_tokens WHERE at < $1", values![millis(before)]).await?;
    }
    // Of deliveries in one call with one token, the first counts.
    let mut used: BTreeMap<&str, &str> = BTreeMap::new();
    for token in deliveries.iter().filter_map(|delivery| delivery.token.as_ref()) {
        used.entry(&token.token).or_insert(&token.body);
    }
    let mut bodies: HashMap<String, String> = HashMap::new();
    if !used.is_empty() {
        let tokens: Vec<String> = used.keys().map(|token| (*token).to_owned()).collect();
        tx.run_rows(
            "INSERT INTO mail_tokens (token, body, at)
             SELECT * FROM ({rows}) AS j WHERE true ON CONFLICT DO NOTHING",
            values![],
            Rows::default()
                .text(tokens.iter().cloned())
                .text(used.values().map(|body| (*body).to_owned()))
                .number(tokens.iter().map(|_| millis(now))),
        )
        .await?;
        let rows = tx
            .all(
                "SELECT token, body FROM mail_tokens WHERE token IN (SELECT value FROM json_each($1))",
                values![tokens],
            )
            .await?;
        for row in &rows {
            bodies.insert(row.text("token")?.to_owned(), row.text("body")?.to_owned());
        }
    }
    let received: Vec<Received> = deliveries
        .iter()
        .map(|delivery| match &delivery.token {
            Some(token) if bodies.get(&token.token) != Some(&token.body) => Received::Replayed,
            _ => Received::Stored,
        })
        .collect();
    let fresh = deliveries.iter().zip(&received).filter(|(_, received)| **received == Received::Stored);
    let events: Vec<EmailEvent> = fresh.flat_map(|(delivery, _)| delivery.events.iter().cloned()).collect();
    record_in(&mut tx, &events, now, policy).await?;
    tx.commit().await?;
    Ok(received)
}
