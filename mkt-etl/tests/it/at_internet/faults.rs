//! Every form of failure that the documentation names, over HTTP, and what becomes of it.

use super::{read, report, settings, slice, source};
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Error, ErrorKind};
use mkt_etl::AnalyticsSource;
use mkt_etl::at_internet::AtInternet;
use mkt_etl::testing::{AtInternetFault, FakeAtInternet};
use std::time::Duration;

const DAY: &str = "2026-03-28";

fn says_nothing_secret(error: &Error) {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    assert!(!text.contains("canary"), "{text}");
    assert!(!text.contains('@'), "{text}");
}

#[tokio::test]
async fn every_form_of_failure_has_its_kind_and_tells_no_secret() {
    use AtInternetFault::*;
    use ErrorKind::{Auth, Input, Protocol, RateLimited, Unavailable};
    for (fault, kind) in [
        (TooManyCallsBare, RateLimited),
        (QuotasExceeded, RateLimited),
        (CallFrequency, RateLimited),
        (Unauthorised, Auth),
        (Forbidden, Auth),
        (ErrorWith200, Input),
        (EchoedKey, Input),
        (NotReady, Unavailable),
        (ServerError, Unavailable),
        (Reset, Unavailable),
        (HtmlPage, Protocol),
        (CutAnswer, Protocol),
        (EmptyAnswer, Protocol),
        (Redirect, Protocol),
    ] {
        let fake = FakeAtInternet::start().await.unwrap();
        let source = settings(&fake)
            .retry(Policy::once())
            .report(report("pages", "page,m_page_loads"))
            .build()
            .unwrap();
        for call in ["count", "check", "verify"] {
            fake.inject(fault);
            // Yesterday is not there yet: the check is about the query and the key.
            if call == "check" && matches!(fault, NotReady) {
                assert!(source.check().await.is_ok());
                continue;
            }
            let error = match call {
                "count" => read(&source, &slice("pages", DAY)).await.unwrap_err(),
                "check" => source.check().await.unwrap_err(),
                _ => source.verify(&slice("pages", DAY)).await.unwrap_err(),
            };
            assert_eq!(error.kind(), kind, "{fault:?} in {call}: {error}");
            says_nothing_secret(&error);
        }
    }
}

