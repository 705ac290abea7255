//! From a frame to a scored row, as a user goes.

use mkt_ml::{
    CsvOptions, Error, Forest, Frame, FrameError, Labelled, Logistic, TrainedModel, Value,
    encoder::{EncodeError, EncoderParams, MissingValues, Unseen},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The course's columns with a planted model: log odds −3 + 0.01 per second + 0.2 per page + 1 for e-mail,
/// nothing for the device.
pub(crate) fn behaviour(rows: usize, seed: u64) -> Labelled {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut csv = "time_on_site,pages_viewed,source,device,converted\n".to_owned();
    for _ in 0..rows {
        let time: f64 = rng.random_range(0.0..300.0);
        let pages = rng.random_range(1..15_u32);
        let source = ["organic", "organic", "paid", "email"][rng.random_range(0..4_usize)];
        let device = ["mobile", "desktop"][rng.random_range(0..2_usize)];
        let z = -3.0 + 0.01 * time + 0.2 * f64::from(pages) + f64::from(u8::from(source == "email"));
        let converted = u8::from(rng.random::<f64>() < 1.0 / (1.0 + (-z).exp()));
        csv += &format!("{time},{pages},{source},{device},{converted}\n");
    }
    Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "converted").unwrap()
}

#[test]
fn a_planted_conversion_model_is_recovered_in_original_units() {
    let model = TrainedModel::fit(&behaviour(20_000, 3), Logistic::params().penalty(0.0)).unwrap();
    let planted = [
        ("time_on_site", 0.01),
        ("pages_viewed", 0.2),
        ("source=email", 1.0),
        ("source=paid", 0.0),
        ("device=desktop", 0.0),
        ("device=mobile", 0.0),
    ];
    let coefficients = model.coefficients().unwrap();
    assert_eq!(coefficients.len(), 5);
    for coefficient in coefficients {
        let truth = planted.iter().find(|(name, _)| *name == coefficient.feature).unwrap().1;
        let distance = (coefficient.estimate - truth).abs() / coefficient.std_error;
        assert!(distance < 3.29, "{coefficient:?} against {truth}");
    }
}

#[test]
fn importances_are_of_original_columns_and_in_order() {
    let (train, test) = behaviour(4000, 4).split(0.25, 42).unwrap();
    for algorithm in
        [Logistic::params().into(), mkt_ml::Algorithm::from(Forest::params().trees(40).min_leaf(10))]
    {
        let model = TrainedModel::fit(&train, algorithm).unwrap();
        let importances = model.importances();
        let names: Vec<&str> = importances.iter().map(|importance| importance.column.as_str()).collect();
        assert_eq!(names[3], "device", "{importances:?}");
        assert_eq!(importances.len(), 4);
        assert!((importances.iter().map(|i| i.importance).sum::<f64>() - 1.0).abs() < 1e-12);
        let permuted = model.permutation_importances(&test, 3, 1).unwrap();
        assert_eq!(permuted, model.permutation_importances(&test, 3, 1).unwrap());
        // Nothing hangs on the device: shuffling it costs next to nothing.
        let device = permuted.iter().find(|importance| importance.column == "device").unwrap();
        assert!(device.mean.abs() < 0.01, "{permuted:?}");
        assert!(permuted[0].mean > 0.05 && permuted[1].mean > 0.05, "{permuted:?}");
    }
}

#[test]
fn linear_importances_follow_from_the_planted_spread() {
    // Standard deviations of the contributions: 0.01 · 300/√12 = 0.866; 0.2 · √((14² − 1)/12) = 0.806; the
    // e-mail quarter 1 · √(3/16) = 0.433; device 0. Shares of 2.105: 0.411, 0.383, 0.206, 0.
    let model = TrainedModel::fit(&behaviour(20_000, 5), Logistic::params()).unwrap();
    let expected = [("time_on_site", 0.411), ("pages_viewed", 0.383), ("source", 0.206), ("device", 0.0)];
    for (importance, (column, share)) in model.importances().iter().zip(expected) {
        assert_eq!(importance.column, column);
        assert!((importance.importance - share).abs() < 0.03, "{importance:?}");
    }
}

#[test]
fn one_row_is_scored_as_in_a_table() {
    let data = behaviour(500, 6);
    for algorithm in [Logistic::params().into(), mkt_ml::Algorithm::from(Forest::params().trees(10))] {
        let model = TrainedModel::fit(&data, algorithm).unwrap();
        let table = model.probabilities(data.frame()).unwrap();
        for row in [0, 17, 499] {
            let cells: Vec<(&str, Value)> = data
                .frame()
                .columns()
                .iter()
                .map(|column| (column.name(), column.value(row).unwrap()))
                .collect();
            assert_eq!(model.probability(&cells).unwrap().to_bits(), table[row].to_bits());
        }
    }
}

