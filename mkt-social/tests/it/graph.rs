//! Facebook and Instagram with the fake: the conformance suite, and Meta's errors and limits.

use crate::posts::at;
use crate::with_server::WithServer;
use async_trait::async_trait;
use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, ErrorKind, Secret};
use mkt_social::graph::{Graph, GraphBuilder};
use mkt_social::testing::Stage;
use mkt_social::testing::graph::{FakeGraph, error};
use mkt_social::{
    Metric, Missing, Observation, Post, ReadPosts, Reading, Request, SocialSource, SocialSourceExt, Value,
};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "EAAcanaryTOKEN";
const NOW: &str = "2026-11-26T12:00:00Z";

/// A fake, its clock, and sources connected to it.
struct Scene {
    fake: FakeGraph,
    clock: ManualClock,
}

impl Scene {
    async fn at(now: &str) -> Self {
        let clock = ManualClock::skipping(at(now));
        Self { fake: FakeGraph::start(&clock, TOKEN).await.unwrap(), clock }
    }

    async fn new() -> Self {
        Self::at(NOW).await
    }

    fn reach(&self, builder: GraphBuilder) -> GraphBuilder {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        // The rate limit has its own tests.
        let builder = builder.calls_per_hour(100_000);
        builder.base_url(self.fake.url()).allow_insecure_host(self.fake.authority()).clock(clock)
    }

    fn page(&self) -> Graph {
        self.reach(Graph::facebook_page("17", Secret::new(TOKEN))).build().unwrap()
    }

    fn instagram(&self) -> Graph {
        self.reach(Graph::instagram("17", Secret::new(TOKEN))).build().unwrap()
    }
}

/// Posts an hour apart, the latest an hour ago, with all metrics known.
fn posts(count: usize, kind: &str) -> Vec<(Post, Observation)> {
    let now = at(NOW);
    (0..count)
        .map(|index| {
            let published_at = now - chrono::TimeDelta::hours(index as i64 + 1);
            let post = Post::new("", format!("90000000000{index:04}"), published_at)
                .kind(kind)
                .text(format!("number {index}"));
            let readings = Metric::ALL.into_iter().zip(1..).map(|(metric, place)| {
                Reading::new(metric, metric.as_str(), Value::Known(place * 1_000 + index as u64))
            });
            let observation = Observation::of(&post, now).readings(readings);
            (post, observation)
        })
        .collect()
}

fn values(read: &ReadPosts, metric: Metric) -> Vec<Value> {
    read.observations.iter().map(|observation| observation.value(metric)).collect()
}

macro_rules! stages {
    ($($stage:ident, $build:ident, $network:literal, $always:expr;)+) => {$(
        #[derive(Debug)]
        struct $stage;

        #[async_trait]
        impl Stage for $stage {
            async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
                let scene = Scene::new().await;
                scene.fake.$build("17", rows);
                // The fake lives as long as the source.
                Box::new(WithServer(scene.$build(), scene.fake))
            }

            fn network(&self) -> Option<&'static str> {
                Some($network)
            }

            fn always_known(&self) -> &'static [Metric] {
                $always
            }
        }
    )+};
}
stages! {
    Page, page, "facebook", &[Metric::Shares];
    Instagram, instagram, "instagram", &[];
}

crate::conformance::conformance!(facebook_page, crate::graph::Page);
crate::conformance::conformance!(instagram_account, crate::graph::Instagram);

#[tokio::test]
async fn metric_retired_without_notice_leaves_the_others_known() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(250, "photo"));
    scene.fake.refuse(None, "post_media_view");
    let source = scene.page();
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts.len(), 250);
    assert!(values(&read, Metric::Views).iter().all(|value| *value == Value::Missing(Missing::Deprecated)));
    assert!(values(&read, Metric::Reach).iter().all(|value| value.known().is_some()));
    // The list that was refused; no metric, one, the other; three lists.
    assert_eq!(scene.fake.calls(), 7);
    source.read_all(&Request::all()).await.unwrap();
    assert_eq!(scene.fake.calls(), 10, "the retired metric is not requested again");
    assert_eq!(
        read.notes,
        ["facebook refuses the metric post_media_view of every post; its values are missing"]
    );
}

