//! Reading subscribers: what the course's file gives, and what broken files give.

use chrono::NaiveDate;
use mkt_connect::ErrorKind;
use mkt_email::subscribers::{Columns, Row, RowCounts};
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
    assert_eq!((error.offset, error.raw()), (40, &b"b@example.org,B,15/01/2025"[..]));
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
fn an_unclosed_quote_costs_its_line_and_a_line_without_end_the_reading() {
    let (found, counts) = rows(b"email,prenom\na@example.org,\"A\nb@example.org,B\nc@example.org,\"C\"\n");
    assert_eq!((counts.rows, counts.subscribers, counts.quarantined), (3, 2, 1));
    let Row::Quarantined(error) = &found[0] else { panic!() };
    assert_eq!(
        error.to_string(),
        "line 2: a quote is opened and not closed, or something follows the closing one"
    );
    assert_eq!(error.raw(), b"a@example.org,\"A");
    let endless =
        std::io::Cursor::new(b"email,prenom\na@example.org,\"A".to_vec()).chain(std::io::repeat(b'x'));
    let mut reader = Subscribers::read(endless).unwrap();
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(
        error.detail(),
        Some("a line has no end within 64 mebibytes; the file is not a list of people")
    );
    assert!(reader.next().is_none());
    let error = Subscribers::read(std::io::repeat(b'x')).unwrap_err();
    assert_eq!(error.detail(), Some("the first line has no end within one mebibyte"));
}

#[test]
fn headers_of_common_exports_are_understood() {
    for header in [
        "Adresse e-mail;Prénom;Date d’inscription",
        "ADRESSE_MAIL\tPRENOM\tInscrit le",
        "sep=;\r\nE-Mail;First_Name;Signup Date",
        "\u{feff}\"Email Address\",\"given name\",\"Sign-up date\"",
    ] {
        let row = "jean@example.org,Jean,2025-01-15";
        let delimiter = [";", "\t"].into_iter().find(|mark| header.contains(mark)).unwrap_or(",");
        let file = format!("{header}\r\n{}\r\n", row.replace(',', delimiter));
        let people = people(file.as_bytes());
        assert_eq!(people[0].email.as_str(), "jean@example.org", "{header}");
        assert_eq!(people[0].prenom.as_ref().unwrap().as_str(), "Jean", "{header}");
        assert_eq!(people[0].date_inscription, NaiveDate::from_ymd_opt(2025, 1, 15), "{header}");
    }
    // The more exact name wins, whatever the order of the columns.
    let file = b"date,email,date_inscription\n,jean@example.org,2025-01-15\n";
    assert!(people(file)[0].date_inscription.is_some());
    let error = Subscribers::read(&b"email,E-mail\n"[..]).unwrap_err();
    assert_eq!(error.detail(), Some("the header has two columns email"));
    let error = Subscribers::read(&b"\"email,prenom\na@example.org,A\n"[..]).unwrap_err();
    assert_eq!(error.detail(), Some("the header is not a line of column names"));
}

#[test]
fn damaged_utf_8_is_set_aside_once_the_file_is_known_to_be_utf_8() {
    let (found, _) = rows(
        b"email,prenom,ville\na@example.org,Zo\xc3\xa9,\nb@example.org,Zo\xc3,\nc@example.org,C,N\xeemes\n",
    );
    let told: Vec<_> = found
        .iter()
        .map(|row| match row {
            Row::Quarantined(error) => error.to_string(),
            other => format!("{other:?}").split('(').next().unwrap().to_owned(),
        })
        .collect();
    let damage = |line| format!("line {line}: the row is not UTF-8, as rows before it are");
    assert_eq!(told, ["Subscriber".to_owned(), damage(3), damage(4)]);
    assert_eq!(rows(b"\xef\xbb\xbfemail,prenom\na@example.org,Zo\xe9\n").1.quarantined, 1);
    assert_eq!(names(b"email,prenom\na@example.org,Zo\xe9\n"), ["Zoé"]);
}

#[test]
fn only_one_way_to_write_a_day_is_taken() {
    for (date, good) in [
        ("2025-01-15", true),
        ("2024-02-29", true),
        (" 2025-01-15 ", true),
        ("2025-02-29", false),
        ("2025-1-5", false),
        ("+2025-01-15", false),
        ("2025-01-15T00:00:00Z", false),
        ("15/01/2025", false),
        ("2025-01-1x", false),
        ("٢٠٢٥-01-15", false),
    ] {
        let file = format!("email,date\na@example.org,{date}\n");
        assert_eq!(rows(file.as_bytes()).1.subscribers == 1, good, "{date}");
    }
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

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// E6: `MKT_TEST_ROWS` (6000) rows, of which one in a hundred is spoilt in one of twelve ways drawn from
/// `MKT_TEST_SEED`: each spoilt row and no other is set aside, with its line, offset and bytes, and the counts add up.
/// With those rows repaired the table is the one of the clean file.
#[test]
fn bad_rows_of_twelve_kinds_are_set_aside_and_repaired_give_the_clean_table() {
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
            0 => ([address.as_bytes(), b",Zo\xc3,2025-01-15"].concat(), "not UTF-8"),
            1 => (format!("{address},\"Jean,2025-01-15").into_bytes(), "a quote is opened"),
            2 => (format!("{address},Je\0an,2025-01-15").into_bytes(), "U+0000"),
            3 => (format!("{row},one more").into_bytes(), "4 fields"),
            4 => (
                format!("{address},{},2025-01-15", "x".repeat(if kinds[4] == 0 { 10 } else { 1 } << 20))
                    .into_bytes(),
                "one mebibyte",
            ),
            5 => (format!("{address},Jean,15/01/2025").into_bytes(), "sign-up date"),
            6 => (clean[n - 7].clone().into_bytes(), "duplicate"),
            7 => (format!("\u{feff}{row}").into_bytes(), "not well-formed"),
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
                    person.prenom.as_ref().map(|name| name.as_str().to_owned()),
                    person.date_inscription,
                )),
                _ => None,
            })
            .collect();
        table.sort();
        table
    };
    let (found, counts) = rows(&file);
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
