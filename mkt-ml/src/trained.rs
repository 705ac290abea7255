//! Trained models: an encoder and a model fitted together, which is what is saved, loaded and used for scoring.
//!
//! A trained model holds what scoring needs. Of the training rows it keeps counts, means, and the names of categories
//! with at least two rows or that are kept apart, nothing else.

use std::num::NonZeroUsize;

use linfa::{Dataset, ParamGuard, traits::Fit};
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

#[cfg(feature = "linfa-models")]
use crate::linfa_models::{LinfaLogistic, LinfaLogisticParams, LinfaTree, LinfaTreeParams};
#[cfg(feature = "onnx")]
use crate::tree::nodes::Nodes;
use crate::{
    Error,
    boosting::{Boosting, BoostingParams},
    calibration::{self, Calibration},
    classifier::{Classifier, ModelError, check_labels},
    cross_validation,
    encoder::{Encoder, EncoderParams, Feature, Folded, OutOfFold},
    evaluation::Evaluation,
    forest::{Forest, ForestParams},
    frame::{Column, CsvOptions, Field, Frame, Value},
    importance::{self, Importance, PermutationImportance},
    labelled::{Labelled, Target},
    logistic::{Coefficient, Logistic, LogisticParams, design::Design},
    progress::{Fits, Watcher, unwatched},
    report::ClassificationReport,
    split,
    tree::{Contributions, DecisionTree, TreeParams},
    workers::{Crew, Workers},
};

/// Rows encoded at a time when scoring, so that memory does not grow with the frame.
const BLOCK: usize = 1 << 14;
/// The most cells of an encoded block: 128 MiB of numbers. Models of more than 1024 features are scored in smaller
/// blocks.
const BLOCK_CELLS: usize = 1 << 24;

/// Which model to fit, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Algorithm {
    /// [`Logistic`].
    Logistic(LogisticParams),
    /// [`DecisionTree`].
    Tree(TreeParams),
    /// [`Forest`], extra trees among them.
    Forest(ForestParams),
    /// [`Boosting`].
    Boosting(BoostingParams),
    /// linfa-logistic (feature `linfa-models`).
    #[cfg(feature = "linfa-models")]
    LinfaLogistic(LinfaLogisticParams),
    /// linfa-trees (feature `linfa-models`).
    #[cfg(feature = "linfa-models")]
    LinfaTree(LinfaTreeParams),
}

impl Algorithm {
    /// The model's name: `logistic`, `tree`, `forest`, `extra-trees`, `boosting`, `linfa-logistic`, `linfa-tree`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Logistic(_) => "logistic",
            Self::Tree(_) => "tree",
            Self::Forest(params) if params.has_random_cuts() => "extra-trees",
            Self::Forest(_) => "forest",
            Self::Boosting(_) => "boosting",
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(_) => "linfa-logistic",
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(_) => "linfa-tree",
        }
    }

    /// The encoder that suits the model: one-hot for linear models, native for boosting, ordinal for other trees,
    /// with missing values imputed for linfa's tree, which does not know them.
    pub fn encoder(&self) -> EncoderParams {
        match self {
            Self::Logistic(_) => EncoderParams::one_hot(),
            Self::Tree(_) | Self::Forest(_) => EncoderParams::ordinal(),
            Self::Boosting(_) => EncoderParams::native(),
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(_) => EncoderParams::one_hot(),
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(_) => EncoderParams::ordinal().missing(crate::encoder::MissingValues::Impute),
        }
    }

    /// The number of threads to use; one for models that are fitted on one thread.
    fn threads(&self) -> Option<NonZeroUsize> {
        match self {
            Self::Logistic(params) => params.wanted_threads(),
            Self::Forest(params) => params.wanted_threads(),
            Self::Boosting(params) => params.wanted_threads(),
            _ => Some(NonZeroUsize::MIN),
        }
    }

    fn fit(
        &self,
        dataset: &Dataset<f64, bool, ndarray::Ix1>,
        features: &[Feature],
        watcher: Watcher<'_>,
    ) -> Result<Fitted, ModelError> {
        Ok(match self {
            Self::Logistic(params) => Fitted::Logistic(params.check_ref()?.fit_watched(dataset, watcher)?),
            Self::Tree(params) => Fitted::Tree(params.fit(dataset)?),
            Self::Forest(params) => Fitted::Forest(params.check_ref()?.fit_watched(dataset, watcher)?),
            Self::Boosting(params) => {
                let categories = features.iter().filter(|feature| feature.categorical);
                let categories = categories.map(|feature| feature.name.clone()).collect();
                Fitted::Boosting(
                    params.with_categorical(categories).check_ref()?.fit_watched(dataset, None, watcher)?,
                )
            }
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(params) => Fitted::LinfaLogistic(params.fit(dataset)?),
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(params) => Fitted::LinfaTree(params.fit(dataset)?),
        })
    }
}

