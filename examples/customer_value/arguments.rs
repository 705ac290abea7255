//! The command line.

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::{Parser, ValueEnum};
use mkt_connect::table::cell::DecimalMark;
use mkt_examples::option::{day, delimiter, zone};
use mkt_examples::output::Output;
use mkt_ml::lifetime::Family;
use std::path::PathBuf;

/// What customers will buy and spend, and who is still one.
#[derive(Debug, Parser)]
#[command(
    name = "customer_value",
    mut_arg("charts", |it| it.requires("hold_out").help("Draws what was foretold of the time held out as SVG into this folder")),
    max_term_width = 80,
    after_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// Delimited text with one purchase a row, in any order.
    #[arg(long, value_name = "FILE", required_unless_present = "warehouse", conflicts_with = "warehouse")]
    pub(crate) data: Option<PathBuf>,
    /// The purchases of a warehouse instead: sqlite:PATH or postgres://user@host/database.
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// The model of when customers buy and leave.
    #[arg(long, value_enum, default_value_t = Kind::Best)]
    pub(crate) model: Kind,
    /// How far ahead, in weeks.
    #[arg(long, value_name = "WEEKS", default_value_t = 52.0)]
    pub(crate) horizon: f64,
    /// What later money is worth less by, a year: 0.1 is 10 %.
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub(crate) discount: f64,
    /// Fits to all but the last weeks, and compares what was foretold of them with what came.
    #[arg(long, value_name = "WEEKS")]
    pub(crate) hold_out: Option<u32>,
    /// The last day observed [default: that of the last purchase].
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) until: Option<NaiveDate>,
    /// The IANA zone that days are cut in.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub(crate) zone: Tz,
    /// The source whose purchases count, in a warehouse with several.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// The currency of a warehouse with several.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// Customers shown, those worth most first; --json prints all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) rows: usize,
    /// What separates the columns [default: found out].
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The decimal mark of the values: point or comma.
    #[arg(long, value_name = "MARK", default_value = "point")]
    pub(crate) decimal: DecimalMark,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The models on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// BG/NBD
    BgNbd,
    /// Modified BG/NBD: customers may leave after the first purchase
    MbgNbd,
    /// Pareto/NBD
    ParetoNbd,
    /// That of the highest likelihood
    Best,
}

impl Kind {
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self::BgNbd => Some(Family::BgNbd),
            Self::MbgNbd => Some(Family::MbgNbd),
            Self::ParetoNbd => Some(Family::ParetoNbd),
            Self::Best => None,
        }
    }
}
