//! What a run tells while it is under way: spans and events, lines of JSON, and nothing secret.

use crate::support::{late, window};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, Progress};
use mkt_warehouse::Sqlite;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::instrument::WithSubscriber;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn runs_slices_and_pages_are_told_with_their_counts_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let server = RecordedMatomo::start().await.unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let pipeline = Pipeline::new(server.source().build().unwrap(), Sqlite::in_memory().await.unwrap())
        .clock(late())
        .streams(["visits"])
        .on_progress(move |progress: &Progress| {
            kept.lock().unwrap().push(serde_json::to_value(progress).unwrap());
        });
    pipeline.run(window("2026-03-28", "2026-03-28")).with_subscriber(subscriber).await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = |what: &str| {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(what)).collect();
        assert_eq!(found.len(), 1, "{what}: {text}");
        found[0]
    };
    // 17 visits and their 37 events are 54 records on one page.
    let page = line(" page=1 ");
    assert!(
        page.contains("run{source=\"matomo\"") && page.contains("slice{slice=matomo/visits/1 2026-03-28}"),
        "{page}"
    );
    assert!(page.contains("records=54") && page.contains("rows=54"), "{page}");
    let done = line(" slice done ");
    assert!(
        done.contains("state=settled") && done.contains("rows=54") && done.contains("changed=true"),
        "{done}"
    );
    let over = line(" run over ");
    assert!(over.contains("slices=1") && over.contains("read=54") && over.contains("failed=0"), "{over}");
    assert!(!text.contains(RecordedMatomo::TOKEN) && !text.contains("token_auth"), "a secret is logged");
    assert!(!text.contains("@example"), "an address is logged");
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["slice"], "matomo/visits/1 2026-03-28");
    assert_eq!((&lines[0]["rows"], &lines[0]["error"]), (&54.into(), &serde_json::Value::Null));
}
