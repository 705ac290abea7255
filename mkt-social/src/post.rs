//! The two records of this crate: a post (what was said, once) and an observation (how it was received, at an
//! instant). Posts are replaced under (network, id); observations are only ever added, so that growth can be seen.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::metric::{Metric, Missing, Value};

/// Something that was published on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The network in lower case: `facebook`, `instagram`, `bluesky`, `mastodon`, …
    pub network: String,
    /// The network's id of the post, as text: such ids exceed 2^53.
    pub id: String,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// The network's type of post in lower case (`photo`, `video`, `reel`, …), where known.
    pub kind: Option<String>,
    /// What was written.
    pub text: Option<String>,
    /// Whether it was promoted with money, where known.
    pub paid: Option<bool>,
    /// Where it can be seen.
    pub url: Option<String>,
}

/// One metric of a post as a source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// In the words of this crate.
    pub metric: Metric,
    /// In the source's words: a column, a Graph API metric.
    pub native: Arc<str>,
    /// The number, or why there is none.
    pub value: Value,
}

/// How a post was received, as seen at one instant, counted since its publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The network of the post.
    pub network: String,
    /// The id of the post.
    pub post_id: String,
    /// When the numbers were true.
    pub observed_at: DateTime<Utc>,
    /// Version of the interface that gave the numbers, where it has one.
    pub version: Option<Arc<str>>,
    /// At most one reading per metric.
    pub readings: Vec<Reading>,
}

impl Observation {
    /// The value of a metric; [`Missing::NotSupported`] when the source said nothing about it.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Value {
        self.readings
            .iter()
            .find(|reading| reading.metric == metric)
            .map_or(Value::Missing(Missing::NotSupported), |reading| reading.value)
    }
}

/// Puts each post beside its newest observation, in the order of the posts. Posts without any are left out.
#[must_use]
pub fn newest<'a>(posts: &'a [Post], observations: &'a [Observation]) -> Vec<(&'a Post, &'a Observation)> {
    // Most sources give one observation beside each post, and then nothing has to be looked up.
    let pairs = || posts.iter().zip(observations);
    let beside =
        |(post, seen): (&Post, &Observation)| post.id == seen.post_id && post.network == seen.network;
    if posts.len() == observations.len() && pairs().all(beside) {
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
