//! Writes rows of any table: by COPY where they are many and new, else by one array per column.

use super::copy::{self, Copied};
use super::error::{SERVICE, storage};
use crate::batch::TableRows;
use crate::fit;
use crate::schema::{LOAD_ID, TableSchema};
use crate::statement::{overwrite, quote};
use crate::table::{Column, ColumnType};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments, AssertSqlSafe};
use std::collections::BTreeSet;
use std::ops::Range;

/// Rows from which on COPY is worth its round trips.
const COPY_FROM: usize = 1_000;
/// Rows per statement.
const ROWS: usize = 5_000;
/// Bytes of text per statement: the server refuses messages of 1 GiB.
const TEXT_BYTES: usize = 32 << 20;

/// What happens to a row whose key is held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// It moves to this slice; the slice that held it loses its claim to be complete.
    Moves,
    /// It is written over.
    Overwritten,
}

/// Inserts the rows; gives the slices that lost rows to them.
pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &TableRows,
    key: Key,
    load_id: i64,
) -> Result<BTreeSet<i64>> {
    let schema = &rows.schema;
    let mut lost_rows = BTreeSet::new();
    if key == Key::Moves
        && rows.table.rows() >= COPY_FROM
        && copy::understands(connection, schema).await?
        && copy::copy(connection, rows).await? == Copied::All
    {
        return Ok(lost_rows);
    }
    let all: Vec<usize> = (0..schema.columns.len()).collect();
    let into = format!("{} select {} from {}", head(schema), casts(schema, &all), unnest(schema, &all));
    let skip = format!("{into} on conflict do nothing");
    let over = format!("{into} {}", overwrite(schema));
    let mut from = 0;
    while from < rows.table.rows() {
        let range = from..end_of_chunk(rows, from);
        from = range.end;
        if key == Key::Overwritten {
            run(connection, &over, rows, &all, range).await?;
            continue;
        }
        let wanted = range.len() as u64;
        if run(connection, &skip, rows, &all, range.clone()).await? < wanted {
            // Some keys are held by other slices, which no longer are what their hash says.
            lost_rows.extend(disown(connection, rows, range.clone(), load_id).await?);
            run(connection, &over, rows, &all, range).await?;
        }
    }
    Ok(lost_rows)
}

fn end_of_chunk(rows: &TableRows, from: usize) -> usize {
    let mut bytes = 0;
    let mut end = from;
    while end < rows.table.rows() && end - from < ROWS && bytes < TEXT_BYTES {
        for column in rows.table.columns() {
            if let Column::Text(values) | Column::Json(values) = column {
                bytes += values.get(end).and_then(Option::as_ref).map_or(0, String::len);
            }
        }
        end += 1;
    }
    end
}

fn key_indexes(schema: &TableSchema) -> Result<Vec<usize>> {
    let indexes: Option<Vec<usize>> = schema
        .primary_key
        .iter()
        .map(|key| schema.columns.iter().position(|column| column.name == *key))
        .collect();
    indexes.ok_or_else(|| Error::new(ErrorKind::Input, SERVICE, "load"))
}

fn head(schema: &TableSchema) -> String {
    let names: Vec<String> = schema.columns.iter().map(|column| quote(column.name)).collect();
    format!("insert into {} ({})", quote(schema.name), names.join(", "))
}

fn casts(schema: &TableSchema, indexes: &[usize]) -> String {
    let cast = |index: &usize| match schema.columns.get(*index).map(|column| column.ty) {
        Some(ColumnType::Json) => format!("u.c{index}::jsonb"),
        _ => format!("u.c{index}"),
    };
    indexes.iter().map(cast).collect::<Vec<_>>().join(", ")
}

