//! A provider that writes emails to a directory, for use without an account and for inspecting what would be sent. It
//! does not use the network.
//!
//! The layout is that of a Maildir (<https://cr.yp.to/proto/maildir.html>): an email is written under `tmp/`, synced, and
//! renamed into `new/`, so that files in `new/` are complete. File names are attempt keys, never content of a message.
//!
//! A writer may be suspended for longer than its lease and continue after its emails were settled as not arrived. So
//! settling first leaves a mark in `tmp/`, `KEY.settled` with the start of the lost call, and removes the temporary files
//! of the email; a writer looks for the mark after its file exists and before it renames it. Either the file was renamed
//! before settling looked for it, or it never is. Marks are removed with other files left in `tmp/`, after 36 hours.

use crate::message::Feature;
use crate::provider::{Capabilities, Group, Idempotency, Outgoing, RejectReason, Settlement, Stage};
use crate::{Clock, IdempotencyKey, SystemClock};
use crate::{EmailProvider, Outcome};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;

const SERVICE: &str = "maildir";
const WRITE: &str = "write emails";
/// Features that a directory cannot have.
const UNSUPPORTED: [Feature; 2] = [Feature::Schedule, Feature::VendorTemplate];
/// Emails per call.
const GROUP: usize = 64;
/// Files flushed at a time.
const WRITERS: usize = 8;

/// By the Maildir specification, a file in `tmp/` that was not accessed for 36 hours may be removed.
const ABANDONED: Duration = Duration::from_hours(36);

/// A provider that writes each email as `new/KEY.eml`, one file per recipient (mode 0600).
///
/// The key is that of the attempt: sending the same attempt again finds the file, in `new/` or where a mail program moves
/// it (`cur/`, with flags added), and writes nothing. So the provider is idempotent as long as the files are not removed.
/// Tags and metadata are written as `X-Mkt-Tag` and `X-Mkt-Meta-*` headers. Scheduled emails are refused.
#[derive(Debug, Clone)]
pub struct Maildir {
    root: Arc<PathBuf>,
    capabilities: Capabilities,
    /// Held by calls that write: a dropped call goes on writing, and settling waits for it.
    writing: Arc<RwLock<()>>,
}

