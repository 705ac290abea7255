//! What Mailgun's answers mean: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages> and
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/api-errors>, read in November 2026.

use super::throttle;
use super::wire::Refused;
use crate::provider::RejectReason;
use mkt_connect::http::Response;
use mkt_connect::{Error, ErrorKind};

/// What an answer other than a success says.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing was taken, because of what the call holds. The words are the vendor's.
    Refused(RejectReason, String),
    /// The trouble is the account's or the vendor's.
    Failed(Error),
}

/// Reads an answer; `clean` takes out of the vendor's words what was said to it.
pub(super) fn judge(response: &Response, clean: &dyn Fn(&str) -> String) -> Said {
    let failed = |kind, detail: &str| Said::Failed(throttle::error(response, kind).with_detail(detail));
    let words = response.json::<Refused>().ok().map(|body| clean(&body.message));
    let lower = words.as_deref().unwrap_or_default().to_ascii_lowercase();
    match response.status() {
        420 | 421 | 429 => failed(ErrorKind::RateLimited, "a limit of the account is reached"),
        // The same words under another status.
        400 | 403 if lower.contains("limit exceeded") && lower.contains("try again after") => {
            let limited = throttle::error(response, ErrorKind::RateLimited);
            Said::Failed(limited.with_detail("a limit of the account is reached"))
        }
        408 | 500.. => failed(ErrorKind::Unavailable, "the server failed, or one on the way to it"),
        401 => failed(ErrorKind::Auth, "the API key is not valid"),
        402 => failed(ErrorKind::Unsupported, "the account has to be paid for"),
        403 => failed(ErrorKind::Auth, "the API key, or the account, may not do this"),
        404 => failed(
            ErrorKind::NotFound,
            "the domain is not known here; it may belong to the other region (US or EU)",
        ),
        405 | 406 => failed(ErrorKind::Config, "the address does not take this call; check the base URL"),
        413 => Said::Refused(RejectReason::TooLarge, words.unwrap_or_default()),
        // All emails of the sender fail alike: none of them should be given up for it.
        400 if lower.starts_with("'from'") || lower.starts_with("from parameter") => {
            failed(ErrorKind::Config, "the sender is not one that the domain may use")
        }
        400 if lower.contains("not allowed to send") => {
            failed(ErrorKind::Unsupported, "the domain is not allowed to send")
        }
        400 | 422 => match words {
            Some(words) => Said::Refused(reason(&lower), words),
            // Whoever wrote this is not the vendor: nothing is proved.
            None => failed(ErrorKind::Protocol, "the answer is not one of the documented ones"),
        },
        // A path that is not one: the vendor's greeting, and nothing done.
        200 if response.text().contains("Magnificent API") => {
            failed(ErrorKind::Config, "nothing is at this address; check the base URL")
        }
        _ => failed(ErrorKind::Protocol, "the answer is not one of the documented ones"),
    }
}

fn reason(words: &str) -> RejectReason {
    if words.contains("not a valid address") || words.contains("to parameter") || words.contains("'to'") {
        RejectReason::InvalidAddress
    } else if words.contains("too large") || words.contains("16kb") {
        RejectReason::TooLarge
    } else {
        RejectReason::Other
    }
}
