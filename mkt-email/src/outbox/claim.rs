//! The transitions of the outbox. Each is one statement that names the state it starts from, inside a short
//! transaction; nothing here calls a provider.

use super::enqueue::StoredAttachment;
use super::{Outbox, damaged, gate, instant, millis, storage};
use crate::id::{IdempotencyKey, MailId};
use crate::message::{Attachment, FileName, Message};
use crate::provider::{Group, Idempotency, Outcome, Outgoing, RejectReason, Stage};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// A mail that a worker has taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: MailId,
    /// Calls made so far, the present one included once it is `sending`.
    pub(super) attempt: u32,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) message: Arc<Message>,
}

/// What looking for due mails gave.
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) taken: Vec<Taken>,
    /// Rows looked at, whatever became of them. Nought: nothing is due.
    pub(super) seen: usize,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
    pub(super) damaged: u64,
}

/// A group that is marked as being sent, with its rows.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) group: Group,
    pub(super) rows: Vec<Taken>,
}

/// What the last gate let through.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) marked: Vec<Marked>,
    pub(super) suppressed: u64,
    pub(super) expired: u64,
}

/// What is to be written down about one row after a call.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    id: String,
    key: String,
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
}

impl Verdict {
    /// What an outcome means for a row. Too many deferrals become a rejection.
    pub(super) fn of(row: &Taken, outcome: Outcome, max_attempts: u32) -> Self {
        let mut verdict = Self {
            id: row.id.to_string(),
            key: row.key.map(|key| key.to_string()).unwrap_or_default(),
            state: "unknown",
            message_id: None,
            reason: None,
            stage: None,
            not_before: None,
            ends_attempt: false,
            uncounted: false,
        };
        match outcome {
            Outcome::Accepted { id } => {
                verdict.state = "accepted";
                verdict.message_id = Some(id);
            }
            // Splitting a refused group is still to come: until then its mails are rejected together.
            Outcome::Rejected { reason, detail } | Outcome::GroupRefused { reason, detail } => {
                verdict.state = "rejected";
                verdict.reason = Some(format!("{reason}: {detail}"));
            }
            Outcome::Deferred { detail, .. } if row.attempt >= max_attempts => {
                verdict.state = "rejected";
                verdict.reason =
                    Some(format!("{} after {} attempts: {detail}", RejectReason::GaveUp, row.attempt));
            }
            Outcome::Deferred { retry_at, detail, .. } => {
                verdict.state = "deferred";
                verdict.reason = Some(detail);
                verdict.not_before = Some(millis(retry_at));
                verdict.ends_attempt = true;
            }
            Outcome::Unknown { stage } => verdict.stage = Some(stage.as_str()),
        }
        verdict
    }

    /// Nothing was sent: the row waits again, with the same key.
    pub(super) fn back_to_pending(row: &Taken) -> Self {
        let unknown = Outcome::Unknown { stage: Stage::Connect };
        Self { state: "pending", stage: None, ..Self::of(row, unknown, u32::MAX) }
    }

    /// As [`back_to_pending`](Self::back_to_pending), for a mail whose call was not made, or failed as a whole without
    /// taking anything: the attempt is given back.
    pub(super) fn not_called(row: &Taken) -> Self {
        Self { uncounted: true, ..Self::back_to_pending(row) }
    }

    pub(super) fn state(&self) -> &'static str {
        self.state
    }
}

fn ids(rows: &[Taken]) -> Result<String> {
    json(&rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>())
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|cause| Error::new(ErrorKind::Other, super::SERVICE, "write down").with_source(cause))
}

