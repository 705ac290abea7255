//! Days that were not loaded are a gap, and days that were loaded and found empty are zero.

use super::engines;
use super::rows::{at, day, sale, session};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::Site;
use mkt_warehouse::model::{Event, Session, SliceState};
use mkt_warehouse::report::{self, Coverage, Report, Scope, Settings};
use mkt_warehouse::{Batch, SliceKey, Warehouse};

/// A day of the stream `visits` of a source.
async fn load(
    engine: &dyn Warehouse,
    source: &str,
    on: &str,
    state: SliceState,
    rows: (Vec<Session>, Vec<Event>),
) {
    let from = day(on);
    let until = from.succ_opt().unwrap();
    let key = SliceKey { from, until, ..SliceKey::whole(source, "visits", "shop") };
    let batch = Batch::new(key).state(state).replace(rows.0).replace(rows.1);
    engine.load(&batch, at("2026-09-01T00:00:00Z")).await.unwrap();
}

fn nothing() -> (Vec<Session>, Vec<Event>) {
    (Vec::new(), Vec::new())
}

fn visit(name: &str, user: &str, on: &str, amount: &str) -> (Vec<Session>, Vec<Event>) {
    let start = format!("{on}T10:00:00Z");
    let sold = Event { session_id: Some(name.to_owned()), ..sale(user, &start, amount, Some(Currency::EUR)) };
    (vec![session(name, user, &start, Channel::Organic, true)], vec![sold])
}

/// In March two days with visits and one empty day; April failed, was planned, or loaded from a source that is not the
/// record; May has one day, June one empty day.
async fn filled(engine: &dyn Warehouse) {
    report::load_zone(engine, "Europe/Paris", 2026, 2026, at("2026-09-01T00:00:00Z")).await.unwrap();
    let site = Batch::new(SliceKey::whole("csv", "sites", "shop")).upsert([Site::new(
        "shop",
        "Europe/Paris",
        "csv",
    )]);
    engine.load(&site, at("2026-09-01T00:00:00Z")).await.unwrap();
    use SliceState::{Failed, Planned, Settled, SuspectEmpty};
    load(engine, "csv", "2026-03-29", Settled, visit("s1", "anna", "2026-03-29", "10")).await;
    load(engine, "csv", "2026-03-30", SuspectEmpty, nothing()).await;
    load(engine, "csv", "2026-03-31", Settled, visit("s2", "ben", "2026-03-31", "30")).await;
    load(engine, "csv", "2026-04-10", Failed, nothing()).await;
    load(engine, "csv", "2026-04-11", Planned, nothing()).await;
    load(engine, "log", "2026-04-12", Settled, nothing()).await;
    load(engine, "csv", "2026-05-02", Settled, visit("s3", "anna", "2026-05-02", "8")).await;
    load(engine, "csv", "2026-06-01", Settled, nothing()).await;
}

fn spring() -> Scope {
    Scope::days("Europe/Paris", day("2026-03-29"), day("2026-07-01")).unwrap().site("shop")
}

fn shown(coverage: &Coverage) -> Vec<String> {
    coverage.gaps().iter().map(|gap| format!("{} {} {}", gap.site, gap.first, gap.last)).collect()
}

#[tokio::test]
async fn coverage_is_what_the_ledger_loaded() {
    for engine in engines::all().await {
        filled(&engine).await;
        let coverage = Coverage::of(&engine, &spring()).await.unwrap();
        assert_eq!(
            shown(&coverage),
            ["shop 2026-04-01 2026-05-01", "shop 2026-05-03 2026-05-31", "shop 2026-06-02 2026-06-30"]
        );
        assert!(coverage.has(day("2026-03-30")) && !coverage.has(day("2026-04-10")));
        assert!(coverage.has_month(day("2026-05-31")) && !coverage.has_month(day("2026-04-11")));
        // The other source loaded one day of its own.
        let log = Coverage::of(&engine, &spring().source("log")).await.unwrap();
        assert!(log.has(day("2026-04-12")) && !log.has(day("2026-03-29")));
    }
}

#[tokio::test]
async fn stream_of_any_name_covers_its_days_once_it_held_a_session() {
    for engine in engines::all().await {
        let key = |on: &str| SliceKey {
            from: day(on),
            until: day(on).succ_opt().unwrap(),
            ..SliceKey::whole("mine", "traffic", "shop")
        };
        let mut rows = visit("s1", "anna", "2026-03-29", "10").0;
        rows[0].source = "mine".to_owned();
        let now = at("2026-09-01T00:00:00Z");
        engine.load(&Batch::new(key("2026-03-29")).replace(rows), now).await.unwrap();
        engine.load(&Batch::new(key("2026-03-30")), now).await.unwrap();
        let scope = Scope::days("UTC", day("2026-03-29"), day("2026-04-01")).unwrap();
        let coverage = Coverage::of(&engine, &scope).await.unwrap();
        assert_eq!(shown(&coverage), ["shop 2026-03-31 2026-03-31"]);
    }
}

