//! One sentence for whoever has to mend it.

use std::error::Error;
use std::fmt;
use std::path::Path;

/// What a step gives, or why it could not.
pub(crate) type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What was being done, and why it failed.
#[derive(Debug)]
pub(crate) struct Failure {
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

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|cause| Failure { doing: doing(), cause: cause.into() })
    }
}

/// Names what in the output directory failed: once open, a store only says what is wrong.
pub(crate) fn placed<T>(out: &Path, result: Step<T>) -> Step<T> {
    result.map_err(|error| {
        let name = match error.downcast_ref::<mkt_connect::Error>().map(mkt_connect::Error::service) {
            Some("sqlite" | "outbox") => "mkt.sqlite",
            Some("maildir") => "mails",
            _ => return error,
        };
        Failure { doing: format!("cannot use {}", out.join(name).display()), cause: error }.into()
    })
}
