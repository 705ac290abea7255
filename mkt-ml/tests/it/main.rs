//! One binary for all integration tests: linked once.

mod cars;
mod encoding;
mod forests;
mod frames;
#[cfg(feature = "linfa-models")]
mod linfa_back_ends;
mod logistic;
mod metrics;
mod persistence;
mod pipeline;
mod splits;
mod trees;
