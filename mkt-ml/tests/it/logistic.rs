//! Logistic regression against closed forms, published fits and planted models.

use linfa::{
    Dataset,
    prelude::{ParamGuard, Predict},
    traits::Fit,
};
use mkt_ml::{
    ClassWeights, Classifier, CsvOptions, Frame, Labelled, Logistic, ModelError, TrainedModel,
    encoder::EncoderParams,
};
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

/// The cars with both columns scaled to mean 0 and deviation 1.
fn scaled_cars() -> Dataset<f64, bool, Ix1> {
    let data = cars(2);
    let mut records = data.records().clone();
    for mut column in records.columns_mut() {
        let mean = column.sum() / 32.0;
        let deviation = (column.mapv(|x| (x - mean).powi(2)).sum() / 32.0).sqrt();
        column.mapv_inplace(|x| (x - mean) / deviation);
    }
    Dataset::new(records, data.targets().clone())
}

fn weights(model: &Logistic) -> Vec<f64> {
    let coefficients = model.coefficients();
    std::iter::once(model.intercept().estimate).chain(coefficients.iter().map(|c| c.estimate)).collect()
}

#[test]
fn lasso_elastic_net_and_weights_are_those_of_scikit_learn() {
    // scikit-learn 1.9.1 on the scaled cars: saga with tol=1e-15 for the penalties, newton-cholesky for weights.
    let data = scaled_cars();
    let lasso = |penalty, ratio| Logistic::params().penalty(penalty).l1_ratio(ratio);
    let fits = [
        (lasso(2.0, 1.0), [-0.6630051424036117, -2.1541482727414567, 0.22117428554369495]),
        (lasso(2.0, 0.5), [-0.5994591862409085, -1.7925446808866967, 0.2294440700105598]),
        (lasso(5.0, 1.0), [-0.46507760642506213, -0.9355668245271895, 0.0]),
        (
            Logistic::params().penalty(2.0).class_weights(ClassWeights::Balanced),
            [-0.2769386313464902, -1.6763234745712485, 0.30624959397311],
        ),
    ];
    for (params, expected) in fits {
        let model = params.fit(&data).unwrap();
        for (found, expected) in weights(&model).into_iter().zip(expected) {
            close(found, expected, 2e-8);
        }
    }
    let weighted = data.clone().with_weights(Array1::from_iter((0..32_u8).map(|row| f32::from(row % 4))));
    let model = Logistic::params().penalty(2.0).fit(&weighted).unwrap();
    for (found, expected) in
        weights(&model).into_iter().zip([-0.5499979697397338, -2.0968471928798924, 0.32884987675308175])
    {
        close(found, expected, 2e-8);
    }
}

#[test]
fn lasso_zeroes_weights_and_has_no_standard_errors() {
    let model = Logistic::params().penalty(5.0).l1_ratio(1.0).fit(&scaled_cars()).unwrap();
    assert_eq!(model.coefficients()[1].estimate, 0.0);
    assert!(model.coefficients()[0].std_error.is_nan());
}

#[test]
fn row_weight_two_equals_two_rows() {
    let data = planted(500, 3);
    let doubled: Vec<usize> = (0..500).chain((0..500).filter(|row| row % 3 == 0)).collect();
    let rows = Dataset::new(
        data.records().select(ndarray::Axis(0), &doubled),
        doubled.iter().map(|row| data.targets()[*row]).collect::<Array1<bool>>(),
    );
    let weight = |row: usize| if row.is_multiple_of(3) { 2.0 } else { 1.0 };
    let weighed = data.with_weights((0..500).map(weight).collect());
    let (once, twice) = (Logistic::params().fit(&weighed).unwrap(), Logistic::params().fit(&rows).unwrap());
    for (a, b) in weights(&once).into_iter().zip(weights(&twice)) {
        close(a, b, 1e-9);
    }
    close(once.coefficients()[0].std_error, twice.coefficients()[0].std_error, 1e-9);
}

