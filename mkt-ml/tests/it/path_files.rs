//! Paths from files as people's programs write them.

use mkt_connect::table::{ReadOptions, cell::DecimalMark};
use mkt_ml::attribution::{Model, PathFileError, Paths, Tally};

fn read(text: &str) -> Result<mkt_ml::attribution::PathFile, PathFileError> {
    Paths::read(text.as_bytes(), &ReadOptions::new(), DecimalMark::Point)
}

#[test]
fn rows_that_do_not_fit_are_set_aside_with_their_reason_and_counts_add_up() {
    let text = "Path,Conversions,Total conversion value,Total null\n\
                a > b,1,10,0\n\
                a,1,,1\n\
                b > > a,1,1,0\n\
                b,,1,0\n\
                b,two,1,0\n\
                b,-1,1,0\n\
                b,1,NaN,0\n\
                \"\",2,8,0\n\
                a > b,0.5,5,0\n";
    let file = read(text).unwrap();
    assert_eq!((file.rows, file.quarantined, file.paths.rows()), (9, 4, 5));
    let reasons: Vec<String> =
        file.quarantined_rows.iter().map(|row| format!("{}: {}", row.line, row.reason.code())).collect();
    assert_eq!(reasons, ["4: outcome", "5: missing", "6: not_a_number", "7: outcome"]);
    let mut tally = Tally::of([Model::Linear]).unwrap();
    tally.add(&file.paths).unwrap();
    let credits = tally.credits().unwrap().remove(0);
    assert_eq!((credits.conversions, credits.unattributed, credits.unvalued), (5.5, 2.0, 2.0));
    assert_eq!(credits.value, Some(23.0));
    assert_eq!(credits.channel("a").unwrap().conversions, 1.75);
}

#[test]
fn times_make_ages_and_must_fit_their_path() {
    let text = "path;conversions;times;converted_at\n\
                a > b;1;2026-05-01 10:00 > 2026-05-08T10:00:00Z;2026-05-08 10:00\n\
                a;1;2026-05-01 10:00;\n\
                a > b;1;2026-05-01 10:00;\n\
                a;1;2026-05-09 10:00;2026-05-08 10:00\n\
                a;1;yesterday;\n";
    let file = read(text).unwrap();
    assert_eq!((file.rows, file.quarantined), (5, 3));
    let mut tally = Tally::of([Model::TIME_DECAY]).unwrap();
    tally.add(&file.paths).unwrap();
    // 1/3 and 2/3 after seven days; the other path gives all to a.
    let credits = tally.credits().unwrap().remove(0);
    assert!((credits.channel("a").unwrap().conversions - 4.0 / 3.0).abs() < 1e-12);
}

#[test]
fn a_file_without_the_columns_is_refused_by_their_names() {
    let error = read("channel,sales\na,1\n").unwrap_err();
    assert_eq!(error.to_string(), "there is no column `path`; there are: channel, sales");
    assert!(matches!(
        read("path,sales\na,1\n"),
        Err(PathFileError::MissingColumn { column: "conversions", .. })
    ));
    assert!(matches!(read(""), Err(PathFileError::Read(_))));
    assert!(matches!(read("path,Conversions,CONVERSIONS\na,1,2\n"), Err(PathFileError::Column(_))));
}
