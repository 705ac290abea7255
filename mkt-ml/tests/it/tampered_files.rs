//! Model files changed by hand under a valid checksum: refused, or a model whose scores are well defined.

use mkt_ml::{Algorithm, Boosting, DecisionTree, Forest, Frame, Logistic, PersistError, TrainedModel};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use crate::{
    persistence::{HEADER, sealed},
    pipeline::behaviour,
};

fn json_of(model: &TrainedModel) -> Value {
    serde_json::from_slice(&model.to_bytes().unwrap()[HEADER..]).unwrap()
}

fn load(json: &Value) -> Result<TrainedModel, PersistError> {
    TrainedModel::from_bytes(&sealed(&serde_json::to_vec(json).unwrap()))
}

/// A single tree's file with other nodes.
fn tree_with(nodes: Value) -> Result<TrainedModel, PersistError> {
    let mut json =
        json_of(&TrainedModel::fit(&behaviour(200, 1), DecisionTree::params().max_depth(2)).unwrap());
    json["model"]["tree"]["nodes"] = nodes;
    load(&json)
}

/// Splits on feature 0 with these left children (0: a leaf).
fn nodes(left: &[u32]) -> Value {
    let splits = left.iter().filter(|child| **child > 0).count();
    json!({
        "left": left,
        "key": left.iter().map(|child| u64::from(*child == 0)).collect::<Vec<_>>(),
        "value": left.iter().map(|_| 0.5).collect::<Vec<_>>(),
        "missing_left": vec![true; splits],
    })
}

#[test]
fn proper_tree_is_loaded() {
    // The control of the tests below.
    assert!(tree_with(nodes(&[1, 3, 5, 0, 0, 0, 0])).is_ok());
    assert!(tree_with(nodes(&[0])).is_ok());
}

#[test]
fn node_with_two_parents_is_unsound() {
    let shared = tree_with(nodes(&[1, 3, 3, 0, 0]));
    assert!(matches!(shared, Err(PersistError::Unsound)), "{shared:?}");
    // Half a pair shared: the children of node 2 start at the right child of node 1.
    let overlapping = tree_with(nodes(&[1, 3, 4, 0, 0, 0]));
    assert!(matches!(overlapping, Err(PersistError::Unsound)), "{overlapping:?}");
}

#[test]
fn node_without_a_parent_is_unsound() {
    for left in [&[1, 0, 0, 0][..], &[0, 0], &[2, 0, 0, 0], &[1, 4, 0, 0, 0, 0]] {
        let orphan = tree_with(nodes(left));
        assert!(matches!(orphan, Err(PersistError::Unsound)), "{left:?}: {orphan:?}");
    }
}

#[test]
fn small_file_with_exponentially_many_paths_is_unsound() {
    // Both children of each level share the next pair: 40 levels, 2⁴⁰ paths, 3 kB.
    let mut left = vec![1];
    for level in 0..40 {
        left.extend([3 + 2 * level, 3 + 2 * level]);
    }
    left.extend([0, 0]);
    let graph = tree_with(nodes(&left));
    assert!(matches!(graph, Err(PersistError::Unsound)), "{graph:?}");
}

#[test]
fn threshold_beyond_all_codes_does_not_overflow_rules() {
    let mut json =
        json_of(&TrainedModel::fit(&behaviour(200, 1), DecisionTree::params().max_depth(1)).unwrap());
    let source =
        json["encoder"]["columns"].as_array().unwrap().iter().position(|column| column["column"] == "source");
    json["model"]["tree"]["nodes"] = nodes(&[1, 0, 0]);
    json["model"]["tree"]["nodes"]["key"][0] = json!(source.unwrap());
    for threshold in [1e300, -1e300, 1.8e19] {
        json["model"]["tree"]["nodes"]["value"][0] = json!(threshold);
        let rules = load(&json).unwrap().rules().unwrap();
        assert!(rules.contains("source is"), "{rules}");
    }
}

