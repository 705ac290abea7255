//! The engines that reports and the suite run on.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use mkt_connect::{Error, ErrorKind, Result};
#[cfg(feature = "postgres")]
use mkt_warehouse::Postgres;
use mkt_warehouse::{Batch, Dialect, Exclusive, Query, Receipt, Schema, Sqlite, Table, Warehouse, model};
use std::sync::Arc;

/// An engine of which every report asks its text of SQL, also where it would read the rows and fold them.
#[derive(Debug)]
struct TextsOnly(Arc<dyn Warehouse>);

/// An engine to which nothing can be written.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Warehouse>);

macro_rules! around {
    ($name:ident, |$inner:ident, $batch:ident, $at:ident| $load:expr) => {
        #[async_trait]
        impl Warehouse for $name {
            fn dialect(&self) -> Dialect {
                self.0.dialect()
            }
            async fn check(&self) -> Result<()> {
                self.0.check().await
            }
            async fn migrate(&self, schema: &Schema) -> Result<()> {
                self.0.migrate(schema).await
            }
            async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
                let ($inner, $batch, $at) = (&self.0, batch, at);
                $load
            }
            async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
                self.0.exclusive(name).await
            }
            async fn query(&self, query: &Query) -> Result<Table> {
                self.0.query(query).await
            }
            fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
                self.0.scan(query, chunk)
            }
        }
    };
}
around!(TextsOnly, |inner, batch, at| inner.load(batch, at).await);
around!(ReadOnly, |_inner, _batch, _at| Err(Error::new(ErrorKind::Storage, "engine", "load")));

/// Every engine at hand, each empty and migrated.
pub(crate) async fn all() -> Vec<Arc<dyn Warehouse>> {
    #[cfg_attr(not(feature = "postgres"), expect(unused_mut))]
    let mut engines: Vec<Arc<dyn Warehouse>> = vec![memory().await, Arc::new(TextsOnly(memory().await))];
    #[cfg(feature = "postgres")]
    engines.extend(postgres().await);
    for engine in &engines {
        engine.migrate(&model::SCHEMA).await.unwrap();
    }
    engines
}

pub(crate) async fn memory() -> Arc<dyn Warehouse> {
    Arc::new(Sqlite::in_memory().await.unwrap())
}

/// A file in a folder that stays until the test binary's temporary folder is cleaned.
pub(crate) async fn file() -> Arc<dyn Warehouse> {
    let folder = tempfile::tempdir().unwrap().keep();
    Arc::new(Sqlite::open(folder.join("warehouse.db")).await.unwrap())
}

/// An empty schema of its own on the server that `MKT_TEST_POSTGRES` names.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Arc<dyn Warehouse>> {
    let url = postgres_url().await?;
    Some(Arc::new(Postgres::connect(&url).await.unwrap()))
}

/// The URL of an empty schema of its own.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres_url() -> Option<String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(url) = std::env::var("MKT_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "MKT_TEST_POSTGRES is not set, and this is CI");
        println!("skipped: MKT_TEST_POSTGRES is not set");
        return None;
    };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let schema = format!("t{}_{}_{nanos}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let admin = Postgres::connect(&url).await.unwrap();
    admin.query(&Query::new(format!("create schema {schema}"))).await.unwrap();
    admin.close().await;
    let mark = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{mark}options[search_path]={schema}"))
}
