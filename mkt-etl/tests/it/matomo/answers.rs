//! Answers of forms that were not recorded: days without an archive, events, new fields, bulk requests, refusals.

use super::{SITE, TOKEN, answering, combinations, has, loaded, page, pages, settled, source, value};
use crate::support::{all, day, late, window};
use mkt_connect::ErrorKind;
use mkt_connect::testing::{Answer, Received, Server};
use mkt_etl::ledger::SliceRow;
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::STREAMS;
use mkt_etl::{AnalyticsSource, Pipeline};
use mkt_etl::{Change, Drift};
use mkt_warehouse::model::{DimensionMetric, SliceState};
use mkt_warehouse::{SliceKey, Sqlite};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn what_cannot_be_chosen_is_refused_before_anything_is_sent() {
    let builder = || Matomo::builder("https://stats.example.org").token(TOKEN).site(1);
    for (what, builder) in [
        ("an unknown stream", builder().streams(["daily", "pagez"])),
        ("no stream", builder().streams(Vec::<String>::new())),
        ("a segment's name", builder().segment("a]", "x==1")),
        ("a segment without a condition", builder().segment("a", "")),
        ("two segments of one name", builder().segment("a", "x==1").segment("a", "x==2")),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
    }
    let vip = builder().segment("vip", "userId==jo@example.org");
    assert!(!format!("{vip:?} {:?}", vip.clone().build().unwrap()).contains("jo@"));
    let matomo = builder().segment("a", "x==1").build().unwrap();
    assert!(matomo.plan("visits[a]", "1", window("2026-03-28", "2026-03-28")).is_err());
    assert!(matomo.plan("daily[a]", "1", window("2026-03-28", "2026-03-28")).is_ok());
    let defaults: Vec<String> = builder()
        .build()
        .unwrap()
        .capabilities()
        .streams
        .iter()
        .map(|stream| stream.name.to_string())
        .collect();
    assert_eq!(defaults, ["visits", "daily"]);
}

/// A visit of 28 March 2026, 12:00 in Paris, with an event, an order, a cart and a goal.
fn visit() -> Value {
    let at = 1_774_695_600;
    let item =
        json!({"itemSKU": "SKU1", "itemName": "Shoe", "itemCategory": "Shoes", "price": 59.9, "quantity": 1});
    let action =
        |kind: &str| json!({"type": kind, "timestamp": at + 3600, "url": "https://shop.example.org/"});
    let mut order = action("ecommerceOrder");
    order["orderId"] = json!("O1");
    order["revenue"] = json!(59.9);
    order["itemDetails"] = json!([item]);
    let mut cart = action("ecommerceAbandonedCart");
    cart["revenue"] = json!(59.9);
    cart["itemDetails"] = json!([item]);
    json!({
        "idVisit": 7, "visitorId": "00000000000000e2", "firstActionTimestamp": at, "lastActionTimestamp": at,
        "visitDuration": 30, "visitConverted": 1, "actions": 2, "events": 1, "referrerType": "campaign",
        "referrerName": "spring", "siteCurrency": "EUR",
        "actionDetails": [action("action"), action("event"), order, cart, action("goal")],
    })
}

#[tokio::test]
async fn a_day_without_an_archive_is_suspect_in_every_stream_and_an_empty_day_is_believed() {
    for (visits, state) in [(json!([visit()]), SliceState::SuspectEmpty), (json!([]), SliceState::Settled)] {
        // All zeros and empty tables, as an instance answers that archives by cron and has not archived yet.
        let server = answering(move |method, _| match method {
            "Live.getLastVisitsDetails" => Some(visits.clone()),
            "Goals.getGoals" => Some(json!([{"idsite": 1, "idgoal": 1, "name": "signup"}])),
            _ => None,
        })
        .await;
        let warehouse = Sqlite::in_memory().await.unwrap();
        let matomo = source(&server).all_streams().build().unwrap();
        let pipeline = Pipeline::new(matomo, warehouse.clone()).clock(late());
        pipeline.run(window("2026-03-28", "2026-03-28")).await.unwrap();
        let slices: Vec<SliceRow> = all(&warehouse).await;
        assert_eq!(slices.len(), STREAMS.len());
        for slice in slices {
            match slice.stream.as_str() {
                // These are Live itself, and say what happened.
                "visits" | "hours" if state == SliceState::SuspectEmpty => {
                    assert_eq!(slice.state, SliceState::Provisional, "{}", slice.stream);
                }
                _ => assert_eq!(slice.state, state, "{}", slice.stream),
            }
        }
        for row in all::<DimensionMetric>(&warehouse).await.iter().filter(|row| row.report != "hours") {
            assert!(row.value.is_none(), "a zero that is not believed is no number: {row:?}");
        }
    }
}

