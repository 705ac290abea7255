//! Engagement, reach and the best publishing hours of the posts in a CSV file:
//! `cargo run --release --example social_report -- --posts examples/data/social_posts.csv --out report`.

mod arguments;

use arguments::{Arguments, TimeFormat};
use chrono::{DateTime, Utc};
use clap::Parser;
use mkt_connect::table::cell::DateOrder;
use mkt_examples::{Answer, Context, Program, Step, say};
use mkt_social::best_time::Question;
use mkt_social::csv::Csv;
use mkt_social::report::Report;
use mkt_social::{Request, Sheet, SocialSourceExt};
use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

/// The file has rows, and none could be used.
const NOTHING_READ: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("social_report").run(run(arguments))
}

async fn run(arguments: Arguments) -> Step<Answer> {
    if arguments.png && !cfg!(feature = "png") {
        return Err("this build writes no PNG; build it with -p mkt-examples --features png".into());
    }
    let path = &arguments.posts;
    let exported_at = match arguments.read_at {
        Some(read_at) => read_at,
        None => {
            let changed = fs::metadata(path).and_then(|file| file.modified());
            changed.context(|| path.display().to_string())?.into()
        }
    };
    let source = source(&arguments, exported_at);
    // Only the page shows texts.
    let sheet = if arguments.out.is_some() { Sheet::new() } else { Sheet::without_details() };
    let read = source.read_into(&Request::all(), sheet).await?;
    let question = Question::new(arguments.zone, arguments.measure.into()).seed(arguments.seed);
    let report = Report::of(&read, &question);
    if let Some(folder) = &arguments.out {
        report.write(folder, arguments.lang, arguments.png)?;
    }
    let codes: BTreeSet<&str> = read.quarantined.iter().map(|row| row.reason.code()).collect();
    for option in codes.into_iter().filter_map(option_for) {
        say(format_args!("social_report: some rows were not read; this may help: {option}"));
    }
    let answer = Answer::of(arguments.json, &report, |report| report.text(arguments.lang))?;
    let none_of_some = read.tally.loaded == 0 && read.tally.read > 0;
    Ok(if none_of_some { answer.code(NOTHING_READ) } else { answer })
}

/// The file with what is declared about it.
fn source(arguments: &Arguments, exported_at: DateTime<Utc>) -> Csv {
    let csv = Csv::open(&arguments.posts, exported_at).zone(arguments.zone);
    let csv = arguments.map.iter().fold(csv, |csv, (name, field)| csv.column(name, *field));
    let csv = match &arguments.time_format {
        Some(TimeFormat::Order(order)) => csv.date_order(*order),
        Some(TimeFormat::Epoch(epoch)) => csv.epoch(*epoch),
        Some(TimeFormat::Pattern(pattern)) => csv.time_pattern(pattern),
        None if arguments.day_first => csv.date_order(DateOrder::DayFirst),
        None => csv,
    };
    let csv = arguments.decimal_mark.into_iter().fold(csv, Csv::decimal_mark);
    let csv = arguments.encoding.into_iter().fold(csv, Csv::encoding);
    let csv = arguments.delimiter.into_iter().fold(csv, Csv::delimiter);
    let csv = arguments.skip_lines.into_iter().fold(csv, Csv::skip_lines);
    arguments.network.iter().fold(csv, Csv::network)
}

/// The option that helps with rows quarantined for this reason.
fn option_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "date_order" => "--time-format day-first or month-first",
        "epoch" => "--time-format epoch-s, epoch-ms or epoch-us",
        "timestamp" => "--time-format with a pattern such as '%d.%m.%Y %H:%M', or --map for another column",
        "zone" => "--zone",
        "count" | "decimal_mark" => "--decimal-mark, or --map for another column",
        "encoding" => "--encoding",
        "width" => "--delimiter",
        _ => return None,
    })
}
