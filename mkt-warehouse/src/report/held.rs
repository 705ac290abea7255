//! What a warehouse holds, for whoever has to choose a scope.

use super::Scope;
use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::BTreeSet;

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

/// The days of a scope that some slice of sessions or events covers, whether it holds rows or not: all others were never
/// loaded, and their zero says nothing. A slice of a whole stream covers every day.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn days_loaded<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<BTreeSet<NaiveDate>> {
    let (first, last) = (scope.first_day(), scope.last_day());
    let query = Query::new(
        "select distinct window_from, window_until from loads \
         where window_from <= :1 and window_until > :2 and site = coalesce(:3, site) \
         and source = coalesce(:4, source) and state not in ('planned', 'failed') \
         and (stream like '%visits%' or stream like '%sessions%' or stream like '%events%' or stream like '%hits%')",
    )
    .bind(Value::Date(last))
    .bind(Value::Date(first))
    .bind(text(scope.only_site()))
    .bind(text(scope.only_source()))
    .column("window_from", ColumnType::Date)
    .column("window_until", ColumnType::Date);
    let slices = warehouse.query(&query).await?;
    let mut days = BTreeSet::new();
    for row in 0..slices.rows() {
        let from: NaiveDate = slices.read(row, "window_from").map_err(unreadable)?;
        let until: NaiveDate = slices.read(row, "window_until").map_err(unreadable)?;
        days.extend(from.max(first).iter_days().take_while(|day| *day < until && *day <= last));
    }
    Ok(days)
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_owned()))
}

fn unreadable(cause: crate::table::TableError) -> Error {
    Error::new(ErrorKind::Protocol, "report", "read what is held").with_source(cause)
}
