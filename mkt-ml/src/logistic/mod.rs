//! Logistic regression with an L2, L1 or elastic net penalty, its coefficients, their errors and odds ratios.
//!
//! Minimises Σ vᵢ log(1 + exp(−yᵢzᵢ)) + λ [(1 − ρ)/2 ‖w‖² + ρ ‖w‖₁] with y ∈ {−1, 1}, z = b + w·x, b not penalised
//! and vᵢ the weight of a row: λ is linfa-logistic's `alpha` and scikit-learn's 1/C, ρ its `l1_ratio`. Missing values
//! are refused: the encoder imputes them.
//!
//! In a [`TrainedModel`](crate::TrainedModel) the features of a column of categories are never written out: a row
//! holds one code for all of them.

pub(crate) mod design;
pub(crate) mod objective;
mod solver;

use std::num::NonZeroUsize;

use linfa::{
    ParamGuard,
    dataset::{AsSingleTargets, DatasetBase},
    traits::Fit,
};
use ndarray::{Array1, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};
use serde::{Deserialize, Serialize};

use self::{design::Design, objective::Objective, solver::Search};
use crate::{
    class_weights::ClassWeights,
    classifier::{Classifier, ModelError, Training, check_records, check_training, predict_by_probability},
    progress::{Watcher, unwatched},
    significance::z_975,
    workers::{Crew, Workers},
};

/// Weights in a file beyond this are not those of a fit: their sums would overflow to NaN.
pub(crate) const MOST_WEIGHT: f64 = 1e100;

/// Parameters of a logistic regression, not yet checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogisticParams(LogisticValidParams);

/// Checked parameters of a logistic regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogisticValidParams {
    penalty: f64,
    l1_ratio: f64,
    class_weights: ClassWeights,
    max_iterations: usize,
    tolerance: f64,
    /// Not part of the model, which does not depend on it.
    #[serde(skip)]
    threads: Option<NonZeroUsize>,
}

/// A fitted logistic regression with an L2, L1 or elastic net penalty.
///
/// Minimises Σ vᵢ log(1 + exp(−yᵢzᵢ)) + λ [(1 − ρ)/2 ‖w‖² + ρ ‖w‖₁] with y ∈ {−1, 1}, z = b + w·x, an intercept b that is
/// not penalised, and vᵢ the weight of row i. λ ([`LogisticParams::penalty`]) is linfa-logistic's `alpha` and
/// scikit-learn's 1/C; ρ ([`LogisticParams::l1_ratio`]) is scikit-learn's `l1_ratio`. Missing values are refused; the
/// encoder of a [`TrainedModel`](crate::TrainedModel) imputes them.
///
/// ```
/// use linfa::prelude::*;
/// use mkt_ml::{Classifier, Logistic};
/// use ndarray::{Array1, array};
///
/// // Outcome against one 0/1 feature: 1 of 4 without it, 3 of 4 with it, so that the odds ratio is 9.
/// let records = array![[0.0], [0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0]];
/// let outcome = Array1::from(vec![true, false, false, false, true, true, true, false]);
/// let model = Logistic::params().penalty(0.0).fit(&Dataset::new(records, outcome))?;
/// assert!((model.coefficients()[0].odds_ratio - 9.0).abs() < 1e-9);
/// # Ok::<(), mkt_ml::ModelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    feature_names: Vec<String>,
    intercept: f64,
    weights: Vec<f64>,
    /// Of the intercept first, then of the weights.
    errors: Vec<f64>,
    iterations: usize,
    gradient: f64,
}

/// A coefficient with its standard error and odds ratio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Coefficient {
    /// The feature.
    pub feature: String,
    /// The change of the log odds per unit of the feature.
    pub estimate: f64,
    /// The standard error: the root of the diagonal of the inverse Hessian of the penalised loss. Without a
    /// penalty it is the classical Wald error; with one, the coefficient is biased towards 0 and the error
    /// is that of the normal approximation to the posterior under a N(0, 1/λ) prior. NaN where it is not known:
    /// with an L1 part in the penalty, or beyond 4000 features; so are the ends of the interval then.
    pub std_error: f64,
    /// exp(`estimate`): the factor on the odds per unit.
    pub odds_ratio: f64,
    /// Lower end of the 95 % interval of the odds ratio.
    pub odds_ratio_low: f64,
    /// Upper end of the 95 % interval of the odds ratio.
    pub odds_ratio_high: f64,
}

