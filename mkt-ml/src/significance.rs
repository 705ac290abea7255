//! Significance of the difference between two models: on the rows of one test set, and over folds.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::metrics::{MetricError, check_lengths};

/// A difference between two models with its 95 % interval and p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Second minus first.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Two-sided p-value: the probability of a difference at least as large if both were equally good.
    pub p_value: f64,
}

/// The difference of the areas under two ROC curves on the same rows, by the variance of DeLong, DeLong and
/// Clarke-Pearson (Biometrics 44, 1988) in the form of Sun and Xu (2014): O(n log n), no resampling.
///
/// # Errors
/// No rows, different lengths, NaN, one outcome only or one row of an outcome.
///
/// ```
/// use mkt_ml::significance::delong;
///
/// let labels = [false, false, false, true, true, true];
/// let [first, second] = [[0.1, 0.6, 0.3, 0.4, 0.5, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5, 0.9]];
/// let difference = delong(&labels, &first, &second)?;
/// assert!((difference.estimate - 2.0 / 9.0).abs() < 1e-12); // 7 of 9 pairs in order, then all of them
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
pub fn delong(labels: &[bool], first: &[f64], second: &[f64]) -> Result<Difference, MetricError> {
    let [a, b] = [Placements::of(labels, first)?, Placements::of(labels, second)?];
    let estimate = b.area() - a.area();
    let gaps = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| b - a).collect::<Vec<f64>>();
    let [positive, negative] = [gaps(&a.positive, &b.positive), gaps(&a.negative, &b.negative)];
    let variance = variance(&positive) / positive.len() as f64 + variance(&negative) / negative.len() as f64;
    let std_error = variance.sqrt();
    let (reach, p_value) = if std_error > 0.0 {
        let normal = Normal::standard();
        (z_975() * std_error, 2.0 * normal.cdf(-(estimate / std_error).abs()))
    } else {
        // Models that place every row alike do not differ, whatever rows are drawn.
        (0.0, if estimate == 0.0 { 1.0 } else { 0.0 })
    };
    Ok(Difference { estimate, std_error, low: estimate - reach, high: estimate + reach, p_value })
}

/// The 97.5 % quantile of the standard normal distribution, 1.96: half the width of a 95 % interval in standard errors.
pub(crate) fn z_975() -> f64 {
    Normal::standard().inverse_cdf(0.975)
}

/// For each positive row the share of negative rows below it, and for each negative row the share of positive ones
/// above it; a tie counts one half.
struct Placements {
    positive: Vec<f64>,
    negative: Vec<f64>,
}

impl Placements {
    fn of(labels: &[bool], scores: &[f64]) -> Result<Self, MetricError> {
        check_lengths(labels.len(), scores.len())?;
        if let Some(row) = scores.iter().position(|score| score.is_nan()) {
            return Err(MetricError::NotANumber { row });
        }
        let positives = labels.iter().filter(|label| **label).count();
        let negatives = labels.len() - positives;
        if positives < 2 || negatives < 2 {
            return Err(MetricError::OneClass { rows: labels.len() });
        }
        // Adding 0 makes the two zeros one, which a total order keeps apart.
        let mut order: Vec<(f64, bool, usize)> = labels
            .iter()
            .zip(scores)
            .enumerate()
            .map(|(row, (label, score))| (score + 0.0, *label, row))
            .collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut shares = vec![0.0; labels.len()];
        let [mut positive_below, mut negative_below] = [0_usize; 2];
        for tied in order.chunk_by(|a, b| a.0 == b.0) {
            let positive = tied.iter().filter(|row| row.1).count();
            let negative = tied.len() - positive;
            let below = (negative_below as f64 + negative as f64 / 2.0) / negatives as f64;
            let above =
                ((positives - positive_below - positive) as f64 + positive as f64 / 2.0) / positives as f64;
            for &(_, label, row) in tied {
                if let Some(share) = shares.get_mut(row) {
                    *share = if label { below } else { above };
                }
            }
            positive_below += positive;
            negative_below += negative;
        }
        let of = |class: bool| {
            shares.iter().zip(labels).filter(|(_, label)| **label == class).map(|(share, _)| *share).collect()
        };
        Ok(Self { positive: of(true), negative: of(false) })
    }

    fn area(&self) -> f64 {
        self.positive.iter().sum::<f64>() / self.positive.len() as f64
    }
}

/// The mean difference of a metric over the same folds, by Student's t with the variance of Nadeau and Bengio (Machine
/// Learning 52, 2003): folds share their training rows, so the plain variance of their mean is too small, and
/// `test_to_train`, the rows of a test part over those of a training part, is added to 1 ÷ folds. `None` for fewer
/// than two folds or slices of different lengths.
pub fn corrected_t(first: &[f64], second: &[f64], test_to_train: f64) -> Option<Difference> {
    if first.len() != second.len() || first.len() < 2 || !test_to_train.is_finite() {
        return None;
    }
    let gaps: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    let count = gaps.len() as f64;
    let estimate = gaps.iter().sum::<f64>() / count;
    let std_error = ((1.0 / count + test_to_train) * variance(&gaps)).sqrt();
    let t = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    let (reach, p_value) = if std_error > 0.0 {
        (t.inverse_cdf(0.975) * std_error, 2.0 * t.cdf(-(estimate / std_error).abs()))
    } else {
        (0.0, if estimate == 0.0 { 1.0 } else { 0.0 })
    };
    Some(Difference { estimate, std_error, low: estimate - reach, high: estimate + reach, p_value })
}

/// The unbiased variance.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)
}
