//! Writing down what became of mails.

use super::claim::Taken;
use super::store::{Access, Tx, values};
use super::{Outbox, json, millis, storable};
use crate::provider::{Outcome, RejectReason, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde::Serialize;

/// Providers' words are kept to this many characters: they end in the log.
const LONGEST: usize = 500;

/// What is to be written down about one row after a call.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    id: String,
    key: String,
    attempt: u32,
    state: &'static str,
    message_id: Option<String>,
    reason: Option<String>,
    stage: Option<&'static str>,
    not_before: Option<i64>,
    /// A definite answer ends the attempt: the next one gets a key of its own.
    ends_attempt: u8,
    /// The attempt does not count. The key stays with the row, so the next attempt, which gets the same number, has it
    /// too; a number whose key was given up is never given again.
    uncounted: u8,
    /// The attempt was refused because of another mail of the call: it does not count, and its key is given up.
    split: u8,
}

impl Verdict {
    fn new(row: &Taken, state: &'static str) -> Self {
        Self {
            id: row.id.to_string(),
            key: row.key.map(|key| key.to_string()).unwrap_or_default(),
            attempt: row.attempt,
            state,
            message_id: None,
            reason: None,
            stage: None,
            not_before: None,
            ends_attempt: 0,
            uncounted: 0,
            split: 0,
        }
    }

    /// What an outcome means for a row. Too many deferrals become a rejection; so does the refusal of a group that
    /// cannot be split any more.
    pub(super) fn of(row: &Taken, outcome: Outcome, max_attempts: u32) -> Self {
        let mut verdict = Self::new(row, "unknown");
        let words = |text: &str| Some(storable(text).chars().take(LONGEST).collect());
        match outcome {
            Outcome::Accepted { id } => {
                verdict.state = "accepted";
                verdict.message_id = words(&id);
            }
            Outcome::Rejected { reason, detail } | Outcome::GroupRefused { reason, detail } => {
                verdict.state = "rejected";
                verdict.reason = words(&format!("{reason}: {detail}"));
            }
            Outcome::Deferred { detail, .. } if row.calls_that_count() >= max_attempts => {
                let (gave_up, calls) = (RejectReason::GaveUp, row.calls_that_count());
                verdict.state = "rejected";
                verdict.reason = words(&format!("{gave_up} after {calls} attempts: {detail}"));
            }
            Outcome::Deferred { retry_at, detail, .. } => {
                verdict.state = "deferred";
                verdict.reason = words(&detail);
                verdict.not_before = Some(millis(retry_at));
                verdict.ends_attempt = 1;
            }
            Outcome::Unknown { stage } => verdict.stage = Some(stage.as_str()),
        }
        verdict
    }

    /// Nothing was sent: the row waits again, with the same key.
    pub(super) fn back_to_pending(row: &Taken) -> Self {
        Self::new(row, "pending")
    }

    /// As [`back_to_pending`](Self::back_to_pending), for a mail whose call failed as a whole without taking anything:
    /// the attempt is given back.
    pub(super) fn not_called(row: &Taken) -> Self {
        Self { uncounted: 1, ..Self::back_to_pending(row) }
    }

    /// The call was refused because of what it held: the worker keeps the row, for a smaller call.
    pub(super) fn split(row: &Taken) -> Self {
        Self { split: 1, ends_attempt: 1, ..Self::new(row, "claimed") }
    }

    /// As [`split`](Self::split), for a row that no worker holds.
    pub(super) fn split_later(row: &Taken) -> Self {
        Self { split: 1, ends_attempt: 1, ..Self::new(row, "pending") }
    }

    pub(super) fn state(&self) -> &'static str {
        self.state
    }
}

impl Taken {
    /// Calls that say something about the mail.
    pub(super) fn calls_that_count(&self) -> u32 {
        self.attempt.saturating_sub(self.splits)
    }

    /// The row after [`Verdict::split`].
    pub(super) fn after_split(self) -> Self {
        Self { key: None, splits: self.splits.saturating_add(1), ..self }
    }
}

/// A pause that an account asked for.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    pub(super) until: DateTime<Utc>,
    pub(super) reason: String,
}

