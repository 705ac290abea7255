//! Logistic regression against closed forms, published fits and planted models.

use linfa::{
    Dataset,
    prelude::{ParamGuard, Predict},
    traits::Fit,
};
use mkt_ml::{Classifier, Logistic, ModelError};
use ndarray::{Array1, Array2, Ix1, array};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::cars::cars;

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

/// `(feature, positive rows, negative rows)` per line.
fn grouped(cells: &[(f64, usize, usize)]) -> Dataset<f64, bool, Ix1> {
    let mut rows = Vec::new();
    for &(x, positive, negative) in cells {
        rows.extend(std::iter::repeat_n((x, true), positive));
        rows.extend(std::iter::repeat_n((x, false), negative));
    }
    let labels = rows.iter().map(|(_, label)| *label).collect();
    Dataset::new(Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row].0), labels)
}

#[test]
fn a_two_by_two_table_gives_its_log_odds_ratio_and_woolf_error() {
    // 30 of 100 convert without the feature, 60 of 100 with it.
    let model = Logistic::params().penalty(0.0).fit(&grouped(&[(0.0, 30, 70), (1.0, 60, 40)])).unwrap();
    let odds_ratio: f64 = (60.0 * 70.0) / (40.0 * 30.0);
    let woolf = (1.0 / 30.0 + 1.0 / 70.0 + 1.0 / 60.0 + 1.0 / 40.0_f64).sqrt();
    let coefficient = &model.coefficients()[0];
    close(coefficient.estimate, odds_ratio.ln(), 1e-11);
    close(coefficient.std_error, woolf, 1e-11);
    close(coefficient.odds_ratio, odds_ratio, 1e-10);
    close(coefficient.odds_ratio_low, (odds_ratio.ln() - 1.959963984540054 * woolf).exp(), 1e-10);
    close(model.intercept().estimate, (30.0 / 70.0_f64).ln(), 1e-11);
    close(model.intercept().std_error, (1.0 / 30.0 + 1.0 / 70.0_f64).sqrt(), 1e-11);
    let probabilities = model.probabilities(array![[0.0], [1.0]].view()).unwrap();
    close(probabilities[0], 0.3, 1e-12);
    close(probabilities[1], 0.6, 1e-12);
}

#[test]
fn a_penalised_symmetric_design_solves_its_one_equation() {
    // With x = ±1 and mirrored shares the intercept is 0 and n (σ(w) − p) + λ w = 0, found here by bisection.
    let (n, p, penalty) = (200.0, 0.8, 7.0);
    let model = Logistic::params().penalty(penalty).fit(&grouped(&[(1.0, 80, 20), (-1.0, 20, 80)])).unwrap();
    let (mut low, mut high) = (0.0, 5.0);
    for _ in 0..100 {
        let w: f64 = (low + high) / 2.0;
        let slope = n * (1.0 / (1.0 + (-w).exp()) - p) + penalty * w;
        if slope > 0.0 { high = w } else { low = w }
    }
    close(model.coefficients()[0].estimate, low, 1e-10);
    close(model.intercept().estimate, 0.0, 1e-12);
}

#[test]
fn the_published_fit_of_mtcars_is_reproduced() {
    // R: glm(am ~ wt, binomial, mtcars) prints 12.040 (4.510) and -4.024 (1.436); digits beyond from
    // scikit-learn 1.9.1, LogisticRegression(C=inf, solver="newton-cholesky", tol=1e-13).
    let one = Logistic::params().penalty(0.0).fit(&cars(1)).unwrap();
    close(one.intercept().estimate, 12.040369728657062, 1e-8);
    close(one.coefficients()[0].estimate, -4.02396996217312, 1e-8);
    close(one.intercept().std_error, 4.510, 3e-3);
    // R stops at a deviance change of 1e-8, which shows in the fourth digit of the error.
    close(one.coefficients()[0].std_error, 1.436, 1e-3);
    // glm(am ~ hp + wt): unscaled columns of very different size.
    let two = Logistic::params().penalty(0.0).fit(&cars(2)).unwrap();
    close(two.intercept().estimate, 18.866298717204142, 1e-8);
    close(two.coefficients()[0].estimate, -8.083475182444646, 1e-8);
    close(two.coefficients()[1].estimate, 0.036255596082216596, 1e-10);
    close(two.intercept().std_error, 7.443558427981801, 1e-7);
    close(two.coefficients()[0].std_error, 3.068675275390623, 1e-7);
    close(two.coefficients()[1].std_error, 0.017734154331947104, 1e-9);
}

