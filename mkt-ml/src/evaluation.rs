//! Evaluation of predictions: all metrics of a model at once, lift and gain by decile, calibration error, confidence
//! intervals, and the threshold with the largest profit.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{
    metrics::{
        Confusion, MetricError, auc_roc, average_precision, brier, check_lengths, check_probabilities,
        descending_groups, log_loss,
    },
    report::ClassificationReport,
    significance::z_975,
};

/// All metrics of one set of predictions.
///
/// ```
/// use mkt_ml::evaluation::Evaluation;
///
/// let evaluation = Evaluation::new(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8], 0.5)?;
/// assert_eq!(evaluation.auc_roc, Some(0.75));
/// assert_eq!(evaluation.accuracy, 0.75);
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Rows evaluated.
    pub rows: usize,
    /// Rows that are positive.
    pub positives: usize,
    /// Rows with a probability above it are predicted positive.
    pub threshold: f64,
    /// The counts behind the rates.
    pub confusion: Confusion,
    /// [`Confusion::accuracy`].
    pub accuracy: f64,
    /// [`Confusion::precision`] of the positive class.
    pub precision: f64,
    /// [`Confusion::recall`] of the positive class.
    pub recall: f64,
    /// [`Confusion::f1`] of the positive class.
    pub f1: f64,
    /// [`auc_roc`]; absent when there is one outcome only.
    pub auc_roc: Option<f64>,
    /// [`average_precision`]; absent when there is one outcome only.
    pub average_precision: Option<f64>,
    /// [`log_loss`].
    pub log_loss: f64,
    /// [`brier`].
    pub brier: f64,
}

impl Evaluation {
    /// Evaluates probabilities. Rows above `threshold` are predicted positive; a probability equal to it is predicted
    /// negative, as in scikit-learn.
    ///
    /// # Errors
    /// No rows, different lengths, a probability or threshold outside 0..=1.
    pub fn new(labels: &[bool], probabilities: &[f64], threshold: f64) -> Result<Self, MetricError> {
        check_probabilities(labels, probabilities)?;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(MetricError::NotAProbability { row: 0, value: threshold });
        }
        let predicted: Vec<bool> = probabilities.iter().map(|p| *p > threshold).collect();
        let confusion = Confusion::of(labels, &predicted)?;
        Ok(Self {
            rows: labels.len(),
            positives: labels.iter().filter(|label| **label).count(),
            threshold,
            confusion,
            accuracy: confusion.accuracy(),
            precision: confusion.precision(),
            recall: confusion.recall(),
            f1: confusion.f1(),
            auc_roc: auc_roc(labels, probabilities).ok(),
            average_precision: average_precision(labels, probabilities).ok(),
            log_loss: log_loss(labels, probabilities)?,
            brier: brier(labels, probabilities)?,
        })
    }

    /// Returns the classification report with these names for the two classes.
    pub fn report(&self, negative: &str, positive: &str) -> ClassificationReport {
        ClassificationReport::of(&self.confusion, negative, positive)
    }
}

/// One tenth of the rows, those most likely to convert first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decile {
    /// 1 for the tenth with the highest scores, 10 for the lowest.
    pub decile: usize,
    /// Rows in it. Where the number of rows is not divisible by ten, the first deciles have one row more.
    pub rows: usize,
    /// Positive rows in it; fractional where rows of equal score straddle its edge.
    pub positives: f64,
    /// The share of its rows that are positive.
    pub rate: f64,
    /// `rate` divided by the rate of all rows: 1 is chance.
    pub lift: f64,
    /// The share of all positive rows in this decile and those before it.
    pub gain: f64,
}

/// Lift and gain by decile of the score.
///
/// # Errors
/// No rows, different lengths, a NaN score, one outcome only.
///
/// ```
/// // Ten rows: the four best scored are positive.
/// let labels: Vec<bool> = (0..10).map(|row| row < 4).collect();
/// let scores: Vec<f64> = (0..10).map(|row| 1.0 - f64::from(row) / 10.0).collect();
/// let deciles = mkt_ml::evaluation::deciles(&labels, &scores)?;
/// assert_eq!((deciles[0].lift, deciles[0].gain), (2.5, 0.25));
/// assert_eq!((deciles[4].lift, deciles[4].gain), (0.0, 1.0));
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
pub fn deciles(labels: &[bool], scores: &[f64]) -> Result<Vec<Decile>, MetricError> {
    const TENTHS: usize = 10;
    let groups = descending_groups(labels, scores)?;
    let rows = labels.len();
    let positives: u64 = groups.iter().map(|group| group.positive).sum();
    let overall = positives as f64 / rows as f64;
    let mut deciles = Vec::with_capacity(TENTHS);
    let mut waiting = groups.into_iter().map(|group| (group.positive as f64, group.negative as f64));
    let (mut positive, mut negative) = (0.0, 0.0);
    let mut found = 0.0;
    for decile in 1..=TENTHS {
        let size = rows / TENTHS + usize::from(decile <= rows % TENTHS);
        let (mut wanted, mut of_decile) = (size as f64, 0.0);
        while wanted > 0.0 {
            let held: f64 = positive + negative;
            if held <= 0.0 {
                let Some(next) = waiting.next() else { break };
                (positive, negative) = next;
                continue;
            }
            let share = (wanted / held).min(1.0);
            of_decile += positive * share;
            wanted -= held * share;
            positive *= 1.0 - share;
            negative *= 1.0 - share;
        }
        found += of_decile;
        let rate = if size > 0 { of_decile / size as f64 } else { 0.0 };
        let (lift, gain) = (rate / overall, (found / positives as f64).min(1.0));
        deciles.push(Decile { decile, rows: size, positives: of_decile, rate, lift, gain });
    }
    Ok(deciles)
}

