//! A named lock: one holder at a time, over processes and machines, for as long as a value lives.

use async_trait::async_trait;
use mkt_connect::Result;
use std::fmt;

/// What an engine keeps while a lock is held. Dropping it gives the lock back, if not at once then soon.
#[async_trait]
pub trait Hold: Send + Sync + 'static {
    /// Gives the lock back and returns when others can have it.
    async fn release(self: Box<Self>) -> Result<()>;
}

/// The lock of a name in a warehouse, see [`Warehouse::exclusive`](crate::Warehouse::exclusive). Held until it is
/// released, dropped, or its process dies.
#[must_use = "the lock is given back when this is dropped"]
pub struct Exclusive {
    name: String,
    held: Box<dyn Hold>,
}

impl Exclusive {
    /// For engines: the lock of a name, and what keeps it.
    pub fn new(name: impl Into<String>, held: impl Hold) -> Self {
        Self { name: name.into(), held: Box::new(held) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it back. Once this returns, the next who asks has it; after a mere drop a server may need a moment to
    /// notice.
    ///
    /// # Errors
    /// `Storage` when the server does not answer. The lock is given back in that case too, as after a drop.
    pub async fn release(self) -> Result<()> {
        self.held.release().await
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").field("name", &self.name).finish_non_exhaustive()
    }
}
