//! Replaces slices: rows and ledger in one immediate transaction.

use super::error::{SERVICE, storage};
use super::indexes::Aside;
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
use std::collections::{BTreeSet, HashMap};

pub(super) async fn load(pool: &SqlitePool, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
    let mut receipts = load_all(pool, std::slice::from_ref(batch), at).await;
    receipts.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Other, SERVICE, "load")))
}

/// Loads batches in one transaction, each under a savepoint.
pub(super) async fn load_all(
    pool: &SqlitePool,
    batches: &[Batch],
    at: DateTime<Utc>,
) -> Vec<Result<Receipt>> {
    let hash = |batch: &Batch| {
        fit::check(batch).map_err(|misfit| misfit.into_error(SERVICE))?;
        Ok(batch.content_hash())
    };
    let hashed: Vec<Result<String>> = batches.iter().map(hash).collect();
    let fitting: Vec<Fitting<'_>> = batches
        .iter()
        .zip(&hashed)
        .filter_map(|(batch, hash)| hash.as_ref().ok().map(|hash| Fitting { batch, hash }))
        .collect();
    let mut together = match fitting.is_empty() {
        true => Ok(Vec::new()),
        false => transaction(pool, &fitting, at, Secondary::AfterTheRows).await,
    };
    // A row that does not fit, or one key in two slices, which an index that is built after the rows cannot let move.
    if fitting.len() > 1 && together.as_ref().is_err_and(|cause| cause.kind() == ErrorKind::Input) {
        together = transaction(pool, &fitting, at, Secondary::KeptUp).await;
    }
    let mut receipts = together.map(Vec::into_iter);
    hashed
        .into_iter()
        .map(|hash| match (hash, &mut receipts) {
            (Err(misfit), _) => Err(misfit),
            (Ok(_), Ok(receipts)) => {
                receipts.next().unwrap_or_else(|| Err(Error::new(ErrorKind::Other, SERVICE, "load")))
            }
            (Ok(_), Err(cause)) => Err(again(cause)),
        })
        .collect()
}

/// One error of a transaction is that of each of its loads.
pub(super) fn again(cause: &Error) -> Error {
    let mut error = Error::new(cause.kind(), SERVICE, "load").delivered(cause.delivery());
    if let Some(detail) = cause.detail() {
        error = error.with_detail(detail);
    }
    match cause.code() {
        Some(code) => error.with_code(code),
        None => error,
    }
}

/// A batch that was checked, with its hash.
struct Fitting<'a> {
    batch: &'a Batch,
    hash: &'a str,
}

/// When the indexes of an empty table are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secondary {
    AfterTheRows,
    KeptUp,
}

async fn transaction(
    pool: &SqlitePool,
    fitting: &[Fitting<'_>],
    at: DateTime<Utc>,
    secondary: Secondary,
) -> Result<Vec<Result<Receipt>>> {
    let failed = |cause| storage("load", cause);
    // IMMEDIATE: the write lock is taken before the ledger is read, so that loads of one key are serialised. A dropped
    // future drops the transaction, which sqlx then rolls back before the connection is used again.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let mut aside = Aside::default();
    let mut coming: HashMap<&'static str, usize> = HashMap::new();
    if secondary == Secondary::AfterTheRows {
        for rows in fitting.iter().flat_map(|fitting| fitting.batch.replaced()) {
            *coming.entry(rows.schema.name).or_default() += rows.table.rows();
        }
    }
    let mut recount = BTreeSet::new();
    let mut receipts = Vec::with_capacity(fitting.len());
    for Fitting { batch, hash } in fitting {
        sqlx::raw_sql("savepoint slice").execute(&mut *transaction).await.map_err(failed)?;
        let written = write(&mut transaction, batch, hash, at, &coming, &mut aside).await;
        match written {
            Ok((receipt, slices)) => {
                sqlx::raw_sql("release slice").execute(&mut *transaction).await.map_err(failed)?;
                recount.extend(slices);
                tracing::debug!(slice = %batch.key(), written = receipt.written, replayed = receipt.replayed, "loading");
                receipts.push(Ok(receipt));
            }
            Err(misfit) if misfit.kind() == ErrorKind::Input && fitting.len() > 1 && aside.is_empty() => {
                let undo = "rollback to slice; release slice";
                sqlx::raw_sql(undo).execute(&mut *transaction).await.map_err(failed)?;
                receipts.push(Err(misfit));
            }
            Err(cause) => return Err(cause),
        }
    }
    aside.build(&mut transaction).await?;
    for slice in recount {
        add_up(&mut transaction, slice).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(receipts)
}

/// Writes a slice; gives the slices whose sums are to be counted again too.
async fn write(
    connection: &mut SqliteConnection,
    batch: &Batch,
    hash: &str,
    at: DateTime<Utc>,
    coming: &HashMap<&'static str, usize>,
    aside: &mut Aside,
) -> Result<(Receipt, BTreeSet<i64>)> {
    let load_id = batch.key().load_id();
    let held = ledger(connection, batch, load_id).await?;
    let revision = held.as_ref().map_or(0, |held| held.revision);
    let replayed = held.as_ref().is_some_and(|held| held.hash == hash);
    // A slice's rows and its row of the ledger commit together: one that is not there has no rows.
    let known = held.is_some();
    let restated = held.is_some_and(|held| held.state != batch.slice_state().as_str());
    let mut receipt = Receipt { replayed, written: 0, removed: 0, revision };
    let mut recount = BTreeSet::new();
    if !replayed {
        if known {
            receipt.removed = remove(connection, load_id).await?;
        }
        recount.insert(load_id);
        for rows in batch.replaced() {
            aside.drop_of_empty(connection, rows.schema.name, coming.get(rows.schema.name).copied()).await?;
            let lost_rows = insert::insert(connection, rows, Key::Moves).await?;
            if rows.schema.name == quarters::OF {
                recount.extend(lost_rows);
            }
            receipt.written += rows.table.rows() as u64;
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
    Ok((receipt, recount))
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
