//! Every form of failure that Matomo knows, over HTTP, and what becomes of it.

use crate::support::{day, window};
use futures_util::StreamExt;
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Error, ErrorKind};
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::STREAMS;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{AnalyticsSource, Page};
use mkt_warehouse::SliceKey;
use std::time::Duration;

const TOKEN: &str = "c0ffeec0ffeec0ffeec0ffeec0ffee99";
const SITE: &str = include_str!("../recordings/matomo/site_from_id.body");

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/recordings/matomo/{name}.body", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn source(server: &Server) -> Matomo {
    Matomo::builder(&server.url())
        .allow_insecure_host(&server.authority())
        .token(TOKEN)
        .site(1)
        .all_streams()
        .retry(Policy::once())
        .http(|client| client.total_timeout(Duration::from_secs(2)).max_body_bytes(1 << 20))
        .build()
        .unwrap()
}

/// The error with which reading a day of a stream ends, when the site is answered and everything else is `answer`.
async fn failure(stream: &str, answer: Answer) -> (Error, usize) {
    let server = Server::start(move |request| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        _ => answer.clone(),
    })
    .await
    .unwrap();
    let source = source(&server);
    let slice = SliceKey::day("matomo", stream, "1", day("2026-03-28"));
    let error = source.read(&slice).next().await.expect("a page or an error").expect_err("an error");
    (error, server.hits())
}

fn says_nothing_secret(error: &Error) {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    assert!(!text.contains(TOKEN) && !text.contains(RecordedMatomo::TOKEN), "{text}");
    assert!(!text.contains('@'), "{text}");
}

#[tokio::test]
async fn every_recorded_failure_has_its_kind() {
    use ErrorKind::{Auth, Input, NotFound, Protocol, RateLimited, Unavailable, Unsupported};
    let html = |name: &str, status: u16| Answer::html(recorded(name)).with_status(status);
    let json = |name: &str| Answer::json(recorded(name));
    for (what, answer, kind) in [
        ("a wrong token", html("err_bad_token", 401), Auth),
        ("no token", json("err_no_token").with_status(401), Auth),
        ("a lock-out", html("bf_23", 500), Auth),
        ("a lock-out despite the right token", html("bf_after_valid_token", 500), Auth),
        ("an unknown site", json("err_bad_site"), NotFound),
        ("an unknown method", json("err_unknown_method"), Unsupported),
        ("an unknown action", json("err_unknown_action"), Unsupported),
        ("a plugin that is off", json("err_plugin_disabled"), Unsupported),
        ("several sites at once", json("ref_type_multisite_range"), Unsupported),
        ("a bad period", json("err_bad_period"), Input),
        ("no period", json("err_missing_period"), Input),
        ("a bad date", json("err_bad_date"), Input),
        ("a bad segment", json("vs_get_bad_segment"), Input),
        ("an unknown format", Answer::text(recorded("err_format_unknown")), Input),
        ("a page instead of data", Answer::html("<html><body>Login</body></html>"), Protocol),
        ("nothing at all", Answer::json(""), Protocol),
        ("half of an answer", Answer::json(&b"[{\"idVisit\":1,"[..]), Protocol),
        ("another form", Answer::json("42"), Protocol),
        ("a gateway's time-out", Answer::html("<h1>502</h1>").with_status(502), Unavailable),
        ("a failing server", Answer::text("oops").with_status(500), Unavailable),
        ("throttling", Answer::text("slow down").with_status(429), RateLimited),
        ("no Matomo there", Answer::text("nothing").with_status(404), NotFound),
        ("a redirect", Answer::status(302).header("location", "https://elsewhere.example/"), Protocol),
    ] {
        for stream in STREAMS {
            let (error, _) = failure(stream, answer.clone()).await;
            // The instance has described its site before: what is missing is the report.
            let of_report = what == "no Matomo there" && !["visits", "daily"].contains(&stream);
            let kind = if of_report { Unsupported } else { kind };
            assert_eq!(error.kind(), kind, "{what} in {stream}: {error}");
            says_nothing_secret(&error);
        }
    }
}

