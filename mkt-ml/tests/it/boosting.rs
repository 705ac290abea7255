//! Gradient boosting: what it learns, what it respects, determinism, bad input.

use std::{num::NonZeroUsize, ops::ControlFlow, sync::Mutex};

use linfa::{Dataset, ParamGuard, traits::Fit};
use mkt_ml::{
    Boosting, BoostingParams, Classifier, ModelError,
    metrics::{auc_roc, log_loss},
    params::{EarlyStopping, Monotone},
};
use ndarray::{Array1, Array2, Axis, Ix1, array};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

type Data = Dataset<f64, bool, Ix1>;

/// The log odds of the planted model: a step, a slope, an interaction, and effects of twelve categories.
fn truth(row: &[f64]) -> f64 {
    const EFFECTS: [f64; 12] = [-1.5, 1.0, 0.3, -0.7, 1.4, -0.2, 0.9, -1.1, 0.0, 0.6, -0.4, 1.2];
    let step = if row[0] > 0.3 { 1.5 } else { 0.0 };
    let missing = if row[2].is_nan() { 1.0 } else { 0.5 * row[2] };
    -1.0 + step + 0.8 * row[1] + missing + 1.2 * row[1] * row[2].max(0.0) + EFFECTS[row[3] as usize]
}

fn generated(rows: usize, seed: u64) -> (Data, Vec<f64>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut records = Array2::from_shape_fn((rows, 5), |(_, at)| {
        if at == 3 { f64::from(rng.random_range(0..12)) } else { rng.random_range(-1.0..1.0) }
    });
    for mut row in records.outer_iter_mut() {
        if rng.random_bool(0.1) {
            row[2] = f64::NAN;
        }
    }
    let odds: Vec<f64> = records.outer_iter().map(|row| truth(&row.to_vec())).collect();
    let labels: Array1<bool> = odds.iter().map(|z| rng.random::<f64>() < 1.0 / (1.0 + (-z).exp())).collect();
    let names = vec!["step", "slope", "holes", "category", "noise"];
    (Dataset::new(records, labels).with_feature_names(names), odds)
}

fn params() -> BoostingParams {
    Boosting::params().categorical(["category"])
}

fn threads(count: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(count)
}

fn auc(model: &Boosting, data: &Data) -> f64 {
    let scores = model.probabilities(data.records().view()).unwrap();
    auc_roc(&data.targets().to_vec(), &scores.to_vec()).unwrap()
}

