//! Who is where in a journey, and why.

use super::engine::registry;
use crate::outbox::store::{Access, Row, Store, values};
use crate::outbox::timestamp;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is listed beside the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WhereaboutsOptions {
    /// The most instances. Default: 100.
    pub limit: usize,
    /// Whether addresses are in the answer. Default: no.
    pub addresses: bool,
}

impl Default for WhereaboutsOptions {
    fn default() -> Self {
        Self { limit: 100, addresses: false }
    }
}

impl WhereaboutsOptions {
    /// The most instances that are listed.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Lists addresses too.
    #[must_use]
    pub fn with_addresses(mut self) -> Self {
        self.addresses = true;
        self
    }
}

/// Who is where in a journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Whereabouts {
    /// The journey.
    pub journey: String,
    /// The number of the latest version.
    pub version: u32,
    /// Whether no new instances begin.
    pub stopped: bool,
    /// Instances under way, by step in the order of the latest version; steps of older versions follow.
    pub steps: Vec<StepCount>,
    /// Instances that ended, by reason.
    pub ended: BTreeMap<String, u64>,
    /// Instances under way, those first that go on first.
    pub instances: Vec<InstanceState>,
    /// How many more there are.
    pub more: u64,
}

/// How many instances are at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepCount {
    /// The step.
    pub step: String,
    /// How many are there.
    pub here: u64,
    /// Of them, held out.
    pub held_out: u64,
    /// Why they stay: `wait`, `wait_for`, `window`, `quiet_hours`, `cap`.
    pub why: BTreeMap<String, u64>,
}

/// An instance that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InstanceState {
    /// Its id.
    pub id: String,
    /// The number of its version.
    pub version: u32,
    /// What it is about.
    pub entity: String,
    /// The address, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Whether the contact is held out.
    pub held_out: bool,
    /// When it began.
    pub entered_at: DateTime<Utc>,
    /// Where it is.
    pub step: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why it stays.
    pub why: Option<String>,
    /// When it goes on, if nothing happens before.
    pub next_at: Option<DateTime<Utc>>,
}

/// Reads who is where.
pub(super) async fn read(store: &Store, journey: &str, options: &WhereaboutsOptions) -> Result<Whereabouts> {
    let mut tx = store.begin("look at a journey", Access::Shared).await?;
    let registry = registry::read(&mut tx).await?;
    let latest = registry.latest(journey).ok_or_else(|| registry::unknown(journey))?;
    let counted = tx
        .all(
            "SELECT step, held_out, why, reason, CAST(CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS ended,
                    count(*) AS instances
               FROM mail_journey_instances WHERE journey = $1 GROUP BY step, held_out, why, reason, 5",
            values![journey],
        )
        .await?;
    let rows = tx
        .all(
            "SELECT i.id, i.version, i.entity, i.held_out, i.entered_at, i.step, i.since, i.why, i.next_at, c.address
               FROM mail_journey_instances AS i
               JOIN mail_journey_contacts AS c ON c.contact_key = i.contact_key
              WHERE i.journey = $1 AND i.ended_at IS NULL ORDER BY i.next_at, i.id LIMIT $2",
            values![journey, i64::try_from(options.limit).unwrap_or(i64::MAX)],
        )
        .await?;
    tx.commit().await?;
    let empty = |step: &str| StepCount { step: step.to_owned(), here: 0, held_out: 0, why: BTreeMap::new() };
    let mut steps: Vec<StepCount> = latest.definition.steps().iter().map(|step| empty(step.name())).collect();
    let (mut ended, mut running) = (BTreeMap::new(), 0);
    for row in &counted {
        let count = u64::try_from(row.number("instances")?).unwrap_or(0);
        if row.number("ended")? == 1 {
            *ended.entry(row.maybe_text("reason")?.unwrap_or_default().to_owned()).or_default() += count;
            continue;
        }
        running += count;
        let name = row.text("step")?;
        let place = steps.iter().position(|step| step.step == name).unwrap_or_else(|| {
            steps.push(empty(name));
            steps.len() - 1
        });
        let Some(step) = steps.get_mut(place) else { continue };
        step.here += count;
        step.held_out += if row.number("held_out")? == 1 { count } else { 0 };
        if let Some(why) = row.maybe_text("why")? {
            *step.why.entry(why.to_owned()).or_default() += count;
        }
    }
    let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let mut instances = Vec::with_capacity(rows.len());
    for row in &rows {
        instances.push(InstanceState {
            id: row.text("id")?.to_owned(),
            version: small(row.number("version")?),
            entity: row.text("entity")?.to_owned(),
            contact: address_of(row, options)?,
            held_out: row.number("held_out")? == 1,
            entered_at: timestamp(row.number("entered_at")?)?,
            step: row.text("step")?.to_owned(),
            since: timestamp(row.number("since")?)?,
            why: row.maybe_text("why")?.map(str::to_owned),
            next_at: row.maybe_number("next_at")?.map(timestamp).transpose()?,
        });
    }
    Ok(Whereabouts {
        journey: journey.to_owned(),
        version: small(latest.number),
        stopped: latest.stopped,
        steps,
        ended,
        more: running.saturating_sub(instances.len() as u64),
        instances,
    })
}

/// The address of a row, if it was asked for.
pub(super) fn address_of(row: &Row, options: &WhereaboutsOptions) -> Result<Option<String>> {
    if !options.addresses {
        return Ok(None);
    }
    Ok(row.maybe_text("address")?.map(str::to_owned))
}
