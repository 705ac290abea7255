//! The single decision tree, and the tree that forests are made of.
//!
//! Grown on histograms (at most 255 intervals per feature), so it equals an exact tree on columns of up to
//! 255 distinct values. Missing values (NaN) go to the side that separates better. No pruning: bound the
//! depth or the leaf instead.

pub(crate) mod bins;
pub(crate) mod grow;

use std::fmt::Write;

use linfa::{
    ParamGuard,
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use ndarray::{Array1, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use self::{
    bins::Binned,
    grow::{Item, Limits},
};
use crate::classifier::{Classifier, ModelError, check_records, check_training, predict_by_probability};

/// A node; the children of a split are neighbours, and always come after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    Leaf {
        probability: f64,
        rows: u64,
    },
    /// Values up to `threshold` go left.
    Split {
        feature: u32,
        threshold: f64,
        missing_left: bool,
        left: u32,
    },
}

/// The nodes of a tree, the root first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredNodes", into = "StoredNodes")]
pub(crate) struct Nodes(pub(crate) Vec<Node>);

/// Nodes as they are written: a column per field takes a third of the space of an object per node.
#[derive(Serialize, Deserialize)]
struct StoredNodes {
    /// The left child of a split, 0 for a leaf.
    left: Vec<u32>,
    /// The feature of a split, the rows of a leaf.
    key: Vec<u64>,
    /// The threshold of a split, the probability of a leaf.
    value: Vec<f64>,
    /// The side of missing values, per split only.
    missing_left: Vec<bool>,
}

impl From<Nodes> for StoredNodes {
    fn from(Nodes(nodes): Nodes) -> Self {
        let mut stored =
            Self { left: Vec::new(), key: Vec::new(), value: Vec::new(), missing_left: Vec::new() };
        for node in nodes {
            let (child, key, value) = match node {
                Node::Leaf { probability, rows } => (0, rows, probability),
                Node::Split { feature, threshold, missing_left, left } => {
                    stored.missing_left.push(missing_left);
                    (left, u64::from(feature), threshold)
                }
            };
            stored.left.push(child);
            stored.key.push(key);
            stored.value.push(value);
        }
        stored
    }
}

impl TryFrom<StoredNodes> for Nodes {
    type Error = &'static str;

    fn try_from(stored: StoredNodes) -> Result<Self, Self::Error> {
        if stored.key.len() != stored.left.len() || stored.value.len() != stored.left.len() {
            return Err("the columns of a tree differ in length");
        }
        let mut sides = stored.missing_left.into_iter();
        let fields = stored.left.into_iter().zip(stored.key).zip(stored.value);
        let nodes = fields.map(|((left, key), value)| {
            if left == 0 {
                return Ok(Node::Leaf { probability: value, rows: key });
            }
            let feature = u32::try_from(key).map_err(|_| "a tree names an impossible feature")?;
            let missing_left = sides.next().ok_or("a tree lacks the side of a missing value")?;
            Ok(Node::Split { feature, threshold: value, missing_left, left })
        });
        nodes.collect::<Result<_, _>>().map(Self)
    }
}

impl Nodes {
    /// The probability in the leaf that a row falls into.
    pub(crate) fn probability(&self, row: ArrayView1<'_, f64>) -> f64 {
        let mut at = 0;
        loop {
            match self.0.get(at) {
                Some(&Node::Split { feature, threshold, missing_left, left }) => {
                    let value = row.get(feature as usize).copied().unwrap_or(f64::NAN);
                    let goes_left = if value.is_nan() { missing_left } else { value <= threshold };
                    at = left as usize + usize::from(!goes_left);
                }
                Some(&Node::Leaf { probability, .. }) => return probability,
                // Unreachable: `is_sound` holds for every tree that is grown or loaded.
                None => return 0.5,
            }
        }
    }

    /// Whether every walk ends in a leaf with a probability.
    pub(crate) fn is_sound(&self, features: usize) -> bool {
        !self.0.is_empty()
            && self.0.iter().enumerate().all(|(at, node)| match *node {
                Node::Leaf { probability, .. } => (0.0..=1.0).contains(&probability),
                Node::Split { feature, threshold, left, .. } => {
                    (feature as usize) < features
                        && threshold.is_finite()
                        && left as usize > at
                        && (left as usize).checked_add(1).is_some_and(|right| right < self.0.len())
                }
            })
    }

    /// The number of splits on the longest way from the root to a leaf.
    pub(crate) fn depth(&self) -> usize {
        let mut depths = vec![0; self.0.len()];
        for (at, node) in self.0.iter().enumerate() {
            if let Node::Split { left, .. } = *node {
                let below = depths.get(at).map_or(0, |depth| depth + 1);
                if let Some(children) = depths.get_mut(left as usize..left as usize + 2) {
                    children.fill(below);
                }
            }
        }
        depths.into_iter().max().unwrap_or_default()
    }

