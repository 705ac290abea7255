//! The crate from outside.

// The helpers of tests may stop at the first surprise, as the tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access_log;
mod aggregate;
mod at_internet;
mod cases;
mod collisions;
mod csv;
#[cfg(feature = "postgres")]
mod engines;
mod errors;
mod exports;
mod far_repeats;
mod faults;
mod form;
mod growth;
mod killed;
mod ledger;
mod matomo;
mod nasty;
mod observed;
mod policy;
mod recorded;
mod replay;
#[cfg(feature = "schedule")]
mod scattered;
mod schedule;
mod support;
mod windows;
