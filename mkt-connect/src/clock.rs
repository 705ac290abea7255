//! A clock that is passed in, so that tests of waiting do not wait.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A clock: gives the time and sleeps.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall-clock time. It may jump.
    fn now(&self) -> DateTime<Utc>;

    /// Time since a fixed instant; monotonic.
    fn elapsed(&self) -> Duration;

    /// Returns once `duration` has passed. Dropping the future ends the wait.
    async fn sleep(&self, duration: Duration);
}

/// The system clock and tokio's timer.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose [`elapsed`](Clock::elapsed) starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock for tests: time passes when [`advance`](Self::advance) says so, or, for a clock made with
/// [`skipping`](Self::skipping), on every sleep. Clones are the same clock.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use mkt_connect::clock::{Clock, ManualClock};
/// use std::time::Duration;
/// let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse()?);
/// clock.sleep(Duration::from_secs(3600)).await; // returns at once, an hour later
/// assert_eq!(clock.now().to_rfc3339(), "2026-03-01T13:00:00+00:00");
/// assert_eq!(clock.sleeps(), [Duration::from_secs(3600)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ManualClock {
    start: DateTime<Utc>,
    elapsed: watch::Sender<Duration>,
    sleeps: Arc<Mutex<Vec<Duration>>>,
    skips: bool,
}

impl ManualClock {
    /// A clock that stands still at `start` until it is advanced.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> Self {
        Self { start, elapsed: watch::Sender::new(Duration::ZERO), sleeps: Arc::default(), skips: false }
    }

    /// A clock on which every sleep ends at once and moves the time on by its length.
    #[must_use]
    pub fn skipping(start: DateTime<Utc>) -> Self {
        Self { skips: true, ..Self::new(start) }
    }

    /// Advances the time and wakes the sleepers that are due.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed = elapsed.saturating_add(duration));
    }

    /// The durations of all sleeps so far, in order.
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        self.sleeps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        later(self.start, self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        self.sleeps.lock().unwrap_or_else(PoisonError::into_inner).push(duration);
        let until = self.elapsed().saturating_add(duration);
        if self.skips {
            self.advance(duration);
            tokio::task::yield_now().await;
            return;
        }
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.elapsed.subscribe().wait_for(|elapsed| *elapsed >= until).await;
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// `at` plus `by`; saturates at [`DateTime::<Utc>::MAX_UTC`].
#[must_use]
pub fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = chrono::Duration::from_std(by).unwrap_or(chrono::Duration::MAX);
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
