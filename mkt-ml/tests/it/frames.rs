//! Reading and building tables.

use mkt_connect::table::cell::DecimalMark;
use mkt_ml::{ColumnKind, CsvOptions, Frame, FrameError, Labelled, Value};
use proptest::prelude::*;

fn value(frame: &Frame, column: &str, row: usize) -> Value {
    frame.column(column).unwrap().value(row).unwrap()
}

fn failure(csv: &[u8]) -> String {
    Frame::read_csv(csv).unwrap_err().to_string()
}

#[test]
fn kinds_are_inferred_and_missing_values_kept() {
    let frame = Frame::read_csv("a,b,c\n1, x ,\n-2.5e3,NA,\n,\"y, z\",nan\n".as_bytes()).unwrap();
    let kinds: Vec<_> = frame.schema().into_iter().map(|field| field.kind).collect();
    assert_eq!(kinds, [ColumnKind::Numeric, ColumnKind::Categorical, ColumnKind::Numeric]);
    assert_eq!(value(&frame, "a", 1), Value::Number(-2500.0));
    assert_eq!(value(&frame, "a", 2), Value::Missing);
    assert_eq!(value(&frame, "b", 0), "x".into());
    assert_eq!(value(&frame, "b", 1), Value::Missing);
    assert_eq!(value(&frame, "b", 2), "y, z".into());
    assert!((0..3).all(|row| value(&frame, "c", row) == Value::Missing));
}

#[test]
fn one_word_among_three_makes_a_column_categorical() {
    let frame = Frame::read_csv("a\n1\n2\nmany\n".as_bytes()).unwrap();
    assert_eq!(value(&frame, "a", 0), "1".into());
    assert_eq!(value(&frame, "a", 2), "many".into());
}

#[test]
fn french_spreadsheet_is_read() {
    let frame = Frame::read_csv("\u{feff}durée;source\r\n3,5;\"a,b\"\r\n4;c\r\n".as_bytes()).unwrap();
    assert_eq!(frame.names().collect::<Vec<_>>(), ["durée", "source"]);
    assert_eq!(value(&frame, "durée", 0), Value::Number(3.5));
    assert_eq!(value(&frame, "source", 0), "a,b".into());
}

#[test]
fn delimiters_inside_quotes_of_the_header_do_not_count() {
    let frame = Frame::read_csv("\"a;b;c;d\",e\n1,2\n".as_bytes()).unwrap();
    assert_eq!(frame.names().collect::<Vec<_>>(), ["a;b;c;d", "e"]);
    let tabs = Frame::read_csv("a\tb\n1\t2\n".as_bytes()).unwrap();
    assert_eq!(value(&tabs, "b", 0), Value::Number(2.0));
}

#[test]
fn declared_kinds_win_over_inference() {
    let options = CsvOptions::default().kind("browser", ColumnKind::Categorical);
    let frame = options.read("browser,n\n01,1\n1,2\n".as_bytes()).unwrap();
    assert_eq!(value(&frame, "browser", 0), "01".into());
    let numeric = CsvOptions::default().kind("n", ColumnKind::Numeric);
    let error = numeric.read("n\n1\nsecret@example.org\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "column `n` is declared numeric but line 3 holds no number");
    let error = numeric.read("m\n1\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "column `n` does not exist; there are: `m`");
}

#[test]
fn unreadable_table_is_refused_with_one_clause() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "the table is empty: a header line with column names is expected"),
        (b"\n\n", "the table is empty: a header line with column names is expected"),
        (b"\xef\xbb\xbf", "the table is empty: a header line with column names is expected"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields where the header has 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields where the header has 2"),
        (b"a\n1\n\"open\n", "line 3 cannot be read"),
        (b"a\n1\ninf\n", "column `a` is infinite in row 1"),
    ];
    for (csv, expected) in cases {
        assert_eq!(failure(csv), expected);
    }
    assert_eq!(failure(b"a\n1e999\n"), "column `a` is infinite in row 0");
}

#[test]
fn repeated_names_are_numbered_and_refused_on_use() {
    let frame = Frame::read_csv("x,,x,y\n1,7,2,0\n3,8,4,1\n".as_bytes()).unwrap();
    assert_eq!(frame.names().collect::<Vec<_>>(), ["x", "column 2", "x (2)", "y"]);
    assert!(frame.notes().iter().any(|note| note.starts_with("column x (2): has no name of its own")));
    assert!(matches!(frame.clone().without(&["x"]), Err(FrameError::DuplicateColumn { .. })));
    assert_eq!(
        frame.clone().without(&["x (2)", "x"]).unwrap().names().collect::<Vec<_>>(),
        ["column 2", "y"]
    );
    assert!(Labelled::new(frame, "y").is_ok());
}

