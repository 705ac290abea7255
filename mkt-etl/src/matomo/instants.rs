//! Finds out when actions happened, from timestamps that are no epochs. Pure.
//!
//! `actionDetails[].timestamp` of Live.getLastVisitsDetails is the site's local time written as if it were UTC
//! (matomo-org/matomo issues 12819 and 22720; seen in 5.0.2). In the night when the clocks go back it names two instants.
//! The visit's own `firstActionTimestamp` and `lastActionTimestamp` are real epochs: every action lies between them.

use crate::zone::Zone;
use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, TimeZone, Utc};

/// How far beyond its visit an action may lie before it is disbelieved: conversions are stamped by another clock call
/// than the visit they belong to.
const TOLERANCE_S: i64 = 60;

/// An action as Live tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Seconds of local time since 1970.
    pub(super) local: i64,
    /// Seconds until the next page, where the source knows (`timeSpent`): true seconds, also over a clock change.
    pub(super) spent: Option<i64>,
}

/// The instants of a visit's actions, in their order; `None` for one that cannot lie inside of its visit.
///
/// A local time that exists twice is decided by, in this order: the bounds of the visit; for the last action, the
/// visit's end; the time spent on the page before; else the earlier one that is not before the action before. Only
/// actions of one visit that lie an hour apart in the repeated hour, without `timeSpent`, can remain undecided.
pub(super) fn instants(stamps: &[Stamp], zone: Zone, first: i64, last: i64) -> Vec<Option<DateTime<Utc>>> {
    let mut found = Vec::with_capacity(stamps.len());
    let mut previous = first;
    let mut expected: Option<i64> = None;
    for (index, stamp) in stamps.iter().enumerate() {
        let mut inside: Vec<i64> = candidates(stamp.local, zone)
            .into_iter()
            .filter(|at| (first - TOLERANCE_S..=last + TOLERANCE_S).contains(at))
            .collect();
        inside.sort_unstable();
        let is_last = index + 1 == stamps.len();
        let chosen = match inside.as_slice() {
            [] => None,
            [only] => Some(*only),
            several if is_last && several.contains(&last) => Some(last),
            several => match expected {
                Some(expected) => several.iter().copied().min_by_key(|at| at.abs_diff(expected)),
                None => several.iter().copied().find(|at| *at >= previous).or(several.last().copied()),
            },
        };
        if let Some(at) = chosen {
            previous = at;
            expected = stamp.spent.filter(|spent| *spent > 0).map(|spent| at.saturating_add(spent));
        }
        found.push(chosen.and_then(|at| DateTime::from_timestamp(at, 0)));
    }
    found
}

/// The epochs that a local time may stand for: one; two when the clocks went back; none in the hour that was skipped.
fn candidates(local: i64, zone: Zone) -> Vec<i64> {
    // Of any era: the zone's arithmetic has an end.
    let local = DateTime::from_timestamp(local, 0).filter(|at| (1970..=9998).contains(&at.year()));
    let Some(naive) = local.map(|at| at.naive_utc()) else { return Vec::new() };
    let epoch = |naive: &NaiveDateTime| match zone.from_local_datetime(naive) {
        LocalResult::None => Vec::new(),
        LocalResult::Single(at) => vec![at.timestamp()],
        LocalResult::Ambiguous(a, b) => vec![a.timestamp(), b.timestamp()],
    };
    epoch(&naive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Paris;

    fn epoch(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp()
    }

    /// Local time posing as UTC.
    fn local(text: &str) -> i64 {
        epoch(&format!("{text}Z"))
    }

    fn found(actions: &[(&str, Option<i64>)], first: &str, last: &str) -> Vec<Option<i64>> {
        let stamps: Vec<Stamp> =
            actions.iter().map(|(at, spent)| Stamp { local: local(at), spent: *spent }).collect();
        instants(&stamps, Zone::Named(Paris), epoch(first), epoch(last))
            .into_iter()
            .map(|x| x.map(|x| x.timestamp()))
            .collect()
    }

    #[test]
    fn the_recorded_winter_visit_is_an_hour_earlier_than_it_says() {
        // Visit of 2026-03-27: firstActionTimestamp 1774570200, its action's timestamp 1774573800.
        let stamps = [Stamp { local: 1_774_573_800, spent: None }];
        assert_eq!(
            instants(&stamps, Zone::Named(Paris), 1_774_570_200, 1_774_570_200)[0].unwrap().timestamp(),
            1_774_570_200
        );
    }

    #[test]
    fn two_recorded_actions_with_one_timestamp_are_an_hour_apart() {
        // Visits 83 and 84 of 2026-10-25: both actions say 1792895400 (02:30 local), the visits 00:30Z and 01:30Z.
        let stamps = [Stamp { local: 1_792_895_400, spent: None }];
        for epoch in [1_792_888_200, 1_792_891_800] {
            assert_eq!(instants(&stamps, Zone::Named(Paris), epoch, epoch)[0].unwrap().timestamp(), epoch);
        }
    }

    #[test]
    fn a_visit_over_the_hour_that_comes_twice_is_kept_in_order() {
        // 02:50 summer time (00:50Z), 02:10 winter time (01:10Z), 02:50 winter time (01:50Z).
        let visit = [
            ("2026-10-25T02:50:00", Some(1200)),
            ("2026-10-25T02:10:00", Some(2400)),
            ("2026-10-25T02:50:00", None),
        ];
        let expected = ["2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:50:00Z"];
        assert_eq!(
            found(&visit, "2026-10-25T00:50:00Z", "2026-10-25T01:50:00Z"),
            expected.map(|at| Some(epoch(at)))
        );
    }

    #[test]
    fn without_time_spent_the_end_of_the_visit_decides_the_last_action() {
        let visit = [("2026-10-25T02:30:00", None), ("2026-10-25T02:30:00", None)];
        assert_eq!(
            found(&visit, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            [Some(epoch("2026-10-25T00:30:00Z")), Some(epoch("2026-10-25T01:30:00Z"))]
        );
    }

    #[test]
    fn a_visit_over_the_hour_that_is_skipped_keeps_its_length() {
        // 01:55 winter time (00:55Z) and 03:05 summer time (01:05Z): ten minutes.
        let visit = [("2026-03-29T01:55:00", Some(600)), ("2026-03-29T03:05:00", None)];
        assert_eq!(
            found(&visit, "2026-03-29T00:55:00Z", "2026-03-29T01:05:00Z"),
            [Some(epoch("2026-03-29T00:55:00Z")), Some(epoch("2026-03-29T01:05:00Z"))]
        );
    }

    #[test]
    fn numbers_of_any_size_give_no_instant_and_no_panic() {
        let at = epoch("2026-10-25T00:30:00Z");
        for local in [i64::MIN, i64::MAX, 8_210_266_876_799, -8_334_601_228_800] {
            let stamps = [Stamp { local, spent: Some(i64::MAX) }];
            assert_eq!(instants(&stamps, Zone::Named(Paris), at, at), [None], "{local}");
        }
        // Both lie in the hour that comes twice, and the first claims to have lasted for ever.
        let stamps = [("2026-10-25T02:30:00", Some(i64::MAX)), ("2026-10-25T02:30:00", None)];
        let found = found(&[stamps[0], stamps[0], stamps[1]], "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
        assert!(found.iter().all(Option::is_some));
    }

    #[test]
    fn an_action_outside_of_its_visit_or_in_the_skipped_hour_has_no_instant() {
        for at in ["2026-03-29T09:00:00", "2026-03-29T02:30:00"] {
            assert_eq!(found(&[(at, None)], "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"), [None], "{at}");
        }
    }
}
