//! Scores the rows of a CSV file by a model that `conversion_model` kept, from the model's file alone:
//! `cargo run --release --example score -- --model forest.mkt --data visitors.csv --out scored.csv`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

use clap::Parser;
use mkt_connect::sentence;
use mkt_ml::{CsvOptions, TrainedModel};
use serde::Serialize;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Scores the rows of a CSV file: each row as it stands, with `probability`, `decile` (1 is best) and, with --value,
/// `expected_value`
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Columns are found by name; those that the model does not know are copied. The file of results is written whole or \
not at all.

Example:
  cargo run --release --example score -- --model forest.mkt --data visitors.csv --out scored.csv"
)]
struct Arguments {
    /// The model's file
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The rows to score; the first line names the columns
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Where the scored rows go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A column with what a conversion of the row is worth: rows are then ranked by probability × value
    #[arg(long, value_name = "COLUMN")]
    value: Option<String>,
    /// What separates the columns
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    delimiter: char,
    /// Prints the summary as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What became of the rows.
#[derive(Debug, Serialize)]
struct Told {
    rows: usize,
    mean_probability: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_value: Option<f64>,
    seconds: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let told = run(&arguments).and_then(|told| {
        Ok(if arguments.json {
            serde_json::to_string(&told)?
        } else {
            let (rows, mean, seconds) = (told.rows, told.mean_probability, told.seconds);
            format!("{rows} rows scored in {seconds:.2} s, mean probability {mean:.4}")
        })
    });
    match told {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("score: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Step<Told> {
    let begun = Instant::now();
    let delimiter = u8::try_from(arguments.delimiter)
        .map_err(|_| format!("`{}` cannot separate columns", arguments.delimiter))?;
    let model = TrainedModel::load(&arguments.model)?;
    // Columns are read as training understood them.
    let options = CsvOptions::default().delimiter(delimiter).schema(&model.schema());
    let frame = options.read_path(&arguments.data)?;
    let probabilities = model.probabilities(&frame)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(&arguments.data)?;
    let values = match &arguments.value {
        None => None,
        Some(column) => Some(values(&mut reader, column, arguments, delimiter)?),
    };
    let ranked: Vec<f64> = match &values {
        None => probabilities.clone(),
        Some(values) => probabilities.iter().zip(values).map(|(p, value)| p * value).collect(),
    };
    let deciles = places(&ranked);

    let beside = arguments.out.with_extension("part");
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_path(&beside)?;
    let mut header = reader.headers()?.clone();
    header.push_field("probability");
    header.push_field("decile");
    if values.is_some() {
        header.push_field("expected_value");
    }
    writer.write_record(&header)?;
    for (row, record) in reader.records().enumerate() {
        let mut record = record?;
        let (Some(p), Some(decile)) = (probabilities.get(row), deciles.get(row)) else {
            return Err("the file of rows grew while it was read".into());
        };
        record.push_field(&p.to_string());
        record.push_field(&decile.to_string());
        if values.is_some() {
            record.push_field(&ranked.get(row).copied().unwrap_or_default().to_string());
        }
        writer.write_record(&record)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&beside, &arguments.out)?;
    let rows = probabilities.len();
    Ok(Told {
        rows,
        mean_probability: probabilities.iter().sum::<f64>() / rows.max(1) as f64,
        expected_value: values.map(|_| ranked.iter().sum()),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// The numbers of a column; the reader stands at its first row again afterwards.
fn values(
    reader: &mut csv::Reader<fs::File>,
    column: &str,
    arguments: &Arguments,
    delimiter: u8,
) -> Step<Vec<f64>> {
    let at = reader.headers()?.iter().position(|name| name == column);
    let at = at.ok_or_else(|| format!("there is no column `{column}`"))?;
    let mut numbers = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let record = record?;
        let number = record.get(at).and_then(|cell| cell.trim().parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite());
        numbers.push(number.ok_or_else(|| format!("row {} has no number in column `{column}`", row + 1))?);
    }
    *reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(&arguments.data)?;
    Ok(numbers)
}

/// The decile of each score, 1 for the best tenth; of equal scores the earlier row comes first.
fn places(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |row: &usize| scores.get(*row).copied().unwrap_or(f64::MIN);
    order.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let mut deciles = vec![0; scores.len()];
    for (place, row) in order.into_iter().enumerate() {
        if let Some(decile) = deciles.get_mut(row) {
            *decile = 1 + place * 10 / scores.len();
        }
    }
    deciles
}
