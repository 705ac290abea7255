//! Which slices are read again, how many records may be spoiled, when a source is left alone, how a run is stopped.

use crate::support::{all, at, day, dump_timeless, late, window};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use mkt_connect::Stop;
use mkt_connect::{ErrorKind, Result};
use mkt_etl::csv::CsvSource;
use mkt_etl::history::{self, Part};
use mkt_etl::ledger::{QuarantineRow, SliceRow};
use mkt_etl::{Again, AnalyticsSource, Extent, Memory, Pipeline, Rejected, StoppedBy, Totals, Window};
use mkt_etl::{Capabilities, Checked, Page, SiteFacts};
use mkt_warehouse::model::{Event, Measure};
use mkt_warehouse::{SliceKey, Sqlite};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

const BROKEN: &str = "\
event_id,user_id,event_type,timestamp,channel,revenue,properties
1,u1,purchase,2026-03-28 10:00:00,email,19.90,
2,jo@example.org,page_view,2026-03-28 10:00:00,email,x,
3,u2,page_view,28 mars,email,0,
4,u3,page_view,2026-03-29 11:00:00,email,0,
";

fn csv(path: &Path) -> CsvSource {
    CsvSource::builder("shop", chrono_tz::Europe::Paris).events(path).build().unwrap()
}

#[tokio::test]
async fn a_mended_file_replaces_its_slices_and_empties_the_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    std::fs::write(&path, BROKEN).unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let days = window("2026-03-28", "2026-03-29");
    let run = async |again| {
        let pipeline = Pipeline::new(csv(&path), warehouse.clone()).clock(late()).again(again);
        pipeline.run(days).await.unwrap()
    };
    let first = run(Again::Unsettled).await;
    assert_eq!((first.read, first.quarantined, first.rows["events"]), (4, 2, 2));
    let shown = history::quarantine(&warehouse, &Part::default(), 10).await.unwrap();
    let shown: Vec<_> = shown.iter().map(|row| (row.line.unwrap(), row.raw.as_str())).collect();
    assert_eq!(shown[0].0, 3);
    assert!(shown[0].1.contains("[address]") && !shown[0].1.contains("jo@"), "{shown:?}");
    // The same file again: its days are read again and say the same.
    let again = run(Again::Quarantined).await;
    assert_eq!((again.changed, again.quarantined, again.replayed), (false, 2, 2));
    std::fs::write(&path, BROKEN.replace(",x,", ",0,").replace("28 mars", "2026-03-28 12:00:00")).unwrap();
    let mended = run(Again::Quarantined).await;
    assert_eq!((mended.read, mended.quarantined, mended.rows["events"]), (4, 0, 4));
    assert!(all::<QuarantineRow>(&warehouse).await.is_empty());
    assert_eq!(all::<Event>(&warehouse).await.len(), 4);
    // As if the file had never been broken.
    let clean = Sqlite::in_memory().await.unwrap();
    Pipeline::new(csv(&path), clean.clone()).clock(late()).run(days).await.unwrap();
    let events = |text: String| text.split("== sessions").next().unwrap().to_owned();
    assert_eq!(events(dump_timeless(&warehouse).await), events(dump_timeless(&clean).await));
}

/// A settled day of a source without versions.
fn settled(source: &Memory, date: &str, visits: i64, spoiled: bool) {
    use mkt_warehouse::model::{DailyMetric, MetricKind, SliceState};
    let row = DailyMetric {
        metric: "visits".to_owned(),
        kind: MetricKind::Additive,
        value: Some(Measure::from(visits)),
        numerator: None,
        denominator: None,
        currency: None,
        state: SliceState::Planned,
        source: "memory".to_owned(),
        site: "shop".to_owned(),
        day: day(date),
    };
    let rejected: Vec<Rejected> =
        spoiled.then(|| Rejected::new("live", b"{\"id\":7}", "no time").at(9, 99)).into_iter().collect();
    let page = Page { read: 1 + rejected.len() as u64, metrics: vec![row], rejected, ..Page::default() };
    source.put(source.slice(day(date)), vec![page]);
    source.put_control(source.slice(day(date)), Totals::new().with("visits", visits));
}

