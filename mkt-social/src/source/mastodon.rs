//! The posts of a Mastodon account, by the API that Mastodon, GoToSocial, Pleroma and others share.
//!
//! Public posts need no token. Mastodon counts favourites, boosts and replies, and neither reach nor impressions: rates by
//! these are missing, and say so. Boosts of others' posts are no posts of the account and are left out.
//!
//! Facts of docs.joinmastodon.org as of November 2026: `GET /api/v1/accounts/:id/statuses`, at most 40 a call, newest first;
//! 300 calls in 5 minutes, told in `X-RateLimit-Remaining` and `X-RateLimit-Reset` (an instant). Tested against answers
//! written from that documentation, never against a server.

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
use mkt_connect::{Error, ErrorKind, Result, Secret};
use serde_json::Value as Json;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const SERVICE: &str = "mastodon";

/// Settings of a [`MastodonSource`].
#[derive(Clone)]
pub struct MastodonBuilder {
    account: String,
    token: Option<Secret>,
    connection: Connection,
}

impl MastodonBuilder {
    /// Reads what this token may see, followers-only posts of its own account too.
    #[must_use]
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    connection_methods!("five minutes unless told, which is the server's window.");

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// `Config`: no account, an empty token, a base URL that cannot be used.
    pub fn build(self) -> Result<MastodonSource> {
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail);
        let account = self.account.trim().trim_start_matches('@').to_owned();
        if account.is_empty()
            || account.len() > 300
            || account.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(config("the account is not written like name or name@server"));
        }
        let limits = Limits::none().window(300, Duration::from_secs(300));
        let mut client = self.connection.client(SERVICE, &limits);
        if let Some(token) = &self.token {
            if token.is_empty() {
                return Err(config("the access token is empty"));
            }
            client = client.bearer(token);
        }
        let (client, policy) = (client.build()?, self.connection.policy);
        Ok(MastodonSource(Arc::new(Statuses { client, policy, account, id: Mutex::default() })))
    }
}

impl fmt::Debug for MastodonBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MastodonBuilder").finish_non_exhaustive()
    }
}

/// A Mastodon account as a source. Clones share its budget of calls.
#[derive(Debug, Clone)]
pub struct MastodonSource(Arc<Statuses>);

impl MastodonSource {
    /// The account `name` (or `name@other.server`) as the server at this URL (`https://mastodon.social`) knows it.
    #[must_use]
    pub fn builder(base_url: impl Into<String>, account: impl Into<String>) -> MastodonBuilder {
        MastodonBuilder {
            account: account.into(),
            token: None,
            connection: Connection::new(base_url, Duration::from_secs(300)),
        }
    }
}

struct Statuses {
    client: Client,
    policy: Policy,
    account: String,
    /// The server's id of the account.
    id: Mutex<Option<String>>,
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statuses").finish_non_exhaustive()
    }
}

/// Calls that are left, and when there are more.
fn left(response: &Response) -> Option<(u64, Duration)> {
    let remaining = response.header("x-ratelimit-remaining")?.parse().ok()?;
    let reset = DateTime::parse_from_rfc3339(response.header("x-ratelimit-reset")?).ok()?;
    let wait = reset.signed_duration_since(response.received_at()).to_std().unwrap_or_default();
    Some((remaining, wait))
}

impl Statuses {
    async fn id(&self) -> Result<String> {
        if let Some(id) = &*self.id.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(id.clone());
        }
        let request = http::Request::get("api/v1/accounts/lookup")
            .operation("look the account up")
            .query("acct", &self.account);
        let (answer, response) = call(&self.client, &self.policy, &request, left).await?;
        let Some(id) = text(&answer, "id") else {
            return Err(response.error(ErrorKind::Protocol).with_detail("the account has no id"));
        };
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        Ok(id)
    }
}

#[async_trait]
impl Feed for Statuses {
    const SERVICE: &'static str = SERVICE;
    const LONGEST: usize = 40;