#[test]
fn large_frame_is_scored_in_blocks_with_row_numbers() {
    let data = behaviour(400, 7);
    let encoder = EncoderParams::ordinal().unseen(Unseen::Refuse);
    let model = TrainedModel::fit_with(&data, Forest::params().trees(2), &encoder).unwrap();
    let rows: Vec<usize> = (0..40_000).map(|row| row % 400).collect();
    let big = data.frame().take(&rows);
    let scores = model.probabilities(&big).unwrap();
    let small = model.probabilities(data.frame()).unwrap();
    assert!(rows.iter().zip(&scores).all(|(row, score)| *score == small[*row]));
    let sources = (0..40_000).map(|row| if row == 39_000 { "fax" } else { "paid" });
    let strange = big.without(&["source"]).unwrap().with_categorical("source", sources).unwrap();
    let error = model.probabilities(&strange).unwrap_err();
    assert!(matches!(error, Error::Encode(EncodeError::UnseenLevel { row: 39_000, .. })), "{error}");
}

#[test]
fn unseen_levels_and_missing_values_have_a_score() {
    let data = behaviour(500, 8);
    for algorithm in [Logistic::params().into(), mkt_ml::Algorithm::from(Forest::params().trees(10))] {
        let model = TrainedModel::fit(&data, algorithm).unwrap();
        let p = model
            .probability(&[
                ("time_on_site", Value::Missing),
                ("pages_viewed", 3.into()),
                ("source", "carrier pigeon".into()),
                ("device", Value::Missing),
            ])
            .unwrap();
        assert!((0.0..=1.0).contains(&p));
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let model = TrainedModel::fit(&behaviour(200, 9), Logistic::params()).unwrap();
    let full = |time: Value, source: Value| {
        model.probability(&[
            ("time_on_site", time),
            ("pages_viewed", 3.into()),
            ("source", source),
            ("device", "mobile".into()),
        ])
    };
    assert!(full(1.0.into(), "paid".into()).is_ok());
    assert!(matches!(full("long".into(), "paid".into()), Err(Error::Encode(EncodeError::WrongKind { .. }))));
    assert!(matches!(full(1.0.into(), 5.into()), Err(Error::Encode(EncodeError::WrongKind { .. }))));
    assert!(matches!(
        full(f64::INFINITY.into(), "paid".into()),
        Err(Error::Frame(FrameError::Infinite { .. }))
    ));
    let short = model.probability(&[("time_on_site", 1.into())]);
    assert!(matches!(short, Err(Error::Encode(EncodeError::MissingColumn { .. }))));
    let twice = model.probability(&[("device", "mobile".into()), ("device", "mobile".into())]);
    assert!(matches!(twice, Err(Error::Frame(FrameError::DuplicateColumn { .. }))));
}

#[test]
fn frames_that_cannot_train_are_refused() {
    let fit = |csv: &str| {
        let labelled = Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "y").unwrap();
        let errors = [
            TrainedModel::fit(&labelled, Logistic::params()).err().map(|error| error.to_string()),
            TrainedModel::fit(&labelled, Forest::params().trees(3)).err().map(|error| error.to_string()),
        ];
        assert_eq!(errors[0], errors[1]);
        errors[0].clone().unwrap()
    };
    assert_eq!(fit("x,y\n1,1\n2,1\n"), "all 2 training rows are positive: both outcomes are needed");
    assert_eq!(fit("x,y\n1,0\n"), "all 1 training rows are negative: both outcomes are needed");
    assert_eq!(fit("x,y\n,0\n,1\n"), "column `x` has no value in any training row: leave it out");
    assert_eq!(fit("x,y\n"), "a frame of 0 rows and 1 columns leaves nothing to learn from");
    assert_eq!(fit("y\n0\n1\n"), "a frame of 2 rows and 0 columns leaves nothing to learn from");
    // Nothing to learn from constant features, but a right answer: the share of positives.
    let constant =
        Labelled::new(Frame::read_csv("x,y\n5,0\n5,1\n5,0\n5,0\n".as_bytes()).unwrap(), "y").unwrap();
    let model = TrainedModel::fit(&constant, Logistic::params()).unwrap();
    assert!((model.probabilities(constant.frame()).unwrap()[0] - 0.25).abs() < 1e-9);
    assert!(model.importances()[0].importance == 0.0);
}

