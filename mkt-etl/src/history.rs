//! Reads the ledger: quarantined records, revised numbers, drift in the form of answers.
//!
//! Nothing is changed. Secrets and addresses were removed before anything was stored.

use crate::ledger::{DriftRow, QuarantineRow, RevisionRow, read_rows};
use crate::source::Window;
use crate::status::status;
use chrono::NaiveDate;
use futures_util::StreamExt;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::{ColumnType, Query, Record, Value, Warehouse};
use serde::Serialize;
use std::fmt;
use std::io::Write;

/// Restricts a question to a part of the ledger. Default: everything.
///
/// ```
/// use mkt_etl::history::Part;
/// let part = Part { source: Some("matomo".to_owned()), ..Part::default() };
/// ```
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Only of this source.
    pub source: Option<String>,
    /// Only of this stream.
    pub stream: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// Only slices that begin in this window.
    pub window: Option<Window>,
}

impl Part {
    /// A `select` over a ledger table, its conditions bound.
    fn query<R: Record>(&self, day: &str, more: &[(&str, Value)], order: &str) -> Query {
        let schema = R::SCHEMA;
        let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let (conditions, values) = self.conditions(day, more);
        let sql =
            format!("select {} from \"{}\" {conditions} order by {order}", names.join(", "), schema.name);
        let query = values.into_iter().fold(Query::new(sql), Query::bind);
        schema.columns.iter().fold(query, |query, column| query.column(column.name, column.ty))
    }

    fn conditions(&self, day: &str, more: &[(&str, Value)]) -> (String, Vec<Value>) {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        let mut wanted: Vec<(String, Option<Value>)> = vec![
            ("source =".to_owned(), text(&self.source)),
            ("stream =".to_owned(), text(&self.stream)),
            ("site =".to_owned(), text(&self.site)),
            (format!("{day} >="), self.window.map(|window| Value::Date(window.from))),
            (format!("{day} <"), self.window.map(|window| Value::Date(window.until))),
        ];
        wanted.extend(more.iter().map(|(column, value)| (format!("{column} ="), Some(value.clone()))));
        let (mut clauses, mut values) = (Vec::new(), Vec::new());
        for (clause, value) in wanted {
            if let Some(value) = value {
                values.push(value);
                clauses.push(format!("{clause} :{}", values.len()));
            }
        }
        match clauses.is_empty() {
            true => (String::new(), values),
            false => (format!("where {}", clauses.join(" and ")), values),
        }
    }
}

/// Records that were set aside, by slice, place and line; at most `limit`.
///
/// # Errors
/// Of the engine.
pub async fn quarantine(warehouse: &dyn Warehouse, part: &Part, limit: usize) -> Result<Vec<QuarantineRow>> {
    let query = part.query::<QuarantineRow>("day", &[], &format!("{QUARANTINE_ORDER} limit {limit}"));
    read_rows(warehouse, &query).await
}

const QUARANTINE_ORDER: &str = "source, stream, site, day, place, coalesce(line, 0), quarantine_id";

/// Writes every record that was set aside as one line of JSON: `source`, `stream`, `site`, `day`, `place`, `line`,
/// `byte_offset`, `raw`, `reason`. Gives their number. Memory is bounded, however many there are.
///
/// # Errors
/// Of the engine; `Storage` when the lines cannot be written.
pub async fn export_quarantine(
    warehouse: &dyn Warehouse,
    part: &Part,
    out: &mut (dyn Write + Send),
) -> Result<u64> {
    #[derive(Serialize)]
    struct Line<'a> {
        source: &'a str,
        stream: &'a str,
        site: &'a str,
        day: NaiveDate,
        place: &'a str,
        line: Option<i64>,
        byte_offset: Option<i64>,
        raw: &'a str,
        reason: &'a str,
    }
    let failed = |cause: std::io::Error| {
        Error::new(ErrorKind::Storage, "etl", "export the quarantine")
            .with_detail("cannot write the lines")
            .with_source(cause)
    };
    let query = part.query::<QuarantineRow>("day", &[], QUARANTINE_ORDER);
    let mut tables = warehouse.scan(&query, 512);
    let mut count = 0;
    while let Some(table) = tables.next().await {
        let table = table?;
        for row in 0..table.rows() {
            let row = QuarantineRow::read(&table, row).map_err(|cause| {
                Error::new(ErrorKind::Storage, "etl", "export the quarantine")
                    .with_detail("invalid row")
                    .with_source(cause)
            })?;
            let line = Line {
                source: &row.source,
                stream: &row.stream,
                site: &row.site,
                day: row.day,
                place: &row.place,
                line: row.line,
                byte_offset: row.byte_offset,
                raw: &row.raw,
                reason: &row.reason,
            };
            serde_json::to_writer(&mut *out, &line).map_err(|cause| failed(cause.into()))?;
            out.write_all(b"\n").map_err(failed)?;
            count += 1;
        }
    }
    out.flush().map_err(failed)?;
    Ok(count)
}

/// Numbers that the source changed after they were loaded, in the order in which that was seen; of one metric, or of
/// all. For one day of one number: what it was said to be, and when.
///
/// # Errors
/// Of the engine.
pub async fn revisions(
    warehouse: &dyn Warehouse,
    part: &Part,
    metric: Option<&str>,
) -> Result<Vec<RevisionRow>> {
    let metric: Vec<(&str, Value)> =
        metric.map(|metric| ("metric", Value::Text(metric.to_owned()))).into_iter().collect();
    let order = "seen_at, source, stream, site, window_from, metric";
    read_rows(warehouse, &part.query::<RevisionRow>("window_from", &metric, order)).await
}

