//! Reading subscribers: what the course's file gives, and what broken files give.

use chrono::NaiveDate;
use mkt_connect::ErrorKind;
use mkt_email::subscribers::{Options, Row, RowCounts};
use mkt_email::{Subscriber, Subscribers};
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
    people(file).iter().map(|person| person.first_name.as_ref().unwrap().as_str().to_owned()).collect()
}

fn with(file: &[u8], options: &Options) -> (Vec<Row>, RowCounts) {
    let mut reader = Subscribers::read_with(file, options).unwrap();
    let rows: Vec<Row> = reader.by_ref().map(Result::unwrap).collect();
    (rows, reader.counts())
}

#[test]
fn file_of_the_course_is_read() {
    let people =
        people(b"email,prenom,date_inscription\njean@example.org,Jean,2025-01-15\nzoe@example.org,,\n");
    assert_eq!(people[0].email.as_str(), "jean@example.org");
    assert_eq!(people[0].first_name.as_ref().unwrap().as_str(), "Jean");
    assert_eq!(people[0].signed_up_on, NaiveDate::from_ymd_opt(2025, 1, 15));
    assert_eq!((people[0].line, people[1].line), (2, 3));
    assert_eq!((&people[1].first_name, people[1].signed_up_on), (&None, None));
}

#[test]
fn byte_order_mark_semicolons_and_latin_1_are_read() {
    assert_eq!(names("\u{feff}email;prénom;date\nzoe@example.org;Zoé;2025-01-15\r\n".as_bytes()), ["Zoé"]);
    assert_eq!(names(b"email;pr\xe9nom\nzoe@example.org;Zo\xe9\n"), ["Zoé"]);
    assert_eq!(names("Prenom\tE-Mail\nZoé\tzoe@example.org".as_bytes()), ["Zoé"]);
    assert_eq!(names(b"email,prenom\na@example.org,\"Anne, Marie\"\n"), ["Anne, Marie"]);
}

#[test]
fn columns_can_be_declared() {
    let options = Options::new().email("contact");
    let file = b"nom,Contact\nx,jean@example.org\n".as_slice();
    let row = Subscribers::read_with(file, &options).unwrap().next().unwrap().unwrap();
    assert!(matches!(row, Row::Subscriber(person) if person.email.as_str() == "jean@example.org"));
}

#[test]
fn duplicate_names_the_first_line() {
    let (rows, counts) =
        rows(b"email,prenom\njean@example.org,Jean\nzoe@example.org,Z\nJean@Example.org,J\n");
    assert_eq!(rows[2], Row::Duplicate { line: 4, first: 2 });
    assert_eq!((counts.rows, counts.subscribers, counts.duplicates, counts.quarantined), (3, 2, 1, 0));
}

#[test]
fn bad_row_is_quarantined_and_others_are_read() {
    let file = b"email,prenom,date_inscription\nnobody,X,\nb@example.org,B,15/01/2025\nc@example.org\n\
                 d@example.org,D,2025-02-30\ne@example.org,E,2025-01-15\n";
    let (rows, counts) = with(file, &Options::new().require_dates(true));
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
            "line 2: the address is not well-formed: no @",
            "line 3: column \"date of sign-up\": ambiguous date; declare the date order (day first or month first) (like \"99/99/9999\")",
            "line 4: 1 fields, the header has 3",
            "line 5: column \"date of sign-up\": not a date (YYYY-MM-DD) (like \"9999-99-99\")",
        ]
    );
    assert_eq!((counts.rows, counts.subscribers, counts.quarantined), (5, 1, 4));
    let Row::Quarantined(error) = &rows[1] else { panic!() };
    // 30 bytes of header, 10 of the first row.
    assert_eq!((error.offset, error.raw()), (40, &b"b@example.org,B,15/01/2025"[..]));
}

#[test]
fn name_with_line_break_is_quarantined() {
    let file = "email,prenom\njean@example.org,Jean\neve@example.org,\"Eve\r\nBcc: x@evil.example\"\n";
    let mut reader = Subscribers::read(file.as_bytes()).unwrap();
    reader.next();
    let Some(Ok(Row::Quarantined(error))) = reader.next() else { panic!() };
    assert_eq!(
        error.to_string(),
        "line 3: the display name holds the control character U+000D at character 4"
    );
    // White space around a cell is trimmed, line breaks too: it cannot stand in a header any more.
    assert_eq!(names(b"email,prenom\n\"a@example.org\n\",\"A\n\"\n"), ["A"]);
}

