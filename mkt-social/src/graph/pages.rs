//! A read in progress: list after list, each with its insights.

use super::catalogue::{Product, Surface};
use super::error::Meaning;
use super::item::{Item, wanted};
use super::{Failed, GraphApi, MAX_PAGE_SIZE};
use crate::feed::{MAX_PAGES, quarantined};
use crate::source::{PostPage, PostPages, Request};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::{ErrorKind, Result};
use serde_json::Value as Json;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Parameters of a link to the next page that are its cursor; the rest of the link is ignored.
const CURSOR_PARAMETERS: [&str; 4] = ["after", "until", "since", "__paging_token"];

/// The position of the next page.
type Cursor = Vec<(String, String)>;

pub(super) struct GraphPages {
    graph: Arc<GraphApi>,
    request: Request,
    /// Lists to read, the next one last.
    edges: Vec<&'static str>,
    cursor: Cursor,
    cursors: HashSet<Cursor>,
    pages: u64,
    limit: usize,
    seen: HashSet<String>,
    notes: Vec<String>,
}

impl fmt::Debug for GraphPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphPages").field("posts", &self.seen.len()).finish_non_exhaustive()
    }
}

impl GraphPages {
    pub(super) fn new(graph: Arc<GraphApi>, request: Request) -> Self {
        let edges = match graph.surface {
            Surface::FacebookPage => vec!["published_posts"],
            Surface::Instagram if graph.stories => vec!["stories", "media"],
            Surface::Instagram => vec!["media"],
        };
        let limit = request.page_size.clamp(1, MAX_PAGE_SIZE);
        let (cursor, cursors, seen, notes) = Default::default();
        Self { graph, request, edges, cursor, cursors, pages: 0, limit, seen, notes }
    }

    fn list(&self, edge: &str, fields: &str, limit: usize) -> mkt_connect::http::Request {
        let mut request = self
            .graph
            .get("read posts", &format!("{}/{edge}", self.graph.account))
            .query("fields", fields)
            .query("limit", limit.to_string());
        for (name, value) in &self.cursor {
            request = request.query(name, value);
        }
        request
    }

    fn fields(&self, edge: &str, metrics: &[&'static str]) -> String {
        let fields = match (self.graph.surface, edge) {
            (Surface::FacebookPage, _) => {
                "id,message,created_time,permalink_url,shares,reactions.limit(0).summary(total_count),\
                 comments.limit(0).summary(true),attachments{media_type,target}"
            }
            (Surface::Instagram, "stories") => "id,caption,media_type,media_product_type,permalink,timestamp",
            (Surface::Instagram, _) => {
                "id,caption,media_type,media_product_type,permalink,timestamp,like_count,comments_count"
            }
        };
        if metrics.is_empty() {
            fields.to_owned()
        } else {
            format!("{fields},insights.metric({})", metrics.join(","))
        }
    }

    /// The insights requested within a list.
    fn expanded(&self) -> Vec<&'static str> {
        match self.graph.surface {
            Surface::FacebookPage => {
                wanted(Product::PagePost, self.graph.clock.now().date_naive(), |product, native| {
                    self.graph.retired(product, native)
                })
            }
            Surface::Instagram => Vec::new(),
        }
    }

