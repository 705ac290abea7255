//! The command line.

use chrono_tz::Tz;
use clap::Parser;
use mkt_connect::{Channel, Currency};
use mkt_etl::csv::{CsvBuilder, CsvSource, key_of};
use mkt_examples::option::{pair, zone};
use mkt_examples::table::FileOptions;
use mkt_examples::warehouse::Target;
use mkt_warehouse::model::EventType;
use std::path::PathBuf;

/// Loads events, sessions, customers and costs from delimited text files into a warehouse.
///
/// Loading the same files again changes nothing. Loading other files under the same key replaces what the key held, day by
/// day, each day whole or not at all; rows of days that the files do not cover stay, unless --replace allows to remove
/// them. Rows that do not fit are set aside with line and reason; the others are loaded.
#[derive(Debug, Parser)]
#[command(
    name = "load_events",
    max_term_width = 80,
    after_long_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
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
    /// Read a word for a channel as one of ours: flyer=other. May be repeated.
    #[arg(long = "channel", value_name = "WORD=CHANNEL", value_parser = channel)]
    channels: Vec<(String, Channel)>,
    /// What every row of the events is, where no column says it: purchase, for an export of orders.
    #[arg(long, value_name = "TYPE", value_parser = EventType::new)]
    event_type: Option<EventType>,
    /// The channel of rows that name none.
    #[arg(long, value_name = "CHANNEL")]
    default_channel: Option<Channel>,
    /// Take only events of this value: Status=paid; the others are set aside. May be repeated, values of one column add up.
    #[arg(long = "only", value_name = "COLUMN=VALUE", value_parser = pair)]
    only: Vec<(String, String)>,
    /// How times are written: epoch-s, epoch-ms, epoch-us, day-first, month-first, or a pattern such as %d.%m.%Y %H:%M.
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    #[command(flatten)]
    file: FileOptions,
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
            .skip_lines(self.file.skip_lines)
            .key(self.key.clone().unwrap_or_else(|| key_of(first)));
        let files: [fn(CsvBuilder, PathBuf) -> CsvBuilder; 4] =
            [CsvBuilder::events, CsvBuilder::sessions, CsvBuilder::customers, CsvBuilder::costs];
        for (path, file) in paths.into_iter().zip(files) {
            builder = path.iter().fold(builder, |builder, path| file(builder, path.clone()));
        }
        builder = self.file.map.iter().fold(builder, |builder, (theirs, ours)| builder.rename(theirs, ours));
        builder = self.channels.iter().fold(builder, |builder, (word, ours)| builder.channel(word, *ours));
        builder = self.time_format.iter().fold(builder, |builder, format| builder.time_format(format));
        builder = self.file.decimal_mark.into_iter().fold(builder, CsvBuilder::decimal_mark);
        builder = self.file.encoding.into_iter().fold(builder, CsvBuilder::encoding);
        builder = self.event_type.iter().cloned().fold(builder, CsvBuilder::event_type);
        builder = self.default_channel.into_iter().fold(builder, CsvBuilder::default_channel);
        builder = self.only.iter().fold(builder, |builder, (column, value)| builder.only(column, value));
        self.file.delimiter.into_iter().fold(builder, CsvBuilder::delimiter).build()
    }
}
