//! Binds a query's values and reads its rows as typed columns.

use super::error::{SERVICE, storage};
use super::insert;
use crate::fit;
use crate::parameters;
use crate::query::Query;
use crate::table::{Column, ColumnType, Table};
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use mkt_connect::{Error, ErrorKind, Result};
use rust_decimal::Decimal;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, TypeInfo, ValueRef};

pub(super) fn prepare(query: &Query) -> Result<(String, SqliteArguments)> {
    let (sql, largest) = parameters::numbered(query.sql(), '?');
    if largest > query.parameters().len() {
        return Err(Error::new(ErrorKind::Input, SERVICE, "query")
            .with_detail(format!("parameter :{largest} has no value")));
    }
    let mut arguments = SqliteArguments::default();
    for value in query.parameters() {
        insert::bind(&mut arguments, value, "query")?;
    }
    Ok((sql, arguments))
}

/// The next rows, at most `limit`; nothing at the end.
pub(super) async fn next_chunk(
    rows: &mut BoxStream<'_, sqlx::Result<SqliteRow>>,
    columns: &[(String, ColumnType)],
    limit: usize,
) -> Result<Option<Table>> {
    let mut table = fit::empty_answer(columns);
    let mut count = 0;
    while count < limit {
        let Some(row) = rows.try_next().await.map_err(|cause| storage("query", cause))? else { break };
        if row.len() != columns.len() {
            return Err(Error::new(ErrorKind::Input, SERVICE, "query").with_detail(format!(
                "the answer has {} columns, and the query names {}",
                row.len(),
                columns.len()
            )));
        }
        for (index, column) in table.columns_mut().iter_mut().enumerate() {
            read(&row, index, column).ok_or_else(|| {
                Error::new(ErrorKind::Protocol, SERVICE, "query").with_detail(format!(
                    "a value of column {} is not of the type that the query names",
                    columns.get(index).map_or("?", |(name, _)| name)
                ))
            })?;
        }
        count += 1;
    }
    Ok((count > 0).then_some(table))
}

/// Appends a cell to its column; nothing where it is of another type.
fn read(row: &SqliteRow, index: usize, column: &mut Column) -> Option<()> {
    let raw = row.try_get_raw(index).ok()?;
    let null = raw.is_null();
    let type_info = raw.type_info();
    let held = type_info.name();
    let integer = |yes: bool| -> Option<Option<i64>> {
        match (null, yes) {
            (true, _) => Some(None),
            (false, true) => row.try_get_unchecked(index).ok(),
            (false, false) => None,
        }
    };
    let text =
        || -> Option<Option<String>> { if null { Some(None) } else { row.try_get_unchecked(index).ok() } };
    // The value's own class, not the declared type, decides: expressions have no declared type.
    let is_integer = matches!(held, "INTEGER" | "BOOLEAN");
    let is_text = held == "TEXT";
    match column {
        Column::Text(values) | Column::Json(values) if null || is_text => values.push(text()?),
        Column::Int(values) => values.push(integer(is_integer)?),
        Column::Bool(values) => values.push(match integer(is_integer)? {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return None,
        }),
        Column::Float(values) if null => values.push(None),
        Column::Float(values) if is_integer || held == "REAL" => {
            values.push(row.try_get_unchecked(index).ok()?);
        }
        Column::Timestamp(values) => values.push(match integer(is_integer)? {
            None => None,
            Some(micros) => Some(instant(micros)?),
        }),
        Column::Date(values) if null || is_text => values.push(match text()? {
            None => None,
            Some(text) => Some(day(&text)?),
        }),
        Column::Decimal(scale, values) => values.push(match integer(is_integer)? {
            None => None,
            Some(whole) => Some(unscaled(whole, *scale)?),
        }),
        _ => return None,
    }
    Some(())
}

/// The decimal that a stored whole number means.
fn unscaled(whole: i64, scale: u32) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(i128::from(whole), scale).ok()
}

/// The instant that stored microseconds mean.
fn instant(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

/// The day that a stored text means.
fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}
