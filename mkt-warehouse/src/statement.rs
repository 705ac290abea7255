//! Pieces of SQL that SQLite and PostgreSQL write alike, and how both bring tables up to date.

use crate::schema::{Migration, Schema, TableSchema};
use mkt_connect::sql::{self, Step};
use mkt_connect::{Error, ErrorKind, Result};
use sqlx::migrate::Migrator;

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

/// The migrations of a schema in an engine's SQL, remembered in `<owner>_migrations`.
pub(crate) fn migrator(
    schema: &Schema,
    service: &'static str,
    text: fn(&Migration) -> &'static str,
) -> Result<Migrator> {
    let valid = schema.owner.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !valid || schema.owner.is_empty() {
        return Err(Error::new(ErrorKind::Input, service, "migrate")
            .with_detail(format!("invalid owner {:?}: expected lower-case letters and _", schema.owner)));
    }
    let steps = schema.migrations.iter().map(|step| Step {
        version: step.version,
        description: step.description,
        sql: text(step),
    });
    Ok(sql::migrator(format!("{}_migrations", schema.owner), steps))
}
