//! Finds records whose id an earlier record of the file has, whatever the distance, in bounded memory.
//!
//! Up to [`IN_MEMORY`] ids are kept in memory. Of a larger file, ids are written to temporary files, each for a part of the
//! values, and each part is looked through on its own.

use chrono::NaiveDate;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids kept in memory: about 50 MB.
const IN_MEMORY: usize = 1_000_000;
/// Parts of a larger file: 256 parts of a hundred million ids are 400 000 ids each.
const PARTS: usize = 256;
/// The content of the first record of each id.
type Firsts = HashMap<i64, u64, BuildHasherDefault<Hashed>>;

/// Ids are hashes already: hashing them again costs more than finding them.
#[derive(Debug, Default, Clone, Copy)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        // The parts of a large file share their lowest bits.
        self.0.rotate_right(8)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_i64(&mut self, id: i64) {
        self.0 = id.cast_unsigned();
    }
}

/// An id as it is written: identity, content, offset, day.
const WIDTH: usize = 28;

/// What a later record with the id of an earlier one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The same record again.
    Same,
    /// Another record.
    Other,
}

/// A record whose id an earlier one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) offset: u64,
    pub(super) day: NaiveDate,
    pub(super) repeat: Repeat,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    identity: i64,
    content: u64,
    offset: u64,
    day: i32,
}

/// Collects the ids of a file, in its order.
#[derive(Debug)]
pub(super) struct Ids {
    first: Firsts,
    repeated: Vec<Repeated>,
    parts: Option<Vec<BufWriter<File>>>,
    in_memory: usize,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self::within(IN_MEMORY)
    }

    fn within(in_memory: usize) -> Self {
        Self { first: Firsts::default(), repeated: Vec::new(), parts: None, in_memory }
    }

    /// Takes the next record: a hash of its id and one of its content.
    pub(super) fn add(&mut self, identity: i64, content: u64, offset: u64, day: NaiveDate) -> io::Result<()> {
        use chrono::Datelike;
        if let Some(parts) = &mut self.parts {
            let seen = Seen { identity, content, offset, day: day.num_days_from_ce() };
            return write(parts, &seen);
        }
        match self.first.get(&identity) {
            Some(earlier) => {
                let repeat = if *earlier == content { Repeat::Same } else { Repeat::Other };
                self.repeated.push(Repeated { offset, day, repeat });
            }
            None if self.first.len() < self.in_memory => drop(self.first.insert(identity, content)),
            None => {
                // First come, first kept: what was in memory comes before everything that follows.
                let mut parts = (0..PARTS)
                    .map(|_| temporary("ids").map(BufWriter::new))
                    .collect::<io::Result<Vec<_>>>()?;
                for (identity, content) in self.first.drain() {
                    write(&mut parts, &Seen { identity, content, offset: 0, day: 0 })?;
                }
                self.first = Firsts::default();
                self.parts = Some(parts);
                return self.add(identity, content, offset, day);
            }
        }
        Ok(())
    }

    /// The records whose id an earlier one has, by offset. More than `most` are an error of kind `InvalidData`.
    pub(super) fn finish(self, most: usize) -> io::Result<Vec<Repeated>> {
        let mut repeated = self.repeated;
        let too_many = || io::Error::new(io::ErrorKind::InvalidData, "too many repeated records");
        for part in self.parts.into_iter().flatten() {
            let mut file = part.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            let mut first = Firsts::default();
            let mut reader = BufReader::new(file);
            while let Some(seen) = read(&mut reader)? {
                match first.get(&seen.identity) {
                    None => drop(first.insert(seen.identity, seen.content)),
                    Some(earlier) => {
                        let repeat = if *earlier == seen.content { Repeat::Same } else { Repeat::Other };
                        let day = NaiveDate::from_num_days_from_ce_opt(seen.day).unwrap_or_default();
                        repeated.push(Repeated { offset: seen.offset, day, repeat });
                        if repeated.len() > most {
                            return Err(too_many());
                        }
                    }
                }
            }
        }
        if repeated.len() > most {
            return Err(too_many());
        }
        repeated.sort_unstable_by_key(|record| record.offset);
        Ok(repeated)
    }
}

fn write(parts: &mut [BufWriter<File>], seen: &Seen) -> io::Result<()> {
    let part = usize::try_from(seen.identity.rem_euclid(PARTS as i64)).unwrap_or_default();
    let mut bytes = [0_u8; WIDTH];
    bytes[..8].copy_from_slice(&seen.identity.to_le_bytes());
    bytes[8..16].copy_from_slice(&seen.content.to_le_bytes());
    bytes[16..24].copy_from_slice(&seen.offset.to_le_bytes());
    bytes[24..].copy_from_slice(&seen.day.to_le_bytes());
    match parts.get_mut(part) {
        Some(part) => part.write_all(&bytes),
        None => Ok(()),
    }
}

fn read(reader: &mut impl Read) -> io::Result<Option<Seen>> {
    let mut bytes = [0_u8; WIDTH];
    match reader.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let eight = |from: usize| -> [u8; 8] {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[from..from + 8]);
        eight
    };
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[24..]);
    Ok(Some(Seen {
        identity: i64::from_le_bytes(eight(0)),
        content: u64::from_le_bytes(eight(8)),
        offset: u64::from_le_bytes(eight(16)),
        day: i32::from_le_bytes(four),
    }))
}

/// A file without a name, for the owner only, gone when it is closed (on Unix at once, elsewhere by the system's clean-up).
pub(super) fn temporary(what: &str) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("mkt-etl-{}-{number}.{what}", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_the_same_in_memory_and_on_disk_whatever_the_distance() {
        let day = NaiveDate::default();
        let records: Vec<(i64, u64)> =
            (0..5000_i64).map(|n| (n * 7919 % 3001 - 1500, u64::from(n % 11 == 0))).collect();
        let found = |in_memory| {
            let mut ids = Ids::within(in_memory);
            for (offset, (identity, content)) in records.iter().enumerate() {
                ids.add(*identity, *content, offset as u64, day).unwrap();
            }
            ids.finish(usize::MAX).unwrap()
        };
        let all = found(1_000_000);
        // Written down: the first of an id, in the order of the file.
        let mut first: HashMap<i64, u64> = HashMap::new();
        let mut expected = Vec::new();
        for (offset, (identity, content)) in records.iter().enumerate() {
            match first.get(identity) {
                None => drop(first.insert(*identity, *content)),
                Some(earlier) => {
                    let repeat = if earlier == content { Repeat::Same } else { Repeat::Other };
                    expected.push(Repeated { offset: offset as u64, day, repeat });
                }
            }
        }
        assert_eq!(all, expected);
        for in_memory in [1, 100, 2999] {
            assert_eq!(found(in_memory), all, "{in_memory}");
        }
        let mut ids = Ids::within(1);
        for offset in 0..4 {
            ids.add(1, 1, offset, day).unwrap();
            ids.add(2, 1, offset, day).unwrap();
        }
        assert_eq!(ids.finish(3).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
