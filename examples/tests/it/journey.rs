//! `journey`, run as its users run it.

use crate::built::example;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const CARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/carts.ndjson");

fn run(folder: &Path, options: &[&str]) -> Output {
    Command::new(example("journey"))
        .current_dir(folder)
        .env_clear()
        .args(["--state", "state/journey.db"])
        .args(options)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn emails(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("state/mails/new")).unwrap();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn carts_of_the_sample_are_relaunched_once() {
    let folder = TempDir::new().unwrap();
    let options = ["--definition", "cart", "--triggers", CARTS, "--clock", "virtual", "--json"];
    let output = run(folder.path(), &options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = json(&output);
    // Jean gets both, Claire the first and buys, Amina empties her cart, Paul gave no consent.
    assert_eq!((&told["triggers"]["read"], &told["triggers"]["new"]), (&11.into(), &11.into()));
    let advanced = &told["advanced"];
    let figures = ["entered", "sent", "suppressed", "ended"].map(|key| advanced[key].as_u64().unwrap());
    assert_eq!(figures, [4, 3, 1, 4]);
    assert_eq!((&told["emails"]["sent"], &told["emails"]["pending"]), (&3.into(), &0.into()));
    assert_eq!(told["report"]["written_to"]["reached_after"]["reminder"], 1);
    let mails = emails(folder.path());
    assert_eq!(mails.len(), 3);
    assert_eq!(mails.iter().filter(|mail| mail.contains("To: Jean <jean@example.org>")).count(), 2);

    let again = json(&run(folder.path(), &options));
    assert_eq!((&again["triggers"]["known"], &again["advanced"]["sent"]), (&11.into(), &0.into()));
    assert_eq!(emails(folder.path()).len(), 3);
}

#[test]
fn explained_journey_is_drawn_and_names_nobody_unasked() {
    let folder = TempDir::new().unwrap();
    let options = [
        "--definition",
        "cart",
        "--triggers",
        CARTS,
        "--clock",
        "virtual",
        "--until",
        "2026-10-26T12:00:00Z",
        "--explain",
    ];
    let text = String::from_utf8(run(folder.path(), &options).stdout).unwrap();
    assert!(
        text.contains("at not_bought_a_day_later: 2 (wait 2)") && text.contains("ended, emptied: 1"),
        "{text}"
    );
    assert!(text.contains("cart-1: not_bought_a_day_later, wait until 2026-10-27T10:00:00Z"), "{text}");
    assert!(!text.contains('@'), "{text}");
    let svg = std::fs::read_to_string(folder.path().join("state/journey.svg")).unwrap();
    assert!(svg.contains("2 here") && svg.contains("waits 24h") && !svg.contains("@example.org"), "{svg}");
    let named = run(folder.path(), &[&options[..], &["--addresses"]].concat());
    assert!(String::from_utf8(named.stdout).unwrap().contains("jean@example.org cart-1"));
}

#[test]
fn bad_definition_and_bad_lines_are_told_with_their_place() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("bad.toml", "name = \"x\"\n[entry]\non = \"a\"\n[[step]]\nname = \"s\"\nwait = \"soon\"\n");
    let output = run(folder.path(), &["--definition", "bad.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("step \"s\" (line 4): invalid duration \"soon\""), "{told}");
    assert!(!folder.path().join("state").exists(), "nothing is written before everything is read");

    file(
        "lines.ndjson",
        "{\"kind\":\"signed_up\",\"contact\":\"canary at example.org\",\"at\":\"2026-10-26T09:00:00Z\"}\n\nnot json\n",
    );
    let output = run(folder.path(), &["--definition", "welcome", "--triggers", "lines.ndjson", "--json"]);
    let (told, error) = (json(&output), String::from_utf8(output.stderr).unwrap());
    assert_eq!((&told["triggers"]["read"], &told["triggers"]["quarantined"]), (&2.into(), &2.into()));
    assert!(error.contains("line 1: contact: ") && error.contains("line 3: invalid JSON"), "{error}");
    assert!(!error.contains("canary"), "{error}");

    let output = run(folder.path(), &["--definition", "welcome", "--provider", "smtp"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("JOURNEY_UNSUBSCRIBE_KEY"), "{told}");
}
