//! Cuts a CSV file (RFC 4180) into records and their fields, in memory that does not grow with the file.
//!
//! Not the `csv` crate: it takes a quote that is never closed for a field that lasts to the end of the file, or to the
//! next quote that somebody else opens, and swallows the rows in between. Here a record whose quotes do not work out
//! ends with its first line, is told apart, and reading goes on with the next line.

use std::io::{self, Read};
use std::ops::Range;

/// The longest record. Beyond it there is no subscriber, only a file that is something else.
pub(crate) const MAX_RECORD: usize = 1 << 20;
/// The longest line that is skipped; without an end within it, reading ends.
pub(crate) const MAX_SKIPPED: u64 = 64 << 20;
const CHUNK: usize = 1 << 16;

/// Why a record cannot be cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A quote is opened and not closed, or something follows the closing one.
    Quote,
    /// There is no end within [`MAX_RECORD`].
    TooLong,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its first line, from 1.
    pub(crate) line: u64,
    /// Its first byte, from 0.
    pub(crate) offset: u64,
    pub(crate) fault: Option<Fault>,
}

/// A field: where it is in the record, and whether doubled quotes stand for single ones in it.
#[derive(Debug, Clone)]
struct Field {
    bytes: Range<usize>,
    doubled: bool,
}

/// The records of a reader.
#[derive(Debug)]
pub(crate) struct Records<R> {
    reader: R,
    pub(crate) delimiter: u8,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    start: usize,
    at_end: bool,
    line: u64,
    offset: u64,
    /// The record that was read last, in the buffer.
    record: Range<usize>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

enum Found {
    /// Length without and with the line end.
    Record(usize, usize),
    /// The buffer ends first.
    Open,
    Broken,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            delimiter: b',',
            buffer: Vec::new(),
            start: 0,
            at_end: false,
            line: 1,
            offset: 0,
            record: 0..0,
            fields: Vec::new(),
        }
    }

    /// The first line without its end, as far as it is within [`MAX_RECORD`]; nothing is used up.
    pub(crate) fn peek_line(&mut self) -> io::Result<&[u8]> {
        loop {
            let held = self.buffer.get(self.start..).unwrap_or_default();
            let end = held.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            if end.is_some() || self.at_end || held.len() >= MAX_RECORD {
                let end = end.unwrap_or(held.len()).min(MAX_RECORD);
                return Ok(self.buffer.get(self.start..self.start + end).unwrap_or_default());
            }
            self.fill()?;
        }
    }

    /// Steps over bytes that were peeked at.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.buffer.len());
        self.offset += bytes as u64;
    }

    /// The next record that is not an empty line. Its bytes and fields can be read until the next call.
    pub(crate) fn next(&mut self) -> io::Result<Option<Place>> {
        loop {
            let window = self.start + MAX_RECORD + 2;
            let held = self.buffer.get(self.start..window.min(self.buffer.len())).unwrap_or_default();
            if held.is_empty() && self.at_end {
                return Ok(None);
            }
            let whole = self.at_end && self.buffer.len() <= window;
            match find(held, self.delimiter, whole, &mut self.fields) {
                Found::Record(0, whole) => {
                    self.advance(whole);
                }
                Found::Record(length, whole) if length <= MAX_RECORD => {
                    return Ok(Some(self.take(length, whole, None)));
                }
                Found::Open if !self.at_end && self.buffer.len() < window => self.fill()?,
                Found::Broken | Found::Record(..) | Found::Open => return self.first_line().map(Some),
            }
        }
    }

    /// What the record that was read last looks like in the file, without its line end; of one that is too long, the
    /// first [`MAX_RECORD`] bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.record.clone()).unwrap_or_default()
    }

    /// How many fields it has.
    pub(crate) fn width(&self) -> usize {
        self.fields.len()
    }

    /// One of its fields without the quotes around it, and whether doubled quotes have to be made single.
    pub(crate) fn field(&self, index: usize) -> (&[u8], bool) {
        match self.fields.get(index) {
            Some(field) => (self.bytes().get(field.bytes.clone()).unwrap_or_default(), field.doubled),
            None => (&[], false),
        }
    }

    fn take(&mut self, length: usize, whole: usize, fault: Option<Fault>) -> Place {
        let place = Place { line: self.line, offset: self.offset, fault };
        self.record = self.start..self.start + length;
        self.advance(whole);
        place
    }

    fn advance(&mut self, whole: usize) {
        let passed = self.buffer.get(self.start..self.start + whole).unwrap_or_default();
        self.line += line_ends(passed);
        self.start += whole;
        self.offset += whole as u64;
    }

    /// The first line of what cannot be a record. What is longer than a record is skipped without being kept.
    fn first_line(&mut self) -> io::Result<Place> {
        self.fields.clear();
        let held = loop {
            let held = self.buffer.get(self.start..).unwrap_or_default();
            let end = held.iter().take(MAX_RECORD + 1).position(|byte| matches!(byte, b'\n' | b'\r'));
            match end {
                Some(end) if self.at_end || end + 1 < held.len() => {
                    let both = held.get(end..end + 2) == Some(b"\r\n");
                    return Ok(self.take(end, end + 1 + usize::from(both), Some(Fault::Quote)));
                }
                None if self.at_end && held.len() <= MAX_RECORD => {
                    let length = held.len();
                    return Ok(self.take(length, length, Some(Fault::Quote)));
                }
                None if self.at_end || held.len() > MAX_RECORD => break held,
                _ => self.fill()?,
            }
        };
        let length = held.len().min(MAX_RECORD);
        let kept = held.get(..length).unwrap_or_default().to_vec();
        let place = self.take(length, length, Some(Fault::TooLong));
        let begun = self.offset;
        let mut carriage_return = false;
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if carriage_return {
                // Whether a line feed belongs to it may only be known now.
                if let Some(next) = rest.first() {
                    let both = usize::from(*next == b'\n');
                    self.start += both;
                    self.offset += both as u64;
                    break;
                }
            } else if let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                carriage_return = rest.get(end) == Some(&b'\r');
                self.start += end + 1;
                self.offset += end as u64 + 1;
                self.line += 1;
                if !carriage_return {
                    break;
                }
                continue;
            } else {
                self.offset += rest.len() as u64;
                self.start = self.buffer.len();
            }
            if self.at_end {
                break;
            }
            if self.offset - begun > MAX_SKIPPED {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.fill()?;
        }
        // The record is told by its beginning, put where the buffer has room for it: before what comes next.
        self.buffer.drain(..self.start);
        self.buffer.splice(..0, kept);
        self.record = 0..length;
        self.start = length;
        Ok(place)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        // Twice as much each time: what is scanned again from its beginning is scanned a few times only.
        self.buffer.resize(held + CHUNK.max(held), 0);
        let read = loop {
            match self.reader.read(self.buffer.get_mut(held..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        self.at_end = read? == 0;
        Ok(())
    }
}

/// Line ends of any kind: LF, CRLF, CR.
fn line_ends(bytes: &[u8]) -> u64 {
    let mut ends = 0;
    let mut before = 0;
    for &byte in bytes {
        ends += u64::from(byte == b'\r' || (byte == b'\n' && before != b'\r'));
        before = byte;
    }
    ends
}

/// Where the record at the beginning of `bytes` ends, and its fields. A quote counts only at the start of a field, and
/// a field that begins with one ends with one.
fn find(bytes: &[u8], delimiter: u8, at_end: bool, fields: &mut Vec<Field>) -> Found {
    fields.clear();
    let mut state = State::FieldStart;
    let (mut begun, mut doubled) = (0, false);
    let mut end = bytes.len();
    let mut whole = None;
    for (index, &byte) in bytes.iter().enumerate() {
        state = match (state, byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) => State::Quoted,
            (State::QuoteInQuoted, b'"') => {
                doubled = true;
                State::Quoted
            }
            (_, b'\n' | b'\r') => {
                let both = byte == b'\r' && bytes.get(index + 1) == Some(&b'\n');
                // Whether a line feed follows is not known yet.
                if byte == b'\r' && index + 1 == bytes.len() && !at_end {
                    return Found::Open;
                }
                end = index;
                whole = Some(index + 1 + usize::from(both));
                break;
            }
            (_, byte) if byte == delimiter => {
                fields.push(field(begun..index, state, doubled));
                (begun, doubled) = (index + 1, false);
                State::FieldStart
            }
            (State::FieldStart, b'"') => State::Quoted,
            (State::QuoteInQuoted, _) => return Found::Broken,
            _ => State::Plain,
        };
    }
    if whole.is_none() && !at_end {
        return Found::Open;
    }
    if state == State::Quoted {
        return Found::Broken;
    }
    fields.push(field(begun..end, state, doubled));
    Found::Record(end, whole.unwrap_or(end))
}

