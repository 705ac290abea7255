//! CSV files: the sample data against what was planted in it, and everything that does not fit.

use crate::support::{all, day, dump, late, utc, window};
use futures_util::StreamExt;
use mkt_connect::table::Encoding;
use mkt_connect::{Channel, Currency, ErrorKind};
use mkt_etl::csv::CsvSource;
use mkt_etl::ledger::{DriftRow, ExtraRow, QuarantineRow, SliceRow};
use mkt_etl::testing::conformance::{Subject, Verdict, check_all};
use mkt_etl::{AnalyticsSource, Page, Pipeline, RunReport};
use mkt_warehouse::model::{Campaign, Cost, Event, EventType, Session, SliceState, User};
use mkt_warehouse::{SliceKey, Sqlite};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const EVENTS: &str = "event_id,user_id,event_type,timestamp,channel,revenue,properties\n";
const SESSIONS: &str = "session_id,user_id,start_time,end_time,pages_viewed,converted,channel\n";

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data")
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn load(source: &CsvSource, warehouse: &Sqlite, from: &str, last: &str) -> RunReport {
    let pipeline = Pipeline::new(source.clone(), warehouse.clone()).clock(late());
    let report = pipeline.run(window(from, last)).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert!(report.unreconciled.is_empty(), "{report:#?}");
    report
}

async fn pages(source: &CsvSource, stream: &str, date: &str) -> Vec<Page> {
    let slice = SliceKey::day("csv", stream, "shop", day(date));
    source.read(&slice).map(Result::unwrap).collect().await
}

fn last_event(truth: &serde_json::Value) -> String {
    format!("{}Z", truth["last_event"].as_str().unwrap().replace(' ', "T"))
}

fn decimal(value: &serde_json::Value) -> Decimal {
    value.to_string().parse().unwrap()
}

#[tokio::test]
async fn the_sample_data_loads_as_it_was_planted() {
    let truth: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sample().join("truth.json")).unwrap()).unwrap();
    let totals = &truth["totals"];
    let zone = truth["zone"].as_str().unwrap().parse().unwrap();
    let source = CsvSource::builder("shop", zone)
        .sessions(sample().join("sessions.csv"))
        .events(sample().join("events.csv"))
        .customers(sample().join("customers.csv"))
        .costs(sample().join("costs.csv"))
        .build()
        .unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let (from, last) = (truth["start"].as_str().unwrap(), truth["end"].as_str().unwrap());
    let days = source.days().await.unwrap().unwrap();
    assert!(day(from) <= days.from && days.until <= day(last).succ_opt().unwrap(), "{days:?}");
    assert_eq!(days.until.pred_opt().unwrap(), mkt_etl::zone::local_day(utc(&last_event(&truth)), zone));
    let report = load(&source, &warehouse, from, last).await;
    assert_eq!((report.quarantined, report.duplicates), (0, 0));
    let rows = |table: &str| report.rows[table];
    for (table, name) in
        [("sessions", "sessions"), ("events", "events"), ("users", "customers"), ("costs", "cost_rows")]
    {
        assert_eq!(rows(table), totals[name].as_u64().unwrap(), "{table}");
    }
    let events: Vec<Event> = all(&warehouse).await;
    for name in ["page_view", "product_view", "add_to_cart", "purchase", "signup"] {
        let count = events.iter().filter(|event| event.event_type.as_str() == name).count() as u64;
        assert_eq!(count, totals[name].as_u64().unwrap(), "{name}");
    }
    assert_eq!(events.iter().map(|event| event.revenue.0).sum::<Decimal>(), decimal(&totals["revenue"]));
    let costs: Vec<Cost> = all(&warehouse).await;
    assert_eq!(costs.iter().map(|cost| cost.cost.0).sum::<Decimal>(), decimal(&totals["cost"]));
    assert_eq!(costs.iter().filter_map(|cost| cost.clicks).sum::<i64>(), totals["clicks"].as_i64().unwrap());
    let sessions: Vec<Session> = all(&warehouse).await;
    let over_midnight = sessions
        .iter()
        .filter(|session| mkt_etl::zone::local_day(session.end_time, zone) != session.day)
        .count() as u64;
    assert_eq!(over_midnight, totals["sessions_across_local_midnight"].as_u64().unwrap());

    // Every session of a tagged channel knows its campaign from the first URL, also over midnight, and every campaign
    // that brought a session was paid for.
    let declared: BTreeSet<String> =
        all::<Campaign>(&warehouse).await.into_iter().map(|row| row.campaign_id).collect();
    for session in &sessions {
        let tagged = [Channel::Paid, Channel::Email].contains(&session.channel);
        assert!(!tagged || session.campaign_id.is_some(), "{session:?}");
        assert!(
            session.campaign_id.as_ref().is_none_or(|campaign| declared.contains(campaign)),
            "{session:?}"
        );
    }
    for event in events.iter().filter(|event| event.event_type == EventType::PURCHASE) {
        let session =
            sessions.iter().find(|session| Some(&session.session_id) == event.session_id.as_ref()).unwrap();
        assert_eq!(event.campaign_id, session.campaign_id);
        assert!(session.converted);
    }

    let everything = dump(&warehouse).await;
    assert!(!everything.contains('@'), "an address is stored");
    assert!(!everything.contains("Raphaël"), "a name is stored");
    let again = load(&source, &warehouse, from, last).await;
    assert!(!again.changed);
    assert_eq!(again.rows, report.rows);
    assert_eq!(dump(&warehouse).await, everything);
}

