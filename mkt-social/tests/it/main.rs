//! The integration tests of mkt-social, in one binary.

// clippy.toml lets tests unwrap, but not the functions that several tests share.
#![allow(clippy::unwrap_used)]

mod best_time;
mod cases;
#[cfg(feature = "chart")]
mod chart;
mod conformance;
mod csv;
mod engagement;
#[cfg(feature = "http")]
mod feeds;
#[cfg(feature = "http")]
mod graph;
mod posts;
mod trend;
#[cfg(feature = "http")]
mod with_server;
