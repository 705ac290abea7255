//! What became of a run, for people, for programs and for Prometheus.

use mkt_etl::{RunReport, Turn, prometheus, status};
use mkt_warehouse::Warehouse;
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;

/// One object for a turn; its keys are stable.
pub(crate) fn object(turn: &Turn) -> Result<Value, serde_json::Error> {
    Ok(match turn {
        Turn::Ran(report) => {
            let mut value = serde_json::to_value(report)?;
            value["already_running"] = json!(false);
            value
        }
        Turn::AlreadyRunning => json!({
            "slices": {}, "rows": {}, "quarantined": 0, "revised": 0, "replayed": 0, "seconds": 0.0,
            "already_running": true,
        }),
    })
}

/// A few lines for people.
pub(crate) fn text(turn: &Turn) -> String {
    let Turn::Ran(report) = turn else {
        return "already running: another process is at it, nothing was done here\n".to_owned();
    };
    let counted = |map: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> = map.iter().map(|(name, n)| format!("{n} {name}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    let mut text = format!("slices: {}\nrows: {}\n", counted(&report.slices), counted(&report.rows));
    text.push_str(&format!(
        "{} revised, {} as before, {} records set aside, {} s{}\n",
        report.revised,
        report.replayed,
        report.quarantined,
        (report.seconds * 10.0).round() / 10.0,
        if report.changed { "" } else { "; nothing was written" }
    ));
    text.push_str(&remarks(report));
    text
}

/// At most a few of each kind: the ledger has them all.
fn remarks(report: &RunReport) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = Vec::new();
    let mut add = |what: &str, found: Vec<String>| {
        let more = found.len().saturating_sub(SHOWN);
        lines.extend(found.into_iter().take(SHOWN).map(|line| format!("{what}: {line}")));
        if more > 0 {
            lines.push(format!("{what}: {more} more"));
        }
    };
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(slice, text)| format!("{slice}: {text}")).collect()
    };
    let failures = report.failures.iter().map(|it| format!("{}: {}", it.slice, it.message)).collect();
    add("failed", failures);
    add("differs from its control totals", pairs(&report.unreconciled));
    add("note", pairs(&report.notes));
    add("form", report.drift.iter().map(|(change, n)| format!("{change} ({n} slices)")).collect());
    lines.extend(report.stopped.iter().map(|why| format!("stopped early: {why}")));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Replaces the file of metrics, so that a reader sees the old text or the new one.
pub(crate) async fn write_metrics(
    path: &Path,
    turn: &Turn,
    warehouse: &dyn Warehouse,
    zone: chrono_tz::Tz,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Whoever runs writes; who found another at it leaves its file alone.
    let Turn::Ran(report) = turn else { return Ok(()) };
    let text = prometheus::text(Some(report), &status::status(warehouse).await?, zone);
    let mut beside = path.as_os_str().to_owned();
    // Another ending: the collector reads `*.prom` only.
    beside.push(format!(".{}.tmp", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)?;
    Ok(())
}