#[tokio::test]
async fn customers_bring_consent_and_segment_but_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let customers = write(
        &folder,
        "customers.csv",
        "user_id,email,first_name,lang,consent_marketing,consent_since,signed_up_at,segment,phone\n\
         u1,jo@example.org,Jo,FR,true,2026-05-01 10:00:00,2026-05-01 22:30:00,client,0102030405\n\
         kim@example.org,kim@example.org,Kim,,,,,,\n",
    );
    let source = CsvSource::builder("shop", chrono_tz::Europe::Paris).customers(customers).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    load(&source, &warehouse, "2026-05-01", "2026-05-01").await;
    let users: Vec<User> = all(&warehouse).await;
    let one = users.iter().find(|user| user.user_id == "u1").unwrap();
    assert_eq!((one.language.as_deref(), one.segment.as_deref()), (Some("fr"), Some("client")));
    // 22:30 UTC is half past midnight in Paris.
    assert_eq!((one.signed_up_at, one.day), (Some(utc("2026-05-01T22:30:00Z")), day("2026-05-02")));
    assert_eq!(
        one.attributes.0,
        serde_json::json!({"consent_marketing": true, "consent_since": "2026-05-01T10:00:00Z"})
    );
    // An id that is an address is hashed.
    assert!(users.iter().any(|user| user.user_id.starts_with("u:") && user.signed_up_at.is_none()));
    let text = dump(&warehouse).await;
    for personal in ["@", "Kim", "0102030405"] {
        assert!(!text.contains(personal), "{personal}");
    }
    let drift: Vec<DriftRow> = all(&warehouse).await;
    let drift: Vec<[&str; 3]> =
        drift.iter().map(|row| [row.place.as_str(), row.field.as_str(), row.change.as_str()]).collect();
    assert_eq!(drift, [["customers.csv", "phone", "new"]]);
    assert!(
        all::<ExtraRow>(&warehouse).await.is_empty(),
        "a column that nobody knows is kept of no customer"
    );
}

