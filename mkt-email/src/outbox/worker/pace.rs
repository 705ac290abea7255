//! How fast a run sends, and what it learns when a server says that this is too fast. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

/// Emails accepted within the last second, and the rate that was learnt.
#[derive(Debug, Default)]
pub(super) struct Pace {
    recent: VecDeque<(DateTime<Utc>, u32)>,
    rate: Option<u32>,
}

impl Pace {
    /// Notes accepted emails.
    pub(super) fn accepted(&mut self, now: DateTime<Utc>, emails: u32) {
        self.forget(now);
        if emails > 0 {
            self.recent.push_back((now, emails));
        }
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        while self.recent.front().is_some_and(|(at, _)| *at <= now - TimeDelta::seconds(1)) {
            self.recent.pop_front();
        }
    }

    /// The rate to keep to after a refusal: what was accepted within the last second, at least one, and less than what was
    /// learnt before. None if nothing new is learnt.
    pub(super) fn learn(&mut self, now: DateTime<Utc>) -> Option<u32> {
        self.forget(now);
        let accepted = self.recent.iter().map(|(_, emails)| emails).sum::<u32>().max(1);
        let rate = match self.rate {
            // The refusals of calls that were under way come late: they say nothing new.
            Some(known) if accepted >= known => known - known / 10,
            _ => accepted,
        };
        let rate = rate.max(1);
        (self.rate.replace(rate) != Some(rate)).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_what_was_accepted_within_a_second() {
        let now: DateTime<Utc> = "2026-10-26T08:00:00Z".parse().unwrap();
        let at = |millis| now + TimeDelta::milliseconds(millis);
        let mut pace = Pace::default();
        for step in 0..30 {
            pace.accepted(at(step * 100), 2);
        }
        assert_eq!(pace.learn(at(2_950)), Some(20));
        // Refused again at that rate: a tenth less.
        assert_eq!(pace.learn(at(2_950)), Some(18));
        assert_eq!(pace.learn(at(9_000)), Some(1));
        assert_eq!(pace.learn(at(9_000)), None);
    }
}
