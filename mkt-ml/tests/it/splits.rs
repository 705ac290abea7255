//! Dividing rows.

use mkt_ml::split::{SplitError, stratified, stratified_folds};

/// `negative` rows without and `positive` rows with the outcome, interleaved.
fn labels(negative: usize, positive: usize) -> Vec<bool> {
    let mut labels = vec![false; negative + positive];
    for at in 0..positive {
        labels[at * (negative + positive) / positive] = true;
    }
    labels
}

fn positives(rows: &[usize], labels: &[bool]) -> usize {
    rows.iter().filter(|row| labels[**row]).count()
}

#[test]
fn a_fifth_is_drawn_from_each_class() {
    let labels = labels(80, 20);
    let split = stratified(&labels, 0.2, 42).unwrap();
    assert_eq!((split.test.len(), split.train.len()), (20, 80));
    assert_eq!(positives(&split.test, &labels), 4);
    let mut all = [split.train.clone(), split.test.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    assert!(split.train.is_sorted() && split.test.is_sorted());
}

#[test]
fn the_seed_decides() {
    let labels = labels(70, 30);
    assert_eq!(stratified(&labels, 0.2, 7), stratified(&labels, 0.2, 7));
    assert_ne!(stratified(&labels, 0.2, 7), stratified(&labels, 0.2, 8));
}

#[test]
fn test_rows_are_rounded_up_as_scikit_learn_does() {
    // train_test_split: ceil(test_size * n).
    assert_eq!(stratified(&labels(90, 11), 0.2, 1).unwrap().test.len(), 21);
    // 0.07 * 100 is 7.000000000000001 in binary; seven rows are meant.
    assert_eq!(stratified(&labels(70, 30), 0.07, 1).unwrap().test.len(), 7);
}

#[test]
fn a_rare_class_is_on_both_sides() {
    let labels = labels(98, 2);
    let split = stratified(&labels, 0.2, 3).unwrap();
    assert_eq!((positives(&split.train, &labels), positives(&split.test, &labels)), (1, 1));
}

#[test]
fn impossible_splits_are_refused() {
    for fraction in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(stratified(&labels(5, 5), fraction, 1), Err(SplitError::Fraction(_))));
    }
    assert_eq!(stratified(&labels(9, 1), 0.2, 1), Err(SplitError::TooFewRows { positive: 1, negative: 9 }));
    assert!(stratified(&[], 0.2, 1).is_err());
    assert!(stratified(&[true, true, false, false], 0.1, 1).is_err());
    assert_eq!(stratified_folds(&labels(5, 5), 1, 1), Err(SplitError::Folds(1)));
    assert!(matches!(stratified_folds(&labels(9, 4), 5, 1), Err(SplitError::TooFewRows { .. })));
}

#[test]
fn every_row_is_tested_in_exactly_one_fold() {
    let labels = labels(73, 30);
    let folds = stratified_folds(&labels, 5, 42).unwrap();
    let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
    tested.sort_unstable();
    assert_eq!(tested, (0..103).collect::<Vec<_>>());
    for fold in &folds {
        assert_eq!(positives(&fold.test, &labels), 6);
        assert!(fold.test.len() == 20 || fold.test.len() == 21);
        assert_eq!(fold.train.len() + fold.test.len(), 103);
        assert!(fold.train.iter().all(|row| !fold.test.contains(row)));
    }
}
