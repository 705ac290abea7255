//! The streams of reports with dimensions, against the recorded Matomo and against answers of forms that were not
//! recorded. Expected numbers are those of the recorded bodies, read by hand.

use crate::support::{all, at, day, late, window};
use futures_util::StreamExt;
use mkt_connect::ErrorKind;
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Received, Server};
use mkt_etl::ledger::SliceRow;
use mkt_etl::matomo::{MatomoBuilder, STREAMS};
use mkt_etl::source::{Change, Coverage, Drift};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::testing::conformance::{Subject, Verdict, check_all};
use mkt_etl::{AnalyticsSource, Matomo, Page, Pipeline, RunReport, Totals, Window};
use mkt_warehouse::model::{DailyMetric, DimensionMetric, MetricKind, Session, SliceState};
use mkt_warehouse::{SliceKey, Sqlite};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::form_urlencoded;

const TOKEN: &str = "c0ffeec0ffeec0ffeec0ffeec0ffee99";
const SITE: &str = include_str!("../recordings/matomo/site_from_id.body");

/// The rows of a window of streams, and the report of the run.
async fn loaded(source: MatomoBuilder, of: Window) -> (Vec<DimensionMetric>, RunReport, Sqlite) {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let matomo = source.retry(Policy::once()).build().unwrap();
    let report = Pipeline::new(matomo, warehouse.clone()).clock(late()).run(of).await.unwrap();
    (all(&warehouse).await, report, warehouse)
}

