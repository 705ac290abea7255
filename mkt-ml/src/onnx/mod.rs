//! Export of models as ONNX files (feature `onnx`).
//!
//! The whole model is exported: encoding, trees or weights, calibration. The graph has an input for each column of
//! [`TrainedModel::schema`], by its name, of the shape [rows, 1]: doubles for numbers, NaN being missing, and strings
//! for categories, the empty one being missing unless training knew it as a category. Its outputs are `probability`
//! (double, [rows, 1]) and `label` (string, [rows, 1]: what the data called the outcome, at 0.5).
//!
//! Everything is computed in doubles, so that rows take the same way through the trees as here. It needs a runtime
//! that knows the operator sets 17 of ONNX and 5 of `ai.onnx.ml`, of 2024: onnxruntime from 1.20 on.

mod graph;
mod proto;

use std::{io::Write, path::Path};

use prost::Message;

use self::graph::{Builder, ML, bytes, doubles, int, ints, strings, tensor};
use crate::{
    calibration::Calibration,
    encoder::{Block, EncodeError},
    trained::{Formula, TrainedModel},
    tree::nodes::{Node, Nodes},
};

/// The numbers of the operator sets.
const OPERATORS: i64 = 17;
const ML_OPERATORS: i64 = 5;
/// The version of the format that came with the latter.
const IR_VERSION: i64 = 10;

/// Why a model could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The model uses something that ONNX cannot express.
    #[error("ONNX cannot express {what}")]
    Inexpressible {
        /// What it uses.
        what: &'static str,
    },
    /// A column has the name of an output.
    #[error("the column `{column}` is called like an output of the graph: rename it before training")]
    Name {
        /// The column.
        column: String,
    },
    /// The encoder is inconsistent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The file could not be written.
    #[error("the ONNX file could not be written")]
    Write {
        /// The cause.
        #[from]
        source: std::io::Error,
    },
}

impl TrainedModel {
    /// Writes the model as an ONNX file (feature `onnx`), for programs that are not written in Rust.
    ///
    /// The graph holds the whole model: encoding, trees or weights, calibration. It has one input of shape [rows, 1] per
    /// column of [`TrainedModel::schema`], by its name: doubles for numbers, with NaN for missing; strings for categories,
    /// with the empty string for missing. Its outputs are `probability` (double, [rows, 1]) and `label` (string,
    /// [rows, 1]: the outcome as written in the data, at the threshold 0.5). Everything is computed in doubles. The
    /// runtime must support the operator sets 17 of ONNX and 5 of `ai.onnx.ml`: onnxruntime 1.20 or later.
    ///
    /// # Errors
    /// [`OnnxError::Inexpressible`] for an encoder that refuses unseen categories; a file that cannot be written.
    pub fn save_onnx(&self, path: impl AsRef<Path>) -> Result<(), OnnxError> {
        let bytes = self.to_onnx()?;
        let mut file = std::fs::File::create(path)?;
        file.write_all(&bytes)?;
        Ok(file.sync_all()?)
    }

