//! Learns who converts from any CSV file, as the course's Python does, and says how sure it is:
//! `cargo run --release --example conversion_model -- --data user_behavior.csv --target converted`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod rows;

use arguments::Arguments;
use clap::Parser;
use mkt_connect::chart::Lang;
use mkt_connect::sentence;
use mkt_ml::cross_validation::cross_validate;
use mkt_ml::evaluation::{
    Decile, Interval, bootstrap, calibration_curve, deciles, expected_calibration_error,
    precision_recall_curve,
};
use mkt_ml::leakage::{LeakCheck, Reason, Suspect};
use mkt_ml::metrics::auc_roc;
use mkt_ml::{Labelled, TrainedModel, chart, evaluation::Evaluation, split};
use serde::Serialize;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Draws for the interval of the AUC.
const RESAMPLES: usize = 200;
/// Parts of the training rows that a correction of probabilities is learnt in.
const CALIBRATION_FOLDS: usize = 5;
/// Times that a column is shuffled to see what it is worth.
const SHUFFLES: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("conversion_model: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// The figures of one model, as `--json` prints them.
#[derive(Debug, Serialize)]
struct Told {
    model: &'static str,
    /// Rows of the file.
    rows: usize,
    test_rows: usize,
    accuracy: f64,
    precision: f64,
    recall: f64,
    f1: f64,
    auc_roc: Option<f64>,
    /// Where 95 % of resamples of the test rows have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    auc_roc_interval: Option<[f64; 2]>,
    average_precision: Option<f64>,
    log_loss: f64,
    brier: f64,
    calibration_error: f64,
    train_seconds: f64,
    predict_rows_per_second: f64,
    importances: Vec<Share>,
    /// Columns that may know too much.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suspects: Vec<Suspect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cross_validation: Option<CrossValidation>,
}

#[derive(Debug, Serialize)]
struct Share {
    feature: String,
    importance: f64,
}

#[derive(Debug, Serialize)]
struct CrossValidation {
    folds: usize,
    auc_roc_mean: f64,
    auc_roc_deviation: f64,
}

fn run(arguments: &Arguments) -> Step<String> {
    let rows = rows::read(arguments)?;
    let (train, test) = rows.split(arguments.test_size, arguments.seed)?;
    let begun = Instant::now();
    let model = match arguments.calibrate {
        None => TrainedModel::fit(&train, arguments.algorithm())?,
        Some(correction) => TrainedModel::fit_calibrated(
            &train,
            arguments.algorithm(),
            correction.into(),
            CALIBRATION_FOLDS,
            arguments.seed,
        )?,
    };
    let train_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let probabilities = model.probabilities(test.frame())?;
    let predict_rows_per_second = test.rows() as f64 / begun.elapsed().as_secs_f64().max(1e-9);
    let evaluation = Evaluation::new(test.labels(), &probabilities, 0.5)?;
    let interval = bootstrap(test.labels(), &probabilities, auc_roc, RESAMPLES, arguments.seed).ok();
    let tenths = deciles(test.labels(), &probabilities).unwrap_or_default();
    let cross_validation = arguments.folds.map(|folds| validate(arguments, &rows, folds)).transpose()?;
    if let Some(path) = &arguments.save {
        model.save(path)?;
    }
    if let Some(path) = &arguments.onnx {
        model.save_onnx(path)?;
    }
    if let Some(folder) = &arguments.charts {
        draw(folder, arguments, &model, &test, &probabilities, &tenths)?;
    }
    let told = Told {
        model: model.algorithm().name(),
        rows: rows.rows(),
        test_rows: test.rows(),
        accuracy: evaluation.accuracy,
        precision: evaluation.precision,
        recall: evaluation.recall,
        f1: evaluation.f1,
        auc_roc: evaluation.auc_roc,
        auc_roc_interval: interval.map(|interval| [interval.low, interval.high]),
        average_precision: evaluation.average_precision,
        log_loss: evaluation.log_loss,
        brier: evaluation.brier,
        calibration_error: expected_calibration_error(test.labels(), &probabilities)?,
        train_seconds,
        predict_rows_per_second,
        importances: model
            .importances()
            .into_iter()
            .map(|share| Share { feature: share.column, importance: share.importance })
            .collect(),
        suspects: LeakCheck::default().seed(arguments.seed).run(&train)?,
        cross_validation,
    };
    if arguments.json {
        return Ok(serde_json::to_string(&told)?);
    }
    Ok(text(&told, &model, &evaluation, interval, &tenths)?)
}

fn validate(arguments: &Arguments, rows: &Labelled, folds: usize) -> Step<CrossValidation> {
    let splits = split::stratified_folds(rows.labels(), folds, arguments.seed)?;
    let judged = cross_validate(rows, &[arguments.algorithm()], &splits)?;
    let scores = judged.models.first().ok_or("no model was judged")?;
    let (auc_roc_mean, auc_roc_deviation) = scores.mean(|evaluation| evaluation.auc_roc);
    Ok(CrossValidation { folds, auc_roc_mean, auc_roc_deviation })
}

fn draw(
    folder: &Path,
    arguments: &Arguments,
    model: &TrainedModel,
    test: &Labelled,
    probabilities: &[f64],
    tenths: &[Decile],
) -> Step<()> {
    fs::create_dir_all(folder)?;
    let (name, labels, lang) = (model.algorithm().name(), test.labels(), Lang::from(arguments.lang));
    let shuffled = model.permutation_importances(test, SHUFFLES, arguments.seed)?;
    let bins = calibration_curve(labels, probabilities, 10)?;
    let curve = precision_recall_curve(labels, probabilities)?;
    let pictures = [
        ("roc.svg", chart::roc(labels, &[(name, probabilities)], lang)?.svg()),
        ("precision_recall.svg", chart::precision_recall(&[(name, &curve)], lang).svg()),
        ("gain.svg", chart::gain(&[(name, tenths)], lang).svg()),
        ("calibration.svg", chart::calibration(&[(name, &bins)], lang).svg()),
        ("importances.svg", chart::importance(&model.importances(), lang).svg()),
        ("permutation.svg", chart::permutation_importance(&shuffled, lang).svg()),
    ];
    for (file, svg) in pictures {
        fs::write(folder.join(file), svg)?;
    }
    Ok(())
}

fn text(
    told: &Told,
    model: &TrainedModel,
    evaluation: &Evaluation,
    interval: Option<Interval>,
    tenths: &[Decile],
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let summary = model.summary();
    writeln!(
        text,
        "{}: fitted on {} rows ({} converted) in {:.2} s, judged on {} others\n",
        told.model, summary.rows, summary.positives, told.train_seconds, told.test_rows
    )?;
    writeln!(text, "{}", model.report(evaluation))?;
    if let Some(interval) = interval {
        let Interval { estimate, low, high, .. } = interval;
        writeln!(text, "AUC-ROC {estimate:.3} (95 % interval {low:.3} to {high:.3})")?;
    }
    writeln!(
        text,
        "log-loss {:.4}, Brier {:.4}, calibration error {:.4}",
        told.log_loss, told.brier, told.calibration_error
    )?;
    if let Some(CrossValidation { folds, auc_roc_mean, auc_roc_deviation }) = &told.cross_validation {
        writeln!(
            text,
            "cross-validation in {folds} parts: AUC-ROC {auc_roc_mean:.3} ± {auc_roc_deviation:.3}"
        )?;
    }
    if let Some(first) = tenths.first() {
        writeln!(
            text,
            "the best-ranked tenth converts {:.1} times as often as all, and holds {:.0} % of the conversions",
            first.lift,
            first.gain * 100.0
        )?;
    }
    writeln!(text, "\nImportance")?;
    let width = told.importances.iter().map(|share| share.feature.chars().count()).max().unwrap_or_default();
    for Share { feature, importance } in &told.importances {
        writeln!(text, "  {feature:<width$}  {importance:.3}")?;
    }
    if let Some(coefficients) = model.coefficients() {
        writeln!(text, "\nOdds ratios per unit (95 % interval)")?;
        let width = coefficients.iter().map(|one| one.feature.chars().count()).max().unwrap_or_default();
        for one in &coefficients {
            writeln!(
                text,
                "  {:<width$}  {:.3} ({:.3} to {:.3})",
                one.feature, one.odds_ratio, one.odds_ratio_low, one.odds_ratio_high
            )?;
        }
    }
    if let Some(rules) = model.rules() {
        write!(text, "\n{rules}")?;
    }
    for suspect in &told.suspects {
        let Suspect { column, auc, reason, .. } = suspect;
        let why = match reason {
            Reason::DecidesAlone => format!("decides the outcome nearly alone (AUC {auc:.3})"),
            Reason::FilledWithOutcome { filled, share, positive } => format!(
                "is filled in where a row {} ({:.0} % of the {filled} filled rows)",
                if *positive { "converted" } else { "did not convert" },
                share * 100.0
            ),
            Reason::NamesTheRow { levels } => format!("names the row ({levels} different values)"),
            _ => "knows too much".to_owned(),
        };
        write!(text, "\n`{column}` {why}: is it known before the outcome? If not, --without {column}")?;
    }
    Ok(text.trim_end().to_owned())
}