/// Rows whose probability is in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// Lower end, inclusive.
    pub low: f64,
    /// Upper end, exclusive except in the last interval.
    pub high: f64,
    /// Rows in it.
    pub rows: usize,
    /// Their mean probability.
    pub mean_probability: f64,
    /// The share of them that are positive.
    pub rate: f64,
}

/// Mean probability against the share of positive rows, in `bins` intervals of equal width; empty ones are left
/// out.
///
/// # Errors
/// No rows, different lengths, a probability outside 0..=1.
pub fn calibration_curve(
    labels: &[bool],
    probabilities: &[f64],
    bins: usize,
) -> Result<Vec<CalibrationBin>, MetricError> {
    check_probabilities(labels, probabilities)?;
    let bins = bins.max(1);
    let mut sums = vec![(0_usize, 0.0, 0_usize); bins];
    for (label, p) in labels.iter().zip(probabilities) {
        let at = ((p * bins as f64) as usize).min(bins - 1);
        if let Some((rows, sum, positive)) = sums.get_mut(at) {
            *rows += 1;
            *sum += p;
            *positive += usize::from(*label);
        }
    }
    let filled = sums.into_iter().enumerate().filter(|(_, (rows, ..))| *rows > 0);
    Ok(filled
        .map(|(at, (rows, sum, positive))| CalibrationBin {
            low: at as f64 / bins as f64,
            high: (at + 1) as f64 / bins as f64,
            rows,
            mean_probability: sum / rows as f64,
            rate: positive as f64 / rows as f64,
        })
        .collect())
}

/// The expected calibration error: the mean distance, over rows, between the mean probability and the share of
/// positive rows in ten intervals of equal width (Naeini, Cooper, Hauskrecht, 2015).
///
/// # Errors
/// As [`calibration_curve`].
pub fn expected_calibration_error(labels: &[bool], probabilities: &[f64]) -> Result<f64, MetricError> {
    let bins = calibration_curve(labels, probabilities, 10)?;
    let distance = |bin: &CalibrationBin| bin.rows as f64 * (bin.mean_probability - bin.rate).abs();
    Ok(bins.iter().map(distance).sum::<f64>() / labels.len() as f64)
}

/// Recall and precision at every threshold, the highest first.
///
/// # Errors
/// As [`deciles`].
pub fn precision_recall_curve(labels: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>, MetricError> {
    let groups = descending_groups(labels, scores)?;
    let all: u64 = groups.iter().map(|group| group.positive).sum();
    let (mut positive, mut called) = (0, 0);
    Ok(groups
        .iter()
        .map(|group| {
            positive += group.positive;
            called += group.positive + group.negative;
            (positive as f64 / all as f64, positive as f64 / called as f64)
        })
        .collect())
}

/// A bootstrap confidence interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The metric on the original rows.
    pub estimate: f64,
    /// Lower end: the 2.5 % quantile of the resamples.
    pub low: f64,
    /// Upper end: the 97.5 % quantile of the resamples.
    pub high: f64,
}

/// The percentile bootstrap interval (Efron, 1979) of a metric: rows are drawn with replacement `resamples` times. Draws
/// for which the metric fails, such as those of one outcome only, are skipped. For the AUC of few rows use
/// [`auc_interval`].
///
/// # Errors
/// The error of `figure` on the original rows.
pub fn bootstrap(
    labels: &[bool],
    scores: &[f64],
    figure: impl Fn(&[bool], &[f64]) -> Result<f64, MetricError>,
    resamples: usize,
    seed: u64,
) -> Result<Interval, MetricError> {
    check_lengths(labels.len(), scores.len())?;
    let of = |rows: &[usize]| figure(&picked(labels, rows), &picked(scores, rows));
    resample(labels.len(), figure(labels, scores)?, of, resamples, seed)
}

/// The bootstrap interval of the difference of two models on the same rows, second minus first, with paired draws.
///
/// # Errors
/// As [`bootstrap`].
pub fn bootstrap_difference(
    labels: &[bool],
    first: &[f64],
    second: &[f64],
    figure: impl Fn(&[bool], &[f64]) -> Result<f64, MetricError>,
    resamples: usize,
    seed: u64,
) -> Result<Interval, MetricError> {
    check_lengths(labels.len(), first.len())?;
    check_lengths(labels.len(), second.len())?;
    let estimate = figure(labels, second)? - figure(labels, first)?;
    let of = |rows: &[usize]| {
        let labels = picked(labels, rows);
        Ok(figure(&labels, &picked(second, rows))? - figure(&labels, &picked(first, rows))?)
    };
    resample(labels.len(), estimate, of, resamples, seed)
}