#[tokio::test]
async fn without_a_visits_log_an_empty_day_is_not_believed() {
    let server = answering(|method, _| {
        (method == "Live.getLastVisitsDetails")
            .then(|| json!({"result": "error", "message": "Visits log is deactivated globally."}))
    })
    .await;
    let streams = ["referrers", "pages", "events", "items", "goals"];
    let (_, report, _) = loaded(source(&server).streams(streams), window("2026-03-28", "2026-03-28")).await;
    assert_eq!(report.slices, BTreeMap::from([("provisional".to_owned(), 5)]));
}

/// Rows of Events.getCategory and the like, flat, in the form of the documentation.
fn events(first: &str, second: &str) -> Value {
    let row = |a: &str, b: &str, events: i64, with_value: i64, value: f64| {
        json!({
            "label": format!("{a} - {b}"), "nb_visits": "2", "nb_uniq_visitors": 2, "nb_events": events,
            "nb_events_with_value": with_value, "sum_event_value": value, "min_event_value": 1, "max_event_value": 9,
            "avg_event_value": 2.5, "segment": format!("x=={a};y=={b}"), first: a, second: b,
        })
    };
    json!([row("video", "play", 5, 2, 7.5), row("video", "Others", 2, 0, 0.0)])
}

#[tokio::test]
async fn events_are_read_as_documented_and_reconcile_with_live() {
    let server = answering(|method, fields| {
        let (category, action, name) = ("Events_EventCategory", "Events_EventAction", "Events_EventName");
        let flat = fields.get("flat").map(String::as_str) == Some("1");
        let table = match method {
            "Events.getCategory" if flat => events(category, action),
            "Events.getAction" if flat => events(action, name),
            "Events.getName" if flat => events(name, action),
            "Live.getLastVisitsDetails" => {
                let mut one = visit();
                one["events"] = json!(7);
                return Some(json!([one]));
            }
            _ => return None,
        };
        Some(json!({"2026-03-28": table}))
    })
    .await;
    let (rows, report, _) =
        loaded(source(&server).streams(["events"]), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 1);
    has(
        &rows,
        "event_categories",
        &json!({"event_category": "video", "event_action": "play"}),
        &[("events", "5"), ("event_value", "7.5"), ("events_with_value", "2"), ("value_per_event", "3.75")],
    );
    has(&rows, "event_names", &json!({"event_name": "video", "event_action": "Others"}), &[("events", "2")]);
    assert_eq!(combinations(&rows, "event_actions"), 2);
    // An event that is called "Others" has a segment of its own: it is no rest.
    assert!(rows.iter().all(|row| !row.is_rest));
    // Nothing is divided by no event with a value.
    let empty = json!({"event_category": "video", "event_action": "Others"});
    assert_eq!(value(&rows, "event_categories", &empty, "value_per_event"), None);
}

