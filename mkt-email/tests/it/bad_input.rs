//! Directories that cannot be written, disks that are full: one clear error of kind storage, and nothing left behind
//! that a rerun would not repair.

use crate::help::{noon, reader};
use mkt_connect::ErrorKind;
use mkt_email::message::Attachment;
use mkt_email::{
    Counts, DedupKey, EmailProvider as _, Maildir, Message, NewEmail, Outbox, RunOptions, SystemClock,
};
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[tokio::test]
async fn unwritable_path_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Maildir::open(file.join("mails")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("mails cannot be created") && error.source().is_some(), "{error}");
    let error = Outbox::open(file.join("mail.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("mail.db cannot be opened"), "{error}");
    std::fs::write(&file, "this is no database, and long enough to have a header of its own: ".repeat(9))
        .unwrap();
    assert_eq!(Outbox::open(&file).await.unwrap_err().kind(), ErrorKind::Storage);
}

#[tokio::test]
async fn vanished_maildir_stops_the_run_and_a_rerun_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("mails");
    let maildir = Maildir::open(&root).unwrap();
    let outbox = Outbox::in_memory().await.unwrap();
    outbox.enqueue(&[large(1000)], noon()).await.unwrap();
    std::fs::remove_dir_all(root.join("tmp")).unwrap();
    std::fs::write(root.join("tmp"), "in the way").unwrap();
    let error = outbox.run(&maildir, &SystemClock::new(), &RunOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (ErrorKind::Storage, "maildir"));
    assert_eq!(outbox.counts(None).await.unwrap(), Counts { recipients: 1, pending: 1, ..Counts::default() });
    std::fs::remove_file(root.join("tmp")).unwrap();
    let maildir = Maildir::open(&root).unwrap();
    assert_eq!(outbox.run(&maildir, &SystemClock::new(), &RunOptions::default()).await.unwrap().accepted, 1);
}

fn large(bytes: usize) -> NewEmail {
    let to = reader(1);
    let file = Attachment::new("a.bin".parse().unwrap(), "application/octet-stream", vec![7; bytes]).unwrap();
    let message =
        Message::builder("news@example.com".parse().unwrap(), to.clone().into(), "Hello".parse().unwrap())
            .text("Hello")
            .attach(file)
            .build()
            .unwrap();
    NewEmail::transactional(DedupKey::for_address("large", &to), message)
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// A file size limit makes `write` fail in the middle of a file, as a full disk does, with no disk to fill.
#[cfg(unix)]
fn with_small_files(directory: &Path, act: &str) {
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["bad_input::the_process_whose_disk_is_full", "--exact", "--ignored", "--nocapture"])
        .env("MKT_EMAIL_FULL_DIR", directory)
        .env("MKT_EMAIL_FULL_ACT", act)
        .status()
        .unwrap();
    assert!(status.success(), "{act}");
}

#[tokio::test]
#[ignore = "run by the full-disk tests, as a process of its own with small files"]
async fn the_process_whose_disk_is_full() {
    let directory = PathBuf::from(std::env::var_os("MKT_EMAIL_FULL_DIR").unwrap());
    let outbox = Outbox::open(directory.join("mail.db")).await.unwrap();
    if std::env::var("MKT_EMAIL_FULL_ACT").unwrap() == "enqueue" {
        let error = outbox.enqueue(&[large(2_000_000)], noon()).await.unwrap_err();
        assert_eq!((error.kind(), error.service()), (ErrorKind::Storage, "outbox"));
        assert!(!format!("{error} {error:?}").contains("reader1"), "{error:?}");
        return;
    }
    let maildir = Maildir::open(directory.join("mails")).unwrap();
    let error = outbox.run(&maildir, &SystemClock::new(), &RunOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.service()), (ErrorKind::Storage, "maildir"));
    assert_eq!(error.detail(), Some("the emails cannot be written; none was kept"));
    assert!(!format!("{error} {error:?}").contains("reader1"), "{error:?}");
    assert_eq!(outbox.counts(None).await.unwrap(), Counts { recipients: 1, pending: 1, ..Counts::default() });
}

#[cfg(unix)]
#[tokio::test]
async fn full_disk_of_maildir_leaves_no_partial_email() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(directory.path().join("mail.db")).await.unwrap();
    outbox.enqueue(&[large(2_000_000)], noon()).await.unwrap();
    outbox.close().await;
    with_small_files(directory.path(), "send");
    let emails = directory.path().join("mails");
    assert_eq!((entries(&emails.join("new")), entries(&emails.join("tmp"))), (0, 0));

    let outbox = Outbox::open(directory.path().join("mail.db")).await.unwrap();
    let maildir = Maildir::open(&emails).unwrap();
    assert_eq!(outbox.run(&maildir, &SystemClock::new(), &RunOptions::default()).await.unwrap().accepted, 1);
    assert_eq!(entries(&emails.join("new")), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn full_disk_of_outbox_enqueues_nothing() {
    let directory = tempfile::tempdir().unwrap();
    with_small_files(directory.path(), "enqueue");
    let outbox = Outbox::open(directory.path().join("mail.db")).await.unwrap();
    assert_eq!(outbox.counts(None).await.unwrap(), Counts::default());
    outbox.enqueue(&[large(2_000_000)], noon()).await.unwrap();
    assert_eq!(outbox.counts(None).await.unwrap().pending, 1);
}

/// What a killed container leaves behind: its process had the number that this one has.
#[tokio::test]
async fn leftovers_of_a_process_with_the_same_number_are_not_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let tmp = directory.path().join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let leftover = |count: usize| tmp.join(format!("probe.{}.{count}", std::process::id()));
    for count in 0..20 {
        std::fs::write(leftover(count), "left over").unwrap();
    }
    Maildir::open(directory.path()).unwrap().check().await.unwrap();
    assert!((0..20).all(|count| leftover(count).exists()));
}
