//! What public clients of the vendor send, sent to the stand-in: it takes what the documentation takes.

use super::SITE;
use mkt_connect::http::{Client, Request};
use mkt_etl::testing::FakeAtInternet;
use serde_json::{Value, json};

/// The status and the answer to a body.
async fn ask(fake: &FakeAtInternet, method: &str, body: &Value) -> (u16, Value) {
    let client = Client::builder("client", &fake.url())
        .allow_insecure_host(&fake.server().authority())
        .secret_header("x-api-key", &fake.key())
        .build()
        .unwrap();
    let request = Request::post(format!("v3/data/{method}")).json(body).operation("ask");
    let response = client.send(&request).await.unwrap();
    (response.status(), serde_json::from_str(&response.text()).unwrap())
}

async fn rows(fake: &FakeAtInternet, body: &Value) -> Vec<Value> {
    let (status, answer) = ask(fake, "getData", body).await;
    assert_eq!(status, 200, "{body}: {answer}");
    answer["DataFeed"]["Rows"].as_array().unwrap().clone()
}

fn body(columns: &str, period: &Value) -> Value {
    let columns: Vec<&str> = columns.split(',').collect();
    json!({"columns": columns, "space": {"s": [SITE.parse::<u64>().unwrap()]}, "period": {"p1": [period]},
           "sort": ["-m_visits"], "max-results": 10_000, "page-num": 1})
}

fn days(first: &str, last: &str) -> Value {
    json!({"type": "D", "start": first, "end": last})
}

