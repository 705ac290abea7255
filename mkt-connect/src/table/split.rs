//! Finds the end of a record and its fields in a slice of bytes, eight bytes at a time.
//!
//! A quotation mark counts only at the start of a field, and a field that begins with one ends with one (RFC 4180).

/// A field: its bytes in the record, without the quotation marks around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What stands at the beginning of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record.
    Record(Shape),
    /// The slice ends before the record does.
    Open,
    /// A quotation mark is not closed, or text follows the closing one; found after so many bytes.
    Broken(usize),
}

/// The extent of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes without the line end.
    pub(super) length: usize,
    /// Bytes with the line end.
    pub(super) whole: usize,
    /// Whether doubled quotation marks stand for single ones in a field.
    pub(super) doubled: bool,
    /// Line ends inside of fields.
    pub(super) lines: u64,
    /// Whether a NUL byte was seen.
    pub(super) nul: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW: u64 = !HIGH;

/// A high bit for each byte of `word` that is zero, and for no other.
const fn zeros(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word) & HIGH
}

/// A high bit for each byte that may end a field: the delimiter, a quotation mark, a control character up to 0x0D.
const fn special(word: u64, delimiters: u64) -> u64 {
    // Line feed, carriage return and NUL in one comparison; tab and others are sorted out one by one.
    let below_14 = !(((word & LOW) + ONES * (0x80 - 14)) | word) & HIGH;
    below_14 | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ delimiters)
}

/// State of one call of [`split`].
struct Scan<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at_end: bool,
    spans: &'a mut Vec<Span>,
    shape: Shape,
    /// Where the field begins.
    start: usize,
    /// Inside of quotation marks.
    open: bool,
    /// The closing quotation mark of this field.
    close: Option<usize>,
    /// Bytes before this one were looked at.
    next: usize,
}

impl Scan<'_> {
    #[inline]
    fn push(&mut self, end: usize) {
        let (start, end) = match self.close.take() {
            Some(close) => (self.start + 1, close),
            None => (self.start, end),
        };
        self.spans.push(Span { start: start as u32, end: end as u32 });
    }

    /// Looks at one special byte; `Some` ends the record.
    #[inline]
    fn meet(&mut self, at: usize, byte: u8) -> Option<Cut> {
        if byte == self.delimiter && !self.open {
            self.push(at);
            self.start = at + 1;
        } else if byte == b'"' {
            return self.quote(at);
        } else if self.open {
            let ends = byte == b'\n' || (byte == b'\r' && self.bytes.get(at + 1) != Some(&b'\n'));
            self.shape.lines += u64::from(ends);
            self.shape.nul |= byte == 0;
        } else if byte == b'\n' || byte == b'\r' {
            let follows = self.bytes.get(at + 1);
            if byte == b'\r' && follows.is_none() && !self.at_end {
                return Some(Cut::Open);
            }
            self.push(at);
            self.shape.length = at;
            self.shape.whole = at + 1 + usize::from(byte == b'\r' && follows == Some(&b'\n'));
            return Some(Cut::Record(self.shape));
        } else {
            self.shape.nul |= byte == 0;
        }
        None
    }

    fn quote(&mut self, at: usize) -> Option<Cut> {
        if at < self.next {
            return None;
        }
        if !self.open {
            // In the middle of a field without quotation marks it is a character like any other.
            self.open = at == self.start;
            return None;
        }
        match self.bytes.get(at + 1) {
            Some(b'"') => {
                self.shape.doubled = true;
                self.next = at + 2;
            }
            Some(&next) if next == self.delimiter || next == b'\n' || next == b'\r' => self.closed(at),
            Some(_) => return Some(Cut::Broken(at)),
            None if self.at_end => self.closed(at),
            None => return Some(Cut::Open),
        }
        None
    }

    fn closed(&mut self, at: usize) {
        self.open = false;
        self.close = Some(at);
    }
}

/// Finds the record at the beginning of `bytes`, and puts its fields into `spans`. `at_end`: nothing follows `bytes`.
pub(super) fn split(bytes: &[u8], delimiter: u8, at_end: bool, spans: &mut Vec<Span>) -> Cut {
    spans.clear();
    let delimiters = ONES * u64::from(delimiter);
    let shape = Shape::default();
    let mut scan =
        Scan { bytes, delimiter, at_end, spans, shape, start: 0, open: false, close: None, next: 0 };
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mut hits = special(u64::from_le_bytes(*word), delimiters);
        while hits != 0 {
            let within = hits.trailing_zeros() as usize / 8;
            hits &= hits - 1;
            if let Some(cut) = scan.meet(index * 8 + within, word.get(within).copied().unwrap_or_default()) {
                return cut;
            }
        }
    }
    for (index, &byte) in rest.iter().enumerate() {
        if (byte < 14 || byte == b'"' || byte == delimiter)
            && let Some(cut) = scan.meet(words.len() * 8 + index, byte)
        {
            return cut;
        }
    }
    if !at_end {
        return Cut::Open;
    }
    if scan.open {
        return Cut::Broken(bytes.len());
    }
    scan.push(bytes.len());
    Cut::Record(Shape { length: bytes.len(), whole: bytes.len(), ..scan.shape })
}
