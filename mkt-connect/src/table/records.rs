//! Cuts a stream of bytes into records, in memory that does not grow with the stream.
//!
//! Not the `csv` crate: it takes a quotation mark that is never closed for a field that lasts to the end of the file, or
//! to the next one that somebody else opens, and swallows the rows in between; it has no bound on the length of a record
//! and keeps no raw bytes. Here a record whose quotation marks do not work out ends with its first line, and reading goes
//! on with the next one.

use super::encoding::{Encoding, Source, utf16_length};
use super::split::{Cut, Shape, Span, split};
use std::io::{self, Read};
use std::ops::Range;

/// Bytes read at once.
const CHUNK: usize = 1 << 16;
/// The longest line that is skipped; without an end within it, reading ends.
pub(super) const MAX_SKIPPED: u64 = 64 << 20;
/// Bytes looked at in vain for a closing quotation mark, for each byte of the file, before lines are read one by one.
const PATIENCE: u64 = 16;

/// Why bytes cannot be cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Quote,
    TooLong,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) fault: Option<Fault>,
    pub(super) doubled: bool,
    pub(super) nul: bool,
}

/// The records of a stream.
#[derive(Debug)]
pub(super) struct Records<R> {
    source: Source<R>,
    utf16: bool,
    pub(super) delimiter: u8,
    pub(super) max_record: usize,
    buffer: Vec<u8>,
    /// What of the buffer is used up, and what of it is filled.
    start: usize,
    filled: usize,
    at_end: bool,
    pub(super) line: u64,
    pub(super) offset: u64,
    /// The record that was read last, in the buffer.
    record: Range<usize>,
    pub(super) spans: Vec<Span>,
    /// Bytes looked at for closing quotation marks that never came.
    in_vain: u64,
    begun: u64,
}

impl<R: Read> Records<R> {
    pub(super) fn new(reader: R, max_record: usize, line: u64, offset: u64) -> Self {
        Self {
            source: Source::new(reader),
            utf16: false,
            delimiter: b',',
            max_record,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            at_end: false,
            line,
            offset,
            record: 0..0,
            spans: Vec::new(),
            in_vain: 0,
            begun: offset,
        }
    }

    /// What is held and not used up.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    /// Whether nothing follows what is held.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Reads until so many bytes are held, or the end.
    pub(super) fn fill_to(&mut self, bytes: usize) -> io::Result<()> {
        while self.filled - self.start < bytes && !self.at_end {
            self.fill()?;
        }
        Ok(())
    }

    /// Decodes everything from here on as UTF-16.
    pub(super) fn decode(&mut self, encoding: Encoding) -> io::Result<()> {
        let held = self.held().to_vec();
        (self.start, self.filled, self.at_end, self.utf16) = (0, 0, false, true);
        self.source.decode(encoding, &held);
        self.fill()
    }