/// One number and two columns of categories, one with missing values.
fn behaviour(rows: usize) -> Labelled {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(77);
    let mut csv = "pages,source,device,converted\n".to_owned();
    for _ in 0..rows {
        let (pages, source, device) =
            (rng.random_range(1..20), rng.random_range(0..5), rng.random_range(0..3));
        let z = -2.0 + 0.1 * f64::from(pages) + [0.0, 0.5, -0.5, 1.0, 0.2][source] + [0.0, 0.4, -0.3][device];
        let converted = u8::from(rng.random::<f64>() < 1.0 / (1.0 + (-z).exp()));
        let device = ["mobile", "desktop", ""][device];
        csv += &format!("{pages},{},{device},{converted}\n", ["a", "b", "c", "d", "e"][source]);
    }
    let frame = CsvOptions::default().read(csv.as_bytes()).unwrap();
    Labelled::new(frame, "converted").unwrap()
}

#[test]
fn sparse_categories_fit_like_dense_ones() {
    let rows = behaviour(3000);
    let trained = TrainedModel::fit(&rows, Logistic::params()).unwrap();
    let encoder = EncoderParams::one_hot().fit(rows.frame()).unwrap();
    let dense = Dataset::new(encoder.transform(rows.frame()).unwrap(), Array1::from(rows.labels().to_vec()));
    let model = Logistic::params().fit(&dense).unwrap();
    let coded = trained.logistic().unwrap();
    for (a, b) in weights(coded).into_iter().zip(weights(&model)) {
        close(a, b, 1e-10);
    }
    for (a, b) in coded.coefficients().iter().zip(model.coefficients()) {
        close(a.std_error, b.std_error, 1e-10);
    }
    // Scoring does not write them out either, and gives the same bits as the matrix.
    let scores = trained.probabilities(rows.frame()).unwrap();
    let matrix = coded.probabilities(dense.records().view()).unwrap();
    assert!(scores.iter().zip(&matrix).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(Frame::read_csv("pages\n1\n".as_bytes()).unwrap().rows(), 1);
}

#[test]
fn the_fit_is_the_same_bit_for_bit_on_any_number_of_threads() {
    let data = planted(40_000, 8);
    let fit = |threads| Logistic::params().threads(std::num::NonZeroUsize::new(threads)).fit(&data).unwrap();
    let one = fit(1);
    for threads in [2, 3, 7] {
        assert_eq!(one, fit(threads));
    }
}

#[test]
fn thousands_of_features_are_fitted_without_a_hessian() {
    // One column of 4500 categories of three rows each: given the intercept, the optimum of each is that of its own
    // rows.
    let width = 4500;
    let mut csv = "page,converted\n".to_owned();
    for row in 0..3 * width {
        csv += &format!("p{:04},{}\n", row % width, u8::from(row * 7 % 5 < 2));
    }
    let rows = Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "converted").unwrap();
    let encoder = EncoderParams::one_hot().max_levels(width);
    for ratio in [0.0, 0.5] {
        let params = Logistic::params().penalty(0.5).l1_ratio(ratio);
        let trained = TrainedModel::fit_with(&rows, params, &encoder).unwrap();
        let model = trained.logistic().unwrap();
        assert_eq!(model.coefficients().len(), width - 1);
        let b = model.intercept().estimate;
        for (at, coefficient) in model.coefficients().iter().enumerate() {
            // The derivative of the loss with respect to the weight, penalty included, is 0 (or within the L1
            // part's reach where the weight is 0). The reference is the first category.
            let category = at + 1;
            assert_eq!(coefficient.feature, format!("page=p{category:04}"));
            let w = coefficient.estimate;
            let p = 1.0 / (1.0 + (-(b + w)).exp());
            let hits = (0..3).filter(|turn| (category + turn * width) * 7 % 5 < 2).count() as f64;
            let slope = 3.0 * p - hits + 0.5 * (1.0 - ratio) * w;
            if w == 0.0 {
                assert!(slope.abs() <= 0.5 * ratio + 1e-5, "{at} {slope}");
            } else {
                close(slope + 0.5 * ratio * w.signum(), 0.0, 1e-5);
            }
        }
        assert!(model.coefficients()[0].std_error.is_nan());
    }
}
