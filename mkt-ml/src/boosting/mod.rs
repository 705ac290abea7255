//! Gradient boosting: each tree corrects the log odds of those before it.
//!
//! Histogram trees grown leaf by leaf, with native categories, missing values, monotone constraints, early
//! stopping and weights of rows. Gradients are rounded to 16 bits by chance, so that all sums are whole numbers:
//! the same model bit for bit on any number of threads and on any processor.

pub(crate) mod gradients;
mod grow;
pub(crate) mod histogram;
pub(crate) mod math;
mod params;
pub(crate) mod split;

use std::ops::ControlFlow;

use linfa::{
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use ndarray::{Array1, ArrayBase, ArrayView2, Axis, Data, Ix2};
use rand::{Rng, SeedableRng, seq::index};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use self::{
    gradients::Gradients,
    grow::{Grown, Limits, Pool},
    histogram::Item,
    math::sigmoid,
    split::Rules,
};
pub use self::{
    params::{BoostingParams, BoostingValidParams, EarlyStopping},
    split::Monotone,
};
use crate::{
    classifier::{Classifier, ModelError, Training, check_records, check_training, predict_by_probability},
    error::shown,
    progress::{Progress, Watcher, unwatched},
    simd::Level,
    split as rows_split,
    tree::{Contributions, nodes::Nodes, normalised, scorer::Prepared, table::Table},
    workers::{Crew, Workers},
};

/// Leaf values in a file beyond this are not those of a fit.
const MOST_VALUE: f64 = 1e3;

/// A fitted gradient boosting model: each tree corrects the log odds of those before it.
///
/// Histogram trees grown leaf by leaf, with native categories, missing values (NaN), monotone constraints, early stopping
/// and row weights. Gradients are rounded to 16 bits stochastically, which makes all sums whole numbers: the model is the
/// same bit for bit on any number of threads and on any processor.
///
/// ```
/// use linfa::prelude::*;
/// use mkt_ml::{Boosting, Classifier};
/// use ndarray::{Array1, Array2};
///
/// // Visitors of many pages convert.
/// let pages = Array2::from_shape_fn((200, 1), |(row, _)| (row % 20) as f64);
/// let converted: Array1<bool> = pages.column(0).mapv(|pages| pages > 11.0);
/// let visits = Dataset::new(pages, converted).with_feature_names(vec!["pages"]);
/// let model = Boosting::params().trees(50).fit(&visits)?;
/// let probabilities = model.probabilities(ndarray::array![[3.0], [15.0]].view())?;
/// assert!(probabilities[0] < 0.01 && probabilities[1] > 0.99);
/// # Ok::<(), mkt_ml::ModelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boosting {
    feature_names: Vec<String>,
    /// The log odds before the first tree.
    base: f64,
    trees: Vec<Nodes>,
    gains: Vec<f64>,
    validation: Option<ValidationLoss>,
    #[serde(skip)]
    prepared: Prepared,
}

/// The log-loss on held-out rows that early stopping watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationLoss {
    /// Rows held out.
    pub rows: usize,
    /// Their log-loss after each tree that was grown, those dropped included.
    pub losses: Vec<f64>,
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for BoostingValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = Boosting;

    /// Boosts trees. NaN is a missing value; row weights of the dataset are used.
    ///
    /// # Errors
    /// Bad shapes, infinities, one outcome only, negative weights, an unknown feature name.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Boosting, ModelError> {
        self.fit_watched(dataset, None, &unwatched)
    }
}

