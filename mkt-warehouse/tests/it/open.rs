//! Warehouses by URL.

use mkt_connect::ErrorKind;
use mkt_warehouse::{Dialect, Warehouse, model, open};

#[tokio::test]
async fn a_url_names_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    for url in [format!("sqlite:{}", path.display()), format!("sqlite://{}", path.display())] {
        let warehouse = open(&url).await.unwrap();
        assert_eq!(warehouse.dialect(), Dialect::Sqlite);
        warehouse.migrate(&model::SCHEMA).await.unwrap();
        assert!(path.exists(), "{url}");
    }
    open("sqlite::memory:").await.unwrap().migrate(&model::SCHEMA).await.unwrap();
}

#[tokio::test]
async fn invalid_url_is_a_config_error_without_secrets() {
    for url in [
        "",
        "w.db",
        "sqlite:",
        "sqlite:w.db?mode=memory",
        "mysql://root:hunter2@host/db",
        "postgres://user:hunter2@host:notaport/db",
    ] {
        let error = open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("w.db"), "{shown}");
    }
}
