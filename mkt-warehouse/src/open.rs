//! An engine by its URL: growing is changing a URL.

use crate::dialect::Dialect;
use crate::model;
use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use mkt_connect::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Opens the warehouse that a URL names: `sqlite:PATH`, `sqlite::memory:`, or `postgres://…` with its feature.
///
/// No table is created: call [`Warehouse::migrate`] next.
///
/// # Errors
/// `Config` for a URL of no known engine, or of one whose feature is off; else as the engine's own `open`. The URL,
/// which may hold a password, is in no error.
pub async fn open(url: &str) -> Result<Arc<dyn Warehouse>> {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    match scheme {
        "sqlite" => sqlite(rest).await,
        "postgres" | "postgresql" => postgres(url).await,
        _ => Err(config("a warehouse URL starts with sqlite: or postgres:")),
    }
}

/// Opens the warehouse that a URL names to ask it: nothing is created, migrated or changed.
///
/// # Errors
/// As [`open`]. `Storage` for a SQLite file that does not exist. `Input` where there are no tables of a warehouse, or those
/// of an older version: whatever loads into it next brings it up to date.
pub async fn open_read_only(url: &str) -> Result<Arc<dyn Warehouse>> {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let warehouse = match scheme {
        "sqlite" => sqlite_read_only(rest).await?,
        "postgres" | "postgresql" => postgres_read_only(url).await?,
        _ => return Err(config("a warehouse URL starts with sqlite: or postgres:")),
    };
    let input = |detail| Error::new(ErrorKind::Input, "warehouse", "open").with_detail(detail);
    if !names(warehouse.as_ref()).await?.iter().any(|name| name == MIGRATIONS) {
        return Err(input("it has no tables of a warehouse: load something into it first"));
    }
    let query = Query::new(format!("select coalesce(max(version), 0) as version from {MIGRATIONS}"));
    let held = warehouse.query(&query.column("version", ColumnType::Int)).await?;
    let known = model::SCHEMA.migrations.iter().map(|step| step.version).max().unwrap_or(0);
    match held.value(0, "version") {
        Value::Int(held) if held < known => Err(input(
            "its tables are of an older version: load something into it, which brings them up to date",
        )),
        _ => {
            warehouse.check().await?;
            Ok(warehouse)
        }
    }
}

/// The table of the warehouse's own migrations: where it stands, the tables are ours.
const MIGRATIONS: &str = "warehouse_migrations";

/// Tables of somebody else that a first load would meet; none in a warehouse that was loaded before.
///
/// On SQLite these are all tables of the file that no crate of this workspace makes. On PostgreSQL they are the tables of the
/// target schema that have a name the warehouse would create; tables that belong to extensions do not count.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn foreign_tables(warehouse: &dyn Warehouse) -> Result<Vec<String>> {
    let mut names = names(warehouse).await?;
    if names.iter().any(|name| name == MIGRATIONS) {
        return Ok(Vec::new());
    }
    let ours = |name: &str| model::SCHEMA.tables.iter().any(|table| table.name == name);
    match warehouse.dialect() {
        Dialect::Sqlite => {
            names.retain(|name| {
                ours(name) || !["mail_", "etl_", "sqlite_"].iter().any(|own| name.starts_with(own))
            });
        }
        _ => names.retain(|name| ours(name)),
    }
    Ok(names)
}

/// The tables and views of the file, or of the target schema.
async fn names(warehouse: &dyn Warehouse) -> Result<Vec<String>> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => "select name from sqlite_master where type in ('table', 'view') order by name",
        _ => {
            "select cast(c.relname as text) as name from pg_class c \
             where c.relnamespace = cast(current_schema() as regnamespace) and c.relkind in ('r', 'p', 'v', 'm', 'f') \
             and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') order by 1"
        }
    };
    let table = warehouse.query(&Query::new(sql).column("name", ColumnType::Text)).await?;
    let name = |row| table.read(row, "name");
    let names: std::result::Result<_, _> = (0..table.rows()).map(name).collect();
    names.map_err(|cause| Error::new(ErrorKind::Protocol, "warehouse", "open").with_source(cause))
}

#[cfg(feature = "sqlite")]
async fn sqlite_read_only(rest: &str) -> Result<Arc<dyn Warehouse>> {
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" => Err(config("sqlite: needs a path")),
        ":memory:" => Err(config("a database in memory holds nothing that could be asked")),
        path if path.contains('?') => Err(config("sqlite: takes a path and no options")),
        path => Ok(Arc::new(crate::Sqlite::open_read_only(path).await?)),
    }
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite_read_only(_: &str) -> Result<Arc<dyn Warehouse>> {
    Err(config("this program was built without the feature sqlite"))
}

#[cfg(feature = "postgres")]
async fn postgres_read_only(url: &str) -> Result<Arc<dyn Warehouse>> {
    Ok(Arc::new(crate::Postgres::connect_read_only(url).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres_read_only(_: &str) -> Result<Arc<dyn Warehouse>> {
    Err(config("this program was built without the feature postgres"))
}

fn config(detail: &'static str) -> Error {
    Error::new(ErrorKind::Config, "warehouse", "open").with_detail(detail)
}

#[cfg(feature = "sqlite")]
async fn sqlite(rest: &str) -> Result<Arc<dyn Warehouse>> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Err(config("sqlite: needs a path")),
        ":memory:" => Ok(Arc::new(crate::Sqlite::in_memory().await?)),
        path if path.contains('?') => Err(config("sqlite: takes a path and no options")),
        path => Ok(Arc::new(crate::Sqlite::open(path).await?)),
    }
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_: &str) -> Result<Arc<dyn Warehouse>> {
    Err(config("this program was built without the feature sqlite"))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<Arc<dyn Warehouse>> {
    Ok(Arc::new(crate::Postgres::connect(url).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str) -> Result<Arc<dyn Warehouse>> {
    Err(config("this program was built without the feature postgres"))
}