#[tokio::test]
async fn settled_slices_are_read_again_as_the_policy_says() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    settled(&source, "2026-03-01", 5, false);
    settled(&source, "2026-03-02", 6, true);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let days = window("2026-03-01", "2026-03-02");
    let run = async |again| {
        let before = source.reads();
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late()).again(again);
        let report = pipeline.run(days).await.unwrap();
        (source.reads() - before, report)
    };
    assert_eq!(run(Again::Unsettled).await.0, 2);
    assert_eq!(run(Again::Unsettled).await.0, 0);
    // The program has learnt to read what it could not: the record becomes a row.
    settled(&source, "2026-03-02", 6, false);
    let (reads, report) = run(Again::Quarantined).await;
    assert_eq!((reads, report.quarantined, report.read, report.slices["settled"]), (1, 0, 2, 2));
    assert!(all::<QuarantineRow>(&warehouse).await.is_empty());
    assert_eq!(run(Again::Quarantined).await.0, 0);
    let (reads, report) = run(Again::All).await;
    assert_eq!((reads, report.changed, report.replayed), (2, false, 2));
}

#[tokio::test]
async fn a_slice_with_too_many_spoiled_records_fails_and_keeps_what_it_had() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    settled(&source, "2026-03-01", 5, false);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = |budget: f64, again| {
        Pipeline::new(source.clone(), warehouse.clone()).clock(late()).error_budget(budget).again(again)
    };
    let days = window("2026-03-01", "2026-03-01");
    assert!(pipeline(0.1, Again::All).run(days).await.unwrap().is_complete());
    settled(&source, "2026-03-01", 6, true);
    let report = pipeline(0.1, Again::All).run(days).await.unwrap();
    assert_eq!((report.failures[0].kind.as_str(), report.exit_code()), ("input", 3));
    assert!(report.failures[0].message.contains("1 of 2 records"), "{:?}", report.failures);
    let rows: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!((rows[0].totals().get("visits"), rows[0].failed_attempts), (Some(5.into()), 1));
    // Half may be spoiled now, and the slice is not final, so that it is read without being asked to.
    let report = pipeline(0.5, Again::Unsettled).run(days).await.unwrap();
    assert_eq!((report.is_complete(), report.quarantined), (true, 1));
}

#[tokio::test]
async fn a_source_that_cannot_be_reached_is_left_alone() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let days = window("2026-03-01", "2026-03-20");
    for date in days.iter() {
        settled(&source, &date.to_string(), 5, false);
        source.fail(source.slice(date), Some(ErrorKind::Unavailable));
    }
    // One answer in between.
    source.fail(source.slice(day("2026-03-03")), None);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline =
        Pipeline::new(source.clone(), warehouse.clone()).clock(late()).concurrency(1).give_up_after(3);
    let report = pipeline.run(days).await.unwrap();
    // 1, 2 fail; 3 answers; 4, 5, 6 fail.
    assert_eq!((source.reads(), report.failures.len()), (6, 5));
    assert_eq!((report.slices["planned"], report.slices["settled"], report.slices["failed"]), (14, 1, 5));
    assert_eq!((report.stopped_by, report.exit_code()), (Some(StoppedBy::Outage), 5));
    let said = report.stopped.as_deref().unwrap();
    assert!(said.starts_with("3 slices in a row could not be read"), "{said}");
    // Once it is back, the next run goes on.
    for date in days.iter() {
        source.fail(source.slice(date), None);
    }
    assert_eq!(pipeline.run(days).await.unwrap().exit_code(), 0);
}

/// A source whose pages come when the test lets them.
#[derive(Debug, Clone)]
struct Gated {
    inner: Memory,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl AnalyticsSource for Gated {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn check(&self) -> Result<Checked> {
        self.inner.check().await
    }
    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        self.inner.discover().await
    }
    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        self.inner.plan(stream, site, window)
    }
    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        self.inner.version(slice).await
    }
    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let pages = self.inner.read(slice);
        async move {
            self.gate.acquire().await.unwrap().forget();
            pages
        }
        .flatten_stream()
        .boxed()
    }
    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        self.inner.verify(slice).await
    }
}

