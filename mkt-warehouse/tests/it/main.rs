//! Tests over the public interface.

mod carts;
mod conformance;
mod engines;
mod open;
mod oracle;
mod postgres;
mod reports;
mod rows;
mod schema;
mod sql;
mod sqlite;
