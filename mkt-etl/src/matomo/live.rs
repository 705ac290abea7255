//! Walks Live.getLastVisitsDetails through one day: decides what to ask next and what of an answer is new.
//!
//! The day is asked for as a range of one day. With `period=day` Matomo 5 also returns the visits of yesterday while the
//! day is the site's current one (seen in 5.0.2); a range does not. Visits of another day are left out in any case: Matomo
//! counts a visit on the day of its last action, in the site's zone.
//!
//! Offsets lose visits while the day is still going on (matomo-org/matomo issues 16394, 23342), and `minTimestamp` is
//! strictly greater, so that a cursor at the last timestamp would lose visits that end in the same second. Hence: one
//! day at a time, ascending, cursor = last timestamp − 1, and visits that were already taken are left out by id.

use super::Inner;
use super::call::Ask as Call;
use super::reports::Target;
use crate::zone;
use chrono::{DateTime, Datelike};
use mkt_connect::Result;
use serde_json::Value;
use std::collections::HashSet;

impl Inner {
    /// The next page of a day's visits; `None` at the end.
    pub(super) async fn live(
        &self,
        target: &Target<'_>,
        walk: &mut Walk,
        details: bool,
    ) -> Result<Option<Vec<Value>>> {
        const OPERATION: &str = "read visits";
        let Some(ask) = walk.next() else { return Ok(None) };
        let mut call = Call::new("Live.getLastVisitsDetails")
            .with("idSite", target.site.native_id.as_str())
            .with("period", "range")
            .with("date", format!("{0},{0}", target.day))
            .with("filter_sort_order", "asc")
            .with("filter_limit", ask.limit.to_string())
            .of(target.segment);
        if let Some(min) = ask.min_timestamp {
            call = call.with("minTimestamp", min.to_string());
        }
        if !details {
            call = call.with("doNotFetchActions", "1");
        }
        let Value::Array(visits) = self.call(OPERATION, &call).await? else {
            return Err(Self::protocol(OPERATION, "the answer is no list of visits"));
        };
        let mut new = walk.take(visits).map_err(|detail| Self::protocol(OPERATION, detail))?;
        let before = new.len();
        new.retain(|visit| is_of_day(visit, target));
        walk.foreign += (before - new.len()) as u64;
        Ok(Some(new))
    }
}

/// Whether a visit is of the day that was asked for. One without a timestamp is: whoever maps it says what it lacks.
fn is_of_day(visit: &Value, target: &Target<'_>) -> bool {
    let ended = visit.get("lastActionTimestamp").and_then(as_integer);
    let ended = ended.and_then(|ended| DateTime::from_timestamp(ended, 0));
    ended.is_none_or(|at| {
        !(1970..=9998).contains(&at.year()) || zone::local_day(at, target.site.days_in()) == target.day
    })
}

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) limit: usize,
    pub(super) min_timestamp: Option<i64>,
}

/// The walk.
#[derive(Debug)]
pub(super) struct Walk {
    ask: Ask,
    largest: usize,
    /// Visits taken that end at or after the cursor's next second.
    taken: HashSet<(i64, i64)>,
    done: bool,
    /// Visits of another day that were left out.
    pub(super) foreign: u64,
}

impl Walk {
    /// Pages of `limit` visits, growing to `largest` when more visits than that end in one second.
    pub(super) fn new(limit: usize, largest: usize) -> Self {
        // A page of one could not get past two visits that end in the same second without growing.
        let limit = limit.max(2);
        Self {
            ask: Ask { limit, min_timestamp: None },
            largest: largest.max(limit),
            taken: HashSet::new(),
            done: false,
            foreign: 0,
        }
    }

    /// What to ask next; `None` at the end.
    pub(super) fn next(&self) -> Option<Ask> {
        (!self.done).then_some(self.ask)
    }

