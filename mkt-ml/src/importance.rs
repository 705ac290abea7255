//! How much a column matters: by what the model says of itself, or by what is lost without it.

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{Error, labelled::Labelled, metrics, trained::TrainedModel};

/// A column's share in what moves a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The column of the frame, all its encoded features together.
    pub column: String,
    /// Its share, 0 to 1.
    pub importance: f64,
}

/// What shuffling a column costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermutationImportance {
    /// The column of the frame.
    pub column: String,
    /// The mean fall of the area under the ROC curve; around 0 for a column that does not matter.
    pub mean: f64,
    /// The standard deviation over the repeats; 0 for one repeat.
    pub deviation: f64,
}

/// Shuffles each column `repeats` times (at least once) among `rows` and measures how much AUC falls, the
/// largest fall first. Use rows that training did not see. Columns that say the same thing hide each other.
///
/// # Errors
/// As [`TrainedModel::probabilities`]; [`Error::Metric`] for rows of one outcome only.
pub fn permutation_importances(
    model: &TrainedModel,
    rows: &Labelled,
    repeats: usize,
    seed: u64,
) -> Result<Vec<PermutationImportance>, Error> {
    let intact = metrics::auc_roc(rows.labels(), &model.probabilities(rows.frame())?)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..rows.rows()).collect();
    let mut frame = rows.frame().clone();
    let mut importances = Vec::new();
    for field in model.schema() {
        let Some(column) = rows.frame().column(&field.name) else { continue };
        let mut falls = Vec::new();
        for _ in 0..repeats.max(1) {
            order.shuffle(&mut rng);
            frame.replace(column.take(&order));
            falls.push(intact - metrics::auc_roc(rows.labels(), &model.probabilities(&frame)?)?);
        }
        frame.replace(column.clone());
        let count = falls.len() as f64;
        let mean = falls.iter().sum::<f64>() / count;
        let deviation = (falls.iter().map(|fall| (fall - mean).powi(2)).sum::<f64>() / count).sqrt();
        importances.push(PermutationImportance { column: field.name, mean, deviation });
    }
    importances.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    Ok(importances)
}
