//! Tests of the public surface.

// Clippy lets tests stop at the first surprise, but not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod campaign;
mod certificates;
mod delivery;
mod growth;
mod hosts;
mod page;
mod rate;
mod retry;
mod secrets;
mod server;
#[cfg(feature = "sql")]
mod sql;
mod wiremock;
