//! The engines that reports and the suite run on.

#[cfg(feature = "postgres")]
use mkt_warehouse::{Postgres, Query};
use mkt_warehouse::{Sqlite, Warehouse, model};
use std::sync::Arc;

/// Every engine at hand, each empty and migrated.
pub(crate) async fn all() -> Vec<Arc<dyn Warehouse>> {
    #[cfg_attr(not(feature = "postgres"), expect(unused_mut))]
    let mut engines: Vec<Arc<dyn Warehouse>> = vec![memory().await];
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
