//! Parameters of gradient boosting and their checks.

use std::num::NonZeroUsize;

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};

use super::split::Monotone;
use crate::{classifier::ModelError, error::shown, tree::table::MOST_BINS};

/// The maximum number of trees; more is taken for a typing error.
const MOST_TREES: usize = 100_000;

/// Parameters of gradient boosting, not yet checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BoostingParams(pub(super) BoostingValidParams);

/// Checked parameters of gradient boosting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoostingValidParams {
    pub(super) trees: usize,
    pub(super) learning_rate: f64,
    pub(super) leaves: usize,
    pub(super) max_depth: Option<usize>,
    pub(super) min_leaf: u32,
    pub(super) min_hessian: f64,
    pub(super) min_gain: f64,
    pub(super) l2: f64,
    pub(super) bins: usize,
    pub(super) subsample: f64,
    pub(super) column_sample: f64,
    pub(super) category_smoothing: f64,
    pub(super) category_l2: f64,
    pub(super) categorical: Vec<String>,
    pub(super) monotone: Vec<(String, Monotone)>,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) seed: u64,
    /// Not part of the model, which does not depend on it.
    #[serde(skip)]
    pub(super) threads: Option<NonZeroUsize>,
}

/// Early stopping: when to stop before all trees are grown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EarlyStopping {
    /// The fit ends after this many trees without a lower log-loss on the held-out rows; the trees after the lowest are
    /// dropped.
    pub rounds: usize,
    /// The share of the training rows held out, stratified and drawn by the seed; not used when
    /// validation rows are given to [`BoostingValidParams::fit_watched`](super::BoostingValidParams::fit_watched).
    pub fraction: f64,
}

impl EarlyStopping {
    /// Stops after `rounds` trees without improvement on a tenth of the training rows.
    pub fn after(rounds: usize) -> Self {
        Self { rounds, fraction: 0.1 }
    }

    /// Sets the share of the training rows that is held out, above 0 and below 1 (default 0.1).
    #[must_use]
    pub fn fraction(mut self, fraction: f64) -> Self {
        self.fraction = fraction;
        self
    }
}

impl Default for BoostingValidParams {
    fn default() -> Self {
        Self {
            trees: 100,
            learning_rate: 0.1,
            leaves: 31,
            max_depth: None,
            min_leaf: 20,
            min_hessian: 1e-3,
            min_gain: 0.0,
            l2: 0.0,
            bins: MOST_BINS,
            subsample: 1.0,
            column_sample: 1.0,
            category_smoothing: 10.0,
            category_l2: 10.0,
            categorical: Vec::new(),
            monotone: Vec::new(),
            early_stopping: None,
            seed: 42,
            threads: None,
        }
    }
}

impl BoostingParams {
    /// The number of trees (default 100).
    pub fn trees(mut self, trees: usize) -> Self {
        self.0.trees = trees;
        self
    }

