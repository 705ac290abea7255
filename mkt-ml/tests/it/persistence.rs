//! The model file: exact when whole, refused when not.

use std::fs;

use mkt_ml::{Algorithm, DecisionTree, Forest, Logistic, PersistError, TrainedModel, calibration::Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::pipeline::behaviour;

pub(crate) const HEADER: usize = 52;

fn algorithms() -> [Algorithm; 3] {
    [
        Logistic::params().into(),
        DecisionTree::params().max_depth(3).into(),
        Forest::params().trees(3).max_depth(3).into(),
    ]
}

fn model(algorithm: Algorithm) -> TrainedModel {
    TrainedModel::fit(&behaviour(200, 1), algorithm).unwrap()
}

/// A file with a right header around any content, as someone with bad intentions would make it.
pub(crate) fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut file = b"MKTMODEL".to_vec();
    file.extend(1_u32.to_le_bytes());
    file.extend((payload.len() as u64).to_le_bytes());
    let digest = Sha256::new().chain_update(&file).chain_update(payload).finalize();
    file.extend(digest);
    file.extend(payload);
    file
}

#[test]
fn a_loaded_model_scores_bit_for_bit_alike() {
    let folder = tempfile::tempdir().unwrap();
    let data = behaviour(500, 2);
    for algorithm in algorithms() {
        let path = folder.path().join(algorithm.name());
        let model = TrainedModel::fit(&data, algorithm).unwrap();
        model.save(&path).unwrap();
        let loaded = TrainedModel::load(&path).unwrap();
        assert_eq!(loaded, model);
        let bits = |model: &TrainedModel| -> Vec<u64> {
            model.probabilities(data.frame()).unwrap().iter().map(|p| p.to_bits()).collect()
        };
        assert_eq!(bits(&loaded), bits(&model));
        assert_eq!(loaded.summary().rows, 500);
        assert_eq!(loaded.coefficients(), model.coefficients());
    }
}

#[test]
fn the_same_training_writes_the_same_bytes() {
    for algorithm in algorithms() {
        let bytes = || model(algorithm.clone()).to_bytes().unwrap();
        assert_eq!(bytes(), bytes());
    }
}

#[test]
fn saving_replaces_the_old_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::write(&path, "an older file").unwrap();
    model(Logistic::params().into()).save(&path).unwrap();
    assert!(TrainedModel::load(&path).is_ok());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["model"]);
}