    /// The ONNX file's bytes.
    ///
    /// # Errors
    /// As [`TrainedModel::save_onnx`], files aside.
    pub fn to_onnx(&self) -> Result<Vec<u8>, OnnxError> {
        let mut graph = Builder::default();
        let features = self.features(&mut graph)?;
        let count = self.encoder().features().len();
        let mut probability = match self.formula() {
            Formula::Linear { weights, intercept } => {
                let weights = graph.numbers(weights, &[count, 1]);
                let sum = graph.add("MatMul", vec![features, weights], Vec::new());
                let intercept = graph.number(intercept);
                let sum = graph.add("Add", vec![sum, intercept], Vec::new());
                graph.add("Sigmoid", vec![sum], Vec::new())
            }
            Formula::Mean(trees) => {
                let sum = self.ensemble(&mut graph, features, trees);
                let count = graph.number(trees.len() as f64);
                let mean = graph.add("Div", vec![sum, count], Vec::new());
                let one = graph.number(1.0);
                graph.add("Min", vec![mean, one], Vec::new())
            }
            Formula::LogOdds { base, trees } => {
                let base = graph.number(base);
                let sum = match trees.is_empty() {
                    true => {
                        // A row of zeros has as many rows as are asked.
                        let none = graph.numbers(&vec![0.0; count], &[count, 1]);
                        let known = self.known(&mut graph, features);
                        graph.add("MatMul", vec![known, none], Vec::new())
                    }
                    false => self.ensemble(&mut graph, features, trees),
                };
                let sum = graph.add("Add", vec![sum, base], Vec::new());
                graph.add("Sigmoid", vec![sum], Vec::new())
            }
        };
        if let Some(calibration) = self.calibration() {
            probability = calibrate(&mut graph, probability, calibration);
        }
        let half = graph.number(0.5);
        let above = graph.add("Greater", vec![probability.clone(), half], Vec::new());
        let [positive, negative] =
            [&self.target().positive, &self.target().negative].map(|text| graph.text(text));
        let label = graph.add("Where", vec![above, positive, negative], Vec::new());
        graph.output(probability, "probability", proto::DOUBLE);
        graph.output(label, "label", proto::STRING);
        let operators = |domain: &str, version| proto::OperatorSet { domain: domain.to_owned(), version };
        let model = proto::Model {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: format!(
                "{} for `{}`: the probability of `{}`",
                self.algorithm().name(),
                self.target().column,
                self.target().positive
            ),
            graph: Some(graph.finish(self.algorithm().name())),
            opset_import: vec![operators("", OPERATORS), operators(ML, ML_OPERATORS)],
        };
        Ok(model.encode_to_vec())
    }

    /// The matrix of encoded features.
    fn features(&self, graph: &mut Builder) -> Result<String, OnnxError> {
        let refused = OnnxError::Inexpressible { what: "an encoder that refuses unseen categories" };
        let mut parts = Vec::new();
        for block in self.encoder().blocks()?.ok_or(refused)? {
            let (Block::Numeric { column, .. } | Block::Categorical { column, .. }) = block;
            if matches!(column, "probability" | "label") || column.starts_with("mkt:") {
                return Err(OnnxError::Name { column: crate::error::shown(column) });
            }
            match block {
                Block::Numeric { column, centre, scale, absent, flag } => {
                    let number = graph.input(column, proto::DOUBLE);
                    let missing = graph.add("IsNaN", vec![number.clone()], Vec::new());
                    let mut cell = number;
                    if (centre, scale) != (0.0, 1.0) {
                        let [centre, scale] = [centre, scale].map(|value| graph.number(value));
                        cell = graph.add("Sub", vec![cell, centre], Vec::new());
                        cell = graph.add("Div", vec![cell, scale], Vec::new());
                    }
                    if !absent.is_nan() {
                        let absent = graph.number(absent);
                        cell = graph.add("Where", vec![missing.clone(), absent, cell], Vec::new());
                    }
                    parts.push(cell);
                    if flag {
                        let to = int("to", i64::from(proto::DOUBLE));
                        parts.push(graph.add("Cast", vec![missing], vec![to]));
                    }
                }
                Block::Categorical { column, levels, cells } => {
                    let text = graph.input(column, proto::STRING);
                    let (other, missing) = (levels.len() as i64, levels.len() as i64 + 1);
                    let mut names: Vec<&str> = levels.iter().map(String::as_str).collect();
                    let mut codes: Vec<i64> = (0..other).collect();
                    if !names.contains(&"") {
                        names.push("");
                        codes.push(missing);
                    }
                    let coding = vec![
                        strings("keys_strings", names),
                        ints("values_int64s", codes),
                        int("default_int64", other),
                    ];
                    let code = graph.add_of("LabelEncoder", ML, vec![text], coding);
                    let (rows, width) = cells.dim();
                    let table = graph.numbers(&cells.iter().copied().collect::<Vec<f64>>(), &[rows, width]);
                    let found = graph.add("Gather", vec![table, code], vec![int("axis", 0)]);
                    let shape = graph.integers(&[-1, width as i64]);
                    parts.push(graph.add("Reshape", vec![found, shape], Vec::new()));
                }
            }
        }
        Ok(graph.add("Concat", parts, vec![int("axis", 1)]))
    }