impl Coefficient {
    fn new(feature: &str, estimate: f64, std_error: f64) -> Self {
        let reach = z_975() * std_error;
        Self {
            feature: feature.to_owned(),
            estimate,
            std_error,
            odds_ratio: estimate.exp(),
            odds_ratio_low: (estimate - reach).exp(),
            odds_ratio_high: (estimate + reach).exp(),
        }
    }

    /// The same coefficient per `1 / scale` of its unit: per original unit of a standardised feature.
    pub(crate) fn rescaled(&self, scale: f64) -> Self {
        Self::new(&self.feature, self.estimate / scale, self.std_error / scale)
    }
}

impl Default for LogisticValidParams {
    fn default() -> Self {
        Self {
            penalty: 1.0,
            l1_ratio: 0.0,
            class_weights: ClassWeights::Equal,
            max_iterations: 100,
            tolerance: 1e-9,
            threads: None,
        }
    }
}

impl LogisticParams {
    /// The weight λ of the penalty (default 1). 0 switches it off.
    pub fn penalty(mut self, penalty: f64) -> Self {
        self.0.penalty = penalty;
        self
    }

    /// The share ρ of the L1 penalty (default 0): 1 is the lasso, which sets many weights to 0; values between are the
    /// elastic net. Above 0 there are no standard errors.
    pub fn l1_ratio(mut self, ratio: f64) -> Self {
        self.0.l1_ratio = ratio;
        self
    }

    /// The weights of the two outcomes (default [`ClassWeights::Equal`]).
    pub fn class_weights(mut self, weights: ClassWeights) -> Self {
        self.0.class_weights = weights;
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

    /// The maximum number of Newton steps (default 100; about 6 are usual). Beyond 4000 features, where the Hessian is
    /// not stored, twenty times as many quasi-Newton steps.
    pub fn max_iterations(mut self, most: usize) -> Self {
        self.0.max_iterations = most;
        self
    }

    /// The tolerance (default 1e-9): the fit has converged when each component of the gradient at most this fraction of the sum of the
    /// absolute values of its terms. Beyond 4000 features it is held at 1e-7 or more.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }
}

impl ParamGuard for LogisticParams {
    type Checked = LogisticValidParams;
    type Error = ModelError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        let LogisticValidParams { penalty, l1_ratio, max_iterations, tolerance, .. } = self.0;
        if !(penalty.is_finite() && penalty >= 0.0) {
            return Err(ModelError::Parameter {
                name: "penalty",
                value: penalty.to_string(),
                expected: "a finite number from 0",
            });
        }
        if !(0.0..=1.0).contains(&l1_ratio) {
            return Err(ModelError::Parameter {
                name: "l1_ratio",
                value: l1_ratio.to_string(),
                expected: "from 0 to 1",
            });
        }
        self.0.class_weights.check()?;
        if max_iterations == 0 {
            return Err(ModelError::Parameter {
                name: "max_iterations",
                value: "0".to_owned(),
                expected: "at least 1",
            });
        }
        if !(1e-14..1.0).contains(&tolerance) {
            return Err(ModelError::Parameter {
                name: "tolerance",
                value: tolerance.to_string(),
                expected: "from 1e-14 to below 1",
            });
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<D, T> Fit<ArrayBase<D, Ix2>, T, ModelError> for LogisticValidParams
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    type Object = Logistic;

    /// Fits by Newton's method, beyond 4000 features by a quasi-Newton one. Row weights of the dataset are used.
    ///
    /// # Errors
    /// Bad shapes, NaN or infinities, one outcome only, weights below 0, [`ModelError::Collinear`],
    /// [`ModelError::NotConverged`].
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Logistic, ModelError> {
        self.fit_watched(dataset, &unwatched)
    }
}

impl LogisticValidParams {
    /// As `fit`, calling `watcher` before every step.
    ///
    /// # Errors
    /// As `fit`, and [`ModelError::Cancelled`] when the watcher cancels.
    pub fn fit_watched<D, T>(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
        watcher: Watcher<'_>,
    ) -> Result<Logistic, ModelError>
    where
        D: Data<Elem = f64>,
        T: AsSingleTargets<Elem = bool>,
    {
        let Training { records, labels, names, weights } = check_training(dataset, true)?;
        Workers::new(self.threads, 256)?.enter(|crew| {
            let design = Design::dense(records);
            self.fit_design(&design, &labels, weights.as_deref(), names, crew, watcher)
        })
    }

