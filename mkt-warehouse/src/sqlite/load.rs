//! Replaces slices: rows and ledger in one immediate transaction, each slice under a savepoint.

use super::error::{SERVICE, refused};
use super::indexes::{Aside, LARGE};
use super::insert::{self, Key};
use super::write::Cancel;
use crate::batch::Batch;
use crate::dialect::Dialect;
use crate::fit;
use crate::quarters;
use crate::schema::LOAD_ID;
use crate::statement::quote;
use crate::warehouse::Receipt;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeSet, HashMap};

/// Rows after which a long series of loads commits what it has, unless indexes are missing: the write-ahead log grows until
/// then.
const AT_ONCE: u64 = 1_000_000;

/// Loads that are committed together.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    at: DateTime<Utc>,
    cancel: &'a Cancel,
    /// Rows that come to each table; unknown for a series, which is expected to be long.
    coming: Option<HashMap<&'static str, usize>>,
    aside: Aside,
    /// Slices whose sums are to be counted again.
    recount: BTreeSet<i64>,
    /// Since the last commit.
    rows: u64,
}

fn failed(cause: rusqlite::Error) -> Error {
    refused("load", cause)
}

impl<'a> Transaction<'a> {
    /// IMMEDIATE: the write lock is taken before the ledger is read, so that loads of one key are serialised.
    pub(super) fn begin(
        connection: &'a Connection,
        at: DateTime<Utc>,
        batches: Option<&[Batch]>,
        cancel: &'a Cancel,
    ) -> Result<Self> {
        connection.execute_batch("begin immediate").map_err(failed)?;
        let coming = batches.map(|batches| {
            let mut coming: HashMap<&'static str, usize> = HashMap::new();
            for rows in batches.iter().flat_map(Batch::replaced) {
                *coming.entry(rows.schema.name).or_default() += rows.table.rows();
            }
            coming
        });
        let (aside, recount) = (Aside::default(), BTreeSet::new());
        Ok(Self { connection, at, cancel, coming, aside, recount, rows: 0 })
    }

    /// Replaces a slice. An error of kind `Input` leaves it as it was.
    pub(super) fn load(&mut self, batch: &Batch) -> Result<Receipt> {
        fit::check(batch).map_err(|misfit| misfit.into_error(SERVICE))?;
        for rows in batch.replaced().iter().filter(|rows| rows.table.rows() > 0) {
            let coming =
                |coming: &HashMap<_, _>| coming.get(rows.schema.name).is_some_and(|rows| *rows >= LARGE);
            if self.coming.as_ref().is_none_or(coming) {
                // Before the savepoint: the indexes of other slices' rows stay aside where this slice is undone.
                self.aside.drop_of_empty(self.connection, &rows.schema)?;
            }
        }
        self.run("savepoint slice")?;
        match self.write(batch) {
            Ok((receipt, slices)) => {
                self.run("release slice")?;
                self.recount.extend(slices);
                self.rows += receipt.written + receipt.removed;
                tracing::debug!(slice = %batch.key(), written = receipt.written, replayed = receipt.replayed, "loading");
                if self.rows >= AT_ONCE && self.aside.is_empty() {
                    self.end()?;
                    self.run("begin immediate")?;
                }
                Ok(receipt)
            }
            Err(misfit) if misfit.kind() == ErrorKind::Input => {
                self.run("rollback to slice; release slice")?;
                Err(misfit)
            }
            Err(cause) => Err(cause),
        }
    }

    /// Builds what was left for the end, and commits.
    pub(super) fn commit(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let lost_rows = self.aside.build(self.connection)?;
        self.recount.extend(lost_rows.get(quarters::OF).into_iter().flatten());
        for slice in std::mem::take(&mut self.recount) {
            for sql in quarters::statements(Dialect::Sqlite) {
                let counted = self.connection.prepare_cached(&sql).and_then(|mut x| x.execute([slice]));
                counted.map_err(failed)?;
            }
        }
        self.rows = 0;
        self.run("commit")
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(failed)
    }

