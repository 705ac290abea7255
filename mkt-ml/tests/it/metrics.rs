//! Measures against hand-computed tables and scikit-learn.

use mkt_ml::{
    evaluation::Evaluation,
    metrics::{Confusion, MetricError, auc_roc, average_precision, brier, log_loss},
    report::ClassificationReport,
};
use proptest::prelude::*;

const LABELS: [bool; 12] = [false, true, true, false, true, false, false, true, true, false, false, true];
const SCORES: [f64; 12] = [0.1, 0.9, 0.4, 0.4, 0.4, 0.35, 0.8, 0.8, 0.65, 0.2, 0.0, 1.0];

/// Labels and predictions with these counts.
fn predictions(tn: usize, fp: usize, r#fn: usize, tp: usize) -> (Vec<bool>, Vec<bool>) {
    let labels = [vec![false; tn + fp], vec![true; r#fn + tp]].concat();
    let predicted = [vec![false; tn], vec![true; fp], vec![false; r#fn], vec![true; tp]].concat();
    (labels, predicted)
}

#[test]
fn metrics_with_ties_equal_scikit_learn() {
    // scikit-learn 1.9.1 on the same twelve rows.
    let equal = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    equal(auc_roc(&LABELS, &SCORES).unwrap(), 0.875);
    equal(average_precision(&LABELS, &SCORES).unwrap(), 0.8416666666666666);
    equal(log_loss(&LABELS, &SCORES).unwrap(), 0.45595158050644846);
    equal(brier(&LABELS, &SCORES).unwrap(), 0.15541666666666668);
}

#[test]
fn a_hand_computed_table_gives_its_rates() {
    let (labels, predicted) = predictions(50, 10, 5, 35);
    let confusion = Confusion::of(&labels, &predicted).unwrap();
    assert_eq!(
        confusion,
        Confusion { true_negative: 50, false_positive: 10, false_negative: 5, true_positive: 35 }
    );
    assert_eq!(confusion.accuracy(), 0.85);
    assert_eq!(confusion.precision(), 35.0 / 45.0);
    assert_eq!(confusion.recall(), 0.875);
    assert_eq!(confusion.f1(), 70.0 / 85.0);
}

#[test]
fn rates_without_a_denominator_are_zero() {
    let (labels, predicted) = predictions(3, 0, 2, 0);
    let confusion = Confusion::of(&labels, &predicted).unwrap();
    assert_eq!((confusion.precision(), confusion.recall(), confusion.f1()), (0.0, 0.0, 0.0));
}

#[test]
fn extreme_rankings_have_known_areas() {
    let labels = [true, true, false, false];
    assert_eq!(auc_roc(&labels, &[0.9, 0.8, 0.2, 0.1]), Ok(1.0));
    assert_eq!(auc_roc(&labels, &[0.1, 0.2, 0.8, 0.9]), Ok(0.0));
    assert_eq!(auc_roc(&labels, &[0.5; 4]), Ok(0.5));
    assert_eq!(auc_roc(&labels, &[0.0, -0.0, 0.0, -0.0]), Ok(0.5), "both zeros are one score");
    assert_eq!(average_precision(&labels, &[0.5; 4]), Ok(0.5));
    assert_eq!(average_precision(&labels, &[0.9, 0.8, 0.2, 0.1]), Ok(1.0));
}

#[test]
fn certain_wrong_prediction_has_finite_log_loss() {
    // −ln 2⁻⁵².
    let loss = log_loss(&[true], &[0.0]).unwrap();
    assert!((loss - 52.0 * std::f64::consts::LN_2).abs() < 1e-12);
    assert!(log_loss(&[true], &[1.0]).unwrap() < 1e-15);
}

#[test]
fn the_report_is_scikit_learns_to_the_last_digit() {
    // classification_report of scikit-learn 1.9.1, zero_division=0.
    let cases = [
        (
            predictions(7, 1, 3, 5),
            ["0", "1"],
            "              precision    recall  f1-score   support\n\n           0       0.70      0.88      0.78         8\n           1       0.83      0.62      0.71         8\n\n    accuracy                           0.75        16\n   macro avg       0.77      0.75      0.75        16\nweighted avg       0.77      0.75      0.75        16\n",
        ),
        (
            predictions(5, 0, 3, 0),
            ["0", "1"],
            "              precision    recall  f1-score   support\n\n           0       0.62      1.00      0.77         5\n           1       0.00      0.00      0.00         3\n\n    accuracy                           0.62         8\n   macro avg       0.31      0.50      0.38         8\nweighted avg       0.39      0.62      0.48         8\n",
        ),
        (
            predictions(1523, 61, 140, 276),
            ["did not convert at all", "converted"],
            "                        precision    recall  f1-score   support\n\ndid not convert at all       0.92      0.96      0.94      1584\n             converted       0.82      0.66      0.73       416\n\n              accuracy                           0.90      2000\n             macro avg       0.87      0.81      0.84      2000\n          weighted avg       0.90      0.90      0.90      2000\n",
        ),
        (
            predictions(0, 0, 2, 6),
            ["0", "1"],
            "              precision    recall  f1-score   support\n\n           0       0.00      0.00      0.00         0\n           1       1.00      0.75      0.86         8\n\n    accuracy                           0.75         8\n   macro avg       0.50      0.38      0.43         8\nweighted avg       1.00      0.75      0.86         8\n",
        ),
        (
            // Eighths: ties between two digits, rounded to even.
            predictions(1, 7, 7, 1),
            ["FALSE", "TRUE"],
            "              precision    recall  f1-score   support\n\n       FALSE       0.12      0.12      0.12         8\n        TRUE       0.12      0.12      0.12         8\n\n    accuracy                           0.12        16\n   macro avg       0.12      0.12      0.12        16\nweighted avg       0.12      0.12      0.12        16\n",
        ),
    ];
    for ((labels, predicted), [negative, positive], expected) in cases {
        let report = ClassificationReport::new(&labels, &predicted, negative, positive).unwrap();
        assert_eq!(report.to_string(), expected);
    }
}

#[test]
fn an_evaluation_serialises_under_its_names() {
    let evaluation = Evaluation::new(&LABELS, &SCORES, 0.5).unwrap();
    let json = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(json["auc_roc"], 0.875);
    assert_eq!(json["rows"], 12);
    assert_eq!(json["confusion"]["true_positive"], 4);
    let back: Evaluation = serde_json::from_value(json).unwrap();
    assert_eq!(back, evaluation);
    let report = serde_json::to_value(evaluation.report("0", "1")).unwrap();
    assert_eq!(report["classes"][1]["support"], 6);
}

#[test]
fn a_probability_of_one_half_is_negative() {
    let evaluation = Evaluation::new(&[true, false], &[0.5, 0.5], 0.5).unwrap();
    assert_eq!(evaluation.confusion.false_negative, 1);
    assert_eq!(evaluation.confusion.true_negative, 1);
}

#[test]
fn invalid_predictions_are_refused() {
    assert_eq!(auc_roc(&[true, true], &[0.1, 0.2]), Err(MetricError::OneClass { rows: 2 }));
    assert_eq!(auc_roc(&[], &[]), Err(MetricError::Empty));
    assert_eq!(auc_roc(&[true], &[0.1, 0.2]), Err(MetricError::Length { labels: 1, predictions: 2 }));
    assert_eq!(auc_roc(&[true, false], &[0.1, f64::NAN]), Err(MetricError::NotANumber { row: 1 }));
    for bad in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert!(matches!(log_loss(&[true], &[bad]), Err(MetricError::NotAProbability { row: 0, .. })));
    }
    assert!(Evaluation::new(&[], &[], 0.5).is_err());
    assert!(Evaluation::new(&[true], &[0.5], f64::NAN).is_err());
    let one_class = Evaluation::new(&[true, true], &[0.4, 0.6], 0.5).unwrap();
    assert_eq!((one_class.auc_roc, one_class.accuracy), (None, 0.5));
    assert_eq!(ClassificationReport::new(&[true], &[true], "x", "x"), Err(MetricError::Classes));
}

proptest! {
    #[test]
    fn the_area_is_the_share_of_pairs_in_order(
        rows in proptest::collection::vec((any::<bool>(), (0..6_u8).prop_map(|s| f64::from(s) / 5.0)), 2..60)
    ) {
        let (labels, scores): (Vec<bool>, Vec<f64>) = rows.into_iter().unzip();
        prop_assume!(labels.contains(&true) && labels.contains(&false));
        let (mut won, mut pairs) = (0.0, 0.0);
        for (positive, high) in labels.iter().zip(&scores) {
            for (negative, low) in labels.iter().zip(&scores) {
                if *positive && !*negative {
                    pairs += 1.0;
                    won += if high > low { 1.0 } else if high == low { 0.5 } else { 0.0 };
                }
            }
        }
        prop_assert_eq!(auc_roc(&labels, &scores).unwrap(), won / pairs);
    }
}
