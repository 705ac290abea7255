//! The public methods of the outbox. Each calls one part.

use super::campaign;
use super::consent::{self, Consent};
use super::enqueue::{self, Enqueued, NewEmail};
use super::erasure::{self, Erased};
use super::events::{self, CampaignReport, EventPage, Recorded, SuppressionPolicy};
use super::options::{RunOptions, RunReport};
use super::plan::{self, Forecast, SendingPlan};
use super::reading::{self, AcceptedPage, Counts, DryRun};
use super::sent::{self, SentEmail};
use super::store::{self, Store};
use super::suppression::{self, Suppression, SuppressionScope};
use super::suppression_csv::{self, SuppressionImport, Suppressions};
use super::{SERVICE, worker};
use crate::confirm::ConfirmClaim;
use crate::event::EmailEvent;
use crate::id::IdempotencyKey;
use crate::unsubscribe::UnsubscribeClaim;
use crate::{Clock, EmailAddress, EmailProvider};
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;

/// A durable outbox: a queue of emails, with consents, suppressions and a log of outcomes. Clones share the connections.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use mkt_email::{DedupKey, Maildir, Message, NewEmail, Outbox, RunOptions, SystemClock};
/// use mkt_email::Clock;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> mkt_email::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// let outbox = Outbox::open(dir.join("outbox.sqlite")).await?;
/// let message = Message::builder("Shop <news@example.org>".parse()?, "jean@example.org".parse()?, "Hello".parse()?)
///     .text("Your order is on its way.")
///     .build()?;
/// let clock = SystemClock::new();
/// outbox.enqueue(&[NewEmail::transactional(DedupKey::new("order", "7"), message)], clock.now()).await?;
/// let report = outbox.run(&Maildir::open(dir.join("emails"))?, &clock, &RunOptions::default()).await?;
/// assert_eq!(report.accepted, 1);
/// # Ok(()) }
/// # main().unwrap();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Store,
}

/// # Opening
impl Outbox {
    /// Opens a file and creates it and its tables where they are missing. A new file is readable by its owner only
    /// (mode 0600); an existing one keeps its mode. Other crates may keep tables in it. Runs create an empty file of the
    /// same name with `.workers` appended beside it. `:memory:` is [`in_memory`](Self::in_memory).
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the file cannot be opened, created or written, or is not a database.
    #[cfg(feature = "sqlite")]
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { store: Store::Sqlite(store::File::open(path.as_ref()).await?) })
    }

    /// Opens an outbox in memory, for tests; it is gone when dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    #[cfg(feature = "sqlite")]
    pub async fn in_memory() -> Result<Self> {
        Ok(Self { store: Store::Sqlite(store::File::in_memory().await?) })
    }

    /// Opens the outbox of a URL: `postgres://user:password@host/database`, with the options of libpq (feature
    /// `postgres`), or `sqlite:path` (feature `sqlite`). Creates missing tables, on a server in the first schema of the
    /// search path. Over a network add `?sslmode=verify-full`: libpq's default encrypts if it can, and does not verify
    /// the server. Workers hold session locks: connect directly, bypassing connection poolers that share sessions.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid URL, or one whose feature is off; [`ErrorKind::Auth`] when the server rejects
    /// the user; [`ErrorKind::Storage`]. No error contains the URL.
    pub async fn connect(url: &str) -> Result<Self> {
        let config = |detail: &str| Error::new(ErrorKind::Config, SERVICE, "open").with_detail(detail);
        let (scheme, rest) = url.split_once(':').ok_or_else(|| config("invalid URL"))?;
        match scheme {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                Ok(Self { store: Store::Postgres(store::Server::connect(url).await?) })
            }
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(config("the feature `postgres` is off")),
            #[cfg(feature = "sqlite")]
            "sqlite" => Self::open(rest.strip_prefix("//").unwrap_or(rest)).await,
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => Err(config("the feature `sqlite` is off")),
            _ => {
                let _ = rest;
                Err(config("invalid URL: expected postgres: or sqlite:"))
            }
        }
    }

    #[cfg(feature = "journey")]
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Closes the connections. In a file, the write-ahead log is merged.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// # Sending
impl Outbox {
    /// Adds emails, all or none: when this returns, they survive a crash. An email whose key is there already is left as
    /// it is. Returns one answer per email, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a key or list with a NUL, and for marketing email that is to be sent at least once or has
    /// no [unsubscribe link](crate::MessageBuilder::list_unsubscribe); [`ErrorKind::Storage`].
    pub async fn enqueue(&self, emails: &[NewEmail], now: DateTime<Utc>) -> Result<Vec<Enqueued>> {
        enqueue::enqueue(&self.store, emails, now).await
    }

