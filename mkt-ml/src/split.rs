//! Training and test splits and folds: stratified by outcome, by group, or by time. All random splits take a seed.
//!
//! Splits are row numbers; [`crate::Labelled::take`] takes the rows. Where one user has several rows, keep them on one
//! side with [`grouped`], or the evaluation is too optimistic. Where behaviour changes over time, test on later rows with
//! [`by_time`].

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Why rows could not be split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A fraction that is not strictly between 0 and 1.
    #[error("the test fraction {0} is not between 0 and 1")]
    Fraction(f64),
    /// Fewer than two folds.
    #[error("{0} folds are too few: at least 2 are needed")]
    Folds(usize),
    /// Fewer groups than parts.
    #[error("{groups} groups cannot be divided into {parts} parts")]
    TooFewGroups {
        /// Groups.
        groups: usize,
        /// Parts.
        parts: usize,
    },
    /// All rows have the same time, or a time is NaN.
    #[error("the rows have no times to be divided at")]
    Times,
    /// A part would be left without one of the classes.
    #[error(
        "{positive} positive and {negative} negative rows are too few for every part to hold both classes"
    )]
    TooFewRows {
        /// Positive rows.
        positive: usize,
        /// Negative rows.
        negative: usize,
    },
}

/// Two sets of row numbers, each ascending, disjoint, together all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// Rows to fit on.
    pub train: Vec<usize>,
    /// Rows to evaluate on.
    pub test: Vec<usize>,
}

impl Split {
    /// A split of your own making. Rows beyond the table are left out where the split is applied.
    pub fn new(train: Vec<usize>, test: Vec<usize>) -> Self {
        Self { train, test }
    }
}

/// Draws ⌈`fraction` · n⌉ rows for testing, each class in proportion but at least one of each, the same rows
/// for the same seed.
///
/// # Errors
/// A fraction outside (0, 1), or a class with too few rows for both parts.
pub fn stratified(labels: &[bool], fraction: f64, seed: u64) -> Result<Split, SplitError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(SplitError::Fraction(fraction));
    }
    let [mut negative, mut positive] = shuffled_classes(labels, seed);
    let too_few = SplitError::TooFewRows { positive: positive.len(), negative: negative.len() };
    // The product may lie an ulp above the whole number it stands for (0.07 · 100 = 7.000000000000001).
    let wanted = ((fraction * labels.len() as f64) * (1.0 - 4.0 * f64::EPSILON)).ceil() as usize;
    let share = wanted as f64 / labels.len() as f64;
    if positive.len() < 2 || negative.len() < 2 {
        return Err(too_few);
    }
    let from_positive = (share * positive.len() as f64).round() as usize;
    let from_positive = from_positive.clamp(1, positive.len() - 1);
    let from_negative = wanted.saturating_sub(from_positive);
    if from_negative == 0 || from_negative >= negative.len() {
        return Err(too_few);
    }
    let mut test = positive.split_off(positive.len() - from_positive);
    test.extend(negative.split_off(negative.len() - from_negative));
    let mut train = positive;
    train.append(&mut negative);
    train.sort_unstable();
    test.sort_unstable();
    Ok(Split { train, test })
}

/// Stratified k-fold cross-validation: divides the rows into `folds` parts and returns, for each, that part as test and
/// the rest as train.
///
/// # Errors
/// Fewer than two folds, or a class with fewer rows than folds.
pub fn stratified_folds(labels: &[bool], folds: usize, seed: u64) -> Result<Vec<Split>, SplitError> {
    if folds < 2 {
        return Err(SplitError::Folds(folds));
    }
    let [negative, positive] = shuffled_classes(labels, seed);
    if positive.len() < folds || negative.len() < folds {
        return Err(SplitError::TooFewRows { positive: positive.len(), negative: negative.len() });
    }
    // One deal through both classes: fold sizes differ by at most one.
    let mut fold_of = vec![0; labels.len()];
    for (at, row) in positive.into_iter().chain(negative).enumerate() {
        if let Some(fold) = fold_of.get_mut(row) {
            *fold = at % folds;
        }
    }
    let rows_where = |keep: &dyn Fn(usize) -> bool| {
        fold_of.iter().enumerate().filter(|(_, fold)| keep(**fold)).map(|(row, _)| row).collect()
    };
    Ok((0..folds)
        .map(|fold| Split {
            train: rows_where(&|other| other != fold),
            test: rows_where(&|other| other == fold),
        })
        .collect())
}