#[tokio::test]
async fn metric_retired_for_one_product_is_requested_for_the_others() {
    let scene = Scene::new().await;
    let mut rows = posts(60, "photo");
    for (index, (post, _)) in rows.iter_mut().enumerate() {
        post.kind = Some(["photo", "reel"][index % 2].to_owned());
    }
    scene.fake.instagram("17", &rows);
    scene.fake.refuse(Some("feed"), "shares");
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    for (post, observation) in read.posts.iter().zip(&read.observations) {
        let number = post.id[11..].parse::<u64>().unwrap();
        let expected = match post.kind.as_deref() {
            Some("reel") => Value::Known(3_000 + number),
            _ => Value::Missing(Missing::Deprecated),
        };
        assert_eq!(observation.value(Metric::Shares), expected, "{}", post.id);
        assert!(observation.value(Metric::Saves).known().is_some());
    }
    // Two lists (media, stories); 60 posts; the first photo four more (two halves, and the halves of one of them); the second
    // and third one more each (the suspect metric on its own).
    assert_eq!(scene.fake.calls(), 2 + 60 + 4 + 2);
}

/// The metric stays known for all other posts, wherever the odd one stands.
#[tokio::test]
async fn metric_refused_for_one_post_is_missing_for_that_post_only() {
    for odd in [0, 1, 17, 59] {
        let scene = Scene::new().await;
        let rows = posts(60, "reel");
        scene.fake.instagram("17", &rows);
        scene.fake.refuse_for_post(&rows[odd].0.id, "shares");
        let read = scene.instagram().read_all(&Request::all()).await.unwrap();
        for (index, observation) in read.observations.iter().enumerate() {
            let known = (index != odd).then_some(3_000 + index as u64);
            assert_eq!(observation.value(Metric::Shares).known(), known, "post {index}, odd {odd}");
            assert!(observation.value(Metric::Saves).known().is_some(), "post {index}, odd {odd}");
        }
        assert_eq!(values(&read, Metric::Shares)[odd], Value::Missing(Missing::Blank));
        let id = &rows[odd].0.id;
        assert_eq!(read.notes, [format!("instagram refused the metric shares (code 100) for post {id}")]);
    }
}

#[tokio::test]
async fn post_with_a_lasting_code_2_is_marked_and_the_rest_is_read() {
    let scene = Scene::new().await;
    let rows = posts(30, "photo");
    scene.fake.instagram("17", &rows);
    scene.fake.refuse_insights(&rows[11].0.id, 2, 0, "Service temporarily unavailable");
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    let reach = values(&read, Metric::Reach);
    assert_eq!(reach[11], Value::Missing(Missing::Blank));
    assert_eq!(reach.iter().filter(|value| value.known().is_some()).count(), 29);
    let id = &rows[11].0.id;
    assert_eq!(read.notes, [format!("instagram gave no insights in 3 tries (code 2) for post {id}")]);
    // Pauses between the tries.
    assert_eq!(scene.clock.sleeps(), [Duration::from_secs(2), Duration::from_secs(8)]);
}

#[tokio::test]
async fn v25_and_v26_read_the_same() {
    for version in ["v25.0", "v26.0"] {
        let scene = Scene::new().await;
        scene.fake.instagram("17", &posts(3, "photo"));
        let builder = scene.reach(Graph::instagram("17", Secret::new(TOKEN)));
        let read = builder.version(version).build().unwrap().read_all(&Request::all()).await.unwrap();
        assert_eq!(values(&read, Metric::Reach), [5_000, 5_001, 5_002].map(Value::Known));
        assert_eq!(read.observations[0].version.as_deref(), Some(version));
        assert!(scene.fake.requested().iter().all(|path| path.contains(version)), "{version}");
    }
}

