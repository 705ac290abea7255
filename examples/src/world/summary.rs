//! What a run of the generator reports.

use super::{Cents, FileSize, Truth};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// A world in numbers: what `make_sample_data --json` prints, and its text. The keys are stable.
#[derive(Debug, Serialize)]
pub struct Summary {
    out: String,
    seed: u64,
    users: u64,
    sessions: u64,
    events: u64,
    purchases: u64,
    revenue: Cents,
    signups: u64,
    customers: u64,
    posts: u64,
    behaviors: u64,
    cost_rows: u64,
    log_lines: u64,
    abandoned_carts: u64,
    reachable_carts: u64,
    last_event: String,
    bytes: u64,
    seconds: f64,
    #[serde(skip)]
    text: String,
}

impl Summary {
    /// Of what was written into `out` in so many seconds.
    #[must_use]
    pub fn new(out: &Path, truth: &Truth, files: &[FileSize], seconds: f64) -> Self {
        let totals = &truth.totals;
        let mut text = format!(
            "{} visitors from {} to {}, seed {}\n\
             {} sessions, {} events, {} purchases for {} {}, {} sign-ups, {} abandoned carts ({} reachable)\n",
            totals.users,
            truth.start,
            truth.end,
            truth.seed,
            totals.sessions,
            totals.events,
            totals.purchase,
            totals.revenue,
            truth.currency,
            totals.signup,
            truth.carts.abandoned,
            truth.carts.reachable
        );
        for file in files {
            let _ = writeln!(text, "{:>14} bytes  {}", file.bytes, out.join(file.name).display());
        }
        let _ = writeln!(text, "written in {seconds:.1} s; truth.json holds what was planted");
        Self {
            out: out.display().to_string(),
            seed: truth.seed,
            users: totals.users,
            sessions: totals.sessions,
            events: totals.events,
            purchases: totals.purchase,
            revenue: totals.revenue,
            signups: totals.signup,
            customers: totals.customers,
            posts: truth.social.posts,
            behaviors: truth.behavior.rows,
            cost_rows: totals.cost_rows,
            log_lines: truth.access_log.lines,
            abandoned_carts: truth.carts.abandoned,
            reachable_carts: truth.carts.reachable,
            last_event: truth.last_event.clone(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            seconds,
            text,
        }
    }

    /// A table for people.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.clone()
    }
}
