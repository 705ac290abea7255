//! Locks of names: an empty file beside the database for each, locked by the operating system; in memory a set.

use super::error::SERVICE;
use crate::exclusive::{Exclusive, Hold};
use crate::id;
use async_trait::async_trait;
use mkt_connect::sql::FileLock;
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the locks of a database are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Beside this file.
    Beside(PathBuf),
    /// In this process: the names that are held.
    Here(Arc<Mutex<BTreeSet<String>>>),
}

impl Place {
    pub(super) async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
        match self {
            Self::Here(names) => {
                let free = names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
                let held = || Named { names: Arc::clone(names), name: name.to_owned() };
                Ok(free.then(|| Exclusive::new(name, held())))
            }
            Self::Beside(database) => {
                let (database, held) = (database.clone(), name.to_owned());
                let locked = tokio::task::spawn_blocking(move || lock(&database, &held)).await;
                let lock = locked.map_err(|_| Error::new(ErrorKind::Cancelled, SERVICE, "lock"))?;
                let lock = lock.map_err(|cause| match cause.kind() {
                    io::ErrorKind::Unsupported => Error::new(ErrorKind::Unsupported, SERVICE, "lock")
                        .with_detail("the file system does not support file locks"),
                    _ => Error::new(ErrorKind::Storage, SERVICE, "lock")
                        .with_detail("the lock file cannot be opened or locked")
                        .with_source(cause),
                })?;
                Ok(lock.map(|lock| Exclusive::new(name, Locked(lock))))
            }
        }
    }
}

/// The locked file; nothing where somebody else has it locked.
fn lock(database: &Path, name: &str) -> io::Result<Option<FileLock>> {
    // The same database under another path (a link, another current folder) has the same locks.
    let database = database.canonicalize()?;
    FileLock::try_exclusive(&beside(&database, name))
}

/// `shop.db-etl_matomo-1f2e3d4c5b6a7988.lock`: the name for people, its hash for uniqueness.
fn beside(database: &Path, name: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let readable: String = name.chars().take(32).map(plain).collect();
    let mut path = database.as_os_str().to_owned();
    path.push(format!("-{readable}-{:016x}.lock", id::stable_hash(&["exclusive", name])));
    path.into()
}

/// Locked until it is closed.
struct Locked(#[expect(dead_code, reason = "held, not used")] FileLock);

#[async_trait]
impl Hold for Locked {
    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// A name that is held within the process.
struct Named {
    names: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Drop for Named {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[async_trait]
impl Hold for Named {
    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_in_a_file_name_have_files_of_their_own() {
        let of = |name| beside(Path::new("/data/shop.db"), name);
        assert_ne!(of("etl/1"), of("etl_1"));
        assert_ne!(of("ETL"), of("etl"));
        let text = of("../../etc/é").to_string_lossy().into_owned();
        assert!(text.starts_with("/data/shop.db-______etc__-"), "{text}");
    }
}