/// Implements `From` for the parameters of each algorithm.
macro_rules! algorithm_from {
    ($($params:ty => $variant:ident),*) => {$(
        impl From<$params> for Algorithm {
            fn from(params: $params) -> Self {
                Self::$variant(params)
            }
        }
    )*};
}
algorithm_from!(
    LogisticParams => Logistic, TreeParams => Tree, ForestParams => Forest, BoostingParams => Boosting
);
#[cfg(feature = "linfa-models")]
algorithm_from!(LinfaLogisticParams => LinfaLogistic, LinfaTreeParams => LinfaTree);

/// A fitted model of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fitted {
    Logistic(Logistic),
    Tree(DecisionTree),
    Forest(Forest),
    Boosting(Boosting),
    #[cfg(feature = "linfa-models")]
    LinfaLogistic(LinfaLogistic),
    #[cfg(feature = "linfa-models")]
    LinfaTree(LinfaTree),
}

impl Fitted {
    fn classifier(&self) -> &dyn Classifier {
        match self {
            Self::Logistic(model) => model,
            Self::Tree(model) => model,
            Self::Forest(model) => model,
            Self::Boosting(model) => model,
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(model) => model,
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(model) => model,
        }
    }

    /// Impurity shares of trees, else the weights of a linear model.
    fn influence(&self) -> Influence<'_> {
        match self {
            Self::Logistic(model) => Influence::Weights(model.weights()),
            Self::Tree(model) => Influence::Gains(model.gains()),
            Self::Forest(model) => Influence::Gains(model.gains()),
            Self::Boosting(model) => Influence::Gains(model.gains()),
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(model) => Influence::Weights(model.weights()),
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(model) => Influence::Gains(model.gains()),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Logistic(model) => model.is_sound(),
            Self::Tree(model) => model.is_sound(),
            Self::Forest(model) => model.is_sound(),
            Self::Boosting(model) => model.is_sound(),
            #[cfg(feature = "linfa-models")]
            Self::LinfaLogistic(model) => model.is_sound(),
            #[cfg(feature = "linfa-models")]
            Self::LinfaTree(model) => model.is_sound(),
        }
    }
}

