//! The command line.

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::{Args, Parser, ValueEnum};
use mkt_etl::schedule::{CatchUp, Schedule};
use mkt_etl::{Again, Extent, Window};
use std::path::PathBuf;

/// Brings the visits and daily numbers of a Matomo into a warehouse, once or by a schedule.
///
/// Each day of each stream is a slice: read whole, compared with totals that Matomo counts another way, and loaded in
/// one transaction. A second run changes nothing; late visits raise revisions; two processes never run at once. The
/// token comes from the environment variable MATOMO_TOKEN and travels in the body of requests only.
#[derive(Debug, Parser)]
#[command(
    name = "matomo_etl",
    max_term_width = 120,
    after_long_help = "\
WHICH DAYS
  --from A --to B  those days
  --from A         what is due from A on: days that Matomo may still change, days that were missed,
                   days that are not final
  neither          what is due after what the warehouse holds; at first the look-back only

KEYS OF --json
  slices {state: n}, rows {table: n}, read, quarantined, duplicates, revised, replayed, changed,
  unreconciled, failures, notes, drift, cancelled, stopped, stopped_by, started_at, seconds,
  already_running
  read = rows loaded + quarantined + duplicates. revised: slices whose numbers changed since they were
  first loaded. replayed: slices that stand there already, unchanged. With --schedule one line a run.
  Where standard error is no terminal it has one JSON line a slice (--quiet: none).

EXIT CODE
  0    every slice is there, or another process is at it
  1    nothing could be done; standard error says why in one sentence
  2    the options do not read
  3    some slices failed, all others are there; the next run tries them again
  4    Matomo refused the token; mend it before you run again, or Matomo locks your address out
  5    Matomo could not be reached several times in a row
  130  interrupted; run it again to go on. The first signal finishes the slices under way, a second one
       drops them

EXAMPLES
  cargo run --release --example matomo_etl -- --demo --warehouse sqlite:target/matomo.db
  MATOMO_TOKEN=... cargo run --release --example matomo_etl -- --base-url https://stats.example.org --site 1 \\
      --from 2026-11-01 --to 2026-11-24 --warehouse sqlite:target/matomo.db
  MATOMO_TOKEN=... cargo run --release --example matomo_etl -- --base-url https://stats.example.org --site 1 \\
      --warehouse postgres://me@localhost/marketing --schedule '0 * * * *' --zone Europe/Paris
  cargo run --release --example matomo_etl -- --warehouse sqlite:target/matomo.db --status
docs/scheduling.md has lines for crontab, systemd and Windows."
)]
pub(crate) struct Arguments {
    /// Where to: sqlite:PATH or postgres://user@host/database (password from PGPASSWORD or ~/.pgpass).
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,

    /// Where Matomo is: https://stats.example.org, with a path if it has one.
    #[arg(long, value_name = "URL", required_unless_present_any = ["demo", "question"])]
    pub(crate) base_url: Option<String>,

    /// A site's number; may be repeated.
    #[arg(long = "site", value_name = "ID", required_unless_present_any = ["demo", "question"])]
    pub(crate) sites: Vec<u64>,

    /// Replay a real Matomo's recorded answers instead, offline; its 27 to 31 March 2026 unless other days are named.
    #[arg(long, conflicts_with_all = ["base_url", "sites"])]
    pub(crate) demo: bool,

    /// The first day, in the site's zone.
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<NaiveDate>,

    /// The last day.
    #[arg(long, value_name = "DAY", requires = "from")]
    pub(crate) to: Option<NaiveDate>,

    /// Run once and end, for an outside cron. That is also what happens without --schedule.
    #[arg(long, conflicts_with = "schedule")]
    pub(crate) once: bool,

    /// Stay, and run by this cron expression: minute, hour, day of month, month, day of week.
    #[arg(long, value_name = "CRON")]
    pub(crate) schedule: Option<String>,

    /// The zone of the expression.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: Tz,

