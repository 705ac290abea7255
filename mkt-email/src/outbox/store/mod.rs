//! The two engines behind one interface: SQLite in a file, PostgreSQL on a server.
//!
//! Every statement of the outbox is written once, in SQLite's dialect, which PostgreSQL understands except for two things
//! that `postgres::text` translates: `json_each($2)`, the rows of an argument, and what is marked `/*postgres: … */`:
//! row locks, which SQLite does not need because it has one writer, and hints. Numbers have 64 bits, timestamps are
//! milliseconds, booleans 0 or 1, and lists are one JSON argument.
//!
//! # One writer, many writers
//!
//! On SQLite a transaction has the file to itself from its beginning. On PostgreSQL it takes a lock of this outbox
//! instead, as its first statement, so that everything after it sees what was committed before: [`Access::Shared`] for
//! the transitions of workers, which exclude each other by row locks, and [`Access::Alone`] for decisions that no
//! transition may overlap, such as a suppression. When `suppress` has returned, no transaction that has not seen it can
//! commit a mark any more, on either engine.
//!
//! This is the only module that passes SQL to a database.

#[cfg(feature = "postgres")]
mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use rows::Rows;

use super::SERVICE;
use mkt_connect::sql::{Step, migrator};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::Row as _;
#[cfg(feature = "sqlite")]
use sqlx::{AssertSqlSafe, SqlSafeStr};
use std::fmt;

#[cfg(feature = "postgres")]
pub(crate) use postgres::Server;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::File;

/// The migrations table; sqlx's default name would be shared with other crates that keep tables in the same database.
const MIGRATIONS: &str = "mail_migrations";

/// Migrations of a part of the crate that keeps tables beside the outbox's, for each engine.
#[derive(Debug)]
#[cfg_attr(not(feature = "journey"), expect(dead_code, reason = "the outbox migrates when it opens"))]
pub(crate) struct PartSteps {
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "one engine reads it"))]
    pub(crate) sqlite: &'static [Step],
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "one engine reads it"))]
    pub(crate) postgres: &'static [Step],
}

/// Where an outbox lives. Clones share the connections.
#[derive(Clone)]
pub(crate) enum Store {
    #[cfg(feature = "sqlite")]
    Sqlite(File),
    #[cfg(feature = "postgres")]
    Postgres(Server),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "Sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "Postgres",
        })
    }
}

/// Who else may write during a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Other transitions, of other rows.
    Shared,
    /// No one.
    Alone,
    /// Anyone: for rows that no one else can see yet.
    Open,
}

/// An argument of a statement.
#[derive(Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Vec<u8>),
    /// Ids, read by `IN (SELECT value FROM json_each($n))`.
    List(Vec<String>),
}

impl Value {
    /// The same argument once more.
    #[cfg(feature = "sqlite")]
    fn again(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.clone()),
            Self::Number(number) => Self::Number(*number),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::List(list) => Self::List(list.clone()),
        }
    }
}

macro_rules! from {
    ($($type:ty => |$given:ident| $value:expr),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from($given: $type) -> Self {
                $value
            }
        })+
    };
}

from! {
    &str => |text| Self::Text(Some(text.to_owned())),
    String => |text| Self::Text(Some(text)),
    &String => |text| Self::Text(Some(text.clone())),
    Option<&str> => |text| Self::Text(text.map(str::to_owned)),
    Option<String> => |text| Self::Text(text),
    i64 => |number| Self::Number(Some(number)),
    Option<i64> => |number| Self::Number(number),
    bool => |truth| Self::Number(Some(i64::from(truth))),
    Vec<u8> => |bytes| Self::Bytes(bytes),
    Vec<String> => |list| Self::List(list),
}

/// The arguments of a statement: `values![now, ids]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::outbox::store::Value::from($value)),*] };
}
pub(crate) use values;

/// A row of a result.
pub(crate) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

