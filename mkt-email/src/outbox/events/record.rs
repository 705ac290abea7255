//! Stores events and applies suppressions, in one transaction.

use super::SuppressionPolicy;
use crate::event::{EmailEvent, EventKind};
use crate::outbox::store::{Access, Rows, Store, Tx, values};
use crate::outbox::suppression::{self, StoredSuppression, SuppressionReason, SuppressionScope};
use crate::outbox::{millis, storable};
use crate::unsubscribe::UnsubscribeClaim;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Events per statement.
const CHUNK: usize = 512;

/// What recording an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recorded {
    /// It was new: it is stored, and what follows from it is in force.
    New,
    /// It was there already; nothing changed.
    Known,
}

/// Records events; see [`Outbox::record_events`](crate::Outbox::record_events).
pub(in crate::outbox) async fn record(
    store: &Store,
    events: &[EmailEvent],
    now: DateTime<Utc>,
    policy: &SuppressionPolicy,
) -> Result<Vec<Recorded>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    // Alone: no email that they forbid is marked any more when this has committed, and their numbers are in the order
    // of the commits.
    let mut tx = store.begin("record events", Access::Alone).await?;
    let recorded = record_in(&mut tx, events, now, policy).await?;
    tx.commit().await?;
    Ok(recorded)
}

/// As [`record`], in a transaction that is [alone](Access::Alone).
pub(in crate::outbox) async fn record_in(
    tx: &mut Tx,
    events: &[EmailEvent],
    now: DateTime<Utc>,
    policy: &SuppressionPolicy,
) -> Result<Vec<Recorded>> {
    let erased = erased(tx, events.iter().filter_map(EmailEvent::address_key)).await?;
    let ids: Vec<String> = events.iter().map(|event| event.id().to_string()).collect();
    let mut new: HashSet<String> = HashSet::new();
    let mut first: HashSet<&str> = HashSet::with_capacity(ids.len());
    // One event may come twice in one call: its first appearance is it.
    let distinct: Vec<(&String, &EmailEvent)> =
        ids.iter().zip(events).filter(|(id, _)| first.insert(id.as_str())).collect();
    for chunk in distinct.chunks(CHUNK) {
        let rows = tx
            .all_rows(
                "INSERT INTO mail_events (event_id, provider, kind, vendor_kind, at, received_at, address_key, recipient,
                                          email_id, message_id, campaign, scope, list, url, reason, code, raw)
                 SELECT * FROM ({rows}) AS j WHERE true ON CONFLICT DO NOTHING RETURNING event_id",
                values![],
                rows_of(chunk, now, &erased),
            )
            .await?;
        for row in &rows {
            new.insert(row.text("event_id")?.to_owned());
        }
    }
    let fresh: Vec<&EmailEvent> =
        distinct.iter().filter(|(id, _)| new.contains(*id)).map(|(_, event)| *event).collect();
    let mut suppressions: Vec<StoredSuppression> = fresh.iter().filter_map(|event| follows(event)).collect();
    suppressions.extend(soft(tx, &fresh, policy).await?);
    for suppression in &mut suppressions {
        if erased.contains(&suppression.address_key) {
            suppression.address = None;
        }
    }
    suppression::insert(tx, &suppressions).await?;
    // The first appearance of a new event is new, the others are known.
    Ok(ids.iter().map(|id| if new.remove(id) { Recorded::New } else { Recorded::Known }).collect())
}

/// The suppression of a verified link, and its event: even where the same was reported before, the suppression is
/// renewed, since a confirmed consent may lie between.
pub(in crate::outbox) async fn unsubscribe(
    store: &Store,
    claim: &UnsubscribeClaim,
    at: DateTime<Utc>,
) -> Result<()> {
    let event = EmailEvent::unsubscribed_by_link(claim, at);
    record(store, &[event], at, &SuppressionPolicy::default()).await.map(|_| ())
}

/// Which of these people were erased and are in no email since: what is reported about them is kept without their
/// address.
async fn erased<'a>(tx: &mut Tx, keys: impl Iterator<Item = &'a str>) -> Result<HashSet<String>> {
    let keys: BTreeSet<String> = keys.map(str::to_owned).collect();
    suppression::erased(tx, keys.into_iter().collect()).await
}