#[tokio::test]
async fn deprecated_metrics_are_not_requested_and_marked_deprecated() {
    let on = async |now| {
        let scene = Scene::at(now).await;
        scene.fake.page("17", &posts(1, "photo"));
        let read = scene.page().read_all(&Request::all()).await.unwrap();
        assert_eq!(scene.fake.calls(), 1, "no bisection");
        (read.observations[0].value(Metric::Impressions), read.observations[0].value(Metric::Views))
    };
    assert_eq!(on(NOW).await, (Value::Missing(Missing::Deprecated), Value::Known(7_000)));
    assert_eq!(on("2025-11-14T12:00:00Z").await, (Value::Known(6_000), Value::Known(7_000)));
}

#[tokio::test]
async fn missing_metrics_have_their_reason() {
    let scene = Scene::new().await;
    let mut rows = posts(6, "photo");
    for (_, observation) in &mut rows {
        observation.readings.retain(|reading| {
            !matches!(reading.metric, Metric::Reach | Metric::Likes) || observation.post_id.ends_with('5')
        });
    }
    rows[1].0.published_at = at("2026-11-01T12:00:00Z");
    scene.fake.instagram("17", &rows);
    let id = |index: usize| rows[index].0.id.clone();
    scene.fake.refuse_insights(&id(2), 10, 0, "(#10) Not enough viewers for the media to show insights");
    scene.fake.refuse_insights(&id(3), 100, 2_108_006, "Media posted before business account conversion");
    scene.fake.refuse_insights(&id(4), 10, 0, "(#10) Application does not have permission for this action");
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    let reach = values(&read, Metric::Reach);
    let missing =
        [Missing::NotYet, Missing::Blank, Missing::TooFewViewers, Missing::NotSupported, Missing::Permission];
    assert_eq!(reach[..5], missing.map(Value::Missing));
    assert_eq!(reach[5], Value::Known(5_005));
    assert_eq!(values(&read, Metric::Likes)[..5], [Value::Missing(Missing::Hidden); 5]);
    assert_eq!(values(&read, Metric::Followers)[5], Value::Missing(Missing::NotSupported));
}

#[tokio::test]
async fn absent_shares_of_a_page_post_are_zero() {
    let scene = Scene::new().await;
    let mut rows = posts(2, "photo");
    rows[0].1.readings[2].value = Value::Known(0);
    scene.fake.page("17", &rows);
    let read = scene.page().read_all(&Request::all()).await.unwrap();
    assert_eq!(values(&read, Metric::Shares), [Value::Known(0), Value::Known(3_001)]);
}

#[tokio::test]
async fn reels_and_stories_are_read_from_their_own_endpoints() {
    let scene = Scene::new().await;
    let mut rows = posts(3, "photo");
    rows[1].0.kind = Some("reel".to_owned());
    rows[2].0.kind = Some("story".to_owned());
    scene.fake.page("17", &rows[..2]);
    let read = scene.page().read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts[1].kind.as_deref(), Some("reel"));
    assert_eq!(values(&read, Metric::Views), [Value::Known(7_000), Value::Known(7_001)]);
    assert_eq!(read.observations[1].value(Metric::Reach), Value::Missing(Missing::NotSupported));

    let scene = Scene::new().await;
    scene.fake.instagram("17", &rows);
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    let kinds: Vec<_> = read.posts.iter().map(|post| post.kind.as_deref().unwrap()).collect();
    assert_eq!(kinds, ["photo", "reel", "story"]);
    // A story has replies, but no saves.
    assert_eq!(values(&read, Metric::Comments), [2_000, 2_001, 2_002].map(Value::Known));
    assert_eq!(values(&read, Metric::Saves)[2], Value::Missing(Missing::NotSupported));
}