impl Maildir {
    /// Opens a directory and creates it and its parents where they are missing.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be created or written.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        for name in ["tmp", "new", "cur"] {
            fs::create_dir_all(root.join(name)).map_err(|cause| {
                let detail = format!("the directory {} cannot be created", root.display());
                Error::new(ErrorKind::Storage, SERVICE, "open").with_detail(detail).with_source(cause)
            })?;
        }
        let mut capabilities = Capabilities::minimal();
        capabilities
            .features
            .extend(Feature::ALL.into_iter().filter(|feature| !UNSUPPORTED.contains(feature)));
        capabilities.max_recipients = GROUP;
        capabilities.idempotency = Idempotency::Key { within: None };
        let maildir = Self { root: Arc::new(root), capabilities, writing: Arc::default() };
        // First: abandoned files may be what fills the disk.
        maildir.sweep();
        maildir.probe()?;
        Ok(maildir)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the email of an attempt.
    #[must_use]
    pub fn path_of(&self, key: IdempotencyKey) -> PathBuf {
        self.root.join("new").join(format!("{key}.eml"))
    }

    /// Which of these emails exist: in `new/`, or where a mail program has moved them, in `cur/` with flags added to the
    /// name (`KEY.eml:2,S`; some write `;2,S` or `!2,S` on file systems without colons). Mail programs move files from
    /// `new/` to `cur/` only, so a file that is moved meanwhile is not missed in this order.
    fn existing(&self, emails: &[Outgoing]) -> io::Result<HashSet<IdempotencyKey>> {
        let mut there = HashSet::new();
        let mut wanted = HashMap::new();
        for email in emails {
            if self.path_of(email.key).try_exists()? {
                there.insert(email.key);
            } else {
                wanted.insert(format!("{}.eml", email.key), email.key);
            }
        }
        for entry in fs::read_dir(self.root.join("cur"))? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.split([':', ';', '!']).next());
            there.extend(stem.and_then(|stem| wanted.get(stem)));
        }
        Ok(there)
    }

    fn probe(&self) -> Result<()> {
        let path = self.temporary("probe");
        let written = write_durably(&path, b"probe").inspect(|()| drop(fs::remove_file(&path)));
        written.map_err(|cause| {
            let detail = format!("the directory {} cannot be written", self.root.display());
            Error::new(ErrorKind::Storage, SERVICE, "check").with_detail(detail).with_source(cause)
        })
    }

    /// A name under `tmp/` that no other writer uses, in this process or another. In containers every process may have the
    /// number 1 and share the directory, hence the random part.
    fn temporary(&self, stem: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let chance = RandomState::new().hash_one(count);
        self.root.join("tmp").join(format!("{stem}.{}.{count}.{chance:016x}", std::process::id()))
    }

    /// Removes files that killed writers left behind. A failure is harmless.
    fn sweep(&self) {
        let now = SystemClock::new().now();
        for entry in fs::read_dir(self.root.join("tmp")).into_iter().flatten().flatten() {
            let touched = entry.metadata().and_then(|meta| meta.modified()).map(DateTime::<Utc>::from);
            if touched.is_ok_and(|at| (now - at).to_std().is_ok_and(|age| age > ABANDONED)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes the emails of a group; blocking. First all of them are written under `tmp/` and synced, several at a time
    /// because a disk does several flushes for the price of one; a failure leaves nothing behind. Then they are renamed.
    fn deliver(&self, group: &Group) -> Result<Vec<Outcome>> {
        let emails = group.emails();
        let there =
            self.existing(emails).map_err(|cause| failed("the existing emails cannot be listed", cause))?;
        let there = &there;
        let share = emails.len().div_ceil(WRITERS).max(1);
        let written: Vec<Result<Written>> = std::thread::scope(|scope| {
            let writers: Vec<_> = emails
                .chunks(share)
                .map(|emails| {
                    scope.spawn(|| {
                        emails.iter().map(|email| self.write(email, group.at(), there)).collect::<Vec<_>>()
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap_or_default()).collect()
        });
        if written.len() != emails.len() || written.iter().any(Result::is_err) {
            let ended =
                Error::new(ErrorKind::Other, SERVICE, WRITE).with_detail("a writing thread ended early");
            let mut first = Err(ended);
            for result in written {
                match result {
                    Ok(Written::Hidden(path)) => drop(fs::remove_file(path)),
                    Ok(_) => {}
                    Err(error) => first = Err(error),
                }
            }
            return first;
        }
        self.move_into_place(group, written.into_iter().flatten())
    }

    /// Blocking.
    fn move_into_place(
        &self,
        group: &Group,
        written: impl IntoIterator<Item = Written>,
    ) -> Result<Vec<Outcome>> {
        let emails = group.emails();
        let mut outcomes = Vec::with_capacity(emails.len());
        let mut moved = true;
        for (email, written) in emails.iter().zip(written) {
            let accepted = Outcome::Accepted { id: email.message.message_id(email.key) };
            outcomes.push(match written {
                Written::Already => accepted,
                Written::Refused(detail) => Outcome::Rejected { reason: RejectReason::Other, detail },
                Written::Hidden(path) => {
                    let given_up = self.is_given_up(email.key, group.at());
                    let renamed = || match fs::rename(&path, self.path_of(email.key)) {
                        // Removed by settling; the other emails are not affected.
                        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
                        renamed => Some(renamed.is_ok()),
                    };
                    let here = if moved && !given_up { renamed() } else { None };
                    moved = moved && here != Some(false);
                    if here == Some(true) {
                        accepted
                    } else {
                        let _ = fs::remove_file(path);
                        // Settling looks for the file.
                        Outcome::Unknown { stage: Stage::Content }
                    }
                }
            });
        }
        // The emails are visible; only their durability is not known.
        sync_directory(&self.root.join("new")).map_err(|cause| {
            failed("emails were written but could not be synced", cause).delivered(Delivery::Unknown)
        })?;
        Ok(outcomes)
    }

    fn mark_of(&self, key: IdempotencyKey) -> PathBuf {
        self.root.join("tmp").join(format!("{key}.settled"))
    }

    /// Whether an email of a call that began at `at` was settled as not arrived. Yes if the mark cannot be read.
    fn is_given_up(&self, key: IdempotencyKey, at: DateTime<Utc>) -> bool {
        match fs::read_to_string(self.mark_of(key)) {
            Ok(text) => text.parse::<i64>().map_or(true, |settled| at.timestamp_millis() <= settled),
            Err(cause) => cause.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Ensures that emails which do not exist now are never delivered by the call in question; blocking.
    fn give_up(&self, group: &Group) -> io::Result<HashSet<IdempotencyKey>> {
        let there = self.existing(group.emails())?;
        let lost: HashMap<String, IdempotencyKey> = group
            .emails()
            .iter()
            .filter(|email| !there.contains(&email.key))
            .map(|email| (email.key.to_string(), email.key))
            .collect();
        if lost.is_empty() {
            return Ok(there);
        }
        for key in lost.values().filter(|key| !self.is_given_up(**key, group.at())) {
            let hidden = self.temporary("mark");
            fs::write(&hidden, group.at().timestamp_millis().to_string())?;
            fs::rename(hidden, self.mark_of(*key))?;
        }
        for entry in fs::read_dir(self.root.join("tmp"))? {
            let entry = entry?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.split_once('.'));
            if stem.is_some_and(|(stem, rest)| lost.contains_key(stem) && rest != "settled") {
                match fs::remove_file(entry.path()) {
                    Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                    _ => {}
                }
            }
        }
        self.existing(group.emails())
    }

    /// Writes one email under `tmp/`.
    fn write(&self, email: &Outgoing, at: DateTime<Utc>, there: &HashSet<IdempotencyKey>) -> Result<Written> {
        let message = &email.message;
        if there.contains(&email.key) {
            return Ok(Written::Already);
        }
        let mut own = Vec::new();
        if !message.tags().is_empty() {
            let tags: Vec<_> = message.tags().iter().map(crate::message::Tag::as_str).collect();
            own.push(("X-Mkt-Tag".to_owned(), tags.join(", ")));
        }
        for (key, value) in message.metadata() {
            own.push((format!("X-Mkt-Meta-{key}"), value.clone()));
        }
        let bytes = match message.to_mime_with(email.key, at, &own) {
            Ok(bytes) => bytes,
            // This concerns the recipient, not the directory.
            Err(error) => {
                return Ok(Written::Refused(
                    error.detail().unwrap_or("the email cannot be built").to_owned(),
                ));
            }
        };
        let path = self.temporary(&email.key.to_string());
        match write_durably(&path, &bytes) {
            Ok(()) => Ok(Written::Hidden(path)),
            Err(cause) => Err(failed("the emails cannot be written; none was kept", cause)),
        }
    }
}

/// The result of writing one email.
enum Written {
    /// It exists since an earlier call.
    Already,
    /// It is synced under `tmp/`.
    Hidden(PathBuf),
    /// It cannot be written as an email.
    Refused(String),
}

fn failed(what: &'static str, cause: io::Error) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, WRITE).with_detail(what).with_source(cause)
}

/// Writes a new file with mode 0600 and syncs it. On failure it is removed; a file that existed before is kept.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

// Elsewhere a directory cannot be opened as a file; the rename is as durable as the file system makes it.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[async_trait]
impl EmailProvider for Maildir {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let (maildir, group) = (self.clone(), group.clone());
        let writing = Arc::clone(&self.writing).read_owned().await;
        on_a_blocking_thread(WRITE, move || {
            let _until_written = writing;
            maildir.deliver(&group)
        })
        .await
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        // Waits for calls of this provider that are still writing, also dropped ones.
        drop(self.writing.write().await);
        let (maildir, group) = (self.clone(), group.clone());
        on_a_blocking_thread("look for emails", move || {
            let there = maildir.give_up(&group);
            let look = |email: &Outgoing| match &there {
                Ok(there) if there.contains(&email.key) => {
                    Settlement::Known(Outcome::Accepted { id: email.message.message_id(email.key) })
                }
                Ok(_) => Settlement::NotArrived,
                Err(_) => Settlement::StillUnknown,
            };
            Ok(group.emails().iter().map(look).collect())
        })
        .await
    }

    async fn check(&self) -> Result<()> {
        let maildir = self.clone();
        on_a_blocking_thread("check", move || maildir.probe()).await
    }
}

async fn on_a_blocking_thread<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| {
        let error = Error::new(ErrorKind::Other, SERVICE, operation).with_source(cause);
        Err(error.delivered(Delivery::Unknown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn group(at: &str) -> Group {
        let message = Message::builder(
            "shop@example.com".parse().unwrap(),
            "jean@example.org".parse().unwrap(),
            "Hello".parse().unwrap(),
        );
        let message = Arc::new(message.text("Hello").build().unwrap());
        let emails = vec![Outgoing { key: IdempotencyKey::from_text("jean"), message }];
        Group::new(at.parse().unwrap(), emails)
    }

    fn mails_in(maildir: &Maildir) -> usize {
        fs::read_dir(maildir.root().join("new")).unwrap().count()
    }

    #[tokio::test]
    async fn settled_writer_delivers_nothing_later() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(folder.path()).unwrap();
        let (lost, repeated) = (group("2026-10-26T12:00:00Z"), group("2026-10-26T12:10:00Z"));
        // Stopped before the move, and before the write.
        let written = maildir.write(&lost.emails()[0], lost.at(), &HashSet::new()).unwrap();
        assert_eq!(maildir.settle(&lost).await.unwrap(), [Settlement::NotArrived]);
        let outcomes = maildir.move_into_place(&lost, [written]).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Unknown { .. }]), "{outcomes:?}");
        let outcomes = maildir.deliver(&lost).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Unknown { .. }]), "{outcomes:?}");
        assert_eq!(mails_in(&maildir), 0);
        // The repetition, under the same key, goes; and is found, also when a reader has looked at it.
        assert!(matches!(maildir.send(&repeated).await.unwrap()[..], [Outcome::Accepted { .. }]));
        let key = repeated.emails()[0].key;
        fs::rename(maildir.path_of(key), folder.path().join(format!("cur/{key}.eml:2,S"))).unwrap();
        assert!(matches!(maildir.settle(&repeated).await.unwrap()[..], [Settlement::Known(_)]));
        assert!(matches!(maildir.deliver(&repeated).unwrap()[..], [Outcome::Accepted { .. }]));
        assert_eq!(mails_in(&maildir), 0);
    }
}
