//! The command line.

use chrono_tz::Tz;
use clap::Parser;
use mkt_email::Mailbox;
use mkt_examples::option;
use std::path::PathBuf;

/// The files that a run needs.
#[rustfmt::skip]
pub(crate) const FILES: [&str; 7] = [
    "sessions.csv", "events.csv", "customers.csv", "costs.csv", "inscrits.csv", "social_posts.csv", "user_behavior.csv",
];

/// The whole marketing loop on one machine, without an account and without a server.
///
/// Loads the visits of a Matomo (a replay of recorded answers on loopback) and a second site's CSV files into one SQLite
/// file, answers the four questions of the course, measures social posts, predicts conversion, writes welcome and cart
/// emails as .eml files through the durable outbox, and shows it all in report.html. With --data it reads that folder and
/// nothing else. Run it again: nothing changes, and it says so.
#[derive(Debug, Parser)]
#[command(
    name = "quickstart",
    max_term_width = 80,
    after_long_help = "\
WHAT IT WRITES INTO THE OUTPUT DIRECTORY
  report.html        one self-contained page with every table and chart
  mkt.sqlite         the warehouse, the load ledger and the mail outbox
  model.mkt          the forest, with its encoder and schema
  mails/             one .eml per email
  send_log.ndjson    who was sent what, when, with which outcome (mode 0600)
  To begin anew remove the whole directory: its parts depend on each other.

WHAT IT READS FROM THE DATA DIRECTORY
  sessions.csv, events.csv, customers.csv, costs.csv: a site, in the course's
  columns; inscrits.csv, social_posts.csv, user_behavior.csv: sign-ups,
  posts, behaviour.
  `cargo run --release --example make_sample_data -- --help` makes such a
  directory of any size.

KEYS OF --json
  out, seconds, now, visits, events, sessions,
  not_loaded: [{site, first, last}],
  reports: {{conversion_by_channel, arpu, top_hours, cohort_retention}:
    {report, columns, rows}},
  social: {posts, quarantined, average_reach,
    engagement_rate: {by_reach: {ratio_of_sums, mean_of_ratios, n}},
    best_hours: {verdict, p_value, hours: [{hour, n, estimate, low, high}]}},
  model: {rows, auc_roc, accuracy, precision, recall, f1,
    logistic: {auc_roc, accuracy, precision, recall, f1},
    importances: [{feature, importance}], reloaded_equal},
  mails: {accepted, already_sent, suppressed, unreachable, quarantined,
    pending, unknown},
  etl: {{matomo_march, matomo_october, shop}:
    {slices, rows, quarantined, revised, replayed}},
  changed

  now: the last instant of the data, at which emails are due. visits: given by
  the sources; sessions and events: held by the warehouse. not_loaded: days of
  a site between the first and the last of the data that were not loaded: a gap
  in every report, not zero. Rows of reports are lists in the order of columns;
  conversion and retention are percentages, engagement rates are ratios. Hours
  are those of --zone, the best first. model: the forest. accepted: in this
  run; already_sent: in earlier ones; suppressed: no consent; unreachable: no
  address. etl.*.slices counts by state, etl.*.rows by table; matomo_* only in
  the demo. changed: false when the run found everything as it left it.

EXIT CODE
  0    everything is there
  1    something is wrong with the data or the output directory; standard
       error ends with a sentence that says what
  2    invalid options
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example quickstart
  cargo run --release --example quickstart -- \\
      --data my_files --out my_shop --site shop.example \\
      --sender 'My Shop <hello@shop.example>'"
)]
pub(crate) struct Arguments {
    /// Where everything is written; created where missing, run into it again to go on.
    #[arg(long, value_name = "DIR", default_value = "target/quickstart")]
    pub(crate) out: PathBuf,

    /// Reads your files, and nothing else, from this folder [default: the demo, which is examples/data of this repository
    /// and the recorded Matomo].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The site that the files belong to.
    #[arg(long, value_name = "NAME", default_value = "shop")]
    pub(crate) site: String,

    /// Who the emails are from; with --data none are written without it [default: the demo's shop].
    #[arg(long, value_name = "NAME <ADDRESS>")]
    sender: Option<Mailbox>,

    /// The zone in which days and hours are cut.
    #[arg(long, value_name = "ZONE", default_value = "Europe/Paris", value_parser = option::zone)]
    pub(crate) zone: Tz,

    /// Reads the recorded Matomo too where --data names your files.
    #[arg(long)]
    recording: bool,

    /// Seed of the split, the forest and the permutation test.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,

    /// Print one JSON object on standard output instead of the summary; progress stays on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The data folder: as asked, else the repository's, whether run from its root or from elsewhere.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| {
            let here = PathBuf::from("examples/data");
            if here.is_dir() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")) }
        })
    }

    /// Whether the recorded Matomo takes part.
    pub(crate) fn recording(&self) -> bool {
        self.recording || self.data.is_none()
    }

    pub(crate) fn sender(&self) -> Option<Mailbox> {
        let demo = || "La Maison du Thé <bonjour@shop.example.org>".parse().ok().filter(|_| self.recording());
        self.sender.clone().or_else(demo)
    }
}