    /// Writes a slice; gives the slices whose sums are to be counted again too.
    fn write(&self, batch: &Batch) -> Result<(Receipt, BTreeSet<i64>)> {
        let (connection, hash) = (self.connection, batch.content_hash());
        let load_id = batch.key().load_id();
        let held = ledger(connection, batch, load_id)?;
        let revision = held.as_ref().map_or(0, |held| held.revision);
        let replayed = held.as_ref().is_some_and(|held| held.hash == hash);
        // A slice's rows and its row of the ledger commit together: one that is not there has no rows.
        let known = held.is_some();
        let restated = held.is_some_and(|held| held.state != batch.slice_state().as_str());
        let mut receipt = Receipt { replayed, written: 0, removed: 0, revision };
        let mut recount = BTreeSet::new();
        if !replayed {
            if known {
                receipt.removed = remove(connection, load_id)?;
            }
            for rows in batch.replaced() {
                let lost_rows = insert::insert(connection, rows, Key::Moves, self.cancel)?;
                if rows.schema.name == quarters::OF {
                    recount.extend(lost_rows);
                }
                receipt.written += rows.table.rows() as u64;
            }
            let counts = |rows: &std::sync::Arc<crate::batch::TableRows>| {
                matches!(rows.schema.name, quarters::OF | quarters::TABLE) && rows.table.rows() > 0
            };
            if known || batch.replaced().iter().any(counts) {
                recount.insert(load_id);
            }
            receipt.revision += 1;
        }
        for rows in batch.upserted() {
            insert::insert(connection, rows, Key::Overwritten, self.cancel)?;
        }
        if !replayed {
            enter(connection, batch, load_id, &receipt, self.at)?;
        } else if restated {
            restate(connection, batch, load_id)?;
        }
        Ok((receipt, recount))
    }
}

/// What the ledger says of a slice.
struct Held {
    hash: String,
    revision: i64,
    state: String,
}

/// What the ledger says of the slice, if it was loaded.
fn ledger(connection: &Connection, batch: &Batch, load_id: i64) -> Result<Option<Held>> {
    let key = batch.key();
    let mut statement = connection
        .prepare_cached(
            "select content_hash, revision, state, source, stream, site from loads where load_id = ?",
        )
        .map_err(failed)?;
    let held = statement
        .query_row([load_id], |row| {
            let held = Held { hash: row.get(0)?, revision: row.get(1)?, state: row.get(2)? };
            let (source, stream, site): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok((held, source, stream, site))
        })
        .optional()
        .map_err(failed)?;
    match held {
        Some((_, source, stream, site))
            if (&source, &stream, &site) != (&key.source, &key.stream, &key.site) =>
        {
            Err(Error::new(ErrorKind::Conflict, SERVICE, "load").with_detail(format!(
                "two slices hash to one load_id, {key} and one of {source}/{stream}/{site}"
            )))
        }
        held => Ok(held.map(|(held, ..)| held)),
    }
}

/// Removes the slice's rows from every table that slices fill, also from those that the batch does not name: what the
/// batch does not hold is no longer in the slice.
fn remove(connection: &Connection, load_id: i64) -> Result<u64> {
    let mut listed = connection
        .prepare_cached(
            "select t.name from sqlite_master t join pragma_table_info(t.name) c on c.name = ? \
             where t.type = 'table' and t.name not in ('loads', ?) order by t.name",
        )
        .map_err(failed)?;
    let tables: Vec<String> = listed
        .query_map([LOAD_ID, quarters::TABLE], |row| row.get(0))
        .and_then(Iterator::collect)
        .map_err(failed)?;
    let mut removed = 0;
    for table in tables {
        let sql = format!("delete from {} where {LOAD_ID} = ?", quote(&table));
        let done = connection.prepare_cached(&sql).and_then(|mut statement| statement.execute([load_id]));
        removed += done.map_err(failed)? as u64;
    }
    Ok(removed)
}

fn enter(
    connection: &Connection,
    batch: &Batch,
    load_id: i64,
    receipt: &Receipt,
    at: DateTime<Utc>,
) -> Result<()> {
    let key = batch.key();
    connection
        .prepare_cached(
            "insert or replace into loads (load_id, source, stream, site, window_from, window_until, content_hash, \
             row_count, revision, loaded_at, state) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                load_id,
                key.source,
                key.stream,
                key.site,
                key.from.to_string(),
                key.until.to_string(),
                batch.content_hash(),
                i64::try_from(receipt.written).unwrap_or(i64::MAX),
                receipt.revision,
                at.timestamp_micros(),
                batch.slice_state().as_str()
            ])
        })
        .map(|_| ())
        .map_err(failed)
}

/// The same content is trusted more, or less, than before.
fn restate(connection: &Connection, batch: &Batch, load_id: i64) -> Result<()> {
    connection
        .prepare_cached("update loads set state = ? where load_id = ?")
        .and_then(|mut statement| statement.execute(params![batch.slice_state().as_str(), load_id]))
        .map(|_| ())
        .map_err(failed)
}
