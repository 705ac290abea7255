//! The posts of a Mastodon account, by the API of Mastodon, GoToSocial, Pleroma and others.
//!
//! Public posts need no token. Mastodon counts favourites, boosts and replies, but neither reach nor impressions: rates by
//! these are missing. Boosts of other accounts' posts are skipped.
//!
//! From docs.joinmastodon.org (November 2026): `GET /api/v1/accounts/:id/statuses` lists at most 40 posts per call, newest
//! first; the `Link` header has the next page under `rel="next"`, and the list ends where that relation is missing. An empty
//! page is not the end: GoToSocial filters a page after reading it. Only the `max_id` of the link is used, and only if the
//! link has the server's own host. A server that sends no `Link` header at all is read on from the last post until a page is
//! empty. 300 calls per 5 minutes, reported in `X-RateLimit-Remaining` and `X-RateLimit-Reset` (a time). Tested with answers
//! written from that documentation, never against a server.

use crate::connection::{Connection, connection_methods};
use crate::feed::{Feed, FeedPages, Item, Listed, call, instant, no, reading, text};
use crate::metric::Metric;
use crate::post::Post;
use crate::source::{Calls, Capabilities, Plan, PostPages, Request, SocialSource};
use async_trait::async_trait;
use chrono::DateTime;
use mkt_connect::http::rate::Limits;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{self, Client, Response};
use mkt_connect::table::Reason;
use mkt_connect::{Error, ErrorKind, Result, Secret};
use serde_json::Value as Json;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

const SERVICE: &str = "mastodon";

/// Settings of a [`Mastodon`].
#[derive(Clone)]
pub struct MastodonBuilder {
    account: String,
    token: Option<Secret>,
    connection: Connection,
}

impl MastodonBuilder {
    /// Sets an access token: reads what it may see, including the followers-only posts of its own account.
    #[must_use]
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    connection_methods!("five minutes, the server's window.");

    /// Validates the settings. Makes no call.
    ///
    /// # Errors
    /// `Config`: no account, an empty token, an invalid base URL.
    pub fn build(self) -> Result<Mastodon> {
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail);
        let account = self.account.trim().trim_start_matches('@').to_owned();
        if account.is_empty()
            || account.len() > 300
            || account.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(config("invalid account: expected name or name@server"));
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
        let host =
            Url::parse(&self.connection.base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        Ok(Mastodon(Arc::new(Statuses { client, policy, account, host, id: Mutex::default() })))
    }
}

impl fmt::Debug for MastodonBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MastodonBuilder").finish_non_exhaustive()
    }
}

/// A Mastodon account as a source. Clones share one rate limit.
#[derive(Debug, Clone)]
pub struct Mastodon(Arc<Statuses>);

impl Mastodon {
    /// The account `name` (or `name@other.server`) on the server at this URL (`https://mastodon.social`).
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
    /// The host of links to a next page.
    host: Option<String>,
    /// The server's id of the account.
    id: Mutex<Option<String>>,
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statuses").finish_non_exhaustive()
    }
}

/// Calls left, and the time until the reset.
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
            .operation("look up the account")
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
    const MAX_PAGE_SIZE: usize = 40;

    async fn list(&self, cursor: Option<&str>, limit: usize) -> Result<Listed> {
        let path = format!("api/v1/accounts/{}/statuses", http::path_segment(&self.id().await?));
        let mut request = http::Request::get(path)
            .operation("read posts")
            .query("limit", limit.to_string())
            .query("exclude_reblogs", "true");
        if let Some(cursor) = cursor {
            request = request.query("max_id", cursor);
        }
        let (answer, response) = call(&self.client, &self.policy, &request, left).await?;
        let Json::Array(items) = answer else {
            return Err(response.error(ErrorKind::Protocol).with_detail("the answer is not a list"));
        };
        let next = match response.header("link") {
            Some(links) => next_cursor(links, self.host.as_deref())
                .map_err(|detail| response.error(ErrorKind::Protocol).with_detail(detail))?,
            None => items.last().and_then(|last| text(last, "id")),
        };
        Ok(Listed { items, next, at: response.received_at() })
    }

    fn read(&self, item: &Json) -> std::result::Result<Option<Item>, Reason> {
        if item.get("reblog").is_some_and(|reblog| !reblog.is_null()) {
            return Ok(None);
        }
        let id = text(item, "id").ok_or_else(|| no("id"))?;
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
            kind,
            text: text(item, "content").map(|html| plain(&html)).filter(|text| !text.is_empty()),
            url: text(item, "url"),
            ..Post::new(SERVICE, id, published_at)
        };
        Ok(Some(Item { post, readings }))
    }
}

