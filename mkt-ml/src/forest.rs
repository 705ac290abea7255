//! A random forest: trees on bootstrap samples, features drawn per node, probabilities averaged.
//!
//! Every tree has its own random stream, far apart from the others, and results are put together in the
//! order of the trees: the same model bit for bit on any number of threads.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use linfa::{
    ParamGuard,
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use ndarray::{Array1, ArrayBase, ArrayView2, Data, Ix2, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{
    class_weights::ClassWeights,
    classifier::{Classifier, ModelError, Training, check_records, check_training, predict_by_probability},
    metrics,
    progress::{Progress, Watcher, unwatched},
    tree::{
        Contributions, MaxFeatures, check_limits, class_weights,
        grow::{self, CutChoice, Grown, Limits},
        nodes::Nodes,
        normalised,
        scorer::Prepared,
        table::{MOST_BINS, Table},
    },
    workers::{Crew, Workers},
};

/// The maximum number of trees; more is taken for a typing error.
const MOST_TREES: usize = 100_000;

/// Parameters of a random forest, not yet checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForestParams(ForestValidParams);

/// Checked parameters of a random forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForestValidParams {
    trees: usize,
    max_depth: Option<usize>,
    min_leaf: u64,
    max_features: MaxFeatures,
    bootstrap: bool,
    random_cuts: bool,
    class_weights: ClassWeights,
    out_of_bag: bool,
    seed: u64,
    /// Not part of the model, which does not depend on it.
    #[serde(skip)]
    threads: Option<NonZeroUsize>,
}

impl Default for ForestValidParams {
    fn default() -> Self {
        Self {
            trees: 100,
            max_depth: None,
            min_leaf: 1,
            max_features: MaxFeatures::Sqrt,
            bootstrap: true,
            random_cuts: false,
            class_weights: ClassWeights::Equal,
            out_of_bag: true,
            seed: 42,
            threads: None,
        }
    }
}

impl ForestParams {
    /// The number of trees (default 100).
    pub fn trees(mut self, trees: usize) -> Self {
        self.0.trees = trees;
        self
    }

    /// The maximum depth: splits between root and leaf (default none).
    pub fn max_depth(mut self, depth: impl Into<Option<usize>>) -> Self {
        self.0.max_depth = depth.into();
        self
    }

    /// The minimum number of drawn rows in a leaf (default 1; around 20 is faster and often ranks better).
    pub fn min_leaf(mut self, rows: u64) -> Self {
        self.0.min_leaf = rows;
        self
    }

    /// How many features are drawn at each split (default [`MaxFeatures::Sqrt`]).
    pub fn max_features(mut self, features: MaxFeatures) -> Self {
        self.0.max_features = features;
        self
    }

    /// Whether each tree draws rows with replacement (default) or sees all of them.
    pub fn bootstrap(mut self, bootstrap: bool) -> Self {
        self.0.bootstrap = bootstrap;
        self
    }

    /// Whether a feature's cut is drawn between the least and the largest value of the node, instead of the
    /// best of all (default `false`; see [`Forest::extra_trees`]).
    pub fn random_cuts(mut self, random: bool) -> Self {
        self.0.random_cuts = random;
        self
    }

    pub(crate) fn has_random_cuts(&self) -> bool {
        self.0.random_cuts
    }

    /// The weights of the two outcomes (default [`ClassWeights::Equal`]).
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.0.class_weights = weights;
        self
    }

    /// Whether to evaluate each row by the trees that did not see it (default `true`; needs bootstrap, and takes about a
    /// third of the time of a fit).
    pub fn out_of_bag(mut self, judge: bool) -> Self {
        self.0.out_of_bag = judge;
        self
    }

    /// The seed of all draws (default 42).
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
}

impl ParamGuard for ForestParams {
    type Checked = ForestValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        if self.0.trees == 0 || self.0.trees > MOST_TREES {
            return Err(ModelError::Parameter {
                name: "trees",
                value: self.0.trees.to_string(),
                expected: "from 1 to 100000",
            });
        }
        check_limits(self.0.min_leaf, self.0.max_features)?;
        self.0.class_weights.check()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// The out-of-bag evaluation: each row by the trees that did not see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutOfBag {
    /// Training rows that at least one tree left out.
    pub rows: usize,
    /// The share of them classified correctly.
    pub accuracy: f64,
    /// Their area under the ROC curve; `None` where they are all of one class.
    pub auc_roc: Option<f64>,
}

