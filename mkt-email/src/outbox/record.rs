//! Records the outcomes of emails.

use super::call::Verdict;
use super::millis;
use super::store::{Access, Rows, Store, Tx, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Records verdicts about lost answers in a transaction of its own.
pub(super) async fn record_settled(
    store: &Store,
    worker: &str,
    now: DateTime<Utc>,
    verdicts: &[Verdict],
) -> Result<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin("record outcomes", Access::Shared).await?;
    record(&mut tx, worker, now, now, verdicts).await?;
    tx.commit().await
}

/// Records verdicts. Of emails in state `sending`, only those of `worker` are changed: it may have been taken for dead,
/// and another call may be in progress under the same key. Lost answers may be found by any worker.
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
    // Two workers may record the same rows, one that is late and one that settled its lost answers: rows locked in one
    // order cannot deadlock. With a single writer the log is in the order of the calls.
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
    // The attempt and its key are compared too: a late answer must not decide about a later attempt.
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