fn rows_of(events: &[(&String, &EmailEvent)], now: DateTime<Utc>, erased: &HashSet<String>) -> Rows {
    let each = || events.iter().map(|(_, event)| *event);
    let gone = |event: &EmailEvent| event.address_key().is_some_and(|key| erased.contains(key));
    let personal = |event: &EmailEvent, text: &Option<String>| text.clone().filter(|_| !gone(event));
    let scope = |event: &EmailEvent| SuppressionScope::from(event.scope.clone());
    Rows::default()
        .text(events.iter().map(|(id, _)| (*id).clone()))
        .text(each().map(|event| storable(&event.provider)))
        .text(each().map(|event| event.kind.as_str().to_owned()))
        .maybe_text(each().map(|event| event.vendor_kind.clone()))
        .number(each().map(|event| millis(event.at)))
        .number(each().map(|_| millis(now)))
        .maybe_text(each().map(|event| event.address_key().map(str::to_owned)))
        .maybe_text(
            each().map(|event| {
                event.address().filter(|_| !gone(event)).map(|address| address.as_str().to_owned())
            }),
        )
        .maybe_text(each().map(|event| event.email.map(|id| id.to_string())))
        .maybe_text(each().map(|event| event.message_id.clone()))
        .maybe_text(each().map(|event| event.campaign.clone()))
        .text(each().map(|event| scope(event).columns().0.to_owned()))
        .text(each().map(|event| storable(scope(event).columns().1)))
        .maybe_text(each().map(|event| personal(event, &event.url)))
        .maybe_text(each().map(|event| personal(event, &event.reason)))
        .maybe_text(each().map(|event| event.code.clone()))
        .maybe_text(each().map(|event| personal(event, &event.raw)))
}

/// The suppression that follows from one event alone.
fn follows(event: &EmailEvent) -> Option<StoredSuppression> {
    let (scope, reason) = match event.kind {
        EventKind::HardBounce => (SuppressionScope::All, SuppressionReason::HardBounce),
        EventKind::Complained => (SuppressionScope::All, SuppressionReason::Complaint),
        EventKind::Unsubscribed => (event.scope.clone().into(), SuppressionReason::Unsubscribed),
        _ => return None,
    };
    stored(event, &scope, reason, millis(event.at))
}

fn stored(
    event: &EmailEvent,
    scope: &SuppressionScope,
    reason: SuppressionReason,
    at: i64,
) -> Option<StoredSuppression> {
    let (scope, list) = scope.columns();
    let source = match &event.campaign {
        Some(campaign) => format!("{} event, campaign {campaign}", event.provider),
        None => format!("{} event", event.provider),
    };
    Some(StoredSuppression {
        address_key: event.address_key()?.to_owned(),
        scope,
        list: storable(list),
        address: event.address().map(crate::EmailAddress::normalised),
        reason: reason.as_str(),
        source: storable(&source),
        at,
        expires_at: None,
    })
}

/// The suppressions of addresses with too many soft bounces, old and new together.
async fn soft(
    tx: &mut Tx,
    fresh: &[&EmailEvent],
    policy: &SuppressionPolicy,
) -> Result<Vec<StoredSuppression>> {
    let mut people: BTreeMap<&str, &EmailEvent> = BTreeMap::new();
    for event in fresh.iter().filter(|event| event.kind == EventKind::SoftBounce) {
        if let Some(key) = event.address_key() {
            people.entry(key).or_insert(event);
        }
    }
    if people.is_empty() || policy.soft_bounces == 0 {
        return Ok(Vec::new());
    }
    let mut bounces: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let keys: Vec<String> = people.keys().map(|key| (*key).to_owned()).collect();
    for keys in keys.chunks(CHUNK) {
        let rows = tx
            .all(
                "SELECT address_key, at FROM mail_events
                  WHERE address_key IN (SELECT value FROM json_each($1)) AND kind = 'soft_bounce'
                  ORDER BY address_key, at",
                values![keys.to_vec()],
            )
            .await?;
        for row in &rows {
            bounces.entry(row.text("address_key")?.to_owned()).or_default().push(row.number("at")?);
        }
    }
    let suppressions = people.iter().filter_map(|(key, event)| {
        let at = policy.met_at(bounces.get(*key)?)?;
        let mut stored = stored(event, &SuppressionScope::All, SuppressionReason::SoftBounce, at)?;
        // The same whichever bounce arrived last.
        stored.source = format!("{} soft bounces", policy.soft_bounces);
        Some(stored)
    });
    Ok(suppressions.collect())
}
