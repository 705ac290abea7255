//! The reports over small worlds, with numbers computed by hand.

use super::engines;
use super::rows::{World, at, day, sale, same_person, session, user};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, EventType, Measure, SliceState};
use mkt_warehouse::report::{self, CohortMonth, HourOptions, Scope};
use mkt_warehouse::{Batch, Dialect, SliceKey, Warehouse};

/// 25 October 2026 in Paris: clocks go back from 03:00 (+2) to 02:00 (+1) at 01:00 UTC.
fn october() -> World {
    use Channel::{Email, Organic, Paid};
    let mut robot = session("s8", "u6", "2026-10-25T09:15:00Z", Organic, true);
    robot.bot = Some("names itself a crawler".to_owned());
    let mut second_source = session("s9", "u1", "2026-10-25T12:00:00Z", Organic, false);
    second_source.source = "log".to_owned();
    let mut other_site = session("s10", "u9", "2026-10-25T12:00:00Z", Organic, false);
    other_site.site = "blog".to_owned();
    let mut robot_sale = sale("u6", "2026-10-25T09:16:00Z", "999", Some(Currency::EUR));
    robot_sale.session_id = Some("s8".to_owned());
    let mut log_sale = sale("u1", "2026-10-25T12:01:00Z", "500", Some(Currency::EUR));
    log_sale.source = "log".to_owned();
    let mut no_sale = super::rows::event("u2", EventType::GOAL, "2026-10-25T09:00:00Z");
    no_sale.revenue = Amount("5".parse().unwrap());
    World {
        sessions: vec![
            session("s1", "u1", "2026-10-24T22:30:00Z", Organic, true), // 00:30
            session("s2", "u2", "2026-10-25T00:10:00Z", Organic, false), // 02:10, summer time
            session("s3", "u3", "2026-10-25T01:10:00Z", Paid, true),    // 02:10, winter time
            session("s4", "u1", "2026-10-25T09:00:00Z", Email, true),   // 10:00
            session("s5", "u4", "2026-10-25T09:30:00Z", Paid, false),   // 10:30
            session("s6", "u2", "2026-10-25T22:30:00Z", Paid, true),    // 23:30
            session("s7", "u5", "2026-10-25T23:30:00Z", Organic, false), // 00:30 of the 26th
            robot,
            second_source,
            other_site,
        ],
        events: vec![
            sale("u1", "2026-10-24T22:40:00Z", "100.00", Some(Currency::EUR)),
            sale("u3", "2026-10-25T01:20:00Z", "20.50", Some(Currency::EUR)),
            sale("u3", "2026-10-25T11:20:00Z", "-10.25", Some(Currency::EUR)),
            sale("u2", "2026-10-25T22:40:00Z", "30", Some(Currency::USD)),
            sale("u1", "2026-10-25T09:10:00Z", "0.01", None),
            sale("u5", "2026-10-25T23:00:00Z", "77", Some(Currency::EUR)), // midnight of the 26th
            robot_sale,
            log_sale,
            no_sale,
        ],
        identities: vec![same_person("u1", "p1"), same_person("u4", "p1")],
        users: Vec::new(),
    }
}

fn the_25th() -> Scope {
    Scope::days("Europe/Paris", day("2026-10-25"), day("2026-10-26")).unwrap().site("shop")
}

/// Every engine, filled with a world.
async fn filled(world: &World) -> Vec<std::sync::Arc<dyn Warehouse>> {
    let engines = engines::all().await;
    for engine in &engines {
        world.load_into(engine).await;
    }
    engines
}

#[tokio::test]
async fn conversion_counts_people_once_per_channel() {
    for engine in filled(&october()).await {
        let answer = report::conversion_by_channel(&engine, &the_25th()).await.unwrap();
        let rows: Vec<_> = answer
            .rows
            .iter()
            .map(|row| (row.channel, row.users, row.converted_users, row.conversion_rate.unwrap()))
            .collect();
        // Paid: u3 converted, p1 (as u4) did not, u2 did. Organic: p1 (as u1) did, u2 did not.
        assert_eq!(
            rows,
            [
                (Channel::Email, 1, 1, 100.0),
                (Channel::Paid, 3, 2, 200.0 / 3.0),
                (Channel::Organic, 2, 1, 50.0)
            ]
        );
    }
}

#[tokio::test]
async fn a_second_source_counts_only_when_it_is_named() {
    for engine in filled(&october()).await {
        let answer = report::conversion_by_channel(&engine, &the_25th().source("log")).await.unwrap();
        let rows: Vec<_> = answer.rows.iter().map(|row| (row.channel, row.users)).collect();
        assert_eq!(rows, [(Channel::Organic, 1)]);
    }
}

