//! Knowing that another worker is dead.
//!
//! A lease tells that a worker is late; only the operating system, or the server, tells that it is dead. A worker that
//! waits for a call prolongs its lease, so that only one that is stopped, or stuck outside of a call, is late.
//!
//! **In a file**, every run holds a shared lock on a file beside the database. Who gets it exclusively is alone, so
//! every claimed or sending row belongs to the dead and can be taken over at once. Where files cannot be locked,
//! leases remain.
//!
//! **On a server**, every run holds an advisory lock, made from its name, in a session of its own. The server ends the
//! session when the process dies (at once) or its machine vanishes (after a minute, by TCP keep-alives), whatever
//! machine it was on: a row whose worker holds no lock belongs to the dead. A worker that merely loses that session is
//! taken for dead while it lives. That is harmless, as an expired lease is: what it had claimed goes to others and the
//! gate before its next call lets none of it through; what it was sending becomes unknown, and its answer, should it
//! come, is still written down.

use super::store::{Access, Store, values};
use super::{Outbox, millis};
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// Whose rows may be taken over at once.
#[derive(Debug)]
pub(super) enum Dead {
    /// Everybody's: no other run is alive.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only a file's lock proves solitude"))]
    Everybody,
    /// These workers'.
    These(Vec<String>),
}

impl Outbox {
    /// A sign of life: prolongs the lease of what a worker holds, and the time until which its calls may be under way.
    pub(super) async fn hold_on(
        &self,
        worker: &str,
        account: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<()> {
        let mut tx = self.store.begin("hold on", Access::Shared).await?;
        tx.run(
            "UPDATE mail_outbox SET lease_until = $1 WHERE state IN ('claimed', 'sending') AND worker = $2",
            values![millis(until), worker],
        )
        .await?;
        tx.run(
            "UPDATE mail_spending SET at = $1 WHERE account = $2 AND at > $3 AND call LIKE $4",
            values![millis(until), account, millis(now), format!("{worker} %")],
        )
        .await?;
        tx.commit().await
    }
}

/// Held for as long as a run lasts.
pub(super) enum Presence {
    #[cfg(feature = "sqlite")]
    File(file::Lock),
    #[cfg(feature = "postgres")]
    Session(#[expect(dead_code, reason = "held, not used")] Box<sqlx::postgres::PgConnection>),
}

impl Presence {
    pub(super) async fn announce(store: &Store, worker: &str) -> Result<Self> {
        Ok(match store {
            #[cfg(feature = "sqlite")]
            Store::Sqlite(place) => {
                let _ = worker;
                Self::File(file::Lock::announce(place.path.as_deref(), &place.runs).await)
            }
            #[cfg(feature = "postgres")]
            Store::Postgres(server) => Self::Session(Box::new(server.alive(worker).await?)),
        })
    }

    /// Whose rows may be taken over. In a file this is known until [`share`](Self::share). On a server a `worker` who
    /// finds that its own session has ended announces itself again.
    pub(super) async fn dead(&mut self, store: &Store, worker: &str) -> Result<Dead> {
        match (&mut *self, store) {
            #[cfg(feature = "sqlite")]
            (Self::File(lock), _) if lock.is_alone() => Ok(Dead::Everybody),
            #[cfg(feature = "postgres")]
            (_, Store::Postgres(server)) => {
                let dead = server.dead().await?;
                if dead.iter().any(|name| name == worker) {
                    *self = Self::announce(store, worker).await?;
                }
                Ok(Dead::These(dead))
            }
            #[cfg(feature = "sqlite")]
            _ => {
                let _ = worker;
                Ok(Dead::These(Vec::new()))
            }
        }
    }

    /// Lets others in.
    pub(super) async fn share(&mut self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(lock) => lock.share().await,
            #[cfg(feature = "postgres")]
            Self::Session(_) => {}
        }
    }
}

#[cfg(feature = "sqlite")]
mod file {
    use std::fs::{File, OpenOptions};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The system releases it when the process dies.
    #[derive(Debug)]
    pub(crate) struct Lock {
        runs: Arc<AtomicUsize>,
        file: Option<File>,
        alone: bool,
    }

    impl Lock {
        /// Announces a run on the database at `path`, or in memory, where only the `runs` of this process can be. Not
        /// an error where locks are not to be had.
        pub(crate) async fn announce(path: Option<&Path>, runs: &Arc<AtomicUsize>) -> Self {
            let others = runs.fetch_add(1, Ordering::SeqCst);
            let mut lock = Self { runs: Arc::clone(runs), file: None, alone: false };
            let Some(path) = path else {
                lock.alone = others == 0;
                return lock;
            };
            let mut name = path.as_os_str().to_owned();
            name.push(".workers");
            if let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(name) {
                lock.alone = file.try_lock().is_ok();
                lock.file = if lock.alone { Some(file) } else { shared(file).await };
            }
            lock
        }

        /// Whether no other run is alive now.
        pub(crate) fn is_alone(&self) -> bool {
            self.alone
        }

        /// Between giving up the exclusive lock and getting the shared one another run may find itself alone; this
        /// one has claimed nothing yet, so there is nothing to be taken from it.
        pub(crate) async fn share(&mut self) {
            self.alone = false;
            if let Some(file) = self.file.take() {
                self.file = shared(file).await;
            }
        }
    }

    /// Waits for the shared lock on a thread of its own: whoever holds the exclusive one may need this thread to go on.
    async fn shared(file: File) -> Option<File> {
        tokio::task::spawn_blocking(move || file.lock_shared().is_ok().then_some(file)).await.ok().flatten()
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            self.runs.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
