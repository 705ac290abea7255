//! Differences of models: DeLong against its definition, folds against scipy, nothing where there is nothing.

use mkt_ml::{
    Boosting, Error, Logistic, ModelError,
    cross_validation::{cross_validate, out_of_fold},
    metrics::{MetricError, auc_roc},
    significance::{corrected_t, delong},
    split,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::pipeline::behaviour;

/// The variance by the definition: every pair of rows, covariances of the placements.
fn by_pairs(labels: &[bool], first: &[f64], second: &[f64]) -> (f64, f64) {
    let of = |scores: &[f64]| {
        let pick =
            |class| labels.iter().zip(scores).filter(move |(label, _)| **label == class).map(|(_, s)| *s);
        let wins = |p: f64, n: f64| {
            if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            }
        };
        let [positives, negatives]: [Vec<f64>; 2] = [pick(true).collect(), pick(false).collect()];
        let share = |wins: Vec<f64>| wins.iter().sum::<f64>() / wins.len() as f64;
        let above: Vec<f64> =
            positives.iter().map(|p| share(negatives.iter().map(|n| wins(*p, *n)).collect())).collect();
        let below: Vec<f64> =
            negatives.iter().map(|n| share(positives.iter().map(|p| wins(*p, *n)).collect())).collect();
        (above, below)
    };
    let covariance = |a: &[f64], b: &[f64]| {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let (ma, mb) = (mean(a), mean(b));
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>() / (a.len() - 1) as f64
    };
    let ((a1, b1), (a2, b2)) = (of(first), of(second));
    let spread = |x: &[f64], y: &[f64]| covariance(x, x) + covariance(y, y) - 2.0 * covariance(x, y);
    let variance = spread(&a1, &a2) / a1.len() as f64 + spread(&b1, &b2) / b1.len() as f64;
    (auc_roc(labels, second).unwrap() - auc_roc(labels, first).unwrap(), variance.sqrt())
}

#[test]
fn delong_is_the_definition_with_ties() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    for rows in [6, 20, 150] {
        let labels: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
        let [first, second] = [(); 2].map(|()| -> Vec<f64> {
            labels.iter().map(|label| f64::from(rng.random_range(0..12 + 4 * i32::from(*label)))).collect()
        });
        let found = delong(&labels, &first, &second).unwrap();
        let (estimate, error) = by_pairs(&labels, &first, &second);
        assert!(
            (found.estimate - estimate).abs() < 1e-12 && (found.std_error - error).abs() < 1e-12,
            "{found:?}"
        );
    }
}

#[test]
fn delong_gives_the_p_value_of_numpy_and_scipy() {
    // Placements and their covariances by numpy, the normal tail by scipy.stats.
    let labels = [false, false, false, false, false, false, true, true, true, true, true, true];
    let first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9];
    let second = [0.2, 0.1, 0.6, 0.4, 0.3, 0.7, 0.5, 0.4, 0.2, 0.6, 0.9, 0.8];
    let found = delong(&labels, &first, &second).unwrap();
    assert!((found.estimate + 0.083_333_333_333_333_26).abs() < 1e-12);
    assert!((found.std_error - 0.145_932_505_961_818_86).abs() < 1e-12);
    assert!((found.p_value - 0.567_972_365_509_923).abs() < 1e-9, "{found:?}");
    let same = delong(&labels, &first, &first).unwrap();
    assert_eq!((same.estimate, same.std_error, same.p_value), (0.0, 0.0, 1.0));
}

#[test]
fn delong_interval_covers_zero_in_95_percent_of_samples() {
    // Two scores that know equally much of the outcome, on 300 rows; 400 worlds, of which 20 ± 9 are expected to lie.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut false_alarms = 0;
    for _ in 0..400 {
        let labels: Vec<bool> = (0..300).map(|_| rng.random_bool(0.3)).collect();
        let [first, second] = [(); 2].map(|()| -> Vec<f64> {
            labels.iter().map(|label| rng.random::<f64>() + 0.5 * f64::from(u8::from(*label))).collect()
        });
        false_alarms += usize::from(delong(&labels, &first, &second).unwrap().p_value < 0.05);
    }
    assert!((8..=34).contains(&false_alarms), "{false_alarms} of 400");
}

#[test]
fn folds_are_compared_as_scipy_does_with_the_corrected_variance() {
    let [first, second] = [[0.81, 0.79, 0.84, 0.80, 0.77], [0.83, 0.80, 0.85, 0.84, 0.78]];
    let found = corrected_t(&first, &second, 0.25).unwrap();
    assert!((found.estimate - 0.018).abs() < 1e-12);
    assert!((found.std_error - 0.008_746_427_842_267_923).abs() < 1e-12);
    assert!((found.p_value - 0.108_700_951_324_923_2).abs() < 1e-9, "{found:?}");
    assert!((found.low + 0.006_283_976_770_630_5).abs() < 1e-9, "{found:?}");
    assert_eq!(corrected_t(&first[..1], &second[..1], 0.25), None);
    assert_eq!(corrected_t(&first, &second[..4], 0.25), None);
}

#[test]
fn models_are_evaluated_on_the_same_folds() {
    let rows = behaviour(400, 3);
    let folds = split::stratified_folds(rows.labels(), 4, 1).unwrap();
    let algorithms =
        [Logistic::params().into(), Boosting::params().trees(10).into(), Logistic::params().into()];
    let compared = cross_validate(&rows, &algorithms, &folds).unwrap();
    assert_eq!(
        compared.models.iter().map(|model| model.model.as_str()).collect::<Vec<_>>(),
        ["logistic", "boosting", "logistic"]
    );
    assert!((compared.test_to_train - 1.0 / 3.0).abs() < 1e-9);
    for model in &compared.models {
        assert_eq!(model.folds.iter().map(|fold| fold.rows).sum::<usize>(), 400);
        assert!(model.mean(|fold| fold.auc_roc).0 > 0.7);
    }
    let itself = compared.difference(0, 2, |fold| fold.auc_roc).unwrap();
    assert_eq!((itself.estimate, itself.p_value), (0.0, 1.0));
    let other = compared.difference(0, 1, |fold| Some(fold.log_loss)).unwrap();
    assert!(other.low < other.estimate && other.estimate < other.high);
    assert_eq!(compared.difference(0, 3, |fold| fold.auc_roc), None);
    let error = cross_validate(&rows, &algorithms, &[]).unwrap_err();
    assert!(matches!(error, Error::Model(ModelError::Parameter { name: "folds", .. })));
}

#[test]
fn out_of_fold_probability_is_of_a_model_without_the_row() {
    let rows = behaviour(300, 4);
    let folds = split::stratified_folds(rows.labels(), 3, 1).unwrap();
    let algorithm = mkt_ml::DecisionTree::params().into();
    let unseen = out_of_fold(&rows, &algorithm, &folds).unwrap();
    let seen =
        mkt_ml::TrainedModel::fit(&rows, algorithm.clone()).unwrap().probabilities(rows.frame()).unwrap();
    // A tree grown until its leaves are pure knows its own rows by heart.
    assert_eq!(auc_roc(rows.labels(), &seen).unwrap(), 1.0);
    assert!(auc_roc(rows.labels(), &unseen).unwrap() < 0.97);
    let some = out_of_fold(&rows, &algorithm, &folds[..1]).unwrap();
    assert_eq!(some.iter().filter(|p| p.is_nan()).count(), folds[0].train.len());
    assert!(matches!(auc_roc(rows.labels(), &some), Err(MetricError::NotANumber { .. })));
}
