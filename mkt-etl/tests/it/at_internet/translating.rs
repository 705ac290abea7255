//! From version 2 to version 3.

use mkt_etl::at_internet::{DataQuery, Granularity, Method, Moment, Name, NameMap, PastedUrl, Period};
use serde_json::{Value, json};

fn query(parameters: &str) -> DataQuery {
    let url = format!("https://apirest.atinternet-solutions.com/data/v2/json/getData?{parameters}");
    url.parse::<PastedUrl>().unwrap_or_else(|error| panic!("{parameters}: {error}")).query
}

fn translated(parameters: &str) -> Value {
    query(parameters).translated(&NameMap::new()).unwrap().query.to_v3(Method::Data).unwrap()
}

#[test]
fn the_url_of_the_white_paper_becomes_a_question_of_version_3() {
    let seen = translated(
        "&columns={d_page,m_visits,m_vu}&sort={-m_visits}&filter={d_page:{$eq:'home'},m_visits:{$gt:5}}&space={s:123456}\
         &period={D:2017-06-30}&max-results=50&page-num=1&sep=comma&lng=fr",
    );
    let expected = json!({
        "columns": ["page", "m_visits", "m_unique_visitors"],
        "sort": ["-m_visits"],
        "filter": {"property": {"page": {"$eq": "home"}}, "metric": {"m_visits": {"$gt": 5}}},
        "space": {"s": [123_456]},
        "period": {"p1": [{"type": "D", "start": "2017-06-30", "end": "2017-06-30"}]},
        "max-results": 50,
        "page-num": 1,
    });
    assert_eq!(seen, expected);
}

#[test]
fn months_quarters_and_years_become_their_days() {
    for (period, first, last) in [
        ("{M:'2024-02'}", "2024-02-01", "2024-02-29"),
        ("{M:{start:'2023-11',end:'2024-01'}}", "2023-11-01", "2024-01-31"),
        ("{Q:'2018-02'}", "2018-04-01", "2018-06-30"),
        ("{S:'2018-02'}", "2018-07-01", "2018-12-31"),
        ("{Y:'2018'}", "2018-01-01", "2018-12-31"),
    ] {
        let query = query(&format!("&columns={{m_visits}}&space={{s:1}}&period={period}"));
        let days = Period::Absolute {
            granularity: Granularity::Day,
            start: Moment::read(Granularity::Day, first).unwrap(),
            end: Moment::read(Granularity::Day, last).unwrap(),
        };
        assert_eq!(query.translated(&NameMap::new()).unwrap().query.periods, [[days]], "{period}");
    }
}

#[test]
fn lists_of_version_2_keep_their_meaning() {
    let filter = |written: &str| {
        translated(&format!(
            "&columns={{d_page,m_visits}}&filter={written}&space={{s:1}}&period={{R:{{D:-1}}}}"
        ))["filter"]["property"]
            .clone()
    };
    assert_eq!(
        filter("{d_page:{$nin:{'a','b'}}}"),
        json!({"$AND": [{"page": {"$neq": "a"}}, {"page": {"$neq": "b"}}]})
    );
    assert_eq!(filter("{d_page:{$inlk:{'a','b'}}}"), json!({"page": {"$lk": ["a", "b"]}}));
}

#[test]
fn what_has_no_counterpart_is_refused_and_the_rest_is_said() {
    let rest = "&space={s:1}&period={R:{D:-1}}";
    for (what, parameters) in [
        ("an unknown name", format!("&columns={{cl_142578,m_visits}}{rest}")),
        ("an unknown metric", format!("&columns={{m_conversions1_visits}}{rest}")),
        ("an unknown name in a filter", format!("&columns={{m_visits}}&filter={{d_x:{{$eq:'a'}}}}{rest}")),
        ("a part of a site", "&columns={m_visits}&space={l2s:{s:1,l2:2}}&period={R:{D:-1}}".to_owned()),
        ("a week", "&columns={m_visits}&space={s:1}&period={W:'2018-02'}".to_owned()),
        ("an hour", "&columns={m_visits}&space={s:1}&period={H:2018-02-21T08}".to_owned()),
        ("a template", format!("&columns={{m_visits}}&code=2fHeCJ{rest}")),
        ("a choice between kinds", format!("&columns={{d_page,m_visits}}&filter={{$OR:{{d_page:{{$eq:'a'}},m_visits:{{$gt:1}}}}}}{rest}")),
        ("three periods", "&columns={p1.m_visits,p2.m_visits,p3.m_visits}&space={s:1}&period={p1:{R:{D:-1}},p2:{R:{D:-2}},p3:{R:{D:-3}}}".to_owned()),
    ] {
        assert!(query(&parameters).translated(&NameMap::new()).is_err(), "{what}");
    }
    let own = NameMap::new().with(&Name::new("cl_142578").unwrap(), Name::new("article_id").unwrap());
    let read = query(&format!("&columns={{cl_142578,m_visits}}&lng=fr{rest}")).translated(&own).unwrap();
    assert_eq!(read.query.columns[0].to_string(), "article_id");
    assert_eq!(read.notes.len(), 1);
    // Version 3 wants an order.
    assert_eq!(read.query.sort[0].to_string(), "-m_visits");
}
