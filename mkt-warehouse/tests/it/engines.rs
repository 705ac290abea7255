//! The engines that reports and the suite run on.

use mkt_warehouse::{Sqlite, Warehouse, model};
use std::sync::Arc;

/// Every engine at hand, each empty and migrated.
pub(crate) async fn all() -> Vec<Arc<dyn Warehouse>> {
    let engines: Vec<Arc<dyn Warehouse>> = vec![Arc::new(Sqlite::in_memory().await.unwrap())];
    for engine in &engines {
        engine.migrate(&model::SCHEMA).await.unwrap();
    }
    engines
}
