//! The options.

use clap::{Parser, ValueEnum};
use mkt_examples::output::Output;
use mkt_examples::table::TableOptions;
use mkt_ml::calibration::Method;
use mkt_ml::linfa_models::{LinfaLogistic, LinfaTree};
use mkt_ml::{Algorithm, Boosting, DecisionTree, Forest, Logistic};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Learns from a CSV file who converts, evaluates the model on rows that it did
/// not see, and saves it
#[derive(Debug, Parser)]
#[command(
    version,
    mut_arg("charts", |it| it.help("Draws ROC, precision and recall, gain, calibration and importances as SVG into this folder")),
    max_term_width = 80,
    after_help = "\
Columns are read as numbers or categories by their content. What was found,
taken as missing or not understood is in the answer, with the option that
decides it. The report is the one that scikit-learn prints.

Examples:
  cargo run --release --example conversion_model -- \\
      --data user_behavior.csv --target converted --model boosting
  cargo run --release --example conversion_model -- --warehouse sqlite:shop.db"
)]
pub(crate) struct Arguments {
    /// The file; its first line names the columns
    #[arg(long, value_name = "FILE", required_unless_present = "warehouse", conflicts_with = "warehouse")]
    pub(crate) data: Option<PathBuf>,
    /// Learns from the sessions of a warehouse instead (its report
    /// training_set): sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// The column that says whether a row converted [default for a warehouse:
    /// converted]
    #[arg(long, value_name = "COLUMN", required_unless_present = "warehouse")]
    pub(crate) target: Option<String>,
    /// What the column holds in rows that converted; blanks around it do not
    /// count [default: 1, true, yes or oui]
    #[arg(long, value_name = "VALUE")]
    pub(crate) positive: Option<String>,
    #[command(flatten)]
    pub(crate) table: TableOptions,
    /// A column of numbers that are categories, such as codes; repeat the option
    /// for more
    #[arg(long, value_name = "COLUMN")]
    pub(crate) categorical: Vec<String>,
    /// Columns to leave out, such as an identifier or what is known only after
    /// the outcome
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) without: Vec<String>,
    /// The model
    #[arg(long, value_enum, default_value_t = Kind::Forest)]
    pub(crate) model: Kind,
    /// Trees of a forest or of boosting
    #[arg(long, default_value_t = 100)]
    pub(crate) trees: usize,
    /// The share of the rows held out for evaluation
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub(crate) test_size: f64,
    /// Decides which rows are held out, and every draw of the model
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Also cross-validates in so many parts
    #[arg(long, value_name = "K")]
    pub(crate) folds: Option<usize>,
    /// Calibrates probabilities, so that 20 % means 20 in 100, on the training
    /// rows in five parts
    #[arg(long, value_enum)]
    pub(crate) calibrate: Option<Calibrate>,
    /// Threads to fit on; the model does not depend on them [default: all]
    #[arg(long)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Saves the model in this file, for the example `score`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Saves the model as ONNX too, for onnxruntime
    #[arg(long, value_name = "FILE")]
    pub(crate) onnx: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How probabilities are calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Calibrate {
    /// Two numbers, for a few hundred rows
    Platt,
    /// Any rising curve, for thousands of rows
    Isotonic,
}

impl From<Calibrate> for Method {
    fn from(calibrate: Calibrate) -> Self {
        match calibrate {
            Calibrate::Platt => Self::Platt,
            Calibrate::Isotonic => Self::Isotonic,
        }
    }
}

/// The models on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Logistic regression, penalised
    Logistic,
    /// Random forest
    Forest,
    /// Extremely randomised trees
    ExtraTrees,
    /// Gradient boosting
    Boosting,
    /// One decision tree of depth 4, printed as rules
    Tree,
    /// linfa's logistic regression
    LinfaLogistic,
    /// linfa's decision tree
    LinfaTree,
}

impl Arguments {
    /// The model to fit. Leaves of a forest hold at least five rows, as in the quickstart.
    pub(crate) fn algorithm(&self) -> Algorithm {
        let (trees, seed, threads) = (self.trees, self.seed, self.threads);
        let forest =
            |params: mkt_ml::ForestParams| params.trees(trees).min_leaf(5).seed(seed).threads(threads);
        match self.model {
            Kind::Logistic => Logistic::params().threads(threads).into(),
            Kind::Forest => forest(Forest::params()).into(),
            Kind::ExtraTrees => forest(Forest::extra_trees()).into(),
            Kind::Boosting => Boosting::params().trees(trees).seed(seed).threads(threads).into(),
            Kind::Tree => DecisionTree::params().max_depth(4).min_leaf(20).seed(seed).into(),
            Kind::LinfaLogistic => LinfaLogistic::params().into(),
            Kind::LinfaTree => LinfaTree::params().into(),
        }
    }
}
