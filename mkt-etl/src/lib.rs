//! Bring marketing data in: analytics sources, a windowed pipeline, a ledger of what is settled.
//!
//! Visits and daily numbers of a Matomo, or CSV files of a shop, become rows of a warehouse, day by day. Each day of each
//! stream is a *slice*: read whole, checked against totals that were counted another way, and loaded in one transaction
//! together with the ledger row that says what is known about it. Run it every hour: a second run changes nothing, a
//! late visit raises a revision, a day that the source has not archived is told apart from a day without visits.
//!
//! ```
//! use mkt_etl::testing::RecordedMatomo; // feature `testing`: the recorded answers of a real Matomo, on loopback
//! use mkt_etl::{ManualClock, Pipeline, Window};
//! use mkt_warehouse::Sqlite;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = RecordedMatomo::start().await?;
//! let matomo = mkt_etl::Matomo::builder(&server.url())
//!     .allow_insecure_host(&server.server().authority()) // plain http, by name only
//!     .token(server.token())                             // travels in the body, never in a URL
//!     .site(1)
//!     .build()?;
//! let pipeline = Pipeline::new(matomo, Sqlite::in_memory().await?)
//!     .clock(ManualClock::new("2026-11-15T12:00:00Z".parse()?))
//!     .on_progress(|progress| println!("{}/{} {}", progress.done, progress.total, progress.slice));
//!
//! let march = Window::days("2026-03-27".parse()?, "2026-03-31".parse()?);
//! let report = pipeline.run(march).await?;
//! assert_eq!(report.rows["sessions"], 13 + 17 + 18 + 1 + 15); // what VisitsSummary.get says, day by day
//! assert_eq!(report.slices["settled"], 10);                   // five days of `daily` and of `visits`
//!
//! let again = pipeline.run(march).await?;
//! assert!(!again.changed);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | [`source`] | the trait [`AnalyticsSource`]: capabilities, check, discover, plan, read, verify |
//! | [`matomo`] | [`Matomo`]: daily metrics, visits and their events, reports by dimensions over the reporting API |
//! | [`at_internet`] | [`AtInternet`]: an analyst's own reports over Data Query, and its URLs |
//! | [`csv`] | [`CsvSource`]: sessions, events, customers, costs from files |
//! | [`MemorySource`] | pages in memory, for tests |
//! | [`Pipeline`] | slices into any [`Warehouse`](mkt_warehouse::Warehouse), several at once, each all or nothing |
//! | [`ledger`] | `etl_slices`, `etl_quarantine`, `etl_extras`, `etl_drift`, `etl_revisions` |
//! | [`settle`] | decides what is known about a slice: provisional, settled, suspect |
//! | [`DueSlices`], [`due`] | what is due, brought in by one process at a time: for cron, or for the loop |
//! | `schedule` (feature) | cron expressions in a zone, catching up, waiting after failures, the loop |
//! | [`Stop`] | requests a stop: the run finishes the slices under way; requested again, it drops them, each whole |
//! | [`aggregate`] | what numbers of several days add up to, and which do not; daily metrics from sessions |
//! | [`status`], [`history`], [`prometheus`] | freshness, quarantine, revisions, drift; metrics as text |
//! | [`channel`] | from a referrer or tags to one [`Channel`](mkt_connect::Channel) |
//! | [`clean`], [`zone`] | addresses out of texts; days of a zone |
//! | `testing` (feature) | `RecordedMatomo`, `FakeAtInternet`, the conformance suite and the faults for sources |
//!
//! # What it promises
//! - **A slice is old or new, never mixed**, and the ledger agrees with the rows.
//! - **Counts add up**: records read = rows + quarantined + duplicates. What does not fit is kept with its place, its
//!   bytes and the reason.
//! - **Zero is not missing**: an empty day is believed only when a second endpoint agrees.
//! - **One run at a time** over processes and machines, and no lock outlives its process.
//! - **Distinct counts are not summed**, ratios come from their parts, currencies stay apart.
//! - **No e-mail address and no token** is in any row, error or `Debug`.
//!
//! # What it does not do
//! It starts no runtime and serves nothing over HTTP, and asks nobody for the time: clocks are handed in.

pub mod aggregate;
pub mod at_internet;
pub mod channel;
pub mod clean;
mod content;
pub mod csv;
pub mod due;
pub mod history;
mod job;
pub mod ledger;
pub mod matomo;
mod memory;
mod pipeline;
pub mod prometheus;
mod report;
#[cfg(feature = "schedule")]
pub mod schedule;
pub mod settle;
pub mod source;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod zone;

pub use at_internet::AtInternet;
pub use csv::CsvSource;
pub use job::{Job, Turn};
pub use matomo::Matomo;
pub use memory::{MemorySource, TRAFFIC};
pub use mkt_connect::Stop;
pub use mkt_connect::clock::{Clock, ManualClock, SystemClock};
pub use pipeline::{Again, DueSlices, Extent, Pipeline, Progress};
pub use report::{RunReport, SliceFailure, StoppedBy, exit_code, exit_code_of};
pub use source::{AnalyticsSource, Page, Rejected, SiteFacts, Totals, Window};
