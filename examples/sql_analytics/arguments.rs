//! The command line.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Parser;
use mkt_connect::Channel;
use mkt_connect::chart::Lang;
use mkt_examples::{Step, option};
use mkt_warehouse::Dialect;
use mkt_warehouse::model::EventType;
use mkt_warehouse::report::{Report, Scope, Settings};
use std::path::PathBuf;
use std::time::Duration;

/// The steps of the funnel without `--steps`.
const STEPS: [&str; 3] = ["product_view", "add_to_cart", "purchase"];

/// Answers the questions of web marketing from a warehouse: conversion by channel, revenue per user, best hours, cohorts,
/// funnels, campaigns, paths, carts, and more. The warehouse is opened read-only.
#[derive(Debug, Parser)]
#[command(name = "sql_analytics", max_term_width = 80, after_help = reports(), after_long_help = long_help())]
pub(crate) struct Arguments {
    /// The warehouse: sqlite:PATH or postgres://user@host/database (password from PGPASSWORD or ~/.pgpass)
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,
    /// A report of the list below, or all
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(crate) report: String,
    /// First day, YYYY-MM-DD [default: the first with data]
    #[arg(long, value_name = "DAY", value_parser = option::day)]
    pub(crate) from: Option<NaiveDate>,
    /// Last day, included [default: the last with data]
    #[arg(long, value_name = "DAY", value_parser = option::day)]
    pub(crate) to: Option<NaiveDate>,
    /// The IANA zone that cuts hours, days and months [default: the site's, if all have one; else UTC]
    #[arg(long, value_name = "ZONE", value_parser = option::zone)]
    pub(crate) zone: Option<Tz>,
    /// Only this site [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// Only rows of this source [default: each site's system of record]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only sessions of these channels, and what happened in them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    channel: Vec<Channel>,
    /// Only sessions on these devices
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    device: Vec<String>,
    /// Only sessions of these campaigns
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    campaign: Vec<String>,
    /// top_hours: sessions that an hour needs to be listed
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_sessions: u32,
    /// funnel: its steps, two to eight event types
    #[arg(long, value_name = "EVENT", value_delimiter = ',', default_values = STEPS, value_parser = EventType::new)]
    steps: Vec<EventType>,
    /// funnel: days from the first step to the last
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=366))]
    window: u64,
    /// Campaigns and paths: days that a conversion looks back
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=366))]
    look_back: u64,
    /// abandoned_carts: minutes without activity
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    idle: u64,
    /// Rows shown of a report; --json and --csv hold all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) rows: usize,
    /// Print JSON: {"report", "columns", "rows", "not_loaded"}; of all reports a list
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the answers, with charts, as one self-contained page
    #[arg(long, value_name = "FILE.html")]
    pub(crate) page: Option<PathBuf>,
    /// Also write every row of every answer as REPORT.csv into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) csv: Option<PathBuf>,
    /// The language of text and page
    #[arg(long, value_name = "fr|en", default_value = "en", value_parser = option::language)]
    pub(crate) lang: Lang,
    /// Print the SQL of the question instead of running it, for the warehouse's engine or another one
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true, value_parser = option::dialect)]
    pub(crate) print_sql: Option<Option<Dialect>>,
}

impl Arguments {
    pub(crate) fn reports(&self) -> Step<Vec<Report>> {
        if self.report == "all" { Ok(Report::ALL.to_vec()) } else { Ok(vec![self.report.parse()?]) }
    }

    /// What decides the numbers beside the scope; `now` counts where the period is not over.
    pub(crate) fn settings(&self, now: DateTime<Utc>) -> Settings {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let mut settings = Settings::default().asked_at(now).look_back(days(self.look_back));
        settings.hours.minimum = self.min_sessions;
        settings.funnel.steps.clone_from(&self.steps);
        settings.funnel.window = days(self.window);
        settings.carts.idle = Duration::from_secs(self.idle * 60);
        settings
    }

    pub(crate) fn scope(&self, zone: Tz, first: NaiveDate, last: NaiveDate) -> Step<Scope> {
        let mut scope =
            Scope::days(zone.name(), first, last.succ_opt().ok_or("the last day is out of range")?)?;
        scope = self.site.iter().fold(scope, Scope::site);
        scope = self.source.iter().fold(scope, Scope::source);
        if !self.channel.is_empty() {
            scope = scope.channels(self.channel.iter().copied());
        }
        scope = if self.device.is_empty() { scope } else { scope.devices(&self.device)? };
        Ok(if self.campaign.is_empty() { scope } else { scope.campaigns(&self.campaign)? })
    }

    /// The scope where the options alone decide it.
    pub(crate) fn scope_without_warehouse(&self) -> Step<Option<Scope>> {
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(None) };
        self.scope(self.zone.unwrap_or(Tz::UTC), from, to).map(Some)
    }
}

fn reports() -> String {
    let lines = Report::ALL.map(|report| format!("  {:<22} {}\n", report.name(), report.title(Lang::En)));
    format!("REPORTS\n{}", lines.concat())
}

fn long_help() -> String {
    const REST: &str = "
  Robots are left out; a person known under several ids counts once; currencies
  are never added. Days that were not loaded are a gap, not zero: they have no
  row, a cohort's month without any loaded day is empty, and --json lists them
  as not_loaded.

EXIT CODE
  0    answered
  1    no such warehouse, report or site, or the warehouse failed
  2    invalid options
  130  interrupted by Ctrl-C

EXAMPLES
  cargo run --release --example sql_analytics -- \\
      --warehouse sqlite:shop.db --report top_hours --zone Europe/Paris
  cargo run --release --example sql_analytics -- \\
      --warehouse sqlite:shop.db --page answers.html --csv answers --lang fr
  cargo run --release --example sql_analytics -- \\
      --warehouse sqlite:shop.db --report arpu --print-sql";
    reports() + REST
}
