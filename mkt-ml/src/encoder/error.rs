//! Why a frame could not be encoded.

use crate::frame::ColumnKind;

/// Why a frame could not be encoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// No rows or no columns to learn from.
    #[error("a frame of {rows} rows and {columns} columns leaves nothing to learn from")]
    Empty {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// A column without a single value in the training rows.
    #[error("column `{column}` has no value in any training row: leave it out")]
    AllMissing {
        /// The column.
        column: String,
    },
    /// A column that the encoder knows is not in the frame.
    #[error("column `{column}` is missing: the model was fitted with it")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// A column holds numbers where categories were learnt, or the other way round.
    #[error("column `{column}` is {found:?} but the model was fitted with {expected:?} values")]
    WrongKind {
        /// The column.
        column: String,
        /// The kind in training.
        expected: ColumnKind,
        /// The kind now.
        found: ColumnKind,
    },
    /// A category that training did not show, under `Unseen::Refuse`.
    #[error("column `{column}` holds `{level}` in row {row}, which no training row had")]
    UnseenLevel {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The category, shortened.
        level: String,
    },
    /// The matrix would not fit in reasonable memory.
    #[error("{rows} rows by {features} features are too many to encode at once")]
    TooLarge {
        /// Rows.
        rows: usize,
        /// Encoded features.
        features: usize,
    },
}
