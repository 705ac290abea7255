//! Reports as rows: names, kinds, values, days, and the contract of every source.

use super::{SITE, read, report, settings, slice, source};
use crate::support::window;
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Currency, ErrorKind};
use mkt_etl::AnalyticsSource;
use mkt_etl::Change;
use mkt_etl::at_internet::AtInternet;
use mkt_etl::at_internet::{DataQuery, Filter, Name, NameMap, PastedUrl, Report};
use mkt_etl::testing::FakeAtInternet;
use mkt_etl::testing::conformance::{Subject, check_all};
use mkt_warehouse::model::MetricKind;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[tokio::test]
async fn the_source_keeps_the_contract() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = settings(&fake)
        .report(report("site", "m_visits,m_unique_visitors,m_page_loads,m_bounces,m_bounce_rate"))
        .report(report("pages", "page,date,visit_hour,m_page_loads,m_visits"))
        .report(report("devices", "visit_device_type,m_visits,m_bounce_rate,m_bounces"))
        .visits(super::visits::columns())
        .row_limits(20, 10_000)
        .build()
        .unwrap();
    let key = fake.key();
    for part in key.expose().split('_') {
        let days = window("2026-03-28", "2026-03-30");
        let findings = check_all(&Subject::new(&source, SITE, days).secret(part)).await;
        for finding in &findings {
            assert!(!finding.is_violated(), "{finding:?}");
        }
        let held =
            findings.iter().filter(|it| it.verdict == mkt_etl::testing::conformance::Verdict::Held).count();
        assert_eq!(held, findings.len(), "{findings:?}");
    }
}

#[tokio::test]
async fn a_report_of_metrics_alone_is_the_numbers_of_the_site() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source =
        source(&fake, [report("site", "m_visits,m_unique_visitors,m_bounces,m_bounce_rate,m_time_spent")]);
    let page = read(&source, &slice("site", "2026-03-28")).await.unwrap();
    assert!(page.dimensions.is_empty() && page.rejected.is_empty());
    let kinds: BTreeMap<&str, MetricKind> =
        page.metrics.iter().map(|row| (row.metric.as_str(), row.kind)).collect();
    use MetricKind::{Additive, Distinct, Ratio};
    // A time that nobody has said to add up is not added up.
    let expected = [
        ("bounce_rate", Ratio),
        ("bounces", Additive),
        ("time_spent", Distinct),
        ("unique_visitors", Distinct),
        ("visits", Additive),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    let value = |metric: &str| page.metrics.iter().find(|row| row.metric == metric).unwrap();
    assert_eq!(value("visits").value.unwrap().0, Decimal::from(60));
    let rate = value("bounce_rate");
    assert_eq!(rate.numerator, value("bounces").value);
    assert_eq!(rate.denominator, value("visits").value);
    assert_eq!(rate.value.unwrap().0, (rate.numerator.unwrap().0 / Decimal::from(60)).round_dp(6));
}

#[tokio::test]
async fn rows_of_pages_add_up_to_the_site_where_they_may() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(
        &fake,
        [report("pages", "page,m_page_loads,m_visits"), report("site", "m_page_loads,m_visits")],
    );
    let pages = read(&source, &slice("pages", "2026-03-28")).await.unwrap();
    let site = read(&source, &slice("site", "2026-03-28")).await.unwrap();
    let sum = |metric: &str| -> Decimal {
        pages.dimensions.iter().filter(|row| row.metric == metric).map(|row| row.value.unwrap().0).sum()
    };
    let told = |metric: &str| site.metrics.iter().find(|row| row.metric == metric).unwrap().value.unwrap().0;
    assert_eq!(sum("page_loads"), told("page_loads"));
    // A visit sees several pages: the sum is too much, and the kind says so.
    assert!(sum("visits") > told("visits"));
    assert!(
        pages.dimensions.iter().all(|row| (row.kind == MetricKind::Additive) == (row.metric == "page_loads"))
    );
    let control = source.verify(&slice("pages", "2026-03-28")).await.unwrap().unwrap();
    assert_eq!(control.get("pages.page_loads"), Some(told("page_loads")));
    assert_eq!(control.get("pages.visits"), None);
    assert_eq!(control.get("records"), Some(Decimal::from(pages.read)));
}

