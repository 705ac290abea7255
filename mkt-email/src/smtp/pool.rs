//! Connections kept for the next email. There are never more than the limit, and none is asked whether it still lives
//! before it is used: a `NOOP` costs a round trip per email, and proves nothing about the moment after.

use super::connection::Connection;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How long to wait for goodbyes when everything is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// When a connection is not used any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wear {
    pub(super) idle: Duration,
    pub(super) age: Duration,
    pub(super) emails: u32,
}

pub(super) struct Pool {
    places: Semaphore,
    /// The one used last is taken first, so that the others can grow old.
    resting: Mutex<Vec<Connection>>,
    wear: Wear,
}

impl Pool {
    pub(super) fn new(most: usize, wear: Wear) -> Self {
        Self { places: Semaphore::new(most), resting: Mutex::default(), wear }
    }

    /// Waits until a connection may be used or made. `None` when the pool is closed.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// A kept connection that is worth a try, with a place in hand.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if self.is_worn(&connection) {
                connection.quit(Duration::ZERO).await;
            } else if connection.wire.is_quiet().await {
                return Some(connection);
            }
            // Otherwise the server has said something unasked, or gone: it is closed by being dropped.
        }
    }

    /// Whether it should not carry another email.
    pub(super) fn is_worn(&self, connection: &Connection) -> bool {
        let now = Instant::now();
        connection.emails >= self.wear.emails
            || now.duration_since(connection.rested) > self.wear.idle
            || now.duration_since(connection.opened) > self.wear.age
    }

    /// Keeps a connection for later, or says goodbye where it has done enough.
    pub(super) async fn keep(&self, mut connection: Connection) {
        connection.rested = Instant::now();
        if self.is_worn(&connection) || self.places.is_closed() {
            connection.quit(Duration::ZERO).await;
        } else {
            self.lock().push(connection);
        }
    }

    /// Says goodbye on all connections at once. Those in use end when their email has its answer.
    pub(super) async fn close(&self) {
        self.places.close();
        let resting = std::mem::take(&mut *self.lock());
        let mut farewells = tokio::task::JoinSet::new();
        for connection in resting {
            farewells.spawn(connection.quit(FAREWELL));
        }
        while farewells.join_next().await.is_some() {}
    }

    /// How many connections rest.
    pub(super) fn resting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
