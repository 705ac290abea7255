//! Which part of the warehouse is asked about, from what the options say and what there is.

use super::Step;
use super::arguments::Arguments;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use mkt_warehouse::report::{self, Scope};
use mkt_warehouse::{ColumnType, Query, Value, Warehouse};

pub(crate) async fn scope(warehouse: &dyn Warehouse, arguments: &Arguments) -> Step<Scope> {
    if let Some(site) = &arguments.site {
        // The offsets of a zone are loaded under its name, which is no site.
        let sites = texts(
            warehouse,
            "select site from sites union select site from loads where stream <> 'zone_offsets' order by site",
        )
        .await?;
        if !sites.contains(site) {
            return Err(format!("there is no site {site:?}; there are {}", sites.join(", ")).into());
        }
    }
    let zone = match &arguments.zone {
        Some(zone) => zone.clone(),
        None => zone_of(warehouse, arguments.site.as_deref()).await?,
    };
    let tz: Tz = zone.parse().map_err(|_| format!("{zone:?} is not a time zone of the IANA database"))?;
    let held = days_held(warehouse, arguments.site.as_deref(), tz).await?;
    let (Some(from), Some(last)) =
        (arguments.from.or(held.map(|(first, _)| first)), arguments.to.or(held.map(|(_, last)| last)))
    else {
        return Err("the warehouse holds neither sessions nor events".into());
    };
    let until = last.succ_opt().ok_or("the last day is out of range")?;
    let mut scope = Scope::days(&zone, from, until)?;
    // Hours and days need the zone's offsets; they are public knowledge and change nobody's numbers.
    report::load_zone(warehouse, &zone, from.year() - 1, until.year() + 1, Utc::now()).await?;
    if let Some(site) = &arguments.site {
        scope = scope.site(site);
    }
    if let Some(source) = &arguments.source {
        scope = scope.source(source);
    }
    if !arguments.channel.is_empty() {
        scope = scope.channels(arguments.channel.iter().copied());
    }
    if !arguments.device.is_empty() {
        scope = scope.devices(&arguments.device)?;
    }
    if !arguments.campaign.is_empty() {
        scope = scope.campaigns(&arguments.campaign)?;
    }
    Ok(scope)
}

/// The zone of the site, or of the only one.
async fn zone_of(warehouse: &dyn Warehouse, site: Option<&str>) -> Step<String> {
    let query = Query::new("select distinct zone from sites where site = coalesce(:1, site)")
        .bind(site.map_or(Value::Null, |site| Value::Text(site.to_owned())))
        .column("zone", ColumnType::Text);
    let zones = warehouse.query(&query).await?;
    Ok(if zones.rows() == 1 { zones.read(0, "zone")? } else { "UTC".to_owned() })
}

/// The first and the last local day with a session or an event.
async fn days_held(
    warehouse: &dyn Warehouse,
    site: Option<&str>,
    zone: Tz,
) -> Step<Option<(NaiveDate, NaiveDate)>> {
    let mut held: Option<(NaiveDate, NaiveDate)> = None;
    for (table, column) in [("sessions", "start_time"), ("events", "timestamp")] {
        let query = Query::new(format!(
            "select min({column}) as first, max({column}) as last from {table} where site = coalesce(:1, site)"
        ))
        .bind(site.map_or(Value::Null, |site| Value::Text(site.to_owned())))
        .column("first", ColumnType::Timestamp)
        .column("last", ColumnType::Timestamp);
        let ends = warehouse.query(&query).await?;
        let end = |name| ends.read::<Option<DateTime<Utc>>>(0, name);
        if let (Some(first), Some(last)) = (end("first")?, end("last")?) {
            let (first, last) =
                (first.with_timezone(&zone).date_naive(), last.with_timezone(&zone).date_naive());
            held = Some(held.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }
    Ok(held)
}

async fn texts(warehouse: &dyn Warehouse, sql: &'static str) -> Step<Vec<String>> {
    let table = warehouse.query(&Query::new(sql).column("text", ColumnType::Text)).await?;
    (0..table.rows()).map(|row| Ok(table.read(row, "text")?)).collect()
}
