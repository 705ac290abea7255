//! A run and the ledger as Prometheus metrics, in its text format (version 0.0.4,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>, read November 2026).
//!
//! [`text`] is pure; [`write_file`] replaces a file for node_exporter's textfile collector. The twenty lines that write
//! the format stand here and not in the crate prometheus-client: that one writes OpenMetrics (`# EOF`, units), and the
//! textfile collector reads version 0.0.4.

use crate::job::Turn;
use crate::run_report::RunReport;
use crate::status::{StreamStatus, status};
use crate::zone;
use chrono::NaiveDate;
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::Warehouse;
use std::fmt::Write;
use std::path::Path;

/// The metrics of the last run, if there was one, and of every stream of the ledger. Every one is a gauge. Days become the
/// instant at which they begin in `zone`, in seconds since 1970.
///
/// ```
/// let text = mkt_etl::prometheus::text(None, &[], chrono_tz::Tz::UTC);
/// assert_eq!(text, ""); // no run and no stream: no metric
/// ```
#[must_use]
pub fn text(run: Option<&RunReport>, streams: &[StreamStatus], zone: Tz) -> String {
    let mut out = String::new();
    if let Some(run) = run {
        of_run(&mut out, run);
    }
    of_streams(&mut out, streams, zone);
    out
}

/// Replaces a file with the metrics of a run and of every stream of the ledger. A reader sees the old text or the new
/// one: the text is written beside the file, under a name that does not end in `.prom`, and renamed. Does nothing when
/// another process ran instead ([`Turn::AlreadyRunning`]): that one writes the file.
///
/// # Errors
/// Of the engine; `Storage` when the file cannot be written.
pub async fn write_file(path: &Path, turn: &Turn, warehouse: &dyn Warehouse, zone: Tz) -> Result<()> {
    let Turn::Ran(report) = turn else { return Ok(()) };
    let text = text(Some(report), &status(warehouse).await?, zone);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(|cause| {
        Error::new(ErrorKind::Storage, "etl", "write the metrics")
            .with_detail(path.display().to_string())
            .with_source(cause)
    })
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn of_run(out: &mut String, run: &RunReport) {
    let one = |value: f64| vec![(Vec::new(), value)];
    gauge(
        out,
        "mkt_etl_run_started_timestamp_seconds",
        "When the last run began.",
        one(run.started_at.timestamp() as f64),
    );
    gauge(out, "mkt_etl_run_duration_seconds", "How long the last run took.", one(run.seconds));
    gauge(
        out,
        "mkt_etl_run_complete",
        "Whether the last run read and loaded every slice that it was asked for.",
        one(f64::from(u8::from(run.is_complete()))),
    );
    gauge(
        out,
        "mkt_etl_run_exit_code",
        "The exit code that stands for the last run.",
        one(f64::from(run.exit_code())),
    );
    gauge(
        out,
        "mkt_etl_run_slices",
        "Slices of the last run by state, after it.",
        run.slices.iter().map(|(state, n)| (vec![("state", state.as_str())], *n as f64)),
    );
    gauge(
        out,
        "mkt_etl_run_rows",
        "Rows that the slices of the last run hold.",
        run.rows.iter().map(|(table, n)| (vec![("table", table.as_str())], *n as f64)),
    );
    gauge(
        out,
        "mkt_etl_run_records",
        "Records of the slices of the last run.",
        [("read", run.read), ("quarantined", run.quarantined), ("duplicate", run.duplicates)]
            .map(|(outcome, n)| (vec![("outcome", outcome)], n as f64)),
    );
    gauge(
        out,
        "mkt_etl_run_slice_outcomes",
        "What the last run did to slices.",
        [("revised", run.revised), ("replayed", run.replayed), ("failed", run.failures.len() as u64)]
            .map(|(outcome, n)| (vec![("outcome", outcome)], n as f64)),
    );
}

fn of_streams(out: &mut String, streams: &[StreamStatus], zone: Tz) {
    fn labels(stream: &StreamStatus) -> Labels<'_> {
        vec![("source", &stream.source), ("stream", &stream.stream), ("site", &stream.site)]
    }
    let begin = |day: NaiveDate| zone::day_start(day, zone).timestamp() as f64;
    let all = |value: fn(&StreamStatus) -> f64| streams.iter().map(move |it| (labels(it), value(it)));
    let days = |day: fn(&StreamStatus) -> Option<NaiveDate>| {
        streams.iter().filter_map(move |it| Some((labels(it), begin(day(it)?))))
    };
    gauge(
        out,
        "mkt_etl_slices",
        "Slices of the ledger by state.",
        streams.iter().flat_map(|stream| {
            stream.slices.iter().map(|(state, n)| {
                let mut with = labels(stream);
                with.push(("state", state.as_str()));
                (with, *n as f64)
            })
        }),
    );
    gauge(
        out,
        "mkt_etl_last_change_timestamp_seconds",
        "When a slice of the stream last changed, failures included.",
        all(|stream| stream.last_change.timestamp() as f64),
    );
    gauge(
        out,
        "mkt_etl_newest_day_timestamp_seconds",
        "The newest day that was read.",
        days(|it| it.newest_day),
    );
    gauge(
        out,
        "mkt_etl_settled_day_timestamp_seconds",
        "The day up to which every day is final.",
        days(|it| it.settled_until),
    );
    gauge(out, "mkt_etl_failing_slices", "Slices whose last read failed.", all(|it| it.failing as f64));
    gauge(
        out,
        "mkt_etl_unreconciled_slices",
        "Slices whose control totals disagree.",
        all(|it| it.unreconciled as f64),
    );
    gauge(
        out,
        "mkt_etl_quarantined_records",
        "Records that were set aside.",
        all(|it| it.quarantined as f64),
    );
    gauge(out, "mkt_etl_rows", "Rows that the stream's slices hold.", all(|it| it.rows as f64));
}

