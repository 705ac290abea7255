//! The last gate: the commit after which calls are made, and which writes down the calls that were.

use super::budget::{self, Budget, Room};
use super::claim::Taken;
use super::record::{self, Pause, Verdict};
use super::store::{Access, values};
use super::{Outbox, gate, json, millis};
use crate::id::MailId;
use crate::provider::{Group, Outgoing};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// A group that is marked as being sent, with its rows.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) group: Group,
    pub(super) rows: Vec<Taken>,
    /// The name under which the call is reserved, where there is a budget.
    pub(super) reservation: Option<String>,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reservation: String,
    pub(super) took_nothing: bool,
}

/// One commit of a run: what became of the calls that ended, and which calls come next.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) worker: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) lease_until: DateTime<Utc>,
    pub(super) provider: &'a str,
    pub(super) account: &'a str,
    pub(super) budgets: &'a [Budget],
    pub(super) verdicts: &'a [Verdict],
    pub(super) ended: &'a [Ended],
    pub(super) pause: Option<&'a Pause>,
    /// Numbers the reservations of this run.
    pub(super) first_call: u64,
    pub(super) groups: Vec<Vec<Taken>>,
}

/// What the last gate let through.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) marked: Vec<Marked>,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
    /// When the budgets have room for the rest, which is still claimed.
    pub(super) room_at: Option<DateTime<Utc>>,
}

impl Outbox {
    /// Commits what became of calls, and, with their keys, that the mails of the next ones are about to be handed
    /// over. Mails that were suppressed, paused, cancelled or taken over since they were claimed, or whose time has
    /// passed, are left out, and so are those beyond the account's budgets.
    pub(super) async fn step(&self, step: Step<'_>) -> Result<Wave> {
        let now = millis(step.now);
        let mut tx = self.store.begin("mark as sending", Access::Shared).await?;
        record::record(&mut tx, step.worker, step.now, step.lease_until, step.verdicts).await?;
        for ended in step.ended {
            budget::ended(&mut tx, &ended.reservation, step.now, ended.took_nothing).await?;
        }
        if let Some(pause) = step.pause {
            record::pause(&mut tx, step.account, pause).await?;
        }
        let mut wave = Wave::default();
        if step.groups.is_empty() {
            tx.commit().await?;
            return Ok(wave);
        }
        let ids: Vec<[String; 1]> = step.groups.iter().flatten().map(|row| [row.id.to_string()]).collect();
        let rows = tx
            .all(
                concat!(
                    "SELECT id, CASE WHEN expires_at <= $1 THEN 'expired'
                                     WHEN EXISTS (SELECT 1 FROM mail_campaigns AS p
                                                   WHERE p.campaign = mail_outbox.campaign) THEN 'pending'
                                     WHEN ",
                    gate!(),
                    " IS NOT NULL THEN 'suppressed' ELSE 'sending' END AS fate, ",
                    gate!(),
                    " AS reason
                       FROM mail_outbox
                      WHERE id IN (SELECT j.value ->> 0 FROM json_each($2) AS j)
                        AND state = 'claimed' AND worker = $3 /*postgres: FOR UPDATE OF mail_outbox */"
                ),
                values![now, json(&ids)?, step.worker],
            )
            .await?;
        let (mut stopped, mut go) = (Vec::new(), HashMap::with_capacity(rows.len()));
        for row in &rows {
            let (id, fate) = (row.text("id")?, row.text("fate")?);
            match fate {
                "sending" => drop(go.insert(MailId::parse(id), ())),
                "expired" => {
                    wave.expired += 1;
                    stopped.push((id, fate, Some("too late")));
                }
                "suppressed" => {
                    wave.suppressed += 1;
                    stopped.push((id, fate, row.maybe_text("reason")?));
                }
                _ => stopped.push((id, fate, None)),
            }
        }
        if !stopped.is_empty() {
            tx.run(
                "UPDATE mail_outbox SET state = j.value ->> 1, reason = j.value ->> 2, worker = NULL,
                        lease_until = NULL, updated_at = $1
                   FROM json_each($2) AS j WHERE mail_outbox.id = j.value ->> 0
                        /*postgres: AND mail_outbox.id IN (SELECT j.value ->> 0 FROM json_each($2) AS j) */",
                values![now, json(&stopped)?],
            )
            .await?;
        }
        let mut room = match go.is_empty() {
            true => Room::UNLIMITED,
            false => budget::locked_room(&mut tx, step.account, step.now, step.budgets).await?,
        };
        let mut entries = Vec::with_capacity(go.len());
        for (group, number) in step.groups.into_iter().zip(step.first_call..) {
            let mut rows: Vec<Taken> =
                group.into_iter().filter(|row| go.contains_key(&Some(row.id))).collect();
            if rows.is_empty() {
                continue;
            }
            if room.is_empty() {
                // Not known when, where this very step used it up: soon enough to look again.
                wave.room_at = Some(room.again_at.unwrap_or(step.now));
                continue;
            }
            if rows.len() > room.mails {
                rows.truncate(room.mails);
                wave.room_at = Some(room.again_at.unwrap_or(step.now));
            }
            let mut mails = Vec::with_capacity(rows.len());
            for row in &mut rows {
                row.attempt = row.attempt.saturating_add(1);
                let key = *row.key.get_or_insert_with(|| row.id.attempt(row.attempt));
                mails.push(Outgoing { key, message: Arc::clone(&row.message) });
            }
            let group = Group::new(step.now, mails);
            for (position, row) in rows.iter().enumerate() {
                let key = row.key.map(|key| key.to_string());
                entries.push((row.id.to_string(), key, group.key().to_string(), position, row.attempt));
            }
            let mut reservation = None;
            if !step.budgets.is_empty() {
                let call = format!("{} {number}", step.worker);
                budget::reserve(&mut tx, &call, step.account, step.lease_until, rows.len()).await?;
                room.calls = room.calls.saturating_sub(1);
                room.mails = room.mails.saturating_sub(rows.len());
                reservation = Some(call);
            }
            wave.marked.push(Marked { group, rows, reservation });
        }
        if !entries.is_empty() {
            tx.run(
                "UPDATE mail_outbox SET state = 'sending', idempotency_key = j.value ->> 1,
                        group_key = j.value ->> 2, group_position = CAST(j.value ->> 3 AS BIGINT),
                        attempt = CAST(j.value ->> 4 AS BIGINT), attempted_at = $1, lease_until = $3,
                        provider = $4, account = $5, reason = NULL, stage = NULL, updated_at = $1
                   FROM json_each($2) AS j
                  WHERE mail_outbox.id = j.value ->> 0 AND mail_outbox.state = 'claimed'
                        /*postgres: AND mail_outbox.id IN (SELECT j.value ->> 0 FROM json_each($2) AS j) */",
                values![now, json(&entries)?, millis(step.lease_until), step.provider, step.account],
            )
            .await?;
        }
        tx.commit().await?;
        Ok(wave)
    }
}
