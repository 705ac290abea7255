//! Mailboxes: every message is read once, and marked only when that is said.

use super::fixture;
use mkt_email::bounce::{FeedbackSource, MaildirSource, Mark, MboxSource, RawMessage, SingleSource};
use std::io::Read;

async fn all(source: &mut dyn FeedbackSource) -> Vec<RawMessage> {
    let mut messages = Vec::new();
    loop {
        let batch = source.read(2).await.unwrap();
        if batch.is_empty() {
            return messages;
        }
        messages.extend(batch);
    }
}

async fn texts(mbox: &'static str) -> Vec<String> {
    let messages = all(&mut MboxSource::new(mbox.as_bytes())).await;
    messages.into_iter().map(|message| String::from_utf8(message.bytes).unwrap()).collect()
}

#[tokio::test]
async fn mbox_is_split_at_its_from_lines() {
    let mbox = "From a@b Mon Nov 30 23:32:21 2026\nSubject: 1\n\nFrom now on\n>From here\n>>From there\n\n\
        From now on, no line of time\nx\nFrom a@b Mon Nov 30 23:32:21 2026\n\n\
        From MAILER-DAEMON Mon Nov 30 23:32:21 2026\nSubject: 2\n\nend";
    assert_eq!(
        texts(mbox).await,
        [
            "Subject: 1\n\nFrom now on\nFrom here\n>From there\n\nFrom now on, no line of time\nx\n\
             From a@b Mon Nov 30 23:32:21 2026\n",
            "Subject: 2\n\nend"
        ]
    );
    assert!(texts("").await.is_empty());
    assert!(texts("\n\n").await.is_empty());
    let crlf = "From a 23:32\r\nSubject: 1\r\n\r\nx\r\n\r\nFrom a 23:32\r\nSubject: 2\r\n\r\n";
    assert_eq!(texts(crlf).await.len(), 2);
}

#[tokio::test]
async fn what_is_no_mbox_is_refused() {
    let error = MboxSource::new(&b"Subject: x\n\n"[..]).read(1).await.unwrap_err();
    assert_eq!(error.kind(), mkt_email::ErrorKind::Input);
    assert!(MboxSource::open("/nowhere/at/all").is_err());
}

/// An endless message.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 > 64 << 20 {
            return Ok(0);
        }
        buffer.fill(b'x');
        if self.0 == 0 {
            buffer[..13].copy_from_slice(b"From a 23:32\n");
        }
        self.0 += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[tokio::test]
async fn long_message_is_read_to_its_first_part() {
    let messages = all(&mut MboxSource::new(Endless(0))).await;
    assert_eq!((messages.len(), messages[0].bytes.len(), messages[0].is_cut), (1, 256 << 10, true));
    let messages = all(&mut SingleSource::new(Endless(0))).await;
    assert!(messages[0].is_cut && messages[0].bytes.starts_with(b"xxx"));
}

#[tokio::test]
async fn single_message_is_read_once() {
    let mut source = SingleSource::new(&b"From MAILER-DAEMON Mon\nSubject: x\n\n"[..]);
    assert_eq!(source.read(5).await.unwrap()[0].bytes, b"Subject: x\n\n");
    assert!(source.read(5).await.unwrap().is_empty());
    assert!(SingleSource::new(&b""[..]).read(1).await.unwrap().is_empty());
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn message_of_a_maildir_is_read_until_it_is_marked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(MaildirSource::open(path).is_err());
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir(path.join(folder)).unwrap();
    }
    std::fs::write(path.join("new/1.a"), fixture("exim-remote-full")).unwrap();
    std::fs::write(path.join("new/2.a"), b"Subject: x\n\n").unwrap();
    std::fs::write(path.join("cur/3.a:2,R"), b"Subject: y\n\n").unwrap();
    std::fs::write(path.join("cur/4.a:2,S"), b"Subject: seen\n\n").unwrap();
    std::fs::write(path.join("new/.hidden"), b"").unwrap();
    // Nothing is marked by reading.
    assert_eq!(all(&mut MaildirSource::open(path).unwrap()).await.len(), 3);
    let mut source = MaildirSource::open(path).unwrap();
    let messages = all(&mut source).await;
    assert_eq!(messages.len(), 3);
    let marks: Vec<_> = messages
        .iter()
        .map(|message| {
            let flagged = message.bytes.starts_with(b"Subject: y");
            (message.id.clone(), if flagged { Mark::Flagged } else { Mark::Read })
        })
        .collect();
    std::fs::remove_file(path.join("new/2.a")).unwrap();
    source.mark(&marks).await.unwrap();
    assert_eq!(names(&path.join("cur")), ["1.a:2,S", "3.a:2,FRS", "4.a:2,S"]);
    assert!(all(&mut MaildirSource::open(path).unwrap()).await.is_empty());
}
