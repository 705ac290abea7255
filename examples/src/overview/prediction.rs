//! Who converts: two models judged on rows that training did not see, one of them kept in a file.

use crate::{Context, Step, file};
use mkt_connect::chart::{Chart, Column, Format, Lang, Table};
use mkt_ml::evaluation::Evaluation;
use mkt_ml::importance::PermutationImportance;
use mkt_ml::{ColumnKind, CsvOptions, Forest, Labelled, Logistic, TrainedModel, chart};
use serde_json::{Value, json};
use std::path::Path;

/// Trains on four fifths of the rows, judges on the rest, keeps the forest in a file and reads it back.
///
/// # Errors
/// A file that cannot be learnt from, and a model that cannot be kept.
pub fn predict(data: &Path, file: &Path, seed: u64) -> Step<Prediction> {
    let cannot = || format!("cannot learn from {}", data.display());
    // Kinds are declared: a stray word among numbers is an error with its line, not a category.
    let options = CsvOptions::default()
        .kind("time_on_site", ColumnKind::Numeric)
        .kind("pages_viewed", ColumnKind::Numeric)
        .kind("source", ColumnKind::Categorical)
        .kind("device", ColumnKind::Categorical);
    let visits = Labelled::new(options.read_path(data).context(cannot)?, "converted").context(cannot)?;
    let (train, test) = visits.split(0.2, seed).context(cannot)?;
    let logistic = TrainedModel::fit(&train, Logistic::params())?;
    let forest = TrainedModel::fit(&train, Forest::params().trees(100).min_leaf(5).seed(seed))?;
    let changed = file::replace(file, &forest.to_bytes()?)?;
    let reloaded = TrainedModel::load(file)?;

    let (lines, trees) = (logistic.probabilities(test.frame())?, reloaded.probabilities(test.frame())?);
    let curves = [("random forest", trees.as_slice()), ("logistic regression", lines.as_slice())];
    let importances = reloaded.permutation_importances(&test, 5, seed)?;
    let evaluation = reloaded.evaluate(&test)?;
    let shuffled = chart::permutation_importance(&importances, Lang::En).into();
    Ok(Prediction {
        rows: visits.rows(),
        logistic: logistic.evaluate(&test)?,
        report: reloaded.report(&evaluation).to_string(),
        forest: evaluation,
        charts: vec![chart::roc(test.labels(), &curves, Lang::En)?.into(), shuffled],
        importances,
        reloaded_equal: forest.probabilities(test.frame())? == trees,
        changed,
    })
}

/// Two models, judged on rows that training did not see.
#[derive(Debug)]
pub struct Prediction {
    /// Rows of both parts.
    pub rows: usize,
    /// The logistic regression.
    pub logistic: Evaluation,
    /// The forest.
    pub forest: Evaluation,
    /// The forest's report, class by class.
    pub report: String,
    /// The AUC that shuffling a column of the forest costs, largest first.
    pub importances: Vec<PermutationImportance>,
    /// Curves and importances.
    pub charts: Vec<Chart>,
    /// Whether the model read back from its file scores every row as the one that was saved.
    pub reloaded_equal: bool,
    /// Whether the file is new.
    pub changed: bool,
}

impl Prediction {
    /// How well both models rank, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let [logistic, forest] = [&self.logistic, &self.forest].map(|it| it.auc_roc.unwrap_or(f64::NAN));
        format!("AUC-ROC {logistic:.3} (logistic regression), {forest:.3} (forest of 100 trees)")
    }

    /// Both models side by side, for a page.
    #[must_use]
    pub fn table(&self, lang: Lang) -> Table {
        let count = |rows: usize| lang.number(rows as f64, Format::Integer);
        let (test, all) = (count(self.forest.rows), count(self.rows));
        let numbers = ["Accuracy", "Precision", "Recall", "AUC-ROC"].map(Column::number);
        let mut table = Table::new([Column::text("Model")].into_iter().chain(numbers))
            .note(format!("Judged on {test} of {all} rows, which training did not see."));
        for (name, judged) in [("logistic regression", &self.logistic), ("random forest", &self.forest)] {
            let rates = [judged.accuracy, judged.precision, judged.recall];
            let [accuracy, precision, recall] = rates.map(|rate| lang.number(rate, Format::Percent(1)));
            table.push([name.to_owned(), accuracy, precision, recall, auc(judged)]);
        }
        table
    }

    pub(super) fn json(&self) -> Value {
        let importances = self.importances.iter();
        let importances = importances.map(|one| json!({"feature": one.column, "importance": one.mean}));
        let mut forest = json_of(&self.forest);
        forest["rows"] = json!(self.rows);
        forest["logistic"] = json_of(&self.logistic);
        forest["importances"] = importances.collect();
        forest["reloaded_equal"] = json!(self.reloaded_equal);
        forest
    }
}

fn json_of(e: &Evaluation) -> Value {
    json!({"auc_roc": e.auc_roc, "accuracy": e.accuracy, "precision": e.precision, "recall": e.recall, "f1": e.f1})
}

/// The AUC-ROC with three digits, a dash where there is none.
#[must_use]
pub fn auc(judged: &Evaluation) -> String {
    judged.auc_roc.map_or("–".to_owned(), |auc| format!("{auc:.3}"))
}
