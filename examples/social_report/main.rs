//! How posts were received, and whether the hour matters, from a CSV file:
//! `cargo run --release --example social_report -- --posts examples/data/social_posts.csv --out report`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod page;
mod report;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Parser, ValueEnum};
use mkt_connect::chart::Lang;
use mkt_connect::sentence;
use mkt_social::source::csv::{CsvSource, DateOrder};
use mkt_social::{Outcome, Request, Sheet, SocialSourceExt};
use report::Report;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Engagement rates, average reach, trends and the best publishing hours of the posts in a CSV file
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Columns are found by their usual English and French names (post_id, platform, published_at, type, likes, comments, shares, \
saves, reach, impressions, followers, paid); separator and encoding are found out. Rows that cannot be used are counted and \
named by line.

With --json: {posts, quarantined, average_reach, engagement_rate: {by_reach: {mean_of_ratios, ratio_of_sums, n}, …},
  best_hours: {verdict, p_value, hours: [{hour, n, estimate, low, high}] best first}}. Rates are ratios: 0.05 is 5 %.

Example:
  cargo run --release --example social_report -- --posts examples/data/social_posts.csv --lang fr --out report"
)]
struct Arguments {
    /// The posts
    #[arg(long, value_name = "FILE")]
    posts: PathBuf,
    /// The zone of the hours, and of times that are written without one
    #[arg(long, value_name = "ZONE", default_value = "Europe/Paris")]
    zone: Tz,
    /// When the numbers were true; the file's last change unless told. Posts younger than 48 hours then are set apart
    #[arg(long, value_name = "TIME")]
    read_at: Option<DateTime<Utc>>,
    /// What the trend, the hours and the groups are measured by
    #[arg(long, value_enum, default_value_t = Measure::EngagementByReach)]
    measure: Measure,
    /// Dates such as 03/04/2026 begin with the day
    #[arg(long)]
    day_first: bool,
    /// The language of report and page: en or fr
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: Lang,
    /// Writes the page `social_report.html` and every chart as SVG into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes every chart as PNG too, light and dark, into the same folder (needs the feature png)
    #[arg(long, requires = "out")]
    png: bool,
    /// Seed of the shuffles
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Prints the report as one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Measure {
    Reach,
    EngagementByReach,
    EngagementByImpressions,
    EngagementByFollowers,
}

impl Measure {
    fn outcome(self) -> Outcome {
        match self {
            Self::Reach => Outcome::Reach,
            Self::EngagementByReach => Outcome::EngagementByReach,
            Self::EngagementByImpressions => Outcome::EngagementByImpressions,
            Self::EngagementByFollowers => Outcome::EngagementByFollowers,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("social_report: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Step<String> {
    if arguments.png && !cfg!(feature = "png") {
        return Err("this build writes no PNG; build it with -p mkt-examples --features png".into());
    }
    let named = |cause: std::io::Error| format!("{}: {cause}", arguments.posts.display());
    let read_at = match arguments.read_at {
        Some(read_at) => read_at,
        None => fs::metadata(&arguments.posts).and_then(|file| file.modified()).map_err(named)?.into(),
    };
    let mut source = CsvSource::open(&arguments.posts, read_at).zone(arguments.zone);
    if arguments.day_first {
        source = source.date_order(DateOrder::DayFirst);
    }
    // Only the page shows texts.
    let sheet = if arguments.out.is_some() { Sheet::new() } else { Sheet::without_details() };
    let read = source.read_into(&Request::all(), sheet).await?;
    let posts = read.sheet.measured();
    let report = Report::new(&posts, &read, arguments.measure.outcome(), arguments.zone, arguments.seed);
    if let Some(folder) = &arguments.out {
        fs::create_dir_all(folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
        for (name, bytes) in page::files(&report, &posts, arguments.lang, arguments.png)? {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|cause| format!("{}: {cause}", path.display()))?;
        }
    }
    Ok(if arguments.json { report.json().to_string() } else { report.text(arguments.lang) })
}
