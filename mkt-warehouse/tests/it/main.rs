//! Tests over the public interface.

// clippy.toml allows these in functions marked as tests; the helpers between them are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod arpu;
mod campaigns;
mod carts;
#[cfg(feature = "chart")]
mod chart;
mod conformance;
mod coverage;
#[cfg(feature = "postgres")]
mod doubt;
mod email;
mod engines;
mod etl;
mod exclusive;
mod funnel;
mod hostile;
mod killed;
mod open;
mod oracle;
mod oracle_funnel;
mod oracle_journeys;
mod paths;
#[cfg(feature = "postgres")]
mod postgres;
mod quarters;
mod reports;
mod rfm;
mod rows;
mod schema;
mod sql;
mod sqlite;
#[cfg(feature = "postgres")]
mod stopped;
mod zones;