#[tokio::test]
async fn columns_that_the_model_does_not_know_are_kept_beside_sessions_and_costs() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = write(
        &folder,
        "sessions.csv",
        "session_id,user_id,start_time,end_time,pages_viewed,converted,channel,browser,note\n\
         s1,u1,2026-05-01 10:00:00,2026-05-01 10:05:00,3,true,email,Firefox,ask jo@example.org\n\
         s2,u2,2026-05-01 11:00:00,2026-05-01 11:05:00,1,false,email,,\n",
    );
    let costs = write(
        &folder,
        "costs.csv",
        "day,channel,source,medium,campaign,impressions,clicks,cost,currency,quality\n\
         2026-05-01,paid,google,cpc,spring,10,1,2.50,EUR,7\n",
    );
    let source = CsvSource::builder("shop", chrono_tz::UTC).sessions(sessions).costs(costs).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    load(&source, &warehouse, "2026-05-01", "2026-05-01").await;
    let mut extras: Vec<(String, String)> = all::<ExtraRow>(&warehouse)
        .await
        .into_iter()
        .map(|row| (row.record, row.fields.0.to_string()))
        .collect();
    extras.sort();
    assert_eq!(
        extras,
        [
            ("2026-05-01 paid google_cpc_spring".to_owned(), r#"{"quality":"7"}"#.to_owned()),
            ("csv:shop:s1".to_owned(), r#"{"browser":"Firefox","note":"ask [address]"}"#.to_owned()),
        ]
    );
    let mut drift: Vec<(String, String)> =
        all::<DriftRow>(&warehouse).await.into_iter().map(|row| (row.place, row.field)).collect();
    drift.sort();
    let named = |place: &str, field: &str| (place.to_owned(), field.to_owned());
    assert_eq!(
        drift,
        [named("costs.csv", "quality"), named("sessions.csv", "browser"), named("sessions.csv", "note")]
    );
}

#[tokio::test]
async fn what_does_not_fit_is_set_aside_with_its_place_and_counts_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "1,u1,page_view,2026-03-28 10:00:00,direct,0,{}",
        "2,u1,page_view,28/03/2026,direct,0,{}",
        "3,,page_view,2026-03-28 10:01:00,direct,0,{}",
        "4,u1,page view,2026-03-28 10:02:00,direct,0,{}",
        "5,u1,purchase,2026-03-28 10:03:00,direct,twelve,{}",
        "6,u1,purchase,2026-03-28 10:04:00,direct,123456789.00,{}",
        "7,u1,page_view,2026-03-28 10:05:00,direct,0,not json",
        "8,u1,page_view,2026-03-28 10:06:00,direct,0",
        "9,u1,search,2026-03-28 10:07:00,direct,0,\"{\"\"q\"\":\"\"me@example.org\"\"}\"",
        "1,u1,page_view,2026-03-28 10:00:00,direct,0,{}",
        "1,u2,page_view,2026-03-29 10:00:00,direct,0,{}",
        "10,u1,page_view,12026-03-28 10:00:00,direct,0,{}",
        ",u1,page_view,2026-03-28 10:08:00,direct,0,{}",
        "11,jo@example.org,page_view,2026-03-28 bad,direct,0,{}",
        "12,u1,page_view,2026-03-28 10:09:00,carrier pigeon,,",
        "13,u1,page_view,2026-03-28 10:10:00,direct\r,0,{}",
    ];
    let events = write(&folder, "events.csv", format!("{EVENTS}{}\n", lines.join("\n")));
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = load(&source, &warehouse, "2026-03-28", "2026-03-29").await;
    assert_eq!((report.read, report.rows["events"], report.duplicates, report.quarantined), (17, 4, 1, 12));
    let mut rows: Vec<QuarantineRow> = all(&warehouse).await;
    rows.sort_by_key(|row| row.line);
    let reasons: Vec<(i64, &str)> = rows.iter().map(|row| (row.line.unwrap(), row.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (3, "column \"timestamp\": not a timestamp (YYYY-MM-DD HH:MM:SS) (like \"99/99/9999\")"),
            (4, "column \"user_id\": empty"),
            (6, "column \"revenue\": not a decimal number (like \"aaaaaa\")"),
            (7, "column \"revenue\": an amount of 100 000 000 or more does not fit DECIMAL(10,2)"),
            (8, "column \"properties\": not a JSON object"),
            (9, "6 fields, the header has 7"),
            (12, "its id belongs to an earlier record, which differs"),
            (
                13,
                "column \"timestamp\": not a timestamp (YYYY-MM-DD HH:MM:SS) (like \"99999-99-99 99:99:99\")"
            ),
            (14, "column \"event_id\": empty"),
            (15, "column \"timestamp\": not a timestamp (YYYY-MM-DD HH:MM:SS) (like \"9999-99-99 aaa\")"),
            // A carriage return ends a line.
            (17, "5 fields, the header has 7"),
            (18, "3 fields, the header has 7"),
        ]
    );
    // Line 4 begins after the header (65 bytes) and two lines (47 and 38 bytes, line ends included).
    assert_eq!(EVENTS.len() + lines[0].len() + 1 + lines[1].len() + 1, 65 + 47 + 38);
    assert_eq!((rows[1].byte_offset, rows[1].raw.as_str()), (Some(150), lines[2]));
    assert_eq!(rows[9].raw, "11,[address],page_view,2026-03-28 bad,direct,0,{}");
    let stored: Vec<Event> = all(&warehouse).await;
    assert!(stored.iter().any(|event| event.properties.0["q"] == "[address]"));
    // An unknown channel is no reason to lose an event.
    assert!(stored.iter().any(|event| event.channel == Channel::Other));
    // Line 13 names no day that is one: it is set aside with the day of line 12.
    let days: Vec<String> = rows.iter().map(|row| row.day.to_string()).collect();
    assert_eq!(days[6..8], ["2026-03-29", "2026-03-29"]);
}

