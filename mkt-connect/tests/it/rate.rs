//! The budget of an account.

use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::http::rate::{Limits, Meter, RateBudget, TooLong};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let mut meter = Meter::new(&Limits::none().per_second(4.0, 2));
    let mut granted = Vec::new();
    let mut now = Duration::ZERO;
    while granted.len() < 6 {
        match meter.take(now, 1) {
            Ok(()) => granted.push(now.as_millis()),
            Err(wait) => now += wait,
        }
    }
    // Two at once, then one every quarter of a second.
    assert_eq!(granted, [0, 0, 250, 500, 750, 1000]);
}

#[test]
fn a_window_rolls_and_does_not_start_anew_at_midnight() {
    let day = seconds(24 * 3600);
    let mut meter = Meter::new(&Limits::none().window(3, day));
    let hour = |hours: u64| seconds(hours * 3600);
    for at in [22, 23, 23] {
        assert_eq!(meter.take(hour(at), 1), Ok(()));
    }
    // Midnight helps nobody; at 22:00 the next day one place is free, at 23:00 two.
    assert_eq!(meter.take(hour(25), 1), Err(hour(21)));
    assert_eq!(meter.take(hour(25), 2), Err(hour(22)));
    assert_eq!(meter.take(hour(46), 1), Ok(()));
    assert_eq!(meter.take(hour(46), 1), Err(hour(1)));
}

#[test]
fn what_no_wait_can_grant_says_so() {
    let mut meter = Meter::new(&Limits::none().window(10, seconds(60)));
    assert_eq!(meter.take(Duration::ZERO, 11), Err(Duration::MAX));
    assert_eq!(meter.take(Duration::ZERO, 10), Ok(()));
}

#[test]
fn a_pause_is_never_shortened() {
    let mut meter = Meter::new(&Limits::none());
    meter.pause_until(seconds(100));
    meter.pause_until(seconds(10));
    assert_eq!(meter.take(seconds(40), 1), Err(seconds(60)));
    assert_eq!(meter.take(seconds(100), 1), Ok(()));
}

proptest! {
    /// A second, naive counting of what was granted.
    #[test]
    fn no_window_ever_holds_more_than_its_count(
        count in 1_u32..40,
        length in 1_u64..5_000,
        asks in prop::collection::vec((0_u64..800, 1_u32..6), 1..300),
    ) {
        let window = Duration::from_millis(length);
        let mut meter = Meter::new(&Limits::none().window(count, window));
        let mut now = Duration::ZERO;
        let mut granted: VecDeque<(Duration, u32)> = VecDeque::new();
        for (pause, cost) in asks {
            now += Duration::from_millis(pause);
            match meter.take(now, cost) {
                Ok(()) => granted.push_back((now, cost)),
                Err(wait) if wait == Duration::MAX => prop_assert!(cost > count),
                Err(wait) => {
                    // The wait that it names is enough.
                    now += wait;
                    prop_assert_eq!(meter.take(now, cost), Ok(()));
                    granted.push_back((now, cost));
                }
            }
            while granted.front().is_some_and(|(at, _)| *at + window <= now) {
                granted.pop_front();
            }
            prop_assert!(granted.iter().map(|(_, cost)| cost).sum::<u32>() <= count);
        }
    }
}

fn manual() -> ManualClock {
    ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn clones_share_one_budget() {
    let clock = ManualClock::skipping("2026-03-01T12:00:00Z".parse().unwrap());
    let budget = RateBudget::with_clock(&Limits::none().per_second(1.0, 1), Arc::new(clock.clone()));
    let other = budget.clone();
    for _ in 0..5 {
        budget.acquire().await;
        other.acquire().await;
    }
    assert_eq!(clock.elapsed(), seconds(9));
}

#[tokio::test]
async fn cancelled_wait_takes_nothing_and_blocks_no_one() {
    let clock = manual();
    let budget = RateBudget::with_clock(&Limits::none().per_second(1.0, 1), Arc::new(clock.clone()));
    budget.acquire().await;
    for _ in 0..20 {
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire().await }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    // One second makes one token: it is there for the next who asks.
    clock.advance(seconds(1));
    assert_eq!(budget.acquire_within(1, Duration::ZERO).await, Ok(()));
    assert_eq!(budget.acquire_within(1, Duration::ZERO).await, Err(TooLong { wait: seconds(1) }));
}

#[tokio::test]
async fn waiters_are_served_in_their_order() {
    let clock = manual();
    let budget = RateBudget::with_clock(&Limits::none().per_second(1.0, 1), Arc::new(clock.clone()));
    budget.acquire().await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (budget, order) = (budget.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            budget.acquire().await;
            order.lock().unwrap().push(number);
        }));
        tokio::task::yield_now().await;
    }
    for served in 1..=5 {
        clock.advance(seconds(1));
        while order.lock().unwrap().len() < served {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(order.lock().unwrap().len(), served, "one token a second, so one of them a second");
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn account_with_nothing_remaining_pauses_until_the_reset() {
    let clock = manual();
    let budget = RateBudget::with_clock(&Limits::none(), Arc::new(clock.clone()));
    budget.observe(3, seconds(50));
    assert_eq!(budget.acquire_within(1, Duration::ZERO).await, Ok(()));
    budget.observe(0, seconds(50));
    assert_eq!(budget.acquire_within(1, seconds(49)).await, Err(TooLong { wait: seconds(50) }));
    clock.advance(seconds(50));
    assert_eq!(budget.acquire_within(1, Duration::ZERO).await, Ok(()));
}

#[test]
fn steadily_used_window_still_frees_places() {
    let mut meter = Meter::new(&Limits::none().window(100, seconds(1000)));
    for tick in 0..100_u64 {
        assert_eq!(meter.take(Duration::from_millis(900 * tick), 1), Ok(()));
    }
    // The first request falls out 1000 s after it was made, or a thousandth of the window later, not after the last.
    let wait = meter.take(seconds(90), 1).unwrap_err();
    assert!((seconds(910)..=seconds(911)).contains(&wait), "{wait:?}");
}
