//! Rate limits of an account: one budget, shared by every client of the account.
//!
//! Three limits hold together: a token bucket (requests per second, with a burst), rolling windows (requests in any 24
//! hours) and a pause that the server asked for. [`Meter`] is the arithmetic, without a clock; [`RateBudget`] adds the
//! clock and the waiting. Nothing is persisted: a limit that must survive a restart needs a count in a store.

use crate::clock::{Clock, SystemClock};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The limits of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    bucket: Option<(f64, f64)>,
    windows: Vec<(u32, Duration)>,
}

impl Limits {
    /// No limit but the pauses that the server asks for.
    #[must_use]
    pub fn none() -> Self {
        Self { bucket: None, windows: Vec::new() }
    }

    /// At most `burst` at once, refilled at `rate` a second. A rate that is not a positive number, and a burst below
    /// one, count as the smallest that makes sense: one a day, and one.
    #[must_use]
    pub fn per_second(mut self, rate: f64, burst: u32) -> Self {
        let rate = if rate.is_finite() { rate.max(1.0 / 86_400.0) } else { 1.0 / 86_400.0 };
        self.bucket = Some((rate, f64::from(burst.max(1))));
        self
    }

    /// At most `count` in **any** window of this length (Gmail: 2 000 recipients in any 24 hours), not in calendar
    /// ones. A count of zero is taken as one. Requests are counted when they are sent; where the vendor counts
    /// arrivals, choose a slightly lower count.
    #[must_use]
    pub fn window(mut self, count: u32, length: Duration) -> Self {
        self.windows.push((count.max(1), length));
        self
    }
}

/// How many moments a window remembers. What is taken within a thousandth of the window after a moment was opened is
/// joined to it, and all of it counts from the last: by so much the window may be too strict, never too lax.
const MOMENTS: u32 = 1000;

#[derive(Debug)]
struct Moment {
    opened: Duration,
    last: Duration,
    count: u32,
}

#[derive(Debug)]
struct Window {
    count: u32,
    length: Duration,
    used: u32,
    moments: VecDeque<Moment>,
}

impl Window {
    fn forget(&mut self, now: Duration) {
        while let Some(moment) =
            self.moments.pop_front_if(|moment| moment.last.saturating_add(self.length) <= now)
        {
            self.used -= moment.count;
        }
    }

    fn wait(&self, now: Duration, cost: u32) -> Option<Duration> {
        let free_needed = (self.used.saturating_add(cost)).saturating_sub(self.count);
        if cost > self.count {
            return None;
        }
        let mut freed = 0;
        let mut wait = Duration::ZERO;
        for moment in &self.moments {
            if freed >= free_needed {
                break;
            }
            freed += moment.count;
            wait = (moment.last.saturating_add(self.length)).saturating_sub(now);
        }
        Some(wait)
    }

    fn take(&mut self, now: Duration, cost: u32) {
        self.used += cost;
        match self.moments.back_mut() {
            Some(moment) if now.saturating_sub(moment.opened) < self.length / MOMENTS => {
                moment.last = moment.last.max(now);
                moment.count += cost;
            }
            _ => self.moments.push_back(Moment { opened: now, last: now, count: cost }),
        }
    }
}

/// The arithmetic of a budget. Time is handed in, as the time since some fixed moment.
///
/// ```
/// use mkt_connect::http::rate::{Limits, Meter};
/// use std::time::Duration;
/// let mut meter = Meter::new(&Limits::none().per_second(2.0, 1));
/// assert_eq!(meter.take(Duration::ZERO, 1), Ok(()));
/// assert_eq!(meter.take(Duration::ZERO, 1), Err(Duration::from_millis(500)));
/// assert_eq!(meter.take(Duration::from_millis(500), 1), Ok(()));
/// ```
#[derive(Debug)]
pub struct Meter {
    bucket: Option<(f64, f64)>,
    tokens: f64,
    filled_at: Duration,
    windows: Vec<Window>,
    paused_until: Duration,
}

