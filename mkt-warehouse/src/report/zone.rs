//! The offsets of time zones, from chrono-tz into the table that reports join.

use super::scope::{Scope, input, parse_zone};
use crate::batch::{Batch, SliceKey};
use crate::dialect::Dialect;
use crate::model::ZoneOffset;
use crate::query::Query;
use crate::schema::Record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};

/// The offsets of a zone (IANA name) that cover the years `from_year` to `until_year`, both included.
///
/// Every row runs from one change of the clocks to the next, whatever years are asked for, so that rows of several
/// calls agree and never overlap. Changes before 1900 and after 2100 are not looked for.
///
/// # Errors
/// `Input` for an unknown zone, or years outside 1900 to 2100 or in the wrong order.
pub fn zone_offsets(zone: &str, from_year: i32, until_year: i32) -> Result<Vec<ZoneOffset>> {
    let zone = parse_zone(zone)?;
    if from_year > until_year || from_year < 1900 || until_year > 2100 {
        return Err(input("the years lie between 1900 and 2100, the first before the last"));
    }
    let (from, until) = (new_year(from_year), new_year(until_year + 1));
    let mut edges = changes(zone, from, until);
    // The rows that hold the first and the last instant begin and end at a change as well.
    edges.insert(0, change_before(zone, from).unwrap_or_else(|| new_year(1)));
    edges.push(change_from(zone, until).unwrap_or_else(|| new_year(9999)));
    Ok(edges
        .windows(2)
        .filter_map(|pair| match pair {
            [from, until] if from < until => Some(ZoneOffset {
                zone: zone.name().to_owned(),
                from_utc: *from,
                until_utc: *until,
                offset_s: offset(zone, *until - TimeDelta::seconds(1)),
            }),
            _ => None,
        })
        .collect())
}

/// Writes [`zone_offsets`] into the warehouse; nothing where it holds them already.
///
/// # Errors
/// As [`zone_offsets`], [`Warehouse::query`] and [`Warehouse::load`].
pub async fn load_zone<W: Warehouse + ?Sized>(
    warehouse: &W,
    zone: &str,
    from_year: i32,
    until_year: i32,
    at: DateTime<Utc>,
) -> Result<()> {
    let offsets = zone_offsets(zone, from_year, until_year)?;
    let held = held(warehouse, zone, new_year(1), new_year(9999)).await?;
    // A question should write nothing: not into a file that others are writing, nor into one that cannot be written.
    if offsets.iter().all(|offset| held.contains(offset)) {
        return Ok(());
    }
    let batch = Batch::new(SliceKey::whole("chrono-tz", "zone_offsets", zone)).upsert(offsets);
    warehouse.load(&batch, at).await.map(|_| ())
}

