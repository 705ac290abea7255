//! The nasty files of `mkt_connect::table` through the source of events.

use super::support::day;
use futures_util::StreamExt;
use mkt_connect::table::testing::{Answer, Sample, check, files};
use mkt_connect::table::{Quarantined, Reason};
use mkt_etl::csv::CsvSource;
use mkt_etl::{AnalyticsSource, Rejected};
use mkt_warehouse::SliceKey;

/// The rule behind the clause of a rejected record.
fn code(reason: &str) -> &'static str {
    let rules = [
        ("quotation mark", "quote"),
        ("longer than", "too_long"),
        ("the encoding of the file", "encoding"),
        ("NUL", "nul"),
        ("fields, the header has", "width"),
    ];
    rules.iter().find(|(part, _)| reason.contains(part)).map_or("another", |(_, code)| code)
}

fn quarantined(row: &Rejected) -> Quarantined {
    let reason = Reason::rule(code(&row.reason), row.reason.clone());
    Quarantined::new(row.line.unwrap(), row.byte_offset.unwrap(), row.raw.as_bytes(), reason)
}

async fn answer(bytes: &[u8]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    std::fs::write(&path, bytes).unwrap();
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(path).build().unwrap();
    match source.days_with_records().await {
        Err(error) => return Answer::Refused(mkt_connect::sentence(&error)),
        Ok(days) => assert!(days.iter().all(|found| *found == day("2026-05-02"))),
    }
    let slice = SliceKey::day("csv", "events", "shop", day("2026-05-02"));
    let (mut rows, mut texts, mut rejected) = (0, Vec::new(), Vec::new());
    let mut pages = source.read(&slice);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        rows += page.events.len();
        for event in &page.events {
            let text =
                event.properties.0.as_object().and_then(|held| {
                    held.iter().find(|(name, _)| mkt_connect::table::fold(name) == "notetext")
                });
            texts.push(text.and_then(|(_, text)| text.as_str()).unwrap_or_default().to_owned());
        }
        rejected.extend(page.rejected.iter().map(quarantined));
    }
    Answer::Read { rows, texts: Some(texts), quarantined: rejected }
}

#[tokio::test]
async fn nasty_files_get_their_verdicts() {
    let header = &["event_id", "user_id", "note_text", "event_type", "timestamp", "channel"];
    let sample = Sample::new(header, 2, |row, note| {
        let cells = [&format!("e{row}"), "u1", note, "page_view", "2026-05-02 10:00:00", "organic"];
        cells.map(str::to_owned).to_vec()
    });
    let mut answers = Vec::new();
    for file in files(&sample) {
        answers.push(answer(&file.bytes).await);
    }
    let mut answers = answers.into_iter();
    check(&sample, |_| answers.next().unwrap());
}
