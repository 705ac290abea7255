//! What a warehouse holds, for whoever has to choose a scope.

use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};

/// The sites with rows or slices, in the order of their names.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn sites<W: Warehouse + ?Sized>(warehouse: &W) -> Result<Vec<String>> {
    // The offsets of a zone are loaded under its name, which is no site.
    let query = Query::new(
        "select site from sites union select site from loads where stream <> 'zone_offsets' order by site",
    );
    let table = warehouse.query(&query.column("site", ColumnType::Text)).await?;
    (0..table.rows()).map(|row| table.read(row, "site").map_err(unreadable)).collect()
}

/// The zone of a site, or of all sites where they share one; `None` where they differ or none is known.
///
/// # Errors
/// `Input` where that is an offset that no zone of the tz database keeps (`UTC+03:30`): reports cut days and hours in a named
/// zone, so the caller names one. And those of [`Warehouse::query`].
pub async fn site_zone<W: Warehouse + ?Sized>(warehouse: &W, site: Option<&str>) -> Result<Option<Tz>> {
    let query = Query::new("select distinct zone from sites where site = coalesce(:1, site)")
        .bind(text(site))
        .column("zone", ColumnType::Text);
    let zones = warehouse.query(&query).await?;
    let zone: Option<String> =
        if zones.rows() == 1 { Some(zones.read(0, "zone").map_err(unreadable)?) } else { None };
    let read = |zone: String| {
        zone.parse().map_err(|_| {
            Error::new(ErrorKind::Input, "report", "choose a zone").with_detail(format!(
                "the site keeps the zone {zone:?}: expected a name of the tz database; choose a zone for the report"
            ))
        })
    };
    zone.map(read).transpose()
}

/// The first and the last day, in a zone, with a session or an event of a site, or of all.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn days_held<W: Warehouse + ?Sized>(
    warehouse: &W,
    site: Option<&str>,
    zone: Tz,
) -> Result<Option<(NaiveDate, NaiveDate)>> {
    let mut held: Option<(NaiveDate, NaiveDate)> = None;
    for (table, column) in [("sessions", "start_time"), ("events", "timestamp")] {
        let query = Query::new(format!(
            "select min({column}) as first, max({column}) as last from {table} where site = coalesce(:1, site)"
        ))
        .bind(text(site))
        .column("first", ColumnType::Timestamp)
        .column("last", ColumnType::Timestamp);
        let ends = warehouse.query(&query).await?;
        let day = |name| {
            let at: Option<DateTime<Utc>> = ends.read(0, name).map_err(unreadable)?;
            Ok::<_, Error>(at.map(|at| at.with_timezone(&zone).date_naive()))
        };
        if let (Some(first), Some(last)) = (day("first")?, day("last")?) {
            held = Some(held.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }
    Ok(held)
}

pub(super) fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_owned()))
}

pub(super) fn unreadable(cause: crate::table::TableError) -> Error {
    Error::new(ErrorKind::Protocol, "report", "read what is held").with_source(cause)
}
