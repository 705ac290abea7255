//! CSV files: encodings, delimiters, missing values, invalid rows.

use mkt_connect::table::Encoding;
use mkt_connect::table::cell::{DateOrder, DecimalMark};
use mkt_connect::{Error, ErrorKind};
use mkt_social::csv::{Csv, Field};
use mkt_social::{Metric, Missing, ReadPosts, Request, SocialSource, SocialSourceExt, Value};

use super::posts::at;

const HEADER: &str = "post_id,platform,published_at,likes,reach\n";

fn source(bytes: impl AsRef<[u8]>) -> Csv {
    Csv::from_bytes(bytes, at("2026-06-01T00:00:00Z"))
}

async fn read(source: &Csv) -> ReadPosts {
    source.read_all(&Request::all()).await.unwrap()
}

async fn refused(bytes: impl AsRef<[u8]>) -> Error {
    source(bytes).read_all(&Request::all()).await.unwrap_err()
}

fn value(read: &ReadPosts, row: usize, metric: Metric) -> Value {
    read.observations[row].value(metric)
}

#[tokio::test]
async fn french_excel_export_is_read() {
    // Excel in French writes Windows-1252, semicolons and decimal commas.
    let text = "Identifiant;Plateforme;Date de publication;Texte;J'aime;Portée;Sponsorisé\r\n\
                7;Instagram;02/03/2026 18:05;Thé glacé à 3 €;1\u{a0}204,0;;non\r\n\
                8;Instagram;02/03/2026 19:05;Thé;1;9;non\r\n";
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
async fn byte_order_mark_counts_for_offsets_but_not_for_the_first_name() {
    let read = read(&source(format!("\u{feff}{HEADER}1,fb,noon,1,2\n"))).await;
    let aside = &read.quarantined[0];
    assert_eq!((aside.line, aside.offset), (2, 3 + HEADER.len() as u64));
    assert_eq!((aside.raw(), aside.reason.code()), (&b"1,fb,noon,1,2"[..], "timestamp"));
}

#[tokio::test]
async fn every_row_is_loaded_or_quarantined_with_place_and_reason() {
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
    let reasons: Vec<(u64, &str)> =
        read.quarantined.iter().map(|row| (row.line, row.reason.code())).collect();
    assert_eq!(
        reasons,
        [
            (3, "width"),
            (5, "count"),
            (6, "timestamp"),
            (8, "count"),
            (9, "empty"),
            (10, "empty"),
            (11, "zone"),
            (13, "contradiction"),
        ]
    );
    for row in &read.quarantined {
        let (from, raw) = (row.offset as usize, std::str::from_utf8(row.raw()).unwrap());
        assert_eq!(&text[from..from + raw.len()], raw, "line {}", row.line);
        assert_eq!(text[..from].matches('\n').count() as u64 + 1, row.line);
    }
    let tally = read.tally;
    assert_eq!((tally.read, tally.loaded, tally.quarantined, tally.duplicates), (11, 2, 8, 1));
    assert!(tally.adds_up());
}

#[tokio::test]
async fn file_has_one_encoding_and_rows_of_another_are_quarantined() {
    let latin = b"1,caf\xe9,2026-03-01T10:00:00Z,5,1\n";
    let utf8 = b"2,caf\xc3\xa9,2026-03-02T10:00:00Z,5,1\n";
    for rows in [[&latin[..], utf8], [&utf8[..], latin]] {
        let bytes = [HEADER.as_bytes(), rows[0], rows[1]].concat();
        let read = read(&source(&bytes)).await;
        let networks: Vec<&str> = read.posts.iter().map(|post| post.network.as_str()).collect();
        assert_eq!(networks, ["café"]);
        assert_eq!((read.quarantined[0].line, read.quarantined[0].reason.code()), (3, "encoding"));
    }
    let latin = [HEADER.as_bytes(), latin].concat();
    let declared = read(&source(&latin).encoding(Encoding::Utf8)).await;
    assert_eq!(declared.quarantined.len(), 1);
}

#[tokio::test]
async fn declared_mark_delimiter_and_network_are_used() {
    let text = "post_id|published_at|likes\n1|2026-03-01T10:00:00Z|1.204\n";
    let source = source(text).delimiter(b'|').decimal_mark(DecimalMark::Comma).network("Facebook Page");
    let read = read(&source).await;
    assert_eq!(value(&read, 0, Metric::Likes), Value::Known(1204));
    assert_eq!(read.posts[0].network, "Facebook Page");
}

#[tokio::test]
async fn posts_without_id_and_content_are_numbered_by_time() {
    let text = "date,likes\n2026-03-01T10:00:00Z,1\n2026-03-01T10:00:00Z,1\n2026-03-02T10:00:00+02:00,1\n";
    let read = read(&source(text)).await;
    let ids: Vec<&str> = read.posts.iter().map(|post| post.id.as_str()).collect();
    assert_eq!(ids, ["2026-03-01T10:00:00Z#1", "2026-03-01T10:00:00Z#2", "2026-03-02T08:00:00Z#1"]);
}

#[tokio::test]
async fn unreadable_file_or_header_is_an_error_of_one_sentence() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (
            b"a,b,c\n1,2,3\n",
            "the header has no column with the time of publication: map one to published_at; its columns: a, b, c",
        ),
        (
            b"published_at,text\n",
            "the header has no column with a metric: map one to likes, comments, shares, saves, reach, impressions or \
             views; its columns: published_at, text",
        ),
        (
            b"published_at,created_at,likes\n",
            "the columns \"published_at\" and \"created_at\" may both be published_at: map one of them to published_at",
        ),
        (b"PK\x03\x04\0\0", "the file is not text"),
    ];
    for (bytes, detail) in cases {
        let error = refused(bytes).await;
        assert_eq!((error.kind(), error.detail()), (ErrorKind::Input, Some(detail)));
        assert!(source(bytes).check().await.is_err(), "the check fails too");
    }
    let error = Csv::open("/nowhere/posts.csv", at("2026-06-01T00:00:00Z")).check().await.unwrap_err();
    assert_eq!(error.to_string(), "csv found nothing (check): the file does not exist");
}

