//! Access logs of web servers into a warehouse:
//! `cargo run --release --example log_etl -- --log examples/data/access.log --warehouse sqlite:target/log.db`.
//!
//! The reading, the robots, the visits and the ledger are mkt-etl's ([`Load`]); this program says what became of the lines.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_connect::Stop;
use mkt_etl::access_log::{Load, Loaded};
use mkt_examples::{Answer, Program, Step, progress, say};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = Stop::new();
    Program::new("log_etl").stop(&stop).run(run(arguments, stop.clone()))
}

#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    loaded: Loaded,
    seconds: f64,
}

async fn run(arguments: Arguments, stop: Stop) -> Step<Answer> {
    let begun = Instant::now();
    let source = arguments.source()?;
    let warehouse = arguments.target.open().await?;
    let bar = progress::spinner("reading the files");
    let load = Load::new(source, Arc::clone(&warehouse)).replace(arguments.replace).on_progress({
        let bar = bar.clone();
        move |it| bar.set_message(format!("{} of {} days: {}", it.done, it.total, it.slice))
    });
    let loaded = load.run(&stop).await;
    bar.finish_and_clear();
    let loaded = loaded?;
    explain(&loaded);
    if loaded.cancelled {
        say("log_etl: interrupted; whole days are loaded or not, run it again to go on");
        return Ok(Answer::nothing().code(130));
    }
    let code = if loaded.read > 0 && loaded.loaded + loaded.bots == 0 { 3 } else { 0 };
    let told = Told { loaded, seconds: begun.elapsed().as_secs_f64() };
    Ok(Answer::of(arguments.json, &told, sentence)?.code(code))
}

fn sentence(told: &Told) -> String {
    let Told { loaded: it, seconds } = told;
    let changed = if it.changed { "" } else { "; nothing changed" };
    format!(
        "{} lines read: {} of people ({} page views and downloads in {} visits), {} of robots, {} set aside{changed} \
         ({seconds:.1} s)",
        it.read, it.loaded, it.events, it.sessions, it.bots, it.quarantined
    )
}

/// What was found out, and what did not fit, on standard error.
fn explain(loaded: &Loaded) {
    for file in &loaded.files {
        file.to_string().lines().for_each(say);
        for reason in &file.first_reasons {
            say(format_args!("set aside: {} {reason}", file.file));
        }
    }
    if let Some(host) = &loaded.found_host {
        say(format_args!("{host} is taken for the site's own host, by its pages; --host HOST declares it"));
    }
    if loaded.quarantined > 0 {
        say("lines set aside are in the table etl_quarantine, without IP addresses");
    }
}