fn unnest(schema: &TableSchema, indexes: &[usize]) -> String {
    let arrays: Vec<String> = indexes
        .iter()
        .enumerate()
        .map(|(parameter, index)| {
            let ty = match schema.columns.get(*index).map(|column| column.ty) {
                Some(ColumnType::Int) => "bigint",
                Some(ColumnType::Float) => "double precision",
                Some(ColumnType::Bool) => "boolean",
                Some(ColumnType::Timestamp) => "timestamptz",
                Some(ColumnType::Date) => "date",
                Some(ColumnType::Decimal { .. }) => "numeric",
                _ => "text",
            };
            format!("${}::{ty}[]", parameter + 1)
        })
        .collect();
    let names: Vec<String> = indexes.iter().map(|index| format!("c{index}")).collect();
    format!("unnest({}) as u ({})", arrays.join(", "), names.join(", "))
}

/// The slices that hold keys of these rows are no longer what their hash says: their next load is no replay. Gives them.
///
/// The rows are locked first, in the order of their keys: until this load ends they belong to whom this says.
async fn disown(
    connection: &mut PgConnection,
    rows: &TableRows,
    range: Range<usize>,
    load_id: i64,
) -> Result<Vec<i64>> {
    let schema = &rows.schema;
    let indexes = key_indexes(schema)?;
    let keys: Vec<String> = schema.primary_key.iter().map(|key| format!("t.{}", quote(key))).collect();
    let equal: Vec<String> =
        indexes.iter().zip(&keys).map(|(index, key)| format!("{key} = u.c{index}")).collect();
    let held = format!(
        "select distinct h.{LOAD_ID} from (select t.{LOAD_ID} from {} t join {} on {} where t.{LOAD_ID} <> ${} \
         order by {} for update of t) h",
        quote(schema.name),
        unnest(schema, &indexes),
        equal.join(" and "),
        indexes.len() + 1,
        keys.join(", ")
    );
    let mut arguments = bound(rows, &indexes, range)?;
    arguments.add(load_id).map_err(|_| unbindable(schema.name))?;
    let lost_rows: Vec<i64> = sqlx::query_scalar_with(AssertSqlSafe(held), arguments)
        .fetch_all(&mut *connection)
        .await
        .map_err(|cause| storage("load", &cause))?;
    sqlx::query("update loads set content_hash = '' where load_id = any ($1)")
        .bind(&lost_rows)
        .execute(connection)
        .await
        .map_err(|cause| storage("load", &cause))?;
    Ok(lost_rows)
}

/// Runs a statement over the columns of a range of rows; gives the number of rows written.
async fn run(
    connection: &mut PgConnection,
    sql: &str,
    rows: &TableRows,
    indexes: &[usize],
    range: Range<usize>,
) -> Result<u64> {
    let done = sqlx::query_with(AssertSqlSafe(sql), bound(rows, indexes, range)?)
        .execute(connection)
        .await
        .map_err(|cause| storage("load", &cause))?;
    Ok(done.rows_affected())
}

/// A range of rows, one array per column.
fn bound(rows: &TableRows, indexes: &[usize], range: Range<usize>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for index in indexes {
        if let Some(column) = rows.table.columns().get(*index) {
            bind_column(&mut arguments, column, range.clone())?;
        }
    }
    Ok(arguments)
}

fn unbindable(table: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "load").with_detail(format!("a value of {table} cannot be bound"))
}

fn bind_column(arguments: &mut PgArguments, column: &Column, range: Range<usize>) -> Result<()> {
    fn part<T>(values: &[T], range: Range<usize>) -> &[T] {
        values.get(range).unwrap_or_default()
    }
    match column {
        Column::Text(values) | Column::Json(values) => arguments.add(part(values, range)),
        Column::Int(values) => arguments.add(part(values, range)),
        Column::Float(values) => arguments.add(part(values, range)),
        Column::Bool(values) => arguments.add(part(values, range)),
        Column::Timestamp(values) => arguments.add(part(values, range)),
        Column::Date(values) => arguments.add(part(values, range)),
        Column::Decimal(scale, values) => {
            // The server would round halves away from zero.
            let rounded: Vec<_> = part(values, range)
                .iter()
                .map(|value| value.and_then(|value| fit::rounded(value, *scale)))
                .collect();
            arguments.add(rounded)
        }
    }
    .map_err(|_| unbindable("a table"))
}
