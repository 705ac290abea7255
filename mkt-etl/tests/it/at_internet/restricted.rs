//! Restricted keys: one data set, of which a call says the period and the page only.

use super::{SITE, read, report, settings, slice};
use crate::support::{all, late, window};
use mkt_connect::ErrorKind;
use mkt_etl::at_internet::{AtInternetBuilder, DataQuery, Filter, Name};
use mkt_etl::testing::{AtInternetFault, FakeAtInternet};
use mkt_etl::{AnalyticsSource, Coverage, Pipeline};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::DimensionMetric;
use serde_json::{Value, json};

const DAY: &str = "2026-03-28";
const COLUMNS: &str = "page,m_page_loads,m_visits";

fn data_set(columns: &str, filter: Option<Filter>) -> DataQuery {
    let columns: Vec<&str> = columns.split(',').collect();
    let text = json!({"columns": columns, "sort": ["-m_visits"], "space": {"s": [FakeAtInternet::SPACE]},
                      "period": {"p1": [{"type": "D", "start": DAY, "end": DAY}]}});
    DataQuery { filter, ..DataQuery::from_v3(&text.to_string()).unwrap() }
}

fn restricted(fake: &FakeAtInternet, filter: Option<Filter>, columns: &str) -> AtInternetBuilder {
    let key = fake.add_restricted_key(&data_set(COLUMNS, filter)).unwrap();
    settings(fake).restricted_key(key).report(report("pages", columns))
}

#[tokio::test]
async fn a_data_set_is_read_as_the_query_would_be() {
    let fake = FakeAtInternet::start().await.unwrap();
    let filter = Filter::equals(Name::new("device_type").unwrap(), "Desktop");
    let open = settings(&fake).report(report("pages", COLUMNS).filter(filter.clone())).build().unwrap();
    let mut expected = read(&open, &slice("pages", DAY)).await.unwrap();
    let begin = fake.server().requests().len();
    // Pages of ten rows: the last is not full, or empty.
    let source = restricted(&fake, Some(filter), COLUMNS).row_limits(10, 200_000).build().unwrap();
    let checked = source.check().await.unwrap();
    assert!(checked.failed.is_empty());
    let mut page = read(&source, &slice("pages", DAY)).await.unwrap();
    for page in [&mut expected, &mut page] {
        page.dimensions.sort_by_key(|row| (row.dimension_key, row.metric.clone()));
    }
    assert_eq!(page.dimensions, expected.dimensions);
    assert_eq!((page.read, page.coverage), (expected.read, Coverage::Whole));
    // There is nothing to compare it with.
    assert_eq!(source.verify(&slice("pages", DAY)).await.unwrap(), None);
    let requests = fake.server().requests();
    assert!(requests.len() > begin + 3);
    for request in &requests[begin..] {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["max-results", "page-num", "period"]);
        assert_eq!(request.path, "/v3/data/getData");
    }
    assert!(!format!("{source:?}").contains("canary"));
}

#[tokio::test]
async fn the_report_must_name_the_columns_of_the_key() {
    let fake = FakeAtInternet::start().await.unwrap();
    // Without the page, rows of several pages would be one.
    let source = restricted(&fake, None, "src,m_page_loads,m_visits").build().unwrap();
    for error in [source.check().await.unwrap_err(), read(&source, &slice("pages", DAY)).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("missing there: src; not in the report: page"), "{error}");
    }
}

#[tokio::test]
async fn a_day_that_is_too_large_is_truncated_and_an_empty_one_is_empty() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = restricted(&fake, None, COLUMNS).row_limits(10, 20).build().unwrap();
    let page = read(&source, &slice("pages", DAY)).await.unwrap();
    assert_eq!((page.dimensions.len(), page.coverage), (2 * 20, Coverage::Truncated));
    assert!(page.notes[0].contains("20 rows"), "{:?}", page.notes);
    fake.forget(FakeAtInternet::SPACE, DAY.parse().unwrap(), true);
    let page = read(&source, &slice("pages", DAY)).await.unwrap();
    assert_eq!((page.rows(), page.coverage, page.notes), (0, Coverage::Whole, Vec::new()));
    for _ in 0..2 {
        fake.inject(AtInternetFault::NoContent);
    }
    let page = read(&source, &slice("pages", DAY)).await.unwrap();
    assert!(page.notes[0].contains("204") && source.verify(&slice("pages", DAY)).await.unwrap().is_some());
}

#[tokio::test]
async fn numbers_of_a_key_are_not_taken_for_those_of_the_site() {
    let fake = FakeAtInternet::start().await.unwrap();
    let filter = Filter::equals(Name::new("device_type").unwrap(), "Desktop");
    let key = fake.add_restricted_key(&data_set("m_visits", Some(filter))).unwrap();
    let source = settings(&fake).restricted_key(key).report(report("part", "m_visits")).build().unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(source, warehouse.clone()).clock(late());
    let run = pipeline.run(window(DAY, DAY)).await.unwrap();
    assert_eq!(run.rows, [("dimension_metrics".to_owned(), 1)].into(), "{run:?}");
    let rows: Vec<DimensionMetric> = all(&warehouse).await;
    assert!(rows[0].report == "part" && rows[0].value.unwrap().0 < 60.into() && rows[0].site == SITE);
    // Without totals to compare with, a day is settled when it was read twice and was the same.
    assert_eq!(run.slices, [("provisional".to_owned(), 1)].into());
    assert_eq!(pipeline.run(window(DAY, DAY)).await.unwrap().slices, [("settled".to_owned(), 1)].into());
    assert!(!pipeline.run(window(DAY, DAY)).await.unwrap().changed);
}

#[tokio::test]
async fn a_restricted_key_has_one_report_of_columns_and_one_site() {
    let fake = FakeAtInternet::start().await.unwrap();
    let filter = Filter::equals(Name::new("page").unwrap(), "a");
    for (settings, why) in [
        (restricted(&fake, None, COLUMNS).report(report("other", "m_visits")), "one report"),
        (restricted(&fake, None, COLUMNS).space(2, chrono_tz::UTC), "one site"),
        (restricted(&fake, None, COLUMNS).visits(super::visit_columns()), "one site"),
        (
            settings(&fake).restricted_key("canary").report(report("pages", COLUMNS).filter(filter)),
            "has a filter",
        ),
    ] {
        let error = settings.build().unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(why), "{error}");
    }
}
