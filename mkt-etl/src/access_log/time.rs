//! Times of log lines as microseconds since 1970. Pure.

use super::request::{Fault, shown};
use chrono::{LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

const SECOND: i64 = 1_000_000;
/// 1970 to 9998: what every engine holds.
const YEARS: std::ops::RangeInclusive<i64> = 1970..=9998;

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    text.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970 of a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !YEARS.contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    // Counted from March, so that the leap day ends the year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era = year.div_euclid(400) * 146_097;
    let in_era = year.rem_euclid(400);
    Some(of_era + in_era * 365 + in_era / 4 - in_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// `HH:MM:SS` as microseconds; 60 is a leap second.
fn clock(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else { return None };
    let (hour, minute, second) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
    (hour < 24 && minute < 60 && second <= 60).then_some((hour * 3600 + minute * 60 + second) * SECOND)
}

/// `.123` or `,123` as microseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else {
        return Some((0, text));
    };
    let width = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if width == 0 {
        return None;
    }
    let shown = &rest[..width.min(6)];
    let scale = 10_i64.pow(6 - u32::try_from(shown.len()).ok()?);
    Some((digits(shown)? * scale, &rest[width..]))
}

/// `Z`, `+0200`, `+02:00`, `+02` in seconds; `None` inside where there is none.
fn offset(text: &[u8]) -> Option<Option<i64>> {
    let (sign, rest) = match text {
        b"" => return Some(None),
        b"Z" | b"z" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [a, b] => (digits(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(Some(sign * (hours * 3600 + minutes * 60)))
}

fn month(name: &[u8]) -> Option<i64> {
    const NAMES: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    NAMES.iter().position(|held| name == held.as_slice()).and_then(|at| i64::try_from(at + 1).ok())
}

/// A time without its zone, and the offset that stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Microseconds since 1970 of the time on the wall.
    pub(super) wall: i64,
    /// Seconds east of UTC.
    pub(super) offset: Option<i64>,
}

/// `10/Oct/2026:13:55:36 +0200`, with or without a fraction and an offset.
pub(super) fn bracketed(text: &[u8]) -> Option<Written> {
    let [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':', ..] = text else { return None };
    let day = days(digits(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, digits(&[*d1, *d2])?)?;
    let time = clock(text.get(12..20)?)?;
    let (micros, rest) = fraction(text.get(20..)?)?;
    Some(Written { wall: day * 86_400 * SECOND + time + micros, offset: offset(rest.trim_ascii())? })
}

/// `2026-10-10T13:55:36.123+02:00`, with `T` or a blank, with or without a fraction and an offset.
pub(super) fn iso(text: &[u8]) -> Option<Written> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', ..] = text else { return None };
    let day = days(digits(&[*y1, *y2, *y3, *y4])?, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?)?;
    let time = clock(text.get(11..19)?)?;
    let (micros, rest) = fraction(text.get(19..)?)?;
    Some(Written { wall: day * 86_400 * SECOND + time + micros, offset: offset(rest.trim_ascii())? })
}

/// Seconds or milliseconds since 1970, told apart by their size (10¹¹ seconds are the year 5138).
pub(super) fn epoch(number: f64) -> Option<i64> {
    let seconds = if number.abs() >= 1e11 { number / 1000.0 } else { number };
    // The bounds are those of the calendar above.
    (0.0..253_000_000_000.0).contains(&seconds).then_some((seconds * 1e6).round() as i64)
}

/// Turns written times into instants. Times without an offset are of a zone, and where its clock shows an hour twice
/// the one is taken that lies nearer to the line before.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: Tz,
    last: Option<i64>,
    /// Times that had no offset.
    pub(super) local: u64,
    /// Of them, times that the zone's clock shows twice.
    pub(super) twice: u64,
}

impl Clock {
    pub(super) fn new(zone: Tz) -> Self {
        Self { zone, last: None, local: 0, twice: 0 }
    }

    pub(super) fn zone(&self) -> Tz {
        self.zone
    }

    #[inline]
    pub(super) fn instant(&mut self, written: Written) -> Result<i64, Fault> {
        let at = match written.offset {
            Some(offset) => written.wall - offset * SECOND,
            None => self.local(written.wall)?,
        };
        if at < 0 {
            return Err("a time before 1970".into());
        }
        self.last = Some(at);
        Ok(at)
    }

    fn local(&mut self, wall: i64) -> Result<i64, Fault> {
        let naive: NaiveDateTime = chrono::DateTime::from_timestamp_micros(wall)
            .map(|at| at.naive_utc())
            .ok_or("a time out of range")?;
        self.local += 1;
        let with = |offset: &chrono_tz::TzOffset| wall - i64::from(offset.fix().local_minus_utc()) * SECOND;
        match self.zone.offset_from_local_datetime(&naive) {
            LocalResult::Single(offset) => Ok(with(&offset)),
            LocalResult::Ambiguous(first, second) => {
                self.twice += 1;
                let (first, second) = (with(&first), with(&second));
                let distance = |at: i64| self.last.map_or(0, |last| (at - last).abs());
                Ok(if distance(second) < distance(first) { second } else { first })
            }
            LocalResult::None => Err(format!("the clock of {} leaves out {naive}", self.zone.name()).into()),
        }
    }
}

/// The reason of a time that is none.
pub(super) fn invalid(text: &[u8]) -> Fault {
    format!("invalid time {:?}", shown(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use chrono_tz::Europe::Paris;

    fn utc(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn times_are_read_with_their_own_offset() {
        let mut clock = Clock::new(Paris);
        for (text, expected) in [
            ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z"),
            ("29/Feb/2028:00:00:00 +0545", "2028-02-28T18:15:00Z"),
            ("01/Jan/2027:00:30:00 -0330", "2027-01-01T04:00:00Z"),
            ("06/Feb/2026:12:14:14.655", "2026-02-06T11:14:14.655Z"),
        ] {
            let written = bracketed(text.as_bytes()).unwrap();
            assert_eq!(clock.instant(written), Ok(utc(expected)), "{text}");
        }
        for (text, expected) in [
            ("2026-03-29T01:59:59.5Z", "2026-03-29T01:59:59.5Z"),
            ("2026-03-29 03:00:00+02:00", "2026-03-29T01:00:00Z"),
            ("2018-07-02T22:23:00.186641Z", "2018-07-02T22:23:00.186641Z"),
        ] {
            assert_eq!(clock.instant(iso(text.as_bytes()).unwrap()), Ok(utc(expected)), "{text}");
        }
        for text in [
            "31/Feb/2026:00:00:00 +0000",
            "10/Okt/2026:00:00:00 +0000",
            "10/Oct/2026:24:00:00 +0000",
            "1/Oct/2026",
        ] {
            assert_eq!(bracketed(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_hour_shown_twice_is_told_apart_by_the_line_before() {
        // Paris, 25 October 2026: 02:00 to 03:00 comes twice, first at +02:00.
        let mut clock = Clock::new(Paris);
        let lines =
            ["25/Oct/2026:02:30:00", "25/Oct/2026:02:59:59", "25/Oct/2026:02:00:01", "25/Oct/2026:02:30:00"];
        let read: Vec<i64> =
            lines.iter().map(|text| clock.instant(bracketed(text.as_bytes()).unwrap()).unwrap()).collect();
        let expected =
            ["00:30:00", "00:59:59", "01:00:01", "01:30:00"].map(|time| utc(&format!("2026-10-25T{time}Z")));
        assert_eq!((read, clock.twice), (expected.to_vec(), 4));
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_is_refused() {
        let gap = bracketed(b"29/Mar/2026:02:30:00").unwrap();
        let reason = Clock::new(Paris).instant(gap).unwrap_err();
        assert_eq!(reason, "the clock of Europe/Paris leaves out 2026-03-29 02:30:00");
    }
}