macro_rules! column {
    ($name:ident -> $type:ty) => {
        pub(crate) fn $name(&self, column: &str) -> Result<$type> {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(row) => row.try_get(column),
                #[cfg(feature = "postgres")]
                Self::Postgres(row) => row.try_get(column),
            }
            .map_err(|cause| {
                Error::new(ErrorKind::Storage, SERVICE, "read a row")
                    .with_detail(format!("the column {column} cannot be read"))
                    .with_source(cause)
            })
        }
    };
}

impl Row {
    column!(text -> &str);
    column!(maybe_text -> Option<&str>);
    column!(number -> i64);
    column!(maybe_number -> Option<i64>);
    column!(bytes -> Vec<u8>);
}

/// Runs a statement on an executor of one engine.
macro_rules! ask {
    ($engine:ident, $executor:expr, $text:expr, $values:expr, $how:ident) => {{
        let mut query = sqlx::query::<sqlx::$engine>($text);
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::List(list) => query.bind(listed!($engine, list)),
            };
        }
        query.$how($executor).await
    }};
}

/// A list of ids as an argument.
macro_rules! listed {
    (Sqlite, $list:expr) => {
        // Ids and names of workers are plain letters, but a list is a list.
        serde_json::to_string(&$list).unwrap_or_default()
    };
    (Postgres, $list:expr) => {
        $list
    };
}

/// A transaction, rolled back if dropped without [`commit`](Self::commit).
pub(crate) struct Tx {
    inner: Inner,
    operation: &'static str,
}

enum Inner {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(crate) async fn all(&mut self, statement: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(tx) => ask!(Sqlite, &mut **tx, statement.into_sql_str(), values, fetch_all)
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                .map_err(|cause| sqlite::failed(self.operation, cause)),
            #[cfg(feature = "postgres")]
            Inner::Postgres(tx) => ask!(Postgres, &mut **tx, postgres::text(statement), values, fetch_all)
                .map(|rows| rows.into_iter().map(Row::Postgres).collect())
                .map_err(|cause| postgres::failed(self.operation, &cause)),
        }
    }

    pub(crate) async fn run(&mut self, statement: &'static str, values: Vec<Value>) -> Result<u64> {
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(tx) => ask!(Sqlite, &mut **tx, statement.into_sql_str(), values, execute)
                .map(|done| done.rows_affected())
                .map_err(|cause| sqlite::failed(self.operation, cause)),
            #[cfg(feature = "postgres")]
            Inner::Postgres(tx) => ask!(Postgres, &mut **tx, postgres::text(statement), values, execute)
                .map(|done| done.rows_affected())
                .map_err(|cause| postgres::failed(self.operation, &cause)),
        }
    }

    /// Whether a table is there: parts of the crate make theirs when they are first used.
    #[cfg(feature = "journey")]
    pub(crate) async fn has_table(&mut self, name: &'static str) -> Result<bool> {
        let statement = match self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(_) => {
                "SELECT count(*) AS tables FROM sqlite_master WHERE type = 'table' AND name = $1"
            }
            #[cfg(feature = "postgres")]
            Inner::Postgres(_) => "SELECT count(to_regclass($1)) AS tables",
        };
        let rows = self.all(statement, values![name]).await?;
        rows.first().map_or(Ok(false), |row| Ok(row.number("tables")? > 0))
    }

    /// Whether only one transaction can write at a time.
    pub(crate) fn has_one_writer(&self) -> bool {
        match self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Inner::Postgres(_) => false,
        }
    }

    /// Takes the lock of an access, in a transaction that was begun with [`Access::Open`]. On SQLite it is alone anyway.
    pub(crate) async fn lock(&mut self, store: &Store, access: Access) -> Result<()> {
        match (&mut self.inner, store) {
            #[cfg(feature = "postgres")]
            (Inner::Postgres(tx), Store::Postgres(server)) => {
                server.lock(tx, access).await.map_err(|cause| postgres::failed(self.operation, &cause))
            }
            #[cfg(feature = "sqlite")]
            _ => {
                let _ = access;
                Ok(())
            }
        }
    }

    /// As [`all`](Self::all), for a statement that reads `rows`. On SQLite it may run several times, each time over a part
    /// of them: it must not count or order them.
    pub(crate) async fn all_rows(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
        rows: Rows,
    ) -> Result<Vec<Row>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(tx) => {
                let mut all = Vec::with_capacity(rows.len());
                for (text, values) in rows::Pieces::new(statement, values, rows) {
                    let some = ask!(Sqlite, &mut **tx, AssertSqlSafe(text).into_sql_str(), values, fetch_all)
                        .map_err(|cause| sqlite::failed(self.operation, cause))?;
                    all.extend(some.into_iter().map(Row::Sqlite));
                }
                Ok(all)
            }
            #[cfg(feature = "postgres")]
            Inner::Postgres(tx) => postgres::all_rows(tx, statement, values, rows)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect())
                .map_err(|cause| postgres::failed(self.operation, &cause)),
        }
    }

    /// As [`run`](Self::run), for a statement that reads `rows`.
    pub(crate) async fn run_rows(
        &mut self,
        statement: &'static str,
        values: Vec<Value>,
        rows: Rows,
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        match &mut self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(tx) => {
                let mut affected = 0;
                for (text, values) in rows::Pieces::new(statement, values, rows) {
                    affected += ask!(Sqlite, &mut **tx, AssertSqlSafe(text).into_sql_str(), values, execute)
                        .map_err(|cause| sqlite::failed(self.operation, cause))?
                        .rows_affected();
                }
                Ok(affected)
            }
            #[cfg(feature = "postgres")]
            Inner::Postgres(tx) => postgres::run_rows(tx, statement, values, rows)
                .await
                .map_err(|cause| postgres::failed(self.operation, &cause)),
        }
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(tx) => tx.commit().await.map_err(|cause| sqlite::failed(self.operation, cause)),
            #[cfg(feature = "postgres")]
            Inner::Postgres(tx) => {
                tx.commit().await.map_err(|cause| postgres::failed(self.operation, &cause))
            }
        }
    }
}

