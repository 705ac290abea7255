//! ONNX files: onnxruntime gives the probabilities that the model gives. `MKT_ONNX_PYTHON` names a Python with the
//! packages onnx, onnxruntime and numpy; without it these tests say that they were skipped.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{env, fs, process::Command};

use mkt_ml::{
    Algorithm, Boosting, DecisionTree, Forest, Frame, Labelled, Logistic, OnnxError, TrainedModel, Value,
    calibration::Method,
    encoder::{EncoderParams, HighCardinality, Unseen},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;

/// Visits with missing numbers and categories, a column of 80 levels of which some are merged.
fn visits(rows: usize, seed: u64) -> Labelled {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut csv = "seconds,pages,source,city,converted\n".to_owned();
    for _ in 0..rows {
        let seconds: f64 = rng.random_range(0.0..300.0);
        let pages = rng.random_range(1..15_u32);
        let source = ["organic", "é-mail", "paid", ""][rng.random_range(0..4_usize)];
        let city = (rng.random::<f64>().powi(3) * 80.0) as u32;
        let z = -3.5
            + 0.01 * seconds
            + 0.2 * f64::from(pages)
            + f64::from(u8::from(source == "paid"))
            + if city.is_multiple_of(7) { 2.0 } else { 0.0 };
        let converted = u8::from(rng.random::<f64>() < 1.0 / (1.0 + (-z).exp()));
        let seconds = if rng.random_bool(0.1) { String::new() } else { seconds.to_string() };
        csv += &format!("{seconds},{pages},{source},c{city},{converted}\n");
    }
    Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "converted").unwrap()
}

/// The largest distance of onnxruntime's probabilities from the model's, `None` where it is not there.
fn distance(model: &TrainedModel, rows: &Frame) -> Option<f64> {
    let Some(python) = env::var_os("MKT_ONNX_PYTHON") else {
        eprintln!("skipped: MKT_ONNX_PYTHON names no Python with onnxruntime");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    model.save_onnx(&path).unwrap();
    let expected = model.probabilities(rows).unwrap();
    let cell = |value: Option<Value>, numeric| match value {
        Some(Value::Number(number)) => json!(number),
        Some(Value::Text(text)) => json!(text),
        _ if numeric => json!(null),
        _ => json!(""),
    };
    let columns: Vec<serde_json::Value> = model
        .schema()
        .iter()
        .map(|field| {
            let (column, numeric) =
                (rows.column(&field.name).unwrap(), field.kind == mkt_ml::ColumnKind::Numeric);
            let values: Vec<_> = (0..rows.rows()).map(|row| cell(column.value(row), numeric)).collect();
            json!({"name": field.name, "numeric": numeric, "values": values})
        })
        .collect();
    let target = model.target();
    let labels: Vec<&str> = expected
        .iter()
        .map(|p| if *p > 0.5 { target.positive.as_str() } else { target.negative.as_str() })
        .collect();
    let asked = folder.path().join("rows.json");
    fs::write(&asked, json!({"columns": columns, "expected": expected, "labels": labels}).to_string())
        .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/onnx_runtime.py");
    let told = Command::new(python).arg(script).arg(&path).arg(&asked).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["labels"], 0, "labels differ");
    told["worst"].as_f64()
}

#[test]
fn onnxruntime_scores_every_model_alike() {
    let (train, asked) = (visits(1500, 1), visits(700, 2));
    let algorithms: [Algorithm; 6] = [
        Logistic::params().into(),
        DecisionTree::params().into(),
        Forest::params().trees(20).seed(1).into(),
        Forest::extra_trees().trees(20).seed(1).into(),
        Boosting::params().trees(40).into(),
        Boosting::params().trees(1).leaves(2).min_leaf(700).into(),
    ];
    for algorithm in algorithms {
        let name = algorithm.name();
        let model = TrainedModel::fit(&train, algorithm.clone()).unwrap();
        let Some(worst) = distance(&model, asked.frame()) else { return };
        assert!(worst < 1e-12, "{name}: {worst}");
        // Merged levels, which are met again as one.
        let merged = algorithm.encoder().max_levels(10);
        let model = TrainedModel::fit_with(&train, algorithm, &merged).unwrap();
        let worst = distance(&model, asked.frame()).unwrap();
        assert!(worst < 1e-12, "{name}, merged: {worst}");
    }
}

