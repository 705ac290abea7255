//! The send log: one JSON object per line for every outcome of an email. It is data about people and not a diagnostic
//! log: it names the recipient, is readable by its owner only (mode 0600), and is covered by erasure.
//!
//! The file is a copy of the table `mail_log`, whose rows are written in the transaction that changes a state. The last
//! complete line of the file says how far the copy has come; later rows of the table are appended, and a line cut off by
//! a crash is removed first. So no line is written twice and none is missing, however often a run is repeated.

use crate::EmailAddress;
use crate::outbox::store::{Access, Store, values};
use crate::outbox::{SERVICE, timestamp};
use mkt_connect::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

const OPERATION: &str = "write the send log";
const PAGE: i64 = 1000;
/// Longer than any line; this much of the end of the file is read at once.
const TAIL: u64 = 256 * 1024;

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    seq: i64,
    outbox: &'a str,
    at: String,
    mail: &'a str,
    campaign: &'a str,
    /// Null once the person is erased.
    recipient: Option<&'a str>,
    attempt: i64,
    outcome: &'a str,
    provider: Option<&'a str>,
    id: Option<&'a str>,
    reason: Option<&'a str>,
    stage: Option<&'a str>,
}

/// The part of a line that is read back.
#[derive(Deserialize)]
struct Mark {
    seq: i64,
    outbox: String,
}

/// Brings the log up to date; see [`Outbox::write_send_log`](crate::Outbox::write_send_log).
pub(in crate::outbox) async fn write(store: &Store, path: &Path) -> Result<u64> {
    let unwritable = |cause: io::Error| Error::new(ErrorKind::Storage, SERVICE, OPERATION).with_source(cause);
    let outbox = identity(store).await?;
    let path = path.to_owned();
    // Two writers would both append what follows the same last line. The lock is waited for on a blocking thread: its
    // holder may need this one to continue.
    let opened = tokio::task::spawn_blocking(move || {
        let mut file = open(&path)?;
        file.lock()?;
        let tail = last_mark(&mut file)?;
        Ok((file, tail))
    });
    let opened: io::Result<(File, Tail)> = opened.await.unwrap_or_else(|cause| Err(io::Error::other(cause)));
    let (file, tail) = opened.map_err(unwritable)?;
    let mut seq = match tail {
        Tail::Empty => 0,
        Tail::Mark(mark) if mark.outbox == outbox => mark.seq,
        Tail::Mark(_) | Tail::Foreign => {
            return Err(Error::new(ErrorKind::Conflict, SERVICE, OPERATION)
                .with_detail("the file is not the send log of this outbox"));
        }
    };
    // On PostgreSQL sequence numbers are drawn before the commit: everything below the highest one is visible once the
    // transactions in progress have ended, which `Access::Alone` waits for.
    let mut tx = store.begin(OPERATION, Access::Alone).await?;
    let rows = tx.all("SELECT coalesce(max(seq), 0) AS last FROM mail_log", values![]).await?;
    tx.commit().await?;
    let last = rows.first().map_or(Ok(0), |row| row.number("last"))?;
    let mut out = BufWriter::new(file);
    let mut added = 0;
    loop {
        let rows = store
            .all(
                OPERATION,
                "SELECT l.seq, l.at, l.mail_id, o.campaign, o.recipient, l.attempt, l.state, l.provider,
                        l.provider_message_id, l.reason, l.stage
                   FROM mail_log l JOIN mail_outbox o ON o.id = l.mail_id
                  WHERE l.seq > $1 AND l.seq <= $2 ORDER BY l.seq LIMIT $3",
                values![seq, last, PAGE],
            )
            .await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            seq = row.number("seq")?;
            let line = Line {
                seq,
                outbox: &outbox,
                at: timestamp(row.number("at")?)?.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                mail: row.text("mail_id")?,
                campaign: row.text("campaign")?,
                recipient: Some(row.text("recipient")?).filter(|recipient| !recipient.is_empty()),
                attempt: row.number("attempt")?,
                outcome: row.text("state")?,
                provider: row.maybe_text("provider")?,
                id: row.maybe_text("provider_message_id")?,
                reason: row.maybe_text("reason")?,
                stage: row.maybe_text("stage")?,
            };
            let mut text = serde_json::to_vec(&line).map_err(|cause| unwritable(cause.into()))?;
            text.push(b'\n');
            out.write_all(&text).map_err(unwritable)?;
            added += 1;
        }
    }
    out.flush().map_err(unwritable)?;
    out.get_ref().sync_all().map_err(unwritable)?;
    Ok(added)
}

