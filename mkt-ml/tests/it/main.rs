//! One binary for all integration tests: linked once.

// clippy.toml allows it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used)]

mod attribution;
mod boosting;
mod budgets;
mod cars;
#[cfg(feature = "chart")]
mod charts;
mod cross_validation;
mod encoding;
mod evaluation;
mod forests;
mod frames;
mod hostile;
mod leakage;
mod lifetimes;
#[cfg(feature = "linfa-models")]
mod linfa_back_ends;
mod logistic;
mod many_levels;
mod metrics;
#[cfg(feature = "onnx")]
mod onnx;
mod path_files;
mod persistence;
mod pipeline;
mod splits;
mod tampered_files;
mod targeting;
mod trees;
mod uplift;
