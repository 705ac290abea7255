//! Reads contacts with all that is known about them, and writes what has changed.

use super::walk::{Contact, Instance, SendRecord, Sent};
use crate::EmailAddress;
use crate::id::EmailId;
use crate::journey::decide::Happened;
use crate::outbox::queue::{self, Stopped};
use crate::outbox::state::State;
use crate::outbox::store::{Row, Rows, Tx, values};
use crate::outbox::{damaged, millis, storable, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::HashMap;

/// The most triggers of one contact that are looked at, and bytes of their payloads: the latest.
const MAX_TRIGGERS: i64 = 2_000;
const MAX_BYTES: i64 = 2 << 20;

/// Locks contacts that are due, and reads them. On a server those that another worker holds are skipped.
pub(crate) async fn take_due(tx: &mut Tx, now: DateTime<Utc>, most: usize) -> Result<Vec<Contact>> {
    let rows = tx
        .all(
            "SELECT contact_key, address, zone, zone_at FROM mail_journey_contacts
              WHERE due_at <= $1 ORDER BY due_at, contact_key LIMIT $2
              /*postgres: FOR UPDATE SKIP LOCKED */",
            values![millis(now), i64::try_from(most).unwrap_or(i64::MAX)],
        )
        .await?;
    let mut contacts = Vec::with_capacity(rows.len());
    for row in &rows {
        let address = match row.maybe_text("address")? {
            None => None,
            Some(address) => Some(EmailAddress::parse(address).map_err(|_| damaged("read a contact"))?),
        };
        contacts.push(Contact {
            key: row.text("contact_key")?.to_owned(),
            address,
            zone: row.maybe_text("zone")?.and_then(|zone| zone.parse().ok()),
            zone_at: row.maybe_number("zone_at")?.map(timestamp).transpose()?,
            ..Contact::default()
        });
    }
    if contacts.is_empty() {
        return Ok(contacts);
    }
    let keys: Vec<String> = contacts.iter().map(|contact| contact.key.clone()).collect();
    let places: HashMap<String, usize> = keys.iter().cloned().zip(0..).collect();
    let rows = tx
        .all(
            "SELECT contact_key, kind, entity, at, payload
               FROM (SELECT t.contact_key, t.kind, t.entity, t.at, t.id, t.payload,
                            row_number() OVER latest AS place,
                            sum(length(t.payload)) OVER latest AS bytes
                       FROM mail_journey_triggers AS t
                      WHERE t.contact_key IN (SELECT value FROM json_each($1))
                     WINDOW latest AS (PARTITION BY t.contact_key ORDER BY t.at DESC, t.id DESC)) AS known
              WHERE place <= $2 AND bytes <= $3 ORDER BY at, id",
            values![keys.clone(), MAX_TRIGGERS, MAX_BYTES],
        )
        .await?;
    for row in &rows {
        let happened = Happened {
            kind: row.text("kind")?.to_owned(),
            entity: row.text("entity")?.to_owned(),
            at: timestamp(row.number("at")?)?,
            payload: serde_json::from_str(row.text("payload")?).map_err(|_| damaged("read a trigger"))?,
        };
        if let Some(contact) = of(&mut contacts, &places, row)? {
            contact.triggers.push(happened);
        }
    }
    let rows = tx
        .all(
            "SELECT id, journey, version, contact_key, entity, run, held_out, entered_at, step, since, waited, why,
                    next_at, ended_at, reason, goal_at, goal_step
               FROM mail_journey_instances WHERE contact_key IN (SELECT value FROM json_each($1))",
            values![keys.clone()],
        )
        .await?;
    for row in &rows {
        let instance = instance(row)?;
        if let Some(contact) = of(&mut contacts, &places, row)? {
            contact.instances.push(instance);
        }
    }
    let rows = tx
        .all(
            "SELECT instance_id, step, contact_key, at, outcome, reason, email_id FROM mail_journey_sends
              WHERE contact_key IN (SELECT value FROM json_each($1)) ORDER BY at, instance_id, step",
            values![keys],
        )
        .await?;
    for row in &rows {
        let record = send_record(row)?;
        if let Some(contact) = of(&mut contacts, &places, row)? {
            contact.sends.push(record);
        }
    }
    Ok(contacts)
}

fn of<'a>(
    contacts: &'a mut [Contact],
    places: &HashMap<String, usize>,
    row: &Row,
) -> Result<Option<&'a mut Contact>> {
    let key = row.text("contact_key")?;
    Ok(places.get(key).and_then(|place| contacts.get_mut(*place)))
}

pub(crate) fn instance(row: &Row) -> Result<Instance> {
    let text = |column: &str| row.maybe_text(column).map(|text| text.map(str::to_owned));
    let instant = |column: &str| row.maybe_number(column)?.map(timestamp).transpose();
    Ok(Instance {
        id: row.text("id")?.to_owned(),
        journey: row.text("journey")?.to_owned(),
        version: row.number("version")?,
        entity: row.text("entity")?.to_owned(),
        run: row.number("run")?,
        held_out: row.number("held_out")? == 1,
        entered_at: timestamp(row.number("entered_at")?)?,
        step: row.text("step")?.to_owned(),
        since: timestamp(row.number("since")?)?,
        waited: text("waited")?,
        why: text("why")?,
        next_at: instant("next_at")?,
        ended_at: instant("ended_at")?,
        reason: text("reason")?,
        goal_at: instant("goal_at")?,
        goal_step: text("goal_step")?,
        changed: false,
    })
}

