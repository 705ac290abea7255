//! For tests and for examples without an account: a replay of a real Matomo, and the conformance suite that every
//! source is held to.

mod at_internet;
mod bodies;
pub mod conformance;
mod recorded;

pub use at_internet::{AtInternetFault, FakeAtInternet};
pub use recorded::RecordedMatomo;
