//! Writes rows of any table by prepared multi-row statements.

use super::error::{SERVICE, storage};
use crate::batch::Rows;
use crate::fit;
use crate::schema::{LOAD_ID, TableSchema};
use crate::statement::{overwrite, quote};
use crate::table::{Column, Value};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe};
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

/// Inserts the rows.
pub(super) async fn insert(connection: &mut SqliteConnection, rows: &Rows, key: Key) -> Result<()> {
    let schema = &rows.schema;
    let count = rows.table.rows();
    let step = (VALUES_PER_STATEMENT / schema.columns.len().max(1)).max(1);
    let plain = Statements::new(schema, "");
    let over = Statements::new(schema, &format!(" {}", overwrite(schema)));
    let (plain_full, over_full) = (plain.rows(step), over.rows(step));
    let mut from = 0;
    while from < count {
        let range = from..count.min(from + step);
        let text = |statements: &Statements, full: &Arc<str>| {
            if range.len() == step { Arc::clone(full) } else { statements.rows(range.len()) }
        };
        if key == Key::Overwritten {
            execute(connection, text(&over, &over_full), rows, range.clone()).await?;
        } else {
            // Keys held by another slice are rare: the statement that fails changes nothing, and is repeated.
            match run(connection, text(&plain, &plain_full), rows, range.clone()).await? {
                Ok(()) => {}
                Err(cause) if is_unique_violation(&cause) => {
                    disown(connection, rows, range.clone()).await?;
                    execute(connection, text(&over, &over_full), rows, range.clone()).await?;
                }
                Err(cause) => return Err(storage("load", cause)),
            }
        }
        from = range.end;
    }
    Ok(())
}

fn is_unique_violation(cause: &sqlx::Error) -> bool {
    matches!(cause, sqlx::Error::Database(database) if database.is_unique_violation())
}

/// Texts of one insertion for any number of rows.
struct Statements {
    head: String,
    row: String,
    tail: String,
}

impl Statements {
    fn new(schema: &TableSchema, tail: &str) -> Self {
        let names: Vec<String> = schema.columns.iter().map(|column| quote(column.name)).collect();
        let marks = vec!["?"; names.len()].join(",");
        Self {
            head: format!("insert into {} ({}) values ", quote(schema.name), names.join(",")),
            row: format!("({marks})"),
            tail: tail.to_owned(),
        }
    }

    fn rows(&self, count: usize) -> Arc<str> {
        format!("{}{}{}", self.head, vec![self.row.as_str(); count].join(","), self.tail).into()
    }
}

/// The slices that hold keys of these rows are no longer what their hash says: their next load is no replay.
async fn disown(connection: &mut SqliteConnection, rows: &Rows, range: Range<usize>) -> Result<()> {
    let schema = &rows.schema;
    let keys: Vec<String> = schema.primary_key.iter().map(|key| quote(key)).collect();
    let marks = format!("({})", vec!["?"; keys.len()].join(","));
    let sql = format!(
        "update loads set content_hash = '' where load_id in (select {LOAD_ID} from {} where ({}) in (values {}))",
        quote(schema.name),
        keys.join(","),
        vec![marks; range.len()].join(",")
    );
    let mut arguments = SqliteArguments::default();
    for row in range {
        for key in schema.primary_key {
            bind(&mut arguments, &rows.table.value(row, key), "load")?;
        }
    }
    sqlx::query_with(AssertSqlSafe(sql), arguments)
        .persistent(false)
        .execute(connection)
        .await
        .map_err(|cause| storage("load", cause))?;
    Ok(())
}

async fn execute(
    connection: &mut SqliteConnection,
    sql: Arc<str>,
    rows: &Rows,
    range: Range<usize>,
) -> Result<()> {
    run(connection, sql, rows, range).await?.map_err(|cause| match &cause {
        // A constraint of the table that `fit` does not know: say where.
        sqlx::Error::Database(_) => {
            let error = storage("load", cause);
            let clause = error.detail().unwrap_or_default().to_owned();
            if error.kind() == ErrorKind::Input {
                error.with_detail(format!("a row of {} does not fit: {clause}", rows.schema.name))
            } else {
                error
            }
        }
        _ => storage("load", cause),
    })
}

/// Runs one statement: binding errors outside, the database's inside.
async fn run(
    connection: &mut SqliteConnection,
    sql: Arc<str>,
    rows: &Rows,
    range: Range<usize>,
) -> Result<Result<(), sqlx::Error>> {
    let columns = rows.table.columns();
    let mut arguments = SqliteArguments::default();
    arguments.reserve(columns.len() * range.len(), 0);
    for row in range {
        for column in columns {
            bind_cell(&mut arguments, column, row).map_err(|()| unbindable(rows.schema.name, "load"))?;
        }
    }
    Ok(sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection).await.map(|_| ()))
}

fn unbindable(what: &str, operation: &'static str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, operation).with_detail(format!("a value of {what} cannot be bound"))
}

/// Binds a cell without cloning what need not be.
fn bind_cell(arguments: &mut SqliteArguments, column: &Column, row: usize) -> Result<(), ()> {
    match column {
        Column::Text(values) | Column::Json(values) => {
            arguments.add(values.get(row).and_then(|value| value.as_deref()))
        }
        Column::Int(values) => arguments.add(values.get(row).copied().flatten()),
        Column::Float(values) => arguments.add(values.get(row).copied().flatten()),
        Column::Bool(values) => arguments.add(values.get(row).copied().flatten().map(i64::from)),
        Column::Timestamp(values) => {
            arguments.add(values.get(row).copied().flatten().map(|at| at.timestamp_micros()))
        }
        Column::Date(values) => arguments.add(values.get(row).copied().flatten().map(|day| day.to_string())),
        Column::Decimal(scale, values) => match values.get(row).copied().flatten() {
            None => arguments.add(None::<i64>),
            Some(value) => arguments.add(Some(fit::scaled(value, *scale).ok_or(())?)),
        },
    }
    .map_err(|_| ())
}

/// Binds one value of a query. Decimals are bound as floats: a query's text knows no column's scale.
pub(super) fn bind(arguments: &mut SqliteArguments, value: &Value, operation: &'static str) -> Result<()> {
    match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Text(text) => arguments.add(text.as_str()),
        Value::Int(value) => arguments.add(*value),
        Value::Float(value) => arguments.add(*value),
        Value::Bool(value) => arguments.add(i64::from(*value)),
        Value::Timestamp(at) => arguments.add(at.timestamp_micros()),
        Value::Date(day) => arguments.add(day.to_string()),
        Value::Decimal(value) => arguments.add(value.to_string().parse::<f64>().unwrap_or(f64::NAN)),
    }
    .map_err(|_| unbindable("the query", operation))
}
