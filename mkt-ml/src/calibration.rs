//! Calibration of probabilities, fitted on rows that the model did not see: Platt scaling and isotonic regression.

use serde::{Deserialize, Serialize};

use crate::{
    logistic::sigmoid,
    metrics::{MetricError, check_probabilities},
};

/// Probabilities are held this far from 0 and 1 before their log odds are taken.
pub(crate) const EDGE: f64 = 1e-15;

/// A calibration method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// [`Calibration::platt`]: two numbers, enough for a few hundred rows.
    Platt,
    /// [`Calibration::isotonic`]: any rising curve, for thousands of rows.
    Isotonic,
}

impl Method {
    /// Fits the calibration on labels and the model's probabilities of the same rows.
    ///
    /// # Errors
    /// As [`Calibration::platt`].
    pub fn fit(self, labels: &[bool], probabilities: &[f64]) -> Result<Calibration, MetricError> {
        match self {
            Self::Platt => Calibration::platt(labels, probabilities),
            Self::Isotonic => Calibration::isotonic(labels, probabilities),
        }
    }
}

/// A fitted calibration. It never reverses the order of two probabilities; isotonic steps may make them equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calibration {
    /// 1 ÷ (1 + exp(−(`slope` · log odds + `intercept`))) (Platt: "Probabilistic outputs for support vector
    /// machines", 1999).
    Platt {
        /// Slope on the log odds; 1 where no correction is needed.
        slope: f64,
        /// Intercept; 0 where no correction is needed.
        intercept: f64,
    },
    /// Linear interpolation between the points of the pool-adjacent-violators fit (Zadrozny, Elkan, 2002), constant
    /// beyond both ends.
    Isotonic {
        /// Ascending probabilities of the model.
        scores: Vec<f64>,
        /// The calibrated probabilities, never falling.
        probabilities: Vec<f64>,
    },
}

impl Calibration {
    /// Platt scaling by Newton's method, with Platt's softened targets (n₊ + 1) ÷ (n₊ + 2) and 1 ÷ (n₋ + 2), which
    /// keep it finite on perfectly separated rows.
    ///
    /// # Errors
    /// No rows, different lengths, a probability outside 0..=1, one outcome only.
    pub fn platt(labels: &[bool], probabilities: &[f64]) -> Result<Self, MetricError> {
        let positives = check(labels, probabilities)?;
        let negatives = labels.len() - positives;
        let high = (positives as f64 + 1.0) / (positives as f64 + 2.0);
        let low = 1.0 / (negatives as f64 + 2.0);
        let odds: Vec<f64> = probabilities.iter().map(|p| log_odds(*p)).collect();
        let loss = |slope: f64, intercept: f64| {
            let of = |(label, x): (&bool, &f64)| {
                let (z, target) = (slope * x + intercept, if *label { high } else { low });
                // log(1 + eᶻ) − target · z.
                z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z
            };
            labels.iter().zip(&odds).map(of).sum::<f64>()
        };
        let (mut slope, mut intercept) = (0.0, ((positives as f64 + 1.0) / (negatives as f64 + 1.0)).ln());
        let mut at = loss(slope, intercept);
        for _ in 0..100 {
            let [mut g_slope, mut g_intercept] = [0.0, 0.0];
            // A little is added to the curvature, so that equal scores have a slope (0) too.
            let [mut h_slope, mut h_cross, mut h_intercept] = [1e-12, 0.0, 1e-12];
            for (label, x) in labels.iter().zip(&odds) {
                let p = sigmoid(slope * x + intercept);
                let (wrong, curve) = (p - if *label { high } else { low }, p * (1.0 - p));
                g_slope += wrong * x;
                g_intercept += wrong;
                h_slope += curve * x * x;
                h_cross += curve * x;
                h_intercept += curve;
            }
            if g_slope.abs() < 1e-9 && g_intercept.abs() < 1e-9 {
                break;
            }
            let determinant = h_slope * h_intercept - h_cross * h_cross;
            let step_slope = -(h_intercept * g_slope - h_cross * g_intercept) / determinant;
            let step_intercept = -(h_slope * g_intercept - h_cross * g_slope) / determinant;
            let fall = g_slope * step_slope + g_intercept * step_intercept;
            let mut length = 1.0;
            let next = loop {
                let (a, b) = (slope + length * step_slope, intercept + length * step_intercept);
                let there = loss(a, b);
                if there <= at + 1e-4 * length * fall {
                    break Some((a, b, there));
                }
                length /= 2.0;
                if length < 1e-10 {
                    break None;
                }
            };
            let Some(next) = next else { break };
            (slope, intercept, at) = next;
        }
        // A slope below 0 would turn the order round; the rows say that the scores know nothing.
        if slope < 0.0 {
            (slope, intercept) = (0.0, ((positives as f64 + 1.0) / (negatives as f64 + 1.0)).ln());
        }
        Ok(Self::Platt { slope, intercept })
    }

