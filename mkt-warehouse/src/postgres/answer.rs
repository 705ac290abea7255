//! Binds a query's values and reads its rows as typed columns.

use super::error::{SERVICE, storage};
use crate::parameters;
use crate::query::Query;
use crate::table::{Column, Table, Value};
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use mkt_connect::{Error, ErrorKind, Result};
use rust_decimal::Decimal;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Row, TypeInfo, ValueRef};

pub(super) fn prepare(query: &Query) -> Result<(String, PgArguments)> {
    let (sql, largest) = parameters::numbered(query.sql(), '$');
    if largest > query.parameters().len() {
        return Err(Error::new(ErrorKind::Input, SERVICE, "query")
            .with_detail(format!("parameter :{largest} has no value")));
    }
    let mut arguments = PgArguments::default();
    for value in query.parameters() {
        match value {
            Value::Null => arguments.add(None::<String>),
            Value::Text(text) => arguments.add(text.as_str()),
            Value::Int(value) => arguments.add(*value),
            Value::Float(value) => arguments.add(*value),
            Value::Bool(value) => arguments.add(*value),
            Value::Timestamp(at) => arguments.add(*at),
            Value::Date(day) => arguments.add(*day),
            Value::Decimal(value) => arguments.add(*value),
        }
        .map_err(|_| {
            Error::new(ErrorKind::Input, SERVICE, "query").with_detail("a value of the query cannot be bound")
        })?;
    }
    Ok((sql, arguments))
}

/// Appends every row to the table.
pub(super) async fn read_all(rows: &mut BoxStream<'_, sqlx::Result<PgRow>>, table: &mut Table) -> Result<()> {
    while let Some(row) = rows.try_next().await.map_err(|cause| storage("query", &cause))? {
        if row.len() != table.columns().len() {
            return Err(Error::new(ErrorKind::Input, SERVICE, "query").with_detail(format!(
                "the answer has {} columns, and the query names {}",
                row.len(),
                table.columns().len()
            )));
        }
        for index in 0..row.len() {
            let Some(column) = table.columns_mut().get_mut(index) else { continue };
            if read(&row, index, column).is_none() {
                let name = table.names().get(index).map_or("?", String::as_str);
                return Err(Error::new(ErrorKind::Protocol, SERVICE, "query").with_detail(format!(
                    "a value of column {name} is not of the type that the query names"
                )));
            }
        }
    }
    Ok(())
}

/// Appends a cell to its column; nothing where it is of another type.
fn read(row: &PgRow, index: usize, column: &mut Column) -> Option<()> {
    let raw = row.try_get_raw(index).ok()?;
    let type_info = raw.type_info();
    let held = type_info.name();
    if raw.is_null() {
        return column.push(Value::Null).ok();
    }
    match column {
        Column::Text(values) => values.push(row.try_get::<Option<String>, _>(index).ok()?),
        Column::Json(values) => {
            let value: serde_json::Value = row.try_get(index).ok()?;
            values.push(Some(value.to_string()));
        }
        Column::Int(values) => values.push(Some(match held {
            "INT2" => row.try_get::<i16, _>(index).ok()?.into(),
            "INT4" => row.try_get::<i32, _>(index).ok()?.into(),
            _ => row.try_get::<i64, _>(index).ok()?,
        })),
        Column::Float(values) => values.push(row.try_get::<Option<f64>, _>(index).ok()?),
        Column::Bool(values) => values.push(row.try_get::<Option<bool>, _>(index).ok()?),
        Column::Timestamp(values) => values.push(row.try_get::<Option<DateTime<Utc>>, _>(index).ok()?),
        Column::Date(values) => values.push(row.try_get::<Option<NaiveDate>, _>(index).ok()?),
        Column::Decimal(scale, values) => {
            let mut value: Decimal = match held {
                // A literal such as the 0 of `coalesce(x, 0)`.
                "INT4" => row.try_get::<i32, _>(index).ok()?.into(),
                "INT8" => row.try_get::<i64, _>(index).ok()?.into(),
                _ => row.try_get(index).ok()?,
            };
            value.rescale(*scale);
            values.push(Some(value));
        }
    }
    Some(())
}