    pub(crate) fn leaves(&self) -> usize {
        self.0.iter().filter(|node| matches!(node, Node::Leaf { .. })).count()
    }
}

/// How many features a node of a tree looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// ⌊√features⌋.
    Sqrt,
    /// All of them.
    All,
    /// This many, or all where there are fewer.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeParams(TreeValidParams);

/// Checked parameters of a decision tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeValidParams {
    pub(crate) max_depth: Option<usize>,
    pub(crate) min_leaf: u64,
    pub(crate) max_features: MaxFeatures,
    pub(crate) seed: u64,
}

impl Default for TreeParams {
    fn default() -> Self {
        Self(TreeValidParams { max_depth: None, min_leaf: 1, max_features: MaxFeatures::All, seed: 42 })
    }
}

impl TreeParams {
    /// The most splits between root and leaf (default none: until leaves are pure).
    pub fn max_depth(mut self, depth: impl Into<Option<usize>>) -> Self {
        self.0.max_depth = depth.into();
        self
    }

    /// The fewest training rows in a leaf (default 1).
    pub fn min_leaf(mut self, rows: u64) -> Self {
        self.0.min_leaf = rows;
        self
    }

    /// How many features a node looks at (default all).
    pub fn max_features(mut self, features: MaxFeatures) -> Self {
        self.0.max_features = features;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionTree {
    feature_names: Vec<String>,
    nodes: Nodes,
    gains: Vec<f64>,
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
    /// Bad shapes, infinities, one outcome only.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<DecisionTree, ModelError> {
        let training = check_training(dataset, true)?;
        let binned = Binned::of(training.records, self.seed);
        let mut items: Vec<Item> =
            training.labels.iter().zip(0..).map(|(&label, row)| Item::new(row, 1, label)).collect();
        let limits = Limits {
            max_depth: self.max_depth.unwrap_or(usize::MAX),
            min_leaf: self.min_leaf,
            features: self.max_features.of(binned.features.len()),
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let grown = grow::grow(&binned, &mut items, limits, &mut rng);
        Ok(DecisionTree {
            feature_names: training.names,
            nodes: Nodes(grown.nodes),
            gains: normalised(grown.gains),
        })
    }
}

impl DecisionTree {
    /// Default parameters: grown until leaves are pure.
    pub fn params() -> TreeParams {
        TreeParams::default()
    }

    /// The share of each feature in the impurity taken away, together 1; all 0 for a tree without a split.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// The number of splits on the longest way from the root to a leaf.
    pub fn depth(&self) -> usize {
        self.nodes.depth()
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.leaves()
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
        let mut text = String::new();
        let mut open = vec![(0_usize, 0_usize, false)];
        while let Some((at, depth, is_else)) = open.pop() {
            let indent = "  ".repeat(depth);
            if is_else {
                let _ = writeln!(text, "{}else", "  ".repeat(depth.saturating_sub(1)));
            }
            match self.nodes.0.get(at) {
                Some(Node::Leaf { probability, rows }) => {
                    let _ = writeln!(text, "{indent}probability {probability:.3}, {rows} rows");
                }
                Some(&Node::Split { feature, threshold, missing_left, left }) => {
                    let name = self.feature_names.get(feature as usize).map_or("?", String::as_str);
                    let _ = match (threshold == f64::MAX, missing_left) {
                        (true, _) => writeln!(text, "{indent}{name} present"),
                        (false, true) => writeln!(text, "{indent}{name} <= {threshold} or missing"),
                        (false, false) => writeln!(text, "{indent}{name} <= {threshold}"),
                    };
                    open.push((left as usize + 1, depth + 1, true));
                    open.push((left as usize, depth + 1, false));
                }
                None => {}
            }
        }
        text
    }

    pub(crate) fn is_sound(&self) -> bool {
        let features = self.feature_names.len();
        self.gains.len() == features
            && self.gains.iter().all(|gain| (0.0..=1.0).contains(gain))
            && self.nodes.is_sound(features)
    }
}

impl Classifier for DecisionTree {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, true)?;
        Ok(records.outer_iter().map(|row| self.nodes.probability(row)).collect())
    }
}

predict_by_probability!(DecisionTree);

/// Scaled to the sum 1; all zeros stay.
pub(crate) fn normalised(mut gains: Vec<f64>) -> Vec<f64> {
    let sum: f64 = gains.iter().sum();
    if sum > 0.0 {
        // The quotient of the largest by a rounded sum could exceed 1 by an ulp.
        gains.iter_mut().for_each(|gain| *gain = (*gain / sum).min(1.0));
    }
    gains
}
