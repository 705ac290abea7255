//! What a journey led to: who reached the goal after which email, those held out beside those written to.

use super::engine::registry::{self, Registry, Version};
use super::span::before;
use super::whereabouts::{WhereaboutsOptions, address_of};
use crate::outbox::store::{Access, Store, values};
use crate::outbox::{millis, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// The normal quantile of a 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// What a journey led to.
///
/// Rates are about instances whose time for the goal is over: those who entered yesterday and have a week to buy would
/// make every rate too low. A purchase counts for every instance in whose time it falls.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JourneyReport {
    /// The journey.
    pub journey: String,
    /// Until when it was looked at.
    pub at: DateTime<Utc>,
    /// Whether the definition has a goal; without one nothing is reached.
    pub has_goal: bool,
    /// Those who were written to.
    pub written_to: Group,
    /// Those who went through the journey and were sent nothing.
    pub held_out: Group,
    /// The difference between the two, where both have somebody whose time is over.
    pub uplift: Option<Uplift>,
    /// What became of emails: by step and outcome (`sent`, `withheld`, `late`, `cap`, `suppressed`, `failed`).
    pub emails: BTreeMap<String, BTreeMap<String, u64>>,
    /// Why emails were not made or not allowed: by step and reason.
    pub reasons: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Instances of those who were written to, or of those held out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// All instances.
    pub instances: u64,
    /// Those still under way.
    pub running: u64,
    /// Those that reached the goal so far.
    pub reached: u64,
    /// Of them, by the last email before it (for those held out: that would have been sent).
    pub reached_after: BTreeMap<String, u64>,
    /// Of them, before any email.
    pub reached_before_any: u64,
    /// Those whose time for the goal is over: the denominator of the rate.
    pub over: u64,
    /// Those of them that reached the goal.
    pub reached_over: u64,
    /// `reached_over / over`; none where nobody's time is over.
    pub rate: Option<f64>,
}

/// What the emails change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Uplift {
    /// The rate of those written to less that of those held out.
    pub difference: f64,
    /// Its 95 % interval (Newcombe 1998, method 10): the difference may be chance where it holds 0.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How many of those written to reached the goal who would not have: the difference times their number.
    pub additional: f64,
}

/// An instance that reached the goal.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reached {
    /// The instance's id.
    pub instance: String,
    /// What it is about.
    pub entity: String,
    /// The address, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Whether the contact is held out.
    pub held_out: bool,
    /// When the goal was reached.
    pub at: DateTime<Utc>,
    /// The last email before; none if there was none.
    pub after: Option<String>,
}

/// Reads the report.
pub(super) async fn read(store: &Store, journey: &str, now: DateTime<Utc>) -> Result<JourneyReport> {
    let mut tx = store.begin("report a journey", Access::Shared).await?;
    let registry = registry::read(&mut tx).await?;
    let versions = versions(&registry, journey)?;
    let mut report = JourneyReport {
        journey: journey.to_owned(),
        at: now,
        has_goal: versions.iter().any(|version| version.definition.goal().is_some()),
        written_to: Group::default(),
        held_out: Group::default(),
        uplift: None,
        emails: BTreeMap::new(),
        reasons: BTreeMap::new(),
    };
    for version in versions {
        let over = version.definition.goal().map(|goal| millis(before(now, goal.within)));
        let rows = tx
            .all(
                "SELECT held_out, goal_step, count(*) AS instances,
                        CAST(CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END AS BIGINT) AS running,
                        CAST(CASE WHEN entered_at <= $3 THEN 1 ELSE 0 END AS BIGINT) AS over
                   FROM mail_journey_instances WHERE journey = $1 AND version = $2
                  GROUP BY held_out, goal_step, 4, 5",
                values![journey, version.number, over],
            )
            .await?;
        for row in &rows {
            let group =
                if row.number("held_out")? == 1 { &mut report.held_out } else { &mut report.written_to };
            let count = u64::try_from(row.number("instances")?).unwrap_or(0);
            let (running, over) = (row.number("running")? == 1, row.number("over")? == 1);
            group.instances += count;
            group.running += if running { count } else { 0 };
            group.over += if over { count } else { 0 };
            if let Some(step) = row.maybe_text("goal_step")? {
                group.reached += count;
                group.reached_over += if over { count } else { 0 };
                match step {
                    "" => group.reached_before_any += count,
                    step => *group.reached_after.entry(step.to_owned()).or_default() += count,
                }
            }
        }
    }
    let rows = tx
        .all(
            "SELECT s.step, s.outcome, s.reason, count(*) AS emails
               FROM mail_journey_sends AS s JOIN mail_journey_instances AS i ON i.id = s.instance_id
              WHERE i.journey = $1 GROUP BY s.step, s.outcome, s.reason",
            values![journey],
        )
        .await?;
    tx.commit().await?;
    for row in &rows {
        let (step, count) = (row.text("step")?, u64::try_from(row.number("emails")?).unwrap_or(0));
        let outcomes = report.emails.entry(step.to_owned()).or_default();
        *outcomes.entry(row.text("outcome")?.to_owned()).or_default() += count;
        if let Some(reason) = row.maybe_text("reason")? {
            *report.reasons.entry(step.to_owned()).or_default().entry(reason.to_owned()).or_default() +=
                count;
        }
    }
    for group in [&mut report.written_to, &mut report.held_out] {
        group.rate = (group.over > 0).then(|| group.reached_over as f64 / group.over as f64);
    }
    report.uplift = uplift(&report.written_to, &report.held_out);
    Ok(report)
}

