#![doc = include_str!("../README.md")]
//!
//! A warehouse of marketing events and sessions with ready reports: a SQLite file for one machine, PostgreSQL for a team.
//!
//! One model of tables, one set of reports, and engines behind one trait: switch engines by changing the URL.
//!
//! ```
//! use mkt_connect::Channel;
//! use mkt_warehouse::model::{self, Session, Site};
//! use mkt_warehouse::report::{self, Scope};
//! use mkt_warehouse::{Batch, SliceKey, Sqlite, Warehouse};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let (day, next_day) = ("2026-10-24".parse()?, "2026-10-25".parse()?);
//! # let (at, now) = ("2026-10-24T08:00:00Z".parse()?, "2026-10-25T00:00:00Z".parse()?);
//! let warehouse = Sqlite::in_memory().await?; // or `open("sqlite:shop.db").await?`
//! warehouse.migrate(&model::SCHEMA).await?;
//!
//! let visit = |id, user: &str| Session::new("csv", "shop", id, user, at, Channel::Email);
//! let batch = Batch::new(SliceKey::day("csv", "sessions", "shop", day))
//!     .replace([Session { converted: true, ..visit("s1", "anna") }, visit("s2", "ben")])
//!     .upsert([Site::new("shop", "Europe/Paris", "csv")]);
//! assert_eq!(warehouse.load(&batch, now).await?.written, 2);
//! assert!(warehouse.load(&batch, now).await?.replayed); // the same content again changes nothing
//!
//! let scope = Scope::days("Europe/Paris", day, next_day)?.site("shop");
//! let answer = report::conversion_by_channel(&warehouse, &scope).await?;
//! assert_eq!(answer.rows[0].conversion_rate, Some(50.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `print!("{answer}")` shows it as a table:
//!
//! ```text
//! channel  users  converted_users  conversion_rate
//! email        2                1            50.00
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
//! | [`report`] | the reports as typed functions, and by name; their SQL is under `sql/<engine>/`, to read and to run |
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

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod chunk;
mod dialect;
mod exclusive;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod fit;
pub mod id;
mod loading;
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

pub use batch::{Batch, SliceKey, TableRows};
pub use chunk::Chunk;
pub use dialect::Dialect;
pub use exclusive::{Exclusive, Hold};
pub use loading::Loading;
pub use open::{foreign_tables, open, open_read_only};
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use query::Query;
pub use schema::{ColumnSchema, LOAD_ID, Migration, Record, Schema, TableSchema};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, SqliteOptions};
pub use table::{Column, ColumnType, Table, TableError, Value};
pub use warehouse::{Receipt, Warehouse};
