//! Writes rows of any table by prepared multi-row statements.

use super::error::{SERVICE, storage};
use crate::batch::TableRows;
use crate::fit;
use crate::schema::{LOAD_ID, TableSchema};
use crate::statement::{overwrite, quote};
use crate::table::{Column, Value};
use chrono::NaiveDate;
use futures_util::future::join;
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Values per statement: large enough that the call costs nothing beside the insertion, small enough that a dropped
/// load stops soon.
const VALUES_PER_STATEMENT: usize = 1024;

/// What happens to a row whose key is held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// It moves to this slice; the slice that held it loses its claim to be complete.
    Moves,
    /// It is written over.
    Overwritten,
}

/// Inserts the rows; gives the slices that lost rows to them. The next statement's values are made ready while the last
/// one runs in the connection's thread.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &TableRows,
    key: Key,
) -> Result<BTreeSet<i64>> {
    let mut lost_rows = BTreeSet::new();
    let schema = &rows.schema;
    let count = rows.table.rows();
    let step = (VALUES_PER_STATEMENT / schema.columns.len().max(1)).max(1);
    let plain = Statements::new(schema, "", step);
    let over = Statements::new(schema, &format!(" {}", overwrite(schema)), step);
    let mut range = 0..count.min(step);
    let mut texts = Texts::new();
    let mut bound = arguments(rows, range.clone(), &mut texts)?;
    while !range.is_empty() {
        let next = range.end..count.min(range.end + step);
        let statements = if key == Key::Overwritten { &over } else { &plain };
        let running = run(connection, statements.rows(range.len()), bound);
        // The statement is on its way when the values of the next one are gathered.
        let (done, following) = join(running, async { arguments(rows, next.clone(), &mut texts) }).await;
        match done {
            Ok(()) => {}
            // Keys held by another slice are rare: the statement that fails changes nothing, and is repeated.
            Err(cause) if key == Key::Moves && is_unique_violation(&cause) => {
                lost_rows.extend(disown(connection, rows, range.clone()).await?);
                let bound = arguments(rows, range.clone(), &mut texts)?;
                run(connection, over.rows(range.len()), bound).await.map_err(|cause| refused(rows, cause))?;
            }
            Err(cause) => return Err(refused(rows, cause)),
        }
        (range, bound) = (next, following?);
    }
    Ok(lost_rows)
}

fn is_unique_violation(cause: &sqlx::Error) -> bool {
    matches!(cause, sqlx::Error::Database(database) if database.is_unique_violation())
}

/// Texts of one insertion for any number of rows.
struct Statements {
    head: String,
    row: String,
    tail: String,
    step: usize,
    full: Arc<str>,
}

impl Statements {
    fn new(schema: &TableSchema, tail: &str, step: usize) -> Self {
        let names: Vec<String> = schema.columns.iter().map(|column| quote(column.name)).collect();
        let marks = vec!["?"; names.len()].join(",");
        let head = format!("insert into {} ({}) values ", quote(schema.name), names.join(","));
        let mut made =
            Self { head, row: format!("({marks})"), tail: tail.to_owned(), step: 0, full: Arc::from("") };
        made.full = made.rows(step);
        made.step = step;
        made
    }

    fn rows(&self, count: usize) -> Arc<str> {
        match count == self.step {
            true => Arc::clone(&self.full),
            false => format!("{}{}{}", self.head, vec![self.row.as_str(); count].join(","), self.tail).into(),
        }
    }
}

/// The slices that hold keys of these rows are no longer what their hash says: their next load is no replay. Gives them.
async fn disown(
    connection: &mut SqliteConnection,
    rows: &TableRows,
    range: Range<usize>,
) -> Result<Vec<i64>> {
    let schema = &rows.schema;
    let keys: Vec<String> = schema.primary_key.iter().map(|key| quote(key)).collect();
    let marks = format!("({})", vec!["?"; keys.len()].join(","));
    let sql = format!(
        "select distinct {LOAD_ID} from {} where ({}) in (values {})",
        quote(schema.name),
        keys.join(","),
        vec![marks; range.len()].join(",")
    );
    let mut arguments = SqliteArguments::default();
    for row in range {
        for key in schema.primary_key {
            bind(&mut arguments, &rows.table.value(row, key))?;
        }
    }
    let lost_rows: Vec<i64> = sqlx::query_scalar_with(AssertSqlSafe(sql), arguments)
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .map_err(|cause| storage("load", cause))?;
    for slice in &lost_rows {
        sqlx::query("update loads set content_hash = '' where load_id = ?")
            .bind(slice)
            .execute(&mut *connection)
            .await
            .map_err(|cause| storage("load", cause))?;
    }
    Ok(lost_rows)
}

