#![doc = include_str!("../README.md")]
//!
//! Loads marketing data into a warehouse: analytics sources, a pipeline of daily slices, and a ledger of what is final.
//!
//! Visits and daily numbers of Matomo, reports of AT Internet, and a shop's CSV files become rows of a warehouse. Each day
//! of each stream is a *slice*: read whole, compared with totals that were counted another way, and loaded in one
//! transaction together with its ledger row. A second run changes nothing; a late visit is recorded as a revision; a day
//! that the source has not archived yet is told apart from a day without visits.
//!
//! ```
//! use mkt_etl::{Pipeline, csv::CsvSource};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(folder.path())?;
//! # std::fs::write("events.csv", "user_id,event_type,timestamp,channel\nu1,purchase,2026-05-02 19:10:24,email\n")?;
//! let source = CsvSource::builder("shop", chrono_tz::Europe::Paris).events("events.csv").build()?;
//! let warehouse = mkt_warehouse::Sqlite::open("shop.db").await?;
//! if let Some(days) = source.days().await? {
//!     let report = Pipeline::new(source, warehouse).run(days).await?;
//!     println!("{} events, {} quarantined", report.rows["events"], report.quarantined);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | root | [`AnalyticsSource`] and its types, [`Pipeline`], [`RunReport`], [`DueSlices`], [`Job`], [`Memory`] (a source in memory) |
//! | [`access_log`] | [`AccessLog`](access_log::AccessLog): visits and page views from the logs of web servers |
//! | [`csv`] | [`CsvSource`](csv::CsvSource): sessions, events, customers, costs from files |
//! | `matomo` (feature `http`) | `Matomo`: daily metrics, visits with their events, reports by dimension |
//! | `at_internet` (feature `http`) | `AtInternet`: reports of the Data Query API, and its URLs |
//! | [`ledger`] | the tables `etl_slices`, `etl_quarantine`, `etl_extras`, `etl_drift`, `etl_revisions` |
//! | [`settle`] | decides whether a slice is provisional, settled or suspect |
//! | [`due`] | which days are due |
//! | `schedule` (feature) | cron expressions in a zone, catching up, back-off, a program's main loop |
//! | [`aggregate`] | totals over several days; daily metrics counted from sessions |
//! | [`status`], [`history`], [`prometheus`] | freshness, quarantine, revisions, drift; metrics as text |
//! | [`channel`] | from a referrer, tags or a vendor's word to one [`Channel`](mkt_connect::Channel) |
//! | [`sessions`] | which events of a visitor are one visit, by the rules of several vendors |
//! | [`clean`], [`zone`] | removes addresses from text; the days of a zone |
//! | `social` (feature) | posts and observations of social networks into a warehouse |
//! | `testing` (feature) | `RecordedMatomo`, `FakeAtInternet`, the conformance suite and the fault suite for sources |
//!
//! # Guarantees
//! - **A slice is old or new, never mixed**, and the ledger agrees with the rows.
//! - **Counts add up**: records read = rows + quarantined + duplicates. A record that does not fit is kept with its
//!   place, its bytes and the reason.
//! - **Zero is not missing**: an empty day is accepted only when a second endpoint agrees.
//! - **One run at a time** over processes and machines; a lock ends with its process.
//! - **Distinct counts are not summed**, ratios are computed from their parts, currencies are kept apart.
//! - **No email address and no token** is in any row, error or `Debug`.
//!
//! # Limits
//! The crate starts no runtime, serves no HTTP, and reads the time only from the clock that it is given.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access_log;
pub mod aggregate;
#[cfg(feature = "http")]
pub mod at_internet;
pub mod channel;
pub mod clean;
mod content;
pub mod csv;
pub mod due;
pub mod history;
mod job;
pub mod ledger;
#[cfg(feature = "http")]
pub mod matomo;
mod memory;
mod pipeline;
pub mod prometheus;
mod run_report;
#[cfg(feature = "schedule")]
pub mod schedule;
pub mod sessions;
pub mod settle;
#[cfg(feature = "social")]
pub mod social;
mod source;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod zone;

pub use job::{Job, Turn};
pub use memory::Memory;
pub use pipeline::{Again, DueSlices, Extent, Pipeline, Progress};
pub use run_report::{RunReport, SliceFailure, StoppedBy, exit_code, exit_code_of};
pub use source::{
    AnalyticsSource, Capabilities, Change, Checked, Coverage, Drift, Extra, Finality, Grain, Kind, Page,
    Rejected, SiteFacts, SiteFailure, Stream, Totals, Window,
};
