//! For tests and for examples without an account: a replay of a real Matomo, and the conformance suite that every
//! source is held to.

mod bodies;
pub mod conformance;
mod recorded;

pub use recorded::RecordedMatomo;
