//! Where the tables are, and connections to them.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the tables are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(PathBuf),
    /// A file that is only asked; `frozen` where it cannot be written at all.
    ReadOnly {
        path: PathBuf,
        frozen: bool,
    },
    /// The name of a database of the VFS `memdb`, which a name shares within the process.
    Memory(String),
}

/// How often and how long [`Place::create`] waits: five seconds in all.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(25);

impl Place {
    /// Opens the file, creating it if there is none, and has it keep a write-ahead log. Waits up to five seconds while
    /// another connection holds it: switching a fresh file needs the file alone, and SQLite does not apply its busy timeout
    /// to that.
    pub(super) fn create(&self, busy_timeout: Duration) -> rusqlite::Result<Connection> {
        let mut tries = 0;
        loop {
            let opened = self.opened(OpenFlags::SQLITE_OPEN_CREATE, busy_timeout).and_then(|connection| {
                connection.execute_batch("pragma journal_mode = wal")?;
                Ok(connection)
            });
            match opened {
                Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }

    /// Opens what is there.
    pub(super) fn open(&self, busy_timeout: Duration) -> rusqlite::Result<Connection> {
        self.opened(OpenFlags::empty(), busy_timeout)
    }

    fn opened(&self, more: OpenFlags, busy_timeout: Duration) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = match self {
            // A name that begins with `file:` would be read as a URL.
            Self::File(path) if path.is_relative() => {
                Connection::open_with_flags(Path::new(".").join(path), flags)
            }
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(name) => Connection::open_with_flags_and_vfs(name, flags, c"memdb"),
            Self::ReadOnly { path, frozen: false } => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(Path::new(".").join(path), flags)
            }
            Self::ReadOnly { path, frozen: true } => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                    | OpenFlags::SQLITE_OPEN_NO_MUTEX
                    | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(format!("file:{}?immutable=1", escaped(path)), flags)
            }
        }?;
        // SQLite counts milliseconds in 32 bits.
        connection.busy_timeout(busy_timeout.min(Duration::from_millis(i32::MAX as u64)))?;
        Ok(connection)
    }
}

/// Whether nobody can write to the file, nor beside it: SQLite then has no place for the index of its write-ahead log, and
/// must be told that there is none.
pub(super) fn is_frozen(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let beside = folder.join(format!(".mkt-probe-{}", std::process::id()));
    match std::fs::OpenOptions::new().write(true).create_new(true).open(&beside) {
        Ok(_) => {
            let _ = std::fs::remove_file(&beside);
            false
        }
        Err(_) => true,
    }
}

/// A path within a URI of SQLite.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