    /// The features with 0 for missing ones.
    fn known(&self, graph: &mut Builder, features: String) -> String {
        let missing = graph.add("IsNaN", vec![features.clone()], Vec::new());
        let zero = graph.number(0.0);
        graph.add("Where", vec![missing, zero, features], Vec::new())
    }

    /// The sum of the trees' values.
    fn ensemble(&self, graph: &mut Builder, features: String, trees: &[Nodes]) -> String {
        let levels: Vec<usize> = self
            .encoder()
            .features()
            .iter()
            .map(|feature| feature.levels.as_ref().map_or(0, Vec::len))
            .collect();
        let mut ensemble = Ensemble::default();
        for tree in trees {
            ensemble.plant(tree, &levels);
        }
        graph.add_of("TreeEnsemble", ML, vec![features], ensemble.attributes())
    }
}

/// How values go on, by number.
const UP_TO: u8 = 0;
const MEMBER: u8 = 6;

/// Trees as columns: inner nodes and leaves are numbered apart, over all trees.
#[derive(Debug, Default)]
struct Ensemble {
    roots: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<u8>,
    splits: Vec<f64>,
    /// Sets of categories, each ended by NaN, in the order of their nodes.
    members: Vec<f64>,
    missing_true: Vec<i64>,
    /// The child on either side, true first: its number, and whether it is a leaf.
    children: [Vec<(i64, bool)>; 2],
    leaves: Vec<f64>,
}

impl Ensemble {
    fn plant(&mut self, tree: &Nodes, levels: &[usize]) {
        let (first, first_leaf) = (self.features.len(), self.leaves.len());
        let [mut inner, mut leaf] = [0, 0];
        let places: Vec<(i64, bool)> = tree
            .nodes
            .iter()
            .map(|node| {
                let is_leaf = matches!(node, Node::Leaf { .. });
                let (from, count) = if is_leaf { (first_leaf, &mut leaf) } else { (first, &mut inner) };
                *count += 1;
                ((from + *count - 1) as i64, is_leaf)
            })
            .collect();
        self.roots.push(first as i64);
        let place = |at: usize| places.get(at).copied().unwrap_or_default();
        for node in &tree.nodes {
            let (feature, left, missing_left) = match *node {
                Node::Leaf { value, .. } => {
                    self.leaves.push(value);
                    continue;
                }
                Node::Split { feature, threshold, missing_left, left } => {
                    self.modes.push(UP_TO);
                    self.splits.push(threshold);
                    (feature, left, missing_left)
                }
                Node::Category { feature, missing_left, left, .. } => {
                    self.modes.push(MEMBER);
                    self.splits.push(0.0);
                    let known = levels.get(feature as usize).copied().unwrap_or_default();
                    let codes = (0..known).map(|code| code as f64);
                    let before = self.members.len();
                    self.members.extend(codes.filter(|code| tree.goes_left(node, *code)));
                    if self.members.len() == before {
                        // Only missing values go there, and an empty set is refused: a code that nothing has.
                        self.members.push(-1.0);
                    }
                    self.members.push(f64::NAN);
                    (feature, left, missing_left)
                }
            };
            self.features.push(i64::from(feature));
            self.missing_true.push(i64::from(missing_left));
            for (side, children) in self.children.iter_mut().enumerate() {
                children.push(place(left as usize + side));
            }
        }
        if inner == 0 {
            // A tree of one leaf is a question with one answer.
            self.features.push(0);
            self.modes.push(UP_TO);
            self.splits.push(0.0);
            self.missing_true.push(0);
            self.children.iter_mut().for_each(|children| children.push((first_leaf as i64, true)));
        }
    }

