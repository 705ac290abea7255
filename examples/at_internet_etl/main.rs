//! Brings a report of AT Internet / Piano Analytics into a warehouse, day by day:
//! `cargo run --release --example at_internet_etl -- --demo --warehouse sqlite:target/at.db`.
//!
//! The reading, the splitting of large days, the quarantine and the ledger are mkt-etl's; this program only says what is
//! asked and what became of it.

mod arguments;

use arguments::{Api, Arguments, Asked};
use chrono::TimeDelta;
use clap::{CommandFactory, Parser};
use mkt_connect::{ErrorKind, Secret, Stop};
use mkt_etl::at_internet::{AtInternet, AtInternetBuilder};
use mkt_etl::testing::FakeAtInternet;
use mkt_etl::{Extent, Pipeline, RunReport};
use mkt_examples::{Answer, Program, Step, progress, say};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Failures, notes and differences that are shown.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let asked = match arguments.asked() {
        Ok(asked) => asked,
        Err(why) => {
            let _ = Arguments::command().error(clap::error::ErrorKind::ValueValidation, why).print();
            return ExitCode::from(2);
        }
    };
    let stop = Stop::new();
    let program = Program::new("at_internet_etl").stop(&stop);
    let program = program.exit_codes(|error| {
        let refused =
            error.downcast_ref().is_some_and(|it: &mkt_connect::Error| it.kind() == ErrorKind::Auth);
        if refused { 4 } else { 1 }
    });
    program.run(run(arguments, asked, stop.clone()))
}

async fn run(arguments: Arguments, asked: Asked, stop: Stop) -> Step<Answer> {
    let (report, spaces, days, notes) = asked;
    notes.iter().for_each(|note| say(format_args!("at_internet_etl: {note}")));
    // The stand-in lives as long as this.
    let demo = if arguments.demo { Some(FakeAtInternet::start().await?) } else { None };
    let (builder, spaces, zone) = match &demo {
        Some(fake) => (fake.source(), vec![FakeAtInternet::SPACE], chrono_tz::Europe::Paris),
        None => (account(&arguments)?, spaces, arguments.zone.unwrap_or(chrono_tz::UTC)),
    };
    if demo.is_none() && arguments.zone.is_none() {
        say("at_internet_etl: days are cut in UTC; --zone names the site's zone");
    }
    let builder = spaces.iter().fold(builder, |builder, space| {
        builder.space_named(*space, space.to_string(), zone, arguments.currency)
    });
    let source = builder.report(report).finality(TimeDelta::days(arguments.final_after.into())).build()?;
    let warehouse = arguments.target.open().await?;
    let bar = progress::spinner("asking");
    let pipeline = Pipeline::new(source, warehouse).again(arguments.again).on_progress({
        let bar = bar.clone();
        move |it| bar.set_message(format!("{} of {} slices: {}", it.done, it.total, it.slice))
    });
    let report = pipeline.run_extent(Extent::Windows(days), &stop).await;
    bar.finish_and_clear();
    let report = report?;
    explain(&report);
    Ok(Answer::of(arguments.json, &report, sentence)?.code(code(&report)))
}

fn code(report: &RunReport) -> u8 {
    match report {
        RunReport { cancelled: true, .. } => 130,
        RunReport { stopped: Some(_), .. } => 4,
        RunReport { failures, .. } if !failures.is_empty() => 3,
        _ => 0,
    }
}

/// What went wrong or should be known, on standard error.
fn explain(report: &RunReport) {
    for failure in report.failures.iter().take(SHOWN) {
        say(format_args!("at_internet_etl: {}: {}", failure.slice, failure.message));
    }
    for (slice, note) in report.notes.iter().take(SHOWN) {
        say(format_args!("at_internet_etl: {slice}: {note}"));
    }
    for (slice, differences) in report.unreconciled.iter().take(SHOWN) {
        say(format_args!("at_internet_etl: {slice} does not agree with the vendor's totals: {differences}"));
    }
    if report.quarantined > 0 {
        let count = report.quarantined;
        say(format_args!(
            "at_internet_etl: {count} records are set aside in etl_quarantine, with their reasons"
        ));
    }
    if report.cancelled {
        say("at_internet_etl: interrupted; whole days are loaded or not, run it again to go on");
    }
}

fn sentence(report: &RunReport) -> String {
    let list = |counts: &BTreeMap<String, u64>| {
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

fn account(arguments: &Arguments) -> Step<AtInternetBuilder> {
    let key = Secret::from_env("AT_INTERNET_KEY").ok_or(
        "the environment variable AT_INTERNET_KEY is not set (access key, _, secret key); or try --demo",
    )?;
    let builder = AtInternet::builder(&arguments.base_url);
    let builder = match arguments.api {
        Api::V3 => builder.key(key),
        Api::V2 => builder.rest_v2_with_key(key),
        Api::Restricted => builder.restricted_key(key),
    };
    Ok(arguments.allow_http.iter().fold(builder, |builder, host| builder.allow_insecure_host(host)))
}
