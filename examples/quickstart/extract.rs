//! Steps 1 and 2: extract and load, through the one pipeline that real vendors use.

use crate::answer::ZONE;
use crate::failure::Context;
use crate::progress::Progress;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Europe::Paris;
use mkt_connect::Currency;
use mkt_etl::ManualClock;
use mkt_etl::csv::CsvSource;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, RunReport, Window};
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Sqlite, report};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// What the extraction did, source by source.
#[derive(Debug)]
pub(crate) struct Extracted {
    spring: RunReport,
    autumn: RunReport,
    shop: RunReport,
}

/// Reads the two windows of site 1 from Matomo and the second site from its files.
///
/// Matomo here is a server on loopback that answers as a real Matomo 5.0.2 was recorded to answer; for yours, replace
/// `recorded.source()` by `Matomo::builder("https://…").token(Secret::from_env("MATOMO_TOKEN")…).site(1)`.
pub(crate) async fn extract(
    data: &Path,
    warehouse: Arc<Sqlite>,
    progress: &mut Progress,
) -> Result<Extracted, Box<dyn Error>> {
    let (first, last) = span(&data.join("sessions.csv"))?;
    let spring = Window::days(day(2026, 3, 27)?, day(2026, 3, 31)?);
    let autumn = Window::days(day(2026, 10, 24)?, day(2026, 10, 26)?);
    // The clock stands where the data ends, so that what is final does not depend on the day it runs.
    let end = Paris
        .with_ymd_and_hms(2026, 10, 27, 0, 0, 0)
        .earliest()
        .map_or(last, |midnight| midnight.with_timezone(&Utc).max(last));
    let clock = ManualClock::new(end);

    progress.step("extract the visits of site 1 from Matomo, and load them");
    let recorded = RecordedMatomo::start().await?;
    let matomo = recorded.source().build()?;
    let run = |window: Window| {
        let pipeline = watched(Pipeline::new(matomo.clone(), Arc::clone(&warehouse)), progress);
        let clock = clock.clone();
        async move { pipeline.clock(clock).run(window).await }
    };
    let (spring, autumn) = (run(spring).await?, run(autumn).await?);
    progress.done(&told(&[&spring, &autumn]));

    progress.step("extract the second site, customers and costs from CSV, and load them");

    let shop = CsvSource::builder("shop", Paris)
        .sessions(data.join("sessions.csv"))
        .events(data.join("events.csv"))
        .customers(data.join("customers.csv"))
        .costs(data.join("costs.csv"))
        .currency(Currency::EUR)
        .build()?;
    let local = |at: DateTime<Utc>| at.with_timezone(&Paris).date_naive();
    let shop = watched(Pipeline::new(shop, Arc::clone(&warehouse)), progress)
        .clock(clock.clone())
        .run(Window::days(local(first), local(last)))
        .await?;
    progress.done(&told(&[&shop]));

    let years = (first.year().min(2026), last.year().max(2026));
    report::load_zone(warehouse.as_ref(), ZONE, years.0, years.1, end).await?;
    let extracted = Extracted { spring, autumn, shop };
    for (source, report) in extracted.reports() {
        if let Some(failure) = report.failures.first() {
            return Err(format!("{source}: {}: {}", failure.slice, failure.message).into());
        }
    }
    Ok(extracted)
}

fn watched(pipeline: Pipeline, progress: &Progress) -> Pipeline {
    let bar = progress.bar();
    pipeline.on_progress(move |progress| {
        if let Some(bar) = &bar {
            bar.set_message(format!("{} of {} slices: {}", progress.done, progress.total, progress.slice));
        }
    })
}

/// What was loaded, in a line.
fn told(reports: &[&RunReport]) -> String {
    let sum = |count: fn(&RunReport) -> u64| reports.iter().map(|report| count(report)).sum::<u64>();
    format!(
        "{} visits, {} events; {} slices settled, {} provisional{}",
        sum(sessions),
        sum(|report| report.rows.get("events").copied().unwrap_or(0)),
        sum(|report| report.in_state(SliceState::Settled)),
        sum(|report| report.in_state(SliceState::Provisional)),
        if reports.iter().any(|report| report.changed) { "" } else { " (as before: nothing was written)" }
    )
}

fn day(year: i32, month: u32, day: u32) -> Result<NaiveDate, Box<dyn Error>> {
    NaiveDate::from_ymd_opt(year, month, day).ok_or_else(|| "no such day".into())
}

/// The first start and the last end in `sessions.csv`; times are UTC.
fn span(path: &Path) -> Result<(DateTime<Utc>, DateTime<Utc>), Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Times {
        start_time: String,
        end_time: String,
    }
    let read = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").map(|at| at.and_utc());
    let mut reader = csv::Reader::from_path(path).context(|| format!("cannot read {}", path.display()))?;
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for row in reader.deserialize() {
        let times: Times = row.context(|| format!("cannot read {}", path.display()))?;
        // A row whose times do not read is set aside by the pipeline, with its line and reason.
        if let (Ok(start), Ok(end)) = (read(&times.start_time), read(&times.end_time)) {
            let held = span.get_or_insert((start, end));
            *held = (held.0.min(start), held.1.max(end));
        }
    }
    span.ok_or_else(|| format!("{} holds no session", path.display()).into())
}

fn sessions(report: &RunReport) -> u64 {
    report.rows.get("sessions").copied().unwrap_or(0)
}

impl Extracted {
    pub(crate) fn reports(&self) -> [(&'static str, &RunReport); 3] {
        [("matomo, March", &self.spring), ("matomo, October", &self.autumn), ("shop", &self.shop)]
    }

    pub(crate) fn changed(&self) -> bool {
        self.reports().iter().any(|(_, report)| report.changed)
    }

    /// Visits that the sources told, over all slices.
    pub(crate) fn visits(&self) -> u64 {
        self.reports().iter().map(|(_, report)| sessions(report)).sum()
    }

    pub(crate) fn json(&self) -> Value {
        let one = |report: &RunReport| {
            json!({
                "slices": report.slices,
                "rows": report.rows,
                "quarantined": report.quarantined,
                "revised": report.revised,
                "replayed": report.replayed,
            })
        };
        json!({"matomo_march": one(&self.spring), "matomo_october": one(&self.autumn), "shop": one(&self.shop)})
    }
}