fn picked<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|row| values.get(*row)).copied().collect()
}

fn resample(
    rows: usize,
    estimate: f64,
    figure: impl Fn(&[usize]) -> Result<f64, MetricError>,
    resamples: usize,
    seed: u64,
) -> Result<Interval, MetricError> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut figures: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..rows as u64) as usize).collect();
            figure(&drawn).ok().filter(|figure| !figure.is_nan())
        })
        .collect();
    figures.sort_unstable_by(f64::total_cmp);
    let point = |share: f64| {
        let at = share * figures.len().saturating_sub(1) as f64;
        let (below, above) = (figures.get(at.floor() as usize), figures.get(at.ceil() as usize));
        below.zip(above).map_or(f64::NAN, |(a, b)| a + (b - a) * at.fract())
    };
    Ok(Interval { estimate, low: point(0.025), high: point(0.975) })
}

/// The 95 % interval of an area under the ROC curve, and whether there were enough rows to conclude anything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AucInterval {
    /// The area on these rows.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows of the rarer outcome.
    pub rarer: usize,
}

impl AucInterval {
    /// The number of rows of the rarer outcome below which nothing should be concluded from the area alone.
    pub const FEW: usize = 30;

    /// Whether the rarer outcome has fewer than [`AucInterval::FEW`] rows.
    pub fn is_of_few(&self) -> bool {
        self.rarer < Self::FEW
    }
}

/// The 95 % interval of [`auc_roc`], valid for very few rows of an outcome too, where a bootstrap redraws the same few
/// rows and its intervals are far too narrow: method 5 of Newcombe, "Confidence intervals for an effect size
/// measure based on the Mann–Whitney statistic. Part 2" (Statistics in Medicine 25, 2006). Its ends are the areas
/// θ whose distance from the estimate is 1.96 standard errors by the variance of Hanley and McNeil (1982) at θ.
///
/// # Errors
/// As [`auc_roc`].
///
/// ```
/// // One positive row of 240: any area is compatible with it.
/// let labels: Vec<bool> = (0..240).map(|row| row == 0).collect();
/// let scores: Vec<f64> = (0..240).map(|row| if row < 23 { 0.9 } else { 0.95 }).collect();
/// let interval = mkt_ml::evaluation::auc_interval(&labels, &scores)?;
/// assert!(interval.high > 0.5 && interval.is_of_few());
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
pub fn auc_interval(labels: &[bool], scores: &[f64]) -> Result<AucInterval, MetricError> {
    let estimate = auc_roc(labels, scores)?;
    let positives = labels.iter().filter(|label| **label).count();
    let (m, n) = (positives as f64, (labels.len() - positives) as f64);
    let half = (m + n) / 2.0 - 1.0;
    let z = z_975();
    let reach = |area: f64| {
        let inner = 1.0 + half * (1.0 - area) / (2.0 - area) + half * area / (1.0 + area);
        z * (area * (1.0 - area) * inner / (m * n)).sqrt()
    };
    // The distance less the reach changes its sign once between the estimate and either end.
    let end = |outer: f64| {
        let (mut inside, mut outside) = (estimate, outer);
        for _ in 0..60 {
            let middle = (inside + outside) / 2.0;
            let within = (middle - estimate).abs() <= reach(middle);
            (inside, outside) = if within { (middle, outside) } else { (inside, middle) };
        }
        inside
    };
    let rarer = positives.min(labels.len() - positives);
    Ok(AucInterval { estimate, low: end(0.0), high: end(1.0), rarer })
}

/// The profit of contacting all rows from a threshold up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profit {
    /// Rows with at least this probability are contacted; infinity where contacting nobody is best.
    pub threshold: f64,
    /// Rows contacted.
    pub rows: usize,
    /// Those of them that are positive.
    pub positives: usize,
    /// `value` × positives − `cost` × rows.
    pub profit: f64,
}

/// The threshold with the largest profit on these rows, where every contacted row costs `cost` and every positive one
/// earns `value`. Of equal profits, the one with the fewest rows.
///
/// # Errors
/// As [`deciles`]; [`MetricError::NotANumber`] for a value or cost that is not finite.
pub fn best_threshold(labels: &[bool], scores: &[f64], value: f64, cost: f64) -> Result<Profit, MetricError> {
    if !(value.is_finite() && cost.is_finite()) {
        return Err(MetricError::NotANumber { row: 0 });
    }
    let groups = descending_groups(labels, scores)?;
    let mut ranked = scores.to_vec();
    ranked.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut best = Profit { threshold: f64::INFINITY, rows: 0, positives: 0, profit: 0.0 };
    let (mut rows, mut positives) = (0, 0);
    for group in groups {
        rows += (group.positive + group.negative) as usize;
        positives += group.positive as usize;
        let profit = value * positives as f64 - cost * rows as f64;
        if profit > best.profit {
            let threshold = ranked.get(rows - 1).copied().unwrap_or_default();
            best = Profit { threshold, rows, positives, profit };
        }
    }
    Ok(best)
}
