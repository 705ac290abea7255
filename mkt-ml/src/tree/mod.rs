//! The single decision tree, and the tree that forests are made of.
//!
//! Grown on histograms (at most 255 intervals per feature), so it equals an exact tree on columns of up to
//! 255 distinct values. Missing values (NaN) go to the side with the larger gain. No pruning: limit the
//! depth or the leaf size instead.

pub(crate) mod grow;
pub(crate) mod nodes;
pub(crate) mod partition;
pub(crate) mod scorer;
pub(crate) mod shap;
pub(crate) mod table;

use std::{fmt::Write, num::NonZeroUsize};

use linfa::{
    ParamGuard,
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use ndarray::{Array1, Array2, ArrayBase, ArrayView2, Data, Ix2};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use self::{
    grow::{CutChoice, Limits},
    nodes::{Node, Nodes},
    scorer::Prepared,
    shap::Explainer,
    table::{MOST_BINS, Table},
};
use crate::{
    class_weights::ClassWeights,
    classifier::{Classifier, ModelError, check_records, check_training, predict_by_probability},
    encoder::Feature,
    workers::Workers,
};

/// How many features are considered at each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MaxFeatures {
    /// ⌊√features⌋.
    Sqrt,
    /// All of them.
    All,
    /// This many; all of them where there are fewer.
    Count(usize),
}

impl MaxFeatures {
    pub(crate) fn of(self, features: usize) -> usize {
        match self {
            Self::Sqrt => features.isqrt().max(1),
            Self::All => features,
            Self::Count(count) => count.min(features),
        }
    }
}

/// Parameters of a decision tree, not yet checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TreeParams(TreeValidParams);

/// Checked parameters of a decision tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeValidParams {
    pub(crate) max_depth: Option<usize>,
    pub(crate) min_leaf: u64,
    pub(crate) max_features: MaxFeatures,
    pub(crate) class_weights: ClassWeights,
    pub(crate) seed: u64,
}

impl Default for TreeValidParams {
    fn default() -> Self {
        Self {
            max_depth: None,
            min_leaf: 1,
            max_features: MaxFeatures::All,
            class_weights: ClassWeights::Equal,
            seed: 42,
        }
    }
}

impl TreeParams {
    /// The maximum depth: splits between root and leaf (default none: until leaves are pure).
    pub fn max_depth(mut self, depth: impl Into<Option<usize>>) -> Self {
        self.0.max_depth = depth.into();
        self
    }

    /// The minimum number of training rows in a leaf (default 1).
    pub fn min_leaf(mut self, rows: u64) -> Self {
        self.0.min_leaf = rows;
        self
    }

    /// How many features are considered at each split (default [`MaxFeatures::All`]).
    pub fn max_features(mut self, features: MaxFeatures) -> Self {
        self.0.max_features = features;
        self
    }

    /// The weights of the two outcomes (default [`ClassWeights::Equal`]).
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.0.class_weights = weights;
        self
    }

    /// Seeds the draw of features, and of rows when quantiles are taken from a sample.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for TreeParams {
    type Checked = TreeValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        check_limits(self.0.min_leaf, self.0.max_features)?;
        self.0.class_weights.check()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

pub(crate) fn check_limits(min_leaf: u64, max_features: MaxFeatures) -> Result<(), ModelError> {
    let zero = |name| ModelError::Parameter { name, value: "0".to_owned(), expected: "at least 1" };
    if min_leaf == 0 {
        return Err(zero("min_leaf"));
    }
    if max_features == MaxFeatures::Count(0) {
        return Err(zero("max_features"));
    }
    Ok(())
}

