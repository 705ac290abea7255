//! Migrations of one crate, remembered in a table of its own.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One migration: run once, in order, and never changed once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its number: 1, 2, 3 ….
    pub version: i64,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its statements, in the engine's SQL.
    pub sql: &'static str,
}

/// The migrations of one crate. The versions that ran are rows of `table`: sqlx's default name would be shared by all
/// crates that keep tables in one database.
///
/// The result does not lock by itself; `sqlite::migrate` and `postgres::migrate` do.
#[must_use]
pub fn migrator(table: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Migrator {
    let steps = steps.into_iter().map(|step| {
        let sql = step.sql.into_sql_str();
        Migration::new(step.version, step.description.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.dangerous_set_table_name(table.into());
    migrator.set_locking(false);
    migrator
}
