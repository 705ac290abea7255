//! What the ledger knows, without a run.

use crate::arguments::Arguments;
use mkt_etl::{Window, history, ledger, status};
use mkt_warehouse::{Warehouse, model};
use serde::Serialize;
use serde_json::json;
use std::error::Error;
use std::io::{BufWriter, Write, stdout};

type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Answers the question that was asked.
pub(crate) async fn answer(arguments: &Arguments, warehouse: &dyn Warehouse) -> Step<()> {
    warehouse.migrate(&model::SCHEMA).await?;
    warehouse.migrate(&ledger::SCHEMA).await?;
    let question = &arguments.question;
    let part = history::Part {
        window: arguments.from.map(|from| Window::days(from, arguments.to.unwrap_or(chrono::NaiveDate::MAX))),
        ..history::Part::default()
    };
    let mut out = BufWriter::new(stdout());
    if question.quarantine {
        // Lines of JSON either way: they are for a program, or for grep.
        let count = history::export_quarantine(warehouse, &part, &mut out).await?;
        eprintln!("matomo_etl: {count} records are set aside; --again quarantined reads their days again");
    } else if question.drift {
        tell(&mut out, arguments.json, &history::drift(warehouse, &part).await?, ToString::to_string)?;
    } else if let Some(metric) = &question.revisions {
        let metric = Some(metric.as_str()).filter(|metric| !metric.is_empty());
        let rows = history::revisions(warehouse, &part, metric).await?;
        let number = |value: Option<model::Measure>| value.map(|value| value.0.normalize());
        let rows: Vec<_> = rows
            .into_iter()
            .map(|row| {
                json!({
                    "source": row.source,
                    "stream": row.stream,
                    "site": row.site,
                    "day": row.window_from,
                    "metric": row.metric,
                    "old": number(row.old_value).map(|value| value.to_string()),
                    "new": number(row.new_value).map(|value| value.to_string()),
                    "seen_at": row.seen_at,
                })
            })
            .collect();
        tell(&mut out, arguments.json, &rows, |row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {}/{}/{} {}: {} -> {} (seen {})",
                text("day"),
                text("source"),
                text("stream"),
                text("site"),
                text("metric"),
                text("old"),
                text("new"),
                text("seen_at")
            )
        })?;
    } else {
        tell(&mut out, arguments.json, &status::status(warehouse).await?, ToString::to_string)?;
    }
    out.flush()?;
    Ok(())
}

/// One JSON array, or one line each.
fn tell<T: Serialize>(
    out: &mut impl Write,
    as_json: bool,
    rows: &[T],
    line: impl Fn(&T) -> String,
) -> Step<()> {
    if as_json {
        serde_json::to_writer(&mut *out, rows)?;
        writeln!(out)?;
    } else if rows.is_empty() {
        writeln!(out, "nothing")?;
    } else {
        for row in rows {
            writeln!(out, "{}", line(row))?;
        }
    }
    Ok(())
}