/// A fitted decision tree.
///
/// Grown on histograms of at most 255 intervals per feature, so it equals an exact tree on features of up to 255 distinct
/// values. Missing values (NaN) go to the side with the larger gain. There is no pruning: limit the depth or the leaf
/// size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionTree {
    feature_names: Vec<String>,
    nodes: Nodes,
    gains: Vec<f64>,
    #[serde(skip)]
    prepared: Prepared,
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for TreeValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = DecisionTree;

    /// Grows the tree. NaN is a missing value.
    ///
    /// # Errors
    /// Bad shapes, infinities, one outcome only, row weights (which forests support).
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<DecisionTree, ModelError> {
        let training = check_training(dataset, true)?;
        training.unweighted("a single tree")?;
        // One tree is grown by one thread.
        let table = Workers::new(NonZeroUsize::new(1), 1)?
            .enter(|crew| Table::new(training.records, &training.names, &[], MOST_BINS, self.seed, crew))?;
        let rows = training.labels.iter().zip(0..);
        let mut items: Vec<u64> = rows.map(|(&label, row)| grow::item(row, 1, label)).collect();
        let limits = Limits {
            max_depth: self.max_depth.unwrap_or(usize::MAX),
            min_leaf: self.min_leaf,
            features: self.max_features.of(table.features()),
            cuts: CutChoice::Best,
            weights: class_weights(self.class_weights, &training.labels),
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let grown = grow::grow(&table, &mut items, limits, &mut rng);
        Ok(DecisionTree {
            feature_names: training.names,
            nodes: grown.tree,
            gains: normalised(grown.gains),
            prepared: Prepared::default(),
        })
    }
}

impl DecisionTree {
    /// Default parameters: grown until leaves are pure.
    pub fn params() -> TreeParams {
        TreeParams::default()
    }

    /// The share of each feature in the decrease of impurity, adding up to 1; all 0 for a tree without a split.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// The depth: the number of splits on the longest path from the root to a leaf.
    pub fn depth(&self) -> usize {
        self.nodes.depth()
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.leaves()
    }

    /// The contribution of each feature of each row to its probability, and the mean probability: the
    /// Shapley values of TreeSHAP (Lundberg et al., 2018). A row's contributions and the mean add up to its
    /// probability.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn contributions(&self, records: ArrayView2<'_, f64>) -> Result<Contributions, ModelError> {
        check_records(records, &self.feature_names, true)?;
        Ok(Contributions::of(std::slice::from_ref(&self.nodes), 0.0, 1.0, records))
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn grown(&self) -> &[Nodes] {
        std::slice::from_ref(&self.nodes)
    }

    /// The tree as indented rules, one line per node.
    ///
    /// ```
    /// # use linfa::prelude::*;
    /// # use ndarray::array;
    /// # use mkt_ml::DecisionTree;
    /// let visits = Dataset::new(array![[1.0], [2.0], [8.0], [9.0]], array![false, false, true, true])
    ///     .with_feature_names(vec!["pages"]);
    /// let tree = DecisionTree::params().fit(&visits)?;
    /// assert_eq!(tree.rules(), "\
    /// pages <= 5 or missing
    ///   probability 0.000, 2 rows
    /// else
    ///   probability 1.000, 2 rows
    /// ");
    /// # Ok::<(), mkt_ml::ModelError>(())
    /// ```
    pub fn rules(&self) -> String {
        self.rules_over(&[])
    }

    /// The rules, with the categories of features that hold their codes: `source is email or paid` for `source <= 1.5`.
    pub(crate) fn rules_over(&self, features: &[Feature]) -> String {
        let mut text = String::new();
        let mut open = vec![(0_usize, 0_usize, false)];
        while let Some((at, depth, is_else)) = open.pop() {
            let indent = indentation(depth);
            if is_else {
                let _ = writeln!(text, "{}else", indentation(depth.saturating_sub(1)));
            }
            match self.nodes.nodes.get(at) {
                Some(Node::Leaf { value, rows }) => {
                    let _ = writeln!(text, "{indent}probability {value:.3}, {rows} rows");
                }
                Some(&Node::Split { feature, threshold, missing_left, left }) => {
                    let name = self.feature_names.get(feature as usize).map_or("?", String::as_str);
                    let levels = features.get(feature as usize).and_then(|feature| feature.levels.as_deref());
                    let missing = if missing_left { " or missing" } else { "" };
                    let _ = match levels {
                        _ if threshold == f64::MAX => writeln!(text, "{indent}{name} present"),
                        None => writeln!(text, "{indent}{name} <= {threshold}{missing}"),
                        Some(levels) => {
                            // Codes are ranks: those up to the threshold go left.
                            let left = levels.len().min((threshold.max(-1.0) + 1.0).floor() as usize);
                            writeln!(text, "{indent}{name} is {}{missing}", named(levels, left))
                        }
                    };
                    open.push((left as usize + 1, depth + 1, true));
                    open.push((left as usize, depth + 1, false));
                }
                // A single tree is not grown on sets of categories, nor read with any: see `is_sound`.
                Some(Node::Category { .. }) | None => {}
            }
        }
        text
    }

