//! Hand-written posts.

use chrono::{DateTime, TimeDelta, Utc};
use mkt_social::{Metric, Missing, Observation, Post, Reading, Sheet, Value};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A post of a network and kind; observed thirty days later by [`observed`].
pub(crate) fn post(id: usize, network: &str, kind: &str, paid: bool, published_at: DateTime<Utc>) -> Post {
    Post::new(network, id.to_string(), published_at).kind(kind).paid(paid)
}

pub(crate) fn observed(post: &Post, values: &[(Metric, Option<u64>)]) -> Observation {
    let reading = |(metric, value): &(Metric, Option<u64>)| {
        let value = value.map_or(Value::Missing(Missing::Blank), Value::Known);
        Reading::new(*metric, metric.as_str(), value)
    };
    Observation::of(post, post.published_at + TimeDelta::days(30)).readings(values.iter().map(reading))
}

/// Posts and their observations.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) posts: Vec<Post>,
    pub(crate) observations: Vec<Observation>,
}

impl World {
    pub(crate) fn add(&mut self, post: Post, values: &[(Metric, Option<u64>)]) {
        self.observations.push(observed(&post, values));
        self.posts.push(post);
    }

    pub(crate) fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new();
        sheet.add(&self.posts, &self.observations);
        sheet
    }
}