#[tokio::test]
async fn faults_of_the_network_are_typed_and_end() {
    for (what, answer) in [
        ("a reset", Answer::reset()),
        ("a reset before the body", Answer::reset_before_body()),
        ("a cut body", Answer::json("[1,2,3,4,5,6,7,8]").cut_after(5)),
        ("silence", Answer::never()),
    ] {
        for stream in ["visits", "pages", "items"] {
            let (error, _) = failure(stream, answer.clone()).await;
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what} in {stream}: {error}");
            says_nothing_secret(&error);
        }
    }
    for stream in ["visits", "pages", "items"] {
        let (error, _) = failure(stream, Answer::endless()).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "an endless body in {stream}: {error}");
    }
}

#[tokio::test]
async fn a_refused_token_is_never_tried_again() {
    let server = Server::start(|_| Answer::html(recorded("err_bad_token")).with_status(401)).await.unwrap();
    let source = source(&server);
    for _ in 0..5 {
        assert_eq!(source.check().await.unwrap_err().kind(), ErrorKind::Auth);
    }
    let slice = SliceKey::day("matomo", "visits", "1", day("2026-03-28"));
    assert_eq!(source.verify(&slice).await.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn an_echoed_token_is_in_no_error() {
    let echo =
        format!(r#"{{"result":"error","message":"bad request: token_auth={TOKEN}&user=jo@example.org"}}"#);
    let (error, _) = failure("visits", Answer::json(echo)).await;
    says_nothing_secret(&error);
    assert!(error.to_string().contains('…'), "{error}");
}

#[tokio::test]
async fn the_token_is_in_the_body_and_never_in_the_url() {
    let server = RecordedMatomo::start().await.unwrap();
    let matomo = server.source().build().unwrap();
    let slices = matomo.plan("visits", "1", window("2026-03-28", "2026-03-28")).unwrap();
    let _: Vec<_> = matomo.read(&slices[0]).collect().await;
    let requests = server.server().requests();
    assert!(requests.len() >= 2);
    for request in requests {
        assert_eq!(
            (request.method.as_str(), request.path.as_str(), request.query.as_str()),
            ("POST", "/index.php", "")
        );
        assert_eq!(request.form_value("token_auth").as_deref(), Some(RecordedMatomo::TOKEN));
        assert!(request.headers.iter().all(|(_, value)| !value.contains(RecordedMatomo::TOKEN)));
    }
    assert!(!format!("{matomo:?} {server:?}").contains(RecordedMatomo::TOKEN));
}

#[tokio::test]
async fn a_visit_that_does_not_read_is_set_aside_and_the_rest_is_kept() {
    let mut visits: Vec<serde_json::Value> = serde_json::from_slice(&recorded("live_last_day")).unwrap();
    visits.reverse();
    visits[0]["idVisit"] = serde_json::Value::Null;
    visits[1]["lastActionTimestamp"] = "yesterday".into();
    // An action a day after its visit.
    let late = visits[5]["actionDetails"][0]["timestamp"].as_i64().unwrap() + 86_400;
    visits[5]["actionDetails"][0]["timestamp"] = late.into();
    let body = serde_json::to_string(&visits).unwrap();
    let server = Server::start(move |request| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        _ => Answer::json(body.clone()),
    })
    .await
    .unwrap();
    let slice = SliceKey::day("matomo", "visits", "1", day("2026-03-29"));
    let pages: Vec<Page> = source(&server).read(&slice).map(Result::unwrap).collect().await;
    let page = &pages[0];
    assert_eq!((pages.len(), page.sessions.len(), page.rejected.len()), (1, 16, 3));
    assert_eq!(page.read as usize, page.rows() + 3);
    let reasons: Vec<&str> = page.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "the visit has no idVisit",
            "the visit has no first or last timestamp",
            "the action's time is not inside of its visit"
        ]
    );
    assert!(page.rejected.iter().all(|rejected| !rejected.raw.contains('@')));
}

