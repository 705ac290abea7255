//! Many lines with bad ones of twelve kinds: counts are exact, and memory does not follow the log.
//! `MKT_TEST_ROWS` lines; a million of them, measured, is the test's proof.

use super::{Bench, FIREFOX, IPHONE, line, log};
use std::io::Write;

/// Bad lines of twelve kinds, each with a word of its reason.
fn bad(at: usize) -> (Vec<u8>, &'static str) {
    let good = line("192.0.2.9", "02/May/2026:10:00:00 +0200", "/x", "-", FIREFOX);
    let good = good.trim_end();
    let changed = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    match at % 12 {
        0 => (b"no line at all".to_vec(), "no time in brackets"),
        1 => (changed("02/May", "32/May"), "invalid time"),
        2 => (changed("/May/", "/Mai/"), "invalid time"),
        3 => (good.as_bytes()[..60].to_vec(), "quote is not closed"),
        4 => (changed(" 200 ", " 2000 "), "invalid status"),
        5 => (changed(" 512 ", " many "), "invalid number of bytes"),
        6 => (good.as_bytes()[..good.len() - 20].to_vec(), "referrer and agent are not whole"),
        7 => (changed("\"GET /x HTTP/1.1\"", r#""\x16\x03\x01\x02""#), "not a request of HTTP"),
        8 => (changed("192.0.2.9 - - ", ""), "expected address"),
        9 => ([b"\0\0\0", good.as_bytes()].concat(), "NUL"),
        10 => (changed("192.0.2.9 - -", "shop.example 192.0.2.9 - -"), "two addresses"),
        _ => (changed(":10:00:00", ":25:00:00"), "invalid time"),
    }
}

#[tokio::test]
async fn bad_lines_of_twelve_kinds_are_counted_exactly_and_memory_stays_flat() {
    let rows: usize =
        std::env::var("MKT_TEST_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(20_000);
    let bench = Bench::new().await;
    let path = bench.file("access.log", "");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let (mut expected_bad, mut expected_bots, mut expected_events) = (0, 0, 0);
    // Thirty days; a visitor has ten requests, of which three are pages, within a minute.
    for at in 0..rows {
        let visit = at / 10;
        let second = (visit * 30 * 86_400 / (rows / 10).max(1) + at % 10) as i64;
        let time = chrono::DateTime::from_timestamp(1_775_001_600 + second, 0).unwrap();
        let time = time.format("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let address = format!("198.18.{}.{}", visit / 250 % 250, visit % 250);
        let bytes = match at % 100 {
            99 => {
                expected_bad += 1;
                let mut bytes = bad(at / 100).0;
                bytes.push(b'\n');
                bytes
            }
            0..=9 => {
                expected_bots += 1;
                line(&address, &time, "/robot", "-", "Mozilla/5.0 (compatible; bingbot/2.0)").into_bytes()
            }
            _ => {
                let page = at % 10 < 3;
                expected_events += u64::from(page);
                let target = if page { format!("/page/{}", at % 977) } else { format!("/asset/{at}.css") };
                line(&address, &time, &target, "-", if visit % 2 == 0 { FIREFOX } else { IPHONE })
                    .into_bytes()
            }
        };
        file.write_all(&bytes).unwrap();
    }
    file.flush().unwrap();
    drop(file);
    let before = peak();
    let loaded = bench.load(log().file(&path)).await;
    assert_eq!(loaded.read, rows as u64);
    assert_eq!(
        (loaded.bots, loaded.quarantined, loaded.events),
        (expected_bots, expected_bad, expected_events)
    );
    // Robots have whole visits; every other one has pages.
    assert_eq!(loaded.sessions, (rows / 10 - rows / 100) as u64);
    if let (Some(before), Some(after)) = (before, peak()) {
        println!("{rows} lines: peak memory {before} MB before, {after} MB after");
        assert!(after < 128 + before, "{after} MB");
    }
    let quarantine = bench.quarantine().await;
    assert_eq!(quarantine.len() as u64, expected_bad);
    for (number, reason, _) in quarantine.iter().take(24) {
        let expected = bad((usize::try_from(*number).unwrap() - 1) / 100).1;
        assert!(reason.contains(expected), "line {number}: {reason}, expected {expected}");
    }
}

/// The peak of this process's memory in MB, on Linux.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}