    /// Sends what is due and returns when nothing is. Emails of dead workers are taken over first, and again every
    /// [`lease`](RunOptions::lease) while the run lasts; lost answers are settled where the provider can tell. May be
    /// called again at any time, by several processes at once.
    ///
    /// A call whose answer proves nothing (a 5xx, a broken connection) leaves its emails unknown; they are settled in the
    /// same run where the provider can tell, and the run goes on with the others, after the pause that the answer asks
    /// for. After three such calls in a row the run ends with the error.
    ///
    /// # Errors
    /// The provider's error when the provider as a whole cannot be used; emails that were not accepted wait again.
    /// [`ErrorKind::Storage`] when the outbox cannot be read or written.
    #[tracing::instrument(skip_all, fields(provider = provider.name()))]
    pub async fn run(
        &self,
        provider: &dyn EmailProvider,
        clock: &dyn Clock,
        options: &RunOptions,
    ) -> Result<RunReport> {
        worker::run(&self.store, provider, clock, options).await
    }

    /// When the emails that wait will have left by a plan, and what they wait for. What was sent under the plan before is
    /// counted. `account` is that of the provider ([`EmailProvider::account`]); emails that are due later, suppressed or
    /// without consent are taken for due.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn forecast(
        &self,
        plan: &SendingPlan,
        account: &str,
        campaign: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Forecast> {
        plan::pending(&self.store, plan, account, campaign, now).await
    }

    /// Returns what [`run`](Self::run) would do at `now`: gates are checked, stored messages read and planned, and
    /// nothing is sent, claimed or changed. Emails that other workers hold are not included.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn dry_run(
        &self,
        provider: &dyn EmailProvider,
        now: DateTime<Utc>,
        options: &RunOptions,
    ) -> Result<DryRun> {
        reading::dry_run(&self.store, provider, now, options).await
    }
}

/// # Campaigns
impl Outbox {
    /// Pauses a campaign: when this returns, none of its emails is marked for sending any more, in any process, until
    /// [`resume`](Self::resume). Calls in progress complete. Emails may still be enqueued; they wait too, and expire
    /// when their time passes. Returns whether it was not paused before.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn pause(&self, campaign: &str, now: DateTime<Utc>) -> Result<bool> {
        campaign::pause(&self.store, campaign, now).await
    }

    /// Resumes a paused campaign with the next run. Returns whether it was paused.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn resume(&self, campaign: &str) -> Result<bool> {
        campaign::resume(&self.store, campaign).await
    }

    /// The paused campaigns, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn paused(&self) -> Result<Vec<String>> {
        campaign::paused(&self.store).await
    }

    /// Cancels the emails of a campaign that wait or are claimed. A call in progress is not stopped, but an email that
    /// it does not deliver, or that turns out not to have arrived, is cancelled then. Emails enqueued later are not
    /// affected. Returns how many emails were cancelled at once.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn cancel(&self, campaign: &str, now: DateTime<Utc>) -> Result<u64> {
        campaign::cancel(&self.store, campaign, now).await
    }
}