#[tokio::test]
async fn two_pages_whose_names_hold_addresses_stay_two() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(&fake, [report("pages", "page,m_page_loads")]);
    let page = read(&source, &slice("pages", "2026-03-28")).await.unwrap();
    let redacted: Vec<&Value> = page
        .dimensions
        .iter()
        .map(|row| &row.dimensions.0)
        .filter(|it| it.get("redacted_row").is_some())
        .collect();
    assert_eq!(redacted.len(), 2, "pages 3 and 4 of the stand-in");
    assert!(redacted.iter().all(|it| it["page"] == "account::[address]"));
    let keys: BTreeSet<i64> = page.dimensions.iter().map(|row| row.dimension_key).collect();
    assert_eq!(keys.len(), page.dimensions.len());
}

#[tokio::test]
async fn a_filtered_report_is_not_the_numbers_of_the_site() {
    let fake = FakeAtInternet::start().await.unwrap();
    let mobile = report("mobile", "m_visits").filter(Filter::equals(name("visit_device_type"), "Mobile"));
    let source = settings(&fake)
        .report(report("site", "m_visits"))
        .report(mobile)
        .report(report("devices", "visit_device_type,m_visits"))
        .build()
        .unwrap();
    let of_mobile = read(&source, &slice("mobile", "2026-03-28")).await.unwrap();
    assert!(of_mobile.metrics.is_empty());
    let devices = read(&source, &slice("devices", "2026-03-28")).await.unwrap();
    let same =
        devices.dimensions.iter().find(|row| row.dimensions.0["visit_device_type"] == "Mobile").unwrap();
    assert_eq!(of_mobile.dimensions[0].value, same.value);
    assert_eq!(of_mobile.dimensions[0].dimensions.0, json!({}));
}

#[tokio::test]
async fn a_report_of_version_2_reads_the_same_numbers() {
    let fake = FakeAtInternet::start().await.unwrap();
    let new = source(&fake, [report("pages", "page,m_page_loads,m_unique_visitors")]);
    let old = AtInternet::builder(&fake.url())
        .allow_insecure_host(&fake.server().authority())
        .rest_v2("analyst", fake.key())
        .space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris)
        .report(report("pages", "d_page,m_page_loads,m_vu,m_time_spent"))
        .row_limits(7, 1000)
        .build()
        .unwrap();
    let (new, old) = (
        read(&new, &slice("pages", "2026-03-28")).await.unwrap(),
        read(&old, &slice("pages", "2026-03-28")).await.unwrap(),
    );
    let numbers = |page: &mkt_etl::Page, property: &str, metric: &str| -> BTreeMap<String, Decimal> {
        let rows = page.dimensions.iter().filter(|row| row.metric == metric);
        rows.map(|row| {
            (
                format!("{} {:?}", row.dimensions.0[property], row.dimensions.0.get("redacted_row")),
                row.value.unwrap().0,
            )
        })
        .collect()
    };
    assert_eq!(numbers(&new, "page", "page_loads"), numbers(&old, "d_page", "page_loads"));
    assert_eq!(numbers(&new, "page", "unique_visitors"), numbers(&old, "d_page", "vu"));
    // `Summable` says so, and its type is a whole number.
    assert!(
        old.dimensions
            .iter()
            .filter(|row| row.metric == "time_spent")
            .all(|row| row.kind == MetricKind::Additive)
    );
    assert!(
        old.dimensions.iter().filter(|row| row.metric == "vu").all(|row| row.kind == MetricKind::Distinct)
    );
    assert!(fake.server().requests().iter().all(|request| !request.query.contains("canary")));
}

#[tokio::test]
async fn a_pasted_url_becomes_a_report() {
    let fake = FakeAtInternet::start().await.unwrap();
    let url = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_page_loads}\
               &sort={-m_page_loads}&filter={d_page:{$start:'shop'}}&space={s:123456}&period={R:{D:'-1'}}&max-results=50";
    let query: DataQuery = url.parse::<PastedUrl>().unwrap().query;
    let query = query.translated(&NameMap::new()).unwrap().query;
    let source = source(&fake, [Report::from_query("pages", &query).unwrap()]);
    let page = read(&source, &slice("pages", "2026-03-28")).await.unwrap();
    assert!(page.dimensions.len() > 10);
    assert!(page.dimensions.iter().all(|row| row.dimensions.0["page"].as_str().unwrap().starts_with("shop")));
    let compared = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={p1.m_visits,p2.m_visits}\
                    &space={s:1}&period={p1:{R:{D:-1}},p2:{R:{D:-2}}}";
    assert!(Report::from_query("twice", &compared.parse::<PastedUrl>().unwrap().query).is_err());
}

