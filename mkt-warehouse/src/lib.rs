//! Keep marketing events and sessions, and answer questions about them.

mod batch;
mod dialect;
pub mod id;
pub mod model;
mod query;
mod schema;
mod table;
mod warehouse;

pub use batch::{Batch, Rows, SliceKey};
pub use dialect::Dialect;
pub use query::Query;
pub use schema::{ColumnSchema, LOAD_ID, Migration, Record, Schema, TableSchema};
pub use table::{Column, ColumnType, Table, TableError, Value};
pub use warehouse::{Receipt, Warehouse};