    /// Steps over bytes of a mark.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.filled);
        self.offset += bytes as u64;
    }

    /// Steps over one line, whatever it holds; `false` at the end.
    pub(super) fn skip_line(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            let held = self.held();
            any |= !held.is_empty();
            match held.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                Some(end) if self.at_end || end + 1 < held.len() => {
                    let both = usize::from(held.get(end..end + 2) == Some(b"\r\n"));
                    self.advance(end + 1 + both, 1);
                    return Ok(true);
                }
                None if self.at_end || held.len() as u64 > MAX_SKIPPED => {
                    self.advance(held.len(), 0);
                    return Ok(any);
                }
                _ => self.fill()?,
            }
        }
    }

    /// Steps over lines of nothing but spaces.
    pub(super) fn skip_empty_lines(&mut self) -> io::Result<()> {
        loop {
            let held = self.held();
            match held.iter().find(|byte| **byte != b' ') {
                Some(b'\n' | b'\r') => {
                    self.skip_line()?;
                }
                None if !self.at_end && held.len() < CHUNK => self.fill()?,
                _ => return Ok(()),
            }
        }
    }

    /// The next record that is not an empty line or one of spaces only.
    #[inline]
    pub(super) fn next(&mut self) -> io::Result<Option<Place>> {
        loop {
            let window = self.start + self.max_record + 2;
            let mut held = self.buffer.get(self.start..self.filled.min(window)).unwrap_or_default();
            if held.is_empty() && self.at_end {
                return Ok(None);
            }
            let mut whole = self.at_end && self.filled <= window;
            if self.in_vain > 0
                && self.is_spent()
                && let Some(line) = one_line(held, whole)
            {
                (held, whole) = (line, true);
            }
            match split(held, self.delimiter, whole, &mut self.spans) {
                Cut::Record(shape) if is_blank(held, &shape, whole) => {
                    self.advance(shape.whole, u64::from(shape.whole > shape.length));
                }
                Cut::Record(shape) if shape.length <= self.max_record => {
                    return Ok(Some(self.take(&shape, None)));
                }
                Cut::Open if !self.at_end && self.filled < window => self.fill()?,
                Cut::Broken(looked_at) => {
                    self.in_vain += looked_at as u64;
                    return self.first_line().map(Some);
                }
                Cut::Record(_) | Cut::Open => {
                    self.in_vain += held.len() as u64;
                    return self.first_line().map(Some);
                }
            }
        }
    }

    /// Whether a file asks for more looking ahead than it is worth: then records end with their lines. Without this,
    /// lines made for the purpose would cost the square of their number.
    fn is_spent(&self) -> bool {
        self.in_vain > PATIENCE * (self.offset - self.begun) + 8 * (self.max_record as u64)
    }

    /// What the record that was read last looks like, without its line end; of one that is too long, its beginning.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.record.clone()).unwrap_or_default()
    }

    fn take(&mut self, shape: &Shape, fault: Option<Fault>) -> Place {
        let &Shape { length, whole, doubled, lines, nul } = shape;
        let place = Place { line: self.line, offset: self.offset, fault, doubled, nul };
        self.record = self.start..self.start + length;
        self.advance(whole, lines + u64::from(whole > length));
        place
    }

    fn advance(&mut self, whole: usize, lines: u64) {
        self.offset += self.in_file(self.start..self.start + whole);
        self.line += lines;
        self.start += whole;
    }

    /// How many bytes of the file these bytes of the buffer are.
    fn in_file(&self, range: Range<usize>) -> u64 {
        if self.utf16 { utf16_length(self.buffer.get(range).unwrap_or_default()) } else { range.len() as u64 }
    }

    /// The first line of what cannot be a record. What is longer than a record is skipped without being kept.
    fn first_line(&mut self) -> io::Result<Place> {
        self.spans.clear();
        let limit = self.max_record;
        let length = loop {
            let held = self.held();
            let end = held.iter().take(limit + 1).position(|byte| matches!(byte, b'\n' | b'\r'));
            match end {
                Some(end) if self.at_end || end + 1 < held.len() => {
                    let both = held.get(end..end + 2) == Some(b"\r\n");
                    let shape = Shape { length: end, whole: end + 1 + usize::from(both), ..Shape::default() };
                    return Ok(self.take(&shape, Some(Fault::Quote)));
                }
                None if self.at_end && held.len() <= limit => {
                    let shape = Shape { length: held.len(), whole: held.len(), ..Shape::default() };
                    return Ok(self.take(&shape, Some(Fault::Quote)));
                }
                None if self.at_end || held.len() > limit => break held.len().min(limit),
                _ => self.fill()?,
            }
        };
        let kept = self.held().get(..length).unwrap_or_default().to_vec();
        let place = self.take(&Shape { length, whole: length, ..Shape::default() }, Some(Fault::TooLong));
        let begun = self.offset;
        let mut carriage_return = false;
        loop {
            let rest = self.held();
            if carriage_return {
                // Whether a line feed belongs to it may only be known now.
                if let Some(next) = rest.first() {
                    let both = usize::from(*next == b'\n');
                    self.advance(both, 0);
                    break;
                }
            } else if let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                carriage_return = rest.get(end) == Some(&b'\r');
                self.advance(end + 1, 1);
                if !carriage_return {
                    break;
                }
                continue;
            } else {
                self.advance(rest.len(), 0);
            }
            if self.at_end {
                break;
            }
            if self.offset - begun > MAX_SKIPPED {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.fill()?;
        }
        // The record is shown by its beginning, put before what comes next.
        let mut next = kept;
        next.extend_from_slice(self.held());
        self.filled = next.len();
        if self.buffer.len() < self.filled {
            self.buffer.resize(self.filled, 0);
        }
        if let Some(place) = self.buffer.get_mut(..next.len()) {
            place.copy_from_slice(&next);
        }
        self.record = 0..length;
        self.start = length;
        Ok(place)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        // Twice as much each time: what is scanned again from its beginning is scanned a few times only.
        let wanted = self.filled + CHUNK.max(self.filled);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let room = self.buffer.get_mut(self.filled..wanted).unwrap_or_default();
        let read = self.source.read(room)?;
        self.filled += read;
        self.at_end = read == 0;
        Ok(())
    }
}

/// The first line with its end, if the end is held.
fn one_line(held: &[u8], at_end: bool) -> Option<&[u8]> {
    let end = held.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    if end + 1 == held.len() && !at_end {
        return None;
    }
    let both = usize::from(held.get(end..end + 2) == Some(b"\r\n"));
    held.get(..end + 1 + both)
}

/// An empty line, one of spaces, or the end-of-file mark of DOS at the very end.
#[inline]
fn is_blank(held: &[u8], shape: &Shape, at_end: bool) -> bool {
    match held.first() {
        _ if shape.length == 0 => true,
        Some(b' ') => held.get(..shape.length).is_some_and(|line| line.iter().all(|byte| *byte == b' ')),
        Some(0x1a) => at_end && shape.length == 1 && shape.whole == held.len(),
        _ => false,
    }
}