fn visits(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["m_visits"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_five_bodies_of_a_singer_tap_are_answered() {
    // tap-atinternet of the Gendarmerie nationale, streams.py: metrics first, a month, an empty filter or `$lk`.
    let fake = FakeAtInternet::start().await.unwrap();
    let month = "date_year,date_month";
    for properties in [
        "date,visit_hour".to_owned(),
        format!("{month},geo_country,geo_region,geo_city"),
        format!("{month},page,page_full_name"),
        format!("{month},src,src_detail,src_referrer_url"),
        format!("{month},device_type,os_group,browser_group,browser_language"),
    ] {
        let columns = format!("m_visits,m_unique_visitors,m_bounces,m_time_spent_per_visits,{properties}");
        for filter in [json!({}), json!({"property": {"page_full_name": {"$lk": "shop"}}})] {
            let mut body = body(&columns, &days("2026-03-01", "2026-03-31"));
            body["filter"] = filter;
            let rows = rows(&fake, &body).await;
            assert!(!rows.is_empty() && rows.iter().all(|row| row["m_time_spent_per_visits"].is_number()));
            assert!(rows.iter().all(|row| row.get("date_year").is_none_or(|year| *year == json!(2026))));
        }
    }
    // The site as a text is no site: nothing is left out without a word.
    let mut wrong = body("m_visits", &days("2026-03-01", "2026-03-01"));
    wrong["space"] = json!({"s": [SITE]});
    assert_eq!(ask(&fake, "getData", &wrong).await.0, 400);
}

#[tokio::test]
async fn a_relative_period_is_a_whole_unit_of_the_calendar() {
    // Today is Sunday, 15 November 2026; 60 visits a day, and one day with more of each unit before.
    let fake = FakeAtInternet::start().await.unwrap();
    for (day, late) in [("2026-11-02", 1), ("2026-10-01", 2), ("2026-07-01", 4), ("2026-11-16", 1000)] {
        fake.add_late(FakeAtInternet::SPACE, day.parse().unwrap(), late);
    }
    for (unit, offset, expected) in [
        ("D", -1, 60),
        ("W", -1, 7 * 60 + 1),
        ("W", 0, 7 * 60),
        ("M", -1, 31 * 60 + 2),
        ("M", 0, 15 * 60 + 1),
        ("Q", -1, 92 * 60 + 4),
    ] {
        let body = body("m_visits", &json!({"type": "R", "granularity": unit, "offset": offset}));
        assert_eq!(visits(&rows(&fake, &body).await), [expected], "{unit} {offset}");
    }
    for (unit, text, expected) in
        [("M", "2026-10", 31 * 60 + 2), ("Q", "2026-03", 92 * 60 + 4), ("W", "2026-45", 7 * 60 + 1)]
    {
        let body = body("m_visits", &json!({"type": unit, "start": text, "end": text}));
        assert_eq!(visits(&rows(&fake, &body).await), [expected], "{unit} {text}");
    }
}

#[tokio::test]
async fn a_second_period_stands_beside_the_first() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_late(FakeAtInternet::SPACE, "2026-03-21".parse().unwrap(), 5);
    let mut body = body("p1.m_visits,p2.m_visits", &days("2026-03-28", "2026-03-28"));
    body["period"]["p2"] = json!([days("2026-03-21", "2026-03-21")]);
    body["sort"] = json!(["-p1.m_visits"]);
    assert_eq!(rows(&fake, &body).await, [json!({"p1.m_visits": 60, "p2.m_visits": 65})]);
    body["period"].as_object_mut().unwrap().remove("p2");
    assert_eq!(ask(&fake, "getData", &body).await.0, 400);
}

#[tokio::test]
async fn rows_without_a_property_are_left_out_on_request() {
    let fake = FakeAtInternet::start().await.unwrap();
    let mut body = body("src,m_visits", &days("2026-03-28", "2026-03-28"));
    let all = rows(&fake, &body).await;
    body["options"] = json!({"ignore_null_properties": true});
    let named = rows(&fake, &body).await;
    assert!(all.iter().any(|row| row["src"].is_null()));
    let expected: Vec<&Value> = all.iter().filter(|row| !row["src"].is_null()).collect();
    assert_eq!(named.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_evolution_has_its_order_in_its_top_and_no_other() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_late(FakeAtInternet::SPACE, "2026-03-28".parse().unwrap(), 5);
    let mut body = body("page,m_visits", &days("2026-03-27", "2026-04-02"));
    body["evo"] = json!({"granularity": "D", "top": {"max-results": 2, "page-num": 1, "sort": ["-m_visits"],
        "filter": {"property": {"page_chapter1": {"$eq": "shop"}}}}});
    // "Don't forget to remove the sort object if you have an evolution object."
    assert_eq!(ask(&fake, "getData", &body).await.0, 400);
    let fields = body.as_object_mut().unwrap();
    for name in ["sort", "max-results", "page-num"] {
        fields.remove(name);
    }
    let pages = rows(&fake, &body).await;
    assert_eq!(pages.len(), 2);
    assert!(pages.iter().all(|page| page["Rows"]["page"].as_str().unwrap().starts_with("shop")));
    // Of the site alone: one row, and a row for each step within it.
    body["columns"] = json!(["m_visits"]);
    body["evo"]["top"].as_object_mut().unwrap().remove("filter");
    let site = rows(&fake, &body).await;
    let steps = site[0]["Rows"]["Rows"].as_array().unwrap();
    assert_eq!(visits(steps), [60, 65, 60, 60, 60, 60, 60]);
    assert_eq!(steps[0]["d_evo_day"], "2026-03-27");
    // Weeks begin on Monday: the 30th of March is one.
    body["evo"]["granularity"] = json!("W");
    let weeks = rows(&fake, &body).await;
    let weeks = weeks[0]["Rows"]["Rows"].as_array().unwrap();
    assert_eq!(visits(weeks), [185, 240]);
    assert_eq!(
        (&weeks[0]["d_evo_week"], &weeks[1]["d_evo_week"]),
        (&json!("2026-03-23"), &json!("2026-03-30"))
    );
    body["evo"]["granularity"] = json!("H");
    let hours = rows(&fake, &body).await;
    let hours = hours[0]["Rows"]["Rows"].as_array().unwrap();
    assert_eq!(visits(hours).iter().sum::<u64>(), 425);
    // The second hour of the 29th is not on a clock in Paris.
    let hour = |text: &str| hours.iter().any(|row| row["d_evo_hour"] == text);
    assert!(!hour("2026-03-29T02:00:00") && hours.len() > 100);
    body["evo"]["granularity"] = json!("M");
    let months = rows(&fake, &body).await;
    assert_eq!(visits(months[0]["Rows"]["Rows"].as_array().unwrap()), [305, 120]);
}

#[tokio::test]
async fn a_segment_takes_the_visits_that_it_describes() {
    let fake = FakeAtInternet::start().await.unwrap();
    let mut body = body("device_type,m_visits", &days("2026-03-28", "2026-03-28"));
    let all = rows(&fake, &body).await;
    let of = |rows: &[Value]| rows.iter().find(|row| row["device_type"] == "Desktop").cloned();
    let filter = json!({"device_type": {"$eq": "Desktop"}});
    let section = |mode: &str| json!({"section": {"scope": "visit_id", "mode": mode, "content": {"condition": {"filter": filter}}}});
    for segment in [section("include"), json!({"segmentKey": "desktop"})] {
        body["segment"] = segment;
        assert_eq!(rows(&fake, &body).await, [of(&all).unwrap()]);
    }
    body["segment"] = section("exclude");
    let others = rows(&fake, &body).await;
    assert!(of(&others).is_none() && others.len() + 1 == all.len());
    body["segment"] = json!({"segmentKey": "no_such"});
    assert_eq!(ask(&fake, "getData", &body).await.0, 400);
}
