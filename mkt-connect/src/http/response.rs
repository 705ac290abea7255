//! A complete response, read into bounded memory.

use super::retry;
use crate::{Delivery, Error, ErrorKind, Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A complete response, whatever its status.
///
/// `Debug` shows the status and sizes, not the values: some vendors echo the caller's token.
#[derive(Clone)]
pub struct Response {
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) received_at: DateTime<Utc>,
}

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 200 to 299. Some vendors report errors with it (Matomo does).
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The headers in their order, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the content type is this one (`application/json`), parameters aside.
    #[must_use]
    pub fn is_type(&self, mime: &str) -> bool {
        let own = self.header("content-type").unwrap_or_default();
        own.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(mime)
    }

    /// When the answer was complete, by the client's clock.
    #[must_use]
    pub fn received_at(&self) -> DateTime<Utc> {
        self.received_at
    }

    /// The body, decompressed.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body without the copy.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The body as text: UTF-8, a byte order mark removed, bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        String::from_utf8_lossy(body)
    }

    /// Parses the body as JSON; a byte order mark is skipped.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`], [`Delivery::Answered`]. The detail says where and what was expected, and never quotes
    /// the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body)
            .map_err(|error| self.error(ErrorKind::Protocol).with_detail(describe(&error)))
    }

    /// The wait that the `Retry-After` header of the answer asks for.
    #[must_use]
    pub fn retry_advice(&self) -> Option<Duration> {
        self.header("retry-after").and_then(|value| retry::retry_after(value, self.received_at))
    }

    /// An error about this answer: service, operation, status and [`Delivery::Answered`] are filled in, and for
    /// throttling and unavailability the [`retry_advice`](Self::retry_advice).
    #[must_use]
    pub fn error(&self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, self.service, self.operation)
            .delivered(Delivery::Answered)
            .with_status(self.status);
        let advice = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => self.retry_advice(),
            _ => None,
        };
        match advice {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("service", &self.service)
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The message of serde_json without the values that it quotes: they may be personal data.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Syntax => format!("the answer is not JSON ({place})"),
        Category::Eof => format!("the answer ends in the middle of its JSON ({place})"),
        Category::Io | Category::Data => {
            let message = error.to_string();
            // Only these two parts are our own words: the name of a field of ours, and what our type expected.
            let ours = if message.starts_with("missing field `") || message.starts_with("duplicate field `") {
                message.split(" at line ").next().map(str::to_owned)
            } else {
                message.rsplit_once(", expected ").and_then(|(_, expected)| {
                    expected.split(" at line ").next().map(|expected| format!("expected {expected}"))
                })
            };
            let ours = ours.unwrap_or_else(|| "a value does not fit".to_owned());
            format!("the JSON of the answer is not the documented one: {ours} ({place})")
        }
    }
}
