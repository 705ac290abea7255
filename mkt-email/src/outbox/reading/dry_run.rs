//! Dry runs: what a run would do, without doing it.

use crate::EmailProvider;
use crate::Message;
use crate::message::Feature;
use crate::outbox::account;
use crate::outbox::gate::gate;
use crate::outbox::millis;
use crate::outbox::options::RunOptions;
use crate::outbox::queue::{read_messages, take_message};
use crate::outbox::store::{Access, Store, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, HashMap};

/// What a run at a given time would do. Nothing was sent and nothing was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRun {
    /// Emails that would be sent, by a run that may wait as long as the budgets require.
    pub sent: u64,
    /// Approximate number of calls: emails are read in the order of their ids, not of their turn.
    pub calls: u64,
    /// Emails that would be stopped, by reason (`no consent`, `suppressed: …`).
    pub suppressed: BTreeMap<String, u64>,
    /// Emails whose time has passed.
    pub expired: u64,
    /// Emails that the provider cannot send, by the missing feature or limit.
    pub refused: BTreeMap<String, u64>,
    /// Emails that would be sent without a feature, by feature.
    pub degraded: BTreeMap<Feature, u64>,
    /// Emails whose stored message is damaged.
    pub damaged: u64,
    /// Emails that are due later.
    pub later: u64,
    /// Emails of paused campaigns.
    pub paused: u64,
    /// Emails whose answers are lost; the provider would be asked, where it can tell.
    pub unknown: u64,
    /// The emails that the account's budgets have room for now; `None`: no limit.
    pub room: Option<u64>,
    /// When the account's pause ends, or its budgets have room again, if that is in the future.
    pub not_before: Option<DateTime<Utc>>,
}

/// Plans what a run would do; see [`Outbox::dry_run`](crate::Outbox::dry_run).
pub(in crate::outbox) async fn dry_run(
    store: &Store,
    provider: &dyn EmailProvider,
    now: DateTime<Utc>,
    options: &RunOptions,
) -> Result<DryRun> {
    const OPERATION: &str = "try out";
    let campaign = options.campaign.as_deref();
    let mut dry = DryRun::default();
    let row = store
        .one(
            OPERATION,
            "SELECT count(*) FILTER (WHERE state = 'unknown') AS unknown,
                    count(*) FILTER (WHERE state <> 'unknown' AND p.campaign IS NOT NULL) AS paused,
                    count(*) FILTER (WHERE state <> 'unknown' AND p.campaign IS NULL AND not_before > $1) AS later
               FROM mail_outbox LEFT JOIN mail_campaigns AS p ON p.campaign = mail_outbox.campaign
              WHERE state IN ('pending', 'deferred', 'unknown') AND ($2 IS NULL OR mail_outbox.campaign = $2)",
            values![millis(now), campaign],
        )
        .await?;
    let count = |name: &str| row.number(name).map(|count| u64::try_from(count).unwrap_or(0));
    (dry.unknown, dry.paused, dry.later) = (count("unknown")?, count("paused")?, count("later")?);
    let room = account::room(store, provider.account(), now, &options.budgets).await?;
    dry.room = (!options.budgets.is_empty()).then_some(room.emails as u64).filter(|room| *room < u64::MAX);
    dry.not_before =
        account::paused(store, provider.account(), now).await?.map(|pause| pause.until).max(room.again_at);
    let mut last = String::new();
    loop {
        let rows = store
            .all(
                OPERATION,
                concat!(
                    "SELECT id, bytes, CASE WHEN expires_at <= $1 THEN id END AS expired, ",
                    gate!(),
                    " AS reason
                       FROM mail_outbox
                      WHERE state IN ('pending', 'deferred') AND not_before <= $1
                        AND ($2 IS NULL OR campaign = $2) AND id > $3
                        AND (campaign IS NULL OR campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))
                      ORDER BY id LIMIT $4"
                ),
                values![
                    millis(now),
                    campaign,
                    &last,
                    i64::try_from(options.batch.max(1)).unwrap_or(i64::MAX)
                ],
            )
            .await?;
        let (mut ids, mut bytes) = (Vec::new(), 0);
        for row in &rows {
            bytes += u64::try_from(row.number("bytes")?).unwrap_or(0);
            if bytes > options.bytes && !ids.is_empty() {
                break;
            }
            row.text("id")?.clone_into(&mut last);
            match (row.maybe_text("expired")?, row.maybe_text("reason")?) {
                (Some(_), _) => dry.expired += 1,
                (_, Some(reason)) => *dry.suppressed.entry(reason.to_owned()).or_default() += 1,
                (_, None) => ids.push(row.text("id")?.to_owned()),
            }
        }
        if rows.is_empty() {
            return Ok(dry);
        }
        plan(store, provider, now, options, ids, &mut dry).await?;
    }
}

/// Plans one page of emails.
async fn plan(
    store: &Store,
    provider: &dyn EmailProvider,
    now: DateTime<Utc>,
    options: &RunOptions,
    ids: Vec<String>,
    dry: &mut DryRun,
) -> Result<()> {
    let mut tx = store.begin("try out", Access::Open).await?;
    let mut stored = read_messages(&mut tx, ids.clone()).await?;
    let (mut attachments, mut messages) = (HashMap::new(), Vec::new());
    for id in ids {
        match take_message(&mut stored, &id, &mut tx, &mut attachments).await? {
            Some(message) => messages.push(message),
            None => dry.damaged += 1,
        }
    }
    drop(tx);
    let messages: Vec<&Message> = messages.iter().collect();
    let plan = provider.plan_with(&messages, now, &options.degrade);
    dry.calls += plan.groups.len() as u64;
    dry.sent += plan.groups.iter().map(|group| group.len() as u64).sum::<u64>();
    for refusal in &plan.refused {
        *dry.refused.entry(refusal.to_string()).or_default() += 1;
    }
    for feature in plan.dropped.iter().flat_map(|dropped| &dropped.features) {
        *dry.degraded.entry(*feature).or_default() += 1;
    }
    Ok(())
}