    /// The learning rate: the share of its optimal value that each leaf keeps, above 0 and at most 1 (default 0.1).
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.0.learning_rate = rate;
        self
    }

    /// The maximum number of leaves of a tree (default 31).
    pub fn leaves(mut self, leaves: usize) -> Self {
        self.0.leaves = leaves;
        self
    }

    /// The maximum depth: splits between root and leaf (default none: leaves alone bound the tree).
    pub fn max_depth(mut self, depth: impl Into<Option<usize>>) -> Self {
        self.0.max_depth = depth.into();
        self
    }

    /// The minimum number of training rows in a leaf (default 20); kept exactly.
    pub fn min_leaf(mut self, rows: u32) -> Self {
        self.0.min_leaf = rows;
        self
    }

    /// The minimum sum of p (1 − p), the hessian, in a leaf (default 0.001).
    pub fn min_hessian(mut self, sum: f64) -> Self {
        self.0.min_hessian = sum;
        self
    }

    /// The minimum decrease of the log-loss by a split (default 0).
    pub fn min_gain(mut self, gain: f64) -> Self {
        self.0.min_gain = gain;
        self
    }

    /// The penalty λ on squared leaf values (default 0).
    pub fn l2(mut self, lambda: f64) -> Self {
        self.0.l2 = lambda;
        self
    }

    /// The maximum number of bins of a feature, from 2 to 255 (default 255).
    pub fn bins(mut self, bins: usize) -> Self {
        self.0.bins = bins;
        self
    }

    /// The share of rows that each tree sees, above 0 and at most 1 (default 1).
    pub fn subsample(mut self, share: f64) -> Self {
        self.0.subsample = share;
        self
    }

    /// The share of features that each tree sees, above 0 and at most 1 (default 1).
    pub fn column_sample(mut self, share: f64) -> Self {
        self.0.column_sample = share;
        self
    }

    /// Names of features that hold category codes 0, 1, 2, …: splits divide their categories into two sets instead of
    /// using a threshold. Set automatically for a frame whose categories are encoded natively.
    pub fn categorical<N: Into<String>>(mut self, features: impl IntoIterator<Item = N>) -> Self {
        self.0.categorical = features.into_iter().map(Into::into).collect();
        self
    }

    /// Smoothing of the order of categories: added to each category's hessian, so that rare ones move to the middle
    /// (default 10).
    pub fn category_smoothing(mut self, hessian: f64) -> Self {
        self.0.category_smoothing = hessian;
        self
    }

    /// Added to λ for splits of more than four categories (default 10).
    pub fn category_l2(mut self, lambda: f64) -> Self {
        self.0.category_l2 = lambda;
        self
    }

    /// Constrains the prediction to be monotone in a numeric feature, all else equal.
    pub fn monotone(mut self, feature: impl Into<String>, direction: Monotone) -> Self {
        self.0.monotone.push((feature.into(), direction));
        self
    }

    /// Stops when the log-loss on held-out rows no longer decreases (default: `None`, never).
    pub fn early_stopping(mut self, stopping: impl Into<Option<EarlyStopping>>) -> Self {
        self.0.early_stopping = stopping.into();
        self
    }

    /// The seed of all draws and of the rounding of gradients (default 42).
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    pub(crate) fn wanted_threads(&self) -> Option<NonZeroUsize> {
        self.0.threads
    }

    /// The number of threads to fit on (default: all available). The model does not depend on it.
    pub fn threads(mut self, threads: impl Into<Option<NonZeroUsize>>) -> Self {
        self.0.threads = threads.into();
        self
    }

    /// With the features of categories that an encoder tells of.
    pub(crate) fn with_categorical(&self, features: Vec<String>) -> Self {
        if features.is_empty() { self.clone() } else { self.clone().categorical(features) }
    }
}

impl ParamGuard for BoostingParams {
    type Checked = BoostingValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        let params = &self.0;
        let wrong = |name, value: String, expected| Err(ModelError::Parameter { name, value, expected });
        let whole = [
            ("trees", params.trees, 1, MOST_TREES, "from 1 to 100000"),
            ("leaves", params.leaves, 2, u16::MAX as usize, "from 2 to 65535"),
            ("bins", params.bins, 2, MOST_BINS, "from 2 to 255"),
            ("min_leaf", params.min_leaf as usize, 1, usize::MAX, "at least 1"),
        ];
        for (name, value, least, most, expected) in whole {
            if value < least || value > most {
                return wrong(name, value.to_string(), expected);
            }
        }
        let shares = [
            ("learning_rate", params.learning_rate),
            ("subsample", params.subsample),
            ("column_sample", params.column_sample),
        ];
        for (name, value) in shares {
            if !(value > 0.0 && value <= 1.0) {
                return wrong(name, value.to_string(), "above 0 and at most 1");
            }
        }
        let amounts = [
            ("min_hessian", params.min_hessian),
            ("min_gain", params.min_gain),
            ("l2", params.l2),
            ("category_smoothing", params.category_smoothing),
            ("category_l2", params.category_l2),
        ];
        for (name, value) in amounts {
            if !(value >= 0.0 && value.is_finite()) {
                return wrong(name, value.to_string(), "a number from 0 up");
            }
        }
        for (at, (feature, _)) in params.monotone.iter().enumerate() {
            let twice = params.monotone.iter().skip(at + 1).any(|(other, _)| other == feature);
            if twice || params.categorical.contains(feature) {
                return wrong("monotone", shown(feature), "a feature of numbers, named once");
            }
        }
        if let Some(EarlyStopping { rounds, fraction }) = params.early_stopping {
            if rounds == 0 {
                return wrong("early_stopping rounds", rounds.to_string(), "at least 1");
            }
            if !(fraction > 0.0 && fraction < 1.0) {
                return wrong("early_stopping fraction", fraction.to_string(), "between 0 and 1");
            }
        }
        Ok(params)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}
