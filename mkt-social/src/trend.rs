//! A measure over time: each post, and a rolling mean over days.

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde::Serialize;

use crate::engagement::mean_with_interval;
use crate::local_time::LocalClock;
use crate::outcome::Outcome;
use crate::sheet::Measured;

/// The window that ends on one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rolling {
    /// The last day of the window.
    pub day: NaiveDate,
    /// Mean of the posts in the window; `None` without posts.
    pub mean: Option<f64>,
    /// 95 % interval of the mean (1.96 standard errors to each side); `None` below 5 posts.
    pub interval: Option<(f64, f64)>,
    /// Posts in the window.
    pub n: usize,
}

/// A measure over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trend {
    /// The measure.
    pub outcome: Outcome,
    /// Length of the window in days.
    pub window_days: u32,
    /// Day (in the requested zone) and value of each post with a value, in order.
    pub posts: Vec<(NaiveDate, f64)>,
    /// One entry per day from the first post to the last. Of a stretch of empty windows only the first day is listed,
    /// as a gap.
    pub rolling: Vec<Rolling>,
    /// Posts without a value.
    pub n_missing: usize,
}

/// Computes the rolling mean of a measure by local day: each mean is over the posts of the last `window_days` days
/// (clamped to 1..=3660), that day included.
#[must_use]
pub fn trend(posts: &[Measured<'_>], outcome: Outcome, zone: Tz, window_days: u32) -> Trend {
    let window_days = window_days.clamp(1, 3_660);
    let mut clock = LocalClock::new(zone);
    let mut values: Vec<(NaiveDate, f64)> = posts
        .iter()
        .filter_map(|post| Some((clock.local(post.published_seconds()).date(), outcome.of(post)?)))
        .collect();
    values.sort_by_key(|(day, _)| *day);
    let n_missing = posts.len() - values.len();
    let rolling = rolling(&values, window_days);
    Trend { outcome, window_days, posts: values, rolling, n_missing }
}

fn rolling(values: &[(NaiveDate, f64)], window_days: u32) -> Vec<Rolling> {
    let mut windows = Vec::new();
    let Some((mut day, _)) = values.first().copied() else { return windows };
    let (mut from, mut to) = (0, 0);
    loop {
        while values.get(to).is_some_and(|(of, _)| *of <= day) {
            to += 1;
        }
        while from < to && (day - values[from].0).num_days() >= i64::from(window_days) {
            from += 1;
        }
        windows.push(window(day, &values[from..to]));
        let Some((next, _)) = values.get(to) else { return windows };
        day = match day.checked_add_days(Days::new(1)) {
            Some(tomorrow) if from < to => tomorrow,
            _ => *next,
        };
    }
}

fn window(day: NaiveDate, posts: &[(NaiveDate, f64)]) -> Rolling {
    let found = mean_with_interval(posts.iter().map(|(_, value)| *value));
    let (mean, interval) = found.unzip();
    Rolling { day, mean, interval: interval.flatten(), n: posts.len() }
}
