//! Pieces of SQL that SQLite and PostgreSQL write alike, and how both bring tables up to date.

use crate::schema::{Migration, Schema, TableSchema};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrationType, Migrator};

/// Names come from schemas, which programmers write; quoting keeps a reserved word from surprising.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The clause of an `insert` that writes over a row of the same key.
pub(crate) fn overwrite(schema: &TableSchema) -> String {
    let keys: Vec<String> = schema.primary_key.iter().map(|key| quote(key)).collect();
    let rest: Vec<String> = schema
        .columns
        .iter()
        .filter(|column| !schema.primary_key.contains(&column.name))
        .map(|column| format!("{0} = excluded.{0}", quote(column.name)))
        .collect();
    match rest.is_empty() {
        true => format!("on conflict ({}) do nothing", keys.join(", ")),
        false => format!("on conflict ({}) do update set {}", keys.join(", "), rest.join(", ")),
    }
}

/// The steps of a schema in an engine's SQL, remembered in `<owner>_migrations`.
pub(crate) fn migrator(
    schema: &Schema,
    service: &'static str,
    text: fn(&Migration) -> &'static str,
) -> Result<Migrator> {
    let owned = schema.owner.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !owned || schema.owner.is_empty() {
        return Err(Error::new(ErrorKind::Input, service, "migrate")
            .with_detail("an owner is lower-case letters and _"));
    }
    let steps = schema.migrations.iter().map(|step| {
        let (description, text) = (step.description.into(), text(step).into_sql_str());
        sqlx::migrate::Migration::new(step.version, description, MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.dangerous_set_table_name(format!("{}_migrations", schema.owner));
    Ok(migrator)
}
