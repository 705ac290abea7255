//! Steps 1 and 2: read the sources and load them, by the one pipeline that real vendors use.

use crate::arguments::Arguments;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use mkt_connect::Currency;
use mkt_connect::clock::ManualClock;
use mkt_etl::csv::CsvSource;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{AnalyticsSource, Pipeline, RunReport, Window};
use mkt_examples::Step;
use mkt_examples::progress::Steps;
use mkt_warehouse::model::SliceState;
use mkt_warehouse::{Sqlite, report};
use std::path::Path;
use std::sync::Arc;

/// What was loaded, run by run.
pub(crate) struct Loaded(pub(crate) Vec<(&'static str, RunReport)>);

/// Reads the site's files and, for the demo, two windows of a recorded Matomo: a server on loopback that answers as a real
/// Matomo 5.0.2 did. For yours, replace `recorded.source()` by `Matomo::builder("https://…").token(…).site(1)`.
pub(crate) async fn load(
    arguments: &Arguments,
    data: &Path,
    warehouse: Arc<Sqlite>,
    steps: &mut Steps,
) -> Step<Loaded> {
    let site = CsvSource::builder(&arguments.site, arguments.zone)
        .sessions(data.join("sessions.csv"))
        .events(data.join("events.csv"))
        .customers(data.join("customers.csv"))
        .costs(data.join("costs.csv"))
        .currency(Currency::EUR)
        .build()?;
    let days = site.days().await?;
    let days = days.ok_or_else(|| format!("{}: no row in sessions.csv and events.csv", data.display()))?;
    let windows =
        [("matomo_march", (2026, 3, 27), (2026, 3, 31)), ("matomo_october", (2026, 10, 24), (2026, 10, 26))];
    let windows = windows.map(|(name, from, until)| (name, Window::days(day(from), day(until))));
    let demo = arguments.recording();
    // The clock stands where the data ends: what is final does not depend on the day of the run.
    let last = windows.iter().filter(|_| demo).map(|(_, window)| window.until).chain([days.until]).max();
    let midnight = last.unwrap_or(days.until).and_time(NaiveTime::MIN).and_local_timezone(arguments.zone);
    let now: DateTime<Utc> =
        midnight.earliest().ok_or("the data ends at an hour that does not exist")?.to_utc();

    let mut loaded = Loaded(Vec::new());
    steps.begin("read the visits of site 1 from Matomo, and load them");
    if demo {
        let recorded = RecordedMatomo::start().await?;
        let matomo = recorded.source().build()?;
        for (name, window) in windows {
            loaded.run(name, matomo.clone(), window, &warehouse, now, steps).await?;
        }
        steps.done(&told(&loaded.0));
    } else {
        steps.done("left out: --data reads your files and nothing else");
    }
    steps.begin("read the site's files, and load them");
    loaded.run("shop", site, days, &warehouse, now, steps).await?;
    steps.done(&told(&loaded.0[loaded.0.len() - 1..]));
    let (first, last) = (days.from.year().min(2026), days.until.year().max(2026));
    report::load_zone(warehouse.as_ref(), arguments.zone.name(), first, last, now).await?;
    Ok(loaded)
}

impl Loaded {
    async fn run(
        &mut self,
        name: &'static str,
        source: impl AnalyticsSource,
        window: Window,
        warehouse: &Arc<Sqlite>,
        now: DateTime<Utc>,
        steps: &Steps,
    ) -> Step<()> {
        let bar = steps.bar();
        let pipeline = Pipeline::new(source, Arc::clone(warehouse)).clock(ManualClock::new(now));
        let pipeline = pipeline.on_progress(move |progress| {
            if let Some(bar) = &bar {
                bar.set_message(format!(
                    "{} of {} slices: {}",
                    progress.done, progress.total, progress.slice
                ));
            }
        });
        let report = pipeline.run(window).await?;
        if let Some(failure) = report.failures.first() {
            return Err(format!("{name}: {}: {}", failure.slice, failure.message).into());
        }
        self.0.push((name, report));
        Ok(())
    }

    pub(crate) fn changed(&self) -> bool {
        self.0.iter().any(|(_, report)| report.changed)
    }

    /// Visits that the sources gave, over all slices.
    pub(crate) fn visits(&self) -> u64 {
        self.0.iter().filter_map(|(_, report)| report.rows.get("sessions")).sum()
    }
}

fn day((year, month, day): (i32, u32, u32)) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

/// What was loaded, in a line.
fn told(reports: &[(&str, RunReport)]) -> String {
    let reports = reports.iter().map(|(_, report)| report);
    let sum = |count: &dyn Fn(&RunReport) -> u64| reports.clone().map(count).sum::<u64>();
    let rows = |table| sum(&|report| report.rows.get(table).copied().unwrap_or(0));
    let quarantined = match sum(&|report| report.quarantined) {
        0 => String::new(),
        rows => format!("; {rows} rows quarantined"),
    };
    format!(
        "{} visits, {} events; {} slices settled, {} provisional{quarantined}{}",
        rows("sessions"),
        rows("events"),
        sum(&|report| report.in_state(SliceState::Settled)),
        sum(&|report| report.in_state(SliceState::Provisional)),
        if reports.clone().any(|report| report.changed) { "" } else { " (as before: nothing was written)" }
    )
}
