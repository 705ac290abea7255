//! The questions: each a typed function, a definition in words, and a text of SQL per engine.
//!
//! | report | answers |
//! |---|---|
//! | [`conversion_by_channel`] | which share of each channel's users converted |
//! | [`arpu`] | what a user brings in |
//! | [`arpu_by_channel`], [`arpu_by_month`] | the same by channel and by local month |
//! | [`top_hours`] | at which local hours visits convert best |
//! | [`cohort_retention`] | who comes back, month by month after sign-up |
//! | [`funnel`] | how many people go all the way, and where the others stop |
//! | [`campaign_performance`] | what each campaign cost and brought in |
//! | [`paths()`] | through which channels people came before they converted, and when they did not |
//! | [`channel_sets`] | which combinations of channels convert |
//! | [`abandoned_carts`] | who left something in the cart, and what they had looked at |
//! | [`daily_series`] | visits, conversions and revenue of every day |
//! | [`rfm`] | who bought last when, how often, for how much, and what that makes them |
//! | [`email_performance`] | what became of the mails of a campaign |
//! | [`etl_status`] | how far each source was loaded, and how far that can be trusted |
//! | [`training_set`] | sessions as rows for a conversion model |
//!
//! What all of them share:
//! - **Traffic** is what each site's system of record told (`sites.record_source`), unless [`Scope::source`] names
//!   another source. A site that `sites` does not list counts with all its sources.
//! - **Robots**: sessions with `bot` set, and events of such sessions, are left out.
//! - **A user** is `identities.person_id` where it is known, else `user_id`.
//! - **Revenue** is that of the events `purchase` and `refund`; a cash desk's `store_purchase` is in none of it.
//! - **Sums**: sessions by the hour or the day are read from `session_quarters`, which engines keep with every load,
//!   where no filter asks for single sessions; the numbers are the same.
//! - **Provisional slices** count as they stand, and so do truncated and sampled ones: what was loaded is looked at,
//!   whatever its state, and a later load of the slice takes its place. [`etl_status`] says how far that can be trusted.
//! - **An empty denominator** gives null, never 0. **Currencies** are never added: one row each.
//! - **Hours, days, months** are cut in the scope's zone by the table `zone_offsets`, see [`load_zone`]. A report that
//!   needs it fails when it does not cover the period.
//!
//! - **On engines in this process** ([`Warehouse::in_process`], SQLite) the reports over whole journeys (`cohort_retention`,
//!   `funnel`, `campaign_performance`, `paths`, `channel_sets`, `abandoned_carts`) read the rows they need in one statement
//!   and fold them in Rust: the same numbers in a third of the time. Memory: some forty bytes a session or event of the
//!   question, and the names.
//!
//! The rendered texts are under `sql/<engine>/`, to read and to run by hand; a test keeps them equal to the code.
//! Reports only read. With the feature `charts` their answers draw: `Answer::charts`.

mod campaigns;
mod carts;
mod channel_sets;
#[cfg(feature = "charts")]
mod chart;
mod cohort;
mod conversion;
mod email;
mod etl;
mod fold;
mod funnel;
mod hours;
mod journey;
mod paths;
mod readable;
mod revenue;
mod rfm;
mod scope;
mod series;
mod text;
mod training;
mod zone;

pub use campaigns::{CampaignOptions, CampaignPerformance, campaign_performance};
pub use carts::{AbandonedCart, CartEvent, CartItem, CartOptions, abandoned_carts};
pub use channel_sets::{ChannelSetCount, ChannelSetOptions, channel_sets};
pub use cohort::{CohortMonth, cohort_retention};
pub use conversion::{ChannelConversion, conversion_by_channel};
pub use email::{EmailPerformance, email_performance};
pub use etl::{EtlOptions, StreamStatus, etl_status};
pub use funnel::{FunnelOptions, FunnelStep, funnel};
pub use hours::{HourConversion, HourOptions, top_hours};
pub use journey::{ChannelPath, ChannelSet};
pub use paths::{PathCount, PathOptions, Repeats, path_counts, paths};
pub use revenue::{Arpu, ChannelArpu, MonthArpu, arpu, arpu_by_channel, arpu_by_month};
pub use rfm::{Buyer, RfmOptions, Segment, rfm};
pub use scope::Scope;
pub use series::{Day, daily_series};
pub use training::{TrainingRow, training_set};
pub use zone::{load_zone, zone_offsets};

use crate::dialect::Dialect;
use crate::query::Query;
use crate::schema::Record;
use crate::table::{Table, Value};
use crate::warehouse::Warehouse;
use mkt_connect::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::ser::SerializeStruct;
use std::fmt;

/// What a report is, apart from any warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    name: &'static str,
    describe: &'static str,
    text: &'static str,
    /// Whether it joins `zone_offsets`.
    local: bool,
}

/// Every report, by name.
pub const REPORTS: &[&Report] = &[
    &conversion::REPORT,
    &revenue::REPORT,
    &revenue::BY_CHANNEL,
    &revenue::BY_MONTH,
    &hours::REPORT,
    &cohort::REPORT,
    &funnel::REPORT,
    &campaigns::REPORT,
    &paths::REPORT,
    &channel_sets::REPORT,
    &carts::REPORT,
    &series::REPORT,
    &rfm::REPORT,
    &email::REPORT,
    &etl::REPORT,
    &training::REPORT,
];

