//! The classification report, laid out and rounded as scikit-learn's `classification_report`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::{Confusion, MetricError};

/// Precision, recall and F1 of one class or average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scores {
    /// The class, or the name of the average.
    pub name: String,
    /// Precision.
    pub precision: f64,
    /// Recall.
    pub recall: f64,
    /// F1 score.
    pub f1: f64,
    /// Rows of the class.
    pub support: u64,
}

/// Scores per class and their averages. `Display` gives scikit-learn's text, two digits.
///
/// ```
/// use mkt_ml::report::ClassificationReport;
///
/// let report = ClassificationReport::new(&[false, true, true], &[false, false, true], "stays", "buys")?;
/// assert_eq!(report.to_string(), "              precision    recall  f1-score   support
///
///        stays       0.50      1.00      0.67         1
///         buys       1.00      0.50      0.67         2
///
///     accuracy                           0.67         3
///    macro avg       0.75      0.75      0.67         3
/// weighted avg       0.83      0.67      0.67         3
/// ");
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassificationReport {
    /// The negative class, then the positive one.
    pub classes: [Scores; 2],
    /// Accuracy.
    pub accuracy: f64,
    /// The unweighted mean over classes.
    pub macro_average: Scores,
    /// The mean over classes weighted by support.
    pub weighted_average: Scores,
}

impl ClassificationReport {
    /// Computes the report from labels and predicted labels; the classes are named `negative` and `positive`.
    ///
    /// # Errors
    /// No rows, different lengths, one name for both classes.
    pub fn new(
        labels: &[bool],
        predicted: &[bool],
        negative: &str,
        positive: &str,
    ) -> Result<Self, MetricError> {
        if negative == positive {
            return Err(MetricError::Classes);
        }
        Ok(Self::of(&Confusion::of(labels, predicted)?, negative, positive))
    }

    pub(crate) fn of(confusion: &Confusion, negative: &str, positive: &str) -> Self {
        let scores = |name: &str, counts: &Confusion| Scores {
            name: name.to_owned(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            support: counts.true_positive + counts.false_negative,
        };
        let classes = [scores(negative, &confusion.of_negative()), scores(positive, confusion)];
        let support = classes.iter().map(|class| class.support).sum::<u64>();
        let average = |name: &str, weigh: &dyn Fn(&Scores) -> f64| {
            let weights: f64 = classes.iter().map(weigh).sum();
            let mean = |score: fn(&Scores) -> f64| {
                let sum: f64 = classes.iter().map(|class| score(class) * weigh(class)).sum();
                if weights == 0.0 { 0.0 } else { sum / weights }
            };
            Scores {
                name: name.to_owned(),
                precision: mean(|class| class.precision),
                recall: mean(|class| class.recall),
                f1: mean(|class| class.f1),
                support,
            }
        };
        Self {
            accuracy: confusion.accuracy(),
            macro_average: average("macro avg", &|_| 1.0),
            weighted_average: average("weighted avg", &|class| class.support as f64),
            classes,
        }
    }
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let averages = [&self.macro_average, &self.weighted_average];
        let names = self.classes.iter().chain(averages).map(|scores| scores.name.chars().count());
        let width = names.max().unwrap_or_default();
        let row = |f: &mut fmt::Formatter<'_>, scores: &Scores| {
            let Scores { name, precision, recall, f1, support } = scores;
            writeln!(f, "{name:>width$}  {precision:>9.2} {recall:>9.2} {f1:>9.2} {support:>9}")
        };
        writeln!(
            f,
            "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n",
            "", "precision", "recall", "f1-score", "support"
        )?;
        for class in &self.classes {
            row(f, class)?;
        }
        let (name, accuracy, support) = ("accuracy", self.accuracy, self.macro_average.support);
        writeln!(f, "\n{name:>width$}  {:>9} {:>9} {accuracy:>9.2} {support:>9}", "", "")?;
        for average in averages {
            row(f, average)?;
        }
        Ok(())
    }
}
