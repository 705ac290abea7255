//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// The whole marketing loop on one machine, without an account and without a server.
///
/// Extracts visits from a Matomo (a replay of recorded answers on loopback) and a second site from CSV files, loads
/// both into one SQLite file, answers the four questions of the course, looks at social posts, predicts conversion,
/// writes welcome and cart relaunch mails as .eml files through the durable outbox, and shows it all in report.html.
/// Run it again: it changes nothing and says so.
#[derive(Debug, Parser)]
#[command(
    name = "quickstart",
    max_term_width = 120,
    after_long_help = "\
WHAT IT WRITES INTO THE OUTPUT DIRECTORY
  report.html        one self-contained page with every table and chart
  mkt.sqlite         the warehouse, the load ledger and the mail outbox
  model.mkt          the forest, with its encoder and schema
  mails/             one .eml per mail
  send_log.ndjson    who was written to, when, with which outcome (mode 0600)
  To begin anew remove the whole directory: its parts know each other.

WHAT IT READS FROM THE DATA DIRECTORY
  sessions.csv events.csv customers.csv costs.csv     the second site, in the course's columns
  inscrits.csv social_posts.csv user_behavior.csv     sign-ups, posts, behaviour
  `cargo run --release --example make_sample_data -- --help` makes such a directory of any size.

KEYS OF --json
  out, seconds, now, visits, events, sessions,
  reports: {{conversion_by_channel, arpu, top_hours, cohort_retention}: {report, columns, rows}},
  social: {posts, quarantined, average_reach,
    engagement_rate: {by_reach: {ratio_of_sums, mean_of_ratios, n}},
    best_hours: {verdict, p_value, hours: [{hour, n, estimate, low, high}]}},
  model: {rows, auc_roc, accuracy, precision, recall, f1,
    logistic: {auc_roc, accuracy, precision, recall, f1},
    importances: [{feature, importance}], reloaded_equal},
  mails: {accepted, already_sent, suppressed, unreachable, quarantined, pending, unknown},
  etl: {{matomo_march, matomo_october, shop}: {slices, rows, quarantined, revised, replayed}},
  changed

  now: the last instant of the data, at which mails are due. visits: told by the sources; sessions
  and events: held by the warehouse. Rows of reports are lists in the order of columns; conversion
  and retention are percentages, engagement rates are ratios. Hours are those of Europe/Paris, the
  best first. model: the forest. accepted: in this run; already_sent: in earlier ones; suppressed:
  no consent; unreachable: no address. etl.*.slices counts by state, etl.*.rows by table. changed:
  false when the run found everything as it left it.

EXIT CODE
  0    everything is there
  1    something is wrong with the data or the output directory; standard error ends with a
       sentence that says what
  2    the options do not read
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example quickstart
  cargo run --release --example quickstart -- --out /tmp/shop --json | jq .reports.arpu"
)]
pub(crate) struct Arguments {
    /// Where everything is written; created where missing, run into it again to go on.
    #[arg(long, value_name = "DIR", default_value = "target/quickstart")]
    pub(crate) out: PathBuf,

    /// Where the CSV files are [default: examples/data of this repository].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Seed of the split, the forest and the permutation test.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,

    /// Print one JSON object on standard output instead of the summary; progress stays on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The data directory: as asked, else the repository's, whether run from its root or from elsewhere.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| {
            let here = PathBuf::from("examples/data");
            if here.is_dir() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")) }
        })
    }
}