#[tokio::test]
async fn repaired_files_leave_no_quarantine_behind() {
    let folder = tempfile::tempdir().unwrap();
    let good = "1,u1,page_view,2026-03-28 10:00:00,direct,0,{}\n";
    let events = write(
        &folder,
        "events.csv",
        format!("{EVENTS}{good}2,u1,page_view,2026-03-28 11:00:00,direct,x,{{}}\n"),
    );
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    assert_eq!(load(&source, &warehouse, "2026-03-28", "2026-03-28").await.quarantined, 1);
    write(&folder, "events.csv", format!("{EVENTS}{good}2,u1,page_view,2026-03-28 11:00:00,direct,0,{{}}\n"));
    let report = load(&source, &warehouse, "2026-03-28", "2026-03-28").await;
    assert_eq!((report.quarantined, report.revised, report.rows["events"]), (0, 1, 2));
    assert!(all::<QuarantineRow>(&warehouse).await.is_empty());
}

#[tokio::test]
async fn a_settled_day_is_read_again_when_its_records_change_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let first =
        "1,u1,page_view,2026-03-27 10:00:00,direct,0,{}\n2,u1,page_view,2026-03-28 10:00:00,direct,0,{}\n";
    let events = write(&folder, "events.csv", format!("{EVENTS}{first}"));
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = load(&source, &warehouse, "2026-03-27", "2026-03-28").await;
    assert_eq!(report.in_state(SliceState::Settled), 2);
    let before: Vec<SliceRow> = all(&warehouse).await;
    write(
        &folder,
        "events.csv",
        format!("{EVENTS}{first}3,u1,page_view,2026-03-28 12:00:00,direct,0,{{}}\n"),
    );
    let report = load(&source, &warehouse, "2026-03-27", "2026-03-28").await;
    assert_eq!((report.replayed, report.revised), (1, 1));
    let after: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
}

#[tokio::test]
async fn days_are_cut_in_the_zone_of_the_site_and_naive_times_are_of_the_declared_zone() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = write(
        &folder,
        "sessions.csv",
        format!(
            "{SESSIONS}\
             a,u1,2026-03-28 22:59:59,2026-03-28 23:10:00,1,false,direct\n\
             b,u1,2026-03-28 23:00:00,2026-03-28 23:10:00,1,true,direct\n\
             c,u1,2026-03-29T23:30:00+02:00,2026-03-29T23:40:00+02:00,1,0,direct\n\
             d,u1,2026-03-29T22:30:00Z,2026-03-29T22:40:00Z,1,non,direct\n"
        ),
    );
    let source = CsvSource::builder("shop", chrono_tz::Europe::Paris).sessions(&sessions).build().unwrap();
    let ids = |pages: Vec<Page>| -> Vec<String> {
        pages.into_iter().flat_map(|page| page.sessions).map(|session| session.session_id).collect()
    };
    assert_eq!(ids(pages(&source, "sessions", "2026-03-28").await), ["csv:shop:a"]);
    assert_eq!(ids(pages(&source, "sessions", "2026-03-29").await), ["csv:shop:b", "csv:shop:c"]);
    assert_eq!(ids(pages(&source, "sessions", "2026-03-30").await), ["csv:shop:d"]);

    // The same times as times of Paris: 02:30 does not exist on 29 March and exists twice on 25 October.
    let sessions = write(
        &folder,
        "paris.csv",
        format!(
            "{SESSIONS}\
             a,u1,2026-03-29 01:30:00,2026-03-29 03:30:00,1,false,direct\n\
             b,u1,2026-03-29 02:30:00,2026-03-29 03:30:00,1,false,direct\n\
             c,u1,2026-10-25 02:30:00,2026-10-25 03:30:00,1,false,direct\n"
        ),
    );
    let source = CsvSource::builder("shop", chrono_tz::Europe::Paris)
        .sessions(&sessions)
        .times_in(chrono_tz::Europe::Paris)
        .build()
        .unwrap();
    let page = pages(&source, "sessions", "2026-03-29").await.remove(0);
    assert_eq!(page.sessions[0].time_on_site, Some(3600));
    assert_eq!(
        page.rejected[0].reason,
        "column \"start_time\": a local time that does not exist in the time zone"
    );
    let page = pages(&source, "sessions", "2026-10-25").await.remove(0);
    assert_eq!(page.sessions[0].start_time, utc("2026-10-25T00:30:00Z"));
}

