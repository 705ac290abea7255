//! Engagement rates and average reach, each with its denominator, its averaging method and its n.
//!
//! The mean of ratios, the ratio of sums and the median differ on real data: the first weights every post equally, the
//! second every viewer, the third is robust against a viral post. All three are given under their names.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::Serialize;

use crate::metric::Metric;
use crate::outcome::Outcome;
use crate::sheet::Measured;

mod sealed {
    pub trait Sealed {}
}

/// The denominator of an engagement rate, as a type: rates of different denominators cannot be mixed up.
pub trait Denominator: sealed::Sealed {
    /// The rate as a measure of one post.
    const OUTCOME: Outcome;
    /// The metric in the denominator.
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
    /// `Engagement rate by …`.
    pub label: &'static str,
    /// The kinds of interactions with a value in at least one post used.
    pub counted: Vec<Metric>,
    /// The mean of the posts' rates: every post has the same weight.
    pub mean_of_ratios: Option<f64>,
    /// All interactions ÷ the sum of the denominator: every viewer has the same weight.
    pub ratio_of_sums: Option<f64>,
    /// The median of the posts' rates.
    pub median_of_ratios: Option<f64>,
    /// Posts used.
    pub n: usize,
    /// Posts skipped because a number was missing or the denominator was 0.
    pub n_missing: usize,
    #[serde(skip)]
    denominator: PhantomData<D>,
}

/// Computes the engagement rate of posts: likes, comments, shares and saves ÷ the denominator.
///
/// A kind of interaction that a source does not have is not counted for its posts; [`EngagementRate::counted`] lists
/// those that were. Compare networks with [`groups`] instead of mixing them.
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
    let mut counted = [false; Metric::INTERACTIONS.len()];
    let (mut above, mut below) = (0.0, 0.0);
    for post in posts {
        let Some(parts) = D::OUTCOME.parts(post) else { continue };
        ratios.push(D::OUTCOME.value(parts));
        above += parts.0 as f64;
        below += parts.1 as f64;
        for (counted, metric) in counted.iter_mut().zip(Metric::INTERACTIONS) {
            *counted |= post.value(metric).known().is_some();
        }
    }
    let counted = Metric::INTERACTIONS.into_iter().zip(counted);
    let n = ratios.len();
    EngagementRate {
        label: D::OUTCOME.label(),
        counted: counted.filter(|(_, counted)| *counted).map(|(metric, _)| metric).collect(),
        mean_of_ratios: mean(&ratios),
        ratio_of_sums: (n > 0).then(|| above / below),
        median_of_ratios: median(ratios),
        n,
        n_missing: posts.len() - n,
        denominator: PhantomData,
    }
}

/// Mean and median of a metric over posts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Average {
    /// The metric.
    pub metric: Metric,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The median: robust against a viral post.
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

/// The attribute by which posts are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// Type of post.
    Kind,
    /// Network.
    Network,
    /// Promoted or not: `paid`, `organic`.
    Paid,
    /// Hashtag, in lower case: a post is in the group of each of its hashtags, and in `none` without any.
    Hashtag,
    /// Length of the text in characters: `0`, `1–80`, `81–160`, `161–280`, `281 and more`.
    Length,
}

/// Upper limits of the length groups, with their names.
const LENGTHS: [(usize, &str); 5] =
    [(0, "0"), (80, "1–80"), (160, "81–160"), (280, "161–280"), (usize::MAX, "281 and more")];

/// Returns the distinct hashtags of a text in lower case, sorted.
///
/// A hashtag is `#` followed by letters, digits and `_`, at least one of them not a digit; not in the middle of a word,
/// nor after `&` or `/`, where it is part of an entity or a URL.
///
/// ```
/// use mkt_social::engagement::hashtags;
///
/// let text = "Nouveau #Thé #thé de Chine, n°#1, https://a.example/#top #rooibos_bio!";
/// assert_eq!(hashtags(text), ["rooibos_bio", "thé"]);
/// ```
#[must_use]
pub fn hashtags(text: &str) -> Vec<String> {
    let in_tag = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('#') {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| in_tag(c) || matches!(c, '&' | '/' | '#')) {
            continue;
        }
        let tag: String = text[at + 1..].chars().take_while(|c| in_tag(*c)).collect();
        if tag.chars().any(|c| !c.is_ascii_digit()) {
            found.insert(tag.to_lowercase());
        }
    }
    found.into_iter().collect()
}

