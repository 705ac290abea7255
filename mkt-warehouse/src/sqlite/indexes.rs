//! Indexes of an empty table are built after a large load: sorting once is several times faster than finding the place
//! of every row.
//!
//! They are dropped and made again in the load's own transaction, from the texts that SQLite keeps: readers never see
//! the table without them, and a load that fails leaves them as they were. Keys that are part of the table itself
//! (`primary key` in its text) stay.

use super::error::storage;
use super::insert::refused;
use crate::batch::TableRows;
use crate::statement::quote;
use mkt_connect::Result;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

/// Rows from which on it is worth the change of the schema, after which every connection prepares its statements anew.
const LARGE: usize = 10_000;

/// The texts of indexes that were set aside.
#[derive(Debug)]
pub(super) struct Aside(Vec<String>);

/// Drops the indexes of the rows' table, if it is empty and the rows are many.
pub(super) async fn set_aside(connection: &mut SqliteConnection, rows: &TableRows) -> Result<Aside> {
    if rows.table.rows() < LARGE {
        return Ok(Aside(Vec::new()));
    }
    let table = rows.schema.name;
    let empty: bool =
        sqlx::query_scalar(AssertSqlSafe(format!("select not exists (select 1 from {})", quote(table))))
            .fetch_one(&mut *connection)
            .await
            .map_err(|cause| storage("load", cause))?;
    if !empty {
        return Ok(Aside(Vec::new()));
    }
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select name, sql from sqlite_master where type = 'index' and lower(tbl_name) = lower(?) \
         and sql is not null order by rowid",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await
    .map_err(|cause| storage("load", cause))?;
    let mut texts = Vec::with_capacity(indexes.len());
    for (name, text) in indexes {
        execute(connection, format!("drop index {}", quote(&name)))
            .await
            .map_err(|cause| storage("load", cause))?;
        texts.push(text);
    }
    Ok(Aside(texts))
}

/// Makes them again. A unique index of somebody's own may refuse the rows here.
pub(super) async fn build(connection: &mut SqliteConnection, rows: &TableRows, aside: Aside) -> Result<()> {
    for text in aside.0 {
        execute(connection, text).await.map_err(|cause| refused(rows, cause))?;
    }
    Ok(())
}

async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(connection).await.map(|_| ())
}
