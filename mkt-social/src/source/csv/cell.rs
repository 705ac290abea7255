//! One cell: a count, a time, a flag. Pure.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::super::Refusal;
use super::{DateOrder, DecimalMark};
use crate::metric::{Metric, Missing, Value};

/// What spreadsheets and networks write where there is no number.
fn is_blank(text: &str) -> bool {
    text.is_empty()
        || matches!(text, "-" | "–" | "—")
        || ["na", "n/a", "nan", "null", "none", "#n/a"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

pub(super) fn count(text: &str, mark: DecimalMark, metric: Metric) -> Result<Value, Refusal> {
    // Nearly every cell holds a few digits.
    if (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Value::Known(text.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))));
    }
    let text = text.trim();
    if is_blank(text) {
        return Ok(Value::Missing(Missing::Blank));
    }
    whole(text, mark).map(Value::Known).ok_or(Refusal::Number { metric })
}

/// A whole number from 0 up. Groups of three may be set apart by the other mark, a space or an apostrophe, all by the
/// same one; a fraction must be zero.
fn whole(text: &str, mark: DecimalMark) -> Option<u64> {
    let (decimal, grouping) = match mark {
        DecimalMark::Point => ('.', ','),
        DecimalMark::Comma => (',', '.'),
    };
    let (digits, fraction) = text.split_once(decimal).unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b == b'0') || (fraction.is_empty() && text.contains(decimal)) {
        return None;
    }
    let is_group = |c: char| c == grouping || matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’');
    let plain = match digits.chars().find(|c| is_group(*c)) {
        None => digits.to_owned(),
        Some(sign) => {
            let groups: Vec<&str> = digits.split(sign).collect();
            let (first, rest) = groups.split_first()?;
            if first.is_empty() || first.len() > 3 || rest.iter().any(|group| group.len() != 3) {
                return None;
            }
            groups.concat()
        }
    };
    let is_number = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| plain.parse().ok()).flatten()
}

pub(super) fn flag(text: &str) -> Result<Option<bool>, Refusal> {
    let text = text.trim();
    let says = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_blank(text) {
        Ok(None)
    } else if says(&["true", "1", "1.0", "yes", "y", "oui", "o", "vrai", "paid"]) {
        Ok(Some(true))
    } else if says(&["false", "0", "0.0", "no", "n", "non", "faux", "organic"]) {
        Ok(Some(false))
    } else {
        Err(Refusal::Flag)
    }
}

/// With an offset: RFC 3339, or Meta's `2021-07-04T19:50:58+0000`, whose offset has no colon. Without: ISO date and
/// time, or slashes in the declared order.
///
/// Years outside 1990 to 2199 are refused: no network is as old, and a misread year would stretch every axis.
pub(super) fn time(text: &str, zone: Option<Tz>, order: Option<DateOrder>) -> Result<DateTime<Utc>, Refusal> {
    let text = text.trim();
    let time = match plain(text) {
        Some((utc, "Z")) => utc.and_utc(),
        Some((local, "")) => in_zone(local, zone)?,
        _ => instant(text, zone, order)?,
    };
    match time.year() {
        1990..=2199 => Ok(time),
        _ => Err(Refusal::Time),
    }
}

/// The form in which most files write a time, `2026-05-01T11:50:00` or with a space, and what follows it: read here
/// because the general reader of formats takes longer for it than for all other cells of a row.
fn plain(text: &str) -> Option<(NaiveDateTime, &str)> {
    let (time, rest) = text.split_at_checked(19)?;
    let time: &[u8; 19] = time.as_bytes().try_into().ok()?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let [y @ .., b'-', mo1, mo2, b'-', d1, d2, b'T' | b' ', h1, h2, b':', mi1, mi2, b':', s1, s2] = time
    else {
        return None;
    };
    let date = NaiveDate::from_ymd_opt(number(y)? as i32, number(&[*mo1, *mo2])?, number(&[*d1, *d2])?)?;
    let time = date.and_hms_opt(number(&[*h1, *h2])?, number(&[*mi1, *mi2])?, number(&[*s1, *s2])?)?;
    Some((time, rest))
}

fn in_zone(local: NaiveDateTime, zone: Option<Tz>) -> Result<DateTime<Utc>, Refusal> {
    let zone = zone.ok_or(Refusal::Zone)?;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(time.to_utc()),
        LocalResult::None => Err(Refusal::Skipped { zone }),
    }
}

