//! Encoders turn a frame into the matrix of numbers that models take, by rules learnt from the training rows only.
//!
//! Three forms: one-hot and standardised for linear models, ordinal with missing values kept for trees, native
//! category codes for boosting. The fitted encoder is part of the saved model.
//!
//! A column with more levels than [`EncoderParams::max_levels`] becomes one number, the log odds of the outcome by
//! level ([`HighCardinality::Rate`]). Training rows get values that were computed without them (out of fold), so the outcome does not leak into its own feature. This is the only place
//! where an encoder looks at the outcome.

mod error;
mod params;
mod rate;

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use ndarray::{Array2, ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use self::rate::Rates;
pub use self::{
    error::EncodeError,
    params::{Categories, EncoderParams, HighCardinality, MissingValues, Unseen},
};
use crate::{
    error::shown,
    frame::{Column, ColumnKind, Field, Frame, MISSING_CODE, Values},
    logistic::design::{Coded, Design, REFERENCE},
    workers::Crew,
};

/// Cells of an encoded matrix beyond which encoding is refused: 8 GiB of numbers.
const MOST_CELLS: usize = 1 << 30;

/// Rows that one thread encodes at a time.
const PART: usize = 1 << 14;

/// The values of the training rows in columns encoded as rates, each computed without the row's own fold; NaN where
/// the category is missing. By column.
pub(crate) type OutOfFold = HashMap<String, Vec<f64>>;

/// What was learnt about one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Encoding {
    column: String,
    rule: Rule,
}

/// `missing`: training had missing values in this column. `levels` are sorted; `rare`: some were merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    Numeric {
        mean: f64,
        deviation: f64,
        missing: bool,
    },
    Categorical {
        levels: Vec<String>,
        reference: usize,
        rare: bool,
        missing: bool,
    },
    /// `distinct`: levels in training; `mean` and `deviation` are those of the training rows' values.
    Rate {
        rates: Rates,
        distinct: usize,
        mean: f64,
        deviation: f64,
        missing: bool,
    },
}

/// A column that keeps fewer levels than training showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Folded {
    /// The column.
    pub column: String,
    /// Levels that keep a code, a feature or a rate of their own. All others count as one.
    pub kept: usize,
    /// Levels in the training rows; `None` where the encoder was fitted before this was recorded, or levels were
    /// merged.
    pub distinct: Option<usize>,
    /// Whether the column became one number, the log odds by level, instead of codes.
    pub as_rate: bool,
}

/// One column of the encoded matrix.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Feature {
    /// Its name: the column, or `column=level`.
    pub name: String,
    /// The column of the frame that it comes from.
    pub column: String,
    /// The original units in one unit of the feature: the standard deviation of a standardised number, else 1.
    pub scale: f64,
    /// The levels whose codes 0, 1, 2, … the feature holds, where categories stay in one feature; the last is
    /// `(rare)` where training merged some.
    pub levels: Option<Vec<String>>,
    /// Whether a model is to take those codes for categories without an order.
    pub categorical: bool,
}

/// A fitted encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    params: EncoderParams,
    columns: Vec<Encoding>,
}

