//! The one error that the crate's combined operations return, and how foreign text is shown in it.
//!
//! Every module has its own enum with the offending values; this one only joins them.

use crate::{
    classifier::ModelError, encoder::EncodeError, frame::FrameError, metrics::MetricError,
    persist::PersistError, split::SplitError,
};

/// What can go wrong between a file of behaviour and a scored visitor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table could not be read or built.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The rows could not be divided.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The columns do not fit the encoder.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The model could not be fitted or asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The predictions could not be judged.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The model file could not be written or read.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

/// A cause whose type belongs to another library.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Shortens a value for an error message; anything that may be an e-mail address is withheld.
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
