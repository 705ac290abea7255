//! All 116 recorded answers, replayed over HTTP: each is read, with the numbers that are in its body, or refused, with the
//! kind of failure that it is. The numbers were taken from the bodies by hand.

use futures_util::StreamExt;
use mkt_connect::http::retry::Policy;
use mkt_connect::{ErrorKind, Result};
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::{Answer, Row};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{AnalyticsSource, Page};
use mkt_warehouse::SliceKey;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What must become of a recording.
enum Expected {
    /// It is refused, as this kind of failure.
    Refused(ErrorKind),
    /// It is read, and has these numbers: by path, `PERIOD-OR-SITE|FIELD`. `#` is the number of rows, `+FIELD` the sum of
    /// a field over the rows, `N.FIELD` the field of a row.
    Reads(&'static [(&'static str, &'static str)]),
    /// It is the answer of a bulk request: what each element is.
    Bulk(&'static [Expected]),
}
use ErrorKind::{Auth, Input, NotFound, Protocol, Unsupported};
use Expected::{Bulk, Reads, Refused};

const EMPTY_SUMMARY: Expected =
    Reads(&[("nb_visits", "0"), ("nb_uniq_visitors", "0"), ("bounce_count", "0")]);
const MARCH_28: Expected = Reads(&[
    ("nb_visits", "17"),
    ("nb_uniq_visitors", "17"),
    ("nb_users", "4"),
    ("nb_actions", "29"),
    ("nb_visits_converted", "6"),
    ("bounce_count", "5"),
    ("sum_visit_length", "2180"),
]);
const MARCH_31: Expected = Reads(&[("nb_visits", "15"), ("sum_visit_length", "2059"), ("bounce_count", "4")]);
const TYPES_OF_MARCH_28: Expected = Reads(&[
    ("#", "4"),
    ("+nb_visits", "17"),
    ("+nb_conversions", "6"),
    ("+revenue", "119.8"),
    ("0.referrer_type", "1"),
    ("1.referrer_type", "2"),
    ("2.referrer_type", "6"),
    ("3.referrer_type", "3"),
]);
const FLAT_PAGES_OF_MARCH_28: &[(&str, &str)] = &[
    ("#", "7"),
    ("+nb_hits", "29"),
    ("+entry_nb_visits", "17"),
    ("+exit_nb_visits", "17"),
    ("0.entry_nb_actions", "18"),
];
const CAPPED: Expected = Reads(&[
    ("#", "100"),
    ("+nb_hits", "150"),
    ("+entry_nb_visits", "15"),
    ("+exit_nb_visits", "15"),
    ("0.nb_hits", "51"),
]);
const FIVE_DAYS: Expected = Reads(&[
    ("2026-03-27|nb_visits", "12"),
    ("2026-03-28|nb_visits", "17"),
    ("2026-03-29|nb_visits", "18"),
    ("2026-03-30|nb_visits", "1"),
    ("2026-03-31|nb_visits", "15"),
    ("2026-03-29|nb_uniq_visitors", "16"),
]);
const NO_VISITS: Expected = Reads(&[("#", "0")]);
const TWO_SITES: Expected = Reads(&[
    ("1|nb_visits", "19"),
    ("1|nb_uniq_visitors", "18"),
    ("1|bounce_count", "6"),
    ("2|nb_visits", "1"),
    ("2|nb_actions", "5"),
]);

#[rustfmt::skip]
const RECORDINGS: &[(&str, Expected)] = &[
    ("act_empty_single", NO_VISITS),
    ("act_pageurls_day", Reads(&[("#", "5"), ("+nb_hits", "29"), ("+entry_nb_visits", "17"), ("+exit_nb_visits", "17")])),
    ("act_pageurls_empty_day", Reads(&[("#", "2"), ("+nb_hits", "2"), ("0.entry_nb_visits", "1"), ("1.exit_nb_visits", "1")])),
    ("act_pageurls_expanded", Reads(&[("#", "5"), ("+nb_hits", "29"), ("+entry_nb_visits", "17")])),
    ("act_pageurls_flat", Reads(FLAT_PAGES_OF_MARCH_28)),
    ("act_pageurls_flat_p1", Reads(&[("#", "2"), ("+nb_hits", "13")])),
    ("act_pageurls_flat_p2", Reads(&[("#", "2"), ("+nb_hits", "8")])),
    ("act_pageurls_flat_pastend", NO_VISITS),
    ("act_range_with_empty", Reads(&[("2026-04-08|#", "0"), ("2026-04-09|#", "0")])),
    ("api_get", Reads(&[
        ("2026-03-27|nb_visits", "13"), ("2026-03-28|nb_pageviews", "29"), ("2026-03-29|nb_uniq_pageviews", "29"),
        ("2026-03-30|nb_conversions", "0"), ("2026-03-31|Referrers_visitorsFromCampaigns", "3"),
    ])),
    ("before_site_creation", Reads(&[("2020-01-01|#", "0"), ("2020-01-02|#", "0")])),
    ("bf_00", Refused(Auth)),
    ("bf_23", Refused(Auth)),
    ("bf_after_valid_token", Refused(Auth)),
    ("bulk_days_8", Bulk(&[
        EMPTY_SUMMARY, EMPTY_SUMMARY, EMPTY_SUMMARY, EMPTY_SUMMARY, EMPTY_SUMMARY, EMPTY_SUMMARY, EMPTY_SUMMARY,
        Reads(&[("nb_visits", "13"), ("bounce_rate", "0.08")]),
    ])),
    ("bulk_mixed", Bulk(&[FIVE_DAYS, Reads(&[("nb_conversions", "6"), ("revenue", "119.8")]), Refused(Unsupported), Refused(NotFound)])),
    ("cron_late_after_archive", MARCH_31),
    ("cron_late_after_noarchive", MARCH_31),
    ("cron_late_before", MARCH_31),
    ("cron_live_newday", Reads(&[("#", "1"), ("0.idVisit", "135"), ("+actions", "1")])),
    ("cron_newday_after_archive", EMPTY_SUMMARY),
    ("cron_newday_noarchive", EMPTY_SUMMARY),
    ("cron_newday_range_noarchive", Reads(&[("2026-05-04|#", "0"), ("2026-05-05|#", "0")])),
    ("csv_live", Refused(Protocol)),
    ("csv_vs", Refused(Protocol)),
    ("csv_vs_utf16", Refused(Protocol)),
    ("err_bad_date", Refused(Input)),
    ("err_bad_period", Refused(Input)),
    ("err_bad_site", Refused(NotFound)),
    ("err_bad_token", Refused(Auth)),
    ("err_format_unknown", Refused(Input)),
    ("err_missing_period", Refused(Input)),
    ("err_no_token", Refused(Auth)),
    ("err_plugin_disabled", Refused(Unsupported)),
    ("err_unknown_action", Refused(Unsupported)),
    ("err_unknown_method", Refused(Unsupported)),
    ("get_token_in_url", Reads(&[("", "5.0.2")])),
    ("goals_empty_single", Reads(&[("nb_conversions", "0"), ("revenue", "0"), ("nb_conversions_returning_visit", "0")])),
    ("goals_getGoals", Reads(&[("#", "1"), ("0.idgoal", "1")])),
    ("goals_getItemsSku_abandoned", Reads(&[("#", "1"), ("0.quantity", "2"), ("0.revenue", "119.8"), ("0.abandoned_carts", "2")])),
    ("goals_getItemsSku_day", Reads(&[("#", "1"), ("0.quantity", "2"), ("0.revenue", "119.8"), ("0.orders", "2")])),
    ("goals_get_day", Reads(&[("nb_conversions", "6"), ("revenue", "119.8"), ("nb_conversions_new_visit", "2"), ("nb_conversions_returning_visit", "4")])),
    ("goals_get_ecommerceAbandonedCart", Reads(&[("2026-03-28|nb_conversions", "2"), ("2026-03-28|revenue", "119.8"), ("2026-03-30|items", "0")])),
    ("goals_get_ecommerceOrder", Reads(&[("2026-03-27|revenue_subtotal", "99.8"), ("2026-03-28|revenue_tax", "20"), ("2026-03-29|items", "2"), ("2026-03-30|nb_conversions", "0")])),
    ("goals_get_idgoal1_range", Reads(&[("2026-03-27|nb_conversions", "4"), ("2026-03-30|nb_conversions", "0"), ("2026-03-31|nb_visits_converted", "4")])),
    ("goals_get_range", Reads(&[("2026-03-27|nb_conversions", "6"), ("2026-03-28|revenue", "119.8"), ("2026-03-30|nb_conversions", "0")])),
    ("last3", Reads(&[("2026-11-19|#", "0"), ("2026-11-20|#", "0"), ("2026-11-21|#", "0")])),
    ("late_after", Reads(&[("nb_visits", "13"), ("bounce_count", "1"), ("nb_actions", "29")])),
    ("late_after_month", Reads(&[("nb_visits", "64"), ("nb_uniq_visitors", "49")])),
    ("late_before", Reads(&[("nb_visits", "12"), ("bounce_count", "0"), ("nb_actions", "28")])),
    ("late_before_month", Reads(&[("nb_visits", "63"), ("nb_uniq_visitors", "48")])),
    ("live_counters", Reads(&[("#", "1"), ("0.visits", "0"), ("0.visitsConverted", "0")])),
    ("live_default_limit", Reads(&[("#", "100"), ("+actions", "294"), ("+visitConverted", "30")])),
    ("live_dst_fall", Reads(&[("#", "19"), ("+actions", "32"), ("+visitConverted", "6"), ("+visitDuration", "2301")])),
    ("live_empty", Reads(&[("#", "1"), ("0.idVisit", "48"), ("+visitDuration", "121")])),
    ("live_empty_single", NO_VISITS),
    ("live_hide", Reads(&[("#", "2"), ("0.idVisit", "47"), ("1.idVisit", "46")])),
    ("live_last_day", Reads(&[("#", "18"), ("+actions", "30"), ("+visitConverted", "6"), ("+visitDuration", "3560")])),
    ("live_last_minTimestamp", Reads(&[("#", "3"), ("0.idVisit", "115"), ("2.idVisit", "113")])),
    ("live_last_p1", Reads(&[("#", "5"), ("0.idVisit", "1"), ("4.idVisit", "5")])),
    ("live_last_p2", Reads(&[("#", "5"), ("0.idVisit", "6"), ("4.idVisit", "10")])),
    ("live_min_ts_0", Reads(&[("#", "1"), ("0.idVisit", "4")])),
    ("live_min_ts_1", Reads(&[("#", "1"), ("0.idVisit", "4")])),
    ("live_offset_end", NO_VISITS),
    ("live_over_unlimited", Reads(&[("#", "132"), ("+actions", "356"), ("+visitConverted", "42"), ("+visitDuration", "25116")])),
    ("live_today", Reads(&[("#", "2"), ("0.idVisit", "133"), ("1.idVisit", "132")])),
    ("many_default_limit", CAPPED),
    ("many_limit_all", CAPPED),
    ("many_truncate", Reads(&[("#", "6"), ("+nb_hits", "150"), ("0.nb_hits", "51"), ("5.nb_hits", "95")])),
    ("multisites_getAll", Reads(&[("#", "1"), ("0.nb_visits", "17"), ("0.nb_pageviews", "29"), ("0.revenue", "119.8")])),
    ("previous2", Reads(&[("2026-11-19|#", "0"), ("2026-11-20|#", "0")])),
    ("processed_report", Reads(&[("website", "Shop Paris")])),
    ("ref_all_flat", Reads(&[("#", "4"), ("+nb_visits", "9"), ("0.referer_type", "2"), ("1.referer_type", "6")])),
    ("ref_campaigns_expanded", Reads(&[("#", "1"), ("0.nb_visits", "3"), ("0.label", "spring")])),
    ("ref_campaigns_flat", Reads(&[("#", "3"), ("+nb_visits", "3"), ("1.Referrers_Keyword", "k4")])),
    ("ref_type_day", TYPES_OF_MARCH_28),
    ("ref_type_day_expanded", TYPES_OF_MARCH_28),
    ("ref_type_fm0", TYPES_OF_MARCH_28),
    ("ref_type_fr", TYPES_OF_MARCH_28),
    ("ref_type_multisite_range", Refused(Unsupported)),
    ("ref_type_range", Reads(&[("2026-03-27|+nb_visits", "12"), ("2026-03-29|+nb_visits", "18"), ("2026-03-30|#", "1"), ("2026-03-31|+revenue", "119.8")])),
    ("ref_websites", Reads(&[("#", "1"), ("0.label", "partner.example.net"), ("0.nb_visits", "1")])),
    ("report_metadata", Reads(&[("#", "76"), ("0.module", "MultiSites")])),
    ("secure_only_get_probe", MARCH_28),
    ("segments_metadata", Reads(&[("#", "96"), ("0.segment", "actions")])),
    ("site_from_id", Reads(&[("idsite", "1"), ("timezone", "Europe/Paris"), ("currency", "EUR"), ("ecommerce", "1")])),
    ("sites_all", Reads(&[("#", "2"), ("0.timezone", "Europe/Paris"), ("1.timezone", "UTC")])),
    ("today", EMPTY_SUMMARY),
    ("today_after_hit_1", Reads(&[("nb_visits", "1"), ("bounce_count", "1")])),
    ("today_after_hit_2_cached_ttl", Reads(&[("nb_visits", "1"), ("bounce_count", "1")])),
    ("today_with_hit_before", EMPTY_SUMMARY),
    ("version", Reads(&[("", "5.0.2")])),
    ("visittime_dow", Reads(&[("#", "7"), ("+nb_visits", "63"), ("+nb_actions", "115"), ("2.nb_visits", "0")])),
    ("visittime_local_day", Reads(&[("#", "24"), ("+nb_visits", "18"), ("+nb_actions", "30")])),
    ("visittime_server_dst_fall", Reads(&[("#", "24"), ("+nb_visits", "19"), ("2.nb_visits", "3"), ("3.nb_visits", "1")])),
    ("visittime_server_dst_spring", Reads(&[("#", "24"), ("+nb_visits", "18"), ("2.label", "02"), ("2.nb_visits", "1")])),
    ("vs_getVisits_day", Reads(&[("", "17")])),
    ("vs_getVisits_range", Reads(&[("2026-03-27", "12"), ("2026-03-28", "17"), ("2026-03-30", "1")])),
    ("vs_get_all_sites", TWO_SITES),
    ("vs_get_bad_segment", Refused(Input)),
    ("vs_get_day", MARCH_28),
    ("vs_get_day_empty", Reads(&[("nb_visits", "1"), ("sum_visit_length", "121")])),
    ("vs_get_day_fm0", MARCH_28),
    ("vs_get_day_fm1", MARCH_28),
    ("vs_get_days_range", FIVE_DAYS),
    ("vs_get_empty_single", EMPTY_SUMMARY),
    ("vs_get_future", EMPTY_SUMMARY),
    ("vs_get_month", Reads(&[("2026-03|nb_visits", "63"), ("2026-03|nb_uniq_visitors", "48"), ("2026-04|nb_visits", "1")])),
    ("vs_get_multisite_day", TWO_SITES),
    ("vs_get_multisite_range", Reads(&[("1|2026-10-25|nb_visits", "19"), ("2|2026-10-25|nb_visits", "1"), ("2|2026-10-24|#", "0")])),
    ("vs_get_one_day_as_range", Reads(&[("2026-03-28|nb_visits", "17"), ("2026-03-28|sum_visit_length", "2180")])),
    ("vs_get_range_sum", Reads(&[("nb_visits", "63"), ("nb_actions", "115"), ("sum_visit_length", "10340")])),
    ("vs_get_segment", Reads(&[("nb_visits", "3"), ("nb_actions", "6"), ("sum_visit_length", "483")])),
    ("vs_get_week_range", Reads(&[("2026-03-16,2026-03-22|#", "0"), ("2026-03-23,2026-03-29|nb_visits", "47"), ("2026-03-30,2026-04-05|nb_visits", "17")])),
    ("vs_range_with_empty", Reads(&[("2026-04-08|#", "0"), ("2026-04-10|nb_visits", "15"), ("2026-04-10|nb_actions", "150")])),
    ("xml_vs", Refused(Protocol)),
];

/// What stands at a path of an answer.
fn at(answer: &Answer, path: &str) -> Option<String> {
    if let Some((part, rest)) = path.split_once('|') {
        return at(answer.part(part)?, rest);
    }
    let field = |row: &Row, name: &str| {
        row.number(name).map(|number| number.normalize().to_string()).or_else(|| row.text(name))
    };
    match answer {
        Answer::Number(number) if path.is_empty() => Some(number.normalize().to_string()),
        Answer::Text(text) if path.is_empty() => Some(text.clone()),
        Answer::Row(row) => field(row, path),
        Answer::Table(rows) => match path.strip_prefix('+') {
            _ if path == "#" => Some(rows.len().to_string()),
            Some(name) => Some(sum(rows, name).to_string()),
            None => {
                let (place, name) = path.split_once('.')?;
                let place: usize = place.parse().ok()?;
                match field(rows.get(place)?, name)? {
                    // "02" is a label.
                    number if name == "label" => rows[place].text(name).or(Some(number)),
                    other => Some(other),
                }
            }
        },
        Answer::ByDate(_) => at(answer.part(path)?, ""),
        _ => None,
    }
}

fn sum(rows: &[Row], field: &str) -> Decimal {
    rows.iter().filter_map(|row| row.number(field)).sum::<Decimal>().normalize()
}

fn as_expected(name: &str, answer: &Result<Answer>, expected: &Expected) {
    match (answer, expected) {
        (Ok(answer), Reads(numbers)) => {
            for (path, number) in *numbers {
                assert_eq!(at(answer, path).as_deref(), Some(*number), "{name}: {path}");
            }
        }
        (Err(error), Refused(kind)) => assert_eq!(error.kind(), *kind, "{name}: {error}"),
        (Ok(_), _) => panic!("{name} is read"),
        (Err(error), _) => panic!("{name}: {error}"),
    }
    let shown = format!("{answer:?}");
    assert!(!shown.contains(RecordedMatomo::TOKEN), "{name} shows the token");
}

fn manifest() -> BTreeMap<String, BTreeMap<String, String>> {
    let path = format!("{}/tests/recordings/matomo/MANIFEST.json", env!("CARGO_MANIFEST_DIR"));
    let list: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    list.into_iter()
        .map(|recording| {
            let fields = recording["params"].as_object().unwrap().iter().map(|(field, value)| {
                (field.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            });
            (recording["name"].as_str().unwrap().to_owned(), fields.collect())
        })
        .collect()
}

fn source(server: &RecordedMatomo) -> Matomo {
    server.source().retry(Policy::once()).build().unwrap()
}

#[tokio::test]
async fn every_recorded_answer_is_read_or_refused() {
    let server = RecordedMatomo::start().await.unwrap();
    let manifest = manifest();
    for (name, expected) in RECORDINGS {
        let parameters = &manifest[*name];
        // Served to exactly the request it was recorded for, where this client makes that request; to any, where it does
        // not: without a token, with one in the URL, for CSV.
        server.choose_nothing();
        if *name == "site_from_id" {
            server.choose(name).unwrap();
        } else {
            server.insist(name).unwrap();
        }
        let matomo = source(&server);
        if let Bulk(elements) = expected {
            let urls: Vec<&String> =
                (0..).map_while(|index| parameters.get(&format!("urls[{index}]"))).collect();
            let calls: Vec<Vec<(&str, &str)>> = urls
                .iter()
                .map(|url| url.split('&').map(|pair| pair.split_once('=').unwrap()).collect())
                .collect();
            let calls = calls.iter().map(|pairs| {
                let rest = pairs.iter().copied().filter(|(field, _)| *field != "method");
                (pairs.iter().find(|(field, _)| *field == "method").unwrap().1, rest)
            });
            let answers = matomo.reports(calls).await.unwrap();
            assert_eq!((answers.len(), urls.len()), (elements.len(), elements.len()), "{name}");
            for (answer, expected) in answers.iter().zip(*elements) {
                as_expected(name, answer, expected);
            }
            continue;
        }
        let fields = parameters
            .iter()
            .filter(|(field, _)| !["module", "method"].contains(&field.as_str()))
            .map(|(field, value)| (field.as_str(), value.as_str()));
        as_expected(name, &matomo.report(&parameters["method"], fields).await, expected);
    }
}

#[test]
fn no_recording_is_left_out() {
    let listed: BTreeSet<&str> = RECORDINGS.iter().map(|(name, _)| *name).collect();
    let recorded: BTreeSet<&str> = RecordedMatomo::recordings().collect();
    assert_eq!((listed.len(), RECORDINGS.len()), (116, 116));
    assert_eq!(listed, recorded);
}

/// Recordings of visits, the number of visits in each, or `None` where they are not in the order that this source asks
/// for: reading on by the last timestamp would lose visits.
const LIVE: &[(&str, Option<usize>)] = &[
    ("cron_live_newday", Some(1)),
    ("live_default_limit", None),
    ("live_dst_fall", None),
    ("live_empty", Some(1)),
    ("live_empty_single", Some(0)),
    ("live_hide", None),
    ("live_last_day", None),
    ("live_last_minTimestamp", None),
    ("live_last_p1", Some(5)),
    ("live_last_p2", Some(5)),
    ("live_min_ts_0", Some(1)),
    ("live_min_ts_1", Some(1)),
    ("live_offset_end", Some(0)),
    ("live_over_unlimited", None),
    ("live_today", None),
];

#[tokio::test]
async fn every_recording_of_visits_becomes_sessions_or_is_refused_for_its_order() {
    let server = RecordedMatomo::start().await.unwrap();
    let slice = |day| SliceKey::day("matomo", "visits", "1", day);
    for (name, visits) in LIVE {
        server.insist(name).unwrap();
        match visits {
            Some(visits) => {
                // Every visit is in the slice of its day, and in no other.
                let mut sessions = 0;
                for day in days_of(name) {
                    let pages: Vec<Result<Page>> = source(&server).read(&slice(day)).collect().await;
                    let pages: Vec<Page> = pages.into_iter().map(Result::unwrap).collect();
                    sessions += pages.iter().map(|page| page.sessions.len()).sum::<usize>();
                    assert!(
                        pages.iter().all(|page| page.rejected.is_empty() && page.drift.is_empty()),
                        "{name}"
                    );
                }
                assert_eq!(sessions, *visits, "{name}");
            }
            None => {
                let slice = slice("2026-03-29".parse().unwrap());
                let pages: Vec<Result<Page>> = source(&server).read(&slice).collect().await;
                let error = pages.into_iter().next().unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{name}");
                assert!(error.to_string().contains("not in the order"), "{name}: {error}");
            }
        }
    }
}

/// The days in Paris on which the visits of a recording ended.
fn days_of(name: &str) -> BTreeSet<chrono::NaiveDate> {
    let path = format!("{}/tests/recordings/matomo/{name}.body", env!("CARGO_MANIFEST_DIR"));
    let visits: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ended = |visit: &Value| chrono::DateTime::from_timestamp(visit["lastActionTimestamp"].as_i64()?, 0);
    let day = |at| mkt_etl::zone::local_day(at, chrono_tz::Europe::Paris);
    visits.iter().filter_map(ended).map(day).collect()
}

async fn recorded(server: &RecordedMatomo, name: &str) -> Answer {
    server.insist(name).unwrap();
    source(server).report("Any.report", []).await.unwrap()
}

#[tokio::test]
async fn recorded_tables_add_up_to_the_recorded_totals() {
    let server = RecordedMatomo::start().await.unwrap();
    #[rustfmt::skip]
    let pairs = [
        // Every visit has one type of referrer, and enters once.
        ("ref_type_day", "+nb_visits", "vs_get_day", "nb_visits"),
        ("ref_type_day", "+nb_actions", "vs_get_day", "nb_actions"),
        ("ref_type_day", "+bounce_count", "vs_get_day", "bounce_count"),
        ("ref_type_day", "+sum_visit_length", "vs_get_day", "sum_visit_length"),
        ("ref_type_day", "+nb_visits_converted", "vs_get_day", "nb_visits_converted"),
        ("ref_type_day", "+nb_conversions", "goals_get_day", "nb_conversions"),
        ("ref_type_day", "+revenue", "goals_get_day", "revenue"),
        ("ref_type_range", "2026-03-29|+nb_visits", "vs_get_days_range", "2026-03-29|nb_visits"),
        ("ref_type_range", "2026-03-31|+revenue", "goals_get_range", "2026-03-31|revenue"),
        ("ref_campaigns_flat", "+nb_visits", "ref_campaigns_expanded", "0.nb_visits"),
        ("ref_campaigns_flat", "+nb_visits", "vs_get_segment", "nb_visits"),
        ("act_pageurls_flat", "+nb_hits", "api_get", "2026-03-28|nb_pageviews"),
        ("act_pageurls_flat", "+nb_visits", "api_get", "2026-03-28|nb_uniq_pageviews"),
        ("act_pageurls_flat", "+entry_nb_visits", "vs_get_day", "nb_visits"),
        ("act_pageurls_flat", "+exit_nb_visits", "vs_get_day", "nb_visits"),
        ("act_pageurls_empty_day", "+nb_hits", "api_get", "2026-03-30|nb_pageviews"),
        // What Matomo folded is in the sum.
        ("many_limit_all", "+nb_hits", "vs_range_with_empty", "2026-04-10|nb_actions"),
        ("many_limit_all", "+entry_nb_visits", "vs_range_with_empty", "2026-04-10|nb_visits"),
        ("many_truncate", "+nb_hits", "many_limit_all", "+nb_hits"),
        // Wrong hours, but all visits.
        ("visittime_server_dst_spring", "+nb_visits", "vs_get_days_range", "2026-03-29|nb_visits"),
        ("visittime_server_dst_fall", "+nb_visits", "vs_get_multisite_range", "1|2026-10-25|nb_visits"),
        ("visittime_dow", "+nb_visits", "vs_get_range_sum", "nb_visits"),
        ("live_last_day", "#", "vs_get_days_range", "2026-03-29|nb_visits"),
        ("live_last_day", "+actions", "vs_get_days_range", "2026-03-29|nb_actions"),
        ("live_last_day", "+visitDuration", "vs_get_days_range", "2026-03-29|sum_visit_length"),
        ("live_dst_fall", "#", "vs_get_multisite_range", "1|2026-10-25|nb_visits"),
        ("live_dst_fall", "+visitConverted", "vs_get_multisite_range", "1|2026-10-25|nb_visits_converted"),
        ("goals_getItemsSku_day", "+revenue", "goals_get_ecommerceOrder", "2026-03-28|revenue"),
        ("goals_getItemsSku_day", "+quantity", "goals_get_ecommerceOrder", "2026-03-28|items"),
        ("goals_getItemsSku_abandoned", "+revenue", "goals_get_ecommerceAbandonedCart", "2026-03-28|revenue"),
        ("goals_getItemsSku_abandoned", "+quantity", "goals_get_ecommerceAbandonedCart", "2026-03-28|items"),
        ("multisites_getAll", "0.nb_visits", "vs_get_day", "nb_visits"),
    ];
    for (table, rows, summary, total) in pairs {
        let ours = at(&recorded(&server, table).await, rows);
        let theirs = at(&recorded(&server, summary).await, total);
        assert!(ours.is_some() && ours == theirs, "{table} {rows}: {ours:?}, {summary} {total}: {theirs:?}");
    }
}

#[tokio::test]
async fn uniques_of_days_are_more_than_those_of_their_month() {
    let server = RecordedMatomo::start().await.unwrap();
    let days = recorded(&server, "vs_get_days_range").await;
    let sum = |field: &str| -> Decimal {
        let Answer::ByDate(days) = &days else { panic!("days") };
        days.values().map(|day| day.row().unwrap().number(field).unwrap()).sum()
    };
    let month = recorded(&server, "vs_get_month").await;
    let month = |field: &str| month.part("2026-03").unwrap().row().unwrap().number(field).unwrap();
    assert_eq!(sum("nb_visits"), month("nb_visits"));
    assert_eq!((sum("nb_uniq_visitors"), month("nb_uniq_visitors")), (61.into(), 48.into()));
}

#[tokio::test]
async fn the_token_that_matomo_echoes_is_in_no_answer() {
    let server = RecordedMatomo::start().await.unwrap();
    for name in ["report_metadata", "processed_report"] {
        let body = std::fs::read_to_string(format!(
            "{}/tests/recordings/matomo/{name}.body",
            env!("CARGO_MANIFEST_DIR")
        ));
        assert!(body.unwrap().contains(RecordedMatomo::TOKEN), "{name} echoes it");
        let shown = format!("{:?}", recorded(&server, name).await);
        assert!(!shown.contains(RecordedMatomo::TOKEN), "{name}");
        assert!(shown.contains("token_auth=…"), "{name} keeps the rest of the URL");
    }
}
