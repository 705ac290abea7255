//! The one error that connectors share.
//!
//! It says what kind of failure happened, whether the call may be retried, and whether the request reached the server. It
//! holds no URL, header, body or recipient.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Result of a connector call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What kind of failure: what a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The connector is misconfigured (a bad base URL, a missing key).
    Config,
    /// The caller's input is invalid.
    Input,
    /// The credentials are missing, wrong or locked out. Retrying makes it worse.
    Auth,
    /// The requested resource does not exist.
    NotFound,
    /// The request contradicts existing data.
    Conflict,
    /// A rate limit is reached; see [`Error::retry_after`].
    RateLimited,
    /// The server, or the network to it, is unavailable at the moment.
    Unavailable,
    /// The connector or the account does not support the operation.
    Unsupported,
    /// The response does not follow the documented protocol.
    Protocol,
    /// A local resource failed: a file, a disk, a database.
    Storage,
    /// The caller cancelled.
    Cancelled,
    /// None of the above.
    Other,
}

impl ErrorKind {
    fn clause(self) -> &'static str {
        match self {
            Self::Config => "is misconfigured",
            Self::Input => "rejected the input",
            Self::Auth => "rejected the credentials",
            Self::NotFound => "found nothing",
            Self::Conflict => "found conflicting data",
            Self::RateLimited => "is rate limited",
            Self::Unavailable => "is unavailable",
            Self::Unsupported => "does not support this",
            Self::Protocol => "gave an unexpected response",
            Self::Storage => "could not read or write its storage",
            Self::Cancelled => "was cancelled",
            Self::Other => "failed",
        }
    }
}

/// Whether a request reached the server.
///
/// A call that may have arrived is retried only where a second arrival is provably harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// No byte of the request left this process, or the connection was never made.
    NotSent,
    /// The request was written, at least in part, and no complete response came back.
    Unknown,
    /// The server responded.
    Answered,
}

/// The error of every connector: opaque, with accessors.
///
/// ```
/// use mkt_connect::{Delivery, Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::RateLimited, "brevo", "send")
///     .delivered(Delivery::Answered)
///     .with_retry_after(std::time::Duration::from_secs(30))
///     .with_detail("HTTP 429");
/// assert_eq!(error.to_string(), "brevo is rate limited (send): HTTP 429");
/// assert!(error.is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    service: &'static str,
    operation: &'static str,
    delivery: Delivery,
    retry_after: Option<Duration>,
    status: Option<u16>,
    code: Option<String>,
    detail: Option<String>,
    source: Option<Cause>,
}

impl Error {
    /// An error of `service` (a vendor's or engine's name) while doing `operation` (a verb). The delivery is
    /// [`Delivery::NotSent`] until [`delivered`](Self::delivered) sets another.
    #[must_use]
    pub fn new(kind: ErrorKind, service: &'static str, operation: &'static str) -> Self {
        Self(Box::new(Inner {
            kind,
            service,
            operation,
            delivery: Delivery::NotSent,
            retry_after: None,
            status: None,
            code: None,
            detail: None,
            source: None,
        }))
    }

    /// Sets the delivery.
    #[must_use]
    pub fn delivered(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    /// Adds the wait that the server asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds the protocol status of the response (HTTP or SMTP).
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the code of the failure as the server or engine gives it: a SQLSTATE (`23505`), SQLite's extended result code
    /// (`2067`), a vendor's own code. Decisions read this, never the text.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds one clause for the reader. It must hold no secret and no personal data.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The vendor or engine that failed.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// The operation that failed, a verb.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the request reached the server.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The HTTP or SMTP status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The vendor's or engine's own code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The clause for the reader, where there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Whether a retry may succeed **and** is harmless: the server refused to act because of a rate limit, or it was
    /// unavailable before anything was sent.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::RateLimited => self.0.delivery != Delivery::Unknown,
            ErrorKind::Unavailable => self.0.delivery == Delivery::NotSent,
            _ => false,
        }
    }

    /// Whether the failed request may nevertheless have taken effect.
    ///
    /// `false` where it was not sent and where the server rejected it. A gateway may give a 5xx after it passed the
    /// request on, and a response that cannot be read may have been a success: after a response of
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Protocol`] or [`ErrorKind::Other`] the effect is unknown.
    #[must_use]
    pub fn leaves_doubt(&self) -> bool {
        match self.0.delivery {
            Delivery::NotSent => false,
            Delivery::Unknown => true,
            Delivery::Answered => {
                matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Protocol | ErrorKind::Other)
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.0.service, self.0.kind.clause(), self.0.operation)?;
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("service", &self.0.service)
            .field("operation", &self.0.operation)
            .field("delivery", &self.0.delivery)
            .field("retry_after", &self.0.retry_after)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// An error and its causes on one line, for a program to print before it exits.
///
/// An [`Error`] about input, configuration or storage is shown by its detail alone: causes below it are left out unless
/// they are [`std::io::Error`]s. Control characters become spaces.
///
/// ```
/// use mkt_connect::{Error, ErrorKind, sentence};
/// let disk = std::io::Error::other("no space left on device");
/// let error = Error::new(ErrorKind::Storage, "sqlite", "load").with_detail("the file is full").with_source(disk);
/// assert_eq!(sentence(&error), "the file is full: no space left on device");
/// ```
#[must_use]
pub fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    let mut plain = false;
    let mut next = Some(error);
    while let Some(cause) = next {
        let told = match cause.downcast_ref::<Error>() {
            Some(ours)
                if matches!(
                    ours.kind(),
                    ErrorKind::Input
                        | ErrorKind::Config
                        | ErrorKind::NotFound
                        | ErrorKind::Conflict
                        | ErrorKind::Storage
                ) =>
            {
                plain = ours.detail().is_some();
                ours.detail().map(str::to_owned)
            }
            _ if plain && !cause.is::<std::io::Error>() => None,
            _ => Some(cause.to_string()),
        };
        match told {
            Some(text) if line.is_empty() => line = text,
            Some(text) if !line.ends_with(&text) => line.extend([": ", &text]),
            _ => {}
        }
        next = cause.source();
    }
    if line.is_empty() {
        // An error without a clause of its own still has a kind.
        line = error.to_string();
    }
    line.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_clause_and_the_cause_is_in_the_chain() {
        let error = Error::new(ErrorKind::Protocol, "matomo", "read visits")
            .with_detail("the answer is not JSON")
            .with_source(std::io::Error::other("expected value at line 1"));
        assert_eq!(
            error.to_string(),
            "matomo gave an unexpected response (read visits): the answer is not JSON"
        );
        assert!(!error.to_string().contains("expected value"));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("expected value at line 1"));
    }

    #[test]
    fn call_that_may_have_arrived_is_not_retryable() {
        for kind in [ErrorKind::Unavailable, ErrorKind::RateLimited, ErrorKind::Protocol] {
            let error = Error::new(kind, "brevo", "send").delivered(Delivery::Unknown);
            assert!(!error.is_retryable(), "{kind:?}");
        }
    }

    #[test]
    fn credentials_are_never_retried() {
        let error = Error::new(ErrorKind::Auth, "matomo", "check").delivered(Delivery::Answered);
        assert!(!error.is_retryable());
    }
}
