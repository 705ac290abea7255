//! Events: keeps them, once each, and applies what follows from them in the same transaction.

mod page;
mod policy;
mod record;

pub(super) use page::page;
pub use page::{EventPage, StoredEvent};
pub use policy::SuppressionPolicy;
pub use record::Recorded;
pub(super) use record::{record, unsubscribe};
