//! The metrics of a post, and the reasons for a missing value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A metric of a post: a count. The source's own name for it is kept beside each value
/// ([`Reading::native`](crate::Reading::native)).
///
/// `Views` is neither reach nor impressions: Meta renamed metrics with a change of meaning (impressions became views on
/// 21 April 2025 on Instagram), so the three are never merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Likes, favourites, or reactions of any kind.
    Likes,
    /// Comments and replies.
    Comments,
    /// Shares, reposts, boosts.
    Shares,
    /// Saves, bookmarks.
    Saves,
    /// People who saw the post, each once.
    Reach,
    /// Times the post was on a screen.
    Impressions,
    /// Views as the network defines them.
    Views,
    /// Followers of the account on the day of the post.
    Followers,
}

impl Metric {
    /// All metrics, in the order in which they are listed.
    pub const ALL: [Self; 8] = [
        Self::Likes,
        Self::Comments,
        Self::Shares,
        Self::Saves,
        Self::Reach,
        Self::Impressions,
        Self::Views,
        Self::Followers,
    ];

    /// The interactions: the numerator of every engagement rate.
    pub const INTERACTIONS: [Self; 4] = [Self::Likes, Self::Comments, Self::Shares, Self::Saves];

    /// The lower-case name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Likes => "likes",
            Self::Comments => "comments",
            Self::Shares => "shares",
            Self::Saves => "saves",
            Self::Reach => "reach",
            Self::Impressions => "impressions",
            Self::Views => "views",
            Self::Followers => "followers",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of parsing an unknown metric name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown metric {0:?}: expected likes, comments, shares, saves, reach, impressions, views or followers"
)]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    /// Parses the stored name, ignoring case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|metric| metric.as_str().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownMetric(wanted.chars().take(40).collect()))
    }
}

/// The reason for a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missing {
    /// The source has no such metric (for this kind of post).
    NotSupported,
    /// The source has the metric and gave no value for this post.
    Blank,
    /// The network has retired the metric.
    Deprecated,
    /// The network withholds the number because too few people saw the post.
    TooFewViewers,
    /// The number is not available yet.
    NotYet,
    /// The credentials do not grant access to it.
    Permission,
    /// The owner hides it.
    Hidden,
}

impl Missing {
    /// The lower-case name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::Blank => "blank",
            Self::Deprecated => "deprecated",
            Self::TooFewViewers => "too_few_viewers",
            Self::NotYet => "not_yet",
            Self::Permission => "permission",
            Self::Hidden => "hidden",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The value of a metric, or the reason for its absence. A missing value is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The number that the source gave, 0 included.
    Known(u64),
    /// No number.
    Missing(Missing),
}

impl Value {
    /// The number, if known.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(number) => Some(number),
            Self::Missing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_metric_parses_back() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert!(
            "engagement"
                .parse::<Metric>()
                .unwrap_err()
                .to_string()
                .starts_with("unknown metric \"engagement\"")
        );
    }
}
