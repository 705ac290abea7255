//! Posts made by hand.

use chrono::{DateTime, TimeDelta, Utc};
use mkt_social::{Metric, Missing, Observation, Post, Reading, Sheet, Value};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A post of a network and kind at an instant, observed thirty days later.
pub(crate) fn post(id: usize, network: &str, kind: &str, paid: bool, published_at: DateTime<Utc>) -> Post {
    Post {
        network: network.into(),
        id: id.to_string(),
        published_at,
        kind: Some(kind.into()),
        text: None,
        paid: Some(paid),
        url: None,
    }
}

pub(crate) fn observed(post: &Post, values: &[(Metric, Option<u64>)]) -> Observation {
    let reading = |(metric, value): &(Metric, Option<u64>)| Reading {
        metric: *metric,
        native: metric.as_str().into(),
        value: value.map_or(Value::Missing(Missing::Blank), Value::Known),
    };
    Observation {
        network: post.network.clone(),
        post_id: post.id.clone(),
        observed_at: post.published_at + TimeDelta::days(30),
        version: None,
        readings: values.iter().map(reading).collect(),
    }
}

/// Posts and what was observed of them.
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
