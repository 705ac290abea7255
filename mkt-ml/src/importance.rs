//! Importance of columns: the model's own measure, and permutation importance on held-out rows.

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    labelled::Labelled,
    significance::{delong, z_975},
    trained::TrainedModel,
};

/// A column's importance by the model's own measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Importance {
    /// The column of the frame, all its encoded features together.
    pub column: String,
    /// Its share, 0 to 1.
    pub importance: f64,
}

/// A column's permutation importance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PermutationImportance {
    /// The column of the frame.
    pub column: String,
    /// The mean decrease of the AUC; around 0 for a column that does not matter.
    pub mean: f64,
    /// The standard deviation over the repeats; 0 for one repeat.
    pub deviation: f64,
    /// Lower end of the 95 % interval of the mean; a column whose interval holds 0 may not matter at all.
    pub low: f64,
    /// Upper end of the 95 % interval of the mean.
    pub high: f64,
}

/// Shuffles each column `repeats` times (at least once) among `rows` and measures the decrease of the AUC. The largest
/// decrease comes first. Use rows that training did not see. Correlated columns hide each other's importance.
///
/// The interval covers two sources of chance: the sample of rows (the variance of [`delong`], original against shuffled,
/// averaged over the repeats) and the shuffling (the variance over the repeats, divided by their number).
///
/// # Errors
/// As [`TrainedModel::probabilities`]; [`Error::Metric`] for fewer than two rows of an outcome.
pub fn permutation_importances(
    model: &TrainedModel,
    rows: &Labelled,
    repeats: usize,
    seed: u64,
) -> Result<Vec<PermutationImportance>, Error> {
    let intact = model.probabilities(rows.frame())?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..rows.rows()).collect();
    let mut frame = rows.frame().clone();
    let mut importances = Vec::new();
    for field in model.schema() {
        let Some(column) = rows.frame().column(&field.name) else { continue };
        let (mut falls, mut sampling) = (Vec::new(), 0.0);
        for _ in 0..repeats.max(1) {
            order.shuffle(&mut rng);
            frame.replace(column.take(&order));
            let fall = delong(rows.labels(), &model.probabilities(&frame)?, &intact)?;
            falls.push(fall.estimate);
            sampling += fall.std_error.powi(2);
        }
        frame.replace(column.clone());
        let count = falls.len() as f64;
        let mean = falls.iter().sum::<f64>() / count;
        let spread = falls.iter().map(|fall| (fall - mean).powi(2)).sum::<f64>();
        // One repeat says nothing of how much shuffling varies.
        let shuffling = if count > 1.0 { spread / (count - 1.0) / count } else { 0.0 };
        let reach = z_975() * (sampling / count + shuffling).sqrt();
        importances.push(PermutationImportance {
            column: field.name,
            mean,
            deviation: (spread / count).sqrt(),
            low: mean - reach,
            high: mean + reach,
        });
    }
    importances.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    Ok(importances)
}
