//! Model files: `MKTMODEL`, a version, the length, a SHA-256, then JSON.
//!
//! All integers are little endian: 8 bytes magic, 4 bytes version, 8 bytes length of the JSON, 32 bytes
//! SHA-256 over magic, version, length and JSON. The checksum detects accidental damage and is not a
//! signature, so the content is validated as well: a manipulated file is refused like a damaged one. Memory is bounded
//! by a small multiple of the bytes actually in the file, not by what it declares.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

use crate::{error::Cause, trained::TrainedModel};

const MAGIC: [u8; 8] = *b"MKTMODEL";
/// The version written. Older programs must refuse what they would misread: version 1 knew no calibration, version 2 no
/// words for missing values. Files of both are still read.
const VERSION: u32 = 3;
const OLDEST: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 32;
/// The largest model written or read: 1 GiB of JSON.
const MOST_BYTES: u64 = 1 << 30;

/// Why a model file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// The file could not be written or read.
    #[error("{} could not be {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `written` or `read`.
        action: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// Not a model file.
    #[error("this is not a model file")]
    NotAModel,
    /// A file of a later version of this crate, or a damaged one.
    #[error("unsupported model file version {found}: this program supports up to {known}")]
    Version {
        /// The version in the file.
        found: u32,
        /// The newest supported version.
        known: u32,
    },
    /// The file ends early.
    #[error("the model file is truncated: {found} of {expected} bytes")]
    Truncated {
        /// Bytes announced.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// Bytes after the end.
    #[error("the model file has bytes after its end")]
    TrailingBytes,
    /// Larger than any model written here.
    #[error("the model has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes of the model, or announced by the file.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The checksum does not match the content.
    #[error("the model file is damaged: its checksum does not match")]
    Checksum,
    /// The payload is not the JSON of a supported model.
    #[error("the model file does not hold a supported model")]
    Payload {
        /// What the JSON reader found.
        source: Cause,
    },
    /// The parts of the model are inconsistent: nodes that are not a tree, lengths that differ, values out of range.
    #[error("the model file is inconsistent")]
    Unsound,
}

impl TrainedModel {
    /// Writes the model to `path` atomically: to a temporary file beside it, synced to disk, then renamed. A reader sees
    /// the old file or the new one.
    ///
    /// # Errors
    /// [`PersistError::Io`], [`PersistError::TooLarge`]. The temporary file is removed.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PersistError> {
        let path = path.as_ref();
        let bytes = self.to_bytes()?;
        write_whole(path, &bytes).map_err(|source| PersistError::Io {
            path: path.to_owned(),
            action: "written",
            source,
        })
    }

    /// Reads a model that [`TrainedModel::save`] wrote.
    ///
    /// # Errors
    /// Any [`PersistError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PersistError> {
        let path = path.as_ref();
        let io = |source| PersistError::Io { path: path.to_owned(), action: "read", source };
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::with_capacity(HEADER);
        (&mut file).take(HEADER as u64).read_to_end(&mut start).map_err(io)?;
        let header = Header::of(&start)?;
        let mut payload = Vec::new();
        // One byte more than announced, to see whether the file goes on.
        file.take(header.length + 1).read_to_end(&mut payload).map_err(io)?;
        header.open(&start, &payload)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`PersistError::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, PersistError> {
        let payload =
            serde_json::to_vec(self).map_err(|cause| PersistError::Payload { source: Box::new(cause) })?;
        let length = payload.len() as u64;
        if length > MOST_BYTES {
            return Err(PersistError::TooLarge { bytes: length, limit: MOST_BYTES });
        }
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        let digest = digest(&bytes, &payload);
        bytes.extend(digest);
        bytes.extend(payload);
        Ok(bytes)
    }

    /// Reads a model from the file's bytes.
    ///
    /// # Errors
    /// Any [`PersistError`] but [`PersistError::Io`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PersistError> {
        let (start, payload) = bytes.split_at(bytes.len().min(HEADER));
        Header::of(start)?.open(start, payload)
    }
}

/// What the first bytes announce.
struct Header {
    length: u64,
    digest: [u8; 32],
}

impl Header {
    fn of(start: &[u8]) -> Result<Self, PersistError> {
        let found = start.len() as u64;
        // A beginning of the magic is a model cut short; anything else was never one.
        let magic = &start[..start.len().min(MAGIC.len())];
        if start.is_empty() || !MAGIC.starts_with(magic) {
            return Err(PersistError::NotAModel);
        }
        let short = || PersistError::Truncated { expected: HEADER as u64, found };
        let rest = start.get(MAGIC.len()..).ok_or_else(short)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let version = u32::from_le_bytes(*version);
        if !(OLDEST..=VERSION).contains(&version) {
            return Err(PersistError::Version { found: version, known: VERSION });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let length = u64::from_le_bytes(*length);
        if length > MOST_BYTES {
            return Err(PersistError::TooLarge { bytes: length, limit: MOST_BYTES });
        }
        let digest = *rest.first_chunk::<32>().ok_or_else(short)?;
        Ok(Self { length, digest })
    }

    fn open(&self, start: &[u8], payload: &[u8]) -> Result<TrainedModel, PersistError> {
        let found = payload.len() as u64;
        if found < self.length {
            let header = HEADER as u64;
            return Err(PersistError::Truncated { expected: header + self.length, found: header + found });
        }
        if found > self.length {
            return Err(PersistError::TrailingBytes);
        }
        if digest(start.get(..HEADER - 32).unwrap_or_default(), payload) != self.digest {
            return Err(PersistError::Checksum);
        }
        let model: TrainedModel = serde_json::from_slice(payload)
            .map_err(|cause| PersistError::Payload { source: Box::new(cause) })?;
        if model.is_sound() { Ok(model) } else { Err(PersistError::Unsound) }
    }
}

fn digest(start: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(start).chain_update(payload).finalize().into()
}

/// Replaces the file at `path` by `bytes`, all or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    /// Two saves in one process must not share a temporary file.
    static SAVES: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), SAVES.fetch_add(1, Ordering::Relaxed)));
    let temporary = folder.join(temporary);
    let mut file = File::options().write(true).create_new(true).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let result = written.and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
        return result;
    }
    // The rename itself survives a power cut once the folder is on the disk; not every system can do it.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
