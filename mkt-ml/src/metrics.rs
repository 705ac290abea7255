//! Metrics of binary predictions: confusion counts and rates, areas under curves, losses.
//!
//! All functions take labels and scores as slices of the same length and treat ties exactly. Definitions are those of
//! scikit-learn 1.7 (user guide, "Metrics and scoring").
//! Intervals, deciles and calibration are in [`crate::evaluation`].

use serde::{Deserialize, Serialize};

/// Why a metric could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// No rows.
    #[error("there are no predictions")]
    Empty,
    /// Labels and predictions differ in number.
    #[error("{labels} labels but {predictions} predictions")]
    Length {
        /// Labels.
        labels: usize,
        /// Predictions.
        predictions: usize,
    },
    /// A probability outside 0..=1, or NaN.
    #[error("the probability in row {row} is {value}")]
    NotAProbability {
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A score is NaN.
    #[error("the score in row {row} is not a number")]
    NotANumber {
        /// The row, from 0.
        row: usize,
    },
    /// All rows have the same outcome, and ranking metrics need both.
    #[error("all {rows} rows have the same outcome: both are needed")]
    OneClass {
        /// Rows.
        rows: usize,
    },
    /// The two classes have the same name.
    #[error("a report needs two classes with different names")]
    Classes,
}

/// The confusion matrix of a binary classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Positive rows predicted positive.
    pub true_positive: u64,
    /// Negative rows predicted positive.
    pub false_positive: u64,
    /// Negative rows predicted negative.
    pub true_negative: u64,
    /// Positive rows predicted negative.
    pub false_negative: u64,
}

impl Confusion {
    /// Counts labels against predicted labels.
    ///
    /// # Errors
    /// No rows, or different lengths.
    pub fn of(labels: &[bool], predicted: &[bool]) -> Result<Self, MetricError> {
        check_lengths(labels.len(), predicted.len())?;
        let mut counts = Self::default();
        for pair in labels.iter().zip(predicted) {
            *match pair {
                (true, true) => &mut counts.true_positive,
                (false, true) => &mut counts.false_positive,
                (false, false) => &mut counts.true_negative,
                (true, false) => &mut counts.false_negative,
            } += 1;
        }
        Ok(counts)
    }

    /// The share of rows predicted correctly; 0 for no rows.
    pub fn accuracy(&self) -> f64 {
        let rows = self.true_positive + self.false_positive + self.true_negative + self.false_negative;
        ratio(self.true_positive + self.true_negative, rows)
    }

