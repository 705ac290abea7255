//! The durable side: definitions, triggers and instances in the outbox's database.
//!
//! One row per contact is what workers lock. A worker takes some contacts that are due, reads what is known about them,
//! decides, enqueues emails and writes the new positions, all in one transaction: a process that dies leaves either
//! everything or nothing of it. On SQLite there is one writer; on PostgreSQL contacts that another worker holds are
//! skipped, and [`trigger`](super::Journeys::trigger) waits for the row of its contact. So when it has returned, no
//! transaction that does not know the trigger can enqueue an email to the contact any more.

pub(crate) mod advance;
pub(crate) mod erasure;
pub(crate) mod feed;
pub(crate) mod registry;
pub(crate) mod rows;
pub(crate) mod walk;

use crate::outbox::store::{PartSteps, Store};
use mkt_connect::Result;
use mkt_connect::sql::Step;

/// The migrations table of journeys.
const MIGRATIONS: &str = "mail_journey_migrations";

const STEPS: PartSteps = PartSteps {
    sqlite: &[Step { version: 1, description: "journeys", sql: include_str!("../schema/sqlite_1.sql") }],
    postgres: &[Step { version: 1, description: "journeys", sql: include_str!("../schema/postgres_1.sql") }],
};

pub(super) async fn migrate(store: &Store) -> Result<()> {
    store.migrate(super::SERVICE, MIGRATIONS, &STEPS).await
}
