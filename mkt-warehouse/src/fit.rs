//! Whether a batch fits its tables, decided before anything is written, the same for every engine.
//!
//! An engine's own refusal names neither row nor column, and each engine refuses something else (PostgreSQL a NUL,
//! SQLite nothing at all); so the rules are stated here once. Nothing here writes.

use crate::batch::{Batch, TableRows};
use crate::schema::TableSchema;
use crate::table::{Column, ColumnType};
use chrono::Datelike;
use mkt_connect::{Error, ErrorKind};
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::HashMap;
use std::hash::Hash;

/// The largest text: far from what the engines' protocols count with (1 GiB).
const MAX_TEXT: usize = 64 << 20;

/// Columns of the course's type VARCHAR(50).
const VARCHAR_50: [(&str, &str); 7] = [
    ("events", "user_id"),
    ("events", "event_type"),
    ("events", "channel"),
    ("events", "session_id"),
    ("sessions", "session_id"),
    ("sessions", "user_id"),
    ("sessions", "channel"),
];

/// What does not fit: a clause that names table, row and column, and no value (values may be personal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(String);

impl Misfit {
    fn cell(table: &str, row: usize, column: &str, why: &str) -> Self {
        Self(format!("row {row} of {table}, column {column}: {why}"))
    }

    /// As the error of a load.
    pub(crate) fn into_error(self, service: &'static str) -> Error {
        Error::new(ErrorKind::Input, service, "load").with_detail(self.0)
    }
}

/// Checks every rule that a batch must keep.
pub(crate) fn check(batch: &Batch) -> Result<(), Misfit> {
    for rows in batch.replaced() {
        if !rows.schema.is_sliced() {
            return Err(Misfit(format!(
                "{} has no load_id, so a slice cannot replace its rows; upsert them",
                rows.schema.name
            )));
        }
        check_rows(rows)?;
    }
    for rows in batch.upserted() {
        if rows.schema.is_sliced() {
            return Err(Misfit(format!("{} is replaced by slices; do not upsert into it", rows.schema.name)));
        }
        check_rows(rows)?;
    }
    Ok(())
}

fn check_rows(rows: &TableRows) -> Result<(), Misfit> {
    let schema = &rows.schema;
    let columns = rows.table.columns();
    let count = rows.table.rows();
    if columns.len() != schema.columns.len() {
        return Err(Misfit(format!(
            "{} has {} columns, and the rows have {}",
            schema.name,
            schema.columns.len(),
            columns.len()
        )));
    }
    for (stated, column) in schema.columns.iter().zip(columns) {
        if column.column_type() != stated.ty {
            return Err(Misfit(format!("column {} of {} has another type", stated.name, schema.name)));
        }
        if column.len() != count {
            return Err(Misfit(format!(
                "column {} of {} has {} values for {count} rows",
                stated.name,
                schema.name,
                column.len()
            )));
        }
        let short = VARCHAR_50.contains(&(schema.name, stated.name));
        if let Some((row, why)) = first_misfit(column, stated.nullable, short) {
            return Err(Misfit::cell(schema.name, row, stated.name, why));
        }
    }
    unique(schema, columns)
}

/// The first cell that breaks a rule, and which.
fn first_misfit(column: &Column, nullable: bool, short: bool) -> Option<(usize, &'static str)> {
    fn find<T>(
        values: &[Option<T>],
        nullable: bool,
        rule: impl Fn(&T) -> Option<&'static str>,
    ) -> Option<(usize, &'static str)> {
        values.iter().enumerate().find_map(|(row, value)| {
            let why = match value {
                None if nullable => None,
                None => Some("null where a value is needed"),
                Some(value) => rule(value),
            };
            why.map(|why| (row, why))
        })
    }
    match column {
        Column::Text(values) => find(values, nullable, |text| match text {
            text if text.len() > MAX_TEXT => Some("text of more than 64 MiB"),
            text if text.contains('\0') => Some("text with a NUL character"),
            text if short && text.len() > 50 && text.chars().count() > 50 => {
                Some("text of more than 50 characters")
            }
            _ => None,
        }),
        Column::Json(values) => find(values, nullable, |text| match text.len() > MAX_TEXT {
            true => Some("JSON of more than 64 MiB"),
            false => json_misfit(text),
        }),
        Column::Int(values) => find(values, nullable, |_| None),
        Column::Bool(values) => find(values, nullable, |_| None),
        Column::Float(values) => {
            find(values, nullable, |x| (!x.is_finite()).then_some("a number that is not finite"))
        }
        Column::Timestamp(values) => find(values, nullable, |at| {
            outside(at.year()).then_some("an instant outside the years 1 to 9999")
        }),
        Column::Date(values) => {
            find(values, nullable, |day| outside(day.year()).then_some("a day outside the years 1 to 9999"))
        }
        Column::Decimal(scale, values) => find(values, nullable, |value| {
            scaled(*value, *scale).is_none().then_some(match scale {
                2 => "an amount that does not fit in DECIMAL(10,2)",
                _ => "a number of more than 18 digits",
            })
        }),
    }
}