impl Meter {
    /// A meter with a full bucket and empty windows.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            bucket: limits.bucket,
            tokens: limits.bucket.map_or(0.0, |(_, burst)| burst),
            filled_at: Duration::ZERO,
            windows: limits
                .windows
                .iter()
                .map(|&(count, length)| Window { count, length, used: 0, moments: VecDeque::new() })
                .collect(),
            paused_until: Duration::ZERO,
        }
    }

    /// Takes `cost` if all limits allow it now, and otherwise returns how long to wait before the next try;
    /// [`Duration::MAX`] when no wait would help, since the cost exceeds a window. A cost over the burst is granted by
    /// a full bucket, which then stays in debt.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&mut self, now: Duration, cost: u32) -> Result<(), Duration> {
        let mut wait = self.paused_until.saturating_sub(now);
        if let Some((rate, burst)) = self.bucket {
            let since = now.saturating_sub(self.filled_at).as_secs_f64();
            self.tokens = (self.tokens + since * rate).min(burst);
            self.filled_at = self.filled_at.max(now);
            let missing = f64::from(cost).min(burst) - self.tokens;
            // A billionth of a token is what the sums of floats lose.
            if missing > 1e-9 {
                let seconds = Duration::try_from_secs_f64(missing / rate).unwrap_or(Duration::MAX);
                wait = wait.max(seconds);
            }
        }
        for window in &mut self.windows {
            window.forget(now);
            wait = wait.max(window.wait(now, cost).unwrap_or(Duration::MAX));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        self.tokens -= f64::from(cost);
        for window in &mut self.windows {
            window.take(now, cost);
        }
        Ok(())
    }

    /// Grants nothing until `until`; an earlier end never shortens a pause.
    pub fn pause_until(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
    }

    /// What is left of the pause.
    #[must_use]
    pub fn paused_for(&self, now: Duration) -> Duration {
        self.paused_until.saturating_sub(now)
    }
}

/// The limits allow the request only after a wait that is longer than the caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit resets in {} s", wait.as_secs())]
pub struct TooLong {
    /// How long it would have to wait from now; [`Duration::MAX`] for ever.
    pub wait: Duration,
}

struct Shared {
    meter: Mutex<Meter>,
    /// Held by the one who is next, so that waiters are served in their order and only one wakes up.
    turn: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
}

/// The budget of one account. Clones share it: give the same one to every client of the account.
///
/// Waiting is safe to cancel: nothing is taken before it is granted.
#[derive(Clone)]
pub struct RateBudget(Arc<Shared>);

impl RateBudget {
    /// A budget on the system's clock.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, Arc::new(SystemClock::new()))
    }

    /// A budget on another clock.
    #[must_use]
    pub fn with_clock(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            meter: Mutex::new(Meter::new(limits)),
            turn: tokio::sync::Mutex::new(()),
            clock,
        }))
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.0.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the limits allow one request, however long it takes.
    pub async fn acquire(&self) {
        // A cost of one fits in every window, so that it is always granted in the end.
        let _ = self.acquire_within(1, Duration::MAX).await;
    }

    /// Waits until `cost` may be used, unless that would take longer than `patience`: then it fails without waiting
    /// for it to pass.
    ///
    /// # Errors
    /// [`TooLong`] with the wait.
    pub async fn acquire_within(&self, cost: u32, patience: Duration) -> Result<(), TooLong> {
        let began = self.0.clock.elapsed();
        let paused = self.paused_for();
        if paused > patience {
            return Err(TooLong { wait: paused });
        }
        let _turn = self.0.turn.lock().await;
        loop {
            let now = self.0.clock.elapsed();
            let granted = self.meter().take(now, cost);
            let Err(wait) = granted else { return Ok(()) };
            let waited = now.saturating_sub(began);
            if wait == Duration::MAX || waited.saturating_add(wait) > patience {
                return Err(TooLong { wait });
            }
            self.0.clock.sleep(wait).await;
        }
    }

    /// Pauses the account for this long from now, as the server asked.
    pub fn pause_for(&self, wait: Duration) {
        let until = self.0.clock.elapsed().saturating_add(wait);
        self.meter().pause_until(until);
    }

    /// Records the limit that a response reports: with nothing remaining the account is paused until the reset (Brevo:
    /// `x-sib-ratelimit-remaining` and `x-sib-ratelimit-reset`, in seconds from now).
    pub fn observe(&self, remaining: u64, reset: Duration) {
        if remaining == 0 {
            self.pause_for(reset);
        }
    }

    /// What is left of the pause; zero when there is none.
    #[must_use]
    pub fn paused_for(&self) -> Duration {
        let now = self.0.clock.elapsed();
        self.meter().paused_for(now)
    }
}

impl fmt::Debug for RateBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateBudget").field("paused_for", &self.paused_for()).finish_non_exhaustive()
    }
}
