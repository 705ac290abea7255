//! Learns who converts from any CSV file, evaluates the model and saves it:
//! `cargo run --release --example conversion_model -- --data user_behavior.csv --target converted`.

mod arguments;

use arguments::Arguments;
use chrono::{DateTime, Utc};
use clap::Parser;
use mkt_examples::table::TableOptions;
use mkt_examples::{Answer, Program, Step, progress, warehouse};
use mkt_ml::assessment::Assessment;
use mkt_ml::cross_validation::cross_validate_watched;
use mkt_ml::{ColumnKind, Frame, Labelled, Progress, TrainedModel, chart, split};
use mkt_warehouse::report::{Scope, training_set};
use serde::Serialize;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

/// What the warehouse's report calls the outcome.
const OUTCOME: &str = "converted";
/// Parts of the training rows that probabilities are calibrated in.
const CALIBRATION_FOLDS: usize = 5;
/// Times that a column is shuffled to see what it is worth.
const SHUFFLES: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("conversion_model").run(async move { run(&arguments).await })
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Figures {
    #[serde(flatten)]
    assessment: Assessment,
    train_seconds: f64,
    predict_rows_per_second: f64,
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    // 1. Rows with their outcome, and a fifth of them held out.
    let (frame, mut notes) = read(arguments).await?;
    let (frame, empty) = frame.without_empty();
    notes.extend(empty.iter().map(|column| format!("column {column}: empty, left out")));
    let target = arguments.target.as_deref().unwrap_or(OUTCOME);
    let rows = match &arguments.positive {
        Some(positive) => Labelled::with_positive(frame, target, positive)?,
        None => Labelled::new(frame, target)?,
    };
    let (train, test) = rows.split(arguments.test_size, arguments.seed)?;

    // 2. The model.
    let begun = Instant::now();
    let model = fit(arguments, &train)?;
    let train_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let scored = model.probabilities(test.frame())?.len();
    let predict_rows_per_second = scored as f64 / begun.elapsed().as_secs_f64().max(1e-9);

    // 3. How good it is, on the rows held out.
    let mut assessment = Assessment::new(&model, &train, &test, arguments.seed)?.with_notes(notes);
    if let Some(folds) = arguments.folds {
        let splits = split::stratified_folds(rows.labels(), folds, arguments.seed)?;
        let bar = progress::bar(folds as u64, "parts of the cross-validation");
        let watch = |done: Progress| {
            bar.set_position(done.done as u64);
            ControlFlow::Continue(())
        };
        let judged = cross_validate_watched(&rows, &[arguments.algorithm()], &splits, &watch);
        bar.finish_and_clear();
        assessment = assessment.with_cross_validation(&judged?);
    }

    // 4. Files.
    if let Some(path) = &arguments.save {
        model.save(path)?;
    }
    if let Some(path) = &arguments.onnx {
        model.save_onnx(path)?;
    }
    if arguments.output.charts.is_some() {
        let charts = chart::of_model(&model, &test, SHUFFLES, arguments.seed, arguments.output.lang)?;
        charts.into_iter().try_for_each(|(name, chart)| arguments.output.draw(name, |_| Ok(chart)))?;
    }

    let figures = Figures { assessment, train_seconds, predict_rows_per_second };
    arguments.output.answer(&figures, |figures| {
        let (name, summary) = (model.algorithm().name(), model.summary());
        format!(
            "{name}: fitted on {} rows ({} converted) in {train_seconds:.2} s, evaluated on {} others\n\n{}",
            summary.rows, summary.positives, figures.assessment.test_rows, figures.assessment
        )
    })
}

/// The columns to learn from, and what to say about them.
async fn read(arguments: &Arguments) -> Step<(Frame, Vec<String>)> {
    let without: Vec<&str> = arguments.without.iter().map(String::as_str).collect();
    let Some(path) = &arguments.data else {
        let url = arguments.warehouse.as_deref().unwrap_or_default();
        let warehouse = warehouse::to_read(url).await?;
        let all = Scope::between("UTC", DateTime::<Utc>::UNIX_EPOCH, Utc::now())?;
        let answer = training_set(warehouse.as_ref(), &all).await?;
        let frame = Frame::try_from(answer.table())?.without(&["session_id"])?;
        return Ok((frame.without(&without)?, Vec::new()));
    };
    let mut options = arguments.table.csv_options(mkt_ml::CsvOptions::default());
    for column in &arguments.categorical {
        options = options.kind(column, ColumnKind::Categorical);
    }
    let frame = TableOptions::read(&options, path)?;
    let mut notes = TableOptions::found(frame.found());
    notes.extend(frame.notes());
    Ok((frame.without(&without)?, notes))
}

/// Fits with a bar of trees or steps on a terminal, over all folds where probabilities are calibrated.
fn fit(arguments: &Arguments, train: &Labelled) -> Step<TrainedModel> {
    let algorithm = arguments.algorithm();
    let bar = progress::bar(0, "trees or steps");
    let watch = |done: Progress| {
        bar.set_length(done.total as u64);
        bar.set_position(done.done as u64);
        ControlFlow::Continue(())
    };
    let model = match arguments.calibrate {
        Some(method) => {
            let (method, seed) = (method.into(), arguments.seed);
            TrainedModel::fit_calibrated_watched(train, algorithm, method, CALIBRATION_FOLDS, seed, &watch)
        }
        None => {
            let encoder = algorithm.encoder();
            TrainedModel::fit_watched(train, algorithm, &encoder, &watch)
        }
    };
    bar.finish_and_clear();
    Ok(model?)
}
