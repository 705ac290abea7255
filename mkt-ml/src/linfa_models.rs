//! linfa-logistic and linfa-trees behind [`Classifier`], to compare with or to use instead.
//!
//! Fitted models are copied into plain numbers, so that they can be saved and scored like the others. The
//! tree's leaves only know a label in linfa; their probabilities are counted here on the training rows.
//!
//! linfa-trees 0.8.1 breaks ties between outcomes by the order of a hash map, which differs from run to run,
//! and prunes by the label so chosen: so its tree may differ between two fits on the same data.

use linfa::{
    Dataset, ParamGuard,
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use linfa_trees::TreeNode;
use ndarray::{Array1, ArrayBase, ArrayView2, Data, Ix2};
use serde::{Deserialize, Serialize};

use crate::{
    classifier::{Classifier, ModelError, Training, check_records, check_training, predict_by_probability},
    logistic::{MOST_WEIGHT, linear_probabilities},
    tree::{
        nodes::{Node, Nodes},
        normalised,
    },
};

/// Parameters of linfa's logistic regression, not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaLogisticParams(LinfaLogisticValidParams);

/// Checked parameters of linfa's logistic regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaLogisticValidParams {
    penalty: f64,
    max_iterations: u64,
    tolerance: f64,
}

impl Default for LinfaLogisticParams {
    fn default() -> Self {
        Self(LinfaLogisticValidParams { penalty: 1.0, max_iterations: 100, tolerance: 1e-4 })
    }
}

impl LinfaLogisticParams {
    /// The weight of the L2 penalty (linfa's `alpha`, default 1).
    pub fn penalty(mut self, penalty: f64) -> Self {
        self.0.penalty = penalty;
        self
    }

    /// The maximum number of L-BFGS steps (default 100). Running out of them is not an error in linfa.
    pub fn max_iterations(mut self, most: u64) -> Self {
        self.0.max_iterations = most;
        self
    }

    /// The norm of the gradient at which to stop (default 1e-4).
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }
}

impl ParamGuard for LinfaLogisticParams {
    type Checked = LinfaLogisticValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        let parameter =
            |name, value: f64, expected| ModelError::Parameter { name, value: value.to_string(), expected };
        if !(self.0.penalty.is_finite() && self.0.penalty >= 0.0) {
            return Err(parameter("penalty", self.0.penalty, "a finite number from 0"));
        }
        if !(self.0.tolerance.is_finite() && self.0.tolerance > 0.0) {
            return Err(parameter("tolerance", self.0.tolerance, "a finite number above 0"));
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// A logistic regression fitted by linfa-logistic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaLogistic {
    feature_names: Vec<String>,
    intercept: f64,
    weights: Vec<f64>,
}

impl LinfaLogistic {
    /// Default parameters: penalty 1.
    pub fn params() -> LinfaLogisticParams {
        LinfaLogisticParams::default()
    }

    /// The intercept: the log odds where all features are 0.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The change of the log odds per unit of each feature.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.weights.len() == self.feature_names.len()
            && self.weights.iter().chain([&self.intercept]).all(|weight| weight.abs() <= MOST_WEIGHT)
    }
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for LinfaLogisticValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = LinfaLogistic;

    /// Fits by linfa's L-BFGS.
    ///
    /// # Errors
    /// Bad shapes, NaN or infinities, one outcome only, [`ModelError::Backend`].
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<LinfaLogistic, ModelError> {
        let training = check_training(dataset, false)?;
        let fitted = linfa_logistic::LogisticRegression::default()
            .alpha(self.penalty)
            .max_iterations(self.max_iterations)
            .gradient_tolerance(self.tolerance)
            .fit(&owned(&training))
            .map_err(|cause| ModelError::Backend {
                model: "linfa-logistic",
                source: cause.to_string().into(),
            })?;
        // linfa takes the more frequent outcome for the positive one.
        let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
        let model = LinfaLogistic {
            feature_names: training.names,
            intercept: sign * fitted.intercept(),
            weights: fitted.params().iter().map(|weight| sign * weight).collect(),
        };
        if !model.is_sound() {
            return Err(ModelError::Backend {
                model: "linfa-logistic",
                source: "its coefficients are not finite".into(),
            });
        }
        Ok(model)
    }
}

impl Classifier for LinfaLogistic {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, false)?;
        Ok(linear_probabilities(self.intercept, &self.weights, records))
    }
}

predict_by_probability!(LinfaLogistic);

/// Parameters of linfa's decision tree, not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaTreeParams(LinfaTreeValidParams);

/// Checked parameters of linfa's decision tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaTreeValidParams {
    max_depth: usize,
    min_leaf: f32,
}

/// linfa-trees calls itself once per level; deeper trees could exhaust the stack.
const DEEPEST: usize = 200;

impl Default for LinfaTreeParams {
    fn default() -> Self {
        Self(LinfaTreeValidParams { max_depth: 20, min_leaf: 1.0 })
    }
}

