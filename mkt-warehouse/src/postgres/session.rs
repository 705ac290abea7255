//! The transaction of a load, on a connection that is thrown away unless the transaction came to an end.
//!
//! A load may be dropped at any of its steps: before the server confirmed `begin` (sqlx up to 0.9.0 would then leave the
//! transaction open on a pooled connection, transact-rs/sqlx#4385), in the middle of a COPY, or before the answer to
//! `commit`. Whatever was under way, nobody else meets that connection again: it is closed, and the server rolls back
//! what was not committed.

use super::error::{SERVICE, storage};
use mkt_connect::sql::postgres;
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};

pub(super) struct Session {
    connection: Option<PoolConnection<sqlx::Postgres>>,
}

impl Session {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self> {
        let connection = postgres::acquire(SERVICE, "load", pool).await?;
        let mut session = Self { connection: Some(connection) };
        sqlx::raw_sql("begin")
            .execute(session.connection()?)
            .await
            .map_err(|cause| storage("load", &cause))?;
        Ok(session)
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(Error::new(ErrorKind::Storage, SERVICE, "load")),
        }
    }

    /// Commits. An error that does not come from the commit itself leaves it open whether it was done: its
    /// [`delivery`](Error::delivery) is unknown, and the ledger tells the next load of the slice.
    pub(super) async fn commit(mut self) -> Result<()> {
        sqlx::raw_sql("commit")
            .execute(self.connection()?)
            .await
            .map_err(|cause| postgres::commit_error(SERVICE, "load", &cause))?;
        // Back to the pool.
        drop(self.connection.take());
        Ok(())
    }

    /// Rolls back and keeps the connection, if it still answers.
    pub(super) async fn rollback(mut self) {
        let Ok(connection) = self.connection() else { return };
        if sqlx::raw_sql("rollback").execute(connection).await.is_ok() {
            drop(self.connection.take());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Not to the pool: what the server has still to say belongs to the load that is gone.
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
