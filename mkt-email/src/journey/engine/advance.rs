//! Looks at contacts that are due, one transaction per batch.

use super::registry::{self, Registry};
use super::rows;
use super::walk::{Contact, Sent, Wanted};
use crate::journey::compose::{Composer, JourneyEmail};
use crate::journey::{Action, Advanced, SERVICE, Scope, Step};
use crate::outbox::enqueue::{check, enqueue_within};
use crate::outbox::gate::gate;
use crate::outbox::store::{Access, Rows, Store, Tx, values};
use crate::outbox::{Purpose, damaged, millis, timestamp};
use crate::{DedupKey, EmailAddress, Enqueued, NewEmail};
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// Contacts per transaction.
const BATCH: usize = 100;

/// Does everything that is due; see [`Journeys::advance`](crate::journey::Journeys::advance).
pub(crate) async fn advance(store: &Store, composer: &dyn Composer, now: DateTime<Utc>) -> Result<Advanced> {
    // To the millisecond, as instants are stored: what is decided does not depend on a row having been read again.
    let now = timestamp(millis(now))?;
    let mut advanced = Advanced::default();
    loop {
        let mut tx = store.begin("advance journeys", Access::Shared).await?;
        let mut contacts = rows::take_due(&mut tx, now, BATCH).await?;
        if contacts.is_empty() {
            return Ok(advanced);
        }
        let registry = registry::read(&mut tx).await?;
        known_templates(&registry, composer)?;
        let mut batch = Advanced { contacts: contacts.len() as u64, ..Advanced::default() };
        // Each round makes at most one email of each contact: the next decision depends on it.
        loop {
            let mut wanted: Vec<(usize, Wanted)> = Vec::new();
            for (place, contact) in contacts.iter_mut().enumerate() {
                if contact.address.is_some()
                    && let Some(email) = contact.walk(&registry, now)?
                {
                    wanted.push((place, email));
                }
            }
            if wanted.is_empty() {
                break;
            }
            let outcomes = send(store, &mut tx, composer, &contacts, &wanted, now).await?;
            for ((place, email), outcome) in wanted.iter().zip(outcomes) {
                batch.count(&outcome);
                if let Some(contact) = contacts.get_mut(*place) {
                    contact.answer(email, outcome, now);
                }
            }
        }
        for contact in &contacts {
            batch.entered += contact.entered;
            batch.ended += contact.ended;
            let skipped = contact.sends.iter().filter(|it| it.new && matches!(it.outcome, Sent::Skipped(_)));
            batch.skipped += skipped.count() as u64;
        }
        rows::write(&mut tx, &contacts, now).await?;
        tx.commit().await?;
        advanced.add(&batch);
    }
}

/// A template that nobody knows is a mistake of the program, not of one contact: nothing is advanced.
fn known_templates(registry: &Registry, composer: &dyn Composer) -> Result<()> {
    for version in registry.0.values().flatten() {
        if let Some(template) = version.definition.templates().find(|template| !composer.knows(template)) {
            return Err(Error::new(ErrorKind::Config, SERVICE, "advance journeys").with_detail(format!(
                "the journey {} sends the template {template:?}, which the composer does not know",
                version.definition.name()
            )));
        }
    }
    Ok(())
}

/// Enqueues the emails that are due, but those of contacts who are held out or must not be written to.
async fn send(
    store: &Store,
    tx: &mut Tx,
    composer: &dyn Composer,
    contacts: &[Contact],
    wanted: &[(usize, Wanted)],
    now: DateTime<Utc>,
) -> Result<Vec<Sent>> {
    let mut forbidden = forbidden(tx, contacts, wanted, now).await?;
    let mut outcomes: Vec<Option<Sent>> = Vec::with_capacity(wanted.len());
    let (mut emails, mut places) = (Vec::new(), Vec::new());
    for (number, (place, it)) in wanted.iter().enumerate() {
        let contact = contacts.get(*place).ok_or_else(|| damaged("advance journeys"))?;
        let address = contact.address.as_ref().ok_or_else(|| damaged("advance journeys"))?;
        let held_out = contact.instances.get(it.instance).is_some_and(|it| it.held_out);
        outcomes.push(match forbidden.remove(&number) {
            Some(reason) => Some(Sent::Suppressed(reason)),
            None if held_out => Some(Sent::Withheld),
            None => match compose(composer, contact, address, it, now) {
                Err(reason) => Some(Sent::Failed(reason)),
                Ok(email) => {
                    emails.push(email);
                    places.push(number);
                    None
                }
            },
        });
    }
    let answers = enqueue_within(store, tx, Access::Shared, &emails, now).await?;
    for (place, answer) in places.into_iter().zip(answers) {
        let outcome = match answer {
            Enqueued::Suppressed(_, reason) => Sent::Suppressed(reason),
            Enqueued::Enqueued(id) | Enqueued::AlreadyThere(id, _) => Sent::Enqueued(id.to_string()),
        };
        if let Some(slot) = outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
    }
    outcomes.into_iter().map(|outcome| outcome.ok_or_else(|| damaged("advance journeys"))).collect()
}