/// Groups posts, ordered by group name (lengths from short to long). Posts without the attribute are in `unknown`.
#[must_use]
pub fn groups<'a>(posts: &[Measured<'a>], by: GroupBy) -> Vec<(String, Vec<Measured<'a>>)> {
    let mut groups: BTreeMap<(usize, Cow<'a, str>), Vec<Measured<'a>>> = BTreeMap::new();
    for measured in posts {
        let text = || measured.text().unwrap_or_default();
        let name = match by {
            GroupBy::Kind => measured.kind(),
            GroupBy::Network => Some(measured.network()),
            GroupBy::Paid => measured.paid().map(|paid| if paid { "paid" } else { "organic" }),
            GroupBy::Hashtag => {
                let tags = hashtags(text());
                if !tags.is_empty() {
                    for tag in tags {
                        groups.entry((0, Cow::Owned(tag))).or_default().push(*measured);
                    }
                    continue;
                }
                Some("none")
            }
            GroupBy::Length => {
                let length = text().chars().count();
                let place = LENGTHS.iter().position(|(most, _)| length <= *most).unwrap_or(0);
                let name = Cow::Borrowed(LENGTHS.get(place).map_or("", |(_, name)| name));
                groups.entry((place, name)).or_default().push(*measured);
                continue;
            }
        };
        groups.entry((0, Cow::Borrowed(name.unwrap_or("unknown")))).or_default().push(*measured);
    }
    groups.into_iter().map(|((_, name), posts)| (name.into_owned(), posts)).collect()
}

/// Quantiles of a measure within a group of posts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// Name of the group, as [`groups`] gives it.
    pub group: String,
    /// The 5, 25, 50, 75 and 95 % quantiles (Hyndman and Fan 1996, definition 7); `None` without a value.
    pub quantiles: Option<[f64; 5]>,
    /// Posts with a value.
    pub n: usize,
    /// Posts without.
    pub n_missing: usize,
}

/// Quantiles of a measure by group. A mean hides that most posts of a type do badly and a few very well.
#[must_use]
pub fn spread(posts: &[Measured<'_>], by: GroupBy, outcome: Outcome) -> Vec<Spread> {
    let of_group = |(group, posts): (String, Vec<Measured<'_>>)| {
        let mut values: Vec<f64> = posts.iter().filter_map(|post| outcome.of(post)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        let quantiles = (n > 0).then(|| [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| quantile(&values, share)));
        Spread { group, quantiles, n, n_missing: posts.len() - n }
    };
    groups(posts, by).into_iter().map(of_group).collect()
}

/// Quantile of sorted values; at least one value.
fn quantile(values: &[f64], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let below = values[place as usize];
    let above = values.get(place as usize + 1).copied().unwrap_or(below);
    below + (above - below) * place.fract()
}

/// Least number of values for an interval: the variance of fewer is hardly known.
const LEAST_FOR_INTERVAL: usize = 5;

/// The mean of values and, from 5 values up, its 95 % interval (1.96 standard errors to each side).
pub(crate) fn mean_with_interval(
    values: impl ExactSizeIterator<Item = f64> + Clone,
) -> Option<(f64, Option<(f64, f64)>)> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / n as f64;
    let interval = (n >= LEAST_FOR_INTERVAL).then(|| {
        let spread = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let half = 1.96 * (spread / n as f64).sqrt();
        (mean - half, mean + half)
    });
    Some((mean, interval))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, value, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match (even, below.iter().copied().max_by(f64::total_cmp)) {
        (true, Some(below)) => Some(f64::midpoint(below, *value)),
        _ => Some(*value),
    }
}
