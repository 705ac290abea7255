//! Bring marketing data in: analytics sources, a windowed pipeline, a ledger of what is settled.

pub mod channel;
pub mod clean;
mod content;
pub mod ledger;
pub mod matomo;
mod memory;
mod pipeline;
mod report;
pub mod settle;
pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod zone;

pub use matomo::Matomo;
pub use memory::{MemorySource, TRAFFIC};
pub use mkt_connect::http::{Clock, ManualClock, SystemClock};
pub use pipeline::{Pipeline, Progress};
pub use report::{RunReport, SliceFailure};
pub use source::{AnalyticsSource, Page, Rejected, SiteFacts, Totals, Window};
