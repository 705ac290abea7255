//! What a real Matomo 5.0.2 answered (`tests/recordings/matomo-2`): long visits, the current day, campaigns without
//! keyword, several sites. A request is answered only with the very parameters that were recorded (those that
//! change the form of the answer only apart); VisitsSummary.get and
//! Goals.get, recorded for one date, also as the list of one date that they answer.

use super::{TOKEN, has, source};
use crate::support::{all, at, day, window};
use futures_util::StreamExt;
use mkt_connect::testing::{Answer, Received, Server};
use mkt_etl::matomo::MatomoBuilder;
use mkt_etl::{AnalyticsSource, Page, Pipeline, RunReport};
use mkt_warehouse::model::{DimensionMetric, Event, Session};
use mkt_warehouse::{SliceKey, Sqlite};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::form_urlencoded;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/matomo-2");

fn body(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(format!("{FOLDER}/{name}.body")).unwrap()).unwrap()
}

/// The answer to a call: recorded with these parameters, or nothing.
fn recorded(manifest: &[Value], call: &BTreeMap<String, String>) -> Option<Value> {
    let ours = |name: &str| {
        !matches!(
            name,
            "language" | "format_metrics" | "filter_sort_order" | "doNotFetchActions" | "token_auth"
        )
    };
    let asked: BTreeMap<&str, &str> =
        call.iter().filter(|(name, _)| ours(name)).map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let matching = |asked: &BTreeMap<&str, &str>| {
        manifest.iter().find_map(|recording| {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let held: BTreeMap<String, String> = recording["params"]
                .as_object()
                .unwrap()
                .iter()
                // The recordings are shorter than any limit.
                .filter(|(name, _)| name.as_str() != "filter_limit")
                .map(|(name, value)| (name.clone(), text(value)))
                .collect();
            let wanted: BTreeMap<String, String> = asked
                .iter()
                .filter(|(name, _)| **name != "filter_limit")
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect();
            let name = recording["name"].as_str().unwrap();
            let path = format!("{FOLDER}/{name}.body");
            (held == wanted && std::path::Path::new(&path).exists()).then(|| match body(name) {
                // Recorded in Matomo's own order, descending; asked for in the other one.
                Value::Array(mut visits) if name.contains("live") => {
                    visits.reverse();
                    Value::Array(visits)
                }
                other => other,
            })
        })
    };
    if let Some(found) = matching(&asked) {
        return Some(found);
    }
    // Lists of one date, of the reports that answer them (recorded: `vs_get_one_day_as_range`, `ref_type_range`).
    let lists = ["VisitsSummary.get", "Goals.get", "Referrers.getReferrerType"];
    let (first, last) = asked.get("date")?.split_once(',')?;
    if first != last || !lists.contains(asked.get("method")?) {
        return None;
    }
    let mut single = asked.clone();
    single.insert("date", first);
    let of_day = matching(&single)?;
    Some(Value::Object(Map::from_iter([(first.to_owned(), of_day)])))
}

/// The second instance: site 1 in Paris, 2 in New York, 3 at UTC+5.5, 99 does not exist, 4 is hidden from the token, 5 is
/// at UTC+3.5, 6 in a zone that nobody knows.
async fn instance() -> Server {
    let manifest: Vec<Value> =
        serde_json::from_slice(&std::fs::read(format!("{FOLDER}/MANIFEST.json")).unwrap()).unwrap();
    Server::start(move |request: &Received| {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let site =
            |id: u64, zone: &str| json!({"idsite": id, "timezone": zone, "currency": "EUR", "ecommerce": 1});
        let one = |call: &BTreeMap<String, String>| -> Option<Value> {
            let of = |name: &str| call.get(name).map(String::as_str);
            match (of("method")?, of("idSite")) {
                ("SitesManager.getSiteFromId", Some("1")) => Some(site(1, "Europe/Paris")),
                ("SitesManager.getSiteFromId", Some("2")) => Some(site(2, "America/New_York")),
                ("SitesManager.getSiteFromId", Some("5")) => Some(site(5, "UTC+3.5")),
                ("SitesManager.getSiteFromId", Some("6")) => Some(site(6, "Mars/Olympus_Mons")),
                // The words of core/Access.php, as the first recording has them for other sites.
                ("SitesManager.getSiteFromId", Some("4")) => Some(json!({"result": "error", "message":
                    "You can't access this resource as it requires 'view' access for the website id = 4."})),
                ("API.getMatomoVersion", _) => Some(json!({"value": "5.0.2"})),
                _ => recorded(&manifest, call),
            }
        };
        if fields.get("method").map(String::as_str) != Some("API.getBulkRequest") {
            return match one(&fields) {
                Some(answer) => Answer::json(answer.to_string()),
                None => Answer::text("not recorded").with_status(404),
            };
        }
        let elements: Vec<Value> = (0..)
            .map_while(|index| fields.get(&format!("urls[{index}]")))
            .map(|url| {
                let (query, _) = form_urlencoded::parse(url.as_bytes()).next().unwrap();
                let mut call: BTreeMap<String, String> =
                    form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                call.extend(
                    [("module", "API"), ("format", "JSON")].map(|(a, b)| (a.to_owned(), b.to_owned())),
                );
                one(&call).unwrap_or_else(|| json!({"result": "error", "message": "not recorded"}))
            })
            .collect();
        Answer::json(Value::Array(elements).to_string())
    })
    .await
    .unwrap()
}