#[tokio::test]
async fn semicolons_decimal_commas_latin_1_and_other_names_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Visiteur;event_id;event_type;timestamp;channel;revenue;properties;magasin\r\n\
                u1;1;purchase;2026-03-28 10:00:00;email;19,90;\"{\"\"note\"\":\"\"caf\u{e9}; cr\u{e8}me\"\"}\";Orl\u{e9}ans\r\n";
    let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (name, bytes) in [
        ("latin1.csv", latin1),
        ("utf8.csv", text.as_bytes().to_vec()),
        ("bom.csv", format!("\u{feff}{text}").into_bytes()),
    ] {
        let source = CsvSource::builder("shop", chrono_tz::UTC)
            .events(write(&folder, name, bytes))
            .rename("visiteur", "user_id")
            .build()
            .unwrap();
        let page = pages(&source, "events", "2026-03-28").await.remove(0);
        assert_eq!(page.rejected, [], "{name}");
        let event = &page.events[0];
        assert_eq!((event.user_id.as_str(), event.revenue.0), ("u1", "19.90".parse().unwrap()), "{name}");
        assert_eq!(event.properties.0["note"], "caf\u{e9}; cr\u{e8}me", "{name}");
        assert_eq!(event.properties.0["magasin"], "Orl\u{e9}ans", "{name}: a column we do not know is kept");
    }
    // Told that it is UTF-8, the same bytes are set aside.
    let source = CsvSource::builder("shop", chrono_tz::UTC)
        .events(folder.path().join("latin1.csv"))
        .rename("visiteur", "user_id")
        .encoding(Encoding::Utf8)
        .build()
        .unwrap();
    let slice = SliceKey::day("csv", "events", "shop", day("2026-03-28"));
    let error = source.read(&slice).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[tokio::test]
async fn records_in_any_order_give_the_same_slices() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<String> = (0..1200)
        .map(|n| {
            format!(
                "{n},u{},page_view,2026-03-{:02} 10:{:02}:00,direct,0,{{}}\n",
                n % 7,
                1 + n * 7 % 20,
                n % 60
            )
        })
        .collect();
    let mut sorted = records.clone();
    sorted.sort_by_key(|record| record.split(',').nth(3).map(str::to_owned));
    let mut contents = Vec::new();
    for (name, records) in [("mixed.csv", records), ("sorted.csv", sorted)] {
        let events = write(&folder, name, format!("{EVENTS}{}", records.concat()));
        let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
        let warehouse = Sqlite::in_memory().await.unwrap();
        let report = load(&source, &warehouse, "2026-03-01", "2026-03-20").await;
        assert_eq!((report.read, report.rows["events"], report.quarantined), (1200, 1200, 0));
        let mut events: Vec<Event> = all(&warehouse).await;
        // The place in the file is another one.
        events.iter_mut().for_each(|event| event.seq = 0);
        contents.push(serde_json::to_string(&events).unwrap());
    }
    assert_eq!(contents[0], contents[1]);
}

