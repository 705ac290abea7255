//! Divides labelled rows into parts, by seed and stratified: each part holds both classes in proportion.
//!
//! Only row numbers are handled here. Rows of one user are not kept together and time is not respected;
//! where either matters, choose the rows by hand and use [`crate::Labelled::take`].

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Why rows could not be divided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Not strictly between 0 and 1.
    #[error("the test fraction {0} is not between 0 and 1")]
    Fraction(f64),
    /// Fewer than two folds.
    #[error("{0} folds are too few: at least 2 are needed")]
    Folds(usize),
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
pub struct Split {
    /// Rows to fit on.
    pub train: Vec<usize>,
    /// Rows to judge on.
    pub test: Vec<usize>,
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

/// Deals the rows into `folds` parts and returns, for each, that part as test and the rest as train.
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

/// Negative and positive row numbers, each in a random order.
fn shuffled_classes(labels: &[bool], seed: u64) -> [Vec<usize>; 2] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    [false, true].map(|class| {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| labels.get(row) == Some(&class)).collect();
        rows.shuffle(&mut rng);
        rows
    })
}
