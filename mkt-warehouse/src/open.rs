//! An engine by its URL: growing is changing a URL.

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