/// Texts sort as days do only with years of four digits, and PostgreSQL's range is not chrono's.
fn outside(year: i32) -> bool {
    !(1..=9999).contains(&year)
}

fn json_misfit(text: &str) -> Option<&'static str> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Some("text that is not JSON");
    }
    // PostgreSQL's jsonb holds no NUL. The escape is looked at closely only where it seems to be: `\\u0000` is harmless.
    fn holds_nul(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(values) => values.iter().any(holds_nul),
            serde_json::Value::Object(map) => {
                map.iter().any(|(key, value)| key.contains('\0') || holds_nul(value))
            }
            _ => false,
        }
    }
    // Looking for one byte is many times faster than looking for a text.
    let suspicious = text.as_bytes().contains(&b'\\') && text.contains("\\u0000");
    let nul = suspicious && serde_json::from_str(text).is_ok_and(|value| holds_nul(&value));
    nul.then_some("JSON with a NUL character")
}

/// Two rows of one key in one batch: which one is meant cannot be known, and engines differ in which they would keep.
fn unique(schema: &TableSchema, columns: &[Column]) -> Result<(), Misfit> {
    let keys: Vec<&Column> = schema
        .primary_key
        .iter()
        .filter_map(|key| schema.columns.iter().position(|column| column.name == *key))
        .filter_map(|index| columns.get(index))
        .collect();
    if keys.len() != schema.primary_key.len() || keys.is_empty() {
        return Err(Misfit(format!("the primary key of {} names a column that it lacks", schema.name)));
    }
    let twice = match keys.as_slice() {
        [Column::Int(values)] if all_differ(values) => None,
        [Column::Int(values)] => first_twice(values.iter()),
        [Column::Text(values)] => first_twice(values.iter()),
        _ => first_twice((0..keys[0].len()).map(|row| key_bytes(&keys, row))),
    };
    match twice {
        None => Ok(()),
        Some((first, second)) => Err(Misfit(format!(
            "rows {first} and {second} of {} have one primary key ({})",
            schema.name,
            schema.primary_key.join(", ")
        ))),
    }
}

/// Sorting numbers is several times faster than hashing them.
fn all_differ(values: &[Option<i64>]) -> bool {
    if values.is_sorted_by(|a, b| a < b) {
        return true;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.is_sorted_by(|a, b| a < b)
}

fn first_twice<K: Hash + Eq>(keys: impl ExactSizeIterator<Item = K>) -> Option<(usize, usize)> {
    let mut seen = HashMap::with_capacity(keys.len());
    keys.enumerate().find_map(|(row, key)| seen.insert(key, row).map(|first| (first, row)))
}

fn key_bytes(keys: &[&Column], row: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    for key in keys {
        let text = match key {
            Column::Text(values) => values.get(row).cloned().flatten().unwrap_or_default(),
            Column::Timestamp(values) => values
                .get(row)
                .copied()
                .flatten()
                .map_or_else(String::new, |at| at.timestamp_micros().to_string()),
            other => format!("{:?}", other.value(row)),
        };
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The decimal as a whole number of its last digit, rounded half to even; nothing where it exceeds DECIMAL(10,2) for
/// scale 2, or 18 digits for other scales.
pub(crate) fn scaled(value: Decimal, scale: u32) -> Option<i64> {
    let rounded = rounded(value, scale)?;
    // `rounded` has at most `scale` digits after the point; the rest are zeros.
    let missing = 10_i128.checked_pow(scale.checked_sub(rounded.scale())?)?;
    let whole = i64::try_from(rounded.mantissa().checked_mul(missing)?).ok()?;
    let digits = if scale == 2 { 10 } else { 18 };
    (whole.unsigned_abs() < 10_u64.pow(digits)).then_some(whole)
}

/// The decimal with at most `scale` digits after the point, rounded half to even.
pub(crate) fn rounded(value: Decimal, scale: u32) -> Option<Decimal> {
    (scale <= 18).then(|| value.round_dp_with_strategy(scale, RoundingStrategy::MidpointNearestEven))
}

/// An empty answer with the columns that a query names.
pub(crate) fn empty_answer(columns: &[(String, ColumnType)]) -> crate::table::Table {
    crate::table::Table::new(columns.iter().map(|(name, ty)| (name.as_str(), *ty)))
}
