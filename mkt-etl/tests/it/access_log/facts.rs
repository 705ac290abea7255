//! What real servers and readers of logs do, seen by running them; each as a test.

use super::{Bench, FIREFOX, IPHONE, line, log, page};
use mkt_etl::sessions::Rules;
use std::io::Write;

#[tokio::test]
async fn lines_are_ordered_by_instant_and_not_by_their_place_in_the_file() {
    // nginx logs the end of a request: the page that took long comes after its successor.
    let bench = Bench::new().await;
    bench.log([page("10:00:09", "/second"), page("10:00:01", "/first")].concat()).await;
    assert_eq!(bench.urls().await, ["/first", "/second"]);
    assert_eq!(bench.sessions().await[0].landing_url.as_deref(), Some("/first"));
}

#[tokio::test]
async fn each_line_has_its_own_offset() {
    let bench = Bench::new().await;
    // The same instant in three zones, and a minute later.
    let lines = [
        "02/May/2026:10:00:00 +0200",
        "02/May/2026:04:00:00 -0400",
        "02/May/2026:13:30:00 +0530",
        "02/May/2026:08:01:00 +0000",
    ];
    let content: String = lines.iter().map(|time| line("192.0.2.1", time, "/", "-", FIREFOX)).collect();
    assert_eq!(bench.log(content).await.sessions, 1);
    let session = bench.sessions().await.remove(0);
    assert_eq!((session.pages_viewed, session.time_on_site), (4, Some(60)));
}

#[tokio::test]
async fn midnight_cuts_no_visit_unless_the_rules_say_so() {
    let night = [
        line("192.0.2.1", "02/May/2026:23:50:00 +0200", "/a", "-", FIREFOX),
        line("192.0.2.1", "03/May/2026:00:10:00 +0200", "/b", "-", FIREFOX),
    ]
    .concat();
    let bench = Bench::new().await;
    assert_eq!(bench.log(&night).await.sessions, 1);
    let (sessions, events) = (bench.sessions().await, bench.events().await);
    assert_eq!((sessions[0].day.to_string().as_str(), sessions[0].pages_viewed), ("2026-05-02", 2));
    // Each event is of its own day and names the visit of the day before.
    assert_eq!(events[1].day.to_string(), "2026-05-03");
    assert!(events.iter().all(|event| event.session_id.as_ref() == Some(&sessions[0].session_id)));
    assert!(events.iter().all(|event| event.user_id == sessions[0].user_id));
    let bench = Bench::new().await;
    let matomo = bench.load(log().rules(Rules::matomo()).file(bench.file("a.log", &night))).await;
    assert_eq!(matomo.sessions, 2);
    // Another day, another salt: the two visits cannot be brought together.
    let sessions = bench.sessions().await;
    assert_ne!(sessions[0].user_id, sessions[1].user_id);
}

#[tokio::test]
async fn both_clock_changes_cut_no_visit_and_hide_no_gap() {
    for (times, visits) in [
        // Spring: 01:55 +0100 and 03:05 +0200 are ten minutes apart.
        (["29/Mar/2026:01:55:00 +0100", "29/Mar/2026:03:05:00 +0200"], 1),
        // Autumn: 02:55 +0200 and 02:05 +0100 are ten minutes apart, 02:10 and 02:20 an hour and ten.
        (["25/Oct/2026:02:55:00 +0200", "25/Oct/2026:02:05:00 +0100"], 1),
        (["25/Oct/2026:02:10:00 +0200", "25/Oct/2026:02:20:00 +0100"], 2),
    ] {
        let bench = Bench::new().await;
        let content: String = times.iter().map(|time| line("192.0.2.1", time, "/", "-", FIREFOX)).collect();
        assert_eq!(bench.log(content).await.sessions, visits, "{times:?}");
    }
}

#[tokio::test]
async fn a_second_servers_late_lines_belong_to_the_visit() {
    let bench = Bench::new().await;
    let first: String =
        ["10:00:00", "10:20:00", "10:40:00", "11:00:00"].map(|time| page(time, "/a")).concat();
    let second: String = ["10:10:00", "10:30:00", "10:50:00"].map(|time| page(time, "/b")).concat();
    // As one file after another, which other tools call corrupted or cut into visits.
    let loaded = bench.log([first, second].concat()).await;
    assert_eq!((loaded.read, loaded.loaded, loaded.sessions), (7, 7, 1));
}

#[tokio::test]
async fn user_names_with_blanks_and_brackets_stand_raw() {
    let bench = Bench::new().await;
    let names = ["marie curie", "a b c", "o'hara [admin]", "-", "jo@example.org"];
    let content: String =
        names.iter().map(|name| page("10:00:00", "/").replacen("- - [", &format!("- {name} ["), 1)).collect();
    let loaded = bench.log(content).await;
    assert_eq!((loaded.loaded, loaded.quarantined), (5, 0), "{:?}", loaded.files);
    // The name is not kept.
    let dump = crate::support::dump(&bench.warehouse).await;
    assert!(!dump.contains("curie") && !dump.contains("example.org"));
}

