//! Posts and their metrics in columns: the input of every measure of this crate.
//!
//! A million posts as [`Post`] and [`Observation`] are several hundred megabytes of small strings. A measure needs two
//! timestamps, eight counts, and network, type and promotion: a [`Sheet`] keeps these in 52 bytes per post, and ids,
//! texts and URLs only if requested.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use foldhash::fast::RandomState;

use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, newest};

/// The metrics of one post, in the order of [`Metric::ALL`].
pub(crate) type Values = [Value; Metric::ALL.len()];

/// A post with its metrics, borrowed.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) network: &'a str,
    pub(crate) kind: Option<&'a str>,
    pub(crate) paid: Option<bool>,
    pub(crate) published_at: DateTime<Utc>,
    pub(crate) observed_at: DateTime<Utc>,
    pub(crate) values: Values,
    pub(crate) id: &'a str,
    pub(crate) text: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
}

/// Posts, each with one observation, in columns. Timestamps have microseconds.
#[derive(Debug, Clone)]
pub struct Sheet {
    published: Vec<i64>,
    observed: Vec<i64>,
    post_groups: Vec<u32>,
    counts: Vec<[Count; Metric::ALL.len()]>,
    /// Counts too large for a [`Count`].
    large: HashMap<(usize, Metric), u64>,
    pool: Pool,
    details: Option<Details>,
}

impl Sheet {
    /// An empty sheet that keeps ids, texts and URLs.
    #[must_use]
    pub fn new() -> Self {
        Self { details: Some(Details::default()), ..Self::without_details() }
    }

    /// An empty sheet without ids, texts and URLs: enough for all measures except those by hashtag and by length.
    #[must_use]
    pub fn without_details() -> Self {
        Self {
            published: Vec::new(),
            observed: Vec::new(),
            post_groups: Vec::new(),
            counts: Vec::new(),
            large: HashMap::new(),
            pool: Pool::default(),
            details: None,
        }
    }

    /// Adds each post with its newest observation, in the order of the posts. Posts without an observation are skipped.
    pub fn add(&mut self, posts: &[Post], observations: &[Observation]) {
        for (post, observation) in newest(posts, observations) {
            let mut values = [Value::Missing(Missing::NotSupported); Metric::ALL.len()];
            for (value, metric) in values.iter_mut().zip(Metric::ALL) {
                *value = observation.value(metric);
            }
            self.push(&Entry {
                network: &post.network,
                kind: post.kind.as_deref(),
                paid: post.paid,
                published_at: post.published_at,
                observed_at: observation.observed_at,
                values,
                id: &post.id,
                text: post.text.as_deref(),
                url: post.url.as_deref(),
            });
        }
    }

    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        let row = self.published.len();
        self.published.push(entry.published_at.timestamp_micros());
        self.observed.push(entry.observed_at.timestamp_micros());
        self.post_groups.push(self.pool.post_group(entry.network, entry.kind, entry.paid));
        let mut counts = [Count::LARGE; Metric::ALL.len()];
        for ((count, value), metric) in counts.iter_mut().zip(entry.values).zip(Metric::ALL) {
            match (Count::of(value), value) {
                (None, Value::Known(number)) => {
                    self.large.insert((row, metric), number);
                }
                (found, _) => *count = found.unwrap_or(Count::LARGE),
            }
        }
        self.counts.push(counts);
        if let Some(details) = &mut self.details {
            details.ids.push(entry.id);
            details.texts.push(entry.text.unwrap_or_default());
            details.urls.push(entry.url.unwrap_or_default());
        }
    }

    /// Number of posts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.published.len()
    }

    /// Whether the sheet has no post.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
    }

    /// The posts in the order of their addition.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Measured<'_>> + Clone {
        (0..self.len()).map(|row| Measured { sheet: self, row })
    }

    /// The posts as a list: filter it, and pass it to any measure.
    #[must_use]
    pub fn measured(&self) -> Vec<Measured<'_>> {
        self.iter().collect()
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self::new()
    }
}