    fn attributes(self) -> Vec<proto::Attribute> {
        let [on_true, on_false] = self.children;
        let number = |children: &[(i64, bool)]| children.iter().map(|child| child.0).collect();
        let leaf = |children: &[(i64, bool)]| children.iter().map(|child| i64::from(child.1)).collect();
        let mut attributes = vec![
            int("aggregate_function", 1),
            ints("leaf_targetids", vec![0; self.leaves.len()]),
            tensor("leaf_weights", doubles(&self.leaves, &[self.leaves.len()])),
            int("n_targets", 1),
            ints("nodes_falseleafs", leaf(&on_false)),
            ints("nodes_falsenodeids", number(&on_false)),
            ints("nodes_featureids", self.features),
            ints("nodes_missing_value_tracks_true", self.missing_true),
            tensor("nodes_modes", bytes(&self.modes)),
            tensor("nodes_splits", doubles(&self.splits, &[self.splits.len()])),
            ints("nodes_trueleafs", leaf(&on_true)),
            ints("nodes_truenodeids", number(&on_true)),
            int("post_transform", 0),
            ints("tree_roots", self.roots),
        ];
        if !self.members.is_empty() {
            attributes.push(tensor("membership_values", doubles(&self.members, &[self.members.len()])));
        }
        attributes
    }
}

fn calibrate(graph: &mut Builder, probability: String, calibration: &Calibration) -> String {
    match calibration {
        Calibration::Platt { slope, intercept } => {
            let edge = crate::calibration::EDGE;
            let [low, high, one] = [edge, 1.0 - edge, 1.0].map(|value| graph.number(value));
            let p = graph.add("Clip", vec![probability, low, high], Vec::new());
            let rest = graph.add("Sub", vec![one, p.clone()], Vec::new());
            let odds = graph.add("Div", vec![p, rest], Vec::new());
            let odds = graph.add("Log", vec![odds], Vec::new());
            let [slope, intercept] = [*slope, *intercept].map(|value| graph.number(value));
            let odds = graph.add("Mul", vec![odds, slope], Vec::new());
            let odds = graph.add("Add", vec![odds, intercept], Vec::new());
            graph.add("Sigmoid", vec![odds], Vec::new())
        }
        Calibration::Isotonic { scores, probabilities } => {
            // How many scores lie below says on which line the probability is: (x₀, y₀, rise), level at both ends.
            let mut lines = vec![[0.0, probabilities.first().copied().unwrap_or_default(), 0.0]];
            let points: Vec<(f64, f64)> = scores.iter().copied().zip(probabilities.iter().copied()).collect();
            lines.extend(points.windows(2).filter_map(|pair| {
                let [(x0, y0), (x1, y1)] = <[(f64, f64); 2]>::try_from(pair).ok()?;
                Some([x0, y0, (y1 - y0) / (x1 - x0)])
            }));
            lines.extend(points.last().map(|(x, y)| [*x, *y, 0.0]));
            let edges = graph.numbers(scores, &[1, scores.len()]);
            let below = graph.add("Less", vec![edges, probability.clone()], Vec::new());
            let counted = graph.add("Cast", vec![below], vec![int("to", i64::from(proto::INT64))]);
            let axis = graph.integers(&[1]);
            let at = graph.add("ReduceSum", vec![counted, axis], vec![int("keepdims", 1)]);
            let column =
                |part: usize| lines.iter().filter_map(|line| line.get(part)).copied().collect::<Vec<f64>>();
            let [x, y, rise] = [0, 1, 2].map(|part| {
                let table = graph.numbers(&column(part), &[lines.len()]);
                graph.add("Gather", vec![table, at.clone()], vec![int("axis", 0)])
            });
            let along = graph.add("Sub", vec![probability, x], Vec::new());
            let risen = graph.add("Mul", vec![along, rise], Vec::new());
            graph.add("Add", vec![y, risen], Vec::new())
        }
    }
}
