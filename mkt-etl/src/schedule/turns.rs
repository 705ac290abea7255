//! One run after another.

use super::cron::{Schedule, mixed};
use crate::job::{Job, Turn};
use crate::run_report::RunReport;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Stop;
use mkt_connect::clock::{Clock, SystemClock, later};
use mkt_connect::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// What to do about due times that passed during a run or while the program was not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CatchUp {
    /// One run, at once, for all of them: it reads every day that is due. Also one when the program starts.
    #[default]
    Once,
    /// None; the next one is at the next due time.
    Skip,
}

impl std::str::FromStr for CatchUp {
    type Err = String;

    /// Parses `once` or `skip`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "once" => Ok(Self::Once),
            "skip" => Ok(Self::Skip),
            _ => Err("expected once or skip".to_owned()),
        }
    }
}

/// How long to wait after a run that failed: twice as long each time, less up to a tenth, so that programs that failed
/// together do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure. Default: one minute.
    pub first: Duration,
    /// The longest. Default: one hour.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(60), longest: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row.
    #[must_use]
    pub fn after(&self, failures: u32, seed: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let tenth = u64::try_from(whole.as_millis() / 10).unwrap_or(u64::MAX);
        whole.saturating_sub(Duration::from_millis(mixed(seed ^ u64::from(failures)) % tenth.max(1)))
    }
}

/// The run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// The due time that it stood for.
    pub due: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// How many runs failed in a row, this one included; 0 after a success.
    pub failures: u32,
}

/// The run to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The due time that it stands for; when it starts, for one that no expression asked for.
    pub due: DateTime<Utc>,
    /// When it starts.
    pub start: DateTime<Utc>,
}

/// When the next run starts; `None` when no time is due any more. Pure.
///
/// - The first run starts at once ([`CatchUp::Once`]) or when it is due ([`CatchUp::Skip`]).
/// - After a success, it starts at the next due time and its share of the jitter. If that has passed, then at once, one
///   run for all due times that have passed, or, with [`CatchUp::Skip`], at the first that has not.
/// - After a failure it starts when the [`Backoff`] is over, whatever the expression says.
#[must_use]
pub fn next_turn(
    schedule: &Schedule,
    catch_up: CatchUp,
    backoff: &Backoff,
    last: Option<Last>,
    now: DateTime<Utc>,
    seed: u64,
) -> Option<Next> {
    let regular = |due: DateTime<Utc>| Next { due, start: schedule.start_of(due) };
    let Some(last) = last else {
        return match catch_up {
            CatchUp::Once => Some(Next { due: now, start: now }),
            CatchUp::Skip => schedule.next_after(now).map(regular),
        };
    };
    if last.failures > 0 {
        let start = later(last.ended, backoff.after(last.failures, seed)).max(now);
        return Some(Next { due: start, start });
    }
    let next = regular(schedule.next_after(last.due)?);
    if next.start >= now {
        return Some(next);
    }
    match catch_up {
        CatchUp::Once => {
            Some(Next { due: schedule.last_until(now).map_or(next.due, |due| due.max(next.due)), start: now })
        }
        CatchUp::Skip => schedule.next_after(now).map(regular),
    }
}

/// A completed run of the loop.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completed<'a> {
    /// The due time that it stood for.
    pub due: DateTime<Utc>,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// What it did.
    pub outcome: &'a Result<Turn>,
    /// When the next one starts, if the loop goes on.
    pub next: Option<DateTime<Utc>>,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// The credentials were refused. Another attempt could lock the account.
    Refused,
    /// No time is due any more.
    Over,
}

/// The loop.
///
/// ```
/// use mkt_etl::schedule::{Ended, Schedule, Scheduler};
/// use mkt_connect::clock::ManualClock;
/// use mkt_connect::Stop;
/// use mkt_etl::{DueSlices, Memory, Pipeline};
/// use mkt_warehouse::Sqlite;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// // Sleeping on this clock takes no time.
/// let clock = ManualClock::skipping("2026-11-15T12:34:00Z".parse().unwrap());
/// let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
/// let job = DueSlices::new(Pipeline::new(source, Sqlite::in_memory().await?).clock(clock.clone()));
/// let hourly = Schedule::new(Schedule::HOURLY, chrono_tz::Europe::Paris)?;
///
/// let (stop, mut starts) = (Stop::new(), Vec::new());
/// let scheduler = Scheduler::new(hourly).clock(clock);
/// let ended = scheduler.run(&job, &stop, |run| {
///     starts.push(run.started.format("%H:%M").to_string());
///     if starts.len() == 3 {
///         stop.request(); // a program does this when it gets a signal
///     }
/// });
/// assert_eq!(ended.await, Ended::Stopped);
/// assert_eq!(starts, ["12:34", "13:00", "14:00"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Scheduler {
    schedule: Schedule,
    catch_up: CatchUp,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
    seed: u64,
}

