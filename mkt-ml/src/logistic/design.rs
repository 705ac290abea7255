//! The features of rows in the form that the solver adds up: dense numbers, and one code where a column of
//! categories would be many features of zeros and a single one.

use ndarray::{ArrayView1, ArrayView2, CowArray, Ix2};

use crate::{classifier::ModelError, error::shown};

/// No feature of the column is 1 in this row: it holds the reference level.
pub(crate) const REFERENCE: u32 = u32::MAX;

/// Rows of features.
#[derive(Debug)]
pub(crate) struct Design<'a> {
    /// The dense features, row after row.
    pub(crate) numbers: CowArray<'a, f64, Ix2>,
    /// The feature of each dense column.
    pub(crate) features: Vec<usize>,
    pub(crate) codes: Vec<Coded>,
}

/// Features of which at most one is 1, the others 0.
#[derive(Debug)]
pub(crate) struct Coded {
    /// The first of them.
    pub(crate) first: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// Which one is 1, by row.
    pub(crate) codes: Vec<u32>,
}

impl<'a> Design<'a> {
    /// All features dense.
    pub(crate) fn dense(records: ArrayView2<'a, f64>) -> Self {
        Self { features: (0..records.ncols()).collect(), numbers: records.into(), codes: Vec::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.numbers.nrows()
    }

    pub(crate) fn width(&self) -> usize {
        self.features.len() + self.codes.iter().map(|coded| coded.count).sum::<usize>()
    }

    /// Refuses NaN and infinities.
    pub(crate) fn check(&self, names: &[String]) -> Result<(), ModelError> {
        let wrong = self.numbers.indexed_iter().find(|(_, value)| !value.is_finite());
        wrong.map_or(Ok(()), |((row, column), &value)| {
            let feature = self.features.get(column).and_then(|feature| names.get(*feature));
            Err(ModelError::NotFinite {
                feature: feature.map(|name| shown(name)).unwrap_or_default(),
                row,
                value,
            })
        })
    }

    /// What the features from `first` up to but not with `end` add to w·x in each row.
    pub(crate) fn part(&self, weights: &[f64], first: usize, end: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows()];
        for (column, &feature) in self.features.iter().enumerate().filter(|(_, f)| (first..end).contains(*f))
        {
            let weight = weights.get(feature).copied().unwrap_or_default();
            for (sum, x) in sums.iter_mut().zip(self.numbers.column(column)) {
                *sum += x * weight;
            }
        }
        for coded in self.codes.iter().filter(|coded| (first..end).contains(&coded.first)) {
            let weights = weights.get(coded.first..coded.first + coded.count).unwrap_or_default();
            for (sum, code) in sums.iter_mut().zip(&coded.codes) {
                *sum += weights.get(*code as usize).copied().unwrap_or(0.0);
            }
        }
        sums
    }

    /// The values b + w·x of all rows, each added up in the order of the features, so that they are those of
    /// the dense matrix bit for bit.
    pub(crate) fn linear(&self, intercept: f64, weights: &[f64]) -> Vec<f64> {
        enum Part<'b> {
            Number(usize, f64),
            Code(&'b [u32], &'b [f64]),
        }
        let mut parts: Vec<(usize, Part<'_>)> = Vec::new();
        for (column, &feature) in self.features.iter().enumerate() {
            parts.push((feature, Part::Number(column, weights.get(feature).copied().unwrap_or_default())));
        }
        for coded in &self.codes {
            let weights = weights.get(coded.first..coded.first + coded.count).unwrap_or_default();
            parts.push((coded.first, Part::Code(&coded.codes, weights)));
        }
        parts.sort_by_key(|(feature, _)| *feature);
        let value = |(at, row): (usize, ArrayView1<'_, f64>)| {
            let sum = parts.iter().fold(intercept, |sum, (_, part)| match part {
                Part::Number(column, weight) => sum + row[*column] * weight,
                Part::Code(codes, weights) => {
                    sum + codes.get(at).and_then(|code| weights.get(*code as usize)).copied().unwrap_or(0.0)
                }
            });
            if sum.is_nan() { intercept } else { sum }
        };
        self.numbers.outer_iter().enumerate().map(value).collect()
    }
}
