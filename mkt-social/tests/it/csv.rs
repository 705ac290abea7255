//! CSV files as they come: encodings, separators, holes, lies.

use mkt_connect::{Error, ErrorKind};
use mkt_social::source::csv::{CsvSource, DateOrder, DecimalMark, Field, TextEncoding};
use mkt_social::source::{Quarantined, Reception, Refusal};
use mkt_social::{Metric, Missing, Request, SocialSource, SocialSourceExt, Value};

use super::made::at;

const HEADER: &str = "post_id,platform,published_at,likes,reach\n";

fn source(bytes: impl AsRef<[u8]>) -> CsvSource {
    CsvSource::from_bytes(bytes, at("2026-06-01T00:00:00Z"))
}

async fn read(source: &CsvSource) -> Reception {
    source.read_all(&Request::all()).await.unwrap()
}

async fn refused(bytes: impl AsRef<[u8]>) -> Error {
    source(bytes).read_all(&Request::all()).await.unwrap_err()
}

fn value(read: &Reception, row: usize, metric: Metric) -> Value {
    read.observations[row].value(metric)
}

#[tokio::test]
async fn a_french_spreadsheet_export_reads_as_it_was_meant() {
    // Excel in French writes Windows-1252, semicolons, decimal commas, and names of its own.
    let text = "Identifiant;Plateforme;Date de publication;Texte;J'aime;Portée;Sponsorisé\r\n\
                7;Instagram;02/03/2026 18:05;Thé glacé à 3 €;1\u{a0}204,0;;non\r\n";
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
    assert!(!unmappable);
    let source = source(bytes)
        .column("identifiant", Field::Id)
        .zone(chrono_tz::Europe::Paris)
        .date_order(DateOrder::DayFirst);
    let read = read(&source).await;
    assert_eq!(read.quarantined, []);
    let post = &read.posts[0];
    assert_eq!((post.id.as_str(), post.network.as_str()), ("7", "instagram"));
    assert_eq!(post.published_at, at("2026-03-02T17:05:00Z"));
    assert_eq!(post.text.as_deref(), Some("Thé glacé à 3 €"));
    assert_eq!(post.paid, Some(false));
    assert_eq!(value(&read, 0, Metric::Likes), Value::Known(1204));
    assert_eq!(value(&read, 0, Metric::Reach), Value::Missing(Missing::Blank));
    assert_eq!(value(&read, 0, Metric::Saves), Value::Missing(Missing::NotSupported), "no such column");
    assert_eq!(&*read.observations[0].readings[1].native, "Portée");
}

#[tokio::test]
async fn a_byte_order_mark_is_not_part_of_the_first_name_and_offsets_count_it() {
    let read = read(&source(format!("\u{feff}{HEADER}1,fb,noon,1,2\n"))).await;
    let aside = &read.quarantined[0];
    assert_eq!((aside.line, aside.offset), (2, 3 + HEADER.len() as u64));
    assert_eq!(aside.raw, b"1,fb,noon,1,2");
    assert_eq!(aside.reason, Refusal::Time);
}

