//! PostgreSQL 14 or newer: errors by SQLSTATE, connecting, transactions, migrations, session locks.

use super::unmigrated;
use crate::{Delivery, Error, ErrorKind, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Transaction};
use std::time::Duration;

/// Connections of one pool.
const CONNECTIONS: u32 = 8;

/// How long a call waits for a free connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maps an error of sqlx. The SQLSTATE is in [`Error::code`].
///
/// The server's message is left out where it quotes values (classes 22 and 23), and its error is never the source: its
/// `detail` quotes whole rows.
///
/// Source: <https://www.postgresql.org/docs/15/errcodes-appendix.html>, read November 2026.
#[must_use]
pub fn error(service: &'static str, operation: &'static str, cause: &sqlx::Error) -> Error {
    let new = |kind, delivery, detail: String| {
        Error::new(kind, service, operation).delivered(delivery).with_detail(detail)
    };
    match cause {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let named = database.try_downcast_ref::<PgDatabaseError>();
            let place = match named.map(|error| (error.table(), error.column())) {
                Some((Some(table), Some(column))) => format!(" (table {table}, column {column})"),
                Some((Some(table), None)) => format!(" (table {table})"),
                _ => String::new(),
            };
            let (kind, clause) = match code.get(..2).unwrap_or_default() {
                "28" => (ErrorKind::Auth, "the server rejected the user".to_owned()),
                "3D" => (ErrorKind::Config, "the database does not exist".to_owned()),
                "22" | "23" => (ErrorKind::Input, format!("a value does not fit its column{place}")),
                "42" | "0A" => (ErrorKind::Input, database.message().to_owned()),
                "53" if code == "53100" => (ErrorKind::Storage, "the server's disk is full".to_owned()),
                "53" => (ErrorKind::Storage, "the server has no free connection".to_owned()),
                "40" => (ErrorKind::Storage, "rolled back because of a concurrent transaction".to_owned()),
                "57" => {
                    (ErrorKind::Storage, "the server is shutting down or cancelled the statement".to_owned())
                }
                _ => (ErrorKind::Storage, "the server failed".to_owned()),
            };
            new(kind, Delivery::Answered, format!("{clause}, SQLSTATE {code}")).with_code(code)
        }
        sqlx::Error::PoolTimedOut => {
            new(ErrorKind::Storage, Delivery::NotSent, "timed out waiting for a free connection".to_owned())
        }
        sqlx::Error::PoolClosed => {
            new(ErrorKind::Storage, Delivery::NotSent, "the connections were closed".to_owned())
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => new(
            ErrorKind::Config,
            Delivery::NotSent,
            "the connection cannot be set up as the URL says".to_owned(),
        ),
        sqlx::Error::Io(cause) => new(
            ErrorKind::Storage,
            Delivery::Unknown,
            format!("the server cannot be reached ({})", cause.kind()),
        ),
        _ => new(ErrorKind::Storage, Delivery::Unknown, "unexpected answer from the server".to_owned()),
    }
}

/// Maps the error of a `COMMIT`. The server's report that it rolled back (classes 23 and 40) is an answer; after any
/// other error, such as a lost connection, the transaction may have been committed: delivery is `Unknown`.
#[must_use]
pub fn commit_error(service: &'static str, operation: &'static str, cause: &sqlx::Error) -> Error {
    let error = error(service, operation, cause);
    match error.code().and_then(|code| code.get(..2)) {
        Some("23" | "40") => error,
        _ => error.delivered(Delivery::Unknown),
    }
}

/// Connects to the database of a URL, `postgres://user:password@host/database`, with the options of libpq, and returns
/// a pool of at most 8 connections that other calls wait 30 s for.
///
/// Sessions run in UTC, without JIT, with plans made for the values at hand; a transaction that idles for 60 s is
/// ended, and a client machine that vanished is noticed after a minute.
///
/// # Errors
/// `Config` for an invalid URL or a database that does not exist, `Auth` when the server rejects the user, `Storage`
/// when it cannot be reached. No error holds the URL.
pub async fn connect(service: &'static str, url: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url
        .parse()
        .map_err(|_| Error::new(ErrorKind::Config, service, "connect").with_detail("invalid URL"))?;
    let options = options
        .options([
            ("idle_in_transaction_session_timeout", "60s"),
            ("timezone", "UTC"),
            // 30 s of silence, then three probes.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
            // A generic plan cannot drop the filters that are null, and is made for tables that have grown since.
            ("plan_cache_mode", "force_custom_plan"),
            // Compiling a long statement takes longer than running it once.
            ("jit", "off"),
        ])
        .disable_statement_logging();
    // A pool repeats a refused connection until its timeout, so the first one is made by itself.
    let unreachable = |cause: sqlx::Error| {
        let error = error(service, "connect", &cause);
        match cause {
            sqlx::Error::Io(_) => error.delivered(Delivery::NotSent),
            _ => error,
        }
    };
    let first = options.connect().await.map_err(unreachable)?;
    first.close().await.map_err(unreachable)?;
    Ok(PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE).connect_lazy_with(options))
}

