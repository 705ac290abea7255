#![doc = include_str!("../README.md")]
//!
//! Posts of social networks and their metrics: sources, engagement rates, best publishing hours.
//!
//! ```
//! use mkt_social::csv::Csv;
//! use mkt_social::engagement::{ByReach, engagement_rate};
//! use mkt_social::{Request, SocialSourceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mkt_connect::Result<()> {
//! let file = "post_id,published_at,likes,comments,reach\n\
//!             a,2026-03-02T17:05:00Z,80,20,1000\n\
//!             b,2026-03-03T08:30:00Z,0,0,400\n";
//! let exported_at = "2026-04-01T00:00:00Z".parse().unwrap();
//! let read = Csv::from_bytes(file, exported_at).read_sheet(&Request::all()).await?;
//! let rate = engagement_rate::<ByReach>(&read.sheet.measured());
//! assert_eq!((rate.mean_of_ratios, rate.n), (Some(0.05), 2)); // (10 % + 0 %) / 2
//! # Ok(())
//! # }
//! ```
//!
//! - A metric without a value is [`Missing`] with its reason, never 0.
//! - An engagement rate has its denominator in its type and its label; each average names its method and its n.
//! - "No evidence of a best hour" is one of the verdicts.
//!
//! | item | purpose | feature |
//! |---|---|---|
//! | [`SocialSource`], [`SocialSourceExt`] | the trait of sources | |
//! | [`csv`](mod@csv) | exports of networks and tools, spreadsheets | |
//! | [`Memory`] | posts held in memory | |
//! | `graph`, `bluesky`, `mastodon` | Facebook pages and Instagram, Bluesky, Mastodon and its relatives | `http` |
//! | [`Sheet`], [`Measured`] | posts and metrics in columns: the input of every measure | |
//! | [`engagement`] | engagement rates, averages, groups by type, network, promotion, hashtag, length | |
//! | [`best_time`] | effect of the hour of day: shrunk estimates, one test, a verdict | |
//! | [`calendar`](mod@calendar) | a measure by weekday and hour | |
//! | [`trend`](mod@trend) | a measure over time with its rolling mean | |
//! | `chart` | these answers as SVG; as PNG with the feature `png` | `chart` |
//! | `report` | all answers as text, JSON and one HTML page | `chart` |
//! | `testing` | the conformance suite for sources; a fake of Meta's Graph API | `testing` |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod best_time;
#[cfg(feature = "http")]
pub mod bluesky;
pub mod calendar;
#[cfg(feature = "chart")]
pub mod chart;
#[cfg(feature = "http")]
mod connection;
pub mod csv;
pub mod engagement;
#[cfg(feature = "http")]
mod feed;
#[cfg(feature = "http")]
pub mod graph;
mod local_time;
#[cfg(feature = "http")]
pub mod mastodon;
mod memory;
mod metric;
mod outcome;
mod post;
#[cfg(feature = "chart")]
pub mod report;
mod sheet;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trend;

/// The attribute that implementations of [`SocialSource`] and [`PostPages`] need.
pub use async_trait::async_trait;
pub use memory::Memory;
pub use metric::{Metric, Missing, UnknownMetric, Value};
pub use outcome::{Outcome, interactions};
pub use post::{Observation, Post, Reading, newest};
pub use sheet::{Measured, Sheet};
pub use source::{
    Calls, Capabilities, Findings, Plan, PostPage, PostPages, ReadPosts, ReadSheet, Request, SocialSource,
    SocialSourceExt, Tally,
};