    /// Isotonic regression: the non-decreasing step function with the least squared error.
    ///
    /// # Errors
    /// As [`Calibration::platt`].
    pub fn isotonic(labels: &[bool], probabilities: &[f64]) -> Result<Self, MetricError> {
        /// Neighbouring scores with one value.
        struct Block {
            sum: f64,
            weight: f64,
            first: f64,
            last: f64,
        }
        check(labels, probabilities)?;
        let mut pairs: Vec<(f64, f64)> = probabilities
            .iter()
            .zip(labels)
            .map(|(p, label)| (*p + 0.0, f64::from(u8::from(*label))))
            .collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(score, _)) = tied.first() else { continue };
            let mut block = Block {
                sum: tied.iter().map(|pair| pair.1).sum(),
                weight: tied.len() as f64,
                first: score,
                last: score,
            };
            while let Some(before) =
                blocks.pop_if(|before| before.sum * block.weight >= block.sum * before.weight)
            {
                block.sum += before.sum;
                block.weight += before.weight;
                block.first = before.first;
            }
            blocks.push(block);
        }
        let (mut scores, mut fitted) = (Vec::new(), Vec::new());
        for Block { sum, weight, first, last } in blocks {
            for score in if first < last { vec![first, last] } else { vec![first] } {
                scores.push(score);
                fitted.push(sum / weight);
            }
        }
        Ok(Self::Isotonic { scores, probabilities: fitted })
    }

    /// Whether a stored calibration is one that could have been fitted.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::Platt { slope, intercept } => slope.is_finite() && *slope >= 0.0 && intercept.is_finite(),
            Self::Isotonic { scores, probabilities } => {
                let inside = |p: &f64| (0.0..=1.0).contains(p);
                !scores.is_empty()
                    && scores.len() == probabilities.len()
                    && scores.iter().chain(probabilities).all(inside)
                    && scores.is_sorted_by(|a, b| a < b)
                    && probabilities.is_sorted()
            }
        }
    }

    /// Returns the calibrated probability.
    pub fn apply(&self, probability: f64) -> f64 {
        match self {
            Self::Platt { slope, intercept } => sigmoid(slope * log_odds(probability) + intercept),
            Self::Isotonic { scores, probabilities } => {
                let above = scores.partition_point(|score| *score < probability);
                let point = |at: usize| scores.get(at).copied().zip(probabilities.get(at).copied());
                match (above.checked_sub(1).and_then(point), point(above)) {
                    (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * ((probability - x0) / (x1 - x0)),
                    (None, Some((_, y))) | (Some((_, y)), None) => y,
                    (None, None) => probability,
                }
            }
        }
    }
}

fn check(labels: &[bool], probabilities: &[f64]) -> Result<usize, MetricError> {
    check_probabilities(labels, probabilities)?;
    let positives = labels.iter().filter(|label| **label).count();
    if positives == 0 || positives == labels.len() {
        return Err(MetricError::OneClass { rows: labels.len() });
    }
    Ok(positives)
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    (p / (1.0 - p)).ln()
}
