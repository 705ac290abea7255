//! What every model offers, and the checks that all of them make before fitting and predicting.
//!
//! linfa's `Fit` and `Predict` are implemented beside each model; linfa's `Predict` has no way to fail, so
//! [`Classifier::probabilities`] is the door for data that were not checked before.

use std::fmt::Debug;

use linfa::dataset::{AsSingleTargets, DatasetBase};
use ndarray::{Array1, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};

use crate::error::{Cause, shown};

/// A model that tells how likely a row is positive.
///
/// Implementations are deterministic: the same rows give the same probabilities bit for bit, whatever rows
/// they come with. All probabilities lie in `0.0..=1.0`.
pub trait Classifier: Debug + Send + Sync + 'static {
    /// The names of the features in the order of the matrix columns.
    fn feature_names(&self) -> &[String];

    /// The probability of the positive class for each row.
    ///
    /// # Errors
    /// [`ModelError::Width`] for another number of columns than [`Classifier::feature_names`];
    /// [`ModelError::NotFinite`] for an infinity, or for NaN in a model that does not know missing values.
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

/// Why a model could not be fitted or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A parameter outside its range.
    #[error("the parameter {name} is {value}: expected {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Nothing to fit on.
    #[error("{rows} rows and {features} features leave nothing to fit")]
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
    /// More rows or features than the model can hold: it would run out of 32-bit numbers or of memory.
    #[error("{rows} rows and {features} features are more than this model can hold")]
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
    /// A value that the model cannot take.
    #[error("feature `{feature}` is {value} in row {row}")]
    NotFinite {
        /// The feature.
        feature: String,
        /// The row, from 0.
        row: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// A value in a feature of categories that is no code: codes are the whole numbers 0, 1, 2, … below 2²⁰.
    #[error("feature `{feature}` is {value} in row {row}, which is no category's code")]
    NotACategory {
        /// The feature.
        feature: String,
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A row's weight that is negative, infinite or NaN.
    #[error("the weight of row {row} is {value}")]
    Weight {
        /// The row, from 0.
        row: usize,
        /// The weight.
        value: f64,
    },
    /// The model knows no weights of rows.
    #[error("{model} takes no weights of rows")]
    WeightsUnknown {
        /// The model.
        model: &'static str,
    },
    /// A watcher gave the fit up.
    #[error("the fit was given up after {done} of {total} steps")]
    Cancelled {
        /// Trees grown or steps taken.
        done: usize,
        /// Trees asked for, or the most steps.
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
    /// Without a penalty, a feature that others determine has no unique coefficient.
    #[error("feature `{feature}` is determined by the others: leave it out or set a penalty")]
    Collinear {
        /// The feature.
        feature: String,
    },
    /// The solver stopped short of the optimum.
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
    /// Another library refused.
    #[error("{model} could not be fitted")]
    Backend {
        /// Which back end.
        model: &'static str,
        /// Its own error.
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
    /// One weight a row, if the dataset has any; each a number from 0 up, and both outcomes weigh something.
    pub(crate) weights: Option<Vec<f64>>,
}

/// Checks shape, labels and values; `missing` says whether NaN is understood.
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
        /// Labels at probability above 0.5.
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
