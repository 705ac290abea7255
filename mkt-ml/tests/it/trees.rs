//! The decision tree against hand-grown ones and scikit-learn's exact tree.

use linfa::{Dataset, traits::Fit};
use mkt_ml::{Classifier, DecisionTree, ModelError, params::MaxFeatures};
use ndarray::{Array1, Array2, Ix1, array};
use proptest::prelude::*;

use crate::cars::cars;

fn data(records: Array2<f64>, labels: &[u8]) -> Dataset<f64, bool, Ix1> {
    Dataset::new(records, labels.iter().map(|label| *label == 1).collect::<Array1<bool>>())
}

#[test]
fn scikit_learns_exact_tree_is_reproduced() {
    // scikit-learn 1.9.1, DecisionTreeClassifier(max_depth=2, min_samples_leaf=2), any random_state.
    let data = cars(2);
    let tree = DecisionTree::params().max_depth(2).min_leaf(2).fit(&data).unwrap();
    assert_eq!((tree.depth(), tree.leaves()), (2, 4));
    assert!((tree.gains()[0] - 0.9507085643869377).abs() < 1e-12);
    assert!((tree.gains()[1] - 0.04929143561306227).abs() < 1e-12);
    let (a, b, c) = (11.0 / 12.0, 1.0 / 3.0, 0.5);
    let expected = [
        a, a, a, 0., 0., 0., b, 0., c, 0., 0., 0., 0., 0., 0., 0., 0., a, a, a, a, 0., 0., b, 0., a, a, a, c,
        a, b, a,
    ];
    assert_eq!(tree.probabilities(data.records().view()).unwrap().to_vec(), expected);
}

