//! The trait that all models implement, and the input checks that they share.
//!
//! linfa's `Fit` and `Predict` are implemented beside each model. linfa's `Predict` cannot return an error, so data that
//! has not been checked goes through [`Classifier::probabilities`].

use std::fmt::Debug;

use linfa::dataset::{AsSingleTargets, DatasetBase};
use ndarray::{Array1, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};

use crate::error::{Cause, shown};

/// A fitted model for a yes/no outcome.
///
/// Implementations are deterministic: a row has the same probability bit for bit in a batch of any size. All
/// probabilities are in `0.0..=1.0`.
pub trait Classifier: Debug + Send + Sync + 'static {
    /// The names of the features, in the order of the matrix columns.
    fn feature_names(&self) -> &[String];

    /// Returns the probability of the positive class for each row of `records`, a matrix of one row per observation and
    /// one column per feature.
    ///
    /// # Errors
    /// [`ModelError::Width`] for another number of columns than [`Classifier::feature_names`];
    /// [`ModelError::NotFinite`] for an infinity, or for NaN in a model that does not handle missing values.
    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError>;
}

impl<C: Classifier + ?Sized> Classifier for Box<C> {
    fn feature_names(&self) -> &[String] {
        (**self).feature_names()
    }

    fn probabilities(&self, records: ArrayView2<'_, f64>) -> Result<Array1<f64>, ModelError> {
        (**self).probabilities(records)
    }
}

/// Why a model could not be fitted, or could not score rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A parameter is outside its range.
    #[error("the parameter {name} is {value}: expected {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// The invalid value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// No rows or no features.
    #[error("nothing to fit: {rows} rows and {features} features")]
    Empty {
        /// Rows.
        rows: usize,
        /// Features.
        features: usize,
    },
    /// Rows and labels differ in number.
    #[error("{rows} rows but {labels} labels")]
    Labels {
        /// Rows of the matrix.
        rows: usize,
        /// Labels.
        labels: usize,
    },
    /// More rows or features than the model supports: row and feature numbers have 32 bits.
    #[error("{rows} rows and {features} features are more than this model supports")]
    TooLarge {
        /// Rows.
        rows: usize,
        /// Features.
        features: usize,
    },
    /// All training rows have the same outcome.
    #[error("all {rows} training rows are {}: both outcomes are needed", if *positive { "positive" } else { "negative" })]
    OneClass {
        /// Rows.
        rows: usize,
        /// The one outcome.
        positive: bool,
    },
    /// A value is infinite, or missing in a model that does not handle missing values.
    #[error("feature `{feature}` is {value} in row {row}")]
    NotFinite {
        /// The feature.
        feature: String,
        /// The row, from 0.
        row: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// A categorical feature holds something else than a category code: codes are the whole numbers from 0 to 2²⁰ − 1.
    #[error("feature `{feature}` is {value} in row {row}: expected a category code (0, 1, 2, …)")]
    NotACategory {
        /// The feature.
        feature: String,
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A row's weight is negative, infinite or NaN.
    #[error("invalid weight {value} in row {row}: expected a number from 0 up")]
    Weight {
        /// The row, from 0.
        row: usize,
        /// The weight.
        value: f64,
    },
    /// The model does not support row weights.
    #[error("{model} does not support row weights")]
    WeightsUnknown {
        /// The model.
        model: &'static str,
    },
    /// The watcher cancelled the fit.
    #[error("the fit was cancelled after {done} of {total} steps")]
    Cancelled {
        /// Trees grown or steps taken.
        done: usize,
        /// Trees requested, or the maximum number of steps.
        total: usize,
    },
    /// Another number of features than in training.
    #[error("{found} features where the model was fitted with {expected}")]
    Width {
        /// Features in training.
        expected: usize,
        /// Features now.
        found: usize,
    },
    /// A feature is a linear combination of others and there is no penalty, so its coefficient is not unique.
    #[error("feature `{feature}` is a linear combination of others: leave it out or set a penalty")]
    Collinear {
        /// The feature.
        feature: String,
    },
    /// The solver reached its limit of iterations before the optimum.
    #[error(
        "not converged after {iterations} iterations (relative gradient {gradient:.1e} at `{feature}`): \
         the outcomes may be separable, a larger penalty helps"
    )]
    NotConverged {
        /// Iterations done.
        iterations: usize,
        /// The largest relative gradient left.
        gradient: f64,
        /// Its feature.
        feature: String,
    },
    /// A back end failed.
    #[error("{model} could not be fitted")]
    Backend {
        /// Which back end.
        model: &'static str,
        /// Its error.
        source: Cause,
    },
}

impl From<linfa::error::Error> for ModelError {
    fn from(cause: linfa::error::Error) -> Self {
        Self::Backend { model: "linfa", source: Box::new(cause) }
    }
}

/// Training data after the checks.
pub(crate) struct Training<'a> {
    pub(crate) records: ArrayView2<'a, f64>,
    pub(crate) labels: Vec<bool>,
    pub(crate) names: Vec<String>,
    /// One weight a row, if the dataset has any; each is at least 0, and both outcomes have a positive total.
    pub(crate) weights: Option<Vec<f64>>,
}