#[tokio::test]
async fn json_with_nginx_default_escapes_costs_one_line_each() {
    let json = |agent: &str| {
        format!(
            "{{\"time_iso8601\":\"2026-05-02T10:00:00+02:00\",\"remote_addr\":\"192.0.2.7\",\"request_method\":\"GET\",\"request_uri\":\"/a\",\"status\":200,\"http_user_agent\":\"{agent}\"}}\n"
        )
    };
    let bench = Bench::new().await;
    let loaded = bench.log([json(FIREFOX), json(r"say \x22hi\x22"), json(FIREFOX)].concat()).await;
    assert_eq!((loaded.read, loaded.loaded, loaded.quarantined), (3, 2, 1));
    let (number, reason, _) = bench.quarantine().await.remove(0);
    assert_eq!(number, 2);
    assert!(reason.contains("nginx's default escapes") && reason.contains("escape=json"), "{reason}");
}

#[tokio::test]
async fn an_absent_agent_is_one_rule_however_it_is_written() {
    let bench = Bench::new().await;
    let of = |agent: &str| line("192.0.2.1", "02/May/2026:10:00:00 +0200", "/", "-", agent);
    let loaded = bench.log([of("-"), of(""), of(" "), of(FIREFOX)].concat()).await;
    assert_eq!((loaded.bots, loaded.loaded), (3, 1));
    assert_eq!(bench.numbers("bots").await, [("no agent".to_owned(), "3".to_owned())].into());
}

#[tokio::test]
async fn people_with_bot_or_link_in_their_phone_or_app_are_people() {
    let bench = Bench::new().await;
    let people = [
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [LinkedInApp]/9.27.4317",
    ];
    let robots = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
        "python-requests/2.32.3",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
        "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
    ];
    let content: String = people
        .iter()
        .chain(&robots)
        .map(|agent| line("192.0.2.1", "02/May/2026:10:00:00 +0200", "/", "-", agent))
        .collect();
    let loaded = bench.log(content).await;
    assert_eq!((loaded.loaded, loaded.bots, loaded.sessions), (2, 4, 2));
}

#[tokio::test]
async fn a_line_that_was_cut_at_1024_bytes_is_set_aside() {
    let whole = |target: &str| {
        format!(
            "192.0.2.7:33317 [02/May/2026:10:00:00.655] in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 \"GET {target} HTTP/1.1\"\n"
        )
    };
    let mut cut = whole(&format!("/{}", "a".repeat(2000)));
    cut.truncate(1024);
    let bench = Bench::new().await;
    let loaded = bench.log([whole("/a"), format!("{cut}\n"), whole("/b")].concat()).await;
    assert_eq!((loaded.loaded, loaded.quarantined), (2, 1));
    let (number, reason, raw) = bench.quarantine().await.remove(0);
    assert_eq!(
        (number, reason.as_str()),
        (2, "the request is not closed: a line that was cut at 1 024 bytes")
    );
    assert!(raw.starts_with("[ip]:33317 [02/May/2026:10:00:00.655] in static"), "{raw}");
}

#[tokio::test]
async fn haproxys_local_times_are_of_the_zone_that_is_said() {
    let of = |clock: &str| {
        format!(
            "192.0.2.7:1 [25/Oct/2026:{clock}] in s/a 0/0/0/0/0 200 27 - - ---- 1/1/1/1/0 0/0 \"GET /{clock} HTTP/1.1\"\n"
        )
    };
    let bench = Bench::new().await;
    // 02:50 and 02:10 on the wall, 20 minutes apart; then an hour later.
    let loaded = bench.log([of("02:50:00.000"), of("02:10:00.000"), of("03:10:00.000")].concat()).await;
    assert_eq!(loaded.sessions, 2);
    let times: Vec<String> = bench.events().await.iter().map(|event| event.timestamp.to_rfc3339()).collect();
    assert_eq!(
        times,
        ["2026-10-25T00:50:00+00:00", "2026-10-25T01:10:00+00:00", "2026-10-25T02:10:00+00:00"]
    );
    let note = &loaded.files[0].notes[0];
    assert_eq!(
        note,
        "3 times without an offset, read as times of Europe/Paris; 2 of them are of the hour that comes twice, and were told by the line before"
    );
}

