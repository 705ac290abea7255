//! Indexes of an empty table are built after a large load: sorting once is several times faster than finding the place
//! of every row.
//!
//! They are dropped and made again in the load's own transaction, from the texts that SQLite keeps: readers never see
//! the table without them, and a load that fails leaves them as they were. Keys that are part of the table itself
//! (`primary key` in its text) stay.

use super::error::refused;
use super::insert::{clear_hash, is_taken};
use crate::schema::{LOAD_ID, TableSchema};
use crate::statement::quote;
use mkt_connect::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Rows from which on it is worth the change of the schema, after which every connection prepares its statements anew.
pub(super) const LARGE: usize = 10_000;

/// Indexes that were dropped: their tables and texts.
#[derive(Debug, Default)]
pub(super) struct Aside {
    looked_at: Vec<&'static str>,
    dropped: Vec<(TableSchema, String)>,
}

impl Aside {
    /// Whether no index is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.dropped.is_empty()
    }

    /// Drops the indexes of a table, if it is empty. Each table is looked at once.
    pub(super) fn drop_of_empty(&mut self, connection: &Connection, schema: &TableSchema) -> Result<()> {
        let table = schema.name;
        if self.looked_at.contains(&table) {
            return Ok(());
        }
        self.looked_at.push(table);
        let failed = |cause| refused("load", cause);
        let text = format!("select not exists (select 1 from {})", quote(table));
        if !connection.query_row(&text, [], |row| row.get::<_, bool>(0)).map_err(failed)? {
            return Ok(());
        }
        let mut listed = connection
            .prepare(
                "select name, sql from sqlite_master where type = 'index' and lower(tbl_name) = lower(?) \
                 and sql is not null order by rowid",
            )
            .map_err(failed)?;
        let indexes: Vec<(String, String)> = listed
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        for (name, text) in indexes {
            connection.execute_batch(&format!("drop index {}", quote(&name))).map_err(failed)?;
            self.dropped.push((*schema, text));
        }
        Ok(())
    }

    /// Makes them again. Of rows that have one primary key the last is kept; gives the slices that lost rows so, by table.
    /// Another unique index may refuse the rows here.
    pub(super) fn build(&mut self, connection: &Connection) -> Result<BTreeMap<&'static str, BTreeSet<i64>>> {
        let mut lost_rows: BTreeMap<&'static str, BTreeSet<i64>> = BTreeMap::new();
        for (schema, text) in std::mem::take(&mut self.dropped) {
            let mut made = connection.execute_batch(&text);
            if made.as_ref().is_err_and(is_taken) && !lost_rows.contains_key(schema.name) {
                lost_rows.insert(schema.name, keep_last(connection, &schema)?);
                made = connection.execute_batch(&text);
            }
            made.map_err(|cause| misfit(&schema, cause))?;
        }
        Ok(lost_rows)
    }
}

/// Removes rows whose primary key a later row has: the row moved to the slice that came later.
fn keep_last(connection: &Connection, schema: &TableSchema) -> Result<BTreeSet<i64>> {
    let failed = |cause| refused("load", cause);
    let keys: Vec<String> = schema.primary_key.iter().map(|key| quote(key)).collect();
    let table = quote(schema.name);
    let sql = format!(
        "delete from {table} where rowid in (select place from (select rowid as place, row_number() over \
         (partition by {} order by rowid desc) as later from {table}) where later > 1) returning {LOAD_ID}",
        keys.join(", ")
    );
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let slices: BTreeSet<i64> =
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
    for slice in &slices {
        clear_hash(connection, *slice)?;
    }
    Ok(slices)
}

fn misfit(schema: &TableSchema, cause: rusqlite::Error) -> Error {
    let error = refused("load", cause);
    let clause = error.detail().unwrap_or_default().to_owned();
    match error.kind() {
        ErrorKind::Input => error.with_detail(format!("a row of {} does not fit: {clause}", schema.name)),
        _ => error,
    }
}
