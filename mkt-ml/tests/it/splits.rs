//! Dividing rows.

use mkt_ml::{
    split,
    split::{SplitError, stratified, stratified_folds},
};

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

#[test]
fn no_group_is_on_both_sides() {
    let users: Vec<u32> = (0..997).map(|row| row * 7919 % 83).collect();
    let on_both = |split: &split::Split| {
        let of =
            |rows: &[usize]| rows.iter().map(|row| users[*row]).collect::<std::collections::BTreeSet<u32>>();
        assert_eq!(split.train.len() + split.test.len(), users.len());
        of(&split.train).intersection(&of(&split.test)).count()
    };
    let one = split::grouped(&users, 0.25, 3).unwrap();
    assert_eq!(on_both(&one), 0);
    assert!((240..=262).contains(&one.test.len()), "{}", one.test.len());
    assert_eq!(one, split::grouped(&users, 0.25, 3).unwrap());
    assert_ne!(one, split::grouped(&users, 0.25, 4).unwrap());
    let folds = split::grouped_folds(&users, 5, 3).unwrap();
    let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
    tested.sort_unstable();
    assert_eq!(tested, (0..997).collect::<Vec<usize>>());
    for fold in &folds {
        assert_eq!(on_both(fold), 0);
        assert!((180..=220).contains(&fold.test.len()), "{}", fold.test.len());
    }
    let alone = split::grouped(&[1, 1, 1], 0.5, 1);
    assert!(matches!(alone, Err(SplitError::TooFewGroups { groups: 1, parts: 2 })));
    assert!(matches!(
        split::grouped_folds(&[1, 2], 3, 1),
        Err(SplitError::TooFewGroups { groups: 2, parts: 3 })
    ));
}

#[test]
fn plain_folds_test_every_row_once() {
    let folds = split::folds(11, 3, 5).unwrap();
    let mut sizes: Vec<usize> = folds.iter().map(|fold| fold.test.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [3, 4, 4]);
    let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
    tested.sort_unstable();
    assert_eq!(tested, (0..11).collect::<Vec<usize>>());
}

#[test]
fn training_rows_are_earlier_than_test_rows() {
    let times: Vec<f64> = (0..1000).map(|row| f64::from(row * 7919 % 1000 / 10)).collect();
    let split = split::by_time(&times, 0.2).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (800, 200));
    let latest = split.train.iter().map(|row| times[*row]).fold(f64::MIN, f64::max);
    let earliest = split.test.iter().map(|row| times[*row]).fold(f64::MAX, f64::min);
    assert!(latest < earliest, "{latest} {earliest}");
    // Ties on the edge all go to the test rows, but never every row.
    let tied = split::by_time(&[1.0, 2.0, 2.0, 2.0, 2.0], 0.3).unwrap();
    assert_eq!((tied.train, tied.test), (vec![0], vec![1, 2, 3, 4]));
    let early = split::by_time(&[1.0, 1.0, 1.0, 2.0], 0.5).unwrap();
    assert_eq!(early.test, [3]);
    assert!(matches!(split::by_time(&[1.0, 1.0], 0.5), Err(SplitError::Times)));
    assert!(matches!(split::by_time(&[1.0, f64::NAN], 0.5), Err(SplitError::Times)));
    assert!(matches!(split::by_time(&[], 0.5), Err(SplitError::Times)));
}
