//! Decides the state of a slice after a read. Pure: no clock, no request, no table.

use crate::source::{Coverage, Finality, Totals};
use crate::zone::{self, Zone};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::SliceState;

/// What was seen of a slice.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// Whether the source said that nothing happened.
    pub empty: bool,
    /// What the rows add up to.
    pub totals: &'a Totals,
    /// What they should add up to, where the source can say.
    pub control: Option<&'a Totals>,
    /// Whether an earlier read gave the same content.
    pub read_before: bool,
    /// How long content and control totals have been the same, where an earlier read gave both.
    pub unchanged_for: Option<TimeDelta>,
    /// Whether the source does not change the slice any more.
    pub final_by_age: bool,
    /// How much of what happened the source tells.
    pub coverage: Coverage,
}

/// What is known about a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Its state.
    pub state: SliceState,
    /// Whether reading it again is of no use.
    pub is_final: bool,
}

/// How long a slice whose control totals disagree must stay the same until it is no longer read again: two weeks.
pub const UNCHANGED: TimeDelta = TimeDelta::days(14);

/// Judges a slice that was read.
///
/// - `suspect_empty`: the source said zero, and its control totals say otherwise. A zero is not a missing value, and a
///   missing value is not a zero.
/// - `truncated`, `sampled`: as the source says, at any age. Its control totals may disagree for that reason, so that it
///   is final when it is old enough and either they agree or two reads in a row gave the same content.
/// - `settled`: final by age, and either every control total agrees or, where there are none, two reads in a row gave
///   the same content and that is not nothing: an empty slice is never believed on one word.
/// - `provisional`: everything else, also a day whose control totals still disagree. It is final when neither the content
///   nor the control totals have changed for [`UNCHANGED`]: reading it for ever would not make them agree.
#[must_use]
pub fn judge(seen: &Seen<'_>) -> Verdict {
    let reconciled = seen.control.map(|control| seen.totals.differences(control).is_empty());
    let open = |state| Verdict { state, is_final: false };
    let partial = |state| Verdict {
        state,
        is_final: seen.final_by_age && (reconciled == Some(true) || seen.read_before),
    };
    match (seen.coverage, reconciled) {
        (_, Some(false)) if seen.empty => open(SliceState::SuspectEmpty),
        (Coverage::Truncated, _) => partial(SliceState::Truncated),
        (Coverage::Sampled, _) => partial(SliceState::Sampled),
        (_, Some(true)) if seen.final_by_age => Verdict { state: SliceState::Settled, is_final: true },
        (_, None) if seen.final_by_age && seen.read_before && !seen.empty => {
            Verdict { state: SliceState::Settled, is_final: true }
        }
        (_, Some(false)) if seen.final_by_age && seen.unchanged_for.is_some_and(|time| time >= UNCHANGED) => {
            Verdict { state: SliceState::Provisional, is_final: true }
        }
        _ => open(SliceState::Provisional),
    }
}

/// From when on the source does not change the slice any more.
#[must_use]
pub fn final_from(slice: &SliceKey, finality: Finality, zone: impl Into<Zone>) -> DateTime<Utc> {
    match finality {
        Finality::Immediate => DateTime::<Utc>::MIN_UTC,
        Finality::After(wait) => {
            zone::day_start(slice.until, zone).checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SliceState::{Provisional, Sampled, Settled, SuspectEmpty, Truncated};

    #[test]
    fn a_slice_settles_only_when_it_is_old_and_something_else_agrees() {
        let visits = |n: i64| Totals::new().with("visits", n);
        let (none, one) = (visits(0), visits(1));
        for (empty, totals, control, read_before, final_by_age, expected) in [
            (false, &one, Some(&one), false, true, Settled),
            (false, &one, Some(&one), false, false, Provisional),
            (false, &one, Some(&none), true, true, Provisional),
            (true, &none, Some(&none), false, true, Settled),
            (true, &none, Some(&one), true, true, SuspectEmpty),
            (true, &none, Some(&one), false, false, SuspectEmpty),
            (false, &one, None, false, true, Provisional),
            (false, &one, None, true, true, Settled),
            (false, &one, None, true, false, Provisional),
            (true, &none, None, true, true, Provisional),
        ] {
            let seen = Seen {
                empty,
                totals,
                control,
                read_before,
                unchanged_for: read_before.then(|| TimeDelta::days(13)),
                final_by_age,
                coverage: Coverage::Whole,
            };
            let is_final = expected == Settled;
            assert_eq!(judge(&seen), Verdict { state: expected, is_final }, "{seen:?}");
        }
    }

    #[test]
    fn a_slice_that_the_source_cut_off_says_so_at_any_age_and_is_not_read_for_ever() {
        let visits = |n: i64| Totals::new().with("visits", n);
        let (none, one, two) = (visits(0), visits(1), visits(2));
        for (coverage, state) in [(Coverage::Truncated, Truncated), (Coverage::Sampled, Sampled)] {
            for (empty, totals, control, read_before, final_by_age, expected) in [
                (false, &one, Some(&one), false, false, (state, false)),
                (false, &one, Some(&one), false, true, (state, true)),
                (false, &one, Some(&two), false, true, (state, false)),
                (false, &one, Some(&two), true, true, (state, true)),
                (false, &one, Some(&two), true, false, (state, false)),
                (false, &one, None, false, true, (state, false)),
                (false, &one, None, true, true, (state, true)),
                (true, &none, Some(&one), true, true, (SuspectEmpty, false)),
            ] {
                let unchanged_for = None;
                let seen =
                    Seen { empty, totals, control, read_before, unchanged_for, final_by_age, coverage };
                let (state, is_final) = expected;
                assert_eq!(judge(&seen), Verdict { state, is_final }, "{seen:?}");
            }
        }
    }

    #[test]
    fn unreconciled_slice_is_final_after_two_weeks_without_a_change() {
        let (one, two) = (Totals::new().with("visits", 1), Totals::new().with("visits", 2));
        let judged = |empty, days| {
            judge(&Seen {
                empty,
                totals: &one,
                control: Some(&two),
                read_before: true,
                unchanged_for: Some(TimeDelta::days(days)),
                final_by_age: true,
                coverage: Coverage::Whole,
            })
        };
        assert_eq!(judged(false, 13), Verdict { state: Provisional, is_final: false });
        assert_eq!(judged(false, 14), Verdict { state: Provisional, is_final: true });
        assert_eq!(judged(true, 99), Verdict { state: SuspectEmpty, is_final: false });
    }

    #[test]
    fn a_day_is_final_so_long_after_it_ended_in_its_own_zone() {
        let slice = SliceKey::day("matomo", "daily", "1", "2026-10-25".parse().unwrap());
        let at = final_from(&slice, Finality::After(TimeDelta::days(3)), chrono_tz::Europe::Paris);
        // The 25th ends at 23:00 UTC (back on winter time); three days later.
        assert_eq!(at, "2026-10-28T23:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
