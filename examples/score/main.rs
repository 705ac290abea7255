//! Scores the rows of a CSV file with a model that `conversion_model` saved, from the model's file alone:
//! `cargo run --release --example score -- --model forest.mkt --data visitors.csv --out scored.csv`.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_examples::file::Whole;
use mkt_examples::table::TableOptions;
use mkt_examples::{Answer, Context, Program, Step};
use mkt_ml::targeting::TargetList;
use mkt_ml::{ColumnKind, Frame, TrainedModel, Value};
use serde::Serialize;
use std::fs::{self, File};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("score").run_blocking(move || run(&arguments))
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Summary {
    rows: usize,
    mean_probability: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_value: Option<f64>,
    /// What to know about the file, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    seconds: f64,
}

fn run(arguments: &Arguments) -> Step<Answer> {
    let begun = Instant::now();
    for input in [&arguments.data, &arguments.model] {
        if fs::canonicalize(input)
            .ok()
            .is_some_and(|path| fs::canonicalize(&arguments.out).ok() == Some(path))
        {
            return Err(format!("--out {} is an input: name another file", arguments.out.display()).into());
        }
    }

    // 1. The rows, read as training understood them, and how they fit the model.
    let model = TrainedModel::load(&arguments.model)?;
    let mut options = arguments.table.csv_options(model.csv_options());
    if let Some(column) = &arguments.value {
        options = options.kind(column, ColumnKind::Numeric);
    }
    let frame = TableOptions::read(&options, &arguments.data)?;
    let mut notes = TableOptions::found(frame.found());
    let schema = model.schema();
    notes.extend(
        frame
            .notes()
            .into_iter()
            .filter(|note| schema.iter().any(|field| note.starts_with(&format!("column {}: ", field.name)))),
    );
    notes.extend(misfits(&model, &frame));

    // 2. Their probabilities, ranked.
    let probabilities = model.probabilities(&frame)?;
    let list = match &arguments.value {
        None => TargetList::by_probability(&probabilities)?,
        Some(column) => TargetList::by_expected_value(&probabilities, &values(&frame, column)?)?,
    };

    // 3. The file again, each row with its score.
    let table = options
        .open(File::open(&arguments.data).context(|| format!("cannot read {}", arguments.data.display()))?)?;
    let mut out = Whole::create(&arguments.out)?;
    let added = list.copy_table(table, arguments.value.is_some(), &mut out)?;
    out.finish()?;
    let taken = added.iter().filter(|name| name.ends_with(|last: char| last.is_ascii_digit()));
    notes.extend(
        taken.map(|name| {
            format!("the file has a column of that name already: the model's is called `{name}`")
        }),
    );

    let rows = probabilities.len();
    let summary = Summary {
        rows,
        mean_probability: probabilities.iter().sum::<f64>() / rows.max(1) as f64,
        expected_value: arguments
            .value
            .as_ref()
            .map(|_| list.ranked().iter().map(|row| row.expected_value).sum()),
        notes,
        seconds: begun.elapsed().as_secs_f64(),
    };
    Answer::of(arguments.json, &summary, |summary| {
        let (mean, seconds) = (summary.mean_probability, summary.seconds);
        let first = format!("{rows} rows scored in {seconds:.2} s, mean probability {mean:.4}");
        std::iter::once(first).chain(summary.notes.iter().cloned()).collect::<Vec<_>>().join("\n")
    })
}

/// Columns without any value, and categories that the model does not know.
fn misfits(model: &TrainedModel, frame: &Frame) -> Vec<String> {
    let mut notes = Vec::new();
    for fit in model.fit_of(frame).iter().filter(|fit| fit.rows > 0) {
        let (column, rows) = (&fit.column, fit.rows);
        if fit.missing == rows {
            notes.push(format!("column {column}: empty in all {rows} rows"));
        }
        if fit.unfamiliar > 0 {
            notes.push(format!(
                "column {column}: {} of {rows} rows hold a category that training did not show, or too rarely to tell",
                fit.unfamiliar
            ));
        }
    }
    notes
}

/// The numbers of a column, all of which must be there.
fn values(frame: &Frame, name: &str) -> Step<Vec<f64>> {
    let column = frame.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
    let number = |row| match column.value(row) {
        Some(Value::Number(number)) => Ok(number),
        _ => Err(format!("row {} has no number in column `{name}`", row + 1).into()),
    };
    (0..column.rows()).map(number).collect()
}
