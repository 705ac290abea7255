//! Locks of names: an advisory lock of a session of its own, which the server ends when the process or its machine is
//! gone. <https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS>, read November 2026.
//!
//! A pooler that shares server sessions among clients by transaction (PgBouncer's transaction mode) breaks this: connect
//! to the server itself, or by session.

use super::error::{SERVICE, storage};
use crate::exclusive::{Exclusive, Hold};
use crate::id;
use async_trait::async_trait;
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{ConnectOptions, Connection};

/// What the session asks of the server: a machine that vanished is noticed after a minute (30 s of silence, then three
/// probes), and a session that waits for its process to work is not idle.
const SETTINGS: &str = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; \
                        set tcp_keepalives_count = 3; set idle_session_timeout = 0; \
                        set application_name = 'mkt exclusive'";

pub(super) async fn exclusive(pool: &PgPool, name: &str) -> Result<Option<Exclusive>> {
    let failed = |cause: sqlx::Error| storage("lock", &cause);
    let mut session = pool.connect_options().connect().await.map_err(failed)?;
    sqlx::raw_sql(SETTINGS).execute(&mut session).await.map_err(failed)?;
    // Where the tables are: two schemas of one database are two warehouses.
    let schema: Option<String> =
        sqlx::query_scalar("select current_schema()::text").fetch_one(&mut session).await.map_err(failed)?;
    let schema = schema.ok_or_else(|| {
        Error::new(ErrorKind::Config, SERVICE, "lock").with_detail("the search path names no schema")
    })?;
    // Negative: no `load_id` is, so that no load waits for a name.
    let key = !id::stable_hash(&["exclusive", &schema, name]);
    let had: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(&mut session)
        .await
        .map_err(failed)?;
    if had {
        return Ok(Some(Exclusive::new(name, Session { session, key })));
    }
    // Nothing is held; how the session ends does not matter.
    let _ = session.close().await;
    Ok(None)
}

struct Session {
    session: PgConnection,
    key: i64,
}

#[async_trait]
impl Hold for Session {
    async fn release(mut self: Box<Self>) -> Result<()> {
        sqlx::query("select pg_advisory_unlock($1)")
            .bind(self.key)
            .execute(&mut self.session)
            .await
            .map_err(|cause| storage("unlock", &cause))?;
        let _ = self.session.close().await;
        Ok(())
    }
}
