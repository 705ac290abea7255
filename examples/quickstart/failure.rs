//! One sentence for whoever has to mend it.

use mkt_connect::ErrorKind;
use std::error::Error;
use std::path::Path;
use std::{fmt, io};

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

/// The error and its causes on one line.
///
/// Of a crate's error about a file or a table its own clause is enough; a driver's words are not for people, those of
/// the system are.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut plain = false;
    let mut next = Some(error);
    while let Some(cause) = next {
        let told = match cause.downcast_ref::<mkt_connect::Error>() {
            Some(ours)
                if matches!(
                    ours.kind(),
                    ErrorKind::Input | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Storage
                ) =>
            {
                plain = ours.detail().is_some();
                ours.detail().map(str::to_owned)
            }
            _ if plain && !cause.is::<io::Error>() => None,
            _ => Some(cause.to_string()),
        };
        match told {
            Some(text) if line.is_empty() => line = text,
            Some(text) if !line.ends_with(&text) => line.extend([": ", &text]),
            _ => {}
        }
        next = cause.source();
    }
    line.replace(char::is_control, " ")
}