#[tokio::test]
async fn throttling_in_every_form_and_a_failing_server_are_waited_out() {
    use AtInternetFault::{
        CallFrequency, Cancelled, NotReady, QuotasExceeded, Reset, ServerError, TooManyCalls,
        TooManyCallsBare,
    };
    for fault in [
        TooManyCalls,
        TooManyCallsBare,
        QuotasExceeded,
        CallFrequency,
        NotReady,
        Cancelled,
        ServerError,
        Reset,
    ] {
        let fake = FakeAtInternet::start().await.unwrap();
        let source = source(&fake, [report("pages", "page,m_page_loads")]);
        let expected = read(&source, &slice("pages", DAY)).await.unwrap();
        let calls = fake.calls();
        fake.inject(fault);
        assert_eq!(read(&source, &slice("pages", DAY)).await.unwrap(), expected, "{fault:?}");
        assert_eq!(fake.calls(), 2 * calls + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_key_stops_everything() {
    for fault in [AtInternetFault::Unauthorised, AtInternetFault::Forbidden] {
        let fake = FakeAtInternet::start().await.unwrap();
        let source = source(&fake, [report("site", "m_visits")]);
        fake.inject(fault);
        for _ in 0..3 {
            assert_eq!(source.clone().check().await.unwrap_err().kind(), ErrorKind::Auth);
        }
        let error = read(&source, &slice("site", DAY)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        says_nothing_secret(&error);
        assert_eq!(fake.calls(), 1, "{fault:?}");
    }
    let fake = FakeAtInternet::start().await.unwrap();
    let wrong = settings(&fake).key("canary_other").report(report("site", "m_visits")).build().unwrap();
    let error = wrong.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    says_nothing_secret(&error);
}

#[tokio::test]
async fn rows_that_are_not_those_that_were_counted_fail_the_slice() {
    use AtInternetFault::{RepeatedPage, ShortPage, WrongCount};
    for (fault, call) in [(WrongCount, 0), (ShortPage, 1), (ShortPage, 2), (RepeatedPage, 2)] {
        let fake = FakeAtInternet::start().await.unwrap();
        let source = settings(&fake)
            .report(report("pages", "page,m_page_loads"))
            .row_limits(10, 1000)
            .build()
            .unwrap();
        assert!(read(&source, &slice("pages", DAY)).await.is_ok());
        for _ in 0..call {
            fake.inject(AtInternetFault::None);
        }
        fake.inject(fault);
        let error = read(&source, &slice("pages", DAY)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn parts_that_are_not_the_whole_fail_the_slice() {
    for columns in ["page,visit_hour,m_unique_visitors", "page,src,m_page_loads"] {
        let fake = FakeAtInternet::start().await.unwrap();
        fake.limit_rows(20, 40);
        let source = settings(&fake).report(report("wide", columns)).row_limits(20, 40).build().unwrap();
        assert!(read(&source, &slice("wide", DAY)).await.is_ok(), "{columns}");
        // The count of the whole is wrong; those of its parts are not.
        fake.inject(AtInternetFault::WrongCount);
        let error = read(&source, &slice("wide", DAY)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{columns}: {error}");
    }
}

#[tokio::test]
async fn no_content_told_twice_is_a_day_without_rows() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(&fake, [report("pages", "page,m_page_loads")]);
    let whole = read(&source, &slice("pages", DAY)).await.unwrap();
    // Once may be a lost answer: the count is asked for again.
    fake.inject(AtInternetFault::NoContent);
    assert_eq!(read(&source, &slice("pages", DAY)).await.unwrap(), whole);
    for _ in 0..2 {
        fake.inject(AtInternetFault::NoContent);
    }
    let empty = read(&source, &slice("pages", DAY)).await.unwrap();
    assert_eq!((empty.read, empty.rows()), (0, 0));
    assert_eq!(empty.notes, ["HTTP 204: the vendor says that there is no data, and counts nothing"]);
    // Where rows were counted, a page without content is no page.
    fake.inject(AtInternetFault::None);
    fake.inject(AtInternetFault::NoContent);
    let error = read(&source, &slice("pages", DAY)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("rows were counted"), "{error}");
}

#[tokio::test]
async fn a_column_that_the_vendor_does_not_name_is_found_by_the_check() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.keep_column_names();
    let source = source(&fake, [report("odd", "page,no_such,src,m_visits,m_nothing")]);
    let error = source.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("unknown columns: no_such, m_nothing"), "{error}");
    assert_eq!(fake.calls(), 1 + 5);
}

#[tokio::test]
async fn version_2_is_read_with_a_key_where_users_have_no_password() {
    let fake = FakeAtInternet::start().await.unwrap();
    let by_key = |fake: &FakeAtInternet| {
        let settings = settings(fake).report(report("pages", "d_page,m_page_loads"));
        settings.rest_v2_with_key(fake.key()).build().unwrap()
    };
    let by_password = settings(&fake)
        .report(report("pages", "d_page,m_page_loads"))
        .rest_v2("jo", fake.key())
        .build()
        .unwrap();
    let read_by_key = read(&by_key(&fake), &slice("pages", DAY)).await.unwrap();
    assert!(!read_by_key.dimensions.is_empty());
    for request in fake.server().requests() {
        assert!(request.path.starts_with("/data/v2/") && !request.query.contains("canary"));
        assert_eq!(request.header("x-api-key"), Some(fake.key().expose()));
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(read(&by_password, &slice("pages", DAY)).await.unwrap(), read_by_key);
}

#[tokio::test]
async fn what_the_account_does_not_have_is_named_by_the_vendor() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(&fake, [report("odd", "no_such_property,m_visits")]);
    let error = read(&source, &slice("odd", DAY)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("InvalidColumns_Unknown"), "{error}");
    let elsewhere =
        fake.source().space(99, chrono_tz::UTC).report(report("site", "m_visits")).build().unwrap();
    // The vendor answers 403 for a site that it does not show: that stops everything too.
    assert_eq!(elsewhere.check().await.unwrap_err().kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn faults_of_the_network_are_typed_and_end() {
    for (what, answer, kind) in [
        ("a reset before the body", Answer::reset_before_body(), ErrorKind::Unavailable),
        ("a cut body", Answer::json("[1,2,3,4,5,6,7,8]").cut_after(5), ErrorKind::Unavailable),
        ("silence", Answer::never(), ErrorKind::Unavailable),
        ("an endless body", Answer::endless(), ErrorKind::Protocol),
        ("another form", Answer::json("42"), ErrorKind::Protocol),
        ("a list", Answer::json("[]"), ErrorKind::Protocol),
        ("no number", Answer::json(r#"{"RowCounts":[{"RowCount":"many"}]}"#), ErrorKind::Protocol),
        ("two counts", Answer::json(r#"{"RowCounts":[{"RowCount":1},{"RowCount":2}]}"#), ErrorKind::Protocol),
        (
            "a count beyond everything",
            Answer::json(r#"{"RowCounts":[{"RowCount":18446744073709551615}]}"#),
            ErrorKind::Protocol,
        ),
    ] {
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let source = AtInternet::builder(&server.url())
            .allow_insecure_host(&server.authority())
            .key("canaryaccess_canarysecret")
            .space(super::SITE.parse().unwrap(), chrono_tz::Europe::Paris)
            .report(report("visitors", "m_unique_visitors"))
            .retry(Policy::once())
            .http(|client| client.total_timeout(Duration::from_secs(1)).max_body_bytes(1 << 20))
            .build()
            .unwrap();
        let error = read(&source, &slice("visitors", DAY)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        says_nothing_secret(&error);
    }
}

#[tokio::test]
async fn the_key_is_in_a_header_and_in_nothing_else() {
    let fake = FakeAtInternet::start().await.unwrap();
    let source = source(&fake, [report("pages", "page,m_page_loads")]);
    let page = read(&source, &slice("pages", DAY)).await.unwrap();
    source.verify(&slice("pages", DAY)).await.unwrap();
    assert!(!format!("{source:?} {fake:?} {page:?}").contains("canary"));
    for request in fake.server().requests() {
        assert_eq!(request.header("x-api-key"), Some(fake.key().expose()));
        assert!(
            !request.text().contains("canary")
                && !request.query.contains("canary")
                && !request.path.contains("canary")
        );
    }
}
