//! The send log: every outcome once, whatever happens to the file or the process in between.

use crate::help::{clock, noon, outbox_with, reader, transactional};
use mkt_connect::ErrorKind;
use mkt_email::provider::RejectReason;
use mkt_email::{Memory, Outbox, RunOptions, Script};
use serde_json::Value;
use std::path::Path;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn sent(count: usize) -> (Outbox, Memory) {
    let (outbox, provider) = (outbox_with(count).await, Memory::new());
    provider.script(&reader(1), Script::Reject(RejectReason::Blocked));
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    (outbox, provider)
}

#[tokio::test]
async fn each_outcome_is_one_log_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("send.ndjson");
    let (outbox, provider) = sent(3).await;
    assert_eq!(outbox.write_send_log(&path).await.unwrap(), 3);
    let lines = lines(&path);
    let recipients: Vec<_> =
        lines.iter().map(|line| line["recipient"].as_str().unwrap().to_owned()).collect();
    assert_eq!(recipients, ["reader0@example.org", "reader1@example.org", "reader2@example.org"]);
    assert_eq!(lines[0]["outcome"], "accepted");
    let first = &provider.delivered()[0];
    assert_eq!(lines[0]["id"], first.message.message_id(first.key));
    assert_eq!(lines[0]["at"], "2026-10-26T12:00:00.000Z");
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["reason"]),
        (&"rejected".into(), &"blocked: scripted".into())
    );
}

#[tokio::test]
async fn second_send_log_adds_only_new_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("send.ndjson");
    let (outbox, provider) = sent(3).await;
    outbox.write_send_log(&path).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(outbox.write_send_log(&path).await.unwrap(), 0);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    outbox.enqueue(&[transactional("more", &reader(7))], noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(outbox.write_send_log(&path).await.unwrap(), 1);
    assert_eq!(lines(&path).len(), 4);
}

#[tokio::test]
async fn log_line_cut_by_a_crash_is_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("send.ndjson");
    let (outbox, _) = sent(3).await;
    outbox.write_send_log(&path).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    for kept in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..kept]).unwrap();
        outbox.write_send_log(&path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut after {kept} bytes");
    }
}

#[tokio::test]
async fn file_that_is_no_send_log_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("send.ndjson");
    let (outbox, _) = sent(2).await;
    let (other, _) = sent(2).await;
    other.write_send_log(&path).await.unwrap();
    for content in [std::fs::read(&path).unwrap(), b"my notes\n".to_vec(), b"my notes".to_vec()] {
        std::fs::write(&path, &content).unwrap();
        let error = outbox.write_send_log(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn send_log_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("send.ndjson");
    sent(1).await.0.write_send_log(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
