//! Stopping what is under way, in two steps: politely, then at once.

use tokio::sync::watch;

/// A handle by which a run is asked to stop. Clones are the same handle.
///
/// Asked once, a run finishes the slices that it is reading and starts no other; asked twice, it drops them, each whole.
/// A program asks on SIGINT and SIGTERM; a second signal asks again.
///
/// ```
/// let stop = mkt_etl::Stop::new();
/// assert!(!stop.is_asked());
/// stop.clone().ask();
/// assert!(stop.is_asked() && !stop.is_urgent());
/// stop.ask();
/// assert!(stop.is_urgent());
/// ```
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<u8>);

impl Stop {
    /// A handle that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Asks; the second time, urgently.
    pub fn ask(&self) {
        self.0.send_modify(|asked| *asked = asked.saturating_add(1));
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Whether it was asked twice.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        *self.0.borrow() > 1
    }

    /// Returns once it was asked.
    pub async fn asked(&self) {
        self.times(1).await;
    }

    /// Returns once it was asked twice.
    pub async fn urged(&self) {
        self.times(2).await;
    }

    async fn times(&self, count: u8) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|asked| *asked >= count).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