#[tokio::test]
async fn the_hours_of_days_on_which_the_clocks_change_are_those_of_the_site() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, 4000);
    let source = source(&fake, [report("hours", "visit_hour,m_visits")]);
    for (day, two, more) in [("2026-03-28", true, 1), ("2026-03-29", false, 1), ("2026-10-25", true, 2)] {
        let page = read(&source, &slice("hours", day)).await.unwrap();
        let hours: BTreeMap<String, Decimal> = page
            .dimensions
            .iter()
            .map(|row| (row.dimensions.0["visit_hour"].to_string(), row.value.unwrap().0))
            .collect();
        assert_eq!(hours.contains_key("2"), two, "{day}: the hour from 2 to 3");
        assert!(hours.contains_key("\"N/A\""), "{day}: hours that are not known");
        assert_eq!(hours.values().sum::<Decimal>(), Decimal::from(4000), "{day}");
        if two {
            // 4000 visits in 24 or 25 hours: about 160 in an hour, and twice as many in the one that comes twice.
            let share = hours["2"] / hours["12"];
            let (low, high) = (Decimal::new(more * 100 - 35, 2), Decimal::new(more * 100 + 45, 2));
            assert!(low < share && share < high, "{day}: {share}");
        }
    }
}

/// A source whose every answer is told: one row, its count and its total.
async fn telling(columns: &str, row: Value) -> (Server, AtInternet) {
    let names: Vec<Value> = columns.split(',').map(|name| json!({"Name": name})).collect();
    let server = Server::start(move |request| {
        if request.path.ends_with("getRowCount") {
            return Answer::json(r#"{"RowCounts":[{"RowCount":1}]}"#);
        }
        Answer::json(json!({"DataFeed": {"Columns": names, "Rows": [row]}}).to_string())
    })
    .await
    .unwrap();
    let source = AtInternet::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .key("a_b")
        .space_named(FakeAtInternet::SPACE, SITE, chrono_tz::UTC, "EUR".parse::<Currency>().ok())
        .report(report("told", "date,visit_hour,page,m_visits,m_turnover").amount(name("m_turnover")))
        .build()
        .unwrap();
    (server, source)
}

#[tokio::test]
async fn values_that_are_none_are_null_and_those_that_do_not_fit_are_set_aside() {
    let columns = "date,visit_hour,page,m_visits,m_turnover";
    let good =
        json!({"date": "2026-03-28", "visit_hour": 7, "page": "home", "m_visits": 3, "m_turnover": "12.50"});
    let with = |name: &str, value: Value| {
        let mut row = good.clone();
        row[name] = value;
        row
    };
    for (what, row, values, reasons) in [
        ("all is well", good.clone(), [Some("3"), Some("12.5")], vec![]),
        ("a dash", with("m_visits", json!("-")), [None, Some("12.5")], vec![]),
        ("N/A", with("m_visits", json!("N/A")), [None, Some("12.5")], vec![]),
        ("null", with("m_visits", json!(null)), [None, Some("12.5")], vec![]),
        ("an hour that is not known", with("visit_hour", json!("N/A")), [Some("3"), Some("12.5")], vec![]),
        ("a word", with("m_turnover", json!("much")), [Some("3"), None], vec!["the value is no number"]),
        (
            "a number beyond the column",
            with("m_turnover", json!("9999999999999")),
            [Some("3"), None],
            vec!["the number does not fit in NUMERIC(18,6)"],
        ),
        (
            "another day",
            with("date", json!("2026-03-27")),
            [None, None],
            vec!["the row is of another day than was asked for, or of none"; 2],
        ),
        (
            "the name of a month",
            with("date", json!("March")),
            [None, None],
            vec!["the row is of another day than was asked for, or of none"; 2],
        ),
        ("an hour that is none", with("visit_hour", json!(24)), [None, None], vec!["the hour is none"; 2]),
        (
            "a list",
            with("page", json!(["a"])),
            [None, None],
            vec!["a property is neither a text nor a number"; 2],
        ),
    ] {
        let (_server, source) = telling(columns, row).await;
        let page = read(&source, &slice("told", "2026-03-28")).await.unwrap();
        assert_eq!(page.read, 2, "{what}");
        assert_eq!(page.rows() + page.rejected.len(), 2, "{what}");
        let seen: Vec<&str> = page.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
        assert_eq!(seen, reasons, "{what}");
        for (metric, value) in ["visits", "turnover"].iter().zip(values) {
            let row = page.dimensions.iter().find(|row| row.metric == *metric);
            assert_eq!(
                row.and_then(|row| row.value).map(|value| value.0.to_string()),
                value.map(str::to_owned),
                "{what}: {metric}"
            );
            if let Some(row) = row {
                assert_eq!(row.currency.is_some(), *metric == "turnover", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn columns_that_come_or_go_are_told_and_fail_nothing() {
    let row = json!({"date": "2026-03-28", "visit_hour": 7, "page": "home", "m_visits": 3, "m_new": 1});
    let (_server, source) = telling("date,visit_hour,page,m_visits,m_new", row).await;
    let page = read(&source, &slice("told", "2026-03-28")).await.unwrap();
    let drift: Vec<(&str, Change)> =
        page.drift.iter().map(|drift| (drift.field.as_str(), drift.change)).collect();
    assert_eq!(drift, [("m_turnover", Change::Missing), ("m_new", Change::New)]);
    // A missing number is not a zero.
    assert_eq!(page.dimensions.iter().find(|row| row.metric == "turnover").unwrap().value, None);
}

#[tokio::test]
async fn an_empty_day_has_no_rows_and_a_count_that_says_so() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(&fake, [report("pages", "page,m_page_loads"), report("site", "m_visits")]);
    fake.forget(FakeAtInternet::SPACE, "2026-03-28".parse().unwrap(), true);
    for stream in ["pages", "site"] {
        let slice = slice(stream, "2026-03-28");
        let page = read(&source, &slice).await.unwrap();
        assert_eq!((page.read, page.rows()), (0, 0));
        let control = source.verify(&slice).await.unwrap().unwrap();
        assert_eq!(control, mkt_etl::Totals::new().with("records", 0));
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let base = || {
        AtInternet::builder("https://api.atinternet.io")
            .key("canary7f3a_canary9c1e")
            .space(1, chrono_tz::Europe::Paris)
    };
    let columns = |count: usize| (0..count).map(|n| format!("m_{n}")).collect::<Vec<_>>().join(",");
    let by_month = Filter::is(
        name("page"),
        mkt_etl::at_internet::Operator::Inlk,
        mkt_etl::at_internet::Operand::Many(vec!["a".into()]),
    );
    for (what, builder) in [
        (
            "no key",
            AtInternet::builder("https://api.atinternet.io")
                .space(1, chrono_tz::UTC)
                .report(report("a", "m_visits")),
        ),
        ("an empty key", base().key(" ").report(report("a", "m_visits"))),
        (
            "no site",
            AtInternet::builder("https://api.atinternet.io").key("k").report(report("a", "m_visits")),
        ),
        ("no report", base()),
        ("a site twice", base().space(1, chrono_tz::UTC).report(report("a", "m_visits"))),
        (
            "a name that is an address",
            base().space_named(2, "jo@example.org", chrono_tz::UTC, None).report(report("a", "m_visits")),
        ),
        ("a report twice", base().report(report("a", "m_visits")).report(report("a", "page,m_visits"))),
        ("the name of the visits", base().report(report("visits", "m_visits"))),
        (
            "one daily metric in two reports",
            base().report(report("a", "m_visits")).report(report("b", "m_visits,m_users")),
        ),
        ("51 columns", base().report(report("a", &columns(51)))),
        ("31 columns of version 2", base().rest_v2("me", "secret").report(report("a", &columns(31)))),
        ("two columns of one name", base().report(report("a", "os.uid,os_uid,m_visits"))),
        ("a filter of version 2", base().report(report("a", "page,m_visits").filter(by_month))),
        (
            "http",
            AtInternet::builder("http://api.atinternet.io")
                .key("k")
                .space(1, chrono_tz::UTC)
                .report(report("a", "m_visits")),
        ),
    ] {
        assert!(!format!("{builder:?}").contains("canary"), "{what}");
        let error = builder.build().expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
        assert!(!format!("{error:?}").contains("canary"), "{what}");
    }
    for (name, columns) in [
        ("A", "m_visits"),
        ("", "m_visits"),
        ("a", "page"),
        ("a", "m_visits,m_visits"),
        ("a", "m visits"),
        ("a", ""),
    ] {
        assert!(Report::new(name, columns.split(',')).is_err(), "{name} {columns}");
    }
}
