//! Files as people have them, through the commands that read them: docs/files.md has a row for each, which this test keeps.
//! `BLESS=1` writes the rows anew.

use crate::built::example;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "<!-- files -->\n";
const END: &str = "<!-- /files -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder, in the order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths: BTreeSet<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|it| it.is_file()).collect();
    paths.into_iter().collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

/// What a command said about a file.
struct Run {
    code: i32,
    json: Value,
    said: String,
}

fn run(command: &str, path: &Path, options: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(example(command))
        .args(options)
        .arg(path)
        .arg("--json")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{}: {said}", path.display());
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Run { code: output.status.code().unwrap(), json, said }
}

impl Run {
    fn count(&self, pointer: &str) -> u64 {
        self.json.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The sentence of a refusal, without the program's name and the folder of the file.
    fn refusal(&self, path: &Path) -> String {
        let last = self.said.lines().last().unwrap_or_default();
        let sentence = last.split_once(": ").map_or(last, |(_, sentence)| sentence);
        let shown = path.display().to_string();
        assert!(sentence.matches(shown.as_str()).count() <= 1, "the path stands twice: {sentence}");
        sentence.replace(&shown, name(path))
    }
}

/// One line of the table: the file, what was read, what was not and why.
fn row(text: &mut String, path: &Path, counts: [u64; 4], export: Option<&str>, reason: &str) {
    let [rows, read, aside, repeated] = counts;
    let export = export.map_or_else(String::new, |export| format!(" as {export}"));
    let outcome = match (rows, read) {
        (0, 0) if reason.is_empty() => "a header and no rows: empty".to_owned(),
        (0, 0) => "refused".to_owned(),
        _ => {
            let mut outcome = format!("{read} of {rows} rows{export}");
            if aside > 0 {
                let _ = write!(outcome, ", {aside} set aside");
            }
            if repeated > 0 {
                let _ = write!(outcome, ", {repeated} repeated");
            }
            outcome
        }
    };
    let _ = writeln!(text, "| `{}` | {outcome} | {} |", name(path), reason.replace('|', "\\|"));
}

fn events() -> String {
    let mut text = "| file of events | read | the first reason |\n|---|---|---|\n".to_owned();
    let visits = files("mkt-etl/tests/cases/sessions").into_iter();
    for path in files("mkt-etl/tests/cases/events").into_iter().chain(visits) {
        let is_sessions = name(&path).ends_with("_s.csv") || name(&path) == "matomo_visits.csv";
        let kind = if is_sessions { "--sessions" } else { "--events" };
        let run = run("load_events", &path, &["--warehouse", "sqlite:w.db", kind]);
        let reason = match run.code {
            0 | 3 => {
                run.json.pointer("/files/0/first_reasons/0").and_then(Value::as_str).unwrap_or("").to_owned()
            }
            _ => run.refusal(&path),
        };
        let loaded = run.count("/loaded");
        let counts = [run.count("/read"), loaded, run.count("/quarantined"), run.count("/duplicates")];
        row(&mut text, &path, counts, run.json.pointer("/files/0/export").and_then(Value::as_str), &reason);
    }
    text
}

fn posts() -> String {
    let mut text = "| file of posts | read | the option that helps |\n|---|---|---|\n".to_owned();
    for path in files("mkt-social/tests/cases") {
        let run = run("social_report", &path, &["--read-at", "2026-11-26T00:00:00Z", "--posts"]);
        let help = run.said.lines().find_map(|line| line.split_once("this may help: "));
        let reason = match (run.code, help) {
            (_, Some((_, option))) => option.to_owned(),
            (0 | 3, None) => String::new(),
            _ => run.refusal(&path),
        };
        let (read, aside) = (run.count("/posts"), run.count("/quarantined"));
        row(
            &mut text,
            &path,
            [read + aside, read, aside, 0],
            run.json.pointer("/findings/shape").and_then(Value::as_str),
            &reason,
        );
    }
    text
}

fn people() -> String {
    let mut text = "| file of people | read | the first reason |\n|---|---|---|\n".to_owned();
    for path in files("mkt-email/tests/cases/subscribers") {
        let run = run("welcome_email", &path, &["--dry-run", "--subscribers"]);
        let aside = run.said.lines().find_map(|line| line.strip_prefix("welcome_email: quarantined: "));
        let reason = match run.code {
            0 | 3 => aside.unwrap_or("").to_owned(),
            _ => run.refusal(&path),
        };
        let counts = ["/rows", "/recipients", "/quarantined", "/duplicates"].map(|key| run.count(key));
        row(&mut text, &path, counts, None, &reason);
    }
    text
}

#[test]
fn every_file_of_the_cases_has_its_row_in_the_documents() {
    let path = root().join("docs/files.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (held, after) = rest.split_once(END).unwrap();
    let tables = format!("{}\n{}\n{}", events(), posts(), people());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(held, tables, "BLESS=1 writes the rows anew");
}
