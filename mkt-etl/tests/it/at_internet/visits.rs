//! Single visits, where the account has columns for them.

use super::{SITE, read, settings, slice};
use mkt_connect::Channel;
use mkt_connect::testing::{Answer, Server};
use mkt_etl::at_internet::AtInternet;
use mkt_etl::at_internet::{Name, Start, VISITS, VisitColumns};
use mkt_etl::testing::FakeAtInternet;
use mkt_etl::{AnalyticsSource, zone};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn columns() -> VisitColumns {
    VisitColumns::new(name("visit_id"), name("visitor_id"), Start::Utc(name("visit_time_utc")))
        .seconds(name("m_time_spent"))
        .pages(name("m_page_loads"))
        .source(name("src"))
        .device(name("visit_device_type"))
}

#[tokio::test]
async fn a_visit_is_a_session_with_what_the_account_tells_of_it() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = settings(&fake).visits(columns()).build().unwrap();
    // The day of the autumn change has 25 hours.
    let slice = slice(VISITS, "2026-10-25");
    let page = read(&source, &slice).await.unwrap();
    assert_eq!((page.sessions.len(), page.rejected.len(), page.events.len()), (60, 0, 0));
    let paris = chrono_tz::Europe::Paris;
    for session in &page.sessions {
        assert_eq!(zone::local_day(session.start_time, paris).to_string(), "2026-10-25");
        assert_eq!((session.source.as_str(), session.site.as_str()), ("at_internet", SITE));
        assert_eq!((session.end_time - session.start_time).num_seconds(), session.time_on_site.unwrap());
        assert!(session.pages_viewed >= 1 && !session.converted);
    }
    let channels: BTreeSet<Channel> = page.sessions.iter().map(|session| session.channel).collect();
    assert!(
        channels.is_superset(&BTreeSet::from([Channel::Direct, Channel::Organic, Channel::Paid])),
        "{channels:?}"
    );
    let control = source.verify(&slice).await.unwrap().unwrap();
    assert_eq!(
        (control.get("visits"), control.get("records")),
        (Some(Decimal::from(60)), Some(Decimal::from(60)))
    );
}

/// The one row that the API tells.
async fn told(row: Value, start: Start) -> mkt_etl::Page {
    let server = Server::start(move |request| {
        if request.path.ends_with("getRowCount") {
            return Answer::json(r#"{"RowCounts":[{"RowCount":1}]}"#);
        }
        Answer::json(json!({"DataFeed": {"Columns": [], "Rows": [row]}}).to_string())
    })
    .await
    .unwrap();
    let visit = VisitColumns::new(name("visit_id"), name("visitor_id"), start)
        .seconds(name("seconds"))
        .conversions(name("m_conversions"))
        .landing(name("landing"));
    let source = AtInternet::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .key("a_b")
        .space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris)
        .visits(visit)
        .build()
        .unwrap();
    read(&source, &slice(VISITS, "2026-10-25")).await.unwrap()
}

#[tokio::test]
async fn local_beginnings_are_read_in_the_sites_zone() {
    let local = || Start::Local(name("start"));
    for (written, utc) in [
        ("2026-10-25 01:30:00", Some("2026-10-24T23:30:00Z")),
        // The hour that comes twice: the first of them, still summer time.
        ("2026-10-25 02:30:00", Some("2026-10-25T00:30:00Z")),
        ("2026-10-25T03:30:00", Some("2026-10-25T02:30:00Z")),
        // Over midnight: the visit's own day is the one before.
        ("2026-10-24 23:50:00", Some("2026-10-24T21:50:00Z")),
        ("2026-10-23 23:50:00", None),
        ("yesterday", None),
        // 2026-03-29 02:30 does not exist in Paris; it is of another day too.
        ("2026-03-29 02:30:00", None),
    ] {
        let row = json!({"visit_id": "v1", "visitor_id": "u1", "start": written, "seconds": 90, "m_conversions": 1, "landing": "https://a.example/?mail=jo@example.org"});
        let page = told(row, local()).await;
        let seen = page
            .sessions
            .first()
            .map(|session| session.start_time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        assert_eq!(seen.as_deref(), utc, "{written}");
        assert_eq!(page.rejected.len(), usize::from(utc.is_none()), "{written}");
        if let Some(session) = page.sessions.first() {
            assert!(session.converted);
            assert_eq!(session.landing_url.as_deref(), Some("https://a.example/?mail=[address]"));
        }
        assert_eq!(page.read, 1);
    }
}

#[tokio::test]
async fn a_visit_without_id_or_beginning_is_set_aside() {
    let good = json!({"visit_id": "v1", "visitor_id": "u1", "start": "2026-10-25T09:00:00Z", "seconds": 90, "m_conversions": 0, "landing": null});
    for (field, value, reason) in [
        ("visit_id", json!(null), "the visit has no id"),
        ("visitor_id", json!("-"), "the visit has no visitor"),
        ("start", json!("N/A"), "the visit has no beginning"),
        (
            "start",
            json!("262143-01-01T00:00:00Z"),
            "the beginning of the visit is no moment of the site's zone",
        ),
        ("seconds", json!("long"), "the length of the visit is no number of seconds"),
        ("seconds", json!(1e18), "the length of the visit is no number of seconds"),
        ("m_conversions", json!(-1), "the number of conversions is none"),
    ] {
        let mut row = good.clone();
        row[field] = value;
        let page = told(row, Start::Utc(name("start"))).await;
        let reasons: Vec<&str> = page.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
        assert_eq!((page.sessions.len(), reasons), (0, vec![reason]), "{field}");
    }
    let page = told(good, Start::Utc(name("start"))).await;
    assert_eq!((page.sessions.len(), page.sessions[0].converted), (1, false));
}