/// Every model with its own encoder, with rare levels merged, and with them replaced by rates.
fn every_model(train: &Labelled) -> Vec<TrainedModel> {
    let mut algorithms: Vec<Algorithm> = vec![
        Logistic::params().into(),
        DecisionTree::params().into(),
        Forest::params().trees(9).into(),
        Forest::extra_trees().trees(9).into(),
        Boosting::params().trees(20).into(),
    ];
    #[cfg(feature = "linfa-models")]
    algorithms.extend([
        Algorithm::from(mkt_ml::linfa_models::LinfaLogistic::params()),
        mkt_ml::linfa_models::LinfaTree::params().into(),
    ]);
    let fitted = algorithms.into_iter().flat_map(|algorithm| {
        let few = algorithm.encoder().max_levels(5);
        [algorithm.encoder(), few.clone().high_cardinality(HighCardinality::Merge), few]
            .map(|encoder| TrainedModel::fit_with(train, algorithm.clone(), &encoder).unwrap())
    });
    fitted.collect()
}

#[test]
fn onnxruntime_agrees_on_missing_zero_and_unseen() {
    let (train, asked) = (visits(800, 3), visits(60, 4));
    let rows = asked.rows();
    let number = |row: usize| [None, Some(0.0), Some(-0.0), Some(row as f64 * 9.0)][row % 4];
    let strange = Frame::new()
        .with_numeric("seconds", (0..rows).map(number))
        .unwrap()
        .with_numeric("pages", (0..rows).map(|row| number(row / 4)))
        .unwrap()
        .with_categorical("source", (0..rows).map(|row| [None, Some("tv"), Some("paid")][row % 3]))
        .unwrap()
        .with_categorical("city", (0..rows).map(|row| [Some("c0"), Some("Lyon"), None, Some("c1")][row % 4]))
        .unwrap();
    for model in every_model(&train) {
        let Some(worst) = distance(&model, &strange) else { return };
        assert!(worst < 1e-12, "{}, {:?}: {worst}", model.algorithm().name(), model.folded());
    }
}

#[test]
fn onnxruntime_calibrates_as_the_model_does() {
    let (train, rest, asked) = (visits(600, 5), visits(900, 6), visits(400, 7));
    for method in [Method::Platt, Method::Isotonic] {
        let model =
            TrainedModel::fit(&train, Forest::params().trees(10)).unwrap().calibrated(&rest, method).unwrap();
        let Some(worst) = distance(&model, asked.frame()) else { return };
        assert!(worst < 1e-12, "{method:?}: {worst}");
    }
}

#[test]
fn inexpressible_model_is_refused() {
    let train = visits(200, 10);
    let strict = EncoderParams::native().unseen(Unseen::Refuse);
    let model = TrainedModel::fit_with(&train, Boosting::params().trees(3), &strict).unwrap();
    let error = model.to_onnx().unwrap_err();
    assert_eq!(error.to_string(), "ONNX cannot express an encoder that refuses unseen categories");
    let frame = Frame::read_csv("label,y\n1,0\n2,1\n3,0\n4,1\n".as_bytes()).unwrap();
    let rows = Labelled::new(frame, "y").unwrap();
    let model = TrainedModel::fit(&rows, Logistic::params()).unwrap();
    assert!(matches!(model.to_onnx(), Err(OnnxError::Name { column }) if column == "label"));
}

/// The whole file of a tree with one split, written out by hand in protobuf's own terms.
#[test]
fn a_file_begins_with_its_version_and_ends_with_its_operator_sets() {
    let frame = Frame::read_csv("pages,y\n1,0\n2,0\n8,1\n9,1\n".as_bytes()).unwrap();
    let rows = Labelled::new(frame, "y").unwrap();
    let bytes = TrainedModel::fit(&rows, DecisionTree::params()).unwrap().to_onnx().unwrap();
    // Field 1, varint: 10; field 2, text of 6 bytes.
    assert_eq!(bytes[..4], [0x08, 10, 0x12, 6]);
    assert_eq!(&bytes[4..10], b"mkt-ml");
    // Field 8: { field 2: 17 }, then field 8: { field 1: ai.onnx.ml, field 2: 5 }.
    let end = [&[0x42, 2, 0x10, 17, 0x42, 14, 0x0a, 10][..], b"ai.onnx.ml", &[0x10, 5]].concat();
    assert_eq!(bytes[bytes.len() - end.len()..], end);
    for text in ["TreeEnsemble", "pages", "probability", "label", "nodes_splits"] {
        assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    // The split lies at 5, in the middle of 2 and 8.
    assert!(bytes.windows(8).any(|window| window == 5.0_f64.to_le_bytes()));
}
