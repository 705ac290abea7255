//! The log odds of the outcome by level, for columns of many levels.
//!
//! With n rows of a level, p of them positive, and the share r of positive rows in all, a level's rate is
//! (p + m r) ÷ (n + m): m rows of the overall kind are added to each level, so that levels of few rows stay near r. m
//! is (1 − ρ) ÷ ρ, where ρ, the share of the variance that lies between levels, is estimated by the analysis of
//! variance (Donner, International Statistical Review 54, 1986). Where levels do not differ more than chance would
//! have it, every level gets r.
//!
//! The values of training rows are computed from the rows of the other folds only; m and r are the same for all
//! folds. A row's value is therefore independent of its own outcome where levels do not matter.

use serde::{Deserialize, Serialize};

use crate::{frame::MISSING_CODE, split};

/// Parts of the training rows.
const FOLDS: usize = 5;
/// Decides which rows are in which part. Fixed: the same rows give the same model.
const SEED: u64 = 0x7261_7465;
/// Rates stay this far from 0 and 1, so that log odds stay finite.
const EDGE: f64 = 1e-6;
/// The fewest rows added to a level.
const LEAST_ADDED: f64 = 1.0;

/// What was learnt about one column: levels of at least two training rows, sorted, and their log odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rates {
    levels: Vec<String>,
    values: Vec<f64>,
    /// The log odds of all rows.
    overall: f64,
}

/// Rows of a level.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    rows: f64,
    positive: f64,
}

impl Count {
    fn of(codes: &[u32], labels: &[bool], levels: usize, keep: impl Fn(usize) -> bool) -> Vec<Self> {
        let mut counts = vec![Self::default(); levels];
        for (row, (code, label)) in codes.iter().zip(labels).enumerate() {
            if let Some(count) = counts.get_mut(*code as usize).filter(|_| keep(row)) {
                count.rows += 1.0;
                count.positive += f64::from(u8::from(*label));
            }
        }
        counts
    }
}

impl Rates {
    /// The rates by level, and the value of each training row by the rates of the other folds (NaN: missing).
    pub(super) fn fit(levels: &[String], codes: &[u32], labels: &[bool]) -> (Self, Vec<f64>) {
        let counts = Count::of(codes, labels, levels.len(), |_| true);
        let (rows, positive) = counts
            .iter()
            .fold((0.0, 0.0), |(rows, positive), count| (rows + count.rows, positive + count.positive));
        let overall = positive / rows;
        let added = added_rows(&counts, overall);
        let log_odds = |count: &Count| {
            let rate = match added {
                Some(added) => (count.positive + added * overall) / (count.rows + added),
                None => overall,
            };
            let rate = rate.clamp(EDGE, 1.0 - EDGE);
            (rate / (1.0 - rate)).ln()
        };
        let mut known: Vec<(&String, f64)> = levels
            .iter()
            .zip(&counts)
            .filter(|(_, count)| count.rows >= 2.0)
            .map(|(level, count)| (level, log_odds(count)))
            .collect();
        known.sort_by(|a, b| a.0.cmp(b.0));
        let rates = Self {
            levels: known.iter().map(|(level, _)| (*level).clone()).collect(),
            values: known.iter().map(|(_, value)| *value).collect(),
            overall: log_odds(&Count::default()),
        };

        let mut fold_of = vec![0; codes.len()];
        // Where an outcome has fewer rows than folds, which rows are together does not depend on it.
        let folds = split::stratified_folds(labels, FOLDS, SEED)
            .or_else(|_| split::folds(codes.len(), FOLDS.min(codes.len()), SEED))
            .unwrap_or_default();
        for (number, fold) in folds.iter().enumerate() {
            for row in &fold.test {
                if let Some(slot) = fold_of.get_mut(*row) {
                    *slot = number;
                }
            }
        }
        let mut values = vec![f64::NAN; codes.len()];
        for number in 0..folds.len().max(1) {
            let inside = |row: usize| fold_of.get(row) == Some(&number);
            let others = Count::of(codes, labels, levels.len(), |row| !inside(row));
            let by_level: Vec<f64> = others.iter().map(log_odds).collect();
            for (row, (code, value)) in codes.iter().zip(&mut values).enumerate() {
                if *code != MISSING_CODE && inside(row) {
                    *value = by_level.get(*code as usize).copied().unwrap_or(rates.overall);
                }
            }
        }
        (rates, values)
    }