#[test]
fn the_penalty_is_the_inverse_of_scikit_learns_c() {
    // scikit-learn 1.9.1, LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-13).
    let model = Logistic::params().penalty(2.0).fit(&cars(2)).unwrap();
    close(model.intercept().estimate, 4.117831370992762, 1e-8);
    close(model.coefficients()[0].estimate, -1.7089876143491622, 1e-8);
    close(model.coefficients()[1].estimate, 0.005564585039253588, 1e-10);
    let probabilities = model.probabilities(array![[3.0, 120.0]].view()).unwrap();
    close(probabilities[0], 0.4154739897794699, 1e-9);
}

const PLANTED: [f64; 4] = [-0.7, 1.2, -0.8, 0.0];

/// Rows drawn from the logistic model [`PLANTED`], intercept first.
pub(crate) fn planted(rows: usize, seed: u64) -> Dataset<f64, bool, Ix1> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let records = Array2::from_shape_fn((rows, 3), |_| rng.random_range(-2.0..2.0));
    let labels = records
        .outer_iter()
        .map(|row| {
            let z = PLANTED[0] + row.iter().zip(&PLANTED[1..]).map(|(x, w)| x * w).sum::<f64>();
            rng.random::<f64>() < 1.0 / (1.0 + (-z).exp())
        })
        .collect::<Array1<bool>>();
    Dataset::new(records, labels)
}

#[test]
fn a_planted_model_is_recovered_within_its_interval() {
    let model = Logistic::params().penalty(0.0).fit(&planted(20_000, 5)).unwrap();
    let found = std::iter::once(model.intercept()).chain(model.coefficients());
    for (coefficient, truth) in found.zip(PLANTED) {
        // 99.9 % of such distances are below 3.29 errors; the error itself is about 0.02.
        close(coefficient.estimate, truth, 3.29 * coefficient.std_error);
        assert!(coefficient.std_error < 0.03);
    }
}

#[test]
fn intervals_cover_the_truth_about_95_times_in_100() {
    let covered: usize = (0..100)
        .map(|seed| {
            let model = Logistic::params().penalty(0.0).fit(&planted(400, 1000 + seed)).unwrap();
            let odds: Vec<f64> = PLANTED[1..].iter().map(|w| w.exp()).collect();
            let coefficients = model.coefficients();
            let inside = coefficients
                .iter()
                .zip(odds)
                .filter(|(c, o)| c.odds_ratio_low < *o && *o < c.odds_ratio_high);
            inside.count()
        })
        .sum();
    // 300 intervals: mean 285, standard deviation 3.8.
    assert!((270..=297).contains(&covered), "{covered} of 300");
}

#[test]
fn the_solver_reaches_a_tight_gradient_in_few_steps() {
    let data = planted(5000, 9);
    let model = Logistic::params().tolerance(1e-12).fit(&data).unwrap();
    assert!(
        model.gradient() <= 1e-12 && model.iterations() <= 8,
        "{} {}",
        model.gradient(),
        model.iterations()
    );
    // The same by hand: Σ (p − y) x + λ w = 0.
    let p = model.probabilities(data.records().view()).unwrap();
    for (feature, coefficient) in model.coefficients().iter().enumerate() {
        let terms = (0..5000)
            .map(|row| data.records()[(row, feature)] * (p[row] - f64::from(u8::from(data.targets()[row]))));
        close(terms.sum::<f64>() + coefficient.estimate, 0.0, 1e-8);
    }
}

#[test]
fn separable_outcomes_are_reported_without_a_penalty_and_fitted_with_one() {
    let data = grouped(&[(0.0, 0, 20), (1.0, 20, 0)]);
    let error = Logistic::params().penalty(0.0).fit(&data).unwrap_err();
    assert!(matches!(error, ModelError::NotConverged { .. } | ModelError::Collinear { .. }), "{error}");
    let model = Logistic::params().penalty(1.0).fit(&data).unwrap();
    let probabilities = model.probabilities(array![[0.0], [1.0]].view()).unwrap();
    assert!(probabilities[0] < 0.2 && probabilities[1] > 0.8);
}

#[test]
fn repeated_columns_share_the_weight_with_a_penalty_and_are_named_without() {
    let one = grouped(&[(0.0, 30, 70), (1.0, 60, 40)]);
    let records = Array2::from_shape_fn((200, 2), |(row, _)| one.records()[(row, 0)]);
    let data = Dataset::new(records, one.targets().clone()).with_feature_names(vec!["pages", "pages again"]);
    let error = Logistic::params().penalty(0.0).fit(&data).unwrap_err();
    assert!(matches!(&error, ModelError::Collinear { feature } if feature == "pages again"), "{error}");
    let coefficients = Logistic::params().fit(&data).unwrap().coefficients();
    close(coefficients[0].estimate, coefficients[1].estimate, 1e-9);
}