/// The formula of a model over its features.
#[cfg(feature = "onnx")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Formula<'a> {
    /// 1 ÷ (1 + exp(−(intercept + weights · features))).
    Linear { weights: &'a [f64], intercept: f64 },
    /// The mean of the trees' probabilities.
    Mean(&'a [Nodes]),
    /// 1 ÷ (1 + exp(−(base + the sum of the trees' values))).
    LogOdds { base: f64, trees: &'a [Nodes] },
}

#[derive(Clone, Copy)]
enum Influence<'a> {
    Weights(&'a [f64]),
    Gains(&'a [f64]),
}

/// Counts and importances of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingSummary {
    /// Training rows.
    pub rows: usize,
    /// Those that were positive.
    pub positives: usize,
    /// Importance of each column in the order of the schema: see [`TrainedModel::importances`].
    pub importances: Vec<Importance>,
}

/// How one column of a frame fits a model: see [`TrainedModel::fit_of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnFit {
    /// The column.
    pub column: String,
    /// Rows of the frame.
    pub rows: usize,
    /// Rows without a value.
    pub missing: usize,
    /// Rows with a category that training did not show, or that it merged with other rare ones.
    pub unfamiliar: usize,
}

/// A model that scores frames: encoder, model, schema, parameters and training summary.
///
/// A model that was saved with [`TrainedModel::save`] and loaded with [`TrainedModel::load`] gives the same probabilities
/// bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedModel {
    target: Target,
    encoder: Encoder,
    algorithm: Algorithm,
    summary: TrainingSummary,
    model: Fitted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calibration: Option<Calibration>,
    /// Words for missing values that were declared for the training file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing_words: Vec<String>,
}

impl TrainedModel {
    /// Fits a model with the encoder that suits it ([`Algorithm::encoder`]).
    ///
    /// # Errors
    /// [`Error::Encode`] and [`Error::Model`]: empty frames, a column without values, one outcome only.
    pub fn fit(train: &Labelled, algorithm: impl Into<Algorithm>) -> Result<Self, Error> {
        let algorithm = algorithm.into();
        let encoder = algorithm.encoder();
        Self::fit_with(train, algorithm, &encoder)
    }

    /// Fits a model with the given encoder parameters.
    ///
    /// # Errors
    /// As [`TrainedModel::fit`], and [`ModelError::NotFinite`] where missing values are kept for a model that
    /// does not handle them.
    pub fn fit_with(
        train: &Labelled,
        algorithm: impl Into<Algorithm>,
        encoder: &EncoderParams,
    ) -> Result<Self, Error> {
        Self::fit_watched(train, algorithm, encoder, &unwatched)
    }

    /// As [`TrainedModel::fit_with`], and calls `watcher` after every tree, or before every step of a logistic
    /// regression. Single trees and linfa's models do not call it.
    ///
    /// # Errors
    /// As [`TrainedModel::fit_with`], and [`ModelError::Cancelled`] when the watcher cancels.
    pub fn fit_watched(
        train: &Labelled,
        algorithm: impl Into<Algorithm>,
        encoder: &EncoderParams,
        watcher: Watcher<'_>,
    ) -> Result<Self, Error> {
        let algorithm = algorithm.into();
        let (encoder, model, shares) = Workers::new(algorithm.threads(), 256)?
            .enter(|crew| fit(train, &algorithm, encoder, crew, watcher))?;
        let named = encoder.schema().into_iter().zip(shares);
        let summary = TrainingSummary {
            rows: train.rows(),
            positives: train.labels().iter().filter(|label| **label).count(),
            importances: named
                .map(|(field, importance)| Importance { column: field.name, importance })
                .collect(),
        };
        Ok(Self {
            target: train.target().clone(),
            encoder,
            algorithm,
            summary,
            model,
            calibration: None,
            missing_words: train.frame().missing_words().to_vec(),
        })
    }

    /// Fits a model and calibrates it by `method` without a held-out set: the calibration is fitted on out-of-fold
    /// probabilities of the training rows (scikit-learn's `CalibratedClassifierCV(ensemble=False)`).
    ///
    /// # Errors
    /// As [`TrainedModel::fit`], and [`Error::Split`] where `folds` is below 2 or an outcome has fewer rows.
    pub fn fit_calibrated(
        train: &Labelled,
        algorithm: impl Into<Algorithm>,
        method: calibration::Method,
        folds: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        Self::fit_calibrated_watched(train, algorithm, method, folds, seed, &unwatched)
    }

