//! The program, as cron runs it, and what it left behind.

use crate::built::example;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Part of every secret that the tests use; no output may hold it.
pub(super) const CANARY: &str = "canary7f3a";

/// A directory for one test, with a file of sign-ups.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    pub(super) fn new(sign_ups: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(place.path("inscrits.csv"), sign_ups).unwrap();
        place
    }

    /// With so many people, none of them bad.
    pub(super) fn of_people(count: usize) -> Self {
        let rows = (0..count).map(|n| format!("reader{n}@example.org,Jean{n},2025-01-15\n"));
        Self::new(&format!("email,prenom,date_inscription\n{}", rows.collect::<String>()))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command, run in the directory, with an environment of its own.
    pub(super) fn command(&self, options: &[&str], keys: &[(&str, &str)]) -> Command {
        let mut command = Command::new(example("welcome_email"));
        command.current_dir(self.dir.path()).args(["--subscribers", "inscrits.csv", "--json"]).args(options);
        command.env_clear().env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace").envs(keys.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, options: &[&str], keys: &[(&str, &str)]) -> Run {
        Run::of(self.command(options, keys).output().unwrap())
    }

    /// Runs to the end and answers with the counts.
    pub(super) fn counts(&self, options: &[&str], keys: &[(&str, &str)]) -> BTreeMap<String, u64> {
        self.run(options, keys).counts(0)
    }

    /// The send log, line by line.
    pub(super) fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("welcome_email/send_log.ndjson")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The mails of the mail directory.
    pub(super) fn mails(&self) -> Vec<String> {
        let folder = fs::read_dir(self.path("welcome_email/mails/new")).unwrap();
        folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    /// No file that the program wrote holds a secret.
    pub(super) fn holds_no_secret(&self) {
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    assert!(!text.contains(CANARY), "a secret in {}", path.display());
                }
            }
        }
    }
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
        let run = Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        let told = format!("{}{}", run.out, run.err);
        assert!(!told.contains(CANARY), "a secret is told");
        assert!(!told.contains("panicked") && !run.err.contains("@example.org"), "{told}");
        run
    }

    /// The counts of the one JSON object, which add up.
    pub(super) fn counts(&self, code: i32) -> BTreeMap<String, u64> {
        assert_eq!(self.code, Some(code), "{self:?}");
        let value: Value = serde_json::from_str(&self.out).unwrap();
        assert!(value["seconds"].is_f64());
        let counts: BTreeMap<String, u64> = value
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_u64()?)))
            .collect();
        let keys: Vec<&str> = counts.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "already_sent",
                "cancelled",
                "duplicates",
                "failed",
                "pending",
                "quarantined",
                "recipients",
                "rows",
                "sent",
                "suppressed",
                "unknown"
            ]
        );
        let sum = |keys: &[&str]| keys.iter().map(|key| counts[*key]).sum::<u64>();
        assert_eq!(sum(&["recipients", "quarantined", "duplicates"]), counts["rows"], "{counts:?}");
        assert_eq!(
            sum(&["sent", "failed", "suppressed", "cancelled", "unknown", "pending"]),
            counts["recipients"],
            "{counts:?}"
        );
        assert!(counts["already_sent"] <= counts["sent"], "{counts:?}");
        counts
    }

    /// The one sentence of a run that failed.
    pub(super) fn sentence(&self) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        let told: Vec<&str> = self.err.lines().filter(|line| !line.contains(": quarantined: ")).collect();
        let [sentence] = told.as_slice() else { panic!("one sentence is told: {}", self.err) };
        sentence.strip_prefix("welcome_email: ").unwrap()
    }
}
