//! Step 3: the four questions of the course, and what the page shows beside them.

use crate::failure::Step;
use chrono::{DateTime, NaiveDate, Utc};
use mkt_warehouse::report::{
    self, AbandonedCart, Answer, Arpu, CartOptions, ChannelConversion, CohortMonth, Day, HourConversion,
    HourOptions, Scope,
};
use mkt_warehouse::{ColumnType, Query, Warehouse};
use std::time::Duration;

/// Hours and days are cut where the shop is.
pub(crate) const ZONE: &str = "Europe/Paris";

/// What the warehouse answered.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) from: NaiveDate,
    pub(crate) now: DateTime<Utc>,
    pub(crate) sessions: i64,
    pub(crate) events: i64,
    pub(crate) sites: Vec<SiteTotals>,
    pub(crate) conversion: Answer<ChannelConversion>,
    pub(crate) arpu: Answer<Arpu>,
    pub(crate) hours: Answer<HourConversion>,
    pub(crate) cohorts: Answer<CohortMonth>,
    pub(crate) days: Answer<Day>,
    pub(crate) carts: Answer<AbandonedCart>,
}

/// A site in three numbers.
#[derive(Debug)]
pub(crate) struct SiteTotals {
    pub(crate) site: String,
    pub(crate) source: String,
    pub(crate) zone: String,
    pub(crate) sessions: i64,
    pub(crate) converted: i64,
    pub(crate) events: i64,
}

/// Asks. Hours need 30 sessions to be ranked: one sale in one visit is not the best hour of the day.
pub(crate) async fn answer(warehouse: &dyn Warehouse) -> Step<Answers> {
    let (from, now) = span(warehouse).await?;
    let local = from.with_timezone(&chrono_tz::Europe::Paris).date_naive();
    let last = now.with_timezone(&chrono_tz::Europe::Paris).date_naive();
    let scope = Scope::days(ZONE, local, last.succ_opt().unwrap_or(last))?;
    let carts = CartOptions { idle: Duration::from_secs(3600), now: Some(now) };
    Ok(Answers {
        from: local,
        now,
        sessions: count(warehouse, "sessions").await?,
        events: count(warehouse, "events").await?,
        sites: sites(warehouse).await?,
        conversion: report::conversion_by_channel(warehouse, &scope).await?,
        arpu: report::arpu(warehouse, &scope).await?,
        hours: report::top_hours(warehouse, &scope, HourOptions { hours: 5, minimum: 30 }).await?,
        cohorts: report::cohort_retention(warehouse, &scope).await?,
        days: report::daily_series(warehouse, &scope).await?,
        carts: report::abandoned_carts(warehouse, &scope, carts).await?,
    })
}

/// The first and the last instant of the data. The last is the quickstart's clock: due mails do not depend on the day
/// on which it runs.
async fn span(warehouse: &dyn Warehouse) -> Step<(DateTime<Utc>, DateTime<Utc>)> {
    let query = Query::new(
        "select min(start_time) as first, max(end_time) as last from \
         (select start_time, end_time from sessions union all select timestamp, timestamp from events) spans",
    )
    .column("first", ColumnType::Timestamp)
    .column("last", ColumnType::Timestamp);
    let table = warehouse.query(&query).await?;
    Ok((table.read(0, "first")?, table.read(0, "last")?))
}

async fn count(warehouse: &dyn Warehouse, table: &'static str) -> Step<i64> {
    let query = Query::new(format!("select count(*) as n from {table}")).column("n", ColumnType::Int);
    Ok(warehouse.query(&query).await?.read(0, "n")?)
}

async fn sites(warehouse: &dyn Warehouse) -> Step<Vec<SiteTotals>> {
    let query = Query::new(
        "select t.site, t.record_source, t.zone, \
         (select count(*) from sessions s where s.site = t.site and s.source = t.record_source) as sessions, \
         (select count(*) from sessions s where s.site = t.site and s.source = t.record_source and s.converted) \
           as converted, \
         (select count(*) from events e where e.site = t.site and e.source = t.record_source) as events \
         from sites t order by t.site",
    )
    .column("site", ColumnType::Text)
    .column("record_source", ColumnType::Text)
    .column("zone", ColumnType::Text)
    .column("sessions", ColumnType::Int)
    .column("converted", ColumnType::Int)
    .column("events", ColumnType::Int);
    let table = warehouse.query(&query).await?;
    (0..table.rows())
        .map(|row| {
            Ok(SiteTotals {
                site: table.read(row, "site")?,
                source: table.read(row, "record_source")?,
                zone: table.read(row, "zone")?,
                sessions: table.read(row, "sessions")?,
                converted: table.read(row, "converted")?,
                events: table.read(row, "events")?,
            })
        })
        .collect()
}