/// Two slices are under way when somebody asks so many times. Gives what the report says and the slices in the ledger.
async fn stopped(times: usize) -> (bool, u64, u64, usize) {
    let inner = Memory::new("memory", "shop", chrono_tz::UTC);
    let days = window("2026-03-01", "2026-03-10");
    for date in days.iter() {
        settled(&inner, &date.to_string(), 5, false);
    }
    let gate = Arc::new(Semaphore::new(0));
    let warehouse = Sqlite::in_memory().await.unwrap();
    let source = Gated { inner: inner.clone(), gate: Arc::clone(&gate) };
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late()).concurrency(2);
    let stop = Stop::new();
    let asks = async {
        while inner.reads() < 2 {
            tokio::task::yield_now().await;
        }
        (0..times).for_each(|_| stop.request());
        tokio::task::yield_now().await;
        gate.add_permits(100);
    };
    let (report, ()) = tokio::join!(pipeline.run_extent(Extent::Days(days), &stop), asks);
    let report = report.unwrap();
    let planned = report.slices.get("planned").copied().unwrap_or(0);
    let settled = report.slices.get("settled").copied().unwrap_or(0);
    assert!(!report.cancelled || report.exit_code() == 130);
    (report.cancelled, settled, planned, all::<SliceRow>(&warehouse).await.len())
}

#[tokio::test]
async fn asked_once_the_slices_under_way_are_finished_and_no_other_is_begun() {
    assert_eq!(stopped(1).await, (true, 2, 8, 2));
}

#[tokio::test]
async fn asked_twice_they_are_dropped_whole() {
    assert_eq!(stopped(2).await, (true, 0, 10, 0));
    assert_eq!(stopped(0).await, (false, 10, 0, 10));
}

#[tokio::test]
async fn the_quarantine_is_exported_line_by_line() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    for date in ["2026-03-01", "2026-03-02", "2026-03-03"] {
        settled(&source, date, 5, true);
    }
    let warehouse = Sqlite::in_memory().await.unwrap();
    Pipeline::new(source, warehouse.clone())
        .clock(late())
        .run(window("2026-03-01", "2026-03-03"))
        .await
        .unwrap();
    let export = async |part: Part| {
        let mut lines = Vec::new();
        let count = history::export_quarantine(&warehouse, &part, &mut lines).await.unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len() as u64, count);
        lines
    };
    let all = export(Part::default()).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        all[0],
        serde_json::json!({
            "source": "memory", "stream": "traffic", "site": "shop", "day": "2026-03-01", "place": "live",
            "line": 9, "byte_offset": 99, "raw": "{\"id\":7}", "reason": "no time",
        })
    );
    let some = Part { window: Some(window("2026-03-02", "2026-03-02")), ..Part::default() };
    assert_eq!(export(some).await.len(), 1);
    assert_eq!(export(Part { source: Some("'; drop table".to_owned()), ..Part::default() }).await.len(), 0);
}

#[tokio::test]
async fn the_revisions_of_a_number_are_its_history() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let warehouse = Sqlite::in_memory().await.unwrap();
    for (visits, when) in
        [(5, "2026-11-15T12:00:00Z"), (7, "2026-11-16T12:00:00Z"), (6, "2026-11-17T12:00:00Z")]
    {
        settled(&source, "2026-03-01", visits, false);
        let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(at(when)).again(Again::All);
        pipeline.run(window("2026-03-01", "2026-03-01")).await.unwrap();
    }
    let part = Part { site: Some("shop".to_owned()), ..Part::default() };
    let rows = history::revisions(&warehouse, &part, Some("visits")).await.unwrap();
    let shown: Vec<(i64, i64)> = rows
        .iter()
        .map(|row| {
            let number = |value: Option<Measure>| i64::try_from(value.unwrap().0).unwrap();
            (number(row.old_value), number(row.new_value))
        })
        .collect();
    assert_eq!(shown, [(5, 7), (7, 6)]);
    assert!(rows[0].seen_at < rows[1].seen_at);
    assert!(history::revisions(&warehouse, &part, Some("orders")).await.unwrap().is_empty());
}