#[test]
fn exclusive_or_is_learnt() {
    let records = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let tree = DecisionTree::params().fit(&data(records.clone(), &[0, 1, 1, 0])).unwrap();
    assert_eq!(tree.probabilities(records.view()).unwrap().to_vec(), [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn missing_values_go_to_the_better_side() {
    let nan = f64::NAN;
    let records = array![[1.0], [2.0], [3.0], [nan], [nan], [4.0]];
    // Missing behaves like the large numbers.
    let tree = DecisionTree::params().fit(&data(records.clone(), &[0, 0, 1, 1, 1, 1])).unwrap();
    assert_eq!(tree.leaves(), 2);
    assert_eq!(tree.probabilities(array![[nan], [0.0], [9.0]].view()).unwrap().to_vec(), [1.0, 0.0, 1.0]);
    // Missing behaves like the small numbers.
    let tree = DecisionTree::params().fit(&data(records.clone(), &[0, 0, 1, 0, 0, 1])).unwrap();
    assert_eq!(tree.leaves(), 2);
    assert_eq!(tree.probabilities(array![[nan], [0.0], [9.0]].view()).unwrap().to_vec(), [0.0, 0.0, 1.0]);
    // Missing against present.
    let tree = DecisionTree::params().fit(&data(records, &[0, 0, 0, 1, 1, 0])).unwrap();
    assert_eq!(tree.leaves(), 2);
    let far = array![[nan], [f64::MIN], [f64::MAX]];
    assert_eq!(tree.probabilities(far.view()).unwrap().to_vec(), [1.0, 0.0, 0.0]);
}

#[test]
fn missing_values_new_at_prediction_follow_the_larger_side() {
    let tree = DecisionTree::params().fit(&data(array![[1.0], [2.0], [3.0], [9.0]], &[0, 0, 0, 1])).unwrap();
    assert_eq!(tree.probabilities(array![[f64::NAN]].view()).unwrap()[0], 0.0);
    let tree = DecisionTree::params().fit(&data(array![[1.0], [7.0], [8.0], [9.0]], &[0, 1, 1, 1])).unwrap();
    assert_eq!(tree.probabilities(array![[f64::NAN]].view()).unwrap()[0], 1.0);
}

#[test]
fn adjacent_floats_are_separated() {
    for low in [1.0_f64, -3.5e-310, 1e300] {
        let records = array![[low], [low.next_up()]];
        let tree = DecisionTree::params().fit(&data(records.clone(), &[0, 1])).unwrap();
        assert_eq!(tree.probabilities(records.view()).unwrap().to_vec(), [0.0, 1.0]);
    }
}

#[test]
fn limits_are_kept() {
    let records = Array2::from_shape_fn((200, 1), |(row, _)| row as f64);
    let labels: Vec<u8> = (0..200).map(|row| (row * 7919 % 13 < 5).into()).collect();
    let data = data(records, &labels);
    let shallow = DecisionTree::params().max_depth(3).fit(&data).unwrap();
    assert_eq!(shallow.depth(), 3);
    let stump = DecisionTree::params().max_depth(0).fit(&data).unwrap();
    assert_eq!(stump.leaves(), 1);
    assert_eq!(stump.gains(), [0.0]);
    let share = labels.iter().filter(|label| **label == 1).count() as f64 / 200.0;
    assert_eq!(stump.probabilities(array![[3.0]].view()).unwrap()[0], share);
    let wide = DecisionTree::params().min_leaf(30).fit(&data).unwrap();
    let rows = wide
        .rules()
        .lines()
        .filter_map(|line| line.strip_suffix(" rows")?.rsplit(' ').next()?.parse().ok())
        .collect::<Vec<u64>>();
    assert_eq!(rows.iter().sum::<u64>(), 200);
    assert!(rows.len() > 1 && rows.iter().all(|rows| *rows >= 30), "{rows:?}");
}

#[test]
fn a_very_deep_tree_needs_no_deep_stack() {
    // Positive rows thin out so that each split takes one value off the end.
    let records = Array2::from_shape_fn((250, 1), |(row, _)| row as f64);
    let labels: Vec<u8> = (0..250).map(|row| row % 2).collect();
    let tree = DecisionTree::params().fit(&data(records, &labels)).unwrap();
    assert_eq!(tree.leaves(), 250);
    assert!(tree.rules().lines().count() > 250);
}

#[test]
fn bad_data_and_parameters_are_refused() {
    let infinite = DecisionTree::params().fit(&data(array![[1.0], [f64::INFINITY]], &[0, 1]));
    assert!(matches!(infinite, Err(ModelError::NotFinite { row: 1, .. })));
    let one_class = DecisionTree::params().fit(&data(array![[1.0], [2.0]], &[0, 0]));
    assert!(matches!(one_class, Err(ModelError::OneClass { positive: false, .. })));
    assert!(matches!(DecisionTree::params().min_leaf(0).fit(&cars(1)), Err(ModelError::Parameter { .. })));
    let none = DecisionTree::params().max_features(MaxFeatures::Count(0)).fit(&cars(1));
    assert!(matches!(none, Err(ModelError::Parameter { .. })));
    let all_missing = data(Array2::from_elem((4, 1), f64::NAN), &[0, 1, 0, 1]);
    let tree = DecisionTree::params().fit(&all_missing).unwrap();
    assert_eq!(tree.probabilities(array![[1.0]].view()).unwrap()[0], 0.5);
}

/// The largest fall of Gini impurity over all cuts of all columns, by trying each.
fn best_gain(rows: &[(Vec<f64>, bool)]) -> f64 {
    let gini = |part: &[&(Vec<f64>, bool)]| {
        let positive = part.iter().filter(|(_, label)| *label).count() as f64;
        let count = part.len() as f64;
        if part.is_empty() { 0.0 } else { 2.0 * positive * (count - positive) / count }
    };
    let all: Vec<_> = rows.iter().collect();
    let mut best: f64 = 0.0;
    for feature in 0..rows[0].0.len() {
        for (pivot, _) in rows {
            let (left, right): (Vec<_>, Vec<_>) = all.iter().partition(|(x, _)| x[feature] <= pivot[feature]);
            best = best.max(gini(&all) - gini(&left) - gini(&right));
        }
    }
    best
}

proptest! {
    #[test]
    fn the_first_split_is_the_best_of_all(
        rows in proptest::collection::vec((proptest::collection::vec((-3..4_i8).prop_map(f64::from), 3), any::<bool>()), 4..40)
    ) {
        prop_assume!(rows.iter().any(|row| row.1) && rows.iter().any(|row| !row.1));
        let records = Array2::from_shape_fn((rows.len(), 3), |(row, at)| rows[row].0[at]);
        let labels: Array1<bool> = rows.iter().map(|row| row.1).collect();
        let tree = DecisionTree::params().max_depth(1).fit(&Dataset::new(records.clone(), labels)).unwrap();
        let probabilities = tree.probabilities(records.view()).unwrap();
        // Σ 2p(1 − p) over rows is what is left of the impurity.
        let left: f64 = probabilities.iter().map(|p| 2.0 * p * (1.0 - p)).sum();
        let n = rows.len() as f64;
        let positive = rows.iter().filter(|row| row.1).count() as f64;
        let gain = 2.0 * positive * (n - positive) / n - left;
        prop_assert!((gain - best_gain(&rows)).abs() < 1e-9);
    }
}
