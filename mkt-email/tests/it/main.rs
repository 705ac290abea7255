//! One binary for all integration tests of the crate.
//!
//! The crash test runs this binary again as the process to be killed: see `crash.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod bad_input;
mod bounces;
mod conformance;
mod crash;
mod deliverability;
mod engines;
mod growth;
mod help;
mod hostile_headers;
#[cfg(all(feature = "journey", feature = "sqlite"))]
mod journeys;
mod mime;
mod outbox;
mod send_log;
#[cfg(all(feature = "smtp", feature = "sqlite", target_os = "linux"))]
mod servers;
#[cfg(feature = "smtp")]
mod smtp;
mod subscribers;
mod template_sizes;
mod templates;
mod unsubscribe;
mod vendors;
#[cfg(all(feature = "webhook", feature = "sqlite"))]
mod webhook;
