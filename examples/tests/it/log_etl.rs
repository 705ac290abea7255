//! `log_etl`, run as its users run it: as a program, on the sample log and on files of a folder.

use crate::built::example;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(folder: &Path, logs: &[PathBuf], more: &[&str]) -> Output {
    let mut command = Command::new(example("log_etl"));
    command.env_remove("MKT_LOG_SECRET").current_dir(folder);
    command
        .args(["--warehouse", "sqlite:log.db", "--zone", "Europe/Paris", "--json", "--log"])
        .args(logs)
        .args(more);
    command.output().unwrap()
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn counts(told: &Value) -> [u64; 5] {
    ["read", "loaded", "bots", "quarantined", "sessions"].map(|key| told[key].as_u64().unwrap())
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/access.log")
}

#[test]
fn the_sample_log_holds_what_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let truth: Value =
        serde_json::from_slice(&std::fs::read(sample().with_file_name("truth.json")).unwrap()).unwrap();
    let planted = &truth["access_log"];
    let planted =
        ["lines", "visitors", "robots", "malformed", "sessions"].map(|key| planted[key].as_u64().unwrap());
    let first = told(&run(folder.path(), &[sample()], &[]));
    assert_eq!(counts(&first), planted);
    assert!(first["seconds"].as_f64().is_some());
    assert_eq!(first["changed"], true);
    let again = told(&run(folder.path(), &[sample()], &[]));
    assert_eq!(counts(&again), planted);
    assert_eq!(again["changed"], false);
}

#[test]
fn options_and_files_that_do_not_serve_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear Sir,\n").unwrap();
    let refused = run(folder.path(), std::slice::from_ref(&letter), &[]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("of a known format"), "{text}");
    assert_eq!(run(folder.path(), &[letter], &["--format", "morse"]).status.code(), Some(2));
    let mut command = Command::new(example("log_etl"));
    command.env_remove("MKT_LOG_SECRET");
    let output =
        command.args(["--warehouse", "postgres://nobody@localhost/none", "--log", "x"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing secret"), "{output:?}");
}