fn settled(report: &RunReport, slices: u64) {
    assert!(report.is_complete() && report.unreconciled.is_empty(), "{report:#?}");
    assert_eq!(report.slices, BTreeMap::from([("settled".to_owned(), slices)]));
    assert_eq!((report.quarantined, report.duplicates), (0, 0));
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A metric of one row of a report.
fn value(rows: &[DimensionMetric], report: &str, dimensions: &Value, metric: &str) -> Option<Decimal> {
    let found: Vec<&DimensionMetric> = rows
        .iter()
        .filter(|row| row.report == report && row.dimensions.0 == *dimensions && row.metric == metric)
        .collect();
    assert!(found.len() <= 1, "{report} {dimensions} {metric} is there {} times", found.len());
    found.first().and_then(|row| row.value).map(|value| value.0.normalize())
}

fn has(rows: &[DimensionMetric], report: &str, dimensions: &Value, expected: &[(&str, &str)]) {
    for (metric, told) in expected {
        assert_eq!(
            value(rows, report, dimensions, metric),
            Some(number(told)),
            "{metric} of {dimensions} in {report}"
        );
    }
}

/// How many rows a report has, whatever its metrics.
fn combinations(rows: &[DimensionMetric], report: &str) -> usize {
    let keys: std::collections::BTreeSet<(String, i64)> = rows
        .iter()
        .filter(|row| row.report == report)
        .map(|row| (row.day.to_string(), row.dimension_key))
        .collect();
    keys.len()
}

async fn pages(source: &Matomo, stream: &str, date: &str) -> Vec<mkt_connect::Result<Page>> {
    source.read(&SliceKey::day("matomo", stream, "1", day(date))).collect().await
}

async fn page(source: &Matomo, stream: &str, date: &str) -> Page {
    let mut pages = pages(source, stream, date).await;
    assert_eq!(pages.len(), 1);
    pages.remove(0).unwrap()
}

#[tokio::test]
async fn visits_by_type_of_referrer_add_up_to_the_summary() {
    let server = RecordedMatomo::start().await.unwrap();
    let (rows, report, _) =
        loaded(server.source().streams(["referrers"]), window("2026-03-28", "2026-03-31")).await;
    settled(&report, 4);
    let of_28: Vec<DimensionMetric> =
        rows.iter().filter(|row| row.day == day("2026-03-28")).cloned().collect();
    has(
        &of_28,
        "referrers",
        &json!({"referrer_type": "direct"}),
        &[
            ("visits", "8"),
            ("actions", "11"),
            ("bounces", "5"),
            ("seconds_on_site", "487"),
            ("converted_visits", "4"),
            ("conversions", "4"),
            ("revenue", "0"),
            ("unique_visitors", "8"),
            ("known_users", "4"),
            // 5 of 8; Matomo's own "63%" is rounded.
            ("bounce_rate", "0.625"),
            ("conversion_rate", "0.5"),
        ],
    );
    has(&of_28, "referrers", &json!({"referrer_type": "search"}), &[("visits", "5"), ("revenue", "119.8")]);
    has(
        &of_28,
        "referrers",
        &json!({"referrer_type": "campaign"}),
        &[("visits", "3"), ("seconds_on_site", "483")],
    );
    has(
        &of_28,
        "referrers",
        &json!({"referrer_type": "website"}),
        &[("visits", "1"), ("converted_visits", "0")],
    );
    assert_eq!(combinations(&of_28, "referrers"), 4);
    // What is not told is not there: Matomo tells nothing of conversions of websites.
    assert_eq!(value(&of_28, "referrers", &json!({"referrer_type": "website"}), "revenue"), None);
    has(
        &of_28,
        "referrer_goals",
        &json!({"referrer_type": "search", "goal": "ecommerceOrder"}),
        &[("conversions", "2"), ("revenue", "119.8"), ("revenue_tax", "20"), ("items", "2")],
    );
    has(
        &of_28,
        "referrer_carts",
        &json!({"referrer_type": "campaign"}),
        &[("carts", "1"), ("cart_value", "59.9"), ("items", "1")],
    );
    // An abandoned cart brings nothing: 119.8 EUR on each of three days, nothing on the 30th.
    let revenue: Decimal = rows
        .iter()
        .filter(|row| row.report == "referrer_goals" && row.metric == "revenue")
        .filter_map(|row| row.value)
        .map(|value| value.0)
        .sum();
    assert_eq!(revenue, number("359.4"));
    let eur = rows.iter().find(|row| row.metric == "revenue").unwrap().currency.unwrap();
    assert_eq!(eur.as_str(), "EUR");
    assert!(rows.iter().filter(|row| row.metric == "visits").all(|row| row.currency.is_none()));
    let kind = |metric: &str| rows.iter().find(|row| row.metric == metric).unwrap().kind;
    assert_eq!(
        [kind("visits"), kind("unique_visitors"), kind("bounce_rate")],
        [MetricKind::Additive, MetricKind::Distinct, MetricKind::Ratio]
    );
}

#[tokio::test]
async fn a_table_that_is_older_than_the_summary_is_not_settled() {
    let server = RecordedMatomo::start().await.unwrap();
    let of = window("2026-03-27", "2026-03-27");
    // 12 visits in the table, 13 in the summary since the late one came.
    let (_, report, _) = loaded(server.source().streams(["referrers"]), of).await;
    assert_eq!(report.slices, BTreeMap::from([("provisional".to_owned(), 1)]));
    server.choose("late_before").unwrap();
    let (_, report, _) = loaded(server.source().streams(["referrers"]), of).await;
    settled(&report, 1);
}

#[tokio::test]
async fn names_keywords_and_campaigns_of_referrers_are_told_apart() {
    let server = RecordedMatomo::start().await.unwrap();
    let streams = ["referrer_names", "campaigns"];
    let (rows, report, _) =
        loaded(server.source().streams(streams), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 2);
    has(
        &rows,
        "referrer_names",
        &json!({"referrer_type": "search", "referrer_keyword": "shoes"}),
        &[("visits", "3"), ("conversions", "1"), ("revenue", "59.9")],
    );
    // "Keyword not defined" is a label in the visitor's language, not a keyword.
    has(
        &rows,
        "referrer_names",
        &json!({"referrer_type": "search", "referrer_keyword": null}),
        &[("visits", "2")],
    );
    has(
        &rows,
        "referrer_names",
        &json!({"referrer_type": "website", "referrer_name": "partner.example.net"}),
        &[("visits", "1")],
    );
    has(
        &rows,
        "referrer_names",
        &json!({"referrer_type": "campaign", "referrer_name": "spring"}),
        &[("visits", "3")],
    );
    assert_eq!(combinations(&rows, "referrer_names"), 4);
    for (keyword, seconds) in [("k0", "121"), ("k4", "241"), ("k8", "121")] {
        let dimensions = json!({"campaign": "spring", "campaign_keyword": keyword});
        has(&rows, "campaigns", &dimensions, &[("visits", "1"), ("seconds_on_site", seconds)]);
    }
    assert_eq!(combinations(&rows, "campaigns"), 3);
}

#[tokio::test]
async fn pages_have_views_entries_and_exits() {
    let server = RecordedMatomo::start().await.unwrap();
    let (rows, report, _) =
        loaded(server.source().streams(["pages"]), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 1);
    has(
        &rows,
        "pages",
        &json!({"page_url": "https://shop.example.org/"}),
        &[
            ("page_views", "9"),
            ("visits_with_page", "9"),
            ("seconds_on_page", "1080"),
            // Written as texts: "9", "18", "1693", "0".
            ("entries", "9"),
            ("actions_after_entry", "18"),
            ("seconds_after_entry", "1693"),
            ("entry_bounces", "0"),
            ("entry_bounce_rate", "0"),
            ("time_per_page_view", "120"),
        ],
    );
    has(
        &rows,
        "pages",
        &json!({"page_url": "https://shop.example.org/cat/p0?é=1"}),
        &[("page_views", "4"), ("exits", "4"), ("exit_rate", "1")],
    );
    let sum = |metric: &str| -> Decimal {
        rows.iter().filter(|row| row.metric == metric).filter_map(|row| row.value).map(|x| x.0).sum()
    };
    // VisitsSummary.get: 17 visits, 29 actions.
    assert_eq!((sum("entries"), sum("exits"), sum("page_views")), (17.into(), 17.into(), 29.into()));
    assert!(rows.iter().all(|row| !row.is_rest));
    // A visit sees several pages.
    let visits = rows.iter().find(|row| row.metric == "visits_with_page").unwrap();
    assert_eq!(visits.kind, MetricKind::Distinct);
}

#[tokio::test]
async fn what_matomo_folded_is_a_row_of_its_own_and_the_slice_says_how_much_it_is() {
    let server = RecordedMatomo::start().await.unwrap();
    let (rows, report, _) =
        loaded(server.source().streams(["pages"]), window("2026-04-10", "2026-04-10")).await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(report.slices, BTreeMap::from([("truncated".to_owned(), 1)]));
    // 150 addresses, 150 views in 15 visits; 99 addresses are kept, 51 views are not.
    assert_eq!(combinations(&rows, "pages"), 100);
    let rest: Vec<&DimensionMetric> = rows.iter().filter(|row| row.is_rest).collect();
    let told =
        |metric: &str| rest.iter().find(|row| row.metric == metric).and_then(|row| row.value).map(|x| x.0);
    assert_eq!(rest[0].dimensions.0, json!({"page_url": "/long/ - Others"}));
    assert_eq!(
        (told("page_views"), told("entries"), told("exits")),
        (Some(51.into()), Some(5.into()), Some(6.into()))
    );
    // A sum of what may not be added up is not told.
    assert_eq!(told("visits_with_page"), None);
    let note = report.notes.values().next().unwrap();
    assert!(
        note.contains("51 of 150 page_views (34.0 %)") || note.contains("51 of 150 page_views (34 %)"),
        "{note}"
    );
    // With the rest, everything is there: counted in Live, since no other report of that day was recorded.
    assert!(report.unreconciled.is_empty(), "{report:#?}");
}

#[tokio::test]
async fn a_table_is_read_in_pages_and_a_server_that_repeats_itself_is_found_out() {
    let server = RecordedMatomo::start().await.unwrap();
    let whole = server.source().streams(["pages"]).build().unwrap();
    let parts = server.source().streams(["pages"]).table_rows(2).build().unwrap();
    let whole = page(&whole, "pages", "2026-03-28").await;
    let hits = server.server().hits();
    let read = pages(&parts, "pages", "2026-03-28").await;
    // Seven rows: 2, 2, 2, 1; and the site.
    assert_eq!((read.len(), server.server().hits() - hits), (4, 5));
    let rows: Vec<DimensionMetric> = read.into_iter().flat_map(|page| page.unwrap().dimensions).collect();
    assert_eq!(rows, whole.dimensions);

    let body = include_str!("../recordings/matomo/act_pageurls_flat.body");
    let deaf = answering(move |method, _| {
        (method == "Actions.getPageUrls")
            .then(|| json!({"2026-03-28": serde_json::from_str::<Value>(body).unwrap()}))
    })
    .await;
    let error =
        pages(&source(&deaf).table_rows(7).streams(["pages"]).build().unwrap(), "pages", "2026-03-28").await;
    let error = error.into_iter().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("came twice"), "{error}");
}