impl LinfaTreeParams {
    /// The maximum depth: splits between root and leaf (default 20, at most 200).
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.0.max_depth = depth;
        self
    }

    /// The minimum number of training rows in a leaf (default 1).
    pub fn min_leaf(mut self, rows: f32) -> Self {
        self.0.min_leaf = rows;
        self
    }
}

impl ParamGuard for LinfaTreeParams {
    type Checked = LinfaTreeValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        if self.0.max_depth > DEEPEST {
            return Err(ModelError::Parameter {
                name: "max_depth",
                value: self.0.max_depth.to_string(),
                expected: "at most 200",
            });
        }
        if !(self.0.min_leaf.is_finite() && self.0.min_leaf >= 1.0) {
            return Err(ModelError::Parameter {
                name: "min_leaf",
                value: self.0.min_leaf.to_string(),
                expected: "at least 1",
            });
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// A decision tree fitted by linfa-trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinfaTree {
    feature_names: Vec<String>,
    nodes: Nodes,
    gains: Vec<f64>,
}

impl LinfaTree {
    /// Default parameters: depth at most 20.
    pub fn params() -> LinfaTreeParams {
        LinfaTreeParams::default()
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn grown(&self) -> &[Nodes] {
        std::slice::from_ref(&self.nodes)
    }

    /// linfa's relative impurity decrease of each feature, adding up to 1; all 0 for a tree without a split.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    pub(crate) fn is_sound(&self) -> bool {
        let features = self.feature_names.len();
        self.gains.len() == features
            && self.gains.iter().all(|gain| (0.0..=1.0).contains(gain))
            && self.nodes.sets.is_empty()
            && self.nodes.is_sound(features, |value| (0.0..=1.0).contains(&value))
    }
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for LinfaTreeValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = LinfaTree;

    /// Fits linfa's tree and counts the outcomes of the training rows in its leaves.
    ///
    /// # Errors
    /// Bad shapes, NaN or infinities, one outcome only, [`ModelError::Backend`].
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<LinfaTree, ModelError> {
        let training = check_training(dataset, false)?;
        let fitted = linfa_trees::DecisionTree::params()
            .max_depth(Some(self.max_depth))
            .min_weight_leaf(self.min_leaf)
            .fit(&owned(&training))
            .map_err(|cause| ModelError::Backend { model: "linfa-trees", source: Box::new(cause) })?;
        let mut nodes = copied(fitted.root_node());
        count_leaves(&mut nodes, &training);
        let mut gains = vec![0.0; training.names.len()];
        // linfa's own function divides by 0 for a tree without a split.
        if nodes.len() > 1 {
            for (sum, gain) in gains.iter_mut().zip(fitted.mean_impurity_decrease()) {
                *sum = if gain > 0.0 { gain } else { 0.0 };
            }
        }
        Ok(LinfaTree {
            feature_names: training.names,
            nodes: Nodes { nodes, sets: Vec::new() },
            gains: normalised(gains),
        })
    }
}

/// Copies linfa's boxed nodes into ours, parents first.
fn copied(root: &TreeNode<f64, bool>) -> Vec<Node> {
    let blank = Node::Leaf { value: 0.5, rows: 0 };
    let mut nodes = vec![blank];
    let mut open = vec![(0, root)];
    while let Some((at, node)) = open.pop() {
        let children = node.children();
        if let [Some(left), Some(right)] = children.as_slice()
            && !node.is_leaf()
        {
            let (feature, threshold, _) = node.split();
            let first = nodes.len();
            nodes[at] =
                Node::Split { feature: feature as u32, threshold, missing_left: true, left: first as u32 };
            nodes.extend([blank, blank]);
            open.push((first, left));
            open.push((first + 1, right));
        }
    }
    nodes
}

fn count_leaves(nodes: &mut [Node], training: &Training<'_>) {
    let mut counts = vec![(0_u64, 0_u64); nodes.len()];
    for (row, &label) in training.records.outer_iter().zip(&training.labels) {
        let mut at = 0;
        while let Some(&Node::Split { feature, threshold, left, .. }) = nodes.get(at) {
            at = left as usize + usize::from(row[feature as usize] > threshold);
        }
        counts[at].0 += 1;
        counts[at].1 += u64::from(label);
    }
    for (node, (rows, positive)) in nodes.iter_mut().zip(counts) {
        if let Node::Leaf { .. } = node {
            let value = if rows == 0 { 0.5 } else { positive as f64 / rows as f64 };
            *node = Node::Leaf { value, rows };
        }
    }
}

fn owned(training: &Training<'_>) -> Dataset<f64, bool, ndarray::Ix1> {
    Dataset::new(training.records.to_owned(), Array1::from(training.labels.clone()))
        .with_feature_names(training.names.clone())
}

impl Classifier for LinfaTree {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, false)?;
        Ok(records.outer_iter().map(|row| self.nodes.value(row)).collect())
    }
}

predict_by_probability!(LinfaTree);