/// One metric with its help, type and samples; nothing where there is no sample.
fn gauge<'a>(out: &mut String, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'a>, f64)>) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a text cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (labels, value) in samples {
        out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }
}

/// The value of a label: backslash, double quote and line feed are escaped, everything else is itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn stream(site: &str) -> StreamStatus {
        StreamStatus {
            source: "matomo".to_owned(),
            stream: "visits".to_owned(),
            site: site.to_owned(),
            slices: BTreeMap::from([("provisional".to_owned(), 2), ("settled".to_owned(), 3)]),
            newest_day: Some("2026-10-25".parse().unwrap()),
            settled_until: None,
            waits_for: None,
            last_change: "2026-10-25T12:00:00Z".parse().unwrap(),
            failing: 1,
            last_error: Some("unavailable".to_owned()),
            unreconciled: 0,
            rows: 1_234_567_890,
            quarantined: 7,
        }
    }

    fn run() -> RunReport {
        let mut run = RunReport::new("2026-10-25T12:00:00Z".parse().unwrap());
        run.slices = BTreeMap::from([("settled".to_owned(), 5)]);
        run.rows = BTreeMap::from([("sessions".to_owned(), 64)]);
        run.seconds = 1.25;
        run
    }

    /// A sample: name, labels, value.
    type Sample = (String, Vec<(String, String)>, f64);

    /// Reads the format as its specification says, strictly: help, type, then all samples of one metric; names of the
    /// legal characters; escapes in label values; the last line ends with a line feed.
    fn parse(text: &str) -> Vec<Sample> {
        assert!(text.ends_with('\n'));
        let legal = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (mut seen, mut current, mut samples) = (BTreeSet::new(), String::new(), Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(legal(name) && !help.is_empty(), "{line}");
                assert!(seen.insert(name.to_owned()), "{name} comes twice");
                assert_eq!(lines.next(), Some(format!("# TYPE {name} gauge").as_str()));
                current = name.to_owned();
                continue;
            }
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
            let (name, mut rest) = line.split_at(end);
            assert_eq!(name, current, "a sample outside of its metric");
            let mut labels = Vec::new();
            if let Some(inner) = rest.strip_prefix('{') {
                rest = inner;
                loop {
                    let (label, value) = rest.split_once("=\"").unwrap();
                    assert!(legal(label), "{label}");
                    let (mut text, mut chars) = (String::new(), value.char_indices());
                    let close = loop {
                        match chars.next().unwrap() {
                            (_, '\\') => text.push(match chars.next().unwrap().1 {
                                'n' => '\n',
                                c @ ('\\' | '"') => c,
                                other => panic!("no such escape: {other}"),
                            }),
                            (at, '"') => break at,
                            (_, c) => text.push(c),
                        }
                    };
                    labels.push((label.to_owned(), text));
                    rest = &value[close + 1..];
                    match rest.strip_prefix(',') {
                        Some(more) => rest = more,
                        None => break,
                    }
                }
                rest = rest.strip_prefix('}').unwrap();
            }
            samples.push((name.to_owned(), labels, rest.strip_prefix(' ').unwrap().parse().unwrap()));
        }
        samples
    }

    #[test]
    fn what_is_told_is_read_back_by_the_rules_of_the_format() {
        let text = text(Some(&run()), &[stream("1"), stream("2")], chrono_tz::Europe::Paris);
        let samples = parse(&text);
        let value = |name: &str, labels: &[(&str, &str)]| {
            let labels: Vec<_> = labels.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let found: Vec<f64> =
                samples.iter().filter(|it| it.0 == name && it.1 == labels).map(|it| it.2).collect();
            assert_eq!(found.len(), 1, "{name} {labels:?}");
            found[0]
        };
        let of = [("source", "matomo"), ("stream", "visits"), ("site", "2")];
        assert_eq!(value("mkt_etl_run_duration_seconds", &[]), 1.25);
        assert_eq!(value("mkt_etl_run_complete", &[]), 1.0);
        assert_eq!(value("mkt_etl_run_rows", &[("table", "sessions")]), 64.0);
        assert_eq!(value("mkt_etl_rows", &of), 1_234_567_890.0);
        // `date -d '2026-10-25 00:00 Europe/Paris' +%s`: summer time until 03:00.
        assert_eq!(value("mkt_etl_newest_day_timestamp_seconds", &of), 1_792_879_200.0);
        let mut with_state = of.to_vec();
        with_state.push(("state", "provisional"));
        assert_eq!(value("mkt_etl_slices", &with_state), 2.0);
        // No day is final, so none is told.
        assert!(!text.contains("settled_day"));
    }

    #[test]
    fn a_label_may_hold_anything() {
        let hostile = "a\"b\\c\nd\\n} 1\né{x=\"y\"}";
        let samples = parse(&text(None, &[stream(hostile)], Tz::UTC));
        assert!(!samples.is_empty());
        for (name, labels, _) in &samples {
            assert_eq!(labels[2], ("site".to_owned(), hostile.to_owned()), "{name}");
        }
    }
}
