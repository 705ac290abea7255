//! The posts of a Bluesky account, by the AT Protocol.
//!
//! - **By an AppView** ([`BlueskySource::app_view`], `https://public.api.bsky.app` unless told): posts with likes, reposts
//!   and replies; `app.bsky.feed.getAuthorFeed`, 100 a call, no token.
//! - **By the account's own server** ([`BlueskySource::repository`]): the records themselves, `com.atproto.repo.listRecords`,
//!   without any count, which are missing as not supported.
//!
//! Bluesky counts neither reach nor impressions. Reposts of others are no posts of the account and are left out; replies are
//! posts. Facts of docs.bsky.app as of November 2026: limits are told in `RateLimit-Remaining` and `RateLimit-Reset` (seconds
//! since 1970). Repositories were read from a real server (the PDS of `@atproto/dev-env` 0.3.215), AppViews from answers written
//! by that documentation.

use super::connection::{Connection, connection_methods};
use super::feed::{Feed, FeedPages, Item, Listed, call, instant, reading, text};
use super::{Calls, Capabilities, Plan, PostPages, Refusal, Request, SocialSource};
use crate::metric::Metric;
use crate::post::Post;
use async_trait::async_trait;
use chrono::DateTime;
use mkt_connect::http::rate::Limits;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::{Error, ErrorKind, Result};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "bluesky";
const APP_VIEW: &str = "https://public.api.bsky.app";

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    AppView,
    Repository,
}

/// Settings of a [`BlueskySource`].
#[derive(Clone)]
pub struct BlueskyBuilder {
    asked: Asked,
    actor: String,
    connection: Connection,
}

impl BlueskyBuilder {
    /// Another AppView.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.connection.base_url = url.into();
        self
    }

    connection_methods!("five minutes unless told, which is the server's window.");

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// `Config`: the actor is neither a handle nor a DID, or the base URL cannot be used.
    pub fn build(self) -> Result<BlueskySource> {
        let actor = self.actor.trim().trim_start_matches('@').to_owned();
        // <https://atproto.com/specs/handle>, <https://atproto.com/specs/did>: both are of these characters.
        let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '%');
        if !(actor.contains('.') || actor.starts_with("did:"))
            || actor.len() > 2048
            || !actor.chars().all(right)
        {
            return Err(Error::new(ErrorKind::Config, SERVICE, "build")
                .with_detail("the actor is neither a handle such as name.bsky.social nor a DID"));
        }
        let limits = Limits::none().window(3_000, Duration::from_secs(300));
        let (client, policy, asked) =
            (self.connection.plain(SERVICE, &limits)?, self.connection.policy, self.asked);
        Ok(BlueskySource(Arc::new(Posts { client, policy, asked, actor })))
    }
}

impl fmt::Debug for BlueskyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlueskyBuilder").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// A Bluesky account as a source. Clones share its budget of calls.
#[derive(Debug, Clone)]
pub struct BlueskySource(Arc<Posts>);

impl BlueskySource {
    fn builder(asked: Asked, base_url: impl Into<String>, actor: impl Into<String>) -> BlueskyBuilder {
        BlueskyBuilder {
            asked,
            actor: actor.into(),
            connection: Connection::new(base_url, Duration::from_secs(300)),
        }
    }

    /// The account of a handle (`name.bsky.social`) or DID, with what was counted.
    #[must_use]
    pub fn app_view(actor: impl Into<String>) -> BlueskyBuilder {
        Self::builder(Asked::AppView, APP_VIEW, actor)
    }

    /// The account as its own server (PDS) at this URL holds it, without counts.
    #[must_use]
    pub fn repository(base_url: impl Into<String>, actor: impl Into<String>) -> BlueskyBuilder {
        Self::builder(Asked::Repository, base_url, actor)
    }
}

struct Posts {
    client: Client,
    policy: Policy,
    asked: Asked,
    actor: String,
}

