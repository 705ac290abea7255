//! The two records of this crate: a post, and an observation of its metrics at one time. Posts are replaced under
//! (network, id); observations are only added, so that growth can be followed.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::metric::{Metric, Missing, Value};

/// A post on a social network.
///
/// ```
/// use mkt_social::Post;
///
/// let published_at = "2026-03-02T17:05:00Z".parse().unwrap();
/// let post = Post::new("instagram", "17895695668004550", published_at).kind("reel").paid(false);
/// assert_eq!(post.kind.as_deref(), Some("reel"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Post {
    /// The network in lower case: `facebook`, `instagram`, `bluesky`, `mastodon`, …
    pub network: String,
    /// The network's id of the post, as text: such ids exceed 2^53.
    pub id: String,
    /// Time of publication.
    pub published_at: DateTime<Utc>,
    /// The network's type of post in lower case (`photo`, `video`, `reel`, …), if known.
    pub kind: Option<String>,
    /// The text of the post.
    pub text: Option<String>,
    /// Whether the post was promoted with money, if known.
    pub paid: Option<bool>,
    /// URL of the post.
    pub url: Option<String>,
}

impl Post {
    /// A post without type, text, promotion flag and URL.
    #[must_use]
    pub fn new(network: impl Into<String>, id: impl Into<String>, published_at: DateTime<Utc>) -> Self {
        let (network, id) = (network.into(), id.into());
        Self { network, id, published_at, kind: None, text: None, paid: None, url: None }
    }

    /// Sets the type of post.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets the text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets whether the post was promoted.
    #[must_use]
    pub fn paid(mut self, paid: bool) -> Self {
        self.paid = Some(paid);
        self
    }

    /// Sets the URL.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

/// One metric of a post as a source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The metric.
    pub metric: Metric,
    /// The source's name of the metric: a column, a Graph API metric.
    pub native: Arc<str>,
    /// The number, or the reason for its absence.
    pub value: Value,
}

impl Reading {
    /// A metric under the source's name of it.
    #[must_use]
    pub fn new(metric: Metric, native: impl Into<Arc<str>>, value: Value) -> Self {
        Self { metric, native: native.into(), value }
    }
}

/// The metrics of a post at one time, counted since its publication.
///
/// ```
/// use mkt_social::{Metric, Missing, Observation, Post, Value};
///
/// let post = Post::new("instagram", "17895695668004550", "2026-03-02T17:05:00Z".parse().unwrap());
/// let seen = Observation::of(&post, "2026-03-05T00:00:00Z".parse().unwrap())
///     .reading(Metric::Likes, "like_count", Value::Known(80))
///     .reading(Metric::Reach, "reach", Value::Missing(Missing::TooFewViewers));
/// assert_eq!(seen.value(Metric::Likes), Value::Known(80));
/// assert_eq!(seen.value(Metric::Saves), Value::Missing(Missing::NotSupported));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The network of the post.
    pub network: String,
    /// The id of the post.
    pub post_id: String,
    /// The time of the observation.
    pub observed_at: DateTime<Utc>,
    /// Version of the API that gave the numbers, if it has one.
    pub version: Option<Arc<str>>,
    /// At most one reading per metric.
    pub readings: Vec<Reading>,
}

impl Observation {
    /// An observation of a post, without readings.
    #[must_use]
    pub fn of(post: &Post, observed_at: DateTime<Utc>) -> Self {
        Self {
            network: post.network.clone(),
            post_id: post.id.clone(),
            observed_at,
            version: None,
            readings: Vec::new(),
        }
    }

    /// Adds a reading.
    #[must_use]
    pub fn reading(mut self, metric: Metric, native: impl Into<Arc<str>>, value: Value) -> Self {
        self.readings.push(Reading::new(metric, native, value));
        self
    }

    /// Sets the readings: at most one per metric.
    #[must_use]
    pub fn readings(mut self, readings: impl IntoIterator<Item = Reading>) -> Self {
        self.readings = readings.into_iter().collect();
        self
    }

    /// Sets the version of the API.
    #[must_use]
    pub fn version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// The value of a metric; [`Missing::NotSupported`] without a reading of it.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Value {
        self.readings
            .iter()
            .find(|reading| reading.metric == metric)
            .map_or(Value::Missing(Missing::NotSupported), |reading| reading.value)
    }
}

/// Pairs each post with its newest observation, in the order of the posts. Posts without an observation are skipped.
#[must_use]
pub fn newest<'a>(posts: &'a [Post], observations: &'a [Observation]) -> Vec<(&'a Post, &'a Observation)> {
    // Most sources give exactly one observation per post, in the same order: no lookup is needed.
    let pairs = || posts.iter().zip(observations);
    let matches =
        |(post, seen): (&Post, &Observation)| post.id == seen.post_id && post.network == seen.network;
    if posts.len() == observations.len() && pairs().all(matches) {
        return pairs().collect();
    }
    let mut newest: HashMap<(&str, &str), &Observation> = HashMap::with_capacity(observations.len());
    for observation in observations {
        newest
            .entry((&observation.network, &observation.post_id))
            .and_modify(|known| {
                if observation.observed_at >= known.observed_at {
                    *known = observation;
                }
            })
            .or_insert(observation);
    }
    posts
        .iter()
        .filter_map(|post| {
            let observation = *newest.get(&(post.network.as_str(), post.id.as_str()))?;
            Some((post, observation))
        })
        .collect()
}