impl Store {
    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self, operation: &'static str, access: Access) -> Result<Tx> {
        let inner = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => Inner::Sqlite(file.begin(operation).await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => Inner::Postgres(server.begin(operation, access).await?),
        };
        let _ = access;
        Ok(Tx { inner, operation })
    }

    /// Whether only one transaction can write at a time.
    pub(crate) fn has_one_writer(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
        }
    }

    /// The rows of one query, outside of a transaction.
    pub(crate) async fn all(
        &self,
        operation: &'static str,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => ask!(Sqlite, &file.pool, statement.into_sql_str(), values, fetch_all)
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                .map_err(|cause| sqlite::failed(operation, cause)),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => {
                ask!(Postgres, &server.pool, postgres::text(statement), values, fetch_all)
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect())
                    .map_err(|cause| postgres::failed(operation, &cause))
            }
        }
    }

    /// The row of a query that always returns one.
    pub(crate) async fn one(
        &self,
        operation: &'static str,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Row> {
        self.all(operation, statement, values).await?.pop().ok_or_else(|| {
            Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("the query returned no row")
        })
    }

    /// Removes earlier versions of rows from the disk, as far as the engine can.
    pub(crate) async fn scrub(&self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => file.scrub().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.scrub().await,
        }
    }

    /// Brings tables of another part of the crate up to date; the versions that ran are rows of `table`.
    #[cfg_attr(not(feature = "journey"), expect(dead_code, reason = "the outbox migrates when it opens"))]
    pub(crate) async fn migrate(&self, service: &'static str, table: &str, steps: &PartSteps) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => {
                let steps = migrator(table, steps.sqlite.iter().copied());
                mkt_connect::sql::sqlite::migrate(service, &file.pool, &steps).await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => {
                let steps = migrator(table, steps.postgres.iter().copied());
                server.migrate(service, &steps).await
            }
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => file.pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.pool.close().await,
        }
    }
}