/// Erases a person from a log; see [`Outbox::erase_from_send_log`](crate::Outbox::erase_from_send_log).
pub(in crate::outbox) async fn erase(store: &Store, path: &Path, address: &EmailAddress) -> Result<u64> {
    const OPERATION: &str = "erase from the send log";
    let (outbox, path) = (identity(store).await?, path.to_owned());
    let person = address.normalised();
    let done = tokio::task::spawn_blocking(move || rewrite(&path, &outbox, &person)).await;
    let failed = |cause: io::Error| {
        let foreign = cause.kind() == io::ErrorKind::InvalidData;
        let kind = if foreign { ErrorKind::Conflict } else { ErrorKind::Storage };
        Error::new(kind, SERVICE, OPERATION).with_source(cause)
    };
    done.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(failed)
}

/// The id of the outbox, which every line of the log repeats.
async fn identity(store: &Store) -> Result<String> {
    let row = store.one(OPERATION, "SELECT outbox_id FROM mail_identity", values![]).await?;
    row.text("outbox_id").map(str::to_owned)
}

/// Rewrites the file beside the old one and renames it; blocking. A writer that waits for the lock of the old file then
/// writes to an unlinked file; the next copy appends those lines to the new file, because it starts from the last line
/// that it finds.
fn rewrite(path: &Path, outbox: &str, person: &str) -> io::Result<u64> {
    let foreign =
        || io::Error::new(io::ErrorKind::InvalidData, "the file is not the send log of this outbox");
    let mut old = open(path)?;
    old.lock()?;
    match last_mark(&mut old)? {
        Tail::Empty => return Ok(0),
        Tail::Mark(mark) if mark.outbox == outbox => {}
        Tail::Mark(_) | Tail::Foreign => return Err(foreign()),
    }
    old.seek(SeekFrom::Start(0))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".erasing");
    let new = Path::new(&name);
    let mut out = BufWriter::new(open(new)?);
    out.get_ref().set_len(0)?;
    let mut found = 0;
    for line in BufReader::new(&old).split(b'\n') {
        let line = line?;
        let mut value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&line).map_err(|_| foreign())?;
        let named = value.get("recipient").and_then(serde_json::Value::as_str);
        if named.is_some_and(|named| named.eq_ignore_ascii_case(person)) {
            found += 1;
            value.insert("recipient".to_owned(), serde_json::Value::Null);
            // In the order of the other lines, which begin with their number.
            let text = serde_json::to_vec(&Reordered(&value))?;
            out.write_all(&text)?;
        } else {
            out.write_all(&line)?;
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    out.get_ref().sync_all()?;
    match found {
        0 => std::fs::remove_file(new)?,
        _ => std::fs::rename(new, path)?,
    }
    Ok(found)
}

/// A line read back, with its keys in the order in which lines are written.
struct Reordered<'a>(&'a serde_json::Map<String, serde_json::Value>);

impl Serialize for Reordered<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        const ORDER: [&str; 12] = [
            "seq",
            "outbox",
            "at",
            "mail",
            "campaign",
            "recipient",
            "attempt",
            "outcome",
            "provider",
            "id",
            "reason",
            "stage",
        ];
        serializer.collect_map(ORDER.iter().filter_map(|name| self.0.get(*name).map(|value| (name, value))))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

enum Tail {
    Empty,
    Mark(Mark),
    Foreign,
}

/// Reads the last complete line, truncates what follows it, and seeks to the end.
fn last_mark(file: &mut File) -> io::Result<Tail> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        // Empty, or the beginning of a first line. A file with a longer line is not a send log and is left alone.
        if start > 0 || !(tail.is_empty() || tail.starts_with(b"{\"seq\":")) {
            return Ok(Tail::Foreign);
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        return Ok(Tail::Empty);
    };
    let whole = tail.get(..end).unwrap_or_default();
    let line = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(mark) = serde_json::from_slice::<Mark>(line) else { return Ok(Tail::Foreign) };
    let kept = start + end as u64 + 1;
    file.set_len(kept)?;
    file.seek(SeekFrom::Start(kept))?;
    Ok(Tail::Mark(mark))
}
