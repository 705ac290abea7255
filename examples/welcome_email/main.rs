//! Exercise 1.1: read new sign-ups, welcome each of them, log the answers, never twice:
//! `cargo run --release --example welcome_email -- --subscribers examples/data/inscrits.csv`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod mails;
mod named;
mod provider;
mod told;

use arguments::Arguments;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mails::Mails;
use mkt_connect::sentence;
use mkt_email::{Clock, EmailProvider, Outbox, RunOptions, Stop, SystemClock};
use named::Named;
use std::error::Error;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use told::Told;

/// What a step gives, or why it could not.
type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Mails rendered and put into the outbox at a time: memory does not grow with the file.
const PORTION: usize = 500;
/// How long a run waits, in all, for a provider that asks to slow down. Longer than that is the next run's matter.
const PATIENCE: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(welcome(&arguments));
    runtime.shutdown_background();
    match outcome {
        Ok(told) => {
            if arguments.json {
                match serde_json::to_string(&told) {
                    Ok(line) => println!("{line}"),
                    Err(error) => return failed(&error),
                }
            } else {
                print!("{}", told.text(arguments.dry_run));
            }
            match &told {
                Told { stopped: true, .. } => ExitCode::from(130),
                _ if arguments.dry_run => ExitCode::SUCCESS,
                told if told.pending > 0 || told.newly_unknown > 0 => ExitCode::from(3),
                _ => ExitCode::SUCCESS,
            }
        }
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("welcome_email: {}", sentence(error));
    ExitCode::FAILURE
}

async fn welcome(arguments: &Arguments) -> Step<Told> {
    let begun = Instant::now();
    // The file and the template first: what is wrong with them is told before anything is written.
    let mut mails = Mails::open(arguments)?;
    let stop = Stop::default();
    let told = if arguments.dry_run {
        let (outbox, _copy) = outbox_as_it_is(arguments).await?;
        let told = enqueue(&outbox, &mut mails, &stop).await?;
        outbox.close().await;
        told
    } else {
        let provider = provider::open(arguments)?;
        let ctrl_c = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                ctrl_c.request();
            }
        });
        send(arguments, &mut mails, provider.as_ref(), &stop).await?
    };
    for line in &mails.set_aside {
        eprintln!("welcome_email: set aside: {line}");
    }
    if told.quarantined > mails.set_aside.len() as u64 {
        eprintln!("welcome_email: set aside: {} more", told.quarantined - mails.set_aside.len() as u64);
    }
    Ok(Told { seconds: begun.elapsed().as_secs_f64(), ..told })
}

async fn send(
    arguments: &Arguments,
    mails: &mut Mails,
    provider: &dyn EmailProvider,
    stop: &Stop,
) -> Step<Told> {
    let state = || format!("cannot use the state {}", arguments.state.display());
    make_folder(arguments.folder()).named(state)?;
    let outbox = Outbox::open(&arguments.state).await.named(state)?;
    let log = arguments.log();
    let unkept = || format!("cannot keep the log {}", log.display());
    // A log that cannot be kept is found out before the first mail leaves.
    outbox.write_send_log(&log).await.named(unkept)?;

    // Everything is rendered and in the outbox before the first mail leaves.
    let before = enqueue(&outbox, mails, stop).await.named(state)?;
    let bar = bar(before.pending);
    let mut options = RunOptions::default();
    options.wait_up_to = PATIENCE;
    options.stop = stop.clone();
    if let Some(bar) = bar.clone() {
        options = options.on_progress(move |report| bar.set_position(report.accepted + report.rejected));
    }
    let ran = outbox.run(provider, &SystemClock::new(), &options).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outbox.write_send_log(&log).await.named(unkept)?;
    let report = ran?;

    // The outbox is asked again about everybody in the file: it may hold other people, of other files.
    let mut told = enqueue(&outbox, &mut Mails::open(arguments)?, &Stop::default()).await.named(state)?;
    told.already_sent = before.sent;
    told.newly_unknown = told.unknown.saturating_sub(before.unknown);
    told.stopped = report.stopped;
    outbox.close().await;
    Ok(told)
}

/// Puts everybody's mail into the outbox, where it is not there yet, and says where it stands.
async fn enqueue(outbox: &Outbox, mails: &mut Mails, stop: &Stop) -> Step<Told> {
    let mut told = Told::default();
    let now = SystemClock::new().now();
    while !stop.is_requested() {
        let portion = mails.next(PORTION)?;
        if portion.is_empty() {
            break;
        }
        told.add(&outbox.enqueue(&portion, now).await?);
    }
    told.rows(mails.counts());
    told.already_sent = told.sent;
    Ok(told)
}

/// Makes a folder for its owner only: what comes into it names people.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// The outbox of a dry run: a copy of the state, or an empty one, gone when it is dropped.
async fn outbox_as_it_is(arguments: &Arguments) -> Step<(Outbox, tempfile::TempDir)> {
    let state = || format!("cannot read the state {}", arguments.state.display());
    let copy = tempfile::tempdir()?;
    let path = copy.path().join("outbox.sqlite");
    for ending in ["", "-wal"] {
        let mut from = arguments.state.clone().into_os_string();
        from.push(ending);
        let mut to = path.clone().into_os_string();
        to.push(ending);
        if Path::new(&from).exists() {
            std::fs::copy(&from, &to).named(state)?;
        }
    }
    Ok((Outbox::open(&path).await.named(state)?, copy))
}

/// A bar on standard error when that is a terminal.
fn bar(mails: u64) -> Option<ProgressBar> {
    if mails == 0 || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(mails);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} mails, {per_sec}, {eta} to go") {
        bar.set_style(style);
    }
    Some(bar)
}
