//! `at_internet_etl`, run as its users run it: as a program, against the stand-in on loopback.

use crate::built::example;
use chrono::NaiveDate;
use mkt_etl::at_internet::DataQuery;
use mkt_etl::testing::{AtInternetFault, FakeAtInternet};
use serde_json::Value;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory with a warehouse, and a stand-in of the vendor.
struct Place {
    folder: TempDir,
    fake: FakeAtInternet,
}

impl Place {
    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fake: FakeAtInternet::start().await.unwrap() }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(example("at_internet_etl"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .env("RUST_LOG", "trace");
        command.args(["--warehouse", "sqlite:at.db"]).args(options);
        command
    }

    /// Against the stand-in, with its key.
    async fn run(&self, options: &[&str]) -> Output {
        self.run_with(self.fake.key().expose(), options).await
    }

    async fn run_with(&self, key: &str, options: &[&str]) -> Output {
        let url = self.fake.url();
        let mut command =
            self.command(&["--base-url", &url, "--allow-http", &self.fake.server().authority(), "--json"]);
        command.args(options).env("AT_INTERNET_KEY", key);
        // The stand-in answers while the program runs.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!told.contains("canary") && !told.contains("panicked") && !told.contains('@'), "{told}");
        output
    }
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const OPTIONS: [&str; 10] = [
    "--space",
    "123456",
    "--zone",
    "Europe/Paris",
    "--columns",
    "visit_device_type,m_visits,m_unique_visitors",
    "--from",
    "2026-03-28",
    "--to",
    "2026-03-29",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_loaded_once_and_changes_nothing_the_second_time() {
    let place = Place::new().await;
    let first = told(&place.run(&OPTIONS).await);
    // Three devices, two metrics, two days.
    assert_eq!(first["rows"], serde_json::json!({"dimension_metrics": 12}));
    assert_eq!(first["slices"], serde_json::json!({"settled": 2}));
    assert_eq!(
        (&first["quarantined"], &first["revised"], &first["replayed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(first["seconds"].is_f64());
    let again = told(&place.run(&OPTIONS).await);
    assert_eq!((&again["replayed"], &again["changed"]), (&2.into(), &false.into()));
    // No file of it holds the key.
    for entry in std::fs::read_dir(place.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"canary"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analysts_url_is_read_with_its_days_and_its_filter() {
    let place = Place::new().await;
    let url = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_page_loads}\
               &sort={-m_page_loads}&filter={d_page:{$eq:'shop::l’étagère 7'}}&space={s:123456}\
               &period={D:{start:'2026-03-28',end:'2026-03-30'}}&max-results=50&page-num=1&lng=fr&apikey=canary-in-the-url";
    let url = url.replace('’', "%27").replace("{$eq:'shop", "{$eq:\"shop").replace("7'}", "7\"}");
    let output = place.run(&["--url", &url, "--zone", "Europe/Paris", "--report", "shelf"]).await;
    assert!(error(&output).contains("the key in the URL is not used"), "{}", error(&output));
    let report = told(&output);
    assert_eq!(report["slices"], serde_json::json!({"settled": 3}));
    assert_eq!(report["rows"], serde_json::json!({"dimension_metrics": 3}));
    // A relative period names no days.
    let relative = url.replace("{D:{start:'2026-03-28',end:'2026-03-30'}}", "{R:{D:'-1'}}");
    let output = place.run(&["--url", &relative]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("--from and --to"), "{}", error(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_several_periods_reads_the_days_of_all_and_no_others() {
    let place = Place::new().await;
    let url = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_page_loads}&space={s:123456}\
               &period={D:'2026-03-27',D:{start:'2026-03-30',end:'2026-03-31'}}";
    let report = told(&place.run(&["--url", url, "--zone", "Europe/Paris", "--report", "pages"]).await);
    assert_eq!(report["slices"], serde_json::json!({"settled": 3}));
    // Bounds leave the days of the URL that lie in them.
    let bounds = ["--from", "2026-03-28", "--to", "2026-03-30", "--report", "bounded"];
    let report = told(&place.run(&[&["--url", url, "--zone", "Europe/Paris"][..], &bounds].concat()).await);
    assert_eq!(report["slices"], serde_json::json!({"settled": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_and_restricted_keys_are_read_too() {
    let place = Place::new().await;
    let days = ["--zone", "Europe/Paris", "--from", "2026-03-28", "--to", "2026-03-28"];
    let v2 = ["--api", "v2", "--space", "123456", "--columns", "d_page,m_page_loads", "--report", "old"];
    let old = told(&place.run(&[&v2[..], &days].concat()).await);
    let url = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_page_loads}&space={s:123456}\
               &period={D:'2026-03-28'}";
    let pasted = told(
        &place.run(&["--api", "v2", "--url", url, "--zone", "Europe/Paris", "--report", "pasted"]).await,
    );
    assert_eq!(pasted["rows"], old["rows"]);
    assert!(place.fake.server().requests().iter().all(|request| request.path.starts_with("/data/v2/")));
    let data_set = DataQuery::from_v3(
        r#"{"columns":["page","m_page_loads"],"sort":["-m_page_loads"],"space":{"s":[123456]},
            "period":{"p1":[{"type":"D","start":"2026-03-28","end":"2026-03-28"}]}}"#,
    );
    let key = place.fake.add_restricted_key(&data_set.unwrap()).unwrap();
    let restricted =
        ["--api", "restricted", "--space", "123456", "--columns", "page,m_page_loads", "--report", "part"];
    let part = told(&place.run_with(key.expose(), &[&restricted[..], &days].concat()).await);
    assert_eq!(part["rows"], old["rows"]);
    let output = place.run(&["--api", "restricted", "--url", url]).await;
    assert!(output.status.code() == Some(2) && error(&output).contains("takes no query"));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_change_late_are_revised_and_a_failing_day_leaves_the_others() {
    let place = Place::new().await;
    // Days that are not final yet: a day lasts ten years.
    let young = [&OPTIONS[..], &["--final-after", "3650"]].concat();
    assert_eq!(told(&place.run(&young).await)["slices"], serde_json::json!({"provisional": 2}));
    let day: NaiveDate = "2026-03-28".parse().unwrap();
    place.fake.add_late(FakeAtInternet::SPACE, day, 7);
    assert_eq!(told(&place.run(&young).await)["revised"], 1);
    // The check passes, then one answer is not the vendor's: that slice fails, the other is read.
    place.fake.inject(AtInternetFault::None);
    place.fake.inject(AtInternetFault::HtmlPage);
    let output = place.run(&young).await;
    assert_eq!(output.status.code(), Some(3), "{}", error(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failures"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_and_options_that_do_not_read_have_their_codes() {
    let place = Place::new().await;
    let output = place.run_with("canary_wrong", &OPTIONS).await;
    assert_eq!(output.status.code(), Some(4), "{}", error(&output));
    assert_eq!(place.fake.calls(), 1);
    let output = place.run_with("", &OPTIONS).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("AT_INTERNET_KEY"));
    for bad in [
        &["--space", "123456", "--columns", "page", "--from", "2026-03-28", "--to", "2026-03-28"][..],
        &["--space", "123456", "--columns", "m_visits", "--from", "2026-03-28", "--to", "2026-03-27"],
        &["--space", "123456", "--columns", "m_visits", "--from", "2026-02-30", "--to", "2026-03-27"],
        &["--space", "123456", "--from", "2026-03-28", "--to", "2026-03-28"],
        &["--url", "https://a.example/data/v2/json/getData?&columns={m_visits}"],
        &[
            "--url",
            "https://a.example/data/v2/json/getData?&columns={cl_1,m_visits}&space={s:1}&period={D:2026-03-28}",
        ],
    ] {
        assert_eq!(place.run(bad).await.status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn the_demo_needs_no_account_and_the_help_names_keys_and_codes() {
    let folder = tempfile::tempdir().unwrap();
    let program = || {
        let mut command = Command::new(example("at_internet_etl"));
        command.current_dir(folder.path()).env_clear();
        command
    };
    let output = program().args(["--demo", "--warehouse", "sqlite:at.db", "--json"]).output().unwrap();
    let report = told(&output);
    assert_eq!(report["slices"], serde_json::json!({"settled": 5}));
    let output = program().args(["--demo", "--warehouse", "sqlite:at.db"]).output().unwrap();
    let sentence = String::from_utf8(output.stdout).unwrap();
    assert!(
        sentence.starts_with("slices: 5 settled; rows: ") && sentence.contains("5 there already"),
        "{sentence}"
    );
    let help = String::from_utf8(program().arg("--help").output().unwrap().stdout).unwrap();
    for part in ["AT_INTERNET_KEY", "KEYS OF --json", "EXIT CODE", "EXAMPLES", "--demo", "--url"] {
        assert!(help.contains(part), "{part}");
    }
}
