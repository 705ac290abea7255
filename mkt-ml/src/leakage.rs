//! Leakage: columns that decide the outcome alone, that are filled in after it, or that only identify the row.
//!
//! A model trained on such a column evaluates well and predicts nothing, because the column is still empty when the
//! prediction is needed. The check does not know what a column means: it reports suspects with the figures.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::{
    Error,
    frame::{Column, MISSING_CODE, Values},
    labelled::Labelled,
    metrics, split,
};

/// Quantile groups of a numeric column.
const GROUPS: usize = 64;
/// The fewest filled cells to judge by.
const FEWEST_FILLED: usize = 20;
/// The share of filled rows of one outcome from which filling looks like a consequence of it.
const ONE_OUTCOME: f64 = 0.99;
/// The empty value must cover this share of the other outcome.
const EMPTY_SHARE: f64 = 0.9;
/// How unlikely chance must be, over all columns together.
const CHANCE: f64 = 1e-4;

/// Why a column is suspected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The column alone ranks held-out rows with at least [`LeakCheck::auc`].
    DecidesAlone,
    /// The column is empty, or holds its usual value, in nearly all rows of one outcome, and where it holds something
    /// else the outcome is nearly always the other one: an order number, a refund, a delivery date.
    FilledWithOutcome {
        /// Rows that hold something else.
        filled: usize,
        /// The share of those with the outcome.
        share: f64,
        /// Which outcome that is.
        positive: bool,
    },
    /// Nearly every row has a category of its own, which identifies the row and does not generalise.
    NamesTheRow {
        /// Different categories.
        levels: usize,
    },
    /// Whole numbers that look like identifiers: nearly every row has one of its own and together they are a run
    /// without large gaps, or the column is called an id. Their order means nothing, so a model that splits on it
    /// learns which rows happened to come first.
    NumbersTheRow {
        /// Different numbers.
        distinct: usize,
    },
}

/// A suspicious column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Suspect {
    /// The column.
    pub column: String,
    /// The AUC of the column alone on held-out rows: 0.5 is chance.
    pub auc: f64,
    /// Why it is suspicious.
    pub reason: Reason,
}

/// The leakage check and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeakCheck {
    auc: f64,
    seed: u64,
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self { auc: 0.95, seed: 42 }
    }
}

impl LeakCheck {
    /// Sets the AUC from which a single column is suspicious (default 0.95).
    #[must_use]
    pub fn auc(mut self, auc: f64) -> Self {
        self.auc = auc;
        self
    }

    /// Seeds the split into two halves (default 42): each half is ranked by the rates of the other.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The AUC of each column alone, in the order of the frame: numbers cut at quantiles, categories by level, missing
    /// values a group of their own, each group ranked by its share of positive rows in the other half of the rows.
    ///
    /// # Errors
    /// [`Error::Split`] for fewer than two rows of an outcome.
    pub fn single_columns(&self, rows: &Labelled) -> Result<Vec<(String, f64)>, Error> {
        let halves = split::stratified_folds(rows.labels(), 2, self.seed)?;
        let overall = rows.labels().iter().filter(|label| **label).count() as f64 / rows.rows() as f64;
        rows.frame()
            .columns()
            .iter()
            .map(|column| {
                let groups = groups(column);
                let mut sum = 0.0;
                for half in &halves {
                    let mut counts: HashMap<u32, (f64, f64)> = HashMap::new();
                    for row in &half.train {
                        let (positive, all) = counts.entry(at(&groups, *row)).or_default();
                        *positive += f64::from(u8::from(at(rows.labels(), *row)));
                        *all += 1.0;
                    }
                    // One row more of the overall kind, so that groups of few rows do not claim to be sure.
                    let score = |row: &usize| {
                        let (positive, all) = counts.get(&at(&groups, *row)).copied().unwrap_or_default();
                        (positive + overall) / (all + 1.0)
                    };
                    let scores: Vec<f64> = half.test.iter().map(score).collect();
                    let labels: Vec<bool> = half.test.iter().map(|row| at(rows.labels(), *row)).collect();
                    sum += metrics::auc_roc(&labels, &scores)?;
                }
                Ok((column.name().to_owned(), sum / halves.len() as f64))
            })
            .collect()
    }