    pub(crate) fn is_sound(&self) -> bool {
        let features = self.feature_names.len();
        self.gains.len() == features
            && self.gains.iter().all(|gain| (0.0..=1.0).contains(gain))
            && self.nodes.sets.is_empty()
            && self.nodes.is_sound(features, |value| (0.0..=1.0).contains(&value))
    }
}

impl Classifier for DecisionTree {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, true)?;
        let mut sums = vec![0.0; records.nrows()];
        self.prepared.add(std::slice::from_ref(&self.nodes), records, &mut sums);
        Ok(sums.into())
    }
}

predict_by_probability!(DecisionTree);

/// Two spaces a level up to 32 levels, then the level's number, so that the text of a very deep tree grows with its
/// nodes and not with their depth.
fn indentation(depth: usize) -> String {
    const MOST: usize = 32;
    if depth <= MOST { "  ".repeat(depth) } else { format!("{}({depth}) ", "  ".repeat(MOST)) }
}

/// The first `count` levels, or where those are many the others, negated.
fn named(levels: &[String], count: usize) -> String {
    let (left, right) = levels.split_at(count.min(levels.len()));
    let (negation, few) =
        if left.len() <= right.len() || right.is_empty() { ("", left) } else { ("not ", right) };
    let mut shown: Vec<&str> = few.iter().take(6).map(String::as_str).collect();
    if few.len() > shown.len() {
        shown.push("…");
    }
    format!("{negation}{}", shown.join(" or "))
}

/// Contributions of features to predictions (SHAP values).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Contributions {
    /// The mean prediction of the training rows: a probability, for boosting log odds.
    pub mean: f64,
    /// One row per row of the input and one column per feature, in the units of `mean`.
    pub values: Array2<f64>,
}

impl Contributions {
    /// Of trees whose values are added to `base` and divided by `count`.
    pub(crate) fn of(trees: &[Nodes], base: f64, count: f64, records: ArrayView2<'_, f64>) -> Self {
        let explainers: Vec<Explainer<'_>> = trees.iter().map(Explainer::new).collect();
        let mut values = Array2::zeros(records.dim());
        for (mut sums, row) in values.outer_iter_mut().zip(records.outer_iter()) {
            let Some(sums) = sums.as_slice_mut() else { continue };
            for explainer in &explainers {
                explainer.add(row, sums);
            }
            sums.iter_mut().for_each(|sum| *sum /= count);
        }
        let mean = base + explainers.iter().map(Explainer::mean).sum::<f64>() / count;
        Self { mean, values }
    }
}

/// The weights of a negative and of a positive row.
pub(crate) fn class_weights(weights: ClassWeights, labels: &[bool]) -> [f64; 2] {
    let positives = labels.iter().filter(|label| **label).count();
    weights.of((labels.len() - positives) as f64, positives as f64)
}

/// Scaled to the sum 1; all zeros stay.
pub(crate) fn normalised(mut gains: Vec<f64>) -> Vec<f64> {
    let sum: f64 = gains.iter().sum();
    if sum > 0.0 {
        // The quotient of the largest by a rounded sum could exceed 1 by an ulp.
        gains.iter_mut().for_each(|gain| *gain = (*gain / sum).min(1.0));
    }
    gains
}
