//! The command line.

use chrono::NaiveDate;
use clap::Parser;
use mkt_connect::Channel;
use mkt_connect::chart::Lang;
use mkt_warehouse::{Dialect, report};
use std::path::PathBuf;

/// Answers the questions of web marketing from a warehouse: conversion by channel, ARPU, best hours, cohorts, funnels,
/// campaigns, paths, carts, and more.
///
/// Each report states its definition; `--print-sql` shows the SQL that computes it, ready to run by hand.
#[derive(Debug, Parser)]
#[command(
    name = "sql_analytics",
    max_term_width = 120,
    after_help = reports(),
    after_long_help = after_long_help(),
)]
pub(crate) struct Arguments {
    /// Where from: sqlite:PATH or postgres://user@host/database (password from PGPASSWORD or ~/.pgpass).
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,

    /// A report of the list below, or all.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(crate) report: String,

    /// First day, YYYY-MM-DD, in the zone [default: the first with data].
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<NaiveDate>,

    /// Last day, included [default: the last with data].
    #[arg(long, value_name = "DAY")]
    pub(crate) to: Option<NaiveDate>,

    /// The IANA zone in which hours, days and months are cut [default: the site's, if there is one; else UTC].
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,

    /// Only this site [default: all].
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,

    /// Only what this source told [default: each site's system of record].
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,

    /// Only sessions of these channels, and what happened in them.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) channel: Vec<Channel>,

    /// Only sessions on these devices.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) device: Vec<String>,

    /// Only sessions of these campaigns.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) campaign: Vec<String>,

    /// Rows shown of a report; --json prints all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) rows: usize,

    /// Print JSON on standard output: {"report", "columns", "rows"}; of all reports a list.
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write the answers, with their charts, as one self-contained page.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) page: Option<PathBuf>,

    /// The language of the page.
    #[arg(long, value_name = "fr|en", default_value = "en", value_parser = language)]
    pub(crate) lang: Lang,

    /// Print the SQL instead of running it, for the warehouse's engine or another one.
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true, default_missing_value = "",
          value_parser = engine)]
    pub(crate) print_sql: Option<Engine>,
}

/// The engine whose SQL is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// That of the warehouse's URL.
    OfWarehouse,
    /// This one.
    Named(Dialect),
}

fn engine(text: &str) -> Result<Engine, String> {
    if text.is_empty() {
        return Ok(Engine::OfWarehouse);
    }
    let known = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == text);
    known.map(Engine::Named).ok_or_else(|| {
        let names: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.as_str()).collect();
        format!("known engines: {}", names.join(", "))
    })
}

fn language(text: &str) -> Result<Lang, String> {
    match text {
        "fr" => Ok(Lang::Fr),
        "en" => Ok(Lang::En),
        _ => Err("fr or en".to_owned()),
    }
}

fn reports() -> String {
    let mut text = "REPORTS\n".to_owned();
    for report in report::Report::ALL {
        let first = report.describe().split(". ").next().unwrap_or_default();
        text.push_str(&format!("  {}\n      {}\n", report.name(), first.trim_end_matches('.')));
    }
    text
}

fn after_long_help() -> String {
    format!(
        "{}
  Robots are left out; a person known under several ids counts once; currencies are never added.

EXIT CODE
  0    answered
  1    there is no such warehouse, report, site or zone, or it failed; standard error says which
  2    the options do not read

EXAMPLES
  cargo run --release --example sql_analytics -- --warehouse sqlite:target/shop.db --report top_hours \\
      --zone Europe/Paris
  cargo run --release --example sql_analytics -- --warehouse sqlite:target/shop.db --report arpu --print-sql
  cargo run --release --example sql_analytics -- --warehouse postgres://me@localhost/marketing --json",
        reports()
    )
}
