//! Reports: each a typed function, a definition in words, and a SQL text per engine.
//!
//! | report | answers |
//! |---|---|
//! | [`conversion_by_channel`] | the share of each channel's users that converted |
//! | [`arpu`] | average revenue per user |
//! | [`arpu_by_channel`], [`arpu_by_month`] | the same by channel and by local month |
//! | [`top_hours`] | the local hours in which visits convert best |
//! | [`cohort_retention`] | the share of users that come back, month by month after sign-up |
//! | [`funnel`] | how many people reach each of a series of steps |
//! | [`campaign_performance`] | what each campaign cost and brought in |
//! | [`paths()`] | the channels of people's sessions up to a conversion, and of paths without one |
//! | [`channel_sets`] | which combinations of channels convert |
//! | [`abandoned_carts`] | carts that were left, with the products in them and those viewed |
//! | [`daily_series`] | visits, conversions and revenue of every day |
//! | [`rfm`] | recency, frequency and monetary value of buyers, with a segment |
//! | [`email_performance`] | deliveries, opens, clicks and complaints by campaign |
//! | [`etl_status`] | how far each source was loaded, and how complete that is |
//! | [`training_set`] | sessions as rows for a conversion model |
//!
//! What all of them share:
//! - **Traffic** is that of each site's system of record (`sites.record_source`), unless [`Scope::source`] names
//!   another source. A site that `sites` does not list counts with all its sources.
//! - **Robots**: sessions with `bot` set, and events of such sessions, are left out.
//! - **A user** is `identities.person_id` where it is known, else `user_id`. An event that names a known session is one of
//!   that session's user, also where its own `user_id` is another (anonymous first, then a customer).
//! - **Order**: by timestamp, then `seq` (the order of the source), then the id.
//! - **Revenue** is that of the events `purchase` and `refund`; a cash desk's `store_purchase` is in none of it.
//! - **Sums**: sessions by the hour or the day are read from `session_quarters`, which engines keep with every load,
//!   where no filter asks for single sessions; the numbers are the same.
//! - **Provisional slices** count as they stand, and so do truncated and sampled ones: what was loaded is looked at,
//!   whatever its state, and a later load of the slice takes its place. [`etl_status`] says how far that can be trusted.
//! - **An empty denominator** gives null, never 0. **Currencies** are never added: one row each.
//! - **Days that were not loaded** are a gap and not zero, in [`daily_series`], [`cohort_retention`] and [`arpu_by_month`];
//!   [`Coverage`] lists them for any other report.
//! - **Hours, days, months** are cut in the scope's zone by the table `zone_offsets`, see [`load_zone`]. Where it does
//!   not cover the period, the offsets travel in the text of the query: reports only read.
//!
//! - **On engines in this process** ([`Warehouse::in_process`], SQLite) the reports over whole journeys (`cohort_retention`,
//!   `funnel`, `campaign_performance`, `paths`, `channel_sets`, `abandoned_carts`) read the rows they need in one statement
//!   and fold them in Rust: the same numbers in a third of the time. Memory: some forty bytes a session or event of the
//!   question, and the names.
//!
//! The rendered texts are under `sql/<engine>/`, to read and to run by hand; a test keeps them equal to the code.
//! Reports only read. With the feature `chart` their answers draw: `Answer::charts`.

mod campaigns;
mod carts;
mod channel_sets;
#[cfg(feature = "chart")]
mod chart;
mod cohort;
mod conversion;
mod coverage;
mod email;
mod etl;
mod fold;
mod funnel;
mod held;
mod hours;
mod journey;
#[cfg(feature = "chart")]
mod page;
mod paths;
mod readable;
mod revenue;
mod rfm;
mod scope;
mod series;
mod settings;
mod text;
mod training;
mod zone;

