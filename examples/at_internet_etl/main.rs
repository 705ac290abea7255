//! Brings a report of AT Internet / Piano Analytics into a warehouse, day by day:
//! `cargo run --release --example at_internet_etl -- --demo --warehouse sqlite:target/at.db`.
//!
//! The reading, the splitting of large days, the quarantine and the ledger are mkt-etl's; this program only says what is
//! asked and what became of it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod asked;

use arguments::Arguments;
use asked::{Asked, Unclear};
use chrono::TimeDelta;
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use mkt_connect::{ErrorKind, Secret, sentence};
use mkt_etl::at_internet::AtInternet;
use mkt_etl::at_internet::AtInternetBuilder;
use mkt_etl::testing::FakeAtInternet;
use mkt_etl::{Pipeline, RunReport};
use mkt_warehouse::open;
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Set-aside slices and notes that are shown.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let asked = match Asked::read(&arguments) {
        Ok(asked) => asked,
        Err(Unclear(why)) => {
            let error = Arguments::command().error(clap::error::ErrorKind::ValueValidation, why);
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(run(&arguments, asked));
    runtime.shutdown_background();
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            let refused =
                error.downcast_ref::<mkt_connect::Error>().is_some_and(|it| it.kind() == ErrorKind::Auth);
            let code = failed(error.as_ref());
            return if refused { ExitCode::from(4) } else { code };
        }
    };
    tell(&report);
    if arguments.json {
        match serde_json::to_string(&report) {
            Ok(line) => println!("{line}"),
            Err(error) => return failed(&error),
        }
    } else {
        println!("{}", in_a_sentence(&report));
    }
    code(&report)
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("at_internet_etl: {}", sentence(error));
    ExitCode::FAILURE
}

fn code(report: &RunReport) -> ExitCode {
    ExitCode::from(match report {
        RunReport { cancelled: true, .. } => 130,
        RunReport { stopped: Some(_), .. } => 4,
        RunReport { failures, .. } if !failures.is_empty() => 3,
        _ => 0,
    })
}

/// What went wrong or should be known, on standard error.
fn tell(report: &RunReport) {
    for failure in report.failures.iter().take(SHOWN) {
        eprintln!("at_internet_etl: {}: {}", failure.slice, failure.message);
    }
    for (slice, note) in report.notes.iter().take(SHOWN) {
        eprintln!("at_internet_etl: {slice}: {note}");
    }
    for (slice, differences) in report.unreconciled.iter().take(SHOWN) {
        eprintln!("at_internet_etl: {slice} does not agree with the vendor's totals: {differences}");
    }
    if report.quarantined > 0 {
        eprintln!(
            "at_internet_etl: {} records are set aside in etl_quarantine, with their reasons",
            report.quarantined
        );
    }
    if report.cancelled {
        eprintln!("at_internet_etl: interrupted; whole days are loaded or not, run it again to go on");
    }
}

fn in_a_sentence(report: &RunReport) -> String {
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    format!(
        "slices: {}; rows: {}; {} set aside, {} slices revised, {} there already ({:.1} s)",
        list(&report.slices),
        list(&report.rows),
        report.quarantined,
        report.revised,
        report.replayed,
        report.seconds
    )
}

async fn run(arguments: &Arguments, asked: Asked) -> Step<RunReport> {
    asked.notes.iter().for_each(|note| eprintln!("at_internet_etl: {note}"));
    // The stand-in lives as long as this.
    let demo = match arguments.demo {
        true => Some(FakeAtInternet::start().await?),
        false => None,
    };
    let (builder, spaces, zone) = match &demo {
        Some(fake) => (fake.source(), vec![FakeAtInternet::SPACE], chrono_tz::Europe::Paris),
        None => (account(arguments)?, asked.spaces, arguments.zone),
    };
    let builder = spaces.iter().fold(builder, |builder, space| {
        builder.space_named(*space, space.to_string(), zone, arguments.currency)
    });
    let source =
        builder.report(asked.report).finality(TimeDelta::days(arguments.final_after.into())).build()?;
    let warehouse = open(&arguments.warehouse).await?;
    let bar = bar();
    let pipeline = {
        let bar = bar.clone();
        Pipeline::new(source, warehouse).on_progress(move |progress| {
            if let Some(bar) = &bar {
                bar.set_message(format!(
                    "{} of {} slices: {}",
                    progress.done, progress.total, progress.slice
                ));
            }
        })
    };
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = pipeline.run_until(asked.days, stop).await;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    Ok(report?)
}

fn account(arguments: &Arguments) -> Step<AtInternetBuilder> {
    let Some(key) = Secret::from_env("AT_INTERNET_KEY") else {
        return Err(
            "the environment variable AT_INTERNET_KEY is not set (access key, _, secret key); or try --demo"
                .into(),
        );
    };
    let builder = AtInternet::builder(&arguments.base_url).key(key);
    Ok(match &arguments.allow_http {
        Some(host) => builder.allow_insecure_host(host),
        None => builder,
    })
}

fn bar() -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar
    })
}
