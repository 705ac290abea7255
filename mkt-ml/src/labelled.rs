//! Features with their outcome. The target is taken out of the frame here, so that no later step can train on it.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{
    error::shown,
    frame::{Column, Frame, FrameError, Value},
    split::{self, Split, SplitError},
};

/// The outcome column: its name and its two values as written in the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The column.
    pub column: String,
    /// The value of negative rows.
    pub negative: String,
    /// The value of positive rows.
    pub positive: String,
}

/// A frame of features with one label per row: the input of every fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    frame: Frame,
    labels: Vec<bool>,
    target: Target,
}

impl Labelled {
    /// Takes the column `target` out of `frame` as the outcome. Its values must be 0 and 1, or one of these pairs in
    /// any case: false/true, no/yes, non/oui, f/t, n/y, n/o. A single value is accepted here,
    /// since rows to evaluate may have one outcome only; fitting refuses it.
    ///
    /// # Errors
    /// No such column, a missing value, any other value.
    pub fn new(frame: Frame, target: &str) -> Result<Self, FrameError> {
        const PAIRS: [(&str, &str); 7] = [
            ("0", "1"),
            ("false", "true"),
            ("no", "yes"),
            ("non", "oui"),
            ("f", "t"),
            ("n", "y"),
            ("n", "o"),
        ];
        let (frame, column) = frame.split_off(target)?;
        let texts = texts(&column)?;
        let mut pairs = PAIRS.to_vec();
        for (row, text) in texts.iter().enumerate() {
            pairs.retain(|(no, yes)| text.eq_ignore_ascii_case(no) || text.eq_ignore_ascii_case(yes));
            if pairs.is_empty() {
                return Err(FrameError::WrongTarget {
                    column: shown(target),
                    row,
                    value: shown(text),
                    expected: "0 or 1, or one pair such as false and true (or name the positive value)"
                        .to_owned(),
                });
            }
        }
        let (no, yes) = pairs.first().copied().unwrap_or(("0", "1"));
        let labels: Vec<bool> = texts.iter().map(|text| text.eq_ignore_ascii_case(yes)).collect();
        let spelled = |class: bool, default: &str| {
            let row = labels.iter().position(|&label| label == class);
            row.and_then(|row| texts.get(row)).cloned().unwrap_or_else(|| default.to_owned())
        };
        let target =
            Target { column: target.to_owned(), negative: spelled(false, no), positive: spelled(true, yes) };
        Ok(Self { frame, labels, target })
    }

