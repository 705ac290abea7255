//! All that is worth knowing about one fitted model, as text and as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    cross_validation::CrossValidation,
    encoder::Folded,
    evaluation::{AucInterval, Decile, Evaluation, auc_interval, deciles, expected_calibration_error},
    labelled::Labelled,
    leakage::{LeakCheck, Reason, Suspect},
    logistic::Coefficient,
    report::ClassificationReport,
    trained::TrainedModel,
};

/// One model on rows that training did not see: metrics, intervals, importances, and what to be wary of.
///
/// `Display` gives a text of several paragraphs without a final line break; it serialises for JSON.
///
/// ```
/// use mkt_ml::{Frame, Labelled, Logistic, TrainedModel, assessment::Assessment};
/// # let csv = "pages,source,converted\n".to_owned() + &(0..300).map(|i| {
/// #     let pages = 1 + i * 7 % 12;
/// #     format!("{pages},{},{}\n", ["paid", "email"][i % 2], u8::from(pages + i % 2 * 3 + i * 53 % 8 > 11))
/// # }).collect::<String>();
/// let rows = Labelled::new(Frame::read_csv(csv.as_bytes())?, "converted")?;
/// let (train, test) = rows.split(0.2, 42)?;
/// let model = TrainedModel::fit(&train, Logistic::params())?;
/// let assessment = Assessment::new(&model, &train, &test, 42)?;
/// assert!(assessment.to_string().contains("AUC-ROC"));
/// # Ok::<(), mkt_ml::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assessment {
    /// [`Algorithm::name`](crate::Algorithm::name).
    pub model: String,
    /// Rows of both parts.
    pub rows: usize,
    /// Rows that the figures are of.
    pub test_rows: usize,
    /// Share of test rows classified rightly at the threshold 0.5.
    pub accuracy: f64,
    /// Of the positive class.
    pub precision: f64,
    /// Of the positive class.
    pub recall: f64,
    /// Of the positive class.
    pub f1: f64,
    /// `None` where the test rows have one outcome only.
    pub auc_roc: Option<f64>,
    /// The 95 % interval of [`auc_interval`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc_roc_interval: Option<[f64; 2]>,
    /// Says that the interval rests on too few rows to conclude anything, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc_roc_note: Option<String>,
    /// `None` where the test rows have one outcome only.
    pub average_precision: Option<f64>,
    /// Mean log-loss.
    pub log_loss: f64,
    /// Mean squared distance of probability and outcome.
    pub brier: f64,
    /// [`expected_calibration_error`].
    pub calibration_error: f64,
    /// [`TrainedModel::importances`], the largest first.
    pub importances: Vec<Share>,
    /// Columns that may reveal the outcome, or identify the row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
    /// Columns with more levels than the model keeps apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folded: Vec<Folded>,
    /// What was noted about the file and its columns, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Cross-validation over all rows, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_validation: Option<FoldSummary>,
    #[serde(skip)]
    report: Option<ClassificationReport>,
    #[serde(skip)]
    deciles: Vec<Decile>,
    #[serde(skip)]
    coefficients: Vec<Coefficient>,
    #[serde(skip)]
    rules: String,
}

/// A column's share in the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Share {
    /// The column.
    pub feature: String,
    /// Its share, 0 to 1.
    pub importance: f64,
}

/// Cross-validation in one line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoldSummary {
    /// Folds.
    pub folds: usize,
    /// Mean AUC over the folds that have one.
    pub auc_roc_mean: f64,
    /// Standard deviation of the AUC over the folds.
    pub auc_roc_deviation: f64,
}

impl Assessment {
    /// Assesses a model on `test`; `train` is looked through for columns that reveal the outcome, `seed` seeds that.
    ///
    /// # Errors
    /// As [`TrainedModel::evaluate`] and [`LeakCheck::run`].
    pub fn new(model: &TrainedModel, train: &Labelled, test: &Labelled, seed: u64) -> Result<Self, Error> {
        let probabilities = model.probabilities(test.frame())?;
        let labels = test.labels();
        let evaluation = Evaluation::new(labels, &probabilities, 0.5)?;
        let interval = auc_interval(labels, &probabilities).ok();
        let importances = model.importances().into_iter();
        Ok(Self {
            model: model.algorithm().name().to_owned(),
            rows: train.rows() + test.rows(),
            test_rows: test.rows(),
            accuracy: evaluation.accuracy,
            precision: evaluation.precision,
            recall: evaluation.recall,
            f1: evaluation.f1,
            auc_roc: evaluation.auc_roc,
            auc_roc_interval: interval.map(|interval| [interval.low, interval.high]),
            auc_roc_note: interval.filter(AucInterval::is_of_few).map(|interval| {
                let (rarer, least) = (interval.rarer, AucInterval::FEW);
                format!("only {rarer} test rows of the rarer outcome, {least} are the least to conclude from")
            }),
            average_precision: evaluation.average_precision,
            log_loss: evaluation.log_loss,
            brier: evaluation.brier,
            calibration_error: expected_calibration_error(labels, &probabilities)?,
            importances: importances
                .map(|one| Share { feature: one.column, importance: one.importance })
                .collect(),
            suspects: LeakCheck::default().seed(seed).run(train)?,
            folded: model.folded(),
            notes: Vec::new(),
            cross_validation: None,
            report: Some(model.report(&evaluation)),
            deciles: deciles(labels, &probabilities).unwrap_or_default(),
            coefficients: model.coefficients().unwrap_or_default(),
            rules: model.rules().unwrap_or_default(),
        })
    }

