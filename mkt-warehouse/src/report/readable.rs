//! A report's SQL as a person reads and runs it: a heading with the definition and the parameters, set in the way of the
//! engine's own tool.
//!
//! | engine | parameter | set by |
//! |---|---|---|
//! | SQLite | `:from` | `.parameter set` of the sqlite3 shell; the file runs as it stands |
//! | PostgreSQL | `:from` | `\set` of psql; the file runs as it stands |
//! | DataFusion | `$from` | named values of `SessionContext.sql` (Python) or `DataFrame::with_param_values` (Rust) |
//! | BigQuery | `@since` | `--parameter` of the `bq` command, which reads the file |
//! | Snowflake | `$since` | `set`; the file runs as it stands |

use super::{Definition, text};
use crate::dialect::Dialect;
use crate::table::Value;

/// A value to set: one to try, or that of a question.
#[derive(Debug, Clone, Copy)]
enum Sample<'a> {
    /// An instant, in UTC.
    Instant(&'a str),
    /// A day.
    Day(&'a str),
    Text(&'a str),
    Number(i64),
    /// A text that is not given.
    NoText,
}
use Sample::{Day, Instant, NoText, Number, Text};

/// Meanings of the parameters, with a value to try: October 2026 in Paris.
const PARAMETERS: &[(&str, &str, Sample<'static>)] = &[
    ("from", "first instant", Instant("2026-09-30 22:00:00")),
    ("until", "instant after the last", Instant("2026-10-31 23:00:00")),
    (
        "whole_from",
        "first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from",
        Instant("2026-09-30 22:00:00"),
    ),
    (
        "whole_until",
        "end of the quarters to take from there; with channels, devices, campaigns: from",
        Instant("2026-10-31 23:00:00"),
    ),
    ("zone", "IANA zone, as in zone_offsets", Text("Europe/Paris")),
    ("site", "a site, or null for all", NoText),
    ("source", "a source, or null for each site's system of record", NoText),
    ("channels", "channels joined by commas, or null for all", NoText),
    ("devices", "devices joined by commas, or null for all", NoText),
    ("campaigns", "values of campaign_id joined by commas, or null for all", NoText),
    ("minimum", "sessions that an hour needs", Number(1)),
    ("hours", "rows at most", Number(5)),
    ("last_month", "first day of the period's last month", Day("2026-10-01")),
    ("open_month", "first day of the first month not complete at the period's end", Day("2026-11-01")),
    ("first_day", "first day", Day("2026-10-01")),
    ("last_day", "last day", Day("2026-10-31")),
    ("idle_since", "carts touched after this instant are not abandoned yet", Instant("2026-10-31 22:00:00")),
    ("now", "the instant of asking", Instant("2026-10-31 23:00:00")),
    ("quantiles", "scores run from 1 to this", Number(5)),
    ("endless", "window_until of a slice that is a whole stream", Day("9999-12-31")),
    ("step_one", "the entry", Text("product_view")),
    ("step_two", "the step after it", Text("add_to_cart")),
    ("step_three", "the next, or null for none; so with the others", Text("purchase")),
    ("step_four", "null for none", NoText),
    ("step_five", "null for none", NoText),
    ("step_six", "null for none", NoText),
    ("step_seven", "null for none", NoText),
    ("step_eight", "null for none", NoText),
    ("window_s", "seconds from the entry to the last step at most", Number(604_800)),
    ("window_until", "the period's end and window_s later", Instant("2026-11-07 23:00:00")),
    ("look_back_s", "seconds that a conversion looks back at most", Number(2_592_000)),
    ("look_from", "look_back_s before the period", Instant("2026-08-31 22:00:00")),
];

pub(super) fn for_people(report: &Definition, dialect: Dialect) -> String {
    let samples: Vec<_> = PARAMETERS.iter().map(|(name, _, sample)| (*name, *sample)).collect();
    written(report, dialect, "values to try", &samples)
}

/// With the values of a question.
pub(super) fn asked(
    report: &Definition,
    dialect: Dialect,
    values: &[(&'static str, Value)],
) -> mkt_connect::Result<String> {
    let mut texts = Vec::new();
    for (name, value) in values {
        texts.push((
            *name,
            match value {
                Value::Timestamp(at) => at.format("%Y-%m-%d %H:%M:%S%.f").to_string(),
                Value::Date(day) => day.to_string(),
                Value::Text(text) if text.contains(['\'', '"', '\\', '\n', '\r', '\0']) => {
                    return Err(super::scope::input(format!(
                        "the value of {name} holds a quotation mark, a backslash or a line break"
                    )));
                }
                Value::Text(text) => text.clone(),
                _ => String::new(),
            },
        ));
    }
    let samples: Vec<_> = values
        .iter()
        .zip(&texts)
        .map(|((name, value), (_, text))| {
            let sample = match value {
                Value::Timestamp(_) => Instant(text),
                Value::Date(_) => Day(text),
                Value::Text(_) => Text(text),
                Value::Int(number) => Number(*number),
                _ => NoText,
            };
            (*name, sample)
        })
        .collect();
    Ok(written(report, dialect, "the values of this question", &samples))
}

fn written(report: &Definition, dialect: Dialect, what: &str, values: &[(&str, Sample<'_>)]) -> String {
    let sql = text::rendered(report.text, dialect);
    let mut names = Vec::new();
    let sql = renamed(sql.trim(), |name| {
        names.push(name.to_owned());
        mark(name, dialect)
    });
    let mut file = format!("-- {}\n", report.name);
    for line in wrapped(report.describe, 112) {
        file.push_str(&format!("-- {line}\n"));
    }
    let used: Vec<_> = PARAMETERS.iter().filter(|(name, ..)| names.iter().any(|held| held == name)).collect();
    if !used.is_empty() {
        file.push_str(&format!("--\n-- Parameters, with {what}. {}\n", how(dialect)));
    }
    for (name, meaning, sample) in used {
        let value = values.iter().find(|(held, _)| held == name).map_or(*sample, |(_, value)| *value);
        file.push_str(&setting(&mark(name, dialect), meaning, value, dialect));
    }
    if dialect == Dialect::DataFusion && !names.is_empty() {
        file.push_str("-- })\n");
    }
    file.push('\n');
    file.push_str(&sql);
    file.push_str(";\n");
    file
}

/// The parameter as it stands in the text.
fn mark(name: &str, dialect: Dialect) -> String {
    // FROM is a word of the language, and neither engine takes it as a name.
    let unreserved = if name == "from" { "since" } else { name };
    match dialect {
        Dialect::Sqlite | Dialect::Postgres => format!(":{name}"),
        Dialect::DataFusion => format!("${name}"),
        Dialect::BigQuery => format!("@{unreserved}"),
        Dialect::Snowflake => format!("${unreserved}"),
    }
}

fn how(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file",
        Dialect::Postgres => "For psql: psql URL -f this file",
        Dialect::DataFusion => "In Python: SessionContext().sql(text, param_values={",
        Dialect::BigQuery => {
            "For bq: bq query --use_legacy_sql=false --dataset_id=DATASET OPTIONS < this file"
        }
        Dialect::Snowflake => "Session variables, for a worksheet or snowsql -f this file.",
    }
}

/// One parameter: how it is set, and what it means.
fn setting(mark: &str, meaning: &str, sample: Sample<'_>, dialect: Dialect) -> String {
    let name = mark.trim_start_matches([':', '@', '$']);
    match dialect {
        Dialect::Sqlite => {
            let value = match sample {
                Instant(at) => format!("unixepoch('{at}') * 1000000"),
                Day(text) | Text(text) => format!("'{text}'"),
                Number(number) => number.to_string(),
                NoText => "null".to_owned(),
            };
            format!("-- {name}: {meaning}\n.parameter set {mark} \"{value}\"\n")
        }
        Dialect::Postgres => {
            let value = match sample {
                Instant(at) => format!("timestamptz '{at}+00'"),
                Day(day) => format!("date '{day}'"),
                Text(text) => format!("text '{text}'"),
                Number(number) => number.to_string(),
                NoText => "cast(null as text)".to_owned(),
            };
            format!("-- {name}: {meaning}\n\\set {name} '{}'\n", value.replace('\'', "''"))
        }
        Dialect::DataFusion => {
            let value = match sample {
                Instant(at) => format!("datetime.fromisoformat('{at}+00:00')"),
                Day(day) => format!("date.fromisoformat('{day}')"),
                Text(text) => format!("'{text}'"),
                Number(number) => number.to_string(),
                NoText => "None".to_owned(),
            };
            format!("--   '{name}': {value},  # {meaning}\n")
        }
        Dialect::BigQuery => {
            let value = match sample {
                Instant(at) => format!("TIMESTAMP:{at}"),
                Day(day) => format!("DATE:{day}"),
                Text(text) => format!("STRING:{text}"),
                Number(number) => format!("INT64:{number}"),
                NoText => "STRING:NULL".to_owned(),
            };
            format!("--   --parameter='{name}:{value}'\n--       {meaning}\n")
        }
        Dialect::Snowflake => {
            let value = match sample {
                Instant(at) => format!("to_timestamp_ntz('{at}')"),
                Day(day) => format!("to_date('{day}')"),
                Text(text) => format!("'{text}'"),
                Number(number) => number.to_string(),
                NoText => "(select cast(null as varchar))".to_owned(),
            };
            format!("-- {name}: {meaning}\nset {name} = {value};\n")
        }
    }
}

/// The text with every `:name` replaced.
fn renamed(sql: &str, mut by: impl FnMut(&str) -> String) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(':') {
        text.push_str(before);
        let length = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
        text.push_str(&by(&after[..length]));
        rest = &after[length..];
    }
    text.push_str(rest);
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn every_parameter_of_every_report_has_a_meaning_and_a_value() {
        for report in Report::ALL.map(Report::definition) {
            for dialect in Dialect::ALL {
                let sql = text::rendered(report.text, dialect);
                renamed(&sql, |name| {
                    let known = PARAMETERS.iter().any(|(held, ..)| *held == name);
                    assert!(known, "{} in {dialect}: :{name} is not in PARAMETERS", report.name);
                    String::new()
                });
            }
        }
    }
}
