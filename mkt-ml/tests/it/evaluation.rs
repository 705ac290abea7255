//! Deciles, calibration, intervals and thresholds against sums done by hand and known laws.

use mkt_ml::{
    calibration::Calibration,
    evaluation::{
        auc_interval, best_threshold, bootstrap, bootstrap_difference, calibration_curve, deciles,
        expected_calibration_error, precision_recall_curve,
    },
    metrics::{MetricError, auc_roc, brier, log_loss},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Rows whose true probability is known, and that probability.
fn drawn(rows: usize, seed: u64) -> (Vec<bool>, Vec<f64>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let truth: Vec<f64> = (0..rows).map(|_| rng.random_range(0.02..0.9)).collect();
    (truth.iter().map(|p| rng.random::<f64>() < *p).collect(), truth)
}

#[test]
fn ties_are_shared_between_deciles_in_proportion() {
    // Twenty rows, all of one score, five positive: every decile has a quarter of its two rows.
    let labels: Vec<bool> = (0..20).map(|row| row < 5).collect();
    let found = deciles(&labels, &[0.3; 20]).unwrap();
    for decile in &found {
        assert_eq!(decile.rows, 2);
        assert!((decile.positives - 0.5).abs() < 1e-12 && (decile.lift - 1.0).abs() < 1e-12);
        assert!((decile.gain - decile.decile as f64 / 10.0).abs() < 1e-12);
    }
}

#[test]
fn deciles_of_uneven_row_count_hold_all_rows() {
    let (labels, scores) = drawn(1237, 1);
    let found = deciles(&labels, &scores).unwrap();
    assert_eq!(found.iter().map(|decile| decile.rows).sum::<usize>(), 1237);
    let positives: f64 = found.iter().map(|decile| decile.positives).sum();
    assert!((positives - labels.iter().filter(|label| **label).count() as f64).abs() < 1e-9);
    assert!((found[9].gain - 1.0).abs() < 1e-12);
    assert!(found[0].lift > 1.5 && found[9].lift < 0.4, "{found:?}");
    let few = deciles(&[true, false, false], &[0.9, 0.5, 0.1]).unwrap();
    assert_eq!(few.iter().map(|decile| decile.rows).sum::<usize>(), 3);
}

#[test]
fn the_calibration_error_is_the_sum_done_by_hand() {
    // [0, .1): .05, none of 2; [.7, .8): .75, 3 of 4. (2 · .05 + 4 · 0) / 6.
    let labels = [false, false, true, true, true, false];
    let probabilities = [0.05, 0.05, 0.75, 0.75, 0.75, 0.75];
    let bins = calibration_curve(&labels, &probabilities, 10).unwrap();
    assert_eq!(bins.iter().map(|bin| (bin.rows, bin.rate)).collect::<Vec<_>>(), [(2, 0.0), (4, 0.75)]);
    let error = expected_calibration_error(&labels, &probabilities).unwrap();
    assert!((error - 0.1 / 6.0).abs() < 1e-12, "{error}");
    let sure = calibration_curve(&[true, false], &[1.0, 0.0], 10).unwrap();
    assert_eq!((sure[0].low, sure[1].high), (0.0, 1.0));
}

#[test]
fn precision_and_recall_are_those_of_scikit_learns_guide() {
    // scikit-learn user guide, precision_recall_curve: y = 0 0 1 1, scores .1 .4 .35 .8.
    let curve = precision_recall_curve(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
    assert_eq!(curve, [(0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0), (1.0, 0.5)]);
}

#[test]
fn bootstrap_intervals_cover_the_truth_95_percent() {
    // The AUC of the true probabilities on very many rows stands for the truth.
    let (labels, truth) = drawn(200_000, 99);
    let exact = auc_roc(&labels, &truth).unwrap();
    let held = (0..100).filter(|seed| {
        let (labels, scores) = drawn(300, 1000 + seed);
        let interval = bootstrap(&labels, &scores, auc_roc, 200, *seed).unwrap();
        interval.low <= exact && exact <= interval.high
    });
    let held = held.count();
    // Three deviations of a binomial count around 95, one more for the percentile method's shortness.
    assert!((86..=100).contains(&held), "{held}");
}

#[test]
fn paired_difference_is_narrower_than_two_intervals() {
    let (labels, truth) = drawn(2000, 5);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let blurred: Vec<f64> = truth.iter().map(|p| (p + rng.random_range(-0.1..0.1)).clamp(0.0, 1.0)).collect();
    let one = bootstrap(&labels, &truth, auc_roc, 200, 1).unwrap();
    let difference = bootstrap_difference(&labels, &blurred, &truth, auc_roc, 200, 1).unwrap();
    assert!(difference.high - difference.low < (one.high - one.low) / 2.0);
    assert!(difference.low > 0.0, "the truth ranks better than a blur of it: {difference:?}");
    let same = bootstrap_difference(&labels, &truth, &truth, brier, 50, 1).unwrap();
    assert_eq!((same.estimate, same.low, same.high), (0.0, 0.0, 0.0));
}

#[test]
fn the_best_threshold_of_true_probabilities_is_cost_over_value() {
    let (labels, truth) = drawn(400_000, 7);
    let best = best_threshold(&labels, &truth, 10.0, 3.0).unwrap();
    assert!((best.threshold - 0.3).abs() < 0.02, "{best:?}");
    let by_hand = best_threshold(&[true, false, true, false], &[0.9, 0.8, 0.7, 0.1], 5.0, 2.0).unwrap();
    // 3, 1, 4, 2.
    assert_eq!((by_hand.threshold, by_hand.rows, by_hand.positives, by_hand.profit), (0.7, 3, 2, 4.0));
    let never = best_threshold(&labels, &truth, 1.0, 2.0).unwrap();
    assert_eq!((never.threshold, never.rows, never.profit), (f64::INFINITY, 0, 0.0));
}

#[test]
fn platt_undoes_a_distortion_of_the_log_odds() {
    let (labels, truth) = drawn(60_000, 8);
    // The distorted odds are the true ones to the power 2, times e.
    let distort = |p: &f64| 1.0 / (1.0 + (-(2.0 * (p / (1.0 - p)).ln() + 1.0)).exp());
    let distorted: Vec<f64> = truth.iter().map(distort).collect();
    let calibration = Calibration::platt(&labels, &distorted).unwrap();
    let Calibration::Platt { slope, intercept } = calibration else { panic!("{calibration:?}") };
    assert!((slope - 0.5).abs() < 0.02 && (intercept + 0.5).abs() < 0.03, "{slope} {intercept}");
    let mended: Vec<f64> = distorted.iter().map(|p| calibration.apply(*p)).collect();
    assert!(log_loss(&labels, &mended).unwrap() < log_loss(&labels, &distorted).unwrap() - 0.05);
    assert!(expected_calibration_error(&labels, &mended).unwrap() < 0.01);
}

#[test]
fn isotonic_steps_are_the_pooled_means() {
    // Scores .1 to .6: 0 1 0 1 1 0 pools to 0, ½ ½, ⅔ ⅔ ⅔.
    let labels = [false, true, false, true, true, false];
    let scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let fitted = Calibration::isotonic(&labels, &scores).unwrap();
    let expected = [0.0, 0.5, 0.5, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0];
    for (score, expected) in scores.iter().zip(expected) {
        assert!((fitted.apply(*score) - expected).abs() < 1e-12, "{score}");
    }
    // Between points on a line, level beyond the ends.
    assert!((fitted.apply(0.15) - 0.25).abs() < 1e-12);
    assert_eq!((fitted.apply(0.0), fitted.apply(1.0)), (0.0, 2.0 / 3.0));
    let json = serde_json::to_string(&fitted).unwrap();
    assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), fitted);
}

