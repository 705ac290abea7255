//! The retry decision: whether a failed request may be sent again, and when. Nothing here waits or sends.
//!
//! The rules, in the order in which they are applied:
//!
//! 1. Only rate limits and unavailability are retried. Wrong credentials never are: Matomo locks an address out after a
//!    few of them.
//! 2. A request that was not sent, or that the server rejected because of a rate limit, had no effect: it may be retried
//!    whatever it does. After any other failed attempt its effect is unknown, and stays unknown for all later attempts.
//! 3. Where the effect is unknown, an idempotent request is retried, one with a key only while the vendor remembers the
//!    key, and any other never.
//! 4. The wait that the server asks for is a lower bound. Beyond it the wait is drawn uniformly between zero and a bound
//!    that doubles with each attempt ("full jitter": M. Brooker, *Exponential Backoff And Jitter*,
//!    AWS Architecture Blog, 2015), so that many clients do not retry at the same moment.
//! 5. Retries are at most a tenth of the requests ([`Budget`]): when everything fails, they make it worse.

use super::request::Replay;
use crate::ErrorKind;
use chrono::{DateTime, Utc};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The limits of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    max_attempts: u32,
    base: Duration,
    cap: Duration,
    longest_wait: Duration,
    longest_in_all: Duration,
}

impl Default for Policy {
    /// 4 attempts, jitter from 500 ms doubling up to 30 s, no single wait over 2 minutes, 10 minutes in total.
    fn default() -> Self {
        Self {
            max_attempts: 4,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            longest_wait: Duration::from_secs(120),
            longest_in_all: Duration::from_secs(600),
        }
    }
}

impl Policy {
    /// One attempt, no retry.
    #[must_use]
    pub fn once() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// How many times the request is sent at most, the first time included; at least 1.
    #[must_use]
    pub fn max_attempts(mut self, count: u32) -> Self {
        self.max_attempts = count.max(1);
        self
    }

    /// The bound of the first wait's jitter, and the bound up to which it doubles.
    #[must_use]
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// The longest wait before a retry. Where the server asks for more, the error is returned with the wait
    /// ([`Error::retry_after`](crate::Error::retry_after)), so that the caller can schedule the work for later.
    #[must_use]
    pub fn longest_wait(mut self, limit: Duration) -> Self {
        self.longest_wait = limit;
        self
    }

    /// The longest time for all attempts and waits together. A wait that would end later is not begun.
    #[must_use]
    pub fn longest_in_all(mut self, limit: Duration) -> Self {
        self.longest_in_all = limit;
        self
    }
}

/// What is known after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// Whether this attempt or an earlier one may have taken effect; see
    /// [`Error::leaves_doubt`](crate::Error::leaves_doubt).
    pub in_doubt: bool,
    /// The wait that the server asked for.
    pub retry_after: Option<Duration>,
    /// Which attempt this was, from 1.
    pub number: u32,
    /// Time since the first attempt began.
    pub elapsed: Duration,
    /// The effect of a second arrival.
    pub replay: Replay,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send again after this wait.
    Retry {
        /// How long to wait first.
        after: Duration,
    },
    /// Give up and return the error.
    Stop(Reason),
}

/// Why a request is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This kind of failure is permanent.
    Lasting,
    /// It may have taken effect, and must not take effect twice.
    InDoubt,
    /// It may have taken effect, and the vendor would no longer recognise its key.
    KeyExpired,
    /// All attempts are used up.
    Exhausted,
    /// The wait is longer than the policy allows.
    TooLong,
    /// Too large a share of the recent requests were retries.
    BudgetSpent,
}

/// Decides about one failed attempt. `draw` is an even random number from 0 to 1 (anything else is taken as the
/// nearest of the two), `budget_left` says whether the [`Budget`] allows a retry.
#[must_use]
pub fn decide(policy: &Policy, attempt: &Attempt, draw: f64, budget_left: bool) -> Decision {
    if !matches!(attempt.kind, ErrorKind::RateLimited | ErrorKind::Unavailable) {
        return Decision::Stop(Reason::Lasting);
    }
    if attempt.in_doubt && attempt.replay == Replay::Never {
        return Decision::Stop(Reason::InDoubt);
    }
    if attempt.number >= policy.max_attempts {
        return Decision::Stop(Reason::Exhausted);
    }
    let doublings = attempt.number.saturating_sub(1).min(20);
    let bound = policy.base.saturating_mul(1 << doublings).min(policy.cap);
    let draw = if draw.is_nan() { 0.0 } else { draw.clamp(0.0, 1.0) };
    let after = attempt.retry_after.unwrap_or_default().saturating_add(bound.mul_f64(draw));
    let until = attempt.elapsed.saturating_add(after);
    if let (true, Replay::Keyed { valid_for }) = (attempt.in_doubt, attempt.replay)
        && until >= valid_for
    {
        return Decision::Stop(Reason::KeyExpired);
    }
    if after > policy.longest_wait || until > policy.longest_in_all {
        return Decision::Stop(Reason::TooLong);
    }
    if !budget_left {
        return Decision::Stop(Reason::BudgetSpent);
    }
    Decision::Retry { after }
}

/// Limits retries to a share of the requests: each request adds a part of a token, each retry takes a whole one.
#[derive(Debug)]
pub struct Budget {
    share: f64,
    most: f64,
    tokens: Mutex<f64>,
}

impl Default for Budget {
    /// One retry for ten requests, and ten to begin with, so that a short run can retry too.
    fn default() -> Self {
        Self::new(0.1, 10)
    }
}

impl Budget {
    /// Retries as this share of the requests, with `reserve` of them to begin with. At most ten times the reserve (and at
    /// least ten) accumulate.
    #[must_use]
    pub fn new(share: f64, reserve: u32) -> Self {
        let reserve = f64::from(reserve);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        Self { share, most: (reserve * 10.0).max(10.0), tokens: Mutex::new(reserve) }
    }

    /// Counts a first attempt.
    pub fn deposit(&self) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + self.share).min(self.most);
    }

    /// Whether a retry is allowed.
    #[must_use]
    pub fn has_left(&self) -> bool {
        // Ten deposits of 0.1 are 0.9999999999999999.
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) >= 1.0 - 1e-9
    }

    /// Takes a repeat; false when there is none left.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = *tokens >= 1.0 - 1e-9;
        if granted {
            *tokens -= 1.0;
        }
        granted
    }
}

/// The longest wait that is believed; a longer one is cut to it.
pub const LONGEST_ADVICE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads the value of a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date. A date in the past is no
/// wait at all; garbage is `None`; anything over 30 days is 30 days.
///
/// ```
/// use mkt_connect::http::retry::retry_after;
/// use std::time::Duration;
/// let now = "2025-08-25T07:00:00Z".parse()?;
/// assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after("Mon, 25 Aug 2025 07:00:31 GMT", now), Some(Duration::from_secs(31)));
/// assert_eq!(retry_after("soon", now), None);
/// # Ok::<(), chrono::ParseError>(())
/// ```
#[must_use]
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    seconds(value).or_else(|| until_date(value, now))
}

/// Digits, perhaps with a fraction, which some servers send against the RFC.
fn seconds(text: &str) -> Option<Duration> {
    if !text.starts_with(|first: char| first.is_ascii_digit())
        || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_ADVICE).min(LONGEST_ADVICE))
}

fn until_date(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = DateTime::<Utc>::from(date).signed_duration_since(now);
    Some(wait.to_std().unwrap_or_default().min(LONGEST_ADVICE))
}