fn field(bytes: Range<usize>, state: State, doubled: bool) -> Field {
    let bytes = if state == State::QuoteInQuoted { bytes.start + 1..bytes.end - 1 } else { bytes };
    Field { bytes, doubled }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Told = (u64, u64, Option<Fault>, Vec<String>);

    fn all(text: impl Read) -> Vec<Told> {
        let mut records = Records::new(text);
        let mut found = Vec::new();
        while let Some(place) = records.next().unwrap() {
            let fields = (0..records.width()).map(|index| {
                let (bytes, doubled) = records.field(index);
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                if doubled { text.replace("\"\"", "\"") } else { text }
            });
            found.push((place.line, place.offset, place.fault, fields.collect()));
        }
        found
    }

    fn good(line: u64, offset: u64, fields: &[&str]) -> Told {
        (line, offset, None, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn every_line_end_ends_a_record() {
        assert_eq!(
            all("a,b\r\n\nc\rd,\r\r\n,e".as_bytes()),
            [good(1, 0, &["a", "b"]), good(3, 6, &["c"]), good(4, 8, &["d", ""]), good(6, 13, &["", "e"])]
        );
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
        assert_eq!(
            all("\"a,b\",\"x\r\ny\",\"\"\n\"say \"\"hi\"\"\",5\" disk\n".as_bytes()),
            [good(1, 0, &["a,b", "x\r\ny", ""]), good(3, 16, &["say \"hi\"", "5\" disk"])]
        );
    }

    #[test]
    fn a_quote_that_does_not_work_out_costs_one_line() {
        for broken in ["a,\"open", "a,\"b\"c", "\"\"\"", "\"a\" ,b"] {
            for after in ["", "next,\"quoted\"\n", "next,x\nlast,\"quo\nted\"\n"] {
                let text = format!("{broken}\n{after}");
                let found = all(text.as_bytes());
                assert_eq!((found[0].0, found[0].2), (1, Some(Fault::Quote)), "{text:?}");
                assert_eq!(found.len(), 1 + after.matches("next").count() + after.matches("last").count());
                assert!(found[1..].iter().all(|record| record.2.is_none()), "{text:?}");
            }
        }
        let text = format!("1,\"open\n{}", "2,x\n".repeat(400_000));
        let found = all(text.as_bytes());
        assert_eq!((found.len(), found[400_000].0), (400_001, 400_001));
        assert!(found[1..].iter().all(|record| record.2.is_none()));
    }

    #[test]
    fn the_longest_record_is_one_mebibyte_wherever_it_stands() {
        for before in [0, 1, 131_071] {
            for end in ["\n", "\r\n", "\r"] {
                for (length, fits) in [
                    (MAX_RECORD, true),
                    (MAX_RECORD + 1, false),
                    (MAX_RECORD + 70_000, false),
                    (3 * MAX_RECORD, false),
                ] {
                    let text = format!("{}{}{end}next\n", "a\n".repeat(before), "x".repeat(length));
                    let mut records = Records::new(text.as_bytes());
                    (0..before).for_each(|_| drop(records.next()));
                    let fault = records.next().unwrap().unwrap().fault;
                    assert_eq!(
                        (fault.is_none(), records.bytes().len()),
                        (fits, MAX_RECORD),
                        "{before} {length}"
                    );
                    let next = records.next().unwrap().unwrap();
                    assert_eq!((next.line, records.bytes()), (before as u64 + 2, &b"next"[..]));
                    assert_eq!(next.offset, (2 * before + length + end.len()) as u64);
                }
            }
        }
    }

    #[test]
    fn a_line_without_end_ends_the_reading() {
        let error = Records::new(io::repeat(b'x')).next().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    /// A reader that hands out a few bytes at a time.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            (&mut self.0).take(most as u64).read(buffer)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_lost_whatever_the_bytes_and_however_they_come(
            bytes in proptest::collection::vec(prop::sample::select(&b"a,\"\r\n"[..]), 0..60), step in 1usize..7,
        ) {
            let found = all(&bytes[..]);
            prop_assert_eq!(&all(Dripping(&bytes, step)), &found);
            let mut at = 0;
            let mut records = Records::new(&bytes[..]);
            while let Some(place) = records.next().unwrap() {
                // Between two records there are only line ends.
                prop_assert!(bytes[at..place.offset as usize].iter().all(|b| b"\r\n".contains(b)));
                prop_assert!(bytes[place.offset as usize..].starts_with(records.bytes()));
                prop_assert_eq!(place.line, 1 + line_ends(&bytes[..place.offset as usize]));
                at = place.offset as usize + records.bytes().len();
            }
            prop_assert!(bytes[at..].iter().all(|b| b"\r\n".contains(b)));
        }

        /// What the `csv` crate writes and reads as well-formed is read the same here.
        #[test]
        fn what_is_well_formed_is_read_as_the_csv_crate_reads_it(
            rows in proptest::collection::vec(proptest::collection::vec("[a\", \r\n]{0,4}", 2..5), 0..8),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let bytes = writer.into_inner().unwrap();
            let found: Vec<_> = all(&bytes[..]).into_iter().map(|record| record.3).collect();
            prop_assert_eq!(found, rows);
        }
    }
}
