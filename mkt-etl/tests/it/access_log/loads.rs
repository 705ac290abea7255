//! Loads: replay, growth, rotation, copies, options, and the contract of sources.

use super::{Bench, FIREFOX, IPHONE, line, log, page};
use crate::support::{dump, window};
use mkt_connect::{ErrorKind, Secret};
use mkt_etl::access_log::AccessLog;
use mkt_etl::testing::conformance::{Subject, check_all};

#[tokio::test]
async fn loading_again_changes_nothing() {
    let bench = Bench::new().await;
    let content =
        [page("10:00:00", "/a"), page("10:05:00", "/b"), "no line\n".to_owned(), page("10:06:00", "/x.css")]
            .concat();
    let first = bench.log(&content).await;
    assert!(first.changed);
    let before = dump(&bench.warehouse).await;
    let again = bench.log(&content).await;
    assert!(!again.changed);
    assert_eq!((first.read, first.events, first.sessions), (again.read, again.events, again.sessions));
    assert_eq!(dump(&bench.warehouse).await, before);
}

#[tokio::test]
async fn a_log_that_grew_replaces_its_days() {
    let bench = Bench::new().await;
    let morning = page("10:00:00", "/a");
    bench.log(&morning).await;
    let grown = bench.log([morning, page("10:05:00", "/b")].concat()).await;
    assert_eq!((grown.events, grown.sessions), (2, 1));
    assert_eq!(bench.urls().await, ["/a", "/b"]);
    assert_eq!(bench.sessions().await[0].pages_viewed, 2);
}