#[test]
fn calibration_keeps_order_and_range() {
    let (labels, scores) = drawn(500, 9);
    let reversed: Vec<bool> = labels.iter().map(|label| !label).collect();
    let apart: Vec<bool> = scores.iter().map(|p| *p > 0.5).collect();
    for labels in [&labels, &reversed, &apart] {
        for fitted in
            [Calibration::platt(labels, &scores).unwrap(), Calibration::isotonic(labels, &scores).unwrap()]
        {
            let curve: Vec<f64> = (0..=1000).map(|step| fitted.apply(f64::from(step) / 1000.0)).collect();
            assert!(curve.iter().all(|p| (0.0..=1.0).contains(p)));
            assert!(curve.windows(2).all(|pair| pair[0] <= pair[1]), "{fitted:?}");
        }
    }
}

#[test]
fn bad_predictions_are_refused() {
    assert_eq!(deciles(&[], &[]), Err(MetricError::Empty));
    assert_eq!(deciles(&[true], &[0.5]), Err(MetricError::OneClass { rows: 1 }));
    assert_eq!(deciles(&[true, false], &[f64::NAN, 0.1]), Err(MetricError::NotANumber { row: 0 }));
    assert!(matches!(
        calibration_curve(&[true], &[1.5], 10),
        Err(MetricError::NotAProbability { row: 0, .. })
    ));
    assert_eq!(Calibration::platt(&[true, true], &[0.1, 0.2]), Err(MetricError::OneClass { rows: 2 }));
    assert!(matches!(Calibration::isotonic(&[true], &[0.1, 0.2]), Err(MetricError::Length { .. })));
    assert!(best_threshold(&[true, false], &[0.1, 0.2], f64::NAN, 1.0).is_err());
}

#[test]
fn auc_interval_of_one_positive_is_wide() {
    // One positive row: the interval of .071 to .113 came from resampling that one row.
    let labels: Vec<bool> = (0..240).map(|row| row == 0).collect();
    let scores: Vec<f64> = (0..240).map(|row| if row == 0 { 21.5 } else { f64::from(row) }).collect();
    let interval = auc_interval(&labels, &scores).unwrap();
    assert!((interval.estimate - 21.0 / 239.0).abs() < 1e-12);
    assert!(interval.low < 0.02 && interval.high > 0.5, "{interval:?}");
    assert!(interval.is_of_few() && interval.rarer == 1);
}

#[test]
fn auc_interval_of_many_rows_agrees_with_the_bootstrap() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(8);
    let labels: Vec<bool> = (0..2000).map(|_| rng.random_bool(0.3)).collect();
    let scores: Vec<f64> = labels
        .iter()
        .map(|label| rng.random::<f64>() + rng.random::<f64>() + if *label { 0.4 } else { 0.0 })
        .collect();
    let (ours, drawn) =
        (auc_interval(&labels, &scores).unwrap(), bootstrap(&labels, &scores, auc_roc, 300, 1).unwrap());
    let width = drawn.high - drawn.low;
    assert!((ours.low - drawn.low).abs() < 0.2 * width && (ours.high - drawn.high).abs() < 0.2 * width);
    assert!(!ours.is_of_few());
    // Perfect ranking of few rows: the interval is one-sided, not a point.
    let perfect = auc_interval(&[false, false, true, true], &[0.1, 0.2, 0.8, 0.9]).unwrap();
    assert!(perfect.low < 0.6 && perfect.high == 1.0, "{perfect:?}");
}