/// # Consents, suppressions and erasure
impl Outbox {
    /// Adds records of consent, all or none. A record that is there already is not added again. When this returns,
    /// emails that a withdrawal forbids are not marked for sending any more. Returns how many records were new.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn record_consents(&self, consents: &[Consent]) -> Result<u64> {
        consent::record(&self.store, consents).await
    }

    /// Records the consent of a confirmation link that [`ConfirmKeys`](crate::confirm::ConfirmKeys) has verified (double
    /// opt-in). It ends an earlier unsubscription of its scope, and for its list one from all marketing email; it ends no
    /// bounce, complaint or suppression by the sender. A link counts once. Returns whether it was new.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn confirm(&self, claim: &ConfirmClaim, at: DateTime<Utc>) -> Result<bool> {
        consent::confirm(&self.store, claim, at).await
    }

    /// Adds suppressions, all or none. When this returns, no worker claims an email that they forbid, and one that was
    /// claimed is not marked for sending, in any process. A call that was marked before completes. Of two records for
    /// one person and scope a reason other than an unsubscription is kept, of two unsubscriptions the later, of two
    /// others the earlier.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn suppress(&self, suppressions: &[Suppression]) -> Result<()> {
        suppression::add(&self.store, suppressions).await.map(|_| ())
    }

    /// Adds the suppression of an unsubscribe link that
    /// [`UnsubscribeKeys`](crate::unsubscribe::UnsubscribeKeys) has verified, with the same effect as
    /// [`suppress`](Self::suppress). The link holds the key of the address and not the address; the source is the
    /// campaign whose email carried it.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn unsubscribe(&self, claim: &UnsubscribeClaim, at: DateTime<Utc>) -> Result<()> {
        events::unsubscribe(&self.store, claim, at).await
    }

    /// Removes a suppression. Returns whether there was one. Emails that it stopped stay stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn lift_suppression(&self, address: &EmailAddress, scope: &SuppressionScope) -> Result<bool> {
        suppression::remove(&self.store, address, scope).await
    }

    /// Imports suppressions from CSV, a thousand at a time: what was read before an error is in force. Rows that were
    /// there already change nothing, so a file can be imported again.
    ///
    /// # Errors
    /// Those of [`Suppressions`]; [`ErrorKind::Storage`].
    pub async fn import_suppressions<R: Read>(&self, file: Suppressions<R>) -> Result<SuppressionImport> {
        suppression_csv::import(&self.store, file).await
    }

    /// Exports the suppressions in force at `now` as CSV that is safe to open in a spreadsheet. Returns how many there
    /// were.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn export_suppressions<W: Write>(&self, out: W, now: DateTime<Utc>) -> Result<u64> {
        suppression_csv::export(&self.store, out, now).await
    }

    /// Erases a person: removes the address, the contact's id and the content of everything kept about them from every
    /// table. Emails that wait are cancelled; a call in progress completes; a lost answer stays unknown and is not asked
    /// about any more. The keys of emails and of the address stay, so that the person stays suppressed and receives no
    /// campaign twice if imported again, and so do records of consent, which hold no address. Attachments that no other
    /// email has are deleted.
    ///
    /// What the disk still holds of earlier versions of rows is overwritten in a file, and removed by `VACUUM` on a
    /// server. Backups, and logs copied by [`write_send_log`](Self::write_send_log), are not reached:
    /// [`erase_from_send_log`](Self::erase_from_send_log) cleans a log.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`]. After an error of the last step everything is erased except earlier versions on the disk;
    /// erasing again repeats the step.
    pub async fn erase(&self, address: &EmailAddress, now: DateTime<Utc>) -> Result<Erased> {
        erasure::erase(&self.store, address, now).await
    }
}

