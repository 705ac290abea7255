//! The options.

use clap::Parser;
use mkt_examples::table::TableOptions;
use std::path::PathBuf;

/// Scores the rows of a CSV file with a saved model: each row as it stands, with
/// `probability`, `decile` (1 is best) and, with --value, `expected_value`
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 80,
    after_help = "\
Columns are found by name; those that the model does not know are copied. The
output is written whole or not at all.

Example:
  cargo run --release --example score -- \\
      --model forest.mkt --data visitors.csv --out scored.csv"
)]
pub(crate) struct Arguments {
    /// The model's file, saved by `conversion_model`
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The rows to score; the first line names the columns
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Where the scored rows go; not the file that is scored
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A column with what a conversion of the row is worth: rows are then ranked
    /// by probability × value
    #[arg(long, value_name = "COLUMN")]
    pub(crate) value: Option<String>,
    #[command(flatten)]
    pub(crate) table: TableOptions,
    /// Prints the summary as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