/// Takes a connection from the pool.
///
/// # Errors
/// `Storage` when all connections are busy for too long, or no further one can be made.
pub async fn acquire(
    service: &'static str,
    operation: &'static str,
    pool: &PgPool,
) -> Result<PoolConnection<Postgres>> {
    pool.acquire().await.map_err(|cause| match cause {
        // The pool repeats a refused connection until its timeout, and then reports a timeout.
        sqlx::Error::PoolTimedOut if pool.size() < pool.options().get_max_connections() => {
            Error::new(ErrorKind::Storage, service, operation)
                .delivered(Delivery::NotSent)
                .with_detail("the server cannot be reached")
        }
        cause => error(service, operation, &cause),
    })
}

/// Begins a transaction by `statement` (`BEGIN`, and what else shall run in the same round trip).
///
/// It runs in a task of its own: sqlx up to 0.9.0 leaves a transaction open on the pooled connection when the future of
/// `begin` is dropped (transact-rs/sqlx#4385). If the caller is gone when the transaction has begun, it is rolled back.
///
/// # Errors
/// As [`acquire`]; `Cancelled` when the runtime shuts down.
pub async fn begin(
    service: &'static str,
    operation: &'static str,
    pool: &PgPool,
    statement: impl Into<String>,
) -> Result<Transaction<'static, Postgres>> {
    let (pool, statement) = (pool.clone(), statement.into());
    match tokio::spawn(async move { pool.begin_with(AssertSqlSafe(statement)).await }).await {
        Ok(begun) => begun.map_err(|cause| error(service, operation, &cause)),
        Err(_) => Err(Error::new(ErrorKind::Cancelled, service, operation)),
    }
}

/// Runs the migrations that are missing, all in one transaction, under the advisory lock `lock` (one number per crate):
/// processes that come at the same moment run them once, and a process that dies leaves the tables as they were.
///
/// # Errors
/// `Storage` for tables of a newer version; else as [`error`].
pub async fn migrate(service: &'static str, pool: &PgPool, lock: i64, migrator: &Migrator) -> Result<()> {
    let failed = |cause: sqlx::Error| error(service, "migrate", &cause);
    // What follows the lock must see what was committed before it, whatever the server's default isolation.
    let mut transaction = begin(service, "migrate", pool, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(lock)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    migrator.run_direct(None, &mut *transaction, false).await.map_err(|cause| match cause {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => failed(cause),
        cause => unmigrated(service, cause),
    })?;
    transaction.commit().await.map_err(failed)
}

/// A session outside of the pool, for locks that shall live as long as their holder. The server ends it, and its
/// locks, when the process dies (at once) or its machine vanishes (after a minute).
///
/// A pooler that shares server sessions by transaction (PgBouncer's transaction mode) breaks this: connect directly,
/// or by session.
///
/// # Errors
/// As [`error`].
pub async fn session(service: &'static str, operation: &'static str, pool: &PgPool) -> Result<PgConnection> {
    let failed = |cause: sqlx::Error| error(service, operation, &cause);
    let mut session = pool.connect_options().connect().await.map_err(failed)?;
    // A session that waits for its process to work is not idle.
    sqlx::raw_sql("set idle_session_timeout = 0; set application_name = 'mkt lock'")
        .execute(&mut session)
        .await
        .map_err(failed)?;
    Ok(session)
}

/// An advisory lock held by a [`session`] of its own, until it is released or dropped, or its process ends.
///
/// <https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS>, read November 2026.
#[derive(Debug)]
pub struct SessionLock {
    service: &'static str,
    session: PgConnection,
    key: i64,
}

impl SessionLock {
    /// Takes the lock of a key; `None` where another session holds it. `key_of` makes the key from the name of the
    /// schema in which tables are created: two schemas of one database are two stores.
    ///
    /// # Errors
    /// `Config` where the search path names no schema; else as [`session`].
    pub async fn try_lock(
        service: &'static str,
        pool: &PgPool,
        key_of: impl FnOnce(&str) -> i64,
    ) -> Result<Option<Self>> {
        let failed = |cause: sqlx::Error| error(service, "lock", &cause);
        let mut session = session(service, "lock", pool).await?;
        let schema: Option<String> = sqlx::query_scalar("select current_schema()::text")
            .fetch_one(&mut session)
            .await
            .map_err(failed)?;
        let schema = schema.ok_or_else(|| {
            Error::new(ErrorKind::Config, service, "lock").with_detail("the search path names no schema")
        })?;
        let key = key_of(&schema);
        let locked: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut session)
            .await
            .map_err(failed)?;
        if locked {
            return Ok(Some(Self { service, session, key }));
        }
        // Nothing is held, so it does not matter how the session ends.
        let _ = session.close().await;
        Ok(None)
    }

    /// Gives the lock back and ends the session. Once this returns, another session can take the lock.
    ///
    /// # Errors
    /// When the server does not answer. The lock ends with the session in that case too.
    pub async fn release(mut self) -> Result<()> {
        sqlx::query("select pg_advisory_unlock($1)")
            .bind(self.key)
            .execute(&mut self.session)
            .await
            .map_err(|cause| error(self.service, "unlock", &cause))?;
        let _ = self.session.close().await;
        Ok(())
    }
}
