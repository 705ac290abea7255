//! Keep marketing events and sessions, and answer questions about them.

mod batch;
mod dialect;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod fit;
pub mod id;
pub mod model;
mod open;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod parameters;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
pub mod report;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod warehouse;

pub use batch::{Batch, Rows, SliceKey};
pub use dialect::Dialect;
pub use open::open;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use query::Query;
pub use schema::{ColumnSchema, LOAD_ID, Migration, Record, Schema, TableSchema};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, SqliteOptions};
pub use table::{Column, ColumnType, Table, TableError, Value};
pub use warehouse::{Receipt, Warehouse};