    /// The log odds of a level of at least two training rows.
    pub(super) fn of(&self, level: &str) -> Option<f64> {
        let place = self.levels.binary_search_by(|known| known.as_str().cmp(level)).ok()?;
        self.values.get(place).copied()
    }

    /// The log odds of all rows: of other levels too.
    pub(super) fn overall(&self) -> f64 {
        self.overall
    }

    /// The number of levels with a value of their own.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    #[cfg(feature = "onnx")]
    pub(super) fn levels(&self) -> &[String] {
        &self.levels
    }

    #[cfg(feature = "onnx")]
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Whether stored rates are some that [`Rates::fit`] could have made.
    pub(super) fn is_sound(&self) -> bool {
        self.levels.len() == self.values.len()
            && self.levels.is_sorted_by(|a, b| a < b)
            && self.values.iter().chain([&self.overall]).all(|value| value.abs() < 20.0)
    }
}

/// The rows of the overall kind to add to each level; `None` where levels do not differ.
fn added_rows(counts: &[Count], overall: f64) -> Option<f64> {
    let levels = counts.iter().filter(|count| count.rows > 0.0).count() as f64;
    let rows: f64 = counts.iter().map(|count| count.rows).sum();
    let squares: f64 = counts.iter().map(|count| count.rows * count.rows).sum();
    let held = || counts.iter().filter(|count| count.rows > 0.0);
    let between: f64 = held().map(|count| count.rows * (count.positive / count.rows - overall).powi(2)).sum();
    let within: f64 = held().map(|count| count.positive * (1.0 - count.positive / count.rows)).sum();
    if levels < 2.0 || rows <= levels {
        return None;
    }
    let [between, within] = [between / (levels - 1.0), within / (rows - levels)];
    let typical = (rows - squares / rows) / (levels - 1.0);
    let variance = (between - within) / typical;
    (variance > 0.0).then(|| (within / variance).max(LEAST_ADDED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_the_formula() {
        // Two levels of four rows: 3 and 1 positive; a third of one row. Positive rows: 5 of 9.
        let levels: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let codes = [0, 0, 0, 0, 1, 1, 1, 1, 2];
        let labels = [true, true, true, false, true, false, false, false, true];
        let (rates, values) = Rates::fit(&levels, &codes, &labels);
        // By hand: between = (4·(3/4−5/9)² + 4·(1/4−5/9)² + (1−5/9)²) ÷ 2 = 13/36 (0.3611), within = (3/4 + 3/4) ÷ 6
        // = 1/4, typical = (9 − 33/9) ÷ 2 = 8/3, variance = (13/36 − 1/4) ÷ 8/3 = 1/24, m = 6.
        let expected = |positive: f64, rows: f64| {
            let rate: f64 = (positive + 6.0 * 5.0 / 9.0) / (rows + 6.0);
            (rate / (1.0 - rate)).ln()
        };
        assert!((rates.of("a").unwrap() - expected(3.0, 4.0)).abs() < 1e-12, "{rates:?}");
        assert!((rates.of("b").unwrap() - expected(1.0, 4.0)).abs() < 1e-12);
        assert_eq!(rates.of("c"), None, "a level of one row is not kept");
        // The only row of its level: nothing is known of it without its own outcome.
        assert!((values[8] - rates.overall()).abs() < 1e-12);
        assert!(rates.is_sound());
    }
}
