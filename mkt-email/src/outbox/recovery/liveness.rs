//! Detects dead workers.
//!
//! A lease only tells that a worker is late; that it is dead is known from the operating system or the server. A worker
//! that waits for a call extends its lease, so that only one that is stopped, or stuck outside of a call, is late.
//!
//! **In a file**, every run holds a shared lock on a file beside the database. A run that gets it exclusively is the only
//! one, so every claimed or sending row belongs to a dead worker and can be taken over at once. Where files cannot be
//! locked, leases remain.
//!
//! **On a server**, every run holds an advisory lock, made from its name, in a session of its own. The server ends the
//! session when the process dies (at once) or its machine vanishes (after a minute, by TCP keep-alives), whatever
//! machine it was on: a row whose worker holds no lock belongs to a dead worker. A worker that merely loses that session
//! is taken for dead while it lives. That is harmless, as an expired lease is: what it had claimed goes to others, and the
//! check before its next call lets none of it through; what it was sending becomes unknown, and its answer, should it
//! come, is still recorded.

use crate::outbox::store::Store;
use mkt_connect::Result;

/// Workers that are known to be dead: their rows may be taken over at once.
#[derive(Debug)]
pub(in crate::outbox) enum DeadWorkers {
    /// All others: no other run is alive.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only a file's lock proves it"))]
    AllOthers,
    /// These.
    Named(Vec<String>),
}

/// The sign that a run is alive; held as long as the run lasts.
pub(in crate::outbox) enum Presence {
    #[cfg(feature = "sqlite")]
    File(file::Lock),
    #[cfg(feature = "postgres")]
    Session(#[expect(dead_code, reason = "held, not used")] Box<sqlx::postgres::PgConnection>),
}

impl Presence {
    pub(in crate::outbox) async fn register(store: &Store, worker: &str) -> Result<Self> {
        Ok(match store {
            #[cfg(feature = "sqlite")]
            Store::Sqlite(place) => {
                let _ = worker;
                Self::File(file::Lock::acquire(place.path.as_deref(), &place.runs).await)
            }
            #[cfg(feature = "postgres")]
            Store::Postgres(server) => Self::Session(Box::new(server.register_worker(worker).await?)),
        })
    }

    /// The workers known to be dead. In a file this is known until [`share`](Self::share). On a server, a `worker` whose own
    /// session has ended registers again.
    pub(in crate::outbox) async fn dead_workers(
        &mut self,
        store: &Store,
        worker: &str,
    ) -> Result<DeadWorkers> {
        match (&mut *self, store) {
            #[cfg(feature = "sqlite")]
            (Self::File(lock), _) if lock.is_exclusive() => Ok(DeadWorkers::AllOthers),
            #[cfg(feature = "postgres")]
            (_, Store::Postgres(server)) => {
                let dead = server.dead_workers().await?;
                if dead.iter().any(|name| name == worker) {
                    *self = Self::register(store, worker).await?;
                }
                Ok(DeadWorkers::Named(dead))
            }
            #[cfg(feature = "sqlite")]
            _ => {
                let _ = worker;
                Ok(DeadWorkers::Named(Vec::new()))
            }
        }
    }

    /// Makes the lock shared, so that other runs can start.
    pub(in crate::outbox) async fn share(&mut self) {
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
    use mkt_connect::sql::FileLock;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The lock of a run, released by the system when the process dies.
    #[derive(Debug)]
    pub(crate) struct Lock {
        runs: Arc<AtomicUsize>,
        file: Option<FileLock>,
        exclusive: bool,
    }

    impl Lock {
        /// Locks for a run on the database at `path`, or in memory, where only the `runs` of this process can be. A file
        /// system without locks is no error.
        pub(crate) async fn acquire(path: Option<&Path>, runs: &Arc<AtomicUsize>) -> Self {
            let others = runs.fetch_add(1, Ordering::SeqCst);
            let mut lock = Self { runs: Arc::clone(runs), file: None, exclusive: false };
            let Some(path) = path else {
                lock.exclusive = others == 0;
                return lock;
            };
            let mut name = path.as_os_str().to_owned();
            name.push(".workers");
            let name = PathBuf::from(name);
            match FileLock::try_exclusive(&name) {
                Ok(Some(file)) => (lock.file, lock.exclusive) = (Some(file), true),
                Ok(None) => lock.file = blocking(move || FileLock::shared(&name)).await,
                Err(_) => {}
            }
            lock
        }

        /// Whether no other run is alive now.
        pub(crate) fn is_exclusive(&self) -> bool {
            self.exclusive
        }

        /// Between giving up the exclusive lock and getting the shared one another run may get the exclusive one; this
        /// run has claimed nothing yet, so nothing can be taken from it.
        pub(crate) async fn share(&mut self) {
            self.exclusive = false;
            if let Some(file) = self.file.take() {
                self.file = blocking(move || file.share()).await;
            }
        }
    }

    /// Waits for a lock on a blocking thread: its holder may need this thread to continue.
    async fn blocking(lock: impl FnOnce() -> std::io::Result<FileLock> + Send + 'static) -> Option<FileLock> {
        tokio::task::spawn_blocking(lock).await.ok()?.ok()
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            self.runs.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
