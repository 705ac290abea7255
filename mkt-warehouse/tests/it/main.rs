//! Tests over the public interface.

// clippy.toml allows these in functions marked as tests; the helpers between them are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod arpu;
mod carts;
mod conformance;
mod engines;
mod open;
mod oracle;
mod oracle_funnel;
mod oracle_journeys;
#[cfg(feature = "postgres")]
mod postgres;
mod reports;
mod rows;
mod schema;
mod sql;
mod sqlite;
