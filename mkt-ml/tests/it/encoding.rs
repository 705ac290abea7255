//! From frames to matrices. Numbers worked out by hand.

use mkt_ml::{
    Frame,
    encoder::{EncodeError, EncoderParams, MissingValues, Unseen},
};
use ndarray::{Array2, array};

fn frame(csv: &str) -> Frame {
    Frame::read_csv(csv.as_bytes()).unwrap()
}

fn names(encoder: &mkt_ml::encoder::Encoder) -> Vec<String> {
    encoder.features().into_iter().map(|feature| feature.name).collect()
}

/// Equality that takes NaN for equal to NaN.
fn assert_same(found: &Array2<f64>, expected: &Array2<f64>) {
    assert_eq!(found.dim(), expected.dim());
    for (found, expected) in found.iter().zip(expected) {
        let same = (found - expected).abs() < 1e-12 || (found.is_nan() && expected.is_nan());
        assert!(same, "{found} is not {expected}");
    }
}

#[test]
fn numbers_are_standardised_by_the_training_rows() {
    // Mean 5, squared distances 9, 1, 1, 1, 0, 0, 4, 16 over 8 rows: the textbook deviation of 2.
    let encoder = EncoderParams::one_hot().fit(&frame("n\n2\n4\n4\n4\n5\n5\n7\n9\n")).unwrap();
    assert_same(&encoder.transform(&frame("n\n5\n7\n1\n")).unwrap(), &array![[0.0], [1.0], [-2.0]]);
    assert_eq!(encoder.features()[0].scale, 2.0);
}

