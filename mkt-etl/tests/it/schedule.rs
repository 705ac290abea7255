//! The loop around runs, on a clock on which sleeping takes no time.

use crate::support::{all, day, utc};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Europe, Tz};
use mkt_connect::Stop;
use mkt_connect::clock::Clock;
use mkt_connect::clock::ManualClock;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_etl::ledger::SliceRow;
use mkt_etl::schedule::{Backoff, CatchUp, Ended, Schedule, Scheduler};
use mkt_etl::{DueSlices, Extent, Job, Memory, Pipeline, Totals, Turn};
use mkt_etl::{Finality, Page};
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Sqlite, Warehouse};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a turn of a [`Scripted`] job does.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Takes so long, and is fine.
    Takes(i64),
    /// Takes so long, and fails.
    Fails(i64, ErrorKind),
    /// Finds another process at it.
    Busy,
}

/// A job that does as it is told, and nothing once it was told everything: then it asks to stop.
#[derive(Debug)]
struct Scripted {
    clock: ManualClock,
    acts: Mutex<VecDeque<Act>>,
    stop: Stop,
    starts: Mutex<Vec<DateTime<Utc>>>,
}

#[async_trait]
impl Job for Scripted {
    async fn run(&self, _: &Stop) -> Result<Turn> {
        self.starts.lock().unwrap().push(self.clock.now());
        let act = {
            let mut acts = self.acts.lock().unwrap();
            let act = acts.pop_front().unwrap();
            if acts.is_empty() {
                self.stop.request();
            }
            act
        };
        let pass = |minutes: i64| self.clock.advance(TimeDelta::minutes(minutes).to_std().unwrap());
        match act {
            Act::Takes(minutes) => pass(minutes),
            Act::Fails(minutes, kind) => {
                pass(minutes);
                return Err(Error::new(kind, "test", "run"));
            }
            Act::Busy => {}
        }
        Ok(Turn::AlreadyRunning)
    }
}

/// Runs a script from noon on 15 November 2026, and gives the starts and why it ended.
async fn played(
    expression: &str,
    catch_up: CatchUp,
    acts: impl IntoIterator<Item = Act>,
) -> (Vec<String>, Ended) {
    let clock = ManualClock::skipping(utc("2026-11-15T12:00:30Z"));
    let stop = Stop::new();
    let job = Scripted {
        clock: clock.clone(),
        acts: Mutex::new(acts.into_iter().collect()),
        stop: stop.clone(),
        starts: Mutex::default(),
    };
    let schedule = Schedule::new(expression, Tz::UTC).unwrap();
    let scheduler = Scheduler::new(schedule).catch_up(catch_up).clock(clock);
    let ended = scheduler.run(&job, &stop, |_| {}).await;
    let starts = job.starts.into_inner().unwrap();
    (starts.iter().map(|at| at.format("%H:%M:%S").to_string()).collect(), ended)
}

