//! What Brevo's answers mean. The codes are those of the vendor's `errorModel` (getbrevo/brevo-node 3.0.1); statuses and
//! limits: <https://developers.brevo.com/docs/how-it-works>, <https://developers.brevo.com/docs/limit-headers>, read in
//! November 2026. The real body of a 429 is not documented: its status decides.

use super::wire::Refused;
use crate::provider::RejectReason;
use mkt_connect::http::Response;
use mkt_connect::{Error, ErrorKind};
use std::time::Duration;

/// What an answer other than a success says.
#[derive(Debug)]
pub(super) enum Said {
    /// The call was seen before under this key: its emails were taken then.
    Arrived,
    /// Whether the emails were taken cannot be told from it.
    Unclear,
    /// Nothing was taken, because of what the call holds. The words are the vendor's.
    Refused(RejectReason, String),
    /// The trouble is the account's or the vendor's.
    Failed(Error),
}

/// Reads an answer; `clean` takes out of the vendor's words what was said to it.
pub(super) fn judge(response: &Response, clean: &dyn Fn(&str) -> String) -> Said {
    let failed = |kind, detail: &str| Said::Failed(response.error(kind).with_detail(detail));
    let status = response.status();
    let body = response.json::<Refused>().ok();
    let code = body.as_ref().and_then(|body| body.code.as_deref()).unwrap_or_default();
    let words = clean(body.as_ref().map_or("", |body| body.message.as_str()));
    match (status, code) {
        (429 | 425, _) => Said::Failed(slow_down(response)),
        (500.., _) | (408, _) => failed(ErrorKind::Unavailable, "the server failed, or one on the way to it"),
        (_, "not_enough_credits") | (402, _) => {
            failed(ErrorKind::Unsupported, "the account has no credit left")
        }
        (_, "account_under_validation") => {
            failed(ErrorKind::Unsupported, "the account is still being validated by the vendor")
        }
        (_, "unauthorized") | (401, _) => {
            failed(ErrorKind::Auth, "the API key is not valid, or not from here")
        }
        (_, "permission_denied" | "reseller_permission_denied") | (403, _) => {
            failed(ErrorKind::Auth, "the API key may not do this")
        }
        // Only that of our key says that the emails are there.
        (_, "duplicate_parameter") if is_of_another_parameter(&words) => Said::Unclear,
        (_, "duplicate_parameter") => Said::Arrived,
        // Whether an earlier call was taken, or another is under way, is not documented.
        (_, "duplicate_request") => failed(ErrorKind::Other, "the call was called a duplicate"),
        (_, "method_not_allowed" | "not_acceptable") | (405 | 406, _) => {
            failed(ErrorKind::Config, "the address does not take this call; check the base URL")
        }
        (_, "document_not_found") if mentions(&words, "template") => {
            Said::Refused(RejectReason::Other, words)
        }
        (_, "document_not_found") | (404, _) => {
            failed(ErrorKind::NotFound, "nothing is at this address; check the base URL")
        }
        (413, _) => Said::Refused(RejectReason::TooLarge, words),
        // All emails of the sender fail alike: none of them should be given up for it.
        (400..=499, _) if mentions(&words, "sender") => {
            failed(ErrorKind::Config, "the sender is not one that the account may use")
        }
        (
            400..=499,
            "invalid_parameter"
            | "missing_parameter"
            | "out_of_range"
            | "bad_request"
            | "unprocessable_entity",
        ) => Said::Refused(reason(&words), words),
        (400 | 422, _) if body.is_some() => Said::Refused(reason(&words), words),
        (300..=399, _) => failed(ErrorKind::Protocol, "it redirects elsewhere"),
        // Whoever wrote this is not the vendor: nothing is proved.
        _ => failed(ErrorKind::Protocol, "the answer is not one of the documented ones"),
    }
}

/// 429, with the seconds that the rate headers give: `x-sib-ratelimit-reset` is relative.
fn slow_down(response: &Response) -> Error {
    let error = response.error(ErrorKind::RateLimited).with_detail("the account's rate limit is reached");
    match (error.retry_after(), reset(response)) {
        (None, Some(wait)) => error.with_retry_after(wait),
        _ => error,
    }
}

/// Seconds until the vendor's count starts again.
pub(super) fn reset(response: &Response) -> Option<Duration> {
    header_number(response, "x-sib-ratelimit-reset").map(Duration::from_secs)
}

/// Calls that the vendor would still take now.
pub(super) fn remaining(response: &Response) -> Option<u64> {
    header_number(response, "x-sib-ratelimit-remaining")
}

fn header_number(response: &Response, name: &str) -> Option<u64> {
    // A day is longer than any of the documented windows.
    response.header(name)?.trim().parse().ok().map(|number: u64| number.min(86_400))
}

/// The words that come with the key's duplicate are not documented; those that name something else are not about it.
fn is_of_another_parameter(words: &str) -> bool {
    const OTHERS: [&str; 8] =
        ["recipient", "email", "contact", "attachment", "tag", "header", "batch", "version"];
    !mentions(words, "idempot")
        && !mentions(words, "key")
        && OTHERS.iter().any(|other| mentions(words, other))
}

fn mentions(words: &str, word: &str) -> bool {
    words.to_ascii_lowercase().contains(word)
}

fn reason(words: &str) -> RejectReason {
    let words = words.to_ascii_lowercase();
    if words.contains("email") && (words.contains("valid") || words.contains(" in to")) {
        RejectReason::InvalidAddress
    } else if words.contains("blocked") || words.contains("blacklisted") {
        RejectReason::Blocked
    } else if words.contains("size") || words.contains("too large") {
        RejectReason::TooLarge
    } else {
        RejectReason::Other
    }
}