/// A post of a [`Sheet`] with its metrics.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    sheet: &'a Sheet,
    row: usize,
}

impl<'a> Measured<'a> {
    /// Time of publication.
    #[must_use]
    pub fn published_at(&self) -> DateTime<Utc> {
        instant(self.published_micros())
    }

    /// Time of the observation.
    #[must_use]
    pub fn observed_at(&self) -> DateTime<Utc> {
        instant(self.observed_micros())
    }

    /// Age of the post when it was observed.
    #[must_use]
    pub fn age(&self) -> TimeDelta {
        TimeDelta::microseconds(self.observed_micros().saturating_sub(self.published_micros()))
    }

    /// The network in lower case.
    #[must_use]
    pub fn network(&self) -> &'a str {
        self.sheet.pool.name(self.sheet.pool.post_group_of(self.post_group()).network)
    }

    /// The network's type of post in lower case, if known.
    #[must_use]
    pub fn kind(&self) -> Option<&'a str> {
        self.sheet.pool.post_group_of(self.post_group()).kind.map(|kind| self.sheet.pool.name(kind))
    }

    /// Whether the post was promoted with money, if known.
    #[must_use]
    pub fn paid(&self) -> Option<bool> {
        self.sheet.pool.post_group_of(self.post_group()).paid
    }

    /// The value of a metric.
    #[inline]
    #[must_use]
    pub fn value(&self, metric: Metric) -> Value {
        let count = self.sheet.counts.get(self.row).map_or(Count::LARGE, |counts| counts[metric as usize]);
        let large = || self.sheet.large.get(&(self.row, metric)).copied().unwrap_or_default();
        count.value().unwrap_or_else(|| Value::Known(large()))
    }

    /// The network's id of the post; `None` in a sheet without details.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.sheet.details.as_ref().map(|details| details.ids.get(self.row))
    }

    /// The text; `None` if empty, and in a sheet without details.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let text = self.sheet.details.as_ref().map(|details| details.texts.get(self.row));
        text.filter(|text| !text.is_empty())
    }

    /// The URL; `None` if unknown, and in a sheet without details.
    #[must_use]
    pub fn url(&self) -> Option<&'a str> {
        let url = self.sheet.details.as_ref().map(|details| details.urls.get(self.row));
        url.filter(|url| !url.is_empty())
    }

    /// Time of publication in seconds since 1970, rounded down.
    pub(crate) fn published_seconds(&self) -> i64 {
        self.published_micros().div_euclid(1_000_000)
    }

    /// The number of the post's group (network, type and promotion) in its sheet.
    pub(crate) fn post_group(&self) -> u32 {
        self.sheet.post_groups.get(self.row).copied().unwrap_or_default()
    }

    pub(crate) fn sheet(&self) -> &'a Sheet {
        self.sheet
    }

    #[inline]
    fn published_micros(&self) -> i64 {
        self.sheet.published.get(self.row).copied().unwrap_or_default()
    }

    #[inline]
    fn observed_micros(&self) -> i64 {
        self.sheet.observed.get(self.row).copied().unwrap_or_default()
    }
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// A [`Value`] in four bytes; numbers from 2³² − 16 up are kept in [`Sheet::large`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count(u32);

impl Count {
    const LARGE: Self = Self(u32::MAX);
    /// Values from here up are reasons for a missing number.
    const REASONS: u32 = u32::MAX - 15;
    const MISSING: [Missing; 7] = [
        Missing::NotSupported,
        Missing::Blank,
        Missing::Deprecated,
        Missing::TooFewViewers,
        Missing::NotYet,
        Missing::Permission,
        Missing::Hidden,
    ];

    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Known(number) => {
                u32::try_from(number).ok().filter(|number| *number < Self::REASONS).map(Self)
            }
            Value::Missing(reason) => Some(Self(Self::REASONS + reason as u32)),
        }
    }

    /// `None` for a large number.
    #[inline]
    fn value(self) -> Option<Value> {
        match self.0.checked_sub(Self::REASONS) {
            None => Some(Value::Known(self.0.into())),
            Some(reason) => Self::MISSING.get(reason as usize).copied().map(Value::Missing),
        }
    }
}

