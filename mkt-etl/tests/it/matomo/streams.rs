//! The streams of reports with dimensions, against the recorded Matomo. Expected numbers are those of the recorded bodies,
//! read by hand.

use super::{answering, combinations, has, loaded, number, page, pages, settled, source, value};
use crate::support::{all, at, day, late, window};
use mkt_connect::ErrorKind;
use mkt_etl::Coverage;
use mkt_etl::ledger::SliceRow;
use mkt_etl::matomo::STREAMS;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::testing::conformance::{Subject, Verdict, check_all};
use mkt_etl::{AnalyticsSource, Pipeline, Totals};
use mkt_warehouse::model::{DailyMetric, DimensionMetric, MetricKind, Session, SliceState};
use mkt_warehouse::{SliceKey, Sqlite};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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

    let body = include_str!("../../recordings/matomo/act_pageurls_flat.body");
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
    assert_eq!(names, ["visits", "daily", "daily[campaigns]"]);
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
