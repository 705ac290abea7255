//! Knowing that no other worker is alive.
//!
//! A lease tells that a worker is late; only the operating system tells that it is dead. Every run holds a shared lock
//! on a file beside the database. Who gets it exclusively is alone, so every claimed or sending row belongs to the
//! dead and can be taken over at once, without waiting for a lease. Where files cannot be locked, leases remain.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Held for as long as a run lasts; the system releases it when the process dies.
#[derive(Debug)]
pub(super) struct Presence {
    runs: Arc<AtomicUsize>,
    file: Option<File>,
    alone: bool,
}

impl Presence {
    /// Announces a run on the database at `path`, or in memory, where only the `runs` of this process can be. Not an
    /// error where locks are not to be had.
    pub(super) async fn announce(path: Option<&Path>, runs: &Arc<AtomicUsize>) -> Self {
        let others = runs.fetch_add(1, Ordering::SeqCst);
        let mut presence = Self { runs: Arc::clone(runs), file: None, alone: false };
        let Some(path) = path else {
            presence.alone = others == 0;
            return presence;
        };
        let mut name = path.as_os_str().to_owned();
        name.push(".workers");
        if let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(name) {
            presence.alone = file.try_lock().is_ok();
            presence.file = if presence.alone { Some(file) } else { shared(file).await };
        }
        presence
    }

    /// Whether no other run is alive now. Only until [`share`](Self::share).
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets others in. Between giving up the exclusive lock and getting the shared one another run may find itself
    /// alone; this one has claimed nothing yet, so there is nothing to be taken from it.
    pub(super) async fn share(&mut self) {
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

impl Drop for Presence {
    fn drop(&mut self) {
        self.runs.fetch_sub(1, Ordering::SeqCst);
    }
}