async fn run(source: MatomoBuilder, date: &str, now: &str) -> (RunReport, Sqlite) {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source.build().unwrap(), warehouse.clone()).clock(at(now));
    (pipeline.run(window(date, date)).await.unwrap(), warehouse)
}

#[tokio::test]
async fn visit_with_more_actions_than_live_gives_is_truncated_and_says_what_is_missing() {
    let server = instance().await;
    let (report, warehouse) =
        run(source(&server).streams(["visits"]), "2026-10-02", "2026-11-15T12:00:00Z").await;
    assert!(report.failures.is_empty() && report.drift.is_empty(), "{report:#?}");
    assert_eq!(report.slices, BTreeMap::from([("truncated".to_owned(), 1)]));
    let note = report.notes.values().next().unwrap();
    // 760 actions and an order; Live has 500 of them. Goals.get of the day: 1 conversion, 55.50.
    for part in ["the last 261 actions of 1 visits", "1 conversions and 55.5 of revenue are missing"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(all::<Event>(&warehouse).await.len(), 500);
}

#[tokio::test]
async fn slice_of_the_current_day_has_no_visit_of_yesterday() {
    let server = instance().await;
    let source = || source(&server).streams(["visits", "hours"]).site_named(2, "new-york");
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source().build().unwrap(), warehouse.clone())
        .sites(["new-york"])
        .clock(at("2026-12-01T01:30:00Z"));
    let report = pipeline.run(window("2026-11-30", "2026-11-30")).await.unwrap();
    assert!(report.is_complete() && report.unreconciled.is_empty(), "{report:#?}");
    // VisitsSummary.get says 4; Live by day has 14.
    assert_eq!(all::<Session>(&warehouse).await.len(), 4);
    let hours: Vec<DimensionMetric> = all(&warehouse).await;
    let visits: rust_decimal::Decimal =
        hours.iter().filter(|row| row.metric == "visits").filter_map(|row| row.value).map(|x| x.0).sum();
    assert_eq!(visits, 4.into());
}

#[tokio::test]
async fn visits_of_another_day_are_left_out_whatever_the_server_answers() {
    // A server that also gives yesterday's visits to a range: what `period=day` answered on the current day.
    let server = super::answering(|method, _| match method {
        "Live.getLastVisitsDetails" => {
            let mut visits = body("today_live_day").as_array().unwrap().clone();
            visits.reverse();
            Some(Value::Array(visits))
        }
        _ => None,
    })
    .await;
    // The site of this server is in Paris: 1 December has the visit that ended at 02:15.
    let matomo = source(&server).streams(["visits"]).build().unwrap();
    let pages = super::pages(&matomo, "visits", "2026-12-01").await;
    let pages: Vec<Page> = pages.into_iter().map(Result::unwrap).collect();
    let sessions: usize = pages.iter().map(|page| page.sessions.len()).sum();
    let notes: Vec<&String> = pages.iter().flat_map(|page| &page.notes).collect();
    assert_eq!(sessions, 1);
    assert!(notes.iter().any(|note| note.contains("13 visits of another day")), "{notes:?}");
}

#[tokio::test]
async fn names_of_referrers_are_read_from_a_server_that_refuses_lists_of_dates() {
    let server = instance().await;
    let (report, warehouse) =
        run(source(&server).streams(["referrer_names"]), "2026-10-08", "2026-11-15T12:00:00Z").await;
    assert!(report.failures.is_empty(), "{report:#?}");
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    let sum: i64 =
        body("get_all_day").as_array().unwrap().iter().map(|row| row["nb_visits"].as_i64().unwrap()).sum();
    let ours: rust_decimal::Decimal = rows
        .iter()
        .filter(|row| row.report == "referrer_names" && row.metric == "visits")
        .filter_map(|row| row.value)
        .map(|value| value.0)
        .sum();
    assert_eq!(ours, sum.into());
}