    /// Labelled rows from a matrix of numbers, one row per observation and one column per feature, and one label per
    /// row. NaN is a missing value. Features are named `x0`, `x1`, …; the target is `label`. To name them yourself,
    /// build the frame by [`Frame::from_array`] and use [`Labelled::from_parts`].
    ///
    /// # Errors
    /// [`FrameError::Infinite`] for an infinity, [`FrameError::Length`] for another number of labels than rows.
    ///
    /// ```
    /// use mkt_ml::{Labelled, Logistic, TrainedModel, ndarray::array};
    ///
    /// let visits = array![[20.0, 1.0], [35.0, 2.0], [240.0, 9.0], [310.0, 4.0]];
    /// let rows = Labelled::from_matrix(visits.view(), &[false, false, true, true])?;
    /// let model = TrainedModel::fit(&rows, Logistic::params())?;
    /// let probabilities = model.probabilities_of(array![[30.0, 1.0], [300.0, 8.0]].view())?;
    /// assert!(probabilities[0] < 0.5 && probabilities[1] > 0.5);
    /// # Ok::<(), mkt_ml::Error>(())
    /// ```
    pub fn from_matrix(matrix: ArrayView2<'_, f64>, labels: &[bool]) -> Result<Self, FrameError> {
        let names: Vec<String> = (0..matrix.ncols()).map(|at| format!("x{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Self::from_parts(Frame::from_array(&names, matrix)?, "label", labels)
    }

    /// Labelled rows from a frame of features and one label per row; `target` names the outcome.
    ///
    /// # Errors
    /// [`FrameError::Length`] for another number of labels than rows, [`FrameError::DuplicateColumn`] where the frame
    /// has a column of the target's name.
    pub fn from_parts(frame: Frame, target: &str, labels: &[bool]) -> Result<Self, FrameError> {
        if labels.len() != frame.rows() {
            let (expected, found) = (frame.rows(), labels.len());
            return Err(FrameError::Length { column: shown(target), expected, found });
        }
        if frame.column(target).is_some() {
            return Err(FrameError::DuplicateColumn { name: shown(target) });
        }
        let [negative, positive] = ["false", "true"].map(str::to_owned);
        let target = Target { column: target.to_owned(), negative, positive };
        Ok(Self { frame, labels: labels.to_vec(), target })
    }

    /// Takes the column `target` out of `frame`; rows that hold `positive` have the outcome, and exactly
    /// one other value may occur.
    ///
    /// # Errors
    /// No such column, a missing value, a third value, `positive` nowhere.
    pub fn with_positive(frame: Frame, target: &str, positive: &str) -> Result<Self, FrameError> {
        let (frame, column) = frame.split_off(target)?;
        let texts = texts(&column)?;
        // Cells are read without the blanks around them.
        let positive = positive.trim();
        let mut negative: Option<&String> = None;
        for (row, text) in texts.iter().enumerate().filter(|(_, text)| *text != positive) {
            if *negative.get_or_insert(text) != text {
                return Err(FrameError::WrongTarget {
                    column: shown(target),
                    row,
                    value: shown(text),
                    expected: "two values in all".to_owned(),
                });
            }
        }
        let labels: Vec<bool> = texts.iter().map(|text| text == positive).collect();
        if !labels.contains(&true) {
            return Err(FrameError::WrongTarget {
                column: shown(target),
                row: 0,
                value: texts.first().map(|text| shown(text)).unwrap_or_default(),
                expected: format!("`{}` in at least one row", shown(positive)),
            });
        }
        let target = Target {
            column: target.to_owned(),
            negative: negative.cloned().unwrap_or_else(|| format!("not {positive}")),
            positive: positive.to_owned(),
        };
        Ok(Self { frame, labels, target })
    }

    /// The features.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// One label per row: `true` for the positive outcome.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns these rows, in this order; numbers past the end are skipped.
    pub fn take(&self, rows: &[usize]) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|&row| row < self.labels.len()).collect();
        Self {
            frame: self.frame.take(&rows),
            labels: rows.iter().filter_map(|&row| self.labels.get(row).copied()).collect(),
            target: self.target.clone(),
        }
    }

    /// Training and test part, stratified: see [`split::stratified`].
    ///
    /// # Errors
    /// As there.
    pub fn split(&self, test_fraction: f64, seed: u64) -> Result<(Self, Self), SplitError> {
        let Split { train, test } = split::stratified(&self.labels, test_fraction, seed)?;
        Ok((self.take(&train), self.take(&test)))
    }

    /// Training and test part of each of `folds` folds: see [`split::stratified_folds`].
    ///
    /// # Errors
    /// As there.
    pub fn folds(&self, folds: usize, seed: u64) -> Result<impl Iterator<Item = (Self, Self)>, SplitError> {
        let splits = split::stratified_folds(&self.labels, folds, seed)?;
        Ok(splits.into_iter().map(|split| (self.take(&split.train), self.take(&split.test))))
    }
}

/// The target's values as text; whole numbers without a fraction.
fn texts(column: &Column) -> Result<Vec<String>, FrameError> {
    (0..column.rows())
        .map(|row| match column.value(row) {
            Some(Value::Text(text)) => Ok(text),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Missing) | None => {
                Err(FrameError::MissingTarget { column: shown(column.name()), row })
            }
        })
        .collect()
}
