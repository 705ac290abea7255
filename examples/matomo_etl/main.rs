//! Matomo into a warehouse, once or by a schedule:
//! `cargo run --release --example matomo_etl -- --demo --warehouse sqlite:target/matomo.db`.
//!
//! The reading, the checking, the lock and the schedule are mkt-etl's; this program takes options and signals, and says
//! what became of the slices.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod ask;
mod progress;
mod told;

use arguments::Arguments;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use mkt_connect::Stop;
use mkt_connect::clock::Clock;
use mkt_connect::clock::SystemClock;
use mkt_connect::{Secret, sentence};
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::MatomoBuilder;
use mkt_etl::schedule::{Backoff, Ended, Scheduler};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{DueSlices, Job, Pipeline, Turn, exit_code};
use mkt_warehouse::{Warehouse, open};
use progress::Teller;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(run(&arguments));
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("matomo_etl: {}", sentence(error));
    let code = error.downcast_ref::<mkt_connect::Error>().map_or(1, mkt_etl::exit_code_of);
    ExitCode::from(code)
}

async fn run(arguments: &Arguments) -> Step<u8> {
    let extent = arguments.extent()?;
    let seed = seed();
    // What is wrong with the options is told before anything is opened.
    let schedule = arguments.schedule(seed)?;
    if arguments.question.is_asked() {
        ask::answer(arguments, open(&arguments.warehouse).await?.as_ref()).await?;
        return Ok(0);
    }
    let mut recorded = None;
    let (source, clock) = if arguments.demo {
        let server = RecordedMatomo::start().await?;
        let source = chosen(server.source(), arguments).build()?;
        recorded = Some(server);
        // After everything that was recorded is final.
        let end = DateTime::from_timestamp(1_794_744_000, 0).unwrap_or_default();
        (source, Shifted::to(end))
    } else {
        (matomo(arguments)?, Shifted::none())
    };
    let warehouse = open(&arguments.warehouse).await?;
    let teller = Teller::new(arguments.quiet);
    let mut pipeline = Pipeline::new(source, Arc::clone(&warehouse))
        .clock(clock.clone())
        .again(arguments.again.into())
        .on_progress({
            let teller = teller.clone();
            move |progress| teller.tell(progress)
        });
    if let Some(days) = arguments.lookback {
        pipeline = pipeline.lookback(days);
    }
    if let Some(percent) = arguments.max_quarantined {
        pipeline = pipeline.error_budget(percent / 100.0);
    }
    let job = DueSlices::new(pipeline).extent(extent).lock(lock(arguments));
    let stop = Stop::new();
    listen(&stop)?;
    let job = Reported { job, arguments, warehouse, teller };
    let code = match schedule {
        None => {
            let turn = job.run(&stop).await;
            let code = exit_code(&turn);
            turn?;
            code
        }
        Some(schedule) => {
            eprintln!("matomo_etl: runs by {schedule}; the first run is now unless --catch-up skip");
            let scheduler = Scheduler::new(schedule)
                .catch_up(arguments.catch_up.into())
                .backoff(Backoff::default(), seed)
                .clock(clock);
            let mut last = 0;
            let ended = scheduler
                .run(&job, &stop, |told| {
                    last = exit_code(told.outcome);
                    if let Err(error) = told.outcome {
                        eprintln!("matomo_etl: {}", sentence(error));
                    }
                    if let Some(next) = told.next {
                        eprintln!("matomo_etl: next run {}", next.format("%Y-%m-%d %H:%M:%S UTC"));
                    }
                })
                .await;
            match ended {
                // Asked to stop, and nothing was left undone: that is a success.
                Ended::Stopped if last == 130 => 130,
                Ended::Stopped | Ended::Over => 0,
                Ended::Refused => 4,
            }
        }
    };
    drop(recorded);
    Ok(code)
}

/// The source that the options name.
fn matomo(arguments: &Arguments) -> Step<Matomo> {
    let token =
        Secret::from_env("MATOMO_TOKEN").ok_or("the environment variable MATOMO_TOKEN holds no token")?;
    let mut builder = Matomo::builder(arguments.base_url.as_deref().unwrap_or_default()).token(token);
    if let Some(host) = &arguments.allow_http {
        builder = builder.allow_insecure_host(host);
    }
    let builder = arguments.sites.iter().fold(builder, |builder, site| builder.site(*site));
    Ok(chosen(builder, arguments).build()?)
}

/// With the streams that the options name.
fn chosen(builder: MatomoBuilder, arguments: &Arguments) -> MatomoBuilder {
    match arguments.streams.as_slice() {
        [] => builder,
        [all] if all == "all" => builder.all_streams(),
        streams => builder.streams(streams),
    }
}

/// Processes that read the same sites keep each other out.
fn lock(arguments: &Arguments) -> String {
    let mut sites = arguments.sites.clone();
    sites.sort_unstable();
    let sites: Vec<String> = sites.iter().map(ToString::to_string).collect();
    format!("etl/matomo/{}", if sites.is_empty() { "1".to_owned() } else { sites.join(",") })
}

/// The first signal asks to stop, the second urges.
fn listen(stop: &Stop) -> Step<()> {
    let asked = stop.clone();
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            #[cfg(unix)]
            tokio::select! {
                signal = tokio::signal::ctrl_c() => if signal.is_err() { return },
                _ = terminate.recv() => {}
            }
            #[cfg(not(unix))]
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            if !asked.is_requested() {
                eprintln!("matomo_etl: stopping when the slices under way are done; once more to drop them");
            }
            asked.request();
        }
    });
    Ok(())
}

/// A number of this machine's own.
fn seed() -> u64 {
    let mut hasher = DefaultHasher::new();
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/machine-id").ok())
        .hash(&mut hasher);
    hasher.finish()
}

/// A job that says what became of it.
#[derive(Debug)]
struct Reported<'a> {
    job: DueSlices,
    arguments: &'a Arguments,
    warehouse: Arc<dyn Warehouse>,
    teller: Teller,
}

#[async_trait]
impl Job for Reported<'_> {
    async fn run(&self, stop: &Stop) -> mkt_connect::Result<Turn> {
        let turn = self.job.run(stop).await;
        self.teller.finish();
        let turn = turn?;
        if self.arguments.json {
            match told::object(&turn) {
                Ok(object) => println!("{object}"),
                Err(error) => eprintln!("matomo_etl: {error}"),
            }
        } else {
            print!("{}", told::text(&turn));
        }
        if let Some(path) = &self.arguments.prometheus {
            let zone = self.arguments.zone;
            let written = told::write_metrics(path, &turn, self.warehouse.as_ref(), zone).await;
            if let Err(error) = written {
                eprintln!("matomo_etl: {} cannot be written: {}", path.display(), sentence(error.as_ref()));
            }
        }
        Ok(turn)
    }
}

/// The system's clock, for the demonstration set to where its data ends.
#[derive(Debug, Clone)]
struct Shifted {
    clock: SystemClock,
    by: TimeDelta,
}

impl Shifted {
    fn none() -> Self {
        Self { clock: SystemClock::new(), by: TimeDelta::zero() }
    }

    fn to(now: DateTime<Utc>) -> Self {
        let clock = SystemClock::new();
        Self { by: now - clock.now(), clock }
    }
}

#[async_trait]
impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.by
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}
