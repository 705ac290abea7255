//! Tests of the reader as a whole; cells have theirs below.

use super::cell::{
    CellProblem, DecimalEvidence, DecimalMark, Missing, TimeFormat, boolean, count, date, decimal,
};
use super::cell::{DateOrder, Epoch, float, percentage, split_currency};
use super::records::{Fault, Records};
use super::*;
use chrono::Utc;
use proptest::prelude::*;
use std::io::{self, Read};

/// Hands out so many bytes at a time.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(self.0.len()).min(into.len());
        let (head, rest) = self.0.split_at(length);
        into[..length].copy_from_slice(head);
        self.0 = rest;
        Ok(length)
    }
}

type Row = Result<(u64, Vec<String>), (u64, &'static str)>;
type Seen = (u64, u64, Option<Fault>, Vec<Vec<u8>>);

/// All records as line, offset, fault and fields, doubled quotation marks as they are.
fn raw_records(reader: impl Read, max_record: usize) -> Vec<Seen> {
    let mut records = Records::new(reader, max_record, 1, 0);
    let mut seen = Vec::new();
    while let Some(place) = records.next().unwrap() {
        let fields = records.spans.iter().map(|s| records.bytes()[s.start as usize..s.end as usize].to_vec());
        seen.push((place.line, place.offset, place.fault, fields.collect()));
    }
    seen
}

fn good(line: u64, offset: u64, fields: &[&str]) -> Seen {
    (line, offset, None, fields.iter().map(|field| field.as_bytes().to_vec()).collect())
}

/// Rows as line and cells, or line and reason.
fn rows(options: &ReadOptions, bytes: &[u8]) -> Vec<Row> {
    let mut table = options.open(bytes).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = table.next().unwrap() {
        rows.push(match row {
            Ok(row) => Ok((row.line(), row.iter().map(str::to_owned).collect())),
            Err(row) => Err((row.line, row.reason.code())),
        });
    }
    rows
}

fn cells(line: u64, cells: &[&str]) -> Row {
    Ok((line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
}

#[test]
fn every_line_end_ends_a_record() {
    assert_eq!(
        raw_records("a,b\r\n\nc\rd,\r\r\n,e".as_bytes(), 1000),
        [good(1, 0, &["a", "b"]), good(3, 6, &["c"]), good(4, 8, &["d", ""]), good(6, 13, &["", "e"])]
    );
}

#[test]
fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
    assert_eq!(
        raw_records("\"a,b\",\"x\r\ny\",\"\"\n\"say \"\"hi\"\"\",5\" disk\n".as_bytes(), 1000),
        [good(1, 0, &["a,b", "x\r\ny", ""]), good(3, 16, &["say \"\"hi\"\"", "5\" disk"])]
    );
    // A doubled quotation mark is single only between quotation marks.
    let read = rows(&ReadOptions::new(), b"a,b\n\"x\"\"y\",p\"\"q\n");
    assert_eq!(read, [cells(2, &["x\"y", "p\"\"q"])]);
}

#[test]
fn broken_quote_costs_one_line() {
    for broken in ["a,\"open", "a,\"b\"c", "\"\"\"", "\"a\" ,b"] {
        for after in ["", "next,\"quoted\"\n", "next,x\nlast,\"quo\nted\"\n"] {
            let text = format!("{broken}\n{after}");
            let seen = raw_records(text.as_bytes(), 1 << 20);
            assert_eq!((seen[0].0, seen[0].2), (1, Some(Fault::Quote)), "{text:?}");
            assert_eq!(seen.len(), 1 + after.matches("next").count() + after.matches("last").count());
            assert!(seen[1..].iter().all(|record| record.2.is_none()), "{text:?}");
        }
    }
    let text = format!("1,\"open\n{}", "2,x\n".repeat(400_000));
    let seen = raw_records(text.as_bytes(), 1 << 20);
    assert_eq!((seen.len(), seen[400_000].0), (400_001, 400_001));
    assert!(seen[1..].iter().all(|record| record.2.is_none()));
}

#[test]
fn longest_record_is_the_limit_wherever_it_stands() {
    const LIMIT: usize = 1 << 18;
    for before in [0, 1, 65_535, 131_071] {
        for end in ["\n", "\r\n", "\r"] {
            for (length, fits) in
                [(LIMIT, true), (LIMIT + 1, false), (LIMIT + 70_000, false), (3 * LIMIT, false)]
            {
                let text = format!("{}{}{end}next\n", "a\n".repeat(before), "x".repeat(length));
                let mut records = Records::new(text.as_bytes(), LIMIT, 1, 0);
                (0..before).for_each(|_| drop(records.next()));
                let fault = records.next().unwrap().unwrap().fault;
                assert_eq!(
                    (fault.is_none(), records.bytes().len()),
                    (fits, LIMIT),
                    "{before} {length} {end:?}"
                );
                let next = records.next().unwrap().unwrap();
                assert_eq!((next.line, records.bytes()), (before as u64 + 2, &b"next"[..]));
                assert_eq!(next.offset, (2 * before + length + end.len()) as u64);
                assert!(records.next().unwrap().is_none());
            }
        }
    }
    let error = Records::new(io::repeat(b'x'), LIMIT, 1, 0).next().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

/// The rules byte by byte: what [`split::split`] must find eight bytes at a time.
fn slow_records(bytes: &[u8]) -> Vec<Seen> {
    let (mut at, mut line, mut seen) = (0, 1, Vec::new());
    'records: while at < bytes.len() {
        let (mut fields, mut field, mut pos, mut lines) = (Vec::new(), Vec::new(), at, 0);
        // 0 start, 1 plain, 2 quoted, 3 after the closing quotation mark
        let mut state = 0;
        let mut broken = false;
        loop {
            let byte = bytes.get(pos).copied();
            let ends = |byte: Option<u8>| matches!(byte, Some(b'\n' | b'\r'));
            match (state, byte) {
                (2, None) => broken = true,
                (2, Some(b'"')) if bytes.get(pos + 1) == Some(&b'"') => {
                    field.extend(b"\"\"");
                    pos += 1;
                }
                (2, Some(b'"')) => state = 3,
                (2, Some(byte)) => {
                    lines +=
                        u64::from(byte == b'\n' || (byte == b'\r' && bytes.get(pos + 1) != Some(&b'\n')));
                    field.push(byte);
                }
                (_, Some(b',')) => {
                    fields.push(std::mem::take(&mut field));
                    state = 0;
                }
                (0, Some(b'"')) => state = 2,
                (_, byte) if byte.is_none() || ends(byte) => {
                    fields.push(std::mem::take(&mut field));
                    let both = byte == Some(b'\r') && bytes.get(pos + 1) == Some(&b'\n');
                    let end = pos + usize::from(byte.is_some()) + usize::from(both);
                    if pos > at && !bytes[at..pos].iter().all(|b| *b == b' ') {
                        seen.push((line, at as u64, None, fields));
                    }
                    line += lines + u64::from(byte.is_some());
                    at = end;
                    continue 'records;
                }
                (3, _) => broken = true,
                (_, Some(byte)) => {
                    field.push(byte);
                    state = 1;
                }
                _ => unreachable!(),
            }
            if broken {
                break;
            }
            pos += 1;
        }
        let end =
            bytes[at..].iter().position(|b| matches!(b, b'\n' | b'\r')).map_or(bytes.len(), |end| at + end);
        seen.push((line, at as u64, Some(Fault::Quote), Vec::new()));
        let both = bytes.get(end..end + 2) == Some(b"\r\n");
        line += u64::from(end < bytes.len());
        at = (end + 1 + usize::from(both)).min(bytes.len());
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn records_are_those_of_the_byte_by_byte_rules_however_the_bytes_come(
        bytes in prop::collection::vec(prop::sample::select(&b"aaab,,\"\"\r\n  \xe9"[..]), 0..120),
        step in 1_usize..40,
    ) {
        let expected = slow_records(&bytes);
        prop_assert_eq!(&raw_records(&bytes[..], 1000), &expected);
        prop_assert_eq!(&raw_records(Dribble(&bytes, step), 1000), &expected);
    }

    #[test]
    fn nothing_is_lost_whatever_the_bytes(
        bytes in prop::collection::vec(prop::sample::select(&b"ab,;\"\r\n\x00\xc3\xa9\xe9"[..]), 0..200),
        limit in 16_usize..60,
    ) {
        let mut records = Records::new(&bytes[..], limit, 1, 0);
        let mut at = 0;
        while let Some(place) = records.next().unwrap() {
            let offset = place.offset as usize;
            // Between two records there are only line ends and spaces, unless the first was too long.
            let between = &bytes[at..offset];
            prop_assert!(between.iter().all(|b| b"\r\n ".contains(b)) || place.line > 1);
            prop_assert!(bytes[offset..].starts_with(records.bytes()));
            let before = bytes[..offset].iter().enumerate();
            let lines = before.filter(|(i, b)| **b == b'\n' || (**b == b'\r' && bytes.get(i + 1) != Some(&b'\n'))).count();
            prop_assert_eq!(place.line, lines as u64 + 1);
            at = offset + records.bytes().len();
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn utf16_gives_the_cells_of_utf8(
        cells in prop::collection::vec("[a-zé€😀\" ;]{0,6}", 1..40), big in any::<bool>(), step in 1_usize..9,
    ) {
        let mut text = "name;mark\n".to_owned();
        for cell in &cells {
            text.push_str(&format!("\"{}\";x\r\n", cell.replace('"', "\"\"")));
        }
        let bytes: Vec<u8> = format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect();
        let mut table = Table::open(Dribble(&bytes, step)).unwrap();
        for cell in &cells {
            let row = table.next().unwrap().unwrap().unwrap();
            prop_assert_eq!(row.field(0), cell);
            let offset = row.offset() as usize;
            let quote = if big { [0, b'"'] } else { [b'"', 0] };
            prop_assert_eq!(&bytes[offset..offset + 2], &quote);
        }
        prop_assert!(table.next().unwrap().is_none());
    }
}

#[test]
fn lines_made_to_be_looked_at_in_vain_take_linear_time() {
    let looked_at = |lines: usize| {
        let text = "a\",b\"c,\"d\n".repeat(lines);
        let started = std::time::Instant::now();
        let seen = raw_records(text.as_bytes(), 1 << 14);
        (seen.len(), started.elapsed())
    };
    // 160 000 lines of which each looks like the beginning of a record of 16 KiB: 2.6 GB if each is looked at.
    let (lines, took) = looked_at(160_000);
    assert!(lines >= 100_000, "{lines}");
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}

#[test]
fn encoding_is_decided_once_and_contradictions_are_quarantined() {
    let latin = b"name\nZo\xe9\nL\xe9a\nZo\xc3\xa9\n";
    assert_eq!(
        rows(&ReadOptions::new(), latin),
        [cells(2, &["Zoé"]), cells(3, &["Léa"]), Err((4, "encoding"))]
    );
    let utf8 = b"name\nZo\xc3\xa9\nL\xc3\xa9a\nZo\xe9\n";
    assert_eq!(
        rows(&ReadOptions::new(), utf8),
        [cells(2, &["Zoé"]), cells(3, &["Léa"]), Err((4, "encoding"))]
    );
    // A place in the file is read by the same decision.
    let mut table = Table::open(&latin[..]).unwrap();
    while table.next().unwrap().is_some() {}
    let mut resumed = table.layout().resume(&latin[13..], 4, 13).unwrap();
    assert_eq!(resumed.next().unwrap().unwrap().unwrap_err().reason.code(), "encoding");
    // Declared, every byte is a character.
    let declared = ReadOptions::new().encoding(Encoding::Windows1252);
    assert_eq!(rows(&declared, utf8)[0], cells(2, &["ZoÃ©"]));
    let declared = ReadOptions::new().encoding(Encoding::Utf8);
    assert_eq!(rows(&declared, latin), [Err((2, "encoding")), Err((3, "encoding")), cells(4, &["Zoé"])]);
    // Beyond the sample, the first record decides.
    let late = [b"name\n".repeat(20_000), b"Zo\xe9\nZo\xc3\xa9\n".to_vec()].concat();
    let mut table = Table::open(&late[..]).unwrap();
    assert!(table.found().encoding.is_none());
    let mut quarantined = Vec::new();
    while let Some(row) = table.next().unwrap() {
        quarantined.extend(row.err().map(|row| row.line));
    }
    assert_eq!(quarantined, [20_002]);
    let found = table.found().encoding.unwrap();
    assert_eq!((found.value, found.line), (Encoding::Windows1252, Some(20_001)));
}

#[test]
fn header_is_found_behind_marks_titles_and_empty_lines() {
    let options = ReadOptions::new();
    for text in [
        "a;b\n1;2\n",
        "\u{feff}a;b\n1;2\n",
        "sep=;\na;b\n1;2\n",
        "\"sep=;\"\r\na;b\n1;2\n",
        "\n  \n\r\na;b\n1;2\n",
        "a;\"b, c, d, e\"\n1;2\n",
        "a, b;c\n1;2\n2;3\n",
    ] {
        let mut table = options.open(text.as_bytes()).unwrap();
        assert_eq!(table.found().delimiter.value, ';', "{text:?}");
        let row = table.next().unwrap().unwrap().unwrap();
        assert_eq!((row.cell(0), row.cell(1)), ("1", "2"), "{text:?}");
        assert_eq!(&text.as_bytes()[row.offset() as usize..][..3], b"1;2", "{text:?}");
    }
    let options = options.skip_lines(2);
    let mut table = options.open("Exported, by, x\nof, \"somebody\na|b\n1|2\n".as_bytes()).unwrap();
    assert_eq!((table.found().delimiter.value, table.found().header_line), ('|', 3));
    assert_eq!(table.next().unwrap().unwrap().unwrap().line(), 4);
}

#[test]
fn files_without_a_header_say_so() {
    let open = |bytes: &[u8]| Table::open(bytes).unwrap_err().to_string();
    assert_eq!(open(b""), "the file is empty");
    assert_eq!(open(b"\xef\xbb\xbf\n \n\r\n"), "the file is empty");
    assert_eq!(open(b"PK\x03\x04\x00\x00\x00\x00,a\nb"), "the file is not text");
    assert_eq!(
        open(b"a,\"b\n"),
        "the header (line 1) has an unclosed quotation mark, or text after the closing one"
    );
}

#[test]
fn rows_are_as_wide_as_the_header_or_the_surplus_is_blank() {
    let text = b"a;b;\n1;2;\n1;2\n1\n1;2;3\n1;2;3;\n1;2;3;4\n";
    let read = rows(&ReadOptions::new(), text);
    let quarantined: Vec<u64> = read.iter().filter_map(|row| row.as_ref().err()).map(|row| row.0).collect();
    assert_eq!(quarantined, [4, 7]);
    let padded = rows(&ReadOptions::new().short_rows(ShortRows::Pad), text);
    assert_eq!(padded[2], cells(4, &["1"]));
}

#[test]
fn nul_and_the_end_mark_of_dos() {
    let read = rows(&ReadOptions::new(), b"a,b\n1,2\n1,x\0y\n\"\0\",2\n3,4\n\x1a");
    assert_eq!(read, [cells(2, &["1", "2"]), Err((3, "nul")), Err((4, "nul")), cells(5, &["3", "4"])]);
}

#[test]
fn a_thread_ahead_and_a_place_in_the_file_give_the_same_rows() {
    let mut text = b"a,b\n".to_vec();
    for row in 0..20_000 {
        text.extend(match row % 7 {
            0 => format!("{row},\"two\nlines \"\"{}\"\"\"\r\n", "x".repeat(row % 50)).into_bytes(),
            1 => format!("{row}\n").into_bytes(),
            2 => b"th\xe9,1\n\n".to_vec(),
            _ => format!("{row},{}\n", "y".repeat(row % 90)).into_bytes(),
        });
    }
    let seen = |row: Result<Record<'_>, Quarantined>| match row {
        Ok(row) => (row.line(), row.offset(), row.raw().to_vec(), row.iter().collect::<Vec<_>>().join("|")),
        Err(row) => (row.line, row.offset, row.raw().to_vec(), row.reason.to_string()),
    };
    let mut table = Table::open(&text[..]).unwrap();
    let mut expected = Vec::new();
    while let Some(row) = table.next().unwrap() {
        expected.push(seen(row));
    }
    assert_eq!(expected.len(), 20_000);
    let mut ahead = Table::open(io::Cursor::new(text.clone())).unwrap().ahead().unwrap();
    for expected in &expected {
        assert_eq!(&seen(ahead.next().unwrap().unwrap()), expected);
    }
    assert!(ahead.next().unwrap().is_none() && ahead.next().unwrap().is_none());
    let layout = table.layout().clone();
    for at in [1, 700, 19_990] {
        let (line, offset, ..) = expected[at];
        let mut resumed = layout.resume(&text[offset as usize..], line, offset).unwrap();
        for expected in &expected[at..expected.len().min(at + 50)] {
            assert_eq!(&seen(resumed.next().unwrap().unwrap()), expected);
        }
    }
}

#[test]
fn quarantined_rows_show_nothing_of_their_content() {
    let mut table = Table::open(&b"email\n\"zoe@example.org\n"[..]).unwrap();
    let row = table.next().unwrap().unwrap().unwrap_err();
    assert!(!format!("{row} {row:?}").contains("zoe"));
    assert_eq!(row.raw(), b"\"zoe@example.org");
    let error = count("06 12 34 56 78", None).unwrap_err();
    assert_eq!(error.to_string(), "not a non-negative whole number (like \"99 99 99 99 99\")");
    assert_eq!(date("zoe@example.org", None).unwrap_err().shape.as_str(), "aaa@aaaaaaa.aaa");
}

#[test]
fn found_says_what_was_decided_and_how() {
    let mut table = Table::open("sep=;\nE-Mail;x;x;\na;1;2;\n".as_bytes()).unwrap();
    let email = table.header().find(&["email"]).unwrap().unwrap();
    assert_eq!(table.header().find(&["X"]).unwrap_err().count, 2);
    table.found_mut().read_as(email, "email");
    assert_eq!(
        table.found().to_string(),
        "encoding: ascii\ndelimiter: ; (line sep=)\nheader: line 2\ncolumn \"E-Mail\": read as email\n\
         columns not read: x, x (2), column 4\ncolumns without a name of their own: x, x (2), column 4\n"
    );
    let json = serde_json::to_value(table.found()).unwrap();
    assert_eq!(json["delimiter"], serde_json::json!({"value": ";", "how": "sep_line"}));
    assert_eq!(json["columns"][0]["read_as"], "email");
}

#[test]
fn counts_have_no_fraction_so_groups_of_three_are_thousands() {
    let cases = [
        ("0", Some(0)),
        ("1234", Some(1234)),
        (" 1,234 ", Some(1234)),
        ("1.234", Some(1234)),
        ("2.000", Some(2000)),
        ("1.234.567", Some(1_234_567)),
        ("1.234.567,0", Some(1_234_567)),
        ("1\u{202f}234\u{202f}567", Some(1_234_567)),
        ("1 234\u{202f}567", None),
        ("1234.0", Some(1234)),
        ("1,234.00", Some(1234)),
        ("1234.000", None),
        ("1,234,00", None),
        ("0.000", None),
        ("0.123", None),
        ("1.5", None),
        ("12,50", None),
        ("1,23", None),
        ("12.", None),
        ("-1", None),
        ("+1", None),
        ("1e3", None),
        ("1_000", None),
        ("2.0K", None),
        ("18446744073709551616", None),
        ("1.234,567", None),
    ];
    for (text, expected) in cases {
        assert_eq!(count(text, None).ok(), expected, "{text}");
    }
    assert_eq!(count("1.234", Some(DecimalMark::Comma)).ok(), Some(1234));
    assert_eq!(count("1.234", Some(DecimalMark::Point)).ok(), None);
    assert_eq!(count("12,0", Some(DecimalMark::Point)).ok(), None);
    assert_eq!(count("", None).unwrap_err().problem, CellProblem::Empty);
}

#[test]
fn amounts_are_proven_by_their_column_or_refused() {
    use DecimalMark::{Comma, Point};
    let decided = |cells: &[&str]| {
        let mut evidence = DecimalEvidence::default();
        cells.iter().for_each(|cell| evidence.see(cell, 1));
        evidence.decide(None).map(|mark| mark.value)
    };
    assert_eq!(decided(&["1.234"]), None);
    assert_eq!(decided(&["12", "7"]), Some(Point));
    assert_eq!(decided(&["1.234", "12,50"]), Some(Comma));
    assert_eq!(decided(&["1.234", "12.5"]), Some(Point));
    assert_eq!(decided(&["0.123"]), Some(Point));
    assert_eq!(decided(&["0,123"]), Some(Comma));
    assert_eq!(decided(&["1234.567"]), Some(Point));
    assert_eq!(decided(&["1.234.567"]), Some(Comma));
    assert_eq!(decided(&["1,234.567"]), Some(Point));
    assert_eq!(decided(&["1 234,567"]), Some(Comma));
    assert_eq!(decided(&["12,50 €"]), Some(Comma));
    assert_eq!(decided(&["12.50", "12,50"]), None);
    let both = [vec!["12.50"; 20], vec!["12,50"]].concat();
    assert_eq!(decided(&both), Some(Point));
    for (text, point, comma) in [
        ("1234.50", Some("1234.50"), None),
        ("-12,5", None, Some("-12.5")),
        ("−4", Some("-4"), Some("-4")),
        ("+7", Some("7"), Some("7")),
        (".5", Some("0.5"), None),
        ("5.", None, None),
        ("1,234", Some("1234"), Some("1.234")),
        ("1.234,56", None, Some("1234.56")),
        ("1 234,56", None, Some("1234.56")),
        ("1'234.56", Some("1234.56"), None),
        ("12.345.678.901.234.567.890,12", None, Some("12345678901234567890.12")),
        ("1e3", None, None),
        ("1_000", None, None),
        ("0x10", None, None),
        ("(5.00)", None, None),
        ("--5", None, None),
        ("1٫5", None, None),
        ("NaN", None, None),
        ("inf", None, None),
        ("99999999999999999999999999999999", None, None),
    ] {
        let read = |mark| decimal(text, Some(mark)).ok().map(|number| number.to_string());
        assert_eq!(read(Point).as_deref(), point, "{text} with a point");
        assert_eq!(read(Comma).as_deref(), comma, "{text} with a comma");
    }
    assert_eq!(decimal("12.50", None).unwrap_err().problem, CellProblem::DecimalMark);
    assert_eq!(decimal("1 234", None).unwrap().to_string(), "1234");
    assert_eq!(percentage("12,5 %", Some(Comma)).unwrap().to_string(), "0.125");
    assert!(percentage("12.5", Some(Point)).is_err());
    assert_eq!(split_currency("12,50 €"), ("12,50", Some("€")));
    assert_eq!(split_currency("$12.00"), ("12.00", Some("$")));
    assert_eq!(split_currency("EUR -12.00"), ("-12.00", Some("EUR")));
    assert_eq!(split_currency("-12.00"), ("-12.00", None));
    assert_eq!(split_currency("12 apples"), ("12 apples", None));
}

proptest! {
    #[test]
    fn floats_are_those_of_the_standard_library(number in any::<f64>(), digits in 0_usize..12) {
        prop_assume!(number.is_finite());
        for text in [format!("{number}"), format!("{number:e}"), format!("{:.digits$}", number % 1e9)] {
            prop_assert_eq!(float(&text, DecimalMark::Point), text.parse().ok(), "{}", text);
            prop_assert_eq!(float(&text.replace('.', ","), DecimalMark::Comma), text.parse().ok(), "{}", text);
        }
    }

    #[test]
    fn decimals_are_written_back_as_they_were(mantissa in any::<i64>(), scale in 0_u32..18) {
        let number = rust_decimal::Decimal::new(mantissa, scale);
        prop_assert_eq!(decimal(&number.to_string(), Some(DecimalMark::Point)).unwrap(), number);
    }

    #[test]
    fn no_cell_panics(text in "\\PC{0,30}|[0-9.,:/ +\\-TZe'%€]{0,30}") {
        let _ = (count(&text, None), decimal(&text, Some(DecimalMark::Comma)), float(&text, DecimalMark::Point));
        let _ = (percentage(&text, None), split_currency(&text), boolean(&text), Missing::usual().is(&text), fold(&text));
        let order = Some(DateOrder::DayFirst);
        let _ = (date(&text, order), TimeFormat::new().date_order(order).parse(&text));
        let mut evidence = DecimalEvidence::default();
        evidence.see(&text, 1);
        let mut evidence = super::cell::DateEvidence::default();
        evidence.see(&text, 1);
        for epoch in [Epoch::Seconds, Epoch::Milliseconds, Epoch::Microseconds] {
            let _ = TimeFormat::new().epoch(epoch).parse(&text);
        }
    }
}

#[test]
fn timestamps_are_read_in_every_usual_spelling() {
    let instant = |format: &TimeFormat, text: &str| {
        let stamp = format.parse(text).ok()?;
        Some(stamp.in_zone(Some(&Utc)).unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    };
    let format = TimeFormat::new();
    for (text, expected) in [
        ("2025-01-15 10:00:00", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15T10:00:00Z", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15T10:00:00+02:00", Some("2025-01-15T08:00:00Z")),
        ("2025-01-15 10:00:00+02", Some("2025-01-15T08:00:00Z")),
        ("2025-01-15 10:00:00+0200", Some("2025-01-15T08:00:00Z")),
        ("2025-01-15 10:00:00 UTC", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15 10:00:00 +0100", Some("2025-01-15T09:00:00Z")),
        ("2025-01-15 10:00 +0000", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15T10:00:00.000+0000", Some("2025-01-15T10:00:00Z")),
        ("2026-08-03T00:21:00.123+0200", Some("2026-08-02T22:21:00.123Z")),
        ("2025-01-15 10:00:00.123456789", Some("2025-01-15T10:00:00.123456789Z")),
        ("2025-01-15 10:00:00,123", Some("2025-01-15T10:00:00.123Z")),
        ("2025-01-15 10:00", Some("2025-01-15T10:00:00Z")),
        ("2025-1-5 9:05:00", Some("2025-01-05T09:05:00Z")),
        ("  2025-01-15 10:00:00  ", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15  10:00:00", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15t10:00:00z", Some("2025-01-15T10:00:00Z")),
        ("2025-01-15 10:00:00-00:00", Some("2025-01-15T10:00:00Z")),
        ("20250115T100000Z", Some("2025-01-15T10:00:00Z")),
        ("Jan 15, 2025 10:00:00 AM", Some("2025-01-15T10:00:00Z")),
        ("Tue, 21 Oct 2025 11:02:55 GMT", Some("2025-10-21T11:02:55Z")),
        ("Mon, Aug 3, 2026 4:02 PM", Some("2026-08-03T16:02:00Z")),
        ("3 août 2026 à 16:02", Some("2026-08-03T16:02:00Z")),
        ("2026/08/03 12:21 a.m.", Some("2026-08-03T00:21:00Z")),
        ("2025-01-15 10:00:00 PM", Some("2025-01-15T22:00:00Z")),
        ("2025-01-15 22:00:00 PM", None),
        ("2025-01-15", None),
        ("15/01/2025 10:00", None),
        ("1736935200", None),
        ("45672.4166667", None),
        ("2025-01-15 24:00:00", None),
        ("2025-01-15 23:59:60", None),
        ("2025-02-30 10:00:00", None),
        ("0000-00-00 00:00:00", None),
        ("25-01-15 10:00:00", None),
        ("2025-01-15T10", None),
        ("2025-01-15T10:00:00é", None),
        ("2025-01-15 10:00:00+99:00", None),
    ] {
        assert_eq!(instant(&format, text).as_deref(), expected, "{text}");
    }
    let day_first = format.clone().date_order(DateOrder::DayFirst);
    let month_first = format.clone().date_order(DateOrder::MonthFirst);
    assert_eq!(instant(&day_first, "08/03/2026 12:21 AM").as_deref(), Some("2026-03-08T00:21:00Z"));
    assert_eq!(instant(&month_first, "08/03/2026 12:21 AM").as_deref(), Some("2026-08-03T00:21:00Z"));
    assert_eq!(instant(&day_first, "15.01.2025 10:00").as_deref(), Some("2025-01-15T10:00:00Z"));
    assert_eq!(instant(&month_first, "12/1/2026 8:26").as_deref(), Some("2026-12-01T08:26:00Z"));
    assert_eq!(instant(&month_first, "13/12/2026 8:26"), None);
    assert_eq!(format.parse("08/03/2026 10:00").unwrap_err().problem, CellProblem::DateOrder);
    assert_eq!(format.parse("1785716460").unwrap_err().problem, CellProblem::Epoch);
    let epoch = |epoch, text| instant(&format.clone().epoch(epoch), text);
    assert_eq!(epoch(Epoch::Seconds, "1785716460").as_deref(), Some("2026-08-03T00:21:00Z"));
    assert_eq!(epoch(Epoch::Seconds, "1785716460.5").as_deref(), Some("2026-08-03T00:21:00.500Z"));
    assert_eq!(epoch(Epoch::Milliseconds, "1785716460123").as_deref(), Some("2026-08-03T00:21:00.123Z"));
    assert_eq!(
        epoch(Epoch::Microseconds, "1772355600123456").as_deref(),
        Some("2026-03-01T09:00:00.123456Z")
    );
    assert_eq!(epoch(Epoch::Milliseconds, "2026-08-03 00:21:00"), None);
    let pattern = format.clone().pattern("%d.%m.%y %H:%M".to_owned());
    assert_eq!(instant(&pattern, "03.08.26 00:21").as_deref(), Some("2026-08-03T00:21:00Z"));
    assert_eq!(instant(&pattern, "2026-08-03 00:21:00"), None);
    let apart = format.parse_apart("2026-08-03", "00:21").unwrap().in_zone(Some(&Utc)).unwrap();
    assert_eq!(apart.to_rfc3339(), "2026-08-03T00:21:00+00:00");
    assert_eq!(
        format.parse("2025-01-15 10:00").unwrap().in_zone(None::<&Utc>).unwrap_err().problem,
        CellProblem::Zone
    );
}

#[test]
fn dates_are_plain_or_ordered_or_in_words() {
    let day = |text, order| date(text, order).ok().map(|day| day.to_string());
    for (text, expected) in [
        ("2026-01-02", Some("2026-01-02")),
        (" 2026/1/2 ", Some("2026-01-02")),
        ("20260102", Some("2026-01-02")),
        ("Mon, Aug 3, 2026", Some("2026-08-03")),
        ("3 févr. 2026", Some("2026-02-03")),
        ("2026-01-02 10:11:12", None),
        ("2026-02-30", None),
        ("0000-00-00", None),
        ("45292", None),
        ("02/01/2026", None),
    ] {
        assert_eq!(day(text, None).as_deref(), expected, "{text}");
    }
    assert_eq!(day("02/01/2026", Some(DateOrder::DayFirst)).as_deref(), Some("2026-01-02"));
    assert!(cell::is_zero_date("0000-00-00 00:00:00") && !cell::is_zero_date("2026-01-02"));
}

#[test]
fn truth_is_read_in_english_and_french() {
    for text in ["TRUE", "1", "1.0", "Yes", "oui", "Vrai", "o", "t", " on "] {
        assert_eq!(boolean(text), Ok(true), "{text}");
    }
    for text in ["False", "0", "0.0", "no", "NON", "faux", "f"] {
        assert_eq!(boolean(text), Ok(false), "{text}");
    }
    assert_eq!(boolean("").unwrap_err().problem, CellProblem::Empty);
    assert_eq!(boolean("peut-être").unwrap_err().problem, CellProblem::Boolean);
}

#[test]
fn usual_words_for_missing_are_missing() {
    let missing = Missing::usual();
    for text in [
        "", " ", "\u{a0}", "NA", "n/a", "#N/A", "NaN", "NULL", "(null)", "None", "\\N", "?", "-", "–", "N.A.",
    ] {
        assert!(missing.is(text), "{text}");
    }
    for text in ["0", "no", "none of them", "-1", "a"] {
        assert!(!missing.is(text), "{text}");
    }
    assert!(Missing::words(["9999"]).is("9999") && !Missing::words(["9999"]).is("NA"));
}

#[test]
fn nasty_files_get_their_verdicts() {
    let sample = testing::Sample::new(&["event_id", "note_text", "sent_at"], 1, |row, note| {
        vec![format!("e{row}"), note.to_owned(), "2026-05-02".to_owned()]
    });
    assert!(testing::files(&sample).len() >= 60);
    testing::check(&sample, |bytes| {
        let mut table = match Table::open(Dribble(bytes, 4099)) {
            Ok(table) => table,
            Err(error) => return testing::Answer::Refused(error.to_string()),
        };
        let names = table.header().find(&["Event ID"]).and_then(|_| table.header().find(&["note_text"]));
        let note = names.unwrap().unwrap();
        let (mut texts, mut quarantined) = (Vec::new(), Vec::new());
        while let Some(row) = table.next().unwrap() {
            match row {
                Ok(row) => texts.push(row.field(note).to_owned()),
                Err(row) => quarantined.push(row),
            }
        }
        testing::Answer::Read { rows: texts.len(), texts: Some(texts), quarantined }
    });
}

#[test]
fn check_of_nasty_files_fails_for_a_reader_that_splits_lines() {
    let sample = testing::Sample::new(&["a", "b", "c"], 1, |row, text| {
        vec![row.to_string(), text.to_owned(), "x".to_owned()]
    });
    let naive = std::panic::catch_unwind(|| {
        testing::check(&sample, |bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let rows = text.lines().skip(1).count();
            testing::Answer::Read { rows, texts: None, quarantined: Vec::new() }
        });
    });
    let message = naive.unwrap_err().downcast::<String>().unwrap();
    assert!(message.lines().count() > 30, "{message}");
}

#[test]
fn pattern_of_a_date_alone_gives_noon() {
    let format = TimeFormat::new().pattern("%m/%d/%y".to_owned());
    let at = format.parse("11/02/26").unwrap().in_zone(Some(&Utc)).unwrap();
    assert_eq!(at.to_rfc3339(), "2026-11-02T12:00:00+00:00");
    assert!(format.parse("11/02/26 10:00").is_err() && format.parse("13/02/26").is_err());
}

#[test]
fn name_of_a_column_may_say_that_its_times_are_utc() {
    let header = Header::new(["Created (UTC)", "date GMT", "created", "Outcome", "utc_offset_name"]);
    let said: Vec<bool> = (0..header.len()).map(|index| header.says_utc(index)).collect();
    assert_eq!(said, [true, true, false, false, true]);
}
