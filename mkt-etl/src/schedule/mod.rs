//! Runs a job again and again: when a run is due, how missed and failed runs are caught up, and the loop.
//!
//! [`Schedule`] says when runs are due, [`next_turn`] when the next one starts after what happened so far, and
//! [`Scheduler::run`] is the loop around them, on a clock that is passed in. What is run is a [`Job`](crate::Job):
//! [`DueSlices`](crate::DueSlices) loads what is due, in one process at a time. [`serve`] is a program's whole main loop,
//! with or without a schedule.
//!
//! Under an outside cron there is no loop: call [`Job::run`](crate::Job::run) once, or [`serve`] without a scheduler.

mod cron;
mod service;
mod turns;

pub use cron::Schedule;
pub use service::{seed_from_env, serve};
pub use turns::{Backoff, CatchUp, Completed, Ended, Last, Next, Scheduler, next_turn};
