//! Several runs of the pipeline as one answer: their progress, their sentence, their table.

use crate::failure::Step;
use crate::progress::Steps;
use chrono::{DateTime, Utc};
use mkt_connect::chart::{Column, Format, Lang, Table};
use mkt_connect::clock::ManualClock;
use mkt_etl::{AnalyticsSource, Pipeline, RunReport, Window};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::SliceState;
use serde_json::{Value, json};
use std::sync::Arc;

/// What was loaded, run by run.
#[derive(Debug, Default)]
pub struct Loads(Vec<(&'static str, RunReport)>);

impl Loads {
    /// Loads a window of a source. The clock stands at `now`: what is final does not depend on the day of the run.
    ///
    /// # Errors
    /// As [`Pipeline::run`], and the first slice that failed, with its name.
    pub async fn run(
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

    /// Adds the runs of another answer.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether any run wrote anything.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(_, report)| report.changed)
    }

    /// Rows of a table that the sources gave, over all runs.
    #[must_use]
    pub fn rows(&self, table: &str) -> u64 {
        self.0.iter().filter_map(|(_, report)| report.rows.get(table)).sum()
    }

    /// What was loaded, in a line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let sum = |count: fn(&RunReport) -> u64| self.0.iter().map(|(_, report)| count(report)).sum::<u64>();
        let quarantined = match sum(|report| report.quarantined) {
            0 => String::new(),
            rows => format!("; {rows} rows quarantined"),
        };
        format!(
            "{} visits, {} events; {} slices settled, {} provisional{quarantined}{}",
            self.rows("sessions"),
            self.rows("events"),
            sum(|report| report.in_state(SliceState::Settled)),
            sum(|report| report.in_state(SliceState::Provisional)),
            if self.changed() { "" } else { " (as before: nothing was written)" }
        )
    }

    /// What a reader of the numbers should know, a line each.
    #[must_use]
    pub fn notes(&self) -> String {
        let notes =
            self.0.iter().flat_map(|(source, report)| report.notes.iter().map(move |note| (source, note)));
        notes.map(|(source, (slice, note))| format!("Note ({source}): {slice}: {note}\n")).collect()
    }

    /// By name of the run: slices by state, rows by table, and what was quarantined, revised and replayed.
    #[must_use]
    pub fn json(&self) -> Value {
        let told = self.0.iter().map(|(name, run)| {
            let told = json!({
                "slices": run.slices, "rows": run.rows, "quarantined": run.quarantined, "revised": run.revised,
                "replayed": run.replayed,
            });
            ((*name).to_owned(), told)
        });
        Value::Object(told.collect())
    }

    /// The slices of each run by state, for a page.
    #[must_use]
    pub fn table(&self, lang: Lang) -> Table {
        let states =
            [SliceState::Settled, SliceState::Provisional, SliceState::SuspectEmpty, SliceState::Failed];
        let columns = states.iter().map(|state| Column::number(state.as_str().replace('_', " ")));
        let columns =
            [Column::text("Source")].into_iter().chain(columns).chain([Column::number("Quarantined")]);
        let mut table = Table::new(columns)
            .note("Slices by state. Settled: final, and equal to the source's own totals where it has any.");
        for (name, report) in &self.0 {
            let counts = states.iter().map(|state| report.in_state(*state)).chain([report.quarantined]);
            let counts = counts.map(|count| lang.number(count as f64, Format::Integer));
            table.push([name.replace('_', ", ")].into_iter().chain(counts));
        }
        table
    }
}