fn visits_of(rows: &[DimensionMetric], date: &str) -> Vec<(String, String, i64)> {
    let mut hours: Vec<(String, String, i64)> = rows
        .iter()
        .filter(|row| row.day == day(date) && row.metric == "visits" && !row.value.unwrap().0.is_zero())
        .map(|row| {
            let text = |name: &str| row.dimensions.0[name].as_str().unwrap().to_owned();
            (text("hour"), text("utc_offset"), row.value.unwrap().0.try_into().unwrap())
        })
        .collect();
    // The hour that comes twice: summer time first.
    hours.sort_by(|a, b| (&a.0, b.1.as_str()).cmp(&(&b.0, a.1.as_str())));
    hours
}

#[tokio::test]
async fn hours_are_those_of_the_zone_on_both_days_of_clock_changes() {
    let server = RecordedMatomo::start().await.unwrap();
    let hours = || server.source().streams(["hours"]).page_size(4);
    let (spring, report, _) = loaded(hours(), window("2026-03-29", "2026-03-29")).await;
    settled(&report, 1);
    let (autumn, report, _) = loaded(hours(), window("2026-10-25", "2026-10-25")).await;
    settled(&report, 1);
    let (plain, report, _) = loaded(hours(), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 1);
    assert_eq!([&spring, &autumn, &plain].map(|rows| combinations(rows, "hours")), [23, 25, 24]);
    // firstActionTimestamp of Live, in Paris. There was no hour 02 on that day; VisitTime says that it had a visit.
    let visits = |list: &[(&str, &str, i64)]| -> Vec<(String, String, i64)> {
        list.iter()
            .map(|(hour, offset, visits)| ((*hour).to_owned(), (*offset).to_owned(), *visits))
            .collect()
    };
    let (cet, cest) = ("+01:00", "+02:00");
    assert_eq!(
        visits_of(&spring, "2026-03-29"),
        visits(&[
            ("00", cet, 1),
            ("01", cet, 3),
            ("03", cest, 1),
            ("04", cest, 1),
            ("06", cest, 1),
            ("08", cest, 2),
            ("10", cest, 1),
            ("12", cest, 1),
            ("14", cest, 2),
            ("16", cest, 1),
            ("18", cest, 1),
            ("20", cest, 2),
            ("22", cest, 1)
        ])
    );
    assert_eq!(
        visits_of(&autumn, "2026-10-25"),
        visits(&[
            ("00", cest, 1),
            ("02", cest, 3),
            ("02", cet, 1),
            ("03", cet, 1),
            ("05", cet, 1),
            ("07", cet, 2),
            ("09", cet, 1),
            ("11", cet, 1),
            ("13", cet, 2),
            ("15", cet, 1),
            ("17", cet, 1),
            ("19", cet, 2),
            ("21", cet, 1),
            ("23", cet, 1)
        ])
    );
    // VisitsSummary.get of both days: bounces 6 and 6, actions 30 and 32.
    let sum = |rows: &[DimensionMetric], metric: &str| -> Decimal {
        rows.iter().filter(|row| row.metric == metric).filter_map(|row| row.value).map(|x| x.0).sum()
    };
    assert_eq!((sum(&spring, "bounces"), sum(&spring, "actions")), (6.into(), 30.into()));
    assert_eq!((sum(&autumn, "bounces"), sum(&autumn, "actions")), (6.into(), 32.into()));
}

