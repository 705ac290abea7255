//! Reads and validates a CSV of subscribers; the Rust side of `subscribers.py`, which makes the file and compares.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program")]

use clap::Parser;
use mkt_email::Subscribers;
use mkt_email::subscribers::Row;
use std::path::PathBuf;
use std::time::Instant;

/// Reads and validates a CSV of subscribers; prints counts, time and memory, in JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// The file
    file: PathBuf,
}

/// The most memory that the process ever had, in MB, where the system tells.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
}

fn main() {
    let Arguments { file } = Arguments::parse();
    let begun = Instant::now();
    let mut reader = Subscribers::open(&file).unwrap();
    let (mut letters, mut dates) = (0, 0);
    for row in reader.by_ref() {
        if let Row::Subscriber(person) = row.unwrap() {
            letters += person.email.as_str().len() + person.first_name.map_or(0, |name| name.as_str().len());
            dates += usize::from(person.signed_up_on.is_some());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let counts = reader.counts();
    println!(
        "{}",
        serde_json::json!({
            "rows": counts.rows, "subscribers": counts.subscribers, "quarantined": counts.quarantined,
            "duplicates": counts.duplicates, "letters": letters, "dates": dates, "seconds": seconds,
            "rows_per_second": counts.rows as f64 / seconds, "peak_mb": peak(),
        })
    );
}
