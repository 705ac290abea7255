//! Replaces a slice: rows and ledger in one immediate transaction.

use super::error::{SERVICE, storage};
use super::indexes;
use super::insert::{self, Key};
use crate::batch::Batch;
use crate::dialect::Dialect;
use crate::fit;
use crate::quarters;
use crate::schema::LOAD_ID;
use crate::statement::quote;
use crate::warehouse::Receipt;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use std::collections::BTreeSet;

pub(super) async fn load(pool: &SqlitePool, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
    fit::check(batch).map_err(|misfit| misfit.into_error(SERVICE))?;
    let hash = batch.content_hash();
    // IMMEDIATE: the write lock is taken before the ledger is read, so that loads of one key are serialised. A dropped
    // future drops the transaction, which sqlx then rolls back before the connection is used again.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(|cause| storage("load", cause))?;
    let receipt = write(&mut transaction, batch, &hash, at).await?;
    transaction.commit().await.map_err(|cause| storage("load", cause))?;
    tracing::debug!(slice = %batch.key(), written = receipt.written, replayed = receipt.replayed, "loaded");
    Ok(receipt)
}

async fn write(
    connection: &mut SqliteConnection,
    batch: &Batch,
    hash: &str,
    at: DateTime<Utc>,
) -> Result<Receipt> {
    let load_id = batch.key().load_id();
    let held = ledger(connection, batch, load_id).await?;
    let revision = held.as_ref().map_or(0, |held| held.revision);
    let replayed = held.as_ref().is_some_and(|held| held.hash == hash);
    let restated = held.is_some_and(|held| held.state != batch.slice_state().as_str());
    let mut receipt = Receipt { replayed, written: 0, removed: 0, revision };
    if !replayed {
        receipt.removed = remove(connection, load_id).await?;
        let mut recount = BTreeSet::from([load_id]);
        for rows in batch.replaced() {
            let aside = indexes::set_aside(connection, rows).await?;
            let robbed = insert::insert(connection, rows, Key::Moves).await?;
            if rows.schema.name == quarters::OF {
                recount.extend(robbed);
            }
            indexes::build(connection, rows, aside).await?;
            receipt.written += rows.table.rows() as u64;
        }
        for slice in recount {
            add_up(connection, slice).await?;
        }
        receipt.revision += 1;
    }
    for rows in batch.upserted() {
        insert::insert(connection, rows, Key::Overwritten).await?;
    }
    if !replayed {
        enter(connection, batch, load_id, hash, &receipt, at).await?;
    } else if restated {
        restate(connection, batch, load_id).await?;
    }
    Ok(receipt)
}

/// What the ledger says of a slice.
struct Held {
    hash: String,
    revision: i64,
    state: String,
}

/// What the ledger says of the slice, if it was loaded.
async fn ledger(connection: &mut SqliteConnection, batch: &Batch, load_id: i64) -> Result<Option<Held>> {
    let key = batch.key();
    let held: Option<(String, i64, String, String, String, String)> = sqlx::query_as(
        "select content_hash, revision, state, source, stream, site from loads where load_id = ?",
    )
    .bind(load_id)
    .fetch_optional(connection)
    .await
    .map_err(|cause| storage("load", cause))?;
    match held {
        Some((.., source, stream, site))
            if (&source, &stream, &site) != (&key.source, &key.stream, &key.site) =>
        {
            Err(Error::new(ErrorKind::Conflict, SERVICE, "load").with_detail(format!(
                "two slices hash to one load_id, {key} and one of {source}/{stream}/{site}"
            )))
        }
        held => Ok(held.map(|(hash, revision, state, ..)| Held { hash, revision, state })),
    }
}

/// Removes the slice's rows from every table that slices fill, also from those that the batch does not name: what the
/// batch does not hold is no longer in the slice.
async fn remove(connection: &mut SqliteConnection, load_id: i64) -> Result<u64> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select t.name from sqlite_master t join pragma_table_info(t.name) c on c.name = ? \
         where t.type = 'table' and t.name not in ('loads', ?) order by t.name",
    )
    .bind(LOAD_ID)
    .bind(quarters::TABLE)
    .fetch_all(&mut *connection)
    .await
    .map_err(|cause| storage("load", cause))?;
    let mut removed = 0;
    for table in tables {
        let sql = format!("delete from {} where {LOAD_ID} = ?", quote(&table));
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(load_id)
            .execute(&mut *connection)
            .await
            .map_err(|cause| storage("load", cause))?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

/// Brings `session_quarters` up to date with a slice's sessions.
async fn add_up(connection: &mut SqliteConnection, load_id: i64) -> Result<()> {
    for sql in quarters::statements(Dialect::Sqlite) {
        sqlx::query(AssertSqlSafe(sql))
            .bind(load_id)
            .execute(&mut *connection)
            .await
            .map_err(|cause| storage("load", cause))?;
    }
    Ok(())
}

async fn enter(
    connection: &mut SqliteConnection,
    batch: &Batch,
    load_id: i64,
    hash: &str,
    receipt: &Receipt,
    at: DateTime<Utc>,
) -> Result<()> {
    let key = batch.key();
    sqlx::query(
        "insert or replace into loads (load_id, source, stream, site, window_from, window_until, content_hash, \
         row_count, revision, loaded_at, state) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(load_id)
    .bind(&key.source)
    .bind(&key.stream)
    .bind(&key.site)
    .bind(key.from.to_string())
    .bind(key.until.to_string())
    .bind(hash)
    .bind(i64::try_from(receipt.written).unwrap_or(i64::MAX))
    .bind(receipt.revision)
    .bind(at.timestamp_micros())
    .bind(batch.slice_state().as_str())
    .execute(connection)
    .await
    .map_err(|cause| storage("load", cause))?;
    Ok(())
}

/// The same content is trusted more, or less, than before.
async fn restate(connection: &mut SqliteConnection, batch: &Batch, load_id: i64) -> Result<()> {
    sqlx::query("update loads set state = ? where load_id = ?")
        .bind(batch.slice_state().as_str())
        .bind(load_id)
        .execute(connection)
        .await
        .map_err(|cause| storage("load", cause))?;
    Ok(())
}