    /// The share of predicted positives that are positive; 0 where nothing is predicted positive, as in scikit-learn.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// The share of positive rows that are predicted positive; 0 where there are none.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// The harmonic mean of precision and recall, 2tp / (2tp + fp + fn); 0 when that is 0 / 0.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)
    }

    /// The same counts with the classes exchanged.
    pub(crate) fn of_negative(&self) -> Self {
        Self {
            true_positive: self.true_negative,
            false_positive: self.false_negative,
            true_negative: self.true_positive,
            false_negative: self.false_positive,
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The area under the ROC curve: the probability that a positive row scores above a negative one, a tie
/// counting one half. Exact: pairs are counted in integers.
///
/// # Errors
/// No rows, different lengths, NaN, one outcome only.
pub fn auc_roc(labels: &[bool], scores: &[f64]) -> Result<f64, MetricError> {
    let groups = descending_groups(labels, scores)?;
    let positive: u128 = groups.iter().map(|group| u128::from(group.positive)).sum();
    let negative: u128 = groups.iter().map(|group| u128::from(group.negative)).sum();
    // Twice the number of pairs in the right order.
    let (mut twice, mut above) = (0_u128, 0_u128);
    for Group { positive, negative } in groups {
        twice += u128::from(negative) * (2 * above + u128::from(positive));
        above += u128::from(positive);
    }
    Ok(twice as f64 / (2 * positive * negative) as f64)
}

/// The points of the ROC curve, from (0, 0) to (1, 1): false positive rate and true positive rate as the threshold falls
/// through the distinct scores, ties taken together.
///
/// # Errors
/// As [`auc_roc`].
///
/// ```
/// let points = mkt_ml::metrics::roc_curve(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]); // scikit-learn's roc_curve
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
pub fn roc_curve(labels: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>, MetricError> {
    let groups = descending_groups(labels, scores)?;
    let positive: u64 = groups.iter().map(|group| group.positive).sum();
    let negative: u64 = groups.iter().map(|group| group.negative).sum();
    let (mut hits, mut misses) = (0, 0);
    let mut points = vec![(0.0, 0.0)];
    for group in groups {
        hits += group.positive;
        misses += group.negative;
        points.push((ratio(misses, negative), ratio(hits, positive)));
    }
    Ok(points)
}

/// Average precision, the area under the precision-recall curve as a sum of steps: Σ (Rₙ − Rₙ₋₁) Pₙ over
/// descending distinct scores, as scikit-learn's `average_precision_score`.
///
/// # Errors
/// As [`auc_roc`].
pub fn average_precision(labels: &[bool], scores: &[f64]) -> Result<f64, MetricError> {
    let groups = descending_groups(labels, scores)?;
    let positive: u64 = groups.iter().map(|group| group.positive).sum();
    let (mut sum, mut hits, mut called) = (0.0, 0, 0);
    for group in groups {
        hits += group.positive;
        called += group.positive + group.negative;
        sum += ratio(group.positive, positive) * ratio(hits, called);
    }
    Ok(sum)
}

/// Mean log-loss: −ln of the probability of the actual outcome. Probabilities are clamped to 2⁻⁵² from 0 and 1, as in
/// scikit-learn.
///
/// # Errors
/// No rows, different lengths, a number outside 0..=1.
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> Result<f64, MetricError> {
    check_probabilities(labels, probabilities)?;
    let loss = |(&label, &p): (&bool, &f64)| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -if label { p.ln() } else { (-p).ln_1p() }
    };
    Ok(labels.iter().zip(probabilities).map(loss).sum::<f64>() / labels.len() as f64)
}

/// The Brier score: the mean squared difference between probability and outcome (0 or 1).
///
/// # Errors
/// As [`log_loss`].
pub fn brier(labels: &[bool], probabilities: &[f64]) -> Result<f64, MetricError> {
    check_probabilities(labels, probabilities)?;
    let distance = |(&label, p): (&bool, &f64)| (p - f64::from(u8::from(label))).powi(2);
    Ok(labels.iter().zip(probabilities).map(distance).sum::<f64>() / labels.len() as f64)
}

/// Rows of one score.
pub(crate) struct Group {
    pub(crate) positive: u64,
    pub(crate) negative: u64,
}

/// Counts per distinct score, the highest first; both outcomes occur.
pub(crate) fn descending_groups(labels: &[bool], scores: &[f64]) -> Result<Vec<Group>, MetricError> {
    check_lengths(labels.len(), scores.len())?;
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(MetricError::NotANumber { row });
    }
    let positive = labels.iter().filter(|label| **label).count();
    if positive == 0 || positive == labels.len() {
        return Err(MetricError::OneClass { rows: labels.len() });
    }
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    // Adding 0 makes the two zeros one, which a total order keeps apart.
    pairs.sort_unstable_by(|a, b| (b.0 + 0.0).total_cmp(&(a.0 + 0.0)));
    Ok(pairs
        .chunk_by(|a, b| a.0 == b.0)
        .map(|tied| {
            let positive = tied.iter().filter(|(_, label)| *label).count() as u64;
            Group { positive, negative: tied.len() as u64 - positive }
        })
        .collect())
}

pub(crate) fn check_lengths(labels: usize, predictions: usize) -> Result<(), MetricError> {
    if labels != predictions {
        return Err(MetricError::Length { labels, predictions });
    }
    if labels == 0 { Err(MetricError::Empty) } else { Ok(()) }
}

pub(crate) fn check_probabilities(labels: &[bool], probabilities: &[f64]) -> Result<(), MetricError> {
    check_lengths(labels.len(), probabilities.len())?;
    let wrong = probabilities.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p));
    wrong.map_or(Ok(()), |(row, &value)| Err(MetricError::NotAProbability { row, value }))
}