    /// Reads one page of a list, with a smaller limit or fewer metrics if Meta demands it.
    async fn listed(&mut self, edge: &str) -> Result<(Json, DateTime<Utc>)> {
        let mut limit = self.limit;
        loop {
            let metrics = self.expanded();
            let request = self.list(edge, &self.fields(edge, &metrics), limit);
            match self.graph.call(&request).await {
                Ok((answer, response)) => return Ok((answer, response.received_at())),
                Err(Failed { meaning: Some(Meaning::TooMuch), .. }) if limit > 1 => limit /= 2,
                Err(Failed { meaning: Some(Meaning::Parameter), error }) if !metrics.is_empty() => {
                    if !self.find_refused(edge, &metrics).await? {
                        return Err(error);
                    }
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Finds the metrics for which a list is refused, by bisection; false if they are not the reason.
    async fn find_refused(&mut self, edge: &str, metrics: &[&'static str]) -> Result<bool> {
        let answered = async |metrics: &[&'static str]| {
            let fields = match metrics {
                [] => "id".to_owned(),
                metrics => format!("id,insights.metric({})", metrics.join(",")),
            };
            match self.graph.call(&self.list(edge, &fields, 1)).await {
                Ok(_) => Ok(true),
                Err(Failed { meaning: Some(Meaning::Parameter), .. }) => Ok(false),
                Err(failed) => Err(failed.error),
            }
        };
        if !answered(&[]).await? {
            return Ok(false);
        }
        let mut found = Vec::new();
        let mut doubtful = vec![metrics];
        while let Some(set) = doubtful.pop() {
            // The whole set was refused already.
            if set.len() < metrics.len() && answered(set).await? {
                continue;
            }
            match set {
                [] => {}
                [one] => {
                    found.push(self.graph.retire(Product::PagePost, one));
                }
                _ => doubtful.extend([&set[..set.len() / 2], &set[set.len() / 2..]]),
            }
        }
        let any = !found.is_empty();
        self.notes.append(&mut found);
        Ok(any)
    }

    /// The cursor of the next page; `None` without a link to one. A short or empty page is not the end.
    fn next_cursor(&mut self, answer: &Json) -> Result<Option<Cursor>> {
        let protocol =
            |detail: &'static str| self.graph.error(ErrorKind::Protocol, "read posts").with_detail(detail);
        let paging = answer.get("paging");
        let Some(next) = paging.and_then(|paging| paging.get("next")?.as_str()) else { return Ok(None) };
        let after = paging.and_then(|paging| paging.get("cursors")?.get("after")?.as_str());
        let cursor: Cursor = match after {
            Some(after) => vec![("after".to_owned(), after.to_owned())],
            // The link contains the token and may have any host: only its cursor is used.
            None => url::Url::parse(next)
                .map(|url| {
                    let pairs = url.query_pairs().filter(|(name, _)| CURSOR_PARAMETERS.contains(&&**name));
                    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
                })
                .unwrap_or_default(),
        };
        if cursor.is_empty() {
            return Err(protocol("the next page has no cursor"));
        }
        if !self.cursors.insert(cursor.clone()) {
            return Err(protocol("a cursor came twice"));
        }
        Ok(Some(cursor))
    }

    async fn page(&mut self, edge: &'static str) -> Result<PostPage> {
        if self.pages == MAX_PAGES {
            let error = self.graph.error(ErrorKind::Protocol, "read posts");
            return Err(error.with_detail(format!("the list does not end after {MAX_PAGES} pages")));
        }
        self.pages += 1;
        let (answer, observed_at) = self.listed(edge).await?;
        let Some(listed) = answer.get("data").and_then(Json::as_array) else {
            let error = self.graph.error(ErrorKind::Protocol, "read posts");
            return Err(error.with_detail("the list has no data"));
        };
        let (mut page, mut items) = (PostPage::default(), Vec::new());
        for value in listed {
            page.tally.read += 1;
            match Item::read(value, self.graph.surface, edge == "stories") {
                Err(reason) => {
                    page.tally.quarantined += 1;
                    page.quarantined.push(quarantined(value, reason));
                }
                // Lists are ranked, and change while they are read.
                Ok(item) if !self.seen.insert(item.post.id.clone()) => page.tally.duplicates += 1,
                Ok(item) if !self.request.covers(item.post.published_at) => page.tally.outside += 1,
                Ok(item) => items.push(item),
            }
        }
        let next = self.next_cursor(&answer)?;
        page.notes = std::mem::take(&mut self.notes);
        page.notes.extend(self.graph.add_insights(&mut items).await?);
        for item in items {
            page.tally.loaded += 1;
            page.observations.push(item.observation(observed_at, &self.graph.version, |product, native| {
                self.graph.retired(product, native)
            }));
            page.posts.push(item.post);
        }
        match next {
            Some(cursor) => {
                self.cursor = cursor;
                self.edges.push(edge);
            }
            None => {
                self.cursor = Cursor::new();
                self.cursors.clear();
            }
        }
        Ok(page)
    }
}

#[async_trait]
impl PostPages for GraphPages {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        let Some(edge) = self.edges.pop() else { return Ok(None) };
        let page = self.page(edge).await;
        if page.is_err() {
            self.edges.clear();
        }
        page.map(Some)
    }
}
