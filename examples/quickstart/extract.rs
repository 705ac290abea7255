//! Steps 1 and 2: extract and load, through the one pipeline that real vendors use.

use crate::answer::ZONE;
use crate::failure::Step;
use crate::progress::Progress;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use chrono_tz::Europe::Paris;
use mkt_connect::Currency;
use mkt_connect::clock::ManualClock;
use mkt_etl::csv::CsvSource;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Pipeline, RunReport, Window};
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Sqlite, report};
use serde_json::{Value, json};
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
pub(crate) async fn extract(data: &Path, warehouse: Arc<Sqlite>, progress: &mut Progress) -> Step<Extracted> {
    let shop = CsvSource::builder("shop", Paris)
        .sessions(data.join("sessions.csv"))
        .events(data.join("events.csv"))
        .customers(data.join("customers.csv"))
        .costs(data.join("costs.csv"))
        .currency(Currency::EUR)
        .build()?;
    let Some(days) = shop.days().await? else {
        return Err(format!("neither sessions.csv nor events.csv of {} holds a row", data.display()).into());
    };
    let spring = Window::days(day(2026, 3, 27)?, day(2026, 3, 31)?);
    let autumn = Window::days(day(2026, 10, 24)?, day(2026, 10, 26)?);
    // The clock stands where the data ends, so that what is final does not depend on the day it runs.
    let end = midnight(autumn.until.max(days.until))?;
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
    let shop =
        watched(Pipeline::new(shop, Arc::clone(&warehouse)), progress).clock(clock.clone()).run(days).await?;
    progress.done(&told(&[&shop]));

    let years = (days.from.year().min(2026), days.until.year().max(2026));
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
        "{} visits, {} events; {} slices settled, {} provisional{}{}",
        sum(sessions),
        sum(|report| report.rows.get("events").copied().unwrap_or(0)),
        sum(|report| report.in_state(SliceState::Settled)),
        sum(|report| report.in_state(SliceState::Provisional)),
        match sum(|report| report.quarantined) {
            0 => String::new(),
            rows => format!("; {rows} rows that do not fit set aside"),
        },
        if reports.iter().any(|report| report.changed) { "" } else { " (as before: nothing was written)" }
    )
}

fn day(year: i32, month: u32, day: u32) -> Step<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day).ok_or_else(|| "no such day".into())
}

/// When a day begins in Paris.
fn midnight(day: NaiveDate) -> Step<DateTime<Utc>> {
    let begin = day.and_time(NaiveTime::MIN).and_local_timezone(Paris).earliest();
    begin.map(|at| at.with_timezone(&Utc)).ok_or_else(|| "no such midnight".into())
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
