//! How the bytes of a file become text.

use encoding_rs::{CoderResult, UTF_16BE, UTF_16LE};
use serde::{Serialize, Serializer};
use std::fmt;
use std::io::{self, Read};

/// A text encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// Windows-1252, which contains Latin-1 (ISO 8859-1).
    Windows1252,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
}

impl Encoding {
    /// The usual name, in lower case: `utf-8`, `windows-1252`, `utf-16le`, `utf-16be`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Windows1252 => "windows-1252",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
        }
    }

    pub(super) const fn is_utf16(self) -> bool {
        matches!(self, Self::Utf16Le | Self::Utf16Be)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An encoding name that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown encoding: expected utf-8, windows-1252, latin1, utf-16le or utf-16be")]
pub struct UnknownEncoding;

impl std::str::FromStr for Encoding {
    type Err = UnknownEncoding;

    /// Parses the names people use, without case, spaces and hyphens: `utf8`, `latin1`, `cp1252`, `iso-8859-1` ….
    fn from_str(text: &str) -> Result<Self, UnknownEncoding> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        match plain.to_ascii_lowercase().as_str() {
            "utf8" => Ok(Self::Utf8),
            "windows1252" | "cp1252" | "latin1" | "iso88591" | "ansi" => Ok(Self::Windows1252),
            "utf16" | "utf16le" => Ok(Self::Utf16Le),
            "utf16be" => Ok(Self::Utf16Be),
            _ => Err(UnknownEncoding),
        }
    }
}

/// The byte order mark at the beginning of a file, and its length.
pub(super) fn mark(start: &[u8]) -> Option<(Encoding, usize)> {
    match start {
        [0xef, 0xbb, 0xbf, ..] => Some((Encoding::Utf8, 3)),
        [0xff, 0xfe, ..] => Some((Encoding::Utf16Le, 2)),
        [0xfe, 0xff, ..] => Some((Encoding::Utf16Be, 2)),
        _ => None,
    }
}

/// UTF-16 without a mark: in a header of mostly ASCII, every other byte is NUL.
pub(super) fn unmarked_utf16(start: &[u8]) -> Option<Encoding> {
    let head = start.get(..start.len().min(64) & !1).filter(|head| head.len() >= 4)?;
    let nul = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, pairs) = (nul(0), nul(1), head.len() / 2);
    // Accents of Latin languages keep the high byte NUL; a few other characters are allowed for.
    if even == 0 && odd * 4 >= pairs * 3 {
        Some(Encoding::Utf16Le)
    } else if odd == 0 && even * 4 >= pairs * 3 {
        Some(Encoding::Utf16Be)
    } else {
        None
    }
}

/// Whether a sample with non-ASCII text is UTF-8 or Windows-1252, by the majority of its lines that are not ASCII; the
/// first such line decides a tie. `None` where all is ASCII.
pub(super) fn of_sample(sample: &[u8], at_end: bool) -> Option<Encoding> {
    let (mut utf8, mut other, mut first) = (0_u64, 0_u64, None);
    let mut lines = sample.split(|byte| matches!(byte, b'\n' | b'\r')).peekable();
    while let Some(text) = lines.next() {
        // The last line may be cut in the middle of a character.
        if text.is_ascii() || (lines.peek().is_none() && !at_end) {
            continue;
        }
        let fits = std::str::from_utf8(text).is_ok();
        first.get_or_insert(fits);
        if fits { utf8 += 1 } else { other += 1 }
    }
    let is_utf8 = if utf8 == other { first? } else { utf8 > other };
    Some(if is_utf8 { Encoding::Utf8 } else { Encoding::Windows1252 })
}

/// Reads bytes: as they are, or UTF-16 as UTF-8.
pub(super) struct Source<R> {
    reader: R,
    utf16: Option<Utf16>,
}

struct Utf16 {
    decoder: encoding_rs::Decoder,
    raw: Vec<u8>,
    /// What of `raw` is not decoded yet.
    start: usize,
    end: usize,
    at_end: bool,
    finished: bool,
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("utf16", &self.utf16.is_some()).finish_non_exhaustive()
    }
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, utf16: None }
    }

    /// Decodes UTF-16 from here on, beginning with bytes that were read already.
    pub(super) fn decode(&mut self, encoding: Encoding, held: &[u8]) {
        let from = if encoding == Encoding::Utf16Be { UTF_16BE } else { UTF_16LE };
        let mut raw = held.to_vec();
        raw.resize(held.len().max(1 << 16), 0);
        self.utf16 = Some(Utf16 {
            decoder: from.new_decoder_without_bom_handling(),
            raw,
            start: 0,
            end: held.len(),
            at_end: false,
            finished: false,
        });
    }

    /// Reads into `into`, which has room for at least four bytes; 0 is the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(utf16) = &mut self.utf16 else { return read_some(&mut self.reader, into) };
        loop {
            if utf16.finished {
                return Ok(0);
            }
            if utf16.start == utf16.end && !utf16.at_end {
                let read = read_some(&mut self.reader, &mut utf16.raw)?;
                (utf16.start, utf16.end, utf16.at_end) = (0, read, read == 0);
            }
            let raw = utf16.raw.get(utf16.start..utf16.end).unwrap_or_default();
            let (result, used, written, _) = utf16.decoder.decode_to_utf8(raw, into, utf16.at_end);
            utf16.start += used;
            utf16.finished = utf16.at_end && result == CoderResult::InputEmpty;
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

fn read_some(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// How many bytes of UTF-16 make this UTF-8.
pub(super) fn utf16_length(utf8: &[u8]) -> u64 {
    // Each first byte of a character is one unit, that of a character beyond the basic plane a second one.
    let units = utf8.iter().map(|byte| u64::from(*byte & 0xc0 != 0x80) + u64::from(*byte >= 0xf0));
    units.sum::<u64>() * 2
}
