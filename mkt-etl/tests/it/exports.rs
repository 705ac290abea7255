//! Exports of shops and analytics tools: known by their header, or read by declaration where nobody named them.

use crate::support::all;
use mkt_connect::{Channel, Stop};
use mkt_etl::csv::{CsvBuilder, CsvSource, Load, Loaded};
use mkt_etl::ledger::QuarantineRow;
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::{Event, EventType, Session};
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

async fn load(builder: CsvBuilder) -> (mkt_connect::Result<Loaded>, Sqlite) {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let loaded = Load::new(builder.build().unwrap(), warehouse.clone()).run(&Stop::new()).await;
    (loaded, warehouse)
}

fn builder() -> CsvBuilder {
    CsvSource::builder("shop", chrono_tz::UTC)
}

#[tokio::test]
async fn woocommerce_orders_are_purchases_of_their_net_sales() {
    let (loaded, warehouse) = load(builder().events(case("events/woocommerce.csv"))).await;
    let loaded = loaded.unwrap();
    assert_eq!(loaded.files[0].export, Some("WooCommerce orders"));
    // The cancelled order is set aside.
    assert_eq!((loaded.read, loaded.loaded, loaded.quarantined), (4, 3, 1));
    let mut events: Vec<Event> = all(&warehouse).await;
    events.sort_by_key(|event| event.timestamp);
    let revenue: Vec<String> = events.iter().map(|event| event.revenue.0.to_string()).collect();
    assert_eq!(revenue, ["34.75", "10.00", "16.67"]);
    let channels: Vec<Channel> = events.iter().map(|event| event.channel).collect();
    assert_eq!(channels, [Channel::Organic, Channel::Direct, Channel::Referral]);
    // A name is a person: only its hash is kept, whatever its case.
    assert_eq!(events[0].user_id, events[2].user_id);
    assert!(!format!("{events:?}").to_lowercase().contains("lind"));
}

