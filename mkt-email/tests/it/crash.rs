//! The process dies at any instruction: nobody is lost, nobody is mailed twice, the counts add up.
//!
//! The test runs its own binary again as the sender ([`the_process_to_be_killed`]) and kills it with SIGKILL at random
//! instants; what was delivered is read from files that the sender only writes. `MKT_EMAIL_KILLS` (10) and
//! `MKT_EMAIL_SEED` (1) choose how often and when.
//!
//! The test was seen to bite: with `mark_sending` moved after the call (send before commit) the ledger shows persons
//! mailed twice; with outcomes recorded as accepted before the call, persons are lost; with dead `sending` rows put
//! back to pending instead of unknown, the ledger shows persons mailed twice.

use crate::help::{reader, transactional};
use async_trait::async_trait;
use mkt_connect::Result;
use mkt_email::{Capabilities, EmailProvider, Group, Maildir, Outbox, Outcome, RunOptions, SystemClock};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MAILS: usize = 200;

/// Does not know keys: one line in a file for each delivery, whatever its key.
#[derive(Debug)]
struct Ledger {
    path: PathBuf,
    capabilities: Capabilities,
}

#[async_trait]
impl EmailProvider for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        // The kill may come before the delivery, and between it and the answer.
        tokio::time::sleep(Duration::from_micros(500)).await;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        for mail in group.mails() {
            file.write_all(format!("{}\n", mail.message.to().address.as_str()).as_bytes()).unwrap();
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
        Ok(group.mails().iter().map(|mail| Outcome::Accepted { id: mail.key.to_string() }).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn mails() -> Vec<mkt_email::NewMail> {
    (0..MAILS).map(|number| transactional("crash", &reader(number))).collect()
}

#[tokio::test]
#[ignore = "run by the crash tests, as a process of its own"]
async fn the_process_to_be_killed() {
    let directory = PathBuf::from(std::env::var_os("MKT_EMAIL_CRASH_DIR").unwrap());
    let outbox = Outbox::open(directory.join("mail.db")).await.unwrap();
    outbox.enqueue(&mails(), chrono::Utc::now()).await.unwrap();
    let provider: Box<dyn EmailProvider> = match std::env::var("MKT_EMAIL_CRASH_MODE").unwrap().as_str() {
        "maildir" => Box::new(Maildir::open(directory.join("mails")).unwrap()),
        _ => Box::new(Ledger { path: directory.join("ledger"), capabilities: Capabilities::minimal() }),
    };
    let mut options = RunOptions::default();
    options.batch = 30;
    outbox.run(&provider, &SystemClock::new(), &options).await.unwrap();
    assert_eq!(outbox.counts(None).await.unwrap().pending, 0);
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn sender(directory: &Path, mode: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::the_process_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env("MKT_EMAIL_CRASH_DIR", directory)
        .env("MKT_EMAIL_CRASH_MODE", mode)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn require_identity(watched: &Outbox) {
    let counts = watched.counts(None).await.unwrap();
    assert!(counts.add_up(), "{counts:?}");
    // Enqueued all at once or not at all.
    assert!([0, MAILS as u64].contains(&counts.recipients), "{counts:?}");
}

/// Kills the sender again and again and then lets it end. Returns how many kills found it alive.
async fn torment(directory: &Path, mode: &str) -> u64 {
    let (kills, seed) = (number("MKT_EMAIL_KILLS", 10), number("MKT_EMAIL_SEED", 1));
    let mut random = SplitMix64::seed_from_u64(seed);
    let watched = Outbox::open(directory.join("mail.db")).await.unwrap();
    let mut interrupted = 0;
    for _ in 0..kills {
        let mut child = sender(directory, mode);
        let end = Instant::now() + Duration::from_millis(random.random_range(5..160));
        while Instant::now() < end {
            require_identity(&watched).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        if child.try_wait().unwrap().is_none() {
            interrupted += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        require_identity(&watched).await;
    }
    assert!(sender(directory, mode).wait().unwrap().success(), "the last sender failed (seed {seed})");
    interrupted
}

#[tokio::test]
async fn killed_senders_fill_a_mail_directory_without_loss_or_repetition() {
    let directory = tempfile::tempdir().unwrap();
    let interrupted = torment(directory.path(), "maildir").await;
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(directory.path().join("mails/new")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.ends_with(b"--\r\n"), "a mail is cut off");
        let mail = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        *reached.entry(mail.to().unwrap().first().unwrap().address().unwrap().to_owned()).or_default() += 1;
    }
    let (lost, twice) = (MAILS - reached.len(), reached.values().filter(|count| **count > 1).count());
    assert_eq!((lost, twice), (0, 0));
    let counts = Outbox::open(directory.path().join("mail.db")).await.unwrap().counts(None).await.unwrap();
    // Whoever looks in the directory can settle every lost answer.
    assert_eq!((counts.sent, counts.unknown), (MAILS as u64, 0));
    assert!(interrupted > 0, "no kill found a sender alive");
}

#[tokio::test]
async fn killed_senders_mail_nobody_twice_where_the_provider_cannot_tell() {
    let directory = tempfile::tempdir().unwrap();
    let interrupted = torment(directory.path(), "ledger").await;
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for line in std::fs::read_to_string(directory.path().join("ledger")).unwrap().lines() {
        *reached.entry(line.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = reached.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "mailed twice: {}", twice.len());

    let outbox = Outbox::open(directory.path().join("mail.db")).await.unwrap();
    let log = directory.path().join("send.ndjson");
    outbox.write_send_log(&log).await.unwrap();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        last.insert(text("recipient"), text("outcome"));
    }
    for number in 0..MAILS {
        let to = reader(number);
        let delivered = reached.get(to.as_str()).copied().unwrap_or(0);
        match last.get(to.as_str()).map(String::as_str) {
            Some("accepted") => assert_eq!(delivered, 1, "reader {number} is lost"),
            Some("unknown") => {}
            other => panic!("reader {number} ended as {other:?}, delivered {delivered} times"),
        }
    }
    let counts = outbox.counts(None).await.unwrap();
    assert_eq!(counts.sent + counts.unknown, MAILS as u64);
    // One call is on the wire at a time, so a kill leaves at most one mail unknown.
    assert!(counts.unknown <= interrupted, "{counts:?} after {interrupted} kills");
    assert!(interrupted > 0, "no kill found a sender alive");
}
