//! The options and help of `social_report`.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::{Parser, ValueEnum};
use mkt_connect::chart::Lang;
use mkt_connect::table::Encoding;
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch};
use mkt_examples::option;
use mkt_social::Outcome;
use mkt_social::csv::Field;
use std::path::PathBuf;

/// Engagement rates, average reach, trends and the best publishing hours of the posts in a CSV file
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 80,
    after_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// The CSV file of posts
    #[arg(long, value_name = "FILE")]
    pub(crate) posts: PathBuf,
    /// The zone of the hours, and of times without an offset
    #[arg(long, value_name = "ZONE", default_value = "Europe/Paris")]
    pub(crate) zone: Tz,
    /// When the file was exported [default: its last change]; posts younger than 48 hours then are skipped for the hours
    #[arg(long, value_name = "TIME")]
    pub(crate) read_at: Option<DateTime<Utc>>,
    /// The measure of the trend, the hours and the groups
    #[arg(long, value_enum, default_value_t = Measure::EngagementByReach)]
    pub(crate) measure: Measure,
    /// What a column of the file is: THEIRS=OURS, once per column
    #[arg(long, value_name = "THEIRS=OURS", value_parser = mapping)]
    pub(crate) map: Vec<(String, Field)>,
    /// How times are written [default: what has one meaning]
    #[arg(long, value_name = "FORMAT", value_parser = time_format)]
    pub(crate) time_format: Option<TimeFormat>,
    /// Dates such as 03/04/2026 begin with the day: --time-format day-first
    #[arg(long, conflicts_with = "time_format")]
    pub(crate) day_first: bool,
    /// The decimal mark: point or comma [default: groups of three digits are thousands]
    #[arg(long, value_name = "MARK")]
    pub(crate) decimal_mark: Option<DecimalMark>,
    /// The encoding: utf-8, windows-1252, utf-16le, utf-16be [default: detected]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<Encoding>,
    /// The delimiter: one character, or tab [default: detected]
    #[arg(long, value_name = "CHAR", value_parser = option::delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// Lines before the header [default: up to ten that are no header are skipped]
    #[arg(long, value_name = "N")]
    pub(crate) skip_lines: Option<u64>,
    /// The network of rows that do not name one
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// The language of report and page: en or fr
    #[arg(long, value_name = "LANG", default_value = "en")]
    pub(crate) lang: Lang,
    /// Writes the page `social_report.html` and every chart as SVG into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Writes every chart as PNG too, light and dark, into the same folder (needs the feature png)
    #[arg(long, requires = "out")]
    pub(crate) png: bool,
    /// Seed of the shuffles
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Prints the report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Measure {
    Reach,
    EngagementByReach,
    EngagementByImpressions,
    EngagementByFollowers,
}

impl From<Measure> for Outcome {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Reach => Self::Reach,
            Measure::EngagementByReach => Self::EngagementByReach,
            Measure::EngagementByImpressions => Self::EngagementByImpressions,
            Measure::EngagementByFollowers => Self::EngagementByFollowers,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum TimeFormat {
    Order(DateOrder),
    Epoch(Epoch),
    Pattern(String),
}

fn time_format(text: &str) -> Result<TimeFormat, String> {
    Ok(match text {
        "epoch-s" => TimeFormat::Epoch(Epoch::Seconds),
        "epoch-ms" => TimeFormat::Epoch(Epoch::Milliseconds),
        "epoch-us" => TimeFormat::Epoch(Epoch::Microseconds),
        pattern if pattern.contains('%') => TimeFormat::Pattern(pattern.to_owned()),
        order => TimeFormat::Order(order.parse().map_err(|_| {
            "expected day-first, month-first, epoch-s, epoch-ms, epoch-us, or a pattern with %".to_owned()
        })?),
    })
}

fn mapping(text: &str) -> Result<(String, Field), String> {
    let (theirs, ours) = text.rsplit_once('=').ok_or("expected THEIRS=OURS, such as Sent=published_at")?;
    Ok((theirs.to_owned(), ours.parse().map_err(|error| format!("{error}"))?))
}
