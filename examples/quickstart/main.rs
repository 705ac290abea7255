//! The whole marketing loop on one machine: `cargo run --release --example quickstart`.
//!
//! Each step is one file beside this one, and uses the crates as your own program would.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod answer;
mod arguments;
mod customers;
mod extract;
mod failure;
mod inputs;
mod mails;
mod page;
mod predict;
mod progress;
mod social;
mod summary;

use arguments::Arguments;
use clap::Parser;
use failure::{Context, Step, placed};
use mkt_connect::sentence;
use mkt_warehouse::Sqlite;
use progress::Progress;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(&arguments) => Some(outcome),
            () = interrupted => None,
        }
    });
    // Work that was under way is given up: every store holds the old state or the new one.
    runtime.shutdown_background();
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => failed(error.as_ref()),
        None => {
            eprintln!("quickstart: interrupted; nothing is half-written, run it again to go on");
            ExitCode::from(130)
        }
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("quickstart: {}", sentence(error));
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments) -> Step<()> {
    let (data, out) = (arguments.data(), arguments.out.as_path());
    inputs::check(&data)?;
    let mut progress = Progress::new();
    std::fs::create_dir_all(out).context(|| format!("cannot make the directory {}", out.display()))?;

    let warehouse = Arc::new(Sqlite::open(out.join("mkt.sqlite")).await?);
    let extracted = placed(out, extract::extract(&data, Arc::clone(&warehouse), &mut progress).await)?;

    progress.step("answer the four questions");
    let answers = placed(out, answer::answer(warehouse.as_ref()).await)?;
    progress.done(&format!("{} sessions, {} events", answers.sessions, answers.events));

    progress.step("read social posts");
    let social = social::read(&data, answers.now, arguments.seed).await?;
    progress.done(&social.sentence());

    progress.step("predict who converts");
    let prediction = predict::predict(&data, out, arguments.seed)?;
    progress.done(&summary::models(&prediction));

    progress.step("write mails");
    let stop = mkt_email::Stop::default();
    let mails = placed(out, mails::write(&data, out, &answers.carts.rows, answers.now, stop).await)?;
    progress.done(&summary::mails(&mails));

    progress.step("show");
    let html = page::render(&extracted, &answers, &social, &prediction, &mails);
    let redrawn = replace(&out.join("report.html"), html.as_bytes())?;
    progress.done(&format!("{}", out.join("report.html").display()));
    let seconds = progress.seconds();
    drop(progress);
    warehouse.close().await;

    let changed = extracted.changed() || prediction.changed || mails.accepted > 0 || redrawn;
    let told = summary::Told {
        out,
        seconds,
        extracted: &extracted,
        answers: &answers,
        social: &social,
        prediction: &prediction,
        mails: &mails,
        changed,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&told.json())?);
    } else {
        print!("{}", told.text());
    }
    Ok(())
}

/// Writes a file whole or not at all; says whether its content is new.
fn replace(path: &Path, content: &[u8]) -> Step<bool> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let partial = path.with_extension("partial");
    std::fs::write(&partial, content)
        .and_then(|()| std::fs::rename(&partial, path))
        .inspect_err(|_| drop(std::fs::remove_file(&partial)))
        .context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}
