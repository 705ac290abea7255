//! What the readers of vendors' reports share.

use super::{EmailEvent, EventKind};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A text that is not empty.
pub(super) fn text<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// An address; of an array the only one.
pub(super) fn address(value: &Value) -> Option<EmailAddress> {
    let one = match value {
        Value::Array(several) if several.len() == 1 => several.first()?,
        other => other,
    };
    EmailAddress::parse(one.as_str()?.trim()).ok()
}

/// An instant in seconds (with a fraction) or milliseconds since 1970, told apart by size: as a number or a text.
pub(super) fn instant_of_number(value: &Value) -> Option<DateTime<Utc>> {
    /// The year 5138 in seconds, 1973 in milliseconds.
    const LEAST_MILLIS: f64 = 1e11;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    if !(number.is_finite() && number > 0.0) {
        return None;
    }
    let millis = if number < LEAST_MILLIS { number * 1000.0 } else { number };
    // Half a millisecond is lost at most; the sum is far below 2^53.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`from_timestamp_millis` refuses what is out of range"
    )]
    DateTime::from_timestamp_millis(millis.round() as i64)
}

/// An instant with its offset (RFC 3339 or 2822).
pub(super) fn instant_of_text(text: &str) -> Option<DateTime<Utc>> {
    let read = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    read.ok().map(|at| at.to_utc())
}

/// The first enhanced status code (RFC 3463) of a text.
pub(super) fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut parts = word.trim_end_matches('.').split('.');
        let mut number = |most: usize| {
            let part = parts.next()?;
            ((1..=most).contains(&part.len())).then(|| part.parse::<u16>().ok()).flatten()
        };
        let code = (number(1)?, number(3)?, number(3)?);
        (matches!(code.0, 2 | 4 | 5) && parts.next().is_none()).then_some(code)
    })
}

/// The enhanced code of a text, or else the reply code that it begins with.
pub(super) fn reply_code(text: &str) -> Option<String> {
    if let Some((class, subject, detail)) = enhanced(text) {
        return Some(format!("{class}.{subject}.{detail}"));
    }
    let first: String = text.trim_start().chars().take_while(char::is_ascii_digit).collect();
    (first.len() == 3 && first.starts_with(['2', '4', '5'])).then_some(first)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A report that is none: kept with its payload. The same bytes are the same event.
pub(super) fn unreadable(provider: &str, raw: &str, received_at: DateTime<Utc>) -> EmailEvent {
    EmailEvent::new(provider, EventKind::Unknown, received_at)
        .vendor_kind("unreadable")
        .native_id(format!("body {}", crate::id::hex(&sha256(raw.as_bytes()))))
        .raw(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds_are_told_apart_by_size() {
        let at = |value: Value| instant_of_number(&value).map(|at| at.to_rfc3339());
        // date -u -d @1604933654
        let expected = Some("2020-11-09T14:54:14+00:00".to_owned());
        assert_eq!(at(1_604_933_654.into()), expected);
        assert_eq!(at(1_604_933_654_000_i64.into()), expected);
        assert_eq!(at("1604933654".into()), expected);
        assert_eq!(at(1_604_933_654.25.into()), Some("2020-11-09T14:54:14.250+00:00".to_owned()));
        for none in [Value::Null, 0.into(), (-1).into(), "x".into(), "nan".into(), f64::MAX.into()] {
            assert_eq!(instant_of_number(&none), None, "{none}");
        }
    }

    #[test]
    fn enhanced_code_is_found_in_prose() {
        assert_eq!(enhanced("550 5.1.1 no such user"), Some((5, 1, 1)));
        assert_eq!(enhanced("smtp; 5.7.26."), Some((5, 7, 26)));
        for none in ["10.0.0.1 said no", "see 1.2.3", "version 5.1", "550", ""] {
            assert_eq!(enhanced(none), None, "{none}");
        }
        assert_eq!(reply_code("550 mailbox unavailable").as_deref(), Some("550"));
        assert_eq!(reply_code("mailbox unavailable"), None);
    }
}
