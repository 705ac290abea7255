//! The engine for a team: PostgreSQL 14 or newer.
//!
//! Loads of one key queue for an advisory lock; loads of different keys run side by side. Many new rows travel by COPY,
//! few rows, and rows whose keys other slices hold, as one array per column.
//!
//! sqlx up to 0.9.0 leaves a transaction open on the connection when the future of `begin` is dropped
//! (transact-rs/sqlx#4385). A load that is dropped therefore closes its connection, and other transactions begin in a
//! task of their own.

mod answer;
mod copy;
mod error;
mod exclusive;
mod insert;
mod load;
mod session;

use crate::batch::Batch;
use crate::dialect::Dialect;
use crate::exclusive::Exclusive;
use crate::model;
use crate::query::Query;
use crate::schema::Schema;
use crate::statement;
use crate::table::Table;
use crate::warehouse::{Receipt, Warehouse};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use error::{SERVICE, storage};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::{Result, sql};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

/// Serialises migrations of every owner: the first eight bytes of "mkt-rs/m" as a number.
const MIGRATION_LOCK: i64 = 0x6d6b_742d_7273_2f6d;

/// A warehouse in a PostgreSQL database. Cloning shares the connections.
#[derive(Clone)]
pub struct Postgres {
    pool: PgPool,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database of a URL, `postgres://user:password@host/database`, with the options of libpq. Over a
    /// network add `?sslmode=verify-full`: libpq's default encrypts where it can, and does not check whom it talks to.
    ///
    /// Tables are created in the first schema of the search path, by default `public`.
    ///
    /// # Errors
    /// `Config` for an invalid URL, `Auth` when the server rejects the user, `Storage` when it cannot be reached. No
    /// error holds the URL.
    pub async fn connect(url: &str) -> Result<Self> {
        let pool = sql::postgres::connect(SERVICE, url).await?;
        Ok(Self { pool })
    }

    /// As [`connect`](Self::connect), for sessions that may only read: every other statement fails.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_read_only(url: &str) -> Result<Self> {
        let mark = if url.contains('?') { '&' } else { '?' };
        Self::connect(&format!("{url}{mark}options[default_transaction_read_only]=on")).await
    }

    /// Waits for running calls and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Warehouse for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn check(&self) -> Result<()> {
        let known = model::SCHEMA.migrations.iter().map(|step| step.version).max().unwrap_or(0);
        let exists: bool = sqlx::query_scalar("select to_regclass('warehouse_migrations') is not null")
            .fetch_one(&self.pool)
            .await
            .map_err(|cause| storage("check", &cause))?;
        if !exists {
            return Ok(());
        }
        let held: Option<i64> = sqlx::query_scalar("select max(version) from warehouse_migrations")
            .fetch_one(&self.pool)
            .await
            .map_err(|cause| storage("check", &cause))?;
        if held.unwrap_or(0) > known { Err(sql::newer(SERVICE, "check")) } else { Ok(()) }
    }

    async fn migrate(&self, schema: &Schema) -> Result<()> {
        let migrator = statement::migrator(schema, SERVICE, |step| step.postgres)?;
        sql::postgres::migrate(SERVICE, &self.pool, MIGRATION_LOCK, &migrator).await
    }

    async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
        load::load(&self.pool, batch, at).await
    }

    async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
        exclusive::exclusive(&self.pool, name).await
    }

    async fn query(&self, query: &Query) -> Result<Table> {
        let (sql, arguments) = answer::prepare(query)?;
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(&self.pool);
        let mut table = crate::fit::empty_answer(query.columns());
        answer::read_all(&mut rows, &mut table).await?;
        Ok(table)
    }

    /// By a cursor, so that the server computes no more than is read.
    fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
        let chunk = chunk.clamp(1, 1_000_000);
        stream::try_unfold(None, move |cursor| async move {
            let mut transaction = match cursor {
                Some(transaction) => transaction,
                None => {
                    let (sql, arguments) = answer::prepare(query)?;
                    let mut transaction = sql::postgres::begin(SERVICE, "query", &self.pool, "BEGIN").await?;
                    sqlx::query_with(
                        AssertSqlSafe(format!("declare answer no scroll cursor for {sql}")),
                        arguments,
                    )
                    .execute(&mut *transaction)
                    .await
                    .map_err(|cause| storage("query", &cause))?;
                    transaction
                }
            };
            let mut table = crate::fit::empty_answer(query.columns());
            {
                let mut rows =
                    sqlx::query(AssertSqlSafe(format!("fetch {chunk} from answer"))).fetch(&mut *transaction);
                answer::read_all(&mut rows, &mut table).await?;
            }
            Ok((!table.is_empty()).then_some((table, Some(transaction))))
        })
        .boxed()
    }
}
