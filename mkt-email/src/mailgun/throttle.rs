//! When Mailgun wants to be asked again. It throttles in the text of a 429, a 420 or a 421 (listmonk #1250,
//! mailgun-java #50), with seconds or a date, and not in a header.

use chrono::{DateTime, Utc};
use mkt_connect::http::Response;
use mkt_connect::http::retry::{LONGEST_ADVICE, retry_after};
use mkt_connect::{Error, ErrorKind};
use std::time::Duration;

/// An error about an answer, with the wait that its text asks for where no header does.
pub(super) fn error(response: &Response, kind: ErrorKind) -> Error {
    let error = response.error(kind);
    if error.retry_after().is_some() || !matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable) {
        return error;
    }
    match try_again_after(&response.text(), response.received_at()) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// The wait that the text of an answer asks for: `try again after 120 seconds`, `try again after Mon, 25 Aug 2025
/// 07:00:31 UTC`, `retry in 5 minutes`. Only the first 4 KiB are looked at. A number without a unit is seconds.
pub(super) fn try_again_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    const PHRASES: [&str; 4] = ["try again after ", "try again in ", "retry after ", "retry in "];
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= 4096).unwrap_or(text.len());
    // ASCII lower case keeps every byte where it was.
    let lower = text[..end].to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let at = lower.find(phrase)? + phrase.len();
        amount(&lower[at..]).or_else(|| {
            // `Mon, 25 Aug 2025 07:00:31 UTC`: an HTTP date but for the name of its zone.
            let date = text.get(at..at + 25)?;
            let zone = lower.get(at + 25..at + 29)?;
            let is_utc = zone == " utc" || zone == " gmt";
            if is_utc { retry_after(&format!("{date} GMT"), now) } else { None }
        })
    })
}

/// `120 seconds`, `5 min`, `1h`.
fn amount(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text.get(..digits).filter(|digits| !digits.is_empty())?;
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    let unit = text[digits..].trim_start();
    let factor = match unit {
        unit if unit.starts_with("ms") || unit.starts_with("milli") => {
            return Some(Duration::from_millis(number).min(LONGEST_ADVICE));
        }
        unit if unit.starts_with("min") || unit == "m" || unit.starts_with("m ") => 60,
        unit if unit.starts_with('h') => 3600,
        unit if unit.starts_with("day") => 86_400,
        _ => 1,
    };
    Some(Duration::from_secs(number.saturating_mul(factor)).min(LONGEST_ADVICE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_in_words_are_understood() {
        let now = "2025-08-25T07:00:00Z".parse().unwrap();
        for (text, expected) in [
            // Both recorded.
            ("Domain x: account-requests-per-sec limit exceeded, try again after 120 seconds", Some(120)),
            ("recipient limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC", Some(31)),
            (r#"{"message":"limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC"}"#, Some(31)),
            ("Try again in 5 minutes.", Some(300)),
            ("please Retry after 1 hour", Some(3600)),
            ("retry in 90", Some(90)),
            ("try again after 1500 ms", Some(1)),
            ("try again later", None),
            ("try again after lunch", None),
            ("try again after é", None),
            ("try again after Mon, 25 Aug 2025 07:00:31 CET", None),
            ("", None),
        ] {
            assert_eq!(try_again_after(text, now).map(|wait| wait.as_secs()), expected, "{text:?}");
        }
        // Only the beginning of a long page is looked at.
        let page = format!("{}try again after 5 seconds", "x".repeat(5000));
        assert_eq!(try_again_after(&page, now), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", number in "[0-9.]{0,40}") {
            let now = "2026-03-01T12:00:00Z".parse().unwrap();
            for text in [format!("try again after {text}"), format!("Try again in {number} minutes"), text] {
                let _ = try_again_after(&text, now);
            }
        }
    }
}
