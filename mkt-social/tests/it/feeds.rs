//! Mastodon and Bluesky with servers that answer as documented.

use crate::posts::at;
use crate::with_server::WithServer;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::testing::{Answer, Received, Server};
use mkt_connect::{ErrorKind, Secret};
use mkt_social::bluesky::{Bluesky, BlueskyBuilder};
use mkt_social::mastodon::Mastodon;
use mkt_social::testing::{Stage, world};
use mkt_social::{Metric, Observation, Post, Request, SocialSource, SocialSourceExt, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

const NOW: &str = "2026-11-26T12:00:00Z";

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Mastodon's HTML of a text.
fn html(text: &str) -> String {
    let escaped =
        text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\n', "<br />");
    format!("<p>{escaped}</p>")
}

fn status(post: &Post, seen: &Observation) -> Json {
    let count = |metric| seen.value(metric).known().unwrap_or(0);
    let media = post.kind.as_ref().map(|_| json!({"type": "image"}));
    json!({
        "id": post.id, "created_at": time(post.published_at), "url": format!("https://m.example/@shop/{}", post.id),
        "content": post.text.as_deref().map(html).unwrap_or_default(), "reblog": null, "poll": null, "card": null,
        "media_attachments": media.into_iter().collect::<Vec<_>>(),
        "favourites_count": count(Metric::Likes), "replies_count": count(Metric::Comments),
        "reblogs_count": count(Metric::Shares),
    })
}

fn mastodon(rows: &[(Post, Observation)], request: &Received) -> Answer {
    if request.path == "/api/v1/accounts/lookup" {
        let known = request.query_value("acct").as_deref() == Some("shop");
        return match known {
            true => Answer::json(json!({"id": "109"}).to_string()),
            false => Answer::json(r#"{"error":"Record not found"}"#).with_status(404),
        };
    }
    assert_eq!(request.path, "/api/v1/accounts/109/statuses");
    let limit: usize = request.query_value("limit").unwrap().parse().unwrap();
    assert!((1..=40).contains(&limit));
    let from = request
        .query_value("max_id")
        .map_or(0, |id| 1 + rows.iter().position(|(post, _)| post.id == id).unwrap());
    let shown: Vec<&(Post, Observation)> = rows.iter().skip(from).take(limit).collect();
    let page: Vec<Json> = shown.iter().map(|(post, seen)| status(post, seen)).collect();
    let answer = Answer::json(Json::Array(page).to_string());
    // As Mastodon does: a next page is linked only from a full one.
    match shown.last().filter(|_| shown.len() == limit) {
        Some((last, _)) => answer.header("link", link(request, &last.id)),
        None => answer.header("link", format!("<http://{}/x?min_id=1>; rel=\"prev\"", host(request))),
    }
}

fn host(request: &Received) -> String {
    request.header("host").unwrap_or_default().to_owned()
}

fn link(request: &Received, max_id: &str) -> String {
    let (host, path) = (host(request), &request.path);
    format!(
        "<http://{host}{path}?limit=40&max_id={max_id}>; rel=\"next\", <http://{host}{path}?min_id=1>; rel=\"prev\""
    )
}

fn record(post: &Post) -> Json {
    let mut record = json!({"$type": "app.bsky.feed.post", "createdAt": time(post.published_at)});
    if let Some(text) = &post.text {
        record["text"] = json!(text);
    }
    if post.kind.is_some() {
        record["embed"] = json!({"$type": "app.bsky.embed.images", "images": []});
    }
    record
}

/// An AppView and a repository.
fn bluesky(rows: &[(Post, Observation)], request: &Received) -> Answer {
    let limit: usize = request.query_value("limit").unwrap().parse().unwrap();
    assert!((1..=100).contains(&limit));
    let from: usize = request.query_value("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let page = rows.iter().skip(from).take(limit);
    let cursor = (from + limit < rows.len()).then(|| (from + limit).to_string());
    let (list, items): (_, Vec<Json>) = match &*request.path {
        "/xrpc/app.bsky.feed.getAuthorFeed" => {
            assert_eq!(request.query_value("actor").as_deref(), Some("shop.example"));
            let items = page.map(|(post, seen)| {
                let mut view = json!({"uri": post.id, "cid": "b", "record": record(post), "indexedAt": time(post.published_at)});
                for (name, metric) in
                    [("likeCount", Metric::Likes), ("replyCount", Metric::Comments), ("repostCount", Metric::Shares)]
                {
                    if let Value::Known(count) = seen.value(metric) {
                        view[name] = json!(count);
                    }
                }
                json!({"post": view})
            });
            ("feed", items.collect())
        }
        "/xrpc/com.atproto.repo.listRecords" => {
            assert_eq!(request.query_value("collection").as_deref(), Some("app.bsky.feed.post"));
            (
                "records",
                page.map(|(post, _)| json!({"uri": post.id, "cid": "b", "value": record(post)})).collect(),
            )
        }
        _ => return Answer::text("unexpected call").with_status(418),
    };
    let mut answer = json!({});
    answer[list] = Json::Array(items);
    if let Some(cursor) = cursor {
        answer["cursor"] = json!(cursor);
    }
    Answer::json(answer.to_string())
}

fn clock() -> ManualClock {
    ManualClock::skipping(at(NOW))
}

fn shared(clock: &ManualClock) -> Arc<dyn Clock> {
    Arc::new(clock.clone())
}

async fn mastodon_at(
    answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> WithServer<Mastodon, Arc<Server>> {
    let server = Server::start(answer).await.unwrap();
    let source = Mastodon::builder(server.url(), "@shop")
        .allow_insecure_host(server.authority())
        .clock(shared(&clock()))
        .build()
        .unwrap();
    WithServer(source, Arc::new(server))
}

fn app_view(server: &Server) -> BlueskyBuilder {
    Bluesky::app_view("shop.example").base_url(server.url())
}

fn repository(server: &Server) -> BlueskyBuilder {
    Bluesky::repository(server.url(), "did:plc:abc")
}

async fn bluesky_at(
    ask: fn(&Server) -> BlueskyBuilder,
    answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> WithServer<Bluesky, Arc<Server>> {
    let server = Server::start(answer).await.unwrap();
    let builder = ask(&server).allow_insecure_host(server.authority());
    WithServer(builder.clock(shared(&clock())).build().unwrap(), Arc::new(server))
}

macro_rules! stages {
    ($($stage:ident, $network:literal, $always:expr, |$rows:ident| $source:expr;)+) => {$(
        #[derive(Debug)]
        struct $stage;

        #[async_trait]
        impl Stage for $stage {
            async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
                let $rows = rows.to_vec();
                Box::new($source.await)
            }
            fn network(&self) -> Option<&'static str> {
                Some($network)
            }
            fn newest_first(&self) -> bool {
                true
            }
            fn always_known(&self) -> &'static [Metric] {
                $always
            }
        }
    )+};
}
stages! {
    MastodonAccount, "mastodon", &[Metric::Likes, Metric::Comments, Metric::Shares],
        |rows| mastodon_at(move |request| mastodon(&rows, request));
    AppView, "bluesky", &[], |rows| bluesky_at(app_view, move |request| bluesky(&rows, request));
    Repository, "bluesky", &[], |rows| bluesky_at(repository, move |request| bluesky(&rows, request));
}
crate::conformance::conformance!(mastodon_account, crate::feeds::MastodonAccount);
crate::conformance::conformance!(bluesky_app_view, crate::feeds::AppView);
crate::conformance::conformance!(bluesky_repository, crate::feeds::Repository);

fn newest_first() -> Vec<(Post, Observation)> {
    let mut rows = world();
    rows.reverse();
    rows
}

#[tokio::test]
async fn read_since_a_time_ends_with_the_first_page_of_older_posts() {
    let rows = newest_first();
    let since = rows[7].0.published_at;
    let source = mastodon_at(move |request| mastodon(&rows, request)).await;
    let request = Request::all().page_size(4).since(since);
    let read = source.read_all(&request).await.unwrap();
    // The account; two pages of new posts; one of older ones.
    assert_eq!((read.posts.len(), source.1.requests().len()), (8, 4));
}

/// GoToSocial filters a page after reading it: 110 posts, of which every other page is empty.
#[tokio::test]
async fn empty_mastodon_page_with_a_next_link_is_not_the_end() {
    let (newest, observation) = newest_first().swap_remove(0);
    let rows: Vec<(Post, Observation)> = (0..110)
        .map(|index| {
            let mut post = newest.clone();
            post.id = format!("{:04}", 9_000 - index);
            (post, observation.clone())
        })
        .collect();
    let source = mastodon_at(move |request| {
        if request.path == "/api/v1/accounts/lookup" {
            return Answer::json(r#"{"id":"109"}"#);
        }
        match request.query_value("max_id") {
            Some(id) if !id.starts_with('e') && id.ends_with('1') => {
                Answer::json("[]").header("link", link(request, &format!("e{id}")))
            }
            Some(id) => {
                let from =
                    1 + rows.iter().position(|(post, _)| post.id == id.trim_start_matches('e')).unwrap();
                let page: Vec<Json> =
                    rows.iter().skip(from).take(10).map(|(post, seen)| status(post, seen)).collect();
                let answer = Answer::json(Json::Array(page).to_string());
                match rows.get(from + 9) {
                    Some((last, _)) if from + 10 < rows.len() => {
                        answer.header("link", link(request, &last.id))
                    }
                    _ => answer,
                }
            }
            None => {
                let page: Vec<Json> = rows.iter().take(10).map(|(post, seen)| status(post, seen)).collect();
                Answer::json(Json::Array(page).to_string()).header("link", link(request, &rows[9].0.id))
            }
        }
    })
    .await;
    let read = source.read_all(&Request::all().page_size(10)).await.unwrap();
    assert_eq!((read.posts.len(), read.tally.read), (110, 110));
}

#[tokio::test]
async fn mastodon_link_to_another_host_is_a_protocol_error() {
    let source = mastodon_at(|request| match &*request.path {
        "/api/v1/accounts/lookup" => Answer::json(r#"{"id":"109"}"#),
        _ => Answer::json("[]").header("link", "<https://elsewhere.example/x?max_id=1>; rel=\"next\""),
    })
    .await;
    let failed = source.read_all(&Request::all()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Protocol);
    assert_eq!(source.1.requests().len(), 2);
}

#[tokio::test]
async fn empty_pages_with_new_cursors_end_at_the_page_limit() {
    let next = std::sync::atomic::AtomicU64::new(0);
    let source = bluesky_at(app_view, move |_| {
        let cursor = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::json(format!(r#"{{"feed":[],"cursor":"{cursor}"}}"#))
    })
    .await;
    let failed = source.read_all(&Request::all()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Protocol);
    assert_eq!(failed.detail(), Some("the list does not end after 10000 pages"));
    assert_eq!(source.1.requests().len(), 10_000);
}

#[tokio::test]
async fn bluesky_quotes_count_as_shares() {
    let post = |counts: &str| {
        let text = format!(
            r#"{{"feed":[{{"post":{{"uri":"at://a/app.bsky.feed.post/1",
            "record":{{"createdAt":"2026-11-01T10:00:00.000Z"}}{counts}}}}}]}}"#
        );
        async move {
            bluesky_at(app_view, move |_| Answer::json(text.clone())).await.read_all(&Request::all()).await
        }
    };
    let shares = |read: &mkt_social::ReadPosts| {
        let reading =
            read.observations[0].readings.iter().find(|reading| reading.metric == Metric::Shares).unwrap();
        (reading.value.known(), reading.native.to_string())
    };
    let both = post(r#","repostCount":4,"quoteCount":3"#).await.unwrap();
    assert_eq!(shares(&both), (Some(7), "repostCount + quoteCount".to_owned()));
    let old = post(r#","repostCount":4"#).await.unwrap();
    assert_eq!(shares(&old), (Some(4), "repostCount".to_owned()));
    assert_eq!(shares(&post("").await.unwrap()).0, None);
}

#[tokio::test]
async fn boosts_and_reposts_of_others_are_skipped() {
    let rows = newest_first();
    let mut boost = status(&rows[0].0, &rows[0].1);
    boost["id"] = json!("boost");
    boost["reblog"] = json!({"id": "of somebody else"});
    let page = json!([boost, status(&rows[1].0, &rows[1].1)]).to_string();
    let source = mastodon_at(move |request| match (&*request.path, request.query_value("max_id")) {
        ("/api/v1/accounts/lookup", _) => Answer::json(r#"{"id":"109"}"#),
        (_, None) => Answer::json(page.clone()),
        _ => Answer::json("[]"),
    })
    .await;
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!((read.posts.len(), read.tally.read), (1, 1));

    let repost = json!({
        "post": {"uri": "at://did:plc:other/app.bsky.feed.post/1", "record": record(&rows[0].0)},
        "reason": {"$type": "app.bsky.feed.defs#reasonRepost", "by": {}},
    });
    let own = json!({"post": {"uri": "at://did:plc:abc/app.bsky.feed.post/2", "record": record(&rows[0].0)}});
    let page = json!({"feed": [repost, own]}).to_string();
    let source = bluesky_at(app_view, move |_| Answer::json(page.clone())).await;
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!((read.posts.len(), read.tally.read), (1, 1));
    assert_eq!(read.posts[0].url.as_deref(), Some("https://bsky.app/profile/did:plc:abc/post/2"));
    assert_eq!(read.posts[0].kind.as_deref(), Some("photo"));
}

#[tokio::test]
async fn unusable_items_are_quarantined() {
    let items = json!({"feed": [
        {}, {"post": {}}, {"post": {"uri": "at://a/app.bsky.feed.post/1"}}, 7, null,
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "soon"}}},
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "2026-11-01T10:00:00.000Z"}}},
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "2026-11-01T10:00:00.000Z"}}},
    ]});
    let source = bluesky_at(app_view, move |_| Answer::json(items.to_string())).await;
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!((read.tally.loaded, read.tally.quarantined, read.tally.duplicates), (1, 6, 1));
    assert!(read.observations[0].value(Metric::Likes).known().is_none(), "an absent count is not 0");
}