#[tokio::test]
async fn articles_reconcile_with_the_orders_and_the_carts() {
    let server = RecordedMatomo::start().await.unwrap();
    let hits = server.server().hits();
    let matomo = server.source().streams(["items"]).build().unwrap();
    let _ = page(&matomo, "items", "2026-03-28").await;
    assert_eq!(server.server().hits() - hits, 2, "the site, and both tables in one request");
    let (rows, report, _) =
        loaded(server.source().streams(["items"]), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 1);
    let sku = || json!({"sku": "SKU1"});
    has(
        &rows,
        "items",
        &sku(),
        &[
            ("quantity", "2"),
            ("revenue", "119.8"),
            ("orders", "2"),
            ("price_per_item", "59.9"),
            ("quantity_per_order", "1"),
        ],
    );
    has(&rows, "abandoned_items", &sku(), &[("quantity", "2"), ("cart_value", "119.8"), ("carts", "2")]);
    let control =
        matomo.verify(&SliceKey::day("matomo", "items", "1", day("2026-03-28"))).await.unwrap().unwrap();
    let expected = Totals::new()
        .with("items.quantity", 2)
        .with("items.revenue", number("119.8"))
        .with("abandoned_items.quantity", 2)
        .with("abandoned_items.cart_value", number("119.8"));
    assert_eq!(control, expected, "two orders and two carts of Live");
}

