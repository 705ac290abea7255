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
    let behaviour = data.join("user_behavior.csv");
    let [events, posts, people, behaviour] =
        [&events, &posts, &people, &behaviour].map(|path| path.to_str().unwrap());
    let loaded = command("load_events", &["--warehouse", &url, "--events", events]).output().unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    vec![
        command("make_sample_data", &["--users", "3", "--out", "world"]),
        command("sql_analytics", &["--warehouse", &url]),
        command("sql_analytics", &["--warehouse", &url, "--print-sql"]),
        command("load_events", &["--warehouse", &url, "--events", events]),
        command("social_report", &["--posts", posts]),
        command("welcome_email", &["--subscribers", people, "--dry-run"]),
        command("matomo_etl", &["--demo", "--quiet", "--warehouse", "sqlite:matomo.db"]),
        command("at_internet_etl", &["--demo", "--warehouse", "sqlite:at.db"]),
        command("social_collect", &["--network", "bluesky", "--account", "a.example", "--plan"]),
        command("conversion_model", &["--data", behaviour, "--target", "converted", "--trees", "3"]),
        command("attribution", &["--warehouse", &url, "--model", "linear"]),
        command("uplift", &["--power", "0.8", "--rate", "0.04", "--uplift", "0.01"]),
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

/// Long work of three commands: Ctrl-C at any time is answered at once, with one sentence, and leaves no part of a file.
#[cfg(unix)]
#[test]
fn ctrl_c_is_one_sentence_and_leaves_no_partial_file() {
    use std::time::{Duration, Instant};
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let [events, behaviour] =
        ["events.csv", "user_behavior.csv"].map(|name| data.join(name).to_str().unwrap().to_owned());
    let long: [(&str, Vec<&str>); 3] = [
        ("make_sample_data", vec!["--users", "2000000", "--out", "world"]),
        (
            "conversion_model",
            vec!["--data", &behaviour, "--target", "converted", "--trees", "100000", "--save", "m"],
        ),
        ("load_events", vec!["--warehouse", "sqlite:shop.db", "--events", &events]),
    ];
    for (name, arguments) in long {
        for wait in [50, 400, 1200] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = Command::new(example(name));
            command.args(&arguments).current_dir(folder.path()).stdin(Stdio::null());
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            let asked = Instant::now();
            let output = child.wait_with_output().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(20), "{name} went on after Ctrl-C");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // Before the program listens the signal ends it; a short one may be done already.
            if let Some(code) = output.status.code().filter(|code| *code != 0) {
                assert_eq!(code, 130, "{name}: {said}");
                assert!(said.contains(&format!("{name}: ")), "{name}: {said}");
            }
            let mut left = vec![folder.path().to_owned()];
            while let Some(path) = left.pop() {
                for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
                    let path = entry.path();
                    assert!(!path.to_string_lossy().ends_with(".part"), "{name} left {}", path.display());
                    if path.is_dir() {
                        left.push(path);
                    }
                }
            }
        }
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

/// Every command, with what it needs to show its help.
const COMMANDS: [&str; 18] = [
    "at_internet_etl",
    "attribution",
    "bounces",
    "conversion_model",
    "customer_value",
    "email_events",
    "journey",
    "load_events",
    "log_etl",
    "make_sample_data",
    "matomo_etl",
    "quickstart",
    "score",
    "social_collect",
    "social_report",
    "sql_analytics",
    "uplift",
    "welcome_email",
];

#[test]
fn help_fits_80_columns_and_was_broken_once() {
    for name in COMMANDS {
        let output = Command::new(example(name)).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = help.lines().collect();
        for line in &lines {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        // A text that was broken by hand and again by the terminal leaves single words between full lines.
        for three in lines.windows(3) {
            let [before, word, after] = three else { continue };
            let single = word.split_whitespace().count() == 1 && word.trim().len() < 12;
            let between =
                before.len() > 66 && after.len() > 60 && !after.trim_start().starts_with(['-', '[']);
            assert!(!(single && between), "{name}: {before}\n{word}\n{after}");
        }
        assert!(help.to_lowercase().contains("cargo run --release --example"), "{name}: no example");
    }
}
