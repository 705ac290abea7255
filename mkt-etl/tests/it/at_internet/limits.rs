//! Days with more rows than a query gives, and calls at once.

use super::{read, report, settings, slice};
use futures_util::future::join_all;
use mkt_connect::http::retry::Policy;
use mkt_etl::AnalyticsSource;
use mkt_etl::Coverage;
use mkt_etl::Page;
use mkt_etl::at_internet::AtInternet;
use mkt_etl::at_internet::{CallBudget, Report};
use mkt_etl::testing::{AtInternetFault, FakeAtInternet};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: &str = "2026-10-25";

/// A stand-in whose queries give 60 rows, 20 a page, and a source that knows it.
async fn narrow(report: Report) -> (FakeAtInternet, AtInternet) {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, 300);
    fake.limit_rows(20, 60);
    let source = settings(&fake).report(report).row_limits(20, 60).build().unwrap();
    (fake, source)
}

/// The same report from a stand-in that gives everything at once.
async fn whole(report: Report) -> Page {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, 300);
    let source = settings(&fake).report(report).build().unwrap();
    read(&source, &slice("wide", DAY)).await.unwrap()
}

fn numbers(page: &Page) -> BTreeMap<(i64, String), Option<Decimal>> {
    page.dimensions
        .iter()
        .map(|row| ((row.dimension_key, row.metric.clone()), row.value.map(|value| value.0)))
        .collect()
}

