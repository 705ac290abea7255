//! Cuts a file into records, each with its line, its offset and its raw bytes, in bounded memory.
//!
//! The `csv` crate reads the fields of a record; it has no bound on how long a record may get, and keeps no raw bytes. One
//! quote that is opened and never closed would make the rest of the file one record. Here such a record ends at its
//! first line, is told apart, and reading goes on with the next line.

use std::io::{self, Read};

/// The longest record.
pub(super) const MAX_RECORD: usize = 1 << 20;
/// The longest record with its line end.
const WINDOW: usize = MAX_RECORD + 2;
const CHUNK: usize = 1 << 16;

/// A record as it stands in the file, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    /// One-based line on which it begins.
    pub(super) line: u64,
    /// Byte offset at which it begins.
    pub(super) offset: u64,
    /// Byte offset at which the next one begins.
    pub(super) end: u64,
    /// Its bytes; of one that is too long, the first line or the first [`MAX_RECORD`] bytes.
    pub(super) bytes: Vec<u8>,
    /// Why it is none.
    pub(super) fault: Option<&'static str>,
}

/// The records of a reader.
#[derive(Debug)]
pub(super) struct Records<R> {
    reader: R,
    delimiter: u8,
    buffer: Vec<u8>,
    /// What of the buffer is used up.
    start: usize,
    at_end: bool,
    line: u64,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// How far a record reaches in a buffer.
enum Found {
    /// Length without and with its line end.
    Record(usize, usize),
    /// The buffer ends first, inside of quotes or not.
    Open(bool),
}

impl<R: Read> Records<R> {
    /// Records from a reader that stands at `offset`, which is the start of `line`.
    pub(super) fn new(reader: R, delimiter: u8, line: u64, offset: u64) -> Self {
        Self { reader, delimiter, buffer: Vec::new(), start: 0, at_end: false, line, offset }
    }

    /// The next record that is not an empty line.
    pub(super) fn next(&mut self) -> io::Result<Option<Raw>> {
        loop {
            let Some(raw) = self.next_raw()? else { return Ok(None) };
            if !raw.bytes.is_empty() || raw.fault.is_some() {
                return Ok(Some(raw));
            }
        }
    }

    fn next_raw(&mut self) -> io::Result<Option<Raw>> {
        // Where the search goes on after more was read; the state would have to be kept too, so that it starts again,
        // but only when the buffer has doubled.
        let mut wanted = CHUNK;
        loop {
            let held = self.buffer.len() - self.start;
            if held == 0 && self.at_end {
                return Ok(None);
            }
            // Nothing beyond the longest record is looked at: how much was read ahead decides nothing.
            let window = &self.buffer[self.start..self.start + held.min(WINDOW)];
            let found = find(window, self.delimiter, self.at_end && held <= WINDOW);
            match found {
                Found::Record(length, whole) if length <= MAX_RECORD => {
                    return Ok(Some(self.take(length, whole, None)));
                }
                Found::Record(..) => return self.cut(false).map(Some),
                Found::Open(_) if !self.at_end && held < WINDOW => {
                    self.fill(wanted)?;
                    wanted = (wanted * 2).min(2 * MAX_RECORD);
                }
                Found::Open(quoted) => return self.cut(quoted).map(Some),
            }
        }
    }

    /// A record that does not end in time: its first line, or its first bytes, and what comes after the line end.
    fn cut(&mut self, quoted: bool) -> io::Result<Raw> {
        let held = &self.buffer[self.start..];
        let held = &held[..held.len().min(WINDOW)];
        let line_end = held.iter().position(|byte| *byte == b'\n');
        let line = line_end.map(|end| {
            let length = if end > 0 && held[end - 1] == b'\r' { end - 1 } else { end };
            (length, end)
        });
        if let Some((length, end)) = line.filter(|(length, _)| *length <= MAX_RECORD) {
            return Ok(self.take(length, end + 1, Some("a quote is opened and not closed")));
        }
        if self.at_end && held.len() <= MAX_RECORD {
            let length = held.len();
            let fault = quoted.then_some("a quote is opened and not closed");
            return Ok(self.take(length, length, fault));
        }
        let fault = Some("the line is longer than 1 MiB");
        let length = MAX_RECORD.min(held.len());
        let mut raw = self.take(length, length, fault);
        // Skip to the end of the line without keeping it.
        loop {
            if self.start == self.buffer.len() {
                if self.at_end {
                    break;
                }
                self.fill(CHUNK)?;
                continue;
            }
            let rest = &self.buffer[self.start..];
            let (skipped, ended) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (rest.len(), false),
            };
            self.start += skipped;
            self.offset += skipped as u64;
            if ended {
                self.line += 1;
                break;
            }
        }
        raw.end = self.offset;
        Ok(raw)
    }

    fn take(&mut self, length: usize, whole: usize, fault: Option<&'static str>) -> Raw {
        let bytes = self.buffer[self.start..self.start + length].to_vec();
        let lines = self.buffer[self.start..self.start + whole].iter().filter(|byte| **byte == b'\n').count();
        let raw = Raw { line: self.line, offset: self.offset, end: self.offset + whole as u64, bytes, fault };
        self.start += whole;
        self.offset = raw.end;
        self.line += lines as u64;
        raw
    }

