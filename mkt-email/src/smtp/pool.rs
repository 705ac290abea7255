//! The pool of connections. No `NOOP` is sent before a connection is reused: it costs a round trip per email and proves
//! nothing about the moment after.

use super::connection::Connection;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The longest wait for the answers to QUIT when the pool is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Negative replies after which a connection is replaced. Postfix delays every answer of a session after 10
/// (`smtpd_soft_error_limit`) and ends it at 20 (`smtpd_hard_error_limit`); one email costs at most three: sender, recipient
/// and `DATA` are refused together where they are pipelined.
const MAX_ERRORS: u32 = 7;

/// When a connection is replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wear {
    pub(super) idle: Duration,
    pub(super) age: Duration,
    pub(super) emails: u32,
}

pub(super) struct Pool {
    places: Semaphore,
    /// Idle connections; the one used last is taken first, so that the others can expire.
    resting: Mutex<Vec<Connection>>,
    wear: Wear,
}

impl Pool {
    pub(super) fn new(most: usize, wear: Wear) -> Self {
        Self { places: Semaphore::new(most), resting: Mutex::default(), wear }
    }

    /// Waits for a permit to use or open a connection. `None` if the pool is closed.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Takes an idle connection; needs a permit.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if self.is_worn(&connection) {
                connection.quit(Duration::ZERO).await;
            } else if connection.wire.is_quiet().await {
                return Some(connection);
            }
            // Otherwise the server has sent something unexpected or closed: dropping the connection closes it.
        }
    }

    /// Whether a connection is to be replaced.
    pub(super) fn is_worn(&self, connection: &Connection) -> bool {
        let now = Instant::now();
        connection.emails >= self.wear.emails
            || connection.errors > MAX_ERRORS
            || now.duration_since(connection.rested) > self.wear.idle
            || now.duration_since(connection.opened) > self.wear.age
    }

    /// Returns a connection to the pool, or quits it if it is to be replaced.
    pub(super) async fn keep(&self, mut connection: Connection) {
        connection.rested = Instant::now();
        if self.is_worn(&connection) || self.places.is_closed() {
            connection.quit(Duration::ZERO).await;
        } else {
            self.lock().push(connection);
        }
    }

    /// Quits all idle connections at once. Those in use end with their email.
    pub(super) async fn close(&self) {
        self.places.close();
        let resting = std::mem::take(&mut *self.lock());
        let mut farewells = tokio::task::JoinSet::new();
        for connection in resting {
            farewells.spawn(connection.quit(FAREWELL));
        }
        while farewells.join_next().await.is_some() {}
    }

    /// The number of idle connections.
    pub(super) fn resting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