impl BoostingValidParams {
    /// As `fit`, calling `watcher` after every tree. With [`BoostingParams::early_stopping`], the rows of `validation`, if
    /// given, decide when to stop.
    ///
    /// # Errors
    /// As `fit`, and [`ModelError::Cancelled`] when the watcher cancels.
    pub fn fit_watched<D, T>(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
        validation: Option<&DatasetBase<ArrayBase<D, Ix2>, T>>,
        watcher: Watcher<'_>,
    ) -> Result<Boosting, ModelError>
    where
        D: Data<Elem = f64>,
        T: AsSingleTargets<Elem = bool>,
    {
        let training = check_training(dataset, true)?;
        let Some(stopping) = self.early_stopping else { return self.boost(&training, None, watcher) };
        if let Some(validation) = validation {
            let held_out = check_training(validation, true)?;
            if held_out.records.ncols() != training.records.ncols() {
                let (expected, found) = (training.records.ncols(), held_out.records.ncols());
                return Err(ModelError::Width { expected, found });
            }
            let held_out =
                HeldOut { records: held_out.records, labels: held_out.labels, weights: held_out.weights };
            return self.boost(&training, Some((stopping, held_out)), watcher);
        }
        let divided = rows_split::stratified(&training.labels, stopping.fraction, self.seed);
        let divided = divided.map_err(|_| ModelError::Parameter {
            name: "early_stopping fraction",
            value: stopping.fraction.to_string(),
            expected: "one that leaves both outcomes in both parts",
        })?;
        let part = |rows: &[usize]| {
            let labels: Vec<bool> =
                rows.iter().filter_map(|row| training.labels.get(*row)).copied().collect();
            let of = |weights: &Vec<f64>| rows.iter().filter_map(|row| weights.get(*row)).copied().collect();
            (training.records.select(Axis(0), rows), labels, training.weights.as_ref().map(of))
        };
        let (records, labels, weights) = part(&divided.train);
        let (held_records, held_labels, held_weights) = part(&divided.test);
        let rest = Training { records: records.view(), labels, names: training.names.clone(), weights };
        let held_out = HeldOut { records: held_records.view(), labels: held_labels, weights: held_weights };
        self.boost(&rest, Some((stopping, held_out)), watcher)
    }

    fn boost(
        &self,
        training: &Training<'_>,
        held_out: Option<(EarlyStopping, HeldOut<'_>)>,
        watcher: Watcher<'_>,
    ) -> Result<Boosting, ModelError> {
        let position = |parameter: &'static str, feature: &str| {
            let found = training.names.iter().position(|name| name == feature);
            found.ok_or_else(|| ModelError::Parameter {
                name: parameter,
                value: shown(feature),
                expected: "the name of a feature",
            })
        };
        let categorical: Vec<usize> = self
            .categorical
            .iter()
            .map(|feature| position("categorical", feature))
            .collect::<Result<_, _>>()?;
        let mut monotone = Vec::new();
        if !self.monotone.is_empty() {
            monotone.resize(training.names.len(), None);
        }
        for (feature, direction) in &self.monotone {
            let at = position("monotone", feature)?;
            if let Some(slot) = monotone.get_mut(at) {
                *slot = Some(*direction);
            }
        }
        Workers::new(self.threads, 256)?.enter(|crew| {
            let table =
                Table::new(training.records, &training.names, &categorical, self.bins, self.seed, crew)?;
            Boost { params: self, training, table, monotone, crew }.run(held_out, watcher)
        })
    }
}

/// Rows that decide when to stop.
struct HeldOut<'a> {
    records: ArrayView2<'a, f64>,
    labels: Vec<bool>,
    weights: Option<Vec<f64>>,
}

/// Margins that a tree is added to at a time.
const MARGINS: usize = 1 << 15;

/// One fit.
struct Boost<'a, 'b> {
    params: &'a BoostingValidParams,
    training: &'a Training<'b>,
    table: Table,
    monotone: Vec<Option<Monotone>>,
    crew: Crew,
}

