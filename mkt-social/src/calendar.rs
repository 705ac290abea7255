//! A measure by weekday and hour: where posts were published, and how those few did.
//!
//! A picture of habits, no advice: most of its 168 cells hold a handful of posts. Whether the hour matters is asked by
//! [`best_time`](crate::best_time).

use chrono_tz::Tz;
use serde::Serialize;

use crate::clock::Clock;
use crate::outcome::Outcome;
use crate::sheet::Measured;

/// Posts of one weekday and hour.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// Posts with a value.
    pub n: usize,
    /// Their arithmetic mean; `None` where nothing was posted.
    pub mean: Option<f64>,
}

/// A measure by weekday and hour.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Calendar {
    /// The zone in which weekdays and hours are cut.
    pub zone: Tz,
    /// What was measured.
    pub outcome: Outcome,
    /// Seven days from Monday on, each of 24 hours.
    pub cells: [[Cell; 24]; 7],
    /// Posts without a value.
    pub n_missing: usize,
}

/// Lays a measure of posts over the hours of the week, in a zone.
#[must_use]
pub fn calendar(posts: &[Measured<'_>], outcome: Outcome, zone: Tz) -> Calendar {
    let mut sums = [[(0.0, 0_usize); 24]; 7];
    let mut n_missing = 0;
    let mut clock = Clock::new(zone);
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