    /// As [`TrainedModel::fit_calibrated`], and calls `watcher` after every tree or step of each of the `folds` + 1 fits,
    /// and after every fit of a model without steps: `done` and `total` count over all fits.
    ///
    /// # Errors
    /// As [`TrainedModel::fit_calibrated`], and [`ModelError::Cancelled`] when the watcher cancels.
    pub fn fit_calibrated_watched(
        train: &Labelled,
        algorithm: impl Into<Algorithm>,
        method: calibration::Method,
        folds: usize,
        seed: u64,
        watcher: Watcher<'_>,
    ) -> Result<Self, Error> {
        let algorithm = algorithm.into();
        let splits = split::stratified_folds(train.labels(), folds, seed)?;
        let fits = Fits::new(splits.len() + 1, watcher);
        let unseen = cross_validation::out_of_fold_watched(train, &algorithm, &splits, &fits)?;
        let encoder = algorithm.encoder();
        let mut model =
            fits.run(splits.len(), |watch| Self::fit_watched(train, algorithm, &encoder, watch))?;
        model.calibration = Some(method.fit(train.labels(), &unseen)?);
        Ok(model)
    }

    /// Returns the model with its probabilities calibrated on `rows`, which training did not see. An earlier calibration
    /// is replaced.
    ///
    /// # Errors
    /// As [`TrainedModel::probabilities`], and [`Error::Metric`] for rows of one outcome only.
    pub fn calibrated(mut self, rows: &Labelled, method: calibration::Method) -> Result<Self, Error> {
        self.calibration = None;
        let probabilities = self.probabilities(rows.frame())?;
        self.calibration = Some(method.fit(rows.labels(), &probabilities)?);
        Ok(self)
    }

    /// The probability of the positive outcome for each row. Columns are found by name; others, the target
    /// among them, are ignored.
    ///
    /// # Errors
    /// [`Error::Encode`]: a column that is missing or of another kind, or an unseen category under
    /// [`Unseen::Refuse`](crate::encoder::Unseen::Refuse).
    pub fn probabilities(&self, frame: &Frame) -> Result<Vec<f64>, Error> {
        let mut probabilities = Vec::with_capacity(frame.rows());
        let block = self.block();
        for start in (0..frame.rows()).step_by(block) {
            let end = frame.rows().min(start + block);
            match &self.model {
                Fitted::Logistic(model) if self.encoder.is_one_hot() => {
                    probabilities.extend(model.probabilities_of(&self.encoder.design(
                        frame,
                        start..end,
                        &OutOfFold::default(),
                        Crew::ALONE,
                    )?));
                }
                model => {
                    let records =
                        self.encoder.transform_rows(frame, start..end, &OutOfFold::default(), Crew::ALONE)?;
                    probabilities.extend(model.classifier().probabilities(records.view())?);
                }
            }
        }
        if let Some(calibration) = &self.calibration {
            probabilities.iter_mut().for_each(|p| *p = calibration.apply(*p));
        }
        Ok(probabilities)
    }

    /// How a frame fits the columns that the model was fitted with: missing values, and categories that training did
    /// not show, which the model treats as missing or rare. Columns that the frame lacks have all rows missing.
    pub fn fit_of(&self, frame: &Frame) -> Vec<ColumnFit> {
        let unfamiliar = self.encoder.unfamiliar(frame);
        let of =
            |column: &str| unfamiliar.iter().find(|(name, _)| *name == column).map_or(0, |(_, rows)| *rows);
        let schema = self.schema().into_iter();
        schema
            .map(|field| ColumnFit {
                rows: frame.rows(),
                missing: frame.column(&field.name).map_or(frame.rows(), Column::missing),
                unfamiliar: of(&field.name),
                column: field.name,
            })
            .collect()
    }

