//! mbox files, both of the forms that quote (`mboxo`, `mboxrd`), read from the beginning to the end and never written.

use super::{FeedbackSource, MAX_MESSAGE, Mark, RawMessage, SERVICE, batch, blocking, unreadable};
use async_trait::async_trait;
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Bytes of a line that are looked at as one. A longer one goes on as if it were not.
const MAX_LINE: u64 = 64 << 10;

/// Reads the messages of an mbox: each begins with a line `From address date`, at the start of the file or after an empty
/// line. A line of the message that began like that was quoted by `>` when it was written; one `>` is removed.
///
/// Nothing is marked: reading again finds the same messages, and records them once. A message that another program is
/// appending in the same moment is read as far as it came, and again by the next run; where many arrive, rename the file
/// first.
pub struct MboxSource {
    state: Option<State>,
}

struct State {
    input: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// Whether the line in hand begins a message.
    at_message: bool,
    count: u64,
    ended: bool,
}

impl MboxSource {
    /// Opens a file.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file =
            File::open(path).map_err(|cause| unreadable(&format!("the mbox {}", path.display()), cause))?;
        Ok(Self::new(file))
    }

    /// Reads a stream.
    #[must_use]
    pub fn new(input: impl Read + Send + 'static) -> Self {
        let input = BufReader::with_capacity(256 << 10, Box::new(input) as Box<dyn Read + Send>);
        Self { state: Some(State { input, line: Vec::new(), at_message: false, count: 0, ended: false }) }
    }
}

impl fmt::Debug for MboxSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MboxSource")
    }
}

impl State {
    /// Reads the next line, or the next part of a long one; false at the end.
    fn next_line(&mut self) -> Result<bool> {
        self.line.clear();
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line);
        Ok(read.map_err(|cause| unreadable("the mbox", cause))? > 0)
    }

    fn next_message(&mut self) -> Result<Option<RawMessage>> {
        if self.ended {
            return Ok(None);
        }
        if !self.at_message && !self.skip_to_first()? {
            self.ended = true;
            return Ok(None);
        }
        self.count += 1;
        let mut message = RawMessage::new(self.count.to_string(), Vec::with_capacity(4 << 10));
        let (mut after_blank, mut begins_line) = (false, true);
        loop {
            if !self.next_line()? {
                self.ended = true;
                break;
            }
            if begins_line && after_blank && begins_message(&self.line) {
                self.at_message = true;
                break;
            }
            let line = if begins_line { unquoted(&self.line) } else { &self.line };
            after_blank = begins_line && matches!(line, b"\n" | b"\r\n");
            begins_line = line.ends_with(b"\n");
            let room = MAX_MESSAGE - message.bytes.len();
            message.is_cut |= line.len() > room;
            message.bytes.extend_from_slice(&line[..line.len().min(room)]);
        }
        // The empty line before the next message is none of this one's.
        if message.bytes.ends_with(b"\n\n") {
            message.bytes.pop();
        }
        Ok(Some(message))
    }

    /// Reads the line before the first message. Empty lines may come before it.
    fn skip_to_first(&mut self) -> Result<bool> {
        while self.next_line()? {
            if self.line.starts_with(b"From ") {
                return Ok(true);
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Err(Error::new(ErrorKind::Input, SERVICE, "read")
                    .with_detail("not an mbox: expected a first line that begins with \"From \""));
            }
        }
        Ok(false)
    }
}

/// Whether a line begins a message: `From `, and a time of day in it. Programs that quote nothing leave sentences that
/// begin with "From" at the start of a line.
fn begins_message(line: &[u8]) -> bool {
    line.starts_with(b"From ")
        && line.windows(5).any(|word| {
            matches!(word, [a, b, b':', c, d] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()))
        })
}

/// The line without the `>` that was put before it.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    if quotes > 0 && line[quotes..].starts_with(b"From ") { &line[1..] } else { line }
}

#[async_trait]
impl FeedbackSource for MboxSource {
    async fn read(&mut self, most: usize) -> Result<Vec<RawMessage>> {
        blocking(&mut self.state, move |state| batch(most, || state.next_message())).await
    }

    async fn mark(&mut self, _: &[(String, Mark)]) -> Result<()> {
        Ok(())
    }
}