#[tokio::test]
async fn a_site_that_is_not_listed_counts_with_every_source() {
    for engine in filled(&october()).await {
        let scope = Scope::days("Europe/Paris", day("2026-10-25"), day("2026-10-26")).unwrap();
        let answer = report::conversion_by_channel(&engine, &scope).await.unwrap();
        let organic = answer.rows.iter().find(|row| row.channel == Channel::Organic).unwrap();
        assert_eq!(organic.users, 3, "u9 of the blog joins p1 and u2");
    }
}

#[tokio::test]
async fn arpu_has_a_row_per_currency_and_never_mixes_them() {
    for engine in filled(&october()).await {
        let answer = report::arpu(&engine, &the_25th()).await.unwrap();
        let rows: Vec<_> = answer
            .rows
            .iter()
            .map(|row| (row.currency, row.revenue.0.to_string(), row.users, row.arpu.unwrap().0.to_string()))
            .collect();
        // 100.00 + 20.50 − 10.25 + 0.01 (the site's euros) = 110.26 over p1, u2, u3.
        assert_eq!(
            rows,
            [
                (Some(Currency::EUR), "110.26".to_owned(), 3, "36.753333".to_owned()),
                (Some(Currency::USD), "30.00".to_owned(), 3, "10.000000".to_owned())
            ]
        );
    }
}