    fn fill(&mut self, more: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + more, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        self.at_end = read? == 0;
        Ok(())
    }
}

/// Where a record ends, as the `csv` crate sees it: a quote counts only at the start of a field.
fn find(bytes: &[u8], delimiter: u8, at_end: bool) -> Found {
    let mut state = State::FieldStart;
    for (index, byte) in bytes.iter().enumerate() {
        state = match (state, *byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) | (State::QuoteInQuoted, b'"') => State::Quoted,
            (_, b'\n') => {
                let length = if index > 0 && bytes[index - 1] == b'\r' { index - 1 } else { index };
                return Found::Record(length, index + 1);
            }
            (_, byte) if byte == delimiter => State::FieldStart,
            (State::FieldStart, b'"') => State::Quoted,
            _ => State::Plain,
        };
    }
    if at_end && state != State::Quoted && bytes.len() <= MAX_RECORD {
        let length = if bytes.last() == Some(&b'\r') { bytes.len() - 1 } else { bytes.len() };
        return Found::Record(length, bytes.len());
    }
    Found::Open(state == State::Quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<Raw> {
        let mut records = Records::new(text, b',', 1, 0);
        let mut found = Vec::new();
        while let Some(raw) = records.next().unwrap() {
            found.push(raw);
        }
        found
    }

    fn short(text: &str) -> Vec<(u64, u64, String, Option<&'static str>)> {
        all(text.as_bytes())
            .into_iter()
            .map(|raw| (raw.line, raw.offset, String::from_utf8(raw.bytes).unwrap(), raw.fault))
            .collect()
    }

    #[test]
    fn records_have_their_lines_and_offsets() {
        assert_eq!(
            short("a,b\r\n\n\"x\ny\",2\nlast"),
            [
                (1, 0, "a,b".to_owned(), None),
                (3, 6, "\"x\ny\",2".to_owned(), None),
                (5, 14, "last".to_owned(), None)
            ]
        );
    }

    #[test]
    fn a_quote_inside_of_a_plain_field_opens_nothing() {
        assert_eq!(short("5\" disk,1\nnext\n").len(), 2);
        assert_eq!(short("\"a\"\"b\n\",1\nnext").len(), 2);
    }

    #[test]
    fn an_open_quote_costs_one_line_and_not_the_rest_of_the_file() {
        let text = format!("1,\"open\n{}", "2,x\n".repeat(400_000));
        let found = all(text.as_bytes());
        assert_eq!(found.len(), 400_001);
        assert_eq!(found[0].fault, Some("a quote is opened and not closed"));
        assert!(found[1..].iter().all(|raw| raw.fault.is_none() && raw.bytes == b"2,x"));
        assert_eq!(found[400_000].line, 400_001);
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_is_read() {
        let mut text = vec![b'x'; 3 * MAX_RECORD];
        text.extend(b"\nnext\n");
        let found = all(&text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].bytes.len(), found[0].fault),
            (MAX_RECORD, Some("the line is longer than 1 MiB"))
        );
        assert_eq!(
            (found[1].line, found[1].offset, &found[1].bytes[..]),
            (2, 3 * MAX_RECORD as u64 + 1, &b"next"[..])
        );
    }

    #[test]
    fn the_longest_record_is_one_mebibyte_wherever_it_stands() {
        for before in [0, 1, 100, 30_000, 131_071, 200_000] {
            for (length, end, fits) in [
                (MAX_RECORD, "\n", true),
                (MAX_RECORD, "\r\n", true),
                (MAX_RECORD + 1, "\n", false),
                (MAX_RECORD + 1, "\r\n", false),
                (MAX_RECORD + 70_000, "\n", false),
            ] {
                let text = format!("{}{}{end}next\n", "a\n".repeat(before), "x".repeat(length));
                let found = all(text.as_bytes());
                assert_eq!(found.len(), before + 2, "{before} {length}");
                let long = &found[before];
                assert_eq!((long.fault.is_none(), long.bytes.len()), (fits, MAX_RECORD), "{before} {length}");
                assert_eq!(&found[before + 1].bytes[..], b"next");
                assert_eq!(found[before + 1].line, before as u64 + 2);
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_whatever_the_bytes(bytes in proptest::collection::vec(prop::sample::select(&b"a,\"\r\n"[..]), 0..200)) {
            let found = all(&bytes);
            let mut at = 0;
            for raw in &found {
                // Between two records there are only line ends.
                prop_assert!(bytes[at as usize..raw.offset as usize].iter().all(|b| b"\r\n".contains(b)));
                prop_assert!(bytes[raw.offset as usize..].starts_with(&raw.bytes));
                at = raw.offset + raw.bytes.len() as u64;
            }
            prop_assert!(bytes[at as usize..].iter().all(|b| b"\r\n".contains(b)));
        }
    }
}