#[tokio::test]
async fn series_leaves_out_days_that_were_not_loaded_and_keeps_empty_ones() {
    for engine in engines::all().await {
        filled(&engine).await;
        let days = report::daily_series(&engine, &spring()).await.unwrap();
        let shown: Vec<String> = days
            .rows
            .iter()
            .map(|row| format!("{} {} {}", row.day, row.visits, row.revenue.0.normalize()))
            .collect();
        let expected =
            ["2026-03-29 1 10", "2026-03-30 0 0", "2026-03-31 1 30", "2026-05-02 1 8", "2026-06-01 0 0"];
        assert_eq!(shown, expected);
        // As a table, as JSON and by name it is the same.
        let table = Report::DailySeries.run_with(&engine, &spring(), &Settings::default()).await.unwrap();
        assert_eq!(table.rows(), 5);
        let json = serde_json::to_value(&days).unwrap();
        assert_eq!(json["rows"].as_array().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn cohort_month_without_a_loaded_day_is_open_and_not_zero() {
    for engine in engines::all().await {
        filled(&engine).await;
        let answer = report::cohort_retention(&engine, &spring()).await.unwrap();
        let shown: Vec<String> = answer
            .rows
            .iter()
            .map(|row| format!("{} +{} {:?} {:?}", row.cohort, row.month, row.active, row.retention_rate))
            .collect();
        // Anna and Ben came in March, Anna again in May, nobody on the one day of June.
        let expected = [
            "2026-03-01 +0 Some(2) Some(100.0)",
            "2026-03-01 +1 None None",
            "2026-03-01 +2 Some(1) Some(50.0)",
            "2026-03-01 +3 Some(0) Some(0.0)",
        ];
        assert_eq!(shown, expected);
    }
}

/// One site in March, the other in May: what the first one's users did in May is not known.
#[tokio::test]
async fn zero_of_a_cohort_needs_every_site() {
    for engine in engines::all().await {
        filled(&engine).await;
        let key = |on: &str| SliceKey {
            from: day(on),
            until: day(on).succ_opt().unwrap(),
            ..SliceKey::whole("csv", "visits", "blog")
        };
        let now = at("2026-09-01T00:00:00Z");
        engine.load(&Batch::new(key("2026-03-29")), now).await.unwrap();
        let both = Scope::days("Europe/Paris", day("2026-03-29"), day("2026-07-01")).unwrap();
        let answer = report::cohort_retention(&engine, &both).await.unwrap();
        let active: Vec<Option<i64>> = answer.rows.iter().map(|row| row.active).collect();
        // June was loaded of the shop only.
        assert_eq!(active, [Some(2), None, Some(1), None]);
    }
}

#[tokio::test]
async fn month_that_was_not_loaded_has_no_average_and_an_empty_one_has_no_users() {
    for engine in engines::all().await {
        filled(&engine).await;
        let answer = report::arpu_by_month(&engine, &spring()).await.unwrap();
        let shown: Vec<String> = answer
            .rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} {} {:?}",
                    row.month,
                    row.users,
                    row.revenue.0.normalize(),
                    row.arpu.map(|it| it.0.normalize().to_string())
                )
            })
            .collect();
        // (10 + 30) ÷ 2 users, 8 ÷ 1 user.
        let expected = ["2026-03-01 2 40 Some(\"20\")", "2026-05-01 1 8 Some(\"8\")", "2026-06-01 0 0 None"];
        assert_eq!(shown, expected);
    }
}

#[cfg(feature = "chart")]
#[tokio::test]
async fn charts_keep_the_place_of_a_month_that_was_not_loaded() {
    use mkt_connect::chart::Lang;
    let engine = engines::memory().await;
    engine.migrate(&mkt_warehouse::model::SCHEMA).await.unwrap();
    filled(&engine).await;
    let months = report::arpu_by_month(&engine, &spring()).await.unwrap().charts(Lang::En);
    let svg = months[0].svg();
    assert!(svg.contains("2026-04") && svg.contains("months without n were not loaded"), "{svg}");
    // Two lines of visits: of three days, and a single day, and a single day.
    let days = report::daily_series(&engine, &spring()).await.unwrap().charts(Lang::En);
    assert!(days[0].svg().contains("10 points on lines from 29 Mar 2026 to 1 Jun 2026"), "{}", days[0].svg());
    let words = Coverage::of(&engine, &spring()).await.unwrap().words(Lang::Fr).unwrap();
    assert!(words.starts_with("du 1 avr. 2026 au 1 mai 2026 ; ") && words.ends_with("(89 jours)"), "{words}");
}
