//! Events: keeps them, once each, and applies what follows from them in the same transaction.

mod page;
mod policy;
#[cfg(feature = "webhook")]
mod receive;
mod record;
mod report;

pub(super) use page::page;
pub use page::{EventPage, StoredEvent};
pub use policy::SuppressionPolicy;
#[cfg(feature = "webhook")]
pub(super) use receive::receive;
#[cfg(feature = "webhook")]
pub(crate) use receive::{Delivery, Received, UsedToken};
pub use record::Recorded;
pub(super) use record::{record, unsubscribe};
pub(super) use report::report;
pub use report::{CampaignRates, CampaignReport};
