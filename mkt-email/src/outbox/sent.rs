//! Finds emails by the attempt that carried them: what a bounce names.

use super::store::{Row, Store, values};
use super::{damaged, queue};
use crate::id::{EmailId, IdempotencyKey};
use mkt_connect::Result;
use std::collections::HashMap;

/// An email that was handed to a provider.
#[derive(Debug, Clone)]
pub(crate) struct SentEmail {
    pub(crate) id: EmailId,
    /// The `Message-ID` of the attempt, without angle brackets; none while its outcome is unknown.
    pub(crate) message_id: Option<String>,
    pub(crate) campaign: String,
    /// Empty once the person is erased.
    pub(crate) recipient: String,
}

/// Finds the emails of attempts: accepted ones by their `Message-ID`, which begins with the key of the attempt, and those
/// whose answer was lost by the key itself.
pub(super) async fn find(
    store: &Store,
    keys: Vec<IdempotencyKey>,
) -> Result<HashMap<IdempotencyKey, SentEmail>> {
    const OPERATION: &str = "look up sent emails";
    let mut found = HashMap::with_capacity(keys.len());
    if keys.is_empty() {
        return Ok(found);
    }
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    // The conditions on the brackets are those of the index.
    let rows = store
        .all(
            OPERATION,
            "SELECT id, campaign, recipient, provider_message_id AS message_id,
                    substr(provider_message_id, 2, 36) AS attempt_key
               FROM mail_outbox
              WHERE substr(provider_message_id, 2, 36) IN (SELECT value FROM json_each($1))
                AND substr(provider_message_id, 1, 1) = '<' AND substr(provider_message_id, 38, 1) = '@'",
            values![texts.clone()],
        )
        .await?;
    let unknown = store
        .all(
            OPERATION,
            "SELECT id, campaign, recipient, NULL AS message_id, idempotency_key AS attempt_key
               FROM mail_outbox
              WHERE state = 'unknown' AND idempotency_key IN (SELECT value FROM json_each($1))",
            values![texts],
        )
        .await?;
    for row in unknown.iter().chain(&rows) {
        let (key, email) = read(row)?;
        found.insert(key, email);
    }
    Ok(found)
}

fn read(row: &Row) -> Result<(IdempotencyKey, SentEmail)> {
    let key = row.maybe_text("attempt_key")?.and_then(IdempotencyKey::parse);
    let message_id = row.maybe_text("message_id")?;
    let email = SentEmail {
        id: queue::email_id(row)?,
        message_id: message_id.map(|id| id.trim_start_matches('<').trim_end_matches('>').to_owned()),
        campaign: row.text("campaign")?.to_owned(),
        recipient: row.text("recipient")?.to_owned(),
    };
    Ok((key.ok_or_else(|| damaged("look up sent emails"))?, email))
}