/// Network, type and promotion: posts with equal values in all three share one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PostGroup {
    network: u32,
    kind: Option<u32>,
    paid: Option<bool>,
}

/// The names and post_groups of a sheet, each once.
#[derive(Debug, Clone, Default)]
struct Pool {
    names: Vec<String>,
    number_of_name: HashMap<String, u32, RandomState>,
    post_groups: Vec<PostGroup>,
    number_of_group: HashMap<PostGroup, u32, RandomState>,
}

impl Pool {
    fn post_group(&mut self, network: &str, kind: Option<&str>, paid: Option<bool>) -> u32 {
        let group =
            PostGroup { network: self.number(network), kind: kind.map(|kind| self.number(kind)), paid };
        let next = self.post_groups.len() as u32;
        *self.number_of_group.entry(group).or_insert_with(|| {
            self.post_groups.push(group);
            next
        })
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number_of_name.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.number_of_name.insert(name.to_owned(), number);
        number
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    fn post_group_of(&self, number: u32) -> PostGroup {
        self.post_groups.get(number as usize).copied().unwrap_or(PostGroup {
            network: 0,
            kind: None,
            paid: None,
        })
    }
}

#[derive(Debug, Clone, Default)]
struct Details {
    ids: Texts,
    texts: Texts,
    urls: Texts,
}

/// Texts, concatenated.
#[derive(Debug, Clone, Default)]
struct Texts {
    joined: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    fn get(&self, row: usize) -> &str {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let range: Range<usize> = start..self.ends.get(row).copied().unwrap_or(start);
        self.joined.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_values_are_returned_unchanged() {
        let numbers = [0, 1, u64::from(Count::REASONS) - 1, u64::from(Count::REASONS), 1 << 32, u64::MAX];
        let values: Vec<Value> = numbers
            .into_iter()
            .map(Value::Known)
            .chain(Count::MISSING.into_iter().map(Value::Missing))
            .collect();
        let mut sheet = Sheet::new();
        for (row, value) in values.iter().enumerate() {
            let mut entry = Entry {
                network: "instagram",
                kind: None,
                paid: None,
                published_at: DateTime::UNIX_EPOCH,
                observed_at: DateTime::UNIX_EPOCH,
                values: [Value::Known(7); Metric::ALL.len()],
                id: "a",
                text: None,
                url: None,
            };
            entry.values[row % Metric::ALL.len()] = *value;
            sheet.push(&entry);
        }
        for (row, (post, value)) in sheet.iter().zip(&values).enumerate() {
            for (place, metric) in Metric::ALL.into_iter().enumerate() {
                let expected = if place == row % Metric::ALL.len() { *value } else { Value::Known(7) };
                assert_eq!(post.value(metric), expected, "row {row}, {metric}");
            }
        }
        assert_eq!(sheet.large.len(), 3);
    }

    #[test]
    fn equal_network_type_and_promotion_share_a_group() {
        let mut pool = Pool::default();
        let mut group = |network, kind, paid| pool.post_group(network, kind, paid);
        let first = group("instagram", Some("reel"), Some(true));
        let others = [
            group("reel", Some("instagram"), Some(true)),
            group("instagram", None, Some(true)),
            group("instagram", Some("reel"), None),
        ];
        assert!(!others.contains(&first));
        assert_eq!(group("instagram", Some("reel"), Some(true)), first);
        let of = pool.post_group_of(others[0]);
        assert_eq!((pool.name(of.network), of.kind.map(|kind| pool.name(kind))), ("reel", Some("instagram")));
    }

    #[test]
    fn empty_texts_keep_their_place() {
        let mut texts = Texts::default();
        for text in ["", "thé", "", "🍵"] {
            texts.push(text);
        }
        assert_eq!([0, 1, 2, 3, 4].map(|row| texts.get(row)), ["", "thé", "", "🍵", ""]);
    }
}
