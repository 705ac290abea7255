//! The engine for a team: PostgreSQL 14 or newer.
//!
//! Loads of one key queue for an advisory lock; loads of different keys run side by side. Many new rows travel by COPY,
//! few rows, and rows whose keys other slices hold, as one array per column.
//!
//! No cancelled `begin` is met again: sqlx up to 0.9.0 leaves a transaction open on the connection when the future of
//! `begin` is dropped (transact-rs/sqlx#4385). A load that is dropped closes its connection; elsewhere `begin` runs in a
//! task of its own.

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
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Transaction};
use std::time::Duration;

/// Connections at most.
const CONNECTIONS: u32 = 8;

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
    /// `Config` for a URL that does not read, `Auth` when the server refuses the user, `Storage` when it cannot be
    /// reached. The URL is in no error.
    pub async fn connect(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(|_| {
            Error::new(ErrorKind::Config, SERVICE, "connect").with_detail("the URL does not read")
        })?;
        let options = options
            .options([
                ("idle_in_transaction_session_timeout", "60s"),
                ("timezone", "UTC"),
                // Reports drop the filters that are null while they are planned; a plan for any value could not.
                ("plan_cache_mode", "force_custom_plan"),
                // Reports are long texts over few rows a second: compiling one took a third of the cohorts' time.
                ("jit", "off"),
            ])
            .disable_statement_logging();
        // By itself first: a pool repeats a refused connection until its timeout.
        let first = options.connect().await.map_err(|cause| storage("connect", &cause))?;
        first.close().await.map_err(|cause| storage("connect", &cause))?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Waits for running calls and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Begins a transaction in a task that nobody cancels. If the caller is gone when it has begun, it is dropped there,
/// and thereby rolled back.
async fn begin(pool: &PgPool, operation: &'static str) -> Result<Transaction<'static, sqlx::Postgres>> {
    let pool = pool.clone();
    match tokio::spawn(async move { pool.begin().await }).await {
        Ok(begun) => begun.map_err(|cause| storage(operation, &cause)),
        Err(_) => Err(Error::new(ErrorKind::Cancelled, SERVICE, operation)),
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
        if held.unwrap_or(0) > known { Err(newer("check")) } else { Ok(()) }
    }

    async fn migrate(&self, schema: &Schema) -> Result<()> {
        let mut migrator = statement::migrator(schema, SERVICE, |step| step.postgres)?;
        // Our own lock ends with the transaction; sqlx's would outlive an error.
        migrator.set_locking(false);
        let mut transaction = begin(&self.pool, "migrate").await?;
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *transaction)
            .await
            .map_err(|cause| storage("migrate", &cause))?;
        migrator.run_direct(None, &mut *transaction, false).await.map_err(|cause| match cause {
            MigrateError::VersionMissing(_) => newer("migrate"),
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => {
                storage("migrate", &cause)
            }
            other => Error::new(ErrorKind::Storage, SERVICE, "migrate")
                .with_detail(format!("the tables of {} could not be brought up to date", schema.owner))
                .with_source(other),
        })?;
        transaction.commit().await.map_err(|cause| storage("migrate", &cause))
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
                    let mut transaction = begin(&self.pool, "query").await?;
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

fn newer(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation)
        .with_detail("the tables were written by a newer version of this library")
}