/// Checks shape, labels and values; `missing` says whether NaN is allowed.
pub(crate) fn check_training<D, T>(
    dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    missing: bool,
) -> Result<Training<'_>, ModelError>
where
    D: Data<Elem = f64>,
    T: AsSingleTargets<Elem = bool>,
{
    let records = dataset.records().view();
    let targets: ArrayView1<'_, bool> = dataset.targets().as_single_targets();
    let (rows, features) = records.dim();
    if rows == 0 || features == 0 {
        return Err(ModelError::Empty { rows, features });
    }
    if targets.len() != rows {
        return Err(ModelError::Labels { rows, labels: targets.len() });
    }
    // The top bit is kept free: trees pack a row's label beside its weight.
    if rows > (u32::MAX / 2) as usize || features >= u32::MAX as usize {
        return Err(ModelError::TooLarge { rows, features });
    }
    let labels = targets.to_vec();
    check_labels(&labels)?;
    let given = dataset.feature_names();
    let names = if given.len() == features {
        given.to_vec()
    } else {
        (0..features).map(|at| format!("feature {at}")).collect()
    };
    check_values(records, &names, missing)?;
    let weights = check_weights(dataset.weights(), &labels)?;
    Ok(Training { records, labels, names, weights })
}

/// Both outcomes must occur.
pub(crate) fn check_labels(labels: &[bool]) -> Result<(), ModelError> {
    match labels.first() {
        Some(&first) if labels.iter().all(|&label| label == first) => {
            Err(ModelError::OneClass { rows: labels.len(), positive: first })
        }
        _ => Ok(()),
    }
}

fn check_weights(given: Option<&[f32]>, labels: &[bool]) -> Result<Option<Vec<f64>>, ModelError> {
    let Some(given) = given else { return Ok(None) };
    if given.len() != labels.len() {
        return Err(ModelError::Labels { rows: given.len(), labels: labels.len() });
    }
    let mut weigh = [false; 2];
    for (row, (&weight, &label)) in given.iter().zip(labels).enumerate() {
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(ModelError::Weight { row, value: f64::from(weight) });
        }
        weigh[usize::from(label)] |= weight > 0.0;
    }
    if weigh != [true, true] {
        return Err(ModelError::OneClass { rows: labels.len(), positive: weigh[1] });
    }
    Ok(Some(given.iter().map(|weight| f64::from(*weight)).collect()))
}

impl Training<'_> {
    /// Refuses weights, for models that would ignore them.
    pub(crate) fn unweighted(&self, model: &'static str) -> Result<(), ModelError> {
        if self.weights.is_some() { Err(ModelError::WeightsUnknown { model }) } else { Ok(()) }
    }
}

/// Checks width and values of rows to predict.
pub(crate) fn check_records(
    records: ArrayView2<'_, f64>,
    names: &[String],
    missing: bool,
) -> Result<(), ModelError> {
    if records.ncols() != names.len() {
        return Err(ModelError::Width { expected: names.len(), found: records.ncols() });
    }
    check_values(records, names, missing)
}

fn check_values(records: ArrayView2<'_, f64>, names: &[String], missing: bool) -> Result<(), ModelError> {
    let refused = |value: &f64| value.is_infinite() || (value.is_nan() && !missing);
    // Without indices and without leaving early first, so that wide registers can look: the offending cell is looked
    // for only when there is one.
    let any = match records.as_slice_memory_order() {
        Some(values) => {
            values.chunks(4096).any(|part| part.iter().fold(false, |any, value| any | refused(value)))
        }
        None => records.iter().any(refused),
    };
    if !any {
        return Ok(());
    }
    let found = records.indexed_iter().find(|(_, value)| refused(value));
    found.map_or(Ok(()), |((row, column), &value)| {
        Err(ModelError::NotFinite {
            feature: names.get(column).map(|name| shown(name)).unwrap_or_default(),
            row,
            value,
        })
    })
}

/// Implements linfa's `PredictInplace` (and with it `Predict`) for a [`Classifier`].
macro_rules! predict_by_probability {
    ($model:ty) => {
        /// Predicts the positive class where its probability is above 0.5.
        ///
        /// # Panics
        /// As linfa's own models: when the matrix does not fit the model or the targets. linfa's trait
        /// cannot return an error; [`Classifier::probabilities`](crate::Classifier::probabilities) can.
        impl<D: ndarray::Data<Elem = f64>>
            linfa::traits::PredictInplace<ndarray::ArrayBase<D, ndarray::Ix2>, ndarray::Array1<bool>>
            for $model
        {
            fn predict_inplace(
                &self,
                records: &ndarray::ArrayBase<D, ndarray::Ix2>,
                targets: &mut ndarray::Array1<bool>,
            ) {
                let probabilities = $crate::classifier::Classifier::probabilities(self, records.view());
                assert!(probabilities.is_ok(), "the records do not fit the model: {probabilities:?}");
                assert_eq!(records.nrows(), targets.len(), "one target per record is expected");
                for (target, probability) in targets.iter_mut().zip(probabilities.iter().flatten()) {
                    *target = *probability > 0.5;
                }
            }

            fn default_target(&self, records: &ndarray::ArrayBase<D, ndarray::Ix2>) -> ndarray::Array1<bool> {
                ndarray::Array1::from_elem(records.nrows(), false)
            }
        }
    };
}
pub(crate) use predict_by_probability;