#[tokio::test]
async fn goals_orders_and_carts_are_told_one_by_one() {
    let server = RecordedMatomo::start().await.unwrap();
    let (rows, report, _) =
        loaded(server.source().streams(["goals"]), window("2026-03-27", "2026-03-31")).await;
    settled(&report, 5);
    let of = |date: &str| -> Vec<DimensionMetric> {
        rows.iter().filter(|row| row.day == day(date)).cloned().collect()
    };
    let of_28 = of("2026-03-28");
    has(
        &of_28,
        "goals",
        &json!({"goal": "1"}),
        &[("conversions", "4"), ("converted_visits", "4"), ("revenue", "0")],
    );
    has(
        &of_28,
        "goals",
        &json!({"goal": "ecommerceOrder"}),
        &[
            ("conversions", "2"),
            ("revenue", "119.8"),
            ("revenue_subtotal", "99.8"),
            ("revenue_tax", "20"),
            ("revenue_shipping", "0"),
            ("revenue_discount", "0"),
            ("items", "2"),
            ("revenue_per_conversion", "59.9"),
        ],
    );
    has(
        &of_28,
        "goal_visitors",
        &json!({"goal": "1", "visitor": "returning"}),
        &[("conversions", "4"), ("converted_visits", "4")],
    );
    has(&of_28, "abandoned_carts", &json!({}), &[("carts", "2"), ("cart_value", "119.8"), ("items", "2")]);
    has(&of("2026-03-30"), "goals", &json!({"goal": "1"}), &[("conversions", "0"), ("revenue", "0")]);
    // Nobody came back on the 27th: Matomo leaves those fields out, and that is no zero and no drift.
    assert_eq!(
        value(
            &of("2026-03-27"),
            "goal_visitors",
            &json!({"goal": "1", "visitor": "returning"}),
            "conversions"
        ),
        None
    );
    let matomo = server.source().streams(["goals"]).build().unwrap();
    let read = page(&matomo, "goals", "2026-03-27").await;
    assert!(read.drift.is_empty(), "{:?}", read.drift);
    assert_eq!(read.extras[0].record, "goal 1");
    assert_eq!(read.extras[0].fields.0, json!({"name": "signup"}));
}

#[tokio::test]
async fn nothing_recorded_is_drift() {
    let server = RecordedMatomo::start().await.unwrap();
    let matomo = server.source().all_streams().build().unwrap();
    for stream in STREAMS.into_iter().filter(|stream| *stream != "events") {
        let read = page(&matomo, stream, "2026-03-28").await;
        assert!(read.drift.is_empty(), "{stream}: {:?}", read.drift);
        assert!(read.rejected.is_empty() && read.notes.is_empty(), "{stream}");
        assert_eq!(read.coverage, Coverage::Whole, "{stream}");
    }
}

#[tokio::test]
async fn a_report_that_the_instance_does_not_have_is_unsupported_and_no_zero() {
    let server = RecordedMatomo::start().await.unwrap();
    // Events were never recorded; pages not on that day.
    let (rows, report, _) =
        loaded(server.source().streams(["events", "pages"]), window("2026-03-29", "2026-03-29")).await;
    assert!(rows.is_empty());
    assert_eq!(report.slices, BTreeMap::from([("failed".to_owned(), 2)]));
    let off = answering(|method, _| {
        (method != "Live.getLastVisitsDetails").then(
            || json!({"result": "error", "message": "The plugin Events is not enabled. You can activate the plugin."}),
        )
    })
    .await;
    let matomo = source(&off).all_streams().build().unwrap();
    for stream in STREAMS.into_iter().filter(|stream| !["visits", "hours"].contains(stream)) {
        let error = pages(&matomo, stream, "2026-03-28").await.remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{stream}: {error}");
    }
}

#[tokio::test]
async fn matomo_keeps_the_contract_in_every_recorded_stream_and_in_a_segment() {
    let server = RecordedMatomo::start().await.unwrap();
    let streams = STREAMS.into_iter().filter(|stream| *stream != "events");
    let matomo = server.source().streams(streams).page_size(3).table_rows(3).build().unwrap();
    let segment =
        server.source().streams(["daily"]).segment("campaigns", "referrerType==campaign").build().unwrap();
    for source in [matomo, segment] {
        let subject =
            Subject::new(&source, "1", window("2026-03-28", "2026-03-28")).secret(RecordedMatomo::TOKEN);
        let findings = check_all(&subject).await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Held), "{findings:#?}");
    }
}

