//! The error of operations that combine several modules. Each module has its own enum with the offending values; this one
//! wraps them.

use crate::{
    classifier::ModelError, encoder::EncodeError, frame::FrameError, metrics::MetricError,
    persist::PersistError, split::SplitError,
};

/// Any error of this crate's combined operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table could not be read or built.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The rows could not be split.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The columns do not fit the encoder.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The model could not be fitted, or could not score.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A metric could not be computed.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The model file could not be written or read.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// A cause whose type belongs to another library.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Shortens a value for an error message and withholds anything that may be an email address.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 40;
    if value.contains('@') {
        return "(withheld)".to_owned();
    }
    let mut text: String = value.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}
