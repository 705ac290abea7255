//! What a cell means as a value: instants, truth values, numbers. Pure; every refusal is one clause that names the
//! column, not the value.

use super::sheet::Row;
use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use mkt_connect::{Currency, Money};
use mkt_warehouse::model::Amount;
use rust_decimal::Decimal;

/// An instant: with an offset (`2026-05-02T19:10:24+02:00`, `…Z`), or without, which is then a time of `zone`.
pub(super) fn instant(row: &Row<'_>, column: &str, zone: Tz) -> Result<DateTime<Utc>, String> {
    let text = row.need(column)?;
    let wrong = || format!("{column} is no time (YYYY-MM-DD HH:MM:SS)");
    let at = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.to_utc(),
        Err(_) => {
            let naive = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
                .ok_or_else(wrong)?;
            match zone.from_local_datetime(&naive) {
                // Of an hour that comes twice, the first.
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
                LocalResult::None => return Err(format!("{column} does not exist in {}", zone.name())),
            }
        }
    };
    // Far from both ends of what the engines hold, and of what anybody measured.
    if (1970..=9998).contains(&at.year()) {
        Ok(at)
    } else {
        Err(format!("{column} is not a time of our era"))
    }
}

/// The same, where it may be empty.
pub(super) fn optional_instant(
    row: &Row<'_>,
    column: &str,
    zone: Tz,
) -> Result<Option<DateTime<Utc>>, String> {
    row.get(column).map(|_| instant(row, column, zone)).transpose()
}

pub(super) fn date(row: &Row<'_>, column: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(row.need(column)?, "%Y-%m-%d")
        .ok()
        .filter(|day| (1970..=9998).contains(&day.year()))
        .ok_or_else(|| format!("{column} is no day (YYYY-MM-DD)"))
}

pub(super) fn truth(row: &Row<'_>, column: &str) -> Result<bool, String> {
    match row.need(column)?.to_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "y" | "oui" | "vrai" => Ok(true),
        "false" | "f" | "0" | "no" | "n" | "non" | "faux" => Ok(false),
        _ => Err(format!("{column} is neither true nor false")),
    }
}

/// A count: not negative. Empty is `None`.
pub(super) fn count(row: &Row<'_>, column: &str) -> Result<Option<i64>, String> {
    row.get(column)
        .map(|text| {
            text.parse::<i64>()
                .ok()
                .filter(|count| *count >= 0)
                .ok_or_else(|| format!("{column} is no count"))
        })
        .transpose()
}

/// An amount of money. Empty is zero. A decimal comma is read in files whose delimiter is not the comma.
pub(super) fn amount(row: &Row<'_>, column: &str, currency: Currency, comma: bool) -> Result<Amount, String> {
    let Some(text) = row.get(column) else { return Ok(Amount(Decimal::ZERO)) };
    let wrong = || format!("{column} is no amount of money below 100 000 000");
    let text = if comma { text.replace(',', ".") } else { text.to_owned() };
    let money = Money::parse(&text, currency).map_err(|_| wrong())?;
    // To the hundredths that are stored, so that what is compared is what is kept.
    let hundredths = money.hundredths().map_err(|_| wrong())?;
    Ok(Amount(Decimal::new(hundredths, 2)))
}
