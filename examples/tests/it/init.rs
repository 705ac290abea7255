//! A database of somebody else is left alone by every loader, unless `--init` allows tables beside those that are there.

use crate::built::example;
use std::process::{Command, Output};

/// A SQLite file with a table of somebody else, and its bytes.
fn foreign(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("theirs.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use mkt_warehouse::{Migration, Schema, Sqlite, Warehouse};
        const THEIRS: Schema = Schema {
            owner: "theirs",
            tables: &[],
            migrations: &[Migration {
                version: 1,
                description: "invoices",
                sqlite: "create table invoices (id integer primary key)",
                postgres: "create table invoices (id integer primary key)",
            }],
        };
        let file = Sqlite::open(&path).await.unwrap();
        file.migrate(&THEIRS).await.unwrap();
        file.close().await;
    });
    format!("sqlite:{}", path.display())
}

fn run(name: &str, url: &str, more: &[&str]) -> Output {
    Command::new(example(name)).args(["--warehouse", url]).args(more).output().unwrap()
}

#[test]
fn every_loader_leaves_a_database_of_somebody_else_alone_without_init() {
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/data/events.csv");
    // Nothing listens there: a loader that gets so far fails to connect.
    let nobody = [
        "--network",
        "bluesky",
        "--account",
        "a.example",
        "--base-url",
        "http://127.0.0.1:9",
        "--allow-http",
        "127.0.0.1:9",
    ];
    let loaders: [(&str, &[&str]); 4] = [
        ("load_events", &["--events", events]),
        ("matomo_etl", &["--demo", "--quiet"]),
        ("at_internet_etl", &["--demo"]),
        ("social_collect", &nobody),
    ];
    for (name, options) in loaders {
        let folder = tempfile::tempdir().unwrap();
        let url = foreign(&folder);
        let refused = run(name, &url, options);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("of somebody else; --init creates"), "{name}: {said}");
        let allowed = run(name, &url, &[options, &["--init"]].concat());
        let said = String::from_utf8_lossy(&allowed.stderr).into_owned();
        assert!(!said.contains("somebody else"), "{name}: {said}");
        assert_eq!(allowed.status.success(), name != "social_collect", "{name}: {said}");
    }
}

#[test]
fn questions_to_the_ledger_change_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = foreign(&folder);
    let before = std::fs::read(folder.path().join("theirs.db")).unwrap();
    for question in ["--status", "--quarantine", "--drift"] {
        assert_eq!(run("matomo_etl", &url, &[question]).status.code(), Some(1), "{question}");
    }
    assert_eq!(std::fs::read(folder.path().join("theirs.db")).unwrap(), before);
}