#[tokio::test]
async fn fields_that_were_not_there_before_are_named_and_kept_beside_the_numbers() {
    let server = answering(|method, _| {
        let table = match method {
            "Referrers.getReferrerType" => json!([
                {"label": "Direct Entry", "referrer_type": 1, "nb_visits": 3, "nb_sparkles": 9, "revenue": "€5"},
                {"label": "AI Assistants", "referrer_type": 8, "segment": "referrerType==ai_assistant", "nb_actions": 4},
                {"label": "Nowhere", "nb_visits": 1},
            ]),
            "VisitsSummary.get" => json!({"nb_visits": 4, "nb_sparkles": {"by": "jo@example.org"}}),
            "Goals.get" => json!({"nb_conversions": 0, "revenue": 0, "nb_conversions_new_visit": 0}),
            "Live.getLastVisitsDetails" => {
                let mut visit = visit();
                visit["moonPhase"] = json!("full");
                visit["dimension12"] = json!("blue");
                visit["actionDetails"][0]["tide"] = json!(2);
                return Some(json!([visit]));
            }
            _ => return None,
        };
        Some(json!({"2026-03-28": table}))
    })
    .await;
    let matomo = source(&server).all_streams().build().unwrap();
    let drift = |place: &str, field: &str, change| Drift::new(place, field, change);

    let read = page(&matomo, "referrers", "2026-03-28").await;
    let types = "Referrers.getReferrerType";
    assert_eq!(
        read.drift,
        [
            drift(types, "revenue", Change::OtherType),
            drift(types, "nb_sparkles", Change::New),
            drift(types, "nb_visits", Change::Missing),
        ]
    );
    let direct = json!({"referrer_type": "direct"});
    assert_eq!(read.extras[0].fields.0, json!({"nb_sparkles": 9, "revenue": "€5"}));
    assert!(read.dimensions.iter().all(|row| row.metric != "nb_sparkles"));
    has(&read.dimensions, "referrers", &direct, &[("visits", "3")]);
    // A number that does not read is no zero, and neither is one that is missing.
    for (dimensions, metric) in [(&direct, "revenue"), (&json!({"referrer_type": "ai_assistant"}), "visits")]
    {
        let row = read.dimensions.iter().find(|row| row.dimensions.0 == *dimensions && row.metric == metric);
        assert_eq!(row.unwrap().value, None, "{dimensions} {metric}");
    }
    // A row that says not what it is about is set aside.
    assert_eq!(read.rejected.len(), 1);
    assert_eq!(read.read as usize, read.rows() + 1);

    let read = page(&matomo, "daily", "2026-03-28").await;
    assert_eq!(read.drift, [drift("VisitsSummary.get", "nb_sparkles", Change::New)]);
    assert_eq!(read.extras[0].fields.0, json!({"nb_sparkles": {"by": "[address]"}}));

    let read = page(&matomo, "visits", "2026-03-28").await;
    let live = "Live.getLastVisitsDetails";
    assert_eq!(read.drift, [drift(live, "moonPhase", Change::New), drift(live, "tide", Change::New)]);
    assert_eq!(read.extras[0].record, "visit 7");
    assert_eq!(read.extras[0].fields.0, json!({"moonPhase": "full"}));
    assert_eq!(
        (read.extras[1].record.as_str(), &read.extras[1].fields.0),
        ("visit 7 action 0", &json!({"tide": 2}))
    );
}

#[tokio::test]
async fn pages_that_differ_in_an_address_only_are_put_together_and_nothing_is_lost() {
    let row = |url: &str, hits: i64, entries: &str| json!({"label": url, "url": url, "nb_visits": 1, "nb_hits": hits, "entry_nb_visits": entries, "nb_uniq_visitors": 1});
    let table = json!([
        row("https://shop.example.org/?u=jo@example.org", 3, "1"),
        row("https://shop.example.org/", 2, "2"),
        row("https://shop.example.org/?u=ann@example.org", 4, "1"),
    ]);
    let server =
        answering(move |method, _| (method == "Actions.getPageUrls").then(|| json!({"2026-03-28": table})))
            .await;
    let matomo = source(&server).streams(["pages"]).build().unwrap();
    let read = page(&matomo, "pages", "2026-03-28").await;
    has(
        &read.dimensions,
        "pages",
        &json!({"page_url": "https://shop.example.org/?u=[address]"}),
        &[("page_views", "7"), ("entries", "2")],
    );
    // Two people, or one twice: not told.
    let both = json!({"page_url": "https://shop.example.org/?u=[address]"});
    assert_eq!(value(&read.dimensions, "pages", &both, "unique_visitors"), None);
    assert_eq!(combinations(&read.dimensions, "pages"), 2);
    assert_eq!(read.read as usize, read.rows());
    assert_eq!(read.notes, ["Actions.getPageUrls: 2 rows differ in an address only and were put together"]);
    assert!(!format!("{read:?}").contains("example.org/?u=jo"));
}

#[tokio::test]
async fn a_number_that_no_table_holds_sets_its_row_aside() {
    let table = json!([
        {"label": "a", "url": "https://shop.example.org/a", "nb_hits": 1e12, "nb_visits": 1},
        {"label": "b", "url": "https://shop.example.org/b", "nb_hits": 5, "nb_visits": 1},
    ]);
    let server =
        answering(move |method, _| (method == "Actions.getPageUrls").then(|| json!({"2026-03-28": table})))
            .await;
    let matomo = source(&server).streams(["pages"]).build().unwrap();
    let read = page(&matomo, "pages", "2026-03-28").await;
    assert_eq!((read.rejected.len(), combinations(&read.dimensions, "pages")), (1, 1));
    assert_eq!(read.rejected[0].reason, "a number is larger than a table holds");
}

