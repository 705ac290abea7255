//! Puts the records of a file that is not in the order of time together by day, in a temporary file: so the file is read
//! twice more in all, and not once for every day.
//!
//! Records wait in memory, by day, until there are [`WAITING`] bytes of them; then each day's go to the end of the temporary
//! file as one chunk. Reading a day reads its chunks, in which the order of the file is kept.

use super::repeats::temporary;
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

/// Bytes that wait in memory.
const WAITING: usize = 16 << 20;
/// A place as it is written: offset and line.
const WIDTH: usize = 16;
/// Marks the line of a record that does not split: what is wrong with it depends on what follows it in the file.
const BROKEN: u64 = 1 << 63;

/// Where a record stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) line: u64,
}

/// A record's place, and whether it is to be read there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) broken: bool,
}

/// Records of one day that lie together in the temporary file: their places, then their bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    at: u64,
    places: usize,
    raw: usize,
}

/// The records of a file by day.
#[derive(Debug)]
pub(super) struct Regrouped {
    file: Mutex<File>,
    chunks: BTreeMap<NaiveDate, Vec<Chunk>>,
}

/// Collects them.
pub(super) struct Regroup {
    file: BufWriter<File>,
    end: u64,
    waiting: BTreeMap<NaiveDate, Waiting>,
    bytes: usize,
    most: usize,
    chunks: BTreeMap<NaiveDate, Vec<Chunk>>,
}

#[derive(Default)]
struct Waiting {
    places: Vec<u8>,
    raw: Vec<u8>,
}

impl Regroup {
    pub(super) fn new() -> io::Result<Self> {
        Self::within(WAITING)
    }

    fn within(most: usize) -> io::Result<Self> {
        let file = BufWriter::new(temporary("days")?);
        Ok(Self { file, end: 0, waiting: BTreeMap::new(), bytes: 0, most, chunks: BTreeMap::new() })
    }

    /// Takes the next record of the file; `None` for one that does not split.
    pub(super) fn add(&mut self, day: NaiveDate, place: Place, raw: Option<&[u8]>) -> io::Result<()> {
        let waiting = self.waiting.entry(day).or_default();
        let line = if raw.is_some() { place.line } else { place.line | BROKEN };
        waiting.places.extend_from_slice(&place.offset.to_le_bytes());
        waiting.places.extend_from_slice(&line.to_le_bytes());
        self.bytes += WIDTH;
        if let Some(raw) = raw {
            waiting.raw.extend_from_slice(raw);
            waiting.raw.push(b'\n');
            self.bytes += raw.len() + 1;
        }
        if self.bytes >= self.most { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        for (day, waiting) in &mut self.waiting {
            if waiting.places.is_empty() {
                continue;
            }
            self.file.write_all(&waiting.places)?;
            self.file.write_all(&waiting.raw)?;
            let chunk = Chunk { at: self.end, places: waiting.places.len(), raw: waiting.raw.len() };
            self.end += (chunk.places + chunk.raw) as u64;
            self.chunks.entry(*day).or_default().push(chunk);
            waiting.places.clear();
            waiting.raw.clear();
        }
        self.bytes = 0;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Regrouped> {
        self.flush()?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Regrouped { file: Mutex::new(file), chunks: self.chunks })
    }
}

impl Regrouped {
    /// The chunks of a day, in the order of the file.
    pub(super) fn of(&self, day: NaiveDate) -> &[Chunk] {
        self.chunks.get(&day).map_or(&[], Vec::as_slice)
    }

    /// The places of a chunk's records, and the bytes of those that split, each with a line end.
    pub(super) fn read(&self, chunk: Chunk) -> io::Result<(Vec<Held>, Vec<u8>)> {
        let mut places = vec![0; chunk.places];
        let mut raw = vec![0; chunk.raw];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(chunk.at))?;
            file.read_exact(&mut places)?;
            file.read_exact(&mut raw)?;
        }
        let number = |bytes: &[u8]| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            u64::from_le_bytes(eight)
        };
        let held = places.chunks_exact(WIDTH).map(|bytes| {
            let (offset, line) = bytes.split_at(WIDTH / 2);
            let line = number(line);
            Held { place: Place { offset: number(offset), line: line & !BROKEN }, broken: line & BROKEN != 0 }
        });
        Ok((held.collect(), raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Days;

    #[test]
    fn records_of_a_day_come_back_in_the_order_of_the_file() {
        for most in [1, 100, 1 << 20] {
            let mut regroup = Regroup::within(most).unwrap();
            let day = |n: u64| NaiveDate::default() + Days::new(n % 7);
            for n in 0..1_000_u64 {
                let text = format!("record {n}, \"two\nlines\"");
                let raw = (n % 13 != 0).then_some(text.as_bytes());
                regroup.add(day(n * 5), Place { offset: n * 30, line: n + 2 }, raw).unwrap();
            }
            let regrouped = regroup.finish().unwrap();
            for of in 0..7 {
                let (mut seen, mut text) = (Vec::new(), String::new());
                for chunk in regrouped.of(day(of)) {
                    let (held, raw) = regrouped.read(*chunk).unwrap();
                    seen.extend(held);
                    text.push_str(&String::from_utf8(raw).unwrap());
                }
                let numbers: Vec<u64> = (0..1_000).filter(|n| n * 5 % 7 == of).collect();
                let expected: Vec<Held> = numbers
                    .iter()
                    .map(|n| Held { place: Place { offset: n * 30, line: n + 2 }, broken: n % 13 == 0 })
                    .collect();
                assert_eq!(seen, expected, "{most}");
                let whole: String = numbers
                    .iter()
                    .filter(|n| *n % 13 != 0)
                    .map(|n| format!("record {n}, \"two\nlines\"\n"))
                    .collect();
                assert_eq!(text, whole, "{most}");
            }
            assert!(regrouped.of(NaiveDate::MAX).is_empty());
        }
    }
}
