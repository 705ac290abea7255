//! A unit of work that a scheduler or cron runs again and again.

use crate::run_report::{RunReport, remarks};
use async_trait::async_trait;
use mkt_connect::Result;
use mkt_connect::Stop;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// The outcome of one run of a [`Job`].
///
/// As JSON: the keys of [`RunReport`] and `already_running`; when another process holds the lock, `slices`, `rows`,
/// `quarantined`, `revised`, `replayed` and `seconds` are empty or zero. `Display` gives a few lines for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// The job ran.
    Ran(Box<RunReport>),
    /// Another process holds the lock; nothing was done.
    AlreadyRunning,
}

impl Turn {
    /// The report, if the job ran.
    #[must_use]
    pub fn report(&self) -> Option<&RunReport> {
        match self {
            Self::Ran(report) => Some(report),
            Self::AlreadyRunning => None,
        }
    }
}

impl Serialize for Turn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Ran<'a> {
            #[serde(flatten)]
            report: &'a RunReport,
            already_running: bool,
        }
        #[derive(Default, Serialize)]
        struct Skipped {
            slices: BTreeMap<String, u64>,
            rows: BTreeMap<String, u64>,
            quarantined: u64,
            revised: u64,
            replayed: u64,
            seconds: f64,
            already_running: bool,
        }
        match self {
            Self::Ran(report) => Ran { report, already_running: false }.serialize(serializer),
            Self::AlreadyRunning => {
                Skipped { already_running: true, ..Skipped::default() }.serialize(serializer)
            }
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ran(report) = self else {
            return f.write_str("already running: another process is at it, nothing was done here\n");
        };
        let counted = |map: &BTreeMap<String, u64>| {
            let parts: Vec<String> = map.iter().map(|(name, n)| format!("{n} {name}")).collect();
            if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
        };
        writeln!(f, "slices: {}\nrows: {}", counted(&report.slices), counted(&report.rows))?;
        writeln!(
            f,
            "{} revised, {} as before, {} records set aside, {} s{}",
            report.revised,
            report.replayed,
            report.quarantined,
            (report.seconds * 10.0).round() / 10.0,
            if report.changed { "" } else { "; nothing was written" }
        )?;
        remarks(report).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A unit of work that is run again and again. Implementors annotate the `impl` with `#[async_trait]`.
#[async_trait]
pub trait Job: Debug + Send + Sync {
    /// Runs once. Stops early when `stop` asks for it.
    ///
    /// # Errors
    /// What kept the job from running at all; failures of parts are in the report.
    async fn run(&self, stop: &Stop) -> Result<Turn>;
}
