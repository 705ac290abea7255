//! `bounces`, run as its users run it.

use crate::built::example;
use mkt_email::{DedupKey, ManualClock, Memory, Message, NewEmail, Outbox, RunOptions};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// An outbox that has sent three emails, and a mailbox with a hard bounce, a soft bounce, a bounce of somebody else's
/// email, a delay and a letter.
struct Place {
    folder: tempfile::TempDir,
    messages: Vec<String>,
}

fn bounce(id: &str, recipient: &str, action: &str, code: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n\
         --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n\
         Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {code}\n\n\
         --b\nContent-Type: message/rfc822\n\nMessage-ID: {id}\n\nHello\n--b--\n"
    )
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path().join("outbox.sqlite")).await.unwrap();
        let now = "2026-10-26T12:00:00Z".parse().unwrap();
        let provider = Memory::new();
        let email = |name: &str| {
            let to = format!("canary-{name}@example.org").parse().unwrap();
            let from = "news@shop.example".parse().unwrap();
            let message = Message::builder(from, to, "Hello".parse().unwrap()).text("Hello").build().unwrap();
            NewEmail::transactional(DedupKey::new("order", name), message)
        };
        outbox.enqueue(&["a", "b", "c"].map(email), now).await.unwrap();
        outbox.run(&provider, &ManualClock::skipping(now), &RunOptions::default()).await.unwrap();
        outbox.close().await;
        let ids: Vec<_> =
            provider.delivered().iter().map(|email| email.message.message_id(email.key)).collect();
        let messages = vec![
            bounce(&ids[0], "canary-a@example.org", "failed", "5.1.1"),
            bounce(&ids[1], "canary-b@example.org", "failed", "5.2.2"),
            bounce("<x@shop.example>", "canary-c@example.org", "failed", "5.1.1"),
            bounce(&ids[2], "canary-c@example.org", "delayed", "4.4.1"),
            "From: canary-a@example.org\nSubject: Hello\n\nHello\n".to_owned(),
        ];
        for name in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(folder.path().join("box").join(name)).unwrap();
        }
        for (number, message) in messages.iter().enumerate() {
            std::fs::write(folder.path().join(format!("box/new/{number}.a")), message).unwrap();
        }
        let mbox: String =
            messages.iter().map(|message| format!("From x Mon Oct 26 12:00:00 2026\n{message}\n")).collect();
        std::fs::write(folder.path().join("mbox"), mbox).unwrap();
        Self { folder, messages }
    }

    fn command(&self, from: &str) -> Command {
        let mut command = Command::new(example("bounces"));
        command.current_dir(self.folder.path()).env_clear().env("RUST_LOG", "trace");
        command.args(["--from", from, "--state", "outbox.sqlite", "--json"]);
        command
    }

    fn run(&self, from: &str) -> Value {
        said(&self.command(from).output().unwrap())
    }
}

fn said(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.is_empty(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn failure(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("canary") && !errors.contains("panicked"), "{errors}");
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn maildir_is_read_once_and_counts_add_up() {
    let place = Place::new().await;
    let first = place.run("maildir:box");
    assert_eq!(
        first,
        json!({
            "read": 5, "bounces": 3, "hard": 2, "soft": 1, "blocked": 0, "complaints": 0, "unsubscribes": 0,
            "matched": 2, "known": 0, "ignored": 2, "delayed": 1, "delivered": 0, "auto_replies": 0,
        })
    );
    let marked = |name: &str| place.folder.path().join("box/cur").join(name).exists();
    assert!(marked("0.a:2,S") && marked("2.a:2,FS") && marked("4.a:2,S"));
    assert_eq!(place.run("maildir:box")["read"], 0);
    // The same messages elsewhere: they are known.
    let again = place.run("mbox:mbox");
    assert_eq!((&again["read"], &again["matched"], &again["known"]), (&json!(5), &json!(2), &json!(2)));
    let outbox = Outbox::open(place.folder.path().join("outbox.sqlite")).await.unwrap();
    assert_eq!(outbox.events_after(0, 100).await.unwrap().events.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn piped_message_is_kept_by_the_server_when_it_cannot_be_recorded() {
    let place = Place::new().await;
    let pipe = |state: &str| {
        let mut command = Command::new(example("bounces"));
        command
            .current_dir(place.folder.path())
            .env_clear()
            .args(["--from", "-", "--json", "--state", state]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = process.stdin.take().unwrap();
        let _ = input.write_all(format!("From x Mon Oct 26 12:00:00 2026\n{}", place.messages[0]).as_bytes());
        drop(input);
        process.wait_with_output().unwrap()
    };
    assert!(failure(&pipe("nowhere.sqlite"), 75).contains("there is no state nowhere.sqlite"));
    assert!(!Path::new("nowhere.sqlite").exists());
    let report = said(&pipe("outbox.sqlite"));
    assert_eq!((&report["read"], &report["hard"], &report["matched"]), (&json!(1), &json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_mailboxes_are_errors_without_secrets() {
    let place = Place::new().await;
    for (from, code, expected) in [
        ("maildir:nowhere", 1, "not a Maildir"),
        ("mbox:nowhere", 1, "cannot be read"),
        ("mbox:box/new/4.a", 1, "\"From \""),
        ("box", 2, "expected maildir:DIR"),
        ("imaps://u@127.0.0.1:1", 1, "MKT_IMAP_PASSWORD is not set"),
    ] {
        let errors = failure(&place.command(from).output().unwrap(), code);
        assert!(errors.contains(expected), "{from}: {errors}");
    }
    for (url, expected) in [
        ("imaps://u:canary@127.0.0.1:1", "does not belong in the IMAP URL"),
        ("imap://u@mail.example", "not encrypted"),
        ("imaps://u@127.0.0.1:1", "no connection could be made"),
    ] {
        let output = place.command(url).env("MKT_IMAP_PASSWORD", "canary-password").output().unwrap();
        let errors = failure(&output, 1);
        assert!(errors.contains(expected), "{errors}");
    }
}
