//! Reading the outbox without changing it: counts, dry runs, the send log.

mod accepted;
pub(crate) mod counts;
mod dry_run;
pub(super) mod send_log;

pub(super) use accepted::accepted;
pub use accepted::{AcceptedEmail, AcceptedPage};
pub(super) use counts::{Counts, counts};
pub use dry_run::DryRun;
pub(super) use dry_run::dry_run;
