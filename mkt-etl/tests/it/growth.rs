//! Every parser takes time in proportion to its input, hostile input included.

use mkt_etl::at_internet::{DataQuery, NameMap, PastedReport, PastedUrl};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The time that this thread has had of a processor, where the system tells it (Linux); else the time of a clock.
fn spent(begun: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

/// The least of some runs: what else the machine does only adds.
fn least(run: impl Fn()) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        let before = spent(begun);
        run();
        spent(begun).saturating_sub(before)
    };
    (0..2).map(once).min().unwrap_or_default()
}

/// Fails where eight times the input takes far more than eight times as long: square growth would take 64 times.
fn grows_linearly(name: &str, pattern: &str, parse: impl Fn(&str)) {
    // The larger is the longest that a parameter of a URL may have.
    let text = |bytes: usize| pattern.repeat(bytes / pattern.len() + 1);
    let (small, large) = (text(8_000), text(64_000));
    let mut told = String::new();
    for _ in 0..8 {
        let (short, long) = (least(|| parse(&small)), least(|| parse(&large)));
        if long < short * 24 + Duration::from_millis(100) {
            return;
        }
        told = format!("{name} on {pattern:?}: {short:?}, then {long:?}");
    }
    panic!("{told}");
}

#[test]
fn data_query_urls_grow_linearly() {
    let base = "https://a.example/data/v2/json/getData?";
    let rest = "&space={s:1}&period={D:2026-03-28}";
    for pattern in [
        "{",
        "}",
        "{}",
        "{a:",
        "a,",
        "a:{",
        "'",
        "\"",
        "‘",
        ",",
        ":",
        "%",
        "%7B",
        "%C3",
        "é",
        "+",
        "&",
        "&a=b",
        "=",
        "m_a,",
        "{$eq:'a'},",
        "$OR:{",
        "D:'2026-03-28',",
    ] {
        for text in [
            "",
            "columns={m_visits}&filter={",
            "columns={",
            "columns={m_visits}&sort={m_visits,",
            "columns={m_visits}&x=",
        ] {
            grows_linearly("PastedUrl", pattern, |long| {
                let url = format!("{base}{text}{long}}}{rest}");
                drop(black_box(url.parse::<PastedUrl>()));
                drop(black_box(PastedReport::read(&url, "r", &NameMap::new())));
            });
        }
        grows_linearly("the period", pattern, |long| {
            let url = format!("{base}columns={{m_visits}}&space={{s:1}}&period={{{long}}}");
            drop(black_box(url.parse::<PastedUrl>()));
        });
    }
}

#[test]
fn queries_of_version_3_grow_linearly() {
    for pattern in [
        "[",
        "{",
        "{\"a\":",
        "\"m_visits\",",
        "\"",
        "\\",
        "1",
        "é",
        "[],",
        r#"{"page":{"$eq":"a"}},"#,
        r#"{"$AND":["#,
    ] {
        for (before, after) in [
            (r#"{"columns":["m_visits"],"filter":{"property":{"$OR":["#, "{}]}}}"),
            (r#"{"columns":["#, "\"m_visits\"]}"),
            (r#"{"columns":["m_visits"],"period":{"p1":["#, "{}]}}"),
            ("", ""),
        ] {
            grows_linearly("DataQuery::from_v3", pattern, |text| {
                drop(black_box(DataQuery::from_v3(&format!("{before}{text}{after}"))));
            });
        }
    }
}
