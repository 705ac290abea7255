//! AT Internet / Piano Analytics, against the stand-in: no recording of the vendor exists.

mod clients;
mod faults;
mod limits;
mod loading;
mod periods;
mod reading;
mod restricted;
mod servers;
mod translating;
mod urls;
mod visits;

pub(crate) use visits::columns as visit_columns;

use chrono_tz::Europe::Paris;
use futures_util::StreamExt;
use mkt_connect::http::retry::Policy;
use mkt_etl::at_internet::AtInternet;
use mkt_etl::at_internet::{AtInternetBuilder, Report};
use mkt_etl::testing::FakeAtInternet;
use mkt_etl::{AnalyticsSource, Page};
use mkt_warehouse::SliceKey;
use std::time::Duration;

pub(crate) const SITE: &str = "123456";

pub(crate) fn report(name: &str, columns: &str) -> Report {
    Report::new(name, columns.split(',')).unwrap()
}

/// A source of the fake's first site, without waiting between attempts.
pub(crate) fn settings(fake: &FakeAtInternet) -> AtInternetBuilder {
    let quick = Policy::default().backoff(Duration::from_millis(1), Duration::from_millis(5));
    fake.source().space(FakeAtInternet::SPACE, Paris).retry(quick)
}

pub(crate) fn source(fake: &FakeAtInternet, reports: impl IntoIterator<Item = Report>) -> AtInternet {
    reports.into_iter().fold(settings(fake), AtInternetBuilder::report).build().unwrap()
}

pub(crate) fn slice(stream: &str, day: &str) -> SliceKey {
    SliceKey::day("at_internet", stream, SITE, day.parse().unwrap())
}

/// All pages of a slice in one.
pub(crate) async fn read(source: &AtInternet, slice: &SliceKey) -> Result<Page, mkt_connect::Error> {
    let mut whole = Page::default();
    let mut pages = source.read(slice);
    while let Some(page) = pages.next().await {
        let page = page?;
        whole.read += page.read;
        whole.metrics.extend(page.metrics);
        whole.dimensions.extend(page.dimensions);
        whole.sessions.extend(page.sessions);
        whole.rejected.extend(page.rejected);
        whole.notes.extend(page.notes);
        whole.drift.extend(page.drift);
        whole.coverage = whole.coverage.max(page.coverage);
    }
    Ok(whole)
}