#[tokio::test]
async fn cloudfronts_status_000_is_a_request_that_nobody_was_answered() {
    let bench = Bench::new().await;
    let row =
        |status: &str| format!("2026-05-02\t08:00:00\t192.0.2.7\tGET\t/a\t{status}\tMozilla/5.0%20(X11)\n");
    let head = "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent)\n";
    let loaded = bench.log([head, &row("000"), &row("200")].concat()).await;
    assert_eq!((loaded.read, loaded.loaded, loaded.events), (2, 2, 1));
    let numbers = [("other".to_owned(), "1".to_owned()), ("page_view".to_owned(), "1".to_owned())].into();
    assert_eq!(bench.numbers("requests").await, numbers);
}

#[tokio::test]
async fn a_date_never_comes_from_the_files_name() {
    let bench = Bench::new().await;
    // rotatelogs names files by the day in UTC.
    let path = bench.file("access.log.2026-05-01", page("00:30:00", "/"));
    bench.load(log().file(path)).await;
    assert_eq!(bench.events().await[0].day.to_string(), "2026-05-02");
}

#[tokio::test]
async fn what_becomes_an_event_is_decided_by_the_path() {
    let bench = Bench::new().await;
    let targets = ["/", "/a?file=x.css", "/app.css?v=3", "/logo.PNG", "/terms.pdf", "/feed.xml"];
    let mut content: String = targets.iter().map(|target| page("10:00:00", target)).collect();
    content.push_str(&page("10:00:01", "/gone").replace(" 200 ", " 404 "));
    content.push_str(&page("10:00:01", "/old").replace(" 200 ", " 301 "));
    content.push_str(&page("10:00:01", "/order").replace("GET", "POST"));
    content.push_str(&page("10:00:01", "/film.mp4").replace(" 200 ", " 206 "));
    let loaded = bench.log(content).await;
    assert_eq!((loaded.read, loaded.loaded, loaded.events), (10, 10, 3));
    let events: Vec<(String, String)> =
        bench.events().await.iter().map(|event| (event.event_type.to_string(), super::url(event))).collect();
    let expected = [("page_view", "/"), ("page_view", "/a?file=x.css"), ("download", "/terms.pdf")];
    assert_eq!(events, expected.map(|(kind, url)| (kind.to_owned(), url.to_owned())));
    let numbers = bench.numbers("requests").await;
    let expected = [
        ("asset", "3"),
        ("download", "1"),
        ("failure", "1"),
        ("other", "1"),
        ("page_view", "2"),
        ("piece", "1"),
        ("redirect", "1"),
    ];
    assert_eq!(numbers, expected.map(|(name, count)| (name.to_owned(), count.to_owned())).into());
    assert_eq!(bench.sessions().await[0].pages_viewed, 2);
}

#[tokio::test]
async fn gzip_is_read_to_the_end_of_the_last_member() {
    let bench = Bench::new().await;
    let member = |text: String| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    // nginx writes one for each flush, in the midst of a line where the buffer is full.
    let text = [page("10:00:00", "/a"), page("10:00:01", "/b"), page("10:00:02", "/c")].concat();
    let parts = [&text[..50], &text[50..200], &text[200..]];
    let packed: Vec<u8> = parts.iter().flat_map(|part| member((*part).to_owned())).collect();
    // By its first bytes, not its name.
    let loaded = bench.load(log().file(bench.file("access.log.1", &packed))).await;
    assert_eq!((loaded.read, loaded.loaded), (3, 3));
    let cut = bench.file("cut.log.gz", &packed[..packed.len() - 9]);
    let error = bench.try_load(log().file(cut)).await.unwrap_err().to_string();
    assert!(error.contains("cut.log.gz ends too early"), "{error}");
}

#[tokio::test]
async fn zstandard_is_read_to_the_end_of_the_last_frame() {
    let bench = Bench::new().await;
    let frame = |text: String| {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    };
    let packed = [frame(page("10:00:00", "/a")), frame(page("10:00:01", "/b"))].concat();
    let loaded = bench.load(log().file(bench.file("access.log.zst", packed))).await;
    assert_eq!((loaded.read, loaded.loaded), (2, 2));
}

#[tokio::test]
async fn files_in_any_order_give_the_same_rows() {
    let content = |day: u8, address: &str| -> String {
        (0..20)
            .map(|minute| {
                line(address, &format!("0{day}/May/2026:23:{:02}:00 +0200", 59 - minute), "/a", "-", IPHONE)
            })
            .collect()
    };
    let files = [
        content(2, "192.0.2.1"),
        content(2, "192.0.2.2"),
        content(3, "192.0.2.1"),
        page("23:59:00", "/same-second"),
    ];
    let mut dumps = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let bench = Bench::new().await;
        let builder = order
            .iter()
            .fold(log(), |builder, at| builder.file(bench.file(&format!("{at}.log"), &files[*at])));
        let loaded = bench.load(builder).await;
        assert_eq!((loaded.read, loaded.sessions), (61, 4));
        dumps.push((bench.events().await, bench.sessions().await));
    }
    assert_eq!(dumps[0], dumps[1]);
    assert_eq!(dumps[0], dumps[2]);
}
