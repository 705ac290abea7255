//! Fits a model and predicts with it; the Rust side of `compare/ml/models.py`, which makes the data and compares.
//!
//! Data are files of raw little-endian numbers: `NAME.x` holds f64 row after row, `NAME.y` one byte a label.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measuring program")]

use std::{fs, hint::black_box, num::NonZeroUsize, path::PathBuf, time::Instant};

use clap::Parser;
use linfa::{Dataset, ParamGuard, traits::Fit};
use mkt_ml::{
    Algorithm, Boosting, Classifier, DecisionTree, Forest, Frame, Labelled, Logistic, TrainedModel,
    linfa_models::{LinfaLogistic, LinfaTree},
};
use ndarray::{Array1, Array2, Ix1};
use serde_json::{Value, json};

/// Fits a model and predicts with it; prints times and memory, in JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where `train.x`, `train.y`, `test.x` and `test.y` are
    folder: PathBuf,
    /// boosting, forest, extra-trees; logistic, tree, linfa-logistic, linfa-tree with their encoding
    #[arg(long)]
    model: String,
    /// Features of a row
    #[arg(long)]
    features: usize,
    /// Features, by number, that are categories: of logistic regressions always, of boosting where `--native`
    #[arg(long, value_delimiter = ',')]
    categorical: Vec<usize>,
    /// Boosting takes those features for categories without an order
    #[arg(long)]
    native: bool,
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
    /// Also says how far the fit is from the least that its sums cost
    #[arg(long)]
    floor: bool,
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

