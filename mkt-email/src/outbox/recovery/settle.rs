//! Lost answers: which calls to ask the provider about, and which emails may be sent again without knowing.

use crate::id::IdempotencyKey;
use crate::message::Message;
use crate::outbox::call::{Call, Verdict, not_before, without_dropped};
use crate::outbox::gate::gate;
use crate::outbox::options::{RunOptions, RunReport};
use crate::outbox::queue::{QueuedEmail, read_messages, take_message};
use crate::outbox::record::record_settled;
use crate::outbox::store::{Access, Store, values};
use crate::outbox::{damaged, millis, timestamp};
use crate::provider::{Capabilities, Group, Idempotency, Outgoing, RejectReason, Settlement};
use crate::{Clock, EmailProvider, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Result;
use mkt_connect::clock::later;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The time in which calls must have begun so that a provider can tell their outcome.
#[derive(Debug, Clone, Copy)]
struct SettleWindow {
    from: i64,
    until: i64,
    /// Whether asking may send.
    sends: bool,
}

impl SettleWindow {
    fn of(capabilities: &Capabilities, now: DateTime<Utc>) -> Option<Self> {
        let ago = |time: Duration| {
            TimeDelta::from_std(time).map_or(i64::MIN, |time| millis(now) - time.num_milliseconds())
        };
        let (from, until) = match capabilities.idempotency {
            Idempotency::None => return None,
            Idempotency::Key { within: None } => (i64::MIN, i64::MAX),
            Idempotency::Key { within: Some(time) } => (ago(time), i64::MAX),
            Idempotency::LookUp { after } => (i64::MIN, ago(after)),
        };
        Some(Self { from, until, sends: capabilities.settles_by_sending })
    }
}

/// Asks the provider about lost answers, call by call, and records what it says. Emails that were enqueued at least
/// once and stay unknown will be sent again after `wait`.
pub(in crate::outbox) async fn settle(
    store: &Store,
    provider: &dyn EmailProvider,
    clock: &dyn Clock,
    options: &RunOptions,
    worker: &str,
    wait: Duration,
    report: &mut RunReport,
) -> Result<()> {
    let window = SettleWindow::of(provider.capabilities(), clock.now());
    let mut after = String::new();
    while let Some(window) = window {
        if options.stop.is_requested() {
            return Ok(());
        }
        let (account, now) = (provider.account(), clock.now());
        let Some(lost) = next_lost_call(store, account, now, window, &after).await? else { break };
        after = lost.group.key().to_string();
        let lost = as_it_was_sent(provider, options, lost);
        if lost.emails.is_empty() {
            continue;
        }
        let settlements = match provider.settle(&lost.group).await {
            // Nothing was found out, and the next call would fare no better: a later run asks again.
            Err(error) if error.is_retryable() || error.leaves_doubt() => {
                tracing::warn!(%error, "lost answers could not be settled");
                break;
            }
            settlements => settlements?,
        };
        let alone = lost.emails.len() == 1;
        let mut verdicts = Vec::new();
        for (email, settlement) in lost.emails.iter().zip(settlements) {
            let verdict = match settlement {
                Settlement::StillUnknown | Settlement::Known(Outcome::Unknown { .. }) => continue,
                Settlement::Known(Outcome::GroupRefused { .. }) if !alone => Verdict::split_later(email),
                Settlement::Known(outcome) => {
                    let least = later(clock.now(), wait);
                    Verdict::of(email, not_before(outcome, least), options.max_attempts)
                }
                Settlement::NotArrived if email.counted_attempts() >= options.max_attempts => {
                    let detail = format!("{} calls did not arrive", email.counted_attempts());
                    Verdict::of(email, Outcome::Rejected { reason: RejectReason::GaveUp, detail }, 0)
                }
                Settlement::NotArrived => Verdict::back_to_pending(email),
            };
            report.settled += 1;
            report.add(&verdict);
            verdicts.push(verdict);
        }
        record_settled(store, worker, clock.now(), &verdicts).await?;
    }
    report.repeated +=
        repeat_unknown(store, provider.account(), clock.now(), window, wait, options.max_attempts).await?;
    Ok(())
}

/// When the next lost answer can be looked up, for a provider that can only be asked some time after a call.
pub(in crate::outbox) async fn next_look_up(
    store: &Store,
    provider: &dyn EmailProvider,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let capabilities = provider.capabilities();
    let Idempotency::LookUp { after } = capabilities.idempotency else { return Ok(None) };
    let Some(window) = SettleWindow::of(capabilities, now) else { return Ok(None) };
    let row = store
        .one(
            "look for lost answers",
            "SELECT min(attempted_at) AS at FROM mail_outbox
              WHERE state = 'unknown' AND account = $1 AND attempted_at > $2 AND recipient <> ''",
            values![provider.account(), window.until],
        )
        .await?;
    Ok(row.maybe_number("at")?.map(timestamp).transpose()?.map(|at| later(at, after)))
}

/// What was dropped from an email when it was sent is dropped when the provider is asked about it.
fn as_it_was_sent(provider: &dyn EmailProvider, options: &RunOptions, lost: Call) -> Call {
    let messages: Vec<&Message> = lost.emails.iter().map(|email| email.message.as_ref()).collect();
    let plan = provider.plan_with(&messages, lost.group.at(), &options.degrade);
    if plan.dropped.is_empty() {
        return lost;
    }
    let emails = without_dropped(lost.emails, &plan);
    let outgoing = emails
        .iter()
        .zip(lost.group.emails())
        .map(|(email, sent)| Outgoing { key: sent.key, message: Arc::clone(&email.message) })
        .collect();
    Call { group: Group::of_earlier_call(lost.group.key(), lost.group.at(), outgoing), emails, ..lost }
}

/// The next call of an account, in the order of their keys, whose answers are lost and about which the provider can
/// still tell. One at a time, because there may be any number. Where asking may send, emails that must not be sent any
/// more are left out and stay unknown; a call may have none left.
async fn next_lost_call(
    store: &Store,
    account: &str,
    now: DateTime<Utc>,
    window: SettleWindow,
    after: &str,
) -> Result<Option<Call>> {
    const OPERATION: &str = "look for lost answers";
    let found = store
        .one(
            OPERATION,
            "SELECT min(group_key) AS group_key FROM mail_outbox
              WHERE state = 'unknown' AND account = $1 AND group_key > $2 AND attempted_at BETWEEN $3 AND $4
                AND recipient <> ''",
            values![account, after, window.from, window.until],
        )
        .await?;
    let Some(group_key) = found.maybe_text("group_key")? else { return Ok(None) };
    // The gate of a call that may send must see what was committed before it.
    let access = if window.sends { Access::Shared } else { Access::Open };
    let mut tx = store.begin(OPERATION, access).await?;
    let found = tx
        .all(
            concat!(
                "SELECT id, bytes, attempt, splits, idempotency_key, attempted_at, CAST(CASE
                        WHEN $6 = 0 THEN 1
                        WHEN expires_at <= $1 OR reason = 'cancelled' THEN 0
                        WHEN EXISTS (SELECT 1 FROM mail_campaigns AS p
                                      WHERE p.campaign = mail_outbox.campaign) THEN 0
                        WHEN ",
                gate!(),
                " IS NOT NULL THEN 0 ELSE 1 END AS BIGINT) AS askable
                   FROM mail_outbox
                  WHERE state = 'unknown' AND account = $2 AND group_key = $3
                    AND attempted_at BETWEEN $4 AND $5 AND recipient <> ''
                  ORDER BY group_position"
            ),
            values![millis(now), account, group_key, window.from, window.until, window.sends],
        )
        .await?;
    let (mut rows, mut left_out) = (Vec::with_capacity(found.len()), Vec::new());
    for row in found {
        match row.number("askable")? {
            0 => left_out.push(row.text("id")?.to_owned()),
            _ => rows.push(row),
        }
    }
    if !left_out.is_empty() && !rows.is_empty() {
        // The others may be sent under the key of the call. Looked up under it later, these would seem to have been sent too.
        tx.run(
            "UPDATE mail_outbox SET group_key = NULL
              WHERE id IN (SELECT value FROM json_each($1)) AND state = 'unknown'",
            values![left_out],
        )
        .await?;
    }
    let ids = rows.iter().map(|row| Ok(row.text("id")?.to_owned())).collect::<Result<_>>()?;
    let mut messages = read_messages(&mut tx, ids).await?;
    let (mut attachments, mut emails, mut outgoing) = (HashMap::new(), Vec::new(), Vec::new());
    let mut at = None;
    for row in &rows {
        let message = take_message(&mut messages, row.text("id")?, &mut tx, &mut attachments).await?;
        // A damaged message stays unknown.
        let Some(message) = message else { continue };
        let email = QueuedEmail::of(row, message)?;
        let Some(key) = email.key else { continue };
        at = Some(timestamp(row.number("attempted_at")?)?);
        outgoing.push(Outgoing { key, message: Arc::clone(&email.message) });
        emails.push(email);
    }
    tx.commit().await?;
    let key = IdempotencyKey::parse(group_key).ok_or_else(|| damaged(OPERATION))?;
    let at = at.unwrap_or(DateTime::UNIX_EPOCH);
    Ok(Some(Call { group: Group::of_earlier_call(key, at, outgoing), emails, reservation: None }))
}

/// Lets emails that were enqueued at least once wait again where the answer is lost and will not be found: calls that
/// began outside of the `window` (or all, if there is none), or that were asked about just now.
async fn repeat_unknown(
    store: &Store,
    account: &str,
    now: DateTime<Utc>,
    window: Option<SettleWindow>,
    wait: Duration,
    max_attempts: u32,
) -> Result<u64> {
    // A look-up that is not possible yet may still find the answer.
    let until = window.map_or(i64::MAX, |window| window.until);
    let not_before = millis(mkt_connect::clock::later(now, wait));
    let mut tx = store.begin("repeat", Access::Alone).await?;
    let repeated = tx
        .run(
            "UPDATE mail_outbox SET state = 'pending', not_before = $3, updated_at = $1
              WHERE state = 'unknown' AND account = $2 AND at_least_once = 1 AND recipient <> ''
                AND coalesce(reason, '') <> 'cancelled' AND attempted_at <= $4 AND attempt - splits < $5",
            values![millis(now), account, not_before, until, i64::from(max_attempts)],
        )
        .await?;
    tx.commit().await?;
    Ok(repeated)
}
