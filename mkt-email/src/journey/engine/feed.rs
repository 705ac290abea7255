//! Records triggers.

use crate::journey::Triggered;
use crate::journey::trigger::{Trigger, write_sorted};
use crate::outbox::store::{Access, Rows, Store, values};
use crate::outbox::{millis, storable};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

const CHUNK: usize = 500;

/// Records triggers, all or none; one answer per trigger, in order.
pub(crate) async fn trigger(
    store: &Store,
    triggers: &[Trigger],
    now: DateTime<Utc>,
) -> Result<Vec<Triggered>> {
    // Sorted, so that two calls with the same triggers cannot deadlock.
    let mut sorted: BTreeMap<String, (usize, &Trigger)> = BTreeMap::new();
    let ids: Vec<String> = triggers.iter().map(Trigger::id).collect();
    for (place, (id, trigger)) in ids.iter().zip(triggers).enumerate() {
        sorted.entry(id.clone()).or_insert((place, trigger));
    }
    let mut tx = store.begin("record triggers", Access::Shared).await?;
    let ordered: Vec<(&String, &Trigger)> = sorted.iter().map(|(id, (_, trigger))| (id, *trigger)).collect();
    let mut new: HashSet<String> = HashSet::new();
    for chunk in ordered.chunks(CHUNK) {
        let each = || chunk.iter();
        let payload = |trigger: &Trigger| {
            let mut text = String::new();
            write_sorted(&mut text, &Value::Object(trigger.payload().clone()));
            text
        };
        let rows = Rows::default()
            .text(each().map(|(id, _)| (*id).clone()))
            .text(each().map(|(_, it)| it.contact().key()))
            .text(each().map(|(_, it)| it.kind().to_owned()))
            .text(each().map(|(_, it)| storable(it.entity())))
            .number(each().map(|(_, it)| millis(it.at())))
            .text(each().map(|(_, it)| payload(it)));
        let inserted = tx
            .all_rows(
                "INSERT INTO mail_journey_triggers (id, contact_key, kind, entity, at, payload, received_at)
                 SELECT j.*, $1 FROM ({rows}) AS j WHERE true ON CONFLICT DO NOTHING RETURNING id",
                values![millis(now)],
                rows,
            )
            .await?;
        for row in &inserted {
            new.insert(row.text("id")?.to_owned());
        }
    }
    // The contact is looked at from the earliest of its new triggers on.
    let mut contacts: BTreeMap<String, (&str, i64)> = BTreeMap::new();
    for (id, (_, trigger)) in &sorted {
        if new.contains(id) {
            let contact =
                contacts.entry(trigger.contact().key()).or_insert((trigger.contact().as_str(), i64::MAX));
            contact.1 = contact.1.min(millis(trigger.at()));
        }
    }
    let contacts: Vec<(String, (&str, i64))> = contacts.into_iter().collect();
    for chunk in contacts.chunks(CHUNK) {
        let rows = Rows::default()
            .text(chunk.iter().map(|(key, _)| key.clone()))
            .text(chunk.iter().map(|(_, (address, _))| (*address).to_owned()))
            .number(chunk.iter().map(|(_, (_, at))| *at));
        // An erased person who is heard of again is a contact again; suppressions stay, under the key.
        tx.run_rows(
            "INSERT INTO mail_journey_contacts (contact_key, address, due_at)
             SELECT * FROM ({rows}) AS j WHERE true
             ON CONFLICT (contact_key) DO UPDATE SET
                    address = coalesce(mail_journey_contacts.address, excluded.address),
                    due_at = CASE WHEN mail_journey_contacts.due_at <= excluded.due_at
                                  THEN mail_journey_contacts.due_at ELSE excluded.due_at END",
            values![],
            rows,
        )
        .await?;
    }
    tx.commit().await?;
    let mut answers = Vec::with_capacity(triggers.len());
    for (place, id) in ids.iter().enumerate() {
        let first = sorted.get(id).is_some_and(|(first, _)| *first == place);
        answers.push(if first && new.contains(id) { Triggered::New } else { Triggered::Known });
    }
    Ok(answers)
}

/// Removes triggers before an instant, of contacts that are in no journey.
pub(crate) async fn prune(store: &Store, before: DateTime<Utc>) -> Result<u64> {
    let mut tx = store.begin("prune triggers", Access::Alone).await?;
    let removed = tx
        .run(
            "DELETE FROM mail_journey_triggers
              WHERE at < $1
                AND contact_key NOT IN (SELECT i.contact_key FROM mail_journey_instances AS i WHERE i.ended_at IS NULL)
                AND contact_key NOT IN (SELECT c.contact_key FROM mail_journey_contacts AS c WHERE c.due_at < $1)",
            values![millis(before)],
        )
        .await?;
    tx.commit().await?;
    Ok(removed)
}