    /// Adds what was noted about the file, such as [`Frame::notes`](crate::Frame::notes).
    #[must_use]
    pub fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Adds the first model of a cross-validation.
    #[must_use]
    pub fn with_cross_validation(mut self, judged: &CrossValidation) -> Self {
        self.cross_validation = judged.models.first().map(|scores| {
            let (auc_roc_mean, auc_roc_deviation) = scores.mean(|evaluation| evaluation.auc_roc);
            FoldSummary { folds: scores.folds.len(), auc_roc_mean, auc_roc_deviation }
        });
        self
    }
}

impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(report) = &self.report {
            writeln!(f, "{report}")?;
        }
        if let Some((area, [low, high])) = self.auc_roc.zip(self.auc_roc_interval) {
            write!(f, "AUC-ROC {area:.3} (95 % interval {low:.3} to {high:.3}")?;
            match &self.auc_roc_note {
                Some(note) => writeln!(f, ": {note})")?,
                None => writeln!(f, ")")?,
            }
        }
        let Self { log_loss, brier, calibration_error, .. } = self;
        write!(f, "log-loss {log_loss:.4}, Brier {brier:.4}, calibration error {calibration_error:.4}")?;
        if let Some(FoldSummary { folds, auc_roc_mean, auc_roc_deviation }) = &self.cross_validation {
            write!(
                f,
                "\ncross-validation in {folds} parts: AUC-ROC {auc_roc_mean:.3} ± {auc_roc_deviation:.3}"
            )?;
        }
        if let Some(first) = self.deciles.first() {
            let (lift, gain) = (first.lift, first.gain * 100.0);
            write!(
                f,
                "\nthe best-ranked tenth converts {lift:.1} times as often as all rows and holds {gain:.0} % of the \
                 conversions"
            )?;
        }
        write!(f, "\n\nImportance")?;
        let width =
            self.importances.iter().map(|share| share.feature.chars().count()).max().unwrap_or_default();
        for Share { feature, importance } in &self.importances {
            write!(f, "\n  {feature:<width$}  {importance:.3}")?;
        }
        if !self.coefficients.is_empty() {
            write!(f, "\n\nOdds ratios per unit (95 % interval)")?;
        }
        let width = self.coefficients.iter().map(|one| one.feature.chars().count()).max().unwrap_or_default();
        for one in &self.coefficients {
            let (name, low, high) = (&one.feature, one.odds_ratio_low, one.odds_ratio_high);
            write!(f, "\n  {name:<width$}  {:.3} ({low:.3} to {high:.3})", one.odds_ratio)?;
        }
        if !self.rules.is_empty() {
            write!(f, "\n\n{}", self.rules.trim_end())?;
        }
        let warnings = self.suspects.iter().map(warning).chain(self.folded.iter().map(folding));
        let mut warnings = warnings.chain(self.notes.iter().cloned()).peekable();
        if warnings.peek().is_some() {
            writeln!(f)?;
        }
        warnings.try_for_each(|warning| write!(f, "\n{warning}"))
    }
}

fn warning(suspect: &Suspect) -> String {
    let Suspect { column, auc, reason } = suspect;
    let why = match reason {
        Reason::DecidesAlone => format!("decides the outcome nearly alone (AUC {auc:.3})"),
        Reason::FilledWithOutcome { filled, share, positive } => format!(
            "is filled in where a row {} ({:.0} % of the {filled} filled rows)",
            if *positive { "converted" } else { "did not convert" },
            share * 100.0
        ),
        Reason::NamesTheRow { levels } => format!("identifies the row ({levels} different values)"),
        Reason::NumbersTheRow { distinct } => {
            return format!(
                "`{column}` holds identifiers as numbers ({distinct} different values): --without {column}, or \
                 --categorical {column} if rows share them"
            );
        }
    };
    format!("`{column}` {why}: is it known before the outcome? If not, --without {column}")
}

fn folding(folded: &Folded) -> String {
    let Folded { column, kept, distinct, as_rate } = folded;
    let of = distinct.map_or_else(String::new, |distinct| format!(" of {distinct}"));
    if *as_rate {
        format!(
            "`{column}`: {kept}{of} values are replaced by their conversion rate (learnt out of fold), the others by that of all rows"
        )
    } else {
        format!("`{column}`: {kept}{of} values are kept apart, all rarer ones count as one")
    }
}
