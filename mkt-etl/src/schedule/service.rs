//! A program's main loop: one run, or runs by a schedule, and the exit code for either.

use super::{Ended, Scheduler};
use crate::job::{Job, Turn};
use crate::run_report::exit_code;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Runs a job once, or by a schedule until it is stopped, and returns the exit code of the program.
///
/// `on_run` is called after every run with its outcome and the start of the next run, if there is one. Without a scheduler the code is that of the run ([`exit_code`]). With one:
///
/// | code | when |
/// |---|---|
/// | 0 | stopped with no work left undone, or no further run is due |
/// | 4 | the credentials were refused |
/// | 130 | stopped in the middle of a run |
///
/// ```
/// use mkt_connect::clock::ManualClock;
/// use mkt_etl::schedule::serve;
/// use mkt_etl::{DueSlices, Memory, Pipeline};
/// use mkt_warehouse::Sqlite;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mkt_connect::Error> {
/// let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
/// let job = DueSlices::new(Pipeline::new(source, Sqlite::in_memory().await?));
/// let code = serve(&job, None, &mkt_connect::Stop::new(), |outcome, _next| assert!(outcome.is_ok())).await;
/// assert_eq!(code, 0);
/// # Ok(())
/// # }
/// ```
pub async fn serve(
    job: &dyn Job,
    scheduler: Option<&Scheduler>,
    stop: &mkt_connect::Stop,
    mut on_run: impl FnMut(&Result<Turn>, Option<DateTime<Utc>>) + Send,
) -> u8 {
    let Some(scheduler) = scheduler else {
        let outcome = job.run(stop).await;
        on_run(&outcome, None);
        return exit_code(&outcome);
    };
    let mut last = 0;
    let ended = scheduler
        .run(job, stop, |run| {
            last = exit_code(run.outcome);
            on_run(run.outcome, run.next);
        })
        .await;
    match ended {
        Ended::Stopped if last == 130 => 130,
        Ended::Stopped | Ended::Over => 0,
        Ended::Refused => 4,
    }
}

/// A number that differs between machines and stays the same on one, for [`Schedule::jitter`](super::Schedule::jitter)
/// and [`Scheduler::backoff`]: a hash of the environment variable `HOSTNAME`, else of `/etc/machine-id`, else a constant.
#[must_use]
pub fn seed_from_env() -> u64 {
    let mut hasher = DefaultHasher::new();
    let host = std::env::var("HOSTNAME").ok();
    host.or_else(|| std::fs::read_to_string("/etc/machine-id").ok()).hash(&mut hasher);
    hasher.finish()
}