#[tokio::test]
async fn an_instance_without_bulk_requests_is_asked_one_by_one_and_not_asked_again_for_them() {
    let server = Server::start(|request: &Received| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        Some("API.getBulkRequest") => Answer::json(
            r#"{"result":"error","message":"The method 'getBulkRequest' does not exist or is not available in the module 'API'."}"#,
        ),
        _ => Answer::json(r#"{"2026-03-28":[],"2026-03-29":[]}"#),
    })
    .await
    .unwrap();
    let matomo = source(&server).streams(["items"]).build().unwrap();
    page(&matomo, "items", "2026-03-28").await;
    assert_eq!(server.hits(), 1 + 1 + 2, "the site, the bulk request, both tables");
    page(&matomo, "items", "2026-03-29").await;
    assert_eq!(server.hits(), 4 + 2);
}

#[tokio::test]
async fn an_error_inside_of_a_bulk_request_is_that_of_its_call() {
    let server = answering(|method, fields| match (method, fields.contains_key("abandonedCarts")) {
        ("Goals.getItemsSku", true) => {
            Some(json!({"result": "error", "message": "The plugin Goals is not enabled."}))
        }
        ("Goals.getItemsSku", false) => Some(json!({"2026-03-28": []})),
        _ => None,
    })
    .await;
    let matomo = source(&server).build().unwrap();
    let one = [("idSite", "1"), ("period", "day"), ("date", "2026-03-28,2026-03-28")];
    let cart = [&one[..], &[("abandonedCarts", "1")]].concat();
    let answers = matomo
        .reports([
            ("Goals.getItemsSku", one.to_vec()),
            ("Goals.getItemsSku", cart),
            ("Goals.getGoals", one.to_vec()),
        ])
        .await
        .unwrap();
    let kinds: Vec<Option<ErrorKind>> =
        answers.iter().map(|answer| answer.as_ref().err().map(mkt_connect::Error::kind)).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Unsupported), None]);
    assert_eq!(server.hits(), 1);
    // A slice is whole or not there.
    let matomo = source(&server).streams(["items"]).build().unwrap();
    let error = pages(&matomo, "items", "2026-03-28").await.remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_refusal_stops_every_clone_also_when_it_is_inside_of_a_bulk_request() {
    let refused =
        json!({"result": "error", "message": "You can't access this resource as it requires 'view' access."});
    let server = answering(move |method, _| (method == "Goals.getItemsSku").then(|| refused.clone())).await;
    let matomo = source(&server).streams(["items", "pages"]).build().unwrap();
    let clone = matomo.clone();
    let error = pages(&matomo, "items", "2026-03-28").await.remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    let hits = server.hits();
    for stream in ["items", "pages"] {
        let error = pages(&clone, stream, "2026-03-28").await.remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        let slice = SliceKey::day("matomo", stream, "1", day("2026-03-28"));
        assert_eq!(clone.verify(&slice).await.unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!(clone.check().await.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(clone.report("API.get", []).await.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(server.hits(), hits, "no request since");
}

#[tokio::test]
async fn an_instance_says_which_version_it_is_and_what_it_can() {
    let server = answering(|method, fields| {
        (method == "API.isPluginActivated").then(|| json!({"value": fields["pluginName"] != "Events"}))
    })
    .await;
    let instance = source(&server).build().unwrap().instance().await.unwrap();
    assert_eq!((instance.version.as_str(), instance.major, instance.tested), ("5.1.0", Some(5), true));
    assert_eq!((instance.plugins["Live"], instance.plugins["Events"]), (true, false));
    // One that knows the version by its old name only, and does not tell about plugins.
    let old = Server::start(|request: &Received| match request.form_value("method").as_deref() {
        Some("API.getPiwikVersion") => Answer::json(r#"{"value":"3.14.1"}"#),
        _ => Answer::json(r#"{"result":"error","message":"The method 'x' does not exist or is not available in the module 'API'."}"#),
    })
    .await
    .unwrap();
    let instance = source(&old).build().unwrap().instance().await.unwrap();
    assert_eq!((instance.major, instance.tested, instance.plugins.len()), (Some(3), false, 0));
    let ancient = Server::start(|_| Answer::json(r#"{"value":"2.17.1"}"#)).await.unwrap();
    let error = source(&ancient).build().unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
