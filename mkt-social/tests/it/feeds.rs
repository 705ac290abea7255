//! Mastodon and Bluesky, against servers that answer as their documentation says.

use crate::kept::Kept;
use crate::made::at;
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::testing::{Answer, Received, Server};
use mkt_connect::{ErrorKind, Secret};
use mkt_social::source::bluesky::{BlueskyBuilder, BlueskySource};
use mkt_social::source::mastodon::MastodonSource;
use mkt_social::testing::{Rows, Stage, world};
use mkt_social::{Metric, Observation, Post, Request, SocialSource, SocialSourceExt, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

const NOW: &str = "2026-11-26T12:00:00Z";

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// As Mastodon writes it.
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

fn mastodon(rows: &Rows, request: &Received) -> Answer {
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
    let page: Vec<Json> = rows.iter().skip(from).take(limit).map(|(post, seen)| status(post, seen)).collect();
    Answer::json(Json::Array(page).to_string())
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

/// Both ways to ask: an AppView and a repository.
fn bluesky(rows: &Rows, request: &Received) -> Answer {
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
        _ => return Answer::text("not asked for").with_status(418),
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
) -> Kept<MastodonSource, Arc<Server>> {
    let server = Server::start(answer).await.unwrap();
    let source = MastodonSource::builder(server.url(), "@shop")
        .allow_insecure_host(server.authority())
        .clock(shared(&clock()))
        .build()
        .unwrap();
    Kept(source, Arc::new(server))
}

fn app_view(server: &Server) -> BlueskyBuilder {
    BlueskySource::app_view("shop.example").base_url(server.url())
}

fn repository(server: &Server) -> BlueskyBuilder {
    BlueskySource::repository(server.url(), "did:plc:abc")
}

async fn bluesky_at(
    ask: fn(&Server) -> BlueskyBuilder,
    answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> Kept<BlueskySource, Arc<Server>> {
    let server = Server::start(answer).await.unwrap();
    let builder = ask(&server).allow_insecure_host(server.authority());
    Kept(builder.clock(shared(&clock())).build().unwrap(), Arc::new(server))
}

macro_rules! stages {
    ($($stage:ident, $network:literal, $always:expr, |$rows:ident| $source:expr;)+) => {$(
        #[derive(Debug)]
        struct $stage;

        #[async_trait]
        impl Stage for $stage {
            async fn source(&self, rows: &Rows) -> Box<dyn SocialSource> {
                let $rows = rows.to_vec();
                Box::new($source.await)
            }
            fn network(&self) -> Option<&'static str> {
                Some($network)
            }
            fn newest_first(&self) -> bool {
                true
            }
            fn always_told(&self) -> &'static [Metric] {
                $always
            }
        }
    )+};
}
stages! {
    Mastodon, "mastodon", &[Metric::Likes, Metric::Comments, Metric::Shares],
        |rows| mastodon_at(move |request| mastodon(&rows, request));
    AppView, "bluesky", &[], |rows| bluesky_at(app_view, move |request| bluesky(&rows, request));
    Repository, "bluesky", &[], |rows| bluesky_at(repository, move |request| bluesky(&rows, request));
}
crate::conformance::conformance!(mastodon_account, crate::feeds::Mastodon);
crate::conformance::conformance!(bluesky_app_view, crate::feeds::AppView);
crate::conformance::conformance!(bluesky_repository, crate::feeds::Repository);

fn newest_first() -> Vec<(Post, Observation)> {
    let mut rows = world();
    rows.reverse();
    rows
}

#[tokio::test]
async fn a_read_since_an_instant_ends_with_the_first_page_of_older_posts() {
    let rows = newest_first();
    let since = rows[7].0.published_at;
    let source = mastodon_at(move |request| mastodon(&rows, request)).await;
    let request = Request { since: Some(since), ..Request::all().page_size(4) };
    let read = source.read_all(&request).await.unwrap();
    // The account; two pages of new posts; one of nothing but older ones.
    assert_eq!((read.posts.len(), source.1.requests().len()), (8, 4));
}

#[tokio::test]
async fn boosts_and_reposts_of_others_are_no_posts_of_the_account() {
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
async fn what_cannot_be_used_is_set_aside() {
    let items = json!({"feed": [
        {}, {"post": {}}, {"post": {"uri": "at://a/app.bsky.feed.post/1"}}, 7, null,
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "soon"}}},
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "2026-11-01T10:00:00.000Z"}}},
        {"post": {"uri": "at://a/app.bsky.feed.post/1", "record": {"createdAt": "2026-11-01T10:00:00.000Z"}}},
    ]});
    let source = bluesky_at(app_view, move |_| Answer::json(items.to_string())).await;
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!((read.tally.loaded, read.tally.quarantined, read.tally.duplicates), (1, 6, 1));
    assert!(read.observations[0].value(Metric::Likes).known().is_none(), "a count that is not told is no 0");
}

#[tokio::test]
async fn every_status_is_an_error_of_its_kind_and_only_what_passes_is_repeated() {
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

/// The server's limit as its headers tell it: with nothing left, nothing is sent before the reset.
#[tokio::test]
async fn an_account_without_calls_rests_until_the_reset() {
    for mastodon_says in [true, false] {
        let clock = clock();
        let of_server = clock.clone();
        let reset = at(NOW) + TimeDelta::seconds(200);
        let server = Server::start(move |request| {
            let now = of_server.now();
            assert!(now == at(NOW) || now >= reset, "a call {} into the rest", now - at(NOW));
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
            let builder = MastodonSource::builder(server.url(), "shop").token(Secret::new("canary"));
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
fn accounts_that_cannot_be_are_refused_before_any_call() {
    for actor in ["", "shop", "../x.y", "a b.c", "name@server.example/x"] {
        assert_eq!(BlueskySource::app_view(actor).build().unwrap_err().kind(), ErrorKind::Config, "{actor}");
    }
    assert!(BlueskySource::app_view("@shop.bsky.social").build().is_ok());
    assert!(
        BlueskySource::repository("https://pds.example", "did:plc:z72i7hdynmk6r22z27h6tvur").build().is_ok()
    );
    for (url, account) in
        [("https://m.example", ""), ("https://m.example", "a b"), ("http://m.example", "shop")]
    {
        let built = MastodonSource::builder(url, account).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Config, "{url} {account}");
    }
}

/// A real server (PDS) of the AT Protocol's own development environment, where `MKT_TEST_ATPROTO` names a folder in which
/// `npm install @atproto/dev-env@0.3.215` was run (Node 20).
#[tokio::test]
async fn a_real_repository_is_read_as_it_was_written() {
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
    let mut told = std::io::BufReader::new(node.stdout.take().unwrap());
    // The server speaks of itself in lines of its own.
    while !line.starts_with("{\"url\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut told, &mut line).unwrap() > 0, "the server did not start");
    }
    let told: Json = serde_json::from_str(&line).unwrap();
    let (url, did) = (told["url"].as_str().unwrap(), told["did"].as_str().unwrap());
    let source = |actor: &str| {
        BlueskySource::repository(url, actor)
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
    // A window ends early, and an account that is not there is an error.
    let since = read.posts[9].published_at;
    let request = Request { since: Some(since), ..Request::all().page_size(5) };
    assert_eq!(source(did).read_all(&request).await.unwrap().posts.len(), 10);
    let nobody = source("nobody.test").check().await.unwrap_err();
    assert!(matches!(nobody.kind(), ErrorKind::Input | ErrorKind::NotFound), "{nobody:?}");
    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
}
