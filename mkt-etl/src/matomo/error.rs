//! What Matomo's answers mean: every form of failure to one [`ErrorKind`], in this one place. Pure.
//!
//! Neither the status nor the content type tells alone: errors come with status 200, refused tokens as HTML.
//!
//! | answer | kind |
//! |---|---|
//! | 401, 403 | `Auth`: stop everything of the instance |
//! | 500 HTML "… failed logins …" (brute-force lock, also for a right token) | `Auth`: the same |
//! | 200 `{"result":"error"}`: authentication, "requires 'view' access" | `Auth` |
//! | … "plugin … is not enabled", "method … does not exist", "not supported (yet)", "Visits log is deactivated" | `Unsupported` |
//! | … "unexpected website" | `NotFound` |
//! | … "requires 'view' access for the website id = 3" | `NotFound`: this site only, the token is right |
//! | … "MySQL server has gone away", "Lost connection to MySQL server", "Too many connections", deadlocks | `Unavailable` |
//! | … anything else: bad period, date, segment | `Input` |
//! | 200 text/plain "Error: …" (unknown format) | `Input` |
//! | 200 HTML, empty, cut or no JSON | `Protocol` |
//! | 404 | `NotFound`: no Matomo at this address, or no such report |
//! | 429 | `RateLimited` |
//! | 5xx (a gateway's time-out: ask for less) | `Unavailable` |

use mkt_connect::http::Response;
use mkt_connect::{Delivery, Error, ErrorKind, Secret};
use serde_json::Value;

pub(super) const SERVICE: &str = "matomo";

/// The longest vendor message that an error repeats, in characters.
const MAX_MESSAGE: usize = 200;

/// Reads an answer as JSON, or says what kind of failure it is. Nothing of the token or of an address gets through.
pub(super) fn classify(operation: &'static str, response: &Response, token: &Secret) -> Result<Value, Error> {
    let status = response.status();
    let error = |kind: ErrorKind, detail: String| {
        Error::new(kind, SERVICE, operation)
            .delivered(Delivery::Answered)
            .with_status(status)
            .with_detail(detail)
    };
    // Matomo echoes the caller's token in some answers: it goes before anything else is looked at.
    let text = token.redact(&response.text());
    let body = text.trim_start();
    let html = body.starts_with('<') || response.is_type("text/html");
    if html && is_locked(body) {
        let detail =
            "the instance is locked after too many failed logins; it opens again an hour after the last try";
        return Err(error(ErrorKind::Auth, detail.to_owned()));
    }
    match status {
        401 | 403 => {
            return Err(error(
                ErrorKind::Auth,
                format!("HTTP {status}: the token is missing, wrong, or may not view"),
            ));
        }
        404 => {
            return Err(error(
                ErrorKind::NotFound,
                "HTTP 404: no such report, or no Matomo at this address".to_owned(),
            ));
        }
        429 => {
            return Err(response.error(ErrorKind::RateLimited).with_detail("HTTP 429"));
        }
        500..=599 => {
            return Err(response.error(ErrorKind::Unavailable).with_detail(format!("HTTP {status}")));
        }
        200 => {}
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
    if let Some(message) = body.strip_prefix("Error: ") {
        return Err(error(ErrorKind::Input, shown(message, token)));
    }
    let value: Value = serde_json::from_str(body).map_err(|cause| {
        // The message of serde_json names a place, not the text around it.
        error(ErrorKind::Protocol, "the answer is not JSON".to_owned()).with_source(cause)
    })?;
    match refusal(operation, &value, token) {
        Some(error) => Err(error.with_status(status)),
        None => Ok(value),
    }
}

/// The failure that an answer tells, or an element of the answer of a bulk request.
pub(super) fn refusal(operation: &'static str, value: &Value, token: &Secret) -> Option<Error> {
    let message = vendor_message(value)?;
    Some(
        Error::new(message_kind(message), SERVICE, operation)
            .delivered(Delivery::Answered)
            .with_detail(shown(message, token)),
    )
}

fn is_locked(body: &str) -> bool {
    body.to_ascii_lowercase().contains("failed logins")
}

/// The message of `{"result":"error","message":"…"}`.
fn vendor_message(value: &Value) -> Option<&str> {
    let fields = value.as_object()?;
    (fields.get("result")?.as_str()? == "error")
        .then(|| fields.get("message").and_then(Value::as_str).unwrap_or("no message"))
}

fn message_kind(message: &str) -> ErrorKind {
    let message = message.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if is_database_failure(&message) {
        ErrorKind::Unavailable
    } else if is_hidden_site(&message) {
        ErrorKind::NotFound
    } else if says(&[
        "authenticate",
        "access this resource",
        "requires 'view'",
        "requires 'admin'",
        "failed logins",
        "token_auth",
    ]) {
        ErrorKind::Auth
    } else if says(&[
        "is not enabled",
        "does not exist or is not available",
        "not supported (yet)",
        "deactivated",
    ]) {
        ErrorKind::Unsupported
    } else if says(&["unexpected website"]) {
        ErrorKind::NotFound
    } else {
        ErrorKind::Input
    }
}

/// Messages of MySQL and MariaDB (client errors 2006, 2013; server errors 1040, 1205, 1213) that Matomo passes on with
/// status 200: the same call may succeed a moment later.
fn is_database_failure(message: &str) -> bool {
    [
        "server has gone away",
        "lost connection to mysql server",
        "lost connection to server",
        "too many connections",
        "lock wait timeout exceeded",
        "deadlock found",
        "connection refused",
    ]
    .iter()
    .any(|part| message.contains(part))
}

/// `You can't access this resource as it requires 'view' access for the website id = 3.`: the token is accepted, and may
/// not view this site. Without a site in it the message is about the token.
pub(super) fn is_hidden_site(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("access for the website id")
}

/// A vendor's message as an error may show it: entities read, token and addresses gone, one line, not too long.
fn shown(message: &str, token: &Secret) -> String {
    let message =
        message.replace("&gt;", ">").replace("&lt;", "<").replace("&#039;", "'").replace("&amp;", "&");
    let message = token.redact(&message);
    let message = crate::clean::without_addresses(&message);
    let message: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect();
    message.trim().to_owned()
}
