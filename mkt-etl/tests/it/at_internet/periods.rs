//! Periods of several spans of time, and parts of a day.

use super::{read, report, settings, slice};
use chrono::NaiveDate;
use mkt_connect::http::{Client, Request};
use mkt_etl::Window;
use mkt_etl::at_internet::{
    DataQuery, Format, Granularity, Method, Moment, NameMap, PastedReport, PastedUrl, Period, Style,
};
use mkt_etl::testing::FakeAtInternet;
use serde_json::{Value, json};

const V2: &str =
    "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={m_visits}&space={s:123456}";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn spans(period: &str) -> Result<Vec<Period>, String> {
    let url = format!("{V2}&period={period}");
    let pasted: PastedUrl =
        url.parse().map_err(|error: mkt_etl::at_internet::QueryError| error.to_string())?;
    let [spans] = <[_; 1]>::try_from(pasted.query.periods.clone()).unwrap();
    let written = pasted.query.v2_url(&pasted.origin, Some(Format::Json), Method::Data, Style::Hand).unwrap();
    assert_eq!(written.parse::<PastedUrl>().unwrap().query, pasted.query, "{written}");
    Ok(spans)
}

/// The visits of one site and period, as the stand-in counts them.
async fn visits(fake: &FakeAtInternet, path: &str, body: Option<Value>) -> u64 {
    let client = Client::builder("client", &fake.url())
        .allow_insecure_host(&fake.server().authority())
        .secret_header("x-api-key", &fake.key())
        .build()
        .unwrap();
    let request = match body {
        Some(body) => Request::post(path.to_owned()).json(&body),
        None => {
            let (path, query) = path.split_once('?').unwrap();
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.fold(Request::get(path.to_owned()), |request, (name, value)| request.query(name, value))
        }
    };
    let response = client.send(&request.operation("ask")).await.unwrap();
    let answer: Value = serde_json::from_str(&response.text()).unwrap();
    let feed = &answer["DataFeed"];
    let feed = if feed.is_array() { &feed[0] } else { feed };
    feed["Rows"][0]["m_visits"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

fn body(spans: &Value) -> Value {
    json!({"columns": ["m_visits"], "sort": ["-m_visits"], "space": {"s": [FakeAtInternet::SPACE]},
           "period": {"p1": spans}, "max-results": 10, "page-num": 1})
}

#[test]
fn a_period_of_several_spans_is_read_and_written() {
    let week = Moment::read(Granularity::Week, "2018-02").unwrap();
    let minutes = |start: &str, end: &str| Period::Absolute {
        granularity: Granularity::EventMinute,
        start: Moment::read(Granularity::EventMinute, start).unwrap(),
        end: Moment::read(Granularity::EventMinute, end).unwrap(),
    };
    // The first two stand in the vendor's page "Fixed periods".
    for (text, expected) in [
        (
            "{D:'2018-02-21',W:'2018-02'}",
            vec![
                Period::day(day("2018-02-21")),
                Period::Absolute { granularity: Granularity::Week, start: week, end: week },
            ],
        ),
        (
            "{MNe:{start:'2018-06-16T08:00',end:'2018-06-16T12:30'},MNe:{start:'2018-06-16T14:00',end:'2018-06-16T18:30'}}",
            vec![
                minutes("2018-06-16T08:00", "2018-06-16T12:30"),
                minutes("2018-06-16T14:00", "2018-06-16T18:30"),
            ],
        ),
        (
            "{R:{D:'-1',W:'-1'},D:'2018-02-21'}",
            vec![
                Period::relative(Granularity::Day, -1),
                Period::relative(Granularity::Week, -1),
                Period::day(day("2018-02-21")),
            ],
        ),
    ] {
        assert_eq!(spans(text).unwrap(), expected, "{text}");
    }
    for (text, why) in [
        ("{D:{start:'2018-01-01',end:'2018-06-30'},filter:{DW:1}}", "a filter of days"),
        ("{D:'2018-02-21T08:00:00'}", "no such moment"),
        ("{'2018-02-21'}", "a period is"),
    ] {
        let error = spans(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let many = vec!["D:'2018-02-21'"; 400].join(",");
    assert!(spans(&format!("{{{many}}}")).unwrap_err().contains("366"));
    assert!(DataQuery::from_v3(&body(&json!([])).to_string()).is_err());
}

#[tokio::test]
async fn spans_of_one_period_count_each_visit_once() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_late(FakeAtInternet::SPACE, day("2026-03-28"), 5);
    let days = |first: &str, last: &str| json!({"type": "D", "start": first, "end": last});
    let path = "v3/data/getData";
    for (spans, expected) in [
        (json!([days("2026-03-28", "2026-03-28"), days("2026-03-30", "2026-03-30")]), 125),
        (json!([days("2026-03-28", "2026-03-29"), days("2026-03-28", "2026-03-28")]), 125),
        (json!([{"type": "R", "granularity": "D", "offset": -1}, days("2026-03-28", "2026-03-28")]), 125),
    ] {
        let asked = body(&spans);
        assert_eq!(visits(&fake, path, Some(asked.clone())).await, expected, "{spans}");
        let query = DataQuery::from_v3(&asked.to_string()).unwrap();
        assert_eq!(query.to_v3(Method::Data).unwrap(), asked);
    }
    let path = "data/v2/json/getData?columns={m_visits}&space={s:123456}&max-results=10&period={D:'2026-03-28',W:'2026-13'}";
    assert_eq!(visits(&fake, path, None).await, 7 * 60 + 5);
}

#[tokio::test]
async fn parts_of_a_day_add_up_to_the_day() {
    let fake = FakeAtInternet::start().await.unwrap();
    let path = "v3/data/getData";
    // The forms of piano-analytics-api, whose `Day` takes times, and of the vendor's page "Period".
    for parts in [
        [
            json!([{"type": "D", "start": "2026-03-28T00:00:00", "end": "2026-03-28T11:59:59"}]),
            json!([{"type": "D", "start": "2026-03-28T12:00:00", "end": "2026-03-28T23:59:59"}]),
        ],
        [
            json!([{"type": "H", "start": "2026-03-28T00", "end": "2026-03-28T11"}]),
            json!([{"type": "H", "start": "2026-03-28T12", "end": "2026-03-28T23"}]),
        ],
    ] {
        let [first, second] = parts;
        let morning = visits(&fake, path, Some(body(&first))).await;
        assert!(morning > 0 && morning < 60, "{morning}");
        assert_eq!(morning + visits(&fake, path, Some(body(&second))).await, 60);
        let query = DataQuery::from_v3(&body(&first).to_string()).unwrap();
        assert_eq!(query.to_v3(Method::Data).unwrap(), body(&first));
        let url = query.v3_url(&fake.url(), Method::Data).unwrap();
        let error = PastedReport::read(&url, "r", &NameMap::new()).unwrap_err();
        assert!(error.to_string().contains("hours are no report of a day"), "{error}");
        if first[0]["type"] == "D" {
            assert!(query.v2_parameters().unwrap_err().to_string().contains("no seconds"));
        }
    }
}

#[test]
fn a_pasted_url_gives_the_days_of_all_its_spans() {
    let url = format!(
        "{V2}&filter={{}}&period={{D:'2026-03-30',D:{{start:'2026-03-01',end:'2026-03-03'}},D:'2026-03-04',M:'2026-05'}}"
    );
    let pasted = PastedReport::read(&url, "r", &NameMap::new()).unwrap();
    let days = |first, last| Window::days(day(first), day(last));
    let expected = [
        days("2026-03-01", "2026-03-04"),
        days("2026-03-30", "2026-03-30"),
        days("2026-05-01", "2026-05-31"),
    ];
    assert_eq!(pasted.days, expected);
    // `filter={}` filters nothing.
    assert!(pasted.report.is_of_the_site());
    let relative =
        PastedReport::read(&format!("{V2}&period={{D:'2026-03-30',R:{{D:-1}}}}"), "r", &NameMap::new());
    assert_eq!(relative.unwrap().days, []);
}

#[tokio::test]
async fn a_pasted_url_of_version_2_is_read_with_its_own_names() {
    let url = V2.replace("{m_visits}", "{d_page,m_page_loads}") + "&period={D:'2026-03-28'}";
    let pasted = PastedReport::read_v2(&url, "pages").unwrap();
    let fake = FakeAtInternet::start().await.unwrap();
    let source = settings(&fake).report(pasted.report).rest_v2_with_key(fake.key()).build().unwrap();
    let by_url = read(&source, &slice("pages", "2026-03-28")).await.unwrap();
    let named = settings(&fake).report(report("pages", "d_page,m_page_loads")).rest_v2_with_key(fake.key());
    assert_eq!(by_url, read(&named.build().unwrap(), &slice("pages", "2026-03-28")).await.unwrap());
    let v3 = "https://api.atinternet.io/v3/data/getData?param={}";
    assert!(PastedReport::read_v2(v3, "pages").is_err());
}
