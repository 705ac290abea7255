//! Scores the rows of a CSV file by a model that `conversion_model` kept, from the model's file alone:
//! `cargo run --release --example score -- --model forest.mkt --data visitors.csv --out scored.csv`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

use clap::Parser;
use mkt_connect::sentence;
use mkt_ml::targeting::TargetList;
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
    let list = match &values {
        None => TargetList::by_probability(&probabilities)?,
        Some(values) => TargetList::by_expected_value(&probabilities, values)?,
    };
    let scored = list.in_order();

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
        let Some(scored) = scored.get(row) else {
            return Err("the file of rows grew while it was read".into());
        };
        record.push_field(&scored.probability.to_string());
        record.push_field(&scored.decile.to_string());
        if values.is_some() {
            record.push_field(&scored.expected_value.to_string());
        }
        writer.write_record(&record)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&beside, &arguments.out)?;
    let rows = probabilities.len();
    Ok(Told {
        rows,
        mean_probability: probabilities.iter().sum::<f64>() / rows.max(1) as f64,
        expected_value: values.map(|_| scored.iter().map(|row| row.expected_value).sum()),
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
