//! Class weights: how much rows of either outcome count when fitting.

use serde::{Deserialize, Serialize};

use crate::classifier::ModelError;

/// Class weights: how much rows of either outcome count when fitting. Weights may improve the ranking where one outcome
/// is rare, but the model's probabilities are then no longer the conversion rates of the data.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClassWeights {
    /// Every row counts 1.
    #[default]
    Equal,
    /// Both outcomes have the same total weight: rows ÷ (2 · rows of the outcome), as scikit-learn's `balanced`.
    Balanced,
    /// A weight for each outcome.
    Of {
        /// The weight of a row without the outcome.
        negative: f64,
        /// The weight of a row with it.
        positive: f64,
    },
}

impl ClassWeights {
    /// The weights of a negative and a positive row among so many of each (weighted counts where rows have
    /// weights of their own).
    pub(crate) fn of(self, negatives: f64, positives: f64) -> [f64; 2] {
        match self {
            Self::Equal => [1.0, 1.0],
            Self::Balanced => {
                let all = negatives + positives;
                [all / (2.0 * negatives), all / (2.0 * positives)]
            }
            Self::Of { negative, positive } => [negative, positive],
        }
    }

    /// Both weights must be numbers above 0.
    pub(crate) fn check(self) -> Result<(), ModelError> {
        if let Self::Of { negative, positive } = self {
            for weight in [negative, positive] {
                if !(weight > 0.0 && weight.is_finite()) {
                    return Err(ModelError::Parameter {
                        name: "class_weights",
                        value: weight.to_string(),
                        expected: "numbers above 0",
                    });
                }
            }
        }
        Ok(())
    }
}