fn instant(text: &str, zone: Option<Tz>, order: Option<DateOrder>) -> Result<DateTime<Utc>, Refusal> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%d %H:%M:%S%.f%z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Ok(time.to_utc());
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M UTC"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(time.and_utc());
        }
    }
    let iso = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let slashes: &[&str] = match order {
        None => &[],
        Some(DateOrder::DayFirst) => &["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M"],
        Some(DateOrder::MonthFirst) => &["%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"],
    };
    let local = iso
        .iter()
        .chain(slashes)
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .ok_or(Refusal::Time)?;
    in_zone(local, zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Paris;

    #[test]
    fn numbers_are_read_in_both_conventions() {
        let cases = [
            ("0", Some(0), Some(0)),
            ("1234", Some(1234), Some(1234)),
            ("1,234", Some(1234), None),
            ("1.234", None, Some(1234)),
            ("1234.0", Some(1234), None),
            ("1234,00", None, Some(1234)),
            ("1.234.567,0", None, Some(1_234_567)),
            ("1 234\u{202f}567", None, None),
            ("1\u{202f}234\u{202f}567", Some(1_234_567), Some(1_234_567)),
            ("12,5", None, None),
            ("1,23", None, None),
            ("-1", None, None),
            ("1e3", None, None),
            ("1.2K", None, None),
            ("12.", None, None),
            ("18446744073709551616", None, None),
        ];
        for (text, point, comma) in cases {
            assert_eq!(whole(text, DecimalMark::Point), point, "{text} with a point");
            assert_eq!(whole(text, DecimalMark::Comma), comma, "{text} with a comma");
        }
    }

    #[test]
    fn blank_is_missing_and_zero_is_zero() {
        for text in ["", "  ", "-", "N/A", "null", "NaN"] {
            assert_eq!(
                count(text, DecimalMark::Point, Metric::Reach),
                Ok(Value::Missing(Missing::Blank)),
                "{text:?}"
            );
        }
        assert_eq!(count(" 0 ", DecimalMark::Point, Metric::Reach), Ok(Value::Known(0)));
    }

    #[test]
    fn times_with_an_offset_need_no_zone() {
        let cases = [
            ("2026-05-01T11:50:00Z", "2026-05-01T11:50:00Z"),
            ("2021-07-04T19:50:58+0000", "2021-07-04T19:50:58Z"),
            ("2026-05-01 11:50:00 UTC", "2026-05-01T11:50:00Z"),
            ("2026-05-01 11:50:00Z", "2026-05-01T11:50:00Z"),
            ("2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.5Z"),
            ("2026-05-01 13:50:00+02:00", "2026-05-01T11:50:00Z"),
        ];
        for (text, utc) in cases {
            assert_eq!(time(text, None, None), Ok(utc.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn local_times_follow_the_declared_zone_over_both_clock_changes() {
        // Paris: 29 March 2026, 2:00 becomes 3:00; 25 October 2026, 3:00 becomes 2:00.
        let cases = [
            ("2026-03-29 01:59", Ok("2026-03-29T00:59:00Z")),
            ("2026-03-29 02:30", Err(Refusal::Skipped { zone: Paris })),
            ("2026-03-29 03:00:00", Ok("2026-03-29T01:00:00Z")),
            ("2026-10-25T02:30", Ok("2026-10-25T00:30:00Z")),
            ("2026-10-25 03:00", Ok("2026-10-25T02:00:00Z")),
        ];
        for (text, expected) in cases {
            assert_eq!(
                time(text, Some(Paris), None),
                expected.map(|utc: &str| utc.parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(time("2026-03-29 01:59", None, None), Err(Refusal::Zone));
        assert_eq!(time("1970-01-01T00:00:00Z", None, None), Err(Refusal::Time), "a zero, not a time");
        assert_eq!(time("2026-03-29", Some(Paris), None), Err(Refusal::Time), "a day has no hour");
    }

    #[test]
    fn times_that_no_calendar_has_are_refused() {
        for text in [
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T10:60:00Z",
            "2026-05-0aT10:00:00Z",
            "2026-05-01T10:00:00é",
        ] {
            assert_eq!(time(text, Some(Paris), None), Err(Refusal::Time), "{text}");
        }
    }

    #[test]
    fn slashes_are_refused_until_their_order_is_declared() {
        let read = |order| time("03/04/2026 10:00", Some(chrono_tz::UTC), order);
        assert_eq!(read(None), Err(Refusal::Time));
        assert_eq!(read(Some(DateOrder::DayFirst)), Ok("2026-04-03T10:00:00Z".parse().unwrap()));
        assert_eq!(read(Some(DateOrder::MonthFirst)), Ok("2026-03-04T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn flags_are_read_in_french_and_english() {
        assert_eq!(flag("VRAI"), Ok(Some(true)));
        assert_eq!(flag("non"), Ok(Some(false)));
        assert_eq!(flag(" "), Ok(None));
        assert_eq!(flag("peut-être"), Err(Refusal::Flag));
    }
}