#[test]
fn other_encodings_are_read_and_reported() {
    let utf16: Vec<u8> = "\u{feff}n;ville\n1;Nîmes\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [utf16, b"n;ville\n1;N\xeemes\n".to_vec(), "n;ville\n1;Nîmes\n".as_bytes().to_vec()] {
        let frame = Frame::read_csv(&bytes[..]).unwrap();
        assert_eq!(value(&frame, "ville", 0), "Nîmes".into());
        assert!(frame.found().unwrap().encoding.is_some());
    }
}

/// Columns of 200 cells, one of which is a word for missing; the model of them must see numbers.
#[test]
fn words_for_missing_leave_a_column_numeric() {
    for name in ["miss_N", "miss_NA", "miss_dash", "miss_hashna", "miss_ln_a"] {
        let path = format!("{}/tests/files/frames/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let frame = Frame::read_csv_path(path).unwrap();
        let x = frame.column("x").unwrap();
        assert_eq!(x.kind(), ColumnKind::Numeric, "{name}");
        assert!(x.missing() >= 1 && frame.notes().is_empty(), "{name}: {:?}", frame.notes());
    }
}

/// A column of `n` cells of which the first `wrong` are words.
fn spoiled(n: usize, wrong: usize) -> Frame {
    let cell = |row: usize| if row < wrong { "oops".to_owned() } else { format!("{}", row % 7) };
    let rows: String = (0..n).map(|row| format!("{},{}\n", cell(row), row % 2)).collect();
    Frame::read_csv(format!("x,y\n{rows}").as_bytes()).unwrap()
}

#[test]
fn column_of_99_percent_numbers_is_numeric_and_the_rest_is_noted() {
    for (rows, wrong) in [(100, 1), (300, 3), (200_000, 2000)] {
        let frame = spoiled(rows, wrong);
        assert_eq!(frame.column("x").unwrap().kind(), ColumnKind::Numeric);
        let expected =
            format!("column x: {wrong} of {rows} cells are not numbers (first: line 2), taken as missing");
        assert_eq!(frame.notes(), [expected]);
    }
}

#[test]
fn column_below_99_percent_numbers_is_categorical_and_noted() {
    let frame = spoiled(100, 2);
    assert_eq!(frame.column("x").unwrap().kind(), ColumnKind::Categorical);
    let expected = "column x: 2 of 100 cells are not numbers (first: line 2), read as categories";
    assert_eq!(frame.notes(), [expected]);
    // One more than the share allows, although all words come first.
    assert_eq!(spoiled(200_000, 2001).column("x").unwrap().kind(), ColumnKind::Categorical);
    assert_eq!(value(&spoiled(100, 2), "x", 2), "2".into());
}

#[test]
fn words_for_missing_in_categories_are_noted() {
    let frame = Frame::read_csv("country\nNA\nFR\nNA\n?\n".as_bytes()).unwrap();
    assert_eq!(frame.column("country").unwrap().missing(), 3);
    assert_eq!(frame.notes(), ["column country: words taken as missing: `NA` (2), `?` (1)"]);
    let kept = CsvOptions::default().missing(["?"]).read("country\nNA\nFR\n?\n".as_bytes()).unwrap();
    assert_eq!((kept.column("country").unwrap().missing(), value(&kept, "country", 0)), (1, "NA".into()));
}

#[test]
fn declared_word_for_missing_may_be_a_number() {
    let frame = CsvOptions::default().missing_word("-999").read("x\n1\n-999\n-9\n".as_bytes()).unwrap();
    assert_eq!((value(&frame, "x", 1), value(&frame, "x", 2)), (Value::Missing, Value::Number(-9.0)));
}

#[test]
fn point_is_the_decimal_mark_unless_the_column_proves_a_comma() {
    let numbers = |csv: &str| -> Vec<Value> {
        let frame = Frame::read_csv(csv.as_bytes()).unwrap();
        (0..frame.rows()).map(|row| value(&frame, "x", row)).collect()
    };
    assert_eq!(numbers("x;y\n1.234;1\n2.5;0\n"), [Value::Number(1.234), Value::Number(2.5)]);
    assert_eq!(numbers("x;y\n12,50;1\n1,234;0\n"), [Value::Number(12.5), Value::Number(1.234)]);
    // Proven by the other cell: the point separates thousands.
    assert_eq!(numbers("x;y\n12,50;1\n1.234;0\n"), [Value::Number(12.5), Value::Number(1234.0)]);
    assert_eq!(numbers("x;y\n1,234.5;1\n1,234;0\n"), [Value::Number(1234.5), Value::Number(1234.0)]);
    assert_eq!(numbers("x;y\n1 234,5;1\n7;0\n"), [Value::Number(1234.5), Value::Number(7.0)]);
    assert_eq!(numbers("x;y\n1e3;1\n-2.5E-1;0\n"), [Value::Number(1000.0), Value::Number(-0.25)]);
    // Another column has proven what this one leaves open.
    assert_eq!(numbers("x;y\n1,234;0,5\n2;1\n"), [Value::Number(1.234), Value::Number(2.0)]);
    let mixed = Frame::read_csv("x;y\n1.25;0,5\n7;1\n".as_bytes()).unwrap();
    assert_eq!((value(&mixed, "x", 0), value(&mixed, "y", 0)), (Value::Number(1.25), Value::Number(0.5)));
    let frame = Frame::read_csv("x;y\n12,50;1\n1,234;0\n".as_bytes()).unwrap();
    assert_eq!(frame.notes().len(), 1, "the comma is said: {:?}", frame.notes());
}

#[test]
fn number_with_two_meanings_is_refused_until_the_mark_is_declared() {
    let csv = "x;y\n7;1\n1,234;0\n";
    let error = failure(csv.as_bytes());
    assert!(error.contains("column `x`: line 3") && error.contains("declare the decimal mark"), "{error}");
    // A point with three digits behind it beside a column of decimal commas.
    let error = failure(b"x;y\n1.234;0,5\n7;1\n");
    assert!(error.contains("column `x`: line 2"), "{error}");
    for (mark, expected) in [(DecimalMark::Comma, 1.234), (DecimalMark::Point, 1234.0)] {
        let frame = CsvOptions::default().decimal_mark(mark).read(csv.as_bytes()).unwrap();
        assert_eq!(value(&frame, "x", 1), Value::Number(expected));
    }
}

#[test]
fn file_with_title_lines_and_other_names_is_read() {
    let options = CsvOptions::default().skip_lines(2).rename("Pages vues", "pages");
    let frame = options.read("Export\n2026\nPages vues;y\n3;1\n".as_bytes()).unwrap();
    assert_eq!(frame.names().collect::<Vec<_>>(), ["pages", "y"]);
    let error = CsvOptions::default().rename("nowhere", "x").read("a\n1\n".as_bytes()).unwrap_err();
    assert!(matches!(error, FrameError::UnknownColumn { .. }), "{error}");
}

#[test]
fn a_header_alone_is_a_table_of_no_rows() {
    let frame = Frame::read_csv("a,b".as_bytes()).unwrap();
    assert_eq!((frame.rows(), frame.columns().len()), (0, 2));
}

#[test]
fn limits_stop_reading() {
    let rows = CsvOptions::default().max_rows(2);
    assert!(rows.read("a\n1\n2\n".as_bytes()).is_ok());
    assert!(matches!(
        rows.read("a\n1\n2\n3\n".as_bytes()),
        Err(FrameError::TooLarge { what: "rows", limit: 2 })
    ));
    let bytes = CsvOptions::default().max_bytes(8);
    assert!(bytes.read("a,b\n1,2\n".as_bytes()).is_ok());
    let error = bytes.read("a,b\n1,2\n3,4\n".as_bytes());
    assert!(matches!(error, Err(FrameError::TooLarge { what: "bytes", limit: 8 })), "{error:?}");
    // An endless line must end at the bound, not at the memory.
    let endless = CsvOptions::default().max_bytes(100_000).read(std::io::repeat(b'x'));
    assert!(matches!(endless, Err(FrameError::TooLarge { what: "bytes", .. })));
    let wide = "c,".repeat(5000);
    assert!(matches!(Frame::read_csv(wide.as_bytes()), Err(FrameError::TooLarge { what: "columns", .. })));
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let error = Frame::read_csv_path("/no/such/behaviour.csv").unwrap_err();
    assert_eq!(error.to_string(), "/no/such/behaviour.csv could not be read");
    assert!(std::error::Error::source(&error).is_some());
    assert!(matches!(Frame::read_csv_path("/"), Err(FrameError::Open { .. })));
}

#[test]
fn rows_and_columns_built_by_hand_are_checked() {
    let rows = [vec![1.0.into(), "x".into()], vec![Value::Missing, Value::Missing]];
    let frame = Frame::from_rows(&["n", "c"], &rows).unwrap();
    assert_eq!(value(&frame, "n", 0), Value::Number(1.0));
    assert_eq!(value(&frame, "c", 1), Value::Missing);
    let mixed = Frame::from_rows(&["n"], &[vec![1.0.into()], vec!["x".into()]]);
    assert!(matches!(mixed, Err(FrameError::MixedColumn { row: 1, .. })));
    let short = Frame::from_rows(&["n", "m"], &[vec![1.0.into()]]);
    assert!(matches!(short, Err(FrameError::Length { expected: 2, found: 1, .. })));
    let infinite = Frame::new().with_numeric("n", [1.0, f64::NEG_INFINITY]);
    assert!(matches!(infinite, Err(FrameError::Infinite { row: 1, .. })));
    let uneven = Frame::new().with_numeric("n", [1.0, 2.0]).unwrap().with_categorical("c", ["x"]);
    assert!(matches!(uneven, Err(FrameError::Length { expected: 2, found: 1, .. })));
    let twice = Frame::new().with_numeric("n", [1.0]).unwrap().with_numeric("n", [1.0]);
    assert!(matches!(twice, Err(FrameError::DuplicateColumn { .. })));
}

#[test]
fn usual_pairs_of_outcomes_are_understood() {
    for (csv, labels) in [
        ("y\n0\n1\n1.0\n", [false, true, true]),
        ("y\nTRUE\nfalse\nTrue\n", [true, false, true]),
        ("y\noui\nNON\noui\n", [true, false, true]),
        ("y\nn\ny\nn\n", [false, true, false]),
        ("y\nn\no\nn\n", [false, true, false]),
        ("y\n1\n1\n1\n", [true; 3]),
    ] {
        let labelled = Labelled::new(Frame::read_csv(csv.as_bytes()).unwrap(), "y").unwrap();
        assert_eq!(labelled.labels(), labels, "{csv}");
    }
    let frame = Frame::read_csv("y\nstayed\nleft\nstayed\n".as_bytes()).unwrap();
    let labelled = Labelled::with_positive(frame, "y", "left").unwrap();
    assert_eq!(labelled.labels(), [false, true, false]);
    assert_eq!(
        (labelled.target().negative.as_str(), labelled.target().positive.as_str()),
        ("stayed", "left")
    );
}

#[test]
fn wrong_targets_are_refused_by_row() {
    let read = |csv: &str| Frame::read_csv(csv.as_bytes()).unwrap();
    let error = Labelled::new(read("y\n0\n1\n2\n"), "y").unwrap_err();
    assert!(matches!(&error, FrameError::WrongTarget { row: 2, value, .. } if value == "2"), "{error}");
    assert!(matches!(Labelled::new(read("y\n0\nyes\n"), "y"), Err(FrameError::WrongTarget { row: 1, .. })));
    assert!(matches!(
        Labelled::new(read("y,x\n0,1\n,2\n"), "y"),
        Err(FrameError::MissingTarget { row: 1, .. })
    ));
    assert!(matches!(Labelled::new(read("x\n0\n"), "y"), Err(FrameError::UnknownColumn { .. })));
    let third = Labelled::with_positive(read("y\na\nb\nc\n"), "y", "b");
    assert!(matches!(third, Err(FrameError::WrongTarget { row: 2, .. })));
    assert!(Labelled::with_positive(read("y\na\nb\n"), "y", "z").is_err());
    let private = Labelled::new(read("y\n0\nann@example.org\n"), "y").unwrap_err().to_string();
    assert!(!private.contains('@'), "{private}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = Frame::read_csv(&bytes[..]) {
            prop_assert!(frame.columns().iter().all(|column| column.rows() == frame.rows()));
        }
    }

    #[test]
    fn numbers_survive_text(numbers in proptest::collection::vec(proptest::num::f64::NORMAL, 1..20)) {
        let csv = numbers.iter().fold("n\n".to_owned(), |csv, number| format!("{csv}{number:e}\n"));
        let frame = Frame::read_csv(csv.as_bytes()).unwrap();
        for (row, number) in numbers.iter().enumerate() {
            prop_assert_eq!(value(&frame, "n", row), Value::Number(*number));
        }
    }
}

#[test]
fn missing_values_are_counted() {
    let frame = Frame::read_csv("a,b,c\n1,x,\n,,\n3,y,\n".as_bytes()).unwrap();
    let missing: Vec<usize> = frame.columns().iter().map(mkt_ml::Column::missing).collect();
    assert_eq!(missing, [1, 1, 3]);
}

#[test]
fn nasty_files_get_their_verdicts() {
    use mkt_connect::table::testing::{Answer, Sample, check};

    let sample = Sample::new(&["visit_id", "note_text", "pages"], 1, |row, note| {
        vec![format!("v{row}"), note.to_owned(), "7".to_owned()]
    });
    check(&sample, |bytes| match Frame::read_csv(bytes) {
        Ok(frame) => Answer::Read { rows: frame.rows(), texts: None, quarantined: Vec::new() },
        Err(FrameError::RaggedLine { line, .. } | FrameError::Line { line, .. }) => Answer::Stopped { line },
        Err(error) => Answer::Refused(mkt_connect::sentence(&error)),
    });
}
