//! For tests and for examples without an account: a replay of a real Matomo, and the suites that every source is held
//! to, its contract and its faults.

mod at_internet;
mod bodies;
pub mod conformance;
mod days;
pub mod faults;
mod recorded;

pub use at_internet::{AtInternetFault, FakeAtInternet};
pub use recorded::{RecordedMatomo, ShiftedClock};