#[tokio::test]
async fn every_row_is_loaded_or_set_aside_with_its_place_and_reason() {
    let text = format!(
        "{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n\
         2,fb,2026-03-01T11:00:00Z,5\n\
         \n\
         3,fb,2026-03-01T12:00:00Z,five,100\n\
         \"4\",fb,\"spring\nnoon\",5,100\n\
         5,fb,2026-03-01T13:00:00Z,-5,100\n\
         ,fb,2026-03-01T13:00:00Z,5,100\n\
         6,fb,,5,100\n\
         7,fb,2026-03-01 13:00:00,5,100\n\
         1,fb,2026-03-01T10:00:00Z,5,100\n\
         1,fb,2026-03-01T10:00:00Z,6,100\n\
         8,fb,2026-03-01T14:00:00Z,5,100"
    );
    let read = read(&source(&text)).await;
    assert_eq!(read.posts.iter().map(|post| post.id.as_str()).collect::<Vec<_>>(), ["1", "8"]);
    let reasons: Vec<(u64, Refusal)> = read.quarantined.iter().map(|q| (q.line, q.reason.clone())).collect();
    assert_eq!(
        reasons,
        [
            (3, Refusal::Fields { expected: 5, found: 4 }),
            (5, Refusal::Number { metric: Metric::Likes }),
            (6, Refusal::Time),
            (8, Refusal::Number { metric: Metric::Likes }),
            (9, Refusal::Empty { field: "post id" }),
            (10, Refusal::Empty { field: "time of publication" }),
            (11, Refusal::Zone),
            (13, Refusal::Contradiction { line: 2 }),
        ]
    );
    for Quarantined { line, offset, raw, .. } in &read.quarantined {
        let (from, raw) = (*offset as usize, std::str::from_utf8(raw).unwrap());
        assert_eq!(&text[from..from + raw.len()], raw, "line {line}");
        assert_eq!(text[..from].matches('\n').count() as u64 + 1, *line);
    }
    let tally = read.tally;
    assert_eq!((tally.read, tally.loaded, tally.quarantined, tally.duplicates), (11, 2, 8, 1));
    assert!(tally.adds_up());
}

#[tokio::test]
async fn the_first_row_with_accents_decides_the_encoding_of_the_file() {
    let latin =
        [HEADER.as_bytes(), b"1,caf\xe9,2026-03-01T10:00:00Z,5,1\n2,caf\xc3\xa9,2026-03-02T10:00:00Z,5,1\n"]
            .concat();
    let networks = |read: &Reception| read.posts.iter().map(|post| post.network.clone()).collect::<Vec<_>>();
    assert_eq!(
        networks(&read(&source(&latin)).await),
        ["café", "cafã©"],
        "one encoding for one file, lower case"
    );
    let utf8 =
        [HEADER.as_bytes(), b"2,caf\xc3\xa9,2026-03-02T10:00:00Z,5,1\n1,caf\xe9,2026-03-01T10:00:00Z,5,1\n"]
            .concat();
    let read_utf8 = read(&source(&utf8)).await;
    assert_eq!(networks(&read_utf8), ["café"]);
    assert_eq!(read_utf8.quarantined[0].reason, Refusal::Encoding { encoding: "UTF-8" });
    assert_eq!(read_utf8.quarantined[0].raw, b"1,caf\xe9,2026-03-01T10:00:00Z,5,1");
    let declared = read(&source(&latin).encoding(TextEncoding::Utf8)).await;
    assert_eq!(declared.quarantined.len(), 1);
}

#[tokio::test]
async fn a_declared_mark_and_separator_win_over_the_guess() {
    let text = "post_id|published_at|likes\n1|2026-03-01T10:00:00Z|1.204\n";
    let source = source(text).separator(b'|').decimal(DecimalMark::Comma).network("Facebook Page");
    let read = read(&source).await;
    assert_eq!(value(&read, 0, Metric::Likes), Value::Known(1204));
    assert_eq!(read.posts[0].network, "Facebook Page");
}

#[tokio::test]
async fn posts_without_an_id_are_named_by_their_instant() {
    let text = "date,likes\n2026-03-01T10:00:00Z,1\n2026-03-01T10:00:00Z,1\n2026-03-02T10:00:00+02:00,1\n";
    let read = read(&source(text)).await;
    let ids: Vec<&str> = read.posts.iter().map(|post| post.id.as_str()).collect();
    assert_eq!(ids, ["2026-03-01T10:00:00Z#1", "2026-03-01T10:00:00Z#2", "2026-03-02T08:00:00Z#1"]);
}

#[tokio::test]
async fn an_empty_file_a_wrong_header_and_a_missing_file_say_so_in_one_sentence() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"a,b,c\n1,2,3\n", "the header has no column with the time of publication (published_at)"),
        (b"published_at,text\n", "the header has no column with a count (likes, comments, reach, …)"),
        (
            b"date,published_at,likes\n",
            "the columns \"date\" and \"published_at\" hold the same thing; map one of them",
        ),
        (b"\xff\xfed\0a\0", "the file is UTF-16; save it as UTF-8"),
        (b"PK\x03\x04\0\0", "the file is not text"),
    ];
    for (bytes, detail) in cases {
        let error = refused(bytes).await;
        assert_eq!((error.kind(), error.detail()), (ErrorKind::Input, Some(detail)));
        assert!(source(bytes).check().await.is_err(), "the check sees it too");
    }
    let error = CsvSource::open("/nowhere/posts.csv", at("2026-06-01T00:00:00Z")).check().await.unwrap_err();
    assert_eq!(error.to_string(), "csv did not find what was asked for (check): the file does not exist");
}

