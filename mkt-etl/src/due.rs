//! Which days of a stream are due: those that the source may still change, those that were missed, those that the ledger
//! does not call final. Pure.

use crate::source::{Finality, Window};
use chrono::{Days, NaiveDate, TimeDelta};
use std::collections::BTreeMap;

/// What is known when the days of a stream are chosen.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// The day that it is, in the site's zone.
    pub today: NaiveDate,
    /// How many days before today are read again in any case.
    pub lookback: u32,
    /// The first day that is wanted; without one, days before the first in the ledger are nobody's concern.
    pub since: Option<NaiveDate>,
    /// The days in the ledger, and whether each is final.
    pub held: &'a BTreeMap<NaiveDate, bool>,
}

/// The days that are due, as windows in order, without gaps within each:
///
/// - [today − look-back, today], because the source may still change them;
/// - every day of the ledger that is not final: provisional, suspect, failed;
/// - every day that is missing from `since` on or, without it, after the last day of the ledger: nobody was there.
///
/// So hours and days without a run become one run over what they left behind. Days after today are never due.
///
/// ```
/// use mkt_etl::due::{Known, due};
/// use std::collections::BTreeMap;
/// let day = |text: &str| text.parse().unwrap();
/// // The 5th is not final, the 6th is; then the machine was off until the 10th.
/// let held = BTreeMap::from([(day("2026-11-05"), false), (day("2026-11-06"), true)]);
/// let windows = due(&Known { today: day("2026-11-10"), lookback: 1, since: None, held: &held });
/// let shown: Vec<String> = windows.iter().map(|w| format!("{} to {}", w.from, w.until)).collect();
/// assert_eq!(shown, ["2026-11-05 to 2026-11-06", "2026-11-07 to 2026-11-11"]); // half-open
/// ```
#[must_use]
pub fn due(known: &Known<'_>) -> Vec<Window> {
    let Known { today, lookback, since, held } = *known;
    let start = today.checked_sub_days(Days::new(u64::from(lookback))).unwrap_or(NaiveDate::MIN);
    // From here on, a missing day is due.
    let missing_from = since
        .or_else(|| held.range(..=today).next_back().and_then(|(last, _)| last.succ_opt()))
        .unwrap_or(start);
    // Look-back does not reach beyond what is wanted.
    let start = since.map_or(start, |since| start.max(since));
    let mut windows: Vec<Window> = Vec::new();
    let mut take = |from: NaiveDate, last: NaiveDate| {
        if from > last {
            return;
        }
        let window = Window::days(from, last);
        match windows.last_mut() {
            Some(before) if before.until >= window.from => before.until = before.until.max(window.until),
            _ => windows.push(window),
        }
    };
    let yesterday = |day: NaiveDate| day.pred_opt().unwrap_or(day);
    // Holes between held days, and held days that are not final, in order; then everything from `start` on.
    let mut next = missing_from;
    for (day, is_final) in held.range(..start.min(today)) {
        if since.is_some_and(|since| *day < since) {
            continue;
        }
        if next < *day {
            take(next, yesterday(*day));
        }
        if !is_final {
            take(*day, *day);
        }
        next = next.max(day.succ_opt().unwrap_or(*day));
    }
    if next < start {
        take(next, yesterday(start.min(today)));
    }
    take(start, today);
    windows
}

/// The look-back that a stream's finality asks for: a day is final so many days after its end, so it is read again on so
/// many days. What never changes needs none.
#[must_use]
pub fn lookback(finality: Finality) -> u32 {
    match finality {
        Finality::Immediate => 0,
        Finality::After(wait) => {
            let days = wait.num_days() + i64::from(wait > TimeDelta::days(wait.num_days()));
            u32::try_from(days.max(0)).unwrap_or(u32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn shown(windows: &[Window]) -> String {
        let text =
            |w: &Window| format!("{}..{}", w.from.format("%d"), w.until.pred_opt().unwrap().format("%d"));
        windows.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    fn ask(today: &str, lookback: u32, since: Option<&str>, held: &[(&str, bool)]) -> String {
        let held = held.iter().map(|(text, is_final)| (day(text), *is_final)).collect();
        shown(&due(&Known { today: day(today), lookback, since: since.map(day), held: &held }))
    }

    #[test]
    fn the_look_back_is_read_again_whatever_the_ledger_says() {
        assert_eq!(ask("2026-11-10", 3, None, &[]), "07..10");
        let held = [("2026-11-08", true), ("2026-11-09", true), ("2026-11-10", true)];
        assert_eq!(ask("2026-11-10", 1, None, &held), "09..10");
    }

    #[test]
    fn missed_days_are_one_window() {
        assert_eq!(ask("2026-11-20", 2, None, &[("2026-11-10", true)]), "11..20");
    }

    #[test]
    fn holes_are_filled_only_where_somebody_asked_for_their_days() {
        let held = [("2026-11-03", true), ("2026-11-07", true)];
        assert_eq!(ask("2026-11-09", 0, None, &held), "08..09");
        assert_eq!(ask("2026-11-09", 0, Some("2026-11-02"), &held), "02..02 04..06 08..09");
    }

    #[test]
    fn days_that_are_not_final_are_read_again_and_final_ones_are_not() {
        let held = [("2026-11-01", false), ("2026-11-02", true), ("2026-11-03", false), ("2026-11-04", true)];
        assert_eq!(ask("2026-11-05", 0, None, &held), "01..01 03..03 05..05");
        assert_eq!(ask("2026-11-05", 0, Some("2026-11-02"), &held), "03..03 05..05");
    }

    #[test]
    fn nothing_after_today_and_nothing_before_what_is_wanted() {
        assert_eq!(ask("2026-11-05", 9, Some("2026-11-04"), &[]), "04..05");
        assert_eq!(ask("2026-11-05", 2, Some("2026-11-06"), &[]), "");
        assert_eq!(ask("2026-11-05", 0, None, &[("2026-11-09", false)]), "05..05");
    }

    #[test]
    fn the_look_back_follows_from_the_finality() {
        assert_eq!(lookback(Finality::Immediate), 0);
        assert_eq!(lookback(Finality::After(TimeDelta::days(3))), 3);
        assert_eq!(lookback(Finality::After(TimeDelta::hours(30))), 2);
    }

    proptest! {
        /// The rule written day by day, as its documentation says it.
        #[test]
        fn windows_hold_exactly_the_days_of_the_rule(
            today in 0_i64..60,
            lookback in 0_u32..10,
            since in proptest::option::of(0_i64..70),
            held in proptest::collection::btree_map(0_i64..70, any::<bool>(), 0..30),
        ) {
            let at = |n: i64| day("2026-01-01") + TimeDelta::days(n);
            let last = held.range(..=today).next_back().map(|(n, _)| *n);
            let expected: BTreeSet<NaiveDate> = (-15..=today).filter(|n| {
                let wanted = since.is_none_or(|since| *n >= since);
                let missing = match since {
                    Some(_) => true,
                    None => last.is_some_and(|last| *n > last),
                };
                wanted && (*n >= today - i64::from(lookback)
                    || held.get(n) == Some(&false)
                    || (!held.contains_key(n) && missing))
            }).map(at).collect();
            let held: BTreeMap<NaiveDate, bool> = held.iter().map(|(n, is_final)| (at(*n), *is_final)).collect();
            let known = Known { today: at(today), lookback, since: since.map(at), held: &held };
            let windows = due(&known);
            let found: BTreeSet<NaiveDate> = windows.iter().flat_map(Window::iter).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert!(windows.windows(2).all(|pair| pair[0].until < pair[1].from), "{:?}", windows);
        }
    }
}
