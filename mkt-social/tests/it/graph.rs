//! Facebook and Instagram against the fake: the suite, and what Meta does to its callers.

use crate::kept::Kept;
use crate::made::at;
use async_trait::async_trait;
use mkt_connect::clock::{Clock, ManualClock};
use mkt_connect::http::retry::Policy;
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, ErrorKind, Secret};
use mkt_social::source::graph::{GraphBuilder, GraphSource};
use mkt_social::testing::graph::{FakeGraph, error};
use mkt_social::testing::{Rows, Stage};
use mkt_social::{
    Metric, Missing, Observation, Post, Reading, Reception, Request, SocialSource, SocialSourceExt, Value,
};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "EAAcanaryTOKEN";
const NOW: &str = "2026-11-26T12:00:00Z";

/// A fake, its clock, and sources that speak to it.
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
        // The budget has tests of its own.
        let builder = builder.calls_per_hour(100_000);
        builder.base_url(self.fake.url()).allow_insecure_host(self.fake.authority()).clock(clock)
    }

    fn page(&self) -> GraphSource {
        self.reach(GraphSource::facebook_page("17", Secret::new(TOKEN))).build().unwrap()
    }

    fn instagram(&self) -> GraphSource {
        self.reach(GraphSource::instagram("17", Secret::new(TOKEN))).build().unwrap()
    }
}

/// So many posts an hour apart, the latest an hour ago, all numbers known.
fn posts(count: usize, kind: &str) -> Vec<(Post, Observation)> {
    let now = at(NOW);
    (0..count)
        .map(|index| {
            let post = Post {
                network: String::new(),
                id: format!("90000000000{index:04}"),
                published_at: now - chrono::TimeDelta::hours(index as i64 + 1),
                kind: Some(kind.to_owned()),
                text: Some(format!("number {index}")),
                paid: None,
                url: None,
            };
            let readings = Metric::ALL.into_iter().zip(1..).map(|(metric, place)| Reading {
                metric,
                native: metric.as_str().into(),
                value: Value::Known(place * 1_000 + index as u64),
            });
            let observation = Observation {
                network: String::new(),
                post_id: post.id.clone(),
                observed_at: now,
                version: None,
                readings: readings.collect(),
            };
            (post, observation)
        })
        .collect()
}

fn values(read: &Reception, metric: Metric) -> Vec<Value> {
    read.observations.iter().map(|observation| observation.value(metric)).collect()
}