#[test]
fn very_deep_tree_has_rules_of_bounded_size() {
    const DEPTH: u32 = 20_000;
    let mut left: Vec<u32> = Vec::new();
    for level in 0..DEPTH {
        // A split whose left child is a leaf and whose right child is the next split.
        left.push(1 + 2 * level);
        left.push(0);
    }
    left.push(0);
    let rules = tree_with(nodes(&left)).unwrap().rules().unwrap();
    assert!(rules.len() < 200 * left.len(), "{} bytes", rules.len());
}

#[test]
fn category_on_both_sides_of_a_split_is_unsound() {
    let mut json = json_of(&TrainedModel::fit(&behaviour(400, 1), Boosting::params().trees(8)).unwrap());
    let trees = json["model"]["boosting"]["trees"].as_array_mut().unwrap();
    let set = trees.iter_mut().find_map(|tree| tree["categories"].as_array_mut()?.first_mut()).unwrap();
    set["right"] = set["left"].clone();
    assert!(matches!(load(&json), Err(PersistError::Unsound)));
}

#[test]
fn weights_whose_sum_would_overflow_are_unsound() {
    let mut json = json_of(&TrainedModel::fit(&behaviour(200, 1), Logistic::params()).unwrap());
    json["model"]["logistic"]["weights"][0] = json!(1.7e308);
    assert!(matches!(load(&json), Err(PersistError::Unsound)));
}

/// Every number and array in a model's JSON, by its path.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    match value {
        Value::Number(_) | Value::Bool(_) => all.push(path.to_owned()),
        Value::Array(items) => {
            all.push(path.to_owned());
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), all));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{path}/{name}"), all));
        }
        _ => {}
    }
}

fn mutate(value: &mut Value, rng: &mut Xoshiro256PlusPlus) {
    match value {
        Value::Bool(truth) => *truth = !*truth,
        Value::Array(items) if rng.random_bool(0.5) => {
            items.pop();
        }
        Value::Array(items) => {
            if let Some(item) = items.choose(rng).cloned() {
                items.push(item);
            }
        }
        number => {
            let numbers = [
                json!(0),
                json!(1),
                json!(-1),
                json!(3),
                json!(0.5),
                json!(255),
                json!(u32::MAX),
                json!(1e300),
                json!(-1e-300),
            ];
            *number = numbers.choose(rng).cloned().unwrap_or_default();
        }
    }
}

#[test]
fn mutated_model_is_refused_or_scores_alike_in_batches_of_any_size() {
    let rows = behaviour(300, 3);
    let algorithms: [Algorithm; 4] = [
        Logistic::params().into(),
        DecisionTree::params().max_depth(4).into(),
        Forest::params().trees(3).into(),
        Boosting::params().trees(4).min_leaf(2).into(),
    ];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(23);
    let (mut loaded, mut refused) = (0, 0);
    for algorithm in algorithms {
        let original = json_of(&TrainedModel::fit(&rows, algorithm).unwrap());
        let mut all = Vec::new();
        for part in ["model", "encoder", "calibration"] {
            places(&original[part], &format!("/{part}"), &mut all);
        }
        for _ in 0..80 {
            let mut json = original.clone();
            for _ in 0..rng.random_range(1..3) {
                let path = all.choose(&mut rng).unwrap();
                // An earlier change may have cut this place off.
                if let Some(place) = json.pointer_mut(path) {
                    mutate(place, &mut rng);
                }
            }
            let Ok(model) = load(&json) else {
                refused += 1;
                continue;
            };
            loaded += 1;
            // A changed encoder may name other columns or kinds: a typed error is fine.
            let Ok(whole) = model.probabilities(rows.frame()) else { continue };
            assert!(whole.iter().all(|p| (0.0..=1.0).contains(p)), "{json}");
            let batches = |size: usize| -> Vec<f64> {
                let part = |start: usize| -> Frame {
                    rows.frame().take(&(start..300.min(start + size)).collect::<Vec<_>>())
                };
                (0..300).step_by(size).flat_map(|start| model.probabilities(&part(start)).unwrap()).collect()
            };
            assert_eq!(batches(5), whole, "{json}");
            assert_eq!(batches(1), whole, "{json}");
            let _ = (model.rules(), model.contributions(&rows.frame().take(&[0, 1])));
        }
    }
    assert!(loaded > 30 && refused > 30, "{loaded} loaded, {refused} refused");
}
