//! A pipeline as a job: in one process at a time.

use super::{Extent, Pipeline};
use crate::job::{Job, Turn};
use async_trait::async_trait;
use mkt_connect::Stop;
use mkt_connect::{ErrorKind, Result};
use std::sync::Arc;

/// Loads what is due, unless another process holds the lock.
///
/// The lock is the warehouse's ([`mkt_warehouse::Warehouse::exclusive`]), named `etl/SOURCE` by default: all
/// processes that load this source into this warehouse, on whatever machine, and it ends when its process dies. Name it
/// by the site, say, to load two sites side by side. In a warehouse without such locks it runs without, and warns.
///
/// ```
/// use mkt_connect::Stop;
/// use mkt_etl::{DueSlices, Job, Memory, Pipeline, Turn};
/// use mkt_warehouse::{Sqlite, Warehouse};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// let warehouse = Sqlite::in_memory().await?;
/// let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
/// let job = DueSlices::new(Pipeline::new(source, warehouse.clone()));
/// let other = warehouse.exclusive("etl/memory").await?; // another process, say
/// assert_eq!(job.run(&Stop::new()).await?, Turn::AlreadyRunning);
/// drop(other);
/// assert!(matches!(job.run(&Stop::new()).await?, Turn::Ran(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DueSlices {
    pipeline: Arc<Pipeline>,
    extent: Extent,
    name: String,
}

impl DueSlices {
    /// What is due whenever it runs.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        let name = format!("etl/{}", pipeline.source.capabilities().source);
        Self { pipeline: Arc::new(pipeline), extent: Extent::Due { since: None }, name }
    }

    /// Other days.
    #[must_use]
    pub fn extent(mut self, extent: impl Into<Extent>) -> Self {
        self.extent = extent.into();
        self
    }

    /// Another name of the lock.
    #[must_use]
    pub fn lock(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

#[async_trait]
impl Job for DueSlices {
    async fn run(&self, stop: &Stop) -> Result<Turn> {
        let held = match self.pipeline.warehouse.exclusive(&self.name).await {
            Ok(Some(held)) => Some(held),
            Ok(None) => {
                tracing::info!(lock = self.name, "another process holds the lock");
                return Ok(Turn::AlreadyRunning);
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(lock = self.name, %error, "the warehouse has no locks; two processes may run at once");
                None
            }
            Err(error) => return Err(error),
        };
        let outcome = self.pipeline.run_extent(self.extent.clone(), stop).await;
        if let Some(held) = held
            && let Err(error) = held.release().await
        {
            // It ended with its connection.
            tracing::warn!(lock = self.name, %error, "cannot release the lock");
        }
        Ok(Turn::Ran(Box::new(outcome?)))
    }
}
