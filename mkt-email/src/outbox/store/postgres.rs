//! The outbox on a server: PostgreSQL 14 or newer. Session locks are used: connect to the server itself, or through a
//! pooler that does not share sessions.

use super::rows::{self, Column, Rows};
use super::{Access, MIGRATIONS, SERVICE, Value};
use mkt_connect::sql::{Step, migrator, postgres};
use mkt_connect::{Error, Result};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Transaction};

const STEPS: [Step; 4] = [
    Step { version: 1, description: "outbox", sql: include_str!("../schema/postgres_1.sql") },
    Step { version: 2, description: "events", sql: include_str!("../schema/postgres_2.sql") },
    Step { version: 3, description: "sent emails", sql: include_str!("../schema/postgres_3.sql") },
    Step { version: 4, description: "sending plans", sql: include_str!("../schema/postgres_4.sql") },
];

/// What follows a lock must see what was committed before it was taken, whatever the server's default isolation.
///
/// The statistics of a queue are always out of date: a planner that relies on them compares every row of a batch with
/// every other (measured: 1000 rows, 300 ms instead of 10). Every transition has an index and its lists are hashed, so
/// the planner is told to use only these.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL enable_nestloop = off; SET LOCAL enable_seqscan = off; \
                     SET LOCAL enable_bitmapscan = off";

/// Tables whose rows an erasure changes or removes; some parts of the crate make theirs when they are first used.
const SCRUBBED: [&str; 8] = [
    "mail_outbox",
    "mail_events",
    "mail_messages",
    "mail_suppressions",
    "mail_blobs",
    "mail_journey_contacts",
    "mail_journey_triggers",
    "mail_journey_instances",
];

/// Serialises migrations: the first eight bytes of "mkt-rs/e" as a number.
const MIGRATION_LOCK: i64 = 0x6d6b_742d_7273_2f65;

/// A database server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(super) pool: PgPool,
    /// The lock of this outbox, by its identity: outboxes in other schemas have other locks.
    lock: i64,
}

impl Server {
    pub(in crate::outbox) async fn connect(url: &str) -> Result<Self> {
        let pool = postgres::connect(SERVICE, url).await?;
        postgres::migrate(SERVICE, &pool, MIGRATION_LOCK, &migrator(MIGRATIONS, STEPS)).await?;
        let identity: String = sqlx::query_scalar("SELECT outbox_id FROM mail_identity")
            .fetch_one(&pool)
            .await
            .map_err(|cause| failed("open", &cause))?;
        let number = u64::from_str_radix(&identity, 16).map_err(|_| crate::outbox::damaged("open"))?;
        Ok(Self { pool, lock: number.cast_signed() })
    }

    #[cfg_attr(not(feature = "journey"), expect(dead_code, reason = "the outbox migrates when it opens"))]
    pub(super) async fn migrate(&self, service: &'static str, steps: &Migrator) -> Result<()> {
        postgres::migrate(service, &self.pool, MIGRATION_LOCK, steps).await
    }

    pub(super) async fn begin(
        &self,
        operation: &'static str,
        access: Access,
    ) -> Result<Transaction<'static, Postgres>> {
        let lock = self.lock;
        // With the lock in one round trip; what follows sees what was committed before the lock was taken.
        let text = match access {
            Access::Shared => format!("{BEGIN}; SELECT pg_advisory_xact_lock_shared({lock})"),
            Access::Alone => format!("{BEGIN}; SELECT pg_advisory_xact_lock({lock})"),
            Access::Open => BEGIN.to_owned(),
        };
        postgres::begin(SERVICE, operation, &self.pool, text).await
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

    /// Opens a session that holds the lock by which a worker is known to be alive, until the session is dropped or the
    /// process ends.
    pub(in crate::outbox) async fn register_worker(&self, worker: &str) -> Result<PgConnection> {
        const OPERATION: &str = "register a worker";
        let mut session = postgres::session(SERVICE, OPERATION, &self.pool).await?;
        sqlx::query("SELECT pg_advisory_lock_shared(hashtextextended($1, $2))")
            .bind(worker)
            .bind(self.lock)
            .execute(&mut session)
            .await
            .map_err(|cause| failed(OPERATION, &cause))?;
        Ok(session)
    }

    /// Workers that hold emails and no lock: the server has ended their sessions.
    pub(in crate::outbox) async fn dead_workers(&self) -> Result<Vec<String>> {
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

    /// Removes earlier versions of rows, outside of a transaction. Without the right to, the next autovacuum does it.
    pub(super) async fn scrub(&self) -> Result<()> {
        let tables = sqlx::query_scalar::<_, String>(
            "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL",
        );
        let tables = tables
            .bind(&SCRUBBED[..])
            .fetch_all(&self.pool)
            .await
            .map_err(|cause| failed("scrub", &cause))?;
        for table in tables {
            let text = AssertSqlSafe(format!("VACUUM {table}"));
            sqlx::query(text).execute(&self.pool).await.map_err(|cause| failed("scrub", &cause))?;
        }
        Ok(())
    }
}

/// A statement in PostgreSQL's dialect.
pub(super) fn text(statement: &'static str) -> SqlStr {
    AssertSqlSafe(translated(statement)).into_sql_str()
}

/// Translates a statement: lists of ids become arrays, which find rows by key whatever the planner estimates, and row
/// locks are added.
fn translated(statement: &'static str) -> String {
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

type PgQuery = sqlx::query::Query<'static, Postgres, PgArguments>;

fn with_rows(statement: &'static str, values: Vec<Value>, rows: Rows) -> PgQuery {
    let text = rows::as_arrays(&translated(statement), values.len(), &rows);
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

pub(super) fn failed(operation: &'static str, cause: &sqlx::Error) -> Error {
    postgres::error(SERVICE, operation, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_is_translated() {
        assert_eq!(
            translated(
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
