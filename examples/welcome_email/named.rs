//! Saying what could not be done, before why.

use std::error::Error;
use std::fmt;

type Cause = Box<dyn Error + Send + Sync>;

/// What was being done, and why it failed.
#[derive(Debug)]
pub(crate) struct Failure {
    doing: String,
    cause: Cause,
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

/// Names what was being done when an error came.
pub(crate) trait Named<T> {
    fn named(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> Named<T> for Result<T, E> {
    fn named(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|cause| Failure { doing: doing(), cause: cause.into() })
    }
}