/// A fitted random forest: trees on bootstrap samples, features drawn per split, probabilities averaged.
///
/// Every tree has its own random stream, so the model is the same bit for bit on any number of threads. Missing values
/// (NaN) are handled by the trees.
///
/// ```
/// use linfa::prelude::*;
/// use mkt_ml::{Classifier, Forest};
/// use ndarray::array;
///
/// let visits = Dataset::new(array![[1.0], [2.0], [8.0], [9.0]], array![false, false, true, true]);
/// let forest = Forest::params().trees(50).seed(7).fit(&visits)?;
/// let probabilities = forest.probabilities(array![[0.0], [10.0]].view())?;
/// assert!(probabilities[0] < 0.3 && probabilities[1] > 0.7);
/// # Ok::<(), mkt_ml::ModelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    feature_names: Vec<String>,
    trees: Vec<Nodes>,
    gains: Vec<f64>,
    out_of_bag: Option<OutOfBag>,
    #[serde(skip)]
    prepared: Prepared,
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for ForestValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = Forest;

    /// Grows the forest. NaN is a missing value. With weights of rows, each tree draws its rows in proportion
    /// to them.
    ///
    /// # Errors
    /// Bad shapes, infinities, one outcome only, weights without bootstrap.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Forest, ModelError> {
        self.fit_watched(dataset, &unwatched)
    }
}

impl ForestValidParams {
    /// As `fit`, calling `watcher` after every tree.
    ///
    /// # Errors
    /// As `fit`, and [`ModelError::Cancelled`] when the watcher cancels.
    pub fn fit_watched<D, T>(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
        watcher: Watcher<'_>,
    ) -> Result<Forest, ModelError>
    where
        D: Data<Elem = f64>,
        T: AsSingleTargets<Elem = bool>,
    {
        let training = check_training(dataset, true)?;
        if !self.bootstrap {
            training.unweighted("a forest without bootstrap")?;
        }
        Workers::new(self.threads, self.trees)?.enter(|crew| self.grow_all(&training, watcher, crew))
    }

    fn grow_all(
        &self,
        training: &Training<'_>,
        watcher: Watcher<'_>,
        crew: Crew,
    ) -> Result<Forest, ModelError> {
        let table = Table::new(training.records, &training.names, &[], MOST_BINS, self.seed, crew)?;
        let weights = class_weights(self.class_weights, &training.labels);
        let lots = training.weights.as_deref().map(Lots::new);
        // Each jump skips 2^128 numbers: the streams of the trees never meet.
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let streams: Vec<Xoshiro256PlusPlus> = (0..self.trees)
            .map(|_| {
                rng.jump();
                rng.clone()
            })
            .collect();
        let (done, given_up) = (AtomicUsize::new(0), AtomicBool::new(false));
        let grown = crew.map(streams, |stream| {
            if given_up.load(Ordering::Relaxed) {
                return None;
            }
            let tree = self.grow(&table, &training.labels, lots.as_ref(), weights, stream);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let progress = Progress { done, total: self.trees, validation_loss: None };
            if watcher(progress) == ControlFlow::Break(()) {
                given_up.store(true, Ordering::Relaxed);
            }
            Some(tree)
        });
        if given_up.load(Ordering::Relaxed) {
            return Err(ModelError::Cancelled { done: done.into_inner(), total: self.trees });
        }
        let mut gains = vec![0.0; table.features()];
        let mut trees = Vec::with_capacity(self.trees);
        let mut bags = Vec::with_capacity(self.trees);
        for (Grown { tree, gains: of_tree }, bag) in grown.into_iter().flatten() {
            for (sum, gain) in gains.iter_mut().zip(normalised(of_tree)) {
                *sum += gain;
            }
            trees.push(tree);
            bags.push(bag);
        }
        let out_of_bag = if self.bootstrap && self.out_of_bag {
            out_of_bag(training.records, &training.labels, &trees, &bags, crew)
        } else {
            None
        };
        Ok(Forest {
            feature_names: training.names.clone(),
            trees,
            gains: normalised(gains),
            out_of_bag,
            prepared: Prepared::default(),
        })
    }

    fn grow(
        &self,
        table: &Table,
        labels: &[bool],
        lots: Option<&Lots>,
        weights: [f64; 2],
        mut rng: Xoshiro256PlusPlus,
    ) -> (Grown, Bag) {
        let rows = table.rows;
        let mut times = vec![u32::from(!self.bootstrap); rows];
        if self.bootstrap {
            for _ in 0..rows {
                let row = match lots {
                    None => rng.random_range(0..rows as u64) as usize,
                    Some(lots) => lots.draw(&mut rng),
                };
                if let Some(times) = times.get_mut(row) {
                    *times += 1;
                }
            }
        }
        let mut bag = Bag(vec![0; if self.bootstrap { rows.div_ceil(64) } else { 0 }]);
        let mut items = Vec::with_capacity(rows);
        for ((&times, &label), row) in times.iter().zip(labels).zip(0_u32..) {
            if times > 0 {
                items.push(grow::item(row, times, label));
                bag.insert(row as usize);
            }
        }
        drop(times);
        let limits = Limits {
            max_depth: self.max_depth.unwrap_or(usize::MAX),
            min_leaf: self.min_leaf,
            features: self.max_features.of(table.features()),
            cuts: if self.random_cuts { CutChoice::Random } else { CutChoice::Best },
            weights,
        };
        (grow::grow(table, &mut items, limits, &mut rng), bag)
    }
}

