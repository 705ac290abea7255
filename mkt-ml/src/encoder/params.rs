//! How to fit an encoder, and the fitting.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{EncodeError, Encoder, Encoding, OutOfFold, Rule, moments, rate::Rates};
use crate::{
    error::shown,
    frame::{Column, Frame, MISSING_CODE, Values},
    labelled::Labelled,
    workers::Crew,
};

/// How categories are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Categories {
    /// One 0/1 feature per level but the most frequent, which is the reference that coefficients and odds
    /// ratios compare with.
    OneHot,
    /// One feature holding the level's rank by name.
    Ordinal,
    /// One feature holding the level's code, as for [`Categories::Ordinal`], which the model treats as a
    /// category: no order of levels is assumed.
    Native,
}

/// How missing numbers and categories are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingValues {
    /// Numbers take the training mean, categories the most frequent level; a column with missing values in
    /// training also gets a 0/1 feature that says so.
    Impute,
    /// They stay missing (NaN), for models that split on missingness themselves.
    Keep,
}

/// How a category that training did not show is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unseen {
    /// It counts as one of the rare levels where training merged some (see [`EncoderParams::max_levels`]),
    /// else as missing.
    Accept,
    /// Encoding fails and names it.
    Refuse,
}

/// How a column is encoded that has more levels than [`EncoderParams::max_levels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HighCardinality {
    /// The most frequent levels stay, all others become one level. The default of files written before
    /// [`HighCardinality::Rate`] existed, and what [`EncoderParams::fit`] does, which has no outcome to learn from.
    #[default]
    Merge,
    /// The column becomes one number: the log odds of the outcome among the training rows of the level, shrunk towards
    /// the log odds of all rows. Levels of a single training row, and levels that training did not show, get the log
    /// odds of all rows.
    Rate,
}

/// How to fit an [`Encoder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderParams {
    pub(super) categories: Categories,
    pub(super) standardise: bool,
    pub(super) missing: MissingValues,
    pub(super) unseen: Unseen,
    max_levels: usize,
    #[serde(default)]
    high_cardinality: HighCardinality,
}

impl EncoderParams {
    /// For linear models: one-hot, standardised to mean 0 and standard deviation 1, missing imputed.
    pub fn one_hot() -> Self {
        Self {
            categories: Categories::OneHot,
            standardise: true,
            missing: MissingValues::Impute,
            unseen: Unseen::Accept,
            max_levels: 200,
            high_cardinality: HighCardinality::Rate,
        }
    }

    /// For trees: ordinal, numbers not scaled, missing values kept.
    pub fn ordinal() -> Self {
        Self {
            categories: Categories::Ordinal,
            standardise: false,
            missing: MissingValues::Keep,
            ..Self::one_hot()
        }
    }

    /// For models with native categories: one code per column, numbers not scaled, missing values kept; up to 254 levels.
    pub fn native() -> Self {
        Self { categories: Categories::Native, max_levels: 254, ..Self::ordinal() }
    }

    /// Whether numbers are scaled to mean 0 and standard deviation 1 of the training rows.
    pub fn standardise(mut self, standardise: bool) -> Self {
        self.standardise = standardise;
        self
    }

    /// Sets how missing values are encoded.
    pub fn missing(mut self, missing: MissingValues) -> Self {
        self.missing = missing;
        self
    }

    /// Sets how categories are encoded that training did not show.
    pub fn unseen(mut self, unseen: Unseen) -> Self {
        self.unseen = unseen;
        self
    }

    /// The maximum number of levels kept apart in one column (default 200, at least 2; 254 for [`EncoderParams::native`]). Columns
    /// with more are encoded as [`EncoderParams::high_cardinality`] says.
    pub fn max_levels(mut self, most: usize) -> Self {
        self.max_levels = most.max(2);
        self
    }

    /// Sets how columns are encoded that have more levels than [`EncoderParams::max_levels`] (default
    /// [`HighCardinality::Rate`]).
    pub fn high_cardinality(mut self, what: HighCardinality) -> Self {
        self.high_cardinality = what;
        self
    }

