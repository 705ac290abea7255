//! Engagement rates and average reach, each with its denominator, its way of averaging and its n.
//!
//! The mean of the posts' ratios, the ratio of the sums and the median differ on real data: the first counts every post
//! alike, the second every viewer, the third is deaf to a viral post. All are given, under their names.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::Serialize;

use crate::metric::Metric;
use crate::outcome::{Outcome, interactions};
use crate::post::Measured;

mod sealed {
    pub trait Sealed {}
}

/// What an engagement rate is divided by: a type, so that rates of different denominators cannot be mixed up.
pub trait Denominator: sealed::Sealed {
    /// The rate as an outcome of single posts.
    const OUTCOME: Outcome;
    /// The metric below the line.
    const METRIC: Metric;
}

macro_rules! denominator {
    ($(#[$doc:meta])* $name:ident, $outcome:ident, $metric:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Denominator for $name {
            const OUTCOME: Outcome = Outcome::$outcome;
            const METRIC: Metric = Metric::$metric;
        }
    };
}
denominator!(
    /// Divided by the people who saw the post.
    ByReach, EngagementByReach, Reach
);
denominator!(
    /// Divided by the times the post was shown.
    ByImpressions, EngagementByImpressions, Impressions
);
denominator!(
    /// Divided by the followers on the day of the post.
    ByFollowers, EngagementByFollowers, Followers
);

/// An engagement rate over posts. The fields are ratios: 0.05 is 5 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EngagementRate<D> {
    /// `Engagement rate by …`: the denominator, for people.
    pub label: &'static str,
    /// The interactions that were added up, over all posts used.
    pub counted: Vec<Metric>,
    /// The mean of the posts' own rates: every post counts alike.
    pub mean_of_ratios: Option<f64>,
    /// All interactions over all of the denominator: every viewer counts alike.
    pub ratio_of_sums: Option<f64>,
    /// The median of the posts' own rates.
    pub median_of_ratios: Option<f64>,
    /// Posts used.
    pub n: usize,
    /// Posts left out because a number was missing or the denominator was 0.
    pub n_missing: usize,
    #[serde(skip)]
    denominator: PhantomData<D>,
}

/// The engagement rate of some posts: likes, comments, shares and saves over the denominator.
///
/// A kind of interaction that a source does not have is not counted for its posts; [`EngagementRate::counted`] says what
/// was. Compare networks with [`groups`] rather than mixing them.
///
/// ```
/// use mkt_social::engagement::{ByReach, engagement_rate};
///
/// let rate = engagement_rate::<ByReach>(&[]);
/// assert_eq!((rate.mean_of_ratios, rate.n), (None, 0));
/// ```
#[must_use]
pub fn engagement_rate<D: Denominator>(posts: &[Measured<'_>]) -> EngagementRate<D> {
    let mut ratios = Vec::with_capacity(posts.len());
    let mut counted = BTreeSet::new();
    let (mut above, mut below) = (0.0, 0.0);
    for post in posts {
        let (Some(ratio), Some(interactions), Some(denominator)) =
            (D::OUTCOME.of(post), interactions(post), post.value(D::METRIC).known())
        else {
            continue;
        };
        ratios.push(ratio);
        above += interactions as f64;
        below += denominator as f64;
        counted
            .extend(Metric::INTERACTIONS.into_iter().filter(|metric| post.value(*metric).known().is_some()));
    }
    let n = ratios.len();
    EngagementRate {
        label: D::OUTCOME.label(),
        counted: counted.into_iter().collect(),
        mean_of_ratios: mean(&ratios),
        ratio_of_sums: (n > 0).then(|| above / below),
        median_of_ratios: median(ratios),
        n,
        n_missing: posts.len() - n,
        denominator: PhantomData,
    }
}

/// An average of a count over posts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Average {
    /// What was averaged.
    pub metric: Metric,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The median: deaf to a viral post.
    pub median: Option<f64>,
    /// Posts used.
    pub n: usize,
    /// Posts without the number.
    pub n_missing: usize,
}

/// The average of a count.
#[must_use]
pub fn average(posts: &[Measured<'_>], metric: Metric) -> Average {
    let values: Vec<f64> =
        posts.iter().filter_map(|post| post.value(metric).known()).map(|count| count as f64).collect();
    let (n, mean) = (values.len(), mean(&values));
    Average { metric, mean, median: median(values), n, n_missing: posts.len() - n }
}

/// The average reach.
#[must_use]
pub fn average_reach(posts: &[Measured<'_>]) -> Average {
    average(posts, Metric::Reach)
}

/// What to tell posts apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// Type of post.
    Kind,
    /// Network.
    Network,
    /// Promoted or not: `paid`, `organic`.
    Paid,
}

/// The posts group by group, in the order of the groups' names; `unknown` where the source does not say.
#[must_use]
pub fn groups<'a>(posts: &[Measured<'a>], by: GroupBy) -> Vec<(String, Vec<Measured<'a>>)> {
    let mut groups: BTreeMap<&str, Vec<Measured<'a>>> = BTreeMap::new();
    for post in posts {
        let name = match by {
            GroupBy::Kind => post.post.kind.as_deref(),
            GroupBy::Network => Some(post.post.network.as_str()),
            GroupBy::Paid => post.post.paid.map(|paid| if paid { "paid" } else { "organic" }),
        };
        groups.entry(name.unwrap_or("unknown")).or_default().push(*post);
    }
    groups.into_iter().map(|(name, posts)| (name.to_owned(), posts)).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => None,
        (1, Some(value)) => Some(*value),
        (_, Some(value)) => Some(f64::midpoint(values[middle - 1], *value)),
    }
}
