//! Named locks: an advisory lock of a session of its own, which the server ends when the process or its machine is
//! gone.

use super::error::SERVICE;
use crate::exclusive::{Exclusive, Hold};
use crate::id;
use async_trait::async_trait;
use mkt_connect::Result;
use mkt_connect::sql::postgres::SessionLock;
use sqlx::postgres::PgPool;

pub(super) async fn exclusive(pool: &PgPool, name: &str) -> Result<Option<Exclusive>> {
    // Negative, which no `load_id` is, so that no load waits for a named lock.
    let key = |schema: &str| !id::stable_hash(&["exclusive", schema, name]);
    let held = SessionLock::try_lock(SERVICE, pool, key).await?;
    Ok(held.map(|lock| Exclusive::new(name, Held(lock))))
}

struct Held(SessionLock);

#[async_trait]
impl Hold for Held {
    async fn release(self: Box<Self>) -> Result<()> {
        self.0.release().await
    }
}
