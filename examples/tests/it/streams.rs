//! What every command does when its reader goes, or the disk is full: no panic, no half a sentence.

use crate::built::example;
use std::path::Path;
use std::process::{Command, Stdio};

/// Commands that answer quickly, with enough output to notice.
fn commands(folder: &Path) -> Vec<Command> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let command = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(example(name));
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        command
    };
    let url = format!("sqlite:{}", folder.join("shop.db").display());
    let events = data.join("events.csv");
    let posts = data.join("social_posts.csv");
    let people = data.join("inscrits.csv");
    let [events, posts, people] = [&events, &posts, &people].map(|path| path.to_str().unwrap());
    let loaded = command("load_events", &["--warehouse", &url, "--events", events]).output().unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    vec![
        command("make_sample_data", &["--users", "3", "--out", "world"]),
        command("sql_analytics", &["--warehouse", &url]),
        command("sql_analytics", &["--warehouse", &url, "--print-sql"]),
        command("load_events", &["--warehouse", &url, "--events", events]),
        command("social_report", &["--posts", posts]),
        command("welcome_email", &["--subscribers", people, "--dry-run"]),
    ]
}

#[test]
fn closed_pipe_is_a_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    for mut command in commands(folder.path()) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{command:?}: {said}");
    }
}

/// `/dev/full` answers every write as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_one_sentence_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    for mut command in commands(folder.path()) {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.contains("standard output: No space left") && !said.contains("panicked"),
            "{command:?}: {said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn files_that_name_people_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(commands(folder.path()));
    let people = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join("inscrits.csv");
    let sent = Command::new(example("welcome_email"))
        .arg("--subscribers")
        .arg(people)
        .current_dir(folder.path())
        .output();
    assert!(sent.unwrap().status.success());
    for name in ["shop.db", "welcome_email/outbox.sqlite", "welcome_email/send_log.ndjson", "welcome_email"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}
