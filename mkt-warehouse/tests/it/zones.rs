//! The zone in which reports cut the days of a site.

use super::rows::at;
use mkt_connect::ErrorKind;
use mkt_warehouse::model::Site;
use mkt_warehouse::report::site_zone;
use mkt_warehouse::{Batch, SliceKey, Sqlite, Warehouse, model};

#[tokio::test]
async fn an_offset_that_no_zone_keeps_is_refused_and_never_utc() {
    let warehouse = Sqlite::in_memory().await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    for (site, zone) in [("paris", "Europe/Paris"), ("teheran", "UTC+03:30")] {
        let sites = vec![Site::new(site, zone, "matomo")];
        let batch = Batch::new(SliceKey::whole("test", "sites", site)).upsert(sites);
        warehouse.load(&batch, at("2026-03-28T12:00:00Z")).await.unwrap();
    }
    let zone = async |site| site_zone(&warehouse, site).await;
    assert_eq!(zone(Some("paris")).await.unwrap(), Some(chrono_tz::Europe::Paris));
    // They differ, or there is none.
    assert_eq!(zone(None).await.unwrap(), None);
    assert_eq!(zone(Some("nobody")).await.unwrap(), None);
    let error = zone(Some("teheran")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("\"UTC+03:30\""), "{error}");
}