/// The `max_id` of the link to the next page (RFC 8288); `None` without such a link. The link itself is never followed.
fn next_cursor(links: &str, host: Option<&str>) -> std::result::Result<Option<String>, &'static str> {
    let mut rest = links;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, parameters)) = after.split_once('>') else { break };
        // A comma may be part of a URL, but not of what follows it here.
        let (parameters, following) = parameters.split_once(',').unwrap_or((parameters, ""));
        rest = following;
        let is_next =
            parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
                let relations = value.trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && relations
                        .split_ascii_whitespace()
                        .any(|relation| relation.eq_ignore_ascii_case("next"))
            });
        if !is_next {
            continue;
        }
        let url = Url::parse(target).map_err(|_| "the link to the next page is not a URL")?;
        if url.host_str() != host {
            return Err("the link to the next page has another host");
        }
        let cursor = url.query_pairs().find(|(name, _)| name == "max_id").map(|(_, id)| id.into_owned());
        return cursor.map(Some).ok_or("the link to the next page has no max_id");
    }
    Ok(None)
}

/// The text of Mastodon's HTML: paragraphs, line breaks, links, entities. Written here because a converter such as
/// html2text lays out lines and footnotes, where this is the text as its author wrote it.
fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end =
            if rest.starts_with('<') { rest.find('>') } else { rest.find(';').filter(|end| *end <= 10) };
        let Some(end) = end else {
            // Neither a tag nor an entity.
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
impl SocialSource for Mastodon {
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
        let list = u64::try_from(request.page_size.clamp(1, Statuses::MAX_PAGE_SIZE)).unwrap_or(1);
        Plan::new(Calls::PerThousandPosts(1_000_u64.div_ceil(list) + 2))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(FeedPages::new(Arc::clone(&self.0), request.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::{next_cursor, plain};

    #[test]
    fn next_cursor_is_taken_from_the_link_with_rel_next() {
        let next = |links| next_cursor(links, Some("m.example"));
        let (mastodon, reversed) = (
            "<https://m.example/api/v1/accounts/1/statuses?limit=40&max_id=7>; rel=\"next\", \
             <https://m.example/api/v1/accounts/1/statuses?min_id=9>; rel=\"prev\"",
            "<https://m.example/x?min_id=9>; rel=\"prev\", <https://m.example/x?max_id=7>; rel=next; type=\"a\"",
        );
        assert_eq!((next(mastodon), next(reversed)), (Ok(Some("7".to_owned())), Ok(Some("7".to_owned()))));
        assert_eq!(next("<https://m.example/x?min_id=9>; rel=\"prev\""), Ok(None));
        assert_eq!((next(""), next("<https://m.example/x?max_id=7; rel=next")), (Ok(None), Ok(None)));
        assert!(next("<https://evil.example/x?max_id=7>; rel=\"next\"").is_err());
        assert!(next("<https://m.example/x?page=2>; rel=\"next\"").is_err());
        assert!(next("</x?max_id=7>; rel=\"next\"").is_err());
    }

    #[test]
    fn html_of_a_post_becomes_its_text() {
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