    async fn list(&self, place: Option<&str>, limit: usize) -> Result<Listed> {
        let path = format!("api/v1/accounts/{}/statuses", http::path_segment(&self.id().await?));
        let mut request = http::Request::get(path)
            .operation("read posts")
            .query("limit", limit.to_string())
            .query("exclude_reblogs", "true");
        if let Some(place) = place {
            request = request.query("max_id", place);
        }
        let (answer, response) = call(&self.client, &self.policy, &request, left).await?;
        let Json::Array(items) = answer else {
            return Err(response.error(ErrorKind::Protocol).with_detail("the list is no list"));
        };
        // The link to the next page holds no more than this, and may lead anywhere. A page may be short, not empty.
        let next = items.last().and_then(|last| text(last, "id"));
        Ok(Listed { items, next, at: response.received_at() })
    }

    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Refusal> {
        if item.get("reblog").is_some_and(|reblog| !reblog.is_null()) {
            return Ok(None);
        }
        let id = text(item, "id").ok_or(Refusal::Empty { field: "id" })?;
        let published_at = instant(item, "created_at")?;
        let media = item.get("media_attachments").and_then(|media| text(media.get(0)?, "type"));
        let kind = media.map(|media| match media.as_str() {
            "image" => "photo".to_owned(),
            "gifv" => "video".to_owned(),
            _ => media,
        });
        let has = |name: &str| item.get(name).is_some_and(|value| !value.is_null());
        let kind = kind.or_else(|| has("poll").then(|| "poll".to_owned()));
        let kind = kind.or_else(|| has("card").then(|| "link".to_owned()));
        let readings = vec![
            reading(item, Metric::Likes, "favourites_count"),
            reading(item, Metric::Comments, "replies_count"),
            reading(item, Metric::Shares, "reblogs_count"),
        ];
        let post = Post {
            network: SERVICE.to_owned(),
            id,
            published_at,
            kind,
            text: text(item, "content").map(|html| plain(&html)).filter(|text| !text.is_empty()),
            paid: None,
            url: text(item, "url"),
        };
        Ok(Some(Item { post, readings }))
    }
}

/// The text of the little HTML that Mastodon writes: paragraphs, line breaks, links, entities.
fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end =
            if rest.starts_with('<') { rest.find('>') } else { rest.find(';').filter(|end| *end <= 10) };
        let Some(end) = end else {
            // No tag and no entity after all.
            text.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        let inside = &rest[1..end];
        match rest.as_bytes().first() {
            Some(b'<') if inside == "/p" => text.push_str("\n\n"),
            Some(b'<') if inside.starts_with("br") => text.push('\n'),
            Some(b'<') => {}
            _ => match entity(inside) {
                Some(character) => text.push(character),
                None => text.push_str(&rest[..=end]),
            },
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    text.trim().to_owned()
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[async_trait]
impl SocialSource for MastodonSource {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Metric::Likes, Metric::Comments, Metric::Shares]).with_meter()
    }

    async fn check(&self) -> Result<()> {
        self.0.id().await.map(|_| ())
    }

    fn plan(&self, request: &Request) -> Plan {
        let list = u64::try_from(request.page_size.clamp(1, Statuses::LONGEST)).unwrap_or(1);
        Plan::new(Calls::PerThousandPosts(1_000_u64.div_ceil(list) + 2))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(FeedPages::new(Arc::clone(&self.0), request.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn the_text_of_a_post_is_what_people_read() {
        for (html, expected) in [
            (
                "<p>two<br />lines</p><p>of &quot;text&quot; &amp; &#39;more&#39;</p>",
                "two\nlines\n\nof \"text\" & 'more'",
            ),
            ("<p><a href=\"https://a.example/?x=1&amp;y\">a.example</a> &lt;3</p>", "a.example <3"),
            ("1 < 2 & 3 &nosuch; &#x2764;", "1 < 2 & 3 &nosuch; ❤"),
            ("<p>cut <off", "cut <off"),
            ("&#1114112;&#xD800;", "&#1114112;&#xD800;"),
            ("", ""),
        ] {
            assert_eq!(plain(html), expected, "{html}");
        }
    }
}
