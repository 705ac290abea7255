//! Step 5: who will convert.

use mkt_connect::chart::{Chart, Lang};
use mkt_examples::{Context, Step, file};
use mkt_ml::importance::PermutationImportance;
use mkt_ml::{
    ColumnKind, CsvOptions, Forest, Labelled, Logistic, TrainedModel, chart, evaluation::Evaluation,
};
use std::path::Path;

/// Two models, judged on rows that training did not see.
pub(crate) struct Prediction {
    pub(crate) rows: usize,
    pub(crate) test_rows: usize,
    pub(crate) logistic: Evaluation,
    pub(crate) forest: Evaluation,
    pub(crate) report: String,
    /// The AUC that shuffling a column of the forest costs, largest first.
    pub(crate) importances: Vec<PermutationImportance>,
    pub(crate) charts: Vec<Chart>,
    /// Whether the model read back from its file scores every row as the one that was saved.
    pub(crate) reloaded_equal: bool,
    pub(crate) changed: bool,
}

/// Trains on four fifths of the rows, judges on the rest, keeps the forest in a file and reads it back.
pub(crate) fn predict(data: &Path, file: &Path, seed: u64) -> Step<Prediction> {
    let cannot = || format!("cannot learn from {}", data.display());
    // Kinds are declared: a stray word among numbers is an error with its line, not a category.
    let numeric = ["time_on_site", "pages_viewed"].map(|name| (name, ColumnKind::Numeric));
    let words = ["source", "device"].map(|name| (name, ColumnKind::Categorical));
    let kinds = numeric.into_iter().chain(words);
    let options = kinds.fold(CsvOptions::default(), |options, (name, kind)| options.kind(name, kind));
    let frame = options.read_path(data).context(cannot)?;
    let visits = Labelled::new(frame, "converted").context(cannot)?;
    let (train, test) = visits.split(0.2, seed).context(cannot)?;
    let logistic = TrainedModel::fit(&train, Logistic::params())?;
    let forest = TrainedModel::fit(&train, Forest::params().trees(100).min_leaf(5).seed(seed))?;
    let changed = file::replace(file, &forest.to_bytes()?)?;
    let reloaded = TrainedModel::load(file)?;

    let (of_logistic, of_forest) =
        (logistic.probabilities(test.frame())?, reloaded.probabilities(test.frame())?);
    let curves = [("random forest", of_forest.as_slice()), ("logistic regression", of_logistic.as_slice())];
    let importances = reloaded.permutation_importances(&test, 5, seed)?;
    let evaluation = reloaded.evaluate(&test)?;
    Ok(Prediction {
        rows: visits.rows(),
        test_rows: test.rows(),
        logistic: logistic.evaluate(&test)?,
        report: reloaded.report(&evaluation).to_string(),
        forest: evaluation,
        charts: vec![
            chart::roc(test.labels(), &curves, Lang::En)?.into(),
            chart::permutation_importance(&importances, Lang::En).into(),
        ],
        importances,
        reloaded_equal: forest.probabilities(test.frame())? == of_forest,
        changed,
    })
}

impl Prediction {
    pub(crate) fn sentence(&self) -> String {
        let auc = |evaluation: &Evaluation| evaluation.auc_roc.unwrap_or(f64::NAN);
        let (logistic, forest) = (auc(&self.logistic), auc(&self.forest));
        format!("AUC-ROC {logistic:.3} (logistic regression), {forest:.3} (forest of 100 trees)")
    }
}
