//! The outbox end to end, enqueue → accepted by the in-memory provider; the Rust side of `outbox.py`.
//!
//! Every commit is durable. Mails are made in calls of 5000, outside of the time that is told; what the program has in
//! memory at most is told after the last call of enqueue, and at the end, when the provider holds every message.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program")]

use clap::Parser;
use mkt_email::message::Feature;
use mkt_email::provider::{Capabilities, Idempotency};
use mkt_email::{Clock, DedupKey, EmailAddress, Memory, Message, NewEmail, Outbox, RunOptions, SystemClock};
use std::time::Instant;

/// Enqueues mails and sends them through the in-memory provider; prints what it took, in JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// The URL of a fresh outbox: `sqlite:PATH` or `postgres://…`
    url: String,
    /// Mails, each to another person
    recipients: usize,
    /// Mails to a call; 1 is a provider that knows no keys, as SMTP
    group: usize,
    /// Calls side by side
    in_flight: usize,
}

fn mail(number: usize) -> NewEmail {
    let to: EmailAddress = format!("reader{number}@mail{}.example.org", number % 1000).parse().unwrap();
    let text = format!("Bienvenue reader {number} !\n{}", "Merci de votre inscription. ".repeat(20));
    let message = Message::builder(
        "Boutique <bonjour@boutique.example>".parse().unwrap(),
        to.clone().into(),
        "Bienvenue !".parse().unwrap(),
    )
    .html(format!("<html><body><p>{text}</p></body></html>"))
    .text(text)
    .build()
    .unwrap();
    NewEmail::transactional(DedupKey::for_address("welcome", &to), message)
}

/// The most memory this process had, where the system tells (Linux).
fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}

#[tokio::main]
async fn main() {
    let Arguments { url, recipients: count, group, in_flight } = Arguments::parse();
    let outbox = Outbox::connect(&url).await.unwrap();
    let mut capabilities = Capabilities::minimal();
    capabilities.features.extend(Feature::ALL);
    capabilities.max_recipients = group;
    if group > 1 {
        capabilities.idempotency = Idempotency::Key { within: None };
    }
    let provider = Memory::with_capabilities(capabilities);
    let clock = SystemClock::new();
    let mut options = RunOptions::default();
    options.batch = 1000;
    options.calls_in_flight = in_flight;

    let mut enqueued = 0.0;
    for first in (0..count).step_by(5000) {
        let mails: Vec<NewEmail> = (first..count.min(first + 5000)).map(mail).collect();
        let begun = Instant::now();
        outbox.enqueue(&mails, clock.now()).await.unwrap();
        enqueued += begun.elapsed().as_secs_f64();
    }
    let enqueue_megabytes = peak_megabytes();
    let begun = Instant::now();
    let accepted = outbox.run(&provider, &clock, &options).await.unwrap().accepted;
    let seconds = enqueued + begun.elapsed().as_secs_f64();
    assert_eq!(accepted, count as u64);
    println!(
        "{}",
        serde_json::json!({
            "recipients": count, "group": group, "in_flight": in_flight,
            "enqueue_seconds": enqueued, "seconds": seconds,
            "recipients_per_second": count as f64 / seconds,
            "enqueue_megabytes": enqueue_megabytes, "megabytes": peak_megabytes(),
        })
    );
}
