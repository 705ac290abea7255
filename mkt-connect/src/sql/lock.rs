//! A lock on a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// An advisory lock on a file, held until this is dropped or the process ends, however it ends.
///
/// The file is created when it is missing and never removed: a process that had just opened a removed file would hold
/// a lock that nobody else can see.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("mkt-connect-lock-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// use mkt_connect::sql::FileLock;
///
/// let path = folder.join("import.lock");
/// let held = FileLock::try_exclusive(&path)?;
/// assert!(held.is_some());
/// assert!(FileLock::try_exclusive(&path)?.is_none());
/// drop(held);
/// assert!(FileLock::try_exclusive(&path)?.is_some());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock for this holder alone; `None` where another holder has it, alone or shared.
    ///
    /// # Errors
    /// When the file cannot be opened or created, or the file system has no locks
    /// ([`io::ErrorKind::Unsupported`]).
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    /// Takes the lock together with other shared holders. Blocks the thread while another holder has it alone.
    ///
    /// # Errors
    /// As [`try_exclusive`](Self::try_exclusive).
    pub fn shared(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        file.lock_shared()?;
        Ok(Self(file))
    }

    /// Turns an exclusive lock into a shared one. Another holder may take the lock in between; the thread then blocks
    /// until that holder lets go.
    ///
    /// # Errors
    /// When the file system fails; the lock is then lost.
    pub fn share(self) -> io::Result<Self> {
        self.0.unlock()?;
        self.0.lock_shared()?;
        Ok(self)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