#[tokio::test]
async fn mapping_two_columns_or_an_absent_one_is_refused() {
    let absent = source(HEADER).column("Beiträge", Field::Id).check().await.unwrap_err();
    assert_eq!(absent.detail(), Some("the header has no column \"Beiträge\""));
    let text = "date,heure,likes\n2026-03-01,2026-03-01T10:00:00Z,4\n";
    let mapped = read(&source(text).column("Heure", Field::PublishedAt)).await;
    assert_eq!(
        mapped.posts[0].published_at,
        at("2026-03-01T10:00:00Z"),
        "the mapped column, not the known name"
    );
}

#[tokio::test]
async fn a_quotation_mark_that_never_ends_does_not_swallow_the_file() {
    let mut text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,\"fb,2026-03-01T10:00:00Z,5,100\n");
    for id in 3..200_000 {
        text.push_str(&format!("{id},fb,2026-03-01T10:00:00Z,5,100\n"));
    }
    let error = source(&text).read_all(&Request::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.detail(),
        Some(
            "the row that begins on line 3 is longer than 1048576 bytes; perhaps a quotation mark never ends"
        )
    );
}

#[tokio::test]
async fn many_short_rows_do_not_look_like_a_long_one() {
    let mut text = HEADER.to_owned();
    for id in 0..50_000 {
        text.push_str(&format!("{id},fb,2026-03-01T10:00:00Z,5,100\n"));
    }
    assert_eq!(read(&source(&text).longest_row(200)).await.tally.loaded, 50_000);
}

#[tokio::test]
async fn a_file_on_disk_reads_like_its_bytes_and_raw_rows_are_bounded() {
    let long = "x".repeat(10_000);
    let text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,fb,{long},5,100\n");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("posts.csv");
    std::fs::write(&path, &text).unwrap();
    let from_disk = read(&CsvSource::open(&path, at("2026-06-01T00:00:00Z"))).await;
    assert_eq!(from_disk, read(&source(&text)).await);
    assert_eq!(from_disk.quarantined[0].raw.len(), 4096);
    assert!(from_disk.quarantined[0].raw.starts_with(b"2,fb,xxx"));
    assert!(!format!("{:?}", from_disk.quarantined).contains("xxx"), "Debug keeps the row's text to itself");
}

#[tokio::test]
async fn the_window_counts_what_it_leaves_out() {
    let text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,fb,2026-03-02T10:00:00Z,5,100\n");
    let request = Request::between(at("2026-03-02T00:00:00Z"), at("2026-03-03T00:00:00Z"));
    let read = source(&text).read_all(&request).await.unwrap();
    assert_eq!((read.posts.len(), read.tally.outside, read.tally.read), (1, 1, 2));
}

#[tokio::test]
async fn no_bytes_make_the_reader_panic_or_lose_count() {
    use rand::{Rng, SeedableRng};
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(11);
    let alphabet = b"\",;\t\r\n 0123456789-:TZ.\xc3\xa9\xe9ab\0\xef\xbb\xbf";
    for _ in 0..400 {
        let noise: Vec<u8> = (0..300).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect();
        let bytes = [HEADER.as_bytes(), b"1,fb,2026-03-01T10:00:00Z,5,100\n", &noise].concat();
        if let Ok(read) = source(&bytes).read_all(&Request::all().page_size(3)).await {
            assert!(read.tally.adds_up());
            assert_eq!(read.tally.quarantined, read.quarantined.len() as u64);
            assert_eq!(read.tally.loaded, read.posts.len() as u64);
        }
    }
}
