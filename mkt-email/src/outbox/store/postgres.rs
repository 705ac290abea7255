//! The outbox on a server: PostgreSQL 13 or newer.
//!
//! No `begin` is ever cancelled: sqlx up to 0.9.0 leaves a transaction open on the connection when the future of
//! `begin` is dropped (transact-rs/sqlx#4385), so it runs in a task of its own. Locks of sessions are used: connect to
//! the server itself, or through a pooler that keeps sessions apart.

use super::rows::{self, Column, Rows};
use super::{Access, SERVICE, Value, migrator, unmade};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions, PgRow,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, SqlSafeStr, SqlStr, Transaction};
use std::time::Duration;

const STEPS: [(&str, &str); 1] = [("outbox", include_str!("../schema/postgres_1.sql"))];

const CONNECTIONS: u32 = 8;

/// What follows a lock has to see what was committed before it was had, whatever the server's default isolation is.
///
/// The statistics of a queue are always those of another moment: a planner that goes by them compares every row of a
/// batch with every other (measured: 1000 rows, 300 ms instead of 10). Every transition has an index and its lists are
/// hashed, so it is told to use just that.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL enable_nestloop = off; SET LOCAL enable_seqscan = off; \
                     SET LOCAL enable_bitmapscan = off";

/// Serialises the making of tables: the first eight bytes of "mkt-rs/e" as a number.
const MIGRATION_LOCK: i64 = 0x6d6b_742d_7273_2f65;

/// A database server.
#[derive(Clone)]
pub(in crate::outbox) struct Server {
    pub(super) pool: PgPool,
    options: Box<PgConnectOptions>,
    /// The lock of this outbox, by its identity: other outboxes in other schemas have others.
    lock: i64,
}

impl Server {
    pub(in crate::outbox) async fn connect(url: &str) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(|_| {
            Error::new(ErrorKind::Config, SERVICE, "open").with_detail("the URL does not read")
        })?;
        let options = options
            .options([
                ("idle_in_transaction_session_timeout", "60s"),
                ("timezone", "UTC"),
                // A machine that vanished is given up after a minute, and its workers with it.
                ("tcp_keepalives_idle", "30"),
                ("tcp_keepalives_interval", "10"),
                ("tcp_keepalives_count", "3"),
                // A plan made for an empty queue is a poor one for a full queue, and planning costs little.
                ("plan_cache_mode", "force_custom_plan"),
                ("jit", "off"),
            ])
            .disable_statement_logging();
        // By itself first: a pool repeats a refused connection until its timeout.
        let first = options.connect().await.map_err(|cause| failed("open", &cause))?;
        first.close().await.map_err(|cause| failed("open", &cause))?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(options.clone());
        let mut server = Self { pool, options: Box::new(options), lock: 0 };
        server.prepare().await?;
        Ok(server)
    }

    async fn prepare(&mut self) -> Result<()> {
        let broken = |cause| failed("open", &cause);
        let mut migrator = migrator(&STEPS);
        // Our own lock ends with the transaction; sqlx's would outlive an error.
        migrator.set_locking(false);
        let mut tx =
            begin(&self.pool, "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned()).await.map_err(broken)?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *tx)
            .await
            .map_err(broken)?;
        migrator.run_direct(None, &mut *tx, false).await.map_err(unmade)?;
        let identity: String = sqlx::query_scalar("SELECT outbox_id FROM mail_identity")
            .fetch_one(&mut *tx)
            .await
            .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        let number = u64::from_str_radix(&identity, 16).map_err(|_| super::super::damaged("open"))?;
        self.lock = number.cast_signed();
        Ok(())
    }

    pub(super) async fn begin(
        &self,
        operation: &'static str,
        access: Access,
    ) -> Result<Transaction<'static, Postgres>> {
        let lock = self.lock;
        // Together with the lock in one trip; what follows sees what was committed before the lock was had.
        let text = match access {
            Access::Shared => format!("{BEGIN}; SELECT pg_advisory_xact_lock_shared({lock})"),
            Access::Alone => format!("{BEGIN}; SELECT pg_advisory_xact_lock({lock})"),
            Access::Open => BEGIN.to_owned(),
        };
        begin(&self.pool, text).await.map_err(|cause| failed(operation, &cause))
    }

    pub(super) async fn lock(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        access: Access,
    ) -> sqlx::Result<()> {
        let text = match access {
            Access::Shared => "SELECT pg_advisory_xact_lock_shared($1)",
            Access::Alone => "SELECT pg_advisory_xact_lock($1)",
            Access::Open => return Ok(()),
        };
        sqlx::query(text).bind(self.lock).execute(&mut **tx).await.map(|_| ())
    }

    /// A session that holds the lock by which a worker is known to be alive, until it is dropped or the process is.
    pub(in crate::outbox) async fn alive(&self, worker: &str) -> Result<PgConnection> {
        let broken = |cause| failed("announce a worker", &cause);
        let mut session = self.options.connect().await.map_err(broken)?;
        sqlx::query("SELECT pg_advisory_lock_shared(hashtextextended($1, $2))")
            .bind(worker)
            .bind(self.lock)
            .execute(&mut session)
            .await
            .map_err(broken)?;
        Ok(session)
    }

    /// Workers that hold mails and no lock: the server has ended their sessions.
    pub(in crate::outbox) async fn dead(&self) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT busy.worker
               FROM (SELECT DISTINCT worker FROM mail_outbox WHERE state IN ('claimed', 'sending')) AS busy
              WHERE busy.worker IS NOT NULL
                AND NOT EXISTS (
                    SELECT 1 FROM pg_locks AS l
                     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                       AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(busy.worker, $1))",
        )
        .bind(self.lock)
        .fetch_all(&self.pool)
        .await
        .map_err(|cause| failed("look for dead workers", &cause))
    }

    /// Removes earlier versions of rows. Not in a transaction; where the user may not, the next vacuum does.
    pub(super) async fn scrub(&self) -> Result<()> {
        for table in ["mail_outbox", "mail_messages", "mail_suppressions", "mail_blobs"] {
            let text = AssertSqlSafe(format!("VACUUM {table}"));
            sqlx::query(text).execute(&self.pool).await.map_err(|cause| failed("scrub", &cause))?;
        }
        Ok(())
    }
}

