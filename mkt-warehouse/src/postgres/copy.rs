//! COPY in its binary format, straight into the table.
//! <https://www.postgresql.org/docs/15/sql-copy.html>, "Binary Format", read November 2026.
//!
//! The binary format is strict about types, so it is used only where the table's columns have exactly the types that the
//! schema's have in PostgreSQL. Rows are encoded into one buffer of bounded size on their way.

use super::error::storage;
use crate::batch::TableRows;
use crate::fit;
use crate::schema::TableSchema;
use crate::statement::quote;
use crate::table::{Column, ColumnType};
use chrono::{Datelike, NaiveDate};
use mkt_connect::{Error, Result, sql};
use sqlx::postgres::PgConnection;

/// Bytes that are sent at once; a larger row is sent whole.
const PIECE: usize = 256 << 10;

/// Microseconds from 1970 to 2000, PostgreSQL's epoch.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// How a COPY ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// All rows are there.
    All,
    /// None is: a key is held already, or this table takes no COPY.
    None,
}

/// Whether the table's columns have the types whose binary form is sent.
pub(super) async fn understands(connection: &mut PgConnection, schema: &TableSchema) -> Result<bool> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "select a.attname::text, t.typname::text from pg_attribute a join pg_type t on t.oid = a.atttypid \
         where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped",
    )
    .bind(quote(schema.name))
    .fetch_all(connection)
    .await
    .map_err(|cause| storage("load", &cause))?;
    Ok(schema.columns.iter().all(|column| {
        found.iter().any(|(name, ty)| name == column.name && binary_types(column.ty).contains(&ty.as_str()))
    }))
}

fn binary_types(ty: ColumnType) -> &'static [&'static str] {
    match ty {
        ColumnType::Text => &["text", "varchar"],
        ColumnType::Int => &["int8"],
        ColumnType::Float => &["float8"],
        ColumnType::Bool => &["bool"],
        ColumnType::Timestamp => &["timestamptz"],
        ColumnType::Date => &["date"],
        ColumnType::Decimal { .. } => &["numeric"],
        ColumnType::Json => &["jsonb"],
    }
}

/// Copies all rows under a savepoint; where a key is held already, none.
pub(super) async fn copy(connection: &mut PgConnection, rows: &TableRows) -> Result<Copied> {
    let raw = |cause: sqlx::Error| storage("load", &cause);
    sqlx::raw_sql("savepoint rows").execute(&mut *connection).await.map_err(raw)?;
    match send(connection, rows).await {
        Ok(()) => {
            sqlx::raw_sql("release savepoint rows").execute(&mut *connection).await.map_err(raw)?;
            Ok(Copied::All)
        }
        // 0A000: feature_not_supported, as of tables with row-level security.
        Err(error) if sql::is_unique_violation(&error) || error.code() == Some("0A000") => {
            sqlx::raw_sql("rollback to savepoint rows").execute(&mut *connection).await.map_err(raw)?;
            Ok(Copied::None)
        }
        Err(error) => Err(error),
    }
}

async fn send(connection: &mut PgConnection, rows: &TableRows) -> Result<(), Error> {
    let raw = |cause: sqlx::Error| storage("load", &cause);
    let names: Vec<String> = rows.schema.columns.iter().map(|column| quote(column.name)).collect();
    let statement =
        format!("copy {} ({}) from stdin (format binary)", quote(rows.schema.name), names.join(", "));
    let mut copy = connection.copy_in_raw(&statement).await.map_err(raw)?;
    let mut buffer = Vec::with_capacity(PIECE + 4096);
    buffer.extend_from_slice(HEADER);
    let columns = rows.table.columns();
    // PostgreSQL has at most 1600 columns.
    let width = i16::try_from(columns.len()).unwrap_or(i16::MAX).to_be_bytes();
    for row in 0..rows.table.rows() {
        buffer.extend_from_slice(&width);
        for column in columns {
            field(&mut buffer, column, row);
        }
        if buffer.len() >= PIECE {
            copy.send(buffer.as_slice()).await.map_err(raw)?;
            buffer.clear();
            buffer.shrink_to(PIECE + 4096);
        }
    }
    buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(buffer.as_slice()).await.map_err(raw)?;
    copy.finish().await.map_err(raw)?;
    Ok(())
}

