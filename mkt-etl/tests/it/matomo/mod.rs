//! Matomo: its streams against the recorded instance, every recording, and answers of forms that were not recorded.

mod answers;
mod real_server;
mod recordings;
mod streams;

use crate::support::{all, day, late};
use futures_util::StreamExt;
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Received, Server};
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::MatomoBuilder;
use mkt_etl::{AnalyticsSource, Page, Pipeline, RunReport, Window};
use mkt_warehouse::model::DimensionMetric;
use mkt_warehouse::{SliceKey, Sqlite};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use url::form_urlencoded;

const TOKEN: &str = "c0ffeec0ffeec0ffeec0ffeec0ffee99";
const SITE: &str = include_str!("../../recordings/matomo/site_from_id.body");

/// The rows of a window of streams, and the report of the run.
pub(super) async fn loaded(source: MatomoBuilder, of: Window) -> (Vec<DimensionMetric>, RunReport, Sqlite) {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let matomo = source.retry(Policy::once()).build().unwrap();
    let report = Pipeline::new(matomo, warehouse.clone()).clock(late()).run(of).await.unwrap();
    (all(&warehouse).await, report, warehouse)
}

pub(super) fn settled(report: &RunReport, slices: u64) {
    assert!(report.is_complete() && report.unreconciled.is_empty(), "{report:#?}");
    assert_eq!(report.slices, BTreeMap::from([("settled".to_owned(), slices)]));
    assert_eq!((report.quarantined, report.duplicates), (0, 0));
}

pub(super) fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A metric of one row of a report.
pub(super) fn value(
    rows: &[DimensionMetric],
    report: &str,
    dimensions: &Value,
    metric: &str,
) -> Option<Decimal> {
    let found: Vec<&DimensionMetric> = rows
        .iter()
        .filter(|row| row.report == report && row.dimensions.0 == *dimensions && row.metric == metric)
        .collect();
    assert!(found.len() <= 1, "{report} {dimensions} {metric} is there {} times", found.len());
    found.first().and_then(|row| row.value).map(|value| value.0.normalize())
}

pub(super) fn has(rows: &[DimensionMetric], report: &str, dimensions: &Value, expected: &[(&str, &str)]) {
    for (metric, told) in expected {
        assert_eq!(
            value(rows, report, dimensions, metric),
            Some(number(told)),
            "{metric} of {dimensions} in {report}"
        );
    }
}

/// How many rows a report has, whatever its metrics.
pub(super) fn combinations(rows: &[DimensionMetric], report: &str) -> usize {
    let keys: BTreeSet<(String, i64)> = rows
        .iter()
        .filter(|row| row.report == report)
        .map(|row| (row.day.to_string(), row.dimension_key))
        .collect();
    keys.len()
}

pub(super) async fn pages(source: &Matomo, stream: &str, date: &str) -> Vec<mkt_connect::Result<Page>> {
    source.read(&SliceKey::day("matomo", stream, "1", day(date))).collect().await
}

pub(super) async fn page(source: &Matomo, stream: &str, date: &str) -> Page {
    let mut pages = pages(source, stream, date).await;
    assert_eq!(pages.len(), 1);
    pages.remove(0).unwrap()
}

pub(super) fn source(server: &Server) -> MatomoBuilder {
    Matomo::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .token(TOKEN)
        .site(1)
        .retry(Policy::once())
}

/// A server that answers a call by its method and its parameters, also inside of a bulk request; without an answer, with
/// nothing at all: `[]`.
pub(super) async fn answering(
    answer: impl Fn(&str, &BTreeMap<String, String>) -> Option<Value> + Send + Sync + 'static,
) -> Server {
    let answer = Arc::new(answer);
    Server::start(move |request: &Received| {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let one = |fields: &BTreeMap<String, String>| -> Value {
            let method = fields.get("method").cloned().unwrap_or_default();
            match method.as_str() {
                "SitesManager.getSiteFromId" => serde_json::from_str(SITE).unwrap(),
                "API.getMatomoVersion" => json!({"value": "5.1.0"}),
                _ => answer(&method, fields).unwrap_or_else(|| json!([])),
            }
        };
        if fields.get("method").map(String::as_str) != Some("API.getBulkRequest") {
            return Answer::json(one(&fields).to_string());
        }
        let elements: Vec<Value> = (0..)
            .map_while(|index| fields.get(&format!("urls[{index}]")))
            .map(|url| {
                let (query, _) = form_urlencoded::parse(url.as_bytes()).next().unwrap();
                one(&form_urlencoded::parse(query.as_bytes()).into_owned().collect())
            })
            .collect();
        Answer::json(Value::Array(elements).to_string())
    })
    .await
    .unwrap()
}
