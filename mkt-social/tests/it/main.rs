//! The integration tests of mkt-social, in one binary.

// clippy.toml lets tests unwrap, but not the functions that several tests share.
#![allow(clippy::unwrap_used)]

mod best_time;
#[cfg(feature = "charts")]
mod charts;
mod conformance;
mod csv;
mod engagement;
#[cfg(feature = "http")]
mod feeds;
#[cfg(feature = "http")]
mod graph;
#[cfg(feature = "http")]
mod kept;
mod made;
mod trend;
