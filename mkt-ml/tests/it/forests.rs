//! The random forest: determinism, out-of-bag, what it learns.

use std::num::NonZeroUsize;

use linfa::{Dataset, traits::Fit};
use mkt_ml::{Classifier, DecisionTree, Forest, ModelError, metrics::auc_roc, params::MaxFeatures};
use ndarray::{Array1, Array2, Ix1};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Two columns that matter (the second through an interaction), two of noise, some values missing.
fn generated(rows: usize, seed: u64) -> Dataset<f64, bool, Ix1> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut labels = Vec::new();
    let mut records = Array2::from_shape_fn((rows, 4), |_| rng.random_range(-1.0..1.0));
    for row in records.outer_iter() {
        let z: f64 = 4.0 * row[0] + 4.0 * row[0] * row[1];
        labels.push(rng.random::<f64>() < 1.0 / (1.0 + (-z).exp()));
    }
    records.iter_mut().for_each(|cell| {
        if rng.random_bool(0.05) {
            *cell = f64::NAN;
        }
    });
    Dataset::new(records, Array1::from(labels))
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn bits(model: &Forest, data: &Dataset<f64, bool, Ix1>) -> Vec<u64> {
    model.probabilities(data.records().view()).unwrap().iter().map(|p| p.to_bits()).collect()
}

#[test]
fn the_model_is_the_same_on_any_number_of_threads() {
    // More rows than one out-of-bag chunk.
    let data = generated(5000, 1);
    let params = Forest::params().trees(12).seed(3);
    let one = params.clone().threads(threads(1)).fit(&data).unwrap();
    for count in [2, 3, 8] {
        let many = params.clone().threads(threads(count)).fit(&data).unwrap();
        assert_eq!(one, many);
        assert_eq!(bits(&one, &data), bits(&many, &data));
    }
    assert_eq!(one, params.fit(&data).unwrap());
}

#[test]
fn the_seed_decides() {
    let data = generated(300, 2);
    let fit = |seed| Forest::params().trees(5).seed(seed).fit(&data).unwrap();
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1), fit(2));
}

#[test]
fn row_scores_alike_in_batches_of_any_size() {
    let data = generated(300, 3);
    let forest = Forest::params().trees(20).fit(&data).unwrap();
    let together = bits(&forest, &data);
    for (row, expected) in data.records().outer_iter().zip(together) {
        let alone = forest.probabilities(row.insert_axis(ndarray::Axis(0))).unwrap();
        assert_eq!(alone[0].to_bits(), expected);
    }
}

#[test]
fn one_tree_on_all_rows_and_features_is_the_decision_tree() {
    let data = generated(400, 4);
    let forest =
        Forest::params().trees(1).bootstrap(false).max_features(MaxFeatures::All).fit(&data).unwrap();
    let tree = DecisionTree::params().fit(&data).unwrap();
    assert_eq!(
        forest.probabilities(data.records().view()).unwrap(),
        tree.probabilities(data.records().view()).unwrap()
    );
    for (forest, tree) in forest.gains().iter().zip(tree.gains()) {
        assert!((forest - tree).abs() < 1e-15, "{forest} {tree}");
    }
    assert!(forest.out_of_bag().is_none());
}

#[test]
fn full_trees_without_bootstrap_fit_training_exactly() {
    let data = Dataset::new(
        Array2::from_shape_fn((200, 1), |(row, _)| row as f64),
        (0..200).map(|row| row * 31 % 7 < 3).collect::<Array1<bool>>(),
    );
    let forest = Forest::params().trees(3).bootstrap(false).fit(&data).unwrap();
    let probabilities = forest.probabilities(data.records().view()).unwrap();
    for (p, label) in probabilities.iter().zip(data.targets()) {
        assert_eq!(*p, f64::from(u8::from(*label)));
    }
}

#[test]
fn out_of_bag_auc_agrees_with_unseen_rows() {
    let (train, test) = (generated(4000, 5), generated(20_000, 6));
    let forest = Forest::params().trees(60).fit(&train).unwrap();
    let auc = |data: &Dataset<f64, bool, Ix1>| {
        let scores = forest.probabilities(data.records().view()).unwrap();
        auc_roc(data.targets().as_slice().unwrap(), scores.as_slice().unwrap()).unwrap()
    };
    let out_of_bag = forest.out_of_bag().unwrap();
    assert_eq!(out_of_bag.rows, 4000, "60 trees leave every row out at least once");
    let found = out_of_bag.auc_roc.unwrap();
    // The error of an AUC of 0.85 on 4000 rows is about 0.006.
    assert!((found - auc(&test)).abs() < 0.02, "{found} {}", auc(&test));
    assert!(auc(&train) > 0.99, "{}", auc(&train));
}

#[test]
fn out_of_bag_share_is_one_over_e() {
    // With one tree, (1 − 1/n)ⁿ of the rows, about 1/e, with deviation 0.31 √(n) / n.
    let forest = Forest::params().trees(1).fit(&generated(10_000, 7)).unwrap();
    let share = forest.out_of_bag().unwrap().rows as f64 / 10_000.0;
    assert!((share - (-1.0_f64).exp()).abs() < 0.0125, "{share}");
}

#[test]
fn the_forest_comes_close_to_the_best_possible_ranking() {
    let (train, test) = (generated(4000, 8), generated(20_000, 9));
    let forest = Forest::params().min_leaf(20).fit(&train).unwrap();
    let scores = forest.probabilities(test.records().view()).unwrap();
    let found = auc_roc(test.targets().as_slice().unwrap(), scores.as_slice().unwrap()).unwrap();
    // The true log odds as score; rows with a missing value count as 0 there.
    let truth: Vec<f64> = test
        .records()
        .outer_iter()
        .map(|row| {
            let value = |at: usize| if row[at].is_nan() { 0.0 } else { row[at] };
            value(0) + value(0) * value(1)
        })
        .collect();
    let best = auc_roc(test.targets().as_slice().unwrap(), &truth).unwrap();
    assert!(found > best - 0.02 && found < best + 0.01, "{found} of {best}");
    let gains = forest.gains();
    assert!(gains[0] > gains[1] && gains[1] > gains[2].max(gains[3]), "{gains:?}");
    assert!((gains.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn bad_parameters_are_named() {
    let data = generated(50, 1);
    for params in [Forest::params().trees(0), Forest::params().trees(100_001), Forest::params().min_leaf(0)] {
        assert!(matches!(params.fit(&data), Err(ModelError::Parameter { .. })));
    }
    let many = Forest::params().trees(2).max_features(MaxFeatures::Count(99)).fit(&data);
    assert!(many.is_ok(), "more features than there are means all");
}

#[test]
fn one_row_and_one_outcome_are_refused() {
    let one = Dataset::new(Array2::zeros((1, 1)), Array1::from(vec![true]));
    assert!(matches!(Forest::params().fit(&one), Err(ModelError::OneClass { rows: 1, positive: true })));
    let two = Dataset::new(Array2::zeros((2, 1)), Array1::from(vec![true, false]));
    let forest = Forest::params().trees(5).fit(&two).unwrap();
    assert!(forest.probabilities(Array2::zeros((1, 1)).view()).unwrap()[0].is_finite());
}
