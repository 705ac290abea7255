//! What answers mean: every form of failure to one [`ErrorKind`], in this one place. Pure.
//!
//! Errors come with a status or without one: `{"ErrorCode": …, "ErrorName": …, "ErrorMessage": …, "ErrorType": …}` with 200
//! is an error too. A code is a number (version 2: 5001) or a name (version 3: `InvalidSort`, `InvalidColumns_…`).
//!
//! | answer | kind |
//! |---|---|
//! | 401, 403; `BadAuthentication…`, `Unauthorized…` | `Auth`: stop everything of this key |
//! | 429, 509; 5001; "Authorised call frequency …"; `QuotasExceeded…` | `RateLimited`: wait, and again |
//! | `DataNotReady`, 3003 (the last minutes are not there yet) | `Unavailable` |
//! | `Timeout`, `CancelledRequest`, 2202, 3009, 4009 (the query took too long, or was ended) | `Unavailable` |
//! | `InvalidSpace…` | `NotFound` |
//! | 404 | `NotFound`: no such address |
//! | `Invalid…` and any other code | `Input` |
//! | 500 to 599 | `Unavailable` |
//! | 204: no data | of a count, told twice: no rows, which are not believed; anywhere else `Protocol` |
//! | 200 HTML, empty, cut or no JSON | `Protocol` |
//!
//! Sources, read in November 2026: "Number of calls" (5001) and "Relative periods" (3003) of the REST API, "Terms &
//! conditions" (429) of the Reporting API; the names of version 3's errors stand in public clients, not in a recording.

use mkt_connect::http::Response;
use mkt_connect::{Delivery, Error, ErrorKind, Secret};
use serde_json::Value;

/// The longest vendor message that an error repeats, in characters.
const MAX_MESSAGE: usize = 200;

/// Reads an answer as JSON (nothing where there is no content), or says what kind of failure it is. Nothing of the key or of
/// an address gets through.
pub(super) fn classify(
    operation: &'static str,
    response: &Response,
    key: &Secret,
) -> Result<Option<Value>, Error> {
    let status = response.status();
    let error = |kind: ErrorKind, detail: String| {
        Error::new(kind, super::SERVICE, operation)
            .delivered(Delivery::Answered)
            .with_status(status)
            .with_detail(detail)
    };
    // A vendor may echo what it was sent: the key goes before anything else is looked at.
    let text = key.redact(&response.text());
    let body = text.trim_start();
    let html = body.starts_with('<') || response.is_type("text/html");
    let parsed = if html { None } else { serde_json::from_str::<Value>(body).ok() };
    if let Some(told) = parsed.as_ref().and_then(Told::read) {
        let kind = kind(status, &told);
        let said = shown(&told.sentence(), key);
        return Err(match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => response.error(kind).with_detail(said),
            _ => error(kind, said),
        });
    }
    match status {
        200 => {}
        204 => return Ok(None),
        401 | 403 => {
            return Err(error(
                ErrorKind::Auth,
                format!("HTTP {status}: the key is missing, wrong, or may not read this"),
            ));
        }
        404 => {
            return Err(error(
                ErrorKind::NotFound,
                "HTTP 404: there is no such interface at this address".to_owned(),
            ));
        }
        // 509 is no status of HTTP: the vendor's table has it for too many calls at once.
        429 | 509 => {
            return Err(response.error(ErrorKind::RateLimited).with_detail(format!("HTTP {status}")));
        }
        500..=599 => {
            return Err(response.error(ErrorKind::Unavailable).with_detail(format!("HTTP {status}")));
        }
        400..=499 => return Err(error(ErrorKind::Input, format!("HTTP {status}"))),
        _ => return Err(error(ErrorKind::Protocol, format!("HTTP {status}"))),
    }
    if html {
        return Err(error(ErrorKind::Protocol, "the answer is an HTML page".to_owned()));
    }
    if body.is_empty() {
        return Err(error(ErrorKind::Protocol, "the answer is empty".to_owned()));
    }
    if std::str::from_utf8(response.body()).is_err() {
        // Read with replacements, it would be other data without a word.
        return Err(error(ErrorKind::Protocol, "the answer is not UTF-8".to_owned()));
    }
    match parsed {
        Some(value) => Ok(Some(value)),
        None => Err(error(ErrorKind::Protocol, "the answer is not JSON".to_owned())),
    }
}

/// What an error's body tells.
struct Told {
    code: String,
    name: String,
    message: String,
}

impl Told {
    fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let told = Self {
            code: text("ErrorCode"),
            name: [text("ErrorName"), text("ErrorType")]
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
            message: text("ErrorMessage"),
        };
        (!(told.code.is_empty() && told.name.is_empty() && told.message.is_empty())).then_some(told)
    }

    fn sentence(&self) -> String {
        let parts = [&self.code, &self.name, &self.message];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(": ")
    }
}

fn kind(status: u16, told: &Told) -> ErrorKind {
    let says = |start: &str| told.code.starts_with(start) || told.name.starts_with(start);
    let throttled = told.message.to_ascii_lowercase().contains("authorised call frequency");
    if matches!(status, 429 | 509) || throttled || told.code == "5001" || says("QuotasExceeded") {
        ErrorKind::RateLimited
    } else if matches!(status, 401 | 403) || says("BadAuthentication") || says("Unauthorized") {
        ErrorKind::Auth
    } else if is_temporary(told) || (500..600).contains(&status) {
        ErrorKind::Unavailable
    } else if says("InvalidSpace") || status == 404 {
        ErrorKind::NotFound
    } else {
        ErrorKind::Input
    }
}

/// Failures that pass: data that is not there yet, queries that took too long. The numbers are those that public clients
/// retry (piano-analytics-api 1.0, go_atinternet).
fn is_temporary(told: &Told) -> bool {
    let says = |start: &&str| told.code.starts_with(start) || told.name.starts_with(start);
    NOT_READY.iter().chain(TOO_LONG).any(says)
}

const NOT_READY: &[&str] = &["DataNotReady", "3003"];
const TOO_LONG: &[&str] = &["Timeout", "CancelledRequest", "2202", "3009", "4009"];

fn tells(error: &Error, kind: ErrorKind, starts: &[&str]) -> bool {
    let detail = error.detail().unwrap_or_default();
    error.kind() == kind && starts.iter().any(|start| detail.starts_with(start))
}

/// Whether the vendor ended a query that took too long.
pub(super) fn is_too_long(error: &Error) -> bool {
    tells(error, ErrorKind::Unavailable, TOO_LONG)
}

/// Whether the vendor does not know a column.
pub(super) fn is_of_columns(error: &Error) -> bool {
    tells(error, ErrorKind::Input, &["InvalidColumn"])
}

/// Whether an error says that the data of the period are not there yet.
pub(super) fn is_not_ready(error: &Error) -> bool {
    tells(error, ErrorKind::Unavailable, NOT_READY)
}

/// A vendor's message as an error may show it: key and addresses gone, one line, not too long.
fn shown(message: &str, key: &Secret) -> String {
    let message = key.redact(message);
    let message = crate::clean::without_addresses(&message);
    let message: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect();
    message.trim().to_owned()
}

/// An answer of another form than documented.
pub(super) fn protocol(operation: &'static str, detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, super::SERVICE, operation)
        .delivered(Delivery::Answered)
        .with_detail(detail)
}
