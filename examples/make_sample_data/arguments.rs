//! The command line.

use chrono::NaiveDate;
use clap::Parser;
use mkt_examples::option::day;
use std::path::PathBuf;

/// Write the data of an imaginary tea shop, of any size, with known truths planted in it.
///
/// Visitors, sessions, events, sign-ups, customers, campaign costs, social posts and a web server log that fit
/// together: a purchase lies in its session, who signs up is in inscrits.csv, tagged visits are in costs.csv.
/// A best hour, an effect of the channel, a retention and a conversion model are planted and written to
/// truth.json, so that a report or a model can be checked against what is true.
#[derive(Debug, Parser)]
#[command(name = "make_sample_data", after_long_help = include_str!("help.txt"), max_term_width = 80)]
pub(crate) struct Arguments {
    /// How many visitors (1 to 10 000 000); a visitor comes about 2.5 times in six months
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) users: u32,
    /// Another seed, another world
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Directory to write into, created where missing; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// First day
    #[arg(long, value_name = "DAY", default_value = "2026-05-01", value_parser = day)]
    pub(crate) start: NaiveDate,
    /// Last day, included; the default crosses the clock change of 25 October
    #[arg(long, value_name = "DAY", default_value = "2026-10-26", value_parser = day)]
    pub(crate) end: NaiveDate,
    /// One visitor in K has its requests in access.log
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) log_one_in: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