#[tokio::test]
async fn costs_declare_their_campaigns_and_several_currencies_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let costs = write(
        &folder,
        "costs.csv",
        "day,channel,source,medium,campaign,impressions,clicks,cost,currency\n\
         2026-05-02,paid,google,cpc,Soldes d'été,100,5,1.50,EUR\n\
         2026-05-01,paid,google,cpc,soldes d'ete,50,2,0.75,EUR\n\
         2026-05-01,social,instagram,social,x,,,2.00,usd\n\
         2026-05-01,paid,google,cpc,,1,1,1.00,EUROS\n\
         2026-05-01,paid,google,cpc,y,1,-1,1.00,EUR\n\
         2026-05-01,paid,google,cpc,y,1,1,,EUR\n",
    );
    let source = CsvSource::builder("shop", chrono_tz::Europe::Paris).costs(costs).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = load(&source, &warehouse, "2026-05-01", "2026-05-02").await;
    assert_eq!(
        (report.read, report.rows["costs"], report.rows["campaigns"], report.quarantined),
        (6, 3, 2, 3)
    );
    let campaigns: Vec<Campaign> = all(&warehouse).await;
    let sale = campaigns.iter().find(|row| row.tag_source == "google").unwrap();
    // One spelling, one campaign; first seen at midnight in Paris.
    assert_eq!(sale.campaign_id, "google_cpc_soldes-d-ete");
    assert_eq!((sale.first_seen, sale.channel), (utc("2026-04-30T22:00:00Z"), Channel::Paid));
    let costs: Vec<Cost> = all(&warehouse).await;
    assert_eq!(costs.iter().filter(|cost| cost.currency.as_str() == "USD").count(), 1);
    let rows: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!((rows[0].records_read, rows[0].records_loaded, rows[0].records_quarantined), (6, 3, 3));
}

#[tokio::test]
async fn events_keep_their_currency_and_a_refund_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let events = write(
        &folder,
        "events.csv",
        "event_id,user_id,event_type,timestamp,channel,revenue,properties,currency\n\
         1,u1,purchase,2026-03-28 10:00:00,direct,10.00,{},usd\n\
         2,u1,purchase,2026-03-28 10:01:00,direct,20.00,{},\n\
         3,u1,purchase,2026-03-28 10:02:00,direct,30.00,{},EUROS\n\
         4,u1,refund,2026-03-28 10:03:00,direct,5.50,{},EUR\n\
         5,u1,refund,2026-03-28 10:04:00,direct,-2.00,{},EUR\n\
         6,u1,refund,2026-03-28 10:05:00,direct,,{},EUR\n",
    );
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let report = load(&source, &warehouse, "2026-03-28", "2026-03-28").await;
    assert_eq!((report.rows["events"], report.quarantined), (5, 1));
    let mut stored: Vec<Event> = all(&warehouse).await;
    stored.sort_by_key(|event| event.timestamp);
    let shown: Vec<(String, Option<&str>)> = stored
        .iter()
        .map(|event| (event.revenue.0.normalize().to_string(), event.currency.as_ref().map(Currency::as_str)))
        .collect();
    let expected =
        [("10", Some("USD")), ("20", Some("EUR")), ("-5.5", Some("EUR")), ("-2", Some("EUR")), ("0", None)];
    assert_eq!(shown, expected.map(|(amount, currency)| (amount.to_owned(), currency)));
    assert!(stored.iter().all(|event| event.properties.0 == serde_json::json!({})));
    let rows: Vec<QuarantineRow> = all(&warehouse).await;
    assert_eq!(rows[0].reason, "column \"currency\": not an ISO 4217 code");
}

#[tokio::test]
async fn a_record_of_another_day_that_takes_an_id_changes_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let second = "1,u1,page_view,2026-03-28 10:00:00,direct,0,{}\n";
    let events = write(&folder, "events.csv", format!("{EVENTS}{second}"));
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    load(&source, &warehouse, "2026-03-27", "2026-03-28").await;
    let first = "1,u2,page_view,2026-03-27 10:00:00,direct,0,{}\n";
    write(&folder, "events.csv", format!("{EVENTS}{first}{second}"));
    let report = load(&source, &warehouse, "2026-03-27", "2026-03-28").await;
    assert_eq!((report.rows["events"], report.quarantined), (1, 1));
    let stored: Vec<Event> = all(&warehouse).await;
    assert_eq!(stored.iter().map(|event| event.user_id.as_str()).collect::<Vec<_>>(), ["u2"]);
}