pub use campaigns::{CampaignOptions, CampaignPerformance, campaign_performance};
pub use carts::{AbandonedCart, CartEvent, CartItem, CartOptions, abandoned_carts};
pub use channel_sets::{ChannelSetCount, ChannelSetOptions, channel_sets};
pub use cohort::{CohortMonth, cohort_retention};
pub use conversion::{ChannelConversion, conversion_by_channel};
pub use coverage::{Coverage, Gap};
pub use email::{EmailPerformance, email_performance};
pub use etl::{EtlOptions, StreamStatus, etl_status};
pub use funnel::{FunnelOptions, FunnelStep, funnel};
pub use held::{days_held, site_zone, sites};
pub use hours::{HourConversion, HourOptions, top_hours};
pub use journey::{ChannelPath, ChannelSet};
pub use paths::{PathCount, PathOptions, Repeats, path_counts, paths};
pub use revenue::{Arpu, ChannelArpu, MonthArpu, arpu, arpu_by_channel, arpu_by_month};
pub use rfm::{Buyer, RfmOptions, Segment, rfm};
pub use scope::Scope;
pub use series::{Day, daily_series};
pub use settings::Settings;
pub use training::{TrainingRow, training_set};
pub use zone::{load_zone, zone_offsets};

use crate::dialect::Dialect;
use crate::model::ZoneOffset;
use crate::query::Query;
use crate::schema::Record;
use crate::table::{Table, Value};
use crate::warehouse::Warehouse;
use mkt_connect::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::ser::SerializeStruct;
use std::fmt;

/// A report by name, with its default options: for command lines and servers. The functions take options and return typed
/// rows.
///
/// ```
/// use mkt_warehouse::report::Report;
///
/// let report: Report = "top_hours".parse()?;
/// assert_eq!(report, Report::TopHours);
/// assert!("best_hours".parse::<Report>().unwrap_err().to_string().contains("top_hours"));
/// # Ok::<(), mkt_warehouse::report::UnknownReport>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Report {
    /// [`conversion_by_channel`]
    ConversionByChannel,
    /// [`arpu()`]
    Arpu,
    /// [`arpu_by_channel`]
    ArpuByChannel,
    /// [`arpu_by_month`]
    ArpuByMonth,
    /// [`top_hours`]
    TopHours,
    /// [`cohort_retention`]
    CohortRetention,
    /// [`funnel()`]
    Funnel,
    /// [`campaign_performance`]
    CampaignPerformance,
    /// [`paths()`]
    Paths,
    /// [`channel_sets`]
    ChannelSets,
    /// [`abandoned_carts`]
    AbandonedCarts,
    /// [`daily_series`]
    DailySeries,
    /// [`rfm`]
    Rfm,
    /// [`email_performance`]
    EmailPerformance,
    /// [`etl_status`]
    EtlStatus,
    /// [`training_set`]
    TrainingSet,
}

/// What a report is, apart from any warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Definition {
    name: &'static str,
    describe: &'static str,
    text: &'static str,
    /// Whether it joins `zone_offsets`.
    local: bool,
}

/// A name that no report has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown report {0:?}: expected one of {names}", names = names())]
pub struct UnknownReport(pub String);

fn names() -> String {
    Report::ALL.map(Report::name).join(", ")
}

impl std::str::FromStr for Report {
    type Err = UnknownReport;

