//! How many calls may be under way at once: 5 for a user, 20 for an organisation.
//!
//! "Terms & conditions" of the Reporting API (<https://developers.atinternet-solutions.com/piano-analytics/data-api>,
//! read in November 2026). The REST API has the 5 of a user too ("Number of calls").

use std::fmt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls at once of one user, out of those of an organisation. Clones share it: give the same one to every source that
/// reads with the same key, and [`another_user`](Self::another_user) to those of the same organisation.
///
/// It holds within one process; another process of the same user is met by throttling, which is waited out.
#[derive(Clone)]
pub struct CallBudget {
    organisation: Arc<Semaphore>,
    user: Arc<Semaphore>,
    of_user: usize,
}

impl CallBudget {
    /// Calls at once of a user.
    pub const USER: usize = 5;
    /// Calls at once of an organisation.
    pub const ORGANISATION: usize = 20;

    /// The vendor's limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Self::USER, Self::ORGANISATION)
    }

    /// Other limits, at least 1 each: where other programs use the same key, leave them some.
    #[must_use]
    pub fn with(user: usize, organisation: usize) -> Self {
        let (of_user, organisation) = (user.clamp(1, 1000), organisation.clamp(1, 1000));
        Self {
            organisation: Arc::new(Semaphore::new(organisation)),
            user: Arc::new(Semaphore::new(of_user)),
            of_user,
        }
    }

    /// The budget of another user of the same organisation.
    #[must_use]
    pub fn another_user(&self) -> Self {
        let organisation = Arc::clone(&self.organisation);
        Self { organisation, user: Arc::new(Semaphore::new(self.of_user)), of_user: self.of_user }
    }

    pub(super) fn of_user(&self) -> usize {
        self.of_user
    }

    /// Waits for a place; it is free again when the permits are dropped.
    pub(super) async fn enter(&self) -> (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>) {
        // The user's first: whoever waits for the user's must not hold a place of the organisation's. Neither is ever
        // closed, so that waiting cannot fail.
        let user = Arc::clone(&self.user).acquire_owned().await.ok();
        let organisation = Arc::clone(&self.organisation).acquire_owned().await.ok();
        (user, organisation)
    }
}

impl Default for CallBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CallBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBudget")
            .field("free_of_user", &self.user.available_permits())
            .field("free_of_organisation", &self.organisation.available_permits())
            .finish()
    }
}
