//! The command line.

use chrono_tz::Tz;
use clap::Parser;
use mkt_connect::Currency;
use std::path::PathBuf;

/// Loads events, and sessions, from CSV files in the course's columns into a warehouse.
///
/// Loading the same files again changes nothing. Loading other files under the same key replaces what the key held, day
/// by day, each day whole or not at all. Rows that do not fit are set aside with line and reason; the others are loaded.
#[derive(Debug, Parser)]
#[command(
    name = "load_events",
    max_term_width = 120,
    after_long_help = "\
COLUMNS
  events    user_id, event_type, timestamp, channel; may: event_id, revenue, properties (JSON),
            session_id, currency; any other column becomes a property
  sessions  session_id, user_id, start_time, end_time, pages_viewed, converted, channel;
            may: device, landing_url, referrer
  Comma, semicolon or tab; UTF-8 or Windows-1252. Reports on visits need the sessions.

KEYS OF --json
  read, loaded, quarantined, replayed, duplicates, days_changed, seconds
  read = loaded + replayed + quarantined + duplicates. loaded: rows written now; replayed: rows that
  stand there already, unchanged; duplicates: rows that repeat an earlier row of the file.

EXIT CODE
  0    everything that fits is there
  1    nothing could be read, or the warehouse failed; standard error says why in one sentence
  2    the options do not read
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example load_events -- --warehouse sqlite:target/shop.db \\
      --events examples/data/events.csv --sessions examples/data/sessions.csv --zone Europe/Paris
  cargo run --release --example load_events -- --warehouse postgres://me@localhost/marketing \\
      --events january.csv --key january --json"
)]
pub(crate) struct Arguments {
    /// Where to: sqlite:PATH or postgres://user@host/database (password from PGPASSWORD or ~/.pgpass).
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,

    /// Events in CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: PathBuf,

    /// Sessions in CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) sessions: Option<PathBuf>,

    /// Under which name these files are kept: the same key replaces, another adds [default: the name of the events
    /// file without its ending].
    #[arg(long, value_name = "NAME")]
    key: Option<String>,

    /// The site that the rows belong to.
    #[arg(long, value_name = "NAME", default_value = "shop")]
    pub(crate) site: String,

    /// The zone in which the site's days are cut.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: Tz,

    /// The zone of times written without an offset.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) times_in: Tz,

    /// The currency of rows that name none.
    #[arg(long, value_name = "CODE", default_value = "EUR")]
    pub(crate) currency: Currency,

    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The key of the files.
    pub(crate) fn key(&self) -> String {
        self.key.clone().unwrap_or_else(|| {
            let stem = self.events.file_stem().unwrap_or_default().to_string_lossy();
            let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
            stem.chars().map(plain).take(64).collect()
        })
    }
}