/// Begins a transaction in a task that nobody cancels. If the caller is gone when it has begun, it is dropped there,
/// and thereby rolled back.
async fn begin(pool: &PgPool, text: String) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    match tokio::spawn(async move { pool.begin_with(AssertSqlSafe(text)).await }).await {
        Ok(begun) => begun,
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// A statement in PostgreSQL's words.
pub(super) fn text(statement: &'static str) -> SqlStr {
    AssertSqlSafe(spelled(statement)).into_sql_str()
}

/// Lists of ids are arrays, by which rows are found through their key, however many the planner believes there are;
/// and there are row locks.
fn spelled(statement: &'static str) -> String {
    const LIST: &str = "IN (SELECT value FROM json_each(";
    let mut parts = statement.split(LIST);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (argument, after) = part.split_once("))").unwrap_or((part, ""));
        text.push_str("= ANY (");
        text.push_str(argument);
        text.push(')');
        text.push_str(after);
    }
    text.replace("/*postgres: ", "").replace(" */", "")
}

type Asked = sqlx::query::Query<'static, Postgres, PgArguments>;

fn with_rows(statement: &'static str, values: Vec<Value>, rows: Rows) -> Asked {
    let text = rows::as_arrays(&spelled(statement), values.len(), &rows);
    let mut query = sqlx::query::<Postgres>(AssertSqlSafe(text));
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::List(list) => query.bind(list),
        };
    }
    for column in rows.into_columns() {
        query = match column {
            Column::Text(values) => query.bind(values),
            Column::Number(values) => query.bind(values),
        };
    }
    query
}

pub(super) async fn all_rows(
    connection: &mut PgConnection,
    statement: &'static str,
    values: Vec<Value>,
    rows: Rows,
) -> sqlx::Result<Vec<PgRow>> {
    with_rows(statement, values, rows).fetch_all(connection).await
}

pub(super) async fn run_rows(
    connection: &mut PgConnection,
    statement: &'static str,
    values: Vec<Value>,
    rows: Rows,
) -> sqlx::Result<u64> {
    with_rows(statement, values, rows).execute(connection).await.map(|done| done.rows_affected())
}

/// The server's own words are left out where they quote values (classes 22 and 23), and its error is never a cause:
/// its `detail` quotes whole rows. <https://www.postgresql.org/docs/15/errcodes-appendix.html>, read November 2026.
pub(super) fn failed(operation: &'static str, cause: &sqlx::Error) -> Error {
    let (kind, delivery, detail) = match cause {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let table = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::table);
            let place = table.map(|table| format!(" (table {table})")).unwrap_or_default();
            let (kind, clause) = match code.get(..2).unwrap_or_default() {
                "28" => (ErrorKind::Auth, "the server refused the user".to_owned()),
                "3D" => (ErrorKind::Config, "the database does not exist".to_owned()),
                "22" | "23" => (ErrorKind::Input, format!("a value does not fit its column{place}")),
                "42" | "0A" => (ErrorKind::Storage, database.message().to_owned()),
                "53" if code == "53100" => (ErrorKind::Storage, "the server's disk is full".to_owned()),
                "53" => (ErrorKind::Storage, "the server has no room for another connection".to_owned()),
                "40" => (ErrorKind::Storage, "another transaction was in the way".to_owned()),
                "57" => (ErrorKind::Storage, "the server is going down or cancelled the call".to_owned()),
                _ => (ErrorKind::Storage, "the server failed".to_owned()),
            };
            (kind, Delivery::Answered, format!("{clause}, SQLSTATE {code}"))
        }
        sqlx::Error::PoolTimedOut => {
            (ErrorKind::Storage, Delivery::NotSent, "other calls hold every connection".to_owned())
        }
        sqlx::Error::PoolClosed => {
            (ErrorKind::Storage, Delivery::NotSent, "the outbox was closed".to_owned())
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => (
            ErrorKind::Config,
            Delivery::NotSent,
            "the connection cannot be set up as the URL says".to_owned(),
        ),
        sqlx::Error::Io(cause) => (
            ErrorKind::Storage,
            if operation == "open" { Delivery::NotSent } else { Delivery::Unknown },
            format!("the server cannot be reached ({})", cause.kind()),
        ),
        _ => (ErrorKind::Storage, Delivery::Unknown, "the server did not answer as expected".to_owned()),
    };
    Error::new(kind, SERVICE, operation).delivered(delivery).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_spelled_for_the_server() {
        assert_eq!(
            spelled(
                "x WHERE id IN (SELECT value FROM json_each($2)) AND (y) /*postgres: FOR UPDATE SKIP LOCKED */"
            ),
            "x WHERE id = ANY ($2) AND (y) FOR UPDATE SKIP LOCKED"
        );
        let rows = Rows::default().text(["a".to_owned()]).maybe_number([None]);
        assert_eq!(
            rows::as_arrays(
                "WITH j(id, n) AS ({rows}) UPDATE t SET a = $1 WHERE id = ANY ({first})",
                1,
                &rows
            ),
            "WITH j(id, n) AS (SELECT * FROM unnest($2::text[], $3::bigint[])) UPDATE t SET a = $1 WHERE id = ANY ($2)"
        );
    }
}
