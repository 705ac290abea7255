//! Cross-validation of several models on the same folds, and the significance of their difference.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    classifier::ModelError,
    evaluation::Evaluation,
    labelled::Labelled,
    progress::{Fits, Progress, Watcher, unwatched},
    significance::{Difference, corrected_t},
    split::Split,
    trained::{Algorithm, TrainedModel},
};

/// One model's evaluations, fold by fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoldScores {
    /// [`Algorithm::name`].
    pub model: String,
    /// One evaluation per fold at the threshold 0.5, in the order of the folds.
    pub folds: Vec<Evaluation>,
}

impl FoldScores {
    /// Mean and standard deviation of a metric over the folds that have it (AUC needs both outcomes); NaN if none has.
    pub fn mean(&self, figure: impl Fn(&Evaluation) -> Option<f64>) -> (f64, f64) {
        let values: Vec<f64> = self.folds.iter().filter_map(figure).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, crate::significance::variance(&values).sqrt())
    }
}

/// The result of a cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CrossValidation {
    /// In the order in which they were given.
    pub models: Vec<FoldScores>,
    /// The mean, over the folds, of test rows ÷ training rows.
    pub test_to_train: f64,
}

/// Cross-validates: fits each algorithm, its encoder included, on the training part of each fold and evaluates it on the
/// test part. Folds come from [`crate::split`]; for repeated cross-validation, concatenate several lists.
///
/// # Errors
/// As [`TrainedModel::fit`] and [`TrainedModel::evaluate`]; [`ModelError::Parameter`] for no folds.
///
/// ```
/// use mkt_ml::{Boosting, Frame, Labelled, Logistic, split, cross_validation::cross_validate};
///
/// # let csv = "pages,source,converted\n".to_owned() + &(0..300).map(|i| {
/// #     let pages = 1 + i * 7 % 12;
/// #     format!("{pages},{},{}\n", ["paid", "email"][i % 2], u8::from(pages + i % 2 * 3 + i * 53 % 8 > 11))
/// # }).collect::<String>();
/// let rows = Labelled::new(Frame::read_csv(csv.as_bytes())?, "converted")?;
/// let folds = split::stratified_folds(rows.labels(), 5, 42)?;
/// let compared = cross_validate(&rows, &[Logistic::params().into(), Boosting::params().trees(20).into()], &folds)?;
/// let difference = compared.difference(0, 1, |evaluation| evaluation.auc_roc).unwrap();
/// println!("boosting less logistic: {:+.3} AUC, p = {:.3}", difference.estimate, difference.p_value);
/// # Ok::<(), mkt_ml::Error>(())
/// ```
pub fn cross_validate(
    rows: &Labelled,
    algorithms: &[Algorithm],
    folds: &[Split],
) -> Result<CrossValidation, Error> {
    cross_validate_watched(rows, algorithms, folds, &unwatched)
}

/// As [`cross_validate`], and calls `watcher` after every fit: `done` counts the fits, of which there are folds ×
/// algorithms.
///
/// # Errors
/// As [`cross_validate`], and [`ModelError::Cancelled`] when the watcher breaks.
pub fn cross_validate_watched(
    rows: &Labelled,
    algorithms: &[Algorithm],
    folds: &[Split],
    watcher: Watcher<'_>,
) -> Result<CrossValidation, Error> {
    check(folds)?;
    let (mut done, total) = (0, folds.len() * algorithms.len());
    let mut models: Vec<FoldScores> = algorithms
        .iter()
        .map(|algorithm| FoldScores { model: algorithm.name().to_owned(), folds: Vec::new() })
        .collect();
    let mut shares = 0.0;
    for fold in folds {
        let [train, test] = [&fold.train, &fold.test].map(|part| rows.take(part));
        shares += test.rows() as f64 / train.rows() as f64;
        for (scores, algorithm) in models.iter_mut().zip(algorithms) {
            scores.folds.push(TrainedModel::fit(&train, algorithm.clone())?.evaluate(&test)?);
            done += 1;
            if watcher(Progress { done, total, validation_loss: None }).is_break() {
                return Err(ModelError::Cancelled { done, total }.into());
            }
        }
    }
    Ok(CrossValidation { models, test_to_train: shares / folds.len() as f64 })
}

impl CrossValidation {
    /// The difference of a metric, the model at `second` minus the one at `first`, by [`corrected_t`]. `None` where a
    /// model does not exist, a fold lacks the metric, or there is only one fold.
    pub fn difference(
        &self,
        first: usize,
        second: usize,
        figure: impl Fn(&Evaluation) -> Option<f64>,
    ) -> Option<Difference> {
        let of = |at: usize| self.models.get(at)?.folds.iter().map(&figure).collect::<Option<Vec<f64>>>();
        corrected_t(&of(first)?, &of(second)?, self.test_to_train)
    }
}

/// Out-of-fold probabilities: for each row, that of a model fitted without the row's fold. NaN for rows in no test part.
///
/// # Errors
/// As [`cross_validate`].
pub fn out_of_fold(rows: &Labelled, algorithm: &Algorithm, folds: &[Split]) -> Result<Vec<f64>, Error> {
    out_of_fold_watched(rows, algorithm, folds, &Fits::new(folds.len(), &unwatched))
}

/// As [`out_of_fold`], as the first of these fits.
pub(crate) fn out_of_fold_watched(
    rows: &Labelled,
    algorithm: &Algorithm,
    folds: &[Split],
    fits: &Fits<'_>,
) -> Result<Vec<f64>, Error> {
    check(folds)?;
    let mut unseen = vec![f64::NAN; rows.rows()];
    let encoder = algorithm.encoder();
    for (at, fold) in folds.iter().enumerate() {
        let train = rows.take(&fold.train);
        let model =
            fits.run(at, |watch| TrainedModel::fit_watched(&train, algorithm.clone(), &encoder, watch))?;
        let test = rows.frame().take(&fold.test);
        for (row, probability) in fold.test.iter().zip(model.probabilities(&test)?) {
            if let Some(slot) = unseen.get_mut(*row) {
                *slot = probability;
            }
        }
    }
    Ok(unseen)
}

fn check(folds: &[Split]) -> Result<(), ModelError> {
    if folds.is_empty() {
        let value = "0".to_owned();
        return Err(ModelError::Parameter { name: "folds", value, expected: "at least one" });
    }
    Ok(())
}
