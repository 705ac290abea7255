//! Writing down what became of mails.

use super::claim::Taken;
use super::store::{Access, Rows, Tx, values};
use super::{Outbox, millis, storable};
use crate::Outcome;
use crate::id::{EmailId, IdempotencyKey};
use crate::provider::{RejectReason, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Providers' words are kept to this many characters: they end in the log.
const LONGEST: usize = 500;

/// What is to be written down about one row after a call.
#[derive(Debug)]
pub(super) struct Verdict {
    id: EmailId,
    key: Option<IdempotencyKey>,
    attempt: u32,
    state: &'static str,
    message_id: Option<String>,
    reason: Option<String>,
    stage: Option<&'static str>,
    not_before: Option<i64>,
    /// A definite answer ends the attempt: the next one gets a key of its own.
    ends_attempt: bool,
    /// The attempt does not count. The key stays with the row, so the next attempt, which gets the same number, has it
    /// too; a number whose key was given up is never given again.
    uncounted: bool,
    /// The attempt was refused because of another mail of the call: it does not count, and its key is given up.
    split: bool,
}

impl Verdict {
    fn new(row: &Taken, state: &'static str) -> Self {
        Self {
            id: row.id,
            key: row.key,
            attempt: row.attempt,
            state,
            message_id: None,
            reason: None,
            stage: None,
            not_before: None,
            ends_attempt: false,
            uncounted: false,
            split: false,
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
                verdict.ends_attempt = true;
            }
            Outcome::NotOffered { .. } => verdict = Self::not_called(row),
            Outcome::Unknown { stage } => verdict.stage = Some(stage.as_str()),
        }
        verdict
    }

    /// Nothing was sent: the row waits again, with the same key.
    pub(super) fn back_to_pending(row: &Taken) -> Self {
        Self::new(row, "pending")
    }

    /// As [`back_to_pending`](Self::back_to_pending), for a mail whose call failed as a whole without taking anything, or
    /// ended before it came to this mail: the attempt is given back.
    pub(super) fn not_called(row: &Taken) -> Self {
        Self { uncounted: true, ..Self::back_to_pending(row) }
    }

    /// The call was refused because of what it held: the worker keeps the row, for a smaller call.
    pub(super) fn split(row: &Taken) -> Self {
        Self { split: true, ends_attempt: true, ..Self::new(row, "claimed") }
    }

    /// As [`split`](Self::split), for a row that no worker holds.
    pub(super) fn split_later(row: &Taken) -> Self {
        Self { split: true, ends_attempt: true, ..Self::new(row, "pending") }
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
        Self { key: None, repeats: None, splits: self.splits.saturating_add(1), ..self }
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
    // Two workers may write down the same rows, one that is late and one that asked about its lost answers: rows locked
    // in one order cannot lock each other out. Where nobody else writes, the log is in the order of the calls.
    let mut sorted: Vec<&Verdict> = verdicts.iter().collect();
    if !tx.has_one_writer() {
        sorted.sort_unstable_by_key(|verdict| verdict.id);
    }
    let each = || sorted.iter();
    let rows = Rows::default()
        .text(each().map(|verdict| verdict.id.to_string()))
        .maybe_text(each().map(|verdict| verdict.key.map(|key| key.to_string())))
        .number(each().map(|verdict| i64::from(verdict.attempt)))
        .text(each().map(|verdict| verdict.state.to_owned()))
        .maybe_text(each().map(|verdict| verdict.message_id.clone()))
        .maybe_text(each().map(|verdict| verdict.reason.clone()))
        .maybe_text(each().map(|verdict| verdict.stage.map(str::to_owned)))
        .maybe_number(each().map(|verdict| verdict.not_before))
        .number(each().map(|verdict| i64::from(verdict.ends_attempt)))
        .number(each().map(|verdict| i64::from(verdict.uncounted)))
        .number(each().map(|verdict| i64::from(verdict.split)));
    // The attempt and its key are asked for too: a late answer must not decide about a later attempt.
    tx.run_rows(
        "WITH j(id, attempt_key, attempt, state, message_id, reason, stage, not_before, ends_attempt, uncounted, split)
              AS ({rows})
         UPDATE mail_outbox SET
                state = CASE WHEN mail_outbox.reason = 'cancelled' AND j.state IN ('pending', 'claimed', 'deferred')
                             THEN 'cancelled' ELSE j.state END,
                provider_message_id = coalesce(j.message_id, provider_message_id),
                reason = CASE WHEN mail_outbox.reason = 'cancelled'
                               AND j.state IN ('pending', 'claimed', 'deferred', 'unknown')
                              THEN 'cancelled' ELSE j.reason END,
                stage = j.stage,
                not_before = coalesce(j.not_before, mail_outbox.not_before),
                attempt = mail_outbox.attempt - j.uncounted,
                splits = mail_outbox.splits + j.split,
                idempotency_key = CASE j.ends_attempt WHEN 1 THEN NULL ELSE idempotency_key END,
                worker = CASE j.state WHEN 'claimed' THEN worker END,
                lease_until = CASE j.state WHEN 'claimed' THEN $3 END,
                updated_at = $1
           FROM j
          WHERE mail_outbox.id = j.id
            AND mail_outbox.idempotency_key = j.attempt_key
            AND mail_outbox.attempt = j.attempt
            AND (mail_outbox.state = 'unknown'
                 OR (mail_outbox.state = 'sending' AND mail_outbox.worker = $2))
            /*postgres: AND mail_outbox.id = ANY ({first}) */",
        values![millis(now), worker, millis(lease_until)],
        rows,
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

/// Whether the account rests.
pub(super) async fn rests(tx: &mut Tx, account: &str, now: DateTime<Utc>) -> Result<bool> {
    let rows = tx.all(PAUSED, values![account, millis(now)]).await?;
    Ok(!rows.is_empty())
}

const PAUSED: &str = "SELECT paused_until FROM mail_accounts WHERE account = $1 AND paused_until > $2";

impl Outbox {
    /// Until when an account is paused, if it is.
    pub(super) async fn paused_until(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>> {
        let rows = self.store.all("look for a pause", PAUSED, values![account, millis(now)]).await?;
        rows.first().map(|row| super::instant(row.number("paused_until")?)).transpose()
    }
}

/// The stage of a call whose process is gone or whose answer never came.
pub(super) const LOST: Outcome = Outcome::Unknown { stage: Stage::AwaitingAnswer };
