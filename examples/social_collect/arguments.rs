//! The options and help of `social_collect`.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{ArgGroup, Parser, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Network {
    Facebook,
    Instagram,
    Bluesky,
    Mastodon,
}

/// Collects the posts of a Facebook page, an Instagram business account, a Bluesky or a Mastodon account, with their metrics
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 80,
    // As one line it is 107 characters long.
    override_usage = "social_collect [OPTIONS] --network <NETWORK> --account <ID> \\\n       \
                      <--out <FILE>|--warehouse <URL>|--plan>",
    group = ArgGroup::new("into").args(["out", "warehouse", "plan"]).required(true),
    after_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// The network
    #[arg(long, value_enum)]
    pub(crate) network: Network,
    /// The page's or account's id; a handle for Bluesky, a name for Mastodon
    #[arg(long, value_name = "ID")]
    pub(crate) account: String,
    /// Writes a CSV file, in the columns that social_report reads
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Adds to a warehouse: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// Creates the warehouse's tables beside those of somebody else, where the database holds some
    #[arg(long, requires = "warehouse")]
    pub(crate) init: bool,
    /// Prints the number of calls that a read takes, and makes none
    #[arg(long)]
    pub(crate) plan: bool,
    /// Posts published at this time or later, instead of those since the last complete run
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Days before the last complete run whose posts are read again: their metrics still change
    #[arg(long, value_name = "DAYS", default_value_t = 28)]
    pub(crate) reread: u16,
    /// The site or brand in the warehouse [default: the account]
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// The zone of the warehouse's days
    #[arg(long, value_name = "ZONE", default_value = "Europe/Paris")]
    pub(crate) zone: Tz,
    /// Largest number of calls per hour to Meta
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) calls_per_hour: u32,
    /// The version of the Graph API
    #[arg(long, value_name = "VERSION", default_value = "v26.0")]
    pub(crate) api_version: String,
    /// Another server: https://graph.instagram.com, the Mastodon server, a fake
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// A host that may be reached over plain http, for a fake server
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Option<String>,
    /// Prints one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