#[test]
fn one_leaf_wide_stump_is_the_newton_step_of_each_side() {
    // Two values, 4 of 10 and 9 of 10 positive. From the log odds of 13 of 20, each side's step is
    // Σ(y − p) ÷ Σ p(1 − p) with p = .65: −2.5 ÷ 2.275 and 2.5 ÷ 2.275.
    let records = Array2::from_shape_fn((20, 1), |(row, _)| (row / 10) as f64);
    let labels: Array1<bool> = (0..20).map(|row| if row < 10 { row < 4 } else { row < 19 }).collect();
    let one = Boosting::params().trees(1).learning_rate(1.0).min_leaf(1);
    let model = one.fit(&Dataset::new(records, labels)).unwrap();
    let found = model.probabilities(array![[0.0], [1.0]].view()).unwrap();
    let base = (13.0_f64 / 7.0).ln();
    for (found, step) in found.iter().zip([-2.5 / 2.275, 2.5 / 2.275]) {
        let expected = 1.0 / (1.0 + (-(base + step)).exp());
        // Derivatives are rounded to 15 bits.
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn many_rounds_on_a_table_reach_the_rates_of_its_cells() {
    let cells = [(0.0, 0.0, 3), (0.0, 1.0, 9), (1.0, 0.0, 14), (1.0, 1.0, 6)];
    let rows = cells.iter().flat_map(|&(a, b, positive)| (0..20).map(move |row| (a, b, row < positive)));
    let rows: Vec<(f64, f64, bool)> = rows.collect();
    let records = Array2::from_shape_fn((80, 2), |(row, at)| if at == 0 { rows[row].0 } else { rows[row].1 });
    let data = Dataset::new(records, rows.iter().map(|row| row.2).collect::<Array1<bool>>());
    let model = Boosting::params().trees(300).min_leaf(1).learning_rate(0.3).fit(&data).unwrap();
    for (a, b, positive) in cells {
        let found = model.probabilities(array![[a, b]].view()).unwrap()[0];
        assert!((found - f64::from(positive) / 20.0).abs() < 1e-3, "{found} {positive}");
    }
}

#[test]
fn ranking_with_categories_and_missing_is_near_optimal() {
    let ((train, _), (test, odds)) = (generated(20_000, 1), generated(20_000, 2));
    let best = auc_roc(&test.targets().to_vec(), &odds).unwrap();
    let found = auc(&params().fit(&train).unwrap(), &test);
    assert!(found > best - 0.012 && found < best + 0.01, "{found} of {best}");
}

#[test]
fn the_model_is_the_same_bit_for_bit_on_any_number_of_threads() {
    // More rows than one thread takes alone, at the root and below.
    let (train, _) = generated(70_000, 3);
    let fit = |count| params().trees(8).threads(threads(count)).fit(&train).unwrap();
    let one = fit(1);
    for count in [2, 3, 5] {
        assert_eq!(one, fit(count), "{count} threads");
    }
    let sampled = |count| {
        let params = params().trees(8).subsample(0.6).column_sample(0.6);
        params.threads(threads(count)).fit(&train).unwrap()
    };
    assert_eq!(sampled(1), sampled(2));
    assert_ne!(sampled(1), one);
}

#[test]
fn limits_are_kept_exactly() {
    let (train, _) = generated(5000, 4);
    // One tree, so that leaves can be told apart by their probability.
    for least in [1, 7, 300] {
        let model = params().trees(1).leaves(12).min_leaf(least).fit(&train).unwrap();
        let scores = model.probabilities(train.records().view()).unwrap();
        let mut scores = scores.to_vec();
        scores.sort_unstable_by(f64::total_cmp);
        let leaves: Vec<usize> = scores.chunk_by(|a, b| a == b).map(<[f64]>::len).collect();
        assert!(leaves.len() <= 12 && leaves.len() > 3, "{leaves:?}");
        assert!(leaves.iter().all(|rows| *rows >= least as usize), "{least} {leaves:?}");
    }
    let stumps = params().trees(3).max_depth(1).fit(&train).unwrap();
    let scores = stumps.probabilities(train.records().view()).unwrap();
    let distinct: std::collections::HashSet<u64> = scores.iter().map(|p| p.to_bits()).collect();
    assert!(distinct.len() <= 8, "{}", distinct.len());
}

#[test]
fn monotone_feature_moves_predictions_one_way() {
    let (train, _) = generated(8000, 5);
    let bound = params().monotone("slope", Monotone::Increasing).monotone("noise", Monotone::Decreasing);
    let model = bound.trees(60).fit(&train).unwrap();
    let mut turns = 0;
    for row in train.records().outer_iter().step_by(80) {
        let sweep = |feature: usize| {
            let mut records = row.insert_axis(Axis(0)).to_owned();
            let mut values = Vec::new();
            for step in -20..=20 {
                records[(0, feature)] = f64::from(step) / 20.0;
                values.push(model.probabilities(records.view()).unwrap()[0]);
            }
            values
        };
        let (slope, noise) = (sweep(1), sweep(4));
        assert!(slope.windows(2).all(|pair| pair[0] <= pair[1] + 1e-15), "{slope:?}");
        assert!(noise.windows(2).all(|pair| pair[0] >= pair[1] - 1e-15), "{noise:?}");
        turns += usize::from(slope[0] < slope[40]);
    }
    assert!(turns > 90, "the bound feature still matters: {turns}");
}

#[test]
fn early_stopping_keeps_the_best_round_and_drops_the_rest() {
    let ((train, _), (test, _)) = (generated(3000, 6), generated(3000, 7));
    let stopping = EarlyStopping::after(10).fraction(0.25);
    let eager = params().trees(2000).learning_rate(0.3).early_stopping(stopping);
    let model = eager.clone().fit(&train).unwrap();
    let seen = model.validation().unwrap();
    assert_eq!(seen.rows, 750);
    let best = seen.losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(seen.losses[model.trees() - 1], best);
    assert_eq!(seen.losses.len(), model.trees() + 10);
    let endless = params().trees(seen.losses.len() * 4).learning_rate(0.3).fit(&train).unwrap();
    let loss = |model: &Boosting| {
        let scores = model.probabilities(test.records().view()).unwrap();
        log_loss(&test.targets().to_vec(), &scores.to_vec()).unwrap()
    };
    assert!(loss(&model) < loss(&endless), "{} {}", loss(&model), loss(&endless));
    // Rows given for it are used as they are.
    let checked = eager.check().unwrap();
    let told = Mutex::new(Vec::new());
    let model = checked.fit_watched(&train, Some(&test), &|progress| {
        told.lock().unwrap().push(progress.validation_loss.unwrap());
        ControlFlow::Continue(())
    });
    let model = model.unwrap();
    assert_eq!(model.validation().unwrap().losses, told.into_inner().unwrap());
    let shown = model.validation().unwrap().losses[model.trees() - 1];
    assert!((loss(&model) - shown).abs() < 1e-9, "{} {shown}", loss(&model));
}

#[test]
fn watcher_cancels_the_fit() {
    let (train, _) = generated(500, 8);
    let checked = params().trees(50).check().unwrap();
    let stop_at_five = |progress: mkt_ml::Progress| {
        if progress.done < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let given_up = checked.fit_watched(&train, None, &stop_at_five);
    assert!(matches!(given_up, Err(ModelError::Cancelled { done: 5, total: 50 })));
}

#[test]
fn weight_two_equals_two_rows_and_zero_equals_none() {
    let (mut data, _) = generated(4000, 9);
    // Few distinct values, so that the rows without weight do not move the bins.
    data.records.mapv_inplace(|x| (x * 8.0).round());
    let data = data;
    let weight = |row: usize| if row.is_multiple_of(4) { 0.0 } else { 1.0 };
    let weighed = data.clone().with_weights((0..4000).map(weight).collect());
    let kept: Vec<usize> = (0..4000_usize).filter(|row| !row.is_multiple_of(4)).collect();
    let part = Dataset::new(
        data.records().select(Axis(0), &kept),
        kept.iter().map(|row| data.targets()[*row]).collect::<Array1<bool>>(),
    )
    .with_feature_names(data.feature_names().to_vec());
    let scores = |data: &Data, model: &Boosting| model.probabilities(data.records().view()).unwrap();
    let few = params().trees(10);
    let (a, b, all) = (few.fit(&weighed).unwrap(), few.fit(&part).unwrap(), few.fit(&data).unwrap());
    let distance = |other: &Boosting| {
        let (a, b) = (scores(&data, &a), scores(&data, other));
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 4000.0
    };
    // Derivatives are rounded by other draws for other row numbers: alike, and far more so than with all rows.
    assert!(
        distance(&b) < 0.004 && distance(&b) < distance(&all) / 4.0,
        "{} {}",
        distance(&b),
        distance(&all)
    );
    let weights = data.targets().mapv(|label| if label { 9.0_f32 } else { 1.0 });
    let heavier = scores(&data, &params().fit(&data.clone().with_weights(weights.clone())).unwrap());
    // The weighted mean of the predictions is the weighted share of positive rows: odds nine times as high.
    let mean = heavier.iter().zip(&weights).map(|(p, w)| p * f64::from(*w)).sum::<f64>()
        / weights.iter().map(|w| f64::from(*w)).sum::<f64>();
    let rate = data.targets().iter().filter(|label| **label).count() as f64 / 4000.0;
    let expected = 9.0 * rate / (9.0 * rate + 1.0 - rate);
    assert!((mean - expected).abs() < 0.01, "{mean} {expected}");
}

#[test]
fn step_is_learnt_at_its_threshold() {
    let (train, _) = generated(30_000, 11);
    let model = params().fit(&train).unwrap();
    let at = |x: f64| model.probabilities(array![[x, 0.0, 0.0, 8.0, 0.0]].view()).unwrap()[0];
    let odds = |p: f64| (p / (1.0 - p)).ln();
    let jump = odds(at(0.35)) - odds(at(0.25));
    assert!((jump - 1.5).abs() < 0.35, "{jump}");
}

#[test]
fn categories_that_training_did_not_show_count_as_missing() {
    let (train, _) = generated(5000, 12);
    let model = params().fit(&train).unwrap();
    let score = |code: f64| model.probabilities(array![[0.1, 0.1, 0.1, code, 0.1]].view()).unwrap()[0];
    for unseen in [12.0, 999.0, 0.5, -3.0, 1e12] {
        assert_eq!(score(unseen), score(f64::NAN), "{unseen}");
    }
    assert_ne!(score(1.0), score(0.0));
}

#[test]
fn contributions_add_up_to_the_log_odds() {
    let (train, _) = generated(3000, 13);
    let model = params().trees(30).fit(&train).unwrap();
    let some = train.records().slice(ndarray::s![..50, ..]).to_owned();
    let contributions = model.contributions(some.view()).unwrap();
    let probabilities = model.probabilities(some.view()).unwrap();
    for (row, p) in contributions.values.outer_iter().zip(probabilities) {
        let sum = contributions.mean + row.sum();
        assert!((1.0 / (1.0 + (-sum).exp()) - p).abs() < 1e-12);
    }
    // The feature of noise adds least.
    let mean = contributions.values.mapv(f64::abs).mean_axis(Axis(0)).unwrap();
    assert!((0..4).all(|feature| mean[feature] > 2.0 * mean[4]), "{mean}");
}

#[test]
fn bad_input_is_refused_by_name() {
    let (train, _) = generated(200, 14);
    let wrong = |params: BoostingParams| match params.fit(&train) {
        Err(ModelError::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(params().trees(0)), "trees");
    assert_eq!(wrong(params().leaves(1)), "leaves");
    assert_eq!(wrong(params().bins(256)), "bins");
    assert_eq!(wrong(params().learning_rate(0.0)), "learning_rate");
    assert_eq!(wrong(params().learning_rate(f64::NAN)), "learning_rate");
    assert_eq!(wrong(params().l2(-1.0)), "l2");
    assert_eq!(wrong(params().subsample(1.5)), "subsample");
    assert_eq!(wrong(params().categorical(["nowhere"])), "categorical");
    assert_eq!(wrong(params().monotone("nowhere", Monotone::Increasing)), "monotone");
    assert_eq!(wrong(params().monotone("category", Monotone::Increasing)), "monotone");
    let fraction = EarlyStopping::after(5).fraction(1.0);
    assert_eq!(wrong(params().early_stopping(fraction)), "early_stopping fraction");

    let fit = |records: Array2<f64>, labels: Vec<bool>| {
        Boosting::params().fit(&Dataset::new(records, Array1::from(labels)))
    };
    assert!(matches!(fit(array![[1.0]], vec![true]), Err(ModelError::OneClass { .. })));
    assert!(matches!(fit(Array2::zeros((0, 1)), vec![]), Err(ModelError::Empty { .. })));
    assert!(matches!(
        fit(array![[1.0], [f64::INFINITY]], vec![true, false]),
        Err(ModelError::NotFinite { row: 1, .. })
    ));
    let codes = Dataset::new(array![[0.5], [1.0]], array![true, false]).with_feature_names(vec!["c"]);
    let refused = Boosting::params().categorical(["c"]).fit(&codes);
    assert!(matches!(refused, Err(ModelError::NotACategory { row: 0, .. })));
    let weights = train.clone().with_weights(Array1::from_elem(200, -1.0));
    assert!(matches!(params().fit(&weights), Err(ModelError::Weight { row: 0, .. })));
    let nothing = train.clone().with_weights(Array1::zeros(200));
    assert!(matches!(params().fit(&nothing), Err(ModelError::OneClass { .. })));
}

#[test]
fn features_without_signal_give_the_base_rate() {
    let labels: Array1<bool> = (0..100).map(|row| row % 4 == 0).collect();
    for records in [Array2::zeros((100, 2)), Array2::from_elem((100, 2), f64::NAN)] {
        let model = Boosting::params().fit(&Dataset::new(records, labels.clone())).unwrap();
        let found = model.probabilities(array![[0.0, 5.0], [f64::NAN, -1.0]].view()).unwrap();
        assert!(found.iter().all(|p| (p - 0.25).abs() < 1e-4), "{found}");
        assert_eq!(model.gains(), [0.0, 0.0]);
    }
}

#[test]
fn ten_thousand_categories_share_255_bins() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(15);
    let records = Array2::from_shape_fn((30_000, 1), |_| f64::from(rng.random_range(0..10_000)));
    let labels: Array1<bool> = records.column(0).mapv(|code| code < 40.0 || rng.random_bool(0.1));
    let data = Dataset::new(records, labels).with_feature_names(vec!["page"]);
    let model = Boosting::params().categorical(["page"]).fit(&data).unwrap();
    assert!(model.probabilities(data.records().view()).unwrap().iter().all(|p| (0.0..=1.0).contains(p)));
}

#[test]
fn wide_frame_exceeds_histogram_memory_and_is_boosted() {
    // 9000 features: more than a dozen nodes' histograms would pass the bytes kept for them.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(16);
    let records = Array2::from_shape_fn((300, 9000), |_| f64::from(rng.random_range(0..4)));
    let labels: Array1<bool> = records.outer_iter().map(|row| row[4321] + row[8765] > 3.0).collect();
    let data = Dataset::new(records, labels);
    let fit = |count| {
        Boosting::params().trees(2).leaves(20).min_leaf(2).threads(threads(count)).fit(&data).unwrap()
    };
    let model = fit(1);
    assert_eq!(model, fit(2));
    assert!(model.gains()[4321] > 0.1 && model.gains()[8765] > 0.1);
}

/// Rows that are sure weigh nothing any more: their sums are 0, yet they are there and are counted.
#[test]
fn boosting_continues_when_most_rows_are_certain() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(17);
    let rows = 1200;
    let records = Array2::from_shape_fn((rows, 6), |(_, column)| {
        let value: f64 = rng.random_range(0.0..1.0);
        if column % 2 == 0 {
            (value * 12.0).floor()
        } else if value < 0.2 {
            f64::NAN
        } else {
            value
        }
    });
    let labels: Array1<bool> = records
        .outer_iter()
        .map(|row| row[0] + row[2] > 13.0 || (row[1] > 0.97 && rng.random_bool(0.5)))
        .collect();
    let data = Dataset::new(records, labels);
    for min_leaf in [5, 20, 60] {
        let params = Boosting::params().trees(600).learning_rate(0.3).min_leaf(min_leaf).leaves(31);
        let model = params.fit(&data).unwrap();
        let probabilities = model.probabilities(data.records().view()).unwrap();
        assert!(log_loss(&data.targets().to_vec(), &probabilities.to_vec()).unwrap() < 0.2);
    }
}

/// `MKT_ML_ROWS` sets how many (300 000 by default; 100 000 000 take 5 GB).
#[test]
fn gradient_sums_do_not_overflow_for_many_rows() {
    let rows: usize = std::env::var("MKT_ML_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(300_000);
    assert!(rows.is_multiple_of(20), "the shares below need it");
    // One row in ten converts where the feature is 0, three in ten where it is 1.
    let positive = |row: usize| row / 2 % 10 < if row.is_multiple_of(2) { 1 } else { 3 };
    let records = Array2::from_shape_fn((rows, 1), |(row, _)| (row % 2) as f64);
    let data = Dataset::new(records, Array1::from_shape_fn(rows, positive));
    let params = Boosting::params().trees(1).leaves(2).learning_rate(1.0).min_leaf(1);
    let model = params.fit(&data).unwrap();
    let asked = array![[0.0], [1.0]];
    let found = model.probabilities(asked.view()).unwrap();
    // From the log odds of p = 1/5 the Newton step of a side with the share q is (q − p) ÷ p (1 − p).
    for (found, share) in found.iter().zip([0.1, 0.3]) {
        let margin = f64::ln(0.2 / 0.8) + (share - 0.2) / 0.16;
        let expected = 1.0 / (1.0 + (-margin).exp());
        assert!((found - expected).abs() < 2e-4, "{found} for {expected}");
    }
    // Trees count: their leaves are the shares to the last bit.
    let tree = mkt_ml::DecisionTree::params().fit(&data).unwrap();
    let found = tree.probabilities(asked.view()).unwrap();
    assert_eq!(
        found.to_vec(),
        [(rows / 20) as f64 / (rows / 2) as f64, (3 * rows / 20) as f64 / (rows / 2) as f64]
    );
}

/// A split that leaves too few rows on a side is undone; the rows of its leaf must be in order again, or margins of
/// tables beyond 32,768 rows were not moved (an overflow in checked builds).
#[test]
fn refused_split_leaves_rows_in_order() {
    const ROWS: usize = 70_000;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    // Most categories are rare: the best set of them often has fewer rows than a leaf needs.
    let category = |rng: &mut Xoshiro256PlusPlus| (250.0 * rng.random::<f64>().powi(8)).floor();
    let records = Array2::from_shape_fn((ROWS, 2), |(_, column)| match column {
        0 => category(&mut rng),
        _ => rng.random_range(0.0..1.0),
    });
    let labels: Array1<bool> = records
        .outer_iter()
        .map(|row| rng.random_bool(if row[0] as usize % 3 == 1 { 0.6 } else { 0.1 } + 0.2 * row[1]))
        .collect();
    let data = Data::new(records, labels).with_feature_names(vec!["category", "number"]);
    let model = Boosting::params()
        .trees(12)
        .min_leaf(400)
        .leaves(60)
        .categorical(["category"])
        .early_stopping(None)
        .fit(&data)
        .unwrap();
    // Gradients of the training rows add up to about 0 once the trees have converged on the base rate.
    let probabilities = model.probabilities(data.records().view()).unwrap();
    let positives = data.targets().iter().filter(|label| **label).count() as f64;
    let surplus = (probabilities.sum() - positives).abs() / ROWS as f64;
    assert!(surplus < 1e-3, "{surplus}");
}