    /// The probability of the positive outcome for each row of a matrix, whose columns are those of
    /// [`TrainedModel::schema`] in that order; for models fitted on [`Labelled::from_matrix`]. NaN is a missing value.
    ///
    /// # Errors
    /// [`Error::Frame`] for another number of columns or an infinity; [`Error::Encode`] where the model was fitted
    /// with categories.
    pub fn probabilities_of(&self, matrix: ArrayView2<'_, f64>) -> Result<Vec<f64>, Error> {
        let schema = self.schema();
        let names: Vec<&str> = schema.iter().map(|field| field.name.as_str()).collect();
        self.probabilities(&Frame::from_array(&names, matrix)?)
    }

    /// The probability of the positive outcome for one row, given as named values; [`Value::Missing`] where
    /// nothing is known.
    ///
    /// # Errors
    /// As [`TrainedModel::probabilities`], and [`Error::Frame`] for a name given twice or an infinity.
    pub fn probability(&self, row: &[(&str, Value)]) -> Result<f64, Error> {
        let (names, values): (Vec<&str>, Vec<Value>) = row.iter().cloned().unzip();
        let frame = Frame::from_rows(&names, &[values])?;
        let probabilities = self.probabilities(&frame)?;
        Ok(probabilities.first().copied().unwrap_or(f64::NAN))
    }

    /// Evaluates the model on labelled rows at the threshold 0.5.
    ///
    /// # Errors
    /// As [`TrainedModel::probabilities`], and [`Error::Metric`] for no rows.
    pub fn evaluate(&self, rows: &Labelled) -> Result<Evaluation, Error> {
        Ok(Evaluation::new(rows.labels(), &self.probabilities(rows.frame())?, 0.5)?)
    }

    /// The classification report of an evaluation, with the classes as written in the data.
    pub fn report(&self, evaluation: &Evaluation) -> ClassificationReport {
        evaluation.report(&self.target.negative, &self.target.positive)
    }

    /// How much each column matters to the model, the largest first, together 1 (all 0 where none does).
    ///
    /// For trees: the share of the impurity decrease. For linear models: the standard deviation, over the
    /// training rows, of what the column adds to the log odds, as a share of the sum; it does not depend on
    /// units or on the reference level of a category.
    pub fn importances(&self) -> Vec<Importance> {
        let mut importances = self.summary.importances.clone();
        importances.sort_by(|a, b| b.importance.total_cmp(&a.importance));
        importances
    }

    /// The contribution of each column of each row to the prediction of a model of trees (TreeSHAP), the features of a column
    /// added up: probabilities for trees and forests, log odds for boosting, before any [`Calibration`]. `None` for
    /// linear models, which have [coefficients](TrainedModel::coefficients), and for linfa's tree.
    ///
    /// # Errors
    /// As [`TrainedModel::probabilities`].
    pub fn contributions(&self, frame: &Frame) -> Result<Option<Contributions>, Error> {
        let schema = self.schema();
        let columns: Vec<usize> = self
            .encoder
            .features()
            .iter()
            .map(|feature| schema.iter().position(|field| field.name == feature.column).unwrap_or_default())
            .collect();
        let mut all = Contributions { mean: f64::NAN, values: Array2::zeros((frame.rows(), schema.len())) };
        // Runs once even for no rows, to get the mean and errors.
        let block = self.block();
        for start in (0..frame.rows().max(1)).step_by(block) {
            let rows = start..frame.rows().min(start + block);
            let records = self.encoder.transform_rows(frame, rows, &OutOfFold::default(), Crew::ALONE)?;
            let part = match &self.model {
                Fitted::Tree(model) => model.contributions(records.view())?,
                Fitted::Forest(model) => model.contributions(records.view())?,
                Fitted::Boosting(model) => model.contributions(records.view())?,
                _ => return Ok(None),
            };
            all.mean = part.mean;
            for ((row, feature), value) in part.values.indexed_iter() {
                if let Some(sum) = columns.get(feature).and_then(|at| all.values.get_mut((start + row, *at)))
                {
                    *sum += value;
                }
            }
        }
        Ok(Some(all))
    }