/// The answer of a real Matomo to `Live.getLastVisitsDetails` as CSV.
#[tokio::test]
async fn visits_of_matomo_as_csv_are_sessions() {
    let (loaded, warehouse) = load(builder().sessions(case("sessions/matomo_visits.csv"))).await;
    let loaded = loaded.unwrap();
    assert_eq!(loaded.files[0].export, Some("Matomo visits"));
    assert_eq!((loaded.read, loaded.loaded), (2, 2), "{loaded:#?}");
    let mut sessions: Vec<Session> = all(&warehouse).await;
    sessions.sort_by_key(|session| session.start_time);
    let shown: Vec<String> = sessions
        .iter()
        .map(|it| {
            let spent = it.time_on_site.unwrap_or(-1);
            format!(
                "{} {} {spent} {} {} {:?}",
                it.user_id, it.start_time, it.pages_viewed, it.converted, it.channel
            )
        })
        .collect();
    // 1774807980 and 1774815000 seconds since 1970; the second visit lasts until 1774815240.
    let expected = [
        "3d169cff8905ae28 2026-03-29 18:13:00 UTC 0 1 true Direct",
        "000000000abc0023 2026-03-29 20:10:00 UTC 240 2 false Direct",
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn unknown_export_is_refused_with_columns_that_may_be_meant() {
    let (refused, _) = load(builder().events(case("events/payments.csv"))).await;
    let error = refused.unwrap_err().to_string();
    for part in [
        "has no column event_type, timestamp, channel",
        "\"Created date (UTC)=timestamp\" \"Amount=revenue\"",
        "where every row is one event, declare the event type",
        "declare a default channel",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn unknown_export_is_read_once_its_columns_are_declared() {
    let declared = builder()
        .events(case("events/payments.csv"))
        .rename("Created date (UTC)", "timestamp")
        .rename("Amount", "revenue")
        .rename("id", "event_id")
        .event_type(EventType::PURCHASE)
        .default_channel(Channel::Other)
        .only("Status", "paid");
    let (loaded, warehouse) = load(declared).await;
    let loaded = loaded.unwrap();
    assert_eq!((loaded.read, loaded.loaded, loaded.quarantined), (3, 2, 1));
    let mut events: Vec<Event> = all(&warehouse).await;
    events.sort_by_key(|event| event.timestamp);
    let shown: Vec<String> =
        events.iter().map(|it| format!("{} {} {}", it.user_id, it.event_type, it.revenue.0)).collect();
    assert_eq!(shown, ["cus_1 purchase 34.75", "cus_2 purchase 82.50"]);
    // Its address is a property, and replaced there.
    assert!(!format!("{events:?}").contains("anna@"));
    let left_out: Vec<QuarantineRow> = all(&warehouse).await;
    assert_eq!(left_out[0].line, Some(3));
    assert!(left_out[0].reason.contains("left out: the value is none of paid"), "{}", left_out[0].reason);
}

#[tokio::test]
async fn file_without_revenue_says_that_it_is_zero() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.csv");
    std::fs::write(&path, "user_id,event_type,timestamp,channel\nu,purchase,2026-01-01 10:00:00,email\n")
        .unwrap();
    let (loaded, _) = load(builder().events(&path)).await;
    let notes = &loaded.unwrap().files[0].notes;
    assert!(notes[0].contains("no column is read as revenue"), "{notes:?}");
}

#[tokio::test]
async fn dates_alone_are_read_by_a_declared_pattern_as_noon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, "Sale Date,user_id,Total\n11/02/26,anna,24.00\n").unwrap();
    let declared = |it: CsvBuilder| {
        let it = it.event_type(EventType::PURCHASE).default_channel(Channel::Other);
        it.rename("Sale Date", "timestamp").rename("Total", "revenue")
    };
    let (refused, _) = load(declared(builder().events(&path))).await;
    assert!(refused.unwrap_err().to_string().contains("declare the time format"));
    let (loaded, warehouse) = load(declared(builder().events(&path)).time_format("%m/%d/%y")).await;
    assert_eq!(loaded.unwrap().loaded, 1);
    let events: Vec<Event> = all(&warehouse).await;
    assert_eq!(events[0].timestamp.to_rfc3339(), "2026-11-02T12:00:00+00:00");
}

#[tokio::test]
async fn column_that_says_utc_is_not_read_in_another_zone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.csv");
    for (column, hour) in [("timestamp", 9), ("Created (UTC)", 10)] {
        let text =
            format!("user_id,event_type,{column},channel,revenue\nu,page_view,2026-01-01 10:00:00,email,\n");
        std::fs::write(&path, text).unwrap();
        let paris = builder().events(&path).times_in(chrono_tz::Europe::Paris);
        let paris = if column == "timestamp" { paris } else { paris.rename(column, "timestamp") };
        let (loaded, warehouse) = load(paris).await;
        let notes = loaded.unwrap().files.remove(0).notes;
        assert_eq!(notes.iter().any(|note| note.contains("are UTC")), hour == 10, "{notes:?}");
        let events: Vec<Event> = all(&warehouse).await;
        assert_eq!(events[0].timestamp.to_rfc3339(), format!("2026-01-01T{hour:02}:00:00+00:00"));
    }
}

#[tokio::test]
async fn costs_count_as_records_and_their_campaigns_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("costs.csv");
    let rows =
        "2026-05-03,paid,google,cpc,spring,1,1,7.40,EUR\n2026-05-04,paid,google,cpc,spring,1,1,1.40,EUR\n";
    std::fs::write(
        &path,
        format!("day,channel,source,medium,campaign,impressions,clicks,cost,currency\n{rows}"),
    )
    .unwrap();
    let (loaded, _) = load(builder().costs(&path)).await;
    let loaded = loaded.unwrap();
    assert_eq!((loaded.read, loaded.loaded), (2, 2));
}
