//! The public methods of journeys. Each calls one part.

use super::compose::Composer;
use super::definition::Definition;
use super::engine::{self, advance, feed, registry};
use super::report::{self, JourneyReport, Reached};
use super::trigger::Trigger;
use super::whereabouts::{self, Whereabouts, WhereaboutsOptions};
use crate::outbox::store::{Store, values};
use crate::outbox::timestamp;
use crate::{Clock, Outbox};
use chrono::{DateTime, Utc};
use mkt_connect::{Result, Stop};
use serde::Serialize;
use std::time::Duration;

/// How long a run waits before it looks for triggers of other processes.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The journeys in the database of an outbox. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Journeys {
    store: Store,
}

/// Whether a trigger was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Triggered {
    /// It is recorded now.
    New,
    /// It was recorded before, in this call or an earlier one.
    Known,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Advanced {
    /// Contacts that were due, counted each time.
    pub contacts: u64,
    /// Instances that began.
    pub entered: u64,
    /// Emails that were enqueued.
    pub sent: u64,
    /// Emails that were not, because the contact is held out.
    pub withheld: u64,
    /// Emails that were skipped: too late, or beyond a cap.
    pub skipped: u64,
    /// Emails that were not enqueued because the contact is suppressed or gave no consent; their instances ended.
    pub suppressed: u64,
    /// Emails for which there was no message.
    pub failed: u64,
    /// Instances that ended.
    pub ended: u64,
}

impl Advanced {
    pub(super) fn count(&mut self, outcome: &engine::walk::Sent) {
        use engine::walk::Sent;
        match outcome {
            Sent::Enqueued(_) => self.sent += 1,
            Sent::Withheld => self.withheld += 1,
            Sent::Skipped(_) => self.skipped += 1,
            Sent::Suppressed(_) => self.suppressed += 1,
            Sent::Failed(_) => self.failed += 1,
        }
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.contacts += other.contacts;
        self.entered += other.entered;
        self.sent += other.sent;
        self.withheld += other.withheld;
        self.skipped += other.skipped;
        self.suppressed += other.suppressed;
        self.failed += other.failed;
        self.ended += other.ended;
    }
}

/// # Definitions and triggers
impl Journeys {
    /// Opens the journeys of an outbox and creates their tables where they are missing.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn open(outbox: &Outbox) -> Result<Self> {
        let store = outbox.store().clone();
        engine::migrate(&store).await?;
        Ok(Self { store })
    }

    /// Stores a definition under its name and returns the number of its version: the same content is the same version.
    /// New instances begin with it; those that are under way keep theirs. Triggers before `since` begin no instance; of
    /// several calls the earliest counts. A journey that was [stopped](Self::stop) begins again.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn define(&self, definition: &Definition, since: DateTime<Utc>) -> Result<u32> {
        registry::define(&self.store, definition, since).await
    }

    /// Lets no new instance of a journey begin. Those under way go on; see [`end`](Self::end).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](mkt_connect::ErrorKind::NotFound) for a journey that was never defined;
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn stop(&self, journey: &str) -> Result<()> {
        registry::stop(&self.store, journey).await
    }

    /// Ends all instances of a journey that are under way, with a reason; returns how many. Emails that are enqueued
    /// already are the outbox's: [`Outbox::cancel`].
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn end(&self, journey: &str, reason: &str, now: DateTime<Utc>) -> Result<u64> {
        registry::end(&self.store, journey, reason, now).await
    }

    /// The latest version of a definition, and its number.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](mkt_connect::ErrorKind::NotFound) for a journey that was never defined;
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn definition(&self, journey: &str) -> Result<(u32, Definition)> {
        let mut tx = self.store.begin("look for a journey", crate::outbox::store::Access::Open).await?;
        let registry = registry::read(&mut tx).await?;
        tx.commit().await?;
        let version = registry.latest(journey).ok_or_else(|| registry::unknown(journey))?;
        Ok((u32::try_from(version.number).unwrap_or(u32::MAX), version.definition.as_ref().clone()))
    }

    /// The names of the journeys that were defined.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn names(&self) -> Result<Vec<String>> {
        let rows = self
            .store
            .all(
                "list journeys",
                "SELECT DISTINCT journey FROM mail_journey_definitions ORDER BY journey",
                values![],
            )
            .await?;
        rows.iter().map(|row| row.text("journey").map(str::to_owned)).collect()
    }

    /// Records triggers, all or none; one answer per trigger, in order. When this returns they survive a crash, and no
    /// email that one of them forbids is enqueued any more. A trigger of the future counts when its time has come.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn trigger(&self, triggers: &[Trigger], now: DateTime<Utc>) -> Result<Vec<Triggered>> {
        feed::trigger(&self.store, triggers, now).await
    }

    /// Removes triggers that happened before an instant, of contacts that are in no journey; returns how many. Conditions
    /// on past triggers do not see them any more, and one of them that is recorded again is new.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64> {
        feed::prune(&self.store, before).await
    }
}

