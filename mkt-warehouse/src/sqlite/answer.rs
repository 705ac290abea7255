//! Binds a query's values and reads its rows as typed columns.

use super::error::SERVICE;
use crate::chunk::Chunk;
use crate::fit;
use crate::parameters;
use crate::query::Query;
use crate::table::{Column, ColumnType, Table, Value};
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use rusqlite::Row;
use rusqlite::types::{Value as Bound, ValueRef};
use rust_decimal::Decimal;

/// The text with SQLite's marks, and the values of its parameters in order.
pub(super) fn prepare(query: &Query) -> Result<(String, Vec<Bound>)> {
    let (sql, largest) = parameters::numbered(query.sql(), '?');
    if largest > query.parameters().len() {
        return Err(Error::new(ErrorKind::Input, SERVICE, "query")
            .with_detail(format!("parameter :{largest} has no value")));
    }
    Ok((sql, query.parameters().iter().map(bound).collect()))
}

/// Decimals are bound as floats: a query's text knows no column's scale.
fn bound(value: &Value) -> Bound {
    match value {
        Value::Null => Bound::Null,
        Value::Text(text) => Bound::Text(text.clone()),
        Value::Int(value) => Bound::Integer(*value),
        Value::Float(value) => Bound::Real(*value),
        Value::Bool(value) => Bound::Integer(i64::from(*value)),
        Value::Timestamp(at) => Bound::Integer(at.timestamp_micros()),
        Value::Date(day) => Bound::Text(day.to_string()),
        Value::Decimal(value) => Bound::Real(value.to_string().parse().unwrap_or(f64::NAN)),
    }
}

/// Whether the answer has as many columns as the query names.
pub(super) fn fits(count: usize, columns: &[(String, ColumnType)]) -> Result<()> {
    match count == columns.len() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Input, SERVICE, "query")
            .with_detail(format!("the answer has {count} columns, and the query names {}", columns.len()))),
    }
}

/// What rows of an answer are gathered in.
pub(super) trait Piece: Send + Sized + 'static {
    fn empty(columns: &[(String, ColumnType)]) -> Self;

    /// Appends a row of these columns.
    fn append(&mut self, row: &Row<'_>, columns: &[(String, ColumnType)]) -> Result<()>;
}

impl Piece for Table {
    fn empty(columns: &[(String, ColumnType)]) -> Self {
        fit::empty_answer(columns)
    }

    fn append(&mut self, row: &Row<'_>, columns: &[(String, ColumnType)]) -> Result<()> {
        for (index, column) in self.columns_mut().iter_mut().enumerate() {
            let read = row.get_ref(index).ok().and_then(|value| push(value, column));
            read.ok_or_else(|| of_another_type(index, columns))?;
        }
        Ok(())
    }
}

impl Piece for Chunk {
    fn empty(columns: &[(String, ColumnType)]) -> Self {
        Self::new(columns)
    }

    fn append(&mut self, row: &Row<'_>, columns: &[(String, ColumnType)]) -> Result<()> {
        for (index, (_, ty)) in columns.iter().enumerate() {
            let read = row.get_ref(index).ok().and_then(|value| match (ty, value) {
                (ColumnType::Text | ColumnType::Json | ColumnType::Date, ValueRef::Text(bytes)) => {
                    self.push_text(index, Some(std::str::from_utf8(bytes).ok()?))
                }
                (
                    ColumnType::Text | ColumnType::Json | ColumnType::Date | ColumnType::Float,
                    ValueRef::Null,
                ) => self.push_text(index, None),
                (ColumnType::Float, ValueRef::Real(value)) => self.push_text(index, Some(&value.to_string())),
                (ColumnType::Float, ValueRef::Integer(value)) => {
                    self.push_text(index, Some(&value.to_string()))
                }
                (ColumnType::Bool, ValueRef::Integer(whole)) if !(0..=1).contains(&whole) => None,
                (_, ValueRef::Integer(whole)) => self.push_number(index, Some(whole)),
                (_, ValueRef::Null) => self.push_number(index, None),
                _ => None,
            });
            read.ok_or_else(|| of_another_type(index, columns))?;
        }
        Ok(())
    }
}

fn of_another_type(index: usize, columns: &[(String, ColumnType)]) -> Error {
    Error::new(ErrorKind::Protocol, SERVICE, "query").with_detail(format!(
        "a value of column {} is not of the type that the query names",
        columns.get(index).map_or("?", |(name, _)| name)
    ))
}

/// Appends a cell to its column; nothing where it is of another type. The value's own class decides: expressions have
/// no declared type.
fn push(value: ValueRef<'_>, column: &mut Column) -> Option<()> {
    match (column, value) {
        (Column::Text(values) | Column::Json(values), ValueRef::Null) => values.push(None),
        (Column::Int(values), ValueRef::Null) => values.push(None),
        (Column::Bool(values), ValueRef::Null) => values.push(None),
        (Column::Float(values), ValueRef::Null) => values.push(None),
        (Column::Timestamp(values), ValueRef::Null) => values.push(None),
        (Column::Date(values), ValueRef::Null) => values.push(None),
        (Column::Decimal(_, values), ValueRef::Null) => values.push(None),
        (Column::Text(values) | Column::Json(values), ValueRef::Text(bytes)) => {
            values.push(Some(std::str::from_utf8(bytes).ok()?.to_owned()));
        }
        (Column::Int(values), ValueRef::Integer(whole)) => values.push(Some(whole)),
        (Column::Bool(values), ValueRef::Integer(whole @ (0 | 1))) => values.push(Some(whole == 1)),
        (Column::Float(values), ValueRef::Real(value)) => values.push(Some(value)),
        (Column::Float(values), ValueRef::Integer(whole)) => values.push(Some(whole as f64)),
        (Column::Timestamp(values), ValueRef::Integer(micros)) => values.push(Some(instant(micros)?)),
        (Column::Date(values), ValueRef::Text(bytes)) => {
            values.push(Some(day(std::str::from_utf8(bytes).ok()?)?));
        }
        (Column::Decimal(scale, values), ValueRef::Integer(whole)) => {
            values.push(Some(unscaled(whole, *scale)?));
        }
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
