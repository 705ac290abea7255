//! Answers the course's questions, and the others, from a warehouse:
//! `cargo run --release --example sql_analytics -- --warehouse sqlite:shop.db --report all`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod page;
mod scope;

use arguments::{Arguments, Engine};
use chrono::{DateTime, Utc};
use clap::Parser;
use mkt_connect::sentence;
use mkt_warehouse::report::{self, CartOptions, EtlOptions, Report, Scope};
use mkt_warehouse::{Dialect, Table, Warehouse, model, open};
use serde::Serialize;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(&arguments) => outcome,
            // A query only reads; it is given up.
            Ok(()) = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    runtime.shutdown_background();
    match outcome {
        Ok(text) => match io::stdout().lock().write_all(text.as_bytes()) {
            // Whoever reads the first lines and goes is served.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
            _ => ExitCode::SUCCESS,
        },
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("sql_analytics: {}", sentence(error));
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments) -> Step<String> {
    let reports = chosen(&arguments.report)?;
    if let Some(engine) = arguments.print_sql {
        let dialect = match engine {
            Engine::Named(dialect) => dialect,
            Engine::OfWarehouse => of_url(&arguments.warehouse)?,
        };
        return Ok(reports.iter().map(|report| report.sql(dialect)).collect::<Vec<_>>().join("\n"));
    }
    let warehouse = opened(&arguments.warehouse).await?;
    let scope = scope::scope(warehouse.as_ref(), arguments).await?;
    let mut answers = Vec::new();
    for report in &reports {
        let table = answered(*report, warehouse.as_ref(), &scope, Utc::now()).await?;
        answers.push(Answer { report: *report, table });
    }
    if let Some(path) = &arguments.page {
        let page = page::render(&answers, &scope, arguments.lang);
        std::fs::write(path, page).map_err(|cause| format!("cannot write {}: {cause}", path.display()))?;
    }
    if arguments.json {
        let json = match answers.as_slice() {
            [one] if arguments.report != "all" => serde_json::to_string(&one.json())?,
            all => serde_json::to_string(&all.iter().map(Answer::json).collect::<Vec<_>>())?,
        };
        return Ok(json + "\n");
    }
    Ok(answers.iter().map(|answer| answer.text(arguments.rows)).collect::<Vec<_>>().join("\n"))
}

/// The answer to a question that is asked now: the end of today has not come yet.
async fn answered(
    report: Report,
    warehouse: &dyn Warehouse,
    scope: &Scope,
    now: DateTime<Utc>,
) -> mkt_connect::Result<Table> {
    let asked = Some(now).filter(|now| (scope.from()..scope.until()).contains(now));
    Ok(match report {
        Report::EtlStatus => {
            let options = EtlOptions { now: Some(now) };
            report::etl_status(warehouse, scope, options).await?.table().clone()
        }
        Report::AbandonedCarts => {
            let options = CartOptions { now: asked, ..CartOptions::default() };
            report::abandoned_carts(warehouse, scope, options).await?.table().clone()
        }
        _ => report.run(warehouse, scope).await?,
    })
}

fn chosen(name: &str) -> Step<Vec<Report>> {
    match name {
        "all" => Ok(Report::ALL.to_vec()),
        name => Ok(vec![name.parse()?]),
    }
}

fn of_url(url: &str) -> Step<Dialect> {
    match url.split(':').next() {
        Some("sqlite") => Ok(Dialect::Sqlite),
        Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
        _ => Err("a warehouse URL starts with sqlite: or postgres:".into()),
    }
}

/// Opens what is there. A mistyped path must not become a new, empty warehouse.
async fn opened(url: &str) -> Step<Arc<dyn Warehouse>> {
    if let Some(path) = url.strip_prefix("sqlite:")
        && !Path::new(path.strip_prefix("//").unwrap_or(path)).is_file()
    {
        return Err(format!("there is no file {path}").into());
    }
    let warehouse = open(url).await?;
    warehouse.migrate(&model::SCHEMA).await?;
    Ok(warehouse)
}

/// What a report answered.
struct Answer {
    report: Report,
    table: Table,
}

/// An answer for programs.
#[derive(Serialize)]
struct Json<'a> {
    report: &'a str,
    #[serde(flatten)]
    table: &'a Table,
}

impl Answer {
    fn json(&self) -> Json<'_> {
        Json { report: self.report.name(), table: &self.table }
    }

    fn text(&self, most: usize) -> String {
        let mut text = format!("== {}\n", self.report.name());
        for line in wrapped(self.report.describe(), 100) {
            text.push_str(&format!("   {line}\n"));
        }
        if self.table.is_empty() {
            return text + "   no rows\n";
        }
        let shown = self.table.to_string();
        for line in shown.lines().take(most + 1) {
            text.push_str(&format!("   {line}\n"));
        }
        if self.table.rows() > most {
            text.push_str(&format!("   … and {} more rows\n", self.table.rows() - most));
        }
        text
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