#[test]
fn missing_values_kept_for_a_linear_model_are_refused_by_name() {
    let frame = Frame::read_csv("x,y\n1,0\n,1\n3,0\n".as_bytes()).unwrap();
    let labelled = Labelled::new(frame, "y").unwrap();
    let keeping = EncoderParams::one_hot().missing(MissingValues::Keep);
    let error = TrainedModel::fit_with(&labelled, Logistic::params(), &keeping).unwrap_err();
    assert_eq!(error.to_string(), "feature `x` is NaN in row 1");
}

#[test]
fn a_file_to_score_is_read_by_the_schema() {
    let train = "browser,pages,y\n1,3,0\n2,8,1\nx,4,0\n1,9,1\n2,1,0\nx,9,1\n";
    let model = TrainedModel::fit(
        &Labelled::new(Frame::read_csv(train.as_bytes()).unwrap(), "y").unwrap(),
        Forest::params().trees(5),
    )
    .unwrap();
    // Without `x`, the browsers of this file would pass for numbers.
    let score = "browser,pages\n1,3\n2,8\n";
    assert!(model.probabilities(&Frame::read_csv(score.as_bytes()).unwrap()).is_err());
    let frame = CsvOptions::default().schema(&model.schema()).read(score.as_bytes()).unwrap();
    assert_eq!(model.probabilities(&frame).unwrap().len(), 2);
}

#[test]
fn the_target_is_never_a_feature() {
    let data = behaviour(100, 10);
    assert!(data.frame().column("converted").is_none());
    let model = TrainedModel::fit(&data, Forest::params().trees(2)).unwrap();
    assert!(model.classifier().feature_names().iter().all(|name| !name.contains("converted")));
}

#[test]
fn folds_evaluate_every_row_once() {
    let data = behaviour(600, 11);
    let mut judged = 0;
    for (train, test) in data.folds(5, 42).unwrap() {
        let evaluation = TrainedModel::fit(&train, Logistic::params()).unwrap().evaluate(&test).unwrap();
        judged += evaluation.rows;
        assert!(evaluation.auc_roc.unwrap() > 0.6);
    }
    assert_eq!(judged, 600);
}

#[test]
fn rules_name_categories_and_not_their_codes() {
    // Ranks by name: ads 0, email 1, organic 2, paid 3. Only ads and email convert.
    let rows = [("ads", 1), ("email", 1), ("organic", 0), ("paid", 0)].repeat(5);
    let csv = rows
        .iter()
        .fold("source,converted\n".to_owned(), |csv, (source, y)| csv + &format!("{source},{y}\n"));
    let rows = Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "converted").unwrap();
    let model = TrainedModel::fit(&rows, mkt_ml::DecisionTree::params()).unwrap();
    let rules = model.rules().unwrap();
    let expected =
        "source is ads or email\n  probability 1.000, 10 rows\nelse\n  probability 0.000, 10 rows\n";
    assert_eq!(rules.replace(" or missing", ""), expected);
    assert!(TrainedModel::fit(&rows, Logistic::params()).unwrap().rules().is_none());
}

#[test]
fn fit_reports_progress_and_can_be_cancelled() {
    use mkt_ml::{Algorithm, Boosting, ModelError, Progress};
    use std::{ops::ControlFlow, sync::Mutex};
    let rows = behaviour(500, 12);
    let algorithms: [Algorithm; 4] = [
        Logistic::params().into(),
        Logistic::params().l1_ratio(0.5).into(),
        Forest::params().trees(6).into(),
        Boosting::params().trees(6).into(),
    ];
    for algorithm in algorithms {
        let encoder = algorithm.encoder();
        let told = Mutex::new(Vec::new());
        let listen = |progress: Progress| {
            told.lock().unwrap().push(progress.done);
            ControlFlow::Continue(())
        };
        let model = TrainedModel::fit_watched(&rows, algorithm.clone(), &encoder, &listen).unwrap();
        let unwatched = TrainedModel::fit(&rows, algorithm.clone()).unwrap();
        assert!(model.to_bytes().unwrap() == unwatched.to_bytes().unwrap(), "{}", algorithm.name());
        let mut told = told.into_inner().unwrap();
        told.sort_unstable();
        assert_eq!(told, (1..=told.len()).collect::<Vec<_>>(), "{}", algorithm.name());
        assert!(told.len() > 1, "{}", algorithm.name());
        let stop = |progress: Progress| {
            if progress.done >= 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = TrainedModel::fit_watched(&rows, algorithm, &encoder, &stop).unwrap_err();
        assert!(matches!(error, Error::Model(ModelError::Cancelled { done: 2.., .. })), "{error:?}");
    }
}
