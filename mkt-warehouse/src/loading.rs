//! Loads that are committed together.

use crate::batch::Batch;
use crate::warehouse::{Receipt, Warehouse};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::fmt::Debug;

/// A series of loads that are committed together, see [`Warehouse::begin`].
///
/// # Contract
/// - [`load`](Self::load) replaces a slice as [`Warehouse::load`] does. An error of kind `Input` leaves that slice as it
///   was and the others untouched; after any other error nothing more can be loaded or committed.
/// - [`commit`](Self::commit) makes visible what was loaded; until then an engine may show all of it or nothing, and it may
///   commit whole slices earlier. A row whose key two slices of the series hold belongs to the later one.
/// - Dropping it undoes what was not committed.
#[async_trait]
pub trait Loading: Debug + Send {
    /// Replaces a slice.
    async fn load(&mut self, batch: &Batch) -> Result<Receipt>;

    /// Commits.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Commits every slice by itself: for engines that gain nothing from committing several.
pub(crate) struct OneByOne<'a, W: ?Sized> {
    warehouse: &'a W,
    at: DateTime<Utc>,
}

impl<'a, W: ?Sized> OneByOne<'a, W> {
    pub(crate) fn new(warehouse: &'a W, at: DateTime<Utc>) -> Self {
        Self { warehouse, at }
    }
}

impl<W: ?Sized> Debug for OneByOne<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneByOne").field("at", &self.at).finish_non_exhaustive()
    }
}

#[async_trait]
impl<W: Warehouse + ?Sized> Loading for OneByOne<'_, W> {
    async fn load(&mut self, batch: &Batch) -> Result<Receipt> {
        self.warehouse.load(batch, self.at).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
