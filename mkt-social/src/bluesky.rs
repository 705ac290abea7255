//! The posts of a Bluesky account, by the AT Protocol.
//!
//! - **From an AppView** ([`Bluesky::app_view`], default `https://public.api.bsky.app`): posts with likes, replies and
//!   shares (reposts and quotes together); `app.bsky.feed.getAuthorFeed`, 100 posts per call, no token.
//! - **From the account's own server** ([`Bluesky::repository`]): the records, `com.atproto.repo.listRecords`, without
//!   counts: all metrics are [`Missing::NotSupported`](crate::Missing::NotSupported).
//!
//! Bluesky counts neither reach nor impressions. Reposts of other accounts' posts are skipped; replies are posts. From
//! docs.bsky.app (November 2026): limits are in `RateLimit-Remaining` and `RateLimit-Reset` (seconds since 1970).
//! Repositories were read from a real server (the PDS of `@atproto/dev-env` 0.3.215), AppViews from answers written from that
//! documentation.

use crate::connection::{Connection, connection_methods};
use crate::feed::{Feed, FeedPages, Item, Listed, call, instant, no, reading, text};
use crate::metric::{Metric, Value};
use crate::post::{Post, Reading};
use crate::source::{Calls, Capabilities, Plan, PostPages, Request, SocialSource};
use async_trait::async_trait;
use chrono::DateTime;
use mkt_connect::http::rate::Limits;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::table::Reason;
use mkt_connect::{Error, ErrorKind, Result};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "bluesky";
const APP_VIEW: &str = "https://public.api.bsky.app";

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerKind {
    AppView,
    Repository,
}

/// Settings of a [`Bluesky`].
#[derive(Clone)]
pub struct BlueskyBuilder {
    server: ServerKind,
    actor: String,
    connection: Connection,
}

impl BlueskyBuilder {
    /// Sets another AppView.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.connection.base_url = url.into();
        self
    }

    connection_methods!("five minutes, the server's window.");

    /// Validates the settings. Makes no call.
    ///
    /// # Errors
    /// `Config`: the actor is neither a handle nor a DID, or the base URL is invalid.
    pub fn build(self) -> Result<Bluesky> {
        let actor = self.actor.trim().trim_start_matches('@').to_owned();
        // <https://atproto.com/specs/handle>, <https://atproto.com/specs/did>: both are of these characters.
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '%');
        if !(actor.contains('.') || actor.starts_with("did:"))
            || actor.len() > 2048
            || !actor.chars().all(allowed)
        {
            return Err(Error::new(ErrorKind::Config, SERVICE, "build")
                .with_detail("invalid actor: expected a handle such as name.bsky.social or a DID"));
        }
        let limits = Limits::none().window(3_000, Duration::from_secs(300));
        let (client, policy, server) =
            (self.connection.plain(SERVICE, &limits)?, self.connection.policy, self.server);
        Ok(Bluesky(Arc::new(Posts { client, policy, server, actor })))
    }
}

impl fmt::Debug for BlueskyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlueskyBuilder").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A Bluesky account as a source. Clones share one rate limit.
#[derive(Debug, Clone)]
pub struct Bluesky(Arc<Posts>);

impl Bluesky {
    fn builder(server: ServerKind, base_url: impl Into<String>, actor: impl Into<String>) -> BlueskyBuilder {
        BlueskyBuilder {
            server,
            actor: actor.into(),
            connection: Connection::new(base_url, Duration::from_secs(300)),
        }
    }

    /// The account of a handle (`name.bsky.social`) or DID, with counts.
    #[must_use]
    pub fn app_view(actor: impl Into<String>) -> BlueskyBuilder {
        Self::builder(ServerKind::AppView, APP_VIEW, actor)
    }

    /// The account on its own server (PDS) at this URL, without counts.
    #[must_use]
    pub fn repository(base_url: impl Into<String>, actor: impl Into<String>) -> BlueskyBuilder {
        Self::builder(ServerKind::Repository, base_url, actor)
    }
}

struct Posts {
    client: Client,
    policy: Policy,
    server: ServerKind,
    actor: String,
}

impl fmt::Debug for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posts").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Calls left, and the time until the reset.
fn left(response: &Response) -> Option<(u64, Duration)> {
    let remaining = response.header("ratelimit-remaining")?.parse().ok()?;
    let reset = DateTime::from_timestamp(response.header("ratelimit-reset")?.parse().ok()?, 0)?;
    Some((remaining, (reset - response.received_at()).to_std().unwrap_or_default()))
}

