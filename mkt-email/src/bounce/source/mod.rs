//! Where messages are read from: a Maildir, an mbox, standard input, an IMAP server.

#[cfg(feature = "imap")]
mod imap;
mod maildir;
mod mbox;
mod single;

#[cfg(feature = "imap")]
pub use imap::{ImapBuilder, ImapSource};
pub use maildir::MaildirSource;
pub use mbox::MboxSource;
pub use single::SingleSource;

use async_trait::async_trait;
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt;

const SERVICE: &str = "bounces";
/// The bytes of a message that are read. A report comes first and what it returns last, so the rest of a longer one is an
/// attachment that was sent.
const MAX_MESSAGE: usize = 256 << 10;
/// The bytes after which a batch ends.
const MAX_BATCH: usize = 8 << 20;

/// A mailbox that messages are read from, in batches.
///
/// A message is marked only when what it says is stored durably: a reader that dies in between finds it again, and what is
/// recorded twice is recorded once.
#[async_trait]
pub trait FeedbackSource: fmt::Debug + Send {
    /// The next messages, at most `most`, each at most once in the life of the source; none at the end. Of a message longer
    /// than 256 KiB, the beginning.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] for what cannot be read, [`ErrorKind::Input`] for what is not a mailbox, and what a
    /// connection may come to.
    async fn read(&mut self, most: usize) -> Result<Vec<RawMessage>>;

    /// Marks messages that were read. Those that vanished in the meantime are left out.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    async fn mark(&mut self, marks: &[(String, Mark)]) -> Result<()>;
}

/// A message as it lies in the mailbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawMessage {
    /// Its name in the source, for [`mark`](FeedbackSource::mark).
    pub id: String,
    /// The message, from its first header.
    pub bytes: Vec<u8>,
    /// Whether it is longer.
    pub is_cut: bool,
}

impl RawMessage {
    /// A whole message.
    #[must_use]
    pub fn new(id: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { id: id.into(), bytes: bytes.into(), is_cut: false }
    }
}

impl fmt::Debug for RawMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawMessage({} bytes)", self.bytes.len())
    }
}

/// How a message is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mark {
    /// Read.
    Read,
    /// Read, and to be looked at by a person: it says something and leads to no email of ours.
    Flagged,
}

fn unreadable(what: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, "read")
        .with_detail(format!("{what} cannot be read"))
        .with_source(cause)
}

/// The next messages, at most `most`, and no more after [`MAX_BATCH`] bytes.
fn batch(most: usize, mut next: impl FnMut() -> Result<Option<RawMessage>>) -> Result<Vec<RawMessage>> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < most && bytes < MAX_BATCH {
        let Some(message) = next()? else { break };
        bytes += message.bytes.len();
        messages.push(message);
    }
    Ok(messages)
}

/// Runs blocking work on the state of a source. A future that is dropped in the middle takes the state with it.
async fn blocking<S, T>(
    state: &mut Option<S>,
    work: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> Result<T>
where
    S: Send + 'static,
    T: Send + 'static,
{
    let gone =
        || Error::new(ErrorKind::Cancelled, SERVICE, "read").with_detail("an earlier call was interrupted");
    let mut held = state.take().ok_or_else(gone)?;
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut held);
        (held, result)
    });
    let (held, result) = done.await.map_err(|_| gone())?;
    *state = Some(held);
    result
}