/// K-fold cross-validation without regard to the outcome; sizes differ by at most one.
///
/// # Errors
/// Fewer than two folds, fewer rows than folds.
pub fn folds(rows: usize, folds: usize, seed: u64) -> Result<Vec<Split>, SplitError> {
    let each: Vec<usize> = (0..rows).collect();
    grouped_folds(&each, folds, seed)
}

/// Draws whole groups for testing until they hold `fraction` of the rows or more; no group is in both parts. `groups`
/// holds one value per row, such as its user.
///
/// # Errors
/// A fraction outside (0, 1), fewer than two groups.
pub fn grouped<G: Ord>(groups: &[G], fraction: f64, seed: u64) -> Result<Split, SplitError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(SplitError::Fraction(fraction));
    }
    let mut members = members(groups);
    if members.len() < 2 {
        return Err(SplitError::TooFewGroups { groups: members.len(), parts: 2 });
    }
    members.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let wanted = fraction * groups.len() as f64;
    let mut split = Split { train: Vec::new(), test: Vec::new() };
    // The last group always stays for training.
    let last = members.pop().unwrap_or_default();
    for rows in members {
        let part = if (split.test.len() as f64) < wanted { &mut split.test } else { &mut split.train };
        part.extend(rows);
    }
    split.train.extend(last);
    split.train.sort_unstable();
    split.test.sort_unstable();
    Ok(split)
}

/// K-fold cross-validation that keeps groups together: the largest groups first, each to the part with the fewest rows.
///
/// # Errors
/// Fewer than two folds, fewer groups than folds.
pub fn grouped_folds<G: Ord>(groups: &[G], folds: usize, seed: u64) -> Result<Vec<Split>, SplitError> {
    if folds < 2 {
        return Err(SplitError::Folds(folds));
    }
    let mut members = members(groups);
    if members.len() < folds {
        return Err(SplitError::TooFewGroups { groups: members.len(), parts: folds });
    }
    members.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    members.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); folds];
    // The part with the fewest rows, the first of equals.
    let mut order: std::collections::BinaryHeap<std::cmp::Reverse<(usize, usize)>> =
        (0..folds).map(|part| std::cmp::Reverse((0, part))).collect();
    for rows in members {
        let Some(std::cmp::Reverse((held, at))) = order.pop() else { break };
        order.push(std::cmp::Reverse((held + rows.len(), at)));
        if let Some(part) = parts.get_mut(at) {
            part.extend(rows);
        }
    }
    let mut part_of = vec![0; groups.len()];
    for (at, part) in parts.iter().enumerate() {
        for row in part {
            if let Some(slot) = part_of.get_mut(*row) {
                *slot = at;
            }
        }
    }
    let rows_where = |keep: &dyn Fn(usize) -> bool| {
        part_of.iter().enumerate().filter(|(_, part)| keep(**part)).map(|(row, _)| row).collect()
    };
    Ok((0..folds)
        .map(|fold| Split {
            train: rows_where(&|other| other != fold),
            test: rows_where(&|other| other == fold),
        })
        .collect())
}

/// The latest rows for testing: about `fraction` of them, and no row of the training part is as late as one of
/// the test part. Times are in any unit.
///
/// # Errors
/// A fraction outside (0, 1), times that are NaN or all equal.
pub fn by_time(times: &[f64], fraction: f64) -> Result<Split, SplitError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(SplitError::Fraction(fraction));
    }
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.dedup();
    let earliest = sorted.first().copied().ok_or(SplitError::Times)?;
    if sorted.len() < 2 || times.iter().any(|time| time.is_nan()) {
        return Err(SplitError::Times);
    }
    let mut latest_first = times.to_vec();
    latest_first.sort_unstable_by(|a, b| b.total_cmp(a));
    let wanted = ((fraction * times.len() as f64).round() as usize).clamp(1, times.len() - 1);
    let mut begin = latest_first.get(wanted - 1).copied().ok_or(SplitError::Times)?;
    if begin <= earliest {
        // Ties reach back to the very first row: what comes after them is left for testing.
        begin = sorted.get(1).copied().ok_or(SplitError::Times)?;
    }
    let (test, train) = (0..times.len()).partition(|&row| times.get(row).is_some_and(|time| *time >= begin));
    Ok(Split { train, test })
}

/// The rows of each group, groups in their order.
fn members<G: Ord>(groups: &[G]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&row| groups.get(row));
    order.chunk_by(|a, b| groups.get(*a) == groups.get(*b)).map(<[usize]>::to_vec).collect()
}

/// Negative and positive row numbers, each in a random order.
fn shuffled_classes(labels: &[bool], seed: u64) -> [Vec<usize>; 2] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    [false, true].map(|class| {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| labels.get(row) == Some(&class)).collect();
        rows.shuffle(&mut rng);
        rows
    })
}
