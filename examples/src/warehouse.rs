//! Opens the warehouse that `--warehouse` names.

use crate::answer::say;
use crate::failure::{Context, Step};
use chrono::{DateTime, Utc};
use clap::Args;
use mkt_warehouse::{ColumnType, Query, Warehouse, foreign_tables, model, open, open_read_only};
use std::path::Path;
use std::sync::Arc;

/// `--warehouse` and `--init`, the same in every example that loads.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Where to: sqlite:PATH or postgres://user@host/database (password from
    /// PGPASSWORD or ~/.pgpass)
    #[arg(long, value_name = "URL")]
    pub warehouse: String,
    /// Creates the warehouse's tables beside those of somebody else, where the
    /// database holds some
    #[arg(long)]
    pub init: bool,
}

impl Target {
    /// Opens it, as [`to_load`] does.
    ///
    /// # Errors
    /// As [`to_load`].
    pub async fn open(&self) -> Step<Arc<dyn Warehouse>> {
        to_load(&self.warehouse, self.init).await
    }
}

/// Opens a warehouse to load into; its tables are created or migrated. A database that holds somebody else's tables is
/// refused, unless `init` asks to create ours beside them.
///
/// # Errors
/// As [`open`] and [`Warehouse::migrate`], and a database of somebody else.
pub async fn to_load(url: &str, init: bool) -> Step<Arc<dyn Warehouse>> {
    warn_of_password(url);
    let warehouse = open(url).await?;
    let foreign = foreign_tables(warehouse.as_ref()).await?;
    if !init && let Some(first) = foreign.first() {
        let more =
            if foreign.len() > 1 { format!(" and {} more tables", foreign.len() - 1) } else { String::new() };
        let message = format!(
            "the database holds the table {first}{more} of somebody else; --init creates the warehouse's tables beside them"
        );
        return Err(message.into());
    }
    warehouse.migrate(&model::SCHEMA).await?;
    Ok(warehouse)
}

/// Opens a warehouse to ask it: read-only, never migrated. A path that does not exist is an error: a mistyped one must not
/// become a new, empty file.
///
/// # Errors
/// As [`open_read_only`], and a SQLite file that is missing.
pub async fn to_read(url: &str) -> Step<Arc<dyn Warehouse>> {
    warn_of_password(url);
    if let Some(path) = sqlite_path(url)
        && !path.is_file()
    {
        return Err(format!("there is no file {}", path.display()).into());
    }
    Ok(open_read_only(url).await.context(|| format!("cannot read {}", without_password(url)))?)
}

/// What a warehouse holds: how much, and from when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The first instant of a session or an event.
    pub first: DateTime<Utc>,
    /// The last one.
    pub last: DateTime<Utc>,
    /// Sessions, of all sites.
    pub sessions: i64,
    /// Events, of all sites.
    pub events: i64,
}

impl Held {
    /// Asks a warehouse.
    ///
    /// # Errors
    /// As [`Warehouse::query`], and a warehouse that holds neither sessions nor events.
    pub async fn by(warehouse: &dyn Warehouse) -> Step<Self> {
        let query = Query::new(
            "select min(start_time) as first, max(end_time) as last, sum(is_session) as sessions, \
             sum(1 - is_session) as events from (select start_time, end_time, 1 as is_session from sessions \
             union all select timestamp, timestamp, 0 from events) spans",
        );
        let query = query.column("first", ColumnType::Timestamp).column("last", ColumnType::Timestamp);
        let query = query.column("sessions", ColumnType::Int).column("events", ColumnType::Int);
        let held = warehouse.query(&query).await?;
        Ok(Self {
            first: held.read(0, "first")?,
            last: held.read(0, "last")?,
            sessions: held.read(0, "sessions")?,
            events: held.read(0, "events")?,
        })
    }
}

/// A URL as it may be shown: without user, password and options.
fn without_password(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or_default();
    match url.rsplit_once('@') {
        Some((_, rest)) if url.contains("://") => rest,
        _ => url,
    }
}

/// The file that a URL names, for SQLite.
#[must_use]
pub fn sqlite_path(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

fn warn_of_password(url: &str) {
    if has_password(url) {
        say(
            "warning: the password in --warehouse is visible to everybody on this machine (ps); use PGPASSWORD or ~/.pgpass",
        );
    }
}

/// Whether a URL holds a password, as `postgres://me:secret@server/shop` or `?password=secret`.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.split('/').next().and_then(|authority| authority.rsplit_once('@'));
    let in_user =
        user.is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| !word.is_empty()));
    in_user || query.split('&').any(|pair| pair.starts_with("password=") && pair.len() > "password=".len())
}

#[cfg(test)]
mod tests {
    use super::has_password;

    #[test]
    fn password_in_url_is_found() {
        for url in ["postgres://me:secret@server/shop", "postgres://server/shop?password=secret"] {
            assert!(has_password(url), "{url}");
        }
        for url in [
            "postgres://me@server/shop",
            "postgres://me:@server:5432/shop",
            "sqlite:a:b@c",
            "postgres://h/s?a=b",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }
}