/// A field that came, went or changed its type, over all slices that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriftSummary {
    /// The source.
    pub source: String,
    /// The stream.
    pub stream: String,
    /// The site.
    pub site: String,
    /// File or endpoint.
    pub place: String,
    /// The field.
    pub field: String,
    /// `new`, `missing` or `other_type`.
    pub change: String,
    /// The first day of a slice that shows it.
    pub first_day: NaiveDate,
    /// The last.
    pub last_day: NaiveDate,
    /// How many slices show it.
    pub slices: i64,
}

impl fmt::Display for DriftSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, stream, site, place, field, change, first_day, last_day, slices } = self;
        write!(
            f,
            "{source}/{stream}/{site}: {place}: {field:?} is {change} in {slices} slices, {first_day} to {last_day}"
        )
    }
}

/// What differs in form from what the source's connector knows, by place and field.
///
/// # Errors
/// Of the engine.
pub async fn drift(warehouse: &dyn Warehouse, part: &Part) -> Result<Vec<DriftSummary>> {
    let (conditions, values) = part.conditions("day", &[]);
    let table = DriftRow::SCHEMA.name;
    let sql = format!(
        "select source, stream, site, place, field, change, min(day), max(day), count(*) from \"{table}\" \
         {conditions} group by source, stream, site, place, field, change \
         order by source, stream, site, place, field, change"
    );
    let mut query = values.into_iter().fold(Query::new(sql), Query::bind);
    for name in ["source", "stream", "site", "place", "field", "change"] {
        query = query.column(name, ColumnType::Text);
    }
    let query = query
        .column("first_day", ColumnType::Date)
        .column("last_day", ColumnType::Date)
        .column("slices", ColumnType::Int);
    let table = warehouse.query(&query).await?;
    (0..table.rows())
        .map(|row| {
            Ok(DriftSummary {
                source: table.read(row, "source")?,
                stream: table.read(row, "stream")?,
                site: table.read(row, "site")?,
                place: table.read(row, "place")?,
                field: table.read(row, "field")?,
                change: table.read(row, "change")?,
                first_day: table.read(row, "first_day")?,
                last_day: table.read(row, "last_day")?,
                slices: table.read(row, "slices")?,
            })
        })
        .collect::<std::result::Result<_, mkt_warehouse::TableError>>()
        .map_err(|cause| {
            Error::new(ErrorKind::Storage, "etl", "summarise the drift")
                .with_detail("invalid row")
                .with_source(cause)
        })
}

/// A question about the ledger, as a command asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// How fresh each stream is ([`status`]).
    Status,
    /// Quarantined records ([`export_quarantine`]).
    Quarantine,
    /// Numbers that the source changed after they were loaded, of one metric or of all ([`revisions`]).
    Revisions(Option<String>),
    /// Fields that came, went or changed their type ([`drift`]).
    Drift,
}

/// Writes the answer to a question: one JSON array on one line, or one line of text for each row (`nothing` where there
/// is none). Quarantined records are one JSON object a line in either form. Returns the number of rows.
///
/// # Errors
/// Of the engine; `Storage` when the lines cannot be written.
pub async fn write_answer(
    warehouse: &dyn Warehouse,
    question: &Question,
    part: &Part,
    as_json: bool,
    out: &mut (dyn Write + Send),
) -> Result<u64> {
    match question {
        Question::Quarantine => export_quarantine(warehouse, part, out).await,
        Question::Drift => write_rows(out, as_json, &drift(warehouse, part).await?),
        Question::Status => write_rows(out, as_json, &status(warehouse).await?),
        Question::Revisions(metric) => {
            let rows = revisions(warehouse, part, metric.as_deref()).await?;
            write_rows(out, as_json, &rows.into_iter().map(Revision::from).collect::<Vec<_>>())
        }
    }
}

/// A revision as it is shown.
#[derive(Serialize)]
struct Revision {
    source: String,
    stream: String,
    site: String,
    day: NaiveDate,
    metric: String,
    old: Option<String>,
    new: Option<String>,
    seen_at: chrono::DateTime<chrono::Utc>,
}

impl From<RevisionRow> for Revision {
    fn from(row: RevisionRow) -> Self {
        let number =
            |value: Option<mkt_warehouse::model::Measure>| value.map(|it| it.0.normalize().to_string());
        Self {
            source: row.source,
            stream: row.stream,
            site: row.site,
            day: row.window_from,
            metric: row.metric,
            old: number(row.old_value),
            new: number(row.new_value),
            seen_at: row.seen_at,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, stream, site, day, metric, old, new, seen_at } = self;
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let seen_at = seen_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        write!(
            f,
            "{day} {source}/{stream}/{site} {metric}: {} -> {} (seen {seen_at})",
            shown(old),
            shown(new)
        )
    }
}

fn write_rows<T: Serialize + fmt::Display>(out: &mut dyn Write, as_json: bool, rows: &[T]) -> Result<u64> {
    let written = if as_json {
        serde_json::to_writer(&mut *out, rows).map_err(std::io::Error::from).and_then(|()| writeln!(out))
    } else if rows.is_empty() {
        writeln!(out, "nothing")
    } else {
        rows.iter().try_for_each(|row| writeln!(out, "{row}"))
    };
    written.and_then(|()| out.flush()).map_err(|cause| {
        Error::new(ErrorKind::Storage, "etl", "answer a question about the ledger")
            .with_detail("cannot write the answer")
            .with_source(cause)
    })?;
    Ok(rows.len() as u64)
}
