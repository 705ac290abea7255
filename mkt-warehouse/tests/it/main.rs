//! Tests over the public interface.

mod carts;
mod engines;
mod reports;
mod rows;
mod sql;
mod sqlite;