/// Why contacts must not be written to, by the place of the email. The same rule as for every email of the outbox; it is
/// asked for those who are held out too, so that both groups consist of people who may be written to.
async fn forbidden(
    tx: &mut Tx,
    contacts: &[Contact],
    wanted: &[(usize, Wanted)],
    now: DateTime<Utc>,
) -> Result<HashMap<usize, String>> {
    let scopes = || {
        wanted.iter().map(|(_, it)| match it.definition.steps().get(it.step).map(Step::action) {
            Some(Action::Send { scope: Scope::Marketing { list }, .. }) => ("marketing", list.clone()),
            _ => ("transactional", None),
        })
    };
    let keys =
        wanted.iter().map(|(place, _)| contacts.get(*place).map(|it| it.key.clone()).unwrap_or_default());
    let asked = Rows::default()
        .text((0..wanted.len()).map(|number| number.to_string()))
        .text(keys)
        .text(scopes().map(|(purpose, _)| purpose.to_owned()))
        .maybe_text(scopes().map(|(_, list)| list));
    let rows = tx
        .all_rows(
            concat!(
                "WITH mail_outbox(id, address_key, purpose, list) AS ({rows})
                 SELECT id, ",
                gate!(),
                " AS forbidden FROM mail_outbox"
            ),
            values![millis(now)],
            asked,
        )
        .await?;
    let mut forbidden = HashMap::new();
    for row in &rows {
        if let Some(reason) = row.maybe_text("forbidden")? {
            let number = row.text("id")?.parse().map_err(|_| damaged("advance journeys"))?;
            forbidden.insert(number, reason.to_owned());
        }
    }
    Ok(forbidden)
}

/// Makes an email; the reason if there is none, without personal data.
fn compose(
    composer: &dyn Composer,
    contact: &Contact,
    address: &EmailAddress,
    wanted: &Wanted,
    now: DateTime<Utc>,
) -> Result<NewEmail, String> {
    let (Some(instance), Some(step)) =
        (contact.instances.get(wanted.instance), wanted.definition.steps().get(wanted.step))
    else {
        return Err("no such step".to_owned());
    };
    let Action::Send { template, campaign, scope } = step.action() else {
        return Err("the step sends nothing".to_owned());
    };
    let email = JourneyEmail {
        journey: &instance.journey,
        step: step.name(),
        template,
        campaign,
        scope,
        contact: address,
        entity: &instance.entity,
        payload: &wanted.payload,
        past: contact.past(now),
        entered_at: instance.entered_at,
    };
    let composed = composer.compose(&email);
    let message =
        composed.map_err(|error| error.detail().unwrap_or("the composer gave no reason").to_owned())?;
    if message.to().address.key() != contact.key {
        return Err("the composer addressed another contact".to_owned());
    }
    let purpose = match scope {
        Scope::Marketing { list } => Purpose::Marketing { list: list.clone() },
        Scope::Transactional => Purpose::Transactional,
    };
    let about = format!("{}/{}/{}#{}", instance.journey, step.name(), instance.entity, instance.run);
    let key = DedupKey::for_address(campaign, address).about(about);
    let email = NewEmail::new(key, purpose, message);
    match check(std::slice::from_ref(&email)) {
        Ok(()) => Ok(email),
        Err(error) => Err(error.detail().unwrap_or("the outbox refuses it").to_owned()),
    }
}