    /// Takes an answer: gives the visits that are new.
    pub(super) fn take(&mut self, visits: Vec<Value>) -> std::result::Result<Vec<Value>, &'static str> {
        let full = visits.len() >= self.ask.limit;
        let mut last = self.ask.min_timestamp.unwrap_or(i64::MIN);
        let mut new = Vec::with_capacity(visits.len());
        let mut held = HashSet::new();
        for visit in visits {
            // A time of no era would be a cursor beyond every other visit.
            let ended = visit
                .get("lastActionTimestamp")
                .and_then(as_integer)
                .filter(|ended| (0..=super::visits::LAST_EPOCH).contains(ended));
            let id = visit.get("idVisit").and_then(as_integer);
            let (Some(ended), Some(id)) = (ended, id) else {
                // It cannot be paged by; whoever maps it says what it lacks.
                new.push(visit);
                continue;
            };
            if ended < last {
                return Err("the visits are not in the order that was asked for");
            }
            last = ended;
            held.insert((ended, id));
            if !self.taken.contains(&(ended, id)) {
                new.push(visit);
            }
        }
        if !full {
            self.done = true;
        } else if new.is_empty() {
            if self.ask.limit >= self.largest {
                return Err("more visits end in one second than a page can hold");
            }
            self.ask.limit = (self.ask.limit * 2).min(self.largest);
        } else if last == i64::MIN {
            return Err("a full page of visits has no timestamp");
        } else {
            self.ask.min_timestamp = Some(last - 1);
            self.taken.extend(held);
            self.taken.retain(|(ended, _)| *ended >= last);
        }
        Ok(new)
    }
}

fn as_integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// What Matomo would answer: ends strictly after the cursor, ascending, at most so many.
    fn answer(day: &[(i64, i64)], ask: Ask) -> Vec<Value> {
        let mut visits: Vec<_> =
            day.iter().filter(|(ended, _)| ask.min_timestamp.is_none_or(|min| *ended > min)).collect();
        visits.sort_unstable();
        visits
            .iter()
            .take(ask.limit)
            .map(|(at, id)| json!({"idVisit": id, "lastActionTimestamp": at}))
            .collect()
    }

    fn walk(day: &[(i64, i64)], limit: usize) -> (Vec<i64>, usize) {
        let mut walk = Walk::new(limit, 1000);
        let mut seen = Vec::new();
        let mut requests = 0;
        while let Some(ask) = walk.next() {
            requests += 1;
            assert!(requests < 2000, "the walk does not end");
            let new = walk.take(answer(day, ask)).unwrap();
            seen.extend(new.iter().map(|visit| visit["idVisit"].as_i64().unwrap()));
        }
        (seen, requests)
    }

    #[test]
    fn visits_that_end_in_the_same_second_are_neither_lost_nor_doubled() {
        let day: Vec<(i64, i64)> = (0..7).map(|id| (100, id)).chain([(101, 7)]).collect();
        let (mut seen, _) = walk(&day, 3);
        seen.sort_unstable();
        assert_eq!(seen, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_day_takes_one_request() {
        assert_eq!(walk(&[], 5), (vec![], 1));
    }

    #[test]
    fn a_server_that_ignores_the_order_is_found_out() {
        let mut walk = Walk::new(2, 2);
        let page = vec![
            json!({"idVisit":2,"lastActionTimestamp":20}),
            json!({"idVisit":1,"lastActionTimestamp":10}),
        ];
        assert!(walk.take(page).is_err());
    }

    #[test]
    fn a_visit_of_no_era_is_handed_on_and_moves_no_cursor() {
        let mut walk = Walk::new(2, 4);
        let odd = json!({"idVisit":1,"lastActionTimestamp":i64::MAX});
        let page = vec![odd, json!({"idVisit":2,"lastActionTimestamp":10})];
        assert_eq!(walk.take(page).unwrap().len(), 2);
        assert_eq!(walk.next(), Some(Ask { limit: 2, min_timestamp: Some(9) }));
    }

    #[test]
    fn a_server_that_repeats_its_page_for_ever_is_found_out() {
        let mut walk = Walk::new(2, 4);
        let page = || {
            vec![json!({"idVisit":1,"lastActionTimestamp":10}), json!({"idVisit":2,"lastActionTimestamp":10})]
        };
        assert_eq!(walk.take(page()).unwrap().len(), 2);
        assert_eq!(walk.take(page()).unwrap().len(), 0);
        // Asked for four, two come back: the end.
        assert_eq!(walk.next(), Some(Ask { limit: 4, min_timestamp: Some(9) }));
        walk.take(page()).unwrap();
        assert_eq!(walk.next(), None);
    }

    proptest! {
        #[test]
        fn every_visit_comes_exactly_once(ends in proptest::collection::vec(0_i64..20, 0..60), limit in 1_usize..9) {
            let day: Vec<(i64, i64)> = ends.iter().enumerate().map(|(id, end)| (*end, id as i64)).collect();
            let (mut seen, _) = walk(&day, limit);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..day.len() as i64).collect::<Vec<_>>());
        }
    }
}
