//! Reads bounces, complaints and unsubscriptions that arrive by email into an outbox:
//! `cargo run --release --example bounces -- --from maildir:/var/mail/bounces --state outbox.sqlite`.

mod arguments;

use arguments::{Arguments, From};
use clap::Parser;
use mkt_email::bounce::{
    FeedbackReader, FeedbackReport, FeedbackSource, ImapSource, MaildirSource, MboxSource, ReturnPathKeys,
    SingleSource,
};
use mkt_email::unsubscribe::UnsubscribeKeys;
use mkt_email::{Error, ErrorKind, Outbox, Secret, Stop, SystemClock};
use mkt_examples::{Answer, Context, Program, Step};
use std::process::ExitCode;

/// "Try again later" (`EX_TEMPFAIL`): a mail server keeps the message and pipes it in again.
const LATER: u8 = 75;

fn main() -> ExitCode {
    let (arguments, stop) = (Arguments::parse(), Stop::new());
    let piped = matches!(arguments.from, From::StandardInput);
    Program::new("bounces")
        .exit_codes(if piped { |_| LATER } else { |_| 1 })
        .interrupted("interrupted; what was read is recorded, run it again to go on")
        .stop(&stop)
        .run(read(&arguments, &stop))
}

async fn read(arguments: &Arguments, stop: &Stop) -> Step<Answer> {
    let state = || format!("cannot use the state {}", arguments.state.display());
    let reader = reader(arguments)?;
    if !arguments.state.exists() {
        // A new outbox has sent nothing: every message would be flagged, and nobody found.
        return Err(format!(
            "there is no state {}: expected the outbox that sent the emails",
            arguments.state.display()
        )
        .into());
    }
    let outbox = Outbox::open(&arguments.state).await.context(state)?;
    let clock = SystemClock::new();
    let report = match &arguments.from {
        From::Maildir(path) => {
            read_all(&reader, &outbox, &mut MaildirSource::open(path)?, &clock, stop).await?
        }
        From::Mbox(path) => read_all(&reader, &outbox, &mut MboxSource::open(path)?, &clock, stop).await?,
        From::StandardInput => {
            read_all(&reader, &outbox, &mut SingleSource::new(std::io::stdin()), &clock, stop).await?
        }
        From::Imap(url) => {
            let password = secret("MKT_IMAP_PASSWORD").ok_or("MKT_IMAP_PASSWORD is not set")?;
            let mut source = ImapSource::from_url(url, password)?.connect().await?;
            let report = read_all(&reader, &outbox, &mut source, &clock, stop).await?;
            source.close().await;
            report
        }
    };
    outbox.close().await;
    let code = if stop.is_requested() { 130 } else { 0 };
    Ok(Answer::of(arguments.json, &report, text)?.code(code))
}

async fn read_all(
    reader: &FeedbackReader,
    outbox: &Outbox,
    source: &mut dyn FeedbackSource,
    clock: &SystemClock,
    stop: &Stop,
) -> Result<FeedbackReport, Error> {
    reader.read(outbox, source, clock, stop).await
}

/// A secret from the environment.
fn secret(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(Secret::new)
}

/// The secrets of a variable, separated by commas: the current one first.
fn secrets(name: &str) -> Vec<Secret> {
    let texts = std::env::var(name).unwrap_or_default();
    texts.split(',').map(str::trim).filter(|text| !text.is_empty()).map(Secret::new).collect()
}

fn reader(arguments: &Arguments) -> Step<FeedbackReader> {
    let mut reader = FeedbackReader::new();
    if let [first, former @ ..] = secrets("MKT_UNSUBSCRIBE_KEY").as_slice() {
        let keys = UnsubscribeKeys::new(first)?;
        reader = reader.unsubscribe_keys(former.iter().try_fold(keys, UnsubscribeKeys::accepting)?);
    }
    if let [first, former @ ..] = secrets("MKT_RETURN_PATH_KEY").as_slice() {
        let address = arguments.return_path.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, "bounces", "start")
                .with_detail("MKT_RETURN_PATH_KEY is set: expected --return-path")
        })?;
        let keys = ReturnPathKeys::new(address, first)?;
        reader = reader.return_paths(former.iter().try_fold(keys, ReturnPathKeys::accepting)?);
    }
    Ok(if arguments.signed_only { reader.signed_only() } else { reader })
}

fn text(report: &FeedbackReport) -> String {
    let FeedbackReport { read, bounces, hard, soft, blocked, complaints, unsubscribes, .. } = report;
    let FeedbackReport { matched, known, ignored, delayed, delivered, auto_replies, .. } = report;
    let unmatched = bounces + complaints + unsubscribes - matched;
    format!(
        "{read} messages read\n\
         {bounces} bounces: {hard} hard, {soft} soft, of which {blocked} blocked\n\
         {complaints} complaints\n\
         {unsubscribes} requests to unsubscribe\n\
         {ignored} ignored: {delayed} delays, {delivered} deliveries, {auto_replies} automatic replies, the rest not recognised\n\
         {matched} led to an email of the outbox ({known} recorded before), {unmatched} did not\n"
    )
}