#[tokio::test]
async fn a_segment_is_another_population_and_never_mixes_with_the_whole() {
    let server = RecordedMatomo::start().await.unwrap();
    let source =
        || server.source().streams(["daily", "visits"]).segment("campaigns", "referrerType==campaign");
    let (rows, report, warehouse) = loaded(source(), window("2026-03-28", "2026-03-28")).await;
    settled(&report, 3);
    let daily: Vec<DailyMetric> = all(&warehouse).await;
    let visits: Vec<&DailyMetric> = daily.iter().filter(|row| row.metric == "visits").collect();
    assert_eq!((visits.len(), visits[0].value.unwrap().0), (1, 17.into()));
    assert_eq!(all::<Session>(&warehouse).await.len(), 17, "no visit is there twice");
    // vs_get_segment: 3 visits, 6 actions, no conversion.
    has(
        &rows,
        "daily[campaigns]",
        &json!({}),
        &[
            ("visits", "3"),
            ("actions", "6"),
            ("seconds_on_site", "483"),
            ("conversions", "0"),
            ("bounce_rate", "0"),
        ],
    );
    assert!(rows.iter().all(|row| row.report == "daily[campaigns]"));
    let slices: Vec<SliceRow> = all(&warehouse).await;
    let streams: std::collections::BTreeSet<&str> =
        slices.iter().map(|slice| slice.stream.as_str()).collect();
    assert_eq!(streams.into_iter().collect::<Vec<_>>(), ["daily", "daily[campaigns]", "visits"]);
    let names: Vec<String> = source()
        .build()
        .unwrap()
        .capabilities()
        .streams
        .iter()
        .map(|stream| stream.name.to_string())
        .collect();
    assert_eq!(names, ["daily", "visits", "daily[campaigns]"]);
}

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
    assert_eq!(defaults, ["daily", "visits"]);
}

fn source(server: &Server) -> MatomoBuilder {
    Matomo::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .token(TOKEN)
        .site(1)
        .retry(Policy::once())
}

/// A server that answers a call by its method and its parameters, also inside of a bulk request; without an answer, with
/// nothing at all: `[]`.
async fn answering(
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
    let drift =
        |place: &str, field: &str, change| Drift { place: place.to_owned(), field: field.to_owned(), change };

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
async fn several_sites_are_described_in_one_request_and_none_stands_for_another() {
    let server = RecordedMatomo::start().await.unwrap();
    let source = server.source().site_named(2, "blog");
    let matomo = source.clone().build().unwrap();
    let checked = matomo.check().await.unwrap();
    let zones: Vec<(&str, &str)> =
        checked.sites.iter().map(|site| (site.site.as_str(), site.zone.name())).collect();
    assert_eq!(zones, [("1", "Europe/Paris"), ("blog", "UTC")]);
    assert_eq!(server.server().hits(), 2, "the version, and both sites");
    // Of the second site only the summary was recorded, so that its day is no zero but a failure.
    let warehouse = Sqlite::in_memory().await.unwrap();
    let pipeline = Pipeline::new(matomo, warehouse.clone()).clock(late()).streams(["daily"]);
    let report = pipeline.run(window("2026-10-25", "2026-10-25")).await.unwrap();
    assert_eq!(report.slices, BTreeMap::from([("failed".to_owned(), 1), ("settled".to_owned(), 1)]));
    let rows: Vec<DailyMetric> = all(&warehouse).await;
    assert!(rows.iter().all(|row| row.site == "1"));
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

#[tokio::test]
async fn a_second_run_of_every_stream_changes_nothing() {
    let server = RecordedMatomo::start().await.unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    let streams = STREAMS.into_iter().filter(|stream| *stream != "events");
    let matomo = server.source().streams(streams).build().unwrap();
    let of = window("2026-03-28", "2026-03-28");
    // Read twice before it is final, and once after.
    for (clock, changed) in
        [("2026-03-29T12:00:00Z", true), ("2026-03-29T13:00:00Z", false), ("2026-11-15T12:00:00Z", true)]
    {
        let pipeline = Pipeline::new(matomo.clone(), warehouse.clone()).clock(at(clock));
        let report = pipeline.run(of).await.unwrap();
        assert_eq!((report.changed, report.revised), (changed, 0), "{clock}: {report:#?}");
    }
    let slices: Vec<SliceRow> = all(&warehouse).await;
    assert!(slices.iter().all(|slice| slice.state == SliceState::Settled));
}
