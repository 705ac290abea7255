//! Exercise 1.1: read new sign-ups, welcome each of them, log the answers, never twice:
//! `cargo run --release --example welcome_email -- --subscribers examples/data/inscrits.csv`.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_email::{ErrorKind, Outbox, RunOptions, Stop, SystemClock, Template};
use mkt_examples::mailing::{Mailing, Standing, template};
use mkt_examples::{Answer, Context, Program, Step, file, progress, provider, say};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The name of the email: whoever was sent it is not sent it again, in whatever language.
const CAMPAIGN: &str = "bienvenue";
/// Emails rendered and enqueued at a time: memory does not grow with the file.
const PORTION: usize = 500;
/// How long a run waits, in all, for a provider that asks to slow down. Longer than that is the next run's matter.
const PATIENCE: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let (arguments, stop) = (Arguments::parse(), Stop::new());
    Program::new("welcome_email").stop(&stop).run(welcome(&arguments, &stop))
}

async fn welcome(arguments: &Arguments, stop: &Stop) -> Step<Answer> {
    let begun = Instant::now();
    // The file and the template first: what is wrong with them is an error before anything is written.
    let mut mailing = mailing(arguments)?;
    let (standing, code) = if arguments.dry_run {
        let (outbox, _copy) = copy_of(&arguments.state).await?;
        let standing = enqueue(&outbox, &mut mailing, stop, !arguments.json).await?;
        outbox.close().await;
        (standing, 0)
    } else {
        send(arguments, &mut mailing, stop).await?
    };
    let (quarantined, more) = mailing.quarantined();
    for line in quarantined {
        say(format_args!("welcome_email: quarantined: {line}"));
    }
    if more > 0 {
        say(format_args!("welcome_email: quarantined: {more} more"));
    }
    let standing = Standing { seconds: begun.elapsed().as_secs_f64(), ..standing };
    Ok(Answer::of(arguments.json, &standing, |standing| standing.text(arguments.dry_run))?.code(code))
}

fn mailing(arguments: &Arguments) -> Step<Mailing> {
    let template = match &arguments.template {
        None => Template::welcome(arguments.lang)?,
        Some(path) => template(path)?,
    };
    Mailing::open(&arguments.subscribers, template, arguments.sender(), CAMPAIGN)
}

/// Sends what is not sent yet; says where everybody stands, and the exit code.
async fn send(arguments: &Arguments, mailing: &mut Mailing, stop: &Stop) -> Step<(Standing, u8)> {
    let state = || format!("cannot use the state {}", arguments.state.display());
    let folder = arguments.folder();
    let provider =
        provider::from_env(&arguments.provider, arguments.base_url.as_deref(), &folder.join("mails"))?;
    file::make_private_folder(folder).context(state)?;
    let outbox = Outbox::open(&arguments.state).await.context(state)?;
    let log = arguments.log();
    let unkept = || format!("cannot keep the log {}", log.display());
    // A log that cannot be kept is found out before the first email leaves, and everything is rendered by then.
    outbox.write_send_log(&log).await.context(unkept)?;
    let before = enqueue(&outbox, mailing, stop, false).await.context(state)?;

    let bar = progress::bar(before.pending, "emails");
    let (of_progress, of_interruption) = (bar.clone(), bar.clone());
    let mut options = RunOptions::default()
        .on_progress(move |report| of_progress.set_position(report.accepted + report.rejected))
        // A server that cannot be reached is told at once, not after the run has waited for it.
        .on_interruption(move |interruption| {
            // Refused credentials end the run, which says so itself.
            if interruption.kind != Some(ErrorKind::Auth) {
                of_interruption.suspend(|| say(format_args!("welcome_email: {}", interruption.reason)));
            }
        });
    (options.wait_up_to, options.stop) = (PATIENCE, stop.clone());
    let ran = outbox.run(provider.as_ref(), &SystemClock::new(), &options).await;
    bar.finish_and_clear();
    outbox.write_send_log(&log).await.context(unkept)?;
    let report = ran?;

    // The outbox is asked about everybody in the file once more: it may hold other people, of other files.
    let mut again = self::mailing(arguments)?;
    let after = enqueue(&outbox, &mut again, &Stop::new(), false).await.context(state)?;
    outbox.close().await;
    let nobody = after.recipients > 0 && after.failed == after.recipients;
    let code = match report.stopped {
        true => 130,
        false if after.pending > 0 || after.unknown > before.unknown || nobody => 3,
        false => 0,
    };
    Ok((Standing { already_sent: before.sent, ..after }, code))
}

/// Puts everybody's email into the outbox, where it is not there yet, and counts where each stands. With `show` the first
/// email is printed whole.
async fn enqueue(outbox: &Outbox, mailing: &mut Mailing, stop: &Stop, show: bool) -> Step<Standing> {
    let (mut standing, mut show) = (Standing::default(), show);
    let now = chrono::Utc::now();
    while !stop.is_requested() {
        let portion = mailing.next(PORTION)?;
        let Some(first) = portion.first() else { break };
        if std::mem::take(&mut show) {
            let message = &first.message;
            let (from, to) = (message.from().address.as_str(), message.to().address.as_str());
            let (subject, text) = (message.subject().as_str(), message.text());
            mkt_examples::print(&format!(
                "The first of them:\nFrom: {from}\nTo: {to}\nSubject: {subject}\n\n{text}\n"
            ))?;
        }
        standing.add(&outbox.enqueue(&portion, now).await?);
    }
    standing.already_sent = standing.sent;
    Ok(mailing.standing(standing))
}

/// The outbox of a dry run: a copy of the state, or an empty one, gone when it is dropped.
async fn copy_of(state: &Path) -> Step<(Outbox, tempfile::TempDir)> {
    let unreadable = || format!("cannot read the state {}", state.display());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("outbox.sqlite");
    for ending in ["", "-wal"] {
        let with_ending = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let from = with_ending(state);
        if from.exists() {
            std::fs::copy(&from, with_ending(&path)).context(unreadable)?;
        }
    }
    Ok((Outbox::open(&path).await.context(unreadable)?, folder))
}