macro_rules! stages {
    ($($stage:ident, $build:ident, $network:literal, $always:expr;)+) => {$(
        #[derive(Debug)]
        struct $stage;

        #[async_trait]
        impl Stage for $stage {
            async fn source(&self, rows: &Rows) -> Box<dyn SocialSource> {
                let scene = Scene::new().await;
                scene.fake.$build("17", rows);
                // The fake lives as long as the source.
                Box::new(Kept(scene.$build(), scene.fake))
            }

            fn network(&self) -> Option<&'static str> {
                Some($network)
            }

            fn always_told(&self) -> &'static [Metric] {
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
async fn a_metric_that_is_refused_without_notice_costs_no_other_number() {
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
    assert_eq!(scene.fake.calls(), 10, "what was refused is not asked for again");
}

#[tokio::test]
async fn a_metric_that_one_kind_of_post_does_not_have_is_asked_of_the_others() {
    let scene = Scene::new().await;
    let mut rows = posts(60, "photo");
    for (index, (post, _)) in rows.iter_mut().enumerate() {
        post.kind = Some(["photo", "reel"][index % 2].to_owned());
    }
    scene.fake.instagram("17", &rows);
    scene.fake.refuse(Some("feed"), "shares");
    let read = scene.instagram().read_all(&Request::all()).await.unwrap();
    for (post, observation) in read.posts.iter().zip(&read.observations) {
        let expected = match post.kind.as_deref() {
            Some("reel") => Value::Known(3_000 + post.id[11..].parse::<u64>().unwrap()),
            _ => Value::Missing(Missing::Deprecated),
        };
        assert_eq!(observation.value(Metric::Shares), expected, "{}", post.id);
        assert!(observation.value(Metric::Saves).known().is_some());
    }
    // Two lists (media, stories); 60 posts, and of the first photo four more: two halves, and the halves of one of them.
    assert_eq!(scene.fake.calls(), 2 + 60 + 4);
}

#[tokio::test]
async fn retired_metrics_are_not_asked_for_and_said_to_be_retired() {
    let on = async |now| {
        let scene = Scene::at(now).await;
        scene.fake.page("17", &posts(1, "photo"));
        let read = scene.page().read_all(&Request::all()).await.unwrap();
        assert_eq!(scene.fake.calls(), 1, "nothing had to be found out");
        (read.observations[0].value(Metric::Impressions), read.observations[0].value(Metric::Views))
    };
    assert_eq!(on(NOW).await, (Value::Missing(Missing::Deprecated), Value::Known(7_000)));
    assert_eq!(on("2025-11-14T12:00:00Z").await, (Value::Known(6_000), Value::Known(7_000)));
}

#[tokio::test]
async fn what_meta_does_not_tell_is_missing_with_its_reason() {
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
async fn shares_that_a_page_leaves_out_are_none() {
    let scene = Scene::new().await;
    let mut rows = posts(2, "photo");
    rows[0].1.readings[2].value = Value::Known(0);
    scene.fake.page("17", &rows);
    let read = scene.page().read_all(&Request::all()).await.unwrap();
    assert_eq!(values(&read, Metric::Shares), [Value::Known(0), Value::Known(3_001)]);
}

#[tokio::test]
async fn reels_and_stories_are_read_where_they_are() {
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
    // A story has replies, and nothing to save.
    assert_eq!(values(&read, Metric::Comments), [2_000, 2_001, 2_002].map(Value::Known));
    assert_eq!(values(&read, Metric::Saves)[2], Value::Missing(Missing::NotSupported));
}

#[tokio::test]
async fn an_empty_page_with_a_next_one_is_not_the_end() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(7, "photo"));
    scene.fake.empty_pages();
    let read = scene.page().read_all(&Request::all().page_size(3)).await.unwrap();
    assert_eq!((read.posts.len(), scene.fake.calls()), (7, 6));
}

#[tokio::test]
async fn a_list_that_is_too_large_is_asked_for_in_smaller_ones_and_the_next_in_full_again() {
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
async fn a_link_to_another_host_is_never_followed() {
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
async fn pages_that_go_round_in_a_circle_are_an_error() {
    let scene = Scene::new().await;
    scene.fake.page("17", &posts(9, "photo"));
    scene.fake.circle();
    let error = scene.page().read_all(&Request::all().page_size(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(scene.fake.calls() <= 3, "{} calls", scene.fake.calls());
}

#[tokio::test]
async fn every_error_is_what_its_code_says_and_only_what_passes_is_repeated() {
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
async fn a_refused_call_rests_for_an_hour_whatever_share_the_header_tells() {
    let scene = Scene::new().await;
    let usage = r#"{"call_count":80,"total_cputime":1,"total_time":1}"#;
    scene.fake.plan(error(400, 4, 0, "(#4) Application request limit reached").header("x-app-usage", usage));
    let failed = scene.page().check().await.unwrap_err();
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(3600)), "not the pause between two calls");
}

#[tokio::test]
async fn what_fails_once_is_read_the_second_time() {
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
async fn answers_that_are_no_list_are_errors_and_no_posts() {
    for body in ["", "null", "[]", "{}", r#"{"data":3}"#, r#"{"data":[{"id":"1""#, "<html></html>"] {
        let scene = Scene::new().await;
        scene.fake.plan(Answer::json(body));
        let failed = scene.page().read_all(&Request::all()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Protocol, "{body}: {failed}");
    }
}

#[tokio::test]
async fn items_that_cannot_be_used_are_set_aside() {
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
    assert_eq!(ids, ["1", "9007199254740993"], "ids are longer than floats");
    assert_eq!(read.posts[1].published_at, at("2026-11-20T10:00:00Z"));
    assert_eq!((read.tally.quarantined, read.tally.duplicates, read.tally.read), (5, 1, 8));
    let reasons: Vec<_> = read.quarantined.iter().map(|one| one.reason.to_string()).collect();
    let expected = ["has no id", "has no time", "has a time that cannot be read", "has no id", "has no id"];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn parts_of_a_batch_that_are_not_answered_are_asked_for_again_and_not_for_ever() {
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
async fn no_call_goes_out_while_the_account_is_told_to_rest() {
    // A patient reader waits the minutes that Meta names.
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(120, "photo"));
    scene.fake.calls_per_hour(100);
    let policy =
        Policy::default().longest_wait(Duration::from_secs(7200)).longest_in_all(Duration::from_secs(90_000));
    let builder = scene.reach(GraphSource::instagram("17", Secret::new(TOKEN)));
    let source = builder.patience(Duration::from_secs(7_200)).retry(policy).build().unwrap();
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts.len(), 120);
    assert!(values(&read, Metric::Reach).iter().all(|value| value.known().is_some()));
    assert_eq!(scene.fake.calls_inside_rest(), 0);
}

#[tokio::test]
async fn a_rest_that_is_longer_than_the_patience_ends_the_read_with_the_time_to_come_back() {
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
    assert!(pages.next_page().await.unwrap().is_none(), "after an error there is no more");
    // Asked again inside the rest, nothing is sent; afterwards it goes on.
    assert!(source.check().await.is_err());
    assert_eq!((scene.fake.calls(), scene.fake.calls_inside_rest()), (9, 0));
    scene.clock.advance(Duration::from_secs(3600));
    source.check().await.unwrap();
    // From three quarters on calls were spread: 80 % costs twelve seconds.
    let spread: Vec<_> = scene.clock.sleeps().iter().map(Duration::as_secs).collect();
    assert_eq!(spread, [12]);
}

#[tokio::test]
async fn the_budget_of_calls_counts_each_part_of_a_batch() {
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(100, "photo"));
    let builder = scene.reach(GraphSource::instagram("17", Secret::new(TOKEN))).calls_per_hour(60);
    let source = builder.patience(Duration::from_secs(4_000)).build().unwrap();
    let read = source.read_all(&Request::all()).await.unwrap();
    assert_eq!(read.posts.len(), 100);
    // 100 posts and 2 lists by 60 calls an hour: over an hour later.
    let took = scene.clock.elapsed();
    assert!((3_600..7_200).contains(&took.as_secs()), "{took:?}");
    // The plan had said so.
    let plan = serde_json::to_value(source.plan(&Request::all().page_size(100))).unwrap();
    assert_eq!(plan, serde_json::json!({"calls": {"per_thousand_posts": 1_010}}));
}

#[tokio::test]
async fn calls_are_signed_where_the_apps_secret_is_given() {
    let scene = Scene::new().await;
    scene.fake.instagram("17", &posts(3, "photo"));
    scene.fake.require_proof("the app's secret");
    let failed = scene.instagram().check().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Input);
    let builder = scene.reach(GraphSource::instagram("17", Secret::new(TOKEN)));
    let source = builder.app_secret(Secret::new("the app's secret")).build().unwrap();
    assert_eq!(source.read_all(&Request::all()).await.unwrap().posts.len(), 3);
}

#[tokio::test]
async fn neither_token_nor_secret_is_in_what_is_printed() {
    let scene = Scene::new().await;
    let builder = scene.reach(GraphSource::instagram("17", Secret::new(TOKEN)));
    let builder = builder.app_secret(Secret::new("canarySECRET"));
    let source = builder.clone().build().unwrap();
    scene.fake.plan(Answer::reset());
    let failed = builder.clone().retry(Policy::once()).build().unwrap().check().await.unwrap_err();
    let shown = format!("{builder:?} {source:?} {failed} {failed:?} {:?}", scene.fake);
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let page = |id: &str| GraphSource::facebook_page(id, Secret::new(TOKEN));
    for builder in [
        page("17/../me"),
        page(""),
        page("17").version("25"),
        page("17").version("v25.0/me"),
        page("17").base_url("http://graph.facebook.com"),
        GraphSource::instagram("17", Secret::new("")),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
    }
    assert!(page("17_4").version("v26.0").build().is_ok());
}