/// A constraint of the table that `fit` does not know: says where.
fn refused(rows: &TableRows, cause: sqlx::Error) -> Error {
    let error = storage("load", cause);
    let clause = error.detail().unwrap_or_default().to_owned();
    match error.kind() {
        ErrorKind::Input => {
            error.with_detail(format!("a row of {} does not fit: {clause}", rows.schema.name))
        }
        _ => error,
    }
}

async fn run(
    connection: &mut SqliteConnection,
    sql: Arc<str>,
    arguments: SqliteArguments,
) -> Result<(), sqlx::Error> {
    sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection).await.map(|_| ())
}

/// The values of a range of rows, row by row.
fn arguments(rows: &TableRows, range: Range<usize>, texts: &mut Texts) -> Result<SqliteArguments> {
    let columns = rows.table.columns();
    let mut arguments = SqliteArguments::default();
    arguments.reserve(columns.len() * range.len(), 0);
    for row in range {
        for column in columns {
            bind_cell(&mut arguments, column, row, texts).map_err(|()| unbindable(rows.schema.name))?;
        }
    }
    Ok(arguments)
}

fn unbindable(what: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "load").with_detail(format!("a value of {what} cannot be bound"))
}

/// Texts that were bound lately. Channels, sites and days repeat from row to row, and an allocation here that the
/// connection's thread frees is the dearest part of binding one.
struct Texts {
    recent: Vec<Arc<str>>,
    day: Option<(NaiveDate, Arc<str>)>,
}

impl Texts {
    const SLOTS: usize = 256;

    fn new() -> Self {
        Self { recent: vec![Arc::from(""); Self::SLOTS], day: None }
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        let bytes = text.as_bytes();
        if bytes.len() > 32 {
            return Arc::from(text);
        }
        let slot = bytes.iter().fold(bytes.len(), |hash, byte| hash.wrapping_mul(31) ^ usize::from(*byte));
        match self.recent.get_mut(slot % Self::SLOTS) {
            Some(held) if **held == *text => Arc::clone(held),
            Some(held) => {
                *held = Arc::from(text);
                Arc::clone(held)
            }
            None => Arc::from(text),
        }
    }

    fn day(&mut self, day: NaiveDate) -> Arc<str> {
        match &self.day {
            Some((held, text)) if *held == day => Arc::clone(text),
            _ => {
                let text: Arc<str> = Arc::from(day.to_string());
                self.day = Some((day, Arc::clone(&text)));
                text
            }
        }
    }
}

/// Binds a cell without cloning what need not be.
fn bind_cell(
    arguments: &mut SqliteArguments,
    column: &Column,
    row: usize,
    texts: &mut Texts,
) -> Result<(), ()> {
    match column {
        Column::Text(values) | Column::Json(values) => {
            arguments.add(values.get(row).and_then(|value| value.as_deref()).map(|text| texts.shared(text)))
        }
        Column::Int(values) => arguments.add(values.get(row).copied().flatten()),
        Column::Float(values) => arguments.add(values.get(row).copied().flatten()),
        Column::Bool(values) => arguments.add(values.get(row).copied().flatten().map(i64::from)),
        Column::Timestamp(values) => {
            arguments.add(values.get(row).copied().flatten().map(|at| at.timestamp_micros()))
        }
        Column::Date(values) => arguments.add(values.get(row).copied().flatten().map(|day| texts.day(day))),
        Column::Decimal(scale, values) => match values.get(row).copied().flatten() {
            None => arguments.add(None::<i64>),
            Some(value) => arguments.add(Some(fit::scaled(value, *scale).ok_or(())?)),
        },
    }
    .map_err(|_| ())
}

/// Binds a key.
fn bind(arguments: &mut SqliteArguments, value: &Value) -> Result<()> {
    match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Text(text) => arguments.add(text.as_str()),
        Value::Int(value) => arguments.add(*value),
        Value::Float(value) => arguments.add(*value),
        Value::Bool(value) => arguments.add(i64::from(*value)),
        Value::Timestamp(at) => arguments.add(at.timestamp_micros()),
        Value::Date(day) => arguments.add(day.to_string()),
        // No table has a decimal in its key, and the scale would be the column's.
        Value::Decimal(value) => arguments.add(value.to_string().parse::<f64>().unwrap_or(f64::NAN)),
    }
    .map_err(|_| unbindable("the key"))
}
