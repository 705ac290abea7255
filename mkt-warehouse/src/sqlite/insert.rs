//! Writes rows of any table, each by one step of a prepared statement.

use super::error::{SERVICE, refused};
use super::write::Cancel;
use crate::batch::TableRows;
use crate::fit;
use crate::schema::{LOAD_ID, TableSchema};
use crate::statement::{overwrite, quote};
use crate::table::Column;
use chrono::NaiveDate;
use mkt_connect::{Error, ErrorKind, Result};
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Statement, ToSql};
use std::collections::BTreeSet;

/// Rows between two looks at whether anybody still waits.
const STRIDE: usize = 256;

/// What happens to a row whose key is held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// It moves to this slice; the slice that held it loses its claim to be complete.
    Moves,
    /// It is written over.
    Overwritten,
}

/// Inserts the rows; gives the slices that lost rows to them.
pub(super) fn insert(
    connection: &Connection,
    rows: &TableRows,
    key: Key,
    cancel: &Cancel,
) -> Result<BTreeSet<i64>> {
    let mut lost_rows = BTreeSet::new();
    if rows.table.rows() == 0 {
        return Ok(lost_rows);
    }
    let failed = |cause| misfit(rows, cause);
    let mut statement =
        connection.prepare_cached(&text(&rows.schema, key == Key::Overwritten)).map_err(failed)?;
    let mut days = Days::default();
    for row in 0..rows.table.rows() {
        if row % STRIDE == 0 && cancel.is_asked() {
            return Err(Error::new(ErrorKind::Cancelled, SERVICE, "load"));
        }
        bind(&mut statement, rows, row, &mut days)?;
        match statement.raw_execute() {
            Ok(_) => {}
            // Keys held by another slice are rare: the statement that fails changes nothing.
            Err(cause) if key == Key::Moves && is_taken(&cause) => {
                lost_rows.extend(disown(connection, rows, row, &mut days)?);
                let mut over = connection.prepare_cached(&text(&rows.schema, true)).map_err(failed)?;
                bind(&mut over, rows, row, &mut days)?;
                over.raw_execute().map_err(failed)?;
            }
            Err(cause) => return Err(failed(cause)),
        }
    }
    Ok(lost_rows)
}

/// Whether a key is held already.
pub(super) fn is_taken(cause: &rusqlite::Error) -> bool {
    let taken = [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE];
    cause.sqlite_error().is_some_and(|error| taken.contains(&error.extended_code))
}

/// The insertion of one row.
fn text(schema: &TableSchema, over: bool) -> String {
    let names: Vec<String> = schema.columns.iter().map(|column| quote(column.name)).collect();
    let marks = vec!["?"; names.len()].join(",");
    let tail = if over { overwrite(schema) } else { String::new() };
    format!("insert into {} ({}) values ({marks}) {tail}", quote(schema.name), names.join(","))
}

/// The slice that holds the key of this row is no longer what its hash says: its next load is no replay. Gives it.
fn disown(connection: &Connection, rows: &TableRows, row: usize, days: &mut Days) -> Result<Vec<i64>> {
    let schema = &rows.schema;
    let failed = |cause| refused("load", cause);
    let keys: Vec<String> = schema.primary_key.iter().map(|key| format!("{} = ?", quote(key))).collect();
    let sql = format!("select {LOAD_ID} from {} where {}", quote(schema.name), keys.join(" and "));
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    for (place, key) in schema.primary_key.iter().enumerate() {
        let column = schema.columns.iter().position(|column| column.name == *key);
        if let Some(column) = column.and_then(|column| rows.table.columns().get(column)) {
            bind_cell(&mut statement, place + 1, column, row, days).map_err(failed)?;
        }
    }
    let mut held = statement.raw_query();
    let mut slices = Vec::new();
    while let Some(row) = held.next().map_err(failed)? {
        slices.push(row.get(0).map_err(failed)?);
    }
    drop(held);
    for slice in &slices {
        clear_hash(connection, *slice)?;
    }
    Ok(slices)
}

/// A slice lost rows to another: its next load is no replay.
pub(super) fn clear_hash(connection: &Connection, load_id: i64) -> Result<()> {
    connection
        .prepare_cached("update loads set content_hash = '' where load_id = ?")
        .and_then(|mut statement| statement.execute([load_id]))
        .map(|_| ())
        .map_err(|cause| refused("load", cause))
}

/// A constraint of the table that `fit` does not know: says where.
fn misfit(rows: &TableRows, cause: rusqlite::Error) -> Error {
    let error = refused("load", cause);
    let clause = error.detail().unwrap_or_default().to_owned();
    match error.kind() {
        ErrorKind::Input => {
            error.with_detail(format!("a row of {} does not fit: {clause}", rows.schema.name))
        }
        _ => error,
    }
}

fn bind(statement: &mut Statement<'_>, rows: &TableRows, row: usize, days: &mut Days) -> Result<()> {
    for (place, column) in rows.table.columns().iter().enumerate() {
        bind_cell(statement, place + 1, column, row, days).map_err(|cause| misfit(rows, cause))?;
    }
    Ok(())
}

/// The text of a day, which most often is that of the row before.
#[derive(Default)]
struct Days(Option<(NaiveDate, String)>);

impl Days {
    fn text(&mut self, day: NaiveDate) -> &str {
        if self.0.as_ref().is_none_or(|(held, _)| *held != day) {
            self.0 = Some((day, day.to_string()));
        }
        self.0.as_ref().map_or("", |(_, text)| text)
    }
}

fn bind_cell(
    statement: &mut Statement<'_>,
    place: usize,
    column: &Column,
    row: usize,
    days: &mut Days,
) -> rusqlite::Result<()> {
    fn value<T>(values: &[Option<T>], row: usize) -> Option<&T> {
        values.get(row).and_then(Option::as_ref)
    }
    let mut put = |value: &dyn ToSql| statement.raw_bind_parameter(place, value);
    match column {
        Column::Text(values) | Column::Json(values) => put(&value(values, row).map(String::as_str)),
        Column::Int(values) => put(&value(values, row)),
        Column::Float(values) => put(&value(values, row)),
        Column::Bool(values) => put(&value(values, row)),
        Column::Timestamp(values) => put(&value(values, row).map(chrono::DateTime::timestamp_micros)),
        Column::Date(values) => put(&value(values, row).map(|day| days.text(*day))),
        Column::Decimal(scale, values) => {
            // What does not fit was refused before.
            put(&value(values, row).and_then(|value| fit::scaled(*value, *scale)))
        }
    }
}