#[tokio::test]
async fn without_a_visits_log_there_are_no_control_totals() {
    // By Matomo's source (plugins/Live/Live.php), not recorded.
    let closed = r#"{"result":"error","message":"Visits log is deactivated globally."}"#;
    let server = Server::start(move |request| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        _ => Answer::json(closed),
    })
    .await
    .unwrap();
    let source = source(&server);
    let slice = |stream| SliceKey::day("matomo", stream, "1", day("2026-03-28"));
    assert_eq!(source.verify(&slice("daily")).await.unwrap(), None);
    let error = source.read(&slice("visits")).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_missing_number_is_not_a_zero() {
    let summary = recorded("vs_get_one_day_as_range");
    for (method, body) in [
        ("VisitsSummary.get", r#"{"2026-03-28":{"visits":17}}"#),
        ("Goals.get", r#"{"2026-03-28":{"revenue":1}}"#),
        ("VisitsSummary.get", r#"{"2026-03-27":{"nb_visits":17}}"#),
        ("VisitsSummary.get", r#"[{"nb_visits":17}]"#),
    ] {
        let summary = summary.clone();
        let server = Server::start(move |request| match request.form_value("method").as_deref() {
            Some("SitesManager.getSiteFromId") => Answer::json(SITE),
            Some(asked) if asked == method => Answer::json(body),
            _ => Answer::json(summary.clone()),
        })
        .await
        .unwrap();
        let source = source(&server);
        let slice = SliceKey::day("matomo", "daily", "1", day("2026-03-28"));
        let error = source.read(&slice).next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}: {error}");
    }
}

#[tokio::test]
async fn an_echoed_token_is_in_no_row_and_in_no_rejected_record() {
    let mut visits: Vec<serde_json::Value> = serde_json::from_slice(&recorded("live_last_day")).unwrap();
    visits.reverse();
    visits[0]["actionDetails"][0]["url"] = format!("https://shop.example.org/?token_auth={TOKEN}").into();
    visits[1]["idVisit"] = serde_json::Value::Null;
    visits[1]["referrerUrl"] = format!("https://stats.example.org/?token_auth={TOKEN}").into();
    let body = serde_json::to_string(&visits).unwrap();
    let server = Server::start(move |request| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        _ => Answer::json(body.clone()),
    })
    .await
    .unwrap();
    let slice = SliceKey::day("matomo", "visits", "1", day("2026-03-29"));
    let pages: Vec<Page> = source(&server).read(&slice).map(Result::unwrap).collect().await;
    let shown = format!("{pages:?}");
    assert!(!shown.contains(TOKEN));
    assert!(shown.contains("token_auth=…"), "the rest of the URL stays");
}

#[tokio::test]
async fn an_echoed_token_is_in_no_row_of_a_report_and_in_nothing_beside_it() {
    let url = format!("https://shop.example.org/?token_auth={TOKEN}");
    let table = serde_json::json!({"2026-03-28": [
        {"label": &url, "url": &url, "nb_hits": 1, "nb_visits": 1, "imageGraphUrl": &url},
        {"nb_hits": 1, "imageGraphUrl": &url},
    ]});
    let body = table.to_string();
    let server = Server::start(move |request| match request.form_value("method").as_deref() {
        Some("SitesManager.getSiteFromId") => Answer::json(SITE),
        _ => Answer::json(body.clone()),
    })
    .await
    .unwrap();
    let slice = SliceKey::day("matomo", "pages", "1", day("2026-03-28"));
    let pages: Vec<Page> = source(&server).read(&slice).map(Result::unwrap).collect().await;
    assert_eq!((pages[0].extras.len(), pages[0].rejected.len()), (1, 1));
    let shown = format!("{pages:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
    assert!(shown.contains("token_auth=…"), "the rest of the URL stays");
}
