//! What the examples promise, tested without a server of anybody else's. The generator of `make_sample_data` is
//! compiled in from its own files: an example is a program, and its modules cannot be linked.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, its helpers too"
)]

mod analytics;
mod at_internet_etl;
mod built;
#[path = "../../make_sample_data/command.rs"]
mod command;
mod conversion_model;
mod matomo_etl;
mod notebooks;
mod quickstart;
mod sample_data;
mod social_collect;
mod social_report;
mod welcome_email;
#[path = "../../make_sample_data/world/mod.rs"]
mod world;
