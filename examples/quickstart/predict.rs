//! Step 5: who will convert.

use crate::failure::{Context, Step};
use mkt_connect::chart::{Chart, Lang};
use mkt_ml::importance::PermutationImportance;
use mkt_ml::{ColumnKind, CsvOptions};
use mkt_ml::{Forest, Labelled, Logistic, TrainedModel, chart, evaluation::Evaluation};
use std::path::Path;

/// Two models, judged on rows that they never saw.
#[derive(Debug)]
pub(crate) struct Prediction {
    pub(crate) rows: usize,
    pub(crate) test_rows: usize,
    pub(crate) logistic: Judged,
    pub(crate) forest: Judged,
    pub(crate) charts: Vec<Chart>,
    /// Whether the model read back from its file scores every row exactly as the one that was saved.
    pub(crate) reloaded_equal: bool,
    /// Whether the file's bytes are new.
    pub(crate) changed: bool,
}

/// A model and its verdict.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) evaluation: Evaluation,
    pub(crate) report: String,
    /// The AUC that shuffling a column costs, largest first.
    pub(crate) importances: Vec<PermutationImportance>,
    probabilities: Vec<f64>,
}

/// Trains on four fifths of `user_behavior.csv`, judges on the rest, keeps the forest in a file and reads it back.
pub(crate) fn predict(data: &Path, out: &Path, seed: u64) -> Step<Prediction> {
    let path = data.join("user_behavior.csv");
    // Kinds are declared: a stray word among numbers is told with its line, not taken for a category.
    let behaviour = CsvOptions::default()
        .kind("time_on_site", ColumnKind::Numeric)
        .kind("pages_viewed", ColumnKind::Numeric)
        .kind("source", ColumnKind::Categorical)
        .kind("device", ColumnKind::Categorical)
        .read_path(&path)
        .and_then(|frame| Labelled::new(frame, "converted"))
        .context(|| format!("cannot learn from {}", path.display()))?;
    let (train, test) = behaviour.split(0.2, seed).context(|| format!("cannot split {}", path.display()))?;

    let logistic = TrainedModel::fit(&train, Logistic::params())?;
    let forest = TrainedModel::fit(&train, Forest::params().trees(100).min_leaf(5).seed(seed))?;

    let file = out.join("model.mkt");
    let before = std::fs::read(&file).ok();
    let bytes = forest.to_bytes()?;
    let changed = before.as_deref() != Some(bytes.as_slice());
    if changed {
        forest.save(&file)?;
    }
    let reloaded = TrainedModel::load(&file)?;
    let reloaded_equal = reloaded.probabilities(test.frame())? == forest.probabilities(test.frame())?;

    let (logistic, forest) = (judge(&logistic, &test, seed)?, judge(&reloaded, &test, seed)?);
    let curves: [(&str, &[f64]); 2] =
        [("random forest", &forest.probabilities), ("logistic regression", &logistic.probabilities)];
    let charts = vec![
        chart::roc(test.labels(), &curves, Lang::En)?.into(),
        chart::permutation_importance(&forest.importances, Lang::En).into(),
    ];
    Ok(Prediction {
        rows: behaviour.rows(),
        test_rows: test.rows(),
        logistic,
        forest,
        charts,
        reloaded_equal,
        changed,
    })
}

fn judge(model: &TrainedModel, test: &Labelled, seed: u64) -> Step<Judged> {
    let evaluation = model.evaluate(test)?;
    let report = model.report(&evaluation).to_string();
    // Permutation importances speak for both kinds of model, in one unit.
    let importances = model.permutation_importances(test, 5, seed)?;
    let probabilities = model.probabilities(test.frame())?;
    Ok(Judged { evaluation, report, importances, probabilities })
}
