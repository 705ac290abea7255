//! Keep marketing events and sessions, and answer questions about them.
//!
//! One model of tables, one set of reports, and engines behind one trait: a SQLite file for one machine, PostgreSQL for
//! a team. Growing is changing a URL.
//!
//! ```
//! use chrono::{NaiveDate, TimeZone, Utc};
//! use mkt_connect::Channel;
//! use mkt_warehouse::model::{self, Session, Site};
//! use mkt_warehouse::report::{self, Scope};
//! use mkt_warehouse::{Batch, SliceKey, Sqlite, Warehouse};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let warehouse = Sqlite::in_memory().await?; // or `open("sqlite:shop.db").await?`
//! warehouse.migrate(&model::SCHEMA).await?;
//!
//! // Two sessions of one day: a slice. Loading it again changes nothing; loading another content replaces it.
//! let day = NaiveDate::from_ymd_opt(2026, 10, 24).unwrap_or_default();
//! let session = |name: &str, user: &str, converted| Session {
//!     session_id: name.to_owned(),
//!     user_id: user.to_owned(),
//!     start_time: Utc.with_ymd_and_hms(2026, 10, 24, 8, 0, 0).unwrap(),
//!     end_time: Utc.with_ymd_and_hms(2026, 10, 24, 8, 5, 0).unwrap(),
//!     pages_viewed: 4,
//!     converted,
//!     channel: Channel::Email,
//!     channel_detail: None,
//!     campaign_id: None,
//!     device: None,
//!     landing_url: None,
//!     referrer: None,
//!     time_on_site: None,
//!     bot: None,
//!     source: "csv".to_owned(),
//!     site: "shop".to_owned(),
//!     day,
//! };
//! let batch = Batch::new(SliceKey::day("csv", "sessions", "shop", day))
//!     .replace([session("s1", "anna", true), session("s2", "ben", false)])
//!     .upsert([Site::new("shop", "Europe/Paris", "csv")]);
//! let at = Utc.with_ymd_and_hms(2026, 10, 25, 0, 0, 0).unwrap();
//! assert_eq!(warehouse.load(&batch, at).await?.written, 2);
//! assert!(warehouse.load(&batch, at).await?.replayed);
//!
//! let scope = Scope::days("Europe/Paris", day, day.succ_opt().unwrap_or(day))?.site("shop");
//! let answer = report::conversion_by_channel(&warehouse, &scope).await?;
//! assert_eq!(answer.rows[0].conversion_rate, Some(50.0));
//! print!("{answer}");
//! // channel  users  converted_users  conversion_rate
//! // email        2                1            50.00
//! # Ok::<(), mkt_connect::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//! | | |
//! |---|---|
//! | [`model`] | the rows: events, sessions, daily metrics, users, campaigns, costs, posts, e-mail events, … |
//! | [`Batch`], [`SliceKey`] | what is loaded at once; the same key replaces what it loaded before |
//! | [`Warehouse`] | migrate, load, query, scan: what an engine promises |
//! | [`Exclusive`] | a named lock over processes: one scheduled job at a time |
//! | `Sqlite`, `Postgres`, [`open`] | the engines (features `sqlite`, `postgres`), and either by URL |
//! | [`report`] | the questions as typed functions; their SQL is under `sql/<engine>/`, to read and to run |
//! | `Answer::charts` | feature `chart`: answers as SVG, in French and English |
//! | [`Table`], [`Query`], [`Schema`], [`record!`] | typed columns, SQL with bound values, tables of your own |
//! | `testing` | feature `testing`: the contract as executable checks, for engines of your own |
//!
//! # What holds
//! - A load is all or nothing. A loader that is killed and run again leaves the tables of a clean run.
//! - Loading the same content again writes nothing; the ledger `loads` tells when each slice last changed.
//! - Readers see the state before or after a load.
//! - The same rows give the same answers on every engine.
//! - Instants are UTC to the microsecond; days and hours are cut in the zone that the question names. Money is decimal
//!   with its currency, and currencies are never added. An empty denominator is null.
//!
//! # What it will not do
//! It reads no source and runs no schedule (`mkt-etl`), and keeps no e-mail address. It starts no runtime
//! and reads neither clock nor environment; its engines run on the caller's tokio.
//!
//! # Amounts
//! `DECIMAL(10,2)` and `NUMERIC(18,6)`: further digits are rounded, halves to even; what is too large is refused, with
//! the table and column named.

mod batch;
mod dialect;
mod exclusive;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod fit;
pub mod id;
pub mod model;
mod open;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod parameters;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod quarters;
mod query;
pub mod report;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod statement;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod warehouse;

pub use batch::{Batch, TableRows, SliceKey};
pub use dialect::Dialect;
pub use exclusive::{Exclusive, Hold};
pub use open::open;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use query::Query;
pub use schema::{ColumnSchema, LOAD_ID, Migration, Record, Schema, TableSchema};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, SqliteOptions};
pub use table::{Column, ColumnType, Table, TableError, Value};
pub use warehouse::{Receipt, Warehouse};