/// The longest sleep in one piece: a machine that was suspended, or whose clock was set, is noticed after that.
const STEP: Duration = Duration::from_secs(60);

/// How far the time of day may go back before the plan is made anew.
const SET_BACK: TimeDelta = TimeDelta::seconds(2);

/// How a wait ended.
enum Waited {
    Due,
    Stopped,
    ClockSetBack,
}

impl Scheduler {
    /// A loop on the system's clock that catches up once.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            catch_up: CatchUp::default(),
            backoff: Backoff::default(),
            clock: Arc::new(SystemClock::new()),
            seed: 0,
        }
    }

    /// What becomes of missed runs.
    #[must_use]
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// How long to wait after failures, and a seed of the program's own for its spread.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff, seed: u64) -> Self {
        (self.backoff, self.seed) = (backoff, seed);
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs the job whenever it is due, never twice at once, until it is asked to stop. While it waits, that is at once;
    /// during a run, when the job has returned.
    ///
    /// A run has failed when it ended with an error, was stopped early by its source, or could read no slice at all.
    /// A run that found the lock held has not: the next one is at the next due time.
    pub async fn run(
        &self,
        job: &dyn Job,
        stop: &Stop,
        mut on_run: impl FnMut(&Completed<'_>) + Send,
    ) -> Ended {
        let mut last = None;
        loop {
            let Some(next) = self.next(last) else { return Ended::Over };
            match self.wait(next.start, stop).await {
                Waited::Due => {}
                Waited::Stopped => return Ended::Stopped,
                Waited::ClockSetBack => {
                    let now = self.clock.now();
                    last =
                        last.map(|last| Last { due: last.due.min(now), ended: last.ended.min(now), ..last });
                    // A first run that was to come at once comes at once.
                    continue;
                }
            }
            let started = self.clock.now();
            let outcome = job.run(stop).await;
            let failures = if failed(&outcome) { last.map_or(0, |last| last.failures) + 1 } else { 0 };
            last = Some(Last { due: next.due, ended: self.clock.now(), failures });
            let refused = refused(&outcome);
            let goes_on = !stop.is_requested() && !refused;
            let then = self.next(last).filter(|_| goes_on).map(|next| next.start);
            on_run(&Completed {
                due: next.due,
                started,
                ended: self.clock.now(),
                outcome: &outcome,
                next: then,
            });
            if stop.is_requested() {
                return Ended::Stopped;
            }
            if refused {
                return Ended::Refused;
            }
        }
    }

    fn next(&self, last: Option<Last>) -> Option<Next> {
        next_turn(&self.schedule, self.catch_up, &self.backoff, last, self.clock.now(), self.seed)
    }

    async fn wait(&self, start: DateTime<Utc>, stop: &Stop) -> Waited {
        loop {
            if stop.is_requested() {
                return Waited::Stopped;
            }
            let now = self.clock.now();
            let Ok(left) = (start - now).to_std() else { return Waited::Due };
            if left.is_zero() {
                return Waited::Due;
            }
            tokio::select! {
                biased;
                () = stop.requested() => return Waited::Stopped,
                () = self.clock.sleep(left.min(STEP)) => {}
            }
            if self.clock.now() < now - SET_BACK {
                return Waited::ClockSetBack;
            }
        }
    }
}

/// Whether the source refused the credentials.
fn refused(outcome: &Result<Turn>) -> bool {
    match outcome {
        Err(error) => error.kind() == ErrorKind::Auth,
        Ok(turn) => turn.report().is_some_and(RunReport::is_refused),
    }
}

fn failed(outcome: &Result<Turn, Error>) -> bool {
    match outcome {
        Err(_) => true,
        Ok(turn) => turn.report().is_some_and(RunReport::is_failed),
    }
}
