//! Answers the course's questions, and others, from a warehouse:
//! `cargo run --release --example sql_analytics -- --warehouse sqlite:shop.db --report all`.
//!
//! The warehouse is opened read-only: a file that is asked about is never changed.

mod answered;
mod arguments;

use answered::{Answered, Asked};
use arguments::Arguments;
use chrono::Utc;
use clap::Parser;
use mkt_connect::ErrorKind;
use mkt_examples::{Answer, Program, Step, file, progress, warehouse};
use mkt_warehouse::report::{Coverage, Report, Scope, days_held, site_zone, sites};
use mkt_warehouse::{Dialect, Warehouse};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("sql_analytics").interrupted("interrupted; nothing was written").run(run(&arguments))
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    let reports = arguments.reports()?;
    let settings = arguments.settings(Utc::now());
    if let Some(engine) = arguments.print_sql {
        let dialect = match engine {
            Some(dialect) => dialect,
            None if arguments.warehouse.starts_with("sqlite:") => Dialect::Sqlite,
            None => Dialect::Postgres,
        };
        // The warehouse need not exist: what the options leave open then has values to try.
        let scope = match warehouse::to_read(&arguments.warehouse).await {
            Ok(warehouse) => Some(scope(warehouse.as_ref(), arguments).await?),
            Err(_) => arguments.scope_without_warehouse()?,
        };
        let sql = |report: &Report| match &scope {
            Some(scope) => report.sql_for(dialect, scope, &settings),
            None => Ok(report.sql(dialect)),
        };
        let texts: mkt_connect::Result<Vec<String>> = reports.iter().map(sql).collect();
        return Ok(Answer::text(texts?.join("\n")));
    }
    let warehouse = warehouse::to_read(&arguments.warehouse).await?;
    let scope = scope(warehouse.as_ref(), arguments).await?;
    let coverage = Coverage::of(warehouse.as_ref(), &scope).await?;
    let (mut answers, spinner) = (Vec::new(), progress::spinner(""));
    for report in reports {
        spinner.set_message(report.title(arguments.lang));
        let table = report.run_with(warehouse.as_ref(), &scope, &settings).await?;
        answers.push(Answered::new(report, table, &coverage));
    }
    spinner.finish_and_clear();
    let csv = arguments.csv.as_deref().and_then(Path::to_str);
    let asked = Asked { scope: &scope, settings: &settings, coverage: &coverage, lang: arguments.lang, csv };
    if let Some(path) = &arguments.page {
        file::replace(path, asked.page(&answers).as_bytes())?;
    }
    if let Some(folder) = &arguments.csv {
        file::make_folder(folder)?;
        for Answered { report, table, .. } in &answers {
            file::replace(&folder.join(format!("{report}.csv")), &file::csv(table)?)?;
        }
    }
    match (arguments.json, answers.as_slice()) {
        (true, [one]) if arguments.report != "all" => Answer::json(one),
        (true, all) => Answer::json(&all),
        (false, all) => Ok(Answer::text(asked.texts(all, arguments.rows))),
    }
}

/// The part of the warehouse that is asked about: what the options say, else all that is there.
async fn scope(warehouse: &dyn Warehouse, arguments: &Arguments) -> Step<Scope> {
    let site = arguments.site.as_deref();
    if let Some(site) = site {
        let known = sites(warehouse).await?;
        if !known.iter().any(|one| one == site) {
            return Err(format!("unknown site {site:?}: expected {}", known.join(", ")).into());
        }
    }
    let zone = match arguments.zone {
        Some(zone) => zone,
        None => match site_zone(warehouse, site).await {
            Err(error) if error.kind() == ErrorKind::Input => {
                return Err(format!("{}; say --zone", mkt_connect::sentence(&error)).into());
            }
            found => found?.unwrap_or(chrono_tz::UTC),
        },
    };
    let held = match (arguments.from, arguments.to) {
        (Some(from), Some(to)) => Some((from, to)),
        _ => days_held(warehouse, site, zone).await?,
    };
    let (first, last) = held.ok_or("the warehouse holds neither sessions nor events")?;
    arguments.scope(zone, arguments.from.unwrap_or(first), arguments.to.unwrap_or(last))
}
