//! What a step gives, and what was being done when it failed.

use std::error::Error;
use std::fmt;

/// What a step gives, or why it could not.
pub type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What was being done, and the cause of the failure.
#[derive(Debug)]
pub struct Failure {
    doing: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

/// Says what was being done when an error came: `cannot read posts.csv: no such file`.
pub trait Context<T> {
    /// Wraps an error into a [`Failure`] whose text is that of `doing`.
    ///
    /// # Errors
    /// The [`Failure`], with the error as its source.
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|cause| Failure { doing: doing(), cause: cause.into() })
    }
}