#[test]
fn a_sum_of_other_columns_is_named_though_rounding_hides_it() {
    let base = planted(500, 12);
    let x = base.records();
    let records = Array2::from_shape_fn((500, 4), |(row, at)| {
        if at == 3 { 0.1 * x[(row, 0)] - 0.7 * x[(row, 2)] + 0.3 } else { x[(row, at)] }
    });
    let data = Dataset::new(records, base.targets().clone()).with_feature_names(vec!["a", "b", "c", "sum"]);
    let error = Logistic::params().penalty(0.0).fit(&data).unwrap_err();
    assert!(matches!(&error, ModelError::Collinear { feature } if feature == "sum"), "{error}");
}

#[test]
fn a_column_of_zeros_has_no_weight_with_a_penalty_and_is_named_without() {
    let one = grouped(&[(0.0, 30, 70), (1.0, 60, 40)]);
    let records =
        Array2::from_shape_fn((200, 2), |(row, at)| if at == 0 { one.records()[(row, 0)] } else { 0.0 });
    let data = Dataset::new(records, one.targets().clone()).with_feature_names(vec!["pages", "nothing"]);
    assert_eq!(Logistic::params().fit(&data).unwrap().coefficients()[1].estimate, 0.0);
    let error = Logistic::params().penalty(0.0).fit(&data).unwrap_err();
    assert!(matches!(&error, ModelError::Collinear { feature } if feature == "nothing"), "{error}");
}

#[test]
fn data_that_cannot_be_fitted_are_refused() {
    let fit = |records: Array2<f64>, labels: Vec<bool>| {
        Logistic::params().fit(&Dataset::new(records, Array1::from(labels))).unwrap_err()
    };
    assert!(matches!(
        fit(array![[1.0], [2.0]], vec![true, true]),
        ModelError::OneClass { rows: 2, positive: true }
    ));
    assert!(matches!(fit(array![[1.0]], vec![false]), ModelError::OneClass { rows: 1, positive: false }));
    assert!(matches!(fit(Array2::zeros((0, 2)), vec![]), ModelError::Empty { rows: 0, .. }));
    assert!(matches!(fit(Array2::zeros((2, 0)), vec![true, false]), ModelError::Empty { features: 0, .. }));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = fit(array![[1.0, 2.0], [3.0, bad]], vec![true, false]);
        assert!(
            matches!(&error, ModelError::NotFinite { row: 1, feature, .. } if feature == "feature 1"),
            "{error}"
        );
    }
    let wide = fit(Array2::zeros((2, 5001)), vec![true, false]);
    assert!(matches!(wide, ModelError::TooLarge { rows: 2, features: 5001 }));
    let uneven = fit(array![[1.0], [2.0]], vec![true, false, true]);
    assert!(matches!(uneven, ModelError::Labels { rows: 2, labels: 3 }));
}

#[test]
fn parameters_out_of_range_are_named() {
    for (params, name) in [
        (Logistic::params().penalty(-1.0), "penalty"),
        (Logistic::params().penalty(f64::NAN), "penalty"),
        (Logistic::params().tolerance(0.0), "tolerance"),
        (Logistic::params().max_iterations(0), "max_iterations"),
    ] {
        let error = params.check_ref().unwrap_err();
        assert!(matches!(&error, ModelError::Parameter { name: found, .. } if *found == name), "{error}");
        assert!(params.fit(&cars(1)).is_err());
    }
}

#[test]
fn rows_that_do_not_fit_the_model_are_refused() {
    let model = Logistic::params().fit(&cars(2)).unwrap();
    let wide = model.probabilities(Array2::zeros((1, 3)).view());
    assert!(matches!(wide, Err(ModelError::Width { expected: 2, found: 3 })));
    let missing = model.probabilities(array![[1.0, f64::NAN]].view());
    assert!(matches!(&missing, Err(ModelError::NotFinite { feature, .. }) if feature == "power"));
    assert_eq!(model.probabilities(Array2::zeros((0, 2)).view()).unwrap().len(), 0);
    let far = model.probabilities(array![[f64::MAX, f64::MAX], [-f64::MAX, f64::MAX]].view()).unwrap();
    assert!(far.iter().all(|p| (0.0..=1.0).contains(p)));
}

#[test]
fn linfa_predict_gives_the_labels_of_the_probabilities() {
    let data = cars(2);
    let model = Logistic::params().fit(&data).unwrap();
    let labels = model.predict(data.records());
    let probabilities = model.probabilities(data.records().view()).unwrap();
    assert_eq!(labels, probabilities.mapv(|p| p > 0.5));
    assert!(labels.iter().any(|label| *label) && labels.iter().any(|label| !*label));
}
