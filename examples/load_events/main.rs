//! Loads events, and sessions, from CSV files in the course's columns into a warehouse:
//! `cargo run --release --example load_events -- --warehouse sqlite:shop.db --events events.csv`.
//!
//! The reading, the quarantine and the ledger are mkt-etl's; this program only says what became of the rows.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod days;

use arguments::Arguments;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mkt_connect::sentence;
use mkt_etl::csv::CsvSource;
use mkt_etl::{Pipeline, Window};
use mkt_warehouse::{ColumnType, Query, Value, Warehouse, model, open};
use serde::Serialize;
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Set-aside records that are shown.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(run(&arguments));
    runtime.shutdown_background();
    match outcome {
        Ok(Told { cancelled: true, .. }) => {
            eprintln!("load_events: interrupted; whole days are loaded or not, run it again to go on");
            ExitCode::from(130)
        }
        Ok(told) if arguments.json => match serde_json::to_string(&told) {
            Ok(line) => {
                println!("{line}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        },
        Ok(told) => {
            println!("{}", told.sentence());
            ExitCode::SUCCESS
        }
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("load_events: {}", sentence(error));
    ExitCode::FAILURE
}

/// What became of the rows: read = loaded + replayed + quarantined + duplicates.
#[derive(Debug, Default, Serialize)]
struct Told {
    read: u64,
    loaded: u64,
    quarantined: u64,
    replayed: u64,
    duplicates: u64,
    /// Days of which anything was written.
    days_changed: u64,
    seconds: f64,
    #[serde(skip)]
    cancelled: bool,
}

impl Told {
    fn sentence(&self) -> String {
        format!(
            "{} rows read: {} loaded, {} there already, {} set aside, {} repeated ({:.1} s)",
            self.read, self.loaded, self.replayed, self.quarantined, self.duplicates, self.seconds
        )
    }
}

async fn run(arguments: &Arguments) -> Step<Told> {
    let begun = Instant::now();
    let source = source(arguments)?;
    let days = source.days_with_records().await?;
    let warehouse = open(&arguments.warehouse).await?;
    warehouse.migrate(&model::SCHEMA).await?;

    // What an earlier file of this key held and this one does not is taken out again.
    let held = days::held(warehouse.as_ref(), &arguments.site, &arguments.key()).await?;
    let windows = days::windows(days.iter().copied().chain(held));
    let bar = bar();
    let mut told = Told::default();
    for window in windows {
        load(&source, &warehouse, window, bar.as_ref(), &mut told).await?;
        if told.cancelled {
            break;
        }
    }
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if told.quarantined > 0 {
        show_quarantine(warehouse.as_ref(), arguments).await?;
    }
    told.seconds = begun.elapsed().as_secs_f64();
    Ok(told)
}

fn source(arguments: &Arguments) -> Step<CsvSource> {
    let mut builder = CsvSource::builder(&arguments.site, arguments.zone)
        .events(&arguments.events)
        .currency(arguments.currency)
        .times_in(arguments.times_in)
        .key(arguments.key());
    if let Some(sessions) = &arguments.sessions {
        builder = builder.sessions(sessions);
    }
    Ok(builder.build()?)
}

/// Loads a run of days, a slice each, until Ctrl-C.
async fn load(
    source: &CsvSource,
    warehouse: &Arc<dyn Warehouse>,
    window: Window,
    bar: Option<&ProgressBar>,
    told: &mut Told,
) -> Step<()> {
    let (loaded, replayed, changed) = (counter(), counter(), counter());
    let pipeline = {
        let (loaded, replayed, changed) = (Arc::clone(&loaded), Arc::clone(&replayed), Arc::clone(&changed));
        let bar = bar.cloned();
        Pipeline::new(source.clone(), Arc::clone(warehouse)).on_progress(move |progress| {
            let rows = if progress.changed { &loaded } else { &replayed };
            rows.fetch_add(progress.rows, Ordering::Relaxed);
            changed.fetch_add(u64::from(progress.changed), Ordering::Relaxed);
            if let Some(bar) = &bar {
                bar.set_message(format!(
                    "{} of {} slices: {}",
                    progress.done, progress.total, progress.slice
                ));
            }
        })
    };
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = pipeline.run_until(window, stop).await?;
    if let Some(failure) = report.failures.first() {
        return Err(format!("{}: {}", failure.slice, failure.message).into());
    }
    told.read += report.read;
    told.quarantined += report.quarantined;
    told.duplicates += report.duplicates;
    told.loaded += loaded.load(Ordering::Relaxed);
    told.replayed += replayed.load(Ordering::Relaxed);
    told.days_changed += changed.load(Ordering::Relaxed);
    told.cancelled = report.cancelled;
    Ok(())
}

fn counter() -> Arc<AtomicU64> {
    Arc::default()
}

fn bar() -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar
    })
}

/// The first records that do not fit, with where they stand and why.
async fn show_quarantine(warehouse: &dyn Warehouse, arguments: &Arguments) -> Step<()> {
    let [sessions, events] = days::streams(&arguments.key());
    let query = Query::new(
        "select place, line, reason from etl_quarantine \
         where source = 'csv' and site = :1 and stream in (:2, :3) order by place, line limit :4",
    )
    .bind(Value::Text(arguments.site.clone()))
    .bind(Value::Text(sessions))
    .bind(Value::Text(events))
    .bind(Value::Int(i64::try_from(SHOWN).unwrap_or(i64::MAX)))
    .column("place", ColumnType::Text)
    .column("line", ColumnType::Int)
    .column("reason", ColumnType::Text);
    let rows = warehouse.query(&query).await?;
    for row in 0..rows.rows() {
        eprintln!(
            "set aside: {} line {}: {}",
            rows.value(row, "place"),
            rows.value(row, "line"),
            rows.value(row, "reason")
        );
    }
    eprintln!("set aside rows are in the table etl_quarantine, with their bytes; addresses are replaced");
    Ok(())
}
