//! Matomo into a warehouse, once or by a schedule:
//! `cargo run --release --example matomo_etl -- --demo --warehouse sqlite:target/matomo.db`.
//! The reading, checking, lock and schedule are mkt-etl's; this program takes options and says what became of slices.

mod arguments;

use arguments::Arguments;
use async_trait::async_trait;
use clap::Parser;
use indicatif::ProgressBar;
use mkt_connect::{Secret, Stop, sentence};
use mkt_etl::matomo::{Matomo, MatomoBuilder};
use mkt_etl::schedule::{Backoff, Scheduler, seed_from_env, serve};
use mkt_etl::testing::{RecordedMatomo, ShiftedClock};
use mkt_etl::{DueSlices, Job, Pipeline, Progress, Turn, exit_code_of, history, prometheus};
use mkt_examples::{Answer, Program, Step, is_closed, print, progress, say, warehouse};
use mkt_warehouse::Warehouse;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = Stop::new();
    let program = Program::new("matomo_etl").stop(&stop);
    let program = program.exit_codes(|error| error.downcast_ref().map_or(1, exit_code_of));
    program.run(run(arguments, stop.clone()))
}

async fn run(arguments: Arguments, stop: Stop) -> Step<Answer> {
    let extent = arguments.extent()?;
    let seed = seed_from_env();
    // What is wrong with the options is told before anything is opened.
    let schedule = arguments.schedule(seed)?;
    if let Some(question) = arguments.question() {
        return answer(&arguments, &question).await;
    }
    // The recorded Matomo lives as long as this.
    let recorded = if arguments.demo { Some(RecordedMatomo::start().await?) } else { None };
    let (source, clock) = match &recorded {
        Some(server) => (server.source(), server.clock()),
        None => (account(&arguments)?, ShiftedClock::default()),
    };
    let source = chosen(source, &arguments).build()?;
    let warehouse = arguments.target.open().await?;
    let bar = progress::spinner("");
    let pipeline = Pipeline::new(source, Arc::clone(&warehouse)).clock(clock.clone()).again(arguments.again);
    let pipeline = arguments.lookback.into_iter().fold(pipeline, Pipeline::lookback);
    let pipeline =
        arguments.max_quarantined.into_iter().fold(pipeline, |it, most| it.error_budget(most / 100.0));
    let pipeline = pipeline.on_progress(teller(&bar, arguments.quiet));
    let job = DueSlices::new(pipeline).extent(extent).lock(lock(&arguments));
    let job = Reported { job, arguments: &arguments, warehouse, bar, unprinted: AtomicBool::new(false) };
    let scheduler = schedule.map(|schedule| {
        say(format_args!("matomo_etl: runs by {schedule}; the first run is now unless --catch-up skip"));
        let scheduler = Scheduler::new(schedule).catch_up(arguments.catch_up);
        scheduler.backoff(Backoff::default(), seed).clock(clock)
    });
    let code = serve(&job, scheduler.as_ref(), &stop, |outcome, next| {
        if let Err(error) = outcome {
            say(format_args!("matomo_etl: {}", sentence(error)));
        }
        if let Some(next) = next {
            say(format_args!("matomo_etl: next run {}", next.format("%Y-%m-%d %H:%M:%S UTC")));
        }
    });
    let code = code.await;
    Ok(Answer::nothing().code(if code == 0 && job.unprinted.into_inner() { 1 } else { code }))
}

async fn answer(arguments: &Arguments, question: &history::Question) -> Step<Answer> {
    let warehouse = warehouse::to_read(&arguments.target.warehouse).await?;
    let part = history::Part { window: arguments.window(), ..history::Part::default() };
    let mut out = Vec::new();
    let rows = history::write_answer(warehouse.as_ref(), question, &part, arguments.json, &mut out).await?;
    if *question == history::Question::Quarantine {
        say(format_args!("{rows} records are set aside; --again quarantined reads their days again"));
    }
    Ok(Answer::text(String::from_utf8(out)?))
}

/// The Matomo that the options name.
fn account(arguments: &Arguments) -> Step<MatomoBuilder> {
    let token =
        Secret::from_env("MATOMO_TOKEN").ok_or("the environment variable MATOMO_TOKEN holds no token")?;
    let builder = Matomo::builder(arguments.base_url.as_deref().unwrap_or_default()).token(token);
    let builder = arguments.allow_http.iter().fold(builder, |it, host| it.allow_insecure_host(host));
    Ok(arguments.sites.iter().fold(builder, |builder, site| builder.site(*site)))
}

/// With the streams and segments that the options name.
fn chosen(builder: MatomoBuilder, arguments: &Arguments) -> MatomoBuilder {
    let builder = match arguments.streams.as_slice() {
        [] => builder,
        [all] if all == "all" => builder.all_streams(),
        streams => builder.streams(streams),
    };
    arguments.segments.iter().fold(builder, |builder, (name, condition)| builder.segment(name, condition))
}

/// Processes that read the same sites keep each other out.
fn lock(arguments: &Arguments) -> String {
    let mut sites = if arguments.demo { vec![1] } else { arguments.sites.clone() };
    sites.sort_unstable();
    format!("etl/matomo/{}", sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// Slices on standard error: a bar on a terminal, one JSON line each elsewhere.
fn teller(bar: &ProgressBar, quiet: bool) -> impl Fn(&Progress) + Send + Sync + use<> {
    let (bar, on_terminal) = (bar.clone(), std::io::stderr().is_terminal());
    move |it| match serde_json::to_string(it) {
        _ if on_terminal => bar.set_message(format!("{} of {} slices, {}", it.done, it.total, it.slice)),
        Ok(line) if !quiet => say(line),
        _ => {}
    }
}

/// A job that says what became of it.
#[derive(Debug)]
struct Reported<'a> {
    job: DueSlices,
    arguments: &'a Arguments,
    warehouse: Arc<dyn Warehouse>,
    bar: ProgressBar,
    /// Standard output took no answer: a full disk.
    unprinted: AtomicBool,
}

#[async_trait]
impl Job for Reported<'_> {
    async fn run(&self, stop: &Stop) -> mkt_connect::Result<Turn> {
        let turn = self.job.run(stop).await;
        self.bar.finish_and_clear();
        let turn = turn?;
        let json = || format!("{}\n", serde_json::to_string(&turn).unwrap_or_default());
        let text = if self.arguments.json { json() } else { turn.to_string() };
        if let Some(error) = print(&text).err().filter(|error| !is_closed(error.as_ref())) {
            self.unprinted.store(true, Ordering::Relaxed);
            say(format_args!("matomo_etl: {}", sentence(error.as_ref())));
        }
        if let Some(path) = &self.arguments.prometheus
            && let Err(error) =
                prometheus::write_file(path, &turn, self.warehouse.as_ref(), self.arguments.zone).await
        {
            say(format_args!("matomo_etl: {}", sentence(&error)));
        }
        Ok(turn)
    }
}
