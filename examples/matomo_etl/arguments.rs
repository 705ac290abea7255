//! The command line.

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::Parser;
use mkt_etl::history::Question;
use mkt_etl::schedule::{CatchUp, Schedule};
use mkt_etl::{Again, Extent, Window};
use mkt_examples::option::{day, pair, percent, zone};
use mkt_examples::warehouse::Target;
use std::path::PathBuf;
use std::time::Duration;

/// Brings the visits and daily numbers of a Matomo into a warehouse, once or by a schedule.
///
/// Each day of each stream is a slice: read whole, compared with totals that Matomo counts another way, and loaded in one
/// transaction. A second run changes nothing; two processes never run at once. The token comes from MATOMO_TOKEN.
#[derive(Debug, Parser)]
#[command(
    name = "matomo_etl",
    max_term_width = 80,
    after_long_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Where Matomo is: https://stats.example.org, with a path if it has one.
    #[arg(long, value_name = "URL", required_unless_present_any = ["demo", "question"])]
    pub(crate) base_url: Option<String>,
    /// A site's number; may be repeated.
    #[arg(long = "site", value_name = "ID", required_unless_present_any = ["demo", "question"])]
    pub(crate) sites: Vec<u64>,
    /// Replay a real Matomo's recorded answers instead, offline; its 27 to 31 March 2026 unless other days are named.
    #[arg(long, conflicts_with_all = ["base_url", "sites"])]
    pub(crate) demo: bool,
    /// The first day, in the site's zone. Without --to: what is due from then on (days that Matomo may still change, that
    /// were missed, or that are not final). Without either: what is due after what the warehouse holds.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<NaiveDate>,
    /// The last day.
    #[arg(long, value_name = "DAY", requires = "from", value_parser = day)]
    to: Option<NaiveDate>,
    /// Run once and end, for an outside cron, as without --schedule.
    #[arg(long, conflicts_with = "schedule")]
    once: bool,
    /// Stay, and run by this cron expression: minute, hour, day of month, month, day of week.
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// The zone of the expression.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub(crate) zone: Tz,
    /// Start each run up to so many seconds late, differently on each machine.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "schedule")]
    jitter: u64,
    /// What becomes of runs that were missed: once (one run for all of them) or skip.
    #[arg(long, value_name = "WHAT", default_value = "once", requires = "schedule")]
    pub(crate) catch_up: CatchUp,
    /// Only these streams: daily,visits (the default), referrers, referrer_names, campaigns, pages, hours, events, items,
    /// goals; or all. What counts by dimensions goes into dimension_metrics.
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    pub(crate) streams: Vec<String>,
    /// Also read every stream but visits of some of the visits: desktop=deviceType==desktop. May be repeated.
    #[arg(long = "segment", value_name = "NAME=CONDITION", value_parser = pair)]
    pub(crate) segments: Vec<(String, String)>,
    /// How many days before today are read again [default: as long as Matomo may change them].
    #[arg(long, value_name = "DAYS")]
    pub(crate) lookback: Option<u32>,
    /// Which days are read again although they are final: unsettled (none), quarantined (with records set aside) or all.
    #[arg(long, value_name = "WHICH", default_value = "unsettled")]
    pub(crate) again: Again,
    /// Refuse a slice when more than so many percent of its records do not fit [default: never].
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) max_quarantined: Option<f64>,
    /// Let this host be reached without TLS and at a private address: a Matomo in the intranet (HOST or HOST:PORT).
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Option<String>,
    /// Write Prometheus metrics to this file after each run, for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,
    /// Instead of a run: how fresh each stream is.
    #[arg(long, group = "question")]
    status: bool,
    /// Instead of a run: the records that were set aside, one JSON line each, with place, line, offset and reason.
    #[arg(long, group = "question")]
    quarantine: bool,
    /// Instead of a run: numbers that Matomo changed after they were loaded; of one metric, or of all.
    #[arg(long, value_name = "METRIC", num_args = 0..=1, default_missing_value = "", group = "question")]
    revisions: Option<String>,
    /// Instead of a run: fields that came, went or changed their type.
    #[arg(long, group = "question")]
    drift: bool,
    /// Print one JSON object on standard output, with --schedule one a run.
    #[arg(long)]
    pub(crate) json: bool,
    /// Tell nothing of single slices.
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Arguments {
    pub(crate) fn question(&self) -> Option<Question> {
        match &self.revisions {
            Some(metric) => Some(Question::Revisions((!metric.is_empty()).then(|| metric.clone()))),
            None if self.status => Some(Question::Status),
            None if self.quarantine => Some(Question::Quarantine),
            None => self.drift.then_some(Question::Drift),
        }
    }

    pub(crate) fn window(&self) -> Option<Window> {
        self.from.map(|from| Window::days(from, self.to.unwrap_or(NaiveDate::MAX)))
    }

    pub(crate) fn extent(&self) -> Result<Extent, String> {
        let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap_or_default();
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => Err(format!("--from {from} is after --to {to}")),
            (Some(from), Some(to)) => Ok(Extent::Days(Window::days(from, to))),
            (None, _) if self.demo => Ok(Extent::Days(Window::days(day(27), day(31)))),
            (since, _) => Ok(Extent::Due { since }),
        }
    }

    pub(crate) fn schedule(&self, seed: u64) -> mkt_connect::Result<Option<Schedule>> {
        let jitter = Duration::from_secs(self.jitter);
        let schedule =
            self.schedule.as_ref().map(|expression| Schedule::new(expression, self.zone)).transpose()?;
        Ok(schedule.map(|schedule| schedule.jitter(jitter, seed)))
    }
}