/// A title before the header is skipped; somebody's row is not, and is not shown either.
#[tokio::test]
async fn a_row_in_place_of_the_header_is_refused_without_its_address() {
    let posts = "published_at,likes\n2026-11-01T10:00:00Z,1\n";
    let title = read(&source(format!("Exported for jo @ example\n{posts}"))).await;
    assert_eq!(title.posts.len(), 1);
    for row in ["u1,jo@example.org,Jo", "jo@example.org", "A title\njo@example.org,2"] {
        let error = refused(format!("{row}\n{posts}")).await.to_string();
        assert!(error.contains("a row is in the place of the header") && !error.contains('@'), "{error}");
    }
}

#[tokio::test]
async fn mapping_goes_before_usual_names_and_needs_its_column() {
    let absent = source(HEADER).column("Beiträge", Field::Id).check().await.unwrap_err();
    let detail =
        "the header has no column \"Beiträge\"; its columns: post_id, platform, published_at, likes, reach";
    assert_eq!(absent.detail(), Some(detail));
    let text = "date,heure,likes\n2026-03-01,2026-03-01T10:00:00Z,4\n";
    let mapped = read(&source(text).column("Heure", Field::PublishedAt)).await;
    assert_eq!(
        mapped.posts[0].published_at,
        at("2026-03-01T10:00:00Z"),
        "the mapped column, not the known name"
    );
}

#[tokio::test]
async fn unclosed_quotation_mark_costs_one_line() {
    let mut text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,\"fb,2026-03-01T10:00:00Z,5,100\n");
    for id in 3..200_000 {
        text.push_str(&format!("{id},fb,2026-03-01T10:00:00Z,5,100\n"));
    }
    let read = read(&source(&text)).await;
    assert_eq!((read.tally.loaded, read.tally.quarantined), (199_998, 1));
    assert_eq!((read.quarantined[0].line, read.quarantined[0].reason.code()), (3, "quote"));
}

/// A group of three digits is thousands, so a reach of `1.000` is not 1; a column empty in the whole file is not a missing
/// number.
#[tokio::test]
async fn thousands_and_empty_columns_are_read_as_they_are_meant() {
    let text = "post_id;published_at;likes;saves;shares;reach\n\
                1;2026-03-01T10:00:00Z;10;;1;1.000\n2;2026-03-01T11:00:00Z;20;;;2.500\n";
    let read = read(&source(text)).await;
    assert_eq!(
        (value(&read, 0, Metric::Reach), value(&read, 1, Metric::Reach)),
        (Value::Known(1_000), Value::Known(2_500))
    );
    assert_eq!(value(&read, 0, Metric::Saves), Value::Missing(Missing::NotSupported));
    assert_eq!(value(&read, 1, Metric::Shares), Value::Missing(Missing::Blank));
    assert_eq!(read.findings.empty, ["saves"]);
    let sums: Vec<Option<u64>> = read.sheet().measured().iter().map(mkt_social::interactions).collect();
    assert_eq!(sums, [Some(11), None]);
    // With a declared point, `1.000` is a fraction, and counts have none.
    let declared = source(text).decimal_mark(DecimalMark::Point).read_all(&Request::all()).await.unwrap();
    assert_eq!(declared.tally.quarantined, 2);
}

