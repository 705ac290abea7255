//! What a run would do, without doing it.

use super::claim::read_messages;
use super::store::{Access, values};
use super::{Outbox, RunOptions, gate, millis};
use crate::EmailProvider;
use crate::Message;
use crate::message::Feature;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::{BTreeMap, HashMap};

/// What a run at an instant would do, as things stand then. Nothing was sent and nothing was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRun {
    /// Mails that would be handed to the provider, by a run that may wait as long as the budgets ask.
    pub sent: u64,
    /// In so many calls, about: mails are looked at in the order of their ids, not of their turn.
    pub calls: u64,
    /// Mails that would be stopped, by reason (`no consent`, `suppressed: …`).
    pub suppressed: BTreeMap<String, u64>,
    /// Mails whose time has passed.
    pub expired: u64,
    /// Mails that the provider cannot send, by what it lacks.
    pub refused: BTreeMap<String, u64>,
    /// Mails that would go without something, by what would be left out.
    pub degraded: BTreeMap<Feature, u64>,
    /// Mails that cannot be read.
    pub damaged: u64,
    /// Mails that are due later.
    pub later: u64,
    /// Mails of paused campaigns.
    pub paused: u64,
    /// Mails whose answers are lost; the provider would be asked, where it can tell.
    pub unknown: u64,
    /// The mails that the account's budgets have room for now; none: no limit.
    pub room: Option<u64>,
    /// When the account's pause ends, or its budgets have room again, if it is not now.
    pub not_before: Option<DateTime<Utc>>,
}

impl Outbox {
    /// Tells what [`run`](Self::run) would do at `now`: gates are checked, stored messages read and planned, and
    /// nothing is sent, claimed or changed. What other workers hold is left to them.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn dry_run(
        &self,
        provider: &dyn EmailProvider,
        now: DateTime<Utc>,
        options: &RunOptions,
    ) -> Result<DryRun> {
        const OPERATION: &str = "try out";
        let campaign = options.campaign.as_deref();
        let mut told = DryRun::default();
        let row = self
            .store
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
        (told.unknown, told.paused, told.later) = (count("unknown")?, count("paused")?, count("later")?);
        let room = self.room(provider.account(), now, &options.budgets).await?;
        told.room =
            (!options.budgets.is_empty()).then_some(room.mails as u64).filter(|room| *room < u64::MAX);
        told.not_before = self.paused_until(provider.account(), now).await?.max(room.again_at);
        let mut last = String::new();
        loop {
            let rows = self
                .store
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
                    (Some(_), _) => told.expired += 1,
                    (_, Some(reason)) => *told.suppressed.entry(reason.to_owned()).or_default() += 1,
                    (_, None) => ids.push(row.text("id")?.to_owned()),
                }
            }
            if rows.is_empty() {
                return Ok(told);
            }
            self.plan_dry(provider, now, options, ids, &mut told).await?;
        }
    }

    async fn plan_dry(
        &self,
        provider: &dyn EmailProvider,
        now: DateTime<Utc>,
        options: &RunOptions,
        ids: Vec<String>,
        told: &mut DryRun,
    ) -> Result<()> {
        let mut tx = self.store.begin("try out", Access::Open).await?;
        let mut stored = read_messages(&mut tx, ids.clone()).await?;
        let (mut blobs, mut messages) = (HashMap::new(), Vec::new());
        for id in ids {
            let message = match stored.remove(&id) {
                Some(stored) => stored.message(&mut tx, &mut blobs).await?,
                None => None,
            };
            match message {
                Some(message) => messages.push(message),
                None => told.damaged += 1,
            }
        }
        drop(tx);
        let messages: Vec<&Message> = messages.iter().collect();
        let plan = provider.plan_with(&messages, now, &options.degrade);
        told.calls += plan.groups.len() as u64;
        told.sent += plan.groups.iter().map(|group| group.len() as u64).sum::<u64>();
        for refusal in &plan.refused {
            *told.refused.entry(refusal.to_string()).or_default() += 1;
        }
        for feature in plan.dropped.iter().flat_map(|dropped| &dropped.features) {
            *told.degraded.entry(*feature).or_default() += 1;
        }
        Ok(())
    }
}