fn send_record(row: &Row) -> Result<SendRecord> {
    let text =
        |column: &str| Ok::<_, mkt_connect::Error>(row.maybe_text(column)?.unwrap_or_default().to_owned());
    let outcome = match row.text("outcome")? {
        "sent" => Sent::Enqueued(text("email_id")?),
        "withheld" => Sent::Withheld,
        "late" => Sent::Skipped("late"),
        "cap" => Sent::Skipped("cap"),
        "suppressed" => Sent::Suppressed(text("reason")?),
        _ => Sent::Failed(text("reason")?),
    };
    Ok(SendRecord {
        instance: row.text("instance_id")?.to_owned(),
        step: row.text("step")?.to_owned(),
        at: timestamp(row.number("at")?)?,
        outcome,
        new: false,
    })
}

/// Writes what has changed about contacts.
pub(crate) async fn write(tx: &mut Tx, contacts: &[Contact], now: DateTime<Utc>) -> Result<()> {
    let instances: Vec<(&str, &Instance)> = contacts
        .iter()
        .flat_map(|contact| contact.instances.iter().map(|it| (contact.key.as_str(), it)))
        .filter(|(_, it)| it.changed)
        .collect();
    let each = || instances.iter();
    let rows = Rows::default()
        .text(each().map(|(_, it)| it.id.clone()))
        .text(each().map(|(_, it)| it.journey.clone()))
        .number(each().map(|(_, it)| it.version))
        .text(each().map(|(key, _)| (*key).to_owned()))
        .text(each().map(|(_, it)| it.entity.clone()))
        .number(each().map(|(_, it)| it.run))
        .number(each().map(|(_, it)| i64::from(it.held_out)))
        .number(each().map(|(_, it)| millis(it.entered_at)))
        .text(each().map(|(_, it)| it.step.clone()))
        .number(each().map(|(_, it)| millis(it.since)))
        .maybe_text(each().map(|(_, it)| it.waited.clone()))
        .maybe_text(each().map(|(_, it)| it.why.clone()))
        .maybe_number(each().map(|(_, it)| it.next_at.map(millis)))
        .maybe_number(each().map(|(_, it)| it.ended_at.map(millis)))
        .maybe_text(each().map(|(_, it)| it.reason.clone()))
        .maybe_number(each().map(|(_, it)| it.goal_at.map(millis)))
        .maybe_text(each().map(|(_, it)| it.goal_step.clone()));
    tx.run_rows(
        "INSERT INTO mail_journey_instances (id, journey, version, contact_key, entity, run, held_out, entered_at, step,
                                             since, waited, why, next_at, ended_at, reason, goal_at, goal_step)
         SELECT * FROM ({rows}) AS j WHERE true
         ON CONFLICT (id) DO UPDATE SET
                step = excluded.step, since = excluded.since, waited = excluded.waited, why = excluded.why,
                next_at = excluded.next_at, ended_at = excluded.ended_at, reason = excluded.reason,
                goal_at = excluded.goal_at, goal_step = excluded.goal_step",
        values![],
        rows,
    )
    .await?;
    let sends: Vec<(&str, &SendRecord)> = contacts
        .iter()
        .flat_map(|contact| contact.sends.iter().map(|it| (contact.key.as_str(), it)))
        .filter(|(_, it)| it.new)
        .collect();
    let each = || sends.iter();
    let reason = |sent: &Sent| match sent {
        Sent::Suppressed(reason) | Sent::Failed(reason) => Some(storable(reason)),
        _ => None,
    };
    let email = |sent: &Sent| match sent {
        Sent::Enqueued(email) => Some(email.clone()),
        _ => None,
    };
    let rows = Rows::default()
        .text(each().map(|(_, it)| it.instance.clone()))
        .text(each().map(|(_, it)| it.step.clone()))
        .text(each().map(|(key, _)| (*key).to_owned()))
        .number(each().map(|(_, it)| millis(it.at)))
        .text(each().map(|(_, it)| it.outcome.as_str().to_owned()))
        .maybe_text(each().map(|(_, it)| reason(&it.outcome)))
        .maybe_text(each().map(|(_, it)| email(&it.outcome)));
    // A step twice would break the primary key: it cannot be committed.
    tx.run_rows(
        "INSERT INTO mail_journey_sends (instance_id, step, contact_key, at, outcome, reason, email_id)
         SELECT * FROM ({rows}) AS j WHERE true",
        values![],
        rows,
    )
    .await?;
    let rows = Rows::default()
        .text(contacts.iter().map(|contact| contact.key.clone()))
        .maybe_number(contacts.iter().map(|contact| contact.due.map(millis)))
        .maybe_text(contacts.iter().map(|contact| contact.zone.map(|zone| zone.name().to_owned())))
        .maybe_number(contacts.iter().map(|contact| contact.zone_at.map(millis)));
    tx.run_rows(
        "WITH j(contact_key, due_at, zone, zone_at) AS ({rows})
         UPDATE mail_journey_contacts SET due_at = j.due_at, zone = j.zone, zone_at = j.zone_at
           FROM j WHERE mail_journey_contacts.contact_key = j.contact_key
                /*postgres: AND mail_journey_contacts.contact_key = ANY ({first}) */",
        values![],
        rows,
    )
    .await?;
    let stopped: Vec<Stopped> = contacts
        .iter()
        .flat_map(|contact| &contact.cancelled)
        .filter_map(|(email, reason)| {
            let id = EmailId::parse(email)?;
            Some(Stopped { id, state: State::Cancelled, reason: Some(reason.clone()) })
        })
        .collect();
    queue::stop(tx, now, &stopped).await
}
