//! Indexes of an empty table are built after a large load: sorting once is several times faster than finding the place
//! of every row.
//!
//! They are dropped and made again in the load's own transaction, from the texts that SQLite keeps: readers never see
//! the table without them, and a load that fails leaves them as they were. Keys that are part of the table itself
//! (`primary key` in its text) stay.

use super::error::storage;
use crate::statement::quote;
use mkt_connect::{ErrorKind, Result};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

/// Rows from which on it is worth the change of the schema, after which every connection prepares its statements anew.
const LARGE: usize = 10_000;

/// Indexes that were dropped: their tables and texts.
#[derive(Debug, Default)]
pub(super) struct Aside {
    looked_at: Vec<&'static str>,
    dropped: Vec<(&'static str, String)>,
}

impl Aside {
    /// Whether no index is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.dropped.is_empty()
    }

    /// Drops the indexes of a table, if it is empty and so many rows are coming in the transaction that it pays. Each
    /// table is looked at once.
    pub(super) async fn drop_of_empty(
        &mut self,
        connection: &mut SqliteConnection,
        table: &'static str,
        coming: Option<usize>,
    ) -> Result<()> {
        if coming.is_none_or(|coming| coming < LARGE) || self.looked_at.contains(&table) {
            return Ok(());
        }
        self.looked_at.push(table);
        let failed = |cause| storage("load", cause);
        let text = format!("select not exists (select 1 from {})", quote(table));
        let empty: bool =
            sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut *connection).await.map_err(failed)?;
        if !empty {
            return Ok(());
        }
        let indexes: Vec<(String, String)> = sqlx::query_as(
            "select name, sql from sqlite_master where type = 'index' and lower(tbl_name) = lower(?) \
             and sql is not null order by rowid",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        for (name, text) in indexes {
            execute(connection, format!("drop index {}", quote(&name))).await.map_err(failed)?;
            self.dropped.push((table, text));
        }
        Ok(())
    }

    /// Makes them again. A unique index may refuse the rows here.
    pub(super) async fn build(self, connection: &mut SqliteConnection) -> Result<()> {
        for (table, text) in self.dropped {
            execute(connection, text).await.map_err(|cause| {
                let error = storage("load", cause);
                let clause = error.detail().unwrap_or_default().to_owned();
                match error.kind() {
                    ErrorKind::Input => error.with_detail(format!("a row of {table} does not fit: {clause}")),
                    _ => error,
                }
            })?;
        }
        Ok(())
    }
}

async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(connection).await.map(|_| ())
}
