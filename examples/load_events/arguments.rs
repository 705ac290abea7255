//! The command line.

use chrono_tz::Tz;
use clap::Parser;
use mkt_connect::table::Encoding;
use mkt_connect::table::cell::DecimalMark;
use mkt_connect::{Channel, Currency};
use mkt_etl::csv::{CsvBuilder, CsvSource, key_of};
use mkt_examples::option::{delimiter, pair, zone};
use std::path::PathBuf;

/// Loads events, sessions, customers and costs from delimited text files into a warehouse.
///
/// Loading the same files again changes nothing. Loading other files under the same key replaces what the key held, day by
/// day, each day whole or not at all; rows of days that the files do not cover stay, unless --replace allows to remove
/// them. Rows that do not fit are set aside with line and reason; the others are loaded.
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
  Other names: --map. Encoding, delimiter, decimal mark and date order are found out and said.
  Known by their header: RetailRocket, REES46, Olist orders, UCI Online Retail, Shopify orders, GA4 events.
  Reports on visits need the sessions.

KEYS OF --json
  read, loaded, quarantined, replayed, duplicates, days_changed, removed, removed_of_other_days,
  elsewhere, files, seconds
  read = loaded + replayed + quarantined + duplicates. loaded: rows of days written now; replayed: rows
  that stand there already, unchanged; duplicates: rows that repeat an earlier row of the file, or stand
  there under another key (elsewhere). removed: rows of this key that are not in the files any more.

EXIT CODE
  0    everything that fits is there; a file of a header only is empty, and said to be
  1    nothing could be read, or the warehouse failed; standard error says why in one sentence
  2    the options do not read
  3    the files hold rows, and none of them fits
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example load_events -- --warehouse sqlite:target/shop.db \\
      --events examples/data/events.csv --sessions examples/data/sessions.csv --zone Europe/Paris
  cargo run --release --example load_events -- --warehouse postgres://me@localhost/marketing \\
      --events january.csv --map visitor=user_id --time-format epoch-ms --json"
)]
pub(crate) struct Arguments {
    /// Where to: sqlite:PATH or postgres://user@host/database (password from PGPASSWORD or ~/.pgpass).
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,

    /// Creates the tables beside those of somebody else where the database holds some.
    #[arg(long)]
    pub(crate) init: bool,
    /// Events.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["sessions", "customers", "costs"])]
    events: Option<PathBuf>,
    /// Sessions.
    #[arg(long, value_name = "FILE")]
    sessions: Option<PathBuf>,
    /// Customers: user_id, and segment, lang, signed_up_at, consent.
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    /// Costs: day, channel, source, medium, campaign, impressions, clicks, cost, currency.
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Under which name these files are kept: the same key replaces, another adds [default: the path of the first file].
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Remove the rows of this key of days that the files do not cover.
    #[arg(long)]
    pub(crate) replace: bool,
    /// The site that the rows belong to.
    #[arg(long, value_name = "NAME", default_value = "shop")]
    site: String,
    /// The zone in which the site's days are cut.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Tz,
    /// The zone of times written without an offset.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    times_in: Tz,
    /// The currency of rows that name none.
    #[arg(long, value_name = "CODE", default_value = "EUR")]
    currency: Currency,
    /// Read a column of the files as one of ours: visitor=user_id. May be repeated.
    #[arg(long = "map", value_name = "THEIRS=OURS", value_parser = pair)]
    maps: Vec<(String, String)>,
    /// Read a word for a channel as one of ours: flyer=other. May be repeated.
    #[arg(long = "channel", value_name = "WORD=CHANNEL", value_parser = channel)]
    channels: Vec<(String, Channel)>,
    /// How times are written: epoch-s, epoch-ms, epoch-us, day-first, month-first, or a pattern such as %d.%m.%Y %H:%M.
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    /// The decimal mark of amounts: point or comma [default: proven by the file].
    #[arg(long, value_name = "MARK")]
    decimal_mark: Option<DecimalMark>,
    /// The encoding: utf-8, windows-1252, utf-16le, utf-16be [default: found out].
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// The delimiter, or tab [default: found out].
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Lines before the header.
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip_lines: u64,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

fn channel(text: &str) -> Result<(String, Channel), String> {
    let (word, channel) = pair(text).map_err(|_| "expected WORD=CHANNEL".to_owned())?;
    let names = Channel::ALL.map(Channel::as_str).join(", ");
    Ok((word, channel.parse().map_err(|_| format!("expected a channel: {names}"))?))
}

impl Arguments {
    /// The source that the options describe.
    pub(crate) fn source(&self) -> mkt_connect::Result<CsvSource> {
        let paths = [&self.events, &self.sessions, &self.customers, &self.costs];
        let first = paths.into_iter().flatten().next().map(PathBuf::as_path).unwrap_or_else(|| "".as_ref());
        let mut builder = CsvSource::builder(&self.site, self.zone)
            .times_in(self.times_in)
            .currency(self.currency)
            .skip_lines(self.skip_lines)
            .key(self.key.clone().unwrap_or_else(|| key_of(first)));
        let files: [fn(CsvBuilder, PathBuf) -> CsvBuilder; 4] =
            [CsvBuilder::events, CsvBuilder::sessions, CsvBuilder::customers, CsvBuilder::costs];
        for (path, file) in paths.into_iter().zip(files) {
            builder = path.iter().fold(builder, |builder, path| file(builder, path.clone()));
        }
        builder = self.maps.iter().fold(builder, |builder, (theirs, ours)| builder.rename(theirs, ours));
        builder = self.channels.iter().fold(builder, |builder, (word, ours)| builder.channel(word, *ours));
        builder = self.time_format.iter().fold(builder, |builder, format| builder.time_format(format));
        builder = self.decimal_mark.into_iter().fold(builder, CsvBuilder::decimal_mark);
        builder = self.encoding.into_iter().fold(builder, CsvBuilder::encoding);
        self.delimiter.into_iter().fold(builder, CsvBuilder::delimiter).build()
    }
}