impl Encoder {
    /// The features of the encoded matrix in order.
    pub fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        for Encoding { column, rule } in &self.columns {
            let mut add = |level: Option<&str>, scale| {
                let name = level.map_or_else(|| column.clone(), |level| format!("{column}={level}"));
                let (levels, categorical) = (None, false);
                features.push(Feature { name, column: column.clone(), scale, levels, categorical });
            };
            match rule {
                Rule::Numeric { deviation, missing, .. } => {
                    add(None, if self.params.standardise { *deviation } else { 1.0 });
                    if self.flags(*missing) {
                        add(Some("(missing)"), 1.0);
                    }
                }
                Rule::Rate { deviation, missing, .. } => {
                    features.push(Feature {
                        name: format!("{column} (log odds)"),
                        column: column.clone(),
                        scale: if self.params.standardise { *deviation } else { 1.0 },
                        levels: None,
                        categorical: false,
                    });
                    if self.flags(*missing) {
                        features.push(Feature {
                            name: format!("{column}=(missing)"),
                            column: column.clone(),
                            scale: 1.0,
                            levels: None,
                            categorical: false,
                        });
                    }
                }
                Rule::Categorical { levels, rare, .. } if self.params.categories != Categories::OneHot => {
                    let named = levels.iter().cloned().chain(rare.then(|| "(rare)".to_owned()));
                    features.push(Feature {
                        name: column.clone(),
                        column: column.clone(),
                        scale: 1.0,
                        levels: Some(named.collect()),
                        categorical: self.params.categories == Categories::Native,
                    });
                }
                Rule::Categorical { levels, reference, rare, missing } => {
                    for (_, level) in levels.iter().enumerate().filter(|(at, _)| at != reference) {
                        add(Some(level), 1.0);
                    }
                    if *rare {
                        add(Some("(rare)"), 1.0);
                    }
                    if self.flags(*missing) {
                        add(Some("(missing)"), 1.0);
                    }
                }
            }
        }
        features
    }

    /// Names and kinds of the columns that a frame must have, in order.
    pub fn schema(&self) -> Vec<Field> {
        let kind = |rule: &Rule| match rule {
            Rule::Numeric { .. } => ColumnKind::Numeric,
            Rule::Categorical { .. } | Rule::Rate { .. } => ColumnKind::Categorical,
        };
        self.columns
            .iter()
            .map(|encoding| Field { name: encoding.column.clone(), kind: kind(&encoding.rule) })
            .collect()
    }

    /// The columns of which training showed more levels than the encoder keeps apart, in order.
    pub fn folded(&self) -> Vec<Folded> {
        let folded = self.columns.iter().filter_map(|Encoding { column, rule }| {
            let (kept, distinct, as_rate) = match rule {
                Rule::Rate { rates, distinct, .. } => (rates.len(), Some(*distinct), true),
                Rule::Categorical { levels, rare: true, .. } => (levels.len(), None, false),
                _ => return None,
            };
            Some(Folded { column: column.clone(), kept, distinct, as_rate })
        });
        folded.collect()
    }

    /// How many rows of a frame hold a category that training did not show, or that it merged with other rare ones, by
    /// column and in order; columns that are missing or of another kind are left out.
    pub(crate) fn unfamiliar(&self, frame: &Frame) -> Vec<(&str, usize)> {
        let counts = self.columns.iter().filter_map(|Encoding { column, rule }| {
            let Values::Categorical { levels, codes } = &frame.column(column)?.values else { return None };
            let known: Vec<bool> = match rule {
                Rule::Numeric { .. } => return None,
                Rule::Categorical { levels: known, .. } => {
                    levels.iter().map(|level| known.binary_search(level).is_ok()).collect()
                }
                Rule::Rate { rates, .. } => levels.iter().map(|level| rates.of(level).is_some()).collect(),
            };
            let unfamiliar = |code: &&u32| known.get(**code as usize).is_some_and(|known| !known);
            Some((column.as_str(), codes.iter().filter(unfamiliar).count()))
        });
        counts.collect()
    }

    /// Encodes a frame. Columns are found by name, others are ignored; the order of rows is kept.
    ///
    /// # Errors
    /// A column missing or of another kind, an unseen category under [`Unseen::Refuse`], a matrix of more
    /// than 2³⁰ cells.
    pub fn transform(&self, frame: &Frame) -> Result<Array2<f64>, EncodeError> {
        self.transform_rows(frame, 0..frame.rows(), &OutOfFold::default(), Crew::ALONE)
    }

    /// Encodes the rows of `range`; errors count rows from the start of the frame.
    pub(crate) fn transform_rows(
        &self,
        frame: &Frame,
        range: Range<usize>,
        held_out: &OutOfFold,
        crew: Crew,
    ) -> Result<Array2<f64>, EncodeError> {
        let columns = self.columns_of(frame)?;
        let features = self.features().len();
        self.write(&columns.collect::<Vec<_>>(), range, features, held_out, crew)
    }

    /// The columns of a frame that the encoder knows, each with its rule.
    fn columns_of<'a>(
        &'a self,
        frame: &'a Frame,
    ) -> Result<impl Iterator<Item = (&'a Encoding, &'a Column)>, EncodeError> {
        let found = self.columns.iter().map(|encoding| {
            let missing = || EncodeError::MissingColumn { column: shown(&encoding.column) };
            Ok((encoding, frame.column(&encoding.column).ok_or_else(missing)?))
        });
        Ok(found.collect::<Result<Vec<_>, EncodeError>>()?.into_iter())
    }

    /// A matrix of the features of some columns.
    fn write(
        &self,
        columns: &[(&Encoding, &Column)],
        range: Range<usize>,
        features: usize,
        held_out: &OutOfFold,
        crew: Crew,
    ) -> Result<Array2<f64>, EncodeError> {
        let rows = range.len();
        if rows.checked_mul(features).is_none_or(|cells| cells > MOST_CELLS) {
            return Err(EncodeError::TooLarge { rows, features });
        }
        let mut matrix = Array2::zeros((rows, features));
        let starts = range.clone().step_by(PART);
        let parts: Vec<_> = starts.zip(matrix.axis_chunks_iter_mut(Axis(0), PART)).collect();
        let written = crew.map(parts, |(start, mut part)| {
            let mut at = 0;
            let rows = start..range.end.min(start + PART);
            for (encoding, column) in columns {
                let values = held_out.get(&encoding.column).map(|values| {
                    // Empty where the frame is not the one that the values were computed for.
                    values.get(rows.clone()).unwrap_or_default()
                });
                at = match (&encoding.rule, values) {
                    (Rule::Rate { .. }, Some(values)) => self.write_rates(encoding, values, &mut part, at),
                    _ => self.transform_column(encoding, column, rows.clone(), &mut part, at)?,
                };
            }
            Ok(())
        });
        written.into_iter().collect::<Result<(), EncodeError>>()?;
        Ok(matrix)
    }

    /// Writes one column's features from `at` on and returns where the next column's begin.
    fn transform_column(
        &self,
        encoding: &Encoding,
        column: &Column,
        range: Range<usize>,
        matrix: &mut ArrayViewMut2<'_, f64>,
        at: usize,
    ) -> Result<usize, EncodeError> {
        match (&encoding.rule, &column.values) {
            (Rule::Numeric { mean, deviation, missing }, Values::Numeric(numbers)) => {
                let numbers = numbers.get(range).unwrap_or_default();
                let (centre, scale) = if self.params.standardise { (*mean, *deviation) } else { (0.0, 1.0) };
                let absent = match self.params.missing {
                    MissingValues::Impute => (mean - centre) / scale,
                    MissingValues::Keep => f64::NAN,
                };
                for (cell, number) in matrix.column_mut(at).iter_mut().zip(numbers) {
                    *cell = if number.is_nan() { absent } else { standardised(*number, centre, scale) };
                }
                if !self.flags(*missing) {
                    return Ok(at + 1);
                }
                for (cell, number) in matrix.column_mut(at + 1).iter_mut().zip(numbers) {
                    *cell = f64::from(u8::from(number.is_nan()));
                }
                Ok(at + 2)
            }
            (Rule::Categorical { .. }, Values::Categorical { levels, codes }) => {
                let codes = codes.get(range.clone()).unwrap_or_default();
                self.transform_categories(encoding, levels, codes, range.start, matrix, at)
            }
            (Rule::Rate { rates, .. }, Values::Categorical { levels, codes }) => {
                let by_code: Vec<Option<f64>> = levels.iter().map(|level| rates.of(level)).collect();
                let unseen = by_code.iter().position(Option::is_none);
                if let (Unseen::Refuse, Some(unseen)) = (self.params.unseen, unseen)
                    && let Some(row) = codes.iter().position(|code| *code as usize == unseen)
                {
                    let level = levels.get(unseen).map(|level| shown(level)).unwrap_or_default();
                    return Err(EncodeError::UnseenLevel { column: shown(&encoding.column), row, level });
                }
                let value = |code: &u32| match by_code.get(*code as usize) {
                    Some(rate) => rate.unwrap_or(rates.overall()),
                    None => f64::NAN,
                };
                let values: Vec<f64> = codes.get(range).unwrap_or_default().iter().map(value).collect();
                Ok(self.write_rates(encoding, &values, matrix, at))
            }
            (Rule::Rate { .. }, Values::Numeric(numbers)) if numbers.iter().all(|n| n.is_nan()) => {
                Ok(self.write_rates(encoding, &vec![f64::NAN; range.len()], matrix, at))
            }
            // A column without any value reads as numeric; every row of it is missing all the same.
            (Rule::Categorical { .. }, Values::Numeric(numbers)) if numbers.iter().all(|n| n.is_nan()) => {
                let codes = vec![MISSING_CODE; range.len()];
                self.transform_categories(encoding, &[], &codes, range.start, matrix, at)
            }
            (Rule::Numeric { .. }, Values::Categorical { .. }) => Err(EncodeError::WrongKind {
                column: shown(&encoding.column),
                expected: ColumnKind::Numeric,
                found: ColumnKind::Categorical,
            }),
            (Rule::Categorical { .. } | Rule::Rate { .. }, Values::Numeric(_)) => {
                Err(EncodeError::WrongKind {
                    column: shown(&encoding.column),
                    expected: ColumnKind::Categorical,
                    found: ColumnKind::Numeric,
                })
            }
        }
    }

    /// Writes a column's log odds (NaN: missing) from `at` on and returns where the next column's features begin.
    fn write_rates(
        &self,
        encoding: &Encoding,
        values: &[f64],
        matrix: &mut ArrayViewMut2<'_, f64>,
        at: usize,
    ) -> usize {
        let Rule::Rate { rates, mean, deviation, missing, .. } = &encoding.rule else { return at };
        let (centre, scale) = if self.params.standardise { (*mean, *deviation) } else { (0.0, 1.0) };
        let absent = match self.params.missing {
            MissingValues::Impute => standardised(rates.overall(), centre, scale),
            MissingValues::Keep => f64::NAN,
        };
        for (cell, value) in matrix.column_mut(at).iter_mut().zip(values) {
            *cell = if value.is_nan() { absent } else { standardised(*value, centre, scale) };
        }
        if !self.flags(*missing) {
            return at + 1;
        }
        for (cell, value) in matrix.column_mut(at + 1).iter_mut().zip(values) {
            *cell = f64::from(u8::from(value.is_nan()));
        }
        at + 2
    }

    fn transform_categories(
        &self,
        encoding: &Encoding,
        levels: &[String],
        codes: &[u32],
        first_row: usize,
        matrix: &mut ArrayViewMut2<'_, f64>,
        at: usize,
    ) -> Result<usize, EncodeError> {
        let Rule::Categorical { levels: known, reference, rare, missing } = &encoding.rule else {
            return Ok(at);
        };
        let met = self.met(encoding, levels, codes, first_row);
        if self.params.categories != Categories::OneHot {
            for (row, what) in met.enumerate() {
                let cell = match (what?, self.params.missing) {
                    (Met::Level(rank), _) => rank as f64,
                    (Met::Rare, _) => known.len() as f64,
                    (_, MissingValues::Impute) => *reference as f64,
                    (_, MissingValues::Keep) => f64::NAN,
                };
                set(matrix, row, at, cell);
            }
            return Ok(at + 1);
        }
        let flags = self.flags(*missing);
        for (row, what) in met.enumerate() {
            if let Some(feature) = one_hot(what?, known.len(), *reference, *rare, flags) {
                set(matrix, row, at + feature, 1.0);
            }
        }
        Ok(at + known.len() - 1 + usize::from(*rare) + usize::from(flags))
    }

    /// What each row holds, in the terms of training.
    fn met<'a>(
        &self,
        encoding: &'a Encoding,
        levels: &'a [String],
        codes: &'a [u32],
        first_row: usize,
    ) -> impl Iterator<Item = Result<Met, EncodeError>> + use<'a> {
        let (known, rare) = match &encoding.rule {
            Rule::Categorical { levels, rare, .. } => (levels.as_slice(), *rare),
            Rule::Numeric { .. } | Rule::Rate { .. } => (&[][..], false),
        };
        let ranks: HashMap<&str, usize> =
            known.iter().enumerate().map(|(rank, l)| (l.as_str(), rank)).collect();
        let met: Vec<Met> = levels
            .iter()
            .map(|level| match ranks.get(level.as_str()) {
                Some(&rank) => Met::Level(rank),
                // Whether a level was merged or never seen is not remembered: both are rare.
                None if rare => Met::Rare,
                None => Met::Unseen,
            })
            .collect();
        let refuse = self.params.unseen == Unseen::Refuse;
        codes.iter().enumerate().map(move |(row, &code)| {
            if code == MISSING_CODE {
                return Ok(Met::Missing);
            }
            match met.get(code as usize) {
                Some(Met::Unseen) if refuse => Err(EncodeError::UnseenLevel {
                    column: shown(&encoding.column),
                    row: first_row + row,
                    level: levels.get(code as usize).map(|level| shown(level)).unwrap_or_default(),
                }),
                Some(Met::Unseen) | None => Ok(Met::Missing),
                Some(what) => Ok(*what),
            }
        })
    }

    /// Encodes the rows of `range` for a linear model without writing out the zeros of one-hot features. The
    /// encoder is a one-hot one.
    pub(crate) fn design(
        &self,
        frame: &Frame,
        range: Range<usize>,
        held_out: &OutOfFold,
        crew: Crew,
    ) -> Result<Design<'static>, EncodeError> {
        let (mut dense, mut features, mut coded) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for (encoding, column) in self.columns_of(frame)? {
            let count = self.width(encoding);
            if let Rule::Numeric { .. } | Rule::Rate { .. } = encoding.rule {
                dense.push((encoding, column));
                features.extend(first..first + count);
            } else {
                coded.push((first, count, encoding, column));
            }
            first += count;
        }
        let numbers = self.write(&dense, range.clone(), features.len(), held_out, crew)?;
        let codes = crew.map(coded, |(first, count, encoding, column)| {
            Ok(Coded { first, count, codes: self.codes(encoding, column, range.clone())? })
        });
        let codes = codes.into_iter().collect::<Result<_, EncodeError>>()?;
        Ok(Design { numbers: numbers.into(), features, codes })
    }

    /// Which of a column's one-hot features is 1 in each row.
    fn codes(
        &self,
        encoding: &Encoding,
        column: &Column,
        range: Range<usize>,
    ) -> Result<Vec<u32>, EncodeError> {
        let Rule::Categorical { levels: known, reference, rare, missing } = &encoding.rule else {
            return Ok(Vec::new());
        };
        let all_missing;
        let (levels, held): (&[String], &[u32]) = match &column.values {
            Values::Categorical { levels, codes } => (levels, codes.get(range.clone()).unwrap_or_default()),
            // A column without any value reads as numeric; every row of it is missing all the same.
            Values::Numeric(numbers) if numbers.iter().all(|n| n.is_nan()) => {
                all_missing = vec![MISSING_CODE; range.len()];
                (&[], &all_missing)
            }
            Values::Numeric(_) => {
                return Err(EncodeError::WrongKind {
                    column: shown(&encoding.column),
                    expected: ColumnKind::Categorical,
                    found: ColumnKind::Numeric,
                });
            }
        };
        let flags = self.flags(*missing);
        let feature = |what: Result<Met, EncodeError>| {
            let feature = one_hot(what?, known.len(), *reference, *rare, flags);
            Ok(feature.map_or(REFERENCE, |feature| feature as u32))
        };
        self.met(encoding, levels, held, range.start).map(feature).collect()
    }

    /// What each column becomes, in order; `None` where unseen categories are refused, which only code can do.
    #[cfg(feature = "onnx")]
    pub(crate) fn blocks(&self) -> Result<Option<Vec<Block<'_>>>, EncodeError> {
        let blocks = self.columns.iter().map(|encoding| {
            let column = encoding.column.as_str();
            Ok(match &encoding.rule {
                Rule::Numeric { mean, deviation, missing } => {
                    let (centre, scale) =
                        if self.params.standardise { (*mean, *deviation) } else { (0.0, 1.0) };
                    let absent = match self.params.missing {
                        MissingValues::Impute => (mean - centre) / scale,
                        MissingValues::Keep => f64::NAN,
                    };
                    Block::Numeric { column, centre, scale, absent, flag: self.flags(*missing) }
                }
                Rule::Categorical { levels, .. } => {
                    if self.params.unseen == Unseen::Refuse {
                        return Ok(None);
                    }
                    // A name that no level has.
                    let longest = levels.iter().map(String::len).max().unwrap_or_default();
                    let mut asked = levels.clone();
                    asked.push("?".repeat(longest + 1));
                    let codes: Vec<u32> = (0..asked.len() as u32).chain([MISSING_CODE]).collect();
                    let width = self.width_of(encoding);
                    let mut cells = Array2::zeros((codes.len(), width));
                    self.transform_categories(encoding, &asked, &codes, 0, &mut cells.view_mut(), 0)?;
                    Block::Categorical { column, levels, cells }
                }
                Rule::Rate { rates, .. } => {
                    if self.params.unseen == Unseen::Refuse {
                        return Ok(None);
                    }
                    let values: Vec<f64> =
                        rates.values().iter().copied().chain([rates.overall(), f64::NAN]).collect();
                    let mut cells = Array2::zeros((values.len(), self.width_of(encoding)));
                    self.write_rates(encoding, &values, &mut cells.view_mut(), 0);
                    Block::Categorical { column, levels: rates.levels(), cells }
                }
            }
            .into())
        });
        blocks.collect()
    }

    /// How many features a column becomes.
    #[cfg(feature = "onnx")]
    fn width_of(&self, encoding: &Encoding) -> usize {
        Self { params: self.params.clone(), columns: vec![encoding.clone()] }.features().len()
    }

    /// How many features a column becomes under one-hot encoding.
    fn width(&self, encoding: &Encoding) -> usize {
        match &encoding.rule {
            Rule::Numeric { missing, .. } | Rule::Rate { missing, .. } => {
                1 + usize::from(self.flags(*missing))
            }
            Rule::Categorical { levels, rare, missing, .. } => {
                levels.len() - 1 + usize::from(*rare) + usize::from(self.flags(*missing))
            }
        }
    }

    /// Whether categories become features of zeros and ones.
    pub(crate) fn is_one_hot(&self) -> bool {
        self.params.categories == Categories::OneHot
    }

    /// Whether a column gets a feature that says that it was missing.
    fn flags(&self, missing_in_training: bool) -> bool {
        missing_in_training && self.params.missing == MissingValues::Impute
    }

    /// Whether a stored encoder is one that [`EncoderParams::fit`] could have made.
    pub(crate) fn is_sound(&self) -> bool {
        let mut names = HashSet::new();
        !self.columns.is_empty()
            && self.columns.iter().all(|Encoding { column, rule }| {
                names.insert(column.as_str())
                    && match rule {
                        Rule::Numeric { mean, deviation, .. } => {
                            mean.is_finite() && deviation.is_finite() && *deviation > 0.0
                        }
                        Rule::Categorical { levels, reference, .. } => {
                            *reference < levels.len() && levels.is_sorted_by(|a, b| a < b)
                        }
                        Rule::Rate { rates, mean, deviation, .. } => {
                            rates.is_sound() && mean.is_finite() && deviation.is_finite() && *deviation > 0.0
                        }
                    }
            })
    }
}

