//! The program, its world of files, and what it left behind.

use crate::built::example;
use mkt_warehouse::{ColumnType, Query, Sqlite, Warehouse};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub(super) const DATA: [&str; 7] = [
    "sessions.csv",
    "events.csv",
    "customers.csv",
    "costs.csv",
    "inscrits.csv",
    "social_posts.csv",
    "user_behavior.csv",
];

pub(super) fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// A place for one test: data that it may spoil, and an output directory.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    /// With the committed data.
    pub(super) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.data()).unwrap();
        for name in DATA {
            fs::copy(committed().join(name), place.file(name)).unwrap();
        }
        place
    }

    /// With a world of its own, made as `make_sample_data` makes it.
    pub(super) fn world(options: &[&str]) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        crate::sample_data::answer(&place.data(), options).unwrap();
        place
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    pub(super) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The command, not yet run.
    pub(super) fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(example("quickstart"));
        // A copy of the demo's data, which may be spoilt, with the recorded Matomo beside it.
        command
            .args(["--recording", "--json", "--data"])
            .arg(self.data())
            .arg("--out")
            .arg(self.out())
            .args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A user may have asked for backtraces; what is told must not depend on it.
        command.env("RUST_BACKTRACE", "1");
        command
    }

    pub(super) fn run(&self) -> Run {
        Run::of(self.command(&[]).output().unwrap())
    }

    /// Runs to the end and answers with the JSON object.
    pub(super) fn answer(&self) -> Value {
        self.run().json()
    }

    /// What must be the same however often the run was cut short.
    pub(super) fn left(&self) -> BTreeMap<String, String> {
        let mut left = tables(&self.out().join("mkt.sqlite"));
        let mut folders = vec![self.out()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = entry.strip_prefix(self.out()).unwrap().display().to_string();
                if name == "mails/tmp" {
                    // What a killed writer left half-way is in here, and no mail: the next writers remove it when it is old.
                } else if entry.is_dir() {
                    folders.push(entry);
                } else if name == "send_log.ndjson" {
                    left.insert(name, outcomes(&fs::read_to_string(entry).unwrap()));
                } else if !name.starts_with("mkt.sqlite") {
                    left.insert(name, String::from_utf8_lossy(&fs::read(entry).unwrap()).into_owned());
                }
            }
        }
        left
    }
}

/// The send log without the outbox's random name and without attempts that a kill left open: who, about what, how.
fn outcomes(log: &str) -> String {
    let mut lines: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["outcome"] == "accepted" || line["outcome"] == "suppressed")
        .map(|line| {
            format!("{} {} {} {}", line["mail"], line["campaign"], line["recipient"], line["outcome"])
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// Every table as text, without what tells when or how often it was tried.
#[tokio::main(flavor = "current_thread")]
async fn tables(file: &Path) -> BTreeMap<String, String> {
    const TOLD_ELSEWHERE: [&str; 3] = ["mail_log", "mail_identity", "sqlite_sequence"];
    const OF_THE_RUN: [&str; 12] = [
        "installed_on",
        "execution_time",
        "attempt",
        "attempted_at",
        "worker",
        "lease_until",
        "not_before",
        "enqueued_at",
        "updated_at",
        "group_key",
        "group_position",
        "stage",
    ];
    let warehouse = Sqlite::open(file).await.unwrap();
    let mut tables = BTreeMap::new();
    let names = texts(&warehouse, "select name from sqlite_master where type = 'table'").await;
    for name in names.iter().filter(|name| !TOLD_ELSEWHERE.contains(&name.as_str())) {
        let columns = texts(&warehouse, &format!("select name from pragma_table_info('{name}')")).await;
        let kept: Vec<String> = columns
            .iter()
            .filter(|column| !OF_THE_RUN.contains(&column.as_str()))
            // A number given in the order of insertion.
            .filter(|column| !(name == "mail_consents" && *column == "id"))
            .map(|column| format!("quote(\"{column}\")"))
            .collect();
        let rows = format!("select {} as name from \"{name}\" order by 1", kept.join(" || ',' || "));
        tables.insert(format!("table {name}"), texts(&warehouse, &rows).await.join("\n"));
    }
    warehouse.close().await;
    tables
}

/// The column `name` of a query.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn texts_of(file: &Path, sql: &str) -> Vec<String> {
    let warehouse = Sqlite::open(file).await.unwrap();
    let texts = texts(&warehouse, sql).await;
    warehouse.close().await;
    texts
}

async fn texts(warehouse: &Sqlite, sql: &str) -> Vec<String> {
    let table = warehouse.query(&Query::new(sql).column("name", ColumnType::Text)).await.unwrap();
    (0..table.rows()).map(|row| table.read(row, "name").unwrap()).collect()
}

/// Says which part differs, not with all its bytes.
pub(super) fn assert_same(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>, when: &str) {
    let names: Vec<_> =
        ours.keys().chain(theirs.keys()).filter(|name| ours.get(*name) != theirs.get(*name)).collect();
    assert!(names.is_empty(), "{when}: these differ: {names:?}");
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Run {
    pub(super) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON object of a run that went well.
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.err);
        assert!(self.err.starts_with("[1/7] "), "progress is on standard error: {}", self.err);
        let value: Value = serde_json::from_str(&self.out).unwrap();
        assert!(value.is_object());
        value
    }

    /// The one sentence of a run that failed.
    pub(super) fn sentence(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.told()
    }

    pub(super) fn told(&self) -> &str {
        assert_eq!(self.out, "", "nothing but the object goes to standard output");
        let told: Vec<&str> =
            self.err.lines().filter(|line| !line.starts_with('[') && !line.starts_with("      ")).collect();
        let [sentence] = told.as_slice() else { panic!("one sentence is told: {}", self.err) };
        assert_eq!(self.err.lines().last(), Some(*sentence));
        assert!(sentence.starts_with("quickstart: ") && sentence.len() < 400, "{sentence}");
        for word in ["panicked", "backtrace", "@", "SELECT", "code:", "Error {"] {
            assert!(!sentence.contains(word), "{word:?} in {sentence}");
        }
        sentence
    }
}