impl Outbox {
    /// Writes down what was found out about lost answers.
    pub(super) async fn record(&self, worker: &str, now: DateTime<Utc>, verdicts: &[Verdict]) -> Result<()> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin("record outcomes", Access::Shared).await?;
        record(&mut tx, worker, now, now, verdicts).await?;
        tx.commit().await
    }
}

/// Writes down what became of mails. Of mails that are being sent only those of `worker` are touched: it may have been
/// overtaken, and another call be under way with the same key. Lost answers may be found by anyone.
pub(super) async fn record(
    tx: &mut Tx,
    worker: &str,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    verdicts: &[Verdict],
) -> Result<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    let verdicts = json(&verdicts)?;
    // Two workers may have asked about the same lost answers; rows locked in one order cannot lock each other out.
    #[cfg(feature = "postgres")]
    tx.lock_rows(&verdicts).await?;
    // The attempt and its key are asked for too: a late answer must not decide about a later attempt.
    tx.run(
        "UPDATE mail_outbox SET
                state = CASE WHEN mail_outbox.reason = 'cancelled' AND j.value ->> 'state' IN ('pending', 'claimed', 'deferred')
                             THEN 'cancelled' ELSE j.value ->> 'state' END,
                provider_message_id = coalesce(j.value ->> 'message_id', provider_message_id),
                reason = CASE WHEN mail_outbox.reason = 'cancelled'
                               AND j.value ->> 'state' IN ('pending', 'claimed', 'deferred', 'unknown')
                              THEN 'cancelled' ELSE j.value ->> 'reason' END,
                stage = j.value ->> 'stage',
                not_before = coalesce(CAST(j.value ->> 'not_before' AS BIGINT), mail_outbox.not_before),
                attempt = mail_outbox.attempt - CAST(j.value ->> 'uncounted' AS BIGINT),
                splits = mail_outbox.splits + CAST(j.value ->> 'split' AS BIGINT),
                idempotency_key = CASE CAST(j.value ->> 'ends_attempt' AS BIGINT) WHEN 1 THEN NULL
                                       ELSE idempotency_key END,
                worker = CASE j.value ->> 'state' WHEN 'claimed' THEN worker END,
                lease_until = CASE j.value ->> 'state' WHEN 'claimed' THEN $4 END,
                updated_at = $1
           FROM json_each($2) AS j
          WHERE mail_outbox.id = j.value ->> 'id'
            AND mail_outbox.idempotency_key = j.value ->> 'key'
            AND mail_outbox.attempt = CAST(j.value ->> 'attempt' AS BIGINT)
            AND (mail_outbox.state = 'unknown'
                 OR (mail_outbox.state = 'sending' AND mail_outbox.worker = $3))
            /*postgres: AND mail_outbox.id = ANY (ARRAY(SELECT j.value ->> 'id' FROM json_each($2) AS j)) */",
        values![millis(now), verdicts, worker, millis(lease_until)],
    )
    .await?;
    Ok(())
}

/// Lets the account rest.
pub(super) async fn pause(tx: &mut Tx, account: &str, pause: &Pause) -> Result<()> {
    tx.run(
        "INSERT INTO mail_accounts (account, paused_until, reason) VALUES ($1, $2, $3)
         ON CONFLICT (account) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason
          WHERE excluded.paused_until > mail_accounts.paused_until",
        values![account, millis(pause.until), storable(&pause.reason)],
    )
    .await
    .map(|_| ())
}

impl Outbox {
    /// Until when an account is paused, if it is.
    pub(super) async fn paused_until(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>> {
        let rows = self
            .store
            .all(
                "look for a pause",
                "SELECT paused_until FROM mail_accounts WHERE account = $1 AND paused_until > $2",
                values![account, millis(now)],
            )
            .await?;
        rows.first().map(|row| super::instant(row.number("paused_until")?)).transpose()
    }
}

/// The stage of a call whose process is gone or whose answer never came.
pub(super) const LOST: Outcome = Outcome::Unknown { stage: Stage::AwaitingAnswer };