/// # Going on
impl Journeys {
    /// Does everything that is due at `now`: emails go into the outbox. Several processes may do so at once.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](mkt_connect::ErrorKind::Config) for a template that the composer does not know: nothing is
    /// done then. [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage): what was committed before is done.
    #[tracing::instrument(skip_all)]
    pub async fn advance(&self, composer: &dyn Composer, now: DateTime<Utc>) -> Result<Advanced> {
        let advanced = advance::advance(&self.store, composer, now).await?;
        tracing::debug!(contacts = advanced.contacts, sent = advanced.sent, "journeys advanced");
        Ok(advanced)
    }

    /// Does everything that is due until an instant, when it is due, and waits in between by the clock; returns when
    /// nothing more is due, or the next thing is later, or the stop is requested. Triggers that other processes record
    /// meanwhile are seen within a minute.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub async fn run(
        &self,
        composer: &dyn Composer,
        clock: &dyn Clock,
        until: DateTime<Utc>,
        stop: &Stop,
    ) -> Result<Advanced> {
        let mut done = Advanced::default();
        while !stop.is_requested() {
            let Some(next) = self.next_due().await?.filter(|next| *next <= until) else { break };
            let now = clock.now();
            let wait = (next - now).to_std().unwrap_or_default();
            if wait.is_zero() {
                done.add(&self.advance(composer, now).await?);
                continue;
            }
            tokio::select! {
                () = clock.sleep(wait) => {}
                () = stop.requested() => {}
                // Another process may record a trigger meanwhile. Real time: a clock that skips has slept by then.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        Ok(done)
    }

    /// When the next contact is due; `None`: nothing happens without a trigger. An instant in the past is due now.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        let row = self
            .store
            .one(
                "look for the next contact",
                "SELECT min(due_at) AS due FROM mail_journey_contacts",
                values![],
            )
            .await?;
        row.maybe_number("due")?.map(timestamp).transpose()
    }
}

/// # Reading
impl Journeys {
    /// Who is where, and why: counts by step and by reason of the end, and instances.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](mkt_connect::ErrorKind::NotFound) for a journey that was never defined;
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn whereabouts(&self, journey: &str, options: &WhereaboutsOptions) -> Result<Whereabouts> {
        whereabouts::read(&self.store, journey, options).await
    }

    /// What the journey led to by `now`: how many reached the goal after which email, how many of those held out did
    /// without one, and the difference.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](mkt_connect::ErrorKind::NotFound) for a journey that was never defined;
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn report(&self, journey: &str, now: DateTime<Utc>) -> Result<JourneyReport> {
        report::read(&self.store, journey, now).await
    }

    /// Who reached the goal after which email, the latest first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](mkt_connect::ErrorKind::NotFound) for a journey that was never defined;
    /// [`ErrorKind::Storage`](mkt_connect::ErrorKind::Storage).
    pub async fn reached(&self, journey: &str, options: &WhereaboutsOptions) -> Result<Vec<Reached>> {
        report::reached(&self.store, journey, options).await
    }
}
