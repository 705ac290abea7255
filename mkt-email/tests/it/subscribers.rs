//! Reading subscribers: what the course's file gives, and what broken files give.

use chrono::NaiveDate;
use mkt_connect::ErrorKind;
use mkt_email::{Columns, Row, RowCounts, Subscriber, Subscribers};
use std::io::Read;

fn rows(file: &[u8]) -> (Vec<Row>, RowCounts) {
    let mut reader = Subscribers::read(file).unwrap();
    let rows: Vec<Row> = reader.by_ref().map(Result::unwrap).collect();
    let counts = reader.counts();
    assert_eq!(counts.rows, counts.subscribers + counts.duplicates + counts.quarantined);
    (rows, counts)
}

fn people(file: &[u8]) -> Vec<Subscriber> {
    let person = |row| match row {
        Row::Subscriber(person) => person,
        other => panic!("{other:?}"),
    };
    rows(file).0.into_iter().map(person).collect()
}

fn names(file: &[u8]) -> Vec<String> {
    people(file).iter().map(|person| person.prenom.as_ref().unwrap().as_str().to_owned()).collect()
}

fn problem(file: &str) -> String {
    match rows(file.as_bytes()).0.remove(0) {
        Row::Quarantined(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_courses_file_is_read() {
    let people =
        people(b"email,prenom,date_inscription\njean@example.org,Jean,2025-01-15\nzoe@example.org,,\n");
    assert_eq!(people[0].email.as_str(), "jean@example.org");
    assert_eq!(people[0].prenom.as_ref().unwrap().as_str(), "Jean");
    assert_eq!(people[0].date_inscription, NaiveDate::from_ymd_opt(2025, 1, 15));
    assert_eq!((people[0].line, people[1].line), (2, 3));
    assert_eq!((&people[1].prenom, people[1].date_inscription), (&None, None));
}

#[test]
fn a_byte_order_mark_semicolons_and_latin_1_are_understood() {
    assert_eq!(names("\u{feff}email;prénom;date\nzoe@example.org;Zoé;2025-01-15\r\n".as_bytes()), ["Zoé"]);
    assert_eq!(names(b"email;pr\xe9nom\nzoe@example.org;Zo\xe9\n"), ["Zoé"]);
    assert_eq!(names("Prenom\tE-Mail\nZoé\tzoe@example.org".as_bytes()), ["Zoé"]);
    assert_eq!(names(b"email,prenom\na@example.org,\"Anne, Marie\"\n"), ["Anne, Marie"]);
}

#[test]
fn columns_can_be_named() {
    let columns = Columns { email: vec!["contact".to_owned()], ..Columns::default() };
    let file = b"nom,Contact\nx,jean@example.org\n".as_slice();
    let row = Subscribers::read_with(file, &columns).unwrap().next().unwrap().unwrap();
    assert!(matches!(row, Row::Subscriber(person) if person.email.as_str() == "jean@example.org"));
}

#[test]
fn a_repetition_names_the_line_of_the_first() {
    let (rows, counts) =
        rows(b"email,prenom\njean@example.org,Jean\nzoe@example.org,Z\nJean@Example.org,J\n");
    assert_eq!(rows[2], Row::Duplicate { line: 4, first: 2 });
    assert_eq!(counts, RowCounts { rows: 3, subscribers: 2, duplicates: 1, quarantined: 0 });
}

#[test]
fn a_bad_row_is_set_aside_with_its_line_and_the_others_are_read() {
    let file = b"email,prenom,date_inscription\nnobody,X,\nb@example.org,B,15/01/2025\nc@example.org\n\
                 d@example.org,D,2025-02-30\ne@example.org,E,2025-01-15\n";
    let (rows, counts) = rows(file);
    let shown: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Quarantined(error) => Some(error.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(
        shown,
        [
            "line 2: the address is not well-formed",
            "line 3: the sign-up date is not of the form 2025-01-15",
            "line 4: the row has 1 fields, the header has 3",
            "line 5: the sign-up date is not of the form 2025-01-15",
        ]
    );
    assert_eq!((counts.rows, counts.subscribers, counts.quarantined), (5, 1, 4));
    let Row::Quarantined(error) = &rows[1] else { panic!() };
    // 30 bytes of header, 10 of the first row.
    assert_eq!(
        (error.offset, error.raw()),
        (40, vec![b"b@example.org".to_vec(), b"B".to_vec(), b"15/01/2025".to_vec()])
    );
}

#[test]
fn a_name_with_a_line_break_is_refused_with_its_line() {
    let file = "email,prenom\njean@example.org,Jean\neve@example.org,\"Eve\r\nBcc: x@evil.example\"\n";
    let mut reader = Subscribers::read(file.as_bytes()).unwrap();
    reader.next();
    let Some(Ok(Row::Quarantined(error))) = reader.next() else { panic!() };
    assert_eq!(
        error.to_string(),
        "line 3: the display name holds the control character U+000D at character 4"
    );
    assert_eq!(
        problem("email,prenom\n\"a@example.org\n\",A\n"),
        "line 2: the address holds the control character U+000A at character 14"
    );
}

#[test]
fn nothing_shown_holds_an_address_or_a_name() {
    let (rows, _) = rows(b"email,prenom\ncanary@example.org,Canary\ncanary example,Canary\n");
    let shown = format!("{rows:?} {rows:#?}").to_lowercase();
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_used_gives_one_clear_error() {
    for (file, kind, text) in [
        (&b""[..], ErrorKind::Input, "the file is empty or begins with an empty line"),
        (b"\n\n", ErrorKind::Input, "the file is empty or begins with an empty line"),
        (b"\xef\xbb\xbf", ErrorKind::Input, "the file is empty or begins with an empty line"),
        (b"nom,prenom\na,b\n", ErrorKind::Input, "the header has no column email"),
        (b"\xff\xfee\0m\0a\0i\0l\0\n\0", ErrorKind::Input, "the file is UTF-16 or binary; save it as UTF-8"),
    ] {
        let error = Subscribers::read(file).unwrap_err();
        assert_eq!((error.kind(), error.detail()), (kind, Some(text)));
    }
    let error = Subscribers::open("/nonexistent/inscrits.csv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("inscrits.csv"), "{error}");
}

#[test]
fn an_unclosed_quote_ends_the_reading_within_bounded_memory() {
    let endless =
        std::io::Cursor::new(b"email,prenom\na@example.org,\"A".to_vec()).chain(std::io::repeat(b'x'));
    let mut reader = Subscribers::read(endless).unwrap();
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.detail(), Some("a row has no end within one mebibyte (an unclosed quote?)"));
    assert!(reader.next().is_none());
    let error = Subscribers::read(std::io::repeat(b'x')).unwrap_err();
    assert_eq!(error.detail(), Some("the first line has no end within one mebibyte"));
}

#[test]
fn a_long_file_of_short_rows_is_not_one_long_row() {
    let mut file = b"email,prenom\n".to_vec();
    for number in 0..60_000 {
        file.extend_from_slice(format!("reader{number}@example.org,Reader\n").as_bytes());
    }
    assert!(file.len() > 1 << 20);
    assert_eq!(rows(&file).1.subscribers, 60_000);
}