fn field(to: &mut Vec<u8>, column: &Column, row: usize) {
    fn cell<T>(to: &mut Vec<u8>, values: &[Option<T>], row: usize, write: impl FnOnce(&T, &mut Vec<u8>)) {
        let Some(Some(value)) = values.get(row) else {
            to.extend_from_slice(&(-1_i32).to_be_bytes());
            return;
        };
        let at = to.len();
        to.extend_from_slice(&[0; 4]);
        write(value, to);
        // `fit` refuses texts of more than 64 MiB.
        let length = i32::try_from(to.len() - at - 4).unwrap_or(i32::MAX).to_be_bytes();
        if let Some(head) = to.get_mut(at..at + 4) {
            head.copy_from_slice(&length);
        }
    }
    match column {
        Column::Text(values) => cell(to, values, row, |x, to| to.extend_from_slice(x.as_bytes())),
        Column::Json(values) => cell(to, values, row, |x, to| {
            to.push(1); // the version of jsonb's binary form
            to.extend_from_slice(x.as_bytes());
        }),
        Column::Int(values) => cell(to, values, row, |x, to| to.extend_from_slice(&x.to_be_bytes())),
        Column::Float(values) => cell(to, values, row, |x, to| to.extend_from_slice(&x.to_be_bytes())),
        Column::Bool(values) => cell(to, values, row, |x, to| to.push(u8::from(*x))),
        Column::Timestamp(values) => cell(to, values, row, |x, to| {
            to.extend_from_slice(&(x.timestamp_micros() - EPOCH_MICROS).to_be_bytes());
        }),
        Column::Date(values) => cell(to, values, row, |x, to| {
            to.extend_from_slice(&days_since_2000(*x).to_be_bytes());
        }),
        // `fit` has refused what cannot be scaled.
        Column::Decimal(scale, values) => cell(to, values, row, |x, to| {
            numeric(to, fit::scaled(*x, *scale).unwrap_or_default(), *scale);
        }),
    }
}

fn days_since_2000(day: NaiveDate) -> i32 {
    // 2000-01-01 is day 730 120 of the common era.
    day.num_days_from_ce() - 730_120
}

/// NUMERIC's binary form (`numeric_send` in numeric.c): groups of four decimal digits, the weight of the first, sign,
/// digits after the point.
fn numeric(to: &mut Vec<u8>, whole: i64, scale: u32) {
    const GROUP: u128 = 10_000;
    let groups_after = scale.div_ceil(4);
    let mut rest = u128::from(whole.unsigned_abs()) * 10_u128.pow(groups_after * 4 - scale);
    // 18 digits and 3 of padding: six groups.
    let mut groups = [0_u16; 8];
    let mut count: i16 = 0;
    for group in &mut groups {
        if rest == 0 {
            break;
        }
        *group = u16::try_from(rest % GROUP).unwrap_or_default();
        rest /= GROUP;
        count += 1;
    }
    let weight = count - 1 - i16::try_from(groups_after).unwrap_or_default();
    let sign: u16 = if whole < 0 { 0x4000 } else { 0 };
    to.extend_from_slice(&count.to_be_bytes());
    to.extend_from_slice(&weight.to_be_bytes());
    to.extend_from_slice(&sign.to_be_bytes());
    to.extend_from_slice(&u16::try_from(scale).unwrap_or_default().to_be_bytes());
    for group in groups.iter().take(usize::try_from(count).unwrap_or_default()).rev() {
        to.extend_from_slice(&group.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected bytes are those of PostgreSQL 15: `select numeric_send(19.90::decimal(10,2))`, ….
    #[test]
    fn numbers_have_the_servers_own_form() {
        let sent = |whole, scale| {
            let mut bytes = Vec::new();
            numeric(&mut bytes, whole, scale);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(sent(1_990, 2), "000200000000000200132328");
        assert_eq!(sent(-5, 2), "0001ffff4000000201f4");
        assert_eq!(sent(9_999_999_999, 2), "0003000100000002270f270f26ac");
        assert_eq!(sent(-1_234_567, 6), "0003000040000006000109291a2c");
    }

    #[test]
    fn days_count_from_2000() {
        let day = |text: &str| text.parse().map(days_since_2000);
        assert_eq!(day("2000-01-01"), Ok(0));
        assert_eq!(day("1999-12-31"), Ok(-1));
        assert_eq!(day("2026-11-21"), Ok(9_821));
    }
}
