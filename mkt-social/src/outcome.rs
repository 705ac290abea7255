//! Measures of one post: reach, and engagement rates named by their denominator.

use serde::{Deserialize, Serialize};

use crate::metric::{Metric, Missing, Value};
use crate::sheet::Measured;

/// A measure of one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// People who saw the post.
    Reach,
    /// Interactions over reach.
    EngagementByReach,
    /// Interactions over impressions.
    EngagementByImpressions,
    /// Interactions over followers on the day of the post.
    EngagementByFollowers,
}

impl Outcome {
    /// The name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::EngagementByReach => "engagement_by_reach",
            Self::EngagementByImpressions => "engagement_by_impressions",
            Self::EngagementByFollowers => "engagement_by_followers",
        }
    }

    /// The English label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Reach => "Reach",
            Self::EngagementByReach => "Engagement rate by reach",
            Self::EngagementByImpressions => "Engagement rate by impressions",
            Self::EngagementByFollowers => "Engagement rate by followers",
        }
    }

    /// The French label.
    #[must_use]
    pub fn label_fr(self) -> &'static str {
        match self {
            Self::Reach => "Portée",
            Self::EngagementByReach => "Taux d'engagement sur la portée",
            Self::EngagementByImpressions => "Taux d'engagement sur les impressions",
            Self::EngagementByFollowers => "Taux d'engagement sur les abonnés",
        }
    }

    /// Whether the measure is a ratio (0.05 is 5 %).
    #[must_use]
    pub fn is_rate(self) -> bool {
        self != Self::Reach
    }

    /// The denominator of a rate; `None` for reach.
    #[inline]
    #[must_use]
    pub fn denominator(self) -> Option<Metric> {
        match self {
            Self::Reach => None,
            Self::EngagementByReach => Some(Metric::Reach),
            Self::EngagementByImpressions => Some(Metric::Impressions),
            Self::EngagementByFollowers => Some(Metric::Followers),
        }
    }

    /// The measure of a post; `None` if a number it needs is missing or the denominator is 0.
    #[must_use]
    pub fn of(self, post: &Measured<'_>) -> Option<f64> {
        self.parts(post).map(|parts| self.value(parts))
    }

    /// Numerator and denominator (1 for a measure that is not a rate).
    #[inline]
    pub(crate) fn parts(self, post: &Measured<'_>) -> Option<(u64, u64)> {
        match self.denominator() {
            None => Some((post.value(Metric::Reach).known()?, 1)),
            Some(metric) => {
                let denominator = post.value(metric).known().filter(|count| *count > 0)?;
                Some((interactions(post)?, denominator))
            }
        }
    }

    #[inline]
    pub(crate) fn value(self, (above, below): (u64, u64)) -> f64 {
        above as f64 / below as f64
    }

    /// The natural logarithm of the measure, with 0.5 added to numerator and denominator so that a post without
    /// interactions has one too.
    pub(crate) fn log(self, (above, below): (u64, u64)) -> f64 {
        let below = if self.is_rate() { below as f64 + 0.5 } else { 1.0 };
        ((above as f64 + 0.5) / below).ln()
    }
}

/// The sum of likes, comments, shares and saves of a post.
///
/// A kind of interaction that the source does not have ([`Missing::NotSupported`]) is not part of the sum. One that the
/// source has and did not give for this post makes the sum `None`: adding up the others would count it as 0.
#[inline]
#[must_use]
pub fn interactions(post: &Measured<'_>) -> Option<u64> {
    let mut sum = None;
    for metric in Metric::INTERACTIONS {
        match post.value(metric) {
            Value::Known(count) => sum = Some(sum.unwrap_or(0_u64).saturating_add(count)),
            Value::Missing(Missing::NotSupported) => {}
            Value::Missing(_) => return None,
        }
    }
    sum
}
