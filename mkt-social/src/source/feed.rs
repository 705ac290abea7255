//! What sources of one list have in common: a call, a page, what becomes of its items.

use super::{PostPage, PostPages, Quarantined, Refusal, Request};
use crate::metric::{Metric, Value};
use crate::post::{Observation, Post, Reading};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use serde_json::Value as Json;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that are kept of what cannot be used.
const KEPT: usize = 4096;

/// A page as a network gives it.
pub(super) struct Listed {
    pub(super) items: Vec<Json>,
    /// Where the list goes on; `None` at its end.
    pub(super) next: Option<String>,
    pub(super) at: DateTime<Utc>,
}

/// A post and what was counted about it; the metrics that the network has are all there.
pub(super) struct Item {
    pub(super) post: Post,
    pub(super) readings: Vec<Reading>,
}

/// A list of an account's posts, newest first.
#[async_trait]
pub(super) trait Feed: fmt::Debug + Send + Sync + 'static {
    /// The name that errors carry.
    const SERVICE: &'static str;
    /// The most posts that a call may list.
    const LONGEST: usize;

    /// One call.
    async fn list(&self, place: Option<&str>, limit: usize) -> Result<Listed>;

    /// Reads an item; `None` for what is no post of the account.
    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Refusal>;
}

/// A read under way.
#[derive(Debug)]
pub(super) struct FeedPages<F> {
    feed: Arc<F>,
    request: Request,
    place: Option<String>,
    ended: bool,
    seen: HashSet<String>,
    places: HashSet<String>,
}

impl<F: Feed> FeedPages<F> {
    pub(super) fn new(feed: Arc<F>, request: Request) -> Self {
        let (place, seen, places) = Default::default();
        Self { feed, request, place, ended: false, seen, places }
    }

    async fn page(&mut self) -> Result<PostPage> {
        let limit = self.request.page_size.clamp(1, F::LONGEST);
        let listed = self.feed.list(self.place.as_deref(), limit).await?;
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
                page.observations.push(Observation {
                    network: item.post.network.clone(),
                    post_id: item.post.id.clone(),
                    observed_at: listed.at,
                    version: None,
                    readings: item.readings,
                });
                page.posts.push(item.post);
            }
        }
        match listed.next {
            // The list is in the order of time but for posts that were given an earlier one: a page of nothing but older
            // posts is the end.
            Some(place) if older == 0 || older < page.tally.read => {
                if !self.places.insert(place.clone()) {
                    return Err(Error::new(ErrorKind::Protocol, F::SERVICE, "read posts")
                        .delivered(Delivery::Answered)
                        .with_detail("the pages go round in a circle"));
                }
                self.place = Some(place);
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

/// An item that cannot be used.
pub(super) fn quarantined(item: &Json, reason: Refusal) -> Quarantined {
    let mut raw = item.to_string().into_bytes();
    raw.truncate(KEPT);
    Quarantined { line: 0, offset: 0, raw, reason }
}

/// Sends a call, rests when the network says that nothing is left, and reads JSON.
///
/// # Errors
/// By status: `Auth`, `NotFound`, `RateLimited` with the wait, `Unavailable`; `Protocol` for what is no JSON.
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

/// A count of an item; missing where it is not told.
pub(super) fn reading(item: &Json, metric: Metric, native: &'static str) -> Reading {
    let count = item.get(native).and_then(Json::as_u64);
    let value = count.map_or(Value::Missing(crate::metric::Missing::Blank), Value::Known);
    Reading { metric, native: Arc::from(native), value }
}

/// A text that is there and not empty.
pub(super) fn text(item: &Json, name: &str) -> Option<String> {
    item.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An instant as RFC 3339 writes it.
pub(super) fn instant(item: &Json, name: &str) -> std::result::Result<DateTime<Utc>, Refusal> {
    let told = text(item, name).ok_or(Refusal::Empty { field: "time" })?;
    DateTime::parse_from_rfc3339(&told).map(|at| at.with_timezone(&Utc)).map_err(|_| Refusal::Time)
}