/// Reads who reached the goal.
pub(super) async fn reached(
    store: &Store,
    journey: &str,
    options: &WhereaboutsOptions,
) -> Result<Vec<Reached>> {
    let mut tx = store.begin("report a journey", Access::Shared).await?;
    let registry = registry::read(&mut tx).await?;
    versions(&registry, journey)?;
    let rows = tx
        .all(
            "SELECT i.id, i.entity, i.held_out, i.goal_at, i.goal_step, c.address
               FROM mail_journey_instances AS i
               JOIN mail_journey_contacts AS c ON c.contact_key = i.contact_key
              WHERE i.journey = $1 AND i.goal_at IS NOT NULL ORDER BY i.goal_at DESC, i.id LIMIT $2",
            values![journey, i64::try_from(options.limit).unwrap_or(i64::MAX)],
        )
        .await?;
    tx.commit().await?;
    let mut reached = Vec::with_capacity(rows.len());
    for row in &rows {
        reached.push(Reached {
            instance: row.text("id")?.to_owned(),
            entity: row.text("entity")?.to_owned(),
            contact: address_of(row, options)?,
            held_out: row.number("held_out")? == 1,
            at: timestamp(row.number("goal_at")?)?,
            after: row.maybe_text("goal_step")?.filter(|step| !step.is_empty()).map(str::to_owned),
        });
    }
    Ok(reached)
}

fn versions<'a>(registry: &'a Registry, journey: &str) -> Result<&'a [Version]> {
    registry.0.get(journey).map(Vec::as_slice).ok_or_else(|| registry::unknown(journey))
}

fn uplift(written_to: &Group, held_out: &Group) -> Option<Uplift> {
    let (p, q) = (written_to.rate?, held_out.rate?);
    let (low_p, high_p) = wilson(p, written_to.over as f64);
    let (low_q, high_q) = wilson(q, held_out.over as f64);
    let difference = p - q;
    Some(Uplift {
        difference,
        low: difference - ((p - low_p).powi(2) + (high_q - q).powi(2)).sqrt(),
        high: difference + ((high_p - p).powi(2) + (q - low_q).powi(2)).sqrt(),
        additional: difference * written_to.over as f64,
    })
}

/// The score interval of a share of `n` (Wilson 1927).
fn wilson(share: f64, n: f64) -> (f64, f64) {
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(reached_over: u64, over: u64) -> Group {
        let rate = (over > 0).then(|| reached_over as f64 / over as f64);
        Group { over, reached_over, rate, ..Group::default() }
    }

    #[test]
    fn interval_is_the_published_one() {
        // Newcombe 1998, Statistics in Medicine 17:873, table II, contrast (a), method 10.
        let uplift = uplift(&group(56, 70), &group(48, 80)).unwrap();
        let rounded = |number: f64| (number * 1e4).round() / 1e4;
        assert_eq!((rounded(uplift.low), rounded(uplift.high)), (0.0524, 0.3339));
        assert_eq!(rounded(uplift.additional), 14.0);
    }

    #[test]
    fn group_without_anybody_has_no_rate_and_gives_no_uplift() {
        assert_eq!(uplift(&group(3, 10), &group(0, 0)), None);
        assert!(uplift(&group(0, 10), &group(0, 10)).is_some_and(|it| it.difference == 0.0 && it.low < 0.0));
    }
}