#[tokio::test]
async fn the_younger_half_of_a_rotated_log_alone_is_refused() {
    let bench = Bench::new().await;
    let (older, younger) = (page("10:00:00", "/a"), page("10:05:00", "/b"));
    bench.log(&older).await;
    let before = dump(&bench.warehouse).await;
    let error = bench.try_load(log().file(bench.file("access.log", &younger))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let text = error.to_string();
    assert!(
        text.contains("1 of 1 page views that are loaded of 2026-05-02 are not in these files"),
        "{text}"
    );
    assert_eq!(dump(&bench.warehouse).await, before);
    // Both halves are the day.
    let files = log().file(bench.file("access.log", &younger)).file(bench.file("access.log.1", &older));
    assert_eq!(bench.load(files).await.sessions, 1);
    // Days that the files do not hold stay.
    let next = line("192.0.2.1", "05/May/2026:10:00:00 +0200", "/c", "-", FIREFOX);
    bench.log(next).await;
    assert_eq!(bench.urls().await, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn a_copy_of_a_file_and_its_beginning_are_read_once() {
    let bench = Bench::new().await;
    let content = [page("10:00:00", "/a"), page("10:00:00", "/a"), page("10:05:00", "/b")].concat();
    let beginning = &content[..content.len() / 3];
    let files = log()
        .file(bench.file("begin.log", beginning))
        .file(bench.file("access.log", &content))
        .file(bench.file("copy.log", &content));
    let loaded = bench.load(files).await;
    // Two equal lines of one file are two requests.
    assert_eq!((loaded.read, loaded.events), (3, 3));
    let notes: Vec<&str> =
        loaded.files.iter().flat_map(|file| file.notes.iter().map(String::as_str)).collect();
    assert_eq!(
        notes.iter().filter(|note| note.ends_with("or its beginning: not read again")).count(),
        2,
        "{notes:?}"
    );
}

#[tokio::test]
async fn no_address_no_user_and_no_secret_is_anywhere() {
    let bench = Bench::new().await;
    let content = [
        line(
            "203.0.113.77",
            "02/May/2026:10:00:00 +0200",
            "/reset?mail=jo%40example.org",
            "https://me:pw@partner.example/x",
            FIREFOX,
        ),
        line("2001:db8::dead:beef", "02/May/2026:10:00:00 +0200", "/", "-", IPHONE),
        "203.0.113.77 - jo@example.org [02/May/2026:10:00:00 +0200] \"GET / HT\n".to_owned(),
        "2001:db8::dead:beef - - [02/May/2026:10:00:0 +0200] \"GET /\"\n".to_owned(),
    ]
    .concat();
    let path = bench.file("access.log", content);
    let source = log().file(&path).build().unwrap();
    let loaded = bench.load(log().file(&path)).await;
    assert_eq!((loaded.loaded, loaded.quarantined), (2, 2));
    let everything = format!("{} {loaded:?} {source:?}", dump(&bench.warehouse).await);
    for secret in ["203.0.113.77", "dead:beef", "example.org", "me:pw", "canary-of-the-secret"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn another_secret_gives_other_visitors() {
    let content = page("10:00:00", "/a");
    let mut users = Vec::new();
    for secret in ["one", "two", "one"] {
        let bench = Bench::new().await;
        let builder = AccessLog::builder("shop", chrono_tz::Europe::Paris, Secret::new(secret));
        bench.load(builder.file(bench.file("a.log", &content))).await;
        users.push(bench.sessions().await.remove(0).user_id);
    }
    assert_eq!(users[0], users[2]);
    assert_ne!(users[0], users[1]);
}

#[tokio::test]
async fn the_sites_own_host_is_found_by_its_pages() {
    let of = |clock: &str, target: &str, referrer: &str| {
        line("192.0.2.1", &format!("02/May/2026:{clock} +0200"), target, referrer, FIREFOX)
    };
    let content = [
        of("10:00:00", "/tea", "https://partner.example/links"),
        of("10:00:01", "/cups", "https://www.shop.example/tea"),
        of("10:00:02", "/pots", "https://www.shop.example/cups"),
        // After a break, from a page that stayed open.
        of("12:00:00", "/tea", "https://www.shop.example/pots"),
    ]
    .concat();
    let bench = Bench::new().await;
    let loaded = bench.log(&content).await;
    assert_eq!((loaded.found_host.as_deref(), loaded.sessions), (Some("www.shop.example"), 2));
    let details: Vec<String> =
        bench.sessions().await.into_iter().filter_map(|session| session.channel_detail).collect();
    assert_eq!(details, ["Referral: referrer partner.example", "Direct: referrer of the site itself"]);
    // Declared, it also completes the URLs.
    let bench = Bench::new().await;
    let loaded = bench.load(log().host("shop.example").file(bench.file("a.log", &content))).await;
    assert_eq!(loaded.found_host, None);
    assert_eq!(bench.urls().await[0], "https://shop.example/tea");
}

#[tokio::test]
async fn tags_of_the_landing_page_make_channel_and_campaign() {
    let bench = Bench::new().await;
    bench.log(page("10:00:00", "/tea?utm_source=newsletter&utm_medium=email&utm_campaign=spring")).await;
    let (session, event) = (bench.sessions().await.remove(0), bench.events().await.remove(0));
    assert_eq!(session.channel, mkt_connect::Channel::Email);
    let campaign = mkt_connect::campaign_id("newsletter", "email", "spring");
    assert_eq!(
        (session.campaign_id.as_ref(), event.campaign_id.as_ref()),
        (Some(&campaign), Some(&campaign))
    );
    assert_eq!(event.channel_detail.as_deref(), Some("Email: tags newsletter / email / spring"));
}

#[tokio::test]
async fn a_line_beyond_every_limit_costs_one_line() {
    let bench = Bench::new().await;
    let long = page("10:00:00", &format!("/{}", "x".repeat(3 << 20)));
    let loaded = bench
        .log([page("10:00:00", "/a"), long, page("10:00:01", "/b"), "\0\0\0\0\n".to_owned()].concat())
        .await;
    assert_eq!((loaded.read, loaded.loaded, loaded.quarantined), (4, 2, 2));
    let quarantine = bench.quarantine().await;
    assert_eq!(quarantine[0].1, "a line of more than 1 MiB");
    assert!(quarantine[0].2.chars().count() <= 4097);
}

#[tokio::test]
async fn the_source_keeps_the_contract() {
    let bench = Bench::new().await;
    let content = [
        line("192.0.2.1", "02/May/2026:23:50:00 +0200", "/a", "-", FIREFOX),
        line("192.0.2.1", "03/May/2026:00:10:00 +0200", "/b", "-", FIREFOX),
        line("192.0.2.2", "03/May/2026:10:00:00 +0200", "/c?to=jo@example.org", "-", IPHONE),
        "jo@example.org is no line\n".to_owned(),
        line("192.0.2.3", "04/May/2026:10:00:00 +0200", "/d", "-", "curl/8.5.0"),
    ]
    .concat();
    let source = log().file(bench.file("access.log", content)).build().unwrap();
    let subject =
        Subject::new(&source, "shop", window("2026-05-01", "2026-05-05")).secret("canary-of-the-secret");
    let findings = check_all(&subject).await;
    assert!(findings.iter().all(|finding| !finding.is_violated()), "{findings:#?}");
}

#[tokio::test]
async fn settings_that_are_none_are_refused() {
    for (builder, reason) in [
        (log(), "missing file"),
        (log().file("a").host("https://shop.example/"), "invalid host"),
        (AccessLog::builder("shop", chrono_tz::UTC, Secret::new("")).file("a"), "empty secret"),
        (AccessLog::builder("", chrono_tz::UTC, Secret::new("s")).file("a"), "invalid name of the site"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_changes_between_two_loads_is_read_again() {
    let bench = Bench::new().await;
    let path = bench.file("access.log", page("10:00:00", "/a"));
    let source = log().file(&path).build().unwrap();
    assert_eq!(source.findings().await.unwrap()[0].read, 1);
    std::fs::write(&path, [page("10:00:00", "/a"), page("10:01:00", "/b")].concat()).unwrap();
    assert_eq!(source.findings().await.unwrap()[0].read, 2);
}
