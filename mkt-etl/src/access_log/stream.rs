//! Lines of a file, plain or compressed, in bounded memory.
//!
//! gzip is read to the end of its last member (nginx writes one for each flush), Zstandard to the end of its last frame.
//! What a file is, its first bytes say, not its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};
use std::path::Path;

/// The longest line: none of the servers writes a longer one.
pub(super) const MAX_LINE: usize = 1 << 20;
/// What is kept of a longer one.
const KEPT: usize = 4096;
const BUFFER: usize = 1 << 18;

type Bytes = Box<dyn Read + Send>;

/// Opens a file and takes its compression off.
pub(super) fn open(path: &Path) -> io::Result<Bytes> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let start = file.fill_buf()?;
    match start {
        [0x1f, 0x8b, ..] => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Box::new(Zstd::new(file))),
        [b'B', b'Z', b'h', ..] => Err(unknown("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(unknown("xz")),
        [b'P', b'K', 3, 4, ..] => Err(unknown("zip")),
        _ => Ok(Box::new(file)),
    }
}

fn unknown(name: &str) -> io::Error {
    io::Error::new(
        ErrorKind::Unsupported,
        format!("compressed by {name}: expected plain text, gzip or Zstandard"),
    )
}

type Frame = ruzstd::decoding::StreamingDecoder<
    Chain<Cursor<[u8; 4]>, BufReader<File>>,
    ruzstd::decoding::FrameDecoder,
>;

/// All frames of a Zstandard file.
struct Zstd {
    /// The file between two frames.
    rest: Option<BufReader<File>>,
    frame: Option<Box<Frame>>,
}

impl Zstd {
    fn new(file: BufReader<File>) -> Self {
        Self { rest: Some(file), frame: None }
    }

    /// Opens the next frame; false at the end of the file.
    fn next(&mut self) -> io::Result<bool> {
        let Some(mut file) = self.rest.take() else { return Ok(false) };
        loop {
            if file.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut magic = [0; 4];
            file.read_exact(&mut magic)?;
            if matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
                let mut length = [0; 4];
                file.read_exact(&mut length)?;
                let length = u64::from(u32::from_le_bytes(length));
                if io::copy(&mut file.by_ref().take(length), &mut io::sink())? < length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            let frame = Frame::new(Cursor::new(magic).chain(file)).map_err(io::Error::other)?;
            self.frame = Some(Box::new(frame));
            return Ok(true);
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(out)?;
                if read > 0 {
                    return Ok(read);
                }
                self.rest = self.frame.take().map(|frame| frame.into_inner().into_inner().1);
            }
            if !self.next()? {
                return Ok(0);
            }
        }
    }
}

/// A line, without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// One-based.
    pub(super) number: u64,
    /// In the uncompressed text.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
    /// Whether it is longer than [`MAX_LINE`]; then `bytes` are its beginning.
    pub(super) too_long: bool,
}

/// Hands out lines one by one.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer is not handed out yet.
    start: usize,
    end: usize,
    number: u64,
    offset: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; BUFFER], start: 0, end: 0, number: 0, offset: 0 }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(newline) = memchr::memchr(b'\n', &held[searched..]) {
                return Ok(Some(self.take(searched + newline, 1)));
            }
            searched = held.len();
            if searched >= MAX_LINE {
                return self.skip_long().map(Some);
            }
            if self.fill()? == 0 {
                return Ok((searched > 0).then(|| self.take(searched, 0)));
            }
        }
    }

    fn take(&mut self, length: usize, newline: usize) -> Line<'_> {
        let (start, offset) = (self.start, self.offset);
        self.start += length + newline;
        self.offset += (length + newline) as u64;
        self.number += 1;
        let bytes = &self.buffer[start..start + length];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let mark: &[u8] = b"\xef\xbb\xbf";
        let bytes = if offset == 0 { bytes.strip_prefix(mark).unwrap_or(bytes) } else { bytes };
        Line { number: self.number, offset, bytes, too_long: false }
    }

    /// Reads more; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).min(MAX_LINE + BUFFER), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Passes over a line that is too long; its beginning stays at the start of the buffer.
    fn skip_long(&mut self) -> io::Result<Line<'_>> {
        let offset = self.offset;
        let beginning = self.buffer[self.start..self.start + KEPT].to_vec();
        loop {
            let held = self.end - self.start;
            match memchr::memchr(b'\n', &self.buffer[self.start..self.end]) {
                Some(newline) => {
                    self.start += newline + 1;
                    self.offset += newline as u64 + 1;
                    break;
                }
                None => {
                    self.start = self.end;
                    self.offset += held as u64;
                    if self.fill()? == 0 {
                        break;
                    }
                }
            }
        }
        self.number += 1;
        // A place of its own behind what is still to be handed out.
        let place = self.end;
        if self.buffer.len() < place + KEPT {
            self.buffer.resize(place + KEPT, 0);
        }
        self.buffer[place..place + KEPT].copy_from_slice(&beginning);
        Ok(Line { number: self.number, offset, bytes: &self.buffer[place..place + KEPT], too_long: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        let mut text = String::new();
        open(file.path())?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn all_members_and_frames_are_read() {
        assert_eq!(read(&[gzip("a\n"), gzip("b\n"), gzip("")].concat()).unwrap(), "a\nb\n");
        let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        assert_eq!(read(&[skippable, zstd("a\n"), zstd("b\n")].concat()).unwrap(), "a\nb\n");
        assert_eq!(read(b"plain\n").unwrap(), "plain\n");
    }

    #[test]
    fn a_compressed_file_that_ends_too_early_is_an_error() {
        let whole = gzip(&"line\n".repeat(1000));
        assert!(read(&whole[..whole.len() - 5]).is_err());
        assert_eq!(read(b"BZh91AY").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn lines_keep_number_and_offset_over_any_length() {
        let long = "x".repeat(MAX_LINE + 5 * BUFFER);
        let text = format!("\u{feff}one\r\n\n{long}\nfour\nlast");
        let mut lines = Lines::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.number, line.offset, line.bytes.len(), line.too_long));
        }
        let after = 8 + 1 + long.len() as u64 + 1;
        assert_eq!(
            seen,
            [
                (1, 0, 3, false),
                (2, 8, 0, false),
                (3, 9, KEPT, true),
                (4, after, 4, false),
                (5, after + 5, 4, false)
            ]
        );
    }
}