    /// How much AUC is lost when a column is shuffled, the largest first: see
    /// [`importance::permutation_importances`].
    ///
    /// # Errors
    /// As [`TrainedModel::probabilities`]; rows of one outcome only.
    pub fn permutation_importances(
        &self,
        rows: &Labelled,
        repeats: usize,
        seed: u64,
    ) -> Result<Vec<PermutationImportance>, Error> {
        importance::permutation_importances(self, rows, repeats, seed)
    }

    /// Coefficients of a [`Logistic`] model in original units: per page, not per standard deviation of
    /// pages; per level against the most frequent one. `None` for other models.
    pub fn coefficients(&self) -> Option<Vec<Coefficient>> {
        let Fitted::Logistic(model) = &self.model else { return None };
        let features = self.encoder.features();
        let coefficients = model.coefficients().into_iter().zip(features);
        Some(coefficients.map(|(coefficient, feature)| coefficient.rescaled(feature.scale)).collect())
    }

    /// The forest, if the model is one.
    pub fn forest(&self) -> Option<&Forest> {
        if let Fitted::Forest(forest) = &self.model { Some(forest) } else { None }
    }

    /// The boosting model, if the model is one.
    pub fn boosting(&self) -> Option<&Boosting> {
        if let Fitted::Boosting(boosting) = &self.model { Some(boosting) } else { None }
    }

    /// The logistic regression on encoded features, if the model is one.
    pub fn logistic(&self) -> Option<&Logistic> {
        if let Fitted::Logistic(model) = &self.model { Some(model) } else { None }
    }

    /// The rules of a decision tree, categories by name; `None` for other models. See [`DecisionTree::rules`].
    pub fn rules(&self) -> Option<String> {
        self.tree().map(|tree| tree.rules_over(&self.encoder.features()))
    }

    /// The decision tree, if the model is one.
    pub fn tree(&self) -> Option<&DecisionTree> {
        if let Fitted::Tree(tree) = &self.model { Some(tree) } else { None }
    }

    /// The model on encoded features.
    pub fn classifier(&self) -> &dyn Classifier {
        self.model.classifier()
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The columns of which training showed more levels than the model keeps apart: merged, or replaced by the log odds
    /// by level (see [`HighCardinality`](crate::encoder::HighCardinality)).
    pub fn folded(&self) -> Vec<Folded> {
        self.encoder.folded()
    }

    /// The algorithm and its parameters.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// The predicted outcome.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The training summary.
    pub fn summary(&self) -> &TrainingSummary {
        &self.summary
    }

    /// The calibration, if there is one.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// How to read a file to score: its columns as the training file's were understood, with the same words for missing
    /// values. Encoding and delimiter are found in the file.
    pub fn csv_options(&self) -> CsvOptions {
        let options = CsvOptions::default().schema(&self.schema());
        self.missing_words.iter().fold(options, |options, word| options.missing_word(word))
    }

    /// The columns that a frame must have, in the order of training.
    pub fn schema(&self) -> Vec<Field> {
        self.encoder.schema()
    }

    /// The model in the parts of which a formula is made.
    #[cfg(feature = "onnx")]
    pub(crate) fn formula(&self) -> Formula<'_> {
        match &self.model {
            Fitted::Logistic(model) => {
                Formula::Linear { weights: model.weights(), intercept: model.intercept().estimate }
            }
            #[cfg(feature = "linfa-models")]
            Fitted::LinfaLogistic(model) => {
                Formula::Linear { weights: model.weights(), intercept: model.intercept() }
            }
            Fitted::Tree(model) => Formula::Mean(model.grown()),
            Fitted::Forest(model) => Formula::Mean(model.grown()),
            #[cfg(feature = "linfa-models")]
            Fitted::LinfaTree(model) => Formula::Mean(model.grown()),
            Fitted::Boosting(model) => Formula::LogOdds { base: model.base(), trees: model.grown() },
        }
    }

