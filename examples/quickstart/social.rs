//! Step 4: how the posts were received, and whether the hour matters.

use crate::answer::ZONE;
use crate::failure::{Context, Step};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::chart::{Chart, Lang};
use mkt_social::best_time::{BestHours, Question, best_hours};
use mkt_social::csv::Csv;
use mkt_social::engagement::{ByReach, average_reach, engagement_rate};
use mkt_social::trend::trend;
use mkt_social::{Outcome, Request, SocialSourceExt, chart};
use serde_json::{Value, json};
use std::path::Path;

/// What the posts say.
#[derive(Debug)]
pub(crate) struct Social {
    pub(crate) posts: usize,
    quarantined: u64,
    pub(crate) average_reach: Option<f64>,
    /// Sum of interactions ÷ sum of reach.
    pub(crate) engagement_rate: Option<f64>,
    mean_of_ratios: Option<f64>,
    /// Posts with both numbers.
    n: usize,
    hours: BestHours,
    pub(crate) charts: Vec<Chart>,
}

/// Reads `social_posts.csv`; the numbers count as read at `read_at`.
pub(crate) async fn read(data: &Path, read_at: DateTime<Utc>, seed: u64) -> Step<Social> {
    let path = data.join("social_posts.csv");
    let read = Csv::open(&path, read_at)
        .read_sheet(&Request::all())
        .await
        .context(|| format!("cannot read {}", path.display()))?;
    let posts = read.sheet.measured();
    let zone: Tz = ZONE.parse()?;
    let rate = engagement_rate::<ByReach>(&posts);
    let question = Question::new(zone, Outcome::EngagementByReach).seed(seed);
    let hours = best_hours(&posts, &question)
        .context(|| format!("cannot tell the best hour from {}", path.display()))?;
    let weeks = trend(&posts, Outcome::EngagementByReach, zone, 28);
    let charts =
        vec![chart::trend_chart(&weeks, Lang::En).into(), chart::hour_chart(&hours, Lang::En).into()];
    Ok(Social {
        posts: posts.len(),
        quarantined: read.tally.quarantined,
        average_reach: average_reach(&posts).mean,
        engagement_rate: rate.ratio_of_sums,
        mean_of_ratios: rate.mean_of_ratios,
        n: rate.n,
        hours,
        charts,
    })
}

impl Social {
    pub(crate) fn best_hour(&self) -> String {
        let best =
            self.hours.ranked().first().map_or("–".to_owned(), |hour| format!("{:02}:00", hour.hour));
        format!("{best} ({})", self.hours.verdict.as_str().replace('_', " "))
    }

    /// The verdict in words.
    pub(crate) fn sentence(&self) -> String {
        chart::verdict_sentence(&self.hours, Lang::En)
    }

    pub(crate) fn json(&self) -> Value {
        let hours: Vec<Value> = self
            .hours
            .ranked()
            .iter()
            .map(|h| json!({"hour": h.hour, "n": h.n, "estimate": h.estimate, "low": h.low, "high": h.high}))
            .collect();
        json!({
            "posts": self.posts,
            "quarantined": self.quarantined,
            "average_reach": self.average_reach,
            "engagement_rate": {
                "by_reach": {
                    "ratio_of_sums": self.engagement_rate,
                    "mean_of_ratios": self.mean_of_ratios,
                    "n": self.n,
                },
            },
            "best_hours": {
                "verdict": self.hours.verdict,
                "p_value": self.hours.p_value,
                "hours": hours,
            },
        })
    }
}