#[tokio::test]
async fn many_short_rows_are_not_a_long_one() {
    let mut text = HEADER.to_owned();
    for id in 0..50_000 {
        text.push_str(&format!("{id},fb,2026-03-01T10:00:00Z,5,100\n"));
    }
    assert_eq!(read(&source(&text).max_record(200)).await.tally.loaded, 50_000);
}

#[tokio::test]
async fn file_is_read_like_its_bytes_and_raw_rows_are_bounded() {
    let long = "x".repeat(10_000);
    let text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,fb,{long},5,100\n");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("posts.csv");
    std::fs::write(&path, &text).unwrap();
    let from_disk = read(&Csv::open(&path, at("2026-06-01T00:00:00Z"))).await;
    assert_eq!(from_disk, read(&source(&text)).await);
    assert_eq!(from_disk.quarantined[0].raw().len(), 4096);
    assert!(from_disk.quarantined[0].raw().starts_with(b"2,fb,xxx"));
    assert!(!format!("{:?}", from_disk.quarantined).contains("xxx"), "Debug does not show the row");
}

#[tokio::test]
async fn posts_outside_the_window_are_counted() {
    let text = format!("{HEADER}1,fb,2026-03-01T10:00:00Z,5,100\n2,fb,2026-03-02T10:00:00Z,5,100\n");
    let request = Request::between(at("2026-03-02T00:00:00Z"), at("2026-03-03T00:00:00Z"));
    let read = source(&text).read_all(&request).await.unwrap();
    assert_eq!((read.posts.len(), read.tally.outside, read.tally.read), (1, 1, 2));
}

#[tokio::test]
async fn random_bytes_neither_panic_nor_break_the_counts() {
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

/// What [`mkt_social::csv::write`] writes is what is read back, formulas and scripts included.
#[tokio::test]
async fn written_posts_are_read_back_and_guarded() {
    use mkt_social::{Memory, Observation, Post};
    let texts =
        ["=1+2", "+33 1", "-5", "@shop", "\ttab", "'=quoted", "'Tis the season", "a, \"b\"; c\nd", "＝1"];
    let rows = texts.iter().enumerate().map(|(index, text)| {
        let published_at = at("2026-03-01T10:00:00.250Z") + chrono::TimeDelta::hours(index as i64);
        let url = if index == 0 { "javascript:alert(1)" } else { "https://example.org/1" };
        let post = Post::new("bluesky", format!("at://{index}"), published_at).text(*text).url(url);
        let seen = Observation::of(&post, at("2026-06-01T00:00:00Z")).reading(
            Metric::Likes,
            "likeCount",
            Value::Known(index as u64),
        );
        (post, seen)
    });
    let original = Memory::new(rows).read_all(&Request::all()).await.unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("written.csv");
    mkt_social::csv::write(&path, &original).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for bare in [",=1", ",+33", ",-5", ",@shop", ",\t", ",javascript", ",＝", "\"\t"] {
        assert!(!text.contains(bare), "{bare:?} in {text}");
    }
    let again = Csv::open(&path, at("2026-06-01T00:00:00Z")).read_all(&Request::all()).await.unwrap();
    // White space around a cell is not content.
    let trimmed = |read: &ReadPosts| -> Vec<Post> {
        let mut posts = read.posts.clone();
        posts.iter_mut().for_each(|post| post.text = post.text.as_deref().map(|text| text.trim().to_owned()));
        posts
    };
    assert_eq!(trimmed(&again), trimmed(&original));
    // The network has no reach: the empty column is not a missing number, and engagement is known.
    assert_eq!(again.observations[3].value(Metric::Reach), Value::Missing(Missing::NotSupported));
    assert_eq!(mkt_social::interactions(&again.sheet().measured()[3]), Some(3));
    assert!(!path.with_extension("part").exists());
}

#[tokio::test]
async fn nasty_files_get_their_verdicts() {
    use mkt_connect::table::testing::{Answer, Sample, check};

    let sample = Sample::new(&["post_id", "message", "likes", "published_at"], 1, |row, note| {
        vec![format!("p{row}"), note.to_owned(), row.to_string(), "2026-05-02T10:00:00Z".to_owned()]
    });
    let mut read = Vec::new();
    for file in mkt_connect::table::testing::files(&sample) {
        read.push(match source(&file.bytes).read_all(&Request::all()).await {
            Ok(read) => {
                let text = |post: &mkt_social::Post| post.text.clone().unwrap_or_default();
                let texts = read.posts.iter().map(text).collect();
                Answer::Read { rows: read.posts.len(), texts: Some(texts), quarantined: read.quarantined }
            }
            Err(error) => Answer::Refused(error.to_string()),
        });
    }
    let mut read = read.into_iter();
    check(&sample, |_| read.next().unwrap());
}