impl Boost<'_, '_> {
    fn run(
        &self,
        held_out: Option<(EarlyStopping, HeldOut<'_>)>,
        watcher: Watcher<'_>,
    ) -> Result<Boosting, ModelError> {
        let Self { params, training, table, .. } = self;
        let rows = table.rows;
        let base = base(&training.labels, training.weights.as_deref());
        let mut margins = vec![base; rows];
        let mut items: Vec<Item> = vec![0; rows];
        let mut drawn: Vec<Item> = Vec::new();
        let mut gradients = Gradients::new(rows);
        let mut pool = Pool::default();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        let mut model = Boosting {
            feature_names: training.names.clone(),
            base,
            trees: Vec::with_capacity(params.trees),
            gains: vec![0.0; table.features()],
            validation: None,
            prepared: Prepared::default(),
        };
        let mut watch = held_out.map(|(stopping, rows)| Watch::new(stopping, rows, base));
        while model.trees.len() < params.trees {
            let seed = rng.random();
            let weights = training.weights.as_deref();
            let units = gradients.write(&margins, &training.labels, weights, seed, &mut items, self.crew);
            let rules = self.rules(units);
            let features = self.draw_features(&mut rng);
            let limits = Limits {
                leaves: params.leaves,
                max_depth: params.max_depth.unwrap_or(usize::MAX),
                min_gain: params.min_gain,
            };
            let whole = params.subsample >= 1.0 && weights.is_none();
            let seen: &mut [Item] = if whole {
                &mut items
            } else {
                self.draw_rows(&items, &mut drawn, &mut rng);
                &mut drawn
            };
            let grown = grow::grow(
                table,
                seen,
                &features,
                &rules,
                limits,
                params.learning_rate,
                &mut pool,
                self.crew,
            );
            let stuck = grown.leaves.len() < 2;
            self.move_margins(&grown, seen, whole, &mut margins);
            for (sum, gain) in model.gains.iter_mut().zip(&grown.gains) {
                *sum += gain;
            }
            model.trees.push(grown.tree);
            let over = watch.as_mut().is_some_and(|watch| watch.is_over(&model));
            let loss = watch.as_ref().and_then(|watch| watch.validation.losses.last().copied());
            let done = model.trees.len();
            let progress = Progress { done, total: params.trees, validation_loss: loss };
            if watcher(progress) == ControlFlow::Break(()) {
                return Err(ModelError::Cancelled { done, total: params.trees });
            }
            // The next tree would find nothing either, unless it sees other rows or features.
            if over || (stuck && whole && features.len() == table.features()) {
                break;
            }
        }
        if let Some(watch) = watch {
            model.trees.truncate(watch.best + 1);
            model.validation = Some(watch.validation);
        }
        model.gains = normalised(model.gains);
        Ok(model)
    }

    fn rules(&self, units: gradients::Units) -> Rules {
        let in_units = |hessian: f64| hessian / units.hessian;
        Rules {
            l2: in_units(self.params.l2),
            category_l2: in_units(self.params.category_l2),
            category_smoothing: in_units(self.params.category_smoothing),
            min_hessian: in_units(self.params.min_hessian).ceil().clamp(1.0, f64::from(i32::MAX)) as i32,
            min_leaf: self.params.min_leaf,
            monotone: self.monotone.clone(),
            units,
            level: Level::of_machine(),
        }
    }

    fn draw_features(&self, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
        let all = self.table.features();
        let count = ((all as f64 * self.params.column_sample).round() as usize).clamp(1, all);
        if count == all {
            return (0..all).collect();
        }
        let mut features = index::sample(rng, all, count).into_vec();
        features.sort_unstable();
        features
    }

    /// The rows that the next tree sees: those drawn, among those that weigh anything.
    fn draw_rows(&self, items: &[Item], drawn: &mut Vec<Item>, rng: &mut Xoshiro256PlusPlus) {
        drawn.clear();
        let share = self.params.subsample;
        for (at, item) in items.iter().enumerate() {
            let weighs = self
                .training
                .weights
                .as_ref()
                .is_none_or(|weights| weights.get(at).is_some_and(|w| *w > 0.0));
            // Every row takes one number, so that weights do not change who is drawn.
            let lucky = share >= 1.0 || rng.random::<f64>() < share;
            if weighs && lucky {
                drawn.push(*item);
            }
        }
    }

    /// Adds a tree to the margins of all rows.
    fn move_margins(&self, grown: &Grown, seen: &[Item], whole: bool, margins: &mut [f64]) {
        if whole {
            let mut leaves = Vec::with_capacity(grown.leaves.len());
            let mut start = 0;
            for &(value, end) in &grown.leaves {
                leaves.push((value, seen.get(start..end).unwrap_or_default()));
                start = end;
            }
            // A leaf's rows ascend: those in a part of the margins lie side by side, and the part stays in the cache
            // while all leaves are added to it.
            let parts: Vec<_> = margins.chunks_mut(MARGINS).enumerate().collect();
            self.crew.map(parts, |(part, margins)| {
                let first = part * MARGINS;
                for (value, items) in &leaves {
                    let from = items.partition_point(|item| (*item as u32 as usize) < first);
                    for item in items.get(from..).unwrap_or_default() {
                        let Some(margin) = margins.get_mut(*item as u32 as usize - first) else { break };
                        *margin += value;
                    }
                }
            });
            return;
        }
        for (margin, row) in margins.iter_mut().zip(self.training.records.outer_iter()) {
            *margin += grown.tree.value(row);
        }
    }
}

/// The log odds of all rows together.
fn base(labels: &[bool], weights: Option<&[f64]>) -> f64 {
    let [mut negative, mut positive] = [0.0, 0.0];
    for (at, label) in labels.iter().enumerate() {
        let weight = weights.and_then(|weights| weights.get(at)).copied().unwrap_or(1.0);
        if *label { positive += weight } else { negative += weight }
    }
    (positive / negative).ln()
}

/// The rows held out while trees are added.
struct Watch<'a> {
    stopping: EarlyStopping,
    rows: HeldOut<'a>,
    margins: Vec<f64>,
    best: usize,
    validation: ValidationLoss,
}