    /// Returns the suspicious columns, the highest AUC first.
    ///
    /// # Errors
    /// As [`LeakCheck::single_columns`].
    pub fn run(&self, rows: &Labelled) -> Result<Vec<Suspect>, Error> {
        let mut suspects = Vec::new();
        let columns = rows.frame().columns();
        for (column, (name, auc)) in columns.iter().zip(self.single_columns(rows)?) {
            let reason = if auc >= self.auc {
                Some(Reason::DecidesAlone)
            } else {
                filled_with_outcome(column, rows.labels(), columns.len())
                    .or_else(|| names_the_row(column))
                    .or_else(|| numbers_the_row(column))
            };
            suspects.extend(reason.map(|reason| Suspect { column: name, auc, reason }));
        }
        suspects.sort_by(|a, b| b.auc.total_cmp(&a.auc));
        Ok(suspects)
    }
}

fn at<T: Copy + Default>(values: &[T], row: usize) -> T {
    values.get(row).copied().unwrap_or_default()
}

/// The group of each row.
fn groups(column: &Column) -> Vec<u32> {
    match &column.values {
        Values::Categorical { codes, .. } => codes.clone(),
        Values::Numeric(numbers) => {
            let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut edges: Vec<f64> =
                (1..GROUPS).filter_map(|group| sorted.get(group * sorted.len() / GROUPS)).copied().collect();
            edges.dedup();
            // Groups end before an edge, so that a value which fills several quantiles has a group of its own.
            let group = |number: &f64| match number.is_nan() {
                true => MISSING_CODE,
                false => edges.partition_point(|edge| edge <= number) as u32,
            };
            numbers.iter().map(group).collect()
        }
    }
}

/// Each row's value as a key: equal keys are equal values.
fn keys(column: &Column) -> Vec<u64> {
    match &column.values {
        Values::Categorical { codes, .. } => codes.iter().map(|code| u64::from(*code)).collect(),
        Values::Numeric(numbers) => numbers
            .iter()
            .map(|number| if number.is_nan() { u64::MAX } else { (number + 0.0).to_bits() })
            .collect(),
    }
}

fn filled_with_outcome(column: &Column, labels: &[bool], columns: usize) -> Option<Reason> {
    let keys = keys(column);
    [true, false].into_iter().find_map(|outcome| {
        let others = labels.iter().filter(|label| **label != outcome).count();
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for (key, _) in keys.iter().zip(labels).filter(|(_, label)| **label != outcome) {
            *counts.entry(*key).or_default() += 1;
        }
        let (&empty, &usual) = counts.iter().max_by_key(|(key, count)| (**count, **key))?;
        let filled: Vec<bool> = keys
            .iter()
            .zip(labels)
            .filter(|(key, _)| **key != empty)
            .map(|(_, label)| *label == outcome)
            .collect();
        let with = filled.iter().filter(|with| **with).count();
        let share = with as f64 / filled.len().max(1) as f64;
        if filled.len() < FEWEST_FILLED || share < ONE_OUTCOME || (usual as f64) < EMPTY_SHARE * others as f64
        {
            return None;
        }
        let rate = 1.0 - others as f64 / labels.len() as f64;
        let chance = Binomial::new(rate, filled.len() as u64).ok()?.sf(with as u64 - 1);
        (chance * columns as f64 <= CHANCE).then_some(Reason::FilledWithOutcome {
            filled: filled.len(),
            share,
            positive: outcome,
        })
    })
}

fn names_the_row(column: &Column) -> Option<Reason> {
    let Values::Categorical { levels, codes } = &column.values else { return None };
    let mut met = vec![false; levels.len()];
    for code in codes {
        if let Some(met) = met.get_mut(*code as usize) {
            *met = true;
        }
    }
    let levels = met.iter().filter(|met| **met).count();
    (levels >= 50 && levels as f64 >= 0.9 * codes.len() as f64).then_some(Reason::NamesTheRow { levels })
}

fn numbers_the_row(column: &Column) -> Option<Reason> {
    let Values::Numeric(numbers) = &column.values else { return None };
    let mut present: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    if present.len() < 50 || !present.iter().all(|number| number.fract() == 0.0 && number.abs() < 1e15) {
        return None;
    }
    present.sort_unstable_by(f64::total_cmp);
    let rows = present.len();
    let span = present.last()? - present.first()? + 1.0;
    present.dedup();
    let distinct = present.len();
    let run = distinct as f64 >= 0.9 * rows as f64 && span <= 4.0 * rows as f64;
    (run || (is_called_id(column.name()) && distinct >= 50)).then_some(Reason::NumbersTheRow { distinct })
}

/// Whether one of the words of a column's name is that of an identifier: `user_id`, `CustomerID`, `id client`.
fn is_called_id(name: &str) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let starts = !character.is_alphanumeric() || (character.is_uppercase() && before.is_lowercase());
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        before = character;
    }
    words
        .iter()
        .any(|word| matches!(word.as_str(), "id" | "ids" | "uid" | "guid" | "identifier" | "identifiant"))
}