#[test]
fn the_most_frequent_level_is_the_reference() {
    let train = frame("s\nweb\nweb\nmail\napp\nmail\nweb\n");
    let encoder = EncoderParams::one_hot().fit(&train).unwrap();
    assert_eq!(names(&encoder), ["s=app", "s=mail"]);
    let matrix = encoder.transform(&frame("s\napp\nmail\nweb\n")).unwrap();
    assert_same(&matrix, &array![[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
}

#[test]
fn missing_values_are_imputed_and_flagged_when_training_had_some() {
    let encoder = EncoderParams::one_hot().standardise(false).fit(&frame("n,s\n1,a\n3,a\n,b\n2,\n")).unwrap();
    assert_eq!(names(&encoder), ["n", "n=(missing)", "s=b", "s=(missing)"]);
    let matrix = encoder.transform(&frame("n,s\n,b\n7,\n")).unwrap();
    assert_same(&matrix, &array![[2.0, 1.0, 1.0, 0.0], [7.0, 0.0, 0.0, 1.0]]);
}

#[test]
fn missing_values_new_at_prediction_take_mean_and_reference() {
    let encoder = EncoderParams::one_hot().standardise(false).fit(&frame("n,s\n1,a\n3,a\n5,b\n")).unwrap();
    assert_eq!(names(&encoder), ["n", "s=b"]);
    assert_same(&encoder.transform(&frame("n,s\n,\n")).unwrap(), &array![[3.0, 0.0]]);
}

#[test]
fn trees_get_ranks_and_keep_missing_values() {
    let encoder = EncoderParams::ordinal().fit(&frame("n,s\n10,b\n20,a\n,c\n30,\n")).unwrap();
    assert_eq!(names(&encoder), ["n", "s"]);
    let matrix = encoder.transform(&frame("s,n\nc,\na,7\nnew,8\n,9\n")).unwrap();
    let nan = f64::NAN;
    assert_same(&matrix, &array![[nan, 2.0], [7.0, 0.0], [8.0, nan], [9.0, nan]]);
}

#[test]
fn unseen_levels_are_accepted_or_refused_by_name() {
    let train = frame("s\na\nb\nb\n");
    let accepting = EncoderParams::one_hot().fit(&train).unwrap();
    assert_same(&accepting.transform(&frame("s\nz\n")).unwrap(), &array![[0.0]]);
    let refusing = EncoderParams::one_hot().unseen(Unseen::Refuse).fit(&train).unwrap();
    assert_eq!(
        refusing.transform(&frame("s\na\nz\n")),
        Err(EncodeError::UnseenLevel { column: "s".into(), row: 1, level: "z".into() })
    );
    let missing = Frame::new().with_categorical("s", [Some("a"), None]).unwrap();
    assert!(refusing.transform(&missing).is_ok(), "a missing value is no unseen level");
}

#[test]
fn rare_levels_share_a_feature() {
    let encoder = EncoderParams::one_hot().max_levels(3).fit(&frame("s\na\na\na\nb\nb\nc\nd\n")).unwrap();
    assert_eq!(names(&encoder), ["s=b", "s=(rare)"]);
    let matrix = encoder.transform(&frame("s\na\nb\nc\nd\nnew\n")).unwrap();
    assert_same(&matrix, &array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]);
    let ordinal = EncoderParams::ordinal().max_levels(3).fit(&frame("s\na\na\na\nb\nb\nc\nd\n")).unwrap();
    assert_same(&ordinal.transform(&frame("s\na\nd\n")).unwrap(), &array![[0.0], [2.0]]);
}

#[test]
fn ten_thousand_categories_stay_within_the_limit() {
    let csv = (0..10_000).fold("s\n".to_owned(), |csv, at| csv + &format!("level {at}\n"));
    let encoder = EncoderParams::one_hot().fit(&frame(&csv)).unwrap();
    assert_eq!(encoder.features().len(), 199);
}

#[test]
fn levels_that_no_training_row_has_are_not_learnt() {
    let all = frame("s\na\nb\nc\n");
    let encoder = EncoderParams::one_hot().fit(&all.take(&[0, 1, 1])).unwrap();
    assert_eq!(names(&encoder), ["s=a"]);
}

#[test]
fn constant_columns_encode_as_zero() {
    let encoder = EncoderParams::one_hot().fit(&frame("n,s\n0.1,a\n0.1,a\n0.1,a\n")).unwrap();
    assert_same(&encoder.transform(&frame("n,s\n0.1,a\n")).unwrap(), &array![[0.0]]);
}

#[test]
fn extreme_numbers_stay_finite() {
    let train = Frame::new().with_numeric("n", [f64::MAX, f64::MIN, 1e308, -1e-320]).unwrap();
    let encoder = EncoderParams::one_hot().fit(&train).unwrap();
    assert!(encoder.transform(&train).unwrap().iter().all(|cell| cell.is_finite()));
    let narrow = EncoderParams::one_hot().fit(&frame("n\n1\n1.0000001\n")).unwrap();
    let far = Frame::new().with_numeric("n", [f64::MAX]).unwrap();
    assert!(narrow.transform(&far).unwrap().iter().all(|cell| cell.is_finite()));
}

#[test]
fn frames_that_do_not_fit_are_refused() {
    let encoder = EncoderParams::one_hot().fit(&frame("n,s\n1,a\n2,b\n")).unwrap();
    let refused = |csv: &str| encoder.transform(&frame(csv)).unwrap_err();
    assert_eq!(refused("n\n1\n"), EncodeError::MissingColumn { column: "s".into() });
    assert!(matches!(refused("n,s\nx,a\n"), EncodeError::WrongKind { column, .. } if column == "n"));
    assert!(matches!(refused("n,s\n1,5\n"), EncodeError::WrongKind { column, .. } if column == "s"));
    assert_eq!(
        EncoderParams::one_hot().fit(&frame("n,m\n1,\n2,\n")),
        Err(EncodeError::AllMissing { column: "m".into() })
    );
    assert_eq!(EncoderParams::ordinal().fit(&frame("n\n")), Err(EncodeError::Empty { rows: 0, columns: 1 }));
    assert!(matches!(
        EncoderParams::ordinal().fit(&Frame::new()),
        Err(EncodeError::Empty { columns: 0, .. })
    ));
}

#[test]
fn imputed_ordinal_features_have_no_missing_values() {
    let params = EncoderParams::ordinal().missing(MissingValues::Impute);
    let encoder = params.fit(&frame("n,s\n1,b\n3,b\n,a\n5,\n")).unwrap();
    let matrix = encoder.transform(&frame("n,s\n,\n")).unwrap();
    assert_same(&matrix, &array![[3.0, 1.0, 1.0]]);
}