#[tokio::test]
async fn the_names_of_columns_and_the_tags_of_the_next_day_are_of_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let header = |last: &str| EVENTS.replace("properties", &format!("properties,{last}"));
    let row = "1,u1,page_view,2026-03-28 10:00:00,direct,0,{},x\n";
    let version = async |text: String| {
        let events = write(&folder, "events.csv", text);
        let sessions = write(
            &folder,
            "sessions.csv",
            format!("{SESSIONS}s,u1,2026-03-28 10:00:00,2026-03-28 10:10:00,1,false,paid\n"),
        );
        let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).sessions(sessions).build();
        let source = source.unwrap();
        let of = |stream: &str| SliceKey::day("csv", stream, "shop", day("2026-03-28"));
        (source.version(&of("events")).await.unwrap(), source.version(&of("sessions")).await.unwrap())
    };
    let plain = version(format!("{}{row}", header("a"))).await;
    let renamed = version(format!("{}{row}", header("b"))).await;
    assert_ne!(plain.0, renamed.0);
    // The session's campaign stands in an event of the day after.
    let properties = r#""{""session_id"":""s"",""url"":""https://x.example/?utm_source=a&utm_campaign=c""}""#;
    let next = format!("2,u1,page_view,2026-03-29 00:05:00,direct,0,{properties},x\n");
    let tagged = version(format!("{}{row}{next}", header("a"))).await;
    assert_ne!(plain.1, tagged.1);
}

#[tokio::test]
async fn files_of_different_keys_stand_side_by_side_and_each_replaces_only_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let source = |key: &str, rows: &str| {
        let path = write(&folder, &format!("{key}.csv"), format!("{EVENTS}{rows}"));
        CsvSource::builder("shop", chrono_tz::UTC).events(path).key(key).build().unwrap()
    };
    let (a, b) = (
        "1,u1,page_view,2026-05-02 10:00:00,email,0,{}\n",
        "2,u2,page_view,2026-05-02 11:00:00,email,0,{}\n",
    );
    load(&source("january", a), &warehouse, "2026-05-02", "2026-05-02").await;
    let slices: Vec<SliceRow> = all(&warehouse).await;
    assert_eq!(slices[0].stream, "events:january");
    load(&source("february", b), &warehouse, "2026-05-02", "2026-05-02").await;
    let users =
        async || all::<Event>(&warehouse).await.into_iter().map(|e| e.user_id).collect::<BTreeSet<_>>();
    assert_eq!(users().await, BTreeSet::from(["u1".to_owned(), "u2".to_owned()]));
    load(
        &source("february", "3,u3,page_view,2026-05-02 12:00:00,email,0,{}\n"),
        &warehouse,
        "2026-05-02",
        "2026-05-02",
    )
    .await;
    assert_eq!(users().await, BTreeSet::from(["u1".to_owned(), "u3".to_owned()]));
    for key in ["", "a b", &"k".repeat(201)] {
        let error = CsvSource::builder("shop", chrono_tz::UTC).events("x.csv").key(key).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{key:?}");
    }
}

#[tokio::test]
async fn events_without_ids_are_known_by_content_and_an_empty_id_is_still_refused() {
    let folder = tempfile::tempdir().unwrap();
    let row = "u1,page_view,2026-05-02 10:00:00,email\n";
    let path = write(&folder, "plain.csv", format!("user_id,event_type,timestamp,channel\n{row}{row}"));
    let read = async |key: &str| {
        let source = CsvSource::builder("shop", chrono_tz::UTC).events(&path).key(key).build().unwrap();
        pages(&source, &format!("events:{key}"), "2026-05-02").await.remove(0)
    };
    let (first, again, other) = (read("a").await, read("a").await, read("b").await);
    assert_eq!((first.events.len(), first.duplicates), (1, 1));
    assert_eq!(first.events[0].event_id, again.events[0].event_id);
    assert_eq!(first.events[0].event_id, other.events[0].event_id, "the same row of another file");
    let path = write(&folder, "ids.csv", format!("{EVENTS},u1,page_view,2026-05-02 10:00:00,email,0,{{}}\n"));
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(path).build().unwrap();
    let page = pages(&source, "events", "2026-05-02").await.remove(0);
    assert_eq!((page.events.len(), page.rejected[0].reason.as_str()), (0, "column \"event_id\": empty"));
}