    /// Fits on rows that were checked.
    pub(crate) fn fit_design(
        &self,
        design: &Design<'_>,
        labels: &[bool],
        weights: Option<&[f64]>,
        names: Vec<String>,
        crew: Crew,
        watcher: Watcher<'_>,
    ) -> Result<Logistic, ModelError> {
        design.check(&names)?;
        let weights = self.weights(labels, weights);
        let objective = Objective {
            design,
            labels,
            weights: weights.as_deref(),
            l2: self.penalty * (1.0 - self.l1_ratio),
            crew,
        };
        let (most, tolerance) = (self.max_iterations, self.tolerance);
        let search =
            Search { objective, l1: self.penalty * self.l1_ratio, names: &names, most, tolerance, watcher };
        let solution = search.minimise()?;
        Ok(Logistic {
            intercept: solution.intercept,
            weights: solution.weights,
            errors: solution.errors,
            iterations: solution.iterations,
            gradient: solution.gradient,
            feature_names: names,
        })
    }

    /// The weight of each row, that of its outcome included; `None` where all count 1.
    fn weights(&self, labels: &[bool], weights: Option<&[f64]>) -> Option<Vec<f64>> {
        if weights.is_none() && self.class_weights == ClassWeights::Equal {
            return None;
        }
        let of_row = |at: usize| weights.and_then(|weights| weights.get(at)).copied().unwrap_or(1.0);
        let mut counts = [0.0; 2];
        for (at, label) in labels.iter().enumerate() {
            counts[usize::from(*label)] += of_row(at);
        }
        let of_class = self.class_weights.of(counts[0], counts[1]);
        Some(
            labels.iter().enumerate().map(|(at, label)| of_row(at) * of_class[usize::from(*label)]).collect(),
        )
    }
}

impl Logistic {
    /// Default parameters: λ = 1.
    pub fn params() -> LogisticParams {
        LogisticParams::default()
    }

    /// One coefficient per feature, in order.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        let error = |at: usize| self.errors.get(at + 1).copied().unwrap_or(f64::NAN);
        let named = self.feature_names.iter().zip(&self.weights).enumerate();
        named.map(|(at, (name, weight))| Coefficient::new(name, *weight, error(at))).collect()
    }

    /// The intercept: the log odds where all features are 0.
    pub fn intercept(&self) -> Coefficient {
        Coefficient::new("(intercept)", self.intercept, self.errors.first().copied().unwrap_or(f64::NAN))
    }

    /// Newton steps taken.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// The largest relative gradient at the end: see [`LogisticParams::tolerance`].
    pub fn gradient(&self) -> f64 {
        self.gradient
    }

    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Whether stored numbers are ones that fitting could have given.
    pub(crate) fn is_sound(&self) -> bool {
        self.weights.len() == self.feature_names.len()
            && (self.errors.is_empty() || self.errors.len() == self.weights.len() + 1)
            && self.weights.iter().all(|weight| weight.abs() <= MOST_WEIGHT)
            && self.intercept.abs() <= MOST_WEIGHT
            && self.errors.iter().all(|error| error.is_finite())
    }
}

impl Classifier for Logistic {
    fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        check_records(records, &self.feature_names, false)?;
        Ok(linear_probabilities(self.intercept, &self.weights, records))
    }
}

impl Logistic {
    /// As [`Classifier::probabilities`], on rows in the form that the encoder gives without writing zeros out.
    pub(crate) fn probabilities_of(&self, design: &Design<'_>) -> Vec<f64> {
        objective::probabilities(design.linear(self.intercept, &self.weights))
    }
}

predict_by_probability!(Logistic);

/// σ(b + w·x) per row. Each row is summed by itself in the order of the features: a matrix product may sum
/// in another order for another number of rows.
pub(crate) fn linear_probabilities(
    intercept: f64,
    weights: &[f64],
    records: ArrayView2<'_, f64>,
) -> Array1<f64> {
    records.outer_iter().map(|row: ArrayView1<'_, f64>| sigmoid(linear(intercept, weights, row))).collect()
}

pub(crate) fn linear(intercept: f64, weights: &[f64], row: ArrayView1<'_, f64>) -> f64 {
    let z = row.iter().zip(weights).fold(intercept, |sum, (value, weight)| sum + value * weight);
    // Opposite overflows meet as NaN; nothing is known about such a row.
    if z.is_nan() { intercept } else { z }
}

/// 1 / (1 + e⁻ᶻ) without overflow and with full relative precision at both ends.
pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}