#[tokio::test]
async fn visits_of_a_campaign_without_a_keyword_are_a_row_of_their_own() {
    let server = instance().await;
    let (report, warehouse) =
        run(source(&server).streams(["campaigns"]), "2026-10-25", "2026-11-15T12:00:00Z").await;
    // Referrers.getReferrerType: 27 visits of campaigns; `flat=1` has 26.
    assert_eq!(report.slices, BTreeMap::from([("settled".to_owned(), 1)]), "{report:#?}");
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    let without = json!({"campaign": "vieux", "campaign_keyword": null});
    has(&rows, "campaigns", &without, &[("visits", "1")]);
    // People may not be added up, nor taken apart.
    assert_eq!(super::value(&rows, "campaigns", &without, "unique_visitors"), None);
    has(
        &rows,
        "campaigns",
        &json!({"campaign": "soldes été", "campaign_keyword": "robe"}),
        &[("visits", "10")],
    );
}

#[tokio::test]
async fn site_that_cannot_be_read_does_not_stop_the_others() {
    let server = instance().await;
    let source = source(&server)
        .streams(["visits"])
        .site_named(99, "deleted")
        .site_named(4, "hidden")
        .site_named(5, "teheran")
        .site_named(6, "mars")
        .site_named(3, "inde");
    let matomo = source.build().unwrap();
    let checked = matomo.check().await.unwrap();
    let zones: Vec<(&str, String)> =
        checked.sites.iter().map(|site| (site.site.as_str(), site.days_in().to_string())).collect();
    let expected = [("1", "Europe/Paris"), ("teheran", "UTC+03:30"), ("inde", "Asia/Kolkata")];
    assert_eq!(zones, expected.map(|(site, zone)| (site, zone.to_owned())));
    let failed: Vec<(&str, &str)> =
        checked.failed.iter().map(|site| (site.site.as_str(), site.kind.as_str())).collect();
    assert_eq!(failed, [("deleted", "not_found"), ("hidden", "not_found"), ("mars", "protocol")]);
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(matomo.clone(), warehouse.clone())
        .sites(["1", "deleted", "mars"])
        .clock(at("2026-11-15T12:00:00Z"));
    let report = pipeline.run(window("2026-10-02", "2026-10-02")).await.unwrap();
    let failures: Vec<&str> = report.failures.iter().map(|failure| failure.slice.as_str()).collect();
    assert_eq!(failures, ["matomo/deleted", "matomo/mars"]);
    assert!(report.failures[1].message.contains("Mars/Olympus_Mons"), "{:?}", report.failures);
    assert_eq!((report.exit_code(), all::<Session>(&warehouse).await.len()), (3, 1));
    let slice = SliceKey::day("matomo", "visits", "deleted", day("2026-10-02"));
    let error = matomo.read(&slice).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), mkt_connect::ErrorKind::NotFound);
}

#[tokio::test]
async fn token_that_may_view_no_site_is_refused() {
    let server = instance().await;
    let matomo = mkt_etl::matomo::Matomo::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .token(TOKEN)
        .site(4)
        .build()
        .unwrap();
    assert_eq!(matomo.check().await.unwrap_err().kind(), mkt_connect::ErrorKind::Auth);
}

#[tokio::test]
async fn lost_database_connection_is_retried() {
    let calls = AtomicUsize::new(0);
    let server = super::answering(move |method, _| {
        (method == "VisitsSummary.get" && calls.fetch_add(1, Ordering::Relaxed) == 0)
            .then(|| json!({"result": "error", "message": "SQLSTATE[HY000]: General error: 2006 MySQL server has gone away"}))
    })
    .await;
    let matomo = source(&server)
        .streams(["daily"])
        .retry(mkt_connect::http::retry::Policy::default())
        .build()
        .unwrap();
    let pages = super::pages(&matomo, "daily", "2026-10-02").await;
    assert!(pages.iter().all(Result::is_ok), "{pages:?}");
}

#[tokio::test]
async fn content_impression_has_a_name() {
    let server =
        super::answering(|method, _| (method == "Live.getLastVisitsDetails").then(|| body("content_live")))
            .await;
    let matomo = source(&server).streams(["visits"]).build().unwrap();
    let pages = super::pages(&matomo, "visits", "2026-11-28").await;
    let events: Vec<Event> = pages.into_iter().flat_map(|page| page.unwrap().events).collect();
    let content: Vec<&Event> =
        events.iter().filter(|event| event.event_type.as_str() == "content_impression").collect();
    assert_eq!(content.len(), 1, "{events:?}");
    assert_eq!(content[0].properties.0["content_name"], "Bannière");
    assert!(events.iter().all(|event| !event.event_type.as_str().starts_with("matomo_")));
}