    /// Rows to encode at a time.
    fn block(&self) -> usize {
        let features = self.model.classifier().feature_names().len();
        (BLOCK_CELLS / features.max(1)).clamp(1, BLOCK)
    }

    /// Whether the parts fit together, for models that come from a file.
    pub(crate) fn is_sound(&self) -> bool {
        // The columns first: features are only named for an encoder that is itself sound.
        self.encoder.is_sound()
            && self.model.is_sound()
            && self.calibration.as_ref().is_none_or(Calibration::is_sound)
            && self.summary.importances.len() == self.schema().len()
            && self
                .encoder
                .features()
                .iter()
                .map(|feature| &feature.name)
                .eq(self.model.classifier().feature_names())
    }
}

/// The encoder, the model and the share of each column in what moves it.
fn fit(
    train: &Labelled,
    algorithm: &Algorithm,
    encoder: &EncoderParams,
    crew: Crew,
    watcher: Watcher<'_>,
) -> Result<(Encoder, Fitted, Vec<f64>), Error> {
    let (encoder, held_out) = encoder.fit_by(train.frame(), Some(train.labels()), crew)?;
    let features = encoder.features();
    let columns: Vec<usize> = {
        let schema = encoder.schema();
        let position = |column: &str| schema.iter().position(|field| field.name == column);
        features.iter().map(|feature| position(&feature.column).unwrap_or_default()).collect()
    };
    let count = encoder.schema().len();
    let names: Vec<String> = features.iter().map(|feature| feature.name.clone()).collect();
    let rows = 0..train.rows();
    if let Algorithm::Logistic(params) = algorithm
        && encoder.is_one_hot()
    {
        check_labels(train.labels())?;
        let design = encoder.design(train.frame(), rows, &held_out, crew)?;
        let model = params.check_ref()?.fit_design(&design, train.labels(), None, names, crew, watcher)?;
        let shares = spreads(&columns, count, crew, |first, end| design.part(model.weights(), first, end));
        return Ok((encoder, Fitted::Logistic(model), shares));
    }
    let records = encoder.transform_rows(train.frame(), rows, &held_out, crew)?;
    let labels = Array1::from(train.labels().to_vec());
    let dataset = Dataset::new(records, labels).with_feature_names(names);
    let model = algorithm.fit(&dataset, &features, watcher)?;
    let shares = match model.influence() {
        Influence::Gains(gains) => gains_by_column(gains, &columns, count),
        Influence::Weights(weights) => {
            let design = Design::dense(dataset.records().view());
            spreads(&columns, count, crew, |first, end| design.part(weights, first, end))
        }
    };
    Ok((encoder, model, shares))
}

/// The share of each of `count` columns in the gains of features; `columns` tells which column a feature comes
/// from.
fn gains_by_column(gains: &[f64], columns: &[usize], count: usize) -> Vec<f64> {
    let mut shares = vec![0.0; count];
    for (&column, gain) in columns.iter().zip(gains) {
        if let Some(share) = shares.get_mut(column) {
            *share += gain;
        }
    }
    crate::tree::normalised(shares)
}

/// The share of each column in the spread of the log odds: the deviation, over the rows, of what `part` says that
/// its features add.
fn spreads(
    columns: &[usize],
    count: usize,
    crew: Crew,
    part: impl Fn(usize, usize) -> Vec<f64> + Sync,
) -> Vec<f64> {
    let spread = |column: usize| {
        // The features of a column stand together.
        let first = columns.iter().position(|of| *of == column)?;
        let end = first + columns.iter().skip(first).take_while(|of| **of == column).count();
        Some(deviation(&part(first, end)))
    };
    let shares = crew.map((0..count).collect(), |column| spread(column).unwrap_or_default());
    crate::tree::normalised(shares)
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    if deviation.is_finite() { deviation } else { 0.0 }
}