impl<'a> Watch<'a> {
    fn new(stopping: EarlyStopping, rows: HeldOut<'a>, base: f64) -> Self {
        let count = rows.labels.len();
        let validation = ValidationLoss { rows: count, losses: Vec::new() };
        Self { stopping, rows, margins: vec![base; count], best: 0, validation }
    }

    /// Adds the last tree of a model and says whether the loss has stopped falling.
    fn is_over(&mut self, model: &Boosting) -> bool {
        let Some(tree) = model.trees.last() else { return false };
        let (mut loss, mut weigh) = (0.0, 0.0);
        let rows = self.rows.records.outer_iter().zip(&self.rows.labels);
        for (at, ((row, label), margin)) in rows.zip(&mut self.margins).enumerate() {
            *margin += tree.value(row);
            let weight = self.rows.weights.as_ref().and_then(|w| w.get(at)).copied().unwrap_or(1.0);
            // ln(1 + e^-m) for a positive row, with the sign turned for a negative one.
            let m = if *label { -*margin } else { *margin };
            loss += weight * (m.max(0.0) + (-m.abs()).exp().ln_1p());
            weigh += weight;
        }
        let loss = loss / weigh;
        let losses = &mut self.validation.losses;
        if losses.get(self.best).is_none_or(|best| loss < *best) {
            self.best = losses.len();
        }
        losses.push(loss);
        losses.len() > self.best + self.stopping.rounds
    }
}

impl Boosting {
    /// Default parameters: 100 trees of 31 leaves at a learning rate of 0.1.
    pub fn params() -> BoostingParams {
        BoostingParams::default()
    }

    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// The share of each feature in the decrease of the loss over all splits, adding up to 1; all 0 without a split.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// The losses on held-out rows; `None` without early stopping.
    pub fn validation(&self) -> Option<&ValidationLoss> {
        self.validation.as_ref()
    }

    #[cfg(feature = "onnx")]
    pub(crate) fn grown(&self) -> &[Nodes] {
        &self.trees
    }

    /// The log odds before the first tree.
    #[cfg(feature = "onnx")]
    pub(crate) fn base(&self) -> f64 {
        self.base
    }

    /// The contribution of each feature of each row to the log odds: the Shapley values of TreeSHAP (Lundberg et al.,
    /// 2018). A row's contributions and the mean add up to the log odds of its probability.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn contributions(&self, records: ArrayView2<'_, f64>) -> Result<Contributions, ModelError> {
        check_records(records, &self.feature_names, true)?;
        Ok(Contributions::of(&self.trees, self.base, 1.0, records))
    }

    pub(crate) fn is_sound(&self) -> bool {
        let features = self.feature_names.len();
        self.base.abs() <= MOST_VALUE
            && self.gains.len() == features
            && self.gains.iter().all(|gain| (0.0..=1.0).contains(gain))
            && self.trees.iter().all(|tree| tree.is_sound(features, |value| value.abs() <= MOST_VALUE))
    }
}

impl Classifier for Boosting {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, true)?;
        let mut margins = vec![self.base; records.nrows()];
        self.prepared.add(&self.trees, records, &mut margins);
        Ok(margins.into_iter().map(sigmoid).collect())
    }
}

predict_by_probability!(Boosting);