/// # Events
impl Outbox {
    /// Records events, all or none, each once: by its [id](EmailEvent::id). In the same transaction a hard bounce and a
    /// complaint suppress the recipient for every email, an unsubscription for what it covers, and soft bounces by the
    /// default [`SuppressionPolicy`]. When this returns, all of it survives a crash, and no email that is forbidden now
    /// is marked for sending. In whatever order and however often events are recorded, the outcome is the same. Returns
    /// one answer per event, in order.
    ///
    /// An event of a person who was [erased](Self::erase), and is in no email since, is kept without address, reason,
    /// link and payload.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn record_events(&self, events: &[EmailEvent], now: DateTime<Utc>) -> Result<Vec<Recorded>> {
        self.record_events_with(events, now, &SuppressionPolicy::default()).await
    }

    /// As [`record_events`](Self::record_events), with a policy for soft bounces.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn record_events_with(
        &self,
        events: &[EmailEvent],
        now: DateTime<Utc>,
        policy: &SuppressionPolicy,
    ) -> Result<Vec<Recorded>> {
        events::record(&self.store, events, now, policy).await
    }

    /// The emails that these attempts carried.
    pub(crate) async fn sent_emails(
        &self,
        attempts: Vec<IdempotencyKey>,
    ) -> Result<HashMap<IdempotencyKey, SentEmail>> {
        sent::find(&self.store, attempts).await
    }

    /// The events that were recorded after a place (0: from the first), at most 10 000 at a time, in the order in which
    /// they were committed: who goes on from [`EventPage::next`] misses none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn events_after(&self, place: i64, limit: usize) -> Result<EventPage> {
        events::page(&self.store, place, limit).await
    }

    /// What became of the emails of each campaign, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn campaign_report(&self) -> Result<Vec<CampaignReport>> {
        events::report(&self.store).await
    }
}

#[cfg(feature = "webhook")]
impl Outbox {
    /// Records what calls of webhooks brought.
    pub(crate) async fn receive(
        &self,
        deliveries: &[super::Delivery],
        now: DateTime<Utc>,
        policy: &SuppressionPolicy,
        clean: Option<DateTime<Utc>>,
    ) -> Result<Vec<super::Received>> {
        events::receive(&self.store, deliveries, now, policy, clean).await
    }

    /// Reads one row: whether the outbox answers.
    pub(crate) async fn check(&self) -> Result<()> {
        self.store.one("check", "SELECT outbox_id FROM mail_identity", Vec::new()).await.map(|_| ())
    }
}

/// # Reading
impl Outbox {
    /// Counts the emails of all campaigns, or of one.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn counts(&self, campaign: Option<&str>) -> Result<Counts> {
        reading::counts(&self.store, campaign).await
    }

    /// The emails whose acceptance by a provider was recorded after a place (0: from the first), at most 10 000 at a time,
    /// in that order: who goes on from [`AcceptedPage::next`] misses none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    pub async fn accepted_after(&self, place: i64, limit: usize) -> Result<AcceptedPage> {
        reading::accepted(&self.store, place, limit).await
    }

    /// Brings the send log at `path` up to date: one JSON object per line and outcome (`seq`, `outbox`, `at`, `mail`,
    /// `campaign`, `recipient`, `attempt`, `outcome`, `provider`, `id`, `reason`, `stage`). Creates the file with mode
    /// 0600 where it is missing. Returns how many lines were added.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be written; [`ErrorKind::Conflict`] when it is the log of another outbox or
    /// not a send log.
    pub async fn write_send_log(&self, path: impl AsRef<Path>) -> Result<u64> {
        reading::send_log::write(&self.store, path.as_ref()).await
    }

    /// Removes an erased person's address from a send log: their lines stay, with `"recipient":null`. The file is
    /// written anew beside the old one and replaces it. Returns how many lines named the person.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be read or written; [`ErrorKind::Conflict`] when it is the log of another
    /// outbox or not a send log; it is unchanged then.
    pub async fn erase_from_send_log(&self, path: impl AsRef<Path>, address: &EmailAddress) -> Result<u64> {
        reading::send_log::erase(&self.store, path.as_ref(), address).await
    }
}