impl fmt::Debug for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posts").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// Calls that are left, and when there are more.
fn left(response: &Response) -> Option<(u64, Duration)> {
    let remaining = response.header("ratelimit-remaining")?.parse().ok()?;
    let reset = DateTime::from_timestamp(response.header("ratelimit-reset")?.parse().ok()?, 0)?;
    Some((remaining, (reset - response.received_at()).to_std().unwrap_or_default()))
}

#[async_trait]
impl Feed for Posts {
    const SERVICE: &'static str = SERVICE;
    const LONGEST: usize = 100;

    async fn list(&self, place: Option<&str>, limit: usize) -> Result<Listed> {
        let (path, list) = match self.asked {
            Asked::AppView => ("xrpc/app.bsky.feed.getAuthorFeed", "feed"),
            Asked::Repository => ("xrpc/com.atproto.repo.listRecords", "records"),
        };
        let request = http::Request::get(path).operation("read posts").query("limit", limit.to_string());
        let mut request = match self.asked {
            Asked::AppView => request.query("actor", &self.actor).query("filter", "posts_with_replies"),
            Asked::Repository => request.query("repo", &self.actor).query("collection", "app.bsky.feed.post"),
        };
        if let Some(place) = place {
            request = request.query("cursor", place);
        }
        let (mut answer, response) = call(&self.client, &self.policy, &request, left).await?;
        let Some(Json::Array(items)) = answer.get_mut(list).map(Json::take) else {
            return Err(response.error(ErrorKind::Protocol).with_detail(format!("the answer has no {list}")));
        };
        Ok(Listed { items, next: text(&answer, "cursor"), at: response.received_at() })
    }

    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Refusal> {
        // A reason is that of a repost.
        let repost = item.get("reason").and_then(|reason| text(reason, "$type"));
        if repost.is_some_and(|kind| kind.ends_with("reasonRepost")) {
            return Ok(None);
        }
        let (post, record) = match self.asked {
            Asked::AppView => {
                let post = item.get("post").ok_or(Refusal::Empty { field: "post" })?;
                (post, post.get("record"))
            }
            Asked::Repository => (item, item.get("value")),
        };
        let id = text(post, "uri").ok_or(Refusal::Empty { field: "id" })?;
        let record = record.ok_or(Refusal::Empty { field: "record" })?;
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
        let readings = match self.asked {
            Asked::AppView => vec![
                reading(post, Metric::Likes, "likeCount"),
                reading(post, Metric::Comments, "replyCount"),
                reading(post, Metric::Shares, "repostCount"),
            ],
            Asked::Repository => Vec::new(),
        };
        let url = address(&id);
        let text = text(record, "text");
        let post = Post { network: SERVICE.to_owned(), id, published_at, kind, text, paid: None, url };
        Ok(Some(Item { post, readings }))
    }
}

/// `at://did/app.bsky.feed.post/key`, as a page that people can open.
fn address(uri: &str) -> Option<String> {
    let (repository, key) = uri.strip_prefix("at://")?.split_once("/app.bsky.feed.post/")?;
    Some(format!("https://bsky.app/profile/{repository}/post/{key}"))
}

#[async_trait]
impl SocialSource for BlueskySource {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn capabilities(&self) -> Capabilities {
        match self.0.asked {
            Asked::AppView => {
                Capabilities::new([Metric::Likes, Metric::Comments, Metric::Shares]).with_meter()
            }
            Asked::Repository => Capabilities::new([]).with_meter(),
        }
    }

    async fn check(&self) -> Result<()> {
        self.0.list(None, 1).await.map(|_| ())
    }

    fn plan(&self, request: &Request) -> Plan {
        let list = u64::try_from(request.page_size.clamp(1, Posts::LONGEST)).unwrap_or(1);
        Plan::new(Calls::PerThousandPosts(1_000_u64.div_ceil(list) + 1))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(FeedPages::new(Arc::clone(&self.0), request.clone())))
    }
}