#[tokio::test]
async fn files_that_cannot_be_read_are_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, kind, says) in [
        ("empty.csv", Vec::new(), ErrorKind::Input, "is empty"),
        (
            "header.csv",
            b"event_id,user_id,when\n1,u1,now\n".to_vec(),
            ErrorKind::Input,
            "has no column event_type, timestamp",
        ),
        ("twice.csv", format!("event_id,{EVENTS}").into_bytes(), ErrorKind::Input, "event_id"),
        // A file without a header shows a person's row in its place.
        (
            "person.csv",
            b"1,jo@example.org,page_view\x1b\n".to_vec(),
            ErrorKind::Input,
            "(it has 1, [address], page_view )",
        ),
        ("quote.csv", b"\"event_id,user_id\n".to_vec(), ErrorKind::Input, "unclosed quotation mark"),
    ] {
        let source =
            CsvSource::builder("shop", chrono_tz::UTC).events(write(&folder, name, bytes)).build().unwrap();
        let error = source.check().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(name) && !text.contains('\n'), "{text}");
    }
    let source =
        CsvSource::builder("shop", chrono_tz::UTC).events(folder.path().join("none.csv")).build().unwrap();
    let error = source.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("none.csv"));
    let config = CsvSource::builder("shop", chrono_tz::UTC).build().unwrap_err();
    assert_eq!(config.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn csv_files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let events = write(
        &folder,
        "events.csv",
        format!(
            "{EVENTS}1,jo@example.org,page_view,2026-03-28 10:00:00,direct,0,{{}}\n2,u1,x,2026-03-29 10:00:00,direct,?,\n"
        ),
    );
    let costs = write(
        &folder,
        "costs.csv",
        "day,channel,source,medium,campaign,impressions,clicks,cost,currency\n2026-05-01,paid,a,b,c,1,1,1,EUR\n",
    );
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(events).costs(costs).build().unwrap();
    let findings = check_all(&Subject::new(&source, "shop", window("2026-03-27", "2026-03-29"))).await;
    for finding in findings {
        let skipped = finding.check == "no secret is in any output";
        assert_eq!(finding.verdict == Verdict::Held, !skipped, "{finding:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_bytes_counts_add_up_and_nothing_panics(
        cells in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![
                    Just("1".to_owned()), Just("2".to_owned()), Just("u1".to_owned()), Just("page_view".to_owned()),
                    Just("2026-03-28 10:00:00".to_owned()), Just("2026-03-29 10:00:00".to_owned()), Just("direct".to_owned()),
                    Just("{}".to_owned()), Just("\"".to_owned()), Just("\"\n\"".to_owned()), Just("é".to_owned()), Just("a@b.fr".to_owned()),
                ],
                5..9,
            ),
            0..12,
        ),
        good in any::<bool>(),
    ) {
        let mut text = EVENTS.to_owned();
        if good {
            text.push_str("9,u1,page_view,2026-03-28 09:00:00,direct,0,{}\n");
        }
        cells.iter().for_each(|row| text.push_str(&format!("{}\n", row.join(","))));
        let folder = tempfile::tempdir().unwrap();
        let source = CsvSource::builder("shop", chrono_tz::UTC).events(write(&folder, "events.csv", &text)).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut read = 0;
            for date in ["2026-03-28", "2026-03-29"] {
                let slice = SliceKey::day("csv", "events", "shop", day(date));
                let found: Vec<_> = source.read(&slice).collect().await;
                for page in found {
                    match page {
                        Ok(page) => {
                            prop_assert_eq!(page.read, page.rows() as u64 + page.rejected.len() as u64 + page.duplicates);
                            let shown = format!("{page:?}");
                            prop_assert!(!shown.contains("a@b.fr"), "{}", shown);
                            read += page.read;
                        }
                        // A file without any record of a day.
                        Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Input),
                    }
                }
            }
            prop_assert!(!good || read >= 1);
            Ok(())
        })?;
    }
}
