//! Suppression lists as files.

use super::*;
use mkt_email::outbox::{SuppressionRow, Suppressions};

on_each_engine!(exported_suppressions_import_unchanged, unreadable_suppression_is_quarantined_with_its_line,);

fn read(text: &str) -> Vec<SuppressionRow> {
    Suppressions::read(text.as_bytes(), "file.csv", noon()).unwrap().collect::<Result<_>>().unwrap()
}

fn one(text: &str) -> Suppression {
    match read(text).remove(0) {
        SuppressionRow::Suppression(row) => *row,
        other => panic!("{other:?}"),
    }
}

async fn export(outbox: &Outbox) -> String {
    let mut out = Vec::new();
    outbox.export_suppressions(&mut out, noon()).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn exported_suppressions_import_unchanged(engine: Engine) {
    let outbox = engine.outbox().await;
    let ends = instant("2027-01-01T00:00:00Z");
    let rows = [
        suppression(&reader(1), SuppressionScope::All),
        Suppression::new(
            reader(2),
            SuppressionScope::Marketing,
            SuppressionReason::Complaint,
            "test",
            noon(),
        ),
        Suppression::new(
            reader(3),
            SuppressionScope::List("-news;\"à\"".to_owned()),
            SuppressionReason::Unsubscribed,
            "=HYPERLINK(\"http://evil\")",
            noon(),
        )
        .until(ends),
        suppression(&address("+cmd@example.org"), SuppressionScope::All),
        // Over when the list is written.
        suppression(&reader(4), SuppressionScope::All).until(noon()),
        suppression(&reader(5), SuppressionScope::All),
    ];
    outbox.suppress(&rows).await.unwrap();
    outbox.erase(&reader(5), noon()).await.unwrap();
    let text = export(&outbox).await;
    assert!(!text.contains("reader5") && !text.contains("reader4"), "{text}");
    // No field that a spreadsheet would run: every one is quoted, none begins with a sign.
    for sign in ["=", "+", "-", "@"] {
        assert!(!text.contains(&format!("\"{sign}")), "{sign} in {text}");
    }
    assert!(text.contains("\"'+cmd@example.org\"") && text.contains("\"'=HYPERLINK"), "{text}");

    let other = engine.outbox().await;
    let file = || Suppressions::read(text.as_bytes(), "export.csv", noon()).unwrap();
    let told = other.import_suppressions(file()).await.unwrap();
    assert_eq!((told.rows, told.added, told.quarantined), (5, 5, 0));
    assert_eq!(export(&other).await, text);
    let again = other.import_suppressions(file()).await.unwrap();
    assert_eq!((again.rows, again.added), (5, 0));
    let emails = [1, 2, 5].map(|number| transactional("test", &reader(number)));
    assert_eq!(other.enqueue(&emails, noon()).await.unwrap().map_to_new(), [false, true, false]);
}

trait MapToNew {
    fn map_to_new(&self) -> Vec<bool>;
}

impl MapToNew for Vec<Enqueued> {
    fn map_to_new(&self) -> Vec<bool> {
        self.iter().map(|answer| matches!(answer, Enqueued::Enqueued(_))).collect()
    }
}

async fn unreadable_suppression_is_quarantined_with_its_line(engine: Engine) {
    let outbox = engine.outbox().await;
    let text = "\u{feff}address;scope;list;reason;at\r\n\
        reader1@example.org;all;;manual;2026-01-01\r\n\
        reader2@example.org;all;;manual;2026-01-01T00:00:00Z\r\n\
        nobody;all;;manual;\r\n\
        ;all;;manual;\r\n\
        reader3@example.org;some;;manual;\r\n\
        reader4@example.org;list;;manual;\r\n\
        reader5@example.org;all;;whim;\r\n\
        \"reader6@example.org\r\n\";marketing;;complaint;\r\n\
        reader7@example.org;list;news;unsubscribed;\r\n";
    let file = Suppressions::read(text.as_bytes(), "list.csv", noon()).unwrap();
    let told = outbox.import_suppressions(file).await.unwrap();
    let problems: Vec<_> = told.first_quarantined.iter().map(|row| (row.line, row.reason.code())).collect();
    assert_eq!(
        problems,
        [(2, "timestamp"), (4, "address"), (5, "nobody"), (6, "scope"), (7, "scope"), (8, "reason"),]
    );
    assert_eq!((told.rows, told.added, told.quarantined), (9, 3, 6));
    assert_eq!(told.first_quarantined[1].to_string(), "line 4: the address is not well-formed");
}

#[test]
fn vendor_suppression_files_are_recognised() {
    let bounce =
        one("address,code,error,created_at\na@b.org,550,no such user,\"Fri, 21 Oct 2011 11:02:55 GMT\"\n");
    assert_eq!((bounce.scope, bounce.reason), (SuppressionScope::All, SuppressionReason::HardBounce));
    assert_eq!((bounce.at, bounce.source.as_str()), (instant("2011-10-21T11:02:55Z"), "file.csv"));
    let row = one("address,tags,created_at\na@b.org,*,\"Fri, 21 Oct 2011 11:02:55 UTC\"\n");
    assert_eq!((row.scope, row.reason), (SuppressionScope::Marketing, SuppressionReason::Unsubscribed));
    assert_eq!(row.at, instant("2011-10-21T11:02:55Z"));
    let row = one("address,tags\na@b.org,news\n");
    assert_eq!(row.scope, SuppressionScope::List("news".to_owned()));
    let row = one("address,created_at\na@b.org,\n");
    assert_eq!(
        (row.scope, row.reason, row.at),
        (SuppressionScope::All, SuppressionReason::Complaint, noon())
    );
    for (code, scope, reason) in [
        ("hardBounce", SuppressionScope::All, SuppressionReason::HardBounce),
        ("contactFlaggedAsSpam", SuppressionScope::All, SuppressionReason::Complaint),
        ("adminBlocked", SuppressionScope::All, SuppressionReason::Manual),
        ("unsubscribedViaEmail", SuppressionScope::Marketing, SuppressionReason::Unsubscribed),
        ("unsubscribedViaApi", SuppressionScope::Marketing, SuppressionReason::Unsubscribed),
    ] {
        let row = one(&format!("email,blockedAt,reason.code\na@b.org,2017-05-01T12:30:00Z,{code}\n"));
        assert_eq!(
            (row.scope, row.reason, row.at),
            (scope, reason, instant("2017-05-01T12:30:00Z")),
            "{code}"
        );
    }
    let row = one("Email\na@b.org\n");
    assert_eq!((row.scope, row.reason), (SuppressionScope::All, SuppressionReason::Manual));
    let file = Suppressions::read("email\na@b.org\n".as_bytes(), "f", noon()).unwrap();
    let file = file.default_to(SuppressionScope::Marketing, SuppressionReason::Unsubscribed);
    let rows: Vec<_> = file.map(|row| row.unwrap()).collect();
    assert!(matches!(&rows[0], SuppressionRow::Suppression(row) if row.scope == SuppressionScope::Marketing));
}

#[test]
fn file_without_addresses_is_an_error() {
    let error = Suppressions::read("name,age\n".as_bytes(), "f", noon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    // A line that never ends, before more than anybody wants to hold.
    let endless = std::io::Read::chain("address\n\"".as_bytes(), std::io::repeat(b'x'));
    let mut rows = Suppressions::read(endless, "f", noon()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap_err().kind(), ErrorKind::Input);
    assert!(rows.next().is_none());
}

/// Read as one field to the end of the file, it would let everybody behind it be mailed, without a word.
#[test]
fn unclosed_quote_costs_one_line_of_suppressions() {
    let rows = read(
        "address,code,error,created_at\nreader1@example.org,550,\"no such user,\nreader2@example.org,550,gone,\n\
         reader3@example.org,550,\"said \"\"no\"\"\",\n",
    );
    assert!(
        matches!(&rows[0], SuppressionRow::Quarantined(row) if row.line == 2 && row.reason.code() == "quote")
    );
    let named = |row: &SuppressionRow, number| matches!(row, SuppressionRow::Suppression(row) if row.address == reader(number));
    assert!(rows.len() == 3 && named(&rows[1], 2) && named(&rows[2], 3), "{rows:?}");
}

#[test]
fn several_tags_suppress_all_marketing() {
    for tags in ["\"news,offers\"", "[*]", "\"[\"\"news\"\"]\""] {
        let row = one(&format!("address,tags,created_at\na@b.org,{tags},\n"));
        assert_eq!(row.scope, SuppressionScope::Marketing, "{tags}");
    }
}

#[test]
fn nasty_files_get_their_verdicts() {
    use mkt_connect::table::testing::{Answer, Sample, check};
    let sample = Sample::new(&["address", "note", "created_at"], 1, |row, note| {
        vec![format!("p{row}@shop.example"), note.to_owned(), "2026-05-02T10:00:00Z".to_owned()]
    });
    check(&sample, |bytes| {
        let reader = match Suppressions::read(bytes, "f", noon()) {
            Ok(reader) => reader,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let (mut rows, mut quarantined) = (0, Vec::new());
        for row in reader {
            match row.unwrap() {
                SuppressionRow::Quarantined(row) => quarantined.push(row),
                _ => rows += 1,
            }
        }
        Answer::Read { rows, texts: None, quarantined }
    });
}