/// What a column becomes.
#[cfg(feature = "onnx")]
#[derive(Debug)]
pub(crate) enum Block<'a> {
    /// (number − `centre`) ÷ `scale`, or `absent`; then, with `flag`, whether it was missing.
    Numeric { column: &'a str, centre: f64, scale: f64, absent: f64, flag: bool },
    /// A row of features for each level, then one for any other category, then one for a missing one.
    Categorical { column: &'a str, levels: &'a [String], cells: Array2<f64> },
}

/// How a category of the frame relates to those of training.
#[derive(Debug, Clone, Copy)]
enum Met {
    Level(usize),
    Rare,
    Unseen,
    Missing,
}

/// Which of a column's one-hot features is 1: the levels but the reference in their order, then the rare ones,
/// then the missing ones; none for the reference, and for a missing category without a feature of its own, which
/// counts as the reference, the likeliest level.
fn one_hot(what: Met, levels: usize, reference: usize, rare: bool, flags: bool) -> Option<usize> {
    match what {
        Met::Level(rank) if rank == reference => None,
        Met::Level(rank) => Some(rank - usize::from(rank > reference)),
        Met::Rare => Some(levels - 1),
        _ if flags => Some(levels - 1 + usize::from(rare)),
        _ => None,
    }
}

fn set(matrix: &mut ArrayViewMut2<'_, f64>, row: usize, column: usize, value: f64) {
    if let Some(cell) = matrix.get_mut((row, column)) {
        *cell = value;
    }
}

/// (number − centre) / scale, kept finite: the difference of two extreme numbers may overflow.
fn standardised(number: f64, centre: f64, scale: f64) -> f64 {
    ((number - centre) / scale).clamp(f64::MIN, f64::MAX)
}

/// Mean and population standard deviation; a deviation of 0 becomes 1, so that constants encode as 0.
fn moments(numbers: &[f64]) -> (f64, f64) {
    let largest = numbers.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    if largest == 0.0 {
        return (0.0, 1.0);
    }
    // Scaled to [-1, 1] first: squares of numbers near 1e200 overflow.
    let count = numbers.len() as f64;
    let mean = numbers.iter().map(|number| number / largest).sum::<f64>() / count;
    let spread = numbers.iter().map(|number| (number / largest - mean).powi(2)).sum::<f64>() / count;
    let deviation = spread.sqrt() * largest;
    // Equal numbers may differ from their computed mean by a rounding error.
    let constant = spread.sqrt() <= 1e-14 || deviation < f64::MIN_POSITIVE;
    (mean * largest, if constant { 1.0 } else { deviation })
}
