//! What the examples promise, tested without a server of anybody else's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, its helpers too"
)]

mod analytics;
mod at_internet_etl;
mod attribution;
mod built;
mod conversion_model;
mod documents;
mod files;
mod init;
mod journey;
mod log_etl;
mod matomo_etl;
mod newcomer;
mod notebooks;
mod quickstart;
mod sample_data;
mod social_collect;
mod social_report;
mod streams;
mod welcome_email;
