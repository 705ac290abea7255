//! A handle that asks long work to end, in two steps: finish what is under way, then drop it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A handle that asks a run to end. Clones are the same handle.
///
/// The first [`request`](Self::request) asks a run to finish what is under way and to begin nothing new. The second makes
/// the stop urgent: the run drops what is under way, where that loses nothing. A program requests a stop on SIGINT and
/// SIGTERM; a second signal requests it again.
///
/// Waiting needs no particular async runtime.
///
/// ```
/// let stop = mkt_connect::Stop::new();
/// assert!(!stop.is_requested());
/// stop.clone().request();
/// assert!(stop.is_requested() && !stop.is_urgent());
/// stop.request();
/// assert!(stop.is_urgent());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: AtomicU8,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Stop {
    /// A handle without a request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a stop; from the second time on, an urgent one.
    pub fn request(&self) {
        let more = |requests: u8| Some(requests.saturating_add(1));
        let _ = self.0.requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        let wakers = std::mem::take(&mut self.waiting().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.requests.load(Ordering::SeqCst) > 0
    }

    /// Whether a stop was requested at least twice.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.0.requests.load(Ordering::SeqCst) > 1
    }

    /// Returns once a stop was requested. Cancel safe.
    pub async fn requested(&self) {
        self.wait_for(1).await;
    }

    /// Returns once a stop was requested twice. Cancel safe.
    pub async fn urgent(&self) {
        self.wait_for(2).await;
    }

    fn wait_for(&self, requests: u8) -> Wait<'_> {
        Wait { stop: self, requests, key: None }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // The map is whole at every point where a panic could happen.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Wait<'a> {
    stop: &'a Stop,
    requests: u8,
    key: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let stop = self.stop;
        // Under the lock: a request between the look and the entry would find no waker.
        let mut waiting = stop.waiting();
        if stop.0.requests.load(Ordering::SeqCst) >= self.requests {
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        waiting.wakers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.stop.waiting().wakers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn each_step_wakes_those_who_wait_for_it() {
        let stop = Stop::new();
        let (first, second) = (stop.clone(), stop.clone());
        let requested = tokio::spawn(async move { first.requested().await });
        let urgent = tokio::spawn(async move { second.urgent().await });
        tokio::task::yield_now().await;
        stop.request();
        requested.await.unwrap();
        assert!(!urgent.is_finished());
        stop.request();
        urgent.await.unwrap();
        // Already requested: returns at once.
        stop.requested().await;
        stop.urgent().await;
    }

    #[tokio::test]
    async fn dropped_wait_leaves_no_waker() {
        let stop = Stop::new();
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_millis(1), stop.requested()).await;
            assert!(waited.is_err());
        }
        assert!(stop.waiting().wakers.is_empty());
    }

    #[test]
    fn many_requests_do_not_overflow() {
        let stop = Stop::new();
        (0..1000).for_each(|_| stop.request());
        assert!(stop.is_urgent());
    }
}