#[test]
fn debug_output_shows_no_address_or_name() {
    let (rows, _) = rows(b"email,prenom\ncanary@example.org,Canary\ncanary example,Canary\n");
    let shown = format!("{rows:?} {rows:#?}").to_lowercase();
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn unusable_file_is_one_clear_error() {
    for (file, text) in [
        (&b""[..], "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (
            b"nom,prenom\na,b\n",
            "the header has no column of addresses (columns: nom, prenom); name it, or call it email",
        ),
        (b"a@example.org,A\n", "the header has no column of addresses; name it, or call it email"),
        (b"E-Mail,E_mail\n", "the header has 2 columns \"email\": rename one"),
        (
            b"\"email,prenom\na@example.org,A\n",
            "the header (line 1) has an unclosed quotation mark, or text after the closing one",
        ),
    ] {
        let error = Subscribers::read(file).unwrap_err();
        assert_eq!((error.kind(), error.detail()), (ErrorKind::Input, Some(text)));
    }
    let error = Subscribers::read_with(&b"email\n"[..], &Options::new().first_name("nick")).unwrap_err();
    assert_eq!(error.detail(), Some("the header has no column \"nick\""));
    let error = Subscribers::open("/nonexistent/inscrits.csv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("inscrits.csv"), "{error}");
}

#[test]
fn unclosed_quote_costs_one_line_and_endless_line_ends_reading() {
    let (found, counts) = rows(b"email,prenom\na@example.org,\"A\nb@example.org,B\nc@example.org,\"C\"\n");
    assert_eq!((counts.rows, counts.subscribers, counts.quarantined), (3, 2, 1));
    let Row::Quarantined(error) = &found[0] else { panic!() };
    assert_eq!(error.to_string(), "line 2: unclosed quotation mark, or text after the closing one");
    assert_eq!(error.raw(), b"a@example.org,\"A");
    let endless =
        std::io::Cursor::new(b"email,prenom\na@example.org,\"A".to_vec()).chain(std::io::repeat(b'x'));
    let mut reader = Subscribers::read(endless).unwrap();
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.detail(), Some("the line 2 is longer than 64 MiB"));
    assert!(reader.next().is_none());
    let error = Subscribers::read(std::io::repeat(b'x')).unwrap_err();
    assert_eq!(error.detail(), Some("the line 1 is longer than 64 MiB"));
}

#[test]
fn headers_of_common_exports_are_read() {
    for header in [
        "Adresse e-mail;Prénom;Date d’inscription",
        "ADRESSE_MAIL\tPRENOM\tInscrit le",
        "sep=;\r\nE-Mail;First_Name;Signup Date",
        "\u{feff}\"Email Address\",\"given name\",\"Sign-up date\"",
        "Courrier électronique;Prénom;Date d'ajout",
        "E-mail 1 - Value,Given Name,Created at",
        "EMAIL;FIRSTNAME;ADDED_TIME",
    ] {
        let row = "jean@example.org,Jean,2025-01-15";
        let delimiter = [";", "\t"].into_iter().find(|mark| header.contains(mark)).unwrap_or(",");
        let file = format!("{header}\r\n{}\r\n", row.replace(',', delimiter));
        let people = people(file.as_bytes());
        assert_eq!(people[0].email.as_str(), "jean@example.org", "{header}");
        assert_eq!(people[0].first_name.as_ref().unwrap().as_str(), "Jean", "{header}");
        assert_eq!(people[0].signed_up_on, NaiveDate::from_ymd_opt(2025, 1, 15), "{header}");
    }
    // The more exact name wins, whatever the order of the columns.
    let file = b"date,email,date_inscription\n,jean@example.org,2025-01-15\n";
    assert!(people(file)[0].signed_up_on.is_some());
}

#[test]
fn damaged_utf_8_is_quarantined() {
    let (found, _) = rows(
        b"email,prenom,ville\na@example.org,Zo\xc3\xa9,\nb@example.org,Zo\xc3,\nc@example.org,C,N\xeemes\n\
          d@example.org,Zo\xc3\xa9,\ne@example.org,Zo\xc3\xa9,\n",
    );
    let lines: Vec<_> = found
        .iter()
        .filter_map(|row| match row {
            Row::Quarantined(row) => Some((row.line, row.reason.code())),
            _ => None,
        })
        .collect();
    assert_eq!(lines, [(3, "encoding"), (4, "encoding")]);
    assert_eq!(rows(b"\xef\xbb\xbfemail,prenom\na@example.org,Zo\xe9\n").1.quarantined, 1);
    assert_eq!(names(b"email,prenom\na@example.org,Zo\xe9\n"), ["Zoé"]);
}

#[test]
fn unread_date_is_counted_and_the_person_kept() {
    use mkt_connect::table::cell::DateOrder;
    let day = NaiveDate::from_ymd_opt;
    for (date, expected) in [
        ("2025-01-15", day(2025, 1, 15)),
        ("2024-02-29", day(2024, 2, 29)),
        (" 2025-01-15 ", day(2025, 1, 15)),
        ("2025-01-15T00:00:00Z", day(2025, 1, 15)),
        ("2025-01-15 10:11:12", day(2025, 1, 15)),
        ("2025-02-29", None),
        ("03/02/2025", None),
        ("45292", None),
    ] {
        let file = format!("email,date\na@example.org,{date}\n");
        let (found, counts) = rows(file.as_bytes());
        let Row::Subscriber(person) = &found[0] else { panic!("{date}: {found:?}") };
        assert_eq!(person.signed_up_on, expected, "{date}");
        assert_eq!(counts.unread_dates, u64::from(expected.is_none()), "{date}");
        let strict = with(file.as_bytes(), &Options::new().require_dates(true)).1;
        assert_eq!(strict.quarantined, u64::from(expected.is_none()), "{date}");
    }
    // No date is no error.
    for date in ["", "0000-00-00", "NULL"] {
        let (found, counts) = rows(format!("email,date\na@example.org,{date}\n").as_bytes());
        assert!(matches!(&found[0], Row::Subscriber(person) if person.signed_up_on.is_none()), "{date}");
        assert_eq!(counts.unread_dates, 0, "{date}");
    }
    let file = b"email,date\na@example.org,03/02/2025\n";
    let (found, _) = with(file, &Options::new().date_order(DateOrder::DayFirst));
    assert!(matches!(&found[0], Row::Subscriber(person) if person.signed_up_on == day(2025, 2, 3)));
    let mut reader = Subscribers::read(&file[..]).unwrap();
    reader.by_ref().for_each(drop);
    let (line, error) = reader.first_unread_date().unwrap();
    assert_eq!((line, error.problem.code()), (2, "date_order"));
}

#[test]
fn address_that_is_refused_says_what_is_expected() {
    for (cell, text) in [
        ("\"a@mkt.test, b@mkt.test\"", "several addresses in one cell"),
        ("Jean <canary@mkt.test>", "without name"),
        ("mailto:canary@mkt.test", "mailto:"),
        ("canary", "no @"),
        ("canary..x@mkt.test", "not well-formed"),
        ("", "empty"),
    ] {
        let (found, _) = rows(format!("email,prenom\n{cell},A\n").as_bytes());
        let Row::Quarantined(row) = &found[0] else { panic!("{cell}: {found:?}") };
        let shown = row.to_string();
        assert!(shown.contains(text) && !shown.contains("canary"), "{cell}: {shown}");
    }
}

#[test]
fn columns_can_be_mapped_by_the_name_of_the_field() {
    let options = Options::new().map("Contact", "email").unwrap().map("Nick", "prenom").unwrap();
    let (found, _) = with(b"nick;contact\nJo;jo@mkt.test\n", &options);
    assert!(matches!(&found[0], Row::Subscriber(person) if person.first_name.is_some()));
    let error = Options::new().map("x", "mail").unwrap_err();
    assert!(error.detail().unwrap().contains("expected email, first_name"), "{error}");
}

#[test]
fn name_without_a_letter_is_missing() {
    for name in [".", "-", "?", "NULL", "(null)", "n/a", "  "] {
        let found = people(format!("email,prenom\na@example.org,{name}\n").as_bytes());
        assert_eq!(found[0].first_name, None, "{name}");
    }
    assert_eq!(names("email,prenom\na@example.org,J.\nb@example.org,Ó\n".as_bytes()), ["J.", "Ó"]);
}

/// The files of `tests/cases/subscribers`: the people that are read (address, first name, day), and why the other rows, or
/// the file, are not.
#[test]
fn people_lists_are_read_or_refused_with_the_reason() {
    type Person = (&'static str, &'static str, &'static str);
    enum Expected {
        /// People, duplicates, lines and codes of quarantined rows.
        Rows(&'static [Person], u64, &'static [(u64, &'static str)]),
        Refused(&'static str),
    }
    use Expected::{Refused, Rows};
    const A: Person = ("a@mkt.test", "A", "");
    const B: Person = ("b@mkt.test", "B", "");
    const C: Person = ("c@mkt.test", "C", "");
    const ZOE: Person = ("a@mkt.test", "Zoé", "");
    const ZOE_DAY: Person = ("a@mkt.test", "Zoé", "2026-01-02");
    let cases: &[(&str, Expected)] = &[
        ("01_bom.csv", Rows(&[ZOE_DAY], 0, &[])),
        ("03_semicolon.csv", Rows(&[ZOE_DAY], 0, &[])),
        ("04_cp1252.csv", Rows(&[ZOE, ("b@mkt.test", "Léa’s", "")], 0, &[])),
        ("05_case_dup.csv", Rows(&[("Jean@mkt.test", "J", "")], 1, &[])),
        ("07_trailing_space.csv", Rows(&[A, B, C], 0, &[])),
        ("08_nbsp.csv", Rows(&[A, B, C], 0, &[])),
        ("09_empty_names.csv", Rows(&[("a@mkt.test", "", ""), ("b@mkt.test", "", "")], 0, &[])),
        (
            "10_padded_unclosed.csv",
            Rows(&[("b@mkt.test", "", ""), ("c@mkt.test", "", "")], 0, &[(2, "quote")]),
        ),
        (
            "11_invalid.csv",
            Rows(
                &[("Test@test", "A", ""), ("jean@xn--boutique-th-lbb.test", "E", "")],
                0,
                &[
                    (3, "email"),
                    (4, "email"),
                    (5, "email"),
                    (7, "email"),
                    (8, "email"),
                    (9, "email"),
                    (10, "email"),
                    (11, "email"),
                ],
            ),
        ),
        ("12_newline_in_field.csv", Rows(&[A, B], 0, &[])),
        ("13_mailchimp.csv", Rows(&[ZOE_DAY], 0, &[])),
        (
            "14_dates.csv",
            Rows(
                &[
                    A,
                    ("b@mkt.test", "B", "2026-01-02"),
                    ("c@mkt.test", "C", "2026-01-02"),
                    ("d@mkt.test", "D", ""),
                    ("e@mkt.test", "E", ""),
                ],
                0,
                &[],
            ),
        ),
        ("15_utf16.csv", Rows(&[ZOE], 0, &[])),
        ("17_sep.csv", Rows(&[ZOE], 0, &[])),
        ("18_nul.csv", Rows(&[B], 0, &[(2, "nul")])),
        ("19_empty_lines.csv", Rows(&[A], 0, &[(7, "width")])),
        ("21_header_fr.csv", Rows(&[ZOE_DAY], 0, &[])),
        ("22_header_brevo.csv", Rows(&[ZOE], 0, &[])),
        ("24_header_mautic.csv", Rows(&[ZOE_DAY], 0, &[])),
        ("25_leading_empty.csv", Rows(&[A], 0, &[])),
        ("27_short_rows.csv", Rows(&[C], 0, &[(2, "width"), (3, "width")])),
        ("28_pipe.csv", Rows(&[A], 0, &[])),
        ("29_header_dup.csv", Refused("the header has 2 columns \"email\": rename one")),
        ("31_comma_in_header.csv", Rows(&[("a@mkt.test", "", "")], 0, &[])),
        ("33_cr_only.csv", Rows(&[A, B], 0, &[])),
        ("35_ctrlz.csv", Rows(&[A], 0, &[])),
        (
            "38_html_name.csv",
            Rows(&[("a@mkt.test", "<b>Zoé</b>", ""), ("b@mkt.test", "Zo&eacute;", "")], 0, &[]),
        ),
        ("40_trailing_delim.csv", Rows(&[ZOE], 0, &[])),
        ("idn.csv", Rows(&[("jean@xn--boutique-th-lbb.test", "Jean", "")], 0, &[(3, "email")])),
        (
            "names.csv",
            Rows(
                &[
                    ("a@mkt.test", "J. Dupont", ""),
                    ("b@mkt.test", "M. de La Tour", ""),
                    ("c@mkt.test", "Jean-Luc d'Ornano", ""),
                    ("d@mkt.test", "Martin, Zoe", ""),
                    ("e@mkt.test", "Zoe (Lyon)", ""),
                    ("f@mkt.test", "", ""),
                    ("g@mkt.test", "Zoe; Anna: x", ""),
                ],
                0,
                &[],
            ),
        ),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/subscribers");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), cases.len());
    for (name, expected) in cases {
        let reader = Subscribers::open(folder.join(name));
        let (mut reader, people, duplicates, quarantined) = match (reader, expected) {
            (Err(error), Refused(text)) => {
                assert_eq!(error.detail(), Some(*text), "{name}");
                continue;
            }
            (Ok(reader), Rows(people, duplicates, quarantined)) => (reader, people, duplicates, quarantined),
            (reader, _) => panic!("{name}: {:?}", reader.err()),
        };
        let (mut found, mut reasons) = (Vec::new(), Vec::new());
        for row in reader.by_ref() {
            match row.unwrap() {
                Row::Subscriber(person) => found.push((
                    person.email.as_str().to_owned(),
                    person.first_name.map_or(String::new(), |name| name.as_str().to_owned()),
                    person.signed_up_on.map_or(String::new(), |day| day.to_string()),
                )),
                Row::Quarantined(row) => reasons.push((row.line, row.reason.code())),
                Row::Duplicate { .. } => {}
            }
        }
        let people: Vec<_> = people
            .iter()
            .map(|(email, name, day)| ((*email).to_owned(), (*name).to_owned(), (*day).to_owned()))
            .collect();
        assert_eq!(found, people, "{name}");
        assert_eq!((reader.counts().duplicates, &reasons[..]), (*duplicates, *quarantined), "{name}");
    }
}

#[test]
fn nasty_files_get_their_verdicts() {
    use mkt_connect::table::testing::{Answer, Sample, check};
    let sample = Sample::new(&["email", "note", "date_inscription"], 1, |row, note| {
        vec![format!("p{row}@shop.example"), note.to_owned(), "2026-05-02".to_owned()]
    });
    check(&sample, |bytes| {
        let mut reader = match Subscribers::read(bytes) {
            Ok(reader) => reader,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let mut quarantined = Vec::new();
        for row in reader.by_ref() {
            if let Row::Quarantined(row) = row.unwrap() {
                quarantined.push(row);
            }
        }
        let counts = reader.counts();
        Answer::Read { rows: (counts.subscribers + counts.duplicates) as usize, texts: None, quarantined }
    });
}

#[test]
fn accented_local_part_is_refused_and_says_why() {
    let (found, _) = rows("email\né@mkt.test\n".as_bytes());
    let Row::Quarantined(row) = &found[0] else { panic!("{found:?}") };
    assert!(row.to_string().contains("SMTPUTF8"), "{row}");
}

#[test]
fn long_file_of_short_rows_is_read() {
    let mut file = b"email,prenom\n".to_vec();
    for number in 0..60_000 {
        file.extend_from_slice(format!("reader{number}@example.org,Reader\n").as_bytes());
    }
    assert!(file.len() > 1 << 20);
    assert_eq!(rows(&file).1.subscribers, 60_000);
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// E6: `MKT_TEST_ROWS` (6000) rows, of which one in a hundred is spoilt in one of twelve ways drawn from
/// `MKT_TEST_SEED`: each spoilt row and no other is set aside, with its line, offset and bytes, and the counts add up.
/// With those rows repaired the table is the one of the clean file.
#[test]
fn twelve_kinds_of_bad_rows_are_quarantined() {
    use rand::{Rng, SeedableRng};
    let (count, seed) = (number("MKT_TEST_ROWS", 6000), number("MKT_TEST_SEED", 1));
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed as u64);
    let header = "\u{feff}email,prenom,date_inscription\r\n";
    let clean: Vec<String> = (0..count)
        .map(|n| {
            let name = ["Jean", "Zoé", "\"Anne, Marie\"", "\"Jo \"\"Jo\"\" L\"", ""][n % 5];
            format!("reader{n}@example.org,{name},2025-01-{:02}", n % 28 + 1)
        })
        .collect();
    let mut file = header.as_bytes().to_vec();
    let (mut line, mut spoilt, mut doubles, mut kinds) = (2, Vec::new(), Vec::new(), [0; 12]);
    for (n, row) in clean.iter().enumerate() {
        let (address, rest) = row.split_once(',').unwrap();
        let mut end = if n % 3 == 0 { "\n" } else { "\r\n" };
        let mut lines = 1;
        let good = row.clone().into_bytes();
        let kind = if n > 20 && n % 100 == 50 { random.random_range(0..12) } else { 12 };
        let (bytes, says) = match kind {
            0 => ([address.as_bytes(), b",Zo\xc3,2025-01-15"].concat(), "not utf-8"),
            1 => (format!("{address},\"Jean,2025-01-15").into_bytes(), "unclosed quotation mark"),
            2 => (format!("{address},Je\0an,2025-01-15").into_bytes(), "NUL"),
            3 => (format!("{row},one more").into_bytes(), "4 fields"),
            4 => (
                format!("{address},{},2025-01-15", "x".repeat(if kinds[4] == 0 { 10 } else { 1 } << 20))
                    .into_bytes(),
                "longer than",
            ),
            5 => (format!("{address},Jean,15/01/2025").into_bytes(), "ambiguous date"),
            6 => (clean[n - 7].clone().into_bytes(), "duplicate"),
            7 => (format!("\u{feff}é{row}").into_bytes(), "SMTPUTF8"),
            8 => {
                // The row itself is good; a lone CR ends it.
                end = "\r";
                (good.clone(), "")
            }
            9 => {
                lines = 2;
                (format!("{address},\"Eve\nBcc: x@evil.example\",2025-01-15").into_bytes(), "U+000A")
            }
            10 => (format!(",{rest}").into_bytes(), "the address is empty"),
            11 => (address.as_bytes().to_vec(), "1 fields"),
            _ => (good.clone(), ""),
        };
        if kind < 12 {
            kinds[kind] += 1;
        }
        match says {
            "" => {}
            "duplicate" => doubles.push((line, good)),
            says => spoilt.push((line, file.len() as u64, bytes.clone(), says, good)),
        }
        file.extend(bytes);
        file.extend(end.as_bytes());
        line += lines;
    }
    assert!(count < 6000 || kinds.iter().all(|kind| *kind > 0), "{kinds:?}");

    let table = |rows: &[Row]| -> Vec<(String, Option<String>, Option<NaiveDate>)> {
        let mut table: Vec<_> = rows
            .iter()
            .filter_map(|row| match row {
                Row::Subscriber(person) => Some((
                    person.email.as_str().to_owned(),
                    person.first_name.as_ref().map(|name| name.as_str().to_owned()),
                    person.signed_up_on,
                )),
                _ => None,
            })
            .collect();
        table.sort();
        table
    };
    let (found, counts) = with(&file, &Options::new().require_dates(true));
    assert_eq!(counts.rows, count as u64);
    assert_eq!((counts.quarantined, counts.duplicates), (spoilt.len() as u64, doubles.len() as u64));
    let mut told = found.iter().filter_map(|row| match row {
        Row::Quarantined(error) => Some(error),
        _ => None,
    });
    let mut repaired = header.as_bytes().to_vec();
    for (line, offset, bytes, says, good) in &spoilt {
        let error = told.next().unwrap();
        assert_eq!((error.line, error.offset), (*line, *offset), "{error}");
        assert_eq!(error.raw(), &bytes[..bytes.len().min(4096)], "{error}");
        assert!(error.to_string().contains(says), "{error} is not {says}");
        repaired.extend(good);
        repaired.push(b'\n');
    }
    let lines: Vec<u64> = found
        .iter()
        .filter_map(|row| match row {
            Row::Duplicate { line, .. } => Some(*line),
            _ => None,
        })
        .collect();
    assert_eq!(lines, doubles.iter().map(|(line, _)| *line).collect::<Vec<_>>());
    for (_, good) in &doubles {
        repaired.extend(good);
        repaired.push(b'\n');
    }
    let all = [found, rows(&repaired).0].concat();
    assert_eq!(table(&all), table(&rows(format!("{header}{}", clean.join("\n")).as_bytes()).0));
}
