//! The two engines behind one door: SQLite in a file, PostgreSQL on a server.
//!
//! Every statement of the outbox is written once, in SQLite's words, which PostgreSQL understands but for two things
//! that [`Dialect::text`] puts in their place: `json_each($2)`, the rows of an argument, and what is marked
//! `/*postgres: … */`: row locks, which SQLite does not need because it has one writer, and hints. Numbers are 64 bits wide,
//! instants milliseconds, truth 0 or 1, and lists travel as one JSON argument.
//!
//! # One writer, many writers
//!
//! On SQLite a transaction has the file to itself from its beginning. On PostgreSQL it takes a lock of this outbox
//! instead, as its first statement, so that everything after it sees what was committed before: [`Access::Shared`] for
//! the transitions of workers, which keep out of each other's way by row locks, and [`Access::Alone`] for decisions
//! that no transition may overlap, such as a suppression. When `suppress` has returned, no transaction that has not
//! seen it can commit a mark any more, on either engine.
//!
//! This module is the only one that hands text to a database.

#[cfg(feature = "postgres")]
mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(super) use rows::Rows;

use super::SERVICE;
use mkt_connect::{Error, ErrorKind, Result};
#[cfg(feature = "sqlite")]
use sqlx::AssertSqlSafe;
use sqlx::{Row as _, SqlSafeStr};
use std::fmt;

#[cfg(feature = "postgres")]
pub(super) use postgres::Server;
#[cfg(feature = "sqlite")]
pub(super) use sqlite::File;

/// sqlx's default name would be shared with every other crate that keeps tables in the same place.
const MIGRATIONS: &str = "mail_migrations";

/// Where an outbox lives. Clones share the connections.
#[derive(Clone)]
pub(super) enum Store {
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

/// Who else may write while a transaction lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Other transitions, of other rows.
    Shared,
    /// Nobody.
    Alone,
    /// Anybody: rows that nobody else knows of yet.
    Open,
}

/// An argument of a statement.
#[derive(Debug)]
pub(super) enum Value {
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
pub(super) use values;

/// A row of an answer.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

macro_rules! column {
    ($name:ident -> $type:ty) => {
        pub(super) fn $name(&self, column: &str) -> Result<$type> {
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

/// Runs a statement on anything that executes statements of one engine.
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

/// A transaction. Dropped without [`commit`](Self::commit), it has not happened.
pub(super) struct Tx {
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
    pub(super) async fn all(&mut self, statement: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
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

    pub(super) async fn run(&mut self, statement: &'static str, values: Vec<Value>) -> Result<u64> {
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

    /// Whether a transaction that writes has the place to itself.
    pub(super) fn has_one_writer(&self) -> bool {
        match self.inner {
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Inner::Postgres(_) => false,
        }
    }

    /// Waits until nobody else is in a transition, or nobody is alone. Of use to a transaction that was begun
    /// [`Access::Open`]; SQLite let it in alone.
    pub(super) async fn lock(&mut self, store: &Store, access: Access) -> Result<()> {
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

    /// As [`all`](Self::all), for a statement that reads `rows`. On SQLite it may run several times, each over a part of
    /// them: it must not count or order them.
    pub(super) async fn all_rows(
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
    pub(super) async fn run_rows(
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

    pub(super) async fn commit(self) -> Result<()> {
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
    /// A transaction that may write.
    pub(super) async fn begin(&self, operation: &'static str, access: Access) -> Result<Tx> {
        let inner = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => Inner::Sqlite(file.begin(operation).await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => Inner::Postgres(server.begin(operation, access).await?),
        };
        let _ = access;
        Ok(Tx { inner, operation })
    }

    /// Whether a transaction that writes has the place to itself.
    pub(super) fn has_one_writer(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
        }
    }

    /// The rows of one question, outside of any transaction.
    pub(super) async fn all(
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

    /// The one row of a question that always has one.
    pub(super) async fn one(
        &self,
        operation: &'static str,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Row> {
        self.all(operation, statement, values)
            .await?
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("no row came back"))
    }

    /// What the disk holds of rows that were overwritten is cleaned up, as far as the engine can be asked to.
    pub(super) async fn scrub(&self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => file.scrub().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.scrub().await,
        }
    }

    pub(super) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(file) => file.pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.pool.close().await,
        }
    }
}

/// The steps by which tables come about, remembered in a table of our own.
fn migrator(steps: &[(&'static str, &'static str)]) -> sqlx::migrate::Migrator {
    use sqlx::migrate::{Migration, MigrationType, Migrator};
    let steps = steps.iter().zip(1..).map(|((description, text), version)| {
        let text = (*text).into_sql_str();
        Migration::new(version, (*description).into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.dangerous_set_table_name(MIGRATIONS);
    migrator
}

fn unmade(cause: sqlx::migrate::MigrateError) -> Error {
    let detail = match cause {
        sqlx::migrate::MigrateError::VersionMissing(_) => {
            "its tables were written by a newer version of this library"
        }
        _ => "its tables could not be made",
    };
    Error::new(ErrorKind::Storage, SERVICE, "open").with_detail(detail).with_source(cause)
}
