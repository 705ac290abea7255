//! Values of options, for clap's `value_parser`: the error says which form is expected.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use mkt_connect::chart::Lang;
use mkt_warehouse::Dialect;

/// Reads a day.
///
/// # Errors
/// Another form than `YYYY-MM-DD`, or a day that the calendar does not have.
pub fn day(text: &str) -> Result<NaiveDate, String> {
    // chrono alone would take 2026-5-1 and 12026-05-01.
    let form = text.len() == 10 && text.is_ascii();
    let day = form.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten();
    day.ok_or_else(|| "expected a day as YYYY-MM-DD".to_owned())
}

/// Reads a timestamp with its offset.
///
/// # Errors
/// Another form than `2026-05-01T18:30:00Z` or `2026-05-01T18:30:00+02:00`.
pub fn timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    let read = DateTime::parse_from_rfc3339(text);
    read.map(Into::into).map_err(|_| "expected a timestamp as 2026-05-01T18:30:00Z".to_owned())
}

/// Reads a time zone.
///
/// # Errors
/// A name that the IANA database does not have.
pub fn zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "expected a zone of the IANA database such as Europe/Paris".to_owned())
}

/// Reads a language.
///
/// # Errors
/// Anything but `fr` and `en`.
pub fn language(text: &str) -> Result<Lang, String> {
    match text {
        "fr" => Ok(Lang::Fr),
        "en" => Ok(Lang::En),
        _ => Err("expected fr or en".to_owned()),
    }
}

/// Reads a delimiter: one ASCII character, or `tab`.
///
/// # Errors
/// Several characters, or one beyond ASCII.
pub fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [one] if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(*one),
            _ => Err("expected one ASCII character, or `tab`".to_owned()),
        },
    }
}

/// Reads two texts with `=` between them: `theirs=ours`.
///
/// # Errors
/// A text without `=`, or with nothing on one side.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected two texts with = between them".to_owned()),
    }
}

/// Reads a share in percent.
///
/// # Errors
/// Anything but a number from 0 to 100.
pub fn percent(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 100".to_owned())
}

/// Reads the name of an engine whose SQL is printed.
///
/// # Errors
/// A name that no dialect has.
pub fn dialect(text: &str) -> Result<Dialect, String> {
    let known = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == text);
    known.ok_or_else(|| format!("expected one of {}", Dialect::ALL.map(Dialect::as_str).join(", ")))
}