/// The offsets of a zone that the warehouse holds for a period, in their order.
async fn held<W: Warehouse + ?Sized>(
    warehouse: &W,
    zone: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<ZoneOffset>> {
    let mut query = Query::new(
        "select zone, from_utc, until_utc, offset_s from zone_offsets \
         where zone = :1 and from_utc < :3 and until_utc > :2 order by from_utc",
    )
    .bind(Value::Text(zone.to_owned()))
    .bind(Value::Timestamp(from))
    .bind(Value::Timestamp(until));
    for column in ZoneOffset::SCHEMA.columns {
        query = query.column(column.name, column.ty);
    }
    let held = warehouse.query(&query).await?;
    (0..held.rows())
        .map(|row| ZoneOffset::read(&held, row))
        .collect::<std::result::Result<_, _>>()
        .map_err(|cause| Error::new(ErrorKind::Protocol, "report", "read zone_offsets").with_source(cause))
}

/// The offsets that a report's text has to bring along: none where the table covers the period. A report whose zone is
/// missing would lose rows silently, and a question writes nothing, so that a warehouse can be asked read-only.
pub(super) async fn missing<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Vec<ZoneOffset>> {
    let held = held(warehouse, scope.zone(), scope.from(), scope.until()).await?;
    let mut covered = scope.from();
    for (row, offset) in held.iter().enumerate() {
        if (row == 0 && offset.from_utc > covered) || (row > 0 && offset.from_utc != covered) {
            break;
        }
        covered = offset.until_utc;
    }
    if covered >= scope.until() {
        return Ok(Vec::new());
    }
    zone_offsets(scope.zone(), scope.from().year().max(1900), scope.until().year().min(2100))
}

/// A text with these offsets in place of the table `zone_offsets`: a common table expression of that name shadows it.
pub(super) fn brought_along(text: &str, offsets: &[ZoneOffset], dialect: Dialect) -> String {
    if offsets.is_empty() {
        return text.to_owned();
    }
    let instant = |at: DateTime<Utc>| match dialect {
        Dialect::Sqlite => at.timestamp_micros().to_string(),
        // No colon, which would begin a parameter.
        _ => format!("to_timestamp({})", at.timestamp()),
    };
    let rows: Vec<String> = offsets
        .iter()
        .map(|row| {
            let (from, until) = (instant(row.from_utc), instant(row.until_utc));
            format!("('{}', {from}, {until}, {})", row.zone, row.offset_s)
        })
        .collect();
    let held = format!("zone_offsets(zone, from_utc, until_utc, offset_s) as (values {})", rows.join(", "));
    let text = text.trim_start();
    for begin in ["with recursive ", "with "] {
        if let Some(rest) = text.strip_prefix(begin) {
            return format!("{begin}{held},\n{rest}");
        }
    }
    format!("with {held}\n{text}")
}

fn new_year(year: i32) -> DateTime<Utc> {
    let day = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or(NaiveDate::MAX);
    Utc.from_utc_datetime(&day.and_time(NaiveTime::MIN))
}

fn offset(zone: Tz, at: DateTime<Utc>) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// Half a day: no zone changed twice within it since 1900.
const STEP: TimeDelta = TimeDelta::hours(12);

/// Every change with `from` < change < `until`, and `from` or `until` itself where they are changes is left to the
/// neighbours' search.
fn changes(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut found = Vec::new();
    let mut at = from;
    while at < until {
        let next = (at + STEP).min(until - TimeDelta::seconds(1));
        if let Some(change) = between(zone, at, next) {
            found.push(change);
        }
        if next <= at {
            break;
        }
        at = next;
    }
    found
}

/// The last change at or before an instant.
fn change_before(zone: Tz, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut at = instant;
    while at > new_year(1900) {
        let earlier = if at == instant { at - TimeDelta::seconds(1) } else { at - STEP };
        if let Some(change) = between(zone, earlier, at) {
            return Some(change);
        }
        at = earlier;
    }
    None
}

/// The first change at or after an instant.
fn change_from(zone: Tz, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut at = instant - TimeDelta::seconds(1);
    while at < new_year(2102) {
        let later = at + STEP;
        if let Some(change) = between(zone, at, later) {
            return Some(change);
        }
        at = later;
    }
    None
}

/// The change after `from` and up to `until`, to the second; nothing where the offsets of both are the same.
fn between(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = offset(zone, from);
    if offset(zone, until) == before {
        return None;
    }
    let (mut low, mut high) = (from.timestamp(), until.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let at = DateTime::from_timestamp(middle, 0)?;
        if offset(zone, at) == before { low = middle } else { high = middle }
    }
    DateTime::from_timestamp(high, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paris_2026_changes_on_the_last_sundays_of_march_and_october_at_one_utc() {
        // Directive 2000/84/EC: the last Sunday of March and of October, 01:00 UTC.
        let rows = zone_offsets("Europe/Paris", 2026, 2026).unwrap();
        let shown: Vec<(String, i64)> =
            rows.iter().map(|row| (row.from_utc.to_rfc3339(), row.offset_s)).collect();
        assert_eq!(
            shown,
            [
                ("2025-10-26T01:00:00+00:00".to_owned(), 3600),
                ("2026-03-29T01:00:00+00:00".to_owned(), 7200),
                ("2026-10-25T01:00:00+00:00".to_owned(), 3600),
            ]
        );
        assert_eq!(rows[2].until_utc.to_rfc3339(), "2027-03-28T01:00:00+00:00");
    }

    #[test]
    fn rows_do_not_depend_on_the_years_asked_for() {
        for zone in
            ["Europe/Paris", "Asia/Kolkata", "UTC", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia"]
        {
            let long = zone_offsets(zone, 2005, 2030).unwrap();
            for (from, until) in [(2005, 2010), (2011, 2011), (2019, 2026)] {
                for row in zone_offsets(zone, from, until).unwrap() {
                    assert!(long.contains(&row), "{row:?}");
                }
            }
            assert!(long.windows(2).all(|pair| pair[0].until_utc == pair[1].from_utc), "{zone}");
        }
    }

    #[test]
    fn a_zone_without_changes_is_one_row() {
        let rows = zone_offsets("Asia/Kolkata", 2000, 2030).unwrap();
        assert_eq!((rows.len(), rows[0].offset_s), (1, 19_800));
    }
}
