//! Read what was posted on social networks and how it was received, honestly measured.
//!
//! - A number that a network did not give is missing with its reason, never 0.
//! - A rate carries its denominator in its type and its label; every average says how it was made and over how many posts.
//! - "There is no best hour" is an answer.
//!
//! | module | what it is for |
//! |---|---|
//! | [`source`] | where posts come from: the [`SocialSource`] trait, CSV files, memory; Facebook pages, Instagram, Bluesky and Mastodon (feature `http`) |
//! | [`engagement`] | engagement rates and average reach, by type, network, promotion, hashtag, length |
//! | [`best_time`] | hours of the day: shrunk estimates, one test, a verdict |
//! | [`calendar`](mod@calendar) | a measure by weekday and hour |
//! | [`trend`](mod@trend) | a measure over time with its rolling mean |
//! | [`Sheet`] | posts and their numbers in columns: what every measure reads |
//! | `charts` (feature `charts`) | the trend, the hours, the week and the types as SVG; with the feature `png` as PNG too |
//! | `testing` (feature `testing`) | the conformance suite for sources; a fake of Meta's Graph API |
//!
//! ```
//! use mkt_social::engagement::{ByReach, average_reach, engagement_rate};
//! use mkt_social::source::csv::CsvSource;
//! use mkt_social::{Request, SocialSourceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mkt_connect::Result<()> {
//! let csv = "\
//! post_id,platform,published_at,type,likes,comments,shares,saves,reach
//! a,instagram,2026-03-02T17:05:00Z,photo,80,5,10,5,1000
//! b,instagram,2026-03-03T08:30:00Z,reel,0,0,0,0,400
//! c,instagram,2026-03-04T17:40:00Z,photo,12,1,0,2,
//! d,instagram,yesterday,photo,12,1,0,2,90
//! ";
//! let read_at = "2026-04-01T00:00:00Z".parse().unwrap();
//! let read = CsvSource::from_bytes(csv, read_at).read_sheet(&Request::all()).await?;
//! assert_eq!((read.tally.read, read.tally.loaded, read.tally.quarantined), (4, 3, 1));
//! assert_eq!((read.quarantined[0].line, read.quarantined[0].reason.to_string()), (5, "has a time that cannot be read".into()));
//!
//! let posts = read.sheet.measured();
//! let rate = engagement_rate::<ByReach>(&posts);
//! assert_eq!(rate.label, "Engagement rate by reach");
//! assert_eq!(rate.mean_of_ratios, Some(0.05)); // (10 % + 0 %) / 2
//! assert_eq!(rate.ratio_of_sums, Some(100.0 / 1400.0));
//! assert_eq!((rate.n, rate.n_missing), (2, 1)); // c has no reach
//! assert_eq!(average_reach(&posts).mean, Some(700.0));
//! # Ok(())
//! # }
//! ```

pub mod best_time;
pub mod calendar;
#[cfg(feature = "charts")]
pub mod charts;
mod clock;
pub mod engagement;
mod metric;
mod outcome;
mod post;
mod sheet;
pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trend;

pub use metric::{Metric, Missing, UnknownMetric, Value};
pub use outcome::{Outcome, interactions};
pub use post::{Observation, Post, Reading, newest};
pub use sheet::{Measured, Sheet};
pub use source::{MemorySource, Reception, Request, SocialSource, SocialSourceExt, Tabulation};
