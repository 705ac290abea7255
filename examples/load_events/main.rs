//! Loads events, sessions, customers and costs from delimited text files into a warehouse:
//! `cargo run --release --example load_events -- --warehouse sqlite:shop.db --events events.csv`.
//!
//! The reading, the quarantine and the ledger are mkt-etl's ([`Load`]); this program only says what became of the rows.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_connect::Stop;
use mkt_etl::csv::{Load, Loaded};
use mkt_examples::{Answer, Program, Step, progress, say};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Reasons and words that are shown.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = Stop::new();
    Program::new("load_events").stop(&stop).run(run(arguments, stop.clone()))
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
        move |it| bar.set_message(format!("{} of {} slices: {}", it.done, it.total, it.slice))
    });
    let loaded = load.run(&stop).await;
    bar.finish_and_clear();
    let loaded = loaded?;
    explain(&loaded);
    if loaded.cancelled {
        say("load_events: interrupted; whole days are loaded or not, run it again to go on");
        return Ok(Answer::nothing().code(130));
    }
    let code = if loaded.is_fruitless() { 3 } else { 0 };
    let told = Told { loaded, seconds: begun.elapsed().as_secs_f64() };
    Ok(Answer::of(arguments.json, &told, sentence)?.code(code))
}

fn sentence(told: &Told) -> String {
    let Told { loaded: it, seconds } = told;
    let removed = match it.removed {
        0 => String::new(),
        removed => format!(", {removed} removed"),
    };
    format!(
        "{} rows read: {} loaded, {} there already, {} set aside, {} repeated{removed} ({seconds:.1} s)",
        it.read, it.loaded, it.replayed, it.quarantined, it.duplicates
    )
}

/// What was found out, and what did not fit, on standard error.
fn explain(loaded: &Loaded) {
    for file in &loaded.files {
        file.to_string().lines().for_each(say);
        if file.records == 0 {
            say(format_args!("{}: a header and no rows", file.file));
        }
        for reason in file.first_reasons.iter().take(SHOWN) {
            say(format_args!("set aside: {} {reason}", file.file));
        }
    }
    for (stream, rows) in &loaded.elsewhere {
        say(format_args!("{rows} rows stand there already as {stream} and count once"));
    }
    if loaded.removed > 0 {
        let other = loaded.removed_of_other_days;
        say(format_args!(
            "{} rows of this key are gone, {other} of days that the files do not cover",
            loaded.removed
        ));
    }
    if !loaded.unknown_channels().is_empty() {
        say("unknown channels are read as other; --channel WORD=CHANNEL maps them");
    }
    if loaded.quarantined > 0 {
        say("set aside rows are in the table etl_quarantine, with their bytes; addresses are replaced");
    }
}
