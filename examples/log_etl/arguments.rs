//! The command line.

use chrono_tz::Tz;
use clap::Parser;
use mkt_connect::Secret;
use mkt_etl::access_log::{AccessLog, AccessLogBuilder, Format};
use mkt_etl::sessions::Rules;
use mkt_examples::option::zone;
use mkt_examples::warehouse::{Target, sqlite_path};
use mkt_examples::{Step, visitor_secret};
use std::path::PathBuf;

/// Loads access logs of web servers into a warehouse: visits, page views and downloads of people.
///
/// Give all files that hold lines of the days in question, in any order, plain, gzip or Zstandard. Loading them again
/// changes nothing; a log that grew replaces its days, each whole or not at all.
#[derive(Debug, Parser)]
#[command(
    name = "log_etl",
    max_term_width = 80,
    after_long_help = "\
FORMATS
  combined, vhost, common, vhost-common (nginx, Apache), json (nginx, Apache,
  Traefik), caddy, haproxy, w3c (IIS, CloudFront), elb, alb. Found for each file
  by its first lines, and said.

KEYS OF --json
  read, loaded, bots, quarantined, events, sessions, changed, found_host,
  files, seconds
  read = loaded + bots + quarantined: lines of people, of robots, and lines that
  do not fit. events: page views and downloads among the loaded lines; the
  others are numbers in dimension_metrics (report requests, by what becomes of
  them; report bots, by the rule that fired).

VISITORS
  A visitor is a hash of address, agent and a salt of the day. No address is
  stored. The salt comes from a secret: the environment variable MKT_LOG_SECRET,
  or --secret-file, which is made when it is missing. Keep it: with another
  secret the same lines give other visitors.

EXIT CODE
  0    everything that fits is there
  1    nothing could be read, or the warehouse failed; standard error says why
  2    invalid options
  3    the files hold lines, and none of them fits
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example log_etl -- --log examples/data/access.log \\
      --warehouse sqlite:target/log.db --zone Europe/Paris
  cargo run --release --example log_etl -- --log /var/log/nginx/access.log* \\
      --warehouse postgres://me@localhost/marketing --site shop \\
      --secret-file ~/.config/shop.secret --rules matomo --json"
)]
pub(crate) struct Arguments {
    /// The files of the log; may be repeated.
    #[arg(long = "log", value_name = "FILE", num_args = 1.., required = true)]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// The format of all files [default: found for each].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The site that the rows belong to.
    #[arg(long, value_name = "NAME", default_value = "shop")]
    site: String,
    /// The zone in which the site's days are cut.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Tz,
    /// The zone of times written without an offset (HAProxy) [default: the site's].
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    times_in: Option<Tz>,
    /// A host of the site, whose pages as referrers bring nobody; may be repeated [default: found, and said].
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// When a visit ends: default (30 minutes without a page), matomo, ga4 or at_internet.
    #[arg(long, value_name = "RULES", default_value = "default")]
    rules: Rules,
    /// The file of the secret behind the visitors' keys [default: beside a SQLite file, as NAME.visitor-secret].
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Allow that page views of the files' days that are not in the files any more are removed.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The source that the options describe.
    pub(crate) fn source(&self) -> Step<AccessLog> {
        let builder = AccessLog::builder(&self.site, self.zone, self.secret()?).rules(self.rules);
        let builder = self.logs.iter().fold(builder, AccessLogBuilder::file);
        let builder = self.hosts.iter().fold(builder, AccessLogBuilder::host);
        let builder = self.times_in.into_iter().fold(builder, AccessLogBuilder::times_in);
        Ok(self.format.into_iter().fold(builder, AccessLogBuilder::format).build()?)
    }

    fn secret(&self) -> Step<Secret> {
        if let Some(secret) = Secret::from_env("MKT_LOG_SECRET") {
            return Ok(secret);
        }
        let beside =
            || sqlite_path(&self.target.warehouse).map(|path| path.with_added_extension("visitor-secret"));
        let path = self.secret_file.clone().or_else(beside);
        let path = path.ok_or("missing secret: name --secret-file FILE, or set MKT_LOG_SECRET")?;
        visitor_secret::of(&path)
    }
}
