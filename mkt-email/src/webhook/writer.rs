//! Writes what calls brought: calls that wait at the same time share one commit.

use crate::Outbox;
use crate::outbox::{Delivery, Received, SuppressionPolicy};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::clock::Clock;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Calls that wait for the writer; further ones are answered that they come too fast.
const WAITING: usize = 4_096;
/// Calls, and events, of one commit: the last one waits no longer than it takes.
const TOGETHER: usize = 256;
/// How often used tokens that are no longer valid are deleted.
const CLEANING: TimeDelta = TimeDelta::minutes(1);

struct Job {
    delivery: Delivery,
    answer: oneshot::Sender<Option<Received>>,
}

/// A handle of the writer; it ends when the last one is dropped, after it has written what waits.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// What the writer works with.
pub(super) struct Work {
    pub(super) outbox: Outbox,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: SuppressionPolicy,
    /// How long used tokens are kept.
    pub(super) tokens_for: TimeDelta,
}

impl Writer {
    /// Starts the writer. A task of its own: a commit is not ended by a caller that hangs up.
    pub(super) fn start(work: Work) -> (Self, JoinHandle<()>) {
        let (jobs, waiting) = mpsc::channel(WAITING);
        (Self { jobs }, tokio::spawn(write(work, waiting)))
    }

    /// Returns when the delivery is committed; `None` when it could not be, or too many wait.
    pub(super) async fn write(&self, delivery: Delivery) -> Option<Received> {
        let (answer, done) = oneshot::channel();
        self.jobs.try_send(Job { delivery, answer }).ok()?;
        done.await.ok().flatten()
    }
}

async fn write(work: Work, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(TOGETHER);
    let mut cleaned: Option<DateTime<Utc>> = None;
    while waiting.recv_many(&mut jobs, TOGETHER).await > 0 {
        let now = work.clock.now();
        let clean = cleaned.is_none_or(|at| now - at > CLEANING);
        let before = clean.then(|| now.checked_sub_signed(work.tokens_for)).flatten();
        let (deliveries, answers): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.delivery, job.answer)).unzip();
        let written = work.outbox.receive(&deliveries, now, &work.policy, before).await;
        match written {
            Ok(received) => {
                if clean {
                    cleaned = Some(now);
                }
                // A caller that hung up is not told; what it brought is kept.
                for (answer, received) in answers.into_iter().zip(received) {
                    let _ = answer.send(Some(received));
                }
            }
            Err(error) => {
                tracing::warn!(%error, calls = answers.len(), "events could not be written");
                for answer in answers {
                    let _ = answer.send(None);
                }
            }
        }
    }
}