#[tokio::test]
async fn empty_page_with_a_next_link_is_not_the_end() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(7, "photo"));
    scene.fake.empty_pages();
    let read = scene.page().read_all(&Request::all().page_size(3)).await.unwrap();
    assert_eq!((read.posts.len(), scene.fake.calls()), (7, 6));
}

#[tokio::test]
async fn too_large_list_is_halved_and_the_limit_restored() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(90, "photo"));
    scene.fake.fail(
        500,
        1,
        99,
        "Please reduce the amount of data you're asking for, then retry your request",
    );
    let read = scene.page().read_all(&Request::all().page_size(40)).await.unwrap();
    assert_eq!(read.posts.len(), 90);
    // Refused at 40; 20, 40, 30.
    assert_eq!(scene.fake.calls(), 4);
    scene.fake.largest_list(10);
    let read = scene.page().read_all(&Request::all().page_size(40)).await.unwrap();
    assert_eq!(read.posts.len(), 90);
}

#[tokio::test]
async fn link_to_another_host_is_not_followed() {
    let elsewhere = Server::start(|_| Answer::json("{}")).await.unwrap();
    for time_paging in [false, true] {
        let scene = Scene::new().await;
        scene.fake.page("17", &posts(9, "photo"));
        scene.fake.next_link(&elsewhere.url());
        if time_paging {
            scene.fake.time_paging();
        }
        let read = scene.page().read_all(&Request::all().page_size(4)).await.unwrap();
        assert_eq!((read.posts.len(), scene.fake.calls()), (9, 3));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn repeated_cursor_is_a_protocol_error() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(9, "photo"));
    scene.fake.circle();
    let error = scene.page().read_all(&Request::all().page_size(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(scene.fake.calls() <= 3, "{} calls", scene.fake.calls());
}

#[tokio::test]
async fn error_kind_follows_the_code_and_only_temporary_errors_are_retried() {
    for (code, subcode, kind, calls) in [
        (190, 463, ErrorKind::Auth, 1),
        (190, 460, ErrorKind::Auth, 1),
        (102, 0, ErrorKind::Auth, 1),
        (10, 0, ErrorKind::Auth, 1),
        (200, 0, ErrorKind::Auth, 1),
        (368, 0, ErrorKind::Auth, 1),
        (803, 0, ErrorKind::NotFound, 1),
        (100, 33, ErrorKind::NotFound, 1),
        (4, 0, ErrorKind::RateLimited, 1),
        (17, 0, ErrorKind::RateLimited, 1),
        (32, 0, ErrorKind::RateLimited, 1),
        (613, 0, ErrorKind::RateLimited, 1),
        (80_002, 0, ErrorKind::RateLimited, 1),
        (1, 0, ErrorKind::Unavailable, 4),
        (2, 0, ErrorKind::Unavailable, 4),
        (99_999, 0, ErrorKind::Other, 1),
    ] {
        let scene = Scene::new().await;
        scene.fake.page("17", &posts(3, "photo"));
        for _ in 0..4 {
            scene.fake.fail(400, code, subcode, "words that may quote EAAcanaryTOKEN");
        }
        let failed = scene.page().read_all(&Request::all()).await.unwrap_err();
        assert_eq!((failed.kind(), scene.fake.calls()), (kind, calls), "{code}/{subcode}: {failed}");
        assert_eq!(failed.delivery(), Delivery::Answered);
        assert!(!format!("{failed} {failed:?}").contains(TOKEN), "{failed:?}");
        if kind == ErrorKind::RateLimited {
            assert_eq!(failed.retry_after(), Some(Duration::from_secs(3600)), "{code}");
        }
    }
}

#[tokio::test]
async fn throttled_call_waits_an_hour_whatever_the_usage_header() {
    let scene = Scene::new().await;
    let usage = r#"{"call_count":80,"total_cputime":1,"total_time":1}"#;
    scene.fake.plan(error(400, 4, 0, "(#4) Application request limit reached").header("x-app-usage", usage));
    let failed = scene.page().check().await.unwrap_err();
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(3600)), "not the pause between two calls");
}