#[test]
fn a_failed_save_keeps_the_old_file_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(Logistic::params().into());
    // A folder in the way: the rename fails after the bytes were written.
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("inside")).unwrap();
    assert!(matches!(model.save(&taken), Err(PersistError::Io { action: "written", .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = model.save(folder.path().join("no such folder/model")).unwrap_err();
    assert!(std::error::Error::source(&nowhere).is_some());
    assert!(matches!(model.save("/"), Err(PersistError::Io { .. })));
    assert!(matches!(TrainedModel::load(folder.path()), Err(PersistError::Io { action: "read", .. })));
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for algorithm in algorithms() {
        let bytes = model(algorithm).to_bytes().unwrap();
        for end in 0..bytes.len() {
            let error = TrainedModel::from_bytes(&bytes[..end]).unwrap_err();
            match end {
                0 => assert!(matches!(error, PersistError::NotAModel)),
                _ => assert!(matches!(error, PersistError::Truncated { .. }), "{end}: {error}"),
            }
            if end % 97 == 0 {
                fs::write(&path, &bytes[..end]).unwrap();
                assert_eq!(TrainedModel::load(&path).unwrap_err().to_string(), error.to_string());
            }
        }
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    for algorithm in algorithms() {
        let bytes = model(algorithm).to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << (at % 8);
            let error = TrainedModel::from_bytes(&broken).unwrap_err();
            let expected = match at {
                0..8 => matches!(error, PersistError::NotAModel),
                // One flipped bit of the version may give an older one, which is known.
                8..12 => matches!(error, PersistError::Version { .. } | PersistError::Checksum),
                12..20 => matches!(
                    error,
                    PersistError::Truncated { .. }
                        | PersistError::TrailingBytes
                        | PersistError::TooLarge { .. }
                ),
                _ => matches!(error, PersistError::Checksum),
            };
            assert!(expected, "byte {at}: {error:?}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = model(Logistic::params().into()).to_bytes().unwrap();
    bytes.push(b' ');
    assert!(matches!(TrainedModel::from_bytes(&bytes), Err(PersistError::TrailingBytes)));
    let path = folder.path().join("model");
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(TrainedModel::load(&path), Err(PersistError::TrailingBytes)));
}

#[test]
fn declared_size_does_not_allocate() {
    let mut file = b"MKTMODEL".to_vec();
    file.extend(1_u32.to_le_bytes());
    file.extend(u64::MAX.to_le_bytes());
    file.extend([0; 32]);
    assert!(matches!(TrainedModel::from_bytes(&file), Err(PersistError::TooLarge { bytes: u64::MAX, .. })));
    file[12..20].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    assert!(matches!(TrainedModel::from_bytes(&file), Err(PersistError::Truncated { .. })));
}

#[test]
fn other_files_and_later_versions_are_named() {
    for other in [&b"x,y\n1,2\n"[..], b"{}", &[0; 100], b"mktmodel"] {
        let error = TrainedModel::from_bytes(other).unwrap_err();
        assert_eq!(error.to_string(), "this is not a model file");
    }
    let mut later = model(Logistic::params().into()).to_bytes().unwrap();
    for version in [0, 4] {
        later[8] = version;
        let error = TrainedModel::from_bytes(&later).unwrap_err();
        let expected = format!("unsupported model file version {version}: this program supports up to 3");
        assert_eq!(error.to_string(), expected);
    }
}

/// What the program that wrote the files said of these visitors.
#[test]
fn files_of_version_1_score_as_they_did_when_they_were_written() {
    let written = [
        (
            "logistic",
            [
                0.996_221_006_568_913_1,
                0.017_443_311_766_432_04,
                0.160_668_872_992_818_85,
                0.200_342_501_437_424_55,
            ],
        ),
        ("tree", [1.0, 0.4, 0.0, 0.0]),
        (
            "forest",
            [
                0.977_777_777_777_777_9,
                0.133_333_333_333_333_33,
                0.309_523_809_523_809_53,
                0.111_111_111_111_111_1,
            ],
        ),
    ];
    let visitors: [(Option<f64>, f64, &str, Option<&str>); 4] = [
        (Some(240.0), 9.0, "email", Some("mobile")),
        (None, 3.0, "paid", None),
        (Some(31.0), 11.0, "organic", Some("desktop")),
        (Some(150.0), 6.0, "elsewhere", Some("mobile")),
    ];
    for (name, expected) in written {
        let path = format!("{}/tests/files/version-1-{name}.mkt", env!("CARGO_MANIFEST_DIR"));
        let model = TrainedModel::load(path).unwrap();
        assert_eq!((model.algorithm().name(), model.calibration()), (name, None));
        for ((seconds, pages, source, device), expected) in visitors.iter().zip(expected) {
            let row = [
                ("seconds", (*seconds).into()),
                ("pages", (*pages).into()),
                ("source", (*source).into()),
                ("device", (*device).into()),
            ];
            let found = model.probability(&row).unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found} for {expected}");
        }
    }
}

#[test]
fn calibration_survives_saving() {
    let (train, rest, asked) = (behaviour(600, 5), behaviour(2000, 6), behaviour(2000, 7));
    for method in [Method::Platt, Method::Isotonic] {
        // A tree grown to the end is sure of everything, and wrong.
        let raw = TrainedModel::fit(&train, DecisionTree::params()).unwrap();
        let before = raw.evaluate(&asked).unwrap();
        let model = raw.calibrated(&rest, method).unwrap();
        let after = model.evaluate(&asked).unwrap();
        assert!(
            after.log_loss < 0.5 * before.log_loss,
            "{method:?}: {} to {}",
            before.log_loss,
            after.log_loss
        );
        let again = TrainedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(again, model);
        assert_eq!(again.probabilities(asked.frame()).unwrap(), model.probabilities(asked.frame()).unwrap());
        let folds = TrainedModel::fit_calibrated(&train, DecisionTree::params(), method, 5, 1).unwrap();
        assert!(folds.evaluate(&asked).unwrap().log_loss < 0.5 * before.log_loss);
        assert!(folds.calibration().is_some());
    }
}

#[test]
fn calibration_in_folds_shows_its_progress_and_can_be_cancelled() {
    use std::ops::ControlFlow::{Break, Continue};
    use std::sync::Mutex;
    let rows = behaviour(300, 3);
    // Six fits of ten trees; six of a single tree, which has no steps.
    let forest = || mkt_ml::Forest::params().trees(10).into();
    let cases: [(mkt_ml::Algorithm, usize); 2] = [(forest(), 60), (DecisionTree::params().into(), 6)];
    for (algorithm, total) in cases {
        let seen = Mutex::new(Vec::new());
        let watch = |progress: mkt_ml::Progress| {
            seen.lock().unwrap().push((progress.done, progress.total));
            Continue(())
        };
        let model =
            TrainedModel::fit_calibrated_watched(&rows, algorithm.clone(), Method::Platt, 5, 1, &watch)
                .unwrap();
        let seen = seen.into_inner().unwrap();
        assert!(seen.iter().all(|(_, of)| *of == total), "{seen:?}");
        assert_eq!(seen.last(), Some(&(total, total)));
        assert!(seen.len() >= total);
        let unwatched = TrainedModel::fit_calibrated(&rows, algorithm, Method::Platt, 5, 1).unwrap();
        assert_eq!(model, unwatched);
    }
    let at_third = |progress: mkt_ml::Progress| if progress.done > 20 { Break(()) } else { Continue(()) };
    let cancelled = TrainedModel::fit_calibrated_watched(&rows, forest(), Method::Platt, 5, 1, &at_third);
    assert!(matches!(cancelled, Err(mkt_ml::Error::Model(mkt_ml::ModelError::Cancelled { .. }))));
}

#[test]
fn impossible_calibration_is_unsound() {
    let model = model(Logistic::params().into()).calibrated(&behaviour(200, 8), Method::Platt).unwrap();
    let mut json: Value = serde_json::from_slice(&model.to_bytes().unwrap()[HEADER..]).unwrap();
    for wrong in [
        json!({"platt": {"slope": -1.0, "intercept": 0.0}}),
        json!({"isotonic": {"scores": [], "probabilities": []}}),
        json!({"isotonic": {"scores": [0.1, 0.2], "probabilities": [0.3]}}),
        json!({"isotonic": {"scores": [0.2, 0.1], "probabilities": [0.3, 0.4]}}),
        json!({"isotonic": {"scores": [0.1, 0.2], "probabilities": [0.4, 0.3]}}),
        json!({"isotonic": {"scores": [0.1], "probabilities": [1.5]}}),
    ] {
        json["calibration"] = wrong.clone();
        let error = TrainedModel::from_bytes(&sealed(&serde_json::to_vec(&json).unwrap())).unwrap_err();
        assert!(matches!(error, PersistError::Unsound), "{wrong}: {error:?}");
    }
}

#[test]
fn nonsense_with_valid_checksum_is_refused() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for payload in [&b""[..], b"null", b"{}", b"[]", b"\xff\xff", &deep, b"{\"target\":1e999}"] {
        let error = TrainedModel::from_bytes(&sealed(payload)).unwrap_err();
        assert!(matches!(error, PersistError::Payload { .. }), "{error:?}");
    }
}

/// Changes one place of a model's JSON and seals it again.
fn tampered(algorithm: Algorithm, pointer: &str, value: Value) -> Result<TrainedModel, PersistError> {
    let bytes = model(algorithm).to_bytes().unwrap();
    let mut json: Value = serde_json::from_slice(&bytes[HEADER..]).unwrap();
    let place = json.pointer_mut(pointer).unwrap();
    assert_ne!(*place, value, "nothing would change at {pointer}");
    *place = value;
    TrainedModel::from_bytes(&sealed(&serde_json::to_vec(&json).unwrap()))
}

#[test]
fn inconsistent_model_with_valid_checksum_is_refused() {
    let [logistic, tree, forest] = algorithms();
    let cases = [
        (&logistic, "/model/logistic/weights", json!([1.0])),
        (&logistic, "/model/logistic/errors", json!([0.5])),
        (&logistic, "/model/logistic/feature_names/0", json!("another")),
        (&logistic, "/encoder/columns/0/rule/numeric/deviation", json!(0.0)),
        (&logistic, "/encoder/columns/2/rule/categorical/reference", json!(99)),
        (&logistic, "/encoder/columns/2/rule/categorical/levels", json!([])),
        (&logistic, "/encoder/columns/2/rule/categorical/levels", json!(["z", "a", "b"])),
        (&logistic, "/encoder/columns", json!([])),
        (&logistic, "/summary/importances", json!([])),
        // A child that is its own parent would be walked for ever.
        (&tree, "/model/tree/nodes/left/1", json!(1)),
        (&tree, "/model/tree/nodes/left/0", json!(u32::MAX)),
        (&tree, "/model/tree/nodes/key/0", json!(4)),
        (&tree, "/model/tree/nodes/value", json!([])),
        (&tree, "/model/tree/nodes/missing_left", json!([])),
        (&tree, "/model/tree/gains", json!([])),
        (&forest, "/model/forest/trees", json!([])),
        (&forest, "/model/forest/trees/1/left/0", json!(1_000_000)),
        (&forest, "/model/forest/trees/1", json!({"left": [], "key": [], "value": [], "missing_left": []})),
        (
            &forest,
            "/model/forest/trees/1",
            json!({"left": [0], "key": [1], "value": [1.5], "missing_left": []}),
        ),
    ];
    for (algorithm, pointer, value) in cases {
        let result = tampered(algorithm.clone(), pointer, value.clone());
        let refused = matches!(result, Err(PersistError::Unsound | PersistError::Payload { .. }));
        assert!(refused, "{pointer} = {value}: {result:?}");
    }
}

#[test]
fn consistent_change_with_valid_checksum_is_read() {
    // The control of the test above: tampering alone is not what is refused.
    let changed = tampered(Logistic::params().into(), "/model/logistic/intercept", json!(0.25)).unwrap();
    assert_eq!(changed.logistic().unwrap().intercept().estimate, 0.25);
}