/// Draws rows in proportion to their weights.
struct Lots {
    /// The sum of the weights up to and with each row.
    sums: Vec<f64>,
}

impl Lots {
    fn new(weights: &[f64]) -> Self {
        let mut sum = 0.0;
        let running = |weight: &f64| {
            sum += weight;
            sum
        };
        Self { sums: weights.iter().map(running).collect() }
    }

    fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let at = rng.random::<f64>() * total;
        // A row without weight has the sum of the row before it, and is never the first above.
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

/// The rows that a tree saw, one bit each.
struct Bag(Vec<u64>);

impl Bag {
    fn insert(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    fn contains(&self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// Judges each row by the trees that did not see it.
fn out_of_bag(
    records: ArrayView2<'_, f64>,
    labels: &[bool],
    trees: &[Nodes],
    bags: &[Bag],
    crew: Crew,
) -> Option<OutOfBag> {
    // The chunks depend on the rows alone; within one, probabilities are added in the order of the trees.
    const CHUNK: usize = 4096;
    let chunks: Vec<usize> = (0..records.nrows()).step_by(CHUNK).collect();
    let parts = crew.map(chunks, |start| {
        let part = records.slice(s![start..records.nrows().min(start + CHUNK), ..]);
        let mut sums = vec![(0.0, 0_u32); part.nrows()];
        for (tree, bag) in trees.iter().zip(bags) {
            for ((row, (sum, count)), at) in part.outer_iter().zip(&mut sums).zip(start..) {
                if !bag.contains(at) {
                    *sum += tree.value(row);
                    *count += 1;
                }
            }
        }
        sums
    });
    let judged: (Vec<bool>, Vec<f64>) = parts
        .into_iter()
        .flatten()
        .zip(labels)
        .filter(|((_, count), _)| *count > 0)
        .map(|((sum, count), &label)| (label, sum / f64::from(count)))
        .unzip();
    let (labels, probabilities) = (&judged.0, &judged.1);
    if labels.is_empty() {
        return None;
    }
    let right = labels.iter().zip(probabilities).filter(|(label, p)| **label == (**p > 0.5)).count();
    Some(OutOfBag {
        rows: labels.len(),
        accuracy: right as f64 / labels.len() as f64,
        auc_roc: metrics::auc_roc(labels, probabilities).ok(),
    })
}

impl Forest {
    /// Default parameters: 100 trees, √features per node, grown until leaves are pure.
    pub fn params() -> ForestParams {
        ForestParams::default()
    }

    /// Default parameters of extra trees (Geurts, Ernst, Wehenkel, 2006): cuts drawn at random instead of
    /// searched for, and every tree sees all rows.
    pub fn extra_trees() -> ForestParams {
        ForestParams::default().random_cuts(true).bootstrap(false)
    }

    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// The mean share of each feature in a tree's decrease of impurity, adding up to 1. Features with
    /// many values are favoured; permutation importances on unseen rows are not so biased.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// The out-of-bag evaluation; `None` without bootstrap.
    pub fn out_of_bag(&self) -> Option<&OutOfBag> {
        self.out_of_bag.as_ref()
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn grown(&self) -> &[Nodes] {
        &self.trees
    }

    /// The contribution of each feature of each row to its probability: see
    /// [`DecisionTree::contributions`](crate::DecisionTree::contributions).
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn contributions(&self, records: ArrayView2<'_, f64>) -> Result<Contributions, ModelError> {
        check_records(records, &self.feature_names, true)?;
        Ok(Contributions::of(&self.trees, 0.0, self.trees.len() as f64, records))
    }

    pub(crate) fn is_sound(&self) -> bool {
        let features = self.feature_names.len();
        !self.trees.is_empty()
            && self.gains.len() == features
            && self.gains.iter().all(|gain| (0.0..=1.0).contains(gain))
            && self.trees.iter().all(|tree| tree.is_sound(features, |value| (0.0..=1.0).contains(&value)))
    }
}

impl Classifier for Forest {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, true)?;
        let count = self.trees.len() as f64;
        let mut sums = vec![0.0; records.nrows()];
        self.prepared.add(&self.trees, records, &mut sums);
        // A mean of ones may round above 1.
        Ok(sums.into_iter().map(|sum| (sum / count).min(1.0)).collect())
    }
}

predict_by_probability!(Forest);