#[tokio::test]
async fn temporary_failure_is_retried() {
    let cases: [(&str, Answer); 7] = [
        ("service", error(500, 2, 0, "Service temporarily unavailable")),
        ("empty error", Answer::json(r#"{"error":{}}"#).with_status(500)),
        ("gateway", Answer::html("<html>502</html>").with_status(502)),
        ("reset", Answer::reset()),
        ("cut off", Answer::json(r#"{"data":[{"id":"1"}]}"#).cut_after(9)),
        ("429", Answer::text("").with_status(429).header("retry-after", "30")),
        ("transient", Answer::json(r#"{"error":{"code":7777,"is_transient":true}}"#).with_status(400)),
    ];
    for (name, answer) in cases {
        let scene = Scene::new().await;
        scene.fake.page("17", &posts(3, "photo"));
        scene.fake.plan(answer);
        let read = scene.page().read_all(&Request::all()).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!((read.posts.len(), scene.fake.calls()), (3, 2), "{name}");
    }
}

#[tokio::test]
async fn answer_that_is_not_a_list_is_a_protocol_error() {
    for body in ["", "null", "[]", "{}", r#"{"data":3}"#, r#"{"data":[{"id":"1""#, "<html></html>"] {
        let scene = Scene::new().await;
        scene.fake.plan(Answer::json(body));
        let failed = scene.page().read_all(&Request::all()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Protocol, "{body}: {failed}");
    }
}

#[tokio::test]
async fn unusable_items_are_quarantined() {
    let scene = Scene::new().await;
    let good = r#"{"id":"1","created_time":"2026-11-20T10:00:00+0000"}"#;
    let items = [
        good,
        good,
        r#"{"created_time":"2026-11-20T10:00:00+0000"}"#,
        r#"{"id":"2"}"#,
        r#"{"id":"3","created_time":"yesterday"}"#,
        "7",
        "null",
        r#"{"id":9007199254740993,"created_time":"2026-11-20T12:00:00+0200"}"#,
    ];
    scene.fake.plan(Answer::json(format!(r#"{{"data":[{}]}}"#, items.join(","))));
    let read = scene.page().read_all(&Request::all()).await.unwrap();
    let ids: Vec<_> = read.posts.iter().map(|post| post.id.as_str()).collect();
    assert_eq!(ids, ["1", "9007199254740993"], "ids exceed the integers of a float");
    assert_eq!(read.posts[1].published_at, at("2026-11-20T10:00:00Z"));
    assert_eq!((read.tally.quarantined, read.tally.duplicates, read.tally.read), (5, 1, 8));
    let reasons: Vec<_> = read.quarantined.iter().map(|one| one.reason.to_string()).collect();
    let expected = [
        "no id",
        "no time",
        "column \"time\": not a timestamp (YYYY-MM-DD HH:MM:SS) (like \"aaaaaaaaa\")",
        "no id",
        "no id",
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn unanswered_parts_of_a_batch_are_retried_with_a_limit() {
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(4, "photo"));
    scene.fake.skip_parts(2);
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    assert!(values(&read, Metric::Reach).iter().all(|value| value.known().is_some()));
    scene.fake.skip_parts(1_000);
    let failed = scene.instagram().read_all(&Request::all()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn blocked_account_gets_no_calls() {
    // The source waits the minutes that Meta names.
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(120, "photo"));
    scene.fake.calls_per_hour(100);
    let policy =
        Policy::default().longest_wait(Duration::from_secs(7200)).longest_in_all(Duration::from_secs(90_000));
    let builder = scene.reach(Graph::instagram("17", Secret::new(TOKEN)));
    let source = builder.patience(Duration::from_secs(7_200)).retry(policy).build().unwrap();
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts.len(), 120);
    assert!(values(&read, Metric::Reach).iter().all(|value| value.known().is_some()));
    assert_eq!(scene.fake.calls_while_blocked(), 0);
}

#[tokio::test]
async fn wait_beyond_the_patience_ends_the_read_with_retry_after() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(30, "photo"));
    scene.fake.calls_per_hour(10);
    let source = scene.page();
    let mut pages = source.open(&Request::all().page_size(2)).await.unwrap();
    let mut read = 0;
    let failed = loop {
        match pages.next_page().await {
            Ok(Some(page)) => read += page.posts.len(),
            Ok(None) => panic!("fifteen calls were made where ten are allowed"),
            Err(failed) => break failed,
        }
    };
    // The ninth call reaches 90 %, so the tenth is not made.
    assert_eq!((read, scene.fake.calls()), (18, 9));
    assert_eq!((failed.kind(), failed.delivery()), (ErrorKind::RateLimited, Delivery::NotSent));
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(3600)));
    assert!(pages.next_page().await.unwrap().is_none(), "after an error the read has ended");
    // While blocked nothing is sent; afterwards calls go on.
    assert!(source.check().await.is_err());
    assert_eq!((scene.fake.calls(), scene.fake.calls_while_blocked()), (9, 0));
    scene.clock.advance(Duration::from_secs(3600));
    source.check().await.unwrap();
    // From three quarters on calls were spread: 80 % costs twelve seconds.
    let spread: Vec<_> = scene.clock.sleeps().iter().map(Duration::as_secs).collect();
    assert_eq!(spread, [12]);
}

#[tokio::test]
async fn each_part_of_a_batch_counts_against_the_rate_limit() {
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(100, "photo"));
    let builder = scene.reach(Graph::instagram("17", Secret::new(TOKEN))).calls_per_hour(60);
    let source = builder.patience(Duration::from_secs(4_000)).build().unwrap();
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts.len(), 100);
    // 100 posts and 2 lists by 60 calls an hour: over an hour later.
    let took = scene.clock.elapsed();
    assert!((3_600..7_200).contains(&took.as_secs()), "{took:?}");
    // As planned.
    let plan = serde_json::to_value(source.plan(&Request::all().page_size(100))).unwrap();
    assert_eq!(plan, serde_json::json!({"calls": {"per_thousand_posts": 1_010}}));
}

#[tokio::test]
async fn calls_are_signed_with_the_app_secret() {
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(3, "photo"));
    scene.fake.require_proof("the app's secret");
    let failed = scene.instagram().check().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Input);
    let builder = scene.reach(Graph::instagram("17", Secret::new(TOKEN)));
    let source = builder.app_secret(Secret::new("the app's secret")).build().unwrap();
    assert_eq!(source.read_all(&Request::all()).await.unwrap().posts.len(), 3);
}

#[tokio::test]
async fn debug_and_errors_contain_neither_token_nor_secret() {
    let scene = Scene::new().await;
    let builder = scene.reach(Graph::instagram("17", Secret::new(TOKEN)));
    let builder = builder.app_secret(Secret::new("canarySECRET"));
    let source = builder.clone().build().unwrap();
    scene.fake.plan(Answer::reset());
    let failed = builder.clone().retry(Policy::once()).build().unwrap().check().await.unwrap_err();
    let shown = format!("{builder:?} {source:?} {failed} {failed:?} {:?}", scene.fake);
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn invalid_settings_are_refused_by_build() {
    let page = |id: &str| Graph::facebook_page(id, Secret::new(TOKEN));
    for builder in [
        page("17/../me"),
        page(""),
        page("17").version("25"),
        page("17").version("v25.0/me"),
        page("17").base_url("http://graph.facebook.com"),
        Graph::instagram("17", Secret::new("")),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
    }
    assert!(page("17_4").version("v26.0").build().is_ok());
}
