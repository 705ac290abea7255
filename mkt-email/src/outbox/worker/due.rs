//! Finds emails that are due. Nothing here calls a provider.

use crate::outbox::gate::gate;
use crate::outbox::queue::{
    Attachments, QueuedEmail, Stopped, email_id, read_messages, take_message, why_stopped,
};
use crate::outbox::store::{Access, Store, Tx, values};
use crate::outbox::{State, millis, timestamp};
use crate::provider::RejectReason;
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Due emails.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Emails that may be sent. Nothing is written about them yet; on a server their rows are locked.
    pub(super) ready: Vec<QueuedEmail>,
    /// Rows read, whatever became of them. 0: nothing is due.
    pub(super) seen: usize,
    /// Emails that must not be sent.
    pub(super) stopped: Vec<Stopped>,
}

/// How many due emails to find.
#[derive(Debug)]
pub(super) struct DueQuery<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) most: usize,
    /// The most bytes of messages.
    pub(super) bytes: u64,
    /// Whether one email is returned whatever its size.
    pub(super) any_size: bool,
    pub(super) campaign: Option<&'a str>,
    /// While it is paused, no email is due.
    pub(super) account: &'a str,
}

/// Gives claimed emails back; they were never handed to the provider.
pub(super) async fn release(store: &Store, now: DateTime<Utc>, worker: &str) -> Result<()> {
    let mut tx = store.begin("release", Access::Shared).await?;
    tx.run(
        "UPDATE mail_outbox SET state = 'pending', worker = NULL, lease_until = NULL, updated_at = $1
          WHERE state = 'claimed' AND worker = $2",
        values![millis(now), worker],
    )
    .await?;
    tx.commit().await
}

/// When the next waiting email is due.
pub(super) async fn next_due(store: &Store, campaign: Option<&str>) -> Result<Option<DateTime<Utc>>> {
    let row = store
        .one(
            "look for the next email",
            "SELECT min(not_before) AS due FROM mail_outbox
              WHERE state IN ('pending', 'deferred') AND ($1 IS NULL OR campaign = $1)
                AND (campaign IS NULL OR campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))",
            values![campaign],
        )
        .await?;
    row.maybe_number("due")?.map(timestamp).transpose()
}

/// Finds due emails. Those of a paused campaign are skipped, and there are none while the account is paused.
///
/// `NOT IN`, because PostgreSQL hashes that list and continues to read the queue in order. It turns `NOT EXISTS` into a
/// join, which loses the order: a queue that was just filled would be sorted as a whole for every claim.
pub(super) async fn find_due(
    tx: &mut Tx,
    query: &DueQuery<'_>,
    attachments: &mut Attachments,
) -> Result<Due> {
    let rows = tx
        .all(
            concat!(
                "SELECT id, bytes, attempt, splits, idempotency_key, attempted_at,
                        CAST(CASE WHEN expires_at <= $1 THEN 1 ELSE 0 END AS BIGINT) AS late, ",
                gate!(),
                " AS forbidden
                   FROM mail_outbox
                  WHERE state IN ('pending', 'deferred') AND not_before <= $1 AND ($3 IS NULL OR campaign = $3)
                    AND (campaign IS NULL OR campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))
                    AND NOT EXISTS (SELECT 1 FROM mail_accounts AS a WHERE a.account = $4 AND a.paused_until > $1)
                  ORDER BY priority DESC, not_before, position LIMIT $2
                  /*postgres: FOR UPDATE OF mail_outbox SKIP LOCKED */"
            ),
            values![millis(query.now), i64::try_from(query.most).unwrap_or(i64::MAX), query.campaign, query.account],
        )
        .await?;
    let mut due = Due { seen: rows.len(), ..Due::default() };
    let (mut ready, mut bytes) = (Vec::with_capacity(rows.len()), 0_u64);
    for row in &rows {
        let id = email_id(row)?;
        match why_stopped(row)? {
            Some((state, reason)) => due.stopped.push(Stopped { id, state, reason }),
            None => {
                bytes = bytes.saturating_add(u64::try_from(row.number("bytes")?).unwrap_or(0));
                if bytes > query.bytes && !(ready.is_empty() && query.any_size) {
                    break;
                }
                ready.push((id, row));
            }
        }
    }
    let ids = ready.iter().map(|(id, _)| id.to_string()).collect();
    let mut messages = read_messages(tx, ids).await?;
    for (id, row) in ready {
        match take_message(&mut messages, row.text("id")?, tx, attachments).await? {
            Some(message) => due.ready.push(QueuedEmail::of(row, message)?),
            // A damaged row must not stop the others.
            None => {
                let reason = Some(format!("{}: the stored message is damaged", RejectReason::Other));
                due.stopped.push(Stopped { id, state: State::Rejected, reason });
            }
        }
    }
    Ok(due)
}
