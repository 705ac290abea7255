//! How much each channel brought: `cargo run --release --example attribution -- --paths paths.csv --model all`.

mod arguments;
mod paths;
mod text;

use arguments::Arguments;
use clap::Parser;
use mkt_examples::{Answer, Context, Program, Step, file};
use mkt_ml::attribution::{Bootstrap, Combination, CreditInterval, Credits, Repeats, Tally, combinations};
use mkt_ml::chart;
use paths::Summary;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Combinations shown.
const COMBINATIONS: usize = 10;
/// Fewer paths than this are no combination to act on.
pub(crate) const LEAST_PATHS: f64 = 30.0;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("attribution").run(async move { run(&arguments).await })
}

/// The answer of one model, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    model: &'static str,
    /// Its name with its parameters.
    definition: String,
    credits: BTreeMap<&'a str, f64>,
    values: BTreeMap<&'a str, Option<f64>>,
    removal_effects: BTreeMap<&'a str, f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    intervals: BTreeMap<&'a str, [f64; 2]>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    std_errors: BTreeMap<&'a str, f64>,
    conversions: f64,
    value: Option<f64>,
    unattributed: f64,
    notes: &'a [String],
    read: &'a Summary,
    combinations: &'a [Combination],
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    let read = paths::read(arguments).await?;
    let models = arguments.models(read.paths.timed());
    let repeats = if arguments.collapse { Repeats::Collapse } else { Repeats::Keep };
    let mut tally = Tally::builder(models).direct(&arguments.direct).repeats(repeats).build()?;
    if let Some(path) = arguments.state.as_ref().filter(|path| path.exists()) {
        let kept = std::fs::read(path).context(|| format!("cannot read {}", path.display()))?;
        let kept: Tally =
            serde_json::from_slice(&kept).context(|| format!("cannot read {}", path.display()))?;
        tally.merge(&kept).context(|| format!("{} was counted with other options", path.display()))?;
    }
    tally.add(&read.paths)?;
    if let Some(path) = &arguments.state {
        file::replace(path, &serde_json::to_vec(&tally)?)?;
    }
    let answers = tally.credits()?;
    let intervals = match arguments.bootstrap {
        Some(replicates) => Bootstrap::new(replicates, arguments.seed).intervals(&tally, &read.paths)?,
        None => Vec::new(),
    };
    let mut best = combinations(read.paths.channel_sets(), LEAST_PATHS);
    best.truncate(COMBINATIONS);
    arguments.output.draw("credits", |lang| Ok(chart::credits(&answers, &intervals, lang)))?;
    arguments.output.draw("paths", |lang| Ok(chart::path_flow(&read.paths, 3, lang)))?;
    let told: Vec<Told<'_>> = answers
        .iter()
        .enumerate()
        .map(|(at, answer)| told(answer, intervals.get(at), &read.summary, &best))
        .collect();
    match (arguments.output.json, told.as_slice()) {
        (true, [one]) => Answer::json(one),
        (true, all) => Answer::json(&all),
        (false, _) => Ok(Answer::text(text::text(&answers, &read.summary, &best)?)),
    }
}

fn told<'a>(
    answer: &'a Credits,
    intervals: Option<&'a Vec<CreditInterval>>,
    read: &'a Summary,
    combinations: &'a [Combination],
) -> Told<'a> {
    let channels = || answer.channels.iter();
    let name = |credit: &'a mkt_ml::attribution::Credit| credit.channel.as_str();
    Told {
        model: answer.model.name(),
        definition: answer.model.to_string(),
        credits: channels().map(|credit| (name(credit), credit.conversions)).collect(),
        values: channels().map(|credit| (name(credit), credit.value)).collect(),
        removal_effects: channels()
            .filter_map(|credit| Some((name(credit), credit.removal_effect?)))
            .collect(),
        intervals: intervals
            .into_iter()
            .flatten()
            .map(|one| (one.channel.as_str(), one.conversions))
            .collect(),
        std_errors: channels().filter_map(|credit| Some((name(credit), credit.std_error?))).collect(),
        conversions: answer.conversions,
        value: answer.value,
        unattributed: answer.unattributed,
        notes: &answer.notes,
        read,
        combinations,
    }
}