#[async_trait]
impl Feed for Posts {
    const SERVICE: &'static str = SERVICE;
    const MAX_PAGE_SIZE: usize = 100;

    async fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Listed> {
        let (path, list) = match self.server {
            ServerKind::AppView => ("xrpc/app.bsky.feed.getAuthorFeed", "feed"),
            ServerKind::Repository => ("xrpc/com.atproto.repo.listRecords", "records"),
        };
        let request = http::Request::get(path).operation("read posts").query("limit", limit.to_string());
        let mut request = match self.server {
            ServerKind::AppView => request.query("actor", &self.actor).query("filter", "posts_with_replies"),
            ServerKind::Repository => {
                request.query("repo", &self.actor).query("collection", "app.bsky.feed.post")
            }
        };
        if let Some(cursor) = cursor {
            request = request.query("cursor", cursor);
        }
        let (mut answer, response) = call(&self.client, &self.policy, &request, left).await?;
        let Some(Json::Array(items)) = answer.get_mut(list).map(Json::take) else {
            return Err(response.error(ErrorKind::Protocol).with_detail(format!("the answer has no {list}")));
        };
        Ok(Listed { items, next: text(&answer, "cursor"), at: response.received_at() })
    }

    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Reason> {
        // An item with the reason "repost" is another account's post.
        let repost = item.get("reason").and_then(|reason| text(reason, "$type"));
        if repost.is_some_and(|kind| kind.ends_with("reasonRepost")) {
            return Ok(None);
        }
        let (post, record) = match self.server {
            ServerKind::AppView => {
                let post = item.get("post").ok_or_else(|| no("post"))?;
                (post, post.get("record"))
            }
            ServerKind::Repository => (item, item.get("value")),
        };
        let id = text(post, "uri").ok_or_else(|| no("id"))?;
        let record = record.ok_or_else(|| no("record"))?;
        let published_at = instant(record, "createdAt")?;
        let embed = record.get("embed").and_then(|embed| text(embed, "$type"));
        let kind = embed.and_then(|embed| {
            let kind = match embed.rsplit('.').next()? {
                "images" => "photo",
                "video" => "video",
                "external" => "link",
                "record" | "recordWithMedia" => "quote",
                _ => return None,
            };
            Some(kind.to_owned())
        });
        let readings = match self.server {
            ServerKind::AppView => vec![
                reading(post, Metric::Likes, "likeCount"),
                reading(post, Metric::Comments, "replyCount"),
                shares(post),
            ],
            ServerKind::Repository => Vec::new(),
        };
        let (url, text) = (page_url(&id), text(record, "text"));
        let post = Post { kind, text, url, ..Post::new(SERVICE, id, published_at) };
        Ok(Some(Item { post, readings }))
    }
}

/// Reposts and quotes together: both carry the post to other readers. AppViews before 2024 have no `quoteCount`.
fn shares(post: &Json) -> Reading {
    let reposts = reading(post, Metric::Shares, "repostCount");
    let quotes = post.get("quoteCount").and_then(Json::as_u64);
    match (reposts.value, quotes) {
        (Value::Known(reposts), Some(quotes)) => Reading::new(
            Metric::Shares,
            "repostCount + quoteCount",
            Value::Known(reposts.saturating_add(quotes)),
        ),
        _ => reposts,
    }
}

/// The web page of `at://did/app.bsky.feed.post/key`.
fn page_url(uri: &str) -> Option<String> {
    let (repository, key) = uri.strip_prefix("at://")?.split_once("/app.bsky.feed.post/")?;
    Some(format!("https://bsky.app/profile/{repository}/post/{key}"))
}

#[async_trait]
impl SocialSource for Bluesky {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn capabilities(&self) -> Capabilities {
        match self.0.server {
            ServerKind::AppView => {
                Capabilities::new([Metric::Likes, Metric::Comments, Metric::Shares]).with_meter()
            }
            ServerKind::Repository => Capabilities::new([]).with_meter(),
        }
    }

    async fn check(&self) -> Result<()> {
        self.0.list(None, 1).await.map(|_| ())
    }

    fn plan(&self, request: &Request) -> Plan {
        let list = u64::try_from(request.page_size.clamp(1, Posts::MAX_PAGE_SIZE)).unwrap_or(1);
        Plan::new(Calls::PerThousandPosts(1_000_u64.div_ceil(list) + 1))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(FeedPages::new(Arc::clone(&self.0), request.clone())))
    }
}