impl Outbox {
    /// Takes over the rows of workers that are dead (`alone`: all others are) or late. Claimed rows wait again;
    /// sending ones become unknown.
    pub(super) async fn recover(&self, now: DateTime<Utc>, alone: bool) -> Result<()> {
        let failed = |cause| storage("recover", cause);
        let mut transaction = self.begin("recover").await?;
        sqlx::query(
            "UPDATE mail_outbox SET state = 'pending', worker = NULL, lease_until = NULL, updated_at = ?1
              WHERE state = 'claimed' AND (?2 OR lease_until <= ?1)",
        )
        .bind(millis(now))
        .bind(alone)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        sqlx::query(
            "UPDATE mail_outbox SET state = 'unknown', stage = ?3, worker = NULL, lease_until = NULL, updated_at = ?1
              WHERE state = 'sending' AND (?2 OR lease_until <= ?1)",
        )
        .bind(millis(now))
        .bind(alone)
        .bind(Stage::ProcessDied.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Takes up to `limit` due mails. Those that nobody may be sent any more are stopped on the way.
    pub(super) async fn claim(
        &self,
        worker: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        limit: usize,
        campaign: Option<&str>,
    ) -> Result<Claim> {
        let failed = |cause| storage("claim", cause);
        let mut transaction = self.begin("claim").await?;
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM mail_outbox
              WHERE state IN ('pending', 'deferred') AND not_before <= ?1 AND (?3 IS NULL OR campaign = ?3)
              ORDER BY priority DESC, not_before LIMIT ?2",
        )
        .bind(millis(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(campaign)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        let mut claim = Claim { seen: due.len(), ..Claim::default() };
        if due.is_empty() {
            return Ok(claim);
        }
        let rows = sqlx::query(concat!(
            "UPDATE mail_outbox SET
                state = CASE WHEN expires_at <= ?1 THEN 'expired' WHEN ",
            gate!(),
            " IS NOT NULL THEN 'suppressed' ELSE 'claimed' END,
                reason = CASE WHEN expires_at <= ?1 THEN 'too late' ELSE ",
            gate!(),
            " END, worker = ?3, lease_until = ?4, updated_at = ?1
              WHERE id IN (SELECT value FROM json_each(?2)) AND state IN ('pending', 'deferred')
              RETURNING id, state, attempt, idempotency_key, payload, attachments"
        ))
        .bind(millis(now))
        .bind(json(&due)?)
        .bind(worker)
        .bind(millis(lease_until))
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        let order: HashMap<&str, usize> = due.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            match row.try_get::<&str, _>("state").map_err(failed)? {
                "suppressed" => claim.suppressed += 1,
                "expired" => claim.expired += 1,
                _ => {
                    let id: &str = row.try_get("id").map_err(failed)?;
                    let at = order.get(id).copied().unwrap_or(usize::MAX);
                    match read(&mut transaction, row).await? {
                        Some(mail) => taken.push((at, mail)),
                        None => {
                            claim.damaged += 1;
                            set_aside(&mut transaction, id, now).await?;
                        }
                    }
                }
            }
        }
        transaction.commit().await.map_err(failed)?;
        taken.sort_by_key(|(at, _)| *at);
        claim.taken = taken.into_iter().map(|(_, mail)| mail).collect();
        Ok(claim)
    }

    /// Refuses claimed mails that the provider cannot send.
    pub(super) async fn refuse(
        &self,
        now: DateTime<Utc>,
        worker: &str,
        refused: &[(MailId, String)],
    ) -> Result<()> {
        let failed = |cause| storage("refuse", cause);
        let mut transaction = self.begin("refuse").await?;
        for (id, reason) in refused {
            sqlx::query(
                "UPDATE mail_outbox SET state = 'rejected', reason = ?3, worker = NULL, lease_until = NULL,
                        updated_at = ?1 WHERE id = ?2 AND state = 'claimed' AND worker = ?4",
            )
            .bind(millis(now))
            .bind(id.to_string())
            .bind(format!("{}: {reason}", RejectReason::Unsupported))
            .bind(worker)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// The last gate: commits, with their keys, that these mails are about to be handed over. Mails that were
    /// suppressed, cancelled or taken over since they were claimed, or whose time has passed, are left out.
    pub(super) async fn mark_sending(
        &self,
        worker: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        provider: (&str, &str),
        groups: Vec<Vec<Taken>>,
    ) -> Result<Wave> {
        let failed = |cause| storage("mark as sending", cause);
        let wave: Vec<Taken> = groups.iter().flatten().cloned().collect();
        let mut transaction = self.begin("mark as sending").await?;
        let expired = sqlx::query(
            "UPDATE mail_outbox SET state = 'expired', reason = 'too late', worker = NULL, lease_until = NULL,
                    updated_at = ?1
              WHERE id IN (SELECT value FROM json_each(?2)) AND state = 'claimed' AND worker = ?3
                AND expires_at <= ?1",
        )
        .bind(millis(now))
        .bind(ids(&wave)?)
        .bind(worker)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
        let suppressed = sqlx::query(concat!(
            "UPDATE mail_outbox SET state = 'suppressed', reason = ",
            gate!(),
            ", worker = NULL, lease_until = NULL, updated_at = ?1
              WHERE id IN (SELECT value FROM json_each(?2)) AND state = 'claimed' AND worker = ?3 AND ",
            gate!(),
            " IS NOT NULL"
        ))
        .bind(millis(now))
        .bind(ids(&wave)?)
        .bind(worker)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
        let ours: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM mail_outbox
              WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'claimed' AND worker = ?2",
        )
        .bind(ids(&wave)?)
        .bind(worker)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        let ours: HashSet<MailId> = ours.iter().filter_map(|id| MailId::parse(id)).collect();
        let mut marked = Vec::with_capacity(groups.len());
        let mut entries = Vec::with_capacity(wave.len());
        for group in groups {
            let mut rows: Vec<Taken> = group.into_iter().filter(|row| ours.contains(&row.id)).collect();
            if rows.is_empty() {
                continue;
            }
            let mut mails = Vec::with_capacity(rows.len());
            for row in &mut rows {
                row.attempt = row.attempt.saturating_add(1);
                let key = *row.key.get_or_insert_with(|| row.id.attempt(row.attempt));
                mails.push(Outgoing { key, message: Arc::clone(&row.message) });
            }
            let group = Group::new(now, mails);
            for (position, row) in rows.iter().enumerate() {
                let key = row.key.map(|key| key.to_string());
                entries.push((row.id.to_string(), key, group.key().to_string(), position, row.attempt));
            }
            marked.push(Marked { group, rows });
        }
        sqlx::query(
            "UPDATE mail_outbox SET state = 'sending', idempotency_key = j.value ->> 1, group_key = j.value ->> 2,
                    group_position = j.value ->> 3, attempt = j.value ->> 4, attempted_at = ?1, lease_until = ?3,
                    provider = ?4, account = ?5, reason = NULL, stage = NULL, updated_at = ?1
               FROM json_each(?2) AS j
              WHERE mail_outbox.id = j.value ->> 0 AND mail_outbox.state = 'claimed'",
        )
        .bind(millis(now))
        .bind(json(&entries)?)
        .bind(millis(lease_until))
        .bind(provider.0)
        .bind(provider.1)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Wave { marked, suppressed, expired })
    }

    /// Writes down what became of mails, and a pause that the account asked for, in one commit. Of mails that are being
    /// sent only those of `worker` are touched: it may have been overtaken, and another call be under way with the same
    /// key. Lost answers may be found by anyone.
    pub(super) async fn record(
        &self,
        worker: &str,
        now: DateTime<Utc>,
        verdicts: &[Verdict],
        pause: Option<(&str, DateTime<Utc>, &str)>,
    ) -> Result<()> {
        let failed = |cause| storage("record outcomes", cause);
        let mut transaction = self.begin("record outcomes").await?;
        // The attempt's key is asked for too: a late answer must not decide about a later attempt.
        sqlx::query(
            "UPDATE mail_outbox SET
                    state = CASE WHEN mail_outbox.reason = 'cancelled' AND j.value ->> 'state' IN ('pending', 'deferred')
                                 THEN 'cancelled' ELSE j.value ->> 'state' END,
                    provider_message_id = coalesce(j.value ->> 'message_id', provider_message_id),
                    reason = CASE WHEN mail_outbox.reason = 'cancelled'
                                   AND j.value ->> 'state' IN ('pending', 'deferred', 'unknown')
                                  THEN 'cancelled' ELSE j.value ->> 'reason' END,
                    stage = j.value ->> 'stage',
                    not_before = coalesce(j.value ->> 'not_before', mail_outbox.not_before),
                    attempt = mail_outbox.attempt - (j.value ->> 'uncounted'),
                    idempotency_key = CASE WHEN j.value ->> 'ends_attempt' THEN NULL ELSE idempotency_key END,
                    worker = NULL, lease_until = NULL, updated_at = ?1
               FROM json_each(?2) AS j
              WHERE mail_outbox.id = j.value ->> 'id'
                AND mail_outbox.idempotency_key = j.value ->> 'key'
                AND (mail_outbox.state = 'unknown'
                     OR (mail_outbox.state = 'sending' AND mail_outbox.worker = ?3))",
        )
        .bind(millis(now))
        .bind(json(&verdicts)?)
        .bind(worker)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if let Some((account, until, reason)) = pause {
            sqlx::query(
                "INSERT INTO mail_accounts (account, paused_until, reason) VALUES (?, ?, ?)
                 ON CONFLICT (account) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason
                  WHERE excluded.paused_until > paused_until",
            )
            .bind(account)
            .bind(millis(until))
            .bind(reason)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Gives claimed mails back: nobody was told of them.
    pub(super) async fn release(&self, now: DateTime<Utc>, worker: &str) -> Result<()> {
        sqlx::query(
            "UPDATE mail_outbox SET state = 'pending', worker = NULL, lease_until = NULL, updated_at = ?1
              WHERE state = 'claimed' AND worker = ?2",
        )
        .bind(millis(now))
        .bind(worker)
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(|cause| storage("release", cause))
    }

    /// The calls of an account whose answers are lost and about which the provider can still tell.
    pub(super) async fn unsettled(
        &self,
        account: &str,
        now: DateTime<Utc>,
        idempotency: Idempotency,
    ) -> Result<Vec<Marked>> {
        let failed = |cause| storage("look for lost answers", cause);
        let ago = |time: Duration| {
            TimeDelta::from_std(time).map_or(i64::MIN, |time| millis(now) - time.num_milliseconds())
        };
        let (from, until) = match idempotency {
            Idempotency::None => return Ok(Vec::new()),
            Idempotency::Key { within: None } => (i64::MIN, i64::MAX),
            Idempotency::Key { within: Some(time) } => (ago(time), i64::MAX),
            Idempotency::LookUp { after } => (i64::MIN, ago(after)),
        };
        let rows = sqlx::query(
            "SELECT id, attempt, idempotency_key, payload, attachments, group_key, attempted_at FROM mail_outbox
              WHERE state = 'unknown' AND account = ?1 AND attempted_at BETWEEN ?2 AND ?3
              ORDER BY group_key, group_position",
        )
        .bind(account)
        .bind(from)
        .bind(until)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let mut connection = self.begin("look for lost answers").await?;
        let mut groups: Vec<(IdempotencyKey, DateTime<Utc>, Vec<Taken>)> = Vec::new();
        for row in &rows {
            let Some(taken) = read(&mut connection, row).await? else { continue };
            let key: &str = row.try_get("group_key").map_err(failed)?;
            let key = IdempotencyKey::parse(key).ok_or_else(|| damaged("look for lost answers"))?;
            match groups.last_mut() {
                Some((last, _, members)) if *last == key => members.push(taken),
                _ => groups.push((key, instant(row.try_get("attempted_at").map_err(failed)?)?, vec![taken])),
            }
        }
        Ok(groups
            .into_iter()
            .map(|(key, at, rows)| {
                let outgoing =
                    |row: &Taken| row.key.map(|key| Outgoing { key, message: Arc::clone(&row.message) });
                let mails = rows.iter().filter_map(outgoing).collect();
                Marked { group: Group::of_earlier_call(key, at, mails), rows }
            })
            .filter(|marked| marked.group.mails().len() == marked.rows.len())
            .collect())
    }

    /// When the next waiting mail is due.
    pub(super) async fn next_due(&self, campaign: Option<&str>) -> Result<Option<DateTime<Utc>>> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT min(not_before) FROM mail_outbox
              WHERE state IN ('pending', 'deferred') AND (?1 IS NULL OR campaign = ?1)",
        )
        .bind(campaign)
        .fetch_one(&self.pool)
        .await
        .map_err(|cause| storage("look for the next mail", cause))?;
        due.map(instant).transpose()
    }

    /// Until when an account is paused, if it is.
    pub(super) async fn paused_until(
        &self,
        account: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>> {
        let until: Option<i64> = sqlx::query_scalar(
            "SELECT paused_until FROM mail_accounts WHERE account = ?1 AND paused_until > ?2",
        )
        .bind(account)
        .bind(millis(now))
        .fetch_optional(&self.pool)
        .await
        .map_err(|cause| storage("look for a pause", cause))?;
        until.map(instant).transpose()
    }

    /// Cancels what a campaign has not handed over yet: mails that wait, and claimed ones. A call that is being made
    /// is not stopped, but a mail that comes back from it, or that turns out not to have arrived, is cancelled then.
    /// Returns how many mails were cancelled at once.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn cancel(&self, campaign: &str, now: DateTime<Utc>) -> Result<u64> {
        let failed = |cause| storage("cancel", cause);
        let mut transaction = self.begin("cancel").await?;
        let cancelled = sqlx::query(
            "UPDATE mail_outbox SET state = 'cancelled', worker = NULL, lease_until = NULL, updated_at = ?1
              WHERE campaign = ?2 AND state IN ('pending', 'claimed', 'deferred')",
        )
        .bind(millis(now))
        .bind(campaign)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?
        .rows_affected();
        // Whoever writes down what became of these looks at the reason.
        sqlx::query(
            "UPDATE mail_outbox SET reason = 'cancelled', updated_at = ?1
              WHERE campaign = ?2 AND state IN ('sending', 'unknown')",
        )
        .bind(millis(now))
        .bind(campaign)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(cancelled)
    }
}

/// A stored mail, or nothing when it cannot be understood.
async fn read(transaction: &mut Transaction<'_, Sqlite>, row: &SqliteRow) -> Result<Option<Taken>> {
    let failed = |cause| storage("read a mail", cause);
    let id: &str = row.try_get("id").map_err(failed)?;
    let payload: &str = row.try_get("payload").map_err(failed)?;
    let key: Option<&str> = row.try_get("idempotency_key").map_err(failed)?;
    let attempt: i64 = row.try_get("attempt").map_err(failed)?;
    let listed: Option<&str> = row.try_get("attachments").map_err(failed)?;
    let (Some(id), Ok(mut message)) = (MailId::parse(id), serde_json::from_str::<Message>(payload)) else {
        return Ok(None);
    };
    if let Some(listed) = listed {
        let Ok(stored) = serde_json::from_str::<Vec<StoredAttachment>>(listed) else { return Ok(None) };
        let mut attachments = Vec::with_capacity(stored.len());
        for attachment in stored {
            let content: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT content FROM mail_blobs WHERE sha256 = ?")
                    .bind(&attachment.sha256)
                    .fetch_optional(&mut **transaction)
                    .await
                    .map_err(failed)?;
            let whole = FileName::parse(&attachment.name)
                .ok()
                .zip(content)
                .and_then(|(name, content)| Attachment::new(name, &attachment.media_type, content).ok());
            let Some(whole) = whole else { return Ok(None) };
            attachments.push(whole);
        }
        message.set_attachments(attachments);
    }
    Ok(Some(Taken {
        id,
        attempt: u32::try_from(attempt).map_err(|_| damaged("read a mail"))?,
        key: key.and_then(IdempotencyKey::parse),
        message: Arc::new(message),
    }))
}

/// A claimed row that cannot be understood must not stop the others.
async fn set_aside(transaction: &mut Transaction<'_, Sqlite>, id: &str, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE mail_outbox SET state = 'rejected', reason = 'other: the stored message is damaged', worker = NULL,
                lease_until = NULL, updated_at = ?1 WHERE id = ?2",
    )
    .bind(millis(now))
    .bind(id)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(|cause| storage("set aside", cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DedupKey, NewMail};
    use mkt_connect::clock::later;

    async fn sending(outbox: &Outbox, worker: &str, now: DateTime<Utc>) -> Vec<Taken> {
        let lease = later(now, Duration::from_secs(300));
        let taken = outbox.claim(worker, now, lease, 10, None).await.unwrap().taken;
        let wave = outbox.mark_sending(worker, now, lease, ("memory", "memory"), vec![taken]).await.unwrap();
        wave.marked.into_iter().flat_map(|marked| marked.rows).collect()
    }

    #[tokio::test]
    async fn an_overtaken_worker_does_not_decide_about_a_call_that_another_makes() {
        let outbox = Outbox::in_memory().await.unwrap();
        let now = DateTime::from_timestamp(1_792_972_800, 0).unwrap();
        let to: crate::EmailAddress = "reader@example.org".parse().unwrap();
        let sender = "news@example.com".parse().unwrap();
        let message = Message::builder(sender, to.clone().into(), "Hello".parse().unwrap()).text("Hello");
        let mail = NewMail::transactional(DedupKey::for_address("test", &to), message.build().unwrap());
        outbox.enqueue(&[mail], now).await.unwrap();

        let late = sending(&outbox, "late", now).await;
        let now = later(now, Duration::from_secs(301));
        outbox.recover(now, false).await.unwrap();
        let settled: Vec<_> = late.iter().map(Verdict::back_to_pending).collect();
        outbox.record("second", now, &settled, None).await.unwrap();
        let second = sending(&outbox, "second", now).await;
        assert_eq!((second.len(), second[0].key), (1, late[0].key));

        let lost = || Outcome::Rejected { reason: RejectReason::Other, detail: String::new() };
        let answer = |row: &Taken| Verdict::of(row, lost(), 8);
        let pending = |counts: crate::Counts| (counts.pending, counts.failed);
        outbox.record("late", now, &late.iter().map(answer).collect::<Vec<_>>(), None).await.unwrap();
        assert_eq!(pending(outbox.counts(None).await.unwrap()), (1, 0));
        outbox.record("second", now, &second.iter().map(answer).collect::<Vec<_>>(), None).await.unwrap();
        assert_eq!(pending(outbox.counts(None).await.unwrap()), (0, 1));
    }
}
