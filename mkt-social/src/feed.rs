//! The common part of sources that list an account's posts: calls, pages, items.

use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, Reading};
use crate::source::{PostPage, PostPages, Request};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::table::cell::{CellError, CellProblem};
use mkt_connect::table::{Quarantined, Reason};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use serde_json::Value as Json;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Largest number of pages of a read, as in [`mkt_connect::http::Paging`]: a list of empty pages with new cursors would
/// never end.
pub(crate) const MAX_PAGES: u64 = 10_000;

/// A page of the network.
pub(super) struct Listed {
    pub(super) items: Vec<Json>,
    /// The cursor of the next page; `None` at the end.
    pub(super) next: Option<String>,
    pub(super) at: DateTime<Utc>,
}

/// A post with a reading of each metric that the network has.
pub(super) struct Item {
    pub(super) post: Post,
    pub(super) readings: Vec<Reading>,
}

/// A list of an account's posts, newest first.
#[async_trait]
pub(super) trait Feed: fmt::Debug + Send + Sync + 'static {
    /// The name in errors.
    const SERVICE: &'static str;
    /// The largest number of posts per call.
    const MAX_PAGE_SIZE: usize;

    /// Reads one page.
    async fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Listed>;

    /// Reads an item; `None` if it is not a post of the account.
    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Reason>;
}

/// A read in progress.
#[derive(Debug)]
pub(super) struct FeedPages<F> {
    feed: Arc<F>,
    request: Request,
    cursor: Option<String>,
    ended: bool,
    seen: HashSet<String>,
    cursors: HashSet<String>,
    pages: u64,
}

impl<F: Feed> FeedPages<F> {
    pub(super) fn new(feed: Arc<F>, request: Request) -> Self {
        let (cursor, seen, cursors) = Default::default();
        Self { feed, request, cursor, ended: false, seen, cursors, pages: 0 }
    }

    async fn page(&mut self) -> Result<PostPage> {
        let protocol = |detail: String| {
            let error = Error::new(ErrorKind::Protocol, F::SERVICE, "read posts");
            error.delivered(Delivery::Answered).with_detail(detail)
        };
        if self.pages == MAX_PAGES {
            return Err(protocol(format!("the list does not end after {MAX_PAGES} pages")));
        }
        self.pages += 1;
        let limit = self.request.page_size.clamp(1, F::MAX_PAGE_SIZE);
        let listed = self.feed.list(self.cursor.as_deref(), limit).await?;
        let mut page = PostPage::default();
        let mut older = 0;
        for value in &listed.items {
            let item = match self.feed.read(value) {
                Ok(None) => continue,
                Ok(Some(item)) => item,
                Err(reason) => {
                    page.tally.read += 1;
                    page.tally.quarantined += 1;
                    page.quarantined.push(quarantined(value, reason));
                    continue;
                }
            };
            page.tally.read += 1;
            if !self.seen.insert(item.post.id.clone()) {
                page.tally.duplicates += 1;
            } else if !self.request.covers(item.post.published_at) {
                page.tally.outside += 1;
                older += u64::from(self.request.since.is_some_and(|since| item.post.published_at < since));
            } else {
                page.tally.loaded += 1;
                page.observations.push(Observation::of(&item.post, listed.at).readings(item.readings));
                page.posts.push(item.post);
            }
        }
        match listed.next {
            // The list is newest first, except for posts with a backdated time: a page of only older posts is the end.
            Some(cursor) if older == 0 || older < page.tally.read => {
                if !self.cursors.insert(cursor.clone()) {
                    return Err(protocol("a cursor came twice".to_owned()));
                }
                self.cursor = Some(cursor);
            }
            _ => self.ended = true,
        }
        Ok(page)
    }
}

#[async_trait]
impl<F: Feed> PostPages for FeedPages<F> {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        if self.ended {
            return Ok(None);
        }
        let page = self.page().await;
        self.ended |= page.is_err();
        page.map(Some)
    }
}

/// A quarantined item.
pub(super) fn quarantined(item: &Json, reason: Reason) -> Quarantined {
    Quarantined::new(0, 0, item.to_string().as_bytes(), reason)
}

/// The reason of an item without a required field.
pub(super) fn no(field: &str) -> Reason {
    Reason::rule("missing_field", format!("no {field}"))
}

/// The reason of an item with an invalid time.
pub(super) fn not_a_time(text: &str) -> Reason {
    Reason::cell("time", CellError::new(CellProblem::Timestamp, text))
}

/// Sends a call, pauses if the network reports no calls left, and parses the answer as JSON.
///
/// # Errors
/// By status: `Auth`, `NotFound`, `RateLimited` with the wait, `Unavailable`; `Protocol` for an answer that is not JSON.
pub(super) async fn call(
    client: &Client,
    policy: &Policy,
    request: &http::Request,
    left: impl Fn(&Response) -> Option<(u64, Duration)>,
) -> Result<(Json, Response)> {
    let read = |response: Response| {
        let left = left(&response);
        if let Some((remaining, reset)) = left {
            client.rate().observe(remaining, reset);
        }
        if response.is_success() {
            return Ok((response.json()?, response));
        }
        let kind = match response.status() {
            401 | 403 => ErrorKind::Auth,
            404 | 410 => ErrorKind::NotFound,
            400 | 422 => ErrorKind::Input,
            408 | 500.. => ErrorKind::Unavailable,
            429 => ErrorKind::RateLimited,
            _ => ErrorKind::Other,
        };
        let error = response.error(kind).with_detail(format!("HTTP {}", response.status()));
        match (kind, left) {
            (ErrorKind::RateLimited, Some((_, reset))) if error.retry_after().is_none() => {
                Err(error.with_retry_after(reset))
            }
            _ => Err(error),
        }
    };
    client.send_with(request, policy, read).await
}

/// A count of an item; [`Missing::Blank`] if absent.
pub(super) fn reading(item: &Json, metric: Metric, native: &'static str) -> Reading {
    let count = item.get(native).and_then(Json::as_u64);
    let value = count.map_or(Value::Missing(Missing::Blank), Value::Known);
    Reading::new(metric, native, value)
}

/// A text field that is present and not empty.
pub(super) fn text(item: &Json, name: &str) -> Option<String> {
    item.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A time in RFC 3339.
pub(super) fn instant(item: &Json, name: &str) -> std::result::Result<DateTime<Utc>, Reason> {
    let time = text(item, name).ok_or_else(|| no("time"))?;
    DateTime::parse_from_rfc3339(&time).map(|at| at.with_timezone(&Utc)).map_err(|_| not_a_time(&time))
}
