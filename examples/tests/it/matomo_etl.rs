//! The program as cron runs it, against the recorded Matomo and against a server that this test holds.

use crate::built::example;
use mkt_etl::testing::RecordedMatomo;
use mkt_warehouse::{ColumnType, Query, Sqlite, Value as Cell, Warehouse, open};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with a warehouse.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path("w.db").display())
    }

    /// The command, with an environment of its own that shows everything there is to be logged.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(example("matomo_etl"));
        command.env_clear().env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
        command.env("MATOMO_TOKEN", RecordedMatomo::TOKEN);
        command.current_dir(self.0.path()).args(["--warehouse", &self.url()]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, options: &[&str]) -> Run {
        Run::of(self.command(options).output().unwrap())
    }

    async fn ask(&self, sql: &str) -> i64 {
        let warehouse = open(&self.url()).await.unwrap();
        let answer = warehouse.query(&Query::new(sql).column("n", ColumnType::Int)).await.unwrap();
        match answer.value(0, "n") {
            Cell::Int(n) => n,
            other => panic!("{sql}: {other:?}"),
        }
    }
}

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let run = Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for told in [&run.out, &run.err] {
            assert!(!told.contains(RecordedMatomo::TOKEN), "the token is told");
            assert!(!told.contains("panicked") && !told.contains("@example.org"), "{told}");
        }
        run
    }

    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// One JSON line a slice.
    fn slices(&self) -> Vec<Value> {
        let lines = self.err.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const MARCH: [&str; 4] = ["--from", "2026-03-27", "--to", "2026-03-31"];

#[tokio::test]
async fn the_second_run_changes_nothing_and_the_totals_are_those_of_matomo() {
    let place = Place::new();
    let options = ["--demo", "--json", "--streams", "daily,visits"];
    let first = place.run(&options);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let told = first.json();
    // VisitsSummary.get of 27 to 31 March, with the late visit of the 27th.
    assert_eq!(told["rows"]["sessions"], 13 + 17 + 18 + 1 + 15);
    assert_eq!(told["slices"], serde_json::json!({"settled": 10}));
    assert_eq!(
        (&told["quarantined"], &told["revised"], &told["replayed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!((&told["already_running"], &told["changed"]), (&false.into(), &true.into()));
    assert!(told["seconds"].is_f64());
    assert_eq!(first.slices().len(), 10);
    assert!(first.slices().iter().all(|line| line["seconds"].is_number() && line["state"] == "settled"));
    let second = place.run(&options).json();
    assert_eq!((&second["changed"], &second["replayed"]), (&false.into(), &10.into()));
    assert_eq!(second["rows"], told["rows"]);
    // The view of the course.
    let visits = "select sum(visits) from daily_metrics_by_date";
    assert_eq!(place.ask(visits).await, 64);
    let held = "select visits from daily_metrics_by_date where date = '2026-03-29'";
    assert_eq!(place.ask(held).await, 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_is_read_over_http_by_name_only() {
    let server = RecordedMatomo::start().await.unwrap();
    let place = Place::new();
    let base = server.url();
    let mut options =
        vec!["--base-url", &base, "--site", "1", "--json", "--quiet", "--streams", "daily,visits"];
    options.extend(MARCH);
    let refused = tokio::task::block_in_place(|| place.run(&options));
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{}", refused.err);
    assert_eq!(server.server().hits(), 0, "nothing is sent without TLS unless the host is named");
    let authority = server.server().authority();
    options.extend(["--allow-http", &authority]);
    let told = tokio::task::block_in_place(|| place.run(&options));
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert_eq!(told.json()["rows"]["sessions"], 64);
    assert!(told.slices().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_exit_code_4_and_is_told_nowhere() {
    let server = RecordedMatomo::start().await.unwrap();
    let place = Place::new();
    let (base, authority) = (server.url(), server.server().authority());
    let mut command = place.command(&["--base-url", &base, "--allow-http", &authority, "--site", "1"]);
    let wrong = "canary7f3acanary7f3acanary7f3a00";
    let output =
        tokio::task::block_in_place(|| command.args(MARCH).env("MATOMO_TOKEN", wrong).output().unwrap());
    let run = Run::of(output);
    assert_eq!(run.code, Some(4), "{}", run.err);
    assert!(!run.err.contains("canary") && !run.out.contains("canary"), "{}", run.err);
    assert_eq!(server.server().hits(), 1);
}

#[tokio::test]
async fn while_another_process_is_at_it_nothing_is_done() {
    let place = Place::new();
    let warehouse = Sqlite::open(place.path("w.db")).await.unwrap();
    let held = warehouse.exclusive("etl/matomo/1").await.unwrap().unwrap();
    let run = place.run(&["--demo", "--json", "--once"]);
    assert_eq!((run.code, &run.json()["already_running"]), (Some(0), &true.into()));
    assert_eq!(run.json()["slices"], serde_json::json!({}));
    let told = place.run(&["--demo", "--once"]);
    assert!(told.out.starts_with("already running"), "{}", told.out);
    held.release().await.unwrap();
    assert_eq!(place.run(&["--demo", "--json", "--once"]).json()["already_running"], false);
}

/// A process that is killed, whatever becomes of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_and_run_again_it_is_as_if_nothing_had_happened() {
    let server = RecordedMatomo::start().await.unwrap();
    let (base, authority) = (server.url(), server.server().authority());
    let mut options = vec!["--base-url", &base, "--allow-http", &authority, "--site", "1", "--json"];
    options.extend(["--streams", "daily,visits"]);
    options.extend(MARCH);
    let place = Place::new();
    // A run of these days asks about thirty questions.
    for questions in [3, 9, 15] {
        let before = server.server().hits();
        let child = Killed(place.command(&options).spawn().unwrap());
        let answered = server.server().wait_for_hits(before + questions);
        tokio::time::timeout(Duration::from_secs(60), answered).await.unwrap();
        drop(child);
    }
    // The lock went with the process.
    let run = tokio::task::block_in_place(|| place.run(&options));
    assert_eq!((run.code, &run.json()["already_running"]), (Some(0), &false.into()), "{}", run.err);
    assert_eq!(run.json()["rows"]["sessions"], 64);
    assert_eq!(place.ask("select count(*) from sessions").await, 64);
    assert_eq!(place.ask("select sum(visits) from daily_metrics_by_date").await, 64);
}

#[test]
fn the_ledger_answers_without_a_matomo() {
    let place = Place::new();
    // A question never creates a warehouse.
    let missing = place.run(&["--status"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("there is no file"), "{}", missing.err);
    place.run(&["--demo", "--quiet", "--streams", "daily,visits"]);
    let status = place.run(&["--status"]).out;
    assert!(status.contains("matomo/daily/1: read until 2026-03-31, final until 2026-03-31"), "{status}");
    let rows: Value = place.run(&["--status", "--json"]).json();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[1]["slices"]["settled"], 5);
    for question in ["--quarantine", "--revisions", "--drift"] {
        assert_eq!(place.run(&[question]).code, Some(0), "{question}");
    }
}

#[test]
fn metrics_are_written_for_prometheus() {
    let place = Place::new();
    place.run(&["--demo", "--quiet", "--prometheus", "m.prom", "--streams", "daily,visits"]);
    let text = std::fs::read_to_string(place.path("m.prom")).unwrap();
    assert!(text.contains("mkt_etl_run_complete 1\n"), "{text}");
    assert!(text.contains("mkt_etl_run_rows{table=\"sessions\"} 64\n"), "{text}");
    let files: Vec<_> =
        std::fs::read_dir(place.0.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{files:?}");
}

#[test]
fn options_that_do_not_read_are_told_in_one_sentence() {
    let place = Place::new();
    for (options, code, said) in [
        (&["--demo", "--from", "2026-03-28", "--to", "2026-03-27"][..], 1, "is after --to"),
        (&["--demo", "--schedule", "every hour"][..], 1, "is no cron expression"),
        (&["--demo", "--streams", "nonsense"][..], 1, "unknown stream"),
        (&["--site", "1"][..], 2, "--base-url"),
        (&["--demo", "--max-quarantined", "101"][..], 2, "a number from 0 to 100"),
    ] {
        let run = place.run(options);
        assert_eq!(run.code, Some(code), "{options:?}: {}", run.err);
        assert!(run.err.contains(said), "{options:?}: {}", run.err);
    }
    let mut command = place.command(&["--base-url", "https://stats.example.org", "--site", "1"]);
    let run = Run::of(command.env_remove("MATOMO_TOKEN").output().unwrap());
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("MATOMO_TOKEN"), "{}", run.err);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_stays_until_it_is_told_to_stop() {
    let place = Place::new();
    let mut command = place.command(&["--demo", "--json", "--quiet", "--schedule", "0 * * * *"]);
    // Nobody reads its trace while it runs, and a full pipe would hold it up.
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut child = Killed(child);
    let began = Instant::now();
    // The first run comes at once.
    loop {
        let ready = place.path("w.db").exists() && {
            let sql = "select count(*) from sqlite_master where name = 'etl_slices'";
            place.ask(sql).await == 1 && place.ask("select count(*) from etl_slices").await > 0
        };
        if ready {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no run in a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let out = std::mem::take(&mut child.0.stdout);
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "it does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut out.unwrap(), &mut text).unwrap();
    assert!(matches!(status.code(), Some(0 | 130)), "{status}");
    let told: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(told["already_running"], false);
}