#[tokio::test]
async fn a_week_of_hourly_runs_takes_no_time_and_misses_none() {
    let began = Instant::now();
    let clock = ManualClock::skipping(utc("2026-10-19T00:00:00Z"));
    let (stop, mut starts) = (Stop::new(), Vec::new());
    let job = Scripted {
        clock: clock.clone(),
        acts: Mutex::new(std::iter::repeat_n(Act::Takes(7), 7 * 24).collect()),
        stop: stop.clone(),
        starts: Mutex::default(),
    };
    // The week in which Paris turns its clocks back.
    let hourly = Schedule::new(Schedule::HOURLY, Europe::Paris).unwrap();
    let ended = Scheduler::new(hourly).clock(clock).run(&job, &stop, |told| starts.push(told.started)).await;
    let expected: Vec<DateTime<Utc>> =
        (0..7 * 24).map(|hour| utc("2026-10-19T00:00:00Z") + TimeDelta::hours(hour)).collect();
    assert_eq!((starts, ended), (expected, Ended::Stopped));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn missed_runs_become_one_at_once_or_none() {
    // The first run takes until 15:10: 13:00, 14:00 and 15:00 were missed.
    let acts = [Act::Takes(190), Act::Takes(1), Act::Takes(1)];
    let (once, _) = played("0 * * * *", CatchUp::Once, acts).await;
    assert_eq!(once, ["12:00:30", "15:10:30", "16:00:00"]);
    let (skip, _) = played("0 * * * *", CatchUp::Skip, acts).await;
    assert_eq!(skip, ["13:00:00", "17:00:00", "18:00:00"]);
}

#[tokio::test]
async fn failures_are_tried_again_at_growing_distances_and_then_the_expression_counts_again() {
    let fails = Act::Fails(0, ErrorKind::Unavailable);
    let acts = [fails, fails, fails, fails, Act::Takes(1), Act::Takes(1)];
    let (starts, _) = played("0 3 * * *", CatchUp::Once, acts).await;
    let at = |index: usize| utc(&format!("2026-11-15T{}Z", starts[index]));
    // One minute, two, four, eight; each less up to a tenth. Then the next day at three.
    for (index, most) in [(1, 60), (2, 120), (3, 240), (4, 480)] {
        let wait = (at(index) - at(index - 1)).num_seconds();
        assert!(wait <= most && wait >= most - most / 10 - 1, "wait {index}: {wait} s");
    }
    assert_eq!(starts[5], "03:00:00");
    let backoff = Backoff::default();
    assert!(
        backoff.after(40, 7) <= Duration::from_secs(3600) && backoff.after(40, 7) > Duration::from_secs(3200)
    );
    assert!(backoff.after(u32::MAX, 7) <= Duration::from_secs(3600));
}

#[tokio::test]
async fn refused_credentials_end_the_loop() {
    let acts = [Act::Takes(1), Act::Fails(1, ErrorKind::Auth), Act::Takes(1)];
    let (starts, ended) = played("0 * * * *", CatchUp::Once, acts).await;
    assert_eq!((starts.len(), ended), (2, Ended::Refused));
}

#[tokio::test]
async fn another_process_at_it_is_no_failure() {
    let (starts, _) = played("0 * * * *", CatchUp::Once, [Act::Busy, Act::Busy, Act::Busy]).await;
    assert_eq!(starts, ["12:00:30", "13:00:00", "14:00:00"]);
}

#[tokio::test]
async fn asked_to_stop_while_it_waits_it_ends_without_another_run() {
    let clock = ManualClock::new(utc("2026-11-15T12:30:00Z"));
    let stop = Stop::new();
    let job = Scripted {
        clock: clock.clone(),
        acts: Mutex::default(),
        stop: stop.clone(),
        starts: Mutex::default(),
    };
    let schedule = Schedule::new(Schedule::HOURLY, Tz::UTC).unwrap();
    let scheduler = Scheduler::new(schedule).catch_up(CatchUp::Skip).clock(clock);
    let asks = async {
        tokio::task::yield_now().await;
        stop.request();
    };
    let (ended, ()) = tokio::join!(scheduler.run(&job, &stop, |_| {}), asks);
    assert_eq!((ended, job.starts.lock().unwrap().len()), (Ended::Stopped, 0));
}

/// A clock that is set back by a day at its third look after noon.
#[derive(Debug)]
struct SetBack {
    clock: ManualClock,
    back: Arc<Mutex<TimeDelta>>,
}

#[async_trait]
impl Clock for SetBack {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() - *self.back.lock().unwrap()
    }
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_planned_for_anew() {
    // The machine comes up in 2030; an hour later its clock is set to 2026. Nobody waits for 2030.
    let clock = ManualClock::skipping(utc("2030-01-01T12:30:00Z"));
    let back = Arc::new(Mutex::new(TimeDelta::zero()));
    let (stop, mut starts) = (Stop::new(), Vec::new());
    let job = Scripted {
        clock: clock.clone(),
        acts: Mutex::new(VecDeque::from([Act::Takes(1), Act::Takes(1), Act::Takes(1), Act::Takes(1)])),
        stop: stop.clone(),
        starts: Mutex::default(),
    };
    let schedule = Schedule::new(Schedule::HOURLY, Tz::UTC).unwrap();
    let scheduler = Scheduler::new(schedule).clock(SetBack { clock: clock.clone(), back: Arc::clone(&back) });
    let setter = async {
        while clock.now() < utc("2030-01-01T13:30:00Z") {
            tokio::task::yield_now().await;
        }
        *back.lock().unwrap() = utc("2030-01-01T13:30:00Z") - utc("2026-11-15T09:10:00Z");
    };
    let loops = scheduler.run(&job, &stop, |told| starts.push(told.started.format("%Y %H:%M").to_string()));
    tokio::join!(loops, setter);
    assert_eq!(starts[..2], ["2030 12:30", "2030 13:00"]);
    assert_eq!(starts[2..], ["2026 10:00", "2026 11:00"]);
}

/// A source of days with a visit each, which are final a day after they ended.
fn daily_source(from: &str, days: u64) -> Memory {
    let source = Memory::new("memory", "shop", Europe::Paris).finality(Finality::After(TimeDelta::days(1)));
    for date in day(from).iter_days().take(days as usize) {
        source.put(source.slice(date), vec![Page { read: 0, ..Page::default() }]);
        source.put_control(source.slice(date), Totals::new().with("visits", 0));
    }
    source
}

#[tokio::test]
async fn an_hourly_loop_over_a_week_reads_what_may_change_and_settles_every_day() {
    let clock = ManualClock::skipping(utc("2026-10-20T10:20:00Z"));
    let source = daily_source("2026-10-20", 10);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(clock.clone());
    let job = DueSlices::new(pipeline).extent(Extent::Due { since: Some(day("2026-10-20")) });
    let hourly = Schedule::new(Schedule::HOURLY, Europe::Paris).unwrap();
    let (stop, mut runs) = (Stop::new(), 0);
    let scheduler = Scheduler::new(hourly).clock(clock.clone());
    let ended = scheduler.run(&job, &stop, |told| {
        let report = told.outcome.as_ref().unwrap().report().unwrap();
        assert!(report.is_complete(), "{report:#?}");
        runs += 1;
        if clock.now() >= utc("2026-10-27T09:00:00Z") {
            stop.request();
        }
    });
    assert_eq!(ended.await, Ended::Stopped);
    // 10:20, then every hour from 11:00 on the 20th to 09:00 on the 27th.
    assert_eq!(runs, 1 + 13 + 6 * 24 + 10);
    let rows: Vec<SliceRow> = all(&warehouse).await;
    let shown: Vec<(String, SliceState)> =
        rows.iter().map(|row| (row.window_from.format("%d").to_string(), row.state)).collect();
    let state = |date: i32| if date < 26 { SliceState::Settled } else { SliceState::Provisional };
    assert_eq!(shown, (20..=27).map(|date| (date.to_string(), state(date))).collect::<Vec<_>>());
    // Two days are read each hour, the newest and the one before; settled ones are not. A day is read from its first
    // hour in Paris until a day after its end.
    assert!(source.reads() < runs * 2 + 10, "{} reads in {runs} runs", source.reads());
}

#[tokio::test]
async fn days_without_a_program_are_caught_up_by_one_run() {
    let source = daily_source("2026-10-01", 40);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let due = |at: &str, since: Option<&str>| {
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(ManualClock::new(utc(at)));
        DueSlices::new(pipeline).extent(Extent::Due { since: since.map(day) })
    };
    let slices = async |job: DueSlices| {
        let turn = job.run(&Stop::new()).await.unwrap();
        turn.report().unwrap().slices.values().sum::<u64>()
    };
    // Nothing is known: today and the day before, which may still change.
    assert_eq!(slices(due("2026-10-10T12:00:00Z", None)).await, 2);
    // Twelve days later: the two that were not final, the ten that are missing, today.
    assert_eq!(slices(due("2026-10-22T12:00:00Z", None)).await, 2 + 11 + 1);
    // From the beginning of the month: eight more.
    assert_eq!(slices(due("2026-10-22T12:00:00Z", Some("2026-10-01"))).await, 8 + 2);
    assert_eq!(slices(due("2026-10-22T12:00:00Z", Some("2026-10-01"))).await, 2);
    assert_eq!(all::<SliceRow>(&warehouse).await.len(), 22);
    // Beyond midnight in Paris it is another day.
    assert_eq!(slices(due("2026-10-22T22:30:00Z", None)).await, 3);
}

#[tokio::test]
async fn nothing_is_done_while_another_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let source = daily_source("2026-10-01", 40);
    let job = DueSlices::new(
        Pipeline::new(source.clone(), Sqlite::open(&path).await.unwrap())
            .clock(ManualClock::new(utc("2026-10-10T12:00:00Z"))),
    );
    let other = Sqlite::open(&path).await.unwrap();
    let held = other.exclusive("etl/memory").await.unwrap().unwrap();
    assert_eq!(job.run(&Stop::new()).await.unwrap(), Turn::AlreadyRunning);
    assert_eq!(source.reads(), 0);
    held.release().await.unwrap();
    assert!(job.run(&Stop::new()).await.unwrap().report().is_some());
    // It was given back.
    assert!(other.exclusive("etl/memory").await.unwrap().is_some());
}