    /// Start each run up to so many seconds late, differently on each machine.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "schedule")]
    pub(crate) jitter: u64,

    /// What becomes of runs that were missed.
    #[arg(long, value_enum, default_value_t = Missed::Once, requires = "schedule")]
    pub(crate) catch_up: Missed,

    /// Only these streams, separated by commas: daily, visits (these two unless told), referrers, referrer_names,
    /// campaigns, pages, hours, events, items, goals; or all. What counts by dimensions goes into dimension_metrics.
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    pub(crate) streams: Vec<String>,

    /// How many days before today are read again [default: as long as Matomo may change them].
    #[arg(long, value_name = "DAYS")]
    pub(crate) lookback: Option<u32>,

    /// Which days are read again although they are final.
    #[arg(long, value_enum, default_value_t = ReadAgain::Unsettled)]
    pub(crate) again: ReadAgain,

    /// Refuse a slice when more than so many percent of its records do not fit [default: never].
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) max_quarantined: Option<f64>,

    /// Let this host be reached without TLS and at a private address: a Matomo in the intranet (HOST or HOST:PORT).
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Option<String>,

    /// Write Prometheus metrics to this file after each run, for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) question: Question,

    /// Print one JSON object on standard output, with --schedule one a run.
    #[arg(long)]
    pub(crate) json: bool,

    /// Tell nothing of single slices.
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// What can be asked of the ledger instead of a run; no Matomo is needed.
#[derive(Debug, Args)]
#[group(id = "question", multiple = false)]
pub(crate) struct Question {
    /// Instead of a run: how fresh each stream is.
    #[arg(long)]
    pub(crate) status: bool,

    /// Instead of a run: the records that were set aside, one JSON line each, with place, line, offset and reason.
    #[arg(long)]
    pub(crate) quarantine: bool,

    /// Instead of a run: numbers that Matomo changed after they were loaded; of one metric, or of all.
    #[arg(long, value_name = "METRIC", num_args = 0..=1, default_missing_value = "")]
    pub(crate) revisions: Option<String>,

    /// Instead of a run: fields that came, went or changed their type.
    #[arg(long)]
    pub(crate) drift: bool,
}

impl Question {
    pub(crate) fn is_asked(&self) -> bool {
        self.status || self.quarantine || self.drift || self.revisions.is_some()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Missed {
    /// One run for all of them.
    Once,
    /// None.
    Skip,
}

impl From<Missed> for CatchUp {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Once => Self::Once,
            Missed::Skip => Self::Skip,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ReadAgain {
    /// None.
    Unsettled,
    /// Those with records that were set aside.
    Quarantined,
    /// All.
    All,
}

impl From<ReadAgain> for Again {
    fn from(again: ReadAgain) -> Self {
        match again {
            ReadAgain::Unsettled => Self::Unsettled,
            ReadAgain::Quarantined => Self::Quarantined,
            ReadAgain::All => Self::All,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 100 is wanted".to_owned()),
    }
}

impl Arguments {
    /// The days that are meant.
    pub(crate) fn extent(&self) -> Result<Extent, String> {
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default();
        let demo = self.demo.then(|| Extent::Days(Window::days(day(3, 27), day(3, 31))));
        match (self.from, self.to, demo) {
            (Some(from), Some(to), _) if from > to => Err(format!("--from {from} is after --to {to}")),
            (Some(from), Some(to), _) => Ok(Extent::Days(Window::days(from, to))),
            (None, _, Some(recorded)) => Ok(recorded),
            (since, ..) => Ok(Extent::Due { since }),
        }
    }

    /// The schedule, if there is one; its spread follows from the host's name.
    pub(crate) fn schedule(&self, seed: u64) -> mkt_connect::Result<Option<Schedule>> {
        let Some(expression) = &self.schedule else { return Ok(None) };
        let jitter = std::time::Duration::from_secs(self.jitter);
        Ok(Some(Schedule::new(expression, self.zone)?.jitter(jitter, seed)))
    }
}