impl Report {
    /// The report of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        REPORTS.iter().copied().find(|report| report.name == name)
    }

    /// Its name, as in the file under `sql/`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its definition, in words.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        self.describe
    }

    /// Its SQL for people: parameters are named as the engine's own tools name them (`:from`, `@since`, `$since`), and a
    /// heading says what they are and how to set them.
    #[must_use]
    pub fn sql(&self, dialect: Dialect) -> String {
        readable::for_people(self, dialect)
    }

    /// Answers with its default options, as the function of the same name does.
    ///
    /// # Errors
    /// As that function.
    pub async fn run<W: Warehouse + ?Sized>(&self, warehouse: &W, scope: &Scope) -> Result<Table> {
        Ok(match self.name {
            "conversion_by_channel" => conversion_by_channel(warehouse, scope).await?.table,
            "arpu" => arpu(warehouse, scope).await?.table,
            "arpu_by_channel" => arpu_by_channel(warehouse, scope).await?.table,
            "arpu_by_month" => arpu_by_month(warehouse, scope).await?.table,
            "top_hours" => top_hours(warehouse, scope, HourOptions::default()).await?.table,
            "cohort_retention" => cohort_retention(warehouse, scope).await?.table,
            "funnel" => funnel(warehouse, scope, &FunnelOptions::default()).await?.table,
            "campaign_performance" => {
                campaign_performance(warehouse, scope, CampaignOptions::default()).await?.table
            }
            "paths" => paths(warehouse, scope, PathOptions::default()).await?.table,
            "channel_sets" => channel_sets(warehouse, scope, ChannelSetOptions::default()).await?.table,
            "abandoned_carts" => abandoned_carts(warehouse, scope, CartOptions::default()).await?.table,
            "daily_series" => daily_series(warehouse, scope).await?.table,
            "rfm" => rfm(warehouse, scope, RfmOptions::default()).await?.table,
            "email_performance" => email_performance(warehouse, scope).await?.table,
            "etl_status" => etl_status(warehouse, scope, EtlOptions::default()).await?.table,
            _ => training_set(warehouse, scope).await?.table,
        })
    }

    fn query(&self, dialect: Dialect, values: &[(&'static str, Value)]) -> Query {
        text::bound(self.text, dialect, values)
    }
}

/// What a report answered: typed rows, and the same as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<R> {
    /// The rows, in the report's order.
    pub rows: Vec<R>,
    table: Table,
}

impl<R: Record> Answer<R> {
    fn from_rows(rows: Vec<R>) -> Self {
        let mut table = R::SCHEMA.empty();
        for row in &rows {
            row.append(&mut table, 0);
        }
        Self { rows, table }
    }

    /// The report's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        R::SCHEMA.name
    }

    /// The rows as a table, which prints well.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Shows the rows in a notebook of the Rust kernel, see [`mkt_connect::notebook`].
    pub fn evcxr_display(&self) {
        self.table.evcxr_display();
    }
}

impl<R> fmt::Display for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

impl<R: Record> Serialize for Answer<R> {
    /// `{"report": name, "columns": [names], "rows": [[values]]}`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<Vec<Value>> = (0..self.table.rows()).map(|row| self.table.row(row)).collect();
        let mut answer = serializer.serialize_struct("Answer", 3)?;
        answer.serialize_field("report", self.name())?;
        answer.serialize_field("columns", self.table.names())?;
        answer.serialize_field("rows", &rows)?;
        answer.end()
    }
}

/// Runs a report's query and reads its rows.
async fn answer<R: Record, W: Warehouse + ?Sized>(
    report: &Report,
    warehouse: &W,
    scope: &Scope,
    options: Vec<(&'static str, Value)>,
) -> Result<Answer<R>> {
    let table = asked::<R, W>(report, warehouse, scope, options).await?;
    let rows = (0..table.rows())
        .map(|row| R::read(&table, row))
        .collect::<std::result::Result<_, _>>()
        .map_err(|cause| unreadable(report.name, cause))?;
    Ok(Answer { rows, table })
}

/// Runs a report's query; its columns are those of the rows.
async fn asked<R: Record, W: Warehouse + ?Sized>(
    report: &Report,
    warehouse: &W,
    scope: &Scope,
    options: Vec<(&'static str, Value)>,
) -> Result<Table> {
    let mut values = scope.values();
    values.extend(options);
    readable_values(&values)?;
    if report.local {
        zone::require(warehouse, scope).await?;
    }
    let mut query = report.query(warehouse.dialect(), &values);
    for column in R::SCHEMA.columns {
        query = query.column(column.name, column.ty);
    }
    warehouse.query(&query).await
}

/// SQLite would find nothing by a NUL, and PostgreSQL refuse it in words of its own.
fn readable_values(values: &[(&'static str, Value)]) -> Result<()> {
    match values.iter().any(|(_, value)| matches!(value, Value::Text(text) if text.contains('\0'))) {
        true => Err(scope::input("a name in the scope has a NUL character")),
        false => Ok(()),
    }
}

/// An answer that does not read: the tables hold what the model does not allow.
fn unreadable(report: &'static str, cause: crate::table::TableError) -> Error {
    Error::new(ErrorKind::Protocol, "report", report).with_source(cause)
}
