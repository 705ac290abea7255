//! The types that models' parameters take, and the parameters after linfa's check.
//!
//! Parameters are built by `Forest::params()` and its like at the crate root. linfa's `ParamGuard::check` turns them
//! into the checked types here; `fit` does that by itself.

pub use crate::{
    boosting::{BoostingValidParams, EarlyStopping, Monotone},
    forest::ForestValidParams,
    logistic::LogisticValidParams,
    tree::{MaxFeatures, TreeValidParams},
};
