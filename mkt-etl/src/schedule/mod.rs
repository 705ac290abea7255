//! Runs again and again: when, how many at once, and what becomes of those that were missed.
//!
//! [`Schedule`] says when runs are due, [`next_turn`] when the next one starts after what happened so far, and
//! [`Scheduler::run`] is the loop around them, with a clock that is handed in. What a run does is a [`Job`](crate::Job):
//! [`crate::DueSlices`] brings in what is due, in one process at a time.
//!
//! For an outside cron there is no loop: call [`Job::run`](crate::Job::run) once.

mod cron;
mod turns;

pub use cron::Schedule;
pub use turns::{Backoff, CatchUp, Ended, Last, Next, Scheduler, Told, next_turn};