#[tokio::test]
async fn a_day_with_too_many_rows_is_split_and_is_the_same_day() {
    for (what, columns) in [
        ("by a column of hours", "page,visit_hour,m_unique_visitors"),
        ("by hours that are added up again", "page,src,m_page_loads,m_visits"),
        ("by the values of a property", "src,page,visit_entrypage,m_unique_visitors"),
        ("by single visits, of which there are too many", "visit_id,page,m_page_loads,m_unique_visitors"),
    ] {
        let expected = whole(report("wide", columns)).await;
        let (fake, source) = narrow(report("wide", columns)).await;
        let page = read(&source, &slice("wide", DAY)).await.unwrap();
        let rows = numbers(&expected).len() / columns.matches("m_").count();
        assert!(rows > 60, "{what}: {rows} rows are too few to be split");
        assert_eq!(page.coverage, Coverage::Whole, "{what}: {:?}", page.notes);
        assert_eq!(numbers(&page), numbers(&expected), "{what}");
        assert_eq!(page.read, expected.read, "{what}");
        assert!(
            fake.server().requests().iter().all(|request| !request.text().contains("\"page-num\":4")),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_tried_again_and_then_split() {
    for columns in ["page,visit_hour,m_unique_visitors", "page,src,m_page_loads,m_visits"] {
        let expected = whole(report("wide", columns)).await;
        let fake = FakeAtInternet::start().await.unwrap();
        fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, 300);
        fake.time_out_above(100);
        let source = settings(&fake).report(report("wide", columns)).build().unwrap();
        let page = read(&source, &slice("wide", DAY)).await.unwrap();
        assert_eq!(numbers(&page), numbers(&expected), "{columns}");
        assert_eq!(page.coverage, Coverage::Whole);
        assert!(page.notes.iter().any(|note| note.contains("took too long")), "{:?}", page.notes);
        // There is no count of the whole to compare with, and that is no failure: it was said.
        assert_eq!(source.verify(&slice("wide", DAY)).await.unwrap(), None);
        // Of a day that was not read so, it is one.
        assert!(source.verify(&slice("wide", "2026-10-26")).await.is_err());
    }
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_split_and_compared_with_the_count() {
    use AtInternetFault::{Cancelled, None};
    let columns = "page,visit_hour,m_unique_visitors";
    let expected = whole(report("wide", columns)).await;
    let fake = FakeAtInternet::start().await.unwrap();
    fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, 300);
    let source = settings(&fake).retry(Policy::once()).report(report("wide", columns)).build().unwrap();
    for fault in [None, Cancelled] {
        fake.inject(fault);
    }
    let page = read(&source, &slice("wide", DAY)).await.unwrap();
    assert_eq!((numbers(&page), page.notes), (numbers(&expected), Vec::new()));
    // Where nothing can be split, the failure is what it was.
    let source =
        settings(&fake).retry(Policy::once()).report(report("wide", "m_unique_visitors")).build().unwrap();
    fake.inject(Cancelled);
    let error = read(&source, &slice("wide", DAY)).await.unwrap_err();
    assert_eq!(error.kind(), mkt_connect::ErrorKind::Unavailable);
    assert!(error.to_string().contains("CancelledRequest"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_split_says_how_much_is_missing() {
    // Over 60 different visits in a day, told apart by their ids alone.
    let (_fake, source) = narrow(report("wide", "visit_id,m_unique_visitors")).await;
    let page = read(&source, &slice("wide", DAY)).await.unwrap();
    assert_eq!((page.coverage, page.dimensions.len()), (Coverage::Truncated, 60));
    assert_eq!(
        page.notes,
        [
            "one query gives 60 rows, and a part that could not be split has 300: 20% of its rows are here, the largest"
        ]
    );
}

#[tokio::test]
async fn more_than_two_hundred_thousand_rows_are_read_whole_under_the_vendors_own_limits() {
    // Slow: 200,000 visits are generated again for every count. By default a hundredth of it under limits a hundredth
    // as large.
    let full = std::env::var("MKT_TEST_AT_INTERNET").is_ok_and(|value| value == "full");
    let part = if full { 1 } else { 100 };
    let (page, query) = (10_000 / part, 200_000 / part);
    let fake = FakeAtInternet::start().await.unwrap();
    let visits = u32::try_from(query + query / 10).unwrap();
    fake.add_space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris, visits);
    fake.limit_rows(page, query);
    let source = settings(&fake)
        .report(report("wide", "visit_id,visit_hour,m_visits"))
        .row_limits(u32::try_from(page).unwrap(), query)
        .http(|client| client.read_timeout(Duration::from_secs(100)))
        .build()
        .unwrap();
    let read = read(&source, &slice("wide", DAY)).await.unwrap();
    assert_eq!((read.dimensions.len() as u64, read.coverage), (u64::from(visits), Coverage::Whole));
    assert_eq!(
        read.dimensions.iter().map(|row| row.value.unwrap().0).sum::<Decimal>(),
        Decimal::from(visits)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_calls_of_a_user_and_twenty_of_an_organisation_are_never_exceeded() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.delay(Duration::from_millis(20));
    let organisation = CallBudget::new();
    let mut sources = Vec::new();
    for user in 0..6 {
        let (key, budget) = match user {
            0 => (fake.key(), organisation.clone()),
            _ => (fake.add_user(), organisation.another_user()),
        };
        sources.push(
            settings(&fake)
                .key(key)
                .budget(&budget)
                .retry(Policy::once())
                .report(report("site", "m_visits"))
                .build()
                .unwrap(),
        );
    }
    let slices: Vec<_> = (10..30).map(|day| slice("site", &format!("2026-03-{day}"))).collect();
    // Clones share the budget of their user.
    let clones: Vec<AtInternet> =
        sources.iter().flat_map(|source| [source.clone(), source.clone()]).collect();
    let reads = clones.iter().flat_map(|source| slices.iter().map(|slice| read(source, slice)));
    for outcome in join_all(reads).await {
        outcome.unwrap();
    }
    let (of_user, of_all) = fake.most_at_once();
    // How many meet depends on the machine; that more than one user's calls met, and none too many, does not.
    assert!(
        (2..=CallBudget::USER).contains(&of_user) && (6..=CallBudget::ORGANISATION).contains(&of_all),
        "{of_user} {of_all}"
    );
    assert_eq!(fake.throttled(), 0);
    // Without a budget the stand-in refuses what is too much: that is what was kept.
    let careless = settings(&fake)
        .budget(&CallBudget::with(100, 100))
        .retry(Policy::once())
        .report(report("site", "m_visits"));
    let careless = careless.build().unwrap();
    join_all(slices.iter().map(|slice| read(&careless, slice))).await;
    assert!(fake.throttled() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_shares_a_key_is_throttled_and_waits() {
    let fake = FakeAtInternet::start().await.unwrap();
    fake.delay(Duration::from_millis(5));
    let patient =
        Policy::default().max_attempts(60).backoff(Duration::from_millis(10), Duration::from_millis(40));
    // Two sources that do not know of each other: each has a budget of its own.
    let source = || settings(&fake).retry(patient).report(report("site", "m_visits")).build().unwrap();
    let (one, other) = (source(), source());
    let slices: Vec<_> = (10..20).map(|day| slice("site", &format!("2026-03-{day}"))).collect();
    let reads =
        [&one, &other].into_iter().flat_map(|source| slices.iter().map(move |slice| read(source, slice)));
    let outcomes = join_all(reads).await;
    assert!(fake.throttled() > 0, "the two met");
    assert_eq!(fake.most_at_once().0, 5);
    let read_whole = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for error in outcomes.into_iter().filter_map(Result::err) {
        // Repeats are at most a tenth of the requests (mkt-connect's budget): the rest is said as what it is.
        assert_eq!(error.kind(), mkt_connect::ErrorKind::RateLimited);
    }
    assert!(read_whole >= 10, "{read_whole}");
}
