//! Something that is run again and again, by the scheduler of this crate or by an outside cron.

use crate::report::RunReport;
use async_trait::async_trait;
use mkt_connect::Result;
use mkt_connect::Stop;
use std::fmt::Debug;

/// How a turn went.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It ran.
    Ran(Box<RunReport>),
    /// Another process is at it; nothing was done here.
    AlreadyRunning,
}

impl Turn {
    /// What the run did, if there was one.
    #[must_use]
    pub fn report(&self) -> Option<&RunReport> {
        match self {
            Self::Ran(report) => Some(report),
            Self::AlreadyRunning => None,
        }
    }
}

/// Something that is run again and again.
#[async_trait]
pub trait Job: Debug + Send + Sync {
    /// Runs once.
    async fn run(&self, stop: &Stop) -> Result<Turn>;
}
