//! Columns of many levels: encoded as rates without leaking the outcome.

use mkt_ml::{
    Algorithm, Boosting, Forest, Frame, Labelled, Logistic, TrainedModel,
    encoder::{EncoderParams, HighCardinality},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Visits from many cities, each with a conversion rate of its own (log odds normal around −1 with deviation
/// `spread`), most with few visits, and one weak number.
fn visits(rows: usize, cities: usize, spread: f64, seed: u64) -> Labelled {
    // The cities are the same for every seed.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut normal = |_| -> f64 { (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0 };
    let effects: Vec<f64> = (0..cities).map(&mut normal).map(|z| spread * z).collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut names, mut pages, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let city = (rng.random::<f64>().powi(2) * cities as f64) as usize;
        let page = rng.random_range(0.0..2.0);
        let odds = effects[city] - 1.0 + 0.4 * page;
        labels.push(rng.random::<f64>() < 1.0 / (1.0 + (-odds).exp()));
        names.push(format!("city {city}"));
        pages.push(page);
    }
    let frame = Frame::new()
        .with_categorical("city", names.iter().map(String::as_str))
        .and_then(|frame| frame.with_numeric("pages", pages))
        .unwrap();
    Labelled::from_parts(frame, "converted", &labels).unwrap()
}

fn algorithms() -> [Algorithm; 3] {
    [
        Logistic::params().into(),
        Boosting::params().trees(40).seed(1).into(),
        Forest::params().trees(30).min_leaf(20).seed(1).into(),
    ]
}

fn auc(model: &TrainedModel, rows: &Labelled) -> f64 {
    model.evaluate(rows).unwrap().auc_roc.unwrap()
}

#[test]
fn rates_of_many_levels_rank_better_than_merged_levels() {
    let (train, test) = (visits(12_000, 2000, 1.5, 2), visits(6000, 2000, 1.5, 3));
    for algorithm in algorithms() {
        let rated = TrainedModel::fit(&train, algorithm.clone()).unwrap();
        let merge = algorithm.encoder().high_cardinality(HighCardinality::Merge);
        let merged = TrainedModel::fit_with(&train, algorithm.clone(), &merge).unwrap();
        let (rated_auc, merged_auc) = (auc(&rated, &test), auc(&merged, &test));
        assert!(rated_auc > merged_auc + 0.03, "{}: {rated_auc} against {merged_auc}", algorithm.name());
        let folded = rated.folded();
        assert_eq!((folded[0].column.as_str(), folded[0].as_rate, folded.len()), ("city", true, 1));
        assert!(folded[0].kept < folded[0].distinct.unwrap(), "levels of one row have no rate");
        assert!(!merged.folded()[0].as_rate);
        let again = TrainedModel::from_bytes(&rated.to_bytes().unwrap()).unwrap();
        assert_eq!(again.probabilities(test.frame()).unwrap(), rated.probabilities(test.frame()).unwrap());
    }
}

#[test]
fn levels_without_effect_do_not_leak_the_outcome() {
    let (train, test) = (visits(6000, 2000, 0.0, 2), visits(6000, 2000, 0.0, 3));
    for algorithm in algorithms() {
        let model = TrainedModel::fit(&train, algorithm.clone()).unwrap();
        let alone = train.frame().clone().without(&["city"]).unwrap();
        let alone = Labelled::from_parts(alone, "converted", train.labels()).unwrap();
        let without = TrainedModel::fit(&alone, algorithm).unwrap();
        let (with, without) = (auc(&model, &test), auc(&without, &test));
        assert!(with > without - 0.02, "{with} with the column, {without} without it");
    }
}

#[test]
fn column_of_unique_values_is_worth_nothing() {
    let visits = visits(2000, 10, 1.0, 4);
    let ids: Vec<String> = (0..2000).map(|row| format!("visitor {row}")).collect();
    let frame = visits.frame().clone().with_categorical("visitor", ids.iter().map(String::as_str)).unwrap();
    let rows = Labelled::from_parts(frame, "converted", visits.labels()).unwrap();
    let model = TrainedModel::fit(&rows, Boosting::params().trees(20)).unwrap();
    let importances = model.importances();
    let visitor = importances.iter().find(|one| one.column == "visitor").unwrap();
    assert_eq!(visitor.importance, 0.0);
    assert_eq!((model.folded()[0].kept, model.folded()[0].distinct), (0, Some(2000)));
    // No name of a visitor is in the model's file.
    let bytes = model.to_bytes().unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"visitor 123"));
}

#[test]
fn unseen_level_gets_the_rate_of_all_rows_and_is_counted() {
    let train = visits(4000, 1000, 1.5, 5);
    let model = TrainedModel::fit(&train, Logistic::params()).unwrap();
    let [unseen, missing] = [Some("Atlantis"), None]
        .map(|city| model.probability(&[("city", city.into()), ("pages", 1.0.into())]).unwrap());
    assert!((unseen - missing).abs() < 1e-9, "{unseen} {missing}");
    let frame = Frame::new()
        .with_categorical("city", [Some("Atlantis"), None, Some("city 0"), Some("Atlantis")])
        .and_then(|frame| frame.with_numeric("pages", [1.0, 1.0, f64::NAN, 1.0]))
        .unwrap();
    let fit = model.fit_of(&frame);
    assert_eq!((fit[0].unfamiliar, fit[0].missing, fit[1].missing), (2, 1, 1));
}

#[test]
fn encoded_training_rows_differ_from_encoded_rows_of_later() {
    let rows = visits(3000, 600, 1.0, 6);
    let params = EncoderParams::ordinal();
    let (encoder, matrix) = params.fit_transform(&rows).unwrap();
    let later = encoder.transform(rows.frame()).unwrap();
    assert_eq!(encoder.features()[0].name, "city (log odds)");
    assert!(matrix.column(0) != later.column(0), "the training rows know their own outcome");
    assert_eq!(matrix.column(1), later.column(1));
}
