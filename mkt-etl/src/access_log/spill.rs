//! Records that wait on disk, by hour or by day: memory is bounded by a constant, not by the log.
//!
//! A small log never touches the disk. The folder is the process's own and is removed with the index; what lies there
//! holds no address, only keyed hashes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Debug, Default)]
struct Bucket {
    memory: Vec<u8>,
    on_disk: bool,
}

/// Records by a number: an hour or a day.
#[derive(Debug)]
pub(super) struct Spill {
    folder: Arc<TempDir>,
    name: &'static str,
    buckets: BTreeMap<i64, Bucket>,
    held: usize,
    most: usize,
}

impl Spill {
    /// An empty store that keeps up to `most` bytes in memory.
    pub(super) fn new(folder: &Arc<TempDir>, name: &'static str, most: usize) -> Self {
        Self { folder: Arc::clone(folder), name, buckets: BTreeMap::new(), held: 0, most }
    }

    fn path(&self, key: i64) -> PathBuf {
        Path::new(self.folder.path()).join(format!("{}{key}", self.name))
    }

    /// Appends a record.
    pub(super) fn add(&mut self, key: i64, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let bucket = self.buckets.entry(key).or_default();
        let before = bucket.memory.len();
        write(&mut bucket.memory);
        self.held += bucket.memory.len() - before;
        if self.held > self.most { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let keys: Vec<i64> = self
            .buckets
            .iter()
            .filter(|(_, bucket)| !bucket.memory.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let path = self.path(key);
            let Some(bucket) = self.buckets.get_mut(&key) else { continue };
            OpenOptions::new().create(true).append(true).open(path)?.write_all(&bucket.memory)?;
            bucket.memory = Vec::new();
            bucket.on_disk = true;
        }
        self.held = 0;
        Ok(())
    }

    /// The numbers, in order.
    pub(super) fn keys(&self) -> Vec<i64> {
        self.buckets.keys().copied().collect()
    }

    /// The records of a number, in the order in which they were added.
    pub(super) fn read(&self, key: i64) -> io::Result<Decoder<Box<dyn Read + '_>>> {
        let Some(bucket) = self.buckets.get(&key) else { return Ok(Decoder(Box::new(io::empty()))) };
        let memory = Cursor::new(&bucket.memory[..]);
        if !bucket.on_disk {
            return Ok(Decoder(Box::new(memory)));
        }
        let file = BufReader::with_capacity(1 << 16, File::open(self.path(key))?);
        Ok(Decoder(Box::new(file.chain(memory))))
    }

    /// Removes the records of a number.
    pub(super) fn remove(&mut self, key: i64) -> io::Result<()> {
        if let Some(bucket) = self.buckets.remove(&key) {
            self.held = self.held.saturating_sub(bucket.memory.len());
            if bucket.on_disk {
                std::fs::remove_file(self.path(key))?;
            }
        }
        Ok(())
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&text[..length as usize]);
}

/// Reads what was put.
#[derive(Debug)]
pub(super) struct Decoder<R>(R);

impl<R: Read> Decoder<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The first field of a record; `None` at the end.
    pub(super) fn first(&mut self) -> io::Result<Option<i64>> {
        let mut bytes = [0; 8];
        let mut read = 0;
        while read < bytes.len() {
            match self.0.read(&mut bytes[read..])? {
                0 if read == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        Ok(Some(i64::from_le_bytes(bytes)))
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.bytes::<1>()?[0])
    }

    pub(super) fn int(&mut self) -> io::Result<i64> {
        Ok(i64::from_le_bytes(self.bytes()?))
    }

    pub(super) fn long(&mut self) -> io::Result<u128> {
        Ok(u128::from_le_bytes(self.bytes()?))
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let length = u32::from_le_bytes(self.bytes()?) as usize;
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        // Only texts are put.
        String::from_utf8(bytes).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
    }

    /// A text; empty stands for none.
    pub(super) fn optional(&mut self) -> io::Result<Option<String>> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_from_memory_and_disk() {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mut spill = Spill::new(&folder, "d", 100);
        for number in 0..50_i64 {
            spill
                .add(number % 3, |out| {
                    out.extend_from_slice(&number.to_le_bytes());
                    put_text(out, b"abc");
                })
                .unwrap();
        }
        assert_eq!(spill.keys(), [0, 1, 2]);
        let mut decoder = spill.read(1).unwrap();
        let mut seen = Vec::new();
        while let Some(number) = decoder.first().unwrap() {
            assert_eq!(decoder.text().unwrap(), "abc");
            seen.push(number);
        }
        drop(decoder);
        assert_eq!(seen, (0..50).filter(|number| number % 3 == 1).collect::<Vec<_>>());
        spill.remove(1).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
