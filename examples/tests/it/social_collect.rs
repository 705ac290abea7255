//! `social_collect`, run as its users run it, against the fake Graph API.

use crate::built::example;
use mkt_connect::clock::ManualClock;
use mkt_social::testing::graph::FakeGraph;
use mkt_social::testing::world;
use serde_json::Value;
use std::process::{Command, Output};
use tempfile::TempDir;

const TOKEN: &str = "EAAcanaryTOKEN";

struct Place {
    folder: TempDir,
    fake: FakeGraph,
}

impl Place {
    async fn new() -> Self {
        let clock = ManualClock::new("2026-11-26T12:00:00Z".parse().unwrap());
        let fake = FakeGraph::start(&clock, TOKEN).await.unwrap();
        fake.page("17", &world());
        Self { folder: tempfile::tempdir().unwrap(), fake }
    }

    async fn run(&self, options: &[&str]) -> Output {
        let mut command = Command::new(example("social_collect"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("RUST_LOG", "trace")
            .env("META_TOKEN", TOKEN)
            .args(["--network", "facebook", "--account", "17", "--json"])
            .args(["--base-url", &self.fake.url(), "--allow-http", &self.fake.authority()])
            .args(options);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!told.contains("canary") && !told.contains("panicked"), "{told}");
        output
    }

    async fn count(&self, query: &str) -> i64 {
        use mkt_warehouse::{ColumnType, Query, open};
        let url = format!("sqlite:{}", self.folder.path().join("s.db").display());
        let query = Query::new(query).column("n", ColumnType::Int);
        open(&url).await.unwrap().query(&query).await.unwrap().read(0, "n").unwrap()
    }
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_are_kept_once_and_every_run_adds_its_observations() {
    let place = Place::new().await;
    let options = ["--warehouse", "sqlite:s.db", "--site", "shop", "--reread", "9999"];
    let first = told(&place.run(&options).await);
    assert_eq!(
        (&first["posts"], &first["complete"], &first["since"]),
        (&23.into(), &true.into(), &Value::Null)
    );
    let observed = place.count("select count(*) as n from observations").await;
    let again = told(&place.run(&options).await);
    assert_eq!(again["posts"], 23);
    assert!(again["since"].is_string(), "since the last complete run, and the days that are read again");
    assert_eq!(place.count("select count(*) as n from posts").await, 23);
    assert_eq!(place.count("select count(*) as n from observations").await, 2 * observed);
    // Of a missing number the reason is kept; none is 0 that was not told as 0.
    let missing = "select count(*) as n from observations where (value is null) = (missing is null)";
    assert_eq!(place.count(missing).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_keeps_what_it_read_and_does_not_count_as_complete() {
    let place = Place::new().await;
    place.fake.fail(400, 4, 0, "(#4) Application request limit reached");
    let output = place.run(&["--warehouse", "sqlite:s.db"]).await;
    assert_eq!(output.status.code(), Some(3));
    let first = told(&output);
    assert_eq!((&first["complete"], &first["retry_after_seconds"]), (&false.into(), &3600.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("come back in 60 minutes"));
    // The next run begins where the last complete one ended: there is none.
    let second = told(&place.run(&["--warehouse", "sqlite:s.db"]).await);
    assert_eq!((&second["since"], &second["posts"]), (&Value::Null, &23.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_what_the_report_reads() {
    let place = Place::new().await;
    let output = place.run(&["--out", "posts.csv"]).await;
    assert_eq!(told(&output)["posts"], 23);
    let report = Command::new(example("social_report"))
        .current_dir(place.folder.path())
        .args(["--posts", "posts.csv", "--json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["posts"], &report["quarantined"]), (&23.into(), &0.into()));
    // The mean over the posts of the world whose reach is known.
    let reach: Vec<u64> =
        world().iter().filter_map(|(_, seen)| seen.value(mkt_social::Metric::Reach).known()).collect();
    let mean = reach.iter().sum::<u64>() as f64 / reach.len() as f64;
    assert_eq!(report["average_reach"].as_f64(), Some(mean));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_makes_no_call_and_a_refused_token_is_said_without_it() {
    let place = Place::new().await;
    let plan = told(&place.run(&["--plan"]).await);
    assert_eq!((plan, place.fake.calls()), (serde_json::json!({"calls": {"per_thousand_posts": 10}}), 0));
    place.fake.fail(400, 190, 463, "Error validating access token EAAcanaryTOKEN");
    let output = place.run(&["--out", "posts.csv"]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("the token has expired (code 190, subcode 463)"), "{error}");
    assert!(!place.folder.path().join("posts.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mastodon_account_is_read_without_a_token() {
    use mkt_connect::testing::{Answer, Server};
    let server = Server::start(|request| match (&*request.path, request.query_value("max_id")) {
        ("/api/v1/accounts/lookup", _) => Answer::json(r#"{"id":"109"}"#),
        (_, Some(_)) => Answer::json("[]"),
        _ => Answer::json(
            r#"[{"id":"7","created_at":"2026-11-20T10:00:00.000Z","content":"<p>Th&eacute; &amp; lait</p>",
                "favourites_count":3,"replies_count":0,"reblogs_count":1,"media_attachments":[]}]"#,
        ),
    })
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (url, host) = (server.url(), server.authority());
    let mut command = Command::new(example("social_collect"));
    command.current_dir(folder.path()).env_clear().args([
        "--network",
        "mastodon",
        "--account",
        "shop",
        "--out",
        "m.csv",
    ]);
    let without = command.output().unwrap();
    assert!(String::from_utf8_lossy(&without.stderr).contains("--base-url is missing: the Mastodon server"));
    command.args(["--base-url", &url, "--allow-http", &host]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read_to_string(folder.path().join("m.csv")).unwrap();
    assert!(
        file.lines()
            .nth(1)
            .unwrap()
            .starts_with("7,mastodon,2026-11-20T10:00:00Z,,Th&eacute; & lait,3,0,1,,"),
        "{file}"
    );
}