#[tokio::test]
async fn hours_are_local_and_the_repeated_hour_is_one() {
    for engine in filled(&october()).await {
        let answer = report::top_hours(&engine, &the_25th(), HourOptions::default()).await.unwrap();
        let rows: Vec<_> = answer
            .rows
            .iter()
            .map(|row| (row.hour, row.sessions, row.converted_sessions, row.conversion_rate.unwrap()))
            .collect();
        assert_eq!(rows, [(0, 1, 1, 100.0), (23, 1, 1, 100.0), (2, 2, 1, 50.0), (10, 2, 1, 50.0)]);
        let options = HourOptions { minimum: 2, hours: 1 };
        let answer = report::top_hours(&engine, &the_25th(), options).await.unwrap();
        assert_eq!(answer.rows.iter().map(|row| row.hour).collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_series_has_every_day_and_every_currency() {
    for engine in filled(&october()).await {
        let scope = Scope::days("Europe/Paris", day("2026-10-24"), day("2026-10-27")).unwrap().site("shop");
        let answer = report::daily_series(&engine, &scope).await.unwrap();
        let rows: Vec<String> = answer
            .rows
            .iter()
            .map(|row| {
                let currency = row.currency.unwrap();
                format!("{} {} {} {currency} {}", row.day, row.visits, row.conversions, row.revenue.0)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "2026-10-24 0 0 EUR 0.00",
                "2026-10-24 0 0 USD 0.00",
                "2026-10-25 6 4 EUR 110.26",
                "2026-10-25 6 4 USD 30.00",
                "2026-10-26 1 0 EUR 77.00",
                "2026-10-26 1 0 USD 0.00",
            ]
        );
    }
}

#[tokio::test]
async fn an_empty_period_has_no_rates_and_invents_no_zero() {
    for engine in filled(&october()).await {
        let scope = Scope::days("Europe/Paris", day("2026-05-01"), day("2026-05-02")).unwrap();
        assert!(report::conversion_by_channel(&engine, &scope).await.unwrap().rows.is_empty());
        assert!(report::top_hours(&engine, &scope, HourOptions::default()).await.unwrap().rows.is_empty());
        assert!(report::cohort_retention(&engine, &scope).await.unwrap().rows.is_empty());
        assert!(report::training_set(&engine, &scope).await.unwrap().rows.is_empty());
        let arpu = report::arpu(&engine, &scope).await.unwrap();
        assert_eq!(arpu.rows.len(), 1);
        assert_eq!((arpu.rows[0].currency, arpu.rows[0].users, arpu.rows[0].arpu), (None, 0, None));
        let series = report::daily_series(&engine, &scope).await.unwrap();
        assert_eq!((series.rows.len(), series.rows[0].visits, series.rows[0].currency), (1, 0, None));
        let nothing = Scope::between("UTC", at("2026-05-01T00:00:00Z"), at("2026-05-01T00:00:00Z")).unwrap();
        assert!(report::daily_series(&engine, &nothing).await.unwrap().rows.is_empty());
    }
}

#[tokio::test]
async fn offsets_that_are_there_are_not_written_again() {
    for engine in filled(&october()).await {
        let engine = engines::ReadOnly(engine);
        let load = async |zone, until| {
            report::load_zone(&engine, zone, 2026, until, at("2026-12-01T00:00:00Z")).await
        };
        load("Europe/Paris", 2026).await.unwrap();
        assert!(load("Europe/Paris", 2030).await.is_err(), "years that are not there are written");
        assert!(load("Europe/Madrid", 2026).await.is_err(), "a zone that is not there is written");
    }
}

#[tokio::test]
async fn a_zone_that_is_not_loaded_travels_with_the_question() {
    for engine in filled(&october()).await {
        for scope in [
            Scope::days("America/New_York", day("2026-10-25"), day("2026-10-26")).unwrap(),
            Scope::days("Europe/Paris", day("2026-10-25"), day("2027-10-26")).unwrap(),
        ] {
            let ask = || async {
                let hours = report::top_hours(&engine, &scope, HourOptions::default()).await.unwrap();
                let cohorts = report::cohort_retention(&engine, &scope).await.unwrap();
                let days = report::daily_series(&engine, &scope).await.unwrap();
                (hours, cohorts, days)
            };
            let without = ask().await;
            let at = "2027-12-01T00:00:00Z".parse().unwrap();
            report::load_zone(&engine, scope.zone(), 2024, 2028, at).await.unwrap();
            assert!(!without.0.rows.is_empty());
            assert_eq!(without, ask().await);
        }
    }
}

fn cohorts() -> World {
    let visit = |name: &str, user: &str, start: &str| session(name, user, start, Channel::Organic, false);
    World {
        users: vec![
            user("a", Some("2026-07-31T22:30:00Z")), // 1 August, 00:30
            user("b", Some("2026-08-15T10:00:00Z")),
            user("e", Some("2026-10-02T10:00:00Z")), // never came
            user("f", None),
        ],
        identities: vec![same_person("a", "pa"), same_person("a2", "pa")],
        sessions: vec![
            visit("1", "a", "2026-08-05T10:00:00Z"),
            visit("2", "a2", "2026-09-01T10:00:00Z"),
            visit("3", "a", "2026-10-03T10:00:00Z"),
            visit("4", "b", "2026-09-30T22:30:00Z"), // 1 October, 00:30
            visit("5", "c", "2026-09-10T10:00:00Z"),
            visit("6", "c", "2026-09-20T10:00:00Z"),
            visit("7", "c", "2026-10-20T10:00:00Z"),
            visit("8", "d", "2026-06-10T10:00:00Z"), // first seen before the period
            visit("9", "d", "2026-08-10T10:00:00Z"),
            visit("10", "f", "2026-10-05T10:00:00Z"),
        ],
        events: Vec::new(),
    }
}

fn shown(rows: &[CohortMonth]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            format!("{} +{} {} {:?} {:?}", row.cohort, row.month, row.users, row.active, row.retention_rate)
        })
        .collect()
}

#[tokio::test]
async fn months_that_are_not_complete_are_null() {
    for engine in filled(&cohorts()).await {
        let scope = Scope::days("Europe/Paris", day("2026-08-01"), day("2026-10-26")).unwrap();
        let answer = report::cohort_retention(&engine, &scope).await.unwrap();
        assert_eq!(
            shown(&answer.rows),
            [
                "2026-08-01 +0 2 Some(1) Some(50.0)",
                "2026-08-01 +1 2 Some(1) Some(50.0)",
                "2026-08-01 +2 2 None None",
                "2026-09-01 +0 1 Some(1) Some(100.0)",
                "2026-09-01 +1 1 None None",
                "2026-10-01 +0 2 None None",
            ]
        );
    }
}

#[tokio::test]
async fn the_last_month_is_complete_at_its_end() {
    for engine in filled(&cohorts()).await {
        let scope = Scope::days("Europe/Paris", day("2026-08-01"), day("2026-11-01")).unwrap();
        let answer = report::cohort_retention(&engine, &scope).await.unwrap();
        assert_eq!(
            shown(&answer.rows),
            [
                "2026-08-01 +0 2 Some(1) Some(50.0)",
                "2026-08-01 +1 2 Some(1) Some(50.0)",
                "2026-08-01 +2 2 Some(2) Some(100.0)",
                "2026-09-01 +0 1 Some(1) Some(100.0)",
                "2026-09-01 +1 1 Some(1) Some(100.0)",
                "2026-10-01 +0 2 Some(1) Some(50.0)",
            ]
        );
    }
}

#[tokio::test]
async fn missing_time_on_site_is_taken_from_start_and_end() {
    let mut told = session("told", "u1", "2026-10-25T10:00:00Z", Channel::Email, true);
    told.time_on_site = Some(7);
    told.device = None;
    let untold = session("untold", "u1", "2026-10-25T10:00:00Z", Channel::Email, false);
    // A source's clocks may disagree: cut off, not rounded down, on every engine.
    let mut wrong = session("wrong", "u1", "2026-10-25T10:00:00Z", Channel::Email, false);
    wrong.end_time = at("2026-10-25T09:59:58.5Z");
    for engine in filled(&World { sessions: vec![told, untold, wrong], ..World::default() }).await {
        let answer = report::training_set(&engine, &the_25th()).await.unwrap();
        let rows: Vec<_> = answer
            .rows
            .iter()
            .map(|row| {
                (
                    row.session_id.as_str(),
                    row.time_on_site,
                    row.pages_viewed,
                    row.device.as_deref(),
                    row.converted,
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("told", 7, 3, None, true),
                ("untold", 90, 3, Some("desktop"), false),
                ("wrong", -1, 3, Some("desktop"), false)
            ]
        );
    }
}

#[tokio::test]
async fn an_average_rounds_halves_away_from_zero() {
    // 0.01 ÷ 32 is 0.0003125: half to even would give …312.
    for (users, amount, expected) in [
        (3, "0.01", "0.003333"),
        (32, "0.01", "0.000313"),
        (32, "-0.01", "-0.000313"),
        (64, "-0.01", "-0.000156"),
    ] {
        let world = World {
            sessions: (0..users)
                .map(|n| {
                    session(&format!("s{n}"), &format!("u{n}"), "2026-10-25T10:00:00Z", Channel::Paid, false)
                })
                .collect(),
            events: vec![sale("u0", "2026-10-25T10:00:00Z", amount, Some(Currency::EUR))],
            ..World::default()
        };
        for engine in filled(&world).await {
            let answer = report::arpu(&engine, &the_25th()).await.unwrap();
            assert_eq!(answer.rows[0].arpu, Some(Measure(expected.parse().unwrap())), "{users} {amount}");
        }
    }
}

#[tokio::test]
async fn an_average_of_a_very_large_sum_is_exact() {
    // 50 000 × 99 999 999.99 = 4 999 999 999 500.00: 20 000 times its hundredths do not fit in 64 bits. Divided by 7:
    // 714 285 714 214.285714285….
    let one = sale("u0", "2026-10-25T10:00:00Z", "99999999.99", Some(Currency::EUR));
    let events = (0..50_000).map(|n| mkt_warehouse::model::Event { event_id: n, ..one.clone() }).collect();
    let visit = |n| session(&format!("s{n}"), &format!("u{n}"), "2026-10-25T10:00:00Z", Channel::Paid, false);
    let world = World { sessions: (0..7).map(visit).collect(), events, ..World::default() };
    for engine in filled(&world).await {
        let answer = report::arpu(&engine, &the_25th()).await.unwrap();
        assert_eq!(answer.rows[0].revenue.0.to_string(), "4999999999500.00");
        assert_eq!(answer.rows[0].arpu, Some(Measure("714285714214.285714".parse().unwrap())));
    }
}

#[tokio::test]
async fn a_provisional_slice_counts_as_it_stands() {
    for engine in engines::all().await {
        let key = SliceKey::day("csv", "visits", "shop", day("2026-10-25"));
        let visit = session("s1", "u1", "2026-10-25T10:00:00Z", Channel::Paid, true);
        World::default().load_into(&engine).await;
        let batch = Batch::new(key).state(SliceState::Provisional).replace([visit]);
        engine.load(&batch, at("2026-10-25T12:00:00Z")).await.unwrap();
        let answer = report::conversion_by_channel(&engine, &the_25th()).await.unwrap();
        assert_eq!(answer.rows.iter().map(|row| row.users).collect::<Vec<_>>(), [1]);
    }
}

#[tokio::test]
async fn every_report_runs_by_name_and_says_what_it_is() {
    for engine in filled(&october()).await {
        let mut answered = std::collections::BTreeSet::new();
        for listed in report::Report::ALL {
            let table = listed.run(&engine, &the_25th()).await.unwrap();
            assert!(!table.names().is_empty(), "{}", listed.name());
            assert!(listed.describe().len() > 40);
            assert_eq!(listed.name().parse(), Ok(listed));
            assert!(answered.insert(table.names().to_vec()), "{} answers as another report", listed.name());
        }
    }
    let unknown = "nothing".parse::<report::Report>().unwrap_err().to_string();
    assert!(
        unknown.starts_with("unknown report \"nothing\": expected one of conversion_by_channel, arpu, "),
        "{unknown}"
    );
    assert_eq!(Dialect::ALL.len(), 5);
}

#[tokio::test]
async fn an_answer_serialises_as_report_columns_rows() {
    for engine in filled(&october()).await {
        let answer =
            report::top_hours(&engine, &the_25th(), HourOptions { hours: 1, minimum: 2 }).await.unwrap();
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            serde_json::json!({
                "report": "top_hours",
                "columns": ["hour", "sessions", "converted_sessions", "conversion_rate"],
                "rows": [[2, 2, 1, 50.0]],
            })
        );
    }
}