    fn from_str(name: &str) -> std::result::Result<Self, UnknownReport> {
        Self::ALL
            .into_iter()
            .find(|report| report.name() == name)
            .ok_or_else(|| UnknownReport(name.chars().take(60).collect()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Report {
    /// Every report.
    pub const ALL: [Self; 16] = [
        Self::ConversionByChannel,
        Self::Arpu,
        Self::ArpuByChannel,
        Self::ArpuByMonth,
        Self::TopHours,
        Self::CohortRetention,
        Self::Funnel,
        Self::CampaignPerformance,
        Self::Paths,
        Self::ChannelSets,
        Self::AbandonedCarts,
        Self::DailySeries,
        Self::Rfm,
        Self::EmailPerformance,
        Self::EtlStatus,
        Self::TrainingSet,
    ];

    fn definition(self) -> &'static Definition {
        match self {
            Self::ConversionByChannel => &conversion::REPORT,
            Self::Arpu => &revenue::REPORT,
            Self::ArpuByChannel => &revenue::BY_CHANNEL,
            Self::ArpuByMonth => &revenue::BY_MONTH,
            Self::TopHours => &hours::REPORT,
            Self::CohortRetention => &cohort::REPORT,
            Self::Funnel => &funnel::REPORT,
            Self::CampaignPerformance => &campaigns::REPORT,
            Self::Paths => &paths::REPORT,
            Self::ChannelSets => &channel_sets::REPORT,
            Self::AbandonedCarts => &carts::REPORT,
            Self::DailySeries => &series::REPORT,
            Self::Rfm => &rfm::REPORT,
            Self::EmailPerformance => &email::REPORT,
            Self::EtlStatus => &etl::REPORT,
            Self::TrainingSet => &training::REPORT,
        }
    }

    /// Its name: that of its function, and of its file under `sql/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Its definition in words: the first paragraph of its function's documentation.
    #[must_use]
    pub fn describe(self) -> &'static str {
        self.definition().describe
    }

    /// Its SQL for people: parameters are named as the engine's own tools name them (`:from`, `@since`, `$since`), and a
    /// heading says what they are and how to set them.
    #[must_use]
    pub fn sql(self, dialect: Dialect) -> String {
        readable::for_people(self.definition(), dialect)
    }

    /// Answers with its default options, as the function of the same name does.
    ///
    /// # Errors
    /// As that function.
    pub async fn run<W: Warehouse + ?Sized>(self, warehouse: &W, scope: &Scope) -> Result<Table> {
        Ok(match self {
            Self::ConversionByChannel => conversion_by_channel(warehouse, scope).await?.table,
            Self::Arpu => arpu(warehouse, scope).await?.table,
            Self::ArpuByChannel => arpu_by_channel(warehouse, scope).await?.table,
            Self::ArpuByMonth => arpu_by_month(warehouse, scope).await?.table,
            Self::TopHours => top_hours(warehouse, scope, HourOptions::default()).await?.table,
            Self::CohortRetention => cohort_retention(warehouse, scope).await?.table,
            Self::Funnel => funnel(warehouse, scope, &FunnelOptions::default()).await?.table,
            Self::CampaignPerformance => {
                campaign_performance(warehouse, scope, CampaignOptions::default()).await?.table
            }
            Self::Paths => paths(warehouse, scope, PathOptions::default()).await?.table,
            Self::ChannelSets => channel_sets(warehouse, scope, ChannelSetOptions::default()).await?.table,
            Self::AbandonedCarts => abandoned_carts(warehouse, scope, CartOptions::default()).await?.table,
            Self::DailySeries => daily_series(warehouse, scope).await?.table,
            Self::Rfm => rfm(warehouse, scope, RfmOptions::default()).await?.table,
            Self::EmailPerformance => email_performance(warehouse, scope).await?.table,
            Self::EtlStatus => etl_status(warehouse, scope, EtlOptions::default()).await?.table,
            Self::TrainingSet => training_set(warehouse, scope).await?.table,
        })
    }
}

impl Definition {
    fn query(&self, dialect: Dialect, values: &[(&'static str, Value)], offsets: &[ZoneOffset]) -> Query {
        text::bound(self.text, dialect, values, offsets)
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
    report: &Definition,
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
    report: &Definition,
    warehouse: &W,
    scope: &Scope,
    options: Vec<(&'static str, Value)>,
) -> Result<Table> {
    let mut values = scope.values();
    values.extend(options);
    readable_values(&values)?;
    let offsets = if report.local { zone::missing(warehouse, scope).await? } else { Vec::new() };
    let mut query = report.query(warehouse.dialect(), &values, &offsets);
    for column in R::SCHEMA.columns {
        query = query.column(column.name, column.ty);
    }
    warehouse.query(&query).await
}

/// SQLite would find nothing by a NUL, and PostgreSQL refuse it in words of its own.
fn readable_values(values: &[(&'static str, Value)]) -> Result<()> {
    match values.iter().any(|(_, value)| matches!(value, Value::Text(text) if text.contains('\0'))) {
        true => Err(scope::input("a name of the scope contains a NUL character")),
        false => Ok(()),
    }
}

/// An answer that cannot be read: the tables hold what the model does not allow.
fn unreadable(report: &'static str, cause: crate::table::TableError) -> Error {
    Error::new(ErrorKind::Protocol, "report", report).with_source(cause)
}