    /// Learns means, deviations and levels from the training rows. Without an outcome, columns of many levels are
    /// merged ([`HighCardinality::Merge`]) whatever the parameters say; [`EncoderParams::fit_transform`] takes one.
    ///
    /// # Errors
    /// [`EncodeError::Empty`], [`EncodeError::AllMissing`].
    pub fn fit(&self, train: &Frame) -> Result<Encoder, EncodeError> {
        self.fit_by(train, None, Crew::ALONE).map(|(encoder, _)| encoder)
    }

    /// Learns from the training rows and their outcomes, and encodes these rows: one row of the matrix per row, one
    /// column per [feature](Encoder::features). Use this matrix for fitting, not [`Encoder::transform`] of the same
    /// frame: columns encoded as rates hold values that were computed without the row's own outcome.
    ///
    /// # Errors
    /// [`EncodeError::Empty`], [`EncodeError::AllMissing`], [`EncodeError::TooLarge`].
    pub fn fit_transform(&self, train: &Labelled) -> Result<(Encoder, Array2<f64>), EncodeError> {
        let (encoder, held_out) = self.fit_by(train.frame(), Some(train.labels()), Crew::ALONE)?;
        let matrix = encoder.transform_rows(train.frame(), 0..train.rows(), &held_out, Crew::ALONE)?;
        Ok((encoder, matrix))
    }

    pub(crate) fn fit_by(
        &self,
        train: &Frame,
        labels: Option<&[bool]>,
        crew: Crew,
    ) -> Result<(Encoder, OutOfFold), EncodeError> {
        if train.rows() == 0 || train.columns().is_empty() {
            return Err(EncodeError::Empty { rows: train.rows(), columns: train.columns().len() });
        }
        let columns = crew.map(train.columns().iter().collect(), |column| self.fit_column(column, labels));
        let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (mut held_out, mut encodings) = (OutOfFold::default(), Vec::new());
        for (encoding, values) in columns {
            if let Some(values) = values {
                held_out.insert(encoding.column.clone(), values);
            }
            encodings.push(encoding);
        }
        Ok((Encoder { params: self.clone(), columns: encodings }, held_out))
    }

    fn fit_column(
        &self,
        column: &Column,
        labels: Option<&[bool]>,
    ) -> Result<(Encoding, Option<Vec<f64>>), EncodeError> {
        let mut held_out = None;
        let all_missing = || EncodeError::AllMissing { column: shown(column.name()) };
        let rule = match &column.values {
            Values::Numeric(numbers) => {
                let present: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
                if present.is_empty() {
                    return Err(all_missing());
                }
                let (mean, deviation) = moments(&present);
                Rule::Numeric { mean, deviation, missing: present.len() < numbers.len() }
            }
            Values::Categorical { levels, codes } => {
                let mut counts = vec![0_usize; levels.len()];
                for &code in codes {
                    if let Some(count) = counts.get_mut(code as usize) {
                        *count += 1;
                    }
                }
                let mut seen: Vec<(&String, usize)> =
                    levels.iter().zip(counts).filter(|(_, n)| *n > 0).collect();
                let Some(most_frequent) = seen
                    .iter()
                    .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))
                    .map(|(level, _)| (*level).clone())
                else {
                    return Err(all_missing());
                };
                let merged = seen.len() > self.max_levels;
                if let Some(labels) =
                    labels.filter(|_| merged && self.high_cardinality == HighCardinality::Rate)
                {
                    let (rates, values) = Rates::fit(levels, codes, labels);
                    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
                    let (mean, deviation) = moments(&known);
                    let rule = Rule::Rate {
                        rates,
                        distinct: seen.len(),
                        mean,
                        deviation,
                        missing: codes.contains(&MISSING_CODE),
                    };
                    held_out = Some(values);
                    return Ok((Encoding { column: column.name().to_owned(), rule }, held_out));
                }
                if merged {
                    seen.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
                    seen.truncate(self.max_levels - 1);
                }
                let mut kept: Vec<String> = seen.into_iter().map(|(level, _)| level.clone()).collect();
                kept.sort_unstable();
                let reference = kept.binary_search(&most_frequent).unwrap_or_default();
                Rule::Categorical {
                    levels: kept,
                    reference,
                    rare: merged,
                    missing: codes.contains(&MISSING_CODE),
                }
            }
        };
        Ok((Encoding { column: column.name().to_owned(), rule }, held_out))
    }
}
