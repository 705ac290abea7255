//! Replaces a slice: rows and ledger in one transaction.

use super::error::{SERVICE, storage};
use super::insert::{self, Key};
use super::session::Session;
use crate::batch::Batch;
use crate::dialect::Dialect;
use crate::fit;
use crate::quarters;
use crate::schema::LOAD_ID;
use crate::statement::quote;
use crate::warehouse::Receipt;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result, sql};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};
use std::collections::BTreeSet;

/// Loads of different keys that exchange rows may lock each other out; the server then gives one up, which is harmless
/// to repeat.
const ATTEMPTS: u32 = 5;

pub(super) async fn load(pool: &PgPool, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
    fit::check(batch).map_err(|misfit| misfit.into_error(SERVICE))?;
    let hash = batch.content_hash();
    let mut attempt = 1;
    loop {
        match once(pool, batch, hash, at).await {
            Err(cause) if attempt < ATTEMPTS && sql::is_rolled_back_by_another(&cause) => attempt += 1,
            done => return done,
        }
    }
}

async fn once(pool: &PgPool, batch: &Batch, hash: &str, at: DateTime<Utc>) -> Result<Receipt> {
    let mut session = Session::begin(pool).await?;
    let receipt = match write(session.connection()?, batch, hash, at).await {
        Ok(receipt) => receipt,
        Err(error) => {
            session.rollback().await;
            return Err(error);
        }
    };
    session.commit().await?;
    tracing::debug!(slice = %batch.key(), written = receipt.written, replayed = receipt.replayed, "loaded");
    Ok(receipt)
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch,
    hash: &str,
    at: DateTime<Utc>,
) -> Result<Receipt> {
    let load_id = batch.key().load_id();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(load_id)
        .execute(&mut *connection)
        .await
        .map_err(|cause| storage("load", &cause))?;
    let held = ledger(connection, batch, load_id).await?;
    let revision = held.as_ref().map_or(0, |held| held.revision);
    let replayed = held.as_ref().is_some_and(|held| held.hash == hash);
    let restated = held.is_some_and(|held| held.state != batch.slice_state().as_str());
    let mut receipt = Receipt { replayed, written: 0, removed: 0, revision };
    if !replayed {
        receipt.removed = remove(connection, load_id).await?;
        let mut recount = BTreeSet::from([load_id]);
        for rows in batch.replaced() {
            let lost_rows = insert::insert(connection, rows, Key::Moves, load_id).await?;
            if rows.schema.name == quarters::OF {
                recount.extend(lost_rows);
            }
            receipt.written += rows.table.rows() as u64;
        }
        for slice in recount {
            add_up(connection, slice).await?;
        }
        receipt.revision += 1;
    }
    for rows in batch.upserted() {
        insert::insert(connection, rows, Key::Overwritten, load_id).await?;
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
async fn ledger(connection: &mut PgConnection, batch: &Batch, load_id: i64) -> Result<Option<Held>> {
    let key = batch.key();
    let held: Option<(String, i64, String, String, String, String)> = sqlx::query_as(
        "select content_hash, revision, state, source, stream, site from loads where load_id = $1",
    )
    .bind(load_id)
    .fetch_optional(connection)
    .await
    .map_err(|cause| storage("load", &cause))?;
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
async fn remove(connection: &mut PgConnection, load_id: i64) -> Result<u64> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_attribute a join pg_class c on c.oid = a.attrelid \
         where a.attname = $1 and not a.attisdropped and c.relkind in ('r', 'p') \
         and pg_table_is_visible(c.oid) and c.relname not in ('loads', $2) order by c.relname",
    )
    .bind(LOAD_ID)
    .bind(quarters::TABLE)
    .fetch_all(&mut *connection)
    .await
    .map_err(|cause| storage("load", &cause))?;
    let mut removed = 0;
    for table in tables {
        let sql = format!("delete from {} where {LOAD_ID} = $1", quote(&table));
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(load_id)
            .execute(&mut *connection)
            .await
            .map_err(|cause| storage("load", &cause))?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

/// Brings `session_quarters` up to date with a slice's sessions. Whoever takes sessions from a slice holds its row of the
/// ledger until the end, so two that do see each other's work.
async fn add_up(connection: &mut PgConnection, load_id: i64) -> Result<()> {
    for sql in quarters::statements(Dialect::Postgres) {
        sqlx::query(AssertSqlSafe(sql))
            .bind(load_id)
            .execute(&mut *connection)
            .await
            .map_err(|cause| storage("load", &cause))?;
    }
    Ok(())
}

async fn enter(
    connection: &mut PgConnection,
    batch: &Batch,
    load_id: i64,
    hash: &str,
    receipt: &Receipt,
    at: DateTime<Utc>,
) -> Result<()> {
    let key = batch.key();
    sqlx::query(
        "insert into loads (load_id, source, stream, site, window_from, window_until, content_hash, row_count, \
         revision, loaded_at, state) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         on conflict (load_id) do update set content_hash = excluded.content_hash, row_count = excluded.row_count, \
         revision = excluded.revision, loaded_at = excluded.loaded_at, state = excluded.state",
    )
    .bind(load_id)
    .bind(&key.source)
    .bind(&key.stream)
    .bind(&key.site)
    .bind(key.from)
    .bind(key.until)
    .bind(hash)
    .bind(i64::try_from(receipt.written).unwrap_or(i64::MAX))
    .bind(receipt.revision)
    .bind(at)
    .bind(batch.slice_state().as_str())
    .execute(connection)
    .await
    .map_err(|cause| storage("load", &cause))?;
    Ok(())
}

/// The same content is trusted more, or less, than before.
async fn restate(connection: &mut PgConnection, batch: &Batch, load_id: i64) -> Result<()> {
    sqlx::query("update loads set state = $1 where load_id = $2")
        .bind(batch.slice_state().as_str())
        .bind(load_id)
        .execute(connection)
        .await
        .map_err(|cause| storage("load", &cause))?;
    Ok(())
}