/// The same rows as columns; categories are named by their codes.
fn labelled(arguments: &Arguments, data: &Dataset<f64, bool, Ix1>) -> Labelled {
    let names: Vec<String> = (0..1000).map(|code| code.to_string()).collect();
    let mut frame = Frame::new();
    for (at, column) in data.records().columns().into_iter().enumerate() {
        let name = at.to_string();
        frame = if arguments.categorical.contains(&at) {
            frame.with_categorical(name, column.iter().map(|code| names[*code as usize].as_str())).unwrap()
        } else {
            frame.with_numeric(name, column.iter().copied()).unwrap()
        };
    }
    let labels = data.targets().iter().map(|label| f64::from(u8::from(*label)));
    Labelled::new(frame.with_numeric("outcome", labels).unwrap(), "outcome").unwrap()
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

/// What a fit took.
struct Taken {
    wall: f64,
    cpu: f64,
    peak: f64,
}

fn timed<T>(fit: impl FnOnce() -> T) -> (T, Taken) {
    let (begun, before) = (Instant::now(), cpu());
    let fitted = fit();
    let taken = Taken { wall: begun.elapsed().as_secs_f64(), cpu: cpu() - before, peak: peak() };
    (fitted, taken)
}

/// Predicts several times; the probabilities, and the seconds of the fastest time.
fn predicted(arguments: &Arguments, ask: impl Fn() -> Vec<f64>) -> (Vec<f64>, f64) {
    let mut seconds = f64::INFINITY;
    let mut probabilities = Vec::new();
    for _ in 0..arguments.predictions {
        let begun = Instant::now();
        probabilities = black_box(ask());
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    (probabilities, seconds)
}

fn main() {
    let arguments = Arguments::parse();
    let (taken, probabilities, seconds, mut told) = match arguments.model.as_str() {
        "boosting" | "forest" | "extra-trees" => on_matrix(&arguments),
        _ => on_frame(&arguments),
    };
    if let Some(out) = &arguments.out {
        let bytes: Vec<u8> = probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
        fs::write(out, bytes).unwrap();
    }
    let figures = told.as_object_mut().unwrap();
    figures.insert("train_wall".to_owned(), json!(taken.wall));
    figures.insert("train_cpu".to_owned(), json!(taken.cpu));
    figures.insert("peak_mb".to_owned(), json!(taken.peak));
    figures.insert("predict_rows_per_second".to_owned(), json!(probabilities.len() as f64 / seconds));
    println!("{told}");
}

/// Models of trees, on a matrix as the peers take it.
fn on_matrix(arguments: &Arguments) -> (Taken, Vec<f64>, f64, Value) {
    let train = read(arguments, "train");
    let rows = train.records().nrows();
    let categorical: Vec<String> = match arguments.native {
        true => arguments.categorical.iter().map(ToString::to_string).collect(),
        false => Vec::new(),
    };
    let (model, taken, trees): (Box<dyn Classifier>, Taken, Value) = if arguments.model == "boosting" {
        let params = Boosting::params()
            .trees(arguments.trees)
            .leaves(arguments.leaves)
            .max_depth(arguments.depth)
            .learning_rate(arguments.learning_rate)
            .min_leaf(arguments.min_leaf)
            .bins(arguments.bins)
            .categorical(categorical)
            .seed(arguments.seed)
            .threads(arguments.threads);
        let (model, taken) = timed(|| params.check().unwrap().fit(&train).unwrap());
        let trees = if arguments.floor { serde_json::to_value(&model).unwrap() } else { Value::Null };
        (Box::new(model), taken, trees)
    } else {
        let params = if arguments.model == "forest" { Forest::params() } else { Forest::extra_trees() };
        let params = params
            .trees(arguments.trees)
            .max_depth(arguments.depth)
            .min_leaf(arguments.min_leaf.into())
            .out_of_bag(false)
            .seed(arguments.seed)
            .threads(arguments.threads);
        let (model, taken) = timed(|| params.fit(&train).unwrap());
        (Box::new(model), taken, Value::Null)
    };
    drop(train);
    let mut told = json!({});
    if arguments.floor && arguments.model == "boosting" {
        let floor = floor(&trees, rows, arguments.features);
        told = json!({"adds": floor.adds, "floor_bytes": floor.adds, "floor_seconds": floor.seconds,
                      "times_floor": taken.cpu / floor.seconds});
    }
    let test = read(arguments, "test");
    let ask = || model.probabilities(black_box(test.records().view())).unwrap().to_vec();
    let (probabilities, seconds) = predicted(arguments, ask);
    (taken, probabilities, seconds, told)
}

/// The least that the histograms of boosted trees cost.
struct Floor {
    /// One for each row and feature of the root of each tree and of the smaller child of each split; each reads a byte.
    adds: f64,
    /// What so many adds take when rows come in their order.
    seconds: f64,
}

fn floor(model: &Value, rows: usize, features: usize) -> Floor {
    let mut row_sums = 0.0;
    for tree in model["trees"].as_array().unwrap() {
        let numbers = |key: &str| -> Vec<u64> {
            tree[key].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
        };
        let (left, key) = (numbers("left"), numbers("key"));
        // Rows below each node: those of its leaves; children come after their parents.
        let mut below = vec![0_u64; left.len()];
        for at in (0..left.len()).rev() {
            below[at] = match left[at] as usize {
                0 => key[at],
                child => {
                    row_sums += below[child].min(below[child + 1]) as f64;
                    below[child] + below[child + 1]
                }
            };
        }
        row_sums += below[0] as f64;
    }
    let adds = row_sums * features as f64;
    // One add into a histogram of 64-bit sums, rows in order, bins at random: nothing that a fit does can be less.
    let rows = rows.min(200_000);
    let mut state = 1_u64;
    let bins: Vec<u8> = (0..rows * features)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    let gradients: Vec<i64> = (0..rows as i64).map(|row| row * 7919 % 65_536 + (1 << 32)).collect();
    let mut fastest = f64::INFINITY;
    for _ in 0..5 {
        let mut sums = vec![[0_i64; 256]; features];
        let begun = Instant::now();
        for (row, gradient) in bins.chunks_exact(features).zip(&gradients) {
            for (sums, bin) in sums.iter_mut().zip(row) {
                sums[usize::from(*bin)] += gradient;
            }
        }
        fastest = fastest.min(begun.elapsed().as_secs_f64());
        black_box(&sums);
    }
    Floor { adds, seconds: adds * fastest / (rows * features) as f64 }
}

/// Models that need an encoding, which their times include.
fn on_frame(arguments: &Arguments) -> (Taken, Vec<f64>, f64, Value) {
    let train = labelled(arguments, &read(arguments, "train"));
    let algorithm: Algorithm = match arguments.model.as_str() {
        // The default stops at a gradient that leaves the loss right in all digits that are compared.
        "logistic" => Logistic::params().penalty(1.0).threads(arguments.threads).into(),
        "linfa-logistic" => LinfaLogistic::params().into(),
        "linfa-tree" => LinfaTree::params().min_leaf(arguments.min_leaf as f32).into(),
        "tree" => DecisionTree::params().max_depth(20).min_leaf(arguments.min_leaf.into()).into(),
        other => unreachable!("the model {other}"),
    };
    let (model, taken) = timed(|| TrainedModel::fit(&train, algorithm).unwrap());
    drop(train);
    let mut told = json!({});
    if let Some(logistic) = model.logistic() {
        let weights: serde_json::Map<String, Value> =
            logistic.coefficients().into_iter().map(|one| (one.feature, json!(one.estimate))).collect();
        told = json!({"weights": weights, "intercept": logistic.intercept().estimate});
    }
    let test = labelled(arguments, &read(arguments, "test"));
    let (probabilities, seconds) =
        predicted(arguments, || model.probabilities(black_box(test.frame())).unwrap());
    (taken, probabilities, seconds, told)
}
