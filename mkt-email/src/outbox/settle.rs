//! Lost answers: which calls to ask about, and which mails may be sent again without knowing.

use super::claim::{Taken, read_messages};
use super::mark::Marked;
use super::store::{Access, values};
use super::{Outbox, damaged, gate, instant, millis};
use crate::id::IdempotencyKey;
use crate::provider::{Capabilities, Group, Idempotency, Outgoing};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Result;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// When calls must have begun so that a provider can still tell about them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    from: i64,
    until: i64,
    /// Whether asking may send.
    sends: bool,
}

impl Window {
    pub(super) fn of(capabilities: &Capabilities, now: DateTime<Utc>) -> Option<Self> {
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

impl Outbox {
    /// The next call of an account, in the order of their keys, whose answers are lost and about which the provider can
    /// still tell. One at a time: there may be any number. Where asking may send, mails that must not be sent any more
    /// are left out and stay unknown; a call may have none left.
    pub(super) async fn unsettled(
        &self,
        account: &str,
        now: DateTime<Utc>,
        window: Window,
        after: &str,
    ) -> Result<Option<Marked>> {
        const OPERATION: &str = "look for lost answers";
        let found = self
            .store
            .one(
                OPERATION,
                "SELECT min(group_key) AS group_key FROM mail_outbox
                  WHERE state = 'unknown' AND account = $1 AND group_key > $2 AND attempted_at BETWEEN $3 AND $4
                    AND recipient <> ''",
                values![account, after, window.from, window.until],
            )
            .await?;
        let Some(group_key) = found.maybe_text("group_key")? else { return Ok(None) };
        // The gate of a call that may send has to see what was committed before it.
        let access = if window.sends { Access::Shared } else { Access::Open };
        let mut tx = self.store.begin(OPERATION, access).await?;
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
            // The others may be sent under the key of the call. Asked under it later, these would seem to have been too.
            tx.run(
                "UPDATE mail_outbox SET group_key = NULL
                  WHERE id IN (SELECT value FROM json_each($1)) AND state = 'unknown'",
                values![left_out],
            )
            .await?;
        }
        let ids = rows.iter().map(|row| Ok(row.text("id")?.to_owned())).collect::<Result<_>>()?;
        let mut messages = read_messages(&mut tx, ids).await?;
        let (mut blobs, mut taken, mut mails) = (HashMap::new(), Vec::new(), Vec::new());
        let mut at = None;
        for row in &rows {
            let message = match messages.remove(row.text("id")?) {
                Some(stored) => stored.message(&mut tx, &mut blobs).await?,
                None => None,
            };
            // What cannot be understood stays unknown.
            let Some(message) = message else { continue };
            let mail = Taken::of(row, message)?;
            let Some(key) = mail.key else { continue };
            at = Some(instant(row.number("attempted_at")?)?);
            mails.push(Outgoing { key, message: Arc::clone(&mail.message) });
            taken.push(mail);
        }
        tx.commit().await?;
        let key = IdempotencyKey::parse(group_key).ok_or_else(|| damaged(OPERATION))?;
        let at = at.unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Some(Marked { group: Group::of_earlier_call(key, at, mails), rows: taken, reservation: None }))
    }

    /// Lets mails that were enqueued at least once wait again where the answer is lost and will not be found: calls
    /// that began outside of the `window` (or all, where there is none), or that were asked about just now.
    pub(super) async fn repeat_unknown(
        &self,
        account: &str,
        now: DateTime<Utc>,
        window: Option<Window>,
        wait: Duration,
        max_attempts: u32,
    ) -> Result<u64> {
        // A look-up that is not possible yet may still find the answer.
        let until = window.map_or(i64::MAX, |window| window.until);
        let not_before = millis(mkt_connect::clock::later(now, wait));
        let mut tx = self.store.begin("repeat", Access::Alone).await?;
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
}
