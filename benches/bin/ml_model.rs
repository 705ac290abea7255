//! Fits a model and predicts with it; the Rust side of `compare/ml/models.py`, which makes the data and compares.
//!
//! Data are files of raw little-endian numbers: `NAME.x` holds f64 row after row, `NAME.y` one byte a label.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program")]

use std::{fs, hint::black_box, num::NonZeroUsize, path::PathBuf, time::Instant};

use clap::Parser;
use linfa::{Dataset, ParamGuard, traits::Fit};
use mkt_ml::{Boosting, Classifier, Forest};
use ndarray::{Array1, Array2, Ix1};

/// Fits a model and predicts with it; prints times and memory, in JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where `train.x`, `train.y`, `test.x` and `test.y` are
    folder: PathBuf,
    /// boosting, forest, extra-trees
    #[arg(long)]
    model: String,
    /// Features of a row
    #[arg(long)]
    features: usize,
    /// Features, by number, that are categories
    #[arg(long, value_delimiter = ',')]
    categorical: Vec<usize>,
    #[arg(long, default_value_t = 100)]
    trees: usize,
    #[arg(long, default_value_t = 31)]
    leaves: usize,
    #[arg(long)]
    depth: Option<usize>,
    #[arg(long, default_value_t = 0.1)]
    learning_rate: f64,
    #[arg(long, default_value_t = 20)]
    min_leaf: u32,
    #[arg(long, default_value_t = 255)]
    bins: usize,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Times the test rows are predicted; the fastest counts
    #[arg(long, default_value_t = 3)]
    predictions: usize,
    /// Writes the probabilities of the test rows here, as f64
    #[arg(long)]
    out: Option<PathBuf>,
}

fn read(arguments: &Arguments, name: &str) -> Dataset<f64, bool, Ix1> {
    let cells: Vec<f64> = fs::read(arguments.folder.join(format!("{name}.x")))
        .unwrap()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect();
    let labels: Array1<bool> = fs::read(arguments.folder.join(format!("{name}.y")))
        .unwrap()
        .iter()
        .map(|label| *label == 1)
        .collect();
    let records = Array2::from_shape_vec((labels.len(), arguments.features), cells).unwrap();
    let names = (0..arguments.features).map(|at| at.to_string()).collect();
    Dataset::new(records, labels).with_feature_names(names)
}

/// Seconds of processor time that the process has taken, in steps of 10 ms.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory that the process ever had, in MB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn main() {
    let arguments = Arguments::parse();
    let train = read(&arguments, "train");
    let before = peak();
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let model: Box<dyn Classifier> = match arguments.model.as_str() {
        "boosting" => {
            let params = Boosting::params()
                .trees(arguments.trees)
                .leaves(arguments.leaves)
                .max_depth(arguments.depth)
                .learning_rate(arguments.learning_rate)
                .min_leaf(arguments.min_leaf)
                .bins(arguments.bins)
                .categorical(arguments.categorical.iter().map(ToString::to_string))
                .seed(arguments.seed)
                .threads(arguments.threads);
            Box::new(params.check().unwrap().fit(&train).unwrap())
        }
        kind => {
            let params = if kind == "forest" { Forest::params() } else { Forest::extra_trees() };
            let params = params
                .trees(arguments.trees)
                .max_depth(arguments.depth)
                .min_leaf(arguments.min_leaf.into())
                .out_of_bag(false)
                .seed(arguments.seed)
                .threads(arguments.threads);
            Box::new(params.fit(&train).unwrap())
        }
    };
    let (train_wall, train_cpu) = (begun.elapsed().as_secs_f64(), cpu() - cpu_begun);
    let (rows, memory) = (train.records().nrows(), peak());
    drop(train);
    let test = read(&arguments, "test");
    let mut seconds = f64::INFINITY;
    let mut probabilities = Array1::zeros(0);
    for _ in 0..arguments.predictions {
        let begun = Instant::now();
        probabilities = black_box(model.probabilities(black_box(test.records().view())).unwrap());
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    if let Some(out) = &arguments.out {
        let bytes: Vec<u8> = probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
        fs::write(out, bytes).unwrap();
    }
    let auc = mkt_ml::metrics::auc_roc(&test.targets().to_vec(), &probabilities.to_vec()).ok();
    println!(
        "{}",
        serde_json::json!({
            "rows": rows, "train_wall": train_wall, "train_cpu": train_cpu, "auc": auc,
            "predict_rows_per_second": test.records().nrows() as f64 / seconds,
            "data_mb": before, "peak_mb": memory,
        })
    );
}