#[tokio::test]
async fn error_kind_follows_the_status_and_only_temporary_errors_are_retried() {
    for (status, kind, calls) in [
        (400, ErrorKind::Input, 1),
        (401, ErrorKind::Auth, 1),
        (403, ErrorKind::Auth, 1),
        (404, ErrorKind::NotFound, 1),
        (410, ErrorKind::NotFound, 1),
        (500, ErrorKind::Unavailable, 4),
        (503, ErrorKind::Unavailable, 4),
        (418, ErrorKind::Other, 1),
    ] {
        let source = bluesky_at(app_view, move |_| Answer::json("{}").with_status(status)).await;
        let failed = source.check().await.unwrap_err();
        assert_eq!((failed.kind(), source.1.requests().len()), (kind, calls), "{status}");
    }
    for body in ["", "[]", "{}", r#"{"feed":{}}"#, "<html>"] {
        let source = bluesky_at(app_view, move |_| Answer::json(body)).await;
        assert_eq!(source.check().await.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
    let circle = bluesky_at(app_view, |_| Answer::json(r#"{"feed":[],"cursor":"again"}"#)).await;
    assert_eq!(circle.read_all(&Request::all()).await.unwrap_err().kind(), ErrorKind::Protocol);
}

/// With no calls left by the rate limit headers, nothing is sent before the reset.
#[tokio::test]
async fn exhausted_rate_limit_pauses_until_the_reset() {
    for mastodon_says in [true, false] {
        let clock = clock();
        let of_server = clock.clone();
        let reset = at(NOW) + TimeDelta::seconds(200);
        let server = Server::start(move |request| {
            let now = of_server.now();
            assert!(now == at(NOW) || now >= reset, "a call {} into the pause", now - at(NOW));
            let answer = match &*request.path {
                "/api/v1/accounts/lookup" => Answer::json(r#"{"id":"109"}"#),
                "/api/v1/accounts/109/statuses" => Answer::json("[]"),
                _ if now < reset => Answer::json(r#"{"feed":[],"cursor":"on"}"#),
                _ => Answer::json(r#"{"feed":[]}"#),
            };
            let answer = answer.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", time(reset));
            answer.header("ratelimit-remaining", "0").header("ratelimit-reset", reset.timestamp().to_string())
        })
        .await
        .unwrap();
        let source: Box<dyn SocialSource> = if mastodon_says {
            let builder = Mastodon::builder(server.url(), "shop").token(Secret::new("canary"));
            Box::new(builder.allow_insecure_host(server.authority()).clock(shared(&clock)).build().unwrap())
        } else {
            Box::new(
                app_view(&server)
                    .allow_insecure_host(server.authority())
                    .clock(shared(&clock))
                    .build()
                    .unwrap(),
            )
        };
        source.read_all(&Request::all()).await.unwrap();
        assert_eq!((server.requests().len(), clock.sleeps()), (2, vec![Duration::from_secs(200)]));
        assert!(!format!("{source:?}").contains("canary"));
    }
}

#[test]
fn invalid_accounts_are_refused_by_build() {
    for actor in ["", "shop", "../x.y", "a b.c", "name@server.example/x"] {
        assert_eq!(Bluesky::app_view(actor).build().unwrap_err().kind(), ErrorKind::Config, "{actor}");
    }
    assert!(Bluesky::app_view("@shop.bsky.social").build().is_ok());
    assert!(Bluesky::repository("https://pds.example", "did:plc:z72i7hdynmk6r22z27h6tvur").build().is_ok());
    for (url, account) in
        [("https://m.example", ""), ("https://m.example", "a b"), ("http://m.example", "shop")]
    {
        let built = Mastodon::builder(url, account).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Config, "{url} {account}");
    }
}

/// A real server (PDS) of the AT Protocol's own development environment, where `MKT_TEST_ATPROTO` names a folder in which
/// `npm install @atproto/dev-env@0.3.215` was run (Node 20).
#[tokio::test]
async fn real_repository_is_read_as_written() {
    let Some(folder) = std::env::var_os("MKT_TEST_ATPROTO") else {
        println!("skipped: MKT_TEST_ATPROTO is not set");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/pds.cjs");
    let mut node = std::process::Command::new("node")
        .args([script, "130"])
        .current_dir(&folder)
        .env("NODE_PATH", std::path::Path::new(&folder).join("node_modules"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(node.stdout.take().unwrap());
    // The server logs lines of its own.
    while !line.starts_with("{\"url\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "the server did not start");
    }
    let started: Json = serde_json::from_str(&line).unwrap();
    let (url, did) = (started["url"].as_str().unwrap(), started["did"].as_str().unwrap());
    let source = |actor: &str| {
        Bluesky::repository(url, actor)
            .allow_insecure_host(url.trim_start_matches("http://"))
            .build()
            .unwrap()
    };
    let read = source(did).read_all(&Request::all().page_size(50)).await.unwrap();
    let texts: Vec<_> = read.posts.iter().map(|post| post.text.clone().unwrap()).collect();
    let written: Vec<_> = (0..130).rev().map(|number| format!("post {number}: thé glacé \u{2764}")).collect();
    assert_eq!(texts, written, "newest first");
    assert_eq!(read.posts[0].published_at - read.posts[129].published_at, TimeDelta::minutes(129));
    assert!(read.observations.iter().all(|seen| seen.value(Metric::Likes).known().is_none()));
    // A window ends early; an unknown account is an error.
    let since = read.posts[9].published_at;
    let request = Request::all().page_size(5).since(since);
    assert_eq!(source(did).read_all(&request).await.unwrap().posts.len(), 10);
    let nobody = source("nobody.test").check().await.unwrap_err();
    assert!(matches!(nobody.kind(), ErrorKind::Input | ErrorKind::NotFound), "{nobody:?}");
    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
}
