//! A measure by weekday and hour.
//!
//! This describes publishing habits; it is not advice: most of the 168 cells hold a handful of posts. Whether the hour
//! matters is tested by [`best_time`](crate::best_time).

use chrono_tz::Tz;
use serde::Serialize;

use crate::local_time::LocalClock;
use crate::outcome::Outcome;
use crate::sheet::Measured;

/// Posts of one weekday and hour.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// Posts with a value.
    pub n: usize,
    /// Their arithmetic mean; `None` without posts.
    pub mean: Option<f64>,
}

/// A measure by weekday and hour.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Calendar {
    /// The zone of weekdays and hours.
    pub zone: Tz,
    /// The measure.
    pub outcome: Outcome,
    /// Monday to Sunday, 24 hours each.
    pub cells: [[Cell; 24]; 7],
    /// Posts without a value.
    pub n_missing: usize,
}

/// Averages a measure by weekday and hour in a zone.
#[must_use]
pub fn calendar(posts: &[Measured<'_>], outcome: Outcome, zone: Tz) -> Calendar {
    let mut sums = [[(0.0, 0_usize); 24]; 7];
    let mut n_missing = 0;
    let mut clock = LocalClock::new(zone);
    for post in posts {
        let Some(value) = outcome.of(post) else {
            n_missing += 1;
            continue;
        };
        let at = clock.local(post.published_seconds());
        let (sum, n) = &mut sums[at.weekday()][at.hour];
        *sum += value;
        *n += 1;
    }
    let cells = sums.map(|day| day.map(|(sum, n)| Cell { n, mean: (n > 0).then(|| sum / n as f64) }));
    Calendar { zone, outcome, cells, n_missing }
}
